//! What the platform is told about the project and the provider, reduced to what its decisions need.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::cold_start::ColdStartModel;
use super::ids::{FunctionId, QueueId, TopicId, TriggerId};
use super::scaling::keep_alive::Policy;
use super::schedule::Schedule;
use super::time::Span;
use super::topic::Filter;

/// The whole configuration; replaces the one before.
#[derive(Clone, Debug)]
pub struct Config {
    pub functions: BTreeMap<FunctionId, FunctionSpec>,
    pub queues: BTreeMap<QueueId, QueueSpec>,
    pub topics: BTreeMap<TopicId, TopicSpec>,
    pub triggers: BTreeMap<TriggerId, CronSpec>,
    /// The provider's rules: limits, keep-alive, scaling, billing, retries.
    pub profile: Arc<crate::provider::Profile>,
    pub cold_starts: ColdStarts,
    /// The shell wakes crons itself, with `Due` at the instants of `ArmCron`; the platform's own deadline then leaves
    /// them alone until they are a second overdue. Without it (`false`) deadlines are exact.
    pub cron_wakes: bool,
    /// A cron served later than this after its instant counts as missed: the machine slept. In real time some ten
    /// seconds, times the clock's factor.
    pub cron_grace: Span,
    /// Watchers want to see every change between busy and idle, not only the first and the last states.
    pub instance_flips: bool,
}

/// What becomes of modelled cold starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ColdStarts {
    /// Reported and billed, not waited for.
    #[default]
    Report,
    /// Waited for as well.
    Sleep,
    /// No model.
    Off,
}

#[derive(Clone, Debug)]
pub struct FunctionSpec {
    pub name: Arc<str>,
    pub memory_mb: u32,
    pub timeout: Span,
    pub cold_start: ColdStartModel,
    /// Requests an instance takes at once.
    pub instance_concurrency: u32,
    pub min_instances: u32,
    /// Reserved concurrency, counted in instances.
    pub max_concurrency: Option<u32>,
    /// `None`: the provider's.
    pub keep_alive: Option<Policy>,
    /// Where a record of an asynchronous invocation goes that failed for good.
    pub on_failure: Option<Destination>,
    /// Where a record of an asynchronous invocation goes that succeeded.
    pub on_success: Option<Destination>,
    pub async_max_retries: Option<u32>,
    pub async_max_age: Option<Span>,
}

/// Where a record of an asynchronous invocation goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    Queue(QueueId),
    Topic(TopicId),
    /// Invoked asynchronously.
    Function(FunctionId),
}

#[derive(Clone, Debug)]
pub struct QueueSpec {
    pub name: Arc<str>,
    pub fifo: bool,
    /// FIFO: identical bodies deduplicate (the shell hands the hash in).
    pub visibility_timeout: Span,
    pub delay: Span,
    pub retention: Span,
    /// Dead-lettered when the receive count would exceed it; `None`: only retention ends it.
    pub max_receives: Option<u32>,
    pub dead_letter: Option<QueueId>,
    /// The function that consumes it.
    pub consumer: Option<QueueConsumer>,
    /// Messages it can hold before sends are refused.
    pub max_messages: u64,
}

#[derive(Clone, Debug)]
pub struct QueueConsumer {
    pub function: FunctionId,
    pub batch_size: u32,
    /// How long a batch may wait to fill.
    pub batch_window: Span,
    /// Batches of this queue that may run at once; `None`: the profile's poller scaling.
    pub max_concurrency: Option<u32>,
}

#[derive(Clone, Debug)]
pub struct TopicSpec {
    pub name: Arc<str>,
    pub subscriptions: Vec<Subscription>,
}

#[derive(Clone, Debug)]
pub struct Subscription {
    pub to: Subscriber,
    pub filter: Option<Filter>,
    /// A queue gets each message in an envelope that the shell makes, not as it is.
    pub wrapped: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subscriber {
    /// Invoked asynchronously, with retries.
    Function(FunctionId),
    Queue(QueueId),
}

#[derive(Clone, Debug)]
pub struct CronSpec {
    pub name: Arc<str>,
    pub function: FunctionId,
    pub schedule: Schedule,
    pub overlap: Overlap,
}

/// What happens when a cron falls due while its last run still goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overlap {
    #[default]
    Skip,
    /// Runs after it, one waiting at the most.
    Queue,
    Allow,
}
