//! Running the built command.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;
use tempfile::TempDir;

/// A path inside the repository.
pub(crate) fn repository(path: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace")
        .join(path)
        .display()
        .to_string()
}

/// A temporary folder in which the command runs.
pub(crate) struct Folder(TempDir);

/// What a run printed.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Everything in the folder, below `name`.
    pub(crate) fn entries(&self) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(self.0.path())
            .expect("a readable folder")
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        names.sort();
        names
    }

    pub(crate) fn write(&self, name: &str, content: &[u8]) {
        std::fs::write(self.path(name), content).expect("a writable folder");
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with(&[], arguments)
    }

    /// Runs the command with some variables set.
    pub(crate) fn run_with(&self, environment: &[(&str, &str)], arguments: &[&str]) -> Ran {
        let Output {
            status,
            stdout,
            stderr,
        } = Command::new(env!("CARGO_BIN_EXE_tensorseal"))
            .args(arguments)
            .current_dir(self.0.path())
            .env_remove("TENSORSEAL_PRIVATE_KEY")
            .env_remove("TENSORSEAL_KEYSTORE_PASSWORD")
            .envs(environment.iter().copied())
            .output()
            .expect("the command starts");
        Ran {
            code: status.code().expect("the command was not killed"),
            stdout: String::from_utf8(stdout).expect("text"),
            stderr: String::from_utf8(stderr).expect("text"),
        }
    }

    /// Runs with `--json`; the command must succeed, and stdout must be one JSON value.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        self.json_with(&[], arguments)
    }

    /// The same with some variables set.
    pub(crate) fn json_with(&self, environment: &[(&str, &str)], arguments: &[&str]) -> Value {
        let ran = self.run_with(environment, &[&["--json"], arguments].concat());
        assert_eq!(ran.code, 0, "{arguments:?}: {}{}", ran.stdout, ran.stderr);
        serde_json::from_str(&ran.stdout)
            .unwrap_or_else(|why| panic!("{arguments:?}: {why}: {}", ran.stdout))
    }

    /// The command must fail with this exit code and say one line on stderr; returns the line.
    pub(crate) fn fails(&self, code: u8, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        assert_eq!(
            ran.code,
            i32::from(code),
            "{arguments:?}: {}{}",
            ran.stdout,
            ran.stderr
        );
        // A slow machine has lines of progress before it.
        let progress = |line: &&str| line.ends_with(" s") && !line.starts_with("error");
        let lines: Vec<&str> = ran.stderr.lines().filter(|line| !progress(line)).collect();
        let [line] = lines[..] else {
            panic!("{arguments:?}: {}", ran.stderr);
        };
        assert!(line.starts_with("error: "), "{arguments:?}: {line}");
        assert!(!line.contains("panicked"), "{arguments:?}: {line}");
        line.to_string()
    }

    /// A compiled digits model `digits.seal`.
    pub(crate) fn compile_digits(&self) -> Value {
        self.json(&[
            "compile",
            &repository("fixtures/digits/digits.onnx"),
            "--calibration",
            &repository("fixtures/digits/digits_calibration.npz"),
            "-o",
            "digits.seal",
        ])
    }
}
