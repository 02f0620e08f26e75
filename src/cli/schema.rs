//! `emu schema`: the JSON Schema of emu.toml, for editors, and the OpenAPI document of the control API.

use std::io::{self, Write as _};
use std::process::ExitCode;

use super::failure::Outcome;
use crate::live;
use crate::project::schema;

/// Print the JSON Schema of emu.toml
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// Print the reference of keys as Markdown instead
    #[arg(long)]
    pub markdown: bool,

    /// Of test files, `*.emu.toml`, instead of emu.toml
    #[arg(long)]
    pub test: bool,

    /// Print the OpenAPI document of the control API instead
    #[arg(long, conflicts_with_all = ["markdown", "test"])]
    pub openapi: bool,
}

/// Writes to stdout.
///
/// # Errors
/// When stdout cannot be written.
pub fn run(args: &Args) -> Outcome {
    let text = match (args.openapi, args.test, args.markdown) {
        (true, ..) => live::openapi(),
        (_, false, false) => schema::pretty(),
        (_, false, true) => schema::reference(),
        (_, true, false) => format!("{:#}\n", schema::test_schema()),
        (_, true, true) => schema::test_reference(),
    };
    match io::stdout().lock().write_all(text.as_bytes()) {
        // Whoever reads has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        result => Ok(result.map(|()| ExitCode::SUCCESS)?),
    }
}
