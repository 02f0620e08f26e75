//! Idle instances: how long they stay, which go first, and which come back ahead of their request.

use super::Platform;
use super::deadline::Deadline;
use super::effect::StopReason;
use super::ids::FunctionId;
use super::instance::{Instance, State};
use super::lists::{NONE, Slot};
use super::scaling::keep_alive::Policy;
use super::time::{Span, Time};

impl Platform {
    pub(super) fn becomes_idle(&mut self, slot: Slot) {
        let instance = &mut self.instances[slot];
        instance.state = State::Idle;
        instance.idle_since = self.now;
        let (function, rank) = (instance.function, instance.place.rank);
        let fleet = &mut self.fleets[function];
        fleet.newest.set(rank);
        fleet.settle_kept(self.now, self.ledger.as_mut());
        fleet.idle.push(&mut self.instances, slot);
        if !fleet.keep_alive.is_fixed() {
            self.decide(function, slot);
        } else if fleet.expiry_armed > self.now + fleet.keep_alive.policy.typical() {
            // Nothing is armed, or what was armed under a longer keep-alive.
            self.arm_expiry(function);
        }
    }

    /// What a policy other than a fixed time says of an instance that has become idle.
    fn decide(&mut self, function: FunctionId, slot: Slot) {
        let fleet = &mut self.fleets[function];
        let all = fleet.active == 0 && fleet.starting == 0;
        let stay = fleet.keep_alive.stay(self.now, all);
        self.instances[slot].stay = stay;
        let prewarm = fleet.keep_alive.prewarm_at().filter(|at| *at > self.now);
        if let (Some(at), true) = (prewarm, all) {
            self.deadlines.set(at, Deadline::Prewarm(function));
            // Those that have been idle for longer go with it.
            let mut next = fleet.idle.longest();
            while let Some(at) = next {
                let instance = &mut self.instances[at];
                instance.stay = Span::ZERO;
                next = (instance.place.next != NONE).then_some(instance.place.next);
            }
        }
        if matches!(fleet.keep_alive.policy, Policy::GreedyDual { .. }) {
            let uses = fleet.uses;
            let instance = &mut self.instances[slot];
            let start = instance.init + instance.modelled.total();
            self.pool.idle(slot, &mut instance.weight, uses, start);
            // It stays until then, or is what goes.
            return self.make_room();
        }
        let fleet = &self.fleets[function];
        if fleet.keep_alive.provisioned > 0 || prewarm.is_some() && all {
            return self.arm_expiry(function);
        }
        // Nothing has changed for the others: a fleet of thousands is not looked through for each request.
        let at = self.expires_at(&self.instances[slot]);
        self.arm_expiry_at(function, at);
    }

    /// Counts a new instance where idle ones share a memory.
    pub(super) fn weigh(&mut self, slot: Slot) {
        let fleet = &self.fleets[self.instances[slot].function];
        if matches!(fleet.keep_alive.policy, Policy::GreedyDual { .. }) {
            self.instances[slot].weight = self.pool.started(fleet.spec.memory_mb);
            self.make_room();
        }
    }

    /// Lets idle instances go until the others fit into the memory that they share.
    pub(super) fn make_room(&mut self) {
        loop {
            let (instances, fleets) = (&self.instances, &self.fleets);
            let may_go = |slot: Slot| {
                let fleet = &fleets[instances[slot].function];
                fleet.current > fleet.keep_alive.provisioned
            };
            let Some(slot) = self.pool.surplus(may_go) else { return };
            self.stop_idle(slot, StopReason::ScaledDown);
        }
    }

    /// The shared memory is the most that a function names.
    pub(super) fn size_pool(&mut self) {
        let named = self
            .fleets
            .iter()
            .filter(|fleet| !fleet.removed)
            .map(|fleet| match fleet.keep_alive.policy {
                Policy::GreedyDual { memory_mb } => u64::from(memory_mb),
                _ => 0,
            });
        self.pool.capacity_mb = named.max().unwrap_or(0);
        self.make_room();
    }

    /// Starts an instance for the request that is likely to come.
    pub(super) fn prewarm(&mut self, function: FunctionId) {
        let Some(fleet) = self.fleets.get_mut(function).filter(|fleet| !fleet.removed) else {
            return;
        };
        let due = fleet.keep_alive.prewarm_at().is_some_and(|at| at <= self.now);
        let free = self.account < self.account_limit && fleet.current < fleet.spec.max_concurrency.unwrap_or(u32::MAX);
        if let (true, true, 0, Some(version)) = (due, free, fleet.current, fleet.version) {
            let slot = self.start_instance(function, version);
            self.fleets[function].open.push_back(slot);
        }
    }

    fn idle_slots(&self, function: FunctionId) -> impl Iterator<Item = Slot> {
        std::iter::successors(self.fleets[function].idle.longest(), |slot| {
            let next = self.instances[*slot].place.next;
            (next != NONE).then_some(next)
        })
    }

    fn arm_expiry(&mut self, function: FunctionId) {
        let fleet = &self.fleets[function];
        let expires_at = |slot: Slot| self.expires_at(&self.instances[slot]);
        let at = match fleet.keep_alive.is_fixed() {
            true => fleet.idle.longest().and_then(expires_at),
            false => self.idle_slots(function).filter_map(expires_at).min(),
        };
        self.arm_expiry_at(function, at);
    }

    fn arm_expiry_at(&mut self, function: FunctionId, at: Option<Time>) {
        let fleet = &self.fleets[function];
        if let Some(at) = at.filter(|at| *at < fleet.expiry_armed) {
            self.fleets[function].expiry_armed = at;
            self.deadlines.set(at.max(self.now), Deadline::Expiry(function));
        }
    }

    /// The deadline of an idle instance has come, or one that was set before an earlier one was.
    pub(super) fn expiry_deadline(&mut self, function: FunctionId) {
        let fleet = &mut self.fleets[function];
        if fleet.expiry_armed <= self.now {
            fleet.expiry_armed = Time::NEVER;
            self.expire(function);
        }
    }

    /// Lets instances go that have been idle for their keep-alive.
    pub(super) fn expire(&mut self, function: FunctionId) {
        let fixed = self.fleets[function].keep_alive.is_fixed();
        let reason = if fixed {
            StopReason::Idle
        } else {
            StopReason::ScaledDown
        };
        loop {
            let due = |slot: &Slot| self.expires_at(&self.instances[*slot]).is_some_and(|at| at <= self.now);
            let slot = match fixed {
                true => self.fleets[function].idle.longest().filter(due),
                false => self.idle_slots(function).find(due),
            };
            match slot {
                Some(slot) => self.stop_idle(slot, reason),
                None => break,
            }
        }
        self.arm_expiry(function);
    }

    pub(super) fn stop_idle(&mut self, slot: Slot, reason: StopReason) {
        let function = self.instances[slot].function;
        let fleet = &mut self.fleets[function];
        fleet.settle_kept(self.now, self.ledger.as_mut());
        fleet.idle.remove(&mut self.instances, slot);
        self.pool.taken(slot, &mut self.instances[slot].weight);
        fleet.current -= 1;
        self.gone(slot, reason);
    }

    /// Earliest instant at which an idle instance may go; `None`: never, or not idle.
    pub(super) fn expires_at(&self, instance: &Instance) -> Option<Time> {
        let fleet = self.fleets.get(instance.function)?;
        if instance.state != State::Idle {
            return None;
        }
        fleet
            .keep_alive
            .expires_at(instance.idle_since, instance.stay, fleet.current)
    }
}
