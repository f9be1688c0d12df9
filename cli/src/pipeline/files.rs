//! Reading and writing files: errors that name the file, and no half-written output.

use std::{
    fs, io,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use tensorseal_circuits::quantize::inputs::{self, InputError};
use tensorseal_prover::{
    artifact::{self, Artifact, ArtifactError, Flags, Kind},
    mapped::Mapped,
    output::{self, OutputError},
};
use tracing::info;

use super::kinds;
use crate::{CliError, Result, ui};

/// What an artifact's header says.
#[derive(Clone, Debug)]
pub struct Header {
    /// What the file holds.
    pub kind: Kind,
    /// Format version.
    pub version: u8,
    /// Its size.
    pub file_bytes: u64,
    /// Keccak-256 of its content, in hex.
    pub hash: String,
    /// Made with a development reference string.
    pub insecure: bool,
}

/// The whole file.
pub fn read_file(path: &Path) -> Result<Vec<u8>> {
    let content = fs::read(path).map_err(|why| match why.kind() {
        io::ErrorKind::NotFound => {
            CliError::System(format!("{}: no such file; check the path", path.display()))
        }
        io::ErrorKind::IsADirectory => folder(path),
        _ => CliError::system(path.display(), why),
    })?;
    told("read", path, content.len() as u64);
    Ok(content)
}

/// Writes a file, as [`output`] says; its length.
pub fn write_file(path: &Path, content: &[u8]) -> Result<u64> {
    let bytes = output::write(path, &[content]).map_err(output_error)?;
    told("wrote", path, bytes);
    Ok(bytes)
}

fn folder(path: &Path) -> CliError {
    CliError::System(format!(
        "{}: this is a folder; name a file in it",
        path.display()
    ))
}

/// For `-v`.
fn told(what: &str, path: &Path, bytes: u64) {
    info!("{what} {}, {}", path.display(), ui::bytes(bytes));
}

/// Makes a folder, and those above it.
pub fn create_folder(path: &Path) -> Result<()> {
    if path.is_file() {
        return Err(CliError::System(format!(
            "{}: this is a file, where a folder would be written; name another",
            path.display()
        )));
    }
    fs::create_dir_all(path)
        .map_err(|why| CliError::system(format!("making the folder {}", path.display()), why))
}

/// Reads an artifact of one kind.
pub fn read_artifact(path: &Path, kind: Kind) -> Result<Artifact> {
    let artifact = artifact::read(path, kind).map_err(artifact_error)?;
    told("read", path, artifact.payload.len() as u64);
    Ok(artifact)
}

/// As [`read_artifact`], of a file that stays mapped.
pub fn map_artifact(path: &Path, kind: Kind) -> Result<Artifact> {
    let artifact = artifact::map(path, kind).map_err(artifact_error)?;
    told("mapped", path, artifact.payload.len() as u64);
    Ok(artifact)
}

/// Writes an artifact; its size.
pub fn write_artifact(path: &Path, kind: Kind, insecure: bool, payload: &[u8]) -> Result<u64> {
    let bytes = artifact::write(path, kind, Flags { insecure }, payload).map_err(output_error)?;
    told("wrote", path, bytes);
    Ok(bytes)
}

fn output_error(why: OutputError) -> CliError {
    CliError::System(why.to_string())
}

/// Files that are missing or unreadable are the surroundings' fault, others the input's.
pub(super) fn artifact_error(why: ArtifactError) -> CliError {
    match why {
        ArtifactError::Io {
            ref path,
            ref source,
        } if source.kind() == io::ErrorKind::IsADirectory => folder(path),
        ArtifactError::NotFound { .. } | ArtifactError::Io { .. } => {
            CliError::System(why.to_string())
        }
        ArtifactError::NotTensorseal { ref path, .. } => {
            CliError::Input(match kinds::advice(path) {
                Some(advice) => format!(
                    "{}: not a file that tensorseal wrote, but {advice}",
                    path.display()
                ),
                None => why.to_string(),
            })
        }
        _ => CliError::Input(why.to_string()),
    }
}

/// The header of an artifact of any kind; the content is checked against its hash.
pub fn read_header(path: &Path) -> Result<Header> {
    let bytes =
        Mapped::open(path).map_err(|why| artifact_error(ArtifactError::unreadable(path, why)))?;
    let (kind, flags) = artifact::check(&bytes, Kind::Model, path).map_err(|why| {
        match (&why, kinds::advice(path)) {
            // No kind was asked for.
            (ArtifactError::NotTensorseal { .. }, None) => CliError::Input(format!(
                "{}: not a file that tensorseal wrote",
                path.display()
            )),
            _ => artifact_error(why),
        }
    })?;
    let hash = &bytes[bytes.len() - 32..];
    Ok(Header {
        kind,
        version: artifact::FORMAT_VERSION,
        file_bytes: bytes.len() as u64,
        hash: hex::encode(hash),
        insecure: flags.insecure,
    })
}

/// The array `label` of an `.npz` file.
pub fn read_labels(path: &Path) -> Result<Vec<i64>> {
    inputs::labels(path).map_err(input_error)
}

/// A missing file is told apart from an unusable one.
pub(super) fn input_error(why: InputError) -> CliError {
    match why {
        InputError::Io { .. } => CliError::System(why.to_string()),
        _ => CliError::Input(why.to_string()),
    }
}

/// The highest peak that [`reset_peak_memory`] has wiped out, in kB.
static EARLIER_PEAK: AtomicU64 = AtomicU64::new(0);

/// The largest amount of memory this process has held, where the system tells (Linux).
pub fn peak_memory_mib() -> Option<f64> {
    let peak = memory_kb("VmHWM:")?.max(EARLIER_PEAK.load(Ordering::Relaxed));
    Some(mib(peak))
}

/// The largest amount of memory since the last [`reset_peak_memory`] that worked.
pub fn recent_peak_memory_mib() -> Option<f64> {
    memory_kb("VmHWM:").map(mib)
}

/// The memory held now.
pub fn memory_mib() -> Option<f64> {
    memory_kb("VmRSS:").map(mib)
}

/// Starts a new count of the peak; false where the system does not allow it.
/// [`peak_memory_mib`] remembers what was before.
pub fn reset_peak_memory() -> bool {
    let Some(peak) = memory_kb("VmHWM:") else {
        return false;
    };
    EARLIER_PEAK.fetch_max(peak, Ordering::Relaxed);
    // 5: the peak becomes what is held now (proc_pid_clear_refs(5)).
    fs::write("/proc/self/clear_refs", "5").is_ok()
}

fn memory_kb(field: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

fn mib(kb: u64) -> f64 {
    (kb as f64 / 1024.0 * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_written_is_the_systems_fault() {
        let folder = tempfile::tempdir().unwrap();
        for path in [folder.path().join("no/b"), folder.path().to_owned()] {
            let failure = write_file(&path, b"").unwrap_err();
            assert_eq!(failure.exit_code(), crate::error::EXIT_SYSTEM);
            assert!(
                failure.to_string().contains("cannot be written"),
                "{failure}"
            );
        }
    }

    #[test]
    fn linux_tells_the_peak_memory() {
        assert!(!cfg!(target_os = "linux") || peak_memory_mib().unwrap() > 0.5);
    }

    #[test]
    fn a_reset_forgets_no_peak() {
        let before = peak_memory_mib();
        reset_peak_memory();
        assert!(peak_memory_mib() >= before);
    }
}
