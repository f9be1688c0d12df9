//! The kernels compiled for this processor, which runs their threads one after another, in changing orders.

use std::{
    collections::HashMap,
    ffi::c_void,
    process::Command,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{Device, Memory};
use crate::gpu::{error::GpuError, source};

/// Guards on either side of an allocation, in blocks of 16 bytes.
const GUARD: usize = 4;
const PATTERN: u128 = 0xa5a5_5a5a_dead_beef_0123_4567_89ab_cdef;

/// A device whose memory is this process's.
pub(crate) struct Emulated {
    total: AtomicU64,
    peak: AtomicU64,
    /// Downloads until one is damaged.
    damage: AtomicU64,
    /// Launches so far: each runs its threads in another order.
    launches: AtomicU64,
    allocations: Mutex<HashMap<u64, Vec<u128>>>,
}

impl std::fmt::Debug for Emulated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Emulated")
    }
}

/// The library, built once for all tests of this run.
fn library() -> &'static libloading::Library {
    static LIBRARY: OnceLock<(libloading::Library, tempfile::TempDir)> = OnceLock::new();
    let (library, _) = LIBRARY.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder for temporary files");
        let (text, built) = (
            folder.path().join("kernels.cpp"),
            folder.path().join("kernels.so"),
        );
        std::fs::write(&text, source::source()).expect("a file in it");
        let compiler = std::env::var_os("CXX").unwrap_or("c++".into());
        let output = Command::new(&compiler)
            .args(["-std=c++17", "-O2", "-shared", "-fPIC", "-o"])
            .args([&built, &text])
            .output()
            .unwrap_or_else(|why| {
                panic!("{compiler:?}, which these tests compile the kernels with: {why}")
            });
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        // SAFETY: our own library, which runs nothing when loaded.
        let library = unsafe { libloading::Library::new(&built) }.expect("what was just built");
        (library, folder)
    });
    library
}

impl Emulated {
    pub(crate) fn new(total: u64) -> Arc<Self> {
        Arc::new(Self {
            total: total.into(),
            peak: 0.into(),
            damage: u64::MAX.into(),
            launches: 0.into(),
            allocations: Mutex::default(),
        })
    }

    fn used(&self) -> u64 {
        let allocations = self.allocations.lock().unwrap();
        let bytes = |blocks: &Vec<u128>| (blocks.len() - 2 * GUARD) as u64 * 16;
        allocations.values().map(bytes).sum()
    }

    /// The most bytes that were in use.
    pub(crate) fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }

    /// Takes memory away, as another process may.
    pub(crate) fn take_away(&self, bytes: u64) {
        self.total.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Flips a bit of what is downloaded after so many other downloads, once; how many were still to come.
    pub(crate) fn damage(&self, after: u64) -> u64 {
        self.damage.swap(after, Ordering::Relaxed)
    }

    /// How many allocations there are.
    pub(crate) fn allocated(&self) -> usize {
        self.allocations.lock().unwrap().len()
    }
}

impl Device for Emulated {
    fn name(&self) -> &str {
        "emulated device"
    }

    fn memory(&self) -> Result<Memory, GpuError> {
        let total = self.total.load(Ordering::Relaxed);
        Ok(Memory {
            free: total.saturating_sub(self.used()),
            total,
        })
    }

    fn allocate(&self, bytes: usize) -> Result<u64, GpuError> {
        let free = self.memory()?.free;
        if bytes.next_multiple_of(16) as u64 > free {
            return Err(GpuError::OutOfMemory {
                device: self.name().into(),
                bytes: bytes as u64,
                free,
            });
        }
        // Not zeros: nothing may rely on them.
        let blocks = vec![PATTERN; bytes.div_ceil(16) + 2 * GUARD];
        let address = blocks[GUARD..].as_ptr().expose_provenance() as u64;
        self.allocations.lock().unwrap().insert(address, blocks);
        self.peak.fetch_max(self.used(), Ordering::Relaxed);
        Ok(address)
    }

    unsafe fn release(&self, address: u64) {
        let mut allocations = self.allocations.lock().unwrap();
        let blocks = allocations.remove(&address).expect("an allocation");
        let (first, last) = (&blocks[..GUARD], &blocks[blocks.len() - GUARD..]);
        let intact = first.iter().chain(last).all(|block| *block == PATTERN);
        assert!(
            intact || std::thread::panicking(),
            "a kernel wrote outside an allocation"
        );
    }

    fn place(&self, bytes: &[u8]) -> Result<u64, GpuError> {
        let address = self.allocate(bytes.len())?;
        // SAFETY: what has just been allocated.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), address as *mut u8, bytes.len()) };
        Ok(address)
    }

    unsafe fn download(&self, address: u64, bytes: &mut [u8]) -> Result<(), GpuError> {
        // SAFETY: an allocation holds the bytes.
        unsafe {
            std::ptr::copy_nonoverlapping(address as *const u8, bytes.as_mut_ptr(), bytes.len())
        };
        if self.damage.fetch_sub(1, Ordering::Relaxed) == 0 {
            bytes[0] ^= 1;
        }
        Ok(())
    }

    unsafe fn clear(&self, address: u64, bytes: usize) -> Result<(), GpuError> {
        // SAFETY: an allocation holds the bytes.
        unsafe { std::ptr::write_bytes(address as *mut u8, 0, bytes) };
        Ok(())
    }

    unsafe fn copy(&self, from: u64, to: u64, bytes: usize) -> Result<(), GpuError> {
        // SAFETY: allocations hold both, and they are disjoint.
        unsafe { std::ptr::copy_nonoverlapping(from as *const u8, to as *mut u8, bytes) };
        Ok(())
    }

    fn wait(&self) -> Result<(), GpuError> {
        Ok(())
    }

    unsafe fn launch(
        &self,
        kernel: &'static str,
        _: u64,
        arguments: &mut [*mut c_void],
    ) -> Result<(), GpuError> {
        type Kernel = unsafe extern "C" fn(*mut *mut c_void);
        // SAFETY: `KERNEL` declares all of them so.
        let function = unsafe { library().get::<Kernel>(kernel.as_bytes()) };
        let function = function.unwrap_or_else(|why| panic!("kernel {kernel}: {why}"));
        let order = self.launches.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the kernels' own function, of this type.
        let set = unsafe { library().get::<unsafe extern "C" fn(u64)>(b"set_thread_order") };
        let set = set.expect("it is in the source");
        // SAFETY: sets a variable of this thread; then the caller's promise.
        unsafe {
            set(order);
            function(arguments.as_mut_ptr());
        }
        Ok(())
    }
}
