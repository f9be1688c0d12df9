//! A device that runs the kernels: memory of its own, copies, launches.
//!
//! All unsafe code of the GPU prover is in this module. Outside of it a [`Buffer`] is as safe as a vector: it belongs to
//! its device, copies are checked against its length, and kernels are launched by the functions of [`launch`], which
//! check what the kernels rely on.
//!
//! | module | purpose |
//! |---|---|
//! | `launch` | one function a kernel |
//! | `cuda` | NVIDIA's driver |
//! | `emulated` | in tests: the same kernels, compiled for this processor |

pub(crate) mod cuda;
#[cfg(test)]
pub(crate) mod emulated;
pub(crate) mod launch;

use std::{ffi::c_void, fmt::Debug, marker::PhantomData, ops::Range, sync::Arc};

use halo2_proofs::halo2curves::bn256::{Fr, G1Affine};

use super::error::GpuError;

/// What a device has free for us, and all it has, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Memory {
    pub(crate) free: u64,
    pub(crate) total: u64,
}

/// A device. Its operations take place in the order of the calls; downloads wait for them.
pub(crate) trait Device: Debug + Send + Sync {
    fn name(&self) -> &str;

    /// Memory that buffers have given back counts as free.
    fn memory(&self) -> Result<Memory, GpuError>;

    /// `bytes > 0` bytes of any content, aligned for every type of the kernels.
    fn allocate(&self, bytes: usize) -> Result<u64, GpuError>;

    /// # Safety
    /// `address` is from [`allocate`](Self::allocate) or [`place`](Self::place) and not yet released.
    unsafe fn release(&self, address: u64);

    /// Memory as from [`allocate`](Self::allocate) that holds these bytes, which may change once the call returns.
    fn place(&self, bytes: &[u8]) -> Result<u64, GpuError>;

    /// # Safety
    /// The bytes from `address` on belong to one allocation.
    unsafe fn download(&self, address: u64, bytes: &mut [u8]) -> Result<(), GpuError>;

    /// Fills with zeros.
    ///
    /// # Safety
    /// The bytes from `address` on belong to one allocation.
    unsafe fn clear(&self, address: u64, bytes: usize) -> Result<(), GpuError>;

    /// # Safety
    /// The bytes from each address on belong to one allocation, and the two ranges are disjoint.
    unsafe fn copy(&self, from: u64, to: u64, bytes: usize) -> Result<(), GpuError>;

    /// Waits for all that has been asked for.
    fn wait(&self) -> Result<(), GpuError>;

    /// Runs a kernel with at least as many threads as its first argument says.
    ///
    /// # Safety
    /// Each argument points to a value of the type that the kernel's parameter has, and the kernel, with these, keeps
    /// within live allocations.
    unsafe fn launch(
        &self,
        kernel: &'static str,
        threads: u64,
        arguments: &mut [*mut c_void],
    ) -> Result<(), GpuError>;
}

/// Types that are the same bytes here and in the kernels.
///
/// # Safety
/// No padding, and every bit pattern is a value.
pub(crate) unsafe trait Plain: Copy + Send + Sync + 'static {}

// SAFETY: integers.
unsafe impl Plain for u8 {}
// SAFETY: integers.
unsafe impl Plain for u32 {}
// SAFETY: four limbs of 64 bits, of which any is a value if not a reduced one. `tests` compares with their encoding.
unsafe impl Plain for Fr {}
// SAFETY: two base field elements of four limbs each.
unsafe impl Plain for G1Affine {}

/// A point as the kernels sum them: `x`, `y`, `zz`, `zzz` of four limbs each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct WidePoint(pub(crate) [[u64; 4]; 4]);
// SAFETY: sixteen integers.
unsafe impl Plain for WidePoint {}

/// The values' bytes.
pub(crate) fn bytes_of<T: Plain>(values: &[T]) -> &[u8] {
    // SAFETY: without padding all bytes are initialized, and bytes have no alignment.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
}

/// The values' bytes, to be written.
pub(crate) fn bytes_of_mut<T: Plain>(values: &mut [T]) -> &mut [u8] {
    // SAFETY: as in `bytes_of`, and whatever is written is a value of the type.
    unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), size_of_val(values)) }
}

/// Values in a device's memory, freed with the buffer.
pub(crate) struct Buffer<T> {
    device: Arc<dyn Device>,
    /// 0 for no values.
    address: u64,
    len: usize,
    values: PhantomData<T>,
}

impl<T> Debug for Buffer<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Buffer({} on {})", self.len, self.device.name())
    }
}

impl<T> Drop for Buffer<T> {
    fn drop(&mut self) {
        if self.address != 0 {
            // SAFETY: nobody else has it, and it is released only here.
            unsafe { self.device.release(self.address) }
        }
    }
}

impl<T: Plain> Buffer<T> {
    /// Of any content: only for what is written whole before it is read.
    pub(crate) fn unset(device: &Arc<dyn Device>, len: usize) -> Result<Self, GpuError> {
        let bytes = len * size_of::<T>();
        let address = if bytes == 0 {
            0
        } else {
            device.allocate(bytes)?
        };
        Ok(Self::at(device, len, address))
    }

    fn at(device: &Arc<dyn Device>, len: usize, address: u64) -> Self {
        Self {
            device: device.clone(),
            address,
            len,
            values: PhantomData,
        }
    }

    pub(crate) fn zeros(device: &Arc<dyn Device>, len: usize) -> Result<Self, GpuError> {
        let buffer = Self::unset(device, len)?;
        if len > 0 {
            // SAFETY: the whole allocation.
            unsafe { device.clear(buffer.address, len * size_of::<T>())? };
        }
        Ok(buffer)
    }

    pub(crate) fn from_slice(device: &Arc<dyn Device>, values: &[T]) -> Result<Self, GpuError> {
        let bytes = bytes_of(values);
        let address = if bytes.is_empty() {
            0
        } else {
            device.place(bytes)?
        };
        Ok(Self::at(device, values.len(), address))
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// All values.
    pub(crate) fn all(&self) -> Slice<'_, T> {
        Slice {
            device: &self.device,
            address: self.address,
            len: self.len,
            values: PhantomData,
        }
    }

    pub(crate) fn slice(&self, range: Range<usize>) -> Slice<'_, T> {
        self.all().slice(range)
    }

    /// All values, to be written.
    pub(crate) fn all_mut(&mut self) -> SliceMut<'_, T> {
        SliceMut {
            device: &self.device,
            address: self.address,
            len: self.len,
            values: PhantomData,
        }
    }
}

/// Some values of a buffer.
#[derive(Clone, Copy)]
pub(crate) struct Slice<'a, T> {
    device: &'a Arc<dyn Device>,
    address: u64,
    len: usize,
    values: PhantomData<T>,
}

/// Some values of a buffer, to be written.
pub(crate) struct SliceMut<'a, T> {
    device: &'a Arc<dyn Device>,
    address: u64,
    len: usize,
    values: PhantomData<&'a mut T>,
}

impl<'a, T: Plain> Slice<'a, T> {
    pub(crate) fn device(&self) -> &'a Arc<dyn Device> {
        self.device
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn slice(self, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.len);
        Self {
            address: self.address + (range.start * size_of::<T>()) as u64,
            len: range.len(),
            ..self
        }
    }

    pub(crate) fn to_vec(self) -> Result<Vec<T>, GpuError>
    where
        T: Default,
    {
        let mut values = vec![T::default(); self.len];
        if self.len > 0 {
            // SAFETY: a slice lies within its buffer.
            unsafe {
                self.device
                    .download(self.address, bytes_of_mut(&mut values))?;
            }
        }
        Ok(values)
    }
}

impl<'a, T: Plain> SliceMut<'a, T> {
    pub(crate) fn device(&self) -> &'a Arc<dyn Device> {
        self.device
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The same values for a shorter time.
    pub(crate) fn again(&mut self) -> SliceMut<'_, T> {
        SliceMut {
            device: self.device,
            address: self.address,
            len: self.len,
            values: PhantomData,
        }
    }

    /// The same values, to be read.
    pub(crate) fn read(&self) -> Slice<'_, T> {
        Slice {
            device: self.device,
            address: self.address,
            len: self.len,
            values: PhantomData,
        }
    }

    pub(crate) fn slice_mut(self, range: Range<usize>) -> SliceMut<'a, T> {
        assert!(range.start <= range.end && range.end <= self.len);
        SliceMut {
            device: self.device,
            address: self.address + (range.start * size_of::<T>()) as u64,
            len: range.len(),
            values: PhantomData,
        }
    }

    pub(crate) fn copy_from(self, from: Slice<'_, T>) -> Result<(), GpuError> {
        assert_eq!(self.len, from.len);
        if self.len > 0 {
            // SAFETY: both lie within their buffers, and nothing that is borrowed to be read is borrowed to be written.
            unsafe {
                self.device
                    .copy(from.address, self.address, self.len * size_of::<T>())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use halo2_proofs::halo2curves::{bn256::Fq, serde::SerdeObject};

    use super::*;

    #[test]
    fn elements_and_points_are_their_limbs() {
        let element = Fr::from(77).invert().unwrap();
        assert_eq!(bytes_of(&[element]), element.to_raw_bytes());
        let point = G1Affine::generator();
        let mut expected = point.x.to_raw_bytes();
        expected.extend(Fq::to_raw_bytes(&point.y));
        assert_eq!(bytes_of(&[point]), expected);
        assert_eq!(bytes_of(&[G1Affine::default()]), [0; 64]);
    }
}
