//! `emu logs`: what functions wrote and how they ended, from a running emulator's history or as it happens.

use std::collections::HashSet;
use std::process::ExitCode;

use clap::Args as ClapArgs;
use serde_json::Value;

use super::client::{Client, Events, block_on, find, try_find};
use super::failure::{Failure, Outcome};
use super::output::data;
use super::{Global, json_line};
use crate::live::{Archive, since};

use crate::platform::time::Time;
use crate::report::event::{Event, Stamped};
use crate::report::line::Renderer;

/// Invocations to show when nothing else is said.
const SHOWN: u32 = 20;
/// With --since.
const SHOWN_SINCE: u32 = 10_000;

/// Show what functions logged and how their invocations ended
#[derive(ClapArgs, Clone, Debug)]
#[command(
    after_help = "Examples:\n  emu logs\n  emu logs api --limit 5\n  emu logs --since 15m\n  emu logs -f\n\nWithout a running emulator: what the history in .emu has."
)]
pub struct Args {
    /// Only this function's
    function: Option<String>,

    /// Go on as it happens, until Ctrl-C
    #[arg(short, long)]
    follow: bool,

    /// From this time on: 15m, 2h, 1d ago, or an instant such as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = since_text)]
    since: Option<String>,

    /// Invocations to show, the newest [default: 20; with --since 10000]
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u32).range(..=10_000))]
    limit: Option<u32>,

    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

fn since_text(text: &str) -> Result<String, String> {
    let parsed = since(text, Time::ZERO);
    parsed
        .map(|_| text.to_owned())
        .map_err(|error| format!("{error}; give a time span such as 15m, or an instant such as 2026-01-31T12:00:00Z"))
}

impl Args {
    fn limit(&self) -> u32 {
        let default = if self.since.is_some() { SHOWN_SINCE } else { SHOWN };
        self.limit.unwrap_or(default)
    }
}

pub fn run(args: &Args, global: &Global) -> Outcome {
    let mut renderer = Renderer::new(global.data_style());
    if let (false, Some(archive)) = (args.follow || runs(global)?, archive(global)) {
        let past = archive.logs(args.function.as_deref(), args.since.as_deref(), args.limit())?;
        show_all(args, &mut renderer, past)?;
        return Ok(ExitCode::SUCCESS);
    }
    let client = find(global)?;
    block_on(async {
        // Before the past is read, so that nothing falls between the two.
        let events = match args.follow {
            true => Some(client.events().await?),
            false => None,
        };
        let past = history(args, &client).await?;
        let seen: HashSet<String> = past.iter().filter_map(|told| invocation_of(&told.event)).collect();
        show_all(args, &mut renderer, past)?;
        if let Some(events) = events {
            follow(args, events, &seen, &mut renderer).await?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Whether there is an emulator to ask; one that was named has to be.
pub fn runs(global: &Global) -> Result<bool, Failure> {
    match try_find(global)? {
        Some(client) => block_on(async { Ok(global.control_url.is_some() || client.answers().await) }),
        None => Ok(false),
    }
}

/// What is kept of a folder that no emulator serves.
pub fn archive(global: &Global) -> Option<Archive> {
    match &global.project {
        Some(path) => Archive::find(path),
        None => Archive::find(&std::env::current_dir().ok()?),
    }
}

async fn history(args: &Args, client: &Client) -> Result<Vec<Stamped>, Failure> {
    let limit = args.limit().to_string();
    let mut query = vec![("limit", limit.as_str())];
    if let Some(function) = &args.function {
        query.push(("function", function));
    }
    if let Some(since) = &args.since {
        query.push(("since", since));
    }
    client.get(&["_emu", "logs"], &query).await
}

fn show_all(args: &Args, renderer: &mut Renderer, past: Vec<Stamped>) -> Result<(), Failure> {
    if past.is_empty() && !args.json {
        let of = args
            .function
            .as_ref()
            .map_or(String::new(), |name| format!(" of {name}"));
        let since = args
            .since
            .as_ref()
            .map_or(String::new(), |since| format!(" since {since}"));
        super::output::say(&format!("the history has no invocations{of}{since}\n"));
    }
    renderer.fit_names(past.iter().filter_map(|told| function_of(&told.event)));
    past.into_iter().try_for_each(|told| show(args, renderer, &told))
}

/// `seen`: invocations that the past has shown.
async fn follow(
    args: &Args,
    mut events: Events,
    seen: &HashSet<String>,
    renderer: &mut Renderer,
) -> Result<(), Failure> {
    while let Some(text) = events.next().await {
        // What this version does not know is of a newer one.
        let Ok(stamped) = serde_json::from_str::<Stamped>(&text) else {
            if let Ok(Value::Object(missed)) = serde_json::from_str::<Value>(&text)
                && let Some(count) = missed.get("count").and_then(Value::as_u64)
            {
                super::output::say(&format!("... {count} events came too fast to be followed\n"));
            }
            continue;
        };
        if invocation_of(&stamped.event).is_some_and(|id| seen.contains(&id)) {
            continue;
        }
        if args
            .function
            .as_deref()
            .is_none_or(|name| function_of(&stamped.event) == Some(name))
        {
            show(args, renderer, &stamped)?;
        }
    }
    if events.cut_off {
        return Err(
            Failure::new("the emulator is gone: it was killed, or cannot be reached any more")
                .remedy("`emu dev` starts it again; `emu logs` shows what the history in .emu has"),
        );
    }
    super::output::say("the emulator has stopped\n");
    Ok(())
}

fn invocation_of(event: &Event) -> Option<String> {
    match event {
        Event::Invocation(e) => Some(e.id.clone()),
        Event::Log(e) => Some(e.invocation.clone()),
        _ => None,
    }
}

fn function_of(event: &Event) -> Option<&str> {
    match event {
        Event::Invocation(e) => Some(&e.function),
        Event::Instance(e) => Some(&e.function),
        Event::Reload(e) => Some(&e.function),
        Event::Log(e) => Some(&e.function),
        Event::Throttle(e) => Some(&e.function),
        Event::Retry(e) => Some(&e.function),
        Event::GaveUp(e) => Some(&e.function),
        Event::Fault(e) => Some(&e.function),
        Event::Ready(_) | Event::Message(_) | Event::Cron(_) | Event::Notice(_) => None,
    }
}

fn show(args: &Args, renderer: &mut Renderer, stamped: &Stamped) -> Result<(), Failure> {
    if args.json {
        data(&json_line(stamped)?)?;
    } else {
        for line in renderer.render(stamped) {
            data(&format!("{line}\n"))?;
        }
    }
    Ok(())
}
