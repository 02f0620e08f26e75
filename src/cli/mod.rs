//! One file a command: clap types and a short `run`.

mod bill;
mod bundle;
mod cache;
mod client;
mod clock;
mod completions;
mod dev;
mod event_log;
mod exec;
mod export;
mod failure;
#[cfg(unix)]
mod guard;
mod head;
mod help;
mod invoke;
mod keys;
mod kv;
mod lesson;
mod list;
mod load;
mod logs;
mod man;
mod messages;
mod new;
mod output;
mod package;
mod probe;
mod record;
mod replay;
mod reset;
mod schema;
mod serve;
mod settings;
mod signals;
mod simulate;
mod snapshot;
mod test;
mod trace;
mod types;
mod validate;
mod why;

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::{ArgAction, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::report::style::{Style, Verbosity, wants_color};
use failure::Outcome;

/// The whole command line.
#[derive(Parser, Debug)]
#[command(name = "emu", version, about = help::ABOUT, after_help = help::AFTER, disable_help_subcommand = true)]
#[command(arg_required_else_help = true, max_term_width = 120)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,

    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Everywhere")]
pub struct Global {
    /// Say only what went wrong
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,

    /// Say more: what instances and messages go through
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,

    /// What emu says about its own doings on stderr: off, error, warn, info, debug, trace
    #[arg(
        long,
        global = true,
        value_name = "LEVEL",
        env = "EMU_LOG_LEVEL",
        hide_env_values = true
    )]
    pub log_level: Option<String>,

    /// The project [default: the nearest folder upward with emu.toml or functions/]
    #[arg(long, global = true, value_name = "DIR", env = "EMU_PROJECT", hide_env_values = true)]
    pub project: Option<PathBuf>,

    /// Control API of a running emulator [default: the one that serves the project]
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "EMU_CONTROL_URL",
        hide_env_values = true
    )]
    pub control_url: Option<String>,

    /// Secret that the control API asks for
    #[arg(
        long,
        global = true,
        value_name = "TOKEN",
        env = "EMU_CONTROL_TOKEN",
        hide_env_values = true
    )]
    pub control_token: Option<String>,
}

impl Global {
    /// How stderr looks.
    pub fn style(&self) -> Style {
        self.style_of(std::io::stderr().is_terminal())
    }

    /// How stdout looks, for commands whose lines are the data.
    pub fn data_style(&self) -> Style {
        self.style_of(std::io::stdout().is_terminal())
    }

    fn style_of(&self, is_terminal: bool) -> Style {
        let verbosity = match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (false, 0) => Verbosity::Normal,
            (false, _) => Verbosity::Verbose,
        };
        Style::new(wants_color(is_terminal, &env), verbosity)
    }
}

#[derive(Subcommand, Clone, Debug)]
enum Command {
    Dev(dev::Args),
    Serve(serve::Args),
    Exec(exec::Args),
    Test(test::Args),
    Invoke(invoke::Args),
    Probe(probe::Args),
    Record(record::Args),
    Replay(replay::Args),
    Send(messages::SendArgs),
    Publish(messages::PublishArgs),
    Fire(messages::FireArgs),
    Load(load::Args),
    Status(list::StatusArgs),
    Functions(list::FunctionsArgs),
    Ps(list::PsArgs),
    Queue(list::QueueArgs),
    Crons(list::CronsArgs),
    Clock(clock::Args),
    Wait(clock::WaitArgs),
    Reset(reset::Args),
    Kv(kv::Args),
    Snapshot(snapshot::Args),
    Logs(logs::Args),
    Why(why::Args),
    Bill(bill::Args),
    Simulate(simulate::Args),
    Lesson(lesson::Args),
    Trace(trace::Args),
    New(new::Args),
    Bundle(bundle::Args),
    Package(package::Args),
    Export(export::Args),
    Validate(validate::Args),
    Schema(schema::Args),
    Types(types::Args),
    Cache(cache::Args),
    Completions(completions::Args),
    #[command(hide = true)]
    Man(man::Args),
}

/// Parses the command line, runs the command, says what went wrong.
pub fn main(started: Instant) -> ExitCode {
    #[cfg(unix)]
    if let Some(code) = guard::main() {
        return code;
    }
    let matches = help::grouped(Cli::command()).get_matches();
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let outcome = log(&cli.global).and_then(|()| cli.command.run(&cli.global, started));
    match outcome {
        Ok(code) => code,
        Err(failure) => {
            output::say(&failure.render(&cli.global.style()));
            ExitCode::from(failure.code)
        }
    }
}

impl Command {
    fn run(&self, global: &Global, started: Instant) -> Outcome {
        match self {
            Command::Dev(args) => dev::run(args, global, started),
            Command::Serve(args) => serve::run(args, global),
            Command::Exec(args) => exec::run(args, global),
            Command::Test(args) => test::run(args, global),
            Command::Invoke(args) => invoke::run(args, global),
            Command::Probe(args) => probe::run(args, global),
            Command::Record(args) => record::run(args, global),
            Command::Replay(args) => replay::run(args, global),
            Command::Send(args) => messages::send(args, global),
            Command::Publish(args) => messages::publish(args, global),
            Command::Fire(args) => messages::fire(args, global),
            Command::Load(args) => load::run(args, global),
            Command::Status(args) => list::status(args, global),
            Command::Functions(args) => list::functions(args, global),
            Command::Ps(args) => list::ps(args, global),
            Command::Queue(args) => list::queue(args, global),
            Command::Crons(args) => list::crons(args, global),
            Command::Clock(args) => clock::run(args, global),
            Command::Wait(args) => clock::wait(args, global),
            Command::Reset(args) => reset::run(args, global),
            Command::Kv(args) => kv::run(args, global),
            Command::Snapshot(args) => snapshot::run(args, global),
            Command::Logs(args) => logs::run(args, global),
            Command::Why(args) => why::run(args, global),
            Command::Bill(args) => bill::run(args, global),
            Command::Simulate(args) => simulate::run(args, global),
            Command::Lesson(args) => lesson::run(args, global),
            Command::Trace(args) => trace::run(args),
            Command::New(args) => new::run(args),
            Command::Bundle(args) => bundle::run(args, global),
            Command::Export(args) => export::run(args, global),
            Command::Package(args) => package::run(args, global),
            Command::Validate(args) => validate::run(args, global),
            Command::Schema(args) => schema::run(args),
            Command::Types(args) => types::run(args, global),
            Command::Cache(args) => cache::run(args),
            Command::Man(args) => man::run(args, help::grouped(Cli::command())),
            Command::Completions(args) => completions::run(args, &mut Cli::command()),
        }
    }
}

/// emu's own diagnostics, which are not what people's lines or events are for.
fn log(global: &Global) -> Result<(), failure::Failure> {
    // What a bus refuses, emu tells in words of its own.
    let level = global.log_level.as_deref().unwrap_or("error,async_nats=off");
    let filter = tracing_subscriber::EnvFilter::try_new(level).map_err(|error| {
        failure::Failure::usage(format!("--log-level {level:?}: {error}"))
            .remedy("give off, error, warn, info, debug or trace")
    })?;
    // Set already only when a test runs this twice in one process.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .try_init();
    Ok(())
}

/// An environment variable that is text.
fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// A value as one line of JSON.
/// A time such as `30s`, which goes to the emulator as it was typed.
fn time(text: &str) -> Result<String, String> {
    let parsed = crate::project::units::parse_span(text);
    parsed.map(|_| text.to_owned()).map_err(|error| error.to_string())
}

fn json_line(value: &impl serde::Serialize) -> Result<String, failure::Failure> {
    let text = serde_json::to_string(value).map_err(|error| failure::Failure::new(format!("not JSON: {error}")))?;
    Ok(text + "\n")
}
