//! What a run gave, as facts that can be compared one by one: a place and what stands there.

use std::collections::BTreeMap;

use http_body_util::{BodyExt as _, Limited};
use serde_json::Value;

use super::world::{Done, Sent};
use crate::engine::{Body, Failure, Reply};
use crate::live::redact::Redactor;

/// Of an answer's body, so much is compared.
const BODY_BYTES_MAX: u64 = 1 << 20;
/// Facts of one answer: a long list is not compared to its end.
const FACTS_MAX: usize = 2_000;

/// A place in an answer and the text there.
pub type Fact = (String, String);

#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Status, headers, body, failure; messages and key-value stores.
    pub facts: Vec<Fact>,
    pub lines: Vec<String>,
    pub sent: Vec<Sent>,
    pub kept: BTreeMap<String, String>,
    pub failure: Option<String>,
    /// Messages that the handler wants again.
    pub retried: bool,
}

impl Seen {
    pub fn failed(failure: &Failure) -> Seen {
        Seen {
            facts: vec![("failure".to_owned(), failure.message.clone())],
            failure: Some(failure.message.clone()),
            ..Seen::default()
        }
    }

    pub fn new(answer: Vec<Fact>, failure: Option<Failure>, done: Done, redactor: &Redactor) -> Seen {
        let retried = answer.iter().any(|(place, _)| place.starts_with("retried"));
        let mut facts = answer;
        let failure = failure.map(|failure| redactor.apply(&failure.message).into_owned());
        if let Some(message) = &failure {
            facts.push(("failure".to_owned(), message.clone()));
        }
        for (at, sent) in done.sent.iter().enumerate() {
            facts_of_sent(&mut facts, at + 1, sent);
        }
        for (at, call) in done.calls.iter().enumerate() {
            facts.push((format!("call {} of", at + 1), call.clone()));
        }
        let mut kept = done.kept;
        kept.values_mut()
            .for_each(|value| *value = redactor.apply(value).into_owned());
        for (key, value) in &kept {
            facts_of_text(&mut facts, &format!("kv {key}"), value);
        }
        for (_, text) in &mut facts {
            *text = redactor.apply(text).into_owned();
        }
        facts.truncate(FACTS_MAX);
        let line = |(_, text): &(_, String)| redactor.apply(text).into_owned();
        Seen {
            facts,
            lines: done.lines.iter().map(line).collect(),
            sent: done.sent,
            kept,
            failure,
            retried,
        }
    }

    /// The facts of one text alone.
    pub fn of_text(place: &str, text: &str) -> Seen {
        let mut seen = Seen::default();
        facts_of_text(&mut seen.facts, place, text);
        seen
    }

    pub fn fact(&self, place: &str) -> Option<&str> {
        let found = self.facts.iter().find(|(name, _)| name == place);
        found.map(|(_, text)| text.as_str())
    }

    pub fn is_success(&self) -> bool {
        self.failure.is_none() && !self.retried
    }

    /// In a few words: `200`, `TypeError: ...`, `done`.
    pub fn outcome(&self) -> String {
        match (&self.failure, self.fact("status")) {
            (Some(message), _) => message.lines().next().unwrap_or_default().to_owned(),
            (None, Some(status)) => status.to_owned(),
            (None, None) if self.retried => "to be tried again".to_owned(),
            (None, None) => "done".to_owned(),
        }
    }
}

/// What the guest answered.
pub async fn answer(reply: Reply, bytes_max: u64) -> Vec<Fact> {
    let mut facts = Vec::new();
    match reply {
        Reply::Http(response) => {
            let (parts, body) = response.into_parts();
            facts.push(("status".to_owned(), parts.status.as_u16().to_string()));
            for (name, value) in &parts.headers {
                let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
                facts.push((format!("header {name}"), text));
            }
            content(&mut facts, body, bytes_max.min(BODY_BYTES_MAX)).await;
        }
        Reply::Batch(retries) => {
            for retry in retries {
                facts.push((format!("retried {}", retry.id), "yes".to_owned()));
            }
        }
        Reply::Json(value) => facts_of_json(&mut facts, "answer", &value),
        Reply::Done => {}
    }
    facts
}

async fn content(facts: &mut Vec<Fact>, body: Body, bytes_max: u64) {
    let limit = usize::try_from(bytes_max).unwrap_or(usize::MAX);
    match Limited::new(body, limit).collect().await {
        Ok(collected) => {
            let bytes = collected.to_bytes();
            match std::str::from_utf8(&bytes) {
                Ok(text) => facts_of_text(facts, "body", text),
                Err(_) => facts.push(("body".to_owned(), format!("{} bytes {}", bytes.len(), sum(&bytes)))),
            }
        }
        Err(error) => facts.push(("body".to_owned(), format!("broken: {error}"))),
    }
}

/// Tells bytes from other bytes.
fn sum(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    let digest = sha2::Sha256::digest(bytes);
    digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

/// JSON as its values, other text by lines.
fn facts_of_text(facts: &mut Vec<Fact>, place: &str, text: &str) {
    match serde_json::from_str::<Value>(text) {
        Ok(value @ (Value::Object(_) | Value::Array(_))) => facts_of_json(facts, place, &value),
        _ if text.lines().count() > 1 => {
            for (at, line) in text.lines().enumerate() {
                facts.push((format!("{place} line {}", at + 1), line.to_owned()));
            }
        }
        _ => facts.push((place.to_owned(), text.to_owned())),
    }
}

fn facts_of_json(facts: &mut Vec<Fact>, place: &str, value: &Value) {
    if facts.len() >= FACTS_MAX {
        return;
    }
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                facts_of_json(facts, &format!("{place}.{name}"), value);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (at, value) in items.iter().enumerate() {
                facts_of_json(facts, &format!("{place}[{at}]"), value);
            }
        }
        Value::String(text) => facts.push((place.to_owned(), text.clone())),
        other => facts.push((place.to_owned(), other.to_string())),
    }
}

fn facts_of_sent(facts: &mut Vec<Fact>, number: usize, sent: &Sent) {
    let place = format!("message {number} to {}", sent.to);
    facts_of_text(facts, &place, &String::from_utf8_lossy(&sent.message.body));
    for (name, value) in &sent.message.attributes {
        facts.push((format!("{place} attribute {name}"), value.to_string()));
    }
    let options = [
        (
            "delay",
            sent.message.delay.map(|delay| format!("{} ms", delay.0 / 1_000_000)),
        ),
        ("group", sent.message.group.clone()),
        ("deduplication", sent.message.deduplication.clone()),
    ];
    for (name, text) in options {
        facts.extend(text.map(|text| (format!("{place} {name}"), text)));
    }
}
