//! The kernels' machine code: compiled by NVRTC where they are not in the cache.

use std::{
    ffi::{CString, OsString, c_char},
    path::{Path, PathBuf},
};

use cudarc::nvrtc;
use sha3::{Digest, Keccak256};

use crate::{
    gpu::{error::GpuError, source},
    output::{self, OutputError},
};

/// What machine code for a device begins with.
const ELF: &[u8] = b"\x7fELF";

/// Where compiled kernels are kept.
fn cache(arch: &str) -> Option<PathBuf> {
    let [xdg, home] = ["XDG_CACHE_HOME", "HOME"].map(std::env::var_os);
    let name = format!("kernels-{arch}-{}.image", source::hash(&[arch]));
    Some(cache_folder(xdg, home)?.join("tensorseal").join(name))
}

/// The user's folder for caches. A relative path counts for nothing, as the XDG specification has it: it would mean a
/// file of whatever folder the program is started in.
fn cache_folder(xdg: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    let absolute = |path: Option<OsString>| path.map(PathBuf::from).filter(|p| p.is_absolute());
    absolute(xdg).or_else(|| Some(absolute(home)?.join(".cache")))
}

/// The kernels for an architecture, compiled now or before.
pub(super) fn compiled(arch: &str) -> Result<Vec<u8>, GpuError> {
    let path = cache(arch);
    if let Some(image) = path.as_deref().and_then(kept) {
        return Ok(image);
    }
    tracing::info!("compiling the kernels for {arch}, once; this takes some seconds");
    let image = compile(arch)?;
    if let Some(path) = path
        && let Err(why) = keep(&path, &image)
    {
        tracing::warn!("{why}; the kernels will be compiled again");
    }
    Ok(image)
}

/// Writes an image behind its length (8 bytes, little-endian) and its Keccak-256.
fn keep(path: &Path, image: &[u8]) -> Result<(), OutputError> {
    let folder = path.parent().expect("a file in a folder");
    std::fs::create_dir_all(folder).map_err(|source| OutputError::Io {
        path: folder.to_owned(),
        source,
    })?;
    let length = (image.len() as u64).to_le_bytes();
    output::write(path, &[&length, &Keccak256::digest(image), image]).map(drop)
}

/// The image that [`keep`] wrote, if it is whole: the driver takes it by its address alone, and believes its contents.
fn kept(path: &Path) -> Option<Vec<u8>> {
    let mut file = std::fs::read(path).ok()?;
    let (length, rest) = file.split_first_chunk::<8>()?;
    let (hash, image) = rest.split_first_chunk::<32>()?;
    let whole = u64::from_le_bytes(*length) == image.len() as u64
        && Keccak256::digest(image)[..] == *hash
        && image.starts_with(ELF);
    whole.then(|| file.split_off(8 + 32))
}

/// Whether the kernels have been compiled for an architecture.
pub(crate) fn is_compiled(arch: &str) -> bool {
    cache(arch).is_some_and(|path| kept(&path).is_some())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_absolute_folders_hold_the_cache() {
        let folder = |xdg: Option<&str>, home: Option<&str>| {
            cache_folder(xdg.map(OsString::from), home.map(OsString::from))
        };
        assert_eq!(folder(Some("/x"), Some("/h")), Some("/x".into()));
        for xdg in [None, Some(""), Some("."), Some("x/y")] {
            assert_eq!(folder(xdg, Some("/h")), Some("/h/.cache".into()));
            for home in [None, Some(""), Some("h")] {
                assert_eq!(folder(xdg, home), None);
            }
        }
    }

    #[test]
    fn a_damaged_image_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/kernels.image");
        assert_eq!(kept(&path), None);
        let image = b"\x7fELF and so on";
        keep(&path, image).unwrap();
        assert_eq!(kept(&path).unwrap(), image);
        let honest = std::fs::read(&path).unwrap();
        for at in 0..honest.len() {
            let mut bad = honest.clone();
            bad[at] ^= 1;
            std::fs::write(&path, &bad).unwrap();
            assert_eq!(kept(&path), None, "byte {at}");
            std::fs::write(&path, &honest[..at]).unwrap();
            assert_eq!(kept(&path), None, "{at} bytes");
        }
        keep(&path, b"no machine code").unwrap();
        assert_eq!(kept(&path), None);
        keep(&path, image).unwrap();
        assert_eq!(kept(&path).unwrap(), image);
    }
}
