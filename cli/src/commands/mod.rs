//! One file per command: library calls, then what to say about them.

use crate::{
    Outcome, Result,
    args::Command,
    pipeline::{self, trial},
    ui::Ui,
};

pub mod bench;
pub mod calibrate;
pub mod compare;
pub mod compile;
pub mod demo;
pub mod deploy;
pub mod devices;
pub mod export;
pub mod hash;
pub mod inspect;
pub mod prove;
pub mod run;
pub mod scaling;
pub mod setup;
pub mod srs;
pub mod stages;
pub mod verify;
pub mod verify_onchain;

/// Runs a command.
pub fn run(command: &Command, ui: &Ui) -> Result<Outcome> {
    pipeline::check_environment()?;
    match command {
        Command::Compile(args) => compile::run(args, ui),
        Command::Calibrate(args) => calibrate::run(args, ui),
        Command::Compare(args) => compare::run(args, ui),
        Command::Run(args) => run::run(args, ui),
        Command::Srs(args) => srs::run(args, ui),
        Command::Setup(args) => setup::run(args, ui),
        Command::Hash(args) => hash::run(args, ui),
        Command::Prove(args) => prove::run(args, ui),
        Command::Verify(args) => verify::run(args, ui),
        Command::Export(args) => export::run(args, ui),
        Command::Deploy(args) => deploy::run(args, ui),
        Command::Register(args) => deploy::register(args, ui),
        Command::VerifyOnchain(args) => verify_onchain::run(args, ui),
        Command::Inspect(args) => inspect::run(args, ui),
        Command::Bench(args) if args.stages.is_some() => stages::run(args, ui),
        Command::Bench(args) if args.scaling.is_some() => scaling::run(args, ui),
        Command::Bench(args) => bench::run(args, ui),
        Command::Demo(args) => demo::run(args, ui),
        Command::Devices => Ok(devices::run()),
        Command::TrialImport(args) => trial::run(args.batch).map(|()| Outcome::new("", ())),
    }
}
