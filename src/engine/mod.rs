//! Runs guest code; knows nothing of scaling or money.
//!
//! [`Engine::load`] turns a source into an immutable [`Version`], [`Engine::open`] makes a fresh [`Sandbox`] of it,
//! [`Sandbox::run`] runs one [`Invocation`] with its limits, deadline and output armed for that run.

#![deny(unsafe_code)]

pub mod cache;
pub mod cloudevents;
mod command;
pub mod compile;
mod component;
mod config;
mod failure;
mod gateway;
pub mod head;
pub mod host;
pub mod js;
mod keyvalue;
mod limits;
#[cfg(target_os = "linux")]
mod mapped;
/// Other systems tell nothing of a memory's pages.
#[cfg(not(target_os = "linux"))]
mod mapped {
    use std::collections::BTreeSet;

    pub fn images() -> std::io::Result<BTreeSet<u64>> {
        Ok(BTreeSet::new())
    }

    pub fn inode(_path: &std::path::Path) -> Option<u64> {
        None
    }

    pub fn written(_images: &BTreeSet<u64>) -> std::io::Result<BTreeSet<u64>> {
        Ok(BTreeSet::new())
    }
}
mod notification;
mod output;
mod outside;
pub mod pace;
mod pool;
mod preview1;
mod runtime;
mod sandbox;
mod shape;
mod wasm;

pub use keyvalue::{KeyValue, KvExpiry, KvKey, KvList, KvPage, KvPut, KvValue};
pub use notification::notification;
pub use outside::{OutsideAnswer, OutsideRoute};
pub use runtime::{Engine, EngineOptions, Loaded, Version};
pub use sandbox::Sandbox;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::{BoxFuture, Shared};
use serde_json::Value;

use crate::platform::time::{Span, Time};

/// A streaming body at the engine's edge. Errors are texts, meant for people.
pub type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, BodyError>;

#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct BodyError(pub String);

/// What to load.
#[derive(Clone, Debug)]
pub struct Source {
    /// For messages.
    pub function: String,
    /// Absolute and canonical; imports may not leave it.
    pub project_root: PathBuf,
    /// Absolute: JavaScript or TypeScript by its extension, `.wasm` or `.wat`.
    pub entry: PathBuf,
    /// The function's environment, for the trial import: modules read it when they are evaluated.
    pub env: BTreeMap<String, String>,
}

/// A build that failed: what an editor user needs.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct LoadError {
    /// A lowercase fragment with the remedy.
    pub message: String,
    /// Relative to the project root, with line and column from 1, when known.
    pub place: Option<Place>,
    /// The source line with a caret, or a guest's stack; several lines.
    pub detail: Option<String>,
    /// Files that were read or looked for: a change there tries again.
    pub watch: Vec<PathBuf>,
}

#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Place {
    pub file: String,
    pub line: u32,
    pub column: u32,
}

/// How long the parts of a load took.
#[derive(Clone, Copy, Debug, Default)]
pub struct LoadPhases {
    /// Reading and resolving, TypeScript included.
    pub read: Duration,
    /// Cranelift in the child, or loading its cached result.
    pub compile: Duration,
    pub compile_cached: bool,
    /// Linking, pre-instantiation and the trial import.
    pub link: Duration,
}

/// Where a guest's text goes, line by line, while it runs. Must not block.
pub trait LogSink: Send + Sync {
    fn line(&self, stream: Stream, text: &str);
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    Stdout,
    Stderr,
    Debug,
    Info,
    Warn,
    Error,
}

/// Told how a request ended: its status, or the kind of error and what it says. Dropped: nobody waited any more.
pub type Left = Box<dyn FnOnce(Result<http::StatusCode, (&'static str, String)>) + Send>;

/// What a guest may reach outside its sandbox besides outbound HTTP: the project's own queues, topics, key-value
/// stores and functions.
/// `name` is the target's name in the manifest; the engine has resolved the binding.
pub trait Host: Send + Sync {
    /// Message ids in order.
    fn send(&self, queue: String, messages: Vec<OutMessage>) -> BoxFuture<'static, Result<Vec<String>, HostError>>;
    fn publish(&self, topic: String, messages: Vec<OutMessage>) -> BoxFuture<'static, Result<Vec<String>, HostError>>;
    fn call(
        &self,
        function: String,
        request: http::Request<Body>,
    ) -> BoxFuture<'static, Result<http::Response<Body>, HostError>>;

    /// # Errors
    /// When there is no such store, or none can be used now.
    fn kv(&self, store: &str) -> Result<Arc<dyn KeyValue>, HostError>;

    /// Who answers a request to the outside, to a host that `allow_hosts` names.
    fn outside(&self, method: &http::Method, url: &str, host: &str, port: u16) -> OutsideRoute {
        let _ = (method, url, host, port);
        OutsideRoute::Network { record: false }
    }

    /// What the network answered, where [`Host::outside`] asked for it.
    fn recorded(&self, method: &http::Method, url: &str, answer: OutsideAnswer) {
        let _ = (method, url, answer);
    }

    /// An answer of the outside, on its way to the guest: for whoever wants to hear it pass.
    fn heard(&self, method: &http::Method, url: &str, response: http::Response<Body>) -> http::Response<Body> {
        let _ = (method, url);
        response
    }

    /// A request leaves for the outside. Who watches may give it a trace context, and is told how it ended.
    fn leaving(&self, request: &mut http::Request<Body>, host: &str, port: u16) -> Option<Left> {
        let _ = (request, host, port);
        None
    }

    /// When runs are compared: the guest's time passes by sleeping only, not by working.
    fn is_time_still(&self) -> bool {
        false
    }
}

#[derive(Clone, Debug, Default)]
pub struct OutMessage {
    pub body: Bytes,
    pub content_type: Option<String>,
    pub delay: Option<Span>,
    pub group: Option<String>,
    pub deduplication: Option<String>,
    pub attributes: BTreeMap<String, Value>,
}

#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct HostError {
    /// Stable, e.g. `queue-not-found`.
    pub code: &'static str,
    pub message: String,
}

/// What stays the same for all invocations of a function under one manifest.
#[derive(Clone, Debug)]
pub struct Settings {
    pub function: Arc<str>,
    pub memory_bytes: u64,
    pub timeout: Duration,
    /// The guest's whole environment.
    pub env: Vec<(String, String)>,
    /// Binding name -> target, for `env.NAME` and for `http://NAME.queue.internal/` and its kin.
    pub bind: BTreeMap<String, BindTarget>,
    pub allow_hosts: Vec<String>,
    /// WASI commands: arguments after the program name.
    pub args: Vec<String>,
    /// Requests reach handlers as events of API Gateway in format 1.0, not 2.0.
    pub payload_v1: bool,
    /// Longest body of a buffered (not streamed) answer, and of a request handed over as text.
    pub body_bytes_max: u64,
    /// Guest output kept and forwarded for one invocation; the rest is counted.
    pub log_bytes_max: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BindTarget {
    Queue(String),
    Topic(String),
    Kv(String),
    Function(String),
}

/// One piece of work.
pub struct Invocation {
    /// A UUID, shown to the guest as its request id.
    pub id: String,
    pub settings: Arc<Settings>,
    pub event: Event,
    /// The clock's time of arrival; guest time starts here.
    pub now: Time,
    /// Virtual time; `None`: the machine's.
    pub pace: Option<Arc<pace::Pace>>,
    /// Seeds the guest's randomness.
    pub seed: u64,
    pub host: Arc<dyn Host>,
    pub log: Arc<dyn LogSink>,
    /// Ends the run from outside, wherever it is, with the failure that stands for it.
    pub cut: Option<Cut>,
}

/// See [`Invocation::cut`]. Clones share it.
pub type Cut = Shared<BoxFuture<'static, Failure>>;

#[expect(
    clippy::large_enum_variant,
    reason = "made and taken once a run: a box would cost every request an allocation"
)]
pub enum Event {
    /// The path is the one the client sent.
    Http(HttpEvent),
    /// From a cron.
    Scheduled(Scheduled),
    /// From a queue or topic.
    Batch(Batch),
    /// From `emu invoke` or an asynchronous invocation: any JSON. Handlers get it as it is; `wasi:http` components
    /// get it as a POST to `/`.
    Json(Value),
}

pub struct HttpEvent {
    pub request: http::Request<Body>,
    pub peer: std::net::IpAddr,
    /// `GET /products/{id}`, as the API Gateway's `routeKey`; `$default` for the default route.
    pub route_key: Arc<str>,
    pub path_parameters: Vec<(String, String)>,
}

#[derive(Clone, Debug)]
pub struct Scheduled {
    /// The trigger's name.
    pub name: Arc<str>,
    /// The schedule as written.
    pub schedule: Arc<str>,
    pub scheduled_at: Time,
}

#[derive(Clone, Debug)]
pub struct Batch {
    pub source: BatchSource,
    pub messages: Vec<InMessage>,
}

#[derive(Clone, Debug)]
pub enum BatchSource {
    Queue(Arc<str>),
    Topic(Arc<str>),
}

#[derive(Clone, Debug)]
pub struct InMessage {
    pub id: String,
    pub receipt: String,
    pub body: Bytes,
    pub content_type: Option<String>,
    pub attributes: BTreeMap<String, Value>,
    pub sent_at: Time,
    pub first_received_at: Time,
    pub receive_count: u32,
    pub group: Option<Arc<str>>,
}

/// What the guest answered, handed over as soon as it is there.
pub enum Reply {
    /// The body may go on streaming until the run ends.
    Http(http::Response<Body>),
    /// Messages that are to be tried again, with the delay the handler asked for; empty: all done.
    Batch(Vec<RetryMessage>),
    /// Answer to a JSON event.
    Json(Value),
    /// Nothing to say (cron).
    Done,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryMessage {
    pub id: String,
    pub delay: Option<Span>,
}

/// What a run came to, measured.
#[derive(Debug)]
pub struct Outcome {
    pub result: Result<(), Failure>,
    /// From the call into the guest to its end.
    pub duration: Duration,
    /// Instantiation and module import of a fresh sandbox; zero for a kept one.
    pub init: Duration,
    /// Fuel spent, in units of wasmtime.
    pub fuel: u64,
    pub memory_bytes_max: u64,
    /// Output beyond `log_bytes_max`.
    pub log_bytes_dropped: u64,
}

#[derive(Clone, Debug)]
pub struct Failure {
    pub kind: FailureKind,
    /// `TypeError: x is not a function`, `wasm trap: unreachable`, `exit status 3`.
    pub message: String,
    /// Lines ready to print, user frames first, positions in the user's files; empty when unknown.
    pub stack: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The handler threw or rejected.
    Error,
    /// A WebAssembly trap.
    Trap,
    Timeout,
    OutOfMemory,
    /// A WASI command's status was not zero.
    Exit,
    /// The handler answered with something that is no answer, or has no handler for this event.
    BadResponse,
}
