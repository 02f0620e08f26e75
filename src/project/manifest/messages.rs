//! Queues, topics and their triggers as written.

use std::collections::BTreeMap;

use toml::de::DeValue;

use crate::platform::time::Span;
use crate::platform::topic::Scope;
use crate::project::keys;
use crate::project::read::{At, Field, Section, Sink, list, text, wrong};

#[derive(Debug)]
pub struct RawQueueTrigger {
    pub from: At<String>,
    pub batch_size: Option<At<u32>>,
    pub batch_window: Option<At<Span>>,
    pub max_concurrency: Option<At<u32>>,
}

#[derive(Debug)]
pub struct RawTopicTrigger {
    pub from: At<String>,
    pub filter: RawFilter,
}

#[derive(Debug, Default)]
pub struct RawFilter {
    pub policy: Option<At<serde_json::Value>>,
    pub scope: Option<At<Scope>>,
}

#[derive(Debug)]
pub struct RawQueue {
    pub name: At<String>,
    pub fifo: bool,
    pub visibility_timeout: Option<At<Span>>,
    pub delay: Option<At<Span>>,
    pub retention: Option<At<Span>>,
    pub max_receives: Option<At<u32>>,
    pub dead_letter: Option<At<String>>,
    pub max_messages: Option<At<u64>>,
}

#[derive(Debug)]
pub struct RawTopic {
    pub name: At<String>,
    pub queues: Vec<RawSubscription>,
}

#[derive(Debug)]
pub struct RawSubscription {
    pub to: At<String>,
    pub filter: RawFilter,
    pub wrapped: bool,
}

pub(super) fn queue(name: At<String>, section: &Section<'_>, sink: &mut Sink) -> RawQueue {
    RawQueue {
        fifo: section.boolean("fifo", sink).is_some_and(|fifo| fifo.value),
        visibility_timeout: section.duration("visibility_timeout", sink),
        delay: section.duration("delay", sink),
        retention: section.duration("retention", sink),
        max_receives: section.integer_u32("max_receives", sink),
        dead_letter: section.text("dead_letter", sink),
        max_messages: section.integer("max_messages", sink),
        name,
    }
}

pub(super) fn topic(name: At<String>, section: &Section<'_>, sink: &mut Sink) -> RawTopic {
    let queues = section
        .get("queues")
        .and_then(|queues| list(&queues, "a list of queue names", sink))
        .unwrap_or_default()
        .iter()
        .filter_map(|item| match item.value {
            DeValue::Table(_) => {
                let inner = Section::of(item, &keys::SUBSCRIPTION, sink)?;
                let to = inner.text("to", sink);
                let filter = read_filter(&inner, sink);
                let delivery = inner.choice("delivery", sink);
                inner.done();
                Some(RawSubscription {
                    to: to?,
                    filter,
                    wrapped: delivery.is_some_and(|delivery| delivery.value == "wrapped"),
                })
            }
            _ => text(item, sink).map(|to| RawSubscription {
                to,
                filter: RawFilter::default(),
                wrapped: false,
            }),
        })
        .collect();
    RawTopic { name, queues }
}

fn read_filter(section: &Section<'_>, sink: &mut Sink) -> RawFilter {
    let policy = section.get("filter").map(|filter| filter.at(to_json(filter.value)));
    let scope = section.choice("filter_scope", sink).map(|scope| {
        scope.map(|scope| match scope {
            "attributes" => Scope::Attributes,
            "body" => Scope::Body,
            _ => Scope::Any,
        })
    });
    RawFilter { policy, scope }
}

pub(super) fn read_queue_trigger(queue: &Field<'_>, sink: &mut Sink) -> Option<RawQueueTrigger> {
    match queue.value {
        DeValue::String(_) => {
            let from = text(queue, sink)?;
            Some(RawQueueTrigger {
                from,
                batch_size: None,
                batch_window: None,
                max_concurrency: None,
            })
        }
        DeValue::Table(_) => {
            let section = Section::of(queue, &keys::QUEUE_TRIGGER, sink)?;
            let from = section.text("from", sink);
            let batch_size = section.integer_u32("batch_size", sink);
            let batch_window = section.duration("batch_window", sink);
            let max_concurrency = section.integer_u32("max_concurrency", sink);
            section.done();
            Some(RawQueueTrigger {
                from: from?,
                batch_size,
                batch_window,
                max_concurrency,
            })
        }
        DeValue::Array(_) => {
            sink.error(&queue.span(), "`queue` takes one queue, found a list")
                .remedy("give each queue a function of its own; two functions may have the same `source`");
            None
        }
        _ => {
            wrong(queue, "a queue's name, or a table with `from`", sink);
            None
        }
    }
}

pub(super) fn read_topic_trigger(topic: &Field<'_>, sink: &mut Sink) -> Option<RawTopicTrigger> {
    match topic.value {
        DeValue::String(_) => Some(RawTopicTrigger {
            from: text(topic, sink)?,
            filter: RawFilter::default(),
        }),
        DeValue::Table(_) => {
            let section = Section::of(topic, &keys::TOPIC_TRIGGER, sink)?;
            let from = section.text("from", sink);
            let filter = read_filter(&section, sink);
            section.done();
            Some(RawTopicTrigger { from: from?, filter })
        }
        DeValue::Array(_) => {
            sink.error(&topic.span(), "`topic` takes one topic, found a list")
                .remedy("give each topic a function of its own; two functions may have the same `source`");
            None
        }
        _ => {
            wrong(topic, "a topic's name, or a table with `from`", sink);
            None
        }
    }
}

/// For filters, which are JSON everywhere else.
fn to_json(value: &DeValue<'_>) -> serde_json::Value {
    use serde_json::Value;
    match value {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Integer(integer) => {
            let number = i128::from_str_radix(integer.as_str(), integer.radix()).ok();
            number
                .and_then(|n| i64::try_from(n).ok())
                .map_or_else(|| Value::from(integer.to_string()), Value::from)
        }
        DeValue::Float(float) => float.as_str().parse::<f64>().map_or(Value::Null, Value::from),
        DeValue::Boolean(flag) => Value::from(*flag),
        DeValue::Datetime(date) => Value::from(date.to_string()),
        DeValue::Array(items) => items.iter().map(|item| to_json(item.get_ref())).collect(),
        DeValue::Table(table) => {
            let members: BTreeMap<String, Value> = table
                .iter()
                .map(|(key, value)| (key.get_ref().as_ref().to_owned(), to_json(value.get_ref())))
                .collect();
            members.into_iter().collect()
        }
    }
}
