//! Asynchronous work: it is parked when throttled, retried when it failed, and sent to its destination in the end.

use std::collections::BTreeSet;

use super::Platform;
use super::config::Destination;
use super::deadline::Deadline;
use super::effect::{Condition, DropReason, Effect, End, MessageChange, Note, RejectReason, StoreChange, StoredEvent};
use super::ids::{FunctionId, InvocationId, MessageId, QueueId, TriggerId};
use super::invoke::{Invocation, Job, Phase, Retry, throttles};
use super::time::{Span, Time};

impl Platform {
    /// An asynchronous invocation is accepted.
    pub(super) fn arrive_async(&mut self, id: InvocationId, function: FunctionId, cause: Option<InvocationId>) {
        let retry = Retry::new(self.now);
        let job = Job::Async { first: id, retry };
        match self.shared {
            true => self.keep_event(function, &job, 1, self.now, cause),
            false => self.start_event(id, function, job, cause),
        }
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
        if self.draining {
            let now = self.now;
            return self.park(id, invocation, now);
        }
        let seat = self.throttled(function).and_then(|()| self.acquire(function));
        let reason = match seat {
            Ok(seat) => return self.seat(id, invocation, seat),
            Err(reason) => reason,
        };
        if reason == RejectReason::Removed {
            return self.leave(id, &invocation);
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
        let (function, attempt, cause) = (invocation.function, invocation.attempt, invocation.cause);
        self.keep_event(function, &invocation.job, attempt, at, cause);
        self.fleets[function].parked += 1;
        invocation.phase = Phase::Parked;
        self.invocations.insert(id.0, invocation);
        if !self.draining {
            self.deadlines.set(at, Deadline::Parked(id));
        }
    }

    /// The shell is about to end. What runs, or has been taken for an instance that starts, goes on to its end; nothing
    /// else begins: it would be counted as tried, and cut off. Who comes next has it.
    pub(super) fn wind_down(&mut self) {
        self.draining = true;
    }

    /// The store follows an event: a restart goes on with this attempt.
    pub(super) fn keep_event(
        &mut self,
        function: FunctionId,
        job: &Job,
        attempt: u32,
        at: Time,
        cause: Option<InvocationId>,
    ) {
        let (first, topic, retry) = match job {
            Job::Async { first, retry } => (*first, None, retry),
            Job::Topic {
                first,
                topic,
                message,
                retry,
            } => (*first, Some((*topic, *message)), retry),
            Job::Request | Job::Cron { .. } | Job::Batch { .. } => return,
        };
        let event = StoredEvent {
            first,
            function,
            topic,
            accepted_at: retry.accepted_at,
            attempt,
            at,
            cause,
        };
        self.effects.push_back(Effect::Store(StoreChange::Event(event)));
    }

    /// Events with an attempt that waits or runs here, and of whose end something comes.
    pub fn events(&self) -> BTreeSet<InvocationId> {
        let here = self.invocations.ids().into_iter();
        let here = here.filter(|id| !self.cut_off.contains(&InvocationId(*id)));
        here.filter_map(|id| self.invocations.get(id)?.job.event()).collect()
    }

    /// What a store has kept of an event goes on where it was.
    pub(super) fn restore_event(&mut self, event: &StoredEvent) {
        if self.fleets.get(event.function).is_none_or(|fleet| fleet.removed) {
            return;
        }
        let retry = Retry::new(event.accepted_at);
        let first = event.first;
        let job = match event.topic {
            None => Job::Async { first, retry },
            Some((topic, message)) => {
                match self.topic_deliveries.get_mut(message.0) {
                    Some(left) => *left += 1,
                    None => self.topic_deliveries.insert(message.0, 1),
                }
                Job::Topic {
                    first,
                    topic,
                    message,
                    retry,
                }
            }
        };
        // The first attempt of a run before this one has its event's name still, so that whoever sent it finds it.
        let id = match event.attempt {
            1 if self.shared && self.invocations.get(first.0).is_none() => first,
            1 if !self.shared && first.0 <= self.ids_from && self.resumed.insert(first) => first,
            _ => self.new_invocation(),
        };
        let invocation = Invocation {
            function: event.function,
            job,
            phase: Phase::Parked,
            cold: false,
            arrived_at: event.at,
            started_at: event.at,
            attempt: event.attempt,
            cause: event.cause,
        };
        self.fleets[event.function].parked += 1;
        self.invocations.insert(id.0, invocation);
        self.deadlines.set(event.at.max(self.now), Deadline::Parked(id));
    }

    /// Drops every message, and all asynchronous work that waits. What runs goes on to its end, of which nothing comes:
    /// what is restored after this may have its names.
    pub(super) fn reset(&mut self) {
        let queues: Vec<QueueId> = self.queues.keys().copied().collect();
        for queue in queues {
            self.purge(queue);
            if let Some(polled) = self.queues.get_mut(&queue) {
                polled.queue.forget_keys(Time::NEVER);
            }
        }
        // Names of events that are restored now have been used.
        self.ids_from = 0;
        for id in self.invocations.ids() {
            let id = InvocationId(id);
            let Some(invocation) = self.invocations.get(id.0) else {
                continue;
            };
            if invocation.phase != Phase::Parked {
                if let (Some(first), false) = (invocation.job.event(), self.cut_off.contains(&id)) {
                    self.cut_off.insert(id);
                    let topic = match invocation.job {
                        Job::Topic { message, .. } => Some(message),
                        _ => None,
                    };
                    self.effects.push_back(Effect::Store(StoreChange::EventDone { first }));
                    topic.into_iter().for_each(|message| self.topic_delivery_over(message));
                }
                continue;
            }
            let invocation = self.invocations.remove(id.0).expect("just seen");
            self.fleets[invocation.function].parked -= 1;
            self.record(id, &invocation, End::Dropped(DropReason::Reset));
            if cron_retry(&invocation).is_none() {
                self.event_done(&invocation.job);
            }
        }
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
                self.record(id, &invocation, End::Dropped(DropReason::CronNewerRun));
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
        let too_old = at > retry.accepted_at + self.age_max(function);
        if removed {
            return self.forget_event(&invocation);
        }
        if invocation.attempt > retries {
            return self.gave_up(id, &invocation, invocation.attempt, Condition::RetriesExhausted);
        }
        if too_old {
            return self.gave_up(id, &invocation, invocation.attempt, Condition::EventAgeExceeded);
        }
        let next = self.new_invocation();
        invocation.attempt += 1;
        invocation.arrived_at = at;
        invocation.cold = false;
        invocation.cause = Some(id);
        let (first, attempt) = (invocation.job.event().unwrap_or(id), invocation.attempt);
        self.effects.push_back(Effect::Note(Note::Retry {
            first,
            function,
            failed: id,
            attempt,
            attempts_max: retries + 1,
            at,
        }));
        let trigger = match invocation.job {
            Job::Cron { trigger, .. } => Some(trigger),
            _ => None,
        };
        if self.shared && trigger.is_none() {
            return self.put_off(&invocation, at);
        }
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
        let condition = match end {
            End::Expired => Condition::EventAgeExceeded,
            _ => Condition::RetriesExhausted,
        };
        self.gave_up(id, &invocation, invocation.attempt - 1, condition);
    }

    /// Its function left the manifest. A store keeps the event: the function may come back.
    fn leave(&mut self, id: InvocationId, invocation: &Invocation) {
        self.record(id, invocation, End::Dropped(DropReason::FunctionRemoved));
        self.forget_event(invocation);
    }

    pub(super) fn forget_event(&mut self, invocation: &Invocation) {
        match invocation.job {
            Job::Topic { message, .. } => self.topic_delivery_left(message),
            Job::Cron { trigger, .. } => self.cron_over(trigger),
            Job::Async { .. } | Job::Request | Job::Batch { .. } => {}
        }
    }

    /// No further attempt: the event goes to its destination. `last` was the last, `ran` of them ran.
    fn gave_up(&mut self, last: InvocationId, invocation: &Invocation, ran: u32, condition: Condition) {
        let function = invocation.function;
        let to = self.destination(function, false);
        match invocation.job {
            Job::Async { first, .. } | Job::Topic { first, .. } => {
                self.send_record(first, last, invocation, ran, condition);
                self.effects.push_back(Effect::Note(Note::GaveUp {
                    first,
                    function,
                    last,
                    attempts: invocation.attempt,
                    to,
                }));
            }
            Job::Request | Job::Cron { .. } | Job::Batch { .. } => {}
        }
        self.event_done(&invocation.job);
    }

    /// An event's attempt succeeded.
    pub(super) fn event_succeeded(&mut self, last: InvocationId, invocation: &Invocation) {
        if let Job::Async { first, .. } | Job::Topic { first, .. } = invocation.job {
            self.send_record(first, last, invocation, invocation.attempt, Condition::Success);
        }
        self.event_done(&invocation.job);
    }

    fn send_record(
        &mut self,
        first: InvocationId,
        last: InvocationId,
        invocation: &Invocation,
        attempts: u32,
        condition: Condition,
    ) {
        let succeeded = condition == Condition::Success;
        let Some(to) = self.destination(invocation.function, succeeded) else {
            return;
        };
        if let (Job::Topic { message, .. }, Destination::Queue(queue), false) = (&invocation.job, to, succeeded) {
            // As a dead-letter queue of the subscription: the message itself.
            return self.copy_to(queue, *message, Some(last));
        }
        let message = match invocation.job {
            Job::Topic { message, .. } => Some(message),
            _ => None,
        };
        self.effects.push_back(Effect::Store(StoreChange::Destination {
            first,
            function: invocation.function,
            message,
            last,
            attempts,
            condition,
            to,
        }));
    }

    /// Where records of a function's asynchronous invocations go, if that is still there.
    fn destination(&self, function: FunctionId, succeeded: bool) -> Option<Destination> {
        let spec = &self.fleets.get(function)?.spec;
        let to = if succeeded { spec.on_success } else { spec.on_failure }?;
        let there = match to {
            Destination::Queue(queue) => self.queues.contains_key(&queue),
            Destination::Topic(topic) => self
                .config
                .as_ref()
                .is_some_and(|config| config.topics.contains_key(&topic)),
            Destination::Function(function) => self.fleets.get(function).is_some_and(|fleet| !fleet.removed),
        };
        there.then_some(to)
    }

    /// Nothing more comes of this event.
    pub(super) fn event_done(&mut self, job: &Job) {
        match job {
            Job::Async { first, .. } => self
                .effects
                .push_back(Effect::Store(StoreChange::EventDone { first: *first })),
            Job::Topic { first, message, .. } => {
                self.effects
                    .push_back(Effect::Store(StoreChange::EventDone { first: *first }));
                self.topic_delivery_over(*message);
            }
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
            admitted: true,
        };
        let change = self.enqueue(queue, message, Some(of), None);
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

/// The wait after having been throttled `times` times before.
pub(super) fn backoff(min: Span, max: Span, times: u32) -> Span {
    Span(min.0.saturating_mul(1 << times.min(32)).min(max.0.max(min.0)))
}
