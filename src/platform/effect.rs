//! All that a shell must do for the platform, in the order given.

use std::sync::Arc;

use super::billing::Metered;
use super::cold_start::ModelledInit;
use super::config::Destination;
use super::ids::{
    FunctionId, InstanceId, InvocationId, MessageId, QueueId, ReceiptId, TopicId, TriggerId, VersionNumber,
};
use super::input::Outcome;
use super::time::{Span, Time};

#[derive(Clone, Debug)]
pub enum Effect {
    /// Get a place for guest code ready, then answer `InstanceReady` or `InstanceFailed`. With slept cold starts the
    /// shell waits for `modelled` first.
    StartInstance {
        instance: InstanceId,
        function: FunctionId,
        version: VersionNumber,
        modelled: ModelledInit,
    },
    /// Run guest code on an instance, then answer `Finished`.
    Run(Run),
    /// The instance is no more; drop what the shell holds for it.
    StopInstance {
        instance: InstanceId,
        function: FunctionId,
        reason: StopReason,
    },
    /// A synchronous invocation that never ran: answer its caller.
    Reject {
        invocation: InvocationId,
        function: FunctionId,
        reason: RejectReason,
    },
    /// An invocation is over: its bill and its history line. Comes for every invocation exactly once.
    Record(Record),
    /// Something a watcher wants to see (terminal, events, dashboard).
    Note(Note),
    /// Wake the platform for this trigger's instant (real time: the scheduler; the deadline covers the rest).
    ArmCron {
        trigger: TriggerId,
        /// On the wall clock: what [`super::input::Input::Due`] names.
        at: Time,
        /// When that is, in the platform's time.
        wake_at: Time,
    },
    /// Several platforms have this trigger: whoever is the first to claim the instant is answered `Won`.
    AskCron { trigger: TriggerId, scheduled_at: Time },
    /// Answer to `Receive`.
    Received { queue: QueueId, deliveries: Vec<Delivery> },
    /// Answer to `Delete` and `ChangeVisibility`: whether the receipt was still valid.
    ReceiptChecked {
        queue: QueueId,
        receipt: ReceiptId,
        valid: bool,
    },
    /// What must last changed: the store follows (bodies of deleted messages can go).
    Store(StoreChange),
}

/// One piece of work for the engine.
#[derive(Clone, Debug)]
pub struct Run {
    pub invocation: InvocationId,
    pub instance: InstanceId,
    pub function: FunctionId,
    pub version: VersionNumber,
    /// First invocation of its instance, and one that had to wait for it.
    pub cold: bool,
    pub work: Work,
}

#[derive(Clone, Debug)]
pub enum Work {
    /// The shell holds the request under the invocation's id.
    Request,
    /// The shell holds the event under the id of the first attempt.
    Async {
        first: InvocationId,
        attempt: u32,
    },
    Cron {
        trigger: TriggerId,
        scheduled_at: Time,
        manual: bool,
    },
    Batch {
        queue: QueueId,
        deliveries: Vec<Delivery>,
    },
    /// A topic's message on its way to a function.
    Topic {
        /// The first attempt, as for `Async`.
        first: InvocationId,
        topic: TopicId,
        message: MessageId,
        attempt: u32,
    },
}

#[derive(Clone, Debug)]
pub struct Delivery {
    pub message: MessageId,
    pub receipt: ReceiptId,
    pub receive_count: u32,
    pub sent_at: Time,
    pub first_received_at: Time,
    pub group: Option<Arc<str>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// Idle longer than its keep-alive.
    Idle,
    /// A newer version took over.
    Replaced,
    /// The function left the manifest.
    Removed,
    /// Reached the maximum age: providers update their servers.
    ProviderUpdate,
    /// The invocation on it crashed or timed out; providers reset the environment.
    Crashed,
    /// Its init failed.
    InitFailed,
    /// The policy wants fewer instances.
    ScaledDown,
    /// The host that it was on is gone.
    HostLost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RejectReason {
    /// 429: the function's own reserved concurrency is used up.
    FunctionConcurrency { limit: u32 },
    /// 429: the account's concurrency is used up.
    AccountConcurrency { limit: u32 },
    /// 429: new instances may not start this fast.
    ScalingRate { retry_after: Span },
    /// 503: waited longer than the profile lets a request wait.
    QueueFull,
    /// 404: the function was removed while the request waited.
    Removed,
    /// 502: no version of the function has ever been built.
    NoVersion,
    /// 502: the instance could not start.
    InitFailed,
    /// 429: somebody asked for it, see [`Input::Throttle`](super::input::Input::Throttle). `rule`: which of those that were given.
    OnPurpose { rule: usize },
}

/// The life of one invocation, complete.
#[derive(Clone, Debug)]
pub struct Record {
    pub invocation: InvocationId,
    pub function: FunctionId,
    pub version: Option<VersionNumber>,
    pub instance: Option<InstanceId>,
    pub trigger: TriggerKind,
    pub end: End,
    pub cold: bool,
    pub arrived_at: Time,
    pub started_at: Option<Time>,
    pub ended_at: Time,
    pub duration: Span,
    /// Measured init of the instance, when this invocation waited for it.
    pub init: Span,
    /// The profile's init, when this invocation waited for it.
    pub modelled_init: Span,
    pub memory_bytes_max: u64,
    /// `None` when it never ran.
    pub metered: Option<Metered>,
    /// Attempt number from 1, for asynchronous and message work.
    pub attempt: u32,
    pub cause: Option<InvocationId>,
    /// Asynchronous and topic work: the first attempt, which names the event.
    pub event: Option<InvocationId>,
    /// The topic's message that it was handed.
    pub message: Option<MessageId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TriggerKind {
    Http,
    Cron,
    Queue,
    Topic,
    Async,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Ran(Outcome),
    Rejected(RejectReason),
    /// Too old before it could run.
    Expired,
    /// Dropped by a rule, e.g. a cron that overlaps with `skip`.
    Dropped(DropReason),
    /// The caller left before it ran.
    Cancelled,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    CronOverlap,
    /// A retry of a cron whose next run is under way.
    CronNewerRun,
    /// A waiting list reached its bound.
    Overflow,
    FunctionRemoved,
    /// Somebody reset the emulator.
    Reset,
}

#[derive(Clone, Debug)]
pub enum Note {
    Instance {
        instance: InstanceId,
        function: FunctionId,
        version: VersionNumber,
        state: InstanceState,
        reason: Option<StopReason>,
    },
    Throttled {
        function: FunctionId,
        invocation: Option<InvocationId>,
        reason: RejectReason,
    },
    Message {
        queue: Option<QueueId>,
        topic: Option<TopicId>,
        /// The first of several when a queue is purged.
        message: MessageId,
        change: MessageChange,
    },
    /// A cron instant that did not lead to a run.
    CronSkipped {
        trigger: TriggerId,
        scheduled_at: Time,
        reason: CronSkip,
    },
    /// An asynchronous invocation or topic delivery will be tried again.
    Retry {
        first: InvocationId,
        function: FunctionId,
        /// The attempt that failed.
        failed: InvocationId,
        attempt: u32,
        attempts_max: u32,
        at: Time,
    },
    /// An asynchronous invocation gave up; `to` is where it went.
    GaveUp {
        first: InvocationId,
        function: FunctionId,
        last: InvocationId,
        attempts: u32,
        to: Option<Destination>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstanceState {
    Starting,
    Idle,
    Busy,
    Draining,
    Gone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CronSkip {
    Overlap,
    /// The machine slept or the emulator was down; only the latest missed instant is caught up, if any.
    Missed {
        count: u32,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MessageChange {
    Sent {
        /// The invocation that sent it.
        cause: Option<InvocationId>,
        /// The topic's message that it copies.
        of: Option<MessageId>,
    },
    /// Accepted, but it repeats a message of the deduplication window.
    Deduplicated {
        original: MessageId,
    },
    Received {
        receive_count: u32,
        /// The batch that took it; `None`: a consumer outside the platform.
        by: Option<InvocationId>,
    },
    Deleted,
    /// With all others of its queue.
    Purged {
        messages: u64,
    },
    /// Will be visible again at this instant.
    Returned {
        visible_at: Time,
    },
    DeadLettered {
        to: QueueId,
        receive_count: u32,
    },
    /// Retention ran out.
    Expired,
    /// Received too often, and there is no dead-letter queue: it is gone.
    Exhausted {
        receive_count: u32,
    },
    /// Handed to this many subscriptions.
    FannedOut {
        deliveries: u32,
        /// The invocation that published it.
        cause: Option<InvocationId>,
    },
    /// Refused: the queue holds its maximum.
    Refused,
    Redriven {
        to: QueueId,
    },
}

/// What a durable store must follow, each in the order given; the changes of one step together or not at all.
#[derive(Clone, Debug)]
pub enum StoreChange {
    /// The message is now in this queue (a copy of `of` when it fanned out of a topic).
    Put {
        queue: QueueId,
        of: Option<MessageId>,
        /// The copy's body is an envelope of this topic around the body of `of`.
        wrapped: Option<TopicId>,
        stored: Stored,
        /// FIFO queues: its deduplication key, and how long it is remembered.
        key: Option<(Arc<str>, Time)>,
    },
    Moved {
        from: QueueId,
        to: QueueId,
        stored: Stored,
    },
    Received {
        queue: QueueId,
        message: MessageId,
        receipt: ReceiptId,
        receive_count: u32,
        first_received_at: Time,
        visible_at: Time,
    },
    /// Its visibility timeout was changed, or it comes back after a delay (then it is no longer in flight).
    Hidden {
        queue: QueueId,
        message: MessageId,
        visible_at: Time,
        in_flight: bool,
    },
    /// Its platform, one of several, has taken it out: whoever has room has it from then on.
    LetGo {
        queue: QueueId,
        message: MessageId,
        visible_at: Time,
    },
    /// Neither queue nor delivery refers to it any more. No queue: it was a topic's.
    Gone {
        queue: Option<QueueId>,
        message: MessageId,
    },
    /// Every message of the queue is gone.
    Purged {
        queue: QueueId,
    },
    /// A topic's message has been handed to all its subscriptions; those of queues and functions stand before this.
    FannedOut {
        message: MessageId,
    },
    /// An asynchronous invocation or a topic's delivery, as it now is.
    Event(StoredEvent),
    /// Nothing more comes of it.
    EventDone {
        first: InvocationId,
    },
    /// An asynchronous invocation ended for good: the shell makes a record of its event for this destination.
    Destination {
        first: InvocationId,
        function: FunctionId,
        /// A topic's delivery: its message is the event.
        message: Option<MessageId>,
        /// The last attempt.
        last: InvocationId,
        /// Attempts that ran.
        attempts: u32,
        condition: Condition,
        to: Destination,
    },
}

/// How an event came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    Success,
    RetriesExhausted,
    EventAgeExceeded,
}

/// A message in a queue, as a store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    pub message: MessageId,
    pub sent_at: Time,
    pub visible_at: Time,
    /// `visible_at` ends a receive, not a delay.
    pub in_flight: bool,
    pub receive_count: u32,
    pub first_received_at: Option<Time>,
    pub receipt: Option<ReceiptId>,
    pub group: Option<Arc<str>>,
    /// The queue it was dead-lettered from.
    pub source: Option<QueueId>,
    pub cause: Option<InvocationId>,
}

/// An asynchronous invocation or a topic's delivery to a function, as a store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    pub first: InvocationId,
    pub function: FunctionId,
    /// A topic's delivery; an asynchronous invocation otherwise.
    pub topic: Option<(TopicId, MessageId)>,
    pub accepted_at: Time,
    /// The attempt that runs or is to run.
    pub attempt: u32,
    pub at: Time,
    pub cause: Option<InvocationId>,
}
