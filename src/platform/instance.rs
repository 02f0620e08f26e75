//! Instances: Starting -> Idle <-> Busy -> Draining -> Gone.

use super::cold_start::ModelledInit;
use super::effect::{InstanceState, StopReason};
use super::ids::{FunctionId, InstanceId, InvocationId, VersionNumber};
use super::table::Table;
use super::time::{Span, Time};

/// Index into [`Instances`]; reused, unlike [`InstanceId`].
pub(super) type Slot = u32;

/// The end of a list of slots.
pub(super) const NONE: Slot = Slot::MAX;

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
    /// Since when it is idle; meaningless in other states.
    pub idle_since: Time,
    /// Up to when the time it was busy has been billed.
    pub billed_to: Time,
    /// Measured.
    pub init: Span,
    pub modelled: ModelledInit,
    /// Invocations that wait until it is ready.
    pub bound: Vec<InvocationId>,
    /// Place in its fleet's creation order.
    pub rank: u32,
    /// Neighbours in its fleet's list of idle instances, longest idle first.
    pub prev: Slot,
    pub next: Slot,
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

/// Idle instances of one fleet, longest idle first. Linked through the instances, so that taking one from the middle
/// costs nothing.
#[derive(Debug)]
pub(super) struct IdleList {
    head: Slot,
    tail: Slot,
    len: u32,
}

impl Default for IdleList {
    fn default() -> IdleList {
        IdleList {
            head: NONE,
            tail: NONE,
            len: 0,
        }
    }
}

impl IdleList {
    pub fn len(&self) -> u32 {
        self.len
    }

    pub fn longest(&self) -> Option<Slot> {
        (self.head != NONE).then_some(self.head)
    }

    pub fn push(&mut self, instances: &mut Instances, slot: Slot) {
        let instance = &mut instances[slot];
        instance.prev = self.tail;
        instance.next = NONE;
        match self.tail {
            NONE => self.head = slot,
            tail => instances[tail].next = slot,
        }
        self.tail = slot;
        self.len += 1;
    }

    pub fn remove(&mut self, instances: &mut Instances, slot: Slot) {
        let Instance { prev, next, .. } = instances[slot];
        match prev {
            NONE => self.head = next,
            prev => instances[prev].next = next,
        }
        match next {
            NONE => self.tail = prev,
            next => instances[next].prev = prev,
        }
        self.len -= 1;
    }
}

/// A fleet's instances in the order of their creation, with the newest that can take work at hand.
#[derive(Debug, Default)]
pub(super) struct Newest {
    /// By rank; `NONE` where one has gone.
    slots: Vec<Slot>,
    /// One bit a rank: can take work.
    available: Vec<u64>,
    /// No word above this one has a bit set.
    top: usize,
    gone: usize,
}

impl Newest {
    /// The rank of the new instance, which is not available yet.
    pub fn push(&mut self, slot: Slot) -> u32 {
        let rank = self.slots.len();
        self.slots.push(slot);
        if rank / 64 >= self.available.len() {
            self.available.push(0);
        }
        u32::try_from(rank).expect("fewer than 2^32 instances")
    }

    pub fn set(&mut self, rank: u32) {
        let word = rank as usize / 64;
        self.available[word] |= 1 << (rank % 64);
        self.top = self.top.max(word);
    }

    pub fn clear(&mut self, rank: u32) {
        self.available[rank as usize / 64] &= !(1 << (rank % 64));
    }

    /// Whether the instance of this rank, which must be in this slot, can take work.
    pub fn is_set(&self, rank: u32, slot: Slot) -> bool {
        debug_assert_eq!(self.slots.get(rank as usize), Some(&slot), "ranks and slots agree");
        self.available[rank as usize / 64] >> (rank % 64) & 1 == 1
    }

    pub fn newest(&mut self) -> Option<Slot> {
        loop {
            let word = *self.available.get(self.top)?;
            if word != 0 {
                return Some(self.slots[self.top * 64 + 63 - word.leading_zeros() as usize]);
            }
            self.top = self.top.checked_sub(1)?;
        }
    }

    pub fn remove(&mut self, instances: &mut Instances, rank: u32) {
        self.clear(rank);
        self.slots[rank as usize] = NONE;
        self.gone += 1;
        if self.gone > 64 && self.gone * 2 > self.slots.len() {
            self.compact(instances);
        }
    }

    /// Closes the gaps, so that ranks do not grow with the number of instances that ever were.
    fn compact(&mut self, instances: &mut Instances) {
        let before = std::mem::take(self);
        for (rank, slot) in before
            .slots
            .iter()
            .copied()
            .enumerate()
            .filter(|(_, slot)| *slot != NONE)
        {
            let available = before.available[rank / 64] >> (rank % 64) & 1 == 1;
            let rank = self.push(slot);
            instances[slot].rank = rank;
            if available {
                self.set(rank);
            }
        }
    }
}
