//! What leaves a function, or comes in from outside, on its way to a queue, a topic or a function: a span of the one who sends, whose context
//! goes with it, so that who handles it, however late and often, goes on in the same trace.

use std::borrow::Cow;
use std::collections::BTreeMap;

use http::{HeaderMap, Request, Response, Uri};
use opentelemetry::KeyValue;
use opentelemetry::trace::{Link, SpanContext, SpanKind};
use serde_json::Value;

use crate::engine::{Body, HostError, Left, OutMessage};
use crate::live::driver::Driver;
use crate::live::state::Origin;
use crate::platform::ids::{FunctionId, InvocationId};

use super::context::{self, HEADER, Trace};
use super::span::{self, Begun, Fault, LINKS_MAX, Open};

/// Attributes that hold a context: as emu writes it, or as a CloudEvent brought it.
const ATTRIBUTES: [&str; 2] = [HEADER, "ce-traceparent"];

/// The context that a message was sent in.
pub fn of_attributes(attributes: &BTreeMap<String, Value>) -> Option<Trace> {
    context_of(attributes).map(|context| Trace::of(&context))
}

/// As [`of_attributes`], for who goes on at once.
pub(super) fn context_of(attributes: &BTreeMap<String, Value>) -> Option<SpanContext> {
    let text = ATTRIBUTES.iter().find_map(|name| attributes.get(*name))?;
    context::parse(text.as_str()?)
}

/// Those of a message that has no others.
pub fn attributes(trace: Option<&Trace>) -> BTreeMap<String, Value> {
    let one = trace.map(|trace| (HEADER.to_owned(), trace.as_str().into()));
    one.into_iter().collect()
}

/// A request goes on in a trace, unless it names its own.
pub fn carry(trace: Option<&Trace>, headers: &mut HeaderMap) {
    if let Some(header) = trace.and_then(Trace::header) {
        headers.entry(HEADER).or_insert(header);
    }
}

impl Driver {
    /// Messages are sent, all to `to` where it is named. From here on each carries a context: this one's, unless it came with its own.
    pub fn sending<'a>(
        &self,
        operation: &'static str,
        to: Option<&str>,
        messages: impl ExactSizeIterator<Item = &'a mut OutMessage>,
        origin: &Origin,
    ) -> Option<Open> {
        let parent = origin.trace.as_ref().and_then(Trace::context);
        let own = span::child(self, parent.as_ref())?;
        let trace = Trace::of(&own);
        let several = messages.len();
        let mut links = Vec::new();
        for message in messages {
            if let Some(other) = context_of(&message.attributes) {
                links.push(Link::with_context(other));
            } else if !ATTRIBUTES.iter().any(|name| message.attributes.contains_key(*name)) {
                message.attributes.insert(HEADER.to_owned(), trace.as_str().into());
            }
        }
        links.truncate(LINKS_MAX);
        Some(Open::new(self, own, parent.as_ref(), || {
            let mut attributes = span::messaging(to, operation, "send");
            if several > 1 {
                attributes.push(span::count(several));
            }
            Begun {
                name: match to {
                    Some(to) => format!("{operation} {to}").into(),
                    None => operation.into(),
                },
                kind: SpanKind::Producer,
                attributes,
                links,
            }
        }))
    }

    /// Messages were sent, or were not.
    pub fn sent(&self, sending: Option<Open>, sent: &Result<Vec<String>, HostError>) {
        let Some(sending) = sending else { return };
        let id = match sent.as_deref() {
            Ok([id]) => Some(KeyValue::new("messaging.message.id", id.clone())),
            _ => None,
        };
        sending.end(id, fault(sent));
    }

    /// A function gets events that nobody waits for.
    pub fn handing_over(&self, function: FunctionId, origin: &Origin) -> Option<Open> {
        let parent = origin.trace.as_ref().and_then(Trace::context);
        let own = span::child(self, parent.as_ref())?;
        Some(Open::new(self, own, parent.as_ref(), || {
            let name = self.names().function(function);
            Begun {
                name: format!("invoke {name}").into(),
                kind: SpanKind::Producer,
                attributes: invoked(&name),
                links: Vec::new(),
            }
        }))
    }

    /// They were accepted, or were not.
    pub fn handed_over(&self, handing_over: Option<Open>, accepted: &Result<Vec<InvocationId>, HostError>) {
        if let Some(handing_over) = handing_over {
            handing_over.end([], fault(accepted));
        }
    }

    /// A function asks another and waits. `None`: nobody watches, or it has a trace of its own.
    pub fn asking(&self, function: &str, request: &mut Request<Body>, trace: Option<&Trace>) -> Option<Open> {
        self.asks(request, trace, |request| {
            let mut attributes = invoked(function);
            let method = span::known_method(request.method(), &mut attributes).unwrap_or("HTTP");
            (format!("{method} {function}").into(), attributes)
        })
    }

    /// It was answered, or was not.
    pub fn asked(&self, asking: Option<Open>, answer: &Result<Response<Body>, HostError>) {
        let Some(asking) = asking else { return };
        let status = answer.as_ref().ok().map(|answer| answer.status().as_u16());
        let fault = fault(answer).or_else(|| span::fault_of(status?, 400));
        asking.end(status.map(span::status_code), fault);
    }

    /// A function asks somebody outside. `None`: nobody watches, or it has a trace of its own.
    pub fn leaving(&self, request: &mut Request<Body>, to: (&str, u16), trace: Option<&Trace>) -> Option<Left> {
        let open = self.asks(request, trace, |request| {
            let (host, port) = to;
            let mut attributes = vec![
                KeyValue::new("server.address", host.to_owned()),
                KeyValue::new("server.port", i64::from(port)),
                KeyValue::new("url.full", plain(request.uri(), to)),
            ];
            let method = span::known_method(request.method(), &mut attributes);
            (method.unwrap_or("HTTP").into(), attributes)
        })?;
        Some(Box::new(move |answer| {
            let status = answer.as_ref().ok().map(http::StatusCode::as_u16);
            let fault = match answer {
                Ok(status) => span::fault_of(status.as_u16(), 400),
                Err((kind, message)) => Some((kind.into(), message.into())),
            };
            open.end(status.map(span::status_code), fault);
        }))
    }

    /// The span of a request on its way, which carries its context from here on; `describe` gives its name and its attributes.
    fn asks(
        &self,
        request: &mut Request<Body>,
        trace: Option<&Trace>,
        describe: impl FnOnce(&Request<Body>) -> (Cow<'static, str>, Vec<KeyValue>),
    ) -> Option<Open> {
        if request.headers().contains_key(HEADER) {
            return None;
        }
        let parent = trace?.context();
        let own = span::child(self, parent.as_ref())?;
        let open = Open::new(self, own, parent.as_ref(), || {
            let (name, attributes) = describe(request);
            Begun {
                name,
                kind: SpanKind::Client,
                attributes,
                links: Vec::new(),
            }
        });
        carry(Some(&open.trace()), request.headers_mut());
        Some(open)
    }
}

/// An address without what may be secret in it: user, password and query.
fn plain(uri: &Uri, (host, port): (&str, u16)) -> String {
    let scheme = uri.scheme_str().unwrap_or("http");
    format!("{scheme}://{host}:{port}{}", uri.path())
}

fn fault<T>(result: &Result<T, HostError>) -> Option<Fault> {
    let error = result.as_ref().err()?;
    Some((error.code.into(), error.message.clone().into()))
}

/// Who is called, by the conventions for the one who calls. The provider is emu, whichever it stands for.
fn invoked(function: &str) -> Vec<KeyValue> {
    vec![
        KeyValue::new("faas.invoked_name", function.to_owned()),
        KeyValue::new("faas.invoked_provider", "emu"),
    ]
}
