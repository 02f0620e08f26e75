//! What `emu serve` writes: a line for every request and for everything else that happens, as text or as JSON.

use serde::Serialize;

use super::event::{Event, Stamped};
use super::line::{Renderer, is_failure};
use super::number::millis;
use super::sanitize;
use super::style::{Style, Verbosity, Zone};
use crate::engine::Stream;

/// One request and its answer, as the functions' port saw them.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Access {
    /// RFC 3339, when it came.
    pub time: String,
    pub method: String,
    /// Without the query.
    pub path: String,
    /// 499: the client went before there was an answer.
    pub status: u16,
    /// Until the last byte of the answer was handed to the connection.
    pub duration_ms: f64,
    pub response_bytes: u64,
    /// Whether all of the answer was sent.
    pub complete: bool,
    pub peer: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forwarded_for: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invocation: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    #[default]
    Text,
    /// One object a line, with `level` and `message` beside the fields of the event.
    Json,
}

/// How bad it is, in the words that collectors of logs know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Info,
    Warning,
    Error,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Level::Info => "info",
            Level::Warning => "warning",
            Level::Error => "error",
        }
    }

    fn of(event: &Event) -> Level {
        match event {
            Event::Invocation(invocation) if is_failure(&invocation.outcome) => Level::Error,
            Event::GaveUp(_) => Level::Error,
            Event::Reload(reload) if reload.error.is_some() => Level::Error,
            Event::Log(log) => match log.stream {
                Stream::Stderr | Stream::Error => Level::Error,
                Stream::Warn => Level::Warning,
                Stream::Stdout | Stream::Debug | Stream::Info => Level::Info,
            },
            Event::Retry(_) | Event::Throttle(_) | Event::Fault(_) => Level::Warning,
            Event::Notice(notice) => match notice.level.as_str() {
                "error" => Level::Error,
                "warning" => Level::Warning,
                _ => Level::Info,
            },
            _ => Level::Info,
        }
    }

    fn of_status(status: u16) -> Level {
        match status {
            500.. => Level::Error,
            _ => Level::Info,
        }
    }
}

/// Makes the lines; each is ended.
#[derive(Clone, Debug)]
pub struct Lines {
    format: LogFormat,
    words: Renderer,
}

impl Lines {
    pub fn new(format: LogFormat, verbosity: Verbosity) -> Lines {
        let style = Style {
            color: false,
            verbosity,
            zone: Zone::Utc,
        };
        Lines {
            format,
            words: Renderer::new(style),
        }
    }

    /// Of an event; `None` when it is not told, or when the line of its request tells it.
    pub fn event(&mut self, stamped: &Stamped) -> Option<String> {
        let level = Level::of(&stamped.event);
        let words = match &stamped.event {
            Event::Ready(ready) => vec![format!(
                "serving {} on {} (process {}, control API {})",
                ready.project, ready.functions_url, ready.pid, ready.control_url
            )],
            Event::Invocation(one) if one.trigger == "http" && level == Level::Info => return None,
            _ => self.words.render(stamped).iter().map(|line| plain(line)).collect(),
        };
        let (first, _) = words.split_first()?;
        match self.format {
            LogFormat::Text => {
                let head = format!("{} {:<7}", stamped.time, level.name());
                Some(words.iter().map(|line| format!("{head} {line}\n")).collect())
            }
            LogFormat::Json => {
                let mut value = serde_json::to_value(stamped).ok()?;
                let object = value.as_object_mut()?;
                object.insert("level".to_owned(), level.name().into());
                // A notice has said its message already.
                object.entry("message").or_insert_with(|| first.as_str().into());
                Some(format!("{value}\n"))
            }
        }
    }

    /// Of a request.
    pub fn access(&self, access: &Access) -> String {
        let level = Level::of_status(access.status);
        let words = request(access);
        match self.format {
            LogFormat::Text => format!("{} {:<7} {words}\n", access.time, level.name()),
            LogFormat::Json => {
                let mut value = serde_json::to_value(access).unwrap_or_default();
                if let Some(object) = value.as_object_mut() {
                    object.insert("event".to_owned(), "request".into());
                    object.insert("level".to_owned(), level.name().into());
                    let short = format!("{} {} {}", access.method, access.path, access.status);
                    object.insert("message".to_owned(), short.into());
                }
                format!("{value}\n")
            }
        }
    }

    /// emu's own words, outside of any event.
    pub fn words(&self, level: Level, time: &str, text: &str) -> String {
        match self.format {
            LogFormat::Text => format!("{time} {:<7} {}\n", level.name(), sanitize::line(text)),
            LogFormat::Json => {
                let value =
                    serde_json::json!({ "time": time, "event": "notice", "level": level.name(), "message": text });
                format!("{value}\n")
            }
        }
    }
}

/// `GET /orders 201 12 ms 532 B orders 10.0.0.1 "curl/8" ID`; a dash where something is not known.
fn request(access: &Access) -> String {
    let word = |text: &Option<String>| text.as_deref().map_or("-".into(), sanitize::line).into_owned();
    let agent = word(&access.user_agent).replace('"', "'");
    format!(
        "{} {} {} {} {} B{} {} {} \"{agent}\" {}",
        access.method,
        sanitize::line(&access.path),
        access.status,
        millis(access.duration_ms),
        access.response_bytes,
        if access.complete { "" } else { " (broken off)" },
        word(&access.function),
        access
            .forwarded_for
            .as_deref()
            .map_or(access.peer.as_str().into(), sanitize::line),
        word(&access.invocation),
    )
}

/// A line for a terminal without its time and without its columns.
fn plain(line: &str) -> String {
    const CLOCK_WIDTH: usize = 9;
    let has_clock = line.as_bytes().get(2) == Some(&b':') && line.as_bytes().get(5) == Some(&b':');
    let rest = if has_clock {
        line.get(CLOCK_WIDTH..).unwrap_or_default()
    } else {
        line
    };
    let mut words = rest.split_whitespace();
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |line, word| line + " " + word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::event::{Log, Notice};

    fn access() -> Access {
        Access {
            time: "2026-01-31T12:00:00.000Z".to_owned(),
            method: "GET".to_owned(),
            path: "/orders\u{1b}[2J".to_owned(),
            status: 201,
            duration_ms: 12.0,
            response_bytes: 532,
            complete: true,
            peer: "10.0.0.1".to_owned(),
            forwarded_for: None,
            user_agent: Some("a \"b\"".to_owned()),
            function: Some("api".to_owned()),
            invocation: Some("id".to_owned()),
        }
    }

    #[test]
    fn a_request_is_one_line() {
        let text = Lines::new(LogFormat::Text, Verbosity::Normal).access(&access());
        assert_eq!(
            text,
            "2026-01-31T12:00:00.000Z info    GET /orders 201 12.0 ms 532 B api 10.0.0.1 \"a 'b'\" id\n"
        );
        let mut broken = access();
        (broken.complete, broken.status) = (false, 502);
        let text = Lines::new(LogFormat::Text, Verbosity::Normal).access(&broken);
        assert!(text.contains(" error   ") && text.contains("(broken off)"), "{text}");
        let json = Lines::new(LogFormat::Json, Verbosity::Normal).access(&access());
        let value: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(value["event"], "request");
        assert_eq!(value["level"], "info");
        assert_eq!(value["status"], 201);
        assert_eq!(json.lines().count(), 1);
    }

    #[test]
    fn events_have_a_level_and_a_message() {
        let stamped = |event| Stamped {
            time: "2026-01-31T12:00:00.000Z".to_owned(),
            event,
        };
        let log = stamped(Event::Log(Log {
            function: "api".to_owned(),
            invocation: "i".to_owned(),
            stream: Stream::Warn,
            text: "careful\u{7}".to_owned(),
        }));
        let mut text = Lines::new(LogFormat::Text, Verbosity::Normal);
        let line = text.event(&log).expect("a line");
        assert!(line.starts_with("2026-01-31T12:00:00.000Z warning api "), "{line}");
        assert!(line.ends_with("careful\\x07\n"), "{line}");
        let mut json = Lines::new(LogFormat::Json, Verbosity::Normal);
        let value: serde_json::Value = serde_json::from_str(&json.event(&log).expect("a line")).expect("JSON");
        assert_eq!(
            (value["level"].as_str(), value["text"].as_str()),
            (Some("warning"), Some("careful\u{7}"))
        );
        let notice = stamped(Event::Notice(Notice {
            level: "info".to_owned(),
            message: "all of it".to_owned(),
        }));
        let value: serde_json::Value = serde_json::from_str(&json.event(&notice).expect("a line")).expect("JSON");
        assert_eq!(value["message"], "all of it");
        assert_eq!(Lines::new(LogFormat::Json, Verbosity::Quiet).event(&notice), None);
    }
}
