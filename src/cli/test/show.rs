//! How results look: a line for each file, what differs below it, a sum at the end.

use crate::project::diagnostic::Diagnostic;
use crate::report::sanitize;
use crate::report::style::{Style, Tone};

use super::run::{Ended, Told};

/// A file's line, and what was not as expected.
pub fn one(ended: &Ended, updated: bool, style: &Style) -> String {
    let (tone, word) = match (ended.findings.is_empty(), ended.passed(updated)) {
        (true, _) => (Tone::Good, "pass"),
        (false, true) => (Tone::Info, "updated"),
        (false, false) => (Tone::Bad, "FAIL"),
    };
    let took = style.paint(Tone::Dim, &format!("{:>5} ms", ended.took.as_millis()));
    let mut text = format!("{} {took}  {}\n", style.paint(tone, &format!("{word:>7}")), name(ended));
    if ended.passed(updated) {
        return text;
    }
    for told in &ended.findings {
        text.push_str(&format!("\n{}\n", rendered(ended, told, style)));
    }
    if !ended.said.is_empty() {
        text.push_str(&style.paint(Tone::Dim, "\n--- what the functions said last\n"));
        for line in &ended.said {
            text.push_str(&format!("{}\n", sanitize::line(line)));
        }
    }
    text.push_str(&format!("\n{} {}\n", style.paint(Tone::Info, "again:"), again(ended)));
    text
}

fn name(ended: &Ended) -> String {
    let file = &ended.file;
    match &file.name {
        Some(name) => format!("{}: {name}", file.source.name),
        None => file.source.name.clone(),
    }
}

/// The command that does it once more.
pub fn again(ended: &Ended) -> String {
    let swarm = if ended.swarm { " --swarm 1" } else { "" };
    format!("emu test {} --seed {}{swarm}", ended.file.source.name, ended.seed)
}

/// Where it was in the course of things.
fn step(ended: &Ended, told: &Told) -> String {
    match told.step.and_then(|at| Some((at + 1, ended.file.steps.get(at)?))) {
        Some((number, step)) => format!("step {number}, {}: ", step.title()),
        None => String::new(),
    }
}

fn diagnostic(ended: &Ended, told: &Told) -> Diagnostic {
    let message = format!("{}{}", step(ended, told), told.finding.message);
    let diagnostic = Diagnostic::error(message);
    match told.finding.span.is_empty() {
        true => diagnostic,
        false => diagnostic.at(&ended.file.source, told.finding.span.clone()),
    }
}

fn rendered(ended: &Ended, told: &Told, style: &Style) -> String {
    let mut text = diagnostic(ended, told).render(style.color);
    for line in told.finding.shown.iter().flat_map(|shown| shown.lines()) {
        let tone = match line.as_bytes().first() {
            Some(b'-') => Some(Tone::Bad),
            Some(b'+') => Some(Tone::Good),
            _ => None,
        };
        let line = sanitize::line(line);
        let line = tone.map_or_else(|| line.to_string(), |tone| style.paint(tone, &line));
        text.push_str(&format!("\n    {line}"));
    }
    text
}

/// One finding without colours, for reports.
pub fn plain(ended: &Ended, told: &Told) -> String {
    rendered(ended, told, &Style::default())
}

/// Its first line.
pub fn message(ended: &Ended, told: &Told) -> String {
    diagnostic(ended, told).message
}

/// What GitHub shows beside the lines of a pull request.
pub fn annotations(ended: &Ended) -> String {
    let escaped = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let one = |told: &Told| {
        let source = &ended.file.source;
        let at = source.position(told.finding.span.start);
        let file = source.name.replace(',', "%2C").replace(':', "%3A");
        format!(
            "::error file={file},line={},col={},title=emu test::{}\n",
            at.line,
            at.column,
            escaped(&plain(ended, told))
        )
    };
    ended.findings.iter().map(one).collect()
}

pub fn summary(all: &[Ended], updated: bool, style: &Style) -> String {
    let passed = all.iter().filter(|ended| ended.passed(updated)).count();
    let failed = all.len() - passed;
    let took: std::time::Duration = all.iter().map(|ended| ended.took).sum();
    let files = if all.len() == 1 { "file" } else { "files" };
    let mut text = format!("{} {files}: {passed} passed", all.len());
    if failed > 0 {
        text.push_str(&format!(", {}", style.paint(Tone::Bad, &format!("{failed} failed"))));
    }
    format!("{text}, in {} ms of emulators' time\n", took.as_millis())
}
