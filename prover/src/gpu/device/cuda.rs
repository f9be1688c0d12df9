//! NVIDIA devices, by the driver's own interface.
//!
//! Driver and compiler (NVRTC) are libraries found at run time. What is compiled is kept on disk, by source and
//! architecture. Everything runs in the device's default stream, so that operations keep their order.

use std::{
    collections::HashMap,
    ffi::{CString, c_char, c_void},
    path::PathBuf,
    sync::Arc,
};

use cudarc::{
    driver::{CudaContext, DriverError, result, sys},
    nvrtc,
};

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
        let image = compiled(&arch)?;
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
        // SAFETY: an image that NVRTC made for this architecture. It is loaded for as long as the process runs.
        let module = unsafe { result::module::load_data(image.as_ptr().cast()) };
        let module = module.map_err(failed(&name, "loading the kernels"))?;
        let mut functions = HashMap::new();
        for kernel in source::kernels() {
            let symbol = CString::new(kernel).expect("a name in the source");
            // SAFETY: the module is loaded.
            let function = unsafe { result::module::get_function(module, symbol) };
            functions.insert(kernel, function.map_err(failed(&name, "finding a kernel"))?);
        }
        Ok(Arc::new(Self {
            name,
            context,
            pool,
            functions,
        }))
    }

    /// The result of a call of the driver's in this thread.
    fn call<T>(
        &self,
        what: &'static str,
        call: impl FnOnce() -> Result<T, DriverError>,
    ) -> Result<T, GpuError> {
        let result = self.context.bind_to_thread().and_then(|()| call());
        result.map_err(failed(&self.name, what))
    }
}

const STREAM: sys::CUstream = std::ptr::null_mut();

impl Device for Cuda {
    fn name(&self) -> &str {
        &self.name
    }

    fn memory(&self) -> Result<Memory, GpuError> {
        let (free, total) = self.call("its memory", || {
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
        // SAFETY: the default stream; whoever reads the memory has written it before.
        let allocated = self.call("allocation", || unsafe {
            result::malloc_async(STREAM, bytes)
        });
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

    unsafe fn release(&self, address: u64) {
        // SAFETY: the caller's promise. A failure here is one of an earlier launch, which its download reports.
        let _ = self.call("release", || unsafe { result::free_async(address, STREAM) });
    }

    unsafe fn upload(&self, address: u64, bytes: &[u8]) -> Result<(), GpuError> {
        // SAFETY: the caller's promise; the bytes are read before the call returns.
        self.call("upload", || unsafe {
            result::memcpy_htod_sync(address, bytes)
        })
    }

    unsafe fn download(&self, address: u64, bytes: &mut [u8]) -> Result<(), GpuError> {
        // SAFETY: the caller's promise; the bytes are written before the call returns.
        self.call("download", || unsafe {
            result::memcpy_dtoh_sync(bytes, address)
        })
    }

    unsafe fn clear(&self, address: u64, bytes: usize) -> Result<(), GpuError> {
        // SAFETY: the caller's promise.
        self.call("clearing memory", || unsafe {
            result::memset_d8_async(address, 0, bytes, STREAM)
        })
    }

    unsafe fn copy(&self, from: u64, to: u64, bytes: usize) -> Result<(), GpuError> {
        // SAFETY: the caller's promise.
        self.call("copying", || unsafe {
            result::memcpy_dtod_async(to, from, bytes, STREAM)
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
        self.call(kernel, || unsafe {
            result::launch_kernel(
                function,
                (blocks, 1, 1),
                (BLOCK as u32, 1, 1),
                0,
                STREAM,
                arguments,
            )
        })
    }
}

/// Where compiled kernels are kept.
fn cache(arch: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
    let name = format!("kernels-{arch}-{}.cubin", source::hash(&[arch]));
    Some(folder.join("tensorseal").join(name))
}

/// The kernels for an architecture, compiled now or before.
fn compiled(arch: &str) -> Result<Vec<u8>, GpuError> {
    let path = cache(arch);
    if let Some(image) = path.as_ref().and_then(|path| std::fs::read(path).ok()) {
        return Ok(image);
    }
    tracing::info!("compiling the kernels for {arch}, once; this takes some seconds");
    let image = compile(arch)?;
    if let Some(path) = path
        && let Err(why) = keep(&path, &image)
    {
        tracing::warn!(
            "{}: {why}; the kernels will be compiled again",
            path.display()
        );
    }
    Ok(image)
}

fn keep(path: &std::path::Path, image: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().expect("a file in a folder");
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    std::io::Write::write_all(&mut file, image)?;
    file.persist(path)?;
    Ok(())
}

/// Whether the kernels have been compiled for an architecture.
pub(crate) fn is_compiled(arch: &str) -> bool {
    cache(arch).is_some_and(|path| path.exists())
}

/// Whether NVIDIA's compiler is there.
pub(crate) fn compiler() -> Result<(), GpuError> {
    // SAFETY: opens a library of the system, as its users do.
    if unsafe { nvrtc::sys::is_culib_present() } {
        return Ok(());
    }
    Err(GpuError::NoLibrary {
        library: "NVIDIA's run-time compiler (libnvrtc)",
        mend: "it is part of the CUDA toolkit and of PyPI's nvidia-cuda-nvrtc; LD_LIBRARY_PATH must name its folder",
    })
}

/// Compiles the kernels; needs no device.
pub(crate) fn compile(arch: &str) -> Result<Vec<u8>, GpuError> {
    compiler()?;
    let refused = |log: String| GpuError::Compile {
        arch: arch.to_owned(),
        log,
    };
    let text = CString::new(source::source()).expect("source text has no zeros");
    let program = nvrtc::result::create_program(&text, Some(c"kernels.cu"))
        .map_err(|why| refused(why.to_string()))?;
    let options = [format!("--gpu-architecture={arch}"), "--std=c++17".into()];
    // SAFETY: the program is created above and destroyed below, and its text outlives it. Sizes are as it says.
    unsafe {
        let built = nvrtc::result::compile_program(program, &options);
        let image = match built {
            Err(why) => {
                let log = nvrtc::result::get_program_log(program).unwrap_or_default();
                let log: Vec<u8> = log
                    .iter()
                    .map(|c| *c as u8)
                    .take_while(|c| *c != 0)
                    .collect();
                Err(refused(format!("{why}: {}", String::from_utf8_lossy(&log))))
            }
            Ok(()) => image(program).map_err(|why| refused(why.to_string())),
        };
        let _ = nvrtc::result::destroy_program(program);
        image
    }
}

/// # Safety
/// The program has been compiled.
unsafe fn image(program: nvrtc::sys::nvrtcProgram) -> Result<Vec<u8>, nvrtc::result::NvrtcError> {
    let mut size = 0;
    // SAFETY: the caller's promise; the image has as many bytes as is said.
    unsafe {
        nvrtc::sys::nvrtcGetCUBINSize(program, &raw mut size).result()?;
        let mut image = vec![0u8; size];
        nvrtc::sys::nvrtcGetCUBIN(program, image.as_mut_ptr().cast::<c_char>()).result()?;
        Ok(image)
    }
}
