//! NVIDIA devices, by the driver's own interface.
//!
//! Driver and compiler (NVRTC) are libraries found at run time. What is compiled is kept on disk, by source and
//! architecture. Operations keep their order: one stream computes, and what another copies beside it is waited for.
//!
//! | module | purpose |
//! |---|---|
//! | `compiler` | machine code for an architecture |
//! | `queue` | streams, and memory that uploads pass through |

mod compiler;
mod queue;

use std::{
    collections::HashMap,
    ffi::{CString, c_void},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use cudarc::driver::{CudaContext, DriverError, result, sys};

#[cfg(test)]
pub(crate) use compiler::compile;
pub(crate) use compiler::{compiler, is_compiled};
use queue::Queue;

use super::{Device, Memory};
use crate::gpu::{error::GpuError, source};

/// Threads of a block, as the kernels' launch bounds have it.
const BLOCK: u64 = 128;

/// Bytes that are not ours to plan with: the driver's stacks for all threads that can run at a time, the kernels, and
/// what is lost between buffers, since pools take memory in pieces of 2 MiB.
const RESERVE: u64 = 512 << 20;

/// A device with the kernels loaded.
pub(crate) struct Cuda {
    name: String,
    context: Arc<CudaContext>,
    pool: sys::CUmemoryPool,
    module: sys::CUmodule,
    queue: Mutex<Queue>,
    functions: HashMap<&'static str, sys::CUfunction>,
}

// SAFETY: the handles are valid in every thread that the context is bound to, which each operation sees to.
unsafe impl Send for Cuda {}
// SAFETY: the driver's functions may be called from several threads at a time.
unsafe impl Sync for Cuda {}

impl std::fmt::Debug for Cuda {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Cuda({})", self.name)
    }
}

/// What is known of a device before anything is loaded on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Properties {
    pub(crate) name: String,
    pub(crate) arch: String,
    pub(crate) memory: Memory,
}

fn failed(device: &str, what: &'static str) -> impl Fn(DriverError) -> GpuError {
    move |why| GpuError::Driver {
        device: device.to_owned(),
        what,
        code: format!("{:?}", why.0),
    }
}

/// How many devices there are.
pub(crate) fn count() -> Result<usize, GpuError> {
    // SAFETY: opens a library of the system, as the driver's users do.
    if !unsafe { sys::is_culib_present() } {
        return Err(GpuError::NoLibrary {
            library: "NVIDIA's driver (libcuda)",
            mend: "it is installed with the graphics driver",
        });
    }
    let count = match CudaContext::device_count() {
        Ok(count) => count,
        Err(DriverError(sys::CUresult::CUDA_ERROR_NO_DEVICE)) => 0,
        Err(why) => return Err(failed("CUDA", "initialization")(why)),
    };
    if count < 1 {
        return Err(GpuError::NoDevice);
    }
    Ok(count as usize)
}

fn context(ordinal: usize) -> Result<(Arc<CudaContext>, Properties), GpuError> {
    if ordinal >= count()? {
        return Err(GpuError::NoDevice);
    }
    let label = format!("CUDA device {ordinal}");
    let context = CudaContext::new(ordinal).map_err(failed(&label, "opening it"))?;
    let name = context.name().map_err(failed(&label, "its name"))?;
    let (major, minor) = context
        .compute_capability()
        .map_err(failed(&name, "its architecture"))?;
    let (free, total) = context
        .mem_get_info()
        .map_err(failed(&name, "its memory"))?;
    let properties = Properties {
        name,
        arch: format!("sm_{major}{minor}"),
        memory: Memory {
            free: free as u64,
            total: total as u64,
        },
    };
    Ok((context, properties))
}

/// A device's properties.
pub(crate) fn properties(ordinal: usize) -> Result<Properties, GpuError> {
    context(ordinal).map(|(_, properties)| properties)
}

impl Cuda {
    /// Opens a device, compiles the kernels for it if they are not in the cache, and loads them.
    pub(crate) fn open(ordinal: usize) -> Result<Arc<Self>, GpuError> {
        let (context, Properties { name, arch, .. }) = context(ordinal)?;
        if !context.has_async_alloc() {
            return Err(GpuError::Unsuitable {
                device: name,
                why: "it has no memory pools".into(),
            });
        }
        let image = compiler::compiled(&arch)?;
        context
            .bind_to_thread()
            .map_err(failed(&name, "binding its context"))?;
        // SAFETY: a device that exists, and a threshold of the type that the attribute has.
        let pool = unsafe {
            let pool = result::device::get_default_mem_pool(context.cu_device());
            let pool = pool.map_err(failed(&name, "its memory pool"))?;
            let mut keep = u64::MAX;
            let threshold = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
            result::mem_pool::set_attribute(pool, threshold, std::ptr::from_mut(&mut keep).cast())
                .map_err(failed(&name, "its memory pool"))?;
            pool
        };
        // SAFETY: an image that NVRTC made for this architecture. It is loaded for as long as the device is open.
        let module = unsafe { result::module::load_data(image.as_ptr().cast()) };
        let module = module.map_err(failed(&name, "loading the kernels"))?;
        let mut functions = HashMap::new();
        for kernel in source::kernels() {
            let symbol = CString::new(kernel).expect("a name in the source");
            // SAFETY: the module is loaded.
            let function = unsafe { result::module::get_function(module, symbol) };
            functions.insert(kernel, function.map_err(failed(&name, "finding a kernel"))?);
        }
        let queue = Queue::new().map_err(failed(&name, "making streams"))?;
        Ok(Arc::new(Self {
            name,
            context,
            pool,
            module,
            queue: queue.into(),
            functions,
        }))
    }

    /// The result of calls of the driver's in this thread. Calls that put something into a stream go one at a time.
    fn call<T>(
        &self,
        what: &'static str,
        call: impl FnOnce(&mut Queue) -> Result<T, DriverError>,
    ) -> Result<T, GpuError> {
        let bound = self.context.bind_to_thread();
        let result = bound.and_then(|()| call(&mut self.lock()));
        result.map_err(failed(&self.name, what))
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // A panic leaves operations in the streams, which are waited for like others.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The result of an allocation.
    fn allocated(
        &self,
        bytes: usize,
        allocate: impl FnOnce(&mut Queue) -> Result<u64, DriverError>,
    ) -> Result<u64, GpuError> {
        let allocated = self.call("allocation", allocate);
        match allocated {
            Err(GpuError::Driver { code, .. }) if code.contains("OUT_OF_MEMORY") => {
                Err(GpuError::OutOfMemory {
                    device: self.name.clone(),
                    bytes: bytes as u64,
                    free: self.memory().map_or(0, |memory| memory.free),
                })
            }
            other => other,
        }
    }
}

impl Drop for Cuda {
    fn drop(&mut self) {
        // Buffers keep their device, so that nothing is in use any more. What fails here has failed before.
        let module = self.module;
        let _ = self.call("closing", |queue| {
            queue.close()?;
            // SAFETY: loaded in `open`; its kernels have ended.
            unsafe { result::module::unload(module) }
        });
    }
}

impl Device for Cuda {
    fn name(&self) -> &str {
        &self.name
    }

    fn memory(&self) -> Result<Memory, GpuError> {
        let (free, total) = self.call("its memory", |_| {
            result::ctx::synchronize()?;
            // SAFETY: the device's own pool; what is not in use goes back.
            unsafe { result::mem_pool::trim_to(self.pool, 0)? };
            result::mem_get_info()
        })?;
        Ok(Memory {
            free: (free as u64).saturating_sub(RESERVE),
            total: total as u64,
        })
    }

    fn allocate(&self, bytes: usize) -> Result<u64, GpuError> {
        // SAFETY: a stream that exists; whoever reads the memory has written it before.
        self.allocated(bytes, |queue| unsafe {
            result::malloc_async(queue.compute(), bytes)
        })
    }

    unsafe fn release(&self, address: u64) {
        // SAFETY: the caller's promise. A failure here is one of an earlier launch, which its download reports.
        let _ = self.call("release", |queue| unsafe {
            result::free_async(address, queue.joined()?)
        });
    }

    fn place(&self, bytes: &[u8]) -> Result<u64, GpuError> {
        let address = self.allocated(bytes.len(), |queue| {
            // SAFETY: a stream that exists; the memory is written in that stream, next.
            unsafe { result::malloc_async(queue.way(bytes.len()), bytes.len()) }
        })?;
        // SAFETY: an allocation of this length, by the stream that this length takes.
        let copied = self.call("upload", |queue| unsafe { queue.upload(address, bytes) });
        copied.map(|()| address).inspect_err(|_| {
            // SAFETY: allocated above, and nobody has it.
            unsafe { self.release(address) }
        })
    }

    unsafe fn download(&self, address: u64, bytes: &mut [u8]) -> Result<(), GpuError> {
        // SAFETY: the caller's promise; the bytes are written when the stream is waited for.
        self.call("download", |queue| unsafe {
            let stream = queue.joined()?;
            result::memcpy_dtoh_async(bytes, address, stream)?;
            result::stream::synchronize(stream)
        })
    }

    unsafe fn clear(&self, address: u64, bytes: usize) -> Result<(), GpuError> {
        // SAFETY: the caller's promise.
        self.call("clearing memory", |queue| unsafe {
            result::memset_d8_async(address, 0, bytes, queue.joined()?)
        })
    }

    unsafe fn copy(&self, from: u64, to: u64, bytes: usize) -> Result<(), GpuError> {
        // SAFETY: the caller's promise.
        self.call("copying", |queue| unsafe {
            result::memcpy_dtod_async(to, from, bytes, queue.joined()?)
        })
    }

    fn wait(&self) -> Result<(), GpuError> {
        // SAFETY: a stream that exists.
        self.call("waiting", |queue| unsafe {
            result::stream::synchronize(queue.joined()?)
        })
    }

    unsafe fn launch(
        &self,
        kernel: &'static str,
        threads: u64,
        arguments: &mut [*mut c_void],
    ) -> Result<(), GpuError> {
        let function = self.functions[kernel];
        let blocks =
            u32::try_from(threads.div_ceil(BLOCK)).expect("launches are bounded by memory");
        // SAFETY: the caller's promise; the arguments are read before the call returns.
        self.call(kernel, |queue| unsafe {
            result::launch_kernel(
                function,
                (blocks, 1, 1),
                (BLOCK as u32, 1, 1),
                0,
                queue.joined()?,
                arguments,
            )
        })
    }
}
