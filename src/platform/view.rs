//! What the control API shows: read-only, made when asked for.

use super::Platform;
use super::billing::Ledger;
use super::deadline::Deadline;
use super::effect::InstanceState;
use super::fleet::Counters;
use super::ids::{FunctionId, InstanceId, InvocationId, MessageId, QueueId, TriggerId, VersionNumber};
use super::invoke::{Job, Phase};
use super::queue::MessageState;
use super::time::{Span, Time};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceView {
    pub id: InstanceId,
    pub function: FunctionId,
    pub version: VersionNumber,
    pub state: InstanceState,
    pub created_at: Time,
    /// `None` unless idle.
    pub idle_since: Option<Time>,
    /// When it goes if nothing comes; `None` while busy or kept by `min_instances`.
    pub expires_at: Option<Time>,
    pub in_flight: u32,
    /// Invocations that ran on it to their end.
    pub served: u64,
    /// Measured.
    pub init: Span,
    pub modelled_init: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FunctionView {
    /// `None`: never built.
    pub version: Option<VersionNumber>,
    pub instances: u32,
    /// Instances on which something runs.
    pub busy: u32,
    pub starting: u32,
    /// Requests that wait for capacity.
    pub waiting: u32,
    /// Retries and throttled asynchronous work.
    pub parked: u32,
    pub counters: Counters,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueView {
    pub visible: u64,
    pub in_flight: u64,
    pub delayed: u64,
    /// When its oldest message was sent.
    pub oldest_sent_at: Option<Time>,
    /// Batches that run or wait for their instance.
    pub batches: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageView {
    pub id: MessageId,
    pub state: MessageState,
    pub sent_at: Time,
    pub receive_count: u32,
    /// The queue it was dead-lettered from.
    pub source: Option<QueueId>,
    pub cause: Option<InvocationId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CronView {
    /// The instant it waits for; `None`: never again.
    pub next: Option<Time>,
    /// The last instant that it ran for.
    pub last: Option<Time>,
    /// Runs that have not ended.
    pub running: u32,
}

/// What has not come to rest; all zero: nothing happens any more but crons and the end of idle instances.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unrest {
    /// Invocations that run, wait, are bound to a starting instance, or are to be retried.
    pub invocations: usize,
    pub starting: u32,
    /// Messages in queues that a function consumes.
    pub messages: u64,
}

/// What has not come to rest and falls due before an instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pending {
    /// Invocations that run, or wait for an instance.
    pub running: u64,
    /// Retries and throttled work, whose time is still to come.
    pub parked: u64,
    /// Messages in queues that a function consumes, those of running batches not included.
    pub messages: u64,
    /// Messages and events that those that run are about.
    pub taken: u64,
    /// When the first of what waits for its time falls due.
    pub next: Option<Time>,
}

/// What something led to, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caused {
    pub invocations: std::collections::BTreeSet<InvocationId>,
    pub messages: std::collections::BTreeSet<MessageId>,
}

/// Whether an invocation that has not ended is one of these, or comes of one.
fn comes_of(of: Option<&Caused>, id: InvocationId, it: &super::invoke::Invocation) -> bool {
    let Some(of) = of else { return true };
    let known = |id: InvocationId| of.invocations.contains(&id);
    let by_job = match &it.job {
        Job::Batch { deliveries, .. } => deliveries
            .iter()
            .any(|delivery| of.messages.contains(&delivery.message)),
        Job::Topic { first, message, .. } => known(*first) || of.messages.contains(message),
        Job::Async { first, .. } => known(*first),
        Job::Request | Job::Cron { .. } => false,
    };
    by_job || known(id) || it.cause.is_some_and(known)
}

/// A message's state in a word, and until when it lasts.
pub fn queue_state(state: MessageState) -> (&'static str, Option<Time>) {
    match state {
        MessageState::Visible => ("visible", None),
        MessageState::Delayed { until } => ("delayed", Some(until)),
        MessageState::InFlight { until } => ("in flight", Some(until)),
    }
}

fn message_view((id, held): (MessageId, &super::queue::Held)) -> MessageView {
    MessageView {
        id,
        state: held.state(),
        sent_at: held.sent_at,
        receive_count: held.receive_count(),
        source: held.source(),
        cause: held.cause(),
    }
}

impl Platform {
    /// The time of the last input.
    pub fn now(&self) -> Time {
        self.now
    }

    /// All instances, oldest first.
    pub fn instances(&self) -> Vec<InstanceView> {
        let mut views: Vec<InstanceView> = self
            .instances
            .iter()
            .map(|(_, instance)| InstanceView {
                id: instance.id,
                function: instance.function,
                version: instance.version,
                state: instance.shown_state(),
                created_at: instance.created_at,
                idle_since: (instance.state == super::instance::State::Idle).then_some(instance.idle_since),
                expires_at: self.expires_at(instance),
                in_flight: instance.in_flight,
                served: instance.served,
                init: instance.init,
                modelled_init: instance.modelled.total(),
            })
            .collect();
        views.sort_unstable_by_key(|view| view.id);
        views
    }

    /// `None`: not configured.
    pub fn function(&self, id: FunctionId) -> Option<FunctionView> {
        let fleet = self.fleets.get(id).filter(|fleet| !fleet.removed)?;
        Some(FunctionView {
            version: fleet.version,
            instances: fleet.starting + fleet.active + fleet.idle.len(),
            busy: fleet.active,
            starting: fleet.starting,
            waiting: fleet.waiting_count,
            parked: fleet.parked,
            counters: fleet.counters,
        })
    }

    pub fn queue(&self, id: QueueId) -> Option<QueueView> {
        let polled = self.queues.get(&id)?;
        Some(QueueView {
            visible: polled.queue.visible(),
            in_flight: polled.queue.in_flight(),
            delayed: polled.queue.delayed(),
            oldest_sent_at: polled.queue.oldest(),
            batches: polled.poller.in_flight,
        })
    }

    /// The oldest messages of a queue, without receiving them.
    pub fn peek(&self, id: QueueId, max: usize) -> Vec<MessageView> {
        let Some(polled) = self.queues.get(&id) else {
            return Vec::new();
        };
        polled.queue.iter().take(max).map(message_view).collect()
    }

    /// One message that a queue holds.
    pub fn message(&self, queue: QueueId, id: MessageId) -> Option<MessageView> {
        let held = self.queues.get(&queue)?.queue.get(id)?;
        Some(message_view((id, held)))
    }

    pub fn cron(&self, id: TriggerId) -> Option<CronView> {
        let cron = self.crons.get(&id)?;
        Some(CronView {
            next: cron.next,
            last: cron.last,
            running: cron.running,
        })
    }

    /// The next instants of a cron, at most `max`.
    pub fn next_cron_instants(&self, id: TriggerId, max: usize) -> Vec<Time> {
        let Some(cron) = self.crons.get(&id) else {
            return Vec::new();
        };
        let after = |at: &Time| cron.spec.schedule.next_after(*at);
        std::iter::successors(cron.next, after).take(max).collect()
    }

    /// What has been metered, the idle time of provisioned instances up to now included. `None` until configured.
    pub fn ledger(&mut self, now: Time) -> Option<&Ledger> {
        let now = now.max(self.handled_at);
        for fleet in self.fleets.iter_mut() {
            fleet.settle_kept(now, self.ledger.as_mut());
        }
        self.ledger.as_ref()
    }

    /// Forgets what was metered, and draws from the seed anew.
    pub fn begin_again(&mut self, seed: u64) {
        if let Some(ledger) = self.ledger.as_mut() {
            ledger.reset();
        }
        self.rng = super::rng::Rng::new(seed);
    }

    /// What is queued or runs, and what falls due before `until`; with `of`, only what comes of these. Looks at every message; not for the hot path.
    pub fn pending(&self, until: Time, of: Option<&Caused>) -> Pending {
        let mut pending = Pending::default();
        let mut due = |at: Time| {
            pending.next = Some(pending.next.map_or(at, |next: Time| next.min(at)));
            at < until
        };
        let mut parked = 0;
        for (at, deadline) in self.deadlines.iter() {
            if let Deadline::Parked(id) = deadline
                && self
                    .invocations
                    .get(id.0)
                    .is_some_and(|it| it.phase == Phase::Parked && comes_of(of, id, it))
                && due(at)
            {
                parked += 1;
            }
        }
        let mut messages = 0;
        for polled in self
            .queues
            .values()
            .filter(|polled| polled.queue.spec.consumer.is_some())
        {
            for (id, held) in polled.queue.iter() {
                if of.is_some_and(|of| {
                    !of.messages.contains(&id) && !held.cause().is_some_and(|by| of.invocations.contains(&by))
                }) {
                    continue;
                }
                messages += u64::from(match held.state() {
                    MessageState::Visible => true,
                    MessageState::Delayed { until } | MessageState::InFlight { until } => due(until),
                });
            }
        }
        let mut running = 0;
        let (mut in_batches, mut events) = (0, 0);
        for id in self.invocations.ids() {
            let Some(it) = self.invocations.get(id) else { continue };
            if it.phase == Phase::Parked || !comes_of(of, InvocationId(id), it) {
                continue;
            }
            running += 1;
            match &it.job {
                Job::Batch { deliveries, .. } => in_batches += deliveries.len() as u64,
                Job::Async { .. } | Job::Topic { .. } => events += 1,
                Job::Request | Job::Cron { .. } => {}
            }
        }
        if of.is_none() {
            running += self.fleets.iter().map(|fleet| u64::from(fleet.starting)).sum::<u64>();
        }
        Pending {
            running,
            parked,
            messages: messages - in_batches.min(messages),
            taken: in_batches + events,
            ..pending
        }
    }

    pub fn unrest(&self) -> Unrest {
        let consumed = self
            .queues
            .values()
            .filter(|polled| polled.queue.spec.consumer.is_some());
        Unrest {
            invocations: self.invocations.len(),
            starting: self.fleets.iter().map(|fleet| fleet.starting).sum(),
            messages: consumed.map(|polled| polled.queue.len()).sum(),
        }
    }
}
