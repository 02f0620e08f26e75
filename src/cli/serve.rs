//! `emu serve`: a project for others than its developer. Nothing watches, there is no page, every request has a line, and
//! a stop lets what runs end.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::time::Duration;

use clap::Args as ClapArgs;

use super::failure::{Failure, INTERRUPTED, Outcome};
use super::output::machine_time;
use super::settings::{self, NetworkArgs, Opened, RunArgs, StateArgs};
use super::signals::Signals;
use super::{Global, env, probe};
use crate::live::serve::{HealthPath, Serving};
use crate::live::{self, Live, Options, Sink};
use crate::project::Project;
use crate::report::access::{Access, Level, Lines, LogFormat};
use crate::report::event::Stamped;
use crate::report::number::plural;

/// Where the functions' port says how emu is, unless a function is there.
const HEALTH_PATH: &str = "/healthz";
/// Container engines kill after 10 s.
const DRAIN: Duration = Duration::from_secs(8);
/// Lines that wait for stdout. Beyond it they are counted, not kept.
const LINES_MAX: usize = 16_384;
/// Bytes written at once.
const WRITE_BYTES_MAX: usize = 64 << 10;
/// How long the end waits for a reader of stdout.
const LAST_LINES: Duration = Duration::from_secs(2);

const EXAMPLES: &str = "\
Examples:
  emu serve                                the project here, on 127.0.0.1:3680
  PORT=8080 emu serve --host 0.0.0.0       as containers are started
  emu serve --log-format json --ephemeral

Serves what is there when it starts; a function that does not build ends it with code 1, a port that is in use too.
GET /healthz on the functions' port answers 200, while it stops 503. A function with that route keeps it.
SIGTERM or Ctrl-C: no new connections, up to --drain-timeout for what runs; a second one forces.
emu ps, emu queue, emu logs and the others work beside it.";

/// Serve a project without watching and without a page: what runs in a container
#[derive(ClapArgs, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A folder with emu.toml or functions/, or one function's file [default: the nearest project upward]
    #[arg(value_name = "DIR|FILE")]
    path: Option<PathBuf>,

    /// How lines on stdout look: `text` or `json`, an object each [default: text]
    #[arg(long, value_name = "text|json", env = "EMU_LOG_FORMAT", value_parser = log_format)]
    log_format: Option<LogFormat>,

    /// No line for requests that were answered; failures still have theirs
    #[arg(long)]
    no_access_log: bool,

    /// Path on the functions' port that says how emu is. Given here it wins over a function's route [default: /healthz]
    #[arg(long, value_name = "PATH", env = "EMU_HEALTH_PATH", value_parser = health_path)]
    health_path: Option<String>,

    /// Serve these functions of the project only
    #[arg(long, value_name = "NAME,..", env = "EMU_FUNCTIONS", value_delimiter = ',')]
    functions: Vec<String>,

    /// Variables of emu's own environment that every function gets, where they are set
    #[arg(long, value_name = "NAME,..", env = "EMU_PASS", value_delimiter = ',')]
    pass: Vec<String>,

    /// Take what `build` commands have made, and run none
    #[arg(long, env = "EMU_NO_BUILD", value_parser = clap::builder::FalseyValueParser::new())]
    no_build: bool,

    /// Longest wait for what runs when emu is stopped [default: 8s]
    #[arg(long, value_name = "TIME", env = "EMU_DRAIN_TIMEOUT", value_parser = drain)]
    drain_timeout: Option<Duration>,

    #[command(flatten)]
    network: NetworkArgs,

    #[command(flatten)]
    state: StateArgs,

    #[command(flatten)]
    run: RunArgs,
}

fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("expected text or json".to_owned()),
    }
}

fn health_path(text: &str) -> Result<String, String> {
    match text.starts_with('/') && !text.contains(['?', '#', '{', '*', ' ']) {
        true => Ok(text.to_owned()),
        false => Err("expected a path, such as /healthz".to_owned()),
    }
}

fn drain(text: &str) -> Result<Duration, String> {
    let span = crate::project::units::parse_span(text).map_err(|error| error.to_string())?;
    Ok(span.to_std())
}

pub fn run(args: &Args, global: &Global) -> Outcome {
    let path = args.path.as_deref().or(global.project.as_deref());
    let only: BTreeSet<String> = args.functions.iter().filter(|name| !name.is_empty()).cloned().collect();
    let mut opened = settings::open_only(path, &args.run, only.clone())?;
    for name in &only {
        probe::function(&opened.loaded.project, name)?;
    }
    let changes = Changes::of(args);
    changes.apply(&mut opened.loaded.project);
    let read = opened.read;
    opened.read = Arc::new(move || {
        let mut reread = read()?;
        changes.apply(&mut reread.project);
        Ok(reread)
    });
    let file = &opened.loaded.project.dev;
    let token = global.control_token.as_deref();
    let seed = getrandom::u64().unwrap_or(0);
    let mut options = settings::dev(&args.run, &args.network, &args.state, token, &env, file, seed)?;
    let lines = Lines::new(args.log_format.unwrap_or_default(), global.style().verbosity);
    let log = Log::start(lines, std::io::stdout())?;
    options.telemetry = settings::telemetry(&opened.loaded.project);
    options.drain = args.drain_timeout.unwrap_or(DRAIN);
    options.serving = Some(Serving {
        access: (!args.no_access_log).then(|| log.accesses()),
        health: HealthPath {
            path: args.health_path.clone().unwrap_or_else(|| HEALTH_PATH.to_owned()),
            wins: args.health_path.is_some(),
        },
    });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start threads: {error}")))?;
    let outcome = runtime.block_on(serve(opened, options, &log));
    // A guest that does not end must not keep the process.
    runtime.shutdown_background();
    log.end();
    outcome
}

/// What the command line changes in a project.
struct Changes {
    variables: Vec<(String, String)>,
    no_build: bool,
}

impl Changes {
    fn of(args: &Args) -> Changes {
        let variables = args.pass.iter().filter_map(|name| Some((name.clone(), env(name)?)));
        Changes {
            variables: variables.collect(),
            no_build: args.no_build,
        }
    }

    fn apply(&self, project: &mut Project) {
        for (name, value) in &self.variables {
            project.give(name, value);
        }
        for function in project.functions.values_mut().filter(|_| self.no_build) {
            function.build = None;
        }
    }
}

async fn serve(opened: Opened, options: Options, log: &Log) -> Outcome {
    for warning in &opened.loaded.warnings {
        log.say(Level::Warning, warning.render(false).trim_end());
    }
    let mut signals = Signals::listen()?;
    let starting = live::start(opened.loaded.project, opened.read, options, Box::new(log.clone()));
    let live = tokio::select! {
        live = starting => live?,
        _ = signals.next() => return Err(Failure::told(INTERRUPTED)),
    };
    let functions = live.functions();
    let broken = functions.iter().filter(|function| function.version.is_none());
    let broken: Vec<&str> = broken.map(|function| function.name.as_str()).collect();
    if !broken.is_empty() {
        live.shutdown().await;
        let many = plural(broken.len() as u64, "function does not build", "functions do not build");
        return Err(Failure::new(format!("{many}: {}", broken.join(", ")))
            .remedy("the log above says why; emu dev serves the others meanwhile and waits for the mend"));
    }
    signals.next().await;
    stop(live, log, &mut signals).await
}

async fn stop(live: Live, log: &Log, signals: &mut Signals) -> Outcome {
    log.say(Level::Info, "stopping: no new connections, waiting for what still runs");
    tokio::select! {
        left = live.shutdown() => {
            if left > 0 {
                let many = plural(left, "invocation was", "invocations were");
                log.say(Level::Warning, &format!("{many} cut off; --drain-timeout gives more time"));
            }
            log.say(Level::Info, "stopped");
            Ok(ExitCode::SUCCESS)
        }
        _ = signals.next() => Err(Failure::told(INTERRUPTED)),
    }
}

/// Lines on their way to stdout, which may be slow or stand still: a thread writes them, and nobody else waits for it.
#[derive(Clone)]
struct Log {
    lines: Lines,
    to: SyncSender<Line>,
    state: Arc<State>,
    ended: Arc<std::sync::Mutex<Receiver<()>>>,
}

/// What the log tells its writer besides lines.
#[derive(Default)]
struct State {
    /// Lines that found no room since the writer last said so.
    missing: AtomicU64,
    /// No line comes any more.
    is_ending: AtomicBool,
}

enum Line {
    Text(String),
    /// The writer makes its words, not the connection.
    Access(Box<Access>),
    /// Wakes the writer, so that it sees the end.
    End,
}

impl Log {
    fn start(lines: Lines, out: impl Write + Send + 'static) -> std::io::Result<Log> {
        let (to, from) = sync_channel(LINES_MAX);
        let (end, ended) = sync_channel(1);
        let state = Arc::new(State::default());
        let writer = Writer {
            from,
            lines: lines.clone(),
            state: state.clone(),
            out,
        };
        std::thread::Builder::new().name("log".into()).spawn(move || {
            writer.run();
            // Nobody waits for it: the process ends anyway.
            let _ = end.send(());
        })?;
        Ok(Log {
            lines,
            to,
            state,
            ended: Arc::new(std::sync::Mutex::new(ended)),
        })
    }

    fn accesses(&self) -> live::serve::AccessLog {
        let log = self.clone();
        Arc::new(move |access: Access| log.put(Line::Access(Box::new(access))))
    }

    fn say(&self, level: Level, text: &str) {
        self.put(Line::Text(self.lines.words(level, &machine_time(), text)));
    }

    /// Never waits: neither a connection, nor those who hear of events, nor the end may hang on a reader of stdout.
    fn put(&self, line: Line) {
        // A writer that has gone wants no more lines.
        if let Err(TrySendError::Full(_)) = self.to.try_send(line) {
            self.state.missing.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Lets the last lines out.
    fn end(self) {
        self.state.is_ending.store(true, Ordering::Release);
        // Where there is no room the writer is awake.
        let _ = self.to.try_send(Line::End);
        let ended = self.ended.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let _ = ended.recv_timeout(LAST_LINES);
    }
}

impl Sink for Log {
    fn event(&mut self, event: &Stamped) {
        if let Some(line) = self.lines.event(event) {
            self.put(Line::Text(line));
        }
    }

    fn folded(&mut self, invocations: u64, others: u64) {
        let text = format!(
            "{} more events than could be written are left out",
            invocations + others
        );
        self.say(Level::Warning, &text);
    }
}

struct Writer<W> {
    from: Receiver<Line>,
    lines: Lines,
    state: Arc<State>,
    out: W,
}

impl<W: Write> Writer<W> {
    fn run(mut self) {
        let mut text = String::new();
        while let Some(first) = self.next() {
            text.clear();
            self.add(&mut text, first);
            while text.len() < WRITE_BYTES_MAX
                && let Ok(more) = self.from.try_recv()
            {
                self.add(&mut text, more);
            }
            let missing = self.state.missing.swap(0, Ordering::Relaxed);
            if missing > 0 {
                let many = plural(missing, "line is", "lines are");
                let said = format!("{many} missing here: stdout is read too slowly");
                text.push_str(&self.lines.words(Level::Warning, &machine_time(), &said));
            }
            // Without a reader emu serves on: a log is not worth an outage.
            let _ = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush());
        }
    }

    /// Waits for a line; `None` when the last one has been written.
    fn next(&self) -> Option<Line> {
        match self.from.try_recv() {
            Ok(line) => Some(line),
            Err(TryRecvError::Empty) if !self.state.is_ending.load(Ordering::Acquire) => self.from.recv().ok(),
            Err(_) => None,
        }
    }

    fn add(&self, text: &mut String, line: Line) {
        match line {
            Line::Text(line) => text.push_str(&line),
            Line::Access(access) => text.push_str(&self.lines.access(&access)),
            Line::End => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_times_of_the_command_line() {
        assert!(health_path("/_emu/health").is_ok());
        assert!(health_path("healthz").is_err());
        assert!(health_path("/a/{id}").is_err());
        assert_eq!(drain("30s"), Ok(Duration::from_secs(30)));
        assert!(drain("soon").is_err());
        assert_eq!(log_format("json"), Ok(LogFormat::Json));
        assert!(log_format("logfmt").is_err());
    }

    /// Tells that it is written to, and then stands still until it may go on.
    struct Stalled {
        entered: SyncSender<()>,
        go: Receiver<()>,
        said: Arc<std::sync::Mutex<Vec<u8>>>,
    }

    impl Write for Stalled {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let _ = self.entered.try_send(());
            // Once nobody holds the other end, all of it goes out.
            let _ = self.go.recv();
            self.said.lock().expect("nobody panics with it").write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_stands_still_makes_nobody_wait_and_what_is_missing_is_told() {
        let (entered, is_entered) = sync_channel(1);
        let (go, may_go) = sync_channel(0);
        let said = Arc::<std::sync::Mutex<Vec<u8>>>::default();
        let stalled = Stalled {
            entered,
            go: may_go,
            said: said.clone(),
        };
        let log = Log::start(
            Lines::new(LogFormat::Text, crate::report::style::Verbosity::Normal),
            stalled,
        );
        let log = log.expect("a thread");
        log.say(Level::Info, "first");
        is_entered.recv().expect("the writer is stuck");
        let accesses = log.accesses();
        for n in 0..LINES_MAX {
            log.say(Level::Info, &format!("line {n}"));
        }
        log.say(Level::Warning, "too many");
        accesses(Access::default());
        log.clone().put(Line::Text("too many\n".to_owned()));
        drop(go);
        // The queue may still be full when the end comes: it must not be missed.
        log.end();
        let said = String::from_utf8(said.lock().expect("nobody panics with it").clone()).expect("text");
        assert!(
            said.contains(&format!("line {}\n", LINES_MAX - 1)),
            "all that found room"
        );
        assert!(said.contains("3 lines are missing here") && !said.contains("too many"));
    }
}
