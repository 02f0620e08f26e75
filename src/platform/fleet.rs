//! Placement: which instance takes an invocation, when instances start, drain and go, and what stands in the way.

use std::collections::VecDeque;
use std::sync::Arc;

use super::Platform;
use super::billing::{Ledger, MeteredFunction};
use super::cold_start::ModelledInit;
use super::config::{ColdStarts, FunctionSpec};
use super::deadline::Deadline;
use super::effect::{Effect, InstanceState, Note, RejectReason, StopReason};
use super::ids::{FunctionId, InstanceId, InvocationId, QueueId, VersionNumber};
use super::instance::{Instance, State};
use super::lists::{IdleList, Newest, Place, Slot};
use super::rules::Rules;
use super::scaling::StartRate;
use super::scaling::greedy::Weight;
use super::scaling::keep_alive::{KeepAlive, Policy};
use super::time::{Span, Time};

/// All instances of one function, and what waits for them.
pub(super) struct Fleet {
    pub id: FunctionId,
    pub spec: Arc<FunctionSpec>,
    /// Left the manifest; kept for what still runs, and because the name may come back.
    pub removed: bool,
    /// The version that new instances run; `None` until the first build.
    pub version: Option<VersionNumber>,
    pub package_bytes: u64,
    pub keep_alive: KeepAlive,
    pub rate: StartRate,
    /// Instances of the current version.
    pub newest: Newest,
    pub idle: IdleList,
    /// Instances of the current version that are not on their way out.
    pub current: u32,
    /// Instances that are starting, of any version.
    pub starting: u32,
    /// Instances on which something runs, draining ones too.
    pub active: u32,
    /// Starting instances of the current version that more invocations can be bound to.
    pub open: VecDeque<Slot>,
    /// The earliest deadline that is set for an idle instance.
    pub expiry_armed: Time,
    /// Invocations since it had no instance at all.
    pub uses: u64,
    /// Requests that wait for capacity, oldest first; some may have left meanwhile.
    pub waiting: VecDeque<InvocationId>,
    /// How many of them are still there.
    pub waiting_count: u32,
    /// Asynchronous work that waits for its time or for capacity.
    pub parked: u32,
    /// Provisioned instances that could not start, one after another.
    pub provision_failures: u32,
    /// The wait after a failure is over.
    pub retrying: bool,
    /// Up to when the idle time of provisioned instances has been billed.
    pub kept_to: Time,
    pub counters: Counters,
}

/// Of one function, since the emulator runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Invocations that ran to an end.
    pub invocations: u64,
    pub errors: u64,
    pub cold_starts: u64,
    pub throttles: u64,
}

/// A place for an invocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seat {
    Ready(Slot),
    /// Once it is ready.
    Starting(Slot),
}

impl Fleet {
    pub fn new(id: FunctionId, spec: Arc<FunctionSpec>, rules: &Rules) -> Fleet {
        let keep_alive = KeepAlive::new(policy(&spec, rules), spec.min_instances);
        Fleet {
            id,
            spec,
            removed: false,
            version: None,
            package_bytes: 0,
            keep_alive,
            rate: StartRate::new(rules.scale_up),
            newest: Newest::default(),
            idle: IdleList::default(),
            current: 0,
            starting: 0,
            active: 0,
            open: VecDeque::new(),
            expiry_armed: Time::NEVER,
            uses: 0,
            waiting: VecDeque::new(),
            waiting_count: 0,
            parked: 0,
            provision_failures: 0,
            retrying: false,
            kept_to: Time::ZERO,
            counters: Counters::default(),
        }
    }

    pub fn adapt(&mut self, spec: Arc<FunctionSpec>, rules: &Rules) {
        self.keep_alive.adapt(policy(&spec, rules), spec.min_instances);
        self.rate.set_limit(rules.scale_up);
        self.spec = spec;
        self.removed = false;
    }

    /// Bills the idle time of provisioned instances up to now; before each change in the number of idle ones.
    pub fn settle_kept(&mut self, now: Time, ledger: Option<&mut Ledger>) {
        if self.spec.min_instances == 0 {
            return;
        }
        let kept = self.idle.len().min(self.spec.min_instances.saturating_sub(self.active));
        let idle = Span(now.since(self.kept_to).0.saturating_mul(u64::from(kept)));
        self.kept_to = now;
        if let Some(ledger) = ledger
            && idle > Span::ZERO
        {
            ledger.keep(self.id, idle);
        }
    }
}

fn policy(spec: &FunctionSpec, rules: &Rules) -> Policy {
    spec.keep_alive.unwrap_or(Policy::Fixed(rules.keep_alive))
}

impl Platform {
    /// A place for one invocation of this function; on success the place is taken (of a starting instance: the
    /// caller binds its invocation at once).
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn acquire(&mut self, function: FunctionId) -> Result<Seat, RejectReason> {
        let limit = self.account_limit;
        let fleet = match self.fleets.get_mut(function) {
            Some(fleet) if !fleet.removed => fleet,
            _ => return Err(RejectReason::Removed),
        };
        fleet.keep_alive.arrived(self.now);
        let reserved = fleet.spec.max_concurrency.unwrap_or(u32::MAX);
        if let Some(slot) = fleet.newest.newest() {
            let instance = &mut self.instances[slot];
            if instance.in_flight == 0 {
                if fleet.active + fleet.starting >= reserved {
                    return Err(RejectReason::FunctionConcurrency { limit: reserved });
                }
                if self.account >= limit {
                    return Err(RejectReason::AccountConcurrency { limit });
                }
                instance.billed_to = self.now;
                fleet.settle_kept(self.now, self.ledger.as_mut());
                fleet.idle.remove(&mut self.instances, slot);
                self.pool.taken(slot, &mut self.instances[slot].weight);
                fleet.active += 1;
                self.account += 1;
            }
            let instance = &mut self.instances[slot];
            instance.state = State::Busy;
            instance.in_flight += 1;
            let (rank, in_flight) = (instance.place.rank, instance.in_flight);
            if in_flight >= instance.room {
                fleet.newest.clear(rank);
            }
            if self.flips && in_flight == 1 {
                self.note_instance(slot, InstanceState::Busy, None);
            }
            return Ok(Seat::Ready(slot));
        }
        if let Some(&slot) = fleet.open.front() {
            let instance = &self.instances[slot];
            if instance.bound.len() + 1 >= instance.room as usize {
                fleet.open.pop_front();
            }
            return Ok(Seat::Starting(slot));
        }
        let Some(version) = fleet.version else {
            return Err(RejectReason::NoVersion);
        };
        if fleet.active + fleet.starting >= reserved {
            return Err(RejectReason::FunctionConcurrency { limit: reserved });
        }
        if self.account >= limit {
            return Err(RejectReason::AccountConcurrency { limit });
        }
        fleet
            .rate
            .take(self.now)
            .map_err(|retry_after| RejectReason::ScalingRate { retry_after })?;
        let slot = self.start_instance(function, version);
        if self.instances[slot].room > 1 {
            self.fleets[function].open.push_back(slot);
        }
        Ok(Seat::Starting(slot))
    }

    pub(super) fn start_instance(&mut self, function: FunctionId, version: VersionNumber) -> Slot {
        self.last_instance += 1;
        let id = InstanceId(self.last_instance);
        let fleet = &mut self.fleets[function];
        let modelled = match self.cold_starts {
            ColdStarts::Off => ModelledInit::default(),
            ColdStarts::Report | ColdStarts::Sleep => fleet.spec.cold_start.draw(&mut self.rng, fleet.package_bytes),
        };
        let slot = self.instances.insert(Instance {
            id,
            function,
            version,
            state: State::Starting(None),
            room: fleet.spec.instance_concurrency.max(1),
            in_flight: 0,
            served: 0,
            created_at: self.now,
            idle_since: self.now,
            stay: Span::ZERO,
            weight: Weight::default(),
            billed_to: self.now,
            init: Span::ZERO,
            modelled,
            bound: Vec::new(),
            place: Place::NOWHERE,
        });
        self.instances[slot].place.rank = fleet.newest.push(slot);
        fleet.starting += 1;
        fleet.current += 1;
        self.account += 1;
        if let Some(age) = self.rules.instance_age_max {
            self.deadlines.set(self.now + age, Deadline::Age(id));
        }
        self.weigh(slot);
        self.note_instance(slot, InstanceState::Starting, None);
        self.effects.push_back(Effect::StartInstance {
            instance: id,
            function,
            version,
            modelled,
        });
        slot
    }

    pub(super) fn instance_ready(&mut self, id: InstanceId, init: Span) {
        let Some(slot) = self.instances.find(id) else { return };
        let instance = &mut self.instances[slot];
        let State::Starting(leaving) = instance.state else {
            return;
        };
        instance.init = init;
        let bound = std::mem::take(&mut instance.bound);
        let (function, rank, current) = (instance.function, instance.place.rank, leaving.is_none());
        let fleet = &mut self.fleets[function];
        fleet.starting -= 1;
        fleet.open.retain(|open| *open != slot);
        fleet.provision_failures = 0;
        if bound.is_empty() {
            self.account -= 1;
            match leaving {
                Some(reason) => self.gone(slot, reason),
                None => {
                    self.note_instance(slot, InstanceState::Idle, None);
                    self.becomes_idle(slot);
                    self.capacity_freed(function);
                }
            }
            return;
        }
        fleet.active += 1;
        instance.billed_to = self.now;
        instance.in_flight = u32::try_from(bound.len()).expect("bound by its concurrency");
        instance.state = leaving.map_or(State::Busy, State::Draining);
        if current && instance.in_flight < instance.room {
            fleet.newest.set(rank);
        }
        let state = instance.shown_state();
        self.note_instance(slot, state, leaving);
        for (place, invocation) in bound.into_iter().enumerate() {
            self.run(invocation, slot, place == 0);
        }
        self.capacity_freed(function);
    }

    pub(super) fn instance_failed(&mut self, id: InstanceId) {
        let Some(slot) = self.instances.find(id) else { return };
        let instance = &mut self.instances[slot];
        let State::Starting(leaving) = instance.state else {
            return;
        };
        let bound = std::mem::take(&mut instance.bound);
        let (function, version) = (instance.function, instance.version);
        let fleet = &mut self.fleets[function];
        fleet.starting -= 1;
        fleet.open.retain(|open| *open != slot);
        self.account -= 1;
        if leaving.is_none() {
            fleet.current -= 1;
        }
        // A version that was replaced while it started may fail because it is gone: its work goes to the new one.
        let again = fleet.version != Some(version);
        if bound.is_empty() {
            fleet.provision_failures += 1;
        }
        self.gone(slot, leaving.unwrap_or(StopReason::InitFailed));
        self.provision(function);
        for invocation in bound {
            if again {
                self.place_again(invocation);
            } else {
                self.never_ran(invocation, RejectReason::InitFailed);
            }
        }
        self.capacity_freed(function);
    }

    /// One invocation on this instance has ended; `crashed` resets the environment.
    pub(super) fn release(&mut self, slot: Slot, crashed: bool) {
        let instance = &mut self.instances[slot];
        instance.in_flight -= 1;
        instance.served += 1;
        if crashed && instance.state == State::Busy {
            self.drain(slot, StopReason::Crashed);
            let function = self.instances[slot].function;
            self.provision(function);
        }
        let instance = &mut self.instances[slot];
        let function = instance.function;
        match (instance.state, instance.in_flight) {
            (State::Draining(reason), 0) => {
                self.fleets[function].active -= 1;
                self.account -= 1;
                self.gone(slot, reason);
            }
            (State::Draining(_), _) => {}
            (_, 0) => {
                self.fleets[function].active -= 1;
                self.account -= 1;
                if self.flips {
                    self.note_instance(slot, InstanceState::Idle, None);
                }
                self.becomes_idle(slot);
            }
            _ => self.fleets[function].newest.set(instance.place.rank),
        }
    }

    /// No more work for a busy instance; it goes when what runs has ended.
    fn drain(&mut self, slot: Slot, reason: StopReason) {
        let instance = &mut self.instances[slot];
        instance.state = State::Draining(reason);
        let (function, rank, in_flight) = (instance.function, instance.place.rank, instance.in_flight);
        let fleet = &mut self.fleets[function];
        fleet.newest.clear(rank);
        fleet.current -= 1;
        if in_flight > 0 {
            self.note_instance(slot, InstanceState::Draining, Some(reason));
        }
    }

    /// The instance is no longer counted anywhere but in its fleet's creation order.
    pub(super) fn gone(&mut self, slot: Slot, reason: StopReason) {
        self.note_instance(slot, InstanceState::Gone, Some(reason));
        let instance = self.instances.remove(slot);
        debug_assert!(
            instance.bound.is_empty(),
            "what waits for an instance is placed elsewhere first"
        );
        let function = instance.function;
        let fleet = &mut self.fleets[function];
        fleet.newest.remove(&mut self.instances, instance.place.rank);
        if fleet.starting + fleet.active + fleet.idle.len() == 0 {
            fleet.uses = 0;
        }
        self.pool.gone(instance.weight);
        self.effects.push_back(Effect::StopInstance {
            instance: instance.id,
            function,
            reason,
        });
    }

    /// Ends an instance whatever it does: idle ones at once, others when their work is done.
    pub(super) fn retire(&mut self, slot: Slot, reason: StopReason) {
        match self.instances[slot].state {
            State::Idle => self.stop_idle(slot, reason),
            State::Busy => self.drain(slot, reason),
            State::Starting(None) => {
                let instance = &mut self.instances[slot];
                instance.state = State::Starting(Some(reason));
                let (function, unbound) = (instance.function, instance.bound.is_empty());
                let fleet = &mut self.fleets[function];
                fleet.open.retain(|open| *open != slot);
                fleet.current -= 1;
                if unbound {
                    self.drop_starting(slot, reason);
                }
            }
            State::Starting(Some(reason)) if self.instances[slot].bound.is_empty() => self.drop_starting(slot, reason),
            State::Starting(Some(_)) | State::Draining(_) => {}
        }
    }

    /// The last invocation bound to an instance that starts in vain has left.
    pub(super) fn drop_starting(&mut self, slot: Slot, reason: StopReason) {
        let function = self.instances[slot].function;
        self.fleets[function].starting -= 1;
        self.account -= 1;
        self.gone(slot, reason);
    }

    /// Recycles an instance that has reached its maximum age.
    pub(super) fn aged(&mut self, id: InstanceId) {
        if let Some(slot) = self.instances.find(id) {
            let function = self.instances[slot].function;
            self.retire(slot, StopReason::ProviderUpdate);
            self.provision(function);
        }
    }

    /// Later invocations of this function are metered by what it now is.
    pub(super) fn meter_by(&mut self, function: FunctionId) {
        let fleet = &self.fleets[function];
        let spec = MeteredFunction {
            memory_mb: fleet.spec.memory_mb,
            runtime: fleet.spec.cold_start.runtime.clone(),
            package_bytes: fleet.package_bytes,
        };
        if let Some(ledger) = &mut self.ledger {
            ledger.set_function(function, spec);
        }
    }

    pub(super) fn provision_again(&mut self, function: FunctionId) {
        if let Some(fleet) = self.fleets.get_mut(function) {
            fleet.retrying = true;
            self.provision(function);
        }
    }

    /// Starts what is missing of the provisioned instances.
    pub(super) fn provision(&mut self, function: FunctionId) {
        let Some(fleet) = self.fleets.get_mut(function).filter(|fleet| !fleet.removed) else {
            return;
        };
        let Some(version) = fleet.version else { return };
        let missing = fleet.spec.min_instances.saturating_sub(fleet.current);
        if missing > 0 && fleet.provision_failures > 0 && !std::mem::take(&mut fleet.retrying) {
            let wait = Span::from_secs(1 << fleet.provision_failures.min(8));
            self.deadlines.set(self.now + wait, Deadline::Provision(function));
            return;
        }
        for _ in 0..missing {
            let slot = self.start_instance(function, version);
            self.fleets[function].open.push_back(slot);
        }
    }

    /// A new version: idle instances of older ones go at once, busy ones drain.
    pub(super) fn deploy(&mut self, function: FunctionId, version: VersionNumber, package_bytes: u64) {
        let Some(fleet) = self.fleets.get_mut(function).filter(|fleet| !fleet.removed) else {
            return;
        };
        fleet.version = Some(version);
        fleet.package_bytes = package_bytes;
        fleet.provision_failures = 0;
        self.meter_by(function);
        for slot in self.of_function(function) {
            if self.instances[slot].version != version {
                self.retire(slot, StopReason::Replaced);
            }
        }
        self.provision(function);
        self.capacity_freed(function);
        self.unpark_all(function);
        // What has waited in its queues for a version that runs.
        let consumed = self.queues.iter().filter(|(_, polled)| {
            let consumer = polled.queue.spec.consumer.as_ref();
            consumer.is_some_and(|consumer| consumer.function == function)
        });
        let consumed: Vec<QueueId> = consumed.map(|(queue, _)| *queue).collect();
        for queue in consumed {
            self.poll(queue);
        }
    }

    /// The function left the manifest.
    pub(super) fn remove_function(&mut self, function: FunctionId) {
        let fleet = &mut self.fleets[function];
        fleet.removed = true;
        fleet.version = None;
        for invocation in std::mem::take(&mut fleet.waiting) {
            self.never_ran(invocation, RejectReason::Removed);
        }
        for slot in self.of_function(function) {
            for invocation in std::mem::take(&mut self.instances[slot].bound) {
                self.never_ran(invocation, RejectReason::Removed);
            }
            self.retire(slot, StopReason::Removed);
        }
        self.unpark_all(function);
    }

    pub(super) fn of_function(&self, function: FunctionId) -> Vec<Slot> {
        let of = self
            .instances
            .iter()
            .filter(|(_, instance)| instance.function == function);
        let mut slots: Vec<(InstanceId, Slot)> = of.map(|(slot, instance)| (instance.id, slot)).collect();
        slots.sort_unstable();
        slots.into_iter().map(|(_, slot)| slot).collect()
    }

    pub(super) fn note_instance(&mut self, slot: Slot, state: InstanceState, reason: Option<StopReason>) {
        let Instance {
            id: instance,
            function,
            version,
            ..
        } = self.instances[slot];
        self.effects.push_back(Effect::Note(Note::Instance {
            instance,
            function,
            version,
            state,
            reason,
        }));
    }
}
