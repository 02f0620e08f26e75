//! Parse, run, exit code.

use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    let started = Instant::now();
    // The same program is its own compiling child.
    if let Some(code) = emu::engine::compile::child_main() {
        return code;
    }
    emu::cli::main(started)
}
