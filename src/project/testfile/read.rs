//! Reads a test file, and keeps every problem it meets.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Map, Number, Value};
use toml::de::{DeTable, DeValue};

use super::expect::{read_always, read_expect};
use super::{Act, Content, Expect, Outbound, Step, TestFile};
use crate::platform::units::parse_span;
use crate::project::diagnostic::{Diagnostics, Source, list_names};
use crate::project::faults::{self, FaultKind, Faults};
use crate::project::keys;
use crate::project::manifest::report_syntax;
use crate::project::read::{At, Field, Section, Sink, field, list, text, wrong};

/// What a step can do.
const ACTS: [&str; 8] = [
    "request",
    "send",
    "publish",
    "fire",
    "invoke",
    "advance",
    "advance_to",
    "idle",
];

/// Keys that say more of some acts.
const DETAILS: [(&str, &[&str]); 5] = [
    ("headers", &["request"]),
    ("json", &["request", "send", "publish", "invoke"]),
    ("body", &["request", "send", "publish"]),
    ("delay", &["send"]),
    ("group", &["send"]),
];

/// # Errors
/// Everything that is wrong with it.
pub fn read(source: Source) -> Result<TestFile, Diagnostics> {
    let source = Arc::new(source);
    let mut sink = Sink::new(Arc::clone(&source));
    let file = read_whole(&source, &mut sink);
    match file {
        Some(file) if !sink.list.iter().any(|problem| problem.is_error()) => Ok(file),
        _ => {
            sink.list
                .sort_by_key(|problem| problem.place.as_ref().map(|place| place.span.start));
            Err(Diagnostics(sink.list))
        }
    }
}

fn read_whole(source: &Arc<Source>, sink: &mut Sink) -> Option<TestFile> {
    let (root, syntax) = DeTable::parse_recoverable(&source.text);
    report_syntax(&source.text, &syntax, sink);
    if !syntax.is_empty() {
        return None;
    }
    let root_span = root.span();
    let section = Section::open(root.get_ref(), root_span.start..root_span.start, &keys::TEST, sink);
    let steps = section.get("step").and_then(|steps| read_steps(&steps, sink));
    let expect = section.get("expect").and_then(|expect| read_expect(&expect, sink));
    let expect = expect.unwrap_or_default();
    for span in answer_spans(&expect) {
        sink.error(&span, "what is expected of an answer belongs in a step")
            .remedy("put it below the step that gets the answer, as `expect.status = 200`");
    }
    let file = TestFile {
        source: source.clone(),
        name: section.text("name", sink).map(|name| name.value),
        project: section.text("project", sink).map(|path| path.map(PathBuf::from)),
        provider: section.text("provider", sink).map(|provider| provider.value),
        seed: section.integer("seed", sink).map(|seed| seed.value),
        start: section.text("start", sink),
        env: read_texts(&section, "env", sink)
            .into_iter()
            .map(|(name, value)| (name.value, value.value))
            .collect(),
        steps: steps.unwrap_or_default(),
        outbound: section
            .get("outbound")
            .and_then(|outbound| list(&outbound, "tables `[[outbound]]`", sink))
            .unwrap_or_default()
            .iter()
            .filter_map(|item| read_outbound(item, sink))
            .collect(),
        faults: section
            .get("faults")
            .and_then(|faults| read_faults(&faults, sink))
            .unwrap_or_default(),
        expect,
        always: section
            .get("always")
            .and_then(|always| read_always(&always, sink))
            .unwrap_or_default(),
    };
    section.done();
    Some(file)
}

/// Where it says something of an answer.
fn answer_spans(expect: &Expect) -> Vec<std::ops::Range<usize>> {
    let mut spans: Vec<_> = expect.headers.iter().map(|(_, value)| value.span.clone()).collect();
    spans.extend(expect.status.iter().map(|status| status.span.clone()));
    spans.extend(expect.json.iter().map(|json| json.span.clone()));
    spans.extend(expect.body.iter().map(|body| body.span.clone()));
    spans.extend(expect.contains.iter().map(|part| part.span.clone()));
    spans
}

fn read_outbound(item: &Field<'_>, sink: &mut Sink) -> Option<Outbound> {
    let section = Section::of(item, &keys::OUTBOUND, sink)?;
    let url = section.text("url", sink);
    let status = section.integer("status", sink);
    let headers = read_texts(&section, "headers", sink);
    let content = read_content(&section, sink);
    section.done();
    let url = url?;
    let Some((method, address)) = url.value.split_once(' ').filter(|(_, address)| address.contains("://")) else {
        sink.error(&url.span, "an outbound request is a method and an address")
            .remedy("write it as `url = \"GET https://api.example.com/rates\"`");
        return None;
    };
    Some(Outbound {
        method: method.to_owned(),
        url: address.trim().to_owned(),
        status: status.map_or(200, |status| u16::try_from(status.value).unwrap_or(200)),
        headers: headers.into_iter().map(|(name, value)| (name.value, value)).collect(),
        content: content?,
    })
}

fn read_faults(field: &Field<'_>, sink: &mut Sink) -> Option<Faults> {
    let section = Section::of(field, &keys::FAULTS, sink)?;
    let mut faults = Faults {
        seed: section.integer("seed", sink).map(|seed| seed.value),
        rules: Vec::new(),
    };
    for kind in FaultKind::ALL {
        let Some(given) = section.get(kind.name()) else {
            continue;
        };
        match faults::rules(kind, &to_json(given.value)) {
            Ok(rules) => faults.rules.extend(rules),
            Err(fault) => {
                sink.error(&given.span(), fault);
            }
        }
    }
    section.done();
    Some(faults)
}

fn read_steps(steps: &Field<'_>, sink: &mut Sink) -> Option<Vec<Step>> {
    let items = list(steps, "tables `[[step]]`", sink)?;
    Some(items.iter().filter_map(|item| read_step(item, sink)).collect())
}

fn read_step(item: &Field<'_>, sink: &mut Sink) -> Option<Step> {
    let DeValue::Table(table) = item.value else {
        wrong(item, "tables `[[step]]`", sink);
        return None;
    };
    let section = Section::of(item, &keys::STEP, sink)?;
    let acts: Vec<Field<'_>> = ACTS.iter().filter_map(|name| section.get(name)).collect();
    let [field] = acts.as_slice() else {
        let span = acts.get(1).map_or(item.span(), Field::span);
        sink.error(&span, "a step does one thing")
            .remedy(format!("give one of {}", list_names(ACTS)));
        read_rest(&section, sink);
        return None;
    };
    for (detail, of) in DETAILS {
        if let Some(given) = section.get(detail)
            && !of.contains(&field.name)
        {
            sink.error(
                &given.span(),
                format!("`{detail}` says nothing beside `{}`", field.name),
            )
            .remedy(format!("it goes with {}", list_names(of.iter().copied())));
        }
    }
    let act = read_act(&section, field, sink);
    let (name, save, expect) = read_rest(&section, sink);
    if !matches!(field.name, "request" | "invoke") {
        for span in answer_spans(&expect) {
            sink.error(&span, format!("`{}` has no answer", field.name))
                .remedy("answers come from `request` and `invoke`");
        }
    }
    section.done();
    Some(Step {
        name,
        act: At::new(act?, field.span()),
        save,
        expect,
        end: end_of(table),
    })
}

type Rest = (Option<String>, Vec<(At<String>, String)>, Expect);

/// What every step may have.
fn read_rest(section: &Section<'_>, sink: &mut Sink) -> Rest {
    let name = section.text("name", sink).map(|name| name.value);
    let save = read_texts(section, "save", sink)
        .into_iter()
        .map(|(name, path)| (name, path.value))
        .collect();
    let expect = section.get("expect").and_then(|expect| read_expect(&expect, sink));
    (name, save, expect.unwrap_or_default())
}

fn read_act(section: &Section<'_>, field: &Field<'_>, sink: &mut Sink) -> Option<Act> {
    let name = |sink: &mut Sink| text(field, sink).map(|name| name.value);
    match field.name {
        "request" => {
            let (method, path) = request_line(field, sink)?;
            let headers = read_texts(section, "headers", sink);
            Some(Act::Request {
                method,
                path,
                headers: headers
                    .into_iter()
                    .map(|(name, value)| (name.value, value.value))
                    .collect(),
                content: read_content(section, sink)?,
            })
        }
        "send" => Some(Act::Send {
            queue: name(sink)?,
            content: read_content(section, sink)?,
            delay: section.duration("delay", sink).map(|delay| delay.value),
            group: section.text("group", sink).map(|group| group.value),
        }),
        "publish" => Some(Act::Publish {
            topic: name(sink)?,
            content: read_content(section, sink)?,
        }),
        "fire" => Some(Act::Fire(name(sink)?)),
        "invoke" => Some(Act::Invoke {
            function: name(sink)?,
            event: section.get("json").map_or(Value::Null, |json| to_json(json.value)),
        }),
        "advance" => section.duration("advance", sink).map(|by| Act::Advance(by.value)),
        "advance_to" => name(sink).map(Act::AdvanceTo),
        _ => match field.value {
            DeValue::Boolean(true) => Some(Act::Idle(None)),
            DeValue::String(bound) => match parse_span(bound) {
                Ok(bound) => Some(Act::Idle(Some(bound))),
                Err(fault) => {
                    sink.error(&field.span(), format!("`idle` takes `true` or a time, found {fault}"));
                    None
                }
            },
            _ => {
                wrong(field, "`true` or a time such as \"1d\"", sink);
                None
            }
        },
    }
}

fn request_line(field: &Field<'_>, sink: &mut Sink) -> Option<(String, String)> {
    let line = text(field, sink)?;
    let (method, path) = match line.value.trim().split_once(char::is_whitespace) {
        Some((method, path)) => (method, path.trim()),
        None => {
            let path = line.value.trim();
            sink.error(&line.span, "a request is a method and a path")
                .remedy(format!(
                    "write `request = \"GET {}{path}\"`",
                    if path.starts_with('/') { "" } else { "/" }
                ));
            return None;
        }
    };
    if !method.bytes().all(|b| b.is_ascii_uppercase()) {
        sink.error(&line.span, format!("`{method}` is no method"))
            .remedy(format!("methods are in upper case: `{}`", method.to_uppercase()));
        return None;
    }
    if !path.starts_with('/') {
        sink.error(&line.span, format!("`{path}` is no path: a path begins with /"));
        return None;
    }
    Some((method.to_owned(), path.to_owned()))
}

fn read_content(section: &Section<'_>, sink: &mut Sink) -> Option<Content> {
    let json = section.get("json");
    let body = section.text("body", sink);
    match (json, body) {
        (Some(json), Some(_)) => {
            sink.error(&json.span(), "`body` and `json` together")
                .remedy("a body is either text or JSON");
            None
        }
        (Some(json), None) => Some(Content::Json(to_json(json.value))),
        (None, Some(body)) => Some(Content::Text(body.value)),
        (None, None) => Some(Content::None),
    }
}

/// A table of texts under names of the user's own, in the order of the file.
pub(super) fn read_texts(section: &Section<'_>, name: &'static str, sink: &mut Sink) -> Vec<(At<String>, At<String>)> {
    let Some(map) = section.get(name) else {
        return Vec::new();
    };
    let entries = entries(&map, sink);
    entries
        .into_iter()
        .filter_map(|(key, value)| Some((key, text(&value, sink)?)))
        .collect()
}

/// The members of a table under names of the user's own, in the order of the file.
pub(super) fn entries<'a>(map: &Field<'a>, sink: &mut Sink) -> Vec<(At<String>, Field<'a>)> {
    let DeValue::Table(table) = map.value else {
        wrong(map, "a table", sink);
        return Vec::new();
    };
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    let entry = |(key, value): (&toml::Spanned<_>, &'a toml::Spanned<DeValue<'a>>)| {
        let key: &toml::Spanned<std::borrow::Cow<'a, str>> = key;
        let name = At::new(key.get_ref().as_ref().to_owned(), key.span());
        (name, field(map.name, value))
    };
    entries.into_iter().map(|(key, value)| entry((key, value))).collect()
}

/// TOML as JSON; a date is its text.
pub(super) fn to_json(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::String(text.as_ref().to_owned()),
        DeValue::Integer(integer) => i128::from_str_radix(integer.as_str(), integer.radix())
            .ok()
            .and_then(Number::from_i128)
            .map_or(Value::Null, Value::Number),
        DeValue::Float(float) => float.as_str().parse::<f64>().map_or(Value::Null, Value::from),
        DeValue::Boolean(flag) => Value::Bool(*flag),
        DeValue::Datetime(date) => Value::String(date.to_string()),
        DeValue::Array(items) => items.iter().map(|item| to_json(item.get_ref())).collect(),
        DeValue::Table(table) => Value::Object(object(table)),
    }
}

fn object(table: &DeTable<'_>) -> Map<String, Value> {
    let member = |(key, value): (&toml::Spanned<std::borrow::Cow<'_, str>>, &toml::Spanned<DeValue<'_>>)| {
        (key.get_ref().as_ref().to_owned(), to_json(value.get_ref()))
    };
    table.iter().map(member).collect()
}

/// Where the last value of a table ends.
fn end_of(table: &DeTable<'_>) -> usize {
    let ends = table.values().map(|value| match value.get_ref() {
        // The span of a table that was made by dotted keys or headings is that of a part of it.
        DeValue::Table(inner) => end_of(inner).max(value.span().end),
        _ => value.span().end,
    });
    ends.max().unwrap_or(0)
}
