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
    parent: SpanId,
    is_remote: bool,
    links: Vec<Link>,
    began: SystemTime,
    name: String,
    kind: SpanKind,
    function: String,
    trigger: &'static str,
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
        let (parent, links) = origin(event);
        let own = context::child(parent.as_ref(), self.0.ratio);
        if let (Event::Http(http), Some(header)) = (event, context::header(&own)) {
            http.request.headers_mut().insert(context::HEADER, header);
        }
        let (name, kind, trigger, mut attributes) = describe(function, summary);
        attributes.push(KeyValue::new("faas.name", function.to_owned()));
        attributes.push(KeyValue::new("faas.trigger", trigger));
        attributes.push(KeyValue::new("faas.invocation_id", invocation.to_owned()));
        Active {
            telemetry: self.clone(),
            parent: parent.as_ref().map_or(SpanId::INVALID, SpanContext::span_id),
            is_remote: parent.is_some(),
            context: own,
            links,
            began: system_time(at),
            name,
            kind,
            function: function.to_owned(),
            trigger,
            attributes,
        }
    }
}

impl Active {
    /// For what the run asks and sends.
    pub fn header(&self) -> Option<HeaderValue> {
        context::header(&self.context)
    }

    pub fn end(mut self, ended: &Ended) {
        if !self.context.is_sampled() {
            return self.telemetry.ended(None, &self.function, self.trigger, ended);
        }
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
        let span = SpanData {
            span_context: self.context,
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
        };
        self.telemetry.ended(Some(span), &self.function, self.trigger, ended);
    }
}

/// Where a run comes from: the request's context, that of the only message, or those of several as links.
fn origin(event: &Event) -> (Option<SpanContext>, Vec<Link>) {
    match event {
        Event::Http(http) => {
            let header = http.request.headers().get(context::HEADER);
            (header.and_then(|text| context::parse(text.to_str().ok()?)), Vec::new())
        }
        Event::Batch(batch) => {
            let mut found: Vec<SpanContext> = batch.messages.iter().filter_map(of_message).take(LINKS_MAX).collect();
            match batch.messages.len() {
                1 => (found.pop(), Vec::new()),
                _ => (None, found.into_iter().map(Link::with_context).collect()),
            }
        }
        Event::Scheduled(_) | Event::Json(_) => (None, Vec::new()),
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

/// Name, kind, trigger and attributes of its own, by the semantic conventions.
fn describe(function: &str, summary: &Summary) -> (String, SpanKind, &'static str, Vec<KeyValue>) {
    match summary {
        Summary::Request { method, path, .. } => {
            let attributes = vec![
                KeyValue::new("http.request.method", method.to_string()),
                KeyValue::new("url.path", path.clone()),
            ];
            (format!("{method} {function}"), SpanKind::Server, "http", attributes)
        }
        Summary::Batch { queue, messages } => {
            let count = i64::try_from(*messages).unwrap_or(i64::MAX);
            let attributes = messaging(queue, Some(count));
            (format!("process {queue}"), SpanKind::Consumer, "pubsub", attributes)
        }
        Summary::Topic { topic } => (
            format!("process {topic}"),
            SpanKind::Consumer,
            "pubsub",
            messaging(topic, None),
        ),
        Summary::Cron { name, .. } => {
            let attributes = vec![KeyValue::new("faas.cron", name.to_string())];
            (format!("cron {name}"), SpanKind::Server, "timer", attributes)
        }
        Summary::Event | Summary::Unknown(_) => (format!("event {function}"), SpanKind::Consumer, "other", Vec::new()),
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
