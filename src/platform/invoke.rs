//! The life of an invocation: it arrives, waits or is bound, runs, ends; exactly one record each.

use super::Platform;
use super::billing::Used;
use super::config::ColdStarts;
use super::deadline::Deadline;
use super::effect::{Delivery, Effect, End, Note, Record, RejectReason, Run, TriggerKind, Work};
use super::fleet::Seat;
use super::ids::{FunctionId, InvocationId, MessageId, QueueId, TopicId, TriggerId};
use super::input::{Completion, Outcome};
use super::instance::State;
use super::lists::Slot;
use super::time::{Span, Time};

/// One that has not ended.
#[derive(Debug)]
pub(super) struct Invocation {
    pub function: FunctionId,
    pub job: Job,
    pub phase: Phase,
    pub cold: bool,
    /// Of a retry: when it was due. Otherwise when it came.
    pub arrived_at: Time,
    pub started_at: Time,
    /// From 1.
    pub attempt: u32,
    pub cause: Option<InvocationId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// In its fleet's waiting line.
    Waiting,
    /// A retry or throttled work whose time has not come.
    Parked,
    /// To a starting instance.
    Bound(Slot),
    Running(Slot),
}

#[derive(Debug)]
pub(super) enum Job {
    Request,
    Async {
        first: InvocationId,
        retry: Retry,
    },
    Cron {
        trigger: TriggerId,
        scheduled_at: Time,
        manual: bool,
        retry: Retry,
    },
    Batch {
        queue: QueueId,
        deliveries: Vec<Delivery>,
    },
    Topic {
        first: InvocationId,
        topic: TopicId,
        message: MessageId,
        retry: Retry,
    },
}

/// What asynchronous work remembers between attempts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Retry {
    /// When the event was accepted; its age counts from here.
    pub accepted_at: Time,
    /// Times that this attempt was throttled.
    pub throttled: u32,
}

impl Retry {
    pub fn new(now: Time) -> Retry {
        Retry {
            accepted_at: now,
            throttled: 0,
        }
    }
}

impl Job {
    pub fn trigger(&self) -> TriggerKind {
        match self {
            Job::Request => TriggerKind::Http,
            Job::Async { .. } => TriggerKind::Async,
            Job::Cron { .. } => TriggerKind::Cron,
            Job::Batch { .. } => TriggerKind::Queue,
            Job::Topic { .. } => TriggerKind::Topic,
        }
    }

    /// The first attempt at an event that nobody waits for: it names the event.
    pub fn event(&self) -> Option<InvocationId> {
        match self {
            Job::Async { first, .. } | Job::Topic { first, .. } => Some(*first),
            Job::Request | Job::Cron { .. } | Job::Batch { .. } => None,
        }
    }

    /// The topic's message that it hands over.
    fn topic_message(&self) -> Option<MessageId> {
        match self {
            Job::Topic { message, .. } => Some(*message),
            _ => None,
        }
    }

    fn work(&self, attempt: u32) -> Work {
        match self {
            Job::Request => Work::Request,
            Job::Async { first, .. } => Work::Async { first: *first, attempt },
            Job::Cron {
                trigger,
                scheduled_at,
                manual,
                ..
            } => Work::Cron {
                trigger: *trigger,
                scheduled_at: *scheduled_at,
                manual: *manual,
            },
            Job::Batch { queue, deliveries } => Work::Batch {
                queue: *queue,
                deliveries: deliveries.clone(),
            },
            Job::Topic {
                first, topic, message, ..
            } => Work::Topic {
                first: *first,
                topic: *topic,
                message: *message,
                attempt,
            },
        }
    }
}

impl Platform {
    /// How many invocations that have not ended are of a kind; not for the hot path.
    pub(super) fn count_invocations(&self, of_kind: impl Fn(&Invocation) -> bool) -> u32 {
        let ids = self.invocations.ids().into_iter();
        let of_kind = ids.filter(|id| self.invocations.get(*id).is_some_and(&of_kind));
        u32::try_from(of_kind.count()).unwrap_or(u32::MAX)
    }

    /// A request that somebody waits for.
    pub(super) fn arrive(&mut self, id: InvocationId, function: FunctionId) {
        let invocation = Invocation {
            function,
            job: Job::Request,
            phase: Phase::Waiting,
            cold: false,
            arrived_at: self.now,
            started_at: self.now,
            attempt: 1,
            cause: None,
        };
        if let Err(reason) = self.throttled(function) {
            return self.reject(id, invocation, reason);
        }
        let must_queue = self.fleets.get(function).is_some_and(|fleet| fleet.waiting_count > 0);
        if must_queue {
            return self.wait_or_reject(id, invocation, RejectReason::QueueFull);
        }
        match self.acquire(function) {
            Ok(seat) => self.seat(id, invocation, seat),
            Err(reason) => self.wait_or_reject(id, invocation, reason),
        }
    }

    /// Puts an invocation that is in no table yet onto its seat.
    pub(super) fn seat(&mut self, id: InvocationId, mut invocation: Invocation, seat: Seat) {
        match seat {
            Seat::Ready(slot) => {
                invocation.phase = Phase::Running(slot);
                invocation.started_at = self.now;
                let instance = &self.instances[slot];
                self.effects.push_back(Effect::Run(Run {
                    invocation: id,
                    instance: instance.id,
                    function: invocation.function,
                    version: instance.version,
                    cold: false,
                    work: invocation.job.work(invocation.attempt),
                }));
            }
            Seat::Starting(slot) => {
                invocation.phase = Phase::Bound(slot);
                self.instances[slot].bound.push(id);
            }
        }
        self.invocations.insert(id.0, invocation);
    }

    /// Runs a bound invocation now that its instance is ready.
    pub(super) fn run(&mut self, id: InvocationId, slot: Slot, first: bool) {
        let invocation = self
            .invocations
            .get_mut(id.0)
            .expect("a bound invocation has not ended");
        let instance = &self.instances[slot];
        invocation.phase = Phase::Running(slot);
        invocation.started_at = self.now;
        invocation.cold = first;
        self.effects.push_back(Effect::Run(Run {
            invocation: id,
            instance: instance.id,
            function: invocation.function,
            version: instance.version,
            cold: first,
            work: invocation.job.work(invocation.attempt),
        }));
    }

    fn wait_or_reject(&mut self, id: InvocationId, invocation: Invocation, reason: RejectReason) {
        let function = invocation.function;
        let may_wait = matches!(
            reason,
            RejectReason::FunctionConcurrency { .. }
                | RejectReason::AccountConcurrency { .. }
                | RejectReason::ScalingRate { .. }
                | RejectReason::QueueFull
        );
        let Some(wait) = self.rules.request_wait.filter(|_| may_wait) else {
            return self.reject(id, invocation, reason);
        };
        let fleet = &mut self.fleets[function];
        if fleet.waiting_count >= wait.requests_max {
            return self.reject(id, invocation, RejectReason::QueueFull);
        }
        fleet.waiting.push_back(id);
        fleet.waiting_count += 1;
        self.invocations.insert(
            id.0,
            Invocation {
                phase: Phase::Waiting,
                ..invocation
            },
        );
        self.deadlines.set(self.now + wait.time_max, Deadline::WaitOver(id));
        self.blocked(function, reason);
    }

    /// Sees to it that the waiting line of this function moves once what blocks it is gone.
    fn blocked(&mut self, function: FunctionId, reason: RejectReason) {
        match reason {
            RejectReason::AccountConcurrency { .. } => {
                self.account_waiters.insert(function);
            }
            RejectReason::ScalingRate { retry_after } => {
                self.deadlines.set(self.now + retry_after, Deadline::Waiters(function));
            }
            // The function's own releases move the line.
            _ => {}
        }
    }

    /// Something this function or the account was short of has come free.
    pub(super) fn capacity_freed(&mut self, function: FunctionId) {
        if self.fleets[function].waiting_count > 0 {
            self.serve_waiting(function);
        }
        if !self.account_waiters.is_empty() {
            for other in std::mem::take(&mut self.account_waiters) {
                self.serve_waiting(other);
            }
        }
    }

    pub(super) fn serve_waiting(&mut self, function: FunctionId) {
        while let Some(&id) = self.fleets[function].waiting.front() {
            if self
                .invocations
                .get(id.0)
                .is_none_or(|invocation| invocation.phase != Phase::Waiting)
            {
                self.fleets[function].waiting.pop_front();
                continue;
            }
            match self.acquire(function) {
                Ok(seat) => {
                    let fleet = &mut self.fleets[function];
                    fleet.waiting.pop_front();
                    fleet.waiting_count -= 1;
                    let invocation = self.invocations.remove(id.0).expect("just seen");
                    self.seat(id, invocation, seat);
                }
                Err(reason) => return self.blocked(function, reason),
            }
        }
    }

    /// A request has waited as long as the profile lets it.
    pub(super) fn wait_over(&mut self, id: InvocationId) {
        if self
            .invocations
            .get(id.0)
            .is_some_and(|invocation| invocation.phase == Phase::Waiting)
        {
            let invocation = self.leave_line(id);
            self.reject(id, invocation, RejectReason::QueueFull);
        }
    }

    fn leave_line(&mut self, id: InvocationId) -> Invocation {
        let invocation = self.invocations.remove(id.0).expect("it waits");
        let fleet = &mut self.fleets[invocation.function];
        fleet.waiting_count -= 1;
        if fleet.waiting_count == 0 {
            fleet.waiting.clear();
        }
        invocation
    }

    /// The caller went away; what already runs is left to finish.
    pub(super) fn caller_gone(&mut self, id: InvocationId) {
        let Some(invocation) = self.invocations.get(id.0) else {
            return;
        };
        let invocation = match invocation.phase {
            Phase::Waiting => self.leave_line(id),
            Phase::Bound(slot) => {
                self.unbind(id, slot);
                self.invocations.remove(id.0).expect("just seen")
            }
            Phase::Parked | Phase::Running(_) => return,
        };
        self.record(id, &invocation, End::Cancelled);
    }

    /// The instance goes on starting, and has room for another.
    fn unbind(&mut self, id: InvocationId, slot: Slot) {
        let instance = &mut self.instances[slot];
        instance.bound.retain(|bound| *bound != id);
        let leaving = match instance.state {
            State::Starting(leaving) => leaving,
            _ => return,
        };
        let (function, unbound) = (instance.function, instance.bound.is_empty());
        let fleet = &mut self.fleets[function];
        match leaving {
            None if !fleet.open.contains(&slot) => fleet.open.push_back(slot),
            Some(reason) if unbound => self.drop_starting(slot, reason),
            _ => {}
        }
    }

    /// A bound invocation whose instance could not start, and whose function has a newer version by now.
    pub(super) fn place_again(&mut self, id: InvocationId) {
        let invocation = self.invocations.remove(id.0).expect("a bound invocation has not ended");
        match self.acquire(invocation.function) {
            Ok(seat) => self.seat(id, invocation, seat),
            Err(reason) => match invocation.job {
                Job::Request => self.wait_or_reject(id, invocation, reason),
                _ => {
                    self.invocations.insert(id.0, invocation);
                    self.never_ran(id, reason);
                }
            },
        }
    }

    /// Ends an invocation that waited or was bound, whatever its kind; asynchronous work goes the way of a failure.
    pub(super) fn never_ran(&mut self, id: InvocationId, reason: RejectReason) {
        let Some(invocation) = self.invocations.remove(id.0) else {
            return;
        };
        if invocation.phase == Phase::Waiting {
            let fleet = &mut self.fleets[invocation.function];
            fleet.waiting_count = fleet.waiting_count.saturating_sub(1);
        }
        match invocation.job {
            Job::Request => self.reject(id, invocation, reason),
            _ => {
                self.record(id, &invocation, End::Rejected(reason));
                self.settle(id, invocation, false, None);
            }
        }
    }

    /// Answers the caller of a request that never runs.
    fn reject(&mut self, invocation: InvocationId, what: Invocation, reason: RejectReason) {
        let function = what.function;
        if throttles(reason) {
            if let Some(fleet) = self.fleets.get_mut(function) {
                fleet.counters.throttles += 1;
            }
            self.effects.push_back(Effect::Note(Note::Throttled {
                function,
                invocation: Some(invocation),
                reason,
            }));
        }
        self.effects.push_back(Effect::Reject {
            invocation,
            function,
            reason,
        });
        self.record(invocation, &what, End::Rejected(reason));
    }

    /// The record of an invocation that never ran.
    pub(super) fn record(&mut self, id: InvocationId, invocation: &Invocation, end: End) {
        self.effects.push_back(Effect::Record(Record {
            invocation: id,
            function: invocation.function,
            version: None,
            instance: None,
            trigger: invocation.job.trigger(),
            end,
            cold: false,
            arrived_at: invocation.arrived_at,
            started_at: None,
            ended_at: self.now,
            duration: Span::ZERO,
            init: Span::ZERO,
            modelled_init: Span::ZERO,
            memory_bytes_max: 0,
            metered: None,
            attempt: invocation.attempt,
            cause: invocation.cause,
            event: invocation.job.event(),
            message: invocation.job.topic_message(),
        }));
    }

    /// An invocation ended; one that is unknown ended long ago.
    pub(super) fn finish(&mut self, id: InvocationId, completion: &Completion) {
        let Some(invocation) = self.invocations.remove(id.0) else {
            return;
        };
        let Phase::Running(slot) = invocation.phase else {
            panic!("invocation {} finished before it ran", id.0);
        };
        let instance = &mut self.instances[slot];
        let fleet = &mut self.fleets[invocation.function];
        let (init, modelled_init) = match invocation.cold {
            true => (instance.init, instance.modelled.total()),
            false => (Span::ZERO, Span::ZERO),
        };
        let failed = completion.outcome != Outcome::Succeeded;
        fleet.counters.invocations += 1;
        fleet.uses += 1;
        fleet.counters.errors += u64::from(failed);
        fleet.counters.cold_starts += u64::from(invocation.cold);
        let modelled = self.cold_starts != ColdStarts::Off;
        let used = Used {
            duration: completion.duration,
            cpu: completion.cpu,
            init: if modelled { modelled_init } else { init },
            init_is_modelled: modelled && invocation.cold,
            busy: share(instance.billed_to, invocation.started_at, self.now, completion.duration),
            memory_bytes_max: completion.memory_bytes_max,
        };
        instance.billed_to = self.now;
        let metered = self
            .ledger
            .as_mut()
            .map(|ledger| ledger.charge(invocation.function, &used));
        self.effects.push_back(Effect::Record(Record {
            invocation: id,
            function: invocation.function,
            version: Some(instance.version),
            instance: Some(instance.id),
            trigger: invocation.job.trigger(),
            end: End::Ran(completion.outcome),
            cold: invocation.cold,
            arrived_at: invocation.arrived_at,
            started_at: Some(invocation.started_at),
            ended_at: self.now,
            duration: completion.duration,
            init,
            modelled_init,
            memory_bytes_max: completion.memory_bytes_max,
            metered,
            attempt: invocation.attempt,
            cause: invocation.cause,
            event: invocation.job.event(),
            message: invocation.job.topic_message(),
        }));
        let function = invocation.function;
        self.release(
            slot,
            matches!(completion.outcome, Outcome::TimedOut | Outcome::OutOfMemory),
        );
        if !matches!(invocation.job, Job::Request) {
            self.settle(id, invocation, !failed, Some(completion));
        }
        self.capacity_freed(function);
    }

    /// What an ended attempt means for its event: done, tried again, or given up.
    fn settle(&mut self, id: InvocationId, invocation: Invocation, succeeded: bool, completion: Option<&Completion>) {
        if self.cut_off.remove(&id) {
            return;
        }
        match invocation.job {
            Job::Request => {}
            Job::Batch { queue, deliveries } => {
                let done = succeeded || completion.is_some_and(|completion| completion.acknowledged);
                let failed = completion.map_or(&[][..], |completion| &completion.failed_messages);
                self.batch_over(queue, &deliveries, done, failed);
            }
            Job::Cron { trigger, .. } if succeeded => self.cron_over(trigger),
            _ if succeeded => self.event_succeeded(id, &invocation),
            _ => self.event_failed(id, invocation),
        }
    }
}

/// The busy time of an instance that an invocation ending now accounts for: what no earlier end has. In guest time,
/// which a scaled clock does not stretch.
fn share(billed_to: Time, started_at: Time, now: Time, duration: Span) -> Span {
    if billed_to == started_at {
        return duration;
    }
    let whole = u128::from(now.since(started_at).0.max(1));
    let part = u128::from(duration.0) * u128::from(now.since(billed_to).0) / whole;
    Span(u64::try_from(part).unwrap_or(u64::MAX))
}

pub(super) fn throttles(reason: RejectReason) -> bool {
    match reason {
        RejectReason::FunctionConcurrency { .. }
        | RejectReason::AccountConcurrency { .. }
        | RejectReason::ScalingRate { .. }
        | RejectReason::QueueFull
        | RejectReason::OnPurpose { .. } => true,
        RejectReason::Removed | RejectReason::NoVersion | RejectReason::InitFailed => false,
    }
}
