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
//! | [`text`] | what is printed: no control characters
//! | [`tensors`] | reading and writing tensors of numbers |
//! | [`ui`] | tables on stdout, numbers with units |
//! | [`progress`] | what is going on, on stderr |
//! | [`error`] | failures and exit codes |
//!
//! A command returns what it found; only [`main`] prints, either the text or, with `--json`, one JSON object.
#![forbid(unsafe_code)]

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::{Parser, error::ErrorKind};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{
    Layer, filter::Targets, fmt::format::FmtSpan, layer::SubscriberExt, util::SubscriberInitExt,
};

pub mod args;
pub mod chain;
pub mod commands;
pub mod error;
pub mod fit;
pub mod pipeline;
pub mod profile;
pub mod progress;
pub mod svg;
pub mod tensors;
pub mod text;
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
    let cli = match args::Cli::try_parse() {
        Ok(cli) => cli,
        Err(why) => return usage(&why),
    };
    if !cli.no_import_limits {
        pipeline::trial::arm();
    }
    let ui = ui::Ui::new();
    start_log(cli.verbose, &ui);
    match commands::run(&cli.command, &ui) {
        Ok(outcome) => {
            let printed = print(&if cli.json {
                text::json(&outcome.json)
            } else {
                text::lines(&outcome.text)
            });
            let code = if outcome.accepted {
                0
            } else {
                error::EXIT_REJECTED
            };
            // Whoever reads a cut report must not take it for the whole one.
            ExitCode::from(printed.map_or_else(|why| tell(&why), |()| code))
        }
        Err(failure) => {
            // The exit code says it as well.
            if cli.json {
                let _ = print(&failure_json(&failure.to_string(), failure.exit_code()));
            }
            ExitCode::from(tell(&failure))
        }
    }
}

/// Prints on stdout. A closed pipe (`tensorseal inspect ... | head`) is the reader's choice, not an error.
fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(why) if why.kind() != io::ErrorKind::BrokenPipe => Err(CliError::system(
            "the report cannot be written to stdout",
            why,
        )),
        _ => Ok(()),
    }
}

/// Says on one line of stderr why the command failed; the exit code.
fn tell(failure: &CliError) -> u8 {
    // Where stderr is gone there is nobody to tell it.
    let _ = writeln!(io::stderr(), "error: {}", text::line(&failure.to_string()));
    failure.exit_code()
}

fn failure_json(message: &str, exit_code: u8) -> String {
    text::json(&serde_json::json!({ "error": message, "exit_code": exit_code }))
}

/// What the parser says: help and the version as asked for, wrong usage on stderr and, with `--json`, as an object too.
fn usage(why: &clap::Error) -> ExitCode {
    if !why.use_stderr() {
        return match why.print() {
            Err(why) if why.kind() != io::ErrorKind::BrokenPipe => {
                ExitCode::from(tell(&CliError::system("stdout", why)))
            }
            _ => ExitCode::SUCCESS,
        };
    }
    // It repeats arguments, which may be names of files that others chose.
    let _ = write!(io::stderr(), "{}", text::lines(&why.render().to_string()));
    // Nothing was parsed; after `--` there are no flags.
    let mut flags = std::env::args_os().take_while(|argument| argument != "--");
    if flags.any(|argument| argument == "--json") {
        if why.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
            let _ = print(&failure_json(
                "no command; --help lists them",
                error::EXIT_INPUT,
            ));
            return ExitCode::from(error::EXIT_INPUT);
        }
        let text = why.render().to_string();
        // What is wrong, and what might be meant; not the usage of the command.
        let told: Vec<&str> = text
            .split("\n\n")
            .filter(|part| !part.starts_with("Usage:") && !part.starts_with("For more"))
            .flat_map(str::split_whitespace)
            .collect();
        let told = told.join(" ");
        let _ = print(&failure_json(
            told.trim_start_matches("error: "),
            error::EXIT_INPUT,
        ));
    }
    ExitCode::from(error::EXIT_INPUT)
}

/// Logs to stderr, and shows the libraries' stages.
///
/// Other libraries' words count from the third `-v` on, except those of the network: a request's address may hold the secret of
/// whoever serves it.
fn start_log(verbose: u8, ui: &ui::Ui) {
    const NETWORK: [&str; 6] = ["alloy", "h2", "hyper", "reqwest", "rustls", "tower"];
    let (ours, others) = match verbose {
        0 => (LevelFilter::WARN, LevelFilter::WARN),
        1 => (LevelFilter::INFO, LevelFilter::WARN),
        2 => (LevelFilter::DEBUG, LevelFilter::WARN),
        _ => (LevelFilter::TRACE, LevelFilter::DEBUG),
    };
    let told = Targets::new()
        .with_default(others)
        .with_target("tensorseal", ours)
        .with_targets(NETWORK.map(|name| (name, LevelFilter::WARN)));
    let log = tracing_subscriber::fmt::layer()
        // Colours would need the very characters that must not come from outside.
        .with_writer(|| text::Escaping(io::stderr()))
        .with_ansi(false)
        .with_target(verbose > 1)
        .without_time()
        .with_span_events(if verbose > 1 {
            FmtSpan::CLOSE
        } else {
            FmtSpan::NONE
        });
    let stages = Targets::new().with_target("tensorseal", LevelFilter::DEBUG);
    tracing_subscriber::registry()
        .with(log.with_filter(told))
        .with(ui.stages().with_filter(stages))
        .init();
}
