//! `emu invoke`: one invocation with an event of one's own, against a running emulator or one made for the purpose.

use std::path::Path;
use std::process::ExitCode;

use clap::Args as ClapArgs;
use serde_json::Value;

use super::client::{Client, try_find};
use super::failure::{FAILURE, Failure, Outcome};
use super::messages::stdin;
use super::output::{Output, data, machine_time, say};
use super::settings::{self, RunArgs};
use super::{Global, json_line};
use crate::engine::Stream;
use crate::live::{self, api};
use crate::report::event::{Event, Log, Stamped};
use crate::report::line::Renderer;

const EXAMPLES: &str = "\
Examples:
  emu invoke api                          an empty event, {}
  emu invoke api --event '{\"id\": 7}'
  emu invoke api --event events/order.json
  jq '.[0]' orders.json | emu invoke api --event -

The answer goes to stdout as JSON; logs and the report line go to stderr. The exit code is 1 when the function failed. \
Without a running emulator the project is loaded for this one invocation.";

/// Invoke a function with an event
#[derive(ClapArgs, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The function
    function: String,

    /// The event: a file, JSON, or - for stdin
    #[arg(
        short,
        long,
        value_name = "FILE|JSON|-",
        default_value = "{}",
        allow_hyphen_values = true
    )]
    event: String,

    /// Print everything (answer, log, figures) as one JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    run: RunArgs,
}

pub fn run(args: &Args, global: &Global) -> Outcome {
    let event = event(&args.event)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let invoked = runtime.block_on(invoke(args, global, &event));
    runtime.shutdown_background();
    tell(args, global, &invoked?)
}

async fn invoke(args: &Args, global: &Global, event: &Value) -> Result<api::Invoked, Failure> {
    let path = ["_emu", "functions", args.function.as_str(), "invoke"];
    if let Some(client) = try_find(global)?
        && (global.control_url.is_some() || client.answers().await)
    {
        return client.post(&path, event).await;
    }
    let opened = settings::open(global.project.as_deref(), &args.run)?;
    let project = opened.loaded.project;
    let function = super::probe::function(&project, &args.function)?;
    let name = function.name.clone();
    let options = settings::private(&args.run, None, &project.dev, 0);
    // The answer has the log; the rest of the project's doings are nobody's business here.
    let output = Output::kept_back(global.style());
    let live = live::start(project, opened.read, options, output.sink()).await?;
    let broken = live
        .functions()
        .into_iter()
        .find(|f| f.name == name)
        .and_then(|f| f.error);
    let answer = match broken {
        Some(error) => Err(Failure::new(format!("{name} does not build\n{error}"))),
        None => Client::to(&live.control_url, None)?.post(&path, event).await,
    };
    live.shutdown().await;
    answer
}

/// A file of this name, else JSON.
fn event(text: &str) -> Result<Value, Failure> {
    let (source, text) = if text == "-" {
        ("stdin".to_owned(), stdin()?)
    } else if Path::new(text).is_file() {
        let read = std::fs::read_to_string(text);
        (
            text.to_owned(),
            read.map_err(|error| Failure::usage(format!("{text} cannot be read: {error}")))?,
        )
    } else {
        return serde_json::from_str(text).map_err(|error| {
            Failure::usage(format!("--event is neither a file nor JSON: {error}"))
                .remedy("quote JSON for the shell: --event '{\"id\": 7}'")
        });
    };
    serde_json::from_str(&text).map_err(|error| Failure::usage(format!("{source} holds no JSON: {error}")))
}

fn tell(args: &Args, global: &Global, invoked: &api::Invoked) -> Outcome {
    let succeeded = invoked.invocation.outcome == "succeeded";
    if args.json {
        data(&json_line(invoked)?)?;
    } else {
        let mut text = report(global, invoked);
        text.push('\n');
        say(&text);
        if succeeded {
            let answer = serde_json::to_string_pretty(&invoked.response).unwrap_or_default();
            data(&format!("{answer}\n"))?;
        }
    }
    Ok(ExitCode::from(if succeeded { 0 } else { FAILURE }))
}

/// The log and the report line, as `emu dev` shows them.
fn report(global: &Global, invoked: &api::Invoked) -> String {
    let time = machine_time();
    let mut renderer = Renderer::new(global.style());
    let log = invoked
        .log
        .iter()
        .map(|line| Event::Log(log(invoked, line.stream, &line.text)));
    let events = log.chain([Event::Invocation(invoked.invocation.clone())]);
    let lines: Vec<String> = events
        .flat_map(|event| {
            let stamped = Stamped {
                time: time.clone(),
                event,
            };
            renderer.render(&stamped)
        })
        .collect();
    lines.join("\n")
}

fn log(invoked: &api::Invoked, stream: Stream, text: &str) -> Log {
    Log {
        function: invoked.invocation.function.clone(),
        invocation: invoked.invocation.id.clone(),
        stream,
        text: text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn events_come_from_files_or_the_command_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("event.json");
        std::fs::write(&file, "[1]").expect("a file");
        assert_eq!(event(file.to_str().expect("text")).expect("a file"), json!([1]));
        assert_eq!(event(r#"{"id": 7}"#).expect("JSON"), json!({"id": 7}));
        let failure = event("no-such-file.json").expect_err("neither");
        assert_eq!(failure.code, 2);
        std::fs::write(&file, "{").expect("a file");
        assert_eq!(event(file.to_str().expect("text")).expect_err("no JSON").code, 2);
    }
}
