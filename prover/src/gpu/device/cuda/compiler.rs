//! The kernels' machine code: compiled by NVRTC where they are not in the cache.

use std::{
    ffi::{CString, c_char},
    path::PathBuf,
};

use cudarc::nvrtc;

use crate::gpu::{error::GpuError, source};

/// Where compiled kernels are kept.
fn cache(arch: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
    let name = format!("kernels-{arch}-{}.cubin", source::hash(&[arch]));
    Some(folder.join("tensorseal").join(name))
}

/// The kernels for an architecture, compiled now or before.
pub(super) fn compiled(arch: &str) -> Result<Vec<u8>, GpuError> {
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
