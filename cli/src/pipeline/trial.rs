//! A trial of an import in a process of its own, before this one imports the same bytes.
//!
//! The checks of the importer bound what its library computes with, but not its every loop. A process that runs out of stack
//! ends, and one that asks for all memory takes others down. So a process is started that does nothing but the import and
//! watches its own memory and time; only a model that it comes to the end of is imported here.

use std::{
    fs,
    io::{Read, Write, stdin},
    process::{Command, ExitStatus, Stdio, exit},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use tensorseal_circuits::onnx::{self, ImportOptions, Reference};

use super::files::memory_mib;
use crate::{CliError, Result};

/// The hidden command that runs the trial.
pub const COMMAND: &str = "trial-import";

/// Memory of a trial, and how much more for each byte of the model.
const MEMORY_MIB: f64 = 1000.0;
const MEMORY_PER_BYTE: f64 = 40.0;
/// Processor time of a trial, and how much more for each MiB of the model.
const SECONDS: f64 = 10.0;
const SECONDS_PER_MIB: f64 = 2.0;
/// A processor shared with many others takes longer by the clock.
const WALL_FACTOR: f64 = 6.0;
/// Exit codes of a trial that ended itself.
const OUT_OF_MEMORY: i32 = 70;
const OUT_OF_TIME: i32 = 71;

/// Whether imports are tried first: in the program, where [`COMMAND`] can be started, not in other users of the library.
static ARMED: AtomicBool = AtomicBool::new(false);

/// Has all imports of this process tried first.
pub fn arm() {
    ARMED.store(true, Ordering::Relaxed);
}

/// What an import may take.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Limits {
    mib: f64,
    seconds: f64,
}

impl Limits {
    fn of(bytes: usize) -> Self {
        let mib = bytes as f64 / f64::from(1 << 20);
        Limits {
            mib: MEMORY_MIB + MEMORY_PER_BYTE * mib,
            seconds: SECONDS + SECONDS_PER_MIB * mib,
        }
    }
}

/// Has a process import a model; its refusal is left to the import here. `name` is for messages.
pub(super) fn check(name: &str, model: &[u8], batch: usize) -> Result<()> {
    if !ARMED.load(Ordering::Relaxed) {
        return Ok(());
    }
    let failed = |why| CliError::system("starting a process for the import", why);
    let program = std::env::current_exe().map_err(failed)?;
    let mut child = Command::new(program)
        .args([COMMAND, "--batch", &batch.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed)?;
    let mut pipe = child.stdin.take().expect("it is piped");
    // A process that has ended does not read; its status tells why.
    let _ = pipe.write_all(model);
    drop(pipe);
    let status = child.wait().map_err(failed)?;
    ended_early(status, Limits::of(model.len())).map_or(Ok(()), |how| {
        Err(CliError::Input(format!(
            "{name}: {how}; simplify the model, or, if you trust its origin, pass --no-import-limits"
        )))
    })
}

/// How a trial ended that did not come to the end of the import.
fn ended_early(status: ExitStatus, limits: Limits) -> Option<String> {
    match status.code() {
        Some(OUT_OF_MEMORY) => Some(format!(
            "its import takes more than {:.0} MiB of memory",
            limits.mib
        )),
        Some(OUT_OF_TIME) => Some(format!(
            "its import takes more than {:.0} s",
            limits.seconds
        )),
        Some(_) => None,
        None => Some(format!("its import breaks down ({status})")),
    }
}

/// The trial itself: imports a model from stdin, within the limits for its size.
pub fn run(batch: usize) -> Result<()> {
    let mut model = Vec::new();
    stdin()
        .read_to_end(&mut model)
        .map_err(|why| CliError::system("reading a model", why))?;
    let limits = Limits::of(model.len());
    thread::spawn(move || watch(limits));
    let options = ImportOptions { batch, name: None };
    let graph = onnx::import(&model, &options).map_err(|why| CliError::input("import", why))?;
    let reference =
        Reference::new(&model, &options).map_err(|why| CliError::input("import", why))?;
    // Taking down what was built must not break either.
    drop((graph, reference));
    Ok(())
}

/// Ends the process where it takes too much.
fn watch(limits: Limits) {
    let start = Instant::now();
    loop {
        if memory_mib().is_some_and(|mib| mib > limits.mib) {
            exit(OUT_OF_MEMORY);
        }
        let wall = start.elapsed().as_secs_f64() / WALL_FACTOR;
        if wall.max(processor_seconds().unwrap_or(0.0)) > limits.seconds {
            exit(OUT_OF_TIME);
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Processor time of this process, where the system tells (Linux).
fn processor_seconds() -> Option<f64> {
    // Ticks of user and system time, hundredths of a second, are the 14th and 15th field; the second one, a name in
    // parentheses, may hold spaces (proc_pid_stat(5)).
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_grow_with_the_model() {
        let (small, large) = (Limits::of(0), Limits::of(10 << 20));
        assert_eq!(small.mib, MEMORY_MIB);
        assert_eq!(large.seconds, SECONDS + 10.0 * SECONDS_PER_MIB);
        assert!(large.mib > small.mib);
    }

    #[test]
    fn linux_tells_the_processor_time() {
        assert!(!cfg!(target_os = "linux") || processor_seconds().is_some());
    }
}
