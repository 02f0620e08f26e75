//! What several emulators on one bus say of themselves.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// GET `/_emu/members`: the emulators that share this one's work, itself first; alone when it has no bus. Members may be of
/// another version of emu: what was added later has a default.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Member {
    /// Of its place in the group; `own` when it has none.
    pub name: String,
    /// The machine it runs on.
    #[serde(default)]
    pub host: String,
    pub pid: u32,
    /// As other machines reach it, where it is open to them.
    pub functions_url: String,
    pub control_url: String,
    /// None: it has no page, as `emu serve`.
    #[serde(default)]
    pub dashboard_url: Option<String>,
    /// RFC 3339.
    #[serde(default)]
    pub started_at: String,
    /// How long ago it said all this; 0 for the one that is asked.
    #[serde(default)]
    pub silent_ms: f64,
    pub instances: u64,
    /// Of these.
    pub busy: u64,
    /// Invocations under way, by function.
    #[serde(default)]
    pub running: BTreeMap<String, u64>,
    pub invocations: u64,
    /// Messages and events that it has taken from the bus and is not done with.
    pub holds: u64,
    /// What its emu.toml says of its queues; members are meant to have the same.
    #[serde(default)]
    pub queues: BTreeMap<String, String>,
    /// Dollars at list price: the free tier is the group's.
    pub cost_before_free: f64,
}
