//! `emu exec -- COMMAND`: a fresh emulator around a command, and the command's own exit code.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{ExitCode, ExitStatus};

use clap::Args as ClapArgs;
use tokio::process::Child;

use super::Global;
use super::event_log::Tap;
use super::failure::{EXEC, Failure, Outcome};
#[cfg(unix)]
use super::guard::guarded;
use super::output::{Output, say};
use super::settings::{self, Opened, RunArgs};
use super::signals::{Signal, Signals};
use crate::live::{self, Live, Options};
use crate::project::ClockSetting;
use crate::project::diagnostic::render_all;
use crate::report::style::{Tone, Verbosity};

const EXAMPLES: &str = "\
Examples:
  emu exec -- npm test
  emu exec --project examples/orders -- sh -c 'curl -s $EMU_URL/orders'
  emu exec --clock manual --seed 7 -- pytest
  emu exec --clock manual --log events.ndjson -- node --test

The command finds EMU_URL (the functions), EMU_CONTROL_URL (the control API) and EMU_SEED in its environment, and with \
--control-token EMU_CONTROL_TOKEN. It starts once everything is built; a project that does not build ends with 125. \
What the functions said is shown when the command fails, or as it happens with -v.";

/// Run a command beside a fresh emulator on free ports
#[derive(ClapArgs, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    run: RunArgs,

    /// Write what happens to this file, one JSON object a line, without what differs from machine to machine
    #[arg(long, value_name = "FILE", help_heading = "Options")]
    log: Option<PathBuf>,

    /// The command and its arguments
    #[arg(
        value_name = "COMMAND",
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    command: Vec<OsString>,
}

pub fn run(args: &Args, global: &Global) -> Outcome {
    // Whatever fails before the command runs is emu's failure, not the command's.
    let opened = settings::open(global.project.as_deref(), &args.run).map_err(|failure| failure.code(EXEC))?;
    let token = global.control_token.as_deref();
    let options = settings::private(&args.run, token, &opened.loaded.project.dev, 0);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start threads: {error}")).code(EXEC))?;
    // The command's parent must be this thread, which lives as long as the process: see `guard`.
    let outcome = runtime.block_on(serve(args, global, opened, options));
    runtime.shutdown_background();
    outcome
}

async fn serve(args: &Args, global: &Global, opened: Opened, options: Options) -> Outcome {
    let emu = |error: anyhow::Error| Failure::from(error).code(EXEC);
    let style = global.style();
    if !opened.loaded.warnings.is_empty() && style.verbosity > Verbosity::Quiet {
        say(&format!(
            "{}\n",
            render_all(&opened.loaded.warnings, style.color).trim_end()
        ));
    }
    let output = match style.verbosity {
        Verbosity::Verbose => Output::people(style),
        Verbosity::Quiet | Verbosity::Normal => Output::kept_back(style),
    };
    let mut signals = Signals::listen().map_err(|error| emu(error.into()))?;
    let (seed, real) = (options.seed, options.clock == ClockSetting::Real);
    let (tap, seen) = Tap::new(output.sink(), args.log.as_deref()).map_err(|failure| failure.code(EXEC))?;
    let live = tokio::select! {
        live = live::start(opened.loaded.project, opened.read, options, Box::new(tap)) => live.map_err(emu)?,
        _ = signals.next() => return Err(Failure::told(EXEC)),
    };
    output.release(&[], "");
    if let Err(failure) = all_built(&live) {
        live.shutdown().await;
        return Err(failure);
    }
    let ended = beside(args, global, &live, seed, &mut signals).await;
    live.shutdown().await;
    let code = ended?;
    if let Some(error) = seen.broken() {
        return Err(Failure::new(format!("the log is not complete: {error}")).code(EXEC));
    }
    if code != 0 && style.verbosity == Verbosity::Normal {
        let (text, dropped) = output.kept();
        let more = if dropped > 0 {
            format!(" (the last lines, {dropped} came before)")
        } else {
            String::new()
        };
        if !text.is_empty() {
            let title = format!("--- the command ended with {code}; what the functions said{more}\n");
            say(&format!("{}{text}", style.paint(Tone::Dim, &title)));
        }
    }
    if let Some(hint) = seen.hint().filter(|_| real && style.verbosity > Verbosity::Quiet) {
        say(&format!("{}\n", style.paint(Tone::Dim, &format!("--- {hint}"))));
    }
    Ok(ExitCode::from(code))
}

/// A command must not test half a project.
fn all_built(live: &Live) -> Result<(), Failure> {
    let mut problems = Vec::new();
    for function in live.functions() {
        if let Some(error) = function.error {
            problems.push(format!("{} does not build\n{error}", function.name));
        }
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(Failure::new(problems.join("\n")).code(EXEC))
    }
}

/// Runs the command to its end.
async fn beside(args: &Args, global: &Global, live: &Live, seed: u64, signals: &mut Signals) -> Result<u8, Failure> {
    let (program, rest) = args
        .command
        .split_first()
        .ok_or_else(|| Failure::usage("no command").code(EXEC))?;
    let mut command = guarded(program, rest)?;
    command
        .env("EMU_URL", &live.functions_url)
        .env("EMU_CONTROL_URL", &live.control_url)
        .env("EMU_SEED", seed.to_string())
        .kill_on_drop(true);
    if let Some(token) = &global.control_token {
        command.env("EMU_CONTROL_TOKEN", token);
    }
    let shown = program.to_string_lossy().into_owned();
    let mut child = command
        .spawn()
        .map_err(|error| Failure::new(format!("cannot run {shown}: {error}")).code(EXEC))?;
    loop {
        tokio::select! {
            ended = child.wait() => {
                let status = ended.map_err(|error| Failure::new(format!("lost {shown}: {error}")).code(EXEC))?;
                end_orphans(status).await;
                return Ok(code_of(status));
            }
            signal = signals.next() => match signal {
                // The terminal has sent it to the command as well: what it makes of it is its own affair.
                Signal::Interrupt => {}
                Signal::Terminate => terminate(&mut child),
            },
        }
    }
}

/// As shells say it: 128 and the signal's number.
fn code_of(status: ExitStatus) -> u8 {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return u8::try_from(128 + signal).unwrap_or(u8::MAX);
    }
    status
        .code()
        .and_then(|code| u8::try_from(code & 0xff).ok())
        .unwrap_or(1)
}

#[cfg(unix)]
fn terminate(child: &mut Child) {
    let id = child.id().and_then(|id| i32::try_from(id).ok());
    if let Some(pid) = id.and_then(rustix::process::Pid::from_raw) {
        // It may have ended by itself just now.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
}

#[cfg(not(unix))]
fn terminate(child: &mut Child) {
    // It may have ended by itself just now.
    let _ = child.start_kill();
}

/// No means to end what the command has started: only the command itself ends with emu.
#[cfg(not(unix))]
fn guarded(program: &std::ffi::OsStr, args: &[OsString]) -> Result<tokio::process::Command, Failure> {
    let mut command = tokio::process::Command::new(program);
    command.args(args);
    Ok(command)
}

#[cfg(unix)]
async fn end_orphans(guard: ExitStatus) {
    // A guard that ends by itself has left nothing.
    if guard.code().is_none() {
        super::guard::end_orphans().await;
    }
}

#[cfg(not(unix))]
async fn end_orphans(_: ExitStatus) {}
