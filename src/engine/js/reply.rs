//! What the guest answered, as the engine hands it on.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderName, TRANSFER_ENCODING, UPGRADE};
use http_body_util::{BodyExt, Empty, Full};
use serde::Deserialize;
use serde_json::Value;

use super::bodies::{self, Bodies};
use super::events::Expected;
use super::wire;
use crate::engine::shape::{self, HEADERS_MAX, Wants};
use crate::engine::{Body, Reply, RetryMessage};
use crate::platform::time::Span;

/// Longest body of a response that answers a JSON event.
const JSON_BYTES_MAX: u64 = 6 << 20;

/// These say how bytes travel on one connection, which is not the function's to say.
const HOP_BY_HOP: [HeaderName; 3] = [CONNECTION, TRANSFER_ENCODING, UPGRADE];

/// A response from its head: status and reason, then `name: value`, one a line.
///
/// # Errors
/// When status or a header is none.
pub fn response(head: &str, body: Body) -> Result<http::Response<Body>, String> {
    if head.bytes().filter(|byte| *byte == b'\n').count() > HEADERS_MAX {
        return Err(format!("the answer has more than {HEADERS_MAX} headers"));
    }
    let mut lines = head.split('\n');
    let status = lines.next().and_then(|line| line.split(' ').next()).unwrap_or("");
    let mut response = http::Response::builder().status(status);
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap_or((line.trim_end_matches(':'), ""));
        response = response.header(name, value.as_bytes());
    }
    let mut response = response
        .body(body)
        .map_err(|error| format!("the function answered with an {error}"))?;
    for name in HOP_BY_HOP {
        response.headers_mut().remove(name);
    }
    Ok(response)
}

pub fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// The response of an `http` reply; `None` when the guest has begun it before.
///
/// # Errors
/// When the guest's answer is none.
fn http_response(head: &str, body: wire::Body, bodies: &mut Bodies) -> Result<Option<http::Response<Body>>, String> {
    if head.is_empty() {
        return Ok(None);
    }
    let length_is_ours = !matches!(body, wire::Body::None | wire::Body::Handle(_));
    let body = match body {
        wire::Body::None => Empty::new().map_err(|never| match never {}).boxed_unsync(),
        wire::Body::Text(text) => whole(text),
        wire::Body::Bytes(bytes) => whole(bytes),
        wire::Body::Base64(text) => whole(
            BASE64
                .decode(text)
                .map_err(|error| format!("the body is not base64: {error}"))?,
        ),
        wire::Body::Handle(handle) => bodies.take(handle)?,
    };
    let mut response = response(head, body)?;
    if length_is_ours {
        response.headers_mut().remove(CONTENT_LENGTH);
    }
    Ok(Some(response))
}

/// Turns a reply that is no failure into the engine's; `None` when it has been handed over before.
///
/// # Errors
/// When the answer does not fit the event.
pub async fn convert(reply: wire::Reply, expected: Expected, bodies: &mut Bodies) -> Result<Option<Reply>, String> {
    match (reply, expected) {
        (wire::Reply::Http((head, body)), Expected::Http) => Ok(http_response(&head, body, bodies)?.map(Reply::Http)),
        (wire::Reply::Http((head, body)), Expected::HttpAsJson) => match http_response(&head, body, bodies)? {
            Some(response) => Ok(Some(Reply::Json(json_of(response).await?))),
            None => Ok(None),
        },
        (wire::Reply::Json(text), Expected::Verdicts) => Ok(Some(Reply::Batch(verdicts(&text)?))),
        (wire::Reply::Json(text), Expected::Json) => shaped(Wants::Json, text),
        (wire::Reply::Json(text), Expected::ItemFailures(ids)) => shaped(Wants::Batch(ids), text),
        (wire::Reply::Json(_), Expected::Nothing) => Ok(Some(Reply::Done)),
        _ => Err("the runtime answered in the wrong shape".to_owned()),
    }
}

fn shaped(wants: Wants, text: String) -> Result<Option<Reply>, String> {
    shape::reply(wants, text.into_bytes())
        .map(Some)
        .map_err(|failure| failure.message)
}

/// JSON if the body is, else its text. An error status is an error.
async fn json_of(response: http::Response<Body>) -> Result<Value, String> {
    let (parts, body) = response.into_parts();
    let bytes = bodies::collect(body, JSON_BYTES_MAX).await?;
    let text = String::from_utf8_lossy(&bytes);
    if parts.status.is_client_error() || parts.status.is_server_error() {
        return Err(format!("the function answered with {}: {text}", parts.status));
    }
    Ok(serde_json::from_str(&text).unwrap_or_else(|_| Value::String(text.into_owned())))
}

/// What the prelude says of a batch.
#[derive(Deserialize)]
struct Verdicts {
    messages: Vec<Verdict>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Verdict {
    id: String,
    outcome: String,
    delay_seconds: Option<f64>,
}

/// The messages that are to come again.
///
/// # Errors
/// When the text is none of the prelude's.
pub fn verdicts(text: &str) -> Result<Vec<RetryMessage>, String> {
    let verdicts: Verdicts = serde_json::from_str(text).map_err(|error| format!("the verdict is not JSON: {error}"))?;
    let retried = verdicts
        .messages
        .into_iter()
        .filter(|verdict| verdict.outcome == "retry");
    Ok(retried
        .map(|verdict| RetryMessage {
            id: verdict.id,
            delay: verdict.delay_seconds.map(seconds),
        })
        .collect())
}

/// Negative and undefined lengths count as none.
pub fn seconds(seconds: f64) -> Span {
    Span((seconds.max(0.0) * 1e9) as u64)
}
