//! An invocation's event in the shape that the module's convention expects.

use std::fmt::Write;

use http::HeaderMap;
use http_body::Body as _;
use serde_json::{Value, json};

use super::bodies::{self, Bodies};
use super::{Convention, wire};
use crate::engine::head::names_host;
use crate::engine::host::Run;
use crate::engine::notification::{notification, topic_arn};
use crate::engine::{Batch, BatchSource, Event, Failure, FailureKind, HttpEvent, InMessage, Scheduled, shape};

/// A body of known length up to this goes with the call; a longer one streams.
const INLINE_BYTES_MAX: u64 = 64 << 10;

/// What the answer to an event is to be made of.
#[derive(Debug, PartialEq, Eq)]
pub enum Expected {
    /// An HTTP response.
    Http,
    /// An HTTP response whose body answers a JSON event.
    HttpAsJson,
    /// The handler's value.
    Json,
    /// The prelude's verdict for each message.
    Verdicts,
    /// `batchItemFailures`, for the messages of these ids.
    ItemFailures(Vec<String>),
    Nothing,
}

/// An event that the guest's `handle` takes, and what to do with the answer.
///
/// # Errors
/// When a body cannot be read or is too long to be handed over as text.
pub async fn prepare(
    event: Event,
    convention: Convention,
    bodies: &mut Bodies,
    run: &Run,
) -> Result<(wire::Event, Expected), Failure> {
    match (event, convention) {
        (Event::Http(http), Convention::Workers) => {
            let prepared = request(http, bodies).await;
            let (head, body) = prepared.map_err(|message| Failure::new(FailureKind::Error, message))?;
            Ok((wire::Event::Http((head, body)), Expected::Http))
        }
        (event @ Event::Http(_), Convention::Lambda) => {
            Ok((wire::Event::Gateway(shaped(event, run).await?), Expected::Http))
        }
        (Event::Scheduled(scheduled), Convention::Workers) => {
            Ok((wire::Event::Scheduled(cron(&scheduled).to_string()), Expected::Nothing))
        }
        (event @ Event::Scheduled(_), Convention::Lambda) => {
            Ok((wire::Event::Plain(shaped(event, run).await?), Expected::Nothing))
        }
        (Event::Batch(batch), Convention::Workers) => {
            Ok((wire::Event::Queue(queue(&batch).to_string()), Expected::Verdicts))
        }
        (Event::Batch(batch), Convention::Lambda) => {
            let ids = batch.messages.iter().map(|message| message.id.clone()).collect();
            let json = match &batch.source {
                BatchSource::Topic(topic) => notifications(topic, &batch.messages).to_string(),
                BatchSource::Queue(_) => shaped(Event::Batch(batch), run).await?,
            };
            Ok((wire::Event::Plain(json), Expected::ItemFailures(ids)))
        }
        (Event::Json(value), Convention::Workers) => {
            let head = format!(
                "POST http://{}.function.internal/\ncontent-type: {}",
                run.settings.function,
                shape::json_type(&value)
            );
            Ok((
                wire::Event::Http((head, wire::Body::Text(value.to_string()))),
                Expected::HttpAsJson,
            ))
        }
        (Event::Json(value), Convention::Lambda) => Ok((wire::Event::Plain(value.to_string()), Expected::Json)),
    }
}

/// The event as Lambda has it, in JSON.
async fn shaped(event: Event, run: &Run) -> Result<String, Failure> {
    let json = shape::event_json(event, run).await?;
    String::from_utf8(json).map_err(Failure::internal)
}

async fn request(event: HttpEvent, bodies: &mut Bodies) -> Result<(String, wire::Body), String> {
    let (parts, body) = event.request.into_parts();
    let mut head = String::with_capacity(512);
    head.push_str(parts.method.as_str());
    head.push(' ');
    push_url(&mut head, &parts.uri, &parts.headers);
    push_headers(&mut head, &parts.headers);

    if body.is_end_stream() {
        return Ok((head, wire::Body::None));
    }
    let body = match body.size_hint().exact() {
        Some(0) => wire::Body::None,
        Some(length) if length <= INLINE_BYTES_MAX => wire::Body::Bytes(bodies::collect(body, INLINE_BYTES_MAX).await?),
        _ => wire::Body::Handle(bodies.arriving(body)?),
    };
    Ok((head, body))
}

/// The absolute address of a request, as `Request.url` shows it.
fn push_url(out: &mut String, uri: &http::Uri, headers: &HeaderMap) {
    let authority = uri.authority().map(http::uri::Authority::as_str);
    let host = headers.get(http::header::HOST).and_then(|host| host.to_str().ok());
    // What else stands there could choose the path.
    let host = authority
        .or(host)
        .filter(|host| names_host(host))
        .unwrap_or("localhost");
    let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let start = out.len();
    // Writing to a String cannot fail.
    let _ = write!(out, "{}://{host}{path}", uri.scheme_str().unwrap_or("http"));
    // What may look otherwise once parsed (dot segments, a default port, letters to be escaped) goes through the parser.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_~%?&=:+@!$,;*()[]".contains(&byte);
    let tail = &out.as_bytes()[start..];
    let usual = tail.iter().all(|byte| plain(*byte) || *byte == b'.')
        && !path.contains("/.")
        && !path.to_ascii_lowercase().contains("%2e")
        && !host.ends_with(":80")
        && !host.bytes().any(|byte| byte.is_ascii_uppercase());
    if !usual && let Ok(url) = url::Url::parse(&out[start..]) {
        out.truncate(start);
        out.push_str(url.as_str());
    }
}

/// Headers as the prelude reads them: `name: value`, each after a line break. Values that are not UTF-8 are read as Latin-1,
/// as `fetch` has it.
pub fn push_headers(out: &mut String, headers: &HeaderMap) {
    for (name, value) in headers {
        out.push('\n');
        out.push_str(name.as_str());
        out.push_str(": ");
        match std::str::from_utf8(value.as_bytes()) {
            Ok(text) => out.push_str(text),
            Err(_) => out.extend(value.as_bytes().iter().copied().map(char::from)),
        }
    }
}

fn cron(scheduled: &Scheduled) -> Value {
    json!({ "cron": &*scheduled.schedule, "scheduledTime": scheduled.scheduled_at.as_millis() })
}

fn queue(batch: &Batch) -> Value {
    let (BatchSource::Queue(name) | BatchSource::Topic(name)) = &batch.source;
    let messages: Vec<Value> = batch
        .messages
        .iter()
        .map(|message| {
            json!({
                "id": message.id,
                "timestamp": message.sent_at.as_millis(),
                "attempts": message.receive_count,
                "attributes": message.attributes,
                "body": content(message),
            })
        })
        .collect();
    json!({ "queue": &**name, "messages": messages })
}

/// The body of a message as a value: JSON is parsed unless the sender said that it is text.
fn content(message: &InMessage) -> Value {
    let text = String::from_utf8_lossy(&message.body);
    let is_text = message
        .content_type
        .as_deref()
        .is_some_and(|kind| kind.starts_with("text/"));
    let parsed = if is_text {
        None
    } else {
        serde_json::from_str(&text).ok()
    };
    parsed.unwrap_or_else(|| Value::String(text.into_owned()))
}

/// Messages of a topic as SNS hands them to a handler.
fn notifications(topic: &str, messages: &[InMessage]) -> Value {
    let arn = topic_arn(topic);
    let record = |message: &InMessage| {
        let mut sns = notification(topic, &message.id, message.sent_at, &message.body, &message.attributes);
        sns["Subject"] = Value::Null;
        json!({
            "EventSource": "aws:sns",
            "EventVersion": "1.0",
            "EventSubscriptionArn": format!("{arn}:{}", message.id),
            "Sns": sns,
        })
    };
    json!({ "Records": messages.iter().map(record).collect::<Vec<_>>() })
}
