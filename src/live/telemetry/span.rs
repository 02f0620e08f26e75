//! One run's span: what it came from, what it was, how it ended.

use std::time::{Duration, SystemTime};

use http::HeaderValue;
use opentelemetry::trace::{Link, SpanContext, SpanId, SpanKind, Status};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use serde_json::Value;

use crate::engine::{Event, InMessage};
use crate::live::events::Summary;
use crate::platform::time::Time;

use super::{Telemetry, context};

/// Messages of a batch that a span names.
const LINKS_MAX: usize = 128;

/// A run that goes on.
pub struct Active {
    telemetry: Telemetry,
    context: SpanContext,
    function: String,
    trigger: &'static str,
    /// `None`: nobody keeps the span, only its context goes on.
    draft: Option<Box<Draft>>,
}

/// What is known of a span at its beginning.
struct Draft {
    parent: SpanId,
    is_remote: bool,
    links: Vec<Link>,
    began: SystemTime,
    name: String,
    kind: SpanKind,
    attributes: Vec<KeyValue>,
}

/// How it ended.
pub struct Ended {
    pub at: Time,
    pub status: Option<u16>,
    /// Kind and message.
    pub error: Option<(String, String)>,
    pub timed_out: bool,
    pub cold: bool,
    pub duration: Duration,
    pub init: Duration,
    pub memory_bytes: u64,
}

impl Telemetry {
    /// A run begins. A request shows its own context to the function from here on.
    pub fn begin(&self, function: &str, invocation: &str, event: &mut Event, summary: &Summary, at: Time) -> Active {
        let parent = parent(event);
        let own = context::child(parent.as_ref(), self.0.ratio);
        let trigger = trigger(summary);
        let is_kept = own.is_sampled() && self.0.spans.is_some();
        let draft = is_kept.then(|| {
            let (name, kind, mut attributes) = describe(function, summary);
            attributes.push(KeyValue::new("faas.name", function.to_owned()));
            attributes.push(KeyValue::new("faas.trigger", trigger));
            attributes.push(KeyValue::new("faas.invocation_id", invocation.to_owned()));
            Box::new(Draft {
                parent: parent.as_ref().map_or(SpanId::INVALID, SpanContext::span_id),
                is_remote: parent.is_some(),
                links: links(event),
                began: system_time(at),
                name,
                kind,
                attributes,
            })
        });
        if let (Event::Http(http), Some(header)) = (event, context::header(&own)) {
            http.request.headers_mut().insert(context::HEADER, header);
        }
        Active {
            telemetry: self.clone(),
            context: own,
            function: function.to_owned(),
            trigger,
            draft,
        }
    }
}

impl Active {
    /// For what the run asks and sends.
    pub fn header(&self) -> Option<HeaderValue> {
        context::header(&self.context)
    }

    pub fn end(self, ended: &Ended) {
        let context = self.context;
        let span = self.draft.map(|draft| draft.end(context, ended));
        self.telemetry.ended(span, &self.function, self.trigger, ended);
    }
}

impl Draft {
    fn end(mut self, context: SpanContext, ended: &Ended) -> SpanData {
        self.attributes.push(KeyValue::new("faas.coldstart", ended.cold));
        if let Some(status) = ended.status {
            self.attributes
                .push(KeyValue::new("http.response.status_code", i64::from(status)));
        }
        let status = match &ended.error {
            None => Status::Unset,
            Some((kind, message)) => {
                self.attributes.push(KeyValue::new("error.type", kind.clone()));
                Status::error(message.clone())
            }
        };
        let mut links = SpanLinks::default();
        links.links = self.links;
        SpanData {
            span_context: context,
            parent_span_id: self.parent,
            parent_span_is_remote: self.is_remote,
            span_kind: self.kind,
            name: self.name.into(),
            start_time: self.began,
            end_time: system_time(ended.at),
            attributes: self.attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links,
            status,
            instrumentation_scope: InstrumentationScope::builder("emu").build(),
        }
    }
}

/// What a run goes on with: the request's context, or that of the only message.
fn parent(event: &Event) -> Option<SpanContext> {
    match event {
        Event::Http(http) => {
            let header = http.request.headers().get(context::HEADER)?;
            context::parse(header.to_str().ok()?)
        }
        Event::Batch(batch) => match batch.messages.as_slice() {
            [message] => of_message(message),
            _ => None,
        },
        Event::Scheduled(_) | Event::Json(_) => None,
    }
}

/// The contexts of several messages, none of which is more the parent than the others.
fn links(event: &Event) -> Vec<Link> {
    match event {
        Event::Batch(batch) if batch.messages.len() > 1 => {
            let found = batch.messages.iter().filter_map(of_message).take(LINKS_MAX);
            found.map(Link::with_context).collect()
        }
        _ => Vec::new(),
    }
}

/// As emu sends it, or as a CloudEvent brought it.
fn of_message(message: &InMessage) -> Option<SpanContext> {
    let names = [context::HEADER, "ce-traceparent"];
    let text = names
        .iter()
        .find_map(|name| message.attributes.get(*name))
        .and_then(Value::as_str)?;
    context::parse(text)
}

/// By the semantic conventions.
fn trigger(summary: &Summary) -> &'static str {
    match summary {
        Summary::Request { .. } => "http",
        Summary::Batch { .. } | Summary::Topic { .. } => "pubsub",
        Summary::Cron { .. } => "timer",
        Summary::Event | Summary::Unknown(_) => "other",
    }
}

/// Name, kind and attributes of its own, by the semantic conventions.
fn describe(function: &str, summary: &Summary) -> (String, SpanKind, Vec<KeyValue>) {
    match summary {
        Summary::Request { method, path, .. } => {
            let attributes = vec![
                KeyValue::new("http.request.method", method.to_string()),
                KeyValue::new("url.path", path.clone()),
            ];
            (format!("{method} {function}"), SpanKind::Server, attributes)
        }
        Summary::Batch { queue, messages } => {
            let count = i64::try_from(*messages).unwrap_or(i64::MAX);
            let attributes = messaging(queue, Some(count));
            (format!("process {queue}"), SpanKind::Consumer, attributes)
        }
        Summary::Topic { topic } => (format!("process {topic}"), SpanKind::Consumer, messaging(topic, None)),
        Summary::Cron { name, .. } => {
            let attributes = vec![KeyValue::new("faas.cron", name.to_string())];
            (format!("cron {name}"), SpanKind::Server, attributes)
        }
        Summary::Event | Summary::Unknown(_) => (format!("event {function}"), SpanKind::Consumer, Vec::new()),
    }
}

fn messaging(from: &str, count: Option<i64>) -> Vec<KeyValue> {
    let mut attributes = vec![
        KeyValue::new("messaging.system", "emu"),
        KeyValue::new("messaging.operation.type", "process"),
        KeyValue::new("messaging.destination.name", from.to_owned()),
    ];
    attributes.extend(count.map(|count| KeyValue::new("messaging.batch.message_count", count)));
    attributes
}

fn system_time(at: Time) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_nanos(at.0)
}
