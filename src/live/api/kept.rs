//! Requests and answers that the history keeps.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::InvocationDetail;

/// A body as far as it is kept: `body` when it is text, else `base64`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KeptBody {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base64: Option<String>,
    /// All of it, kept or not.
    pub bytes: u64,
    /// Only the head is kept.
    pub truncated: bool,
}

/// What an invocation was given.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct KeptRequest {
    /// `http`, `queue`, `topic`, `cron`, `event` (any JSON); of messages from outside `send` (to a queue) and `publish`.
    pub kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The path with its query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// Of the queue, topic or cron.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled_at: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<KeptMessage>,
    /// Messages of the batch that there was no room for.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub messages_left_out: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// How many attributes a message from outside had.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attributes: u64,
    #[serde(flatten)]
    pub content: KeptBody,
    /// `cron`: somebody fired it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub by_hand: bool,
    /// Values of secrets were taken out.
    #[serde(default)]
    pub redacted: bool,
}

fn is_false(flag: &bool) -> bool {
    !*flag
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct KeptMessage {
    pub id: String,
    #[serde(flatten)]
    pub content: KeptBody,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    pub receive_count: u32,
    pub sent_at: String,
    pub first_received_at: String,
}

/// What it answered: of HTTP the guest's own answer; of other events the handler's result as JSON.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct KeptResponse {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    #[serde(flatten)]
    pub content: KeptBody,
    #[serde(default)]
    pub redacted: bool,
}

/// What the network answered the function.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct KeptOutbound {
    pub method: String,
    pub url: String,
    pub status: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    #[serde(flatten)]
    pub content: KeptBody,
}

/// POST `/_emu/invocations/{id}/replay`: nothing, or both.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replay {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// Of an invocation that this emulator does not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<KeptRequest>,
}

/// An invocation, and the same once more.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Replayed {
    /// None: the request came with the question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<InvocationDetail>,
    pub after: InvocationDetail,
}

/// GET `/_emu/recording`: what came from outside, as steps and as the text of a test file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Recording {
    /// When the first step began; empty when there is none.
    pub from: String,
    /// When the last of what came of them had ended.
    pub to: String,
    pub steps: Vec<RecordedStep>,
    /// What the outside answered the functions in this time, in order.
    pub outbound: Vec<KeptOutbound>,
    /// Requests of this time of which nothing is kept.
    pub left_out: u64,
    /// The clock is manual: each wait was meant.
    pub exact: bool,
    /// A test file, untried.
    pub file: String,
}

/// A request, message, event or cron from outside.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RecordedStep {
    /// Of the invocation; of a message its own.
    pub id: String,
    /// When it began.
    pub time: String,
    pub ended: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    pub request: KeptRequest,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<KeptResponse>,
}
