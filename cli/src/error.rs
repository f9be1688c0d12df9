//! Failures, and the exit code of each.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done, or the proof was accepted |
//! | 1 | the proof was rejected, natively or by the contract, whatever is wrong with it; or outputs differ (`compare --reference`) |
//! | 2 | usage, or an input that cannot be used: a file that cannot be read as the model, tensor, key or proof that it should be |
//! | 3 | the surroundings: a file that cannot be read or written, an RPC that does not answer |

use std::{error::Error, fmt};

/// Exit code of a rejected proof.
pub const EXIT_REJECTED: u8 = 1;
/// Exit code of wrong usage or an unusable input; clap uses the same.
pub const EXIT_INPUT: u8 = 2;
/// Exit code of a failing file system or network.
pub const EXIT_SYSTEM: u8 = 3;

/// Result of a command.
pub type Result<T, E = CliError> = std::result::Result<T, E>;

/// Why a command did not do its work; displays as one line.
#[derive(Debug)]
pub enum CliError {
    /// A proof does not hold, and the command has nothing else to say.
    Rejected(String),
    /// Something the user gave cannot be used.
    Input(String),
    /// The file system or the network failed.
    System(String),
}

impl CliError {
    /// An unusable input: what was attempted, and why it failed.
    pub fn input(what: impl fmt::Display, why: impl Error) -> Self {
        Self::Input(format!("{what}: {}", one_line(&why)))
    }

    /// A failing file or connection: what was attempted, and why it failed.
    pub fn system(what: impl fmt::Display, why: impl Error) -> Self {
        Self::System(format!("{what}: {}", one_line(&why)))
    }

    /// The process's exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Rejected(_) => EXIT_REJECTED,
            Self::Input(_) => EXIT_INPUT,
            Self::System(_) => EXIT_SYSTEM,
        }
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected(message) | Self::Input(message) | Self::System(message) => {
                f.write_str(message)
            }
        }
    }
}

impl Error for CliError {}

/// The error and its sources, joined by colons; a source whose text the message already holds is left out.
fn one_line(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !line.contains(&text) {
            line = format!("{line}: {text}");
        }
        source = cause.source();
    }
    line.split('\n')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Outer(std::io::Error);

    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("first line\n  second line")
        }
    }

    impl Error for Outer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn an_error_is_one_line_with_its_causes() {
        let failure = CliError::input("reading x", Outer(std::io::Error::other("the cause")));
        assert_eq!(
            failure.to_string(),
            "reading x: first line; second line: the cause"
        );
        assert_eq!(failure.exit_code(), EXIT_INPUT);
    }
}
