//! A provider's rules as the platform's decisions need them; a profile carries them (`Profile::rules`). Figures live in
//! the profile files, never here.

use super::time::Span;

#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// How long an idle instance stays, unless the function says otherwise.
    pub keep_alive: Span,
    /// Instances are recycled at this age ("provider update").
    pub instance_age_max: Option<Span>,
    /// Instances of all functions that may be starting or busy at once.
    pub account_concurrency: Option<u32>,
    /// How fast one function may start instances; `None`: no limit.
    pub scale_up: Option<ScaleUp>,
    /// What a request does that finds no capacity: waits within these bounds, or (`None`) is throttled at once.
    pub request_wait: Option<RequestWait>,
    pub asynchronous: AsyncRules,
    pub queues: QueueRules,
}

impl Rules {
    /// Before anything is configured: nothing is limited, nothing is kept, nothing is retried.
    pub fn none() -> Rules {
        Rules {
            keep_alive: Span::ZERO,
            instance_age_max: None,
            account_concurrency: None,
            scale_up: None,
            request_wait: None,
            asynchronous: AsyncRules {
                retry_waits: Vec::new(),
                age_max: Span::MAX,
                backoff_min: Span::ZERO,
                backoff_max: Span::ZERO,
                pending_max: u32::MAX,
                retries_crons: false,
            },
            queues: QueueRules {
                batches_min: 1,
                batches_per_minute: 0,
                batches_max: u32::MAX,
                failed_batch_delay: None,
                deduplication_window: Span::ZERO,
            },
        }
    }
}

/// A bucket of `burst` instance starts that refills evenly by `count` in every `every`; unused starts do not pile up
/// beyond the burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScaleUp {
    pub burst: u32,
    pub count: u32,
    pub every: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestWait {
    pub time_max: Span,
    /// Requests of one function that may wait at once.
    pub requests_max: u32,
}

/// Asynchronous invocations, and topic deliveries to functions.
#[derive(Clone, Debug, PartialEq)]
pub struct AsyncRules {
    /// Waits before the second, third ... attempt after a failure; its length is the number of retries.
    pub retry_waits: Vec<Span>,
    /// Older events are given up.
    pub age_max: Span,
    /// Throttled work comes back after this, doubled each time up to `backoff_max`.
    pub backoff_min: Span,
    pub backoff_max: Span,
    /// Events of one function that may wait at once; more are dropped, with an event.
    pub pending_max: u32,
    /// A cron run that failed is retried like any asynchronous invocation.
    pub retries_crons: bool,
}

/// Consumers of queues.
#[derive(Clone, Debug, PartialEq)]
pub struct QueueRules {
    /// Batches that may run at once when a backlog begins.
    pub batches_min: u32,
    /// More of them for each minute that a backlog lasts.
    pub batches_per_minute: u32,
    pub batches_max: u32,
    /// When messages of a failed batch are visible again; `None`: when their visibility timeout ends.
    pub failed_batch_delay: Option<Span>,
    /// FIFO queues: how long a deduplication key is remembered.
    pub deduplication_window: Span,
}
