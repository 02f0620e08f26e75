//! `emu reset`: begin anew.

use std::path::Path;
use std::process::ExitCode;

use clap::Args as ClapArgs;
use serde_json::{Value, json};

use super::Global;
use super::client::{block_on, try_find};
use super::failure::{Failure, Outcome};
use super::output::data;
use crate::live;
use crate::project::{self, Target};

/// Forget all messages, waiting events and stored state of the project
#[derive(ClapArgs, Clone, Debug)]
#[command(after_help = "\
A running emulator drops them and serves on; without one the files in .emu/ are removed.")]
pub struct Args {}

pub fn run(_: &Args, global: &Global) -> Outcome {
    if let Some(client) = try_find(global)? {
        let asked: Result<Value, Failure> = block_on(client.post(&["_emu", "reset"], &json!({})));
        // A run file that a kill has left names nobody.
        if asked.is_ok() || global.control_url.is_some() {
            asked?;
            data("reset\n")?;
            return Ok(ExitCode::SUCCESS);
        }
    }
    let root = match project::find(global.project.as_deref())? {
        Target::Folder(folder) => folder,
        Target::File(file) => file.parent().unwrap_or(Path::new(".")).to_owned(),
    };
    live::forget(&root)?;
    data("reset\n")?;
    Ok(ExitCode::SUCCESS)
}
