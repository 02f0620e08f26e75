//! What must hold after every step. Cheap assertions stand where things happen; this is the full check, for tests and
//! for whoever doubts.

use std::collections::{BTreeMap, BTreeSet};

use super::Platform;
use super::deadline::Deadline;
use super::fleet::Fleet;
use super::ids::{InstanceId, InvocationId, MessageId, QueueId, ReceiptId};
use super::instance::State;
use super::invoke::{Job, Phase};
use super::lists::Slot;
use super::poller::Polled;
use super::queue::MessageState;
use super::time::Time;

impl Platform {
    /// Checks everything that must hold between two inputs; takes time proportional to all there is.
    ///
    /// # Errors
    /// What does not hold, in words.
    pub fn check(&self) -> Result<(), String> {
        let seats = self.seats()?;
        self.check_instances(&seats)?;
        for fleet in self.fleets.iter() {
            self.check_fleet(fleet)?;
        }
        let account: u32 = self.fleets.iter().map(|fleet| fleet.starting + fleet.active).sum();
        same("instances that start or run, in the account", self.account, account)?;
        self.check_queues()?;
        self.check_crons()?;
        self.check_topics()?;
        self.check_deadlines()
    }

    /// Who sits where: running and bound invocations by instance.
    fn seats(&self) -> Result<BTreeMap<Slot, (u32, BTreeSet<InvocationId>)>, String> {
        let mut seats: BTreeMap<Slot, (u32, BTreeSet<InvocationId>)> = BTreeMap::new();
        for id in self.invocations.ids() {
            let Some(invocation) = self.invocations.get(id) else {
                continue;
            };
            match invocation.phase {
                Phase::Running(slot) => seats.entry(slot).or_default().0 += 1,
                Phase::Bound(slot) => {
                    seats.entry(slot).or_default().1.insert(InvocationId(id));
                }
                Phase::Waiting | Phase::Parked => {}
            }
        }
        match seats.keys().find(|slot| self.instances.get(**slot).is_none()) {
            Some(slot) => Err(format!("slot {slot} is empty, yet invocations sit on it")),
            None => Ok(seats),
        }
    }

    fn check_instances(&self, seats: &BTreeMap<Slot, (u32, BTreeSet<InvocationId>)>) -> Result<(), String> {
        for (slot, instance) in self.instances.iter() {
            let what = |detail: &str| format!("instance {} ({:?}): {detail}", instance.id.0, instance.state);
            let (running, bound) = seats.get(&slot).cloned().unwrap_or_default();
            same(&what("invocations on it"), instance.in_flight, running)?;
            same(
                &what("bound to it"),
                instance.bound.iter().copied().collect::<BTreeSet<_>>(),
                bound,
            )?;
            if instance.in_flight.max(instance.bound.len() as u32) > instance.room {
                return Err(what("holds more than its concurrency"));
            }
            let fits = match instance.state {
                State::Starting(None) => instance.in_flight == 0,
                State::Starting(Some(_)) => instance.in_flight == 0 && !instance.bound.is_empty(),
                State::Idle => instance.in_flight == 0 && instance.bound.is_empty(),
                State::Busy | State::Draining(_) => instance.in_flight > 0 && instance.bound.is_empty(),
            };
            if !fits {
                return Err(what("its state does not fit what is on it"));
            }
            let fleet = &self.fleets[instance.function];
            let takes = matches!(instance.state, State::Idle | State::Busy) && instance.in_flight < instance.room;
            same(
                &what("can take work"),
                fleet.newest.is_set(instance.place.rank, slot),
                takes,
            )?;
            let open = instance.state == State::Starting(None) && instance.bound.len() < instance.room as usize;
            same(&what("can be bound to"), fleet.open.contains(&slot), open)?;
            let current = matches!(instance.state, State::Starting(None) | State::Idle | State::Busy);
            if current && fleet.version != Some(instance.version) {
                return Err(what("an older version takes work"));
            }
        }
        Ok(())
    }

    fn check_fleet(&self, fleet: &Fleet) -> Result<(), String> {
        let what = |detail: &str| format!("function {}: {detail}", fleet.id.0);
        let of = |states: fn(State) -> bool| {
            let of = self
                .instances
                .iter()
                .filter(|(_, instance)| instance.function == fleet.id);
            of.filter(|(_, instance)| states(instance.state)).count() as u32
        };
        same(
            &what("starting"),
            fleet.starting,
            of(|state| matches!(state, State::Starting(_))),
        )?;
        same(
            &what("active"),
            fleet.active,
            of(|state| matches!(state, State::Busy | State::Draining(_))),
        )?;
        same(&what("idle"), fleet.idle.len(), of(|state| state == State::Idle))?;
        let current = of(|state| matches!(state, State::Starting(None) | State::Idle | State::Busy));
        same(&what("current"), fleet.current, current)?;
        let in_phase = |phase: Phase| {
            let ids = self.invocations.ids().into_iter();
            let of = ids.filter(|id| {
                self.invocations
                    .get(*id)
                    .is_some_and(|invocation| invocation.function == fleet.id && invocation.phase == phase)
            });
            of.map(InvocationId).collect::<BTreeSet<_>>()
        };
        let waiting = in_phase(Phase::Waiting);
        same(&what("waiting"), fleet.waiting_count, waiting.len() as u32)?;
        if !waiting.iter().all(|id| fleet.waiting.contains(id)) {
            return Err(what("a request waits outside the line"));
        }
        same(&what("parked"), fleet.parked, in_phase(Phase::Parked).len() as u32)?;
        if !fleet.removed && fleet.version.is_some() && fleet.current < fleet.spec.min_instances {
            let retry = self
                .deadlines
                .iter()
                .any(|(_, deadline)| deadline == Deadline::Provision(fleet.id));
            if !retry {
                return Err(what("fewer instances than provisioned, and nothing will start them"));
            }
        }
        Ok(())
    }

    fn check_queues(&self) -> Result<(), String> {
        let mut receipts: BTreeMap<ReceiptId, (QueueId, MessageId)> = BTreeMap::new();
        let mut homes: BTreeMap<MessageId, QueueId> = BTreeMap::new();
        for (&id, Polled { queue, poller, .. }) in &self.queues {
            let what = |detail: &str| format!("queue {}: {detail}", id.0);
            queue.check().map_err(|problem| what(&problem))?;
            let batches = self.batches(id);
            same(&what("batches"), poller.in_flight, batches)?;
            for (message, held) in queue.iter() {
                if let Some(other) = homes.insert(message, id) {
                    return Err(format!("message {} is in queues {} and {}", message.0, other.0, id.0));
                }
                if let Some(receipt) = held.receipt() {
                    receipts.insert(receipt, (id, message));
                }
                if held.state() == MessageState::Visible && queue.is_exhausted(message) {
                    return Err(what(&format!("message {} is visible beyond its receives", message.0)));
                }
            }
        }
        let known = self.receipts.ids().into_iter();
        let known = known.filter_map(|id| self.receipts.get(id).map(|of| (ReceiptId(id), *of)));
        same("receipts", known.collect::<BTreeMap<_, _>>(), receipts)
    }

    fn check_crons(&self) -> Result<(), String> {
        for (&trigger, cron) in &self.crons {
            let runs = self.cron_runs(trigger);
            same(&format!("runs of cron {}", trigger.0), cron.running, runs)?;
            if cron.queued.is_some() && cron.running == 0 {
                return Err(format!("cron {} waits for nothing", trigger.0));
            }
        }
        Ok(())
    }

    fn check_topics(&self) -> Result<(), String> {
        let mut deliveries: BTreeMap<u64, usize> = BTreeMap::new();
        for id in self.invocations.ids() {
            if let Some(Job::Topic { message, .. }) = self.invocations.get(id).map(|invocation| &invocation.job) {
                *deliveries.entry(message.0).or_default() += 1;
            }
        }
        let known = self.topic_deliveries.ids().into_iter();
        let known = known.filter_map(|id| self.topic_deliveries.get(id).map(|left| (id, *left)));
        same("topic deliveries", known.collect::<BTreeMap<_, _>>(), deliveries)
    }

    /// Everything that waits for its time has a deadline not later than that.
    fn check_deadlines(&self) -> Result<(), String> {
        let mut first: BTreeMap<Deadline, Time> = BTreeMap::new();
        for (at, deadline) in self.deadlines.iter() {
            let earliest = first.entry(deadline).or_insert(at);
            *earliest = at.min(*earliest);
        }
        let has = |deadline: Deadline, by: Time| first.get(&deadline).is_some_and(|at| *at <= by);
        for fleet in self.fleets.iter() {
            let of = self
                .instances
                .iter()
                .filter(|(_, instance)| instance.function == fleet.id);
            let at = of.filter_map(|(_, instance)| self.expires_at(instance)).min();
            if at.is_some_and(|at| !has(Deadline::Expiry(fleet.id), at.max(self.now))) {
                return Err(format!("idle instances of function {} would stay for ever", fleet.id.0));
            }
        }
        for (_, instance) in self.instances.iter() {
            let by = self.rules.instance_age_max.map(|age| instance.created_at + age);
            let by = by.filter(|by| *by < Time::NEVER && matches!(instance.state, State::Idle | State::Busy));
            if by.is_some_and(|by| by > self.now && !has(Deadline::Age(instance.id), by)) {
                return Err(no_end("instance", instance.id));
            }
        }
        for id in self.invocations.ids() {
            let phase = self.invocations.get(id).map(|invocation| invocation.phase);
            let deadline = match phase {
                Some(Phase::Parked) if !self.draining => Deadline::Parked(InvocationId(id)),
                Some(Phase::Waiting) => Deadline::WaitOver(InvocationId(id)),
                _ => continue,
            };
            if !first.contains_key(&deadline) {
                return Err(format!("invocation {id} ({phase:?}) would wait for ever"));
            }
        }
        for (&id, Polled { queue, armed, .. }) in &self.queues {
            let at = queue.next_change();
            if at < Time::NEVER && (*armed > at || !has(Deadline::Queue(id), at.max(self.now))) {
                return Err(format!("queue {} changes at {at:?}, and nothing wakes it", id.0));
            }
        }
        for (&trigger, cron) in &self.crons {
            let by = cron
                .next
                .map(|at| (self.of_wall(at) + self.cron_patience()).max(self.now));
            if by.is_some_and(|by| by < Time::NEVER && !has(Deadline::Cron(trigger), by)) {
                return Err(format!("cron {} would never fire", trigger.0));
            }
        }
        Ok(())
    }
}

fn no_end(what: &str, id: InstanceId) -> String {
    format!("{what} {} would never be recycled", id.0)
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, kept: T, counted: T) -> Result<(), String> {
    match kept == counted {
        true => Ok(()),
        false => Err(format!("{what}: kept {kept:?}, counted {counted:?}")),
    }
}
