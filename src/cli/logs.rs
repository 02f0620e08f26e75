//! `emu logs`: what functions wrote and how they ended, from a running emulator's history or as it happens.

use std::process::ExitCode;

use clap::Args as ClapArgs;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::client::{Client, block_on, find};
use super::failure::{Failure, Outcome};
use super::output::data;
use super::{Global, json_line};
use crate::live::api;
use crate::report::event::{Event, Invocation, Log, Stamped};
use crate::report::line::Renderer;
use crate::report::redact::Redactor;
use crate::report::style::{Style, wants_color};

/// Show what functions logged and how their invocations ended
#[derive(ClapArgs, Clone, Debug)]
#[command(after_help = "Examples:\n  emu logs\n  emu logs api --limit 5\n  emu logs -f")]
pub struct Args {
    /// Only this function's
    function: Option<String>,

    /// Go on as it happens, until Ctrl-C
    #[arg(short, long)]
    follow: bool,

    /// Invocations to show, the newest
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    limit: u16,

    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

/// A row of GET `/_emu/invocations`.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Row {
    time: String,
    #[serde(flatten)]
    invocation: Invocation,
}

pub fn run(args: &Args, global: &Global) -> Outcome {
    let client = find(global)?;
    // Here the lines are the data, so they go to stdout.
    let color = wants_color(std::io::IsTerminal::is_terminal(&std::io::stdout()), &super::env);
    let style = Style::new(color, global.style().verbosity);
    colored::control::set_override(color);
    let mut renderer = Renderer::new(style, Redactor::default());
    block_on(async {
        history(args, &client, &mut renderer).await?;
        if args.follow {
            follow(args, &client, &mut renderer).await?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

async fn history(args: &Args, client: &Client, renderer: &mut Renderer) -> Result<(), Failure> {
    let limit = args.limit.to_string();
    let mut query = vec![("limit", limit.as_str())];
    if let Some(function) = &args.function {
        query.push(("function", function));
    }
    let mut rows: Vec<Row> = client.get(&["_emu", "invocations"], &query).await?;
    // Newest first as they come, newest last as people read.
    rows.reverse();
    renderer.fit_names(rows.iter().map(|row| row.invocation.function.as_str()));
    for row in rows {
        let detail: Result<api::InvocationDetail, Failure> =
            client.get(&["_emu", "invocations", &row.invocation.id], &[]).await;
        // It may have left the history in between: then only its line is known.
        let log = detail.map(|detail| detail.log).unwrap_or_default();
        for line in log {
            let event = Event::Log(Log {
                function: row.invocation.function.clone(),
                invocation: row.invocation.id.clone(),
                stream: line.stream,
                text: line.text,
            });
            show(args, renderer, row.time.clone(), event)?;
        }
        show(args, renderer, row.time, Event::Invocation(row.invocation))?;
    }
    Ok(())
}

async fn follow(args: &Args, client: &Client, renderer: &mut Renderer) -> Result<(), Failure> {
    let mut events = client.events().await?;
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
        if args
            .function
            .as_deref()
            .is_none_or(|name| function_of(&stamped.event) == Some(name))
        {
            show(args, renderer, stamped.time, stamped.event)?;
        }
    }
    Ok(())
}

fn function_of(event: &Event) -> Option<&str> {
    match event {
        Event::Invocation(e) => Some(&e.function),
        Event::Instance(e) => Some(&e.function),
        Event::Reload(e) => Some(&e.function),
        Event::Log(e) => Some(&e.function),
        Event::Throttle(e) => Some(&e.function),
        Event::Ready(_) | Event::Message(_) | Event::Cron(_) | Event::Notice(_) => None,
    }
}

fn show(args: &Args, renderer: &mut Renderer, time: String, event: Event) -> Result<(), Failure> {
    let stamped = Stamped { time, event };
    if args.json {
        data(&json_line(&stamped)?)?;
    } else {
        for line in renderer.render(&stamped) {
            data(&format!("{line}\n"))?;
        }
    }
    Ok(())
}
