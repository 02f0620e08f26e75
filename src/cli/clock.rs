//! `emu clock` and `emu wait`: moving the manual clock, and waiting for rest.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::{Args as ClapArgs, Subcommand};
use serde_json::{Value, json};

use super::client::{block_on, find};
use super::failure::{Failure, Outcome};
use super::output::data;
use super::{Global, json_line};
use crate::live::api;
use crate::report::number::plural;

/// Show the clock, or move a manual one (`emu dev --clock manual`, `emu exec --clock manual`)
#[derive(ClapArgs, Clone, Debug)]
#[command(after_help = "\
Examples:
  emu clock                              where it stands, and what falls due next
  emu clock advance 15m                  serve all that falls due in a quarter of an hour
  emu clock advance-to 2026-03-29T00:00:00Z
  emu clock run-until-idle               until nothing is queued, running or waits to be tried again
  emu clock run-until-idle --within 1d   the same, and the crons of a day

It returns when all that fell due has been done, and says what happened.")]
pub struct Args {
    #[command(subcommand)]
    what: Option<What>,

    /// Print the answer as JSON
    #[arg(long, global = true)]
    json: bool,

    /// Invocations that the move may begin [default: 1000000]
    #[arg(long, value_name = "N", global = true)]
    max_invocations: Option<u64>,
}

#[derive(Subcommand, Clone, Debug)]
enum What {
    /// Where it stands
    Show,
    /// Move it on by a time
    Advance {
        #[arg(value_name = "TIME", value_parser = super::time)]
        by: String,
    },
    /// Move it on to an instant
    AdvanceTo {
        #[arg(value_name = "INSTANT", value_parser = instant)]
        to: String,
    },
    /// Move it on until nothing is left to do
    RunUntilIdle {
        /// Go no further than this, and serve the crons up to there
        #[arg(long, value_name = "TIME", value_parser = super::time)]
        within: Option<String>,
    },
}

fn instant(text: &str) -> Result<String, String> {
    crate::live::instant(text).map(|_| text.to_owned())
}

pub fn run(args: &Args, global: &Global) -> Outcome {
    let mut asked = api::MoveClock {
        max_invocations: args.max_invocations,
        ..api::MoveClock::default()
    };
    match &args.what {
        None | Some(What::Show) => return show(args, global),
        Some(What::Advance { by }) => asked.advance = Some(by.clone()),
        Some(What::AdvanceTo { to }) => asked.advance_to = Some(to.clone()),
        Some(What::RunUntilIdle { within }) => {
            asked.run_until_idle = Some(within.clone().map_or(Value::Bool(true), Value::String));
        }
    }
    let moved: api::ClockMoved = block_on(find(global)?.post(&["_emu", "clock"], &asked))?;
    if args.json {
        data(&json_line(&moved)?)?;
    } else {
        data(&told(&moved))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn show(args: &Args, global: &Global) -> Outcome {
    let clock: api::ClockState = block_on(find(global)?.get(&["_emu", "clock"], &[]))?;
    if args.json {
        data(&json_line(&clock)?)?;
    } else {
        let next = clock.next.unwrap_or_else(|| "nothing".to_owned());
        data(&format!("{} ({})\nnext due: {next}\n", clock.now, clock.clock))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn told(moved: &api::ClockMoved) -> String {
    let mut text = format!("{} -> {}\n", moved.from, moved.now);
    let happened = &moved.happened;
    for (function, ran) in &happened.invocations {
        let failed = match ran.failed {
            0 => String::new(),
            failed => format!(", {failed} failed"),
        };
        let _ = writeln!(
            text,
            "{function}: {}{failed}",
            plural(ran.ran, "invocation", "invocations")
        );
    }
    for (count, one, several) in [
        (happened.retries, "retry", "retries"),
        (happened.dead_letters, "dead letter", "dead letters"),
        (happened.gave_up, "event given up", "events given up"),
    ] {
        if count > 0 {
            let _ = writeln!(text, "{}", plural(count, one, several));
        }
    }
    if let Some(next) = &moved.next {
        let _ = writeln!(text, "next due: {next}");
    }
    text
}

/// Wait until nothing is queued, running or due: a barrier for tests
#[derive(ClapArgs, Clone, Debug)]
#[command(after_help = "\
Examples:
  emu wait --idle                        30 s at the most
  emu wait --idle --timeout 5s
  emu wait --idle --caused-by ID         only what this request (x-emu-invocation) led to
  emu wait --idle --before 1m            what falls due later than in a minute does not count

A manual clock lets what runs come to its end; when something waits for a later time this fails at once, and
`emu clock run-until-idle` goes on. Ends with 1 when it is not idle in time, and says what is left.")]
pub struct WaitArgs {
    /// What to wait for
    #[arg(long, required = true)]
    idle: bool,

    /// How long, in real time [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = super::time)]
    timeout: Option<String>,

    /// Only what falls due within this time counts
    #[arg(long, value_name = "TIME", value_parser = super::time)]
    before: Option<String>,

    /// Only what this invocation or message led to
    #[arg(long, value_name = "ID")]
    caused_by: Option<String>,

    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

pub fn wait(args: &WaitArgs, global: &Global) -> Outcome {
    debug_assert!(args.idle, "the one thing to wait for");
    let all = [
        ("timeout", &args.timeout),
        ("before", &args.before),
        ("caused_by", &args.caused_by),
    ];
    let query: Vec<(&str, &str)> = all
        .iter()
        .filter_map(|(name, value)| Some((*name, value.as_deref()?)))
        .collect();
    let client = find(global)?;
    let answer: Result<Value, Failure> = block_on(client.get(&["_emu", "idle"], &query));
    let answer = answer?;
    if args.json {
        data(&json_line(&json!(answer))?)?;
    }
    Ok(ExitCode::SUCCESS)
}
