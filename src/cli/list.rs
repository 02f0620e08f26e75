//! `emu status`, `functions`, `ps`, `queue`, `crons`: what a running emulator holds, as tables or JSON.

use std::process::ExitCode;

use clap::{Args as ClapArgs, Subcommand};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::client::{Client, block_on, find};
use super::failure::{Failure, Outcome};
use super::output::data;
use super::{Global, json_line};
use crate::live::api;
use crate::report::number::{count, long, plural};
use crate::report::sanitize;
use crate::report::style::day_and_time;
use crate::report::table::Table;

/// List the functions: where they answer, what they have done
#[derive(ClapArgs, Clone, Debug)]
pub struct FunctionsArgs {
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

/// List the instances: state, age, and when each will vanish
#[derive(ClapArgs, Clone, Debug)]
pub struct PsArgs {
    /// Only this function's
    function: Option<String>,

    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

/// List the crons and their next runs
#[derive(ClapArgs, Clone, Debug)]
pub struct CronsArgs {
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

/// Say what runs, where, and how much it has done
#[derive(ClapArgs, Clone, Debug)]
pub struct StatusArgs {
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// Look at queues, empty them, send dead letters back
#[derive(ClapArgs, Clone, Debug)]
#[command(after_help = "Without a subcommand: all queues.")]
pub struct QueueArgs {
    #[command(subcommand)]
    action: Option<QueueAction>,
}

#[derive(Subcommand, Clone, Debug)]
enum QueueAction {
    /// List all queues
    Ls {
        /// Print a JSON array
        #[arg(long)]
        json: bool,
    },
    /// Show one queue
    Show {
        queue: String,
        /// Print a JSON object
        #[arg(long)]
        json: bool,
    },
    /// Show the oldest messages of a queue and leave them where they are
    Peek {
        queue: String,
        /// How many at the most
        #[arg(long, value_name = "N", default_value_t = 10)]
        max: u32,
        /// Print a JSON array
        #[arg(long)]
        json: bool,
    },
    /// Take messages from a queue, as JSON, one a line; they come back unless they are deleted
    Receive {
        queue: String,
        /// How many at the most
        #[arg(long, value_name = "N", default_value_t = 1)]
        max: u32,
        /// Hide them for this long [default: the queue's visibility timeout]
        #[arg(long, value_name = "TIME", value_parser = super::time)]
        visibility: Option<String>,
        /// Delete them at once
        #[arg(long)]
        delete: bool,
    },
    /// Throw away all messages of a queue
    Purge { queue: String },
    /// Send the messages of a dead-letter queue back to where they came from
    Redrive { queue: String },
}

pub fn safe(text: &str) -> String {
    sanitize::line(text).into_owned()
}

/// A list as JSON, or as what `table` makes of it.
fn show<T: DeserializeOwned + Serialize>(
    global: &Global,
    what: &str,
    json: bool,
    table: impl FnOnce(&[T]) -> String,
) -> Outcome {
    let rows: Vec<T> = block_on(find(global)?.get(&["_emu", what], &[]))?;
    data(&if json { json_line(&rows)? } else { table(&rows) })?;
    Ok(ExitCode::SUCCESS)
}

pub fn functions(args: &FunctionsArgs, global: &Global) -> Outcome {
    show(global, "functions", args.json, functions_table)
}

fn functions_table(rows: &[api::Function]) -> String {
    if rows.is_empty() {
        return "no functions\n".to_owned();
    }
    let mut table = Table::new(&[
        "function",
        "version",
        "source",
        ">memory",
        ">invocations",
        ">errors",
        ">cold",
        "reached by",
    ]);
    for f in rows {
        let version = match (f.version, &f.error) {
            (Some(version), None) => format!("v{version}"),
            (Some(version), Some(_)) => format!("v{version} (new one fails)"),
            (None, _) => "does not build".to_owned(),
        };
        table.row([
            safe(&f.name),
            version,
            safe(&f.source),
            format!("{} MB", f.memory_mb),
            count(f.invocations),
            count(f.errors),
            count(f.cold_starts),
            reached_by(f),
        ]);
    }
    let mut out = table.render();
    for f in rows {
        if let Some(error) = &f.error {
            out.push_str(&format!("\n{} does not build:\n", safe(&f.name)));
            for line in error.lines() {
                out.push_str(&format!("  {}\n", safe(line)));
            }
        }
    }
    out
}

fn reached_by(f: &api::Function) -> String {
    let mut ways: Vec<String> = f.routes.iter().map(|route| safe(route)).collect();
    ways.extend(f.crons.iter().map(|cron| format!("cron {}", safe(&cron.schedule))));
    ways.extend(f.queue.iter().map(|queue| format!("queue {}", safe(queue))));
    ways.extend(f.topic.iter().map(|topic| format!("topic {}", safe(topic))));
    ways.join("\n")
}

pub fn ps(args: &PsArgs, global: &Global) -> Outcome {
    let client = find(global)?;
    block_on(async {
        let functions: Vec<api::Function> = client.get(&["_emu", "functions"], &[]).await?;
        if let Some(name) = &args.function {
            // The API knows the nearest name.
            let _: Value = client.get(&["_emu", "functions", name], &[]).await?;
        }
        let mut rows: Vec<api::Instance> = client.get(&["_emu", "instances"], &[]).await?;
        rows.retain(|row| args.function.as_ref().is_none_or(|name| *name == row.function));
        if args.json {
            data(&json_line(&rows)?)?;
            return Ok(ExitCode::SUCCESS);
        }
        let members: Vec<api::Member> = client.get(&["_emu", "members"], &[]).await?;
        data(&format!(
            "{}{}",
            instances_table(&rows, &functions),
            members_table(&members)
        ))?;
        Ok(ExitCode::SUCCESS)
    })
}

fn instances_table(rows: &[api::Instance], functions: &[api::Function]) -> String {
    let mut out = String::new();
    if rows.is_empty() {
        out.push_str("no instances: everything is scaled to zero, the next request is a cold start\n");
    } else {
        let mut table = Table::new(&[
            ">id",
            "function",
            "version",
            "state",
            ">age",
            ">idle",
            ">vanishes in",
            ">served",
            ">in flight",
        ]);
        for i in rows {
            let vanishes = match (i.expires_in_ms, i.state.as_str()) {
                (Some(ms), _) => long(ms),
                (None, "idle") => "kept".to_owned(),
                (None, _) => "-".to_owned(),
            };
            table.row([
                i.id.to_string(),
                safe(&i.function),
                format!("v{}", i.version),
                safe(&i.state),
                long(i.age_ms),
                i.idle_ms.map_or_else(|| "-".to_owned(), long),
                vanishes,
                count(i.invocations),
                i.in_flight.to_string(),
            ]);
        }
        out.push_str(&table.render());
    }
    for f in functions.iter().filter(|f| f.error.is_some()) {
        let serves = f
            .version
            .map_or_else(String::new, |version| format!(", version {version} serves on"));
        out.push_str(&format!(
            "{} does not build{serves}: `emu functions` shows why\n",
            safe(&f.name)
        ));
    }
    out
}

/// The group, when there is one; the instances above are of the first.
fn members_table(members: &[api::Member]) -> String {
    if members.len() < 2 {
        return String::new();
    }
    let mut table = Table::new(&[
        "member",
        "host",
        ">pid",
        ">last word",
        ">instances",
        "running",
        ">invocations",
        ">holds",
        "functions",
        "control API",
    ]);
    for (at, member) in members.iter().enumerate() {
        let running: Vec<String> = member
            .running
            .iter()
            .map(|(function, many)| format!("{} {many}", safe(function)))
            .collect();
        table.row([
            format!("{}{}", safe(&member.name), if at == 0 { " (this)" } else { "" }),
            safe(&member.host),
            member.pid.to_string(),
            if at == 0 {
                "now".to_owned()
            } else {
                long(member.silent_ms)
            },
            member.instances.to_string(),
            if running.is_empty() {
                "-".to_owned()
            } else {
                running.join(", ")
            },
            count(member.invocations),
            count(member.holds),
            safe(&member.functions_url),
            safe(&member.control_url),
        ]);
    }
    format!("\n{}", table.render())
}

pub fn crons(args: &CronsArgs, global: &Global) -> Outcome {
    show(global, "crons", args.json, crons_table)
}

fn crons_table(rows: &[api::CronState]) -> String {
    if rows.is_empty() {
        return "no crons: a function gets one by `cron = \"...\"` in emu.toml\n".to_owned();
    }
    let mut table = Table::new(&["cron", "function", "schedule", "zone", "overlap", "last", "next"]);
    for cron in rows {
        let next: Vec<String> = cron.next.iter().take(3).map(|at| day_and_time(at)).collect();
        table.row([
            safe(&cron.name),
            safe(&cron.function),
            safe(&cron.schedule),
            safe(&cron.timezone),
            safe(&cron.overlap),
            cron.last.as_deref().map_or_else(|| "-".to_owned(), day_and_time),
            if next.is_empty() {
                "never".to_owned()
            } else {
                next.join("\n")
            },
        ]);
    }
    table.render()
}

pub fn queue(args: &QueueArgs, global: &Global) -> Outcome {
    let Some(action) = &args.action else {
        return show(global, "queues", false, queues_table);
    };
    match action {
        QueueAction::Ls { json } => show(global, "queues", *json, queues_table),
        QueueAction::Show { queue, json } => {
            let row: api::Queue = block_on(find(global)?.get(&["_emu", "queues", queue], &[]))?;
            data(&if *json { json_line(&row)? } else { queue_text(&row) })?;
            Ok(ExitCode::SUCCESS)
        }
        QueueAction::Peek { queue, max, json } => peek(&find(global)?, queue, *max, *json),
        QueueAction::Receive {
            queue,
            max,
            visibility,
            delete,
        } => receive(&find(global)?, queue, *max, visibility.as_deref(), *delete),
        QueueAction::Purge { queue } => act(&find(global)?, queue, "purge", "purged"),
        QueueAction::Redrive { queue } => redrive(&find(global)?, queue),
    }
}

fn peek(client: &Client, queue: &str, max: u32, json: bool) -> Outcome {
    let path = ["_emu", "queues", queue, "messages"];
    let rows: Vec<api::Peeked> = block_on(client.get(&path, &[("max", &max.to_string())]))?;
    if json {
        data(&json_line(&rows)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    if rows.is_empty() {
        data("no messages\n")?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new(&["message", "state", ">receives", "sent at", "from", "body"]);
    for row in &rows {
        table.row([
            safe(&row.id),
            safe(&row.state),
            count(u64::from(row.receive_count)),
            safe(&row.sent_at),
            row.source.as_deref().map_or_else(|| "-".to_owned(), safe),
            safe(&row.body.to_string()),
        ]);
    }
    data(&table.render())?;
    Ok(ExitCode::SUCCESS)
}

fn receive(client: &Client, queue: &str, max: u32, visibility: Option<&str>, delete: bool) -> Outcome {
    let asked = api::Receive {
        max: Some(max),
        visibility: visibility.map(str::to_owned),
    };
    let messages: Vec<api::Received> = block_on(client.post(&["_emu", "queues", queue, "receive"], &asked))?;
    for message in &messages {
        data(&json_line(message)?)?;
        if delete {
            let by = api::ByReceipt {
                receipt: message.receipt.clone(),
                visibility: None,
            };
            let _: api::Checked = block_on(client.post(&["_emu", "queues", queue, "delete"], &by))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn redrive(client: &Client, queue: &str) -> Outcome {
    let held = |row: &api::Queue| row.visible + row.in_flight + row.delayed;
    let before: api::Queue = block_on(client.get(&["_emu", "queues", queue], &[]))?;
    let after: api::Queue = block_on(client.post(&["_emu", "queues", queue, "redrive"], &serde_json::json!({})))?;
    let moved = plural(held(&before).saturating_sub(held(&after)), "message", "messages");
    data(&format!("redriven {}: {moved}\n", safe(queue)))?;
    Ok(ExitCode::SUCCESS)
}

fn act(client: &Client, queue: &str, action: &str, done: &str) -> Outcome {
    let _: Value = block_on(client.post(&["_emu", "queues", queue, action], &serde_json::json!({})))?;
    data(&format!("{done} {}\n", safe(queue)))?;
    Ok(ExitCode::SUCCESS)
}

fn queues_table(rows: &[api::Queue]) -> String {
    if rows.is_empty() {
        return "no queues: emu.toml declares one by `[queues.NAME]`\n".to_owned();
    }
    let mut table = Table::new(&[
        "queue",
        ">visible",
        ">in flight",
        ">delayed",
        ">dead",
        ">oldest",
        "consumer",
        "dead letters to",
    ]);
    for q in rows {
        table.row([
            safe(&q.name),
            count(q.visible),
            count(q.in_flight),
            count(q.delayed),
            q.dead_letter.as_ref().map_or_else(|| "-".to_owned(), |_| count(q.dead)),
            q.oldest_ms.map_or_else(|| "-".to_owned(), long),
            q.consumer.as_deref().map_or_else(|| "-".to_owned(), safe),
            q.dead_letter.as_deref().map_or_else(|| "-".to_owned(), safe),
        ]);
    }
    table.render()
}

fn queue_text(q: &api::Queue) -> String {
    let mut lines = vec![
        ("visible", plural(q.visible, "message", "messages")),
        ("in flight", count(q.in_flight)),
        ("delayed", count(q.delayed)),
        ("visibility timeout", long(q.visibility_timeout_ms)),
    ];
    if let Some(oldest_ms) = q.oldest_ms {
        lines.push(("oldest", long(oldest_ms)));
    }
    if let Some(consumer) = &q.consumer {
        lines.push(("consumer", safe(consumer)));
    }
    if let Some(dead_letter) = &q.dead_letter {
        let after = q
            .max_receives
            .map(|n| format!(" after {n} receives"))
            .unwrap_or_default();
        lines.push((
            "dead letters",
            format!("{} in {}{after}", count(q.dead), safe(dead_letter)),
        ));
    }
    if q.fifo {
        lines.push(("order", "first in, first out in each group".to_owned()));
    }
    pairs(&lines)
}

fn pairs(lines: &[(&str, String)]) -> String {
    lines
        .iter()
        .map(|(name, value)| format!("{name:<20}{value}\n"))
        .collect()
}

pub fn status(args: &StatusArgs, global: &Global) -> Outcome {
    let client = find(global)?;
    let (health, functions): (api::Health, Vec<api::Function>) = block_on(async {
        let health = client.get(&["_emu", "health"], &[]).await?;
        let functions = client.get(&["_emu", "functions"], &[]).await?;
        Ok::<_, Failure>((health, functions))
    })?;
    data(&if args.json {
        json_line(&health)?
    } else {
        status_text(&health, &functions)
    })?;
    Ok(ExitCode::SUCCESS)
}

fn status_text(health: &api::Health, functions: &[api::Function]) -> String {
    let sum = |of: fn(&api::Function) -> u64| functions.iter().map(of).sum::<u64>();
    let broken = functions.iter().filter(|f| f.error.is_some()).count() as u64;
    let mut built = plural(functions.len() as u64, "function", "functions");
    if broken > 0 {
        built.push_str(&format!(", {} not building", count(broken)));
    }
    pairs(&[
        ("project", safe(&health.project)),
        ("status", format!("{}, {built}", safe(&health.status))),
        ("functions", safe(&health.functions_url)),
        ("control", safe(&health.control_url)),
        ("provider", safe(&health.provider)),
        ("clock", format!("{}, now {}", safe(&health.clock), safe(&health.now))),
        ("cold starts", safe(&health.cold_starts)),
        (
            "served",
            format!(
                "{}, {}, {}",
                plural(sum(|f| f.invocations), "invocation", "invocations"),
                plural(sum(|f| f.errors), "error", "errors"),
                plural(sum(|f| f.cold_starts), "cold start", "cold starts"),
            ),
        ),
        (
            "instances",
            count(functions.iter().map(|f| u64::from(f.instances)).sum()),
        ),
        (
            "up",
            format!(
                "{}, pid {}, emu {}",
                long(health.uptime_ms),
                health.pid,
                safe(&health.version)
            ),
        ),
    ])
}

#[cfg(test)]
pub use tests::{sample_function, sample_queue};

#[cfg(test)]
#[path = "list_tests.rs"]
mod tests;
