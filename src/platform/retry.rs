//! Asynchronous work: it is parked when throttled, retried when it failed, and sent to its destination in the end.

use super::Platform;
use super::deadline::Deadline;
use super::effect::{DropReason, Effect, End, MessageChange, Note, RejectReason, StoreChange};
use super::ids::{FunctionId, InvocationId, MessageId, QueueId, TriggerId};
use super::invoke::{Invocation, Job, Phase, Retry, throttles};
use super::time::{Span, Time};

impl Platform {
    /// An asynchronous invocation is accepted.
    pub(super) fn arrive_async(&mut self, id: InvocationId, function: FunctionId) {
        self.start_event(
            id,
            function,
            Job::Async {
                first: id,
                retry: Retry::new(self.now),
            },
            None,
        );
    }

    /// The first attempt at an event that nobody waits for.
    pub(super) fn start_event(
        &mut self,
        id: InvocationId,
        function: FunctionId,
        job: Job,
        cause: Option<InvocationId>,
    ) {
        let invocation = Invocation {
            function,
            job,
            phase: Phase::Parked,
            cold: false,
            arrived_at: self.now,
            started_at: self.now,
            attempt: 1,
            cause,
        };
        self.attempt(id, invocation);
    }

    /// Runs it, or parks it until there may be room.
    fn attempt(&mut self, id: InvocationId, mut invocation: Invocation) {
        let function = invocation.function;
        let reason = match self.acquire(function) {
            Ok(seat) => return self.seat(id, invocation, seat),
            Err(reason) => reason,
        };
        if reason == RejectReason::Removed {
            return self.give_up(id, invocation, End::Dropped(DropReason::FunctionRemoved));
        }
        let (wait, expires_at) = match retry_of(&mut invocation.job) {
            Some(retry) => {
                let wait = backoff(
                    self.rules.asynchronous.backoff_min,
                    self.rules.asynchronous.backoff_max,
                    retry.throttled,
                );
                retry.throttled += 1;
                (wait, retry.accepted_at + self.age_max(function))
            }
            None => (Span::ZERO, self.now),
        };
        if self.now >= expires_at {
            return self.give_up(id, invocation, End::Expired);
        }
        if self.fleets[function].parked >= self.rules.asynchronous.pending_max {
            return self.give_up(id, invocation, End::Dropped(DropReason::Overflow));
        }
        self.fleets[function].counters.throttles += u64::from(throttles(reason));
        self.effects.push_back(Effect::Note(Note::Throttled {
            function,
            invocation: Some(id),
            reason,
        }));
        let at = (self.now + wait).min(expires_at);
        self.park(id, invocation, at);
    }

    fn park(&mut self, id: InvocationId, mut invocation: Invocation, at: Time) {
        self.fleets[invocation.function].parked += 1;
        invocation.phase = Phase::Parked;
        self.invocations.insert(id.0, invocation);
        self.deadlines.set(at, Deadline::Parked(id));
    }

    /// The time of parked work has come.
    pub(super) fn unpark(&mut self, id: InvocationId) {
        if self
            .invocations
            .get(id.0)
            .is_some_and(|invocation| invocation.phase == Phase::Parked)
        {
            let invocation = self.invocations.remove(id.0).expect("just seen");
            self.fleets[invocation.function].parked -= 1;
            if let Some(trigger) = cron_retry(&invocation)
                && !self.cron_may_retry(trigger)
            {
                self.record(id, &invocation, End::Dropped(DropReason::CronOverlap));
                return;
            }
            self.attempt(id, invocation);
        }
    }

    /// Tries what was throttled for want of a version, or drops what waits for a function that is gone.
    pub(super) fn unpark_all(&mut self, function: FunctionId) {
        let fleet = &self.fleets[function];
        if fleet.parked == 0 {
            return;
        }
        let removed = fleet.removed;
        for id in self.invocations.ids() {
            let invocation = self.invocations.get_mut(id).expect("listed");
            if invocation.function != function || invocation.phase != Phase::Parked {
                continue;
            }
            let throttled = retry_of(&mut invocation.job).is_some_and(|retry| retry.throttled > 0);
            if removed || throttled {
                self.unpark(InvocationId(id));
            }
        }
    }

    /// An attempt failed, or could not start: another one, or the end.
    pub(super) fn event_failed(&mut self, id: InvocationId, mut invocation: Invocation) {
        let function = invocation.function;
        let retries = self.retries(function, &invocation.job);
        let waits = &self.rules.asynchronous.retry_waits;
        let wait = waits
            .get(invocation.attempt as usize - 1)
            .or(waits.last())
            .copied()
            .unwrap_or(Span::ZERO);
        let removed = self.fleets[function].removed;
        let Some(retry) = retry_of(&mut invocation.job) else {
            return;
        };
        retry.throttled = 0;
        let at = self.now + wait;
        if removed || invocation.attempt > retries || at > retry.accepted_at + self.age_max(function) {
            return self.gave_up(&invocation);
        }
        let next = self.new_invocation();
        invocation.attempt += 1;
        invocation.arrived_at = at;
        invocation.cold = false;
        invocation.cause = Some(id);
        let (first, attempt) = (first_of(&invocation.job).unwrap_or(id), invocation.attempt);
        self.effects.push_back(Effect::Note(Note::Retry {
            first,
            function,
            attempt,
            at,
        }));
        let trigger = match invocation.job {
            Job::Cron { trigger, .. } => Some(trigger),
            _ => None,
        };
        self.park(next, invocation, at);
        if let Some(trigger) = trigger {
            // While a retry waits for its time the cron does not run: the next instant may come first.
            self.cron_over(trigger);
        }
    }

    /// Attempts after the first.
    fn retries(&self, function: FunctionId, job: &Job) -> u32 {
        let by_profile = u32::try_from(self.rules.asynchronous.retry_waits.len()).unwrap_or(u32::MAX);
        match job {
            Job::Cron { .. } if !self.rules.asynchronous.retries_crons => 0,
            Job::Cron { manual: true, .. } => 0,
            _ => self.fleets[function].spec.async_max_retries.unwrap_or(by_profile),
        }
    }

    fn age_max(&self, function: FunctionId) -> Span {
        self.fleets[function]
            .spec
            .async_max_age
            .unwrap_or(self.rules.asynchronous.age_max)
    }

    /// Ends an attempt that never ran, and its event with it.
    fn give_up(&mut self, id: InvocationId, invocation: Invocation, end: End) {
        self.record(id, &invocation, end);
        self.gave_up(&invocation);
    }

    /// No further attempt: the event goes to its destination.
    fn gave_up(&mut self, invocation: &Invocation) {
        let function = invocation.function;
        let to = self.fleets.get(function).and_then(|fleet| fleet.spec.on_failure);
        let to = to.filter(|queue| self.queues.contains_key(queue));
        match invocation.job {
            Job::Async { first, .. } => {
                if let Some(queue) = to {
                    self.effects
                        .push_back(Effect::Store(StoreChange::Destination { first, queue }));
                }
                self.effects
                    .push_back(Effect::Note(Note::GaveUp { first, function, to }));
            }
            Job::Topic { first, message, .. } => {
                if let Some(queue) = to {
                    self.copy_to(queue, message, invocation.cause);
                }
                self.effects
                    .push_back(Effect::Note(Note::GaveUp { first, function, to }));
            }
            Job::Request | Job::Cron { .. } | Job::Batch { .. } => {}
        }
        self.event_done(&invocation.job);
    }

    /// Nothing more comes of this event.
    pub(super) fn event_done(&mut self, job: &Job) {
        match job {
            Job::Async { first, .. } => self
                .effects
                .push_back(Effect::Store(StoreChange::AsyncDone { first: *first })),
            Job::Topic { message, .. } => self.topic_delivery_over(*message),
            Job::Cron { trigger, .. } => self.cron_over(*trigger),
            Job::Request | Job::Batch { .. } => {}
        }
    }

    /// A copy of a topic's message enters a queue.
    pub(super) fn copy_to(&mut self, queue: QueueId, of: MessageId, cause: Option<InvocationId>) {
        let message = super::input::Message {
            id: self.new_message(),
            size_bytes: 0,
            delay: None,
            group: None,
            deduplication: None,
            cause,
        };
        let change = self.enqueue(queue, message, Some(of));
        debug_assert!(
            !matches!(change, Some(MessageChange::Deduplicated { .. })),
            "it has no key"
        );
    }
}

fn retry_of(job: &mut Job) -> Option<&mut Retry> {
    match job {
        Job::Async { retry, .. } | Job::Topic { retry, .. } | Job::Cron { retry, .. } => Some(retry),
        Job::Request | Job::Batch { .. } => None,
    }
}

/// The trigger of a cron's retry that waits for its time.
pub(super) fn cron_retry(invocation: &Invocation) -> Option<TriggerId> {
    match invocation.job {
        Job::Cron { trigger, retry, .. } if invocation.attempt > 1 && retry.throttled == 0 => Some(trigger),
        _ => None,
    }
}

fn first_of(job: &Job) -> Option<InvocationId> {
    match job {
        Job::Async { first, .. } | Job::Topic { first, .. } => Some(*first),
        Job::Request | Job::Cron { .. } | Job::Batch { .. } => None,
    }
}

/// The wait after having been throttled `times` times before.
pub(super) fn backoff(min: Span, max: Span, times: u32) -> Span {
    Span(min.0.saturating_mul(1 << times.min(32)).min(max.0.max(min.0)))
}
