//! Reads what is expected.

use serde_json::Value;
use toml::de::DeValue;

use super::read::{entries, read_texts, to_json};
use super::{Bound, Expect};
use crate::project::keys;
use crate::project::read::{At, Field, Section, Sink, list, text, wrong};

pub(super) fn read_expect(field: &Field<'_>, sink: &mut Sink) -> Option<Expect> {
    let section = Section::of(field, &keys::EXPECT, sink)?;
    let status = section.integer("status", sink);
    let expect = Expect {
        status: status.map(|status| status.map(|code| u16::try_from(code).unwrap_or(u16::MAX))),
        headers: read_texts(&section, "headers", sink)
            .into_iter()
            .map(|(name, value)| (name.value, value))
            .collect(),
        json: section.get("json").map(|json| json.at(to_json(json.value))),
        body: section.text("body", sink),
        contains: section.text("contains", sink),
        ..read_state(&section, sink)
    };
    section.done();
    Some(expect)
}

pub(super) fn read_always(field: &Field<'_>, sink: &mut Sink) -> Option<Expect> {
    let section = Section::of(field, &keys::ALWAYS, sink)?;
    let expect = read_state(&section, sink);
    section.done();
    Some(expect)
}

/// What can be expected of the state.
fn read_state(section: &Section<'_>, sink: &mut Sink) -> Expect {
    Expect {
        written: true,
        queues: read_counts(section, "queues", &keys::COUNTS_OF_QUEUE, sink),
        invocations: read_counts(section, "invocations", &keys::COUNTS_OF_FUNCTION, sink),
        kv: read_kv(section, sink),
        logs: read_logs(section, sink),
        events: section
            .get("events")
            .and_then(|events| list(&events, "a list of tables", sink))
            .unwrap_or_default()
            .iter()
            .map(|event| event.at(to_json(event.value)))
            .collect(),
        max_cost: section.decimal("max_cost", sink),
        max_cold_starts: section.integer("max_cold_starts", sink),
        max_duration: section.duration("max_duration", sink),
        ..Expect::default()
    }
}

type Counts = Vec<(String, &'static str, At<Bound>)>;

fn read_counts(section: &Section<'_>, name: &'static str, spec: &'static keys::Table, sink: &mut Sink) -> Counts {
    let Some(map) = section.get(name) else {
        return Vec::new();
    };
    let mut counts = Vec::new();
    for (name, field) in entries(&map, sink) {
        sink.name.clone_from(&name.value);
        let Some(inner) = Section::of(&field, spec, sink) else {
            continue;
        };
        for key in spec.keys {
            if let Some(bound) = inner.get(key.name).and_then(|count| read_bound(&count, sink)) {
                counts.push((name.value.clone(), key.name, bound));
            }
        }
        inner.done();
    }
    "NAME".clone_into(&mut sink.name);
    counts
}

fn read_bound(field: &Field<'_>, sink: &mut Sink) -> Option<At<Bound>> {
    let bound = match field.value {
        DeValue::String(text) => Bound::parse(text),
        DeValue::Integer(_) => to_json(field.value)
            .as_u64()
            .map(|count| Bound { min: count, max: count }),
        _ => None,
    };
    match bound {
        Some(bound) => Some(field.at(bound)),
        None => {
            let expected = "a number, or a text such as \"<= 3\", \">= 1\" or \"1..3\"";
            wrong(field, expected, sink);
            None
        }
    }
}

fn read_kv(section: &Section<'_>, sink: &mut Sink) -> Vec<(String, String, At<Option<Value>>)> {
    let Some(map) = section.get("kv") else {
        return Vec::new();
    };
    let mut all = Vec::new();
    for (store, keys) in entries(&map, sink) {
        for (key, value) in entries(&keys, sink) {
            let wanted = match value.value {
                DeValue::Boolean(false) => None,
                other => Some(to_json(other)),
            };
            all.push((store.value.clone(), key.value, value.at(wanted)));
        }
    }
    all
}

fn read_logs(section: &Section<'_>, sink: &mut Sink) -> Vec<(String, Vec<At<String>>)> {
    let Some(map) = section.get("logs") else {
        return Vec::new();
    };
    let mut all = Vec::new();
    for (function, lines) in entries(&map, sink) {
        let lines = list(&lines, "a list of texts", sink).unwrap_or_default();
        all.push((
            function.value,
            lines.iter().filter_map(|line| text(line, sink)).collect(),
        ));
    }
    all
}
