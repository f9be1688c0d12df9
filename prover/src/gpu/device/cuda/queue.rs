//! Streams: one computes, another copies large uploads beside it.
//!
//! An upload is read from memory that the device reaches by itself, so that nobody waits for it: the call returns when
//! the bytes are in a [`Ring`]. Small uploads take the computing stream. Large ones take their own, and the next
//! operation of the computing stream waits for all before it.

use cudarc::driver::{
    DriverError,
    result::{event, free_host, malloc_host, memcpy_htod_async, stream},
    sys::{self, CUevent, CUevent_flags, CUstream},
};

/// Uploads of more bytes are copied beside what is computed.
const SMALL: usize = 64 << 10;

/// Bytes of a slot of the two rings.
const SMALL_SLOT: usize = 256 << 10;
const LARGE_SLOT: usize = 4 << 20;

/// Slots of a ring: one is being filled while others are read.
const SLOTS: usize = 4;

pub(super) struct Queue {
    compute: CUstream,
    copies: CUstream,
    small: Ring,
    large: Ring,
    /// When the copies that were begun last are done.
    arrived: CUevent,
    /// Whether there are copies that the computing stream does not wait for yet.
    pending: bool,
}

fn new_event() -> Result<CUevent, DriverError> {
    event::create(CUevent_flags::CU_EVENT_DISABLE_TIMING)
}

impl Queue {
    /// Streams of the context that is bound to this thread.
    pub(super) fn new() -> Result<Self, DriverError> {
        // Neither waits for the default stream, which others of this process may use.
        let new_stream = || stream::create(stream::StreamKind::NonBlocking);
        let (compute, copies) = (new_stream()?, new_stream()?);
        Ok(Self {
            compute,
            copies,
            small: Ring::new(compute, SMALL_SLOT)?,
            large: Ring::new(copies, LARGE_SLOT)?,
            arrived: new_event()?,
            pending: false,
        })
    }

    /// The computing stream, for what reads and writes nothing.
    pub(super) fn compute(&self) -> CUstream {
        self.compute
    }

    /// The computing stream, where it waits for all uploads.
    pub(super) fn joined(&mut self) -> Result<CUstream, DriverError> {
        if self.pending {
            // SAFETY: the event and the streams live as long as this.
            unsafe {
                event::record(self.arrived, self.copies)?;
                let flags = sys::CUevent_wait_flags::CU_EVENT_WAIT_DEFAULT;
                stream::wait_event(self.compute, self.arrived, flags)?;
            }
            self.pending = false;
        }
        Ok(self.compute)
    }

    /// The stream that an upload of so many bytes takes, and that its memory is to be allocated in.
    pub(super) fn way(&self, bytes: usize) -> CUstream {
        if bytes > SMALL {
            self.copies
        } else {
            self.compute
        }
    }

    /// Copies to a device; returns when the bytes may change.
    ///
    /// # Safety
    /// The bytes from `address` on were allocated in the stream that is their [`way`](Self::way).
    pub(super) unsafe fn upload(&mut self, address: u64, bytes: &[u8]) -> Result<(), DriverError> {
        let ring = if bytes.len() > SMALL {
            self.pending = true;
            &mut self.large
        } else {
            &mut self.small
        };
        // SAFETY: the caller's promise.
        unsafe { ring.upload(address, bytes) }
    }

    /// Waits for everything and gives all back.
    pub(super) fn close(&mut self) -> Result<(), DriverError> {
        // SAFETY: all were made in `new`, are whole, and are not used after.
        unsafe {
            for stream in [self.compute, self.copies] {
                stream::synchronize(stream)?;
            }
            self.small.close()?;
            self.large.close()?;
            event::destroy(self.arrived)?;
            stream::destroy(self.compute)?;
            stream::destroy(self.copies)
        }
    }
}

/// Memory of the host that a device reads by itself, in slots that are filled in turn.
struct Ring {
    stream: CUstream,
    memory: *mut u8,
    slot_bytes: usize,
    /// When each slot has been read; none where it has never been left.
    read: [Option<CUevent>; SLOTS],
    slot: usize,
    filled: usize,
}

impl Ring {
    fn new(stream: CUstream, slot_bytes: usize) -> Result<Self, DriverError> {
        // SAFETY: freed in `close` only.
        let memory = unsafe { malloc_host(SLOTS * slot_bytes, 0)? };
        Ok(Self {
            stream,
            memory: memory.cast(),
            slot_bytes,
            read: [None; SLOTS],
            slot: 0,
            filled: 0,
        })
    }

    /// # Safety
    /// The bytes from `address` on belong to one allocation, which the stream may write.
    unsafe fn upload(&mut self, address: u64, bytes: &[u8]) -> Result<(), DriverError> {
        let mut to = address;
        for part in bytes.chunks(self.slot_bytes) {
            if self.filled + part.len() > self.slot_bytes {
                self.next_slot()?;
            }
            // SAFETY: within the slot, behind what has been filled since the slot was waited for; the copy is within
            // the allocation, and its source stays as it is until the slot is waited for.
            unsafe {
                let place = self.memory.add(self.slot * self.slot_bytes + self.filled);
                std::ptr::copy_nonoverlapping(part.as_ptr(), place, part.len());
                let staged = std::slice::from_raw_parts(place, part.len());
                memcpy_htod_async(to, staged, self.stream)?;
            }
            self.filled += part.len();
            to += part.len() as u64;
        }
        Ok(())
    }

    /// Leaves a slot, and waits until the next has been read.
    fn next_slot(&mut self) -> Result<(), DriverError> {
        // SAFETY: the events live as long as the ring.
        unsafe {
            let read = match self.read[self.slot] {
                Some(read) => read,
                None => *self.read[self.slot].insert(new_event()?),
            };
            event::record(read, self.stream)?;
            self.slot = (self.slot + 1) % SLOTS;
            self.filled = 0;
            self.read[self.slot].map_or(Ok(()), |read| event::synchronize(read))
        }
    }

    /// # Safety
    /// The stream has been waited for, and the ring is not used after.
    unsafe fn close(&mut self) -> Result<(), DriverError> {
        // SAFETY: from `new` and `next_slot`; the caller's promise.
        unsafe {
            free_host(self.memory.cast())?;
            self.read
                .iter_mut()
                .filter_map(Option::take)
                .try_for_each(|read| event::destroy(read))
        }
    }
}
