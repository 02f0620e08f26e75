//! Writes what came into a test file, by the places of what was expected: all else stays as it is written.

use std::ops::Range;

use serde_json::Value;

use crate::cli::failure::Failure;
use crate::project::testfile::Act;
use crate::project::testfile::write::{outbound, value as toml};

use super::run::Ended;
use super::stage::Answer;

/// Longest body that is written as an expectation.
const BODY_BYTES_MAX: usize = 4_000;

/// # Errors
/// When the file cannot be written.
pub fn write(ended: &Ended, expectations: bool) -> Result<(), Failure> {
    let source = &ended.file.source;
    let mut text = match expectations {
        true => updated(ended),
        false => source.text.clone(),
    };
    text.push_str(&recorded(ended));
    if text == source.text {
        return Ok(());
    }
    std::fs::write(&source.path, text)
        .map_err(|error| Failure::new(format!("{} cannot be written: {error}", source.name)))
}

fn updated(ended: &Ended) -> String {
    let mut edits: Vec<(Range<usize>, String)> = Vec::new();
    for told in &ended.findings {
        if let Some(right) = &told.finding.right {
            edits.push((told.finding.span.clone(), toml(right)));
        }
    }
    for (at, answer) in &ended.answers {
        if let Some(step) = ended.file.steps.get(*at) {
            let invoked = matches!(step.act.value, Act::Invoke { .. });
            edits.push((step.end..step.end, expectation(answer, invoked)));
        }
    }
    // From the end, so that places before it stay what they are; one place is written once.
    edits.sort_by_key(|(span, _)| std::cmp::Reverse(span.start));
    edits.dedup_by(|a, b| a.0 == b.0);
    let mut text = ended.file.source.text.clone();
    for (span, new) in edits {
        text.replace_range(span, &new);
    }
    text
}

/// Answers of the network as tables of the file, each address once.
fn recorded(ended: &Ended) -> String {
    let mut text = String::new();
    let mut known: Vec<(&str, &str)> = Vec::new();
    for held in &ended.recorded {
        if known.contains(&(&held.method, &held.url)) {
            continue;
        }
        known.push((&held.method, &held.url));
        let kind = held.answer.headers.get("content-type");
        let kind = kind.and_then(|kind| kind.to_str().ok());
        let body = String::from_utf8_lossy(&held.answer.body);
        let request = format!("{} {}", held.method, held.url);
        text.push('\n');
        text.push_str(&outbound(&request, held.answer.status.as_u16(), kind, &body));
    }
    text
}

/// Lines that expect this answer.
fn expectation(answer: &Answer, invoked: bool) -> String {
    let mut lines = match invoked {
        true => String::new(),
        false => format!("\nexpect.status = {}", answer.status),
    };
    let body = answer.text();
    if body.len() > BODY_BYTES_MAX || body.is_empty() {
        return lines;
    }
    match serde_json::from_str::<Value>(&body) {
        Ok(value) if value.is_object() || value.is_array() => {
            lines.push_str(&format!("\nexpect.json = {}", toml(&value)))
        }
        _ => lines.push_str(&format!("\nexpect.body = {}", toml(&Value::String(body)))),
    }
    lines
}
