//! What a provider's profile holds, field by field, as its TOML file spells it.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use crate::platform::rules::{AsyncRules, QueueRules, RequestWait, Rules, ScaleUp};
use crate::platform::time::Span;

use super::units::{Price, bytes, optional_bytes, optional_span, span, spans};

/// One provider's rules, validated. Read-only data: made by [`super::by_id`], shared by `Arc`.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// `aws-lambda`, `gcp-functions`, `azure-functions`, `cloudflare-workers`.
    pub id: String,
    /// As people say it: `AWS Lambda`.
    pub name: String,
    /// What placement, queues and retries follow: the figures below, reduced to what the platform decides by.
    pub rules: Rules,
    pub memory: Memory,
    pub timeout: Timeout,
    pub body: Body,
    pub instance: Instance,
    pub scaling: Scaling,
    pub asynchronous: Asynchronous,
    pub queue: Queue,
    pub cron: Cron,
    pub cold_start: ColdStart,
    pub billing: Billing,
}

/// A profile as its file spells it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    id: String,
    name: String,
    memory: Memory,
    timeout: Timeout,
    body: Body,
    instance: Instance,
    scaling: Scaling,
    #[serde(rename = "async")]
    asynchronous: Asynchronous,
    queue: Queue,
    cron: Cron,
    cold_start: ColdStart,
    billing: Billing,
}

impl<'de> Deserialize<'de> for Profile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Profile, D::Error> {
        let file = File::deserialize(deserializer)?;
        Ok(Profile {
            rules: rules(&file),
            id: file.id,
            name: file.name,
            memory: file.memory,
            timeout: file.timeout,
            body: file.body,
            instance: file.instance,
            scaling: file.scaling,
            asynchronous: file.asynchronous,
            queue: file.queue,
            cron: file.cron,
            cold_start: file.cold_start,
            billing: file.billing,
        })
    }
}

fn rules(file: &File) -> Rules {
    let Rate {
        burst,
        refill,
        interval,
    } = file.scaling.rate;
    let retries = usize::try_from(file.asynchronous.retries_max).unwrap_or(usize::MAX);
    let waits = &file.asynchronous.retry_waits;
    Rules {
        keep_alive: file.instance.keep_alive,
        instance_age_max: file.instance.max_age,
        account_concurrency: file.scaling.account_concurrency,
        scale_up: Some(ScaleUp {
            burst,
            count: refill,
            every: interval,
        }),
        request_wait: match file.scaling.beyond {
            Beyond::Reject => None,
            Beyond::Wait { requests_max, time_max } => Some(RequestWait { time_max, requests_max }),
        },
        asynchronous: AsyncRules {
            retry_waits: (0..retries.min(RETRIES_MAX))
                .filter_map(|at| waits.get(at).or(waits.last()).copied())
                .collect(),
            age_max: file.asynchronous.age_max,
            backoff_min: file.asynchronous.throttle_backoff_min,
            backoff_max: file.asynchronous.throttle_backoff_max,
            pending_max: file.asynchronous.pending_max,
            retries_crons: file.cron.retries,
        },
        queues: QueueRules {
            batches_min: file.queue.pollers.initial,
            batches_per_minute: file.queue.pollers.per_minute,
            batches_max: file.queue.pollers.max,
            failed_batch_delay: file.queue.retry_delay,
            deduplication_window: file.queue.deduplication_window,
        },
    }
}

/// No provider retries an event more often, and the list of waits stays short.
const RETRIES_MAX: usize = 1_000;

/// Memory sizes a function may ask for, in MB of 1,048,576 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    pub min_mb: u32,
    pub max_mb: u32,
    pub step_mb: u32,
    pub default_mb: u32,
}

/// How long one invocation may run.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timeout {
    #[serde(deserialize_with = "span")]
    pub default: Span,
    #[serde(deserialize_with = "span")]
    pub max: Span,
    /// A front door that gives up earlier than the function.
    #[serde(default, deserialize_with = "optional_span")]
    pub http_max: Option<Span>,
}

/// Sizes of requests and responses; `None`: the provider sets none.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Body {
    #[serde(default, deserialize_with = "optional_bytes")]
    pub request_max_bytes: Option<u64>,
    #[serde(default, deserialize_with = "optional_bytes")]
    pub response_max_bytes: Option<u64>,
}

/// The life of one instance (execution environment, container, isolate).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instance {
    /// Requests it takes at once unless the function says otherwise.
    pub concurrency: u32,
    /// How long it stays when idle, typically.
    #[serde(deserialize_with = "span")]
    pub keep_alive: Span,
    /// At this age an instance is replaced ("provider update"): not taken for new work, stopped once idle.
    #[serde(default, deserialize_with = "optional_span")]
    pub max_age: Option<Span>,
    /// Memory that brings a whole processor; less of it brings its share. `None`: any memory does.
    #[serde(default)]
    pub cpu_full_mb: Option<u32>,
}

/// How many instances there may be, and how fast they may come.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scaling {
    /// Concurrent executions in the whole account, starting instances included; `None`: no such limit.
    pub account_concurrency: Option<u32>,
    /// Instances of one function; `None`: no such limit.
    pub function_instances_max: Option<u32>,
    /// New instances of one function.
    pub rate: Rate,
    pub beyond: Beyond,
}

/// A bucket of `burst` new instances, filled up with `refill` each `interval` and never above `burst`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    pub burst: u32,
    pub refill: u32,
    #[serde(deserialize_with = "span")]
    pub interval: Span,
}

/// What becomes of a request that no instance can take within the limits above.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Beyond {
    /// Refused at once with 429.
    Reject,
    /// Waits in a bounded line; refused when the line is full or it waited too long.
    Wait {
        requests_max: u32,
        #[serde(deserialize_with = "span")]
        time_max: Span,
    },
}

/// Invocations that nobody waits for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asynchronous {
    /// Attempts after the first, when the function failed.
    pub retries_max: u32,
    /// Before the first, second ... retry; the last one repeats. Never empty when `retries_max` is above zero.
    #[serde(deserialize_with = "spans")]
    pub retry_waits: Vec<Span>,
    /// What a function may ask for in place of `retries_max`.
    pub retries_most: u32,
    /// An event older than this is given up.
    #[serde(deserialize_with = "span")]
    pub age_max: Span,
    /// What a function may ask for in place of `age_max`.
    #[serde(deserialize_with = "span")]
    pub age_least: Span,
    #[serde(deserialize_with = "span")]
    pub age_most: Span,
    /// Throttled events come back after this, doubled each time up to the maximum. They do not count as attempts.
    #[serde(deserialize_with = "span")]
    pub throttle_backoff_min: Span,
    #[serde(deserialize_with = "span")]
    pub throttle_backoff_max: Span,
    #[serde(deserialize_with = "bytes")]
    pub event_max_bytes: u64,
    /// Events of one function that may wait at once, so that a flood cannot eat the machine.
    pub pending_max: u32,
}

/// Queues and the pollers that feed functions from them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Queue {
    pub pollers: Pollers,
    pub batch: Batch,
    #[serde(deserialize_with = "bytes")]
    pub message_max_bytes: u64,
    #[serde(deserialize_with = "span")]
    pub delay_max: Span,
    #[serde(deserialize_with = "span")]
    pub visibility_timeout_default: Span,
    #[serde(deserialize_with = "span")]
    pub visibility_timeout_max: Span,
    #[serde(deserialize_with = "span")]
    pub retention_default: Span,
    #[serde(deserialize_with = "span")]
    pub retention_min: Span,
    #[serde(deserialize_with = "span")]
    pub retention_max: Span,
    /// Receives before a message is dead-lettered, for queues that name a dead-letter queue and no number.
    pub max_receives_default: u32,
    /// The provider drops a message after `max_receives_default` receives even without a dead-letter queue.
    pub drops_without_dead_letter: bool,
    /// A message that failed is visible again after this; `None`: when its visibility timeout ends.
    #[serde(default, deserialize_with = "optional_span")]
    pub retry_delay: Option<Span>,
    /// FIFO queues: how long a deduplication key is remembered.
    #[serde(deserialize_with = "span")]
    pub deduplication_window: Span,
}

/// Batches of one queue that run at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pollers {
    pub initial: u32,
    /// Added each minute while messages wait.
    pub per_minute: u32,
    pub max: u32,
}

/// Bounds of a batch. Above them a manifest still works, with a warning: the deployed function would not get it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    pub size_default: u32,
    pub size_max: u32,
    pub size_max_fifo: u32,
    /// Larger batches need a window of at least a second.
    pub size_max_without_window: u32,
    #[serde(deserialize_with = "span")]
    pub window_default: Span,
    #[serde(deserialize_with = "span")]
    pub window_max: Span,
}

/// How the provider reads cron expressions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cron {
    /// Plain five-field schedules count weekdays 1 to 7 from Sunday, rather than 0 to 6.
    pub weekday_one_is_sunday: bool,
    /// The provider knows time zones for schedules; otherwise UTC alone.
    pub timezones: bool,
    /// A run that failed is tried again, by the rules of asynchronous invocations.
    pub retries: bool,
}

/// Modelled init times.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColdStart {
    /// The runtime of a script whose manifest names none.
    pub script: String,
    /// The runtime of a Wasm function whose manifest names none.
    pub wasm: String,
    /// By name; [`ColdStart::runtime`] finds the one for a name that is not among them.
    pub runtimes: BTreeMap<String, RuntimeInit>,
    /// What a package adds to the smallest one; straight lines between the points and beyond the last.
    pub package: Vec<PackagePoint>,
    /// In words, for reports: what the figures measure.
    pub basis: String,
}

/// Init time of one runtime with a minimal package, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuntimeInit {
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p99_ms: f64,
    /// Standard deviation of the logarithm; shapes the part below the median.
    pub sigma: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackagePoint {
    #[serde(rename = "size", deserialize_with = "bytes")]
    pub bytes: u64,
    #[serde(rename = "adds", deserialize_with = "span")]
    pub init: Span,
}

/// What is counted, how it is rounded, what it costs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Billing {
    /// The plan that these prices are of, for reports.
    pub plan: String,
    /// The region, for reports.
    pub region: String,
    /// Month of the price list, `2026-09`.
    pub as_of: String,
    /// Billed time is a multiple of this.
    pub step_ms: u64,
    /// Billed time of one invocation is at least this.
    pub min_ms: u64,
    /// A cold start's init is billed with the invocation that waited for it.
    pub bills_init: bool,
    /// Concurrent requests on one instance share the same seconds.
    pub shares_instance_time: bool,
    pub memory_basis: MemoryBasis,
    /// vCPUs that come with a memory size: the last row at or below it. Empty: CPU is not billed by allocation.
    #[serde(default)]
    pub vcpu: Vec<VcpuRow>,
    /// Fixed, a month.
    #[serde(default)]
    pub base_month: Price,
    pub request: Rates,
    /// Per GB-second (GB of 1,024 MB).
    pub gb_second: Option<Rates>,
    /// The same on arm64, where it is another price.
    pub gb_second_arm64: Option<Rates>,
    /// Per vCPU-second.
    pub vcpu_second: Option<Rates>,
    /// Per millisecond of CPU time really used.
    pub cpu_ms: Option<Rates>,
    /// Per GB-second of instances kept by `min_instances` while idle.
    pub idle_gb_second: Option<Price>,
    /// Per vCPU-second of the same.
    pub idle_vcpu_second: Option<Price>,
}

/// Which memory is billed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum MemoryBasis {
    /// The size the function asks for.
    Configured,
    /// What it used at the most, rounded up.
    Observed { step_mb: u32, min_mb: u32, max_mb: u32 },
    /// None.
    Unbilled,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VcpuRow {
    pub from_mb: u32,
    pub millis: u32,
}

/// Price tiers of one meter within a month.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rates {
    /// Units a month that cost nothing; they come off the first tier.
    pub free: u64,
    /// Ascending; the last one has no bound.
    pub tiers: Vec<Tier>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// Units a month up to which this price holds.
    pub up_to: Option<u64>,
    pub price: Price,
}

/// An always-on machine to compare with.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// `t4g.small`.
    pub name: String,
    /// `2 vCPU, 2 GB, arm64`.
    pub what: String,
    pub hour: Price,
}
