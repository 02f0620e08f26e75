//! `emu cache`: compiled code on disk.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::{Args as ClapArgs, Subcommand};

use super::client::block_on;
use super::failure::{Failure, Outcome};
use super::output::data;
use crate::engine::{Engine, EngineOptions, Source, cache};
use crate::report::number::{millis, plural};

/// Look after compiled code on disk
#[derive(ClapArgs, Clone, Debug)]
#[command(after_help = "The folder is $EMU_CACHE_DIR, else `emu` in your cache folder.")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Clone, Debug)]
enum Action {
    /// Print the folder
    Dir,
    /// Compile the JavaScript runtime now, so that the first start is as fast as the others
    Warm,
    /// Remove all compiled code
    Clear,
}

pub fn run(args: &Args) -> Outcome {
    let dir = dir()?;
    match args.action {
        Action::Dir => data(&format!("{}\n", dir.display()))?,
        Action::Warm => warm()?,
        Action::Clear => {
            let cleared =
                cache::clear(&dir).map_err(|error| Failure::new(format!("{} stays: {error}", dir.display())))?;
            let files = plural(cleared.files, "file", "files");
            data(&format!("removed {files}, {} MB\n", cleared.bytes.div_ceil(1 << 20)))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn dir() -> Result<PathBuf, Failure> {
    cache::dir().ok_or_else(|| {
        Failure::new("there is no folder for compiled code: no home folder is known").remedy("set EMU_CACHE_DIR")
    })
}

/// Loads the smallest module there is: that compiles what all modules share.
fn warm() -> Result<(), Failure> {
    let begun = Instant::now();
    let folder = tempfile::tempdir()?;
    let root = folder.path().canonicalize()?;
    let entry = root.join("warm.js");
    std::fs::write(&entry, "export default { fetch: () => new Response() };\n")?;
    let source = Source {
        function: "warm".to_owned(),
        project_root: root,
        entry,
        env: Default::default(),
    };
    block_on(async {
        let engine = Engine::new(EngineOptions::default())?;
        engine
            .load(&source)
            .await
            .map_err(|error| Failure::new(error.to_string()))
    })?;
    data(&format!("warm after {}\n", millis(begun.elapsed().as_secs_f64() * 1e3)))?;
    Ok(())
}
