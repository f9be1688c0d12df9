//! The `tensorseal` command line: argument parsing and printing around the library crates.
//!
//! | module | purpose |
//! |---|---|
//! | [`args`] | every command and flag |
//! | [`commands`] | one file per command: library calls, then an [`Outcome`] |
//! | [`pipeline`] | the steps that commands share, from ONNX to proof; all calls into the prover stand here |
//! | [`chain`] | deploying and verifying, embedded EVM or RPC; all calls into the contract crate stand here |
//! | [`profile`] | time and memory by stage, from the prover's spans |
//! | [`fit`] | least squares, for the cost model of `bench --scaling` |
//! | [`svg`] | what pictures are drawn with |
//! | [`tensors`] | reading and writing tensors of numbers |
//! | [`ui`] | progress on stderr, tables on stdout |
//! | [`error`] | failures and exit codes |
//!
//! A command returns what it found; only [`main`] prints, either the text or, with `--json`, one JSON object.
#![forbid(unsafe_code)]

use std::{
    io::{IsTerminal, Write},
    process::ExitCode,
};

use clap::Parser;
use tracing::level_filters::LevelFilter;

pub mod args;
pub mod chain;
pub mod commands;
pub mod error;
pub mod fit;
pub mod pipeline;
pub mod profile;
pub mod svg;
pub mod tensors;
pub mod ui;

pub use error::{CliError, Result};

/// What a command found.
#[derive(Debug)]
pub struct Outcome {
    /// For people; ends without a line break.
    pub text: String,
    /// For programs, with `--json`.
    pub json: serde_json::Value,
    /// False where the command did its work and the answer is no: a proof was rejected.
    pub accepted: bool,
}

impl Outcome {
    /// A command that succeeded.
    pub fn new(text: impl Into<String>, json: impl serde::Serialize) -> Self {
        let json = serde_json::to_value(json).expect("reports have string keys");
        Self {
            text: text.into(),
            json,
            accepted: true,
        }
    }
}

/// Parses the process's arguments, runs the command, prints its outcome.
pub fn main() -> ExitCode {
    let cli = args::Cli::parse();
    start_log(cli.verbose);
    if !cli.no_import_limits {
        pipeline::trial::arm();
    }
    let ui = ui::Ui::new();
    match commands::run(&cli.command, &ui) {
        Ok(outcome) => {
            print(&if cli.json {
                outcome.json.to_string()
            } else {
                outcome.text
            });
            ExitCode::from(if outcome.accepted {
                0
            } else {
                error::EXIT_REJECTED
            })
        }
        Err(failure) => {
            if cli.json {
                let body = serde_json::json!({ "error": failure.to_string(), "exit_code": failure.exit_code() });
                print(&body.to_string());
            }
            eprintln!("error: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

/// A closed pipe (`tensorseal inspect ... | head`) is the reader's choice, not an error.
fn print(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

fn start_log(verbose: u8) {
    let level = match verbose {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        2 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(verbose > 1)
        .init();
}
