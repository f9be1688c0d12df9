//! The command line from end to end, on the digits model, in temporary folders.

mod bad_input;
mod command_line;
mod digits;
mod fidelity;
mod forest;
mod golden;
mod hostile;
mod on_chain;
mod outputs;
mod provers;
mod quantized;
mod srs;
mod statement;
mod support;
