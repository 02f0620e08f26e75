//! What falls due, by time and then by the order in which it was set; one thing for each slot. A calendar (Brown, 1988): a ring of
//! days, each a short list, so that setting and taking cost the same however many there are. Only the things of the current day are
//! in order, in a heap, so that the worst that can happen is the cost of a heap. What lies beyond the ring waits in another.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::platform::time::Time;

const NONE: u32 = u32::MAX;
const WORD: usize = 64;

/// Days for each thing that is due, about; more of them make long leads rarer, and the ring larger than a cache.
const DAYS_EACH: usize = 4;
const DAYS_MIN: usize = WORD;
const DAYS_MAX: usize = 1 << 16;
/// So few things are in order in a heap alone; the current day is then this one.
const FEW: usize = 16;
const NO_DAYS: u64 = u64::MAX;
/// How often the length of a day is looked at, in things that were set.
const LOOK_EVERY: u32 = 4_096;

#[derive(Debug)]
pub struct Due {
    /// Those of the current day and before.
    near: BinaryHeap<Reverse<(u64, u64)>>,
    /// By slot: when, in which order it was set, and the next one of its day.
    nodes: Vec<Node>,
    /// The first of each day's list.
    days: Vec<u32>,
    /// One bit a day: it has a list.
    filled: Vec<u64>,
    /// A day lasts 2^this nanoseconds.
    day_bits: u32,
    /// The current day, counted from the beginning of time; [`NO_DAYS`]: everything is near.
    today: u64,
    /// Beyond the ring.
    far: BinaryHeap<Reverse<(u64, u64)>>,
    len: usize,
    seq: u64,
    /// Since the last look: how far ahead things were set, and how many until the next.
    lead_ns: u64,
    until_look: u32,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    at: u64,
    order: u64,
    next: u32,
}

/// Slots are below 2^24: as many instances as a fleet may have.
const SLOT_BITS: u32 = 24;

fn slot_of(order: u64) -> u32 {
    order as u32 & ((1 << SLOT_BITS) - 1)
}

impl Default for Due {
    fn default() -> Due {
        Due {
            near: BinaryHeap::new(),
            nodes: Vec::new(),
            days: vec![NONE; DAYS_MIN],
            filled: vec![0; DAYS_MIN / WORD],
            day_bits: 30,
            today: NO_DAYS,
            far: BinaryHeap::new(),
            len: 0,
            seq: 0,
            lead_ns: 0,
            until_look: 64,
        }
    }
}

impl Due {
    /// When the first one is.
    #[inline]
    pub fn next(&self) -> Time {
        self.near.peek().map_or(Time::NEVER, |Reverse((at, _))| Time(*at))
    }

    /// `now` is not after `at`, and not before that of any earlier call.
    #[inline]
    pub fn push(&mut self, now: Time, at: Time, slot: u32) {
        self.seq += 1;
        self.len += 1;
        self.lead_ns = self.lead_ns.saturating_add(at.since(now).0);
        let order = self.seq << SLOT_BITS | u64::from(slot);
        if self.near.is_empty() && self.today != NO_DAYS {
            // It is the first one: today may be moved to it.
            self.today = at.0 >> self.day_bits;
        }
        self.place(at.0, order);
        self.until_look -= 1;
        if self.until_look == 0 {
            self.look();
        }
    }

    #[inline]
    fn place(&mut self, at: u64, order: u64) {
        let day = at >> self.day_bits;
        if day <= self.today {
            self.near.push(Reverse((at, order)));
        } else if day - self.today < self.days.len() as u64 {
            self.list(day, at, order);
        } else {
            self.far.push(Reverse((at, order)));
        }
    }

    #[inline]
    fn list(&mut self, day: u64, at: u64, order: u64) {
        let slot = slot_of(order);
        let index = day as usize & (self.days.len() - 1);
        if slot as usize >= self.nodes.len() {
            let empty = Node {
                at: 0,
                order: 0,
                next: NONE,
            };
            self.nodes.resize(slot as usize + 1, empty);
        }
        self.nodes[slot as usize] = Node {
            at,
            order,
            next: self.days[index],
        };
        self.days[index] = slot;
        self.filled[index / WORD] |= 1 << (index % WORD);
    }

    /// The slot of the first one.
    #[inline]
    pub fn pop(&mut self) -> Option<u32> {
        let Reverse((_, order)) = self.near.pop()?;
        self.len -= 1;
        if self.near.is_empty() && self.len > 0 {
            self.turn();
        }
        Some(slot_of(order))
    }

    /// On to the next day that has anything.
    fn turn(&mut self) {
        let listed = self.next_filled();
        let far = self.far.peek().map(|Reverse((at, _))| at >> self.day_bits);
        let Some(day) = [listed, far].into_iter().flatten().min() else {
            return;
        };
        self.today = day;
        if listed == Some(day) {
            let index = day as usize & (self.days.len() - 1);
            self.filled[index / WORD] &= !(1 << (index % WORD));
            let mut slot = std::mem::replace(&mut self.days[index], NONE);
            while slot != NONE {
                let node = self.nodes[slot as usize];
                self.near.push(Reverse((node.at, node.order)));
                slot = node.next;
            }
        }
        while let Some(Reverse((at, order))) = self.far.peek().copied()
            && (at >> self.day_bits) - day < self.days.len() as u64
        {
            self.far.pop();
            self.place(at, order);
        }
    }

    /// The first day after today that has a list.
    fn next_filled(&self) -> Option<u64> {
        let mask = self.days.len() - 1;
        let first = (self.today as usize + 1) & mask;
        let words = self.filled.len();
        for step in 0..=words {
            let word = (first / WORD + step) % words;
            let mut bits = self.filled[word];
            if step == 0 {
                bits &= u64::MAX << (first % WORD);
            } else if step == words {
                bits &= !(u64::MAX << (first % WORD));
            }
            if bits != 0 {
                let index = word * WORD + bits.trailing_zeros() as usize;
                let ahead = index.wrapping_sub(first) & mask;
                return Some(self.today + 1 + ahead as u64);
            }
        }
        None
    }

    /// Makes days so long that one thing falls into each, about, when that is no longer so.
    #[cold]
    fn look(&mut self) {
        let seen = self.seq.min(u64::from(LOOK_EVERY));
        let lead = std::mem::take(&mut self.lead_ns) / seen.max(1);
        self.until_look = LOOK_EVERY;
        let gap = (lead / self.len.max(1) as u64).max(1);
        let day_bits = 63 - gap.leading_zeros();
        let days = (self.len * DAYS_EACH).next_power_of_two().clamp(DAYS_MIN, DAYS_MAX);
        let fits = day_bits.abs_diff(self.day_bits) <= 1;
        let room = self.days.len() >= days && self.days.len() <= days * 4;
        let few = self.len <= FEW;
        if few == (self.today == NO_DAYS) && (few || fits && room) {
            return;
        }
        let mut all: Vec<(u64, u64)> = std::mem::take(&mut self.far)
            .into_iter()
            .map(|Reverse(key)| key)
            .collect();
        all.extend(std::mem::take(&mut self.near).into_iter().map(|Reverse(key)| key));
        for first in &self.days {
            let mut slot = *first;
            while slot != NONE {
                let node = self.nodes[slot as usize];
                all.push((node.at, node.order));
                slot = node.next;
            }
        }
        self.days = vec![NONE; days];
        self.filled = vec![0; days / WORD];
        self.day_bits = day_bits;
        let first = all.iter().map(|(at, _)| *at).min().unwrap_or(0);
        self.today = if few { NO_DAYS } else { first >> day_bits };
        for (at, order) in all {
            self.place(at, order);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// What is set how far ahead, or that one is taken.
    fn steps() -> impl Strategy<Value = Vec<Option<u64>>> {
        let lead = prop_oneof![
            Just(0u64),
            0u64..1_000,
            0u64..3_000_000_000,
            Just(2_000_000_000),
            0u64..1_000_000_000_000_000,
        ];
        proptest::collection::vec(proptest::option::weighted(0.55, lead), 0..6_000)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_calendar_is_a_sorted_set(steps in steps()) {
            let (mut due, mut plain) = (Due::default(), BTreeSet::new());
            let (mut now, mut seq, mut free, mut slots) = (Time::ZERO, 0u64, Vec::new(), 0u32);
            for step in steps {
                match step {
                    Some(lead) => {
                        let slot = free.pop().unwrap_or_else(|| { slots += 1; slots - 1 });
                        let at = Time(now.0 + lead);
                        seq += 1;
                        plain.insert((at, seq, slot));
                        due.push(now, at, slot);
                    }
                    None => {
                        let first = plain.pop_first();
                        prop_assert_eq!(due.pop(), first.map(|(_, _, slot)| slot));
                        if let Some((at, _, slot)) = first {
                            now = at;
                            free.push(slot);
                        }
                    }
                }
                prop_assert_eq!(due.next(), plain.first().map_or(Time::NEVER, |(at, ..)| *at));
            }
        }
    }
}
