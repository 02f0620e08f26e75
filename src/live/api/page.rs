//! What came with the dashboard; scripts use it as well.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::live::load;

/// In `/_emu/events?sample`, twice a second while something happens: all that happened, what was sent singly as well.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sums {
    /// `sums`.
    pub event: String,
    pub time: String,
    /// Of the machine's time.
    pub period_ms: f64,
    pub functions: Vec<FunctionSums>,
    pub left_out: LeftOut,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FunctionSums {
    pub function: String,
    pub invocations: u64,
    pub errors: u64,
    pub throttled: u64,
    pub cold: u64,
    /// Of all together.
    pub duration_ms: f64,
    pub cost: f64,
    /// Up to so many milliseconds, more than the entry before: how many.
    pub durations: Vec<(f64, u32)>,
}

/// Events that were not sent singly.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct LeftOut {
    pub invocations: u64,
    pub logs: u64,
    pub messages: u64,
    pub others: u64,
}

/// In `/_emu/events?sample`, when it changed, and every two seconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    /// `state`.
    pub event: String,
    pub time: String,
    pub clock: String,
    pub clock_factor: f64,
    pub cold_starts: String,
    pub functions: Vec<FunctionState>,
    pub queues: Vec<QueueState>,
    /// Instances on which something runs.
    pub busy: Vec<u64>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FunctionState {
    pub function: String,
    pub version: Option<u32>,
    pub instances: u32,
    pub starting: u32,
    pub busy: u32,
    /// Requests that wait for an instance.
    pub waiting: u32,
    pub invocations: u64,
    pub errors: u64,
    pub cold_starts: u64,
    pub throttles: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct QueueState {
    pub queue: String,
    pub visible: u64,
    pub in_flight: u64,
    pub delayed: u64,
}

/// GET `/_emu/settings`: what is in force.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Settings {
    pub clock: String,
    pub clock_factor: f64,
    pub cold_starts: String,
    pub functions: Vec<FunctionSettings>,
    /// Something is not as emu was started.
    pub changed: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FunctionSettings {
    pub name: String,
    pub keep_alive_ms: f64,
    pub max_concurrency: Option<u32>,
    pub concurrency: u32,
    pub min_instances: u32,
    pub changed: bool,
}

/// POST `/_emu/settings`: what shall be different, until it is reset or emu ends.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ChangeSettings {
    /// Back to how emu was started, before the rest.
    pub reset: bool,
    /// `x60`; `real` is `x1`.
    pub clock: Option<String>,
    pub cold_starts: Option<String>,
    pub functions: BTreeMap<String, ChangeFunction>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ChangeFunction {
    /// `5m`.
    pub keep_alive: Option<String>,
    pub max_concurrency: Option<u32>,
    pub concurrency: Option<u32>,
    pub min_instances: Option<u32>,
}

/// POST `/_emu/load`: one of `function` and `path`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StartLoad {
    /// Ends the load that runs.
    pub stop: bool,
    pub function: Option<String>,
    pub path: Option<String>,
    pub method: Option<String>,
    pub headers: Vec<(String, String)>,
    pub body: Option<String>,
    pub pattern: load::Pattern,
    /// Requests a second, 50 by default.
    pub rate: Option<f64>,
    /// `30s` by default.
    pub duration: Option<String>,
    /// Requests under way at once, 1,000 by default.
    pub concurrency: Option<u32>,
}

/// GET `/_emu/load`: the load that runs, or ran last.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct LoadState {
    pub running: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<load::Pattern>,
    pub rate: f64,
    pub duration_ms: f64,
    /// Requests without an answer yet.
    pub under_way: u64,
    #[serde(flatten)]
    pub so_far: Option<load::Summary>,
}

/// POST `/_emu/request`: a request to the functions' port.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SendRequest {
    /// GET by default.
    pub method: Option<String>,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Option<String>,
    pub base64: Option<String>,
}

/// What came back: `body` when it is text, else `base64`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answered {
    pub status: u16,
    pub elapsed_ms: f64,
    pub invocation: Option<String>,
    /// `cold`, `warm`.
    pub start: Option<String>,
    pub headers: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base64: Option<String>,
    pub bytes: usize,
    /// There was more.
    pub truncated: bool,
}
