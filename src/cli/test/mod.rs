//! `emu test`: test files, each on a fresh emulator of its own in this process, several at a time.

mod check;
pub mod files;
pub(super) mod fits;
mod junit;
mod run;
mod show;
pub mod stage;
mod swarm;
pub(super) mod trial;
mod update;
mod vars;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args as ClapArgs;
use tokio::sync::Semaphore;

use super::Global;
use super::failure::{FAILURE, Failure, Outcome, USAGE};
use super::output::{data, say};
use crate::live;
use crate::project::ClockSetting;
use crate::project::diagnostic::Diagnostics;
use crate::project::testfile::TestFile;
use crate::report::style::Verbosity;

use run::Ended;

const EXAMPLES: &str = "\
Examples:
  emu test                            all *.emu.toml of the project
  emu test tests/orders.emu.toml      this one
  emu test --update                   write what came into the files, after a look with `git diff`
  emu test --swarm 200                under 200 seeds with random faults
  emu test --junit report.xml         for CI; with GITHUB_ACTIONS set, annotations as well

A test file says what is done to a fresh emulator and what is expected of it:

  [[step]]
  request = \"POST /orders\"
  json = { items = [{ product = \"mug\", quantity = 2 }] }
  expect.status = 202

  [[step]]
  idle = true
  expect.queues.orders = { visible = 0, dead = 0 }

Time is virtual: an hour of retries takes milliseconds. Exit codes: 0 all as expected, 1 not, 2 a file that cannot be read.";

/// Run test files, each on a fresh emulator under a manual clock
#[derive(ClapArgs, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Files, or folders with files that end in .emu.toml [default: those of the project]
    #[arg(value_name = "FILE|DIR")]
    files: Vec<PathBuf>,

    /// Only files whose name or path contains this
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,

    /// Write what came into the files where it is not what was expected
    #[arg(long)]
    update: bool,

    /// Write a report in JUnit's form
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,

    /// Let requests to the outside that a file has no answer for go over the network, and write the answers into it
    #[arg(long)]
    record: bool,

    /// Run each file under so many seeds with random faults: what `always` says must hold, and everything must drain
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), conflicts_with_all = ["update", "record"])]
    swarm: Option<u64>,

    /// Seed of all files, instead of their own; with --swarm the first
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// Files that run at once [default: one for each core]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
}

pub fn run(args: &Args, global: &Global) -> Outcome {
    let files = files::find(&args.files, global)?;
    let chosen = |path: &PathBuf| {
        let text = path.to_string_lossy();
        args.filter.as_ref().is_none_or(|filter| text.contains(filter.as_str()))
    };
    let paths: Vec<PathBuf> = files.into_iter().filter(chosen).collect();
    if paths.is_empty() {
        let filter = args.filter.as_deref();
        let why = filter.map_or_else(String::new, |filter| format!(" whose path contains {filter:?}"));
        return Err(Failure::new(format!("no test files{why}"))
            .remedy("a test file ends in .emu.toml; `emu test --help` shows one"));
    }
    let read = read_all(&paths, global)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(run_all(args, global, read));
    runtime.shutdown_background();
    let ended = ended?;
    if args.update || args.record {
        for one in &ended {
            update::write(one, args.update)?;
        }
    }
    if let Some(path) = &args.junit {
        junit::write(path, &ended)?;
    }
    let failed = ended.iter().filter(|one| !one.passed(args.update)).count();
    say(&show::summary(&ended, args.update, &global.style()));
    Ok(ExitCode::from(if failed == 0 { 0 } else { FAILURE }))
}

/// All of them, or all that is wrong with them.
fn read_all(paths: &[PathBuf], global: &Global) -> Result<Vec<TestFile>, Failure> {
    let mut read = Vec::new();
    let mut problems = Vec::new();
    for path in paths {
        match files::read(path) {
            Ok(file) => read.push(file),
            Err(Diagnostics(list)) => problems.extend(list),
        }
    }
    if problems.is_empty() {
        return Ok(read);
    }
    let style = global.style();
    say(&format!(
        "{}\n",
        crate::project::diagnostic::render_all(&problems, style.color)
    ));
    Err(Failure::told(USAGE))
}

async fn run_all(args: &Args, global: &Global, files: Vec<TestFile>) -> Result<Vec<Ended>, Failure> {
    let engine = live::engine_for(ClockSetting::Manual)?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let free = Arc::new(Semaphore::new(args.jobs.map_or(cores, usize::from)));
    let mut running = Vec::new();
    for file in files {
        let (engine, free, swarm) = (engine.clone(), free.clone(), args.swarm);
        let asked = run::Asked {
            project: global.project.clone(),
            seed: args.seed,
            record: args.record,
        };
        running.push(tokio::spawn(async move {
            // Never closed.
            let _permit = free.acquire_owned().await;
            match swarm {
                Some(runs) => swarm::file(Arc::new(file), &asked, runs, &engine).await,
                None => run::file(Arc::new(file), &asked, &engine).await,
            }
        }));
    }
    let style = global.style();
    let github = std::env::var_os("GITHUB_ACTIONS").is_some();
    let mut ended = Vec::new();
    for one in running {
        let one = one
            .await
            .map_err(|error| Failure::new(format!("a test broke off: {error}")))?;
        if style.verbosity > Verbosity::Quiet || !one.passed(args.update) {
            say(&show::one(&one, args.update, &style));
        }
        if github {
            data(&show::annotations(&one))?;
        }
        ended.push(one);
    }
    Ok(ended)
}
