//! `emu dev`: serves a project until somebody stops it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args as ClapArgs;
use tokio::sync::Notify;

use super::failure::{Failure, INTERRUPTED, Outcome};
use super::head::{self, Served};
use super::keys::{self, Key, Keys};
use super::output::Output;
use super::settings::{self, NetworkArgs, Opened, RunArgs, StateArgs};
use super::signals::Signals;
use super::{Global, env};
use crate::live::observed::CoreLog;
use crate::live::{self, Live, Options};
use crate::project::diagnostic::render_all;
use crate::report::style::Style;

const EXAMPLES: &str = "\
Examples:
  emu dev                         serve the project here
  emu dev examples/orders         serve the project in that folder
  emu dev hello.ts                serve one module on every path
  emu dev --port 0 --json         any free port; one JSON object a line on stdout
  emu dev --clock x60             keep-alive, crons and retries pass sixty times faster
  emu dev --cold-starts sleep     feel the cold starts

Keys on a terminal: o dashboard, r reload everything, c clear, q quit.
The first Ctrl-C waits up to 5 s for what runs, the second forces.";

/// Serve a project: HTTP, crons, queues and topics, with hot reload
#[derive(ClapArgs, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A folder with emu.toml or functions/, or one function's file [default: the nearest project upward]
    #[arg(value_name = "DIR|FILE")]
    path: Option<PathBuf>,

    /// Write one JSON object a line to stdout instead of lines for people to stderr
    #[arg(long)]
    json: bool,

    /// Load everything once and do not watch for changes
    #[arg(long)]
    no_watch: bool,

    /// Open the dashboard in a browser when ready
    #[arg(long)]
    open: bool,

    /// Write every call of the core and every effect to this file, a line each: to find out what emu did, and why
    #[arg(long, value_name = "FILE", hide = true)]
    core_log: Option<PathBuf>,

    #[command(flatten)]
    network: NetworkArgs,

    #[command(flatten)]
    state: StateArgs,

    #[command(flatten)]
    run: RunArgs,
}

pub fn run(args: &Args, global: &Global, started: Instant) -> Outcome {
    let path = args.path.as_deref().or(global.project.as_deref());
    let opened = settings::open(path, &args.run)?;
    let file = &opened.loaded.project.dev;
    let token = global.control_token.as_deref();
    let mut options = settings::dev(&args.run, &args.network, &args.state, token, &env, file, random_seed())?;
    options.watch = !args.no_watch;
    options.telemetry = settings::telemetry(&opened.loaded.project);
    if let Some(file) = &args.core_log {
        let log = CoreLog::create(file)
            .map_err(|error| Failure::new(format!("{} cannot be written: {error}", file.display())))?;
        options.observer = Some(Box::new(log));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start threads: {error}")))?;
    let outcome = runtime.block_on(serve(args, global, opened, options, started));
    // A guest that does not end must not keep the process.
    runtime.shutdown_background();
    keys::restore();
    outcome
}

/// Different each time: a developer's functions should not draw the same identifiers after every start.
fn random_seed() -> u64 {
    getrandom::u64().unwrap_or(0)
}

async fn serve(args: &Args, global: &Global, opened: Opened, options: Options, started: Instant) -> Outcome {
    let style = global.style();
    let closed = Arc::new(Notify::new());
    let output = output(args, style, &closed);
    warn(&opened, args, &output, style);
    let mut signals = Signals::listen()?;
    let starting = live::start(opened.loaded.project, opened.read, options, output.sink());
    let live = tokio::select! {
        live = starting => live?,
        _ = signals.next() => return Err(Failure::told(INTERRUPTED)),
    };
    announce(&live, &output, style, started);
    if args.open {
        open_page(&live, &output);
    }
    until_stopped(&live, &output, &mut signals, &closed).await;
    stop(live, &output, &mut signals).await
}

fn output(args: &Args, style: Style, closed: &Arc<Notify>) -> Output {
    if args.json {
        let closed = Arc::clone(closed);
        Output::programs(Box::new(move || closed.notify_one()))
    } else {
        Output::people(style)
    }
}

fn warn(opened: &Opened, args: &Args, output: &Output, style: Style) {
    let warnings = &opened.loaded.warnings;
    if args.json {
        for warning in warnings {
            output.notice("warning", warning.render(false).trim_end());
        }
    } else if !warnings.is_empty() {
        output.raw(&format!("{}\n", render_all(warnings, style.color).trim_end()));
    }
}

fn announce(live: &Live, output: &Output, style: Style, started: Instant) {
    let served = Served {
        functions_url: live.functions_url.clone(),
        control_url: live.control_url.clone(),
        functions: live.functions(),
        queues: live.queues(),
        topics: live.topics(),
    };
    let startup_ms = started.elapsed().as_secs_f64() * 1e3;
    let mut head = String::new();
    if style.verbosity > crate::report::style::Verbosity::Quiet {
        head.push_str(&head::table(&served, &style));
    }
    head.push_str(&head::ready_line(&served, startup_ms, &style));
    let names: Vec<&str> = served.functions.iter().map(|f| f.name.as_str()).collect();
    output.release(&names, &head);
}

async fn until_stopped(live: &Live, output: &Output, signals: &mut Signals, closed: &Notify) {
    let mut keys = Keys::start();
    let mut tick = tokio::time::interval(Duration::from_millis(500));
    loop {
        let key = async {
            match &mut keys {
                Some(keys) => keys.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = signals.next() => return,
            () = closed.notified() => return,
            _ = tick.tick() => output.tick(),
            key = key => match key {
                Key::Quit => return,
                Key::Reload => {
                    output.notice("info", "reloading everything");
                    live.reload();
                }
                Key::Open => open_page(live, output),
                // Screen and scrollback, as `clear` does.
                Key::Clear => output.raw("\x1b[H\x1b[2J\x1b[3J"),
            },
        }
    }
}

fn open_page(live: &Live, output: &Output) {
    if let Err(error) = keys::open_page(&live.control_url) {
        output.notice(
            "warning",
            &format!("cannot open a browser ({error}): the dashboard is {}", live.control_url),
        );
    }
}

async fn stop(live: Live, output: &Output, signals: &mut Signals) -> Outcome {
    let seconds = live::DRAIN.as_secs();
    output.notice(
        "info",
        &format!("stopping: up to {seconds} s for what still runs, Ctrl-C again forces"),
    );
    tokio::select! {
        left = live.shutdown() => {
            output.flush();
            if left > 0 {
                let many = crate::report::number::plural(left, "invocation was", "invocations were");
                output.notice("warning", &format!("{many} cut off"));
            }
            Ok(ExitCode::SUCCESS)
        }
        _ = signals.next() => Err(Failure::told(INTERRUPTED)),
    }
}
