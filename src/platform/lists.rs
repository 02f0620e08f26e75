//! The two orders that a fleet keeps its instances in: idle ones by how long they are idle, all by their creation. Both are
//! linked through the instances themselves, whatever table holds those.

/// Index into a table of instances; reused, unlike an id.
pub type Slot = u32;

/// The end of a list of slots.
pub(super) const NONE: Slot = Slot::MAX;

/// Where an instance stands in its fleet's lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// In the creation order.
    pub rank: u32,
    /// Neighbours in the list of idle instances, longest idle first.
    pub prev: Slot,
    pub next: Slot,
}

impl Place {
    /// Of an instance that is in no list yet.
    pub const NOWHERE: Place = Place {
        rank: 0,
        prev: NONE,
        next: NONE,
    };
}

/// A table of instances.
pub(super) trait Places {
    /// Of the instance in this slot, which is in use.
    fn place(&mut self, slot: Slot) -> &mut Place;
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

    pub fn push(&mut self, places: &mut impl Places, slot: Slot) {
        let place = places.place(slot);
        place.prev = self.tail;
        place.next = NONE;
        match self.tail {
            NONE => self.head = slot,
            tail => places.place(tail).next = slot,
        }
        self.tail = slot;
        self.len += 1;
    }

    pub fn remove(&mut self, places: &mut impl Places, slot: Slot) {
        let Place { prev, next, .. } = *places.place(slot);
        match prev {
            NONE => self.head = next,
            prev => places.place(prev).next = next,
        }
        match next {
            NONE => self.tail = prev,
            next => places.place(next).prev = prev,
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

    pub fn remove(&mut self, places: &mut impl Places, rank: u32) {
        self.clear(rank);
        self.slots[rank as usize] = NONE;
        self.gone += 1;
        if self.gone > 64 && self.gone * 2 > self.slots.len() {
            self.compact(places);
        }
    }

    /// Closes the gaps, so that ranks do not grow with the number of instances that ever were.
    fn compact(&mut self, places: &mut impl Places) {
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
            places.place(slot).rank = rank;
            if available {
                self.set(rank);
            }
        }
    }
}
