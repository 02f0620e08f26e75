//! The control API's JSON, as the server writes it and the commands read it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::exchange::Kept;
use super::manual::Happened;
use crate::report::event;

mod group;
mod kept;
mod page;

pub use group::*;
pub use kept::*;
pub use page::*;

/// Longest body of a control request.
pub const REQUEST_BYTES_MAX: u64 = 16 << 20;

/// `{"error": {"code", "message", "remedy"}}`, with a fitting status.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ErrorBody {
    pub error: ApiError,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ApiError {
    /// Stable, e.g. `function-not-found`.
    pub code: String,
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// `.emu/run.json`: how commands find a running emulator.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunFile {
    pub functions_url: String,
    pub control_url: String,
    pub pid: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// GET `/_emu/health`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Health {
    pub status: String,
    pub version: String,
    pub project: String,
    pub provider: String,
    pub functions_url: String,
    pub control_url: String,
    pub pid: u32,
    pub uptime_ms: f64,
    /// `real` or `x60`.
    pub clock: String,
    pub now: String,
    /// Emu's time when it started.
    #[serde(default)]
    pub started_at: String,
    /// How much faster than the machine's its clock goes; 1 when it is real, 0 when it is moved by hand.
    #[serde(default)]
    pub clock_factor: f64,
    /// `report`, `sleep`, `off`.
    pub cold_starts: String,
    /// Where other machines of the network reach the functions, with `--host`.
    #[serde(default)]
    pub network_url: Option<String>,
    /// The bus that it shares with others, without a password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bus: Option<String>,
}

/// GET `/_emu/clock`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClockState {
    /// `real`, `x60` or `manual`.
    pub clock: String,
    pub now: String,
    /// When something falls due next.
    pub next: Option<String>,
}

/// POST `/_emu/clock`: one of the first three.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MoveClock {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advance: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advance_to: Option<String>,
    /// `true`, or a bound such as `"1d"`, within which crons are work too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_until_idle: Option<Value>,
    /// Invocations that the move may begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_invocations: Option<u64>,
}

/// Answer to POST `/_emu/clock`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClockMoved {
    pub from: String,
    pub now: String,
    pub next: Option<String>,
    #[serde(flatten)]
    pub happened: Happened,
}

/// GET `/_emu/functions`: an array of these.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Function {
    pub name: String,
    pub source: String,
    /// The version in service; none: it never built.
    pub version: Option<u32>,
    /// The last build's error in full; the version before it serves on.
    pub error: Option<String>,
    pub urls: Vec<String>,
    pub routes: Vec<String>,
    pub crons: Vec<CronState>,
    pub queue: Option<String>,
    pub topic: Option<String>,
    pub memory_mb: u32,
    pub timeout_ms: f64,
    pub runtime: String,
    pub isolation: String,
    pub min_instances: u32,
    pub max_concurrency: Option<u32>,
    /// Requests that one instance takes at once.
    #[serde(default)]
    pub concurrency: u32,
    #[serde(default)]
    pub keep_alive_ms: f64,
    pub instances: u32,
    pub invocations: u64,
    pub errors: u64,
    pub cold_starts: u64,
    pub throttles: u64,
}

/// GET `/_emu/crons`: an array of these.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CronState {
    pub name: String,
    pub function: String,
    pub schedule: String,
    pub timezone: String,
    pub overlap: String,
    /// The next runs, RFC 3339 in the cron's zone.
    pub next: Vec<String>,
    pub last: Option<String>,
}

/// GET `/_emu/instances`: an array of these.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Instance {
    pub id: u64,
    pub function: String,
    pub version: u32,
    pub state: String,
    pub age_ms: f64,
    pub idle_ms: Option<f64>,
    /// When it vanishes if nothing comes; none while busy or kept by `min_instances`.
    pub expires_in_ms: Option<f64>,
    pub invocations: u64,
    pub in_flight: u32,
}

/// GET `/_emu/invocations`: an array of these, newest first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Listed {
    pub time: String,
    #[serde(flatten)]
    pub invocation: event::Invocation,
}

/// GET `/_emu/why/{id}`: the causal chain of an invocation or a message.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Why {
    pub asked: String,
    /// What it all began with.
    pub root: Hop,
    /// There is more than is shown.
    pub truncated: bool,
}

/// An invocation (with all attempts at its event) or a message, and what came of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Hop {
    /// `invocation`, `message`.
    pub kind: String,
    pub id: String,
    /// How it came from the hop above: `sent to queue orders`, `receive 2`, `attempt 2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub how: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// `api POST /orders`, `queue orders`.
    pub what: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The one that was asked for.
    #[serde(default)]
    pub asked: bool,
    /// In the order of time.
    #[serde(default)]
    pub then: Vec<Then>,
    /// What else came of it and is not on the way, or too much to show.
    #[serde(default)]
    pub more: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    Step(Step),
    Hop(Hop),
}

/// Something that was decided.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Step {
    pub time: String,
    pub what: String,
    /// By which rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
}

/// GET `/_emu/invocations/{id}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InvocationDetail {
    pub time: String,
    #[serde(flatten)]
    pub invocation: event::Invocation,
    pub log: Vec<LogLine>,
    pub log_dropped: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<KeptRequest>,
    /// None: it has not answered, by what the history knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<KeptResponse>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outbound: Vec<KeptOutbound>,
    /// Why there is no request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_kept: Option<String>,
}

impl InvocationDetail {
    /// Adds what it was given and answered, where that is kept.
    pub(super) fn keep(&mut self, kept: Option<Kept>) {
        if let Some(kept) = kept {
            self.request = Some(kept.request);
            self.response = kept.response;
            self.outbound = kept.outbound;
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LogLine {
    pub stream: crate::engine::Stream,
    pub text: String,
}

/// GET `/_emu/queues` (array) and `/_emu/queues/{name}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Queue {
    pub name: String,
    pub fifo: bool,
    pub visible: u64,
    pub in_flight: u64,
    pub delayed: u64,
    /// Messages in its dead-letter queue.
    pub dead: u64,
    pub dead_letter: Option<String>,
    pub consumer: Option<String>,
    pub oldest_ms: Option<f64>,
    pub max_receives: Option<u32>,
    pub visibility_timeout_ms: f64,
}

/// GET `/_emu/topics`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Topic {
    pub name: String,
    /// `function:welcome`, `queue:audit`.
    pub subscriptions: Vec<String>,
}

/// POST `/_emu/queues/{name}/messages` and `/_emu/topics/{name}/messages`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with the body")]
pub struct SendMessage {
    /// A string is sent as it is, anything else as JSON.
    pub body: Value,
    /// Queues only: `5s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deduplication: Option<String>,
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub attributes: std::collections::BTreeMap<String, Value>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sent {
    pub id: String,
}

/// POST `/_emu/queues/{name}/receive`; the answer is an array of [`Received`].
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receive {
    /// 1 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
    /// `30s`; the queue's own by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visibility: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Received {
    pub id: String,
    /// For delete and visibility, until the message is received again.
    pub receipt: String,
    /// JSON where it is JSON, else text.
    pub body: Value,
    pub content_type: Option<String>,
    pub attributes: std::collections::BTreeMap<String, Value>,
    pub group: Option<String>,
    pub receive_count: u32,
    pub sent_at: String,
    pub first_received_at: String,
}

/// POST `/_emu/queues/{name}/delete` and `/_emu/queues/{name}/visibility`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ByReceipt {
    pub receipt: String,
    /// `2m`, for visibility.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visibility: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Checked {
    pub done: bool,
}

/// GET `/_emu/queues/{name}/messages?max=10`: an array of these, oldest first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Peeked {
    pub id: String,
    /// `visible`, `delayed` or `in flight`.
    pub state: String,
    /// When it is visible again.
    pub until: Option<String>,
    pub sent_at: String,
    pub receive_count: u32,
    /// The queue it was dead-lettered from.
    pub source: Option<String>,
    pub body: Value,
    pub attributes: std::collections::BTreeMap<String, Value>,
}

/// POST `/_emu/crons/{name}/fire`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Fired {
    pub invocation: String,
}

/// POST `/_emu/functions/{name}/invoke`: the body is the event, any JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Invoked {
    pub invocation: event::Invocation,
    /// The handler's answer; null when it failed. HTTP-style handlers answer
    /// `{"statusCode", "headers", "body", "isBase64Encoded"}`.
    pub response: Value,
    pub log: Vec<LogLine>,
}

/// GET `/_emu/kv`: an array of these.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KvStore {
    pub name: String,
    pub keys: u64,
    pub ttl_ms: Option<f64>,
}

/// GET `/_emu/kv/{store}?prefix=&cursor=&limit=`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KvKeys {
    pub keys: Vec<KvKey>,
    /// There is more: ask again with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KvKey {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Value>,
}

/// GET `/_emu/kv/{store}/value?key=KEY`: `value` when it is text, else `base64`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KvValue {
    pub key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base64: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
}

/// POST `/_emu/kv/{store}/put`: one of `value` and `base64`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KvPut {
    pub key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base64: Option<String>,
    /// `10m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Value>,
}

/// POST `/_emu/kv/{store}/delete`, and what it and a put answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KvDone {
    pub key: String,
}

/// GET `/_emu/snapshots`: an array of these.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Snapshot {
    pub name: String,
    pub bytes: u64,
    pub saved_at: String,
    /// In queues, and of topics on their way.
    pub messages: u64,
    /// Asynchronous invocations and topic deliveries.
    pub events: u64,
    /// In key-value stores.
    pub keys: u64,
    /// Why it cannot be loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// POST `/_emu/snapshots/{name}/save`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SaveSnapshot {
    /// Replace one of this name.
    #[serde(default)]
    pub force: bool,
}
