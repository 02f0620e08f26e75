//! What stands beside a body in the broker: one header of JSON, so that who looks with the broker's own tools can read it.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_nats::{HeaderMap, HeaderValue};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::live::messages::{Content, Payload};
use crate::live::telemetry::Trace;

/// The header's name.
pub(super) const HEADER: &str = "Emu";

/// A message, a topic's message or an event. Times are nanoseconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Label {
    /// The message's id, or that of an event's first attempt.
    pub id: u64,
    pub sent_at: u64,
    /// How often it had been received when it was published anew: the broker counts from there.
    #[serde(skip_serializing_if = "is_none")]
    pub received: u64,
    /// Not before this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub visible_at: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The queue it was dead-lettered from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<u64>,
    /// Of a delivery to a function: the topic and its message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<(String, u64)>,
    /// Of an event: the trace context that it was sent in; messages have it as an attribute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, Value>,
}

impl Label {
    pub fn of(id: u64, sent_at: u64, content: &Content) -> Label {
        Label {
            id,
            sent_at,
            content_type: content.content_type.clone(),
            attributes: content.attributes.clone(),
            ..Label::default()
        }
    }

    /// `once`: what is published under it a second time within the stream's window is dropped.
    pub fn headers(&self, once: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(async_nats::header::NATS_MESSAGE_ID, value(once));
        headers.insert(HEADER, value(&json(self)));
        headers
    }

    /// `None`: nobody of emu has written this.
    pub fn read(headers: Option<&HeaderMap>) -> Option<Label> {
        serde_json::from_str(headers?.get(HEADER)?.as_str()).ok()
    }

    pub fn payload(&self, body: &[u8]) -> Payload {
        Payload {
            json: String::from_utf8_lossy(body).into(),
            trace: self.trace.as_deref().and_then(Trace::read),
        }
    }

    pub fn content(&self, body: Bytes) -> Arc<Content> {
        Arc::new(Content {
            body,
            content_type: self.content_type.clone(),
            attributes: self.attributes.clone(),
        })
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_none(received: &u64) -> bool {
    *received == 0
}

/// JSON escapes what a header cannot hold.
pub(super) fn value(text: &str) -> HeaderValue {
    text.parse().unwrap_or_else(|_| HeaderValue::new())
}

pub(super) fn json(value: &impl Serialize) -> String {
    // Maps with text as keys, numbers and text: nothing of it fails.
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_survives_its_header() {
        let content = Content {
            body: Bytes::from_static(b"x"),
            content_type: Some("text/plain\r\nX: 1".to_owned()),
            attributes: [("k\u{e9}\n".to_owned(), serde_json::json!(["v", 1]))].into(),
        };
        let label = Label {
            group: Some("line\nbreak".to_owned()),
            topic: Some(("t".to_owned(), 7)),
            trace: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
            ..Label::of(u64::MAX, 5, &content)
        };
        let headers = label.headers("once");
        assert_eq!(Label::read(Some(&headers)), Some(label.clone()));
        assert_eq!(label.content(Bytes::new()).content_type, content.content_type);
        assert_eq!(Label::read(None), None);
        let payload = label.payload(b"{}");
        assert_eq!(payload.trace.as_ref().map(Trace::as_str), label.trace.as_deref());
        let before: Label = serde_json::from_str(r#"{"id": 5, "sent_at": 7}"#).expect("a label of an emu before");
        assert_eq!(before.payload(b"{}").trace, None);
    }
}
