//! A test file out of what an emulator received and answered: `emu record`, and the dashboard's button.
//!
//! A draft is made of what came from outside: steps with the waits between them, values that an answer gave and a later
//! request sends as `save`, credentials left out. Then it is written, with what can be expected of the answers: those that
//! were recorded, or better those of two runs of the draft on fresh emulators, which show what is drawn anew each time.

mod stable;
mod text;

use std::collections::HashSet;

use serde_json::Value;

use super::api::{KeptRequest, RecordedStep, Recording};
use super::history::millis_between;
use crate::project::testfile::write::is_toml;

pub use text::{Expected, Seen};

/// Waits below it are nobody's intent, under a real clock.
const WAIT_MILLIS_MIN: u64 = 1_000;
/// From here on the fraction of a second is dropped.
const WAIT_MILLIS_ROUGH: u64 = 10_000;
/// Values that an answer gave are recognised in later requests from this length on.
const SAVED_CHARS_MIN: usize = 5;

/// A test file to be.
pub struct Draft<'a> {
    recording: &'a Recording,
    pub steps: Vec<Step<'a>>,
    /// What the one who records should know.
    pub notes: Vec<String>,
}

pub enum Step<'a> {
    Wait {
        millis: u64,
    },
    Act(Act<'a>),
    /// What a test file cannot say, as a comment.
    LeftOut(String),
}

pub struct Act<'a> {
    pub of: &'a RecordedStep,
    /// Values of earlier answers that it sends, with the names they are saved under.
    pub sends: Vec<(String, String)>,
    /// Names with paths into its answer.
    pub saves: Vec<(String, String)>,
    /// Headers whose values must not be in a file.
    pub credentials: Vec<String>,
}

impl<'a> Draft<'a> {
    pub fn new(recording: &'a Recording) -> Draft<'a> {
        let mut draft = Draft {
            recording,
            steps: Vec::new(),
            notes: Vec::new(),
        };
        let mut clock = recording.from.clone();
        for of in &recording.steps {
            draft.wait(&clock, &of.time);
            if of.ended > clock {
                clock.clone_from(&of.ended);
            }
            draft.steps.push(match cannot_be_said(&of.request) {
                Some(why) => {
                    let what = title(of);
                    draft.notes.push(format!("{what} is left out: {why}"));
                    Step::LeftOut(format!("{what} is left out: {why}."))
                }
                None => Step::Act(Act {
                    of,
                    sends: Vec::new(),
                    saves: Vec::new(),
                    credentials: Vec::new(),
                }),
            });
        }
        draft.wait(&clock, &recording.to);
        draft.save_values();
        draft.leave_credentials_out();
        if recording.left_out > 0 {
            let count = recording.left_out;
            let note = format!("{count} requests of this time are missing: what they were given is not kept");
            draft.notes.push(note);
        }
        draft
    }

    fn wait(&mut self, from: &str, to: &str) {
        let millis = millis_between(from, to);
        let millis = match (self.recording.exact, millis) {
            (true, millis) => millis,
            (false, millis) if millis < WAIT_MILLIS_MIN => 0,
            (false, millis) if millis < WAIT_MILLIS_ROUGH => millis / 100 * 100,
            (false, millis) => millis / 1_000 * 1_000,
        };
        if millis > 0 {
            self.steps.push(Step::Wait { millis });
        }
    }

    fn acts(&mut self) -> impl Iterator<Item = &mut Act<'a>> {
        self.steps.iter_mut().filter_map(|step| match step {
            Step::Act(act) => Some(act),
            Step::Wait { .. } | Step::LeftOut(_) => None,
        })
    }

    /// What an answer gave and a later request sends differs from run to run.
    fn save_values(&mut self) {
        let mut acts: Vec<&mut Act<'a>> = self.acts().collect();
        let texts: Vec<String> = acts.iter().map(|act| words_of(&act.of.request)).collect();
        let mut names: Vec<String> = Vec::new();
        let mut known: HashSet<String> = HashSet::new();
        for at in 0..acts.len() {
            for (path, value) in given(acts[at].of) {
                if known.contains(&value) {
                    continue;
                }
                let before = texts[..=at].iter().any(|text| has_word(text, &value));
                // A number in a body stays one, which no text stands for.
                let is_number = value.bytes().all(|b| b.is_ascii_digit());
                let sends = |act: &Act<'a>, text: &str| match is_number {
                    true => has_word(act.of.request.target.as_deref().unwrap_or_default(), &value),
                    false => has_word(text, &value),
                };
                let later: Vec<usize> = (at + 1..acts.len())
                    .filter(|at| sends(acts[*at], &texts[*at]))
                    .collect();
                if before || later.is_empty() {
                    continue;
                }
                let name = name_for(&path, &names);
                names.push(name.clone());
                known.insert(value.clone());
                acts[at].saves.push((name.clone(), path));
                for later in later {
                    acts[later].sends.push((name.clone(), value.clone()));
                }
            }
        }
    }

    fn leave_credentials_out(&mut self) {
        let mut left_out: Vec<String> = Vec::new();
        for act in self.acts() {
            for (name, value) in &act.of.request.headers {
                let saved = act.sends.iter().any(|(_, sent)| has_word(value, sent));
                if is_credential(name) && !saved {
                    act.credentials.push(name.clone());
                    left_out.push(name.clone());
                }
            }
        }
        left_out.sort();
        left_out.dedup();
        if !left_out.is_empty() {
            let names = left_out.join(", ");
            let note =
                format!("values of {names} are left out, since the file goes into git: put in what a test may use");
            self.notes.push(note);
        }
    }
}

fn is_credential(name: &str) -> bool {
    let words = [
        "authorization",
        "cookie",
        "token",
        "secret",
        "password",
        "api-key",
        "apikey",
        "signature",
    ];
    words.iter().any(|word| name.contains(word))
}

/// Why a test file has no words for it.
fn cannot_be_said(request: &KeptRequest) -> Option<&'static str> {
    match request {
        request if request.content.truncated => Some("only the head of its body is kept"),
        request if request.content.base64.is_some() => Some("its body is no text"),
        request if request.kind == "event" => event_cannot(request.content.body.as_deref()?),
        _ => None,
    }
}

/// An event goes as JSON, which other requests may have as text.
fn event_cannot(body: &str) -> Option<&'static str> {
    let value: Value = serde_json::from_str(body).ok()?;
    let can = value.is_null() || is_toml(&value);
    (!can).then_some("TOML has no words for null, nor for so great a number")
}

pub(super) fn title(step: &RecordedStep) -> String {
    let request = &step.request;
    let name = request.name.as_deref().unwrap_or_default();
    match request.kind.as_str() {
        "http" => format!(
            "{} {}",
            request.method.as_deref().unwrap_or_default(),
            request.target.as_deref().unwrap_or_default()
        ),
        "send" | "publish" => format!("{} {name}", request.kind),
        "cron" => format!("fire {name}"),
        _ => format!("invoke {}", step.function.as_deref().unwrap_or_default()),
    }
}

/// All that a request says, to be searched.
fn words_of(request: &KeptRequest) -> String {
    let mut text = request.target.clone().unwrap_or_default();
    for (name, value) in &request.headers {
        text.push_str(&format!("\n{name}: {value}"));
    }
    text.push('\n');
    text.push_str(request.content.body.as_deref().unwrap_or_default());
    text
}

/// Whether a value stands there as a word of its own.
fn has_word(text: &str, value: &str) -> bool {
    text.match_indices(value).any(|(at, _)| {
        let edge = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
        edge(text[..at].chars().next_back()) && edge(text[at + value.len()..].chars().next())
    })
}

/// Texts and numbers of an answer's JSON with the paths to them.
fn given(step: &RecordedStep) -> Vec<(String, String)> {
    let body = step
        .response
        .as_ref()
        .and_then(|response| response.content.body.as_deref());
    let is_answer = matches!(step.request.kind.as_str(), "http" | "event");
    let mut found = Vec::new();
    if let Some(value) = body
        .filter(|_| is_answer)
        .and_then(|body| serde_json::from_str::<Value>(body).ok())
    {
        leaves(&value, String::new(), &mut found);
    }
    found
}

fn leaves(value: &Value, path: String, found: &mut Vec<(String, String)>) {
    let below = |name: &str| match path.is_empty() {
        true => name.to_owned(),
        false => format!("{path}.{name}"),
    };
    match value {
        Value::Object(members) => {
            for (name, member) in members
                .iter()
                .filter(|(name, _)| !name.contains('.') && !name.is_empty())
            {
                leaves(member, below(name), found);
            }
        }
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                leaves(item, below(&at.to_string()), found);
            }
        }
        Value::String(text) if text.chars().count() >= SAVED_CHARS_MIN => found.push((path, text.clone())),
        Value::Number(number) if number.to_string().len() >= SAVED_CHARS_MIN => found.push((path, number.to_string())),
        _ => {}
    }
}

/// The last part of the path that is a name, with a number when it is taken.
fn name_for(path: &str, taken: &[String]) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let parts = path.split('.').rev();
    let named = parts.filter(|part| part.starts_with(|c: char| c.is_ascii_alphabetic()));
    let name: String = named
        .take(1)
        .flat_map(|part| part.chars())
        .filter(|c| is_word(*c))
        .collect();
    let name = if name.is_empty() { "value".to_owned() } else { name };
    let mut numbered = (2..).map(|n| format!("{name}{n}"));
    match taken.contains(&name) {
        false => name.clone(),
        true => numbered.find(|name| !taken.contains(name)).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests;
