//! A lesson's text: Markdown whose commands are run, and which holds what they came to.
//!
//! - Each line `emu simulate FILE ...` in a block marked `sh` is a run; runs are numbered from 1.
//! - A block marked `text 1` holds what run 1 prints, `text 1:10m:api:instances over time` or `text 1:*:api:cold_share` a
//!   [chart](super::chart) of it.
//! - `{{1:api:cost_month_dollars}}` is a [value](super::value). In the files it stands in a comment with its figure behind it, so that
//!   they read well where Markdown is shown: `<!--{{...}}-->$12.40<!---->`.

use clap::{Args as _, FromArgMatches as _};

use super::super::failure::Failure;
use super::super::simulate;
use super::Language;
use super::catalog::Lesson;
use super::{chart, value};
use crate::report::simulation::Simulation;

/// A block that a run fills.
const OUTPUT: &str = "```text ";
const FENCE: &str = "```";

/// Whether comments stay around the figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marks {
    Dropped,
    Kept,
}

/// The commands that are run, in their order.
pub fn commands(text: &str) -> Vec<&str> {
    let (mut found, mut in_shell) = (Vec::new(), false);
    for line in text.lines() {
        if line.starts_with(FENCE) {
            in_shell = line == "```sh";
        } else if in_shell && line.starts_with("emu simulate ") {
            found.push(line);
        }
    }
    found
}

/// Runs the text's commands against the lesson's own files.
///
/// # Errors
/// When a command is wrong, which a test rules out for the lessons that are compiled in.
pub fn run(lesson: &Lesson, text: &str) -> Result<Vec<Simulation>, Failure> {
    commands(text).into_iter().map(|line| one(lesson, line)).collect()
}

fn one(lesson: &Lesson, line: &str) -> Result<Simulation, Failure> {
    let fault = |what: &str| Failure::new(format!("lesson {}: `{line}`: {what}", lesson.name));
    let line_words = words(line.split(" #").next().unwrap_or(line));
    let command = simulate::Args::augment_args(clap::Command::new("simulate").no_binary_name(true));
    let args = command
        .try_get_matches_from(line_words.iter().skip(2))
        .and_then(|matches| simulate::Args::from_arg_matches(&matches))
        .map_err(|error| fault(&error.to_string()))?;
    let path = args.file.clone().ok_or_else(|| fault("names no file"))?;
    let file = lesson.files.iter().find(|(name, _)| path.as_os_str() == *name);
    let (_, text) = file.ok_or_else(|| fault("there is no such file"))?;
    simulate::of_text(&args, &path, text)
}

/// As a shell splits them; quotes hold words together.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut quote, mut open) = (Vec::new(), None, false);
    for c in line.chars() {
        match (quote, c) {
            (Some(end), _) if c == end => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, ' ') => {
                open = false;
                continue;
            }
            _ => {}
        }
        if !open {
            words.push(String::new());
            open = true;
        }
        let is_quote = matches!(c, '\'' | '"') && (quote.is_none() || quote == Some(c));
        if let Some(word) = words.last_mut().filter(|_| !is_quote) {
            word.push(c);
        }
    }
    words
}

/// The text with the runs' figures in it.
///
/// # Errors
/// What names no run, side or figure.
pub fn fill(text: &str, runs: &[Simulation], lang: Language, marks: Marks) -> Result<String, String> {
    let mut out = String::new();
    let mut lines = text.lines();
    let mut in_block = false;
    while let Some(line) = lines.next() {
        if let Some(what) = line.strip_prefix(OUTPUT).filter(|_| !in_block) {
            let fence = if marks == Marks::Kept { line } else { "```text" };
            out.push_str(&format!("{fence}\n{}{FENCE}\n", output(what, runs, lang)?));
            if !lines.by_ref().any(|line| line == FENCE) {
                return Err(format!("the block `{line}` has no end"));
            }
            continue;
        }
        in_block ^= line.starts_with(FENCE);
        if in_block {
            out.push_str(line);
        } else {
            out.push_str(&values(line, runs, lang, marks)?);
        }
        out.push('\n');
    }
    Ok(out)
}

fn output(what: &str, runs: &[Simulation], lang: Language) -> Result<String, String> {
    if what.contains(':') {
        return chart::draw(what, runs, lang);
    }
    let run = what.parse::<usize>().ok().and_then(|run| runs.get(run.checked_sub(1)?));
    let run = run.ok_or_else(|| format!("there is no run {what}"))?;
    Ok(run.text())
}

fn values(line: &str, runs: &[Simulation], lang: Language, marks: Marks) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("{{") {
        let (expression, after) = after
            .split_once("}}")
            .ok_or_else(|| format!("`{{{{` without its end: {line}"))?;
        let shown = value::show(expression, runs, lang)?;
        let (before, after) = match before.strip_suffix("<!--") {
            Some(before) => {
                let end = after.split_once("<!---->").map(|(_, after)| after);
                (before, end.ok_or_else(|| format!("a figure without its end: {line}"))?)
            }
            None => (before, after),
        };
        out.push_str(before);
        out.push_str(&match marks {
            Marks::Dropped => shown,
            Marks::Kept => format!("<!--{{{{{expression}}}}}-->{shown}<!---->"),
        });
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}
