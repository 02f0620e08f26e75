//! `emu.toml` and the folder around it become a [`Project`] that cannot be wrong, or diagnostics that point into the file.

mod check;
pub mod diagnostic;
pub mod discover;
mod dotenv;
mod env;
pub mod faults;
#[cfg(test)]
mod find_tests;
mod foreign;
pub mod keys;
mod load;
pub(crate) mod manifest;
pub(crate) mod read;
pub mod route;
pub mod router;
pub mod schema;
mod secrets;
pub mod testfile;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::str::FromStr;

pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub use load::{LoadOptions, Loaded, MANIFEST, Target, find, load_text, shown};
pub use read::At;
pub use router::{Lookup, Match, Router};
pub use secrets::SecretValues;

use crate::platform::config::{ColdStarts, Overlap};
use crate::platform::scaling::keep_alive::Policy;
use crate::platform::schedule::Schedule;
use crate::platform::time::Span;
use crate::platform::topic::Filter;
pub use crate::platform::units;

/// A validated project. Names are unique within their kind, every reference resolves.
#[derive(Clone, Debug, PartialEq)]
pub struct Project {
    /// The folder with emu.toml or `functions/`, canonical. For `emu dev FILE`: the file's folder.
    pub root: PathBuf,
    pub name: String,
    /// A profile id that exists.
    pub provider: String,
    pub functions: BTreeMap<String, Function>,
    /// Functions that others serve, by [`LoadOptions::only`], with what they subscribe to: what a bus brings them is handed on.
    pub elsewhere: BTreeMap<String, Option<TopicTrigger>>,
    pub queues: BTreeMap<String, Queue>,
    pub topics: BTreeMap<String, Topic>,
    pub kv: BTreeMap<String, KvStore>,
    pub http: HttpSettings,
    pub history: HistorySettings,
    pub dev: DevSettings,
    /// Names whose values must not show, by `[project]`.
    pub secrets: BTreeSet<String>,
    /// Values that must not show, as they stand in the functions' environment.
    pub secret_values: SecretValues,
    /// Where values of the functions' environment come from besides emu.toml; absolute, also those that are not there.
    pub env_files: Vec<PathBuf>,
    /// What these files set.
    pub env_names: BTreeSet<String>,
    /// `emu.toml`, when there is one.
    pub manifest: Option<PathBuf>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Function {
    pub name: String,
    /// Relative to the project root; a file, never a folder.
    pub source: PathBuf,
    pub kind: SourceKind,
    /// A shell command that makes `source`, run in the project root (or `dir`).
    pub build: Option<Build>,
    /// Empty for a function with only a queue, topic or cron.
    pub routes: Vec<Route>,
    pub memory_mb: u32,
    pub timeout: Span,
    /// Whose cold start is modelled, e.g. `nodejs22`.
    pub runtime: String,
    pub isolation: Isolation,
    /// Requests reach Lambda-style handlers in format 1.0 of API Gateway, not 2.0.
    pub payload_v1: bool,
    pub min_instances: u32,
    pub max_concurrency: Option<u32>,
    /// Requests an instance takes at once; `None`: the provider's.
    pub concurrency: Option<u32>,
    /// `None`: the provider's.
    pub keep_alive: Option<Policy>,
    /// `api.example.com`, `*.example.com`, with an optional port; `*` for all public hosts.
    pub allow_hosts: Vec<String>,
    /// With what env files hold, which win.
    pub env: BTreeMap<String, String>,
    pub bind: BTreeMap<String, Binding>,
    pub queue: Option<QueueTrigger>,
    pub crons: Vec<CronTrigger>,
    pub topic: Option<TopicTrigger>,
    /// Where records of asynchronous invocations go that failed for good, and of those that succeeded.
    pub on_failure: Option<Destination>,
    pub on_success: Option<Destination>,
    /// Of asynchronous work; `None`: the provider's.
    pub max_retries: Option<u32>,
    pub max_age: Option<Span>,
    /// WASI commands: arguments after the program name.
    pub args: Vec<String>,
}

impl Function {
    /// What its bindings call, in words: `env.ORDERS (queue orders)`.
    pub fn bound(&self) -> Vec<String> {
        let one = |(name, binding): (&String, &Binding)| match binding {
            Binding::Queue(to) => format!("env.{name} (queue {to})"),
            Binding::Topic(to) => format!("env.{name} (topic {to})"),
            Binding::Kv(to) => format!("env.{name} (key-value store {to})"),
            Binding::Function(to) => format!("env.{name} (function {to})"),
        };
        self.bind.iter().map(one).collect()
    }
}

impl Function {
    /// The functions that it calls, or that get its records.
    pub fn calls(&self) -> impl Iterator<Item = &String> {
        let called = self.bind.values().filter_map(|binding| match binding {
            Binding::Function(name) => Some(name),
            _ => None,
        });
        let records = [&self.on_failure, &self.on_success].into_iter().flatten();
        called.chain(records.filter_map(|to| match to {
            Destination::Function(name) => Some(name),
            _ => None,
        }))
    }

    /// The queue and the topic whose messages it gets.
    #[must_use]
    pub fn reads(&self) -> Vec<String> {
        let queue = self.queue.iter().map(|queue| queue.from.clone());
        let topic = self.topic.iter().map(|topic| topic.from.clone());
        queue.chain(topic).collect()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// JavaScript or TypeScript, with or without JSX.
    Script,
    /// `.wasm` or `.wat`: the engine tells a component from a module by its content.
    Wasm,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Build {
    pub command: String,
    /// Relative to the root.
    pub dir: PathBuf,
    /// Folders and files whose change triggers the build; empty: `dir`.
    pub watch: Vec<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    #[default]
    Invocation,
    Instance,
}

/// `GET /products/{id}`: more specific segments win over parameters, parameters over wildcards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// `None`: any method.
    pub method: Option<String>,
    pub segments: Vec<Segment>,
    /// As written, normalised: `/products/{id}`.
    pub pattern: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    Literal(String),
    /// `{id}`: one segment.
    Param(String),
    /// `*` or `{proxy+}` at the end: the rest, also empty. The name, if given.
    Rest(Option<String>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Binding {
    Queue(String),
    Topic(String),
    Kv(String),
    Function(String),
}

/// Where the record of an asynchronous invocation goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    Queue(String),
    Topic(String),
    Function(String),
}

#[derive(Clone, Debug, PartialEq)]
pub struct QueueTrigger {
    pub from: String,
    pub batch_size: u32,
    pub batch_window: Span,
    pub max_concurrency: Option<u32>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CronTrigger {
    /// The function's name, `name#2` and so on.
    pub name: String,
    pub schedule: Schedule,
    pub overlap: Overlap,
}

#[derive(Clone, Debug, PartialEq)]
pub struct TopicTrigger {
    pub from: String,
    pub filter: Option<Filter>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Queue {
    pub name: String,
    pub fifo: bool,
    pub visibility_timeout: Span,
    pub delay: Span,
    pub retention: Span,
    pub max_receives: Option<u32>,
    pub dead_letter: Option<String>,
    pub max_messages: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Topic {
    pub name: String,
    pub queues: Vec<Subscription>,
}

/// A queue that receives every message of a topic that passes the filter.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscription {
    pub queue: String,
    pub filter: Option<Filter>,
    /// In the envelope of a notification, not as published.
    pub wrapped: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KvStore {
    pub name: String,
    /// Of values that are put without a time of their own; `None`: they stay.
    pub ttl: Option<Span>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct HttpSettings {
    /// `None`: no CORS headers at all.
    pub cors: Option<Cors>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cors {
    /// `["*"]` or exact origins.
    pub origins: Vec<String>,
    pub methods: Vec<String>,
    pub headers: Vec<String>,
    pub credentials: bool,
    pub max_age: Span,
}

/// `[history]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistorySettings {
    pub age_max: Span,
    /// On the disk; 0 keeps nothing.
    pub bytes_max: u64,
    /// Of requests and answers; 0 keeps none.
    pub bodies_bytes_max: u64,
}

impl Default for HistorySettings {
    fn default() -> HistorySettings {
        HistorySettings {
            age_max: Span::from_secs(7 * 24 * 3600),
            bytes_max: 128 << 20,
            bodies_bytes_max: 32 << 20,
        }
    }
}

/// `[dev]`: what the command line can override.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DevSettings {
    pub port: Option<u16>,
    pub control_port: Option<u16>,
    pub host: Option<String>,
    pub clock: Option<ClockSetting>,
    pub cold_starts: Option<ColdStarts>,
    pub seed: Option<u64>,
    /// `[bus] url`
    pub bus: Option<BusUrl>,
}

/// Servers of a broker, with commas between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusUrl(pub String);

impl BusUrl {
    /// A password or a token.
    pub fn has_login(&self) -> bool {
        self.0.contains('@')
    }
}

impl FromStr for BusUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<BusUrl, String> {
        for server in text.split(',').map(str::trim) {
            let (scheme, rest) = server.split_once("://").unwrap_or(("nats", server));
            if !["nats", "tls"].contains(&scheme) {
                return Err(format!(
                    "`{scheme}://` is no bus that emu knows: it speaks to NATS, nats://HOST:4222 or tls://HOST:4222"
                ));
            }
            let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
            if host.is_empty() || rest.contains(char::is_whitespace) {
                return Err(format!(
                    "`{server}` names no server: nats://HOST:4222, several with commas between them"
                ));
            }
            if let Some((_, port)) = host.trim_end_matches('/').rsplit_once(':')
                && !port.ends_with(']')
                && !port.parse::<u16>().is_ok_and(|port| port > 0)
            {
                return Err(format!("`{port}` is no port: nats://HOST:4222"));
            }
        }
        Ok(BusUrl(text.to_owned()))
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum ClockSetting {
    #[default]
    Real,
    /// `x60`: waiting runs this many times faster.
    Scaled(f64),
    /// Time stands still until somebody moves it.
    Manual,
}

/// Faster than this, and waiting would round to nothing.
const CLOCK_FACTOR_MAX: f64 = 1e6;

impl FromStr for ClockSetting {
    type Err = String;

    fn from_str(text: &str) -> Result<ClockSetting, String> {
        if text == "real" {
            return Ok(ClockSetting::Real);
        }
        if text == "manual" {
            return Ok(ClockSetting::Manual);
        }
        let factor = text.strip_prefix('x').and_then(|factor| factor.parse::<f64>().ok());
        match factor {
            Some(factor) if factor > 0.0 && factor <= CLOCK_FACTOR_MAX => Ok(ClockSetting::Scaled(factor)),
            Some(_) => Err(format!(
                "the clock's factor `{text}` is not above zero and at most x1000000"
            )),
            None => Err(format!(
                "`{text}` is no clock; write `real`, `manual`, or `x60` for sixty times faster"
            )),
        }
    }
}
