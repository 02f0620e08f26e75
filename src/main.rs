//! Parse, run, exit code.

use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    emu::cli::main(Instant::now())
}
