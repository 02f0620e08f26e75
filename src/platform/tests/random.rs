//! Random inputs: the invariants hold after each, a shell that does as it is told sees nothing impossible, and in the
//! end everything has come to rest.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;

use super::super::Platform;
use super::super::config::{
    ColdStarts, Config, CronSpec, Destination, Overlap, QueueConsumer, Subscriber, Subscription, TopicSpec,
};
use super::super::effect::{Effect, End, MessageChange, Note, Record, StoredEvent, Work};
use super::super::ids::{
    FunctionId, InstanceId, InvocationId, MessageId, QueueId, ReceiptId, TopicId, TriggerId, VersionNumber,
};
use super::super::input::{Input, Message, Outcome, TopicContent};
use super::super::rules::{AsyncRules, QueueRules, RequestWait, Rules, ScaleUp};
use super::super::scaling::keep_alive::{HybridSpec, Policy};
use super::super::schedule::Schedule;
use super::super::time::{Span, Time};
use super::kept::Kept;
use super::{completion, config, drain, function, queue};

const RETENTION: Span = Span::from_secs(3_600);

#[derive(Clone, Debug)]
enum Op {
    Wait(u64),
    Arrive(u32),
    Async(u32),
    Leave(usize),
    Send {
        queue: u32,
        delay: Option<u64>,
        group: u8,
        key: Option<u8>,
    },
    Publish(u32),
    Ready(usize, bool),
    /// A host with every third instance.
    Lose(u64),
    /// All functions, with so many percent.
    Throttle(u8),
    Finish {
        at: usize,
        outcome: u8,
        failed: usize,
    },
    Receive {
        queue: u32,
        max: u32,
    },
    Delete(usize),
    Hide(usize, u64),
    Purge(u32),
    Redrive(u32),
    Fire(u32),
    Due(u32),
    Deploy(u32),
    Configure(u8),
    /// The process is killed and started again.
    Crash(u8),
}

fn op() -> impl Strategy<Value = Op> {
    let functions = 0u32..3;
    prop_oneof![
        6 => (0u64..40_000).prop_map(Op::Wait),
        6 => functions.clone().prop_map(Op::Arrive),
        3 => functions.clone().prop_map(Op::Async),
        1 => (0usize..9).prop_map(Op::Leave),
        6 => (0u32..3, proptest::option::of(0u64..20), 0u8..3, proptest::option::of(0u8..3))
            .prop_map(|(queue, delay, group, key)| Op::Send { queue, delay, group, key }),
        2 => (0u32..2).prop_map(Op::Publish),
        8 => (0usize..9, proptest::bool::weighted(0.85)).prop_map(|(at, well)| Op::Ready(at, well)),
        9 => (0usize..9, 0u8..10, 0usize..4).prop_map(|(at, outcome, failed)| Op::Finish { at, outcome, failed }),
        2 => (0u32..3, 0u32..4).prop_map(|(queue, max)| Op::Receive { queue, max }),
        2 => (0usize..9).prop_map(Op::Delete),
        1 => (0usize..9, 0u64..30).prop_map(|(at, visibility)| Op::Hide(at, visibility)),
        1 => (0u32..3).prop_map(Op::Purge),
        1 => (0u32..3).prop_map(Op::Redrive),
        1 => (0u32..3).prop_map(Op::Fire),
        1 => (0u32..3).prop_map(Op::Due),
        1 => (0u64..3).prop_map(Op::Lose),
        1 => proptest::sample::select(vec![0, 0, 50, 100]).prop_map(Op::Throttle),
        2 => functions.prop_map(Op::Deploy),
        1 => (0u8..8).prop_map(Op::Configure),
        1 => (0u8..8).prop_map(Op::Crash),
    ]
}

/// Eight projects: with and without the third function and queue, at a provider that throttles or one that lets wait,
/// with and without provisioned instances.
fn project(variant: u8) -> Config {
    let mut config = config(rules(variant & 1 == 1));
    let all = variant & 2 == 0;
    for (id, concurrency) in [(0, 1), (1, 3), (2, 1)].into_iter().filter(|(id, _)| all || *id < 2) {
        let mut spec = function(["api", "work", "job"][id as usize]);
        spec.instance_concurrency = concurrency;
        spec.max_concurrency = (id == 0).then_some(3);
        spec.min_instances = u32::from(variant & 4 == 4 && id == 1);
        spec.keep_alive = policies(variant, id);
        spec.on_failure = (id == 1).then_some(Destination::Queue(QueueId(2)));
        spec.cold_start.quantiles = vec![(0, Span::from_millis(50)), (1000, Span::from_millis(500))];
        config.functions.insert(FunctionId(id), spec);
    }
    for id in (0..3).filter(|id| all || *id != 1) {
        let mut spec = queue(["orders", "steps", "dead"][id as usize]);
        spec.fifo = id == 1;
        spec.retention = RETENTION;
        spec.max_receives = (id < 2).then_some(2);
        spec.dead_letter = (id == 0).then_some(QueueId(2));
        spec.max_messages = 20;
        let batch_window = Span::from_secs(5 * u64::from(id == 0));
        let function = FunctionId(1);
        let consumer = QueueConsumer {
            function,
            batch_size: 3,
            batch_window,
            max_concurrency: Some(2),
        };
        spec.consumer = (id < 2).then_some(consumer);
        config.queues.insert(QueueId(id), spec);
    }
    let to = [
        Subscriber::Function(FunctionId(0)),
        Subscriber::Queue(QueueId(0)),
        Subscriber::Function(FunctionId(1)),
    ];
    let subscription = |to| Subscription {
        to,
        filter: None,
        wrapped: false,
    };
    let subscriptions = to.into_iter().map(subscription).collect();
    config.topics.insert(
        TopicId(0),
        TopicSpec {
            name: Arc::from("news"),
            subscriptions,
        },
    );
    for (id, overlap) in [(0, Overlap::Skip), (1, Overlap::Queue), (2, Overlap::Allow)] {
        let schedule = Schedule::parse(["* * * * *", "rate(2 minutes)", "*/5 * * * *"][id as usize], None);
        let schedule = schedule.expect("a schedule");
        let function = FunctionId(if all { 2 } else { 0 });
        config.triggers.insert(
            TriggerId(id),
            CronSpec {
                name: Arc::from("cron"),
                function,
                schedule,
                overlap,
            },
        );
    }
    config.cold_starts = if all { ColdStarts::Report } else { ColdStarts::Off };
    config.cron_wakes = all;
    config.cron_grace = Span::from_secs(20);
    config
}

/// Each of them under some variant.
fn policies(variant: u8, id: u32) -> Option<Policy> {
    let quick = HybridSpec {
        bin: Span::from_secs(1),
        range: Span::from_secs(100),
        ..HybridSpec::default()
    };
    match (variant + id as u8) % 5 {
        0 => Some(Policy::Hybrid(quick)),
        1 => Some(Policy::HalfLife(Span::from_secs(20))),
        2 | 3 => Some(Policy::GreedyDual { memory_mb: 300 }),
        _ => None,
    }
}

fn rules(waits: bool) -> Rules {
    let second = Span::from_secs(1);
    Rules {
        keep_alive: Span::from_secs(60),
        instance_age_max: Some(Span::from_secs(300)),
        account_concurrency: Some(5),
        scale_up: Some(ScaleUp {
            burst: 3,
            count: 1,
            every: second,
        }),
        request_wait: waits.then_some(RequestWait {
            time_max: Span::from_secs(20),
            requests_max: 4,
        }),
        asynchronous: AsyncRules {
            retry_waits: vec![Span::from_secs(10), Span::from_secs(20)],
            age_max: Span::from_secs(120),
            backoff_min: second,
            backoff_max: Span::from_secs(30),
            pending_max: 6,
            retries_crons: true,
        },
        queues: QueueRules {
            batches_min: 1,
            batches_per_minute: 1,
            batches_max: 3,
            failed_batch_delay: waits.then_some(Span::from_secs(2)),
            deduplication_window: Span::from_secs(60),
        },
    }
}

/// A shell that holds the platform to what it says.
struct World {
    platform: Platform,
    now: Time,
    starting: Vec<InstanceId>,
    ready: BTreeSet<InstanceId>,
    running: Vec<(InvocationId, InstanceId, Vec<MessageId>)>,
    /// Synchronous ones that have no answer yet.
    callers: Vec<InvocationId>,
    /// All that began; `true` when ended.
    ended: BTreeMap<InvocationId, bool>,
    receipts: Vec<(QueueId, ReceiptId)>,
    kept: Kept,
    configured: (BTreeSet<QueueId>, BTreeSet<FunctionId>),
    versions: [u32; 3],
    billed: u128,
}

impl World {
    fn new() -> World {
        World {
            platform: Platform::new(7),
            now: Time::from_secs(1_767_225_600),
            starting: Vec::new(),
            ready: BTreeSet::new(),
            running: Vec::new(),
            callers: Vec::new(),
            ended: BTreeMap::new(),
            receipts: Vec::new(),
            kept: Kept::default(),
            configured: Default::default(),
            versions: [0; 3],
            billed: 0,
        }
    }

    fn step(&mut self, input: Input) -> Result<(), TestCaseError> {
        self.platform.handle(self.now, input);
        for effect in drain(&mut self.platform) {
            self.follow(&effect)
                .map_err(|error| TestCaseError::fail(format!("{error}: {effect:?}")))?;
        }
        self.platform.check().map_err(TestCaseError::fail)?;
        let ledger = self.platform.ledger(self.now).expect("configured first");
        let profiles: Vec<String> = ledger.profiles().iter().map(|profile| profile.id.clone()).collect();
        let usages = profiles.iter().flat_map(|profile| ledger.usage(profile));
        let billed = usages
            .map(|(_, usage)| usage.billed_ms + usage.mb_ms + usage.kept_ms)
            .sum();
        prop_assert!(billed >= self.billed, "money came back");
        self.billed = billed;
        Ok(())
    }

    fn follow(&mut self, effect: &Effect) -> Result<(), String> {
        let must = |right: bool, what: &str| right.then_some(()).ok_or_else(|| String::from(what));
        match effect {
            Effect::StartInstance { instance, .. } => {
                must(!self.starting.contains(instance), "started twice")?;
                self.starting.push(*instance);
            }
            Effect::Run(run) => {
                must(
                    self.ready.contains(&run.instance),
                    "runs on an instance that is not ready",
                )?;
                must(self.ended.get(&run.invocation) != Some(&true), "runs after its end")?;
                let again = self.running.iter().any(|(id, ..)| *id == run.invocation);
                must(!again, "runs twice")?;
                self.ended.insert(run.invocation, false);
                let messages = match &run.work {
                    Work::Batch { deliveries, .. } => deliveries.iter().map(|delivery| delivery.message).collect(),
                    _ => Vec::new(),
                };
                self.running.push((run.invocation, run.instance, messages));
            }
            Effect::StopInstance { instance, .. } => {
                let used = self.running.iter().any(|(_, on, _)| on == instance);
                must(!used, "stopped under what runs")?;
                let starting = self.starting.iter().position(|starting| starting == instance);
                match starting {
                    Some(at) => drop(self.starting.remove(at)),
                    None => must(self.ready.remove(instance), "stopped twice")?,
                }
            }
            Effect::Reject { invocation, .. } => {
                let at = self.callers.iter().position(|caller| caller == invocation);
                self.callers.remove(at.ok_or("rejects what nobody waits for")?);
            }
            Effect::Record(record) => self.follow_record(record)?,
            Effect::Note(Note::Message {
                queue: Some(queue),
                message,
                change: MessageChange::Deleted,
                ..
            }) => {
                must(
                    self.kept.messages.get(message).is_some_and(|(at, _)| at == queue),
                    "deleted where it is not",
                )?;
            }
            Effect::Received { queue, deliveries } => {
                self.receipts
                    .extend(deliveries.iter().map(|delivery| (*queue, delivery.receipt)));
            }
            Effect::Store(change) => self.kept.follow(change)?,
            Effect::Note(_) | Effect::ArmCron { .. } | Effect::AskCron { .. } | Effect::ReceiptChecked { .. } => {}
        }
        Ok(())
    }

    fn follow_record(&mut self, record: &Record) -> Result<(), String> {
        let before = self.ended.insert(record.invocation, true);
        if before == Some(true) {
            return Err(String::from("ended twice"));
        }
        if self.running.iter().any(|(id, ..)| *id == record.invocation) {
            return Err(String::from("ended while it runs"));
        }
        if matches!(record.end, End::Ran(_) | End::Cancelled) {
            self.callers.retain(|caller| *caller != record.invocation);
        }
        Ok(())
    }

    fn message(&mut self, delay: Option<u64>, group: u8, key: Option<u8>) -> Message {
        let id = self.platform.new_message();
        Message {
            id,
            size_bytes: 1,
            delay: delay.map(Span::from_secs),
            group: Some(group.to_string().into()),
            deduplication: key.map(|key| key.to_string().into()),
            cause: None,
            admitted: false,
        }
    }

    fn apply(&mut self, op: &Op) -> Result<(), TestCaseError> {
        let input = match *op {
            Op::Wait(ms) => {
                self.now += Span::from_millis(ms);
                Input::Tick
            }
            Op::Arrive(function) => {
                let invocation = self.platform.new_invocation();
                self.callers.push(invocation);
                self.ended.insert(invocation, false);
                Input::Arrive {
                    invocation,
                    function: FunctionId(function),
                }
            }
            Op::Async(function) => {
                let invocation = self.platform.new_invocation();
                self.ended.insert(invocation, false);
                let event = StoredEvent {
                    first: invocation,
                    function: FunctionId(function),
                    topic: None,
                    accepted_at: self.now,
                    attempt: 1,
                    at: self.now,
                    cause: None,
                };
                self.kept.events.insert(invocation, event);
                Input::ArriveAsync {
                    invocation,
                    function: FunctionId(function),
                    cause: None,
                }
            }
            Op::Leave(at) => match self.callers.get(at) {
                Some(&invocation) => Input::CallerGone { invocation },
                None => return Ok(()),
            },
            Op::Send {
                queue,
                delay,
                group,
                key,
            } => Input::Send {
                queue: QueueId(queue),
                message: self.message(delay, group, key),
            },
            Op::Publish(topic) => {
                let message = self.message(None, 0, None);
                if topic == 0 {
                    // For the other one, which is never there, it would be kept for ever.
                    self.kept.bodies.insert(message.id);
                }
                Input::Publish {
                    topic: TopicId(topic),
                    message,
                    content: Arc::new(TopicContent::default()),
                }
            }
            Op::Ready(at, well) => {
                if at >= self.starting.len() {
                    return Ok(());
                }
                return self.started(at, well);
            }
            Op::Finish { at, outcome, failed } => {
                if at >= self.running.len() {
                    return Ok(());
                }
                return self.finish(at, outcome, failed);
            }
            Op::Receive { queue, max } => Input::Receive {
                queue: QueueId(queue),
                max,
                visibility: None,
            },
            Op::Delete(at) => match self.receipts.get(at) {
                Some(&(queue, receipt)) => Input::Delete { queue, receipt },
                None => return Ok(()),
            },
            Op::Hide(at, secs) => match self.receipts.get(at) {
                Some(&(queue, receipt)) => Input::ChangeVisibility {
                    queue,
                    receipt,
                    visibility: Span::from_secs(secs),
                },
                None => return Ok(()),
            },
            Op::Throttle(percent) => Input::Throttle {
                rules: vec![(None, f64::from(percent) / 100.0)],
                seed: 1,
                anew: false,
            },
            Op::Lose(host) => {
                let all = self.platform.instances().into_iter().map(|instance| instance.id);
                Input::HostLost {
                    instances: all.filter(|id| id.0 % 3 == host).collect(),
                }
            }
            Op::Purge(queue) => Input::Purge { queue: QueueId(queue) },
            Op::Redrive(queue) => Input::Redrive { queue: QueueId(queue) },
            Op::Fire(trigger) => {
                let invocation = self.platform.new_invocation();
                self.ended.insert(invocation, false);
                Input::Fire {
                    trigger: TriggerId(trigger),
                    invocation,
                }
            }
            Op::Due(trigger) => {
                let trigger = TriggerId(trigger);
                let next = self.platform.cron(trigger).and_then(|cron| cron.next);
                Input::Due {
                    trigger,
                    scheduled_at: next.unwrap_or(self.now),
                }
            }
            Op::Deploy(function) => {
                let version = &mut self.versions[function as usize];
                *version += 1;
                let version = VersionNumber(*version);
                Input::Deploy {
                    function: FunctionId(function),
                    version,
                    package_bytes: 1_000,
                }
            }
            Op::Configure(variant) => return self.configure(project(variant)),
            Op::Crash(variant) => return self.crash(variant),
        };
        self.step(input)
    }

    /// What comes with the configuration comes with what is kept of it.
    fn configure(&mut self, config: Config) -> Result<(), TestCaseError> {
        let queues: BTreeSet<QueueId> = config.queues.keys().copied().collect();
        let functions: BTreeSet<FunctionId> = config.functions.keys().copied().collect();
        let before = std::mem::replace(&mut self.configured, (queues.clone(), functions.clone()));
        self.step(Input::Configure(Arc::new(config)))?;
        for &queue in queues.difference(&before.0) {
            let messages = self.kept.of_queue(queue);
            self.step(Input::Restore {
                queue,
                messages,
                keys: Vec::new(),
            })?;
        }
        for &function in functions.difference(&before.1) {
            for event in self.kept.of_function(function) {
                self.step(Input::RestoreEvent(event))?;
            }
        }
        Ok(())
    }

    fn crash(&mut self, variant: u8) -> Result<(), TestCaseError> {
        let last = self.platform.new_message().0.max(self.platform.new_invocation().0) + 1_000;
        self.platform = Platform::new(8);
        self.platform.ids_from(last);
        self.starting.clear();
        self.ready.clear();
        self.running.clear();
        self.callers.clear();
        self.receipts.clear();
        self.ended
            .retain(|id, ended| *ended && !self.kept.events.contains_key(id));
        self.billed = 0;
        self.configured = Default::default();
        self.configure(project(variant))?;
        for function in 0..2 {
            self.apply(&Op::Deploy(function))?;
        }
        Ok(())
    }

    fn started(&mut self, at: usize, well: bool) -> Result<(), TestCaseError> {
        let instance = self.starting[at];
        if well {
            self.starting.remove(at);
            self.ready.insert(instance);
            self.step(Input::InstanceReady {
                instance,
                init: Span::from_millis(5),
            })
        } else {
            self.step(Input::InstanceFailed { instance })?;
            prop_assert!(!self.starting.contains(&instance), "a failed instance is stopped");
            Ok(())
        }
    }

    fn finish(&mut self, at: usize, outcome: u8, failed: usize) -> Result<(), TestCaseError> {
        let (invocation, _, messages) = self.running.remove(at);
        let outcome = match outcome {
            0..6 => Outcome::Succeeded,
            6 | 7 => Outcome::Failed,
            8 => Outcome::TimedOut,
            _ => Outcome::OutOfMemory,
        };
        let mut completion = completion(outcome, Span::from_millis(20));
        let delay = (failed == 1).then_some(Span::from_secs(3));
        completion.failed_messages = messages
            .into_iter()
            .take(failed)
            .map(|message| (message, delay))
            .collect();
        self.step(Input::Finished { invocation, completion })
    }

    /// No more inputs but what the platform asks for, all of it successful; long enough for everything to end.
    fn come_to_rest(&mut self) -> Result<(), TestCaseError> {
        let mut last = project(4);
        last.triggers.clear();
        self.configure(last)?;
        for function in 0..3 {
            self.apply(&Op::Deploy(function))?;
        }
        let end = self.now + RETENTION + RETENTION;
        for _ in 0..100_000 {
            if !self.starting.is_empty() {
                self.started(0, true)?;
            } else if !self.running.is_empty() {
                self.finish(0, 0, 0)?;
            } else if let Some(at) = self.platform.next_deadline().filter(|at| *at < end) {
                self.now = self.now.max(at);
                self.step(Input::Tick)?;
            } else {
                return Ok(());
            }
        }
        Err(TestCaseError::fail("it never comes to rest"))
    }
}

fn live_through(first: u8, ops: &[Op]) -> Result<(), TestCaseError> {
    let mut world = World::new();
    world.configure(project(first))?;
    world.apply(&Op::Deploy(0))?;
    world.apply(&Op::Deploy(1))?;
    for op in ops {
        world.apply(op)?;
    }
    world.come_to_rest()?;
    let open: Vec<_> = world
        .ended
        .iter()
        .filter(|(_, ended)| !**ended)
        .map(|(id, _)| id.0)
        .collect();
    prop_assert!(open.is_empty(), "these never ended: {open:?}");
    prop_assert!(
        world.callers.is_empty(),
        "these callers wait for ever: {:?}",
        world.callers
    );
    prop_assert!(
        world.kept.is_empty(),
        "these never went: {:?} {:?} {:?}",
        world.kept.messages,
        world.kept.events,
        world.kept.bodies
    );
    prop_assert_eq!(world.platform.unrest(), Default::default());
    let left: Vec<FunctionId> = world
        .platform
        .instances()
        .iter()
        .map(|instance| instance.function)
        .collect();
    prop_assert_eq!(left, vec![FunctionId(1)], "only the provisioned instance is left");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_books_are_right(first in 0u8..8, ops in proptest::collection::vec(op(), 1..120)) {
        live_through(first, &ops)?;
    }
}

/// The same seed and inputs lead to the same effects, in the same order.
#[test]
fn runs_repeat() {
    let run = || {
        let mut world = World::new();
        let mut log = Vec::new();
        world.platform.handle(world.now, Input::Configure(Arc::new(project(0))));
        for second in 0..400u64 {
            world.now += Span::from_secs(1);
            let function = FunctionId((second % 2) as u32);
            let invocation = world.platform.new_invocation();
            let input = match second {
                0 | 1 => Input::Deploy {
                    function,
                    version: VersionNumber(1),
                    package_bytes: 9,
                },
                _ => Input::Arrive { invocation, function },
            };
            world.platform.handle(world.now, input);
            while let Some(effect) = world.platform.poll_effect() {
                log.push(format!("{effect:?}"));
                if let Effect::StartInstance { instance, .. } = effect {
                    let init = Span::ZERO;
                    world
                        .platform
                        .handle(world.now, Input::InstanceReady { instance, init });
                }
            }
        }
        log
    };
    assert_eq!(run(), run());
}
