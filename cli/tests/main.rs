//! The command line from end to end, on the digits model, in temporary folders.

mod bad_input;
mod digits;
mod forest;
mod golden;
mod hostile;
mod on_chain;
mod provers;
mod quantized;
mod srs;
mod support;
