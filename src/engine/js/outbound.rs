//! What leaves a function while it runs: requests to the outside and to other functions, messages to queues and topics, calls of key-value stores.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::header::CONTENT_LENGTH;
use http_body_util::{BodyExt, Empty};
use serde::Deserialize;
use serde_json::Value;
use wasmtime::component::Accessor;

use super::events::push_headers;
use super::reply::whole;
use super::script::{with_bodies, with_guest};
use crate::engine::head::tell_length;
use crate::engine::host::{Guest, Run, outbound as outside};
use crate::engine::{BindTarget, Body, OutMessage, Settings};

/// A request from its head: the method, the address and then `name: value`, one a line.
fn request(head: &str, body: Body) -> Result<http::Request<Body>, String> {
    let mut lines = head.split('\n');
    let (method, address) = lines
        .next()
        .and_then(|line| line.split_once(' '))
        .ok_or("the request has no address")?;
    let mut request = http::Request::builder().method(method).uri(without_fragment(address));
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap_or((line.trim_end_matches(':'), ""));
        request = request.header(name, value.as_bytes());
    }
    request.body(body).map_err(|error| error.to_string())
}

fn without_fragment(address: &str) -> &str {
    address.split('#').next().unwrap_or(address)
}

/// The head of a response as the prelude reads it: status, then `name: value`, one a line.
fn response_head(parts: &http::response::Parts) -> String {
    let mut head = format!(
        "{} {}",
        parts.status.as_u16(),
        parts.status.canonical_reason().unwrap_or("")
    );
    push_headers(&mut head, &parts.headers);
    head
}

/// `fetch` of the prelude: to the outside, or to the function that a binding names.
///
/// # Errors
/// A text that fits behind `fetch failed: `.
pub async fn fetch(
    store: &Accessor<Guest>,
    head: &str,
    body: Option<Vec<u8>>,
    sink: Option<u32>,
    binding: Option<String>,
) -> Result<(String, u32), String> {
    let run: Arc<Run> = with_guest(store, |guest| Arc::clone(&guest.run));
    let body = match (body, sink) {
        (Some(bytes), _) => {
            // Counted until its receiver lets go of it.
            let place = with_bodies(store, |bodies| bodies.place(bytes.len(), run.settings.memory_bytes))?;
            outside::holding(whole(bytes), place)
        }
        (None, Some(handle)) => with_bodies(store, |bodies| bodies.take(handle))?,
        (None, None) => Empty::new().map_err(|never| match never {}).boxed_unsync(),
    };
    let mut request = request(head, body)?;
    // Whatever the guest says, and be it copied from another message: a stream has no length.
    request.headers_mut().remove(CONTENT_LENGTH);
    let response = match binding {
        None => outside::send(run, request).await.map_err(|error| error.to_string())?,
        Some(name) => match target(&run.settings, &name)? {
            BindTarget::Function(function) => {
                tell_length(&mut request);
                run.host.call(function, request).await.map_err(|error| error.message)?
            }
            _ => return Err(format!("binding {name} is no function")),
        },
    };
    let (parts, body) = response.into_parts();
    let handle = with_bodies(store, |bodies| bodies.arriving(body))?;
    Ok((response_head(&parts), handle))
}

fn target(settings: &Settings, name: &str) -> Result<BindTarget, String> {
    settings
        .bind
        .get(name)
        .cloned()
        .ok_or_else(|| format!("the function has no binding {name}"))
}

/// A message as `Queue.send` of the prelude writes it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    body: Value,
    delay_seconds: Option<f64>,
    content_type: Option<String>,
    group_id: Option<String>,
    deduplication_id: Option<String>,
    #[serde(default)]
    attributes: BTreeMap<String, Value>,
}

impl From<Message> for OutMessage {
    /// A string travels as it is, anything else as JSON, unless the sender says `contentType: "json"`.
    fn from(message: Message) -> OutMessage {
        let json = matches!(message.content_type.as_deref(), Some("json" | "application/json"));
        let (body, kind) = match message.body {
            Value::String(text) if !json => (text, "text/plain"),
            value => (value.to_string(), "application/json"),
        };
        OutMessage {
            body: body.into(),
            content_type: Some(kind.to_owned()),
            delay: message.delay_seconds.map(super::reply::seconds),
            group: message.group_id,
            deduplication: message.deduplication_id,
            attributes: message.attributes,
        }
    }
}

/// `send` to a queue or topic, which answers with the ids as JSON, and the operations of a key-value store.
///
/// # Errors
/// A text for the guest's `Error`.
pub async fn call_binding(store: &Accessor<Guest>, name: &str, op: &str, payload: &str) -> Result<String, String> {
    let run: Arc<Run> = with_guest(store, |guest| Arc::clone(&guest.run));
    if let BindTarget::Kv(store) = target(&run.settings, name)? {
        let store = run.host.kv(&store).map_err(|error| error.message)?;
        return super::keyvalue::call(&*store, op, payload).await;
    }
    if op != "send" {
        return Err(format!("binding {name} has no operation {op}"));
    }
    let messages: Vec<Message> = serde_json::from_str(payload).map_err(|error| format!("not a message: {error}"))?;
    let messages = messages.into_iter().map(OutMessage::from).collect();
    let ids = match target(&run.settings, name)? {
        BindTarget::Queue(queue) => run.host.send(queue, messages).await,
        BindTarget::Topic(topic) => run.host.publish(topic, messages).await,
        BindTarget::Kv(_) => return Err(format!("binding {name} is a key-value store")),
        BindTarget::Function(_) => return Err(format!("binding {name} is a function: call {name}.fetch(request)")),
    };
    let ids = ids.map_err(|error| error.message)?;
    serde_json::to_string(&ids).map_err(|error| error.to_string())
}
