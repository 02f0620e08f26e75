//! Test files, `*.emu.toml`: what is done to an emulator, and what is expected of it. Read with the spans of everything that may
//! turn out to be otherwise.

mod expect;
pub mod pattern;
mod read;
pub mod write;

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use super::diagnostic::Source;
use super::faults::Faults;
use super::read::At;
use crate::platform::time::Span;

pub use read::read;

/// The end of a test file's name.
pub const SUFFIX: &str = ".emu.toml";

#[derive(Clone, Debug)]
pub struct TestFile {
    pub source: Arc<Source>,
    pub name: Option<String>,
    /// Relative to the file.
    pub project: Option<At<PathBuf>>,
    pub provider: Option<String>,
    pub seed: Option<u64>,
    /// RFC 3339.
    pub start: Option<At<String>>,
    pub env: Vec<(String, String)>,
    pub steps: Vec<Step>,
    pub outbound: Vec<Outbound>,
    pub faults: Faults,
    pub expect: Expect,
    pub always: Expect,
}

/// An answer to requests of functions to the outside.
#[derive(Clone, Debug)]
pub struct Outbound {
    pub method: String,
    pub url: String,
    pub status: u16,
    pub headers: Vec<(String, At<String>)>,
    pub content: Content,
}

#[derive(Clone, Debug)]
pub struct Step {
    pub name: Option<String>,
    /// At the key that says what is done.
    pub act: At<Act>,
    /// Names with paths into the answer's JSON.
    pub save: Vec<(At<String>, String)>,
    pub expect: Expect,
    /// Where another key of it can be put.
    pub end: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    Request {
        method: String,
        path: String,
        headers: Vec<(String, String)>,
        content: Content,
    },
    Send {
        queue: String,
        content: Content,
        delay: Option<Span>,
        group: Option<String>,
    },
    Publish {
        topic: String,
        content: Content,
    },
    Fire(String),
    Invoke {
        function: String,
        event: Value,
    },
    Advance(Span),
    AdvanceTo(String),
    /// With a bound crons are work too.
    Idle(Option<Span>),
}

#[derive(Clone, Debug, Default, PartialEq)]
pub enum Content {
    #[default]
    None,
    Text(String),
    Json(Value),
}

impl Content {
    /// As it goes over HTTP; `None`: there is no body.
    pub fn text(&self) -> Option<String> {
        match self {
            Content::None => None,
            Content::Text(text) => Some(text.clone()),
            Content::Json(value) => Some(value.to_string()),
        }
    }

    /// The content type of what is written as JSON, unless one of the headers with these names says it.
    pub fn implied_type<'a>(&self, mut names: impl Iterator<Item = &'a str>) -> Option<&'static str> {
        let is_json = matches!(self, Content::Json(_));
        let is_typed = names.any(|name| name.eq_ignore_ascii_case("content-type"));
        (is_json && !is_typed).then_some("application/json")
    }
}

/// What is expected; all of it may be absent.
#[derive(Clone, Debug, Default)]
pub struct Expect {
    /// It stands in the file, as itself or by one of its keys.
    pub written: bool,
    pub status: Option<At<u16>>,
    pub headers: Vec<(String, At<String>)>,
    pub json: Option<At<Value>>,
    pub body: Option<At<String>>,
    pub contains: Option<At<String>>,
    /// By queue and count.
    pub queues: Vec<(String, &'static str, At<Bound>)>,
    /// By function and count.
    pub invocations: Vec<(String, &'static str, At<Bound>)>,
    /// By store and key; `None`: it is not there.
    pub kv: Vec<(String, String, At<Option<Value>>)>,
    /// By function, in order.
    pub logs: Vec<(String, Vec<At<String>>)>,
    pub events: Vec<At<Value>>,
    pub max_cost: Option<At<f64>>,
    pub max_cold_starts: Option<At<u64>>,
    pub max_duration: Option<At<Span>>,
}

/// A count that is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    pub min: u64,
    pub max: u64,
}

impl Bound {
    pub fn holds(self, count: u64) -> bool {
        (self.min..=self.max).contains(&count)
    }

    /// `3`, `<= 3`, `>= 3`, `1..3`.
    fn parse(text: &str) -> Option<Bound> {
        let number = |text: &str| text.trim().parse::<u64>().ok();
        let text = text.trim();
        let (min, max) = if let Some(max) = text.strip_prefix("<=") {
            (0, number(max)?)
        } else if let Some(min) = text.strip_prefix(">=") {
            (number(min)?, u64::MAX)
        } else if let Some(max) = text.strip_prefix('<') {
            (0, number(max)?.checked_sub(1)?)
        } else if let Some(min) = text.strip_prefix('>') {
            (number(min)?.checked_add(1)?, u64::MAX)
        } else if let Some((min, max)) = text.split_once("..") {
            (number(min)?, number(max)?)
        } else {
            (number(text)?, number(text)?)
        };
        (min <= max).then_some(Bound { min, max })
    }
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.min, self.max) {
            (min, max) if min == max => write!(f, "{min}"),
            (0, max) => write!(f, "<= {max}"),
            (min, u64::MAX) => write!(f, ">= {min}"),
            (min, max) => write!(f, "{min}..{max}"),
        }
    }
}

impl Act {
    /// For reports.
    pub fn title(&self) -> String {
        match self {
            Act::Request { method, path, .. } => format!("{method} {path}"),
            Act::Send { queue, .. } => format!("send {queue}"),
            Act::Publish { topic, .. } => format!("publish {topic}"),
            Act::Fire(cron) => format!("fire {cron}"),
            Act::Invoke { function, .. } => format!("invoke {function}"),
            Act::Advance(by) => format!("advance {by}"),
            Act::AdvanceTo(to) => format!("advance to {to}"),
            Act::Idle(_) => "idle".to_owned(),
        }
    }
}

impl Step {
    pub fn title(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.act.value.title())
    }

    pub fn span(&self) -> Range<usize> {
        self.act.span.clone()
    }
}

impl TestFile {
    /// For reports.
    pub fn title(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.source.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<TestFile, String> {
        read(Source {
            name: "t.emu.toml".into(),
            path: "t.emu.toml".into(),
            text: text.into(),
        })
        .map_err(|problems| problems.render(false))
    }

    #[test]
    fn a_file_with_everything() {
        let file = read_text(
            "name = 'all'\nproject = '..'\nprovider = 'aws-lambda'\nseed = 7\nstart = '2026-01-01T00:00:00Z'\n\
             env = { A = 'b' }\n\
             [[step]]\nname = 'first'\nrequest = 'POST /orders'\nheaders = { x-a = '1' }\njson = { items = [1, 2.5, true] }\n\
             save = { id = 'order.id' }\n\
             expect.status = 202\nexpect.headers = { content-type = 'application/json' }\nexpect.json = { a = '[..]' }\n\
             expect.contains = 'x'\nexpect.body = 'y'\n\
             [[step]]\nsend = 'q'\nbody = 'text'\ndelay = '5s'\ngroup = 'g'\n\
             [[step]]\npublish = 't'\njson = 1\n\
             [[step]]\nfire = 'c'\n\
             [[step]]\ninvoke = 'f'\njson = { a = 1 }\n\
             [[step]]\nadvance = '1h'\n\
             [[step]]\nadvance_to = '2026-02-01T00:00:00Z'\n\
             [[step]]\nidle = true\n\
             [[step]]\nidle = '1d'\n\
             [[outbound]]\nurl = 'GET https://a.example/[..]'\nstatus = 201\nheaders = { a = 'b' }\njson = { a = 1 }\n\
             [[outbound]]\nurl = 'POST https://a.example/'\nbody = 'x'\n\
             [faults]\nfail = 0.1\nkill = { probability = 0.2, function = 'f' }\ndelay = [{ probability = 1, by = '2s' }]\n\
             duplicate = 0\nlate_ack = 0\nreorder = 0\ncold_starts = 0\nhost_loss = 0\nseed = 7\n\
             [expect]\nqueues = { q = { visible = 0, in_flight = '<= 1', delayed = '>= 0', dead = '1..2' } }\n\
             invocations.f = { total = 1, succeeded = 1, failed = 0, cold = '< 2' }\n\
             kv = { s = { k = 'v', gone = false } }\nlogs = { f = ['a [..]'] }\nevents = [{ event = 'cron' }]\n\
             max_cost = 0.5\nmax_cold_starts = 3\nmax_duration = '1s'\n\
             [always]\nqueues.q.dead = 0\n",
        )
        .expect("valid");
        assert_eq!(file.steps.len(), 9);
        assert_eq!(file.steps[0].act.value.title(), "POST /orders");
        assert_eq!(file.steps[8].act.value, Act::Idle(Some(Span::from_secs(86_400))));
        assert_eq!(file.expect.queues[3].2.value, Bound { min: 1, max: 2 });
        assert_eq!(file.expect.kv[1].2.value, None);
        assert_eq!(file.always.queues.len(), 1);
        assert_eq!((file.outbound.len(), file.outbound[0].status), (2, 201));
        assert_eq!((file.faults.rules.len(), file.faults.seed), (8, Some(7)));
    }

    #[test]
    fn json_has_its_type_unless_a_header_says_it() {
        let json = Content::Json(serde_json::json!({ "a": 1 }));
        assert_eq!(json.text().as_deref(), Some(r#"{"a":1}"#));
        assert_eq!(json.implied_type(["x-a"].into_iter()), Some("application/json"));
        assert_eq!(json.implied_type(["x-a", "Content-Type"].into_iter()), None);
        let text = Content::Text("{}".to_owned());
        assert_eq!(
            (text.text().as_deref(), text.implied_type([].into_iter())),
            (Some("{}"), None)
        );
        assert_eq!(
            (Content::None.text(), Content::None.implied_type([].into_iter())),
            (None, None)
        );
    }

    #[test]
    fn problems_are_told_with_their_places() {
        for (text, part) in [
            ("[[step]]\nrequset = 'GET /'", "did you mean `request`?"),
            ("[[step]]\nname = 'x'", "a step does one thing"),
            ("[[step]]\nsend = 'q'\nfire = 'c'", "a step does one thing"),
            ("[[step]]\nrequest = '/orders'", "write `request = \"GET /orders\"`"),
            ("[[step]]\nrequest = 'GET orders'", "a path begins with /"),
            ("[[step]]\nfire = 'c'\njson = 1", "`json` says nothing beside `fire`"),
            ("[[step]]\nfire = 'c'\nexpect.status = 200", "`fire` has no answer"),
            ("[[step]]\nsend = 'q'\nbody = 'a'\njson = 1", "`body` and `json`"),
            ("[expect]\nqueues.q.dead = 'some'", "a number, or a text such as"),
            ("[expect]\nstatus = 200", "belongs in a step"),
            ("[always]\nstatus = 200", "unknown key `status`"),
            ("[[step]]\nadvance = 5", "write the unit"),
            ("[[outbound]]\nurl = '/a'", "a method and an address"),
            ("[[outbound]]\nstatus = 200", "`url` is missing"),
            ("[faults]\nfial = 0.1", "did you mean `fail`?"),
            ("[faults]\nfail = 2", "between 0 and 1"),
            ("[faults]\nkill = { function = 'a' }", "missing field `probability`"),
        ] {
            let problems = read_text(text).expect_err(text);
            assert!(problems.contains(part), "{text}\n{problems}");
        }
    }
}
