//! The greedy-dual policy of "FaasCache" (Fuerst and Sharma, ASPLOS 2021): idle instances are a cache. Each has a priority,
//! `clock + uses x start / size`, and where memory is short the lowest goes; the clock is then at its priority, so that what
//! is not used any more falls behind.

use std::collections::BTreeSet;

use crate::platform::lists::Slot;
use crate::platform::time::Span;

/// What all functions under the policy share.
#[derive(Debug, Default)]
pub(in crate::platform) struct Pool {
    pub capacity_mb: u64,
    /// Of instances in any state.
    used_mb: u64,
    clock: u64,
    idle: BTreeSet<(u64, Slot)>,
}

/// An instance under the policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::platform) struct Weight {
    pub memory_mb: u32,
    /// While it is idle.
    priority: Option<u64>,
}

impl Pool {
    pub fn started(&mut self, memory_mb: u32) -> Weight {
        self.used_mb += u64::from(memory_mb);
        Weight {
            memory_mb,
            priority: None,
        }
    }

    pub fn gone(&mut self, weight: Weight) {
        self.used_mb = self.used_mb.saturating_sub(u64::from(weight.memory_mb));
    }

    /// `uses`: invocations of its function since that had no instance at all; `start`: what the next cold start would take.
    pub fn idle(&mut self, slot: Slot, weight: &mut Weight, uses: u64, start: Span) {
        let worth = uses.saturating_mul(start.0.max(1_000)) / u64::from(weight.memory_mb.max(1));
        let priority = self.clock.saturating_add(worth);
        weight.priority = Some(priority);
        self.idle.insert((priority, slot));
    }

    pub fn taken(&mut self, slot: Slot, weight: &mut Weight) {
        if let Some(priority) = weight.priority.take() {
            self.idle.remove(&(priority, slot));
        }
    }

    /// The instance that is to go because there is too little memory, of those that may.
    pub fn surplus(&mut self, may_go: impl Fn(Slot) -> bool) -> Option<Slot> {
        if self.used_mb <= self.capacity_mb {
            return None;
        }
        let &(priority, slot) = self.idle.iter().find(|(_, slot)| may_go(*slot))?;
        self.clock = self.clock.max(priority);
        Some(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_slow_small_and_used_stays() {
        let mut pool = Pool {
            capacity_mb: 300,
            ..Pool::default()
        };
        let second = Span::from_secs(1);
        let (mut large, mut used, mut quick) = (pool.started(256), pool.started(128), pool.started(128));
        pool.idle(0, &mut large, 2, second);
        pool.idle(1, &mut used, 9, second);
        pool.idle(2, &mut quick, 2, Span::from_millis(10));
        let mut gone = Vec::new();
        while let Some(slot) = pool.surplus(|_| true) {
            let weight = match slot {
                0 => &mut large,
                1 => &mut used,
                _ => &mut quick,
            };
            pool.taken(slot, weight);
            pool.gone(*weight);
            gone.push(slot);
        }
        assert_eq!(gone, [2, 0]);
        // The clock has moved: a newcomer used once is worth more than one of the old days with the same use.
        let mut new = pool.started(128);
        pool.idle(3, &mut new, 1, second);
        assert!(new.priority > Some(1_000_000_000 / 128));
    }
}
