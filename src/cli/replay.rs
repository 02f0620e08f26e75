//! `emu replay`: one invocation of the past once more on today's code, and what is different.

use std::process::ExitCode;

use clap::Args as ClapArgs;
use serde_json::{Value, json};

use super::client::{Client, block_on, find};
use super::failure::{FAILURE, Failure, Outcome};
use super::logs::{archive, runs};
use super::output::{Output, data};
use super::settings::{self, RunArgs};
use super::test::fits;
use super::{Global, json_line};
use crate::live;
use crate::live::api::{InvocationDetail, KeptBody, Listed, Replay, Replayed, Why};
use crate::report::number::millis;
use crate::report::sanitize;
use crate::report::style::{Style, Tone};

const EXAMPLES: &str = "\
Examples:
  emu replay 6f1c2a7e-91d4-8b3e-8c55-000100000007
  emu replay 0007                        any end of the id that no other has
  emu replay 0007 --json | jq .differs

The function gets what it got then: the request with its headers and body, the messages, the event. Outcome, status, headers (but \
for date), body and error are compared; duration, start and log lines are shown. The exit code is 0 when nothing differs, 1 when \
something does. What the function sends, stores and calls, it sends, stores and calls again. Without a running emulator the project \
is loaded for this one invocation, with its messages and keys in memory.";

/// Run an invocation of the past again on today's code, and show what differs
#[derive(ClapArgs, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Of an invocation: from the x-emu-invocation header, `emu logs` or the dashboard
    #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
    id: String,

    /// Print both, and what differs, as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    run: RunArgs,
}

pub fn run(args: &Args, global: &Global) -> Outcome {
    let (before, after) = match (runs(global)?, archive(global)) {
        (false, Some(archive)) => alone(args, global, &archive)?,
        _ => block_on(running(args, global))?,
    };
    let found = Found::of(&before, &after);
    if args.json {
        let value =
            json!({ "same": found.parts.is_empty(), "differs": found.names(), "before": before, "after": after });
        data(&json_line(&value)?)?;
    } else {
        data(&found.shown(&before, &after, &global.data_style()))?;
    }
    Ok(ExitCode::from(if found.parts.is_empty() { 0 } else { FAILURE }))
}

/// On the emulator that runs.
async fn running(args: &Args, global: &Global) -> Result<(InvocationDetail, InvocationDetail), Failure> {
    let client = find(global)?;
    let mut id = args.id.clone();
    if id.len() < 36 {
        let all: Vec<Listed> = client.get(&["_emu", "invocations"], &[("limit", "10000")]).await?;
        let mut ends = all
            .into_iter()
            .map(|one| one.invocation.id)
            .filter(|one| one.ends_with(&id));
        id = match (ends.next(), ends.next()) {
            (Some(one), None) => one,
            // None or several: the history says which, and what to give.
            _ => client.get::<Why>(&["_emu", "why", &id], &[]).await?.asked,
        };
    }
    let replayed: Replayed = client
        .post(&["_emu", "invocations", &id, "replay"], &Replay::default())
        .await?;
    let before = replayed
        .before
        .ok_or_else(|| Failure::new("the emulator did not say what was before"))?;
    Ok((before, replayed.after))
}

/// On an emulator made for the purpose, from what a folder's history holds.
fn alone(
    args: &Args,
    global: &Global,
    archive: &live::Archive,
) -> Result<(InvocationDetail, InvocationDetail), Failure> {
    let found = archive.invocation(&args.id)?.map_err(|unclear| {
        let (message, remedy) = unclear.explain(&args.id);
        Failure::new(message).remedy(remedy)
    })?;
    let before = found.ok_or_else(|| {
        Failure::new(format!("{} is no invocation that has ended", args.id)).remedy("`emu why` tells what it is")
    })?;
    let Some(request) = before.request.clone() else {
        let message = format!("what invocation {} was given is not kept", before.invocation.id);
        return Err(Failure::new(message)
            .remedy("raise max_bodies under [history] in emu.toml, and send the request again from where it came"));
    };
    let asked = Replay {
        function: Some(before.invocation.function.clone()),
        request: Some(request),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let replayed = runtime.block_on(start(args, global, &before.invocation.id, &asked));
    runtime.shutdown_background();
    Ok((before, replayed?.after))
}

async fn start(args: &Args, global: &Global, id: &str, asked: &Replay) -> Result<Replayed, Failure> {
    let opened = settings::open(global.project.as_deref(), &args.run)?;
    let mut project = opened.loaded.project;
    let function = super::probe::function(&project, asked.function.as_deref().unwrap_or_default())?;
    let name = function.name.clone();
    // The answer is asked for.
    project.history = crate::project::HistorySettings::default();
    let options = settings::private(&args.run, None, &project.dev, 0);
    let output = Output::kept_back(global.style());
    let live = live::start(project, opened.read, options, output.sink()).await?;
    let mut functions = live.functions().into_iter();
    let broken = functions
        .find(|function| function.name == name)
        .and_then(|function| function.error);
    let answer = match broken {
        Some(error) => Err(Failure::new(format!("{name} does not build\n{error}"))),
        None => {
            Client::to(&live.control_url, None)?
                .post(&["_emu", "invocations", id, "replay"], asked)
                .await
        }
    };
    live.shutdown().await;
    answer
}

/// What differs: names of parts with the lines that show it.
struct Found {
    parts: Vec<(&'static str, String)>,
    /// Only heads of bodies could be compared.
    cut: bool,
}

impl Found {
    fn of(before: &InvocationDetail, after: &InvocationDetail) -> Found {
        let mut found = Found {
            parts: Vec::new(),
            cut: false,
        };
        let (was, is) = (&before.invocation, &after.invocation);
        found.word("outcome", &was.outcome, &is.outcome);
        let status = |status: Option<u16>| status.map_or("none".to_owned(), |status| status.to_string());
        found.word("status", &status(was.status), &status(is.status));
        let error = |detail: &InvocationDetail| {
            let error = detail.invocation.error.as_ref();
            error.map_or("none".to_owned(), |error| error.message.clone())
        };
        found.word("error", &error(before), &error(after));
        let (was, is) = (headers(before), headers(after));
        if was != is {
            found.parts.push(("headers", fits::diff(&was, &is)));
        }
        let none = KeptBody::default();
        let body = |detail: &InvocationDetail| detail.response.as_ref().map(|response| response.content.clone());
        found.body(&body(before).unwrap_or(none.clone()), &body(after).unwrap_or(none));
        found
    }

    fn word(&mut self, name: &'static str, was: &str, is: &str) {
        if was != is {
            self.parts
                .push((name, fits::diff(&format!("{was}\n"), &format!("{is}\n"))));
        }
    }

    fn body(&mut self, was: &KeptBody, is: &KeptBody) {
        self.cut = was.truncated || is.truncated;
        if was == is {
            return;
        }
        let parsed = |body: &KeptBody| serde_json::from_str::<Value>(body.body.as_deref()?).ok();
        let lines = match (parsed(was), parsed(is)) {
            (Some(was), Some(is)) if was == is => return,
            (Some(was), Some(is)) => fits::diff(&format!("{was:#}\n"), &format!("{is:#}\n")),
            _ => {
                let text = |body: &KeptBody| {
                    let text = body
                        .body
                        .clone()
                        .or_else(|| body.base64.as_ref().map(|text| format!("base64: {text}")));
                    let cut = if body.truncated {
                        format!("\n... of {} bytes", body.bytes)
                    } else {
                        String::new()
                    };
                    format!("{}{cut}\n", text.unwrap_or_default().trim_end_matches('\n'))
                };
                fits::diff(&text(was), &text(is))
            }
        };
        self.parts.push(("body", lines));
    }

    fn names(&self) -> Vec<&'static str> {
        self.parts.iter().map(|(name, _)| *name).collect()
    }

    fn shown(&self, before: &InvocationDetail, after: &InvocationDetail, style: &Style) -> String {
        let (was, is) = (&before.invocation, &after.invocation);
        let mut text = format!(
            "{} {} v{} {} -> v{} {}\n",
            style.paint(Tone::Strong, &sanitize::line(&was.function)),
            sanitize::line(&was.summary),
            was.version,
            ended(before),
            is.version,
            ended(after),
        );
        for (name, lines) in &self.parts {
            text.push_str(&format!(
                "\n{} differs\n{}",
                style.paint(Tone::Bad, name),
                painted(lines, style)
            ));
        }
        let (said, says) = (log(before), log(after));
        if said != says {
            let shown = painted(&fits::diff(&said, &says), style);
            text.push_str(&format!("\n{} (not compared)\n{shown}", style.paint(Tone::Info, "log")));
        }
        if self.cut {
            text.push_str("\nonly the first 64 KiB of a body are kept, and compared\n");
        }
        let verdict = match self.parts.is_empty() {
            true => style.paint(Tone::Good, "same"),
            false => style.paint(Tone::Bad, &format!("different: {}", self.names().join(", "))),
        };
        text.push_str(&format!("\n{verdict}  {}\n", sanitize::line(&is.id)));
        text
    }
}

/// `201 cold in 3.1 ms`.
fn ended(detail: &InvocationDetail) -> String {
    let one = &detail.invocation;
    let outcome = match one.status {
        Some(status) => status.to_string(),
        None => one.outcome.clone(),
    };
    let start = if one.cold { "cold" } else { "warm" };
    format!("{outcome} {start} in {}", millis(one.duration_ms))
}

/// The answer's headers, a line each in order of names; without those that differ each time.
fn headers(detail: &InvocationDetail) -> String {
    let headers = detail.response.iter().flat_map(|response| &response.headers);
    let mut lines: Vec<String> = headers
        .filter(|(name, _)| !name.eq_ignore_ascii_case("date"))
        .map(|(name, value)| format!("{name}: {value}\n"))
        .collect();
    lines.sort();
    lines.concat()
}

fn log(detail: &InvocationDetail) -> String {
    detail.log.iter().map(|line| format!("{}\n", line.text)).collect()
}

fn painted(lines: &str, style: &Style) -> String {
    let one = |line: &str| {
        let safe = sanitize::line(line);
        let tone = match line.as_bytes().first() {
            Some(b'-') => Tone::Bad,
            Some(b'+') => Tone::Good,
            _ => return format!("  {safe}\n"),
        };
        format!("  {}\n", style.paint(tone, &safe))
    };
    let lines = lines.replace("- expected\n+ actual\n", "- before\n+ after\n");
    lines.lines().map(one).collect()
}
