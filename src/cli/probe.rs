//! `emu probe`: whether a function answers the same when its instance is used again, and when a message comes twice.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args as ClapArgs;
use serde_json::Value;

use super::failure::{FAILURE, Failure, Outcome};
use super::output::{data, say};
use super::settings::{self, RunArgs};
use super::{Global, json_line};
use crate::engine::LoadError;
use crate::live::probe::{self, Planned};
use crate::platform::time::Time;
use crate::project::diagnostic::{list_names, nearest};
use crate::project::{Function, Project};
use crate::report::style::{Tone, Verbosity};

const EXAMPLES: &str = "\
Examples:
  emu probe api                      samples of its routes, queue, topic and crons
  emu probe api --event '{\"request\": \"POST /orders\", \"body\": {\"id\": 7}}'
  emu probe billing --event '{\"message\": {\"id\": 7}}' --event events/order.json

An event is {\"request\": \"METHOD /path\", \"headers\", \"body\"}, {\"message\": body, \"attributes\", \"group\"}, {\"cron\": name}, or \
any other JSON, which the handler gets as it is. A file holds one or an array of them. Runs are compared with the same \
seed and a clock that stands still; queues, topics and key-value stores are in memory and begin empty. The exit code is 1 \
when something differs.";

/// Run events fresh and warm, and messages twice, and say where answers differ
#[derive(ClapArgs, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The function
    function: String,

    /// An event: a file or JSON; may be given again [default: samples of the function's triggers]
    #[arg(short, long = "event", value_name = "FILE|JSON", allow_hyphen_values = true)]
    events: Vec<String>,

    /// Let requests go out to `allow_hosts`, some five times for each event
    #[arg(long)]
    outbound: bool,

    /// Seed of the functions' randomness
    #[arg(long, value_name = "N", env = "EMU_SEED", default_value_t = 0)]
    seed: u64,

    /// A file of `NAME=value` lines, besides .env and .env.local; may be given again, the last wins
    #[arg(long = "env-file", value_name = "FILE")]
    env_files: Vec<PathBuf>,

    /// Print what was found as one JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args, global: &Global) -> Outcome {
    let run = RunArgs {
        env_files: args.env_files.clone(),
        ..RunArgs::default()
    };
    let project = settings::open(global.project.as_deref(), &run)?.loaded.project;
    let function = function(&project, &args.function)?.clone();
    let mut events = Vec::new();
    for given in &args.events {
        events.extend(planned(given, &function)?);
    }
    let options = probe::Options {
        events,
        outbound: args.outbound,
        seed: args.seed,
        now: now(),
    };
    let style = global.style();
    if style.verbosity > Verbosity::Quiet && function.build.is_some() {
        say(&style.paint(Tone::Dim, &format!("building {}\n", function.name)));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let probed = runtime.block_on(probe::probe(project, &function, &options));
    runtime.shutdown_background();
    let probed = probed.map_err(|error| not_built(&function.name, &error))?;
    if args.json {
        data(&json_line(&probed)?)?;
    } else {
        data(&probed.render(&global.data_style()))?;
    }
    Ok(ExitCode::from(if probed.is_clean() { 0 } else { FAILURE }))
}

/// A function of the project.
///
/// # Errors
/// With the names that there are, or the nearest one.
pub fn function<'a>(project: &'a Project, name: &str) -> Result<&'a Function, Failure> {
    project.functions.get(name).ok_or_else(|| {
        let names = project.functions.keys().chain(project.elsewhere.keys());
        let names = names.map(String::as_str);
        let remedy = match nearest(name, names.clone()) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("the project has {}", list_names(names)),
        };
        Failure::new(format!("no function named {name}")).remedy(remedy)
    })
}

/// A load that failed, with its place.
pub fn not_built(function: &str, error: &LoadError) -> Failure {
    let place = error.place.as_ref();
    let place = place.map_or(String::new(), |place| {
        format!("{}:{}:{}: ", place.file, place.line, place.column)
    });
    let detail = error
        .detail
        .as_deref()
        .map_or(String::new(), |detail| format!("\n{detail}"));
    Failure::new(format!("{function} does not build\n{place}{}{detail}", error.message))
}

/// A file of this name, else JSON: one event or an array of them.
fn planned(given: &str, function: &Function) -> Result<Vec<Planned>, Failure> {
    let (source, text) = if Path::new(given).is_file() {
        let read = std::fs::read_to_string(given);
        let text = read.map_err(|error| Failure::usage(format!("{given} cannot be read: {error}")))?;
        (given, text)
    } else {
        ("--event", given.to_owned())
    };
    let value: Value = serde_json::from_str(&text).map_err(|error| match source {
        "--event" => Failure::usage(format!("--event is neither a file nor JSON: {error}"))
            .remedy("quote JSON for the shell: --event '{\"request\": \"GET /\"}'"),
        file => Failure::usage(format!("{file} holds no JSON: {error}")),
    })?;
    let all = match value {
        Value::Array(events) => events,
        event => vec![event],
    };
    let one =
        |event: &Value| Planned::of(event, function).map_err(|message| Failure::usage(format!("{source}: {message}")));
    all.iter().map(one).collect()
}

/// Sessions and tokens in the events are good today.
fn now() -> Time {
    #[expect(
        clippy::disallowed_methods,
        reason = "a probe belongs to no emulator, so no clock of emu's holds for it"
    )]
    let now = std::time::SystemTime::now();
    let since = now.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Time::from_secs(since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_events_are_told_what_is_wrong() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("functions")).expect("a folder");
        std::fs::write(folder.path().join("functions/api.js"), "export default {}").expect("a file");
        let opened = settings::open(Some(folder.path()), &RunArgs::default()).expect("a project");
        let project = opened.loaded.project;
        let api = function(&project, "api").expect("it is there");
        assert!(
            function(&project, "apu")
                .expect_err("a slip")
                .render(&Default::default())
                .contains("did you mean api?")
        );
        let check = |event: &str, says: &str| {
            let failure = planned(event, api).expect_err(event);
            assert_eq!(failure.code, 2);
            let text = failure.render(&Default::default());
            assert!(text.contains(says), "{text}");
        };
        check("no-such-file.json", "neither a file nor JSON");
        check(
            r#"{"request": "GET /other"}"#,
            "no route of api takes GET /other; it has /api",
        );
        check(r#"{"request": "GET /api", "bodi": 1}"#, "did you mean `body`?");
        check(r#"{"request": "api"}"#, "write a method and a path");
        check(r#"{"message": 1}"#, "gets no messages");
        check(r#"{"cron": "daily"}"#, "has no cron");
        assert_eq!(
            planned(r#"[{"request": "GET /api/x"}, {"id": 7}]"#, api)
                .expect("two")
                .len(),
            2
        );
    }
}
