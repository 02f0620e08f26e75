//! `emu completions SHELL`: what a shell needs to complete emu's commands.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap_complete::Shell;

use super::failure::Outcome;

/// Print the completions for a shell
///
/// For bash: `emu completions bash > ~/.local/share/bash-completion/completions/emu`; for zsh, into a folder of `$fpath` as
/// `_emu`; for fish: `~/.config/fish/completions/emu.fish`.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// For which shell
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Writes to stdout. `command` is emu's own, as clap builds it.
///
/// # Errors
/// When stdout cannot be written.
pub fn run(args: &Args, command: &mut clap::Command) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, command, "emu", &mut script);
    match io::stdout().lock().write_all(&script) {
        // Whoever reads has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        result => Ok(result.map(|()| ExitCode::SUCCESS)?),
    }
}
