//! The event schema: what `--json` writes one a line, what `/_emu/events` sends, and what every rendering reads.

use serde::{Deserialize, Serialize};

use crate::engine::Stream;

/// `{"event": "...", "time": "2026-01-31T12:00:00.000Z", ...}`. Durations in milliseconds, memory in MB, money in
/// dollars. Fields are only ever added.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Stamped {
    /// RFC 3339 with milliseconds, UTC, on emu's clock.
    pub time: String,
    #[serde(flatten)]
    pub event: Event,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    Ready(Ready),
    Invocation(Invocation),
    Instance(Instance),
    Reload(Reload),
    Log(Log),
    Throttle(Throttle),
    Message(Message),
    Cron(Cron),
    Retry(Retry),
    GaveUp(GaveUp),
    /// Something fails because somebody asked for faults.
    Fault(Fault),
    /// What a user should know but nobody asked for: a warning of the project, a fallback to polling, dropped events.
    Notice(Notice),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ready {
    pub functions_url: String,
    pub control_url: String,
    pub pid: u32,
    pub project: String,
    pub provider: String,
    pub functions: usize,
    /// From process start.
    pub startup_ms: f64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Invocation {
    pub id: String,
    pub function: String,
    pub version: u32,
    /// `http`, `cron`, `queue`, `topic`, `async`.
    pub trigger: String,
    /// `GET /orders`, `orders (3 messages)`, `report at 08:00`.
    pub summary: String,
    /// `succeeded`, `failed`, `timed_out`, `out_of_memory`, `throttled`, `rejected`, `expired`, `dropped`, `cancelled`.
    pub outcome: String,
    /// HTTP only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    pub cold: bool,
    pub instance: Option<u64>,
    pub duration_ms: f64,
    /// Measured: the instance's real init, when this invocation waited for it.
    pub init_ms: f64,
    /// The provider's init by the profile.
    pub modelled_init_ms: f64,
    pub billed_ms: u64,
    pub memory_mb: u32,
    pub max_memory_mb: f64,
    /// Before the free tier.
    pub cost: f64,
    pub attempt: u32,
    /// The invocation that called, sent or failed before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// `async` and `topic`: the first attempt at the same event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_attempt: Option<String>,
    /// `topic`: the message that it was handed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Error {
    /// The engine's failure kind, or the reason of a rejection.
    pub kind: String,
    pub message: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stack: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Instance {
    pub id: u64,
    pub function: String,
    pub version: u32,
    /// `starting`, `idle`, `busy`, `draining`, `gone`.
    pub state: String,
    /// Why it is gone or draining: `idle for 10m`, `replaced by version 4`, `provider update`, ...
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reload {
    pub function: String,
    /// `added`, `changed`, `removed`, `failed`, `unchanged` (a build command ran and its artefact is the same).
    pub outcome: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// Files that caused it, relative to the project.
    pub files: Vec<String>,
    /// From the file event to the version in service.
    pub total_ms: f64,
    /// `watch`, `build`, `read`, `compile`, `link`, in this order; those that took place.
    pub phases: Vec<(String, f64)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// A version of this function still serves.
    pub serving: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Log {
    pub function: String,
    pub invocation: String,
    pub stream: Stream,
    pub text: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Throttle {
    pub function: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invocation: Option<String>,
    pub reason: String,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Message {
    pub id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// `sent`, `received`, `deleted`, `returned`, `dead_lettered`, `expired`, `fanned_out`, `deduplicated`, `refused`,
    /// `redriven`, `purged`.
    pub change: String,
    /// More of it in words: `attempt 2 of 3`, `to orders-dead`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// `sent`: the invocation that sent it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// `sent`: the topic's message that it copies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// `received`: the invocation that got it; none when a client received it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// `dead_lettered`, `redriven`: the queue it went to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// `received`, `dead_lettered`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receive_count: Option<u32>,
}

impl Message {
    /// With the queue it went to.
    #[must_use]
    pub fn to(mut self, queue: String) -> Message {
        self.to = Some(queue);
        self
    }
}

/// An asynchronous invocation, or a topic's message on its way to a function, will be tried again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Retry {
    pub function: String,
    /// Names the event.
    pub first_attempt: String,
    /// The attempt that failed.
    pub failed: String,
    /// The one to come, from 2.
    pub attempt: u32,
    pub attempts_max: u32,
    pub at: String,
}

/// An asynchronous invocation, or a topic's message on its way to a function, has failed for good.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GaveUp {
    pub function: String,
    /// Names the event.
    pub first_attempt: String,
    pub last: String,
    pub attempts: u32,
    /// `queue orders-dead`; none: it is dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

/// A fault on purpose.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Fault {
    /// `fail`, `kill`, `delay`, `duplicate`, `late_ack`, `reorder`, `cold_starts`, `host_loss`.
    pub kind: String,
    /// Whom it concerns: of messages the function of their queue, or the queue when it has none.
    pub function: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invocation: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Of the rule by which it was drawn.
    pub probability: f64,
    pub detail: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cron {
    pub name: String,
    pub scheduled_at: String,
    /// `skipped`, `missed`.
    pub outcome: String,
    pub detail: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Notice {
    /// `info`, `warning`, `error`.
    pub level: String,
    pub message: String,
}
