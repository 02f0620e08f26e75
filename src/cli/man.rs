//! `emu man`: manual pages, for packages of emu.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args as ClapArgs, Command};

use super::failure::{Failure, Outcome};

/// Write the manual pages of emu and its commands
#[derive(ClapArgs, Clone, Debug)]
pub struct Args {
    /// The folder to write to
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

pub fn run(args: &Args, root: Command) -> Outcome {
    let failed = |error: std::io::Error| Failure::new(format!("{} cannot be written: {error}", args.folder.display()));
    std::fs::create_dir_all(&args.folder).map_err(failed)?;
    clap_mangen::generate_to(root, &args.folder).map_err(failed)?;
    Ok(ExitCode::SUCCESS)
}
