//! An exchange as the history keeps it and the control API tells it: texts, with the values of secrets taken out.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::tape::Tape;
use super::{Answered, Asked, Exchange, Messages, Outbound, Sent, State};
use crate::engine::{BatchSource, RetryMessage};
use crate::live::api::{KeptBody, KeptMessage, KeptOutbound, KeptRequest, KeptResponse};
use crate::live::clock::rfc3339;
use crate::live::secrets::Secrets;
use crate::platform::time::Span;

/// As it is stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Kept {
    pub request: KeptRequest,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<KeptResponse>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outbound: Vec<KeptOutbound>,
}

impl Exchange {
    /// What of it has passed by now. `None`: it was forgotten.
    pub fn kept(&self, secrets: &Secrets) -> Option<Kept> {
        let state = self.lock();
        let mut clean = Clean {
            secrets,
            redacted: false,
        };
        let State {
            asked: Some(asked),
            answered,
            outbound,
            ..
        } = &*state
        else {
            return None;
        };
        let mut request = clean.request(asked);
        request.redacted = std::mem::take(&mut clean.redacted);
        let response = answered.as_ref().map(|answered| {
            let mut response = clean.response(answered);
            response.redacted = std::mem::take(&mut clean.redacted);
            response
        });
        let outbound = outbound.iter().map(|one| clean.outbound(one)).collect();
        Some(Kept {
            request,
            response,
            outbound,
        })
    }
}

/// Takes secrets out, and remembers whether there were any.
struct Clean<'a> {
    secrets: &'a Secrets,
    redacted: bool,
}

impl Clean<'_> {
    fn text(&mut self, text: impl Into<String>) -> String {
        let mut text = text.into();
        self.redacted |= self.secrets.text(&mut text);
        text
    }

    fn headers(&mut self, headers: &HeaderMap) -> Vec<(String, String)> {
        let one = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
            let value = self.text(String::from_utf8_lossy(value.as_bytes()));
            (name.to_string(), value)
        };
        headers.iter().map(one).collect()
    }

    fn bytes(&mut self, head: &[u8], bytes: u64, truncated: bool) -> KeptBody {
        let text = match std::str::from_utf8(head) {
            Ok(text) => Some(text),
            // A character may be cut through.
            Err(error) if truncated && error.error_len().is_none() => {
                std::str::from_utf8(&head[..error.valid_up_to()]).ok()
            }
            Err(_) => None,
        };
        let body = KeptBody {
            bytes,
            truncated,
            ..KeptBody::default()
        };
        match text {
            Some(text) => KeptBody {
                body: Some(self.text(text)),
                ..body
            },
            None => self.binary(head, body),
        }
    }

    /// What is no text may hold secrets all the same, such as a form with a file; then what can be read of it is kept.
    fn binary(&mut self, head: &[u8], body: KeptBody) -> KeptBody {
        let mut text = String::from_utf8_lossy(head).into_owned();
        let redacted = self.secrets.text(&mut text);
        self.redacted |= redacted;
        match redacted {
            true => KeptBody {
                body: Some(text),
                ..body
            },
            false => KeptBody {
                base64: Some(STANDARD.encode(head)),
                ..body
            },
        }
    }

    fn body(&mut self, tape: &Tape) -> KeptBody {
        self.bytes(&tape.head, tape.bytes, tape.is_cut())
    }

    fn request(&mut self, asked: &Asked) -> KeptRequest {
        match asked {
            Asked::Http {
                method,
                target,
                headers,
                body,
            } => {
                // A body that nobody read has not passed: there may be one.
                let none = body.bytes == 0 && !has_body(headers);
                KeptRequest {
                    kind: "http".to_owned(),
                    method: Some(method.to_string()),
                    target: Some(self.text(target)),
                    headers: self.headers(headers),
                    content: self.bytes(&body.head, body.bytes, !none && body.is_cut()),
                    ..KeptRequest::default()
                }
            }
            Asked::Batch(messages) => self.batch(messages),
            Asked::Cron { scheduled, by_hand } => KeptRequest {
                by_hand: *by_hand,
                kind: "cron".to_owned(),
                name: Some(scheduled.name.to_string()),
                schedule: Some(scheduled.schedule.to_string()),
                scheduled_at: Some(rfc3339(scheduled.scheduled_at)),
                ..KeptRequest::default()
            },
            Asked::Event(tape) => KeptRequest {
                kind: "event".to_owned(),
                content: self.body(tape),
                ..KeptRequest::default()
            },
            Asked::Sent(sent) => self.sent(sent),
        }
    }

    fn batch(&mut self, messages: &Messages) -> KeptRequest {
        let (kind, name) = match &messages.batch.source {
            BatchSource::Queue(name) => ("queue", name),
            BatchSource::Topic(name) => ("topic", name),
        };
        let lengths = messages.lengths.iter();
        let kept: Vec<KeptMessage> = messages
            .batch
            .messages
            .iter()
            .zip(lengths)
            .map(|(message, length)| KeptMessage {
                id: message.id.clone(),
                content: self.bytes(&message.body, *length as u64, message.body.len() < *length),
                content_type: message.content_type.as_ref().map(|kind| self.text(kind)),
                attributes: self.attributes(&message.attributes),
                group: message.group.as_deref().map(|group| self.text(group)),
                receive_count: message.receive_count,
                sent_at: rfc3339(message.sent_at),
                first_received_at: rfc3339(message.first_received_at),
            })
            .collect();
        let truncated = messages.left_out > 0 || kept.iter().any(|message| message.content.truncated);
        KeptRequest {
            kind: kind.to_owned(),
            name: Some(name.to_string()),
            content: KeptBody {
                bytes: messages.lengths.iter().map(|length| *length as u64).sum(),
                truncated,
                ..KeptBody::default()
            },
            messages: kept,
            messages_left_out: messages.left_out as u64,
            ..KeptRequest::default()
        }
    }

    /// As JSON writes them, secrets are found in them.
    fn attributes(&mut self, attributes: &BTreeMap<String, Value>) -> BTreeMap<String, Value> {
        if attributes.is_empty() {
            return BTreeMap::new();
        }
        let text = serde_json::to_string(attributes).unwrap_or_default();
        let clean = self.text(text);
        serde_json::from_str(&clean).unwrap_or_default()
    }

    fn sent(&mut self, sent: &Sent) -> KeptRequest {
        KeptRequest {
            kind: if sent.to_queue { "send" } else { "publish" }.to_owned(),
            name: Some(sent.name.clone()),
            content: self.bytes(&sent.head, sent.bytes as u64, sent.head.len() < sent.bytes),
            delay_ms: sent.delay.map(Span::as_millis_f64),
            group: sent.group.as_ref().map(|group| self.text(group)),
            attributes: sent.attributes as u64,
            ..KeptRequest::default()
        }
    }

    fn response(&mut self, answered: &Answered) -> KeptResponse {
        match answered {
            Answered::Http { status, headers, body } => KeptResponse {
                status: Some(*status),
                headers: self.headers(headers),
                content: self.body(body),
                redacted: false,
            },
            Answered::Json(tape) => KeptResponse {
                content: self.body(tape),
                ..KeptResponse::default()
            },
            Answered::Batch(retries) => {
                let failed: Vec<Value> = retries.iter().map(retry).collect();
                KeptResponse {
                    content: self.body(&Tape::of_json(&json!({ "batchItemFailures": failed }))),
                    ..KeptResponse::default()
                }
            }
            Answered::Done => KeptResponse::default(),
        }
    }

    fn outbound(&mut self, one: &Outbound) -> KeptOutbound {
        KeptOutbound {
            method: one.method.to_string(),
            url: self.text(&one.url),
            status: one.status,
            content_type: one.content_type.as_ref().map(|kind| self.text(kind)),
            content: self.body(&one.body),
        }
    }
}

fn has_body(headers: &HeaderMap) -> bool {
    headers.contains_key(http::header::TRANSFER_ENCODING)
        || headers
            .get(http::header::CONTENT_LENGTH)
            .is_some_and(|length| length.as_bytes() != b"0")
}

fn retry(message: &RetryMessage) -> Value {
    match message.delay {
        None => json!({ "itemIdentifier": message.id }),
        Some(delay) => json!({ "itemIdentifier": message.id, "delay": delay.to_string() }),
    }
}
