//! `emu why`: the causal chain of an invocation or a message, as a tree.

use std::process::ExitCode;

use clap::Args as ClapArgs;

use super::client::{block_on, find};
use super::failure::{Failure, Outcome};
use super::logs::{archive, runs};
use super::output::data;
use super::{Global, json_line};
use crate::live::api::{Hop, Step, Then, Why};
use crate::report::line::is_failure;
use crate::report::sanitize;
use crate::report::style::{Style, Tone};

/// Longest part of an error that is shown.
const ERROR_CHARS_MAX: usize = 120;

/// Show what led to an invocation or a message, what came of it, and by which rules
#[derive(ClapArgs, Clone, Debug)]
#[command(
    after_help = "The id is that of the x-emu-invocation header, of `emu send` or of `emu logs --json`; its last digits\nare enough when no other id ends so.\n\nExamples:\n  emu why 6f1c2a7e-91d4-8b3e-8c55-000100000007\n  emu why 0007"
)]
pub struct Args {
    /// Of an invocation or a message
    #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
    id: String,

    /// Print the tree as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args, global: &Global) -> Outcome {
    let why = ask(args, global)?;
    if args.json {
        data(&json_line(&why)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    for line in lines(&why, &global.data_style()) {
        data(&format!("{line}\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn ask(args: &Args, global: &Global) -> Result<Why, Failure> {
    if let (false, Some(archive)) = (runs(global)?, archive(global)) {
        return archive.why(&args.id)?.map_err(|unclear| {
            let (message, remedy) = unclear.explain(&args.id);
            Failure::new(message).remedy(remedy)
        });
    }
    block_on(async { find(global)?.get(&["_emu", "why", &args.id], &[]).await })
}

/// The tree, a line each.
fn lines(why: &Why, style: &Style) -> Vec<String> {
    let mut out = vec![head(&why.root, style)];
    below(&why.root, "", style, &mut out);
    if why.truncated {
        out.push(style.paint(Tone::Dim, "there is more; ask for an id further down"));
    }
    out
}

fn below(hop: &Hop, indent: &str, style: &Style, out: &mut Vec<String>) {
    let more = (hop.more > 0).then(|| format!("and {} more", hop.more));
    let count = hop.then.len() + usize::from(more.is_some());
    let branch = |at: usize| match at + 1 == count {
        true => ("└─ ", "   "),
        false => ("├─ ", "│  "),
    };
    for (at, then) in hop.then.iter().enumerate() {
        let (mark, continued) = branch(at);
        match then {
            Then::Step(step) => out.push(format!("{indent}{mark}{}", self::step(step, style))),
            Then::Hop(next) => {
                out.push(format!("{indent}{mark}{}", head(next, style)));
                below(next, &format!("{indent}{continued}"), style, out);
            }
        }
    }
    if let Some(more) = more {
        out.push(format!("{indent}└─ {}", style.paint(Tone::Dim, &more)));
    }
}

fn head(hop: &Hop, style: &Style) -> String {
    let mut line = String::new();
    if let Some(time) = &hop.time {
        line.push_str(&style.paint(Tone::Dim, &style.clock(time)));
        line.push(' ');
    }
    match (&hop.how, hop.kind.as_str()) {
        // Where a message went stands in how it came there.
        (Some(how), "message") => line.push_str(&sanitize::line(how)),
        (Some(how), _) => line.push_str(&format!("{}: {}", sanitize::line(how), sanitize::line(&hop.what))),
        (None, "message") => line.push_str(&format!("sent to {}", sanitize::line(&hop.what))),
        (None, _) => line.push_str(&sanitize::line(&hop.what)),
    }
    if let Some(outcome) = &hop.outcome {
        let tone = if is_failure(outcome) { Tone::Bad } else { Tone::Good };
        let word = sanitize::line(&outcome.replace('_', " ")).into_owned();
        let word = match (hop.status, outcome.as_str()) {
            (Some(status), "succeeded") => status.to_string(),
            (Some(status), _) => format!("{status} {word}"),
            (None, "succeeded") => "ok".to_owned(),
            (None, _) => word,
        };
        line.push(' ');
        line.push_str(&style.paint(tone, &word));
    }
    if let Some(error) = &hop.error {
        let short: String = error
            .lines()
            .next()
            .unwrap_or_default()
            .chars()
            .take(ERROR_CHARS_MAX)
            .collect();
        line.push_str(&style.paint(Tone::Bad, &format!(": {}", sanitize::line(&short))));
    }
    let mark = if hop.asked { "  <- asked for" } else { "" };
    let id = sanitize::line(&hop.id);
    line.push_str(&style.paint(Tone::Dim, &format!("  {id}")));
    line.push_str(&style.paint(Tone::Info, mark));
    line
}

fn step(step: &Step, style: &Style) -> String {
    let rule = match &step.rule {
        Some(rule) => style.paint(Tone::Dim, &format!("  ({})", sanitize::line(rule))),
        None => String::new(),
    };
    let time = style.paint(Tone::Dim, &style.clock(&step.time));
    format!("{time} {}{rule}", style.paint(Tone::Warn, &sanitize::line(&step.what)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::style::Zone;

    #[test]
    fn a_chain_reads_from_its_cause_to_its_end() {
        let step = |what: &str, rule: &str| {
            Then::Step(Step {
                time: "2026-01-31T12:00:02Z".to_owned(),
                what: what.to_owned(),
                rule: Some(rule.to_owned()),
            })
        };
        let hop = |kind: &str, id: &str, how: Option<&str>, what: &str, outcome: Option<&str>, then: Vec<Then>| Hop {
            kind: kind.to_owned(),
            id: id.to_owned(),
            how: how.map(str::to_owned),
            time: Some("2026-01-31T12:00:01Z".to_owned()),
            what: what.to_owned(),
            outcome: outcome.map(str::to_owned),
            asked: id == "m1",
            then,
            ..Hop::default()
        };
        let billing = Hop {
            error: Some("card\u{1b}[31m declined\nmore".to_owned()),
            ..hop(
                "invocation",
                "i2",
                Some("receive 1"),
                "billing orders (1 message)",
                Some("failed"),
                vec![],
            )
        };
        let message = hop(
            "message",
            "m1",
            Some("sent to queue orders"),
            "queue orders",
            None,
            vec![Then::Hop(billing), step("moved to queue dead", "max_receives")],
        );
        let root = Hop {
            status: Some(201),
            more: 2,
            ..hop(
                "invocation",
                "i1",
                None,
                "api POST /orders",
                Some("succeeded"),
                vec![Then::Hop(message)],
            )
        };
        let why = Why {
            asked: "m1".to_owned(),
            root,
            truncated: false,
        };
        let style = Style {
            zone: Zone::Utc,
            ..Style::default()
        };
        let want = "\
12:00:01 api POST /orders 201  i1
├─ 12:00:01 sent to queue orders  m1  <- asked for
│  ├─ 12:00:01 receive 1: billing orders (1 message) failed: card declined  i2
│  └─ 12:00:02 moved to queue dead  (max_receives)
└─ and 2 more";
        assert_eq!(lines(&why, &style).join("\n"), want);
    }
}
