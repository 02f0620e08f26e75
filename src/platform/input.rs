//! All that can happen to the platform.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::config::Config;
use super::effect::{Stored, StoredEvent};
use super::ids::{
    FunctionId, InstanceId, InvocationId, MessageId, QueueId, ReceiptId, TopicId, TriggerId, VersionNumber,
};
use super::time::{Span, Time};

#[derive(Clone, Debug)]
pub enum Input {
    /// The manifest as it now is: functions, queues, topics and triggers that are missing are removed, new ones
    /// added, changed ones adapted. Queues keep their messages as long as their id stays.
    Configure(Arc<Config>),
    /// A build succeeded: new instances run this version; idle ones of older versions are replaced, busy ones drain.
    Deploy {
        function: FunctionId,
        version: VersionNumber,
        package_bytes: u64,
    },
    /// A request that somebody waits for (HTTP, or `invoke` through the control API). The id comes from
    /// [`super::Platform::new_invocation`].
    Arrive {
        invocation: InvocationId,
        function: FunctionId,
    },
    /// An asynchronous invocation is accepted: retried by the profile's rules, then sent to its destination.
    ArriveAsync {
        invocation: InvocationId,
        function: FunctionId,
        /// The invocation that asked for it, or whose record it takes as a destination.
        cause: Option<InvocationId>,
    },
    /// The caller of a synchronous invocation went away before it started; one that runs is left to finish.
    CallerGone {
        invocation: InvocationId,
    },
    /// The machine's wall clock is this far ahead of the platform's time from now on.
    ClockSet {
        wall_ahead_ns: i64,
    },
    /// A cron instant has come (either wake may say so; the pair makes a double one harmless).
    Due {
        trigger: TriggerId,
        scheduled_at: Time,
    },
    /// Answer to `AskCron`: this platform is the one that fires.
    Won {
        trigger: TriggerId,
        scheduled_at: Time,
    },
    /// Somebody asked for a cron to fire now, whatever its schedule says; its overlap rule holds. The id comes from
    /// [`super::Platform::new_invocation`].
    Fire {
        trigger: TriggerId,
        invocation: InvocationId,
    },
    /// A message enters a queue. The id comes from [`super::Platform::new_message`].
    Send {
        queue: QueueId,
        message: Message,
    },
    /// A message enters a topic and fans out to every subscription whose filter it passes.
    Publish {
        topic: TopicId,
        message: Message,
        content: Arc<TopicContent>,
    },
    /// A consumer outside the platform receives up to `max` messages (control API, SQS API).
    Receive {
        queue: QueueId,
        max: u32,
        visibility: Option<Span>,
    },
    /// A consumer outside the platform deletes a message it received.
    Delete {
        queue: QueueId,
        receipt: ReceiptId,
    },
    ChangeVisibility {
        queue: QueueId,
        receipt: ReceiptId,
        visibility: Span,
    },
    Purge {
        queue: QueueId,
    },
    /// Another platform hands this FIFO queue out from now on, until messages of it are restored here again.
    Resign {
        queue: QueueId,
    },
    /// Moves the visible messages of a dead-letter queue back to the queues they came from.
    Redrive {
        queue: QueueId,
    },
    /// What a store has kept of a queue's messages, in the order of their ids, maybe in several pieces. What the queue
    /// already holds stays as it is. After the first `Configure` that names the queue.
    Restore {
        queue: QueueId,
        messages: Vec<Stored>,
        keys: Vec<Key>,
    },
    /// An asynchronous invocation or topic delivery that a store has kept. After the first `Configure` that names its
    /// function.
    RestoreEvent(StoredEvent),
    /// Every message and every asynchronous invocation that waits is dropped; what runs is left to finish.
    Reset,
    /// The shell ends soon: what runs goes on, messages and events that wait are left to the store. Requests that somebody waits
    /// for still run.
    Drain,
    /// The instance's guest code is ready; `init` is the measured time, slept model time not included.
    InstanceReady {
        instance: InstanceId,
        init: Span,
    },
    /// The instance could not be made ready (guest trap in its init, out of resources).
    InstanceFailed {
        instance: InstanceId,
    },
    /// The host of these instances is lost: those that idle are gone at once, the others take no more work. The shell ends what
    /// runs on them.
    HostLost {
        instances: Vec<InstanceId>,
    },
    /// From now on what arrives at functions is throttled with these probabilities, `None` being all functions. It is drawn from a
    /// generator of its own, which `anew` begins again. Rules are asked in their order.
    Throttle {
        rules: Vec<(Option<FunctionId>, f64)>,
        seed: u64,
        anew: bool,
    },
    /// An invocation ended.
    Finished {
        invocation: InvocationId,
        completion: Completion,
    },
    /// Time passed; serve what has fallen due. Every other input does so first as well.
    Tick,
}

/// What the core knows of a message: never its body.
#[derive(Clone, Debug)]
pub struct Message {
    pub id: MessageId,
    /// Body and attributes together.
    pub size_bytes: u64,
    /// `None`: the queue's own default delay.
    pub delay: Option<Span>,
    /// FIFO queues: the message group.
    pub group: Option<Arc<str>>,
    /// FIFO queues: the deduplication key, within the profile's window.
    pub deduplication: Option<Arc<str>>,
    /// The invocation that sent it, for the causal chain.
    pub cause: Option<InvocationId>,
    /// Somebody has been told that it is taken: it gets into a queue that has filled up since.
    pub admitted: bool,
}

/// A deduplication key that is still remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    pub key: Arc<str>,
    pub message: MessageId,
    pub until: Time,
}

/// What topic filters look at. Dropped once the message has fanned out.
#[derive(Clone, Debug, Default)]
pub struct TopicContent {
    pub attributes: BTreeMap<String, Value>,
    /// The body as JSON, or null when it is none.
    pub body: Value,
}

/// How an invocation ended, as measured by the engine.
#[derive(Clone, Debug)]
pub struct Completion {
    pub outcome: Outcome,
    /// Measured handler time, from the call into the guest to its end; no cold start in it.
    pub duration: Span,
    /// CPU part of it, where the engine can tell (Cloudflare bills that).
    pub cpu: Span,
    pub memory_bytes_max: u64,
    /// Batches: messages that are to be tried again although the invocation succeeded, with a delay if the handler
    /// asked for one.
    pub failed_messages: Vec<(MessageId, Option<Span>)>,
    /// Batches: the handler said of each message what becomes of it, so that those not in `failed_messages` are done
    /// even though the invocation failed.
    pub acknowledged: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Succeeded,
    /// The guest failed: exception, trap, exit status, bad answer.
    Failed,
    TimedOut,
    OutOfMemory,
}
