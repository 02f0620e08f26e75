//! A span that goes on, and one run's: what it came from, what it was, how it ended.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use http::Method;
use opentelemetry::trace::{Link, SpanContext, SpanId, SpanKind, Status};
use opentelemetry::{KeyValue, StringValue};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use crate::engine::{Event, HttpEvent, InMessage, Scheduled};
use crate::live::clock::rfc3339;
use crate::live::driver::Driver;
use crate::live::events::Summary;
use crate::platform::effect::Work;
use crate::platform::time::Time;

use super::context::{self, Trace};

/// Messages of a batch that a span names.
pub const LINKS_MAX: usize = 128;

/// A span that goes on. One that is dropped has been given up.
pub struct Open {
    driver: Driver,
    context: SpanContext,
    /// `None`: nobody keeps the span, only its context goes on.
    draft: Option<Box<Draft>>,
}

/// What is known of a span at its beginning.
pub struct Begun {
    pub name: Cow<'static, str>,
    pub kind: SpanKind,
    pub attributes: Vec<KeyValue>,
    pub links: Vec<Link>,
}

struct Draft {
    begun: Begun,
    parent: SpanId,
    is_remote: bool,
    at: Time,
}

/// What goes wrong: its type, of which there are few, and what is said of it.
pub type Fault = (Cow<'static, str>, Cow<'static, str>);

impl Open {
    /// `context` is a child of `parent`, or begins a trace.
    pub fn new(
        driver: &Driver,
        context: SpanContext,
        parent: Option<&SpanContext>,
        begun: impl FnOnce() -> Begun,
    ) -> Open {
        let telemetry = driver.0.telemetry.as_ref();
        let is_kept = context.is_sampled() && telemetry.is_some_and(|telemetry| telemetry.0.spans.is_some());
        let draft = is_kept.then(|| {
            Box::new(Draft {
                begun: begun(),
                parent: parent.map_or(SpanId::INVALID, SpanContext::span_id),
                is_remote: parent.is_some_and(SpanContext::is_remote),
                at: driver.0.clock.wall(),
            })
        });
        Open {
            driver: driver.clone(),
            context,
            draft,
        }
    }

    /// For what comes of it.
    pub fn trace(&self) -> Trace {
        Trace::of(&self.context)
    }

    pub fn end(mut self, more: impl IntoIterator<Item = KeyValue>, fault: Option<Fault>) {
        self.close(more, fault);
    }

    fn close(&mut self, more: impl IntoIterator<Item = KeyValue>, fault: Option<Fault>) {
        let Some(draft) = self.draft.take() else { return };
        let mut begun = draft.begun;
        begun.attributes.extend(more);
        let status = match fault {
            None => Status::Unset,
            Some((kind, message)) => {
                begun.attributes.push(KeyValue::new("error.type", text(kind)));
                Status::error(message)
            }
        };
        let Some(telemetry) = &self.driver.0.telemetry else {
            return;
        };
        let mut links = SpanLinks::default();
        links.links = begun.links;
        telemetry.keep(SpanData {
            span_context: self.context.clone(),
            parent_span_id: draft.parent,
            parent_span_is_remote: draft.is_remote,
            span_kind: begun.kind,
            name: begun.name,
            start_time: system_time(draft.at),
            end_time: system_time(self.driver.0.clock.wall()),
            attributes: begun.attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links,
            status,
            instrumentation_scope: telemetry.0.scope.clone(),
        });
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if self.draft.is_some() {
            self.close([], Some(("cancelled".into(), "nobody waited for the end".into())));
        }
    }
}

fn text(text: Cow<'static, str>) -> StringValue {
    match text {
        Cow::Borrowed(text) => text.into(),
        Cow::Owned(text) => text.into(),
    }
}

/// What a run goes on with: the request's context, or that of the only message.
pub fn parent(event: &Event) -> Option<SpanContext> {
    match event {
        Event::Http(http) => context::of_headers(http.request.headers()),
        Event::Batch(batch) => match batch.messages.as_slice() {
            [message] => of_message(message),
            _ => None,
        },
        Event::Scheduled(_) | Event::Json(_) => None,
    }
}

fn of_message(message: &InMessage) -> Option<SpanContext> {
    super::sent::context_of(&message.attributes)
}

/// By the semantic conventions.
pub fn trigger(summary: &Summary) -> &'static str {
    match summary {
        Summary::Request { .. } => "http",
        Summary::Batch { .. } | Summary::Topic { .. } => "pubsub",
        Summary::Cron { .. } => "timer",
        Summary::Event | Summary::Unknown(_) => "other",
    }
}

/// A run as the semantic conventions for FaaS have it, and those for HTTP and messages within.
pub fn describe(function: &std::sync::Arc<str>, work: &Work, event: &Event, summary: &Summary) -> Begun {
    let of = |kind, attributes| Begun {
        name: function.to_string().into(),
        kind,
        attributes,
        links: Vec::new(),
    };
    match (event, summary) {
        (Event::Http(http), Summary::Request { method, path, .. }) => {
            let (name, attributes) = request(function, http, method, path);
            Begun {
                name: name.into(),
                ..of(SpanKind::Server, attributes)
            }
        }
        (Event::Batch(batch), Summary::Batch { queue: from, .. } | Summary::Topic { topic: from }) => {
            let mut attributes = messaging(Some(from), "process", "process");
            match batch.messages.as_slice() {
                [message] => attributes.push(KeyValue::new("messaging.message.id", message.id.clone())),
                several => attributes.push(count(several.len())),
            }
            let contexts = batch.messages.iter().filter_map(of_message).take(LINKS_MAX);
            Begun {
                name: format!("process {from}").into(),
                links: contexts.map(Link::with_context).collect(),
                ..of(SpanKind::Consumer, attributes)
            }
        }
        (Event::Scheduled(Scheduled { schedule, .. }), Summary::Cron { scheduled_at, .. }) => {
            let attributes = vec![
                KeyValue::new("faas.cron", schedule.clone()),
                KeyValue::new("faas.time", rfc3339(*scheduled_at)),
            ];
            of(SpanKind::Server, attributes)
        }
        // Somebody has sent it and gone.
        _ if matches!(work, Work::Async { .. }) => of(SpanKind::Consumer, Vec::new()),
        _ => of(SpanKind::Server, Vec::new()),
    }
}

fn request(function: &str, http: &HttpEvent, method: &Method, path: &str) -> (String, Vec<KeyValue>) {
    let mut attributes = Vec::with_capacity(12);
    let known = known_method(method, &mut attributes);
    attributes.push(KeyValue::new("url.path", path.to_owned()));
    attributes.push(KeyValue::new("url.scheme", "http"));
    let name = known.unwrap_or("HTTP");
    // `$default` is no route.
    let name = match http.route_key.split_once(' ') {
        Some((_, route)) => {
            attributes.push(KeyValue::new("http.route", route.to_owned()));
            format!("{name} {route}")
        }
        None => format!("{name} {function}"),
    };
    (name, attributes)
}

/// A method under its name; one that nobody knows is told beside, as there may be any number of them.
pub fn known_method(method: &Method, attributes: &mut Vec<KeyValue>) -> Option<&'static str> {
    let known = [
        "GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "CONNECT", "TRACE",
    ];
    let known = known.into_iter().find(|known| *known == method.as_str());
    attributes.push(KeyValue::new("http.request.method", known.unwrap_or("_OTHER")));
    if known.is_none() {
        attributes.push(KeyValue::new("http.request.method_original", method.to_string()));
    }
    known
}

/// What messages come from or go to.
pub fn messaging(destination: Option<&str>, name: &'static str, kind: &'static str) -> Vec<KeyValue> {
    let mut attributes = vec![
        KeyValue::new("messaging.system", "emu"),
        KeyValue::new("messaging.operation.name", name),
        KeyValue::new("messaging.operation.type", kind),
    ];
    attributes.extend(destination.map(|name| KeyValue::new("messaging.destination.name", name.to_owned())));
    attributes
}

pub fn count(messages: usize) -> KeyValue {
    KeyValue::new(
        "messaging.batch.message_count",
        i64::try_from(messages).unwrap_or(i64::MAX),
    )
}

pub fn status_code(status: u16) -> KeyValue {
    KeyValue::new("http.response.status_code", i64::from(status))
}

/// A status that is an error to the one who sees it: to a server from 500 on, to a client from 400 on.
pub fn fault_of(status: u16, from: u16) -> Option<Fault> {
    (status >= from).then(|| (status.to_string().into(), format!("status {status}").into()))
}

fn system_time(at: Time) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_nanos(at.0)
}

/// A trace that begins here, or goes on.
pub fn child(driver: &Driver, parent: Option<&SpanContext>) -> Option<SpanContext> {
    let telemetry = driver.0.telemetry.as_ref()?;
    Some(context::child(parent, telemetry.0.ratio))
}
