//! Instances: Starting -> Idle <-> Busy -> Draining -> Gone.

use super::cold_start::ModelledInit;
use super::effect::{InstanceState, StopReason};
use super::ids::{FunctionId, InstanceId, InvocationId, VersionNumber};
use super::lists::{Place, Places, Slot};
use super::scaling::greedy::Weight;
use super::table::Table;
use super::time::{Span, Time};

#[derive(Debug)]
pub(super) struct Instance {
    pub id: InstanceId,
    pub function: FunctionId,
    pub version: VersionNumber,
    pub state: State,
    /// Invocations it takes at once; a changed setting is for new instances.
    pub room: u32,
    /// Invocations that run on it.
    pub in_flight: u32,
    /// Invocations that ran on it to their end.
    pub served: u64,
    pub created_at: Time,
    /// Since when it is idle, and how long it is to stay so; meaningless in other states.
    pub idle_since: Time,
    pub stay: Span,
    /// Where idle instances share a memory.
    pub weight: Weight,
    /// Up to when the time it was busy has been billed.
    pub billed_to: Time,
    /// Measured.
    pub init: Span,
    pub modelled: ModelledInit,
    /// Invocations that wait until it is ready.
    pub bound: Vec<InvocationId>,
    /// In its fleet's lists.
    pub place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// `Some`: replaced or removed meanwhile; serves what is bound to it, then goes.
    Starting(Option<StopReason>),
    Idle,
    Busy,
    /// Takes no more work and goes when what runs has ended.
    Draining(StopReason),
}

impl Instance {
    pub fn shown_state(&self) -> InstanceState {
        match self.state {
            State::Starting(_) => InstanceState::Starting,
            State::Idle => InstanceState::Idle,
            State::Busy => InstanceState::Busy,
            State::Draining(_) => InstanceState::Draining,
        }
    }
}

/// All instances that are not gone.
#[derive(Default)]
pub(super) struct Instances {
    slots: Vec<Option<Instance>>,
    free: Vec<Slot>,
    by_id: Table<Slot>,
}

impl Instances {
    pub fn insert(&mut self, instance: Instance) -> Slot {
        let id = instance.id;
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = Some(instance);
                slot
            }
            None => {
                let slot = Slot::try_from(self.slots.len()).expect("fewer than 2^32 instances");
                self.slots.push(Some(instance));
                slot
            }
        };
        self.by_id.insert(id.0, slot);
        slot
    }

    pub fn remove(&mut self, slot: Slot) -> Instance {
        let instance = self.slots[slot as usize].take().expect("a slot in use");
        self.by_id.remove(instance.id.0);
        self.free.push(slot);
        instance
    }

    /// `None`: gone, or never was.
    pub fn find(&self, id: InstanceId) -> Option<Slot> {
        self.by_id.get(id.0).copied()
    }

    pub fn get(&self, slot: Slot) -> Option<&Instance> {
        self.slots.get(slot as usize)?.as_ref()
    }

    pub fn iter(&self) -> impl Iterator<Item = (Slot, &Instance)> {
        self.slots
            .iter()
            .enumerate()
            .filter_map(|(slot, instance)| Some((slot as Slot, instance.as_ref()?)))
    }
}

impl std::ops::Index<Slot> for Instances {
    type Output = Instance;
    fn index(&self, slot: Slot) -> &Instance {
        self.slots[slot as usize].as_ref().expect("a slot in use")
    }
}

impl std::ops::IndexMut<Slot> for Instances {
    fn index_mut(&mut self, slot: Slot) -> &mut Instance {
        self.slots[slot as usize].as_mut().expect("a slot in use")
    }
}

impl Places for Instances {
    fn place(&mut self, slot: Slot) -> &mut Place {
        &mut self[slot].place
    }
}
