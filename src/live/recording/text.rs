//! A draft as the text of a test file.

use serde_json::Value;

use super::stable::Stable;
use super::{Act, Draft, Step};
use crate::live::api::{KeptOutbound, KeptRequest, RecordedStep};
use crate::live::clock::instant;
use crate::live::redact::MARK;
use crate::project::testfile::pattern::ANY;
use crate::project::testfile::write::{self, is_toml, key, quoted, value as toml};

/// Longest body that is expected.
const BODY_BYTES_MAX: usize = 4_000;
/// Headers that clients and connections make, of which no test speaks.
const COMMON_HEADERS: [&str; 11] = [
    "host",
    "user-agent",
    "accept-encoding",
    "accept-language",
    "connection",
    "content-length",
    "transfer-encoding",
    "x-emu-sequence",
    "cache-control",
    "pragma",
    "upgrade-insecure-requests",
];
/// What stands for a credential.
const LEFT_OUT: &str = "[left out]";

/// What came back when a draft was tried.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    pub status: u16,
    pub body: String,
}

/// What is expected of the answers.
pub enum Expected<'a> {
    /// Nothing: the draft is to be tried.
    Nothing,
    /// What was recorded.
    Recorded,
    /// What two runs on fresh emulators came to, a place for each step that is written.
    Tried(&'a [Vec<Option<Seen>>; 2]),
}

impl Draft<'_> {
    /// The file; `project` where it is not above the file.
    pub fn text(&self, project: Option<&str>, expected: &Expected<'_>) -> String {
        let recording = self.recording;
        let mut out = format!(
            "# Recorded by `emu record`: what emu received from {} to {}, and what it answered.\n\
             # Ids and times are `{ANY}`, which stands for anything. Look at it before it goes into git.\n",
            recording.from, recording.to
        );
        if let Some(project) = project {
            out.push_str(&format!("project = {}\n", quoted(project)));
        }
        // Under its own clock the test begins when the recording did: crons fall due as they did.
        out.push_str(&format!("start = {}\n", quoted(&start(&recording.from))));
        let mut at = 0;
        for step in &self.steps {
            match step {
                Step::LeftOut(why) => {
                    out.push_str(&format!("\n# {}\n", one_line(why)));
                    continue;
                }
                Step::Wait { millis } => out.push_str(&format!("\n[[step]]\nadvance = \"{}\"\n", wait(*millis))),
                Step::Act(act) => {
                    out.push_str(&asked(act));
                    out.push_str(&self.answered(act, at, expected));
                }
            }
            at += 1;
        }
        out.push_str(&outbound(&recording.outbound));
        out
    }

    fn answered(&self, act: &Act<'_>, at: usize, expected: &Expected<'_>) -> String {
        let was = recorded(act.of);
        let (a, b, other) = match expected {
            Expected::Nothing => return String::new(),
            Expected::Recorded => (was.clone(), was, None),
            Expected::Tried(runs) => {
                let seen = |run: &Vec<Option<Seen>>| run.get(at).cloned().flatten();
                let (first, second) = (seen(&runs[0]), seen(&runs[1]));
                match (&was, &first) {
                    // Without its credentials it is another request.
                    (Some(was), Some(now)) if was.status != now.status && !act.credentials.is_empty() => {
                        (Some(was.clone()), Some(was.clone()), None)
                    }
                    (Some(was), Some(now)) => {
                        let other = (was.status != now.status).then_some(was.status);
                        (first.clone(), second, other)
                    }
                    _ => (first, second, None),
                }
            }
        };
        let (Some(a), Some(b)) = (a, b) else {
            return String::new();
        };
        let mut out = String::new();
        if let Some(status) = other {
            out.push_str(&format!(
                "# it was {status}: the recording began with state that this test has not\n"
            ));
        }
        let is_request = act.of.request.kind == "http";
        match a.status == b.status {
            true if is_request || a.status >= 400 => out.push_str(&format!("expect.status = {}\n", a.status)),
            true => {}
            false => out.push_str(&format!(
                "# the status differs from run to run: {} and {}\n",
                a.status, b.status
            )),
        }
        out.push_str(&body(&a.body, &b.body, self.stable()));
        out
    }

    fn stable(&self) -> Stable {
        let from = instant(&self.recording.from).unwrap_or_default();
        Stable {
            epoch_secs: from.as_secs() as f64,
        }
    }
}

/// Lines that expect a body.
fn body(a: &str, b: &str, stable: Stable) -> String {
    if a.is_empty() || b.is_empty() {
        return String::new();
    }
    if a.len() > BODY_BYTES_MAX {
        return format!("# its body has {} bytes, and is not expected\n", a.len());
    }
    let parsed = |text: &str| serde_json::from_str::<Value>(text).ok();
    match (parsed(a), parsed(b)) {
        (Some(a), Some(b)) if a.is_object() || a.is_array() => match stable.json(&a, &b) {
            Some(expected) if expected != Value::String(ANY.to_owned()) => {
                format!("expect.json = {}\n", toml(&expected))
            }
            _ => String::new(),
        },
        _ => match stable.text(a, b) {
            expected if expected == ANY => String::new(),
            expected => format!("expect.body = {}\n", quoted(&expected)),
        },
    }
}

/// What was answered then, as `emu test` sees it.
fn recorded(step: &RecordedStep) -> Option<Seen> {
    let response = step.response.as_ref();
    let content = response.map(|response| &response.content);
    let body = content
        .filter(|content| !content.truncated)
        .and_then(|content| content.body.clone());
    match step.request.kind.as_str() {
        "http" => Some(Seen {
            status: step.status?,
            // A failure's answer is emu's own, with the stack of that code.
            body: body.unwrap_or_default(),
        }),
        "event" if step.outcome.as_deref() == Some("succeeded") => {
            let is_http = response.is_some_and(|response| response.status.is_some());
            Some(Seen {
                status: 200,
                body: if is_http {
                    String::new()
                } else {
                    body.unwrap_or_default()
                },
            })
        }
        "event" => Some(Seen {
            status: 502,
            body: String::new(),
        }),
        _ => None,
    }
}

/// The lines of a step but for what it expects.
fn asked(act: &Act<'_>) -> String {
    let request = &act.of.request;
    let mut out = String::from("\n");
    for name in &act.credentials {
        out.push_str(&format!(
            "# {} was left out: put in one that the test may use\n",
            one_line(name)
        ));
    }
    let text =
        format!("{:?}{:?}", request.target, request.headers) + request.content.body.as_deref().unwrap_or_default();
    if text.contains(MARK) {
        out.push_str(&format!(
            "# values of secrets are {MARK}: put in what the test may use\n"
        ));
    }
    if request.attributes > 0 {
        out.push_str("# its attributes are left out: test files have none\n");
    }
    out.push_str("[[step]]\n");
    let name = quoted(request.name.as_deref().unwrap_or_default());
    match request.kind.as_str() {
        "http" => {
            let method = request.method.as_deref().unwrap_or("GET");
            let target = with_names(request.target.as_deref().unwrap_or("/"), act);
            out.push_str(&format!("request = {}\n", quoted(&format!("{method} {target}"))));
            out.push_str(&headers(request, act));
        }
        "send" | "publish" => out.push_str(&format!("{} = {name}\n", request.kind)),
        "cron" => out.push_str(&format!("fire = {name}\n")),
        _ => out.push_str(&format!(
            "invoke = {}\n",
            quoted(act.of.function.as_deref().unwrap_or_default())
        )),
    }
    if request.kind != "cron" {
        out.push_str(&content(request, act));
    }
    if let Some(millis) = request.delay_ms.filter(|millis| *millis >= 1.0) {
        out.push_str(&format!("delay = \"{}\"\n", wait(millis as u64)));
    }
    if let Some(group) = &request.group {
        out.push_str(&format!("group = {}\n", quoted(group)));
    }
    if !act.saves.is_empty() {
        let one = |(name, path): &(String, String)| format!("{} = {}", key(name), quoted(path));
        let saves: Vec<String> = act.saves.iter().map(one).collect();
        out.push_str(&format!("save = {{ {} }}\n", saves.join(", ")));
    }
    out
}

/// With the names of what earlier answers gave.
fn with_names(text: &str, act: &Act<'_>) -> String {
    let mut text = text.to_owned();
    for (name, value) in &act.sends {
        text = text.replace(value.as_str(), &format!("${{{name}}}"));
    }
    text
}

fn headers(request: &KeptRequest, act: &Act<'_>) -> String {
    let is_json = json_body(request).is_some();
    let said = |name: &str, value: &str| {
        let of_itself = match name {
            "accept" => value == "*/*",
            "content-type" => is_json && value == "application/json",
            _ => COMMON_HEADERS.contains(&name) || name.starts_with("sec-"),
        };
        !of_itself
    };
    let mut lines: Vec<String> = Vec::new();
    for (name, value) in request.headers.iter().filter(|(name, value)| said(name, value)) {
        let value = match act.credentials.contains(name) {
            // The scheme is no secret.
            true => match value.split_once(' ') {
                Some((scheme @ ("Bearer" | "Basic"), _)) => format!("{scheme} {LEFT_OUT}"),
                _ => LEFT_OUT.to_owned(),
            },
            false => with_names(value, act),
        };
        lines.push(format!("{} = {}", key(name), quoted(&value)));
    }
    // A table has each key once; what comes twice in a request is rare.
    lines.dedup_by(|a, b| a.split(" = ").next() == b.split(" = ").next());
    match lines.is_empty() {
        true => String::new(),
        false => format!("headers = {{ {} }}\n", lines.join(", ")),
    }
}

/// A body that TOML can say, null being none.
fn json_body(request: &KeptRequest) -> Option<Value> {
    let value: Value = serde_json::from_str(request.content.body.as_deref()?).ok()?;
    (is_toml(&value) && (value.is_object() || value.is_array())).then_some(value)
}

fn content(request: &KeptRequest, act: &Act<'_>) -> String {
    if let Some(value) = json_body(request) {
        return format!("json = {}\n", toml(&named(&value, act)));
    }
    let body = request.content.body.as_deref().unwrap_or_default();
    let scalar = serde_json::from_str::<Value>(body)
        .ok()
        .filter(|value| !value.is_null());
    match (request.kind.as_str(), scalar) {
        (_, _) if body.is_empty() => String::new(),
        // Any JSON: a text would be taken as one.
        ("event", Some(value)) => format!("json = {}\n", toml(&named(&value, act))),
        ("event", None) => String::new(),
        _ => format!("body = {}\n", quoted(&with_names(body, act))),
    }
}

fn named(value: &Value, act: &Act<'_>) -> Value {
    match value {
        Value::String(text) => Value::String(with_names(text, act)),
        Value::Array(items) => items.iter().map(|item| named(item, act)).collect(),
        Value::Object(members) => {
            let one = |(name, value): (&String, &Value)| (name.clone(), named(value, act));
            Value::Object(members.iter().map(one).collect())
        }
        other => other.clone(),
    }
}

/// What the outside answered, each time as it came; what came twice in a row stands once.
fn outbound(calls: &[KeptOutbound]) -> String {
    let mut out = String::new();
    let mut known: Vec<&KeptOutbound> = Vec::new();
    for call in calls {
        let url = format!("{} {}", call.method, call.url.replace(MARK, ANY));
        let last = known
            .iter()
            .rev()
            .find(|one| (&one.method, &one.url) == (&call.method, &call.url));
        if last.is_some_and(|one| one.status == call.status && one.content == call.content) {
            continue;
        }
        known.push(call);
        let Some(body) = call.content.body.as_deref().or((call.content.bytes == 0).then_some("")) else {
            out.push_str(&format!(
                "\n# the answer to {} is no text, and is left out\n",
                one_line(&url)
            ));
            continue;
        };
        out.push('\n');
        if call.content.truncated {
            out.push_str(&format!("# only the head of {} bytes is kept\n", call.content.bytes));
        }
        let kind = call.content_type.as_deref();
        out.push_str(&write::outbound(&url, call.status, kind, body));
    }
    out
}

/// The whole second in which it began.
fn start(from: &str) -> String {
    match from.split_once('.') {
        Some((second, _)) => format!("{second}Z"),
        None => from.to_owned(),
    }
}

/// `90s`, `1500ms`.
fn wait(millis: u64) -> String {
    match millis % 1_000 {
        0 => format!("{}s", millis / 1_000),
        _ => format!("{millis}ms"),
    }
}

/// For a comment, which ends with its line.
fn one_line(text: &str) -> String {
    text.replace(|c: char| c.is_control(), " ")
}
