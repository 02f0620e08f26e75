//! Messages of a queue by their ids, packed: a backlog of a million must not cost a gigabyte.
//!
//! Ids grow, so a new message goes to the end of a line that is searched by halving. One that comes late (back from a
//! dead-letter queue, or moved into one) stands beside the line. What leaves the middle of the line leaves a hole; holes
//! are closed when they outnumber the rest.

use std::collections::{BTreeMap, VecDeque, btree_map};

use super::ids::MessageId;

#[derive(Debug)]
pub(super) struct Shelf<T> {
    line: VecDeque<(MessageId, Option<T>)>,
    holes: usize,
    late: BTreeMap<MessageId, T>,
}

/// Fewer holes than this are not worth closing.
const HOLES_MIN: usize = 64;

impl<T> Default for Shelf<T> {
    fn default() -> Shelf<T> {
        Shelf {
            line: VecDeque::new(),
            holes: 0,
            late: BTreeMap::new(),
        }
    }
}

impl<T> Shelf<T> {
    pub fn len(&self) -> usize {
        self.line.len() - self.holes + self.late.len()
    }

    fn position(&self, id: MessageId) -> Option<usize> {
        self.line.binary_search_by_key(&id, |(of, _)| *of).ok()
    }

    pub fn get(&self, id: MessageId) -> Option<&T> {
        match self.position(id) {
            Some(at) => self.line[at].1.as_ref(),
            None => self.late.get(&id),
        }
    }

    pub fn get_mut(&mut self, id: MessageId) -> Option<&mut T> {
        match self.position(id) {
            Some(at) => self.line[at].1.as_mut(),
            None => self.late.get_mut(&id),
        }
    }

    pub fn insert(&mut self, id: MessageId, value: T) {
        let known_late = !self.late.is_empty() && self.late.contains_key(&id);
        if !known_late && self.line.back().is_none_or(|(last, _)| *last < id) {
            self.line.push_back((id, Some(value)));
            return;
        }
        match self.position(id) {
            Some(at) => {
                if self.line[at].1.replace(value).is_none() {
                    self.holes -= 1;
                }
            }
            None => {
                self.late.insert(id, value);
            }
        }
    }

    pub fn remove(&mut self, id: MessageId) -> Option<T> {
        let Some(at) = self.position(id) else {
            return self.late.remove(&id);
        };
        let value = self.line[at].1.take()?;
        self.holes += 1;
        while self.line.front().is_some_and(|(_, value)| value.is_none()) {
            self.line.pop_front();
            self.holes -= 1;
        }
        while self.line.back().is_some_and(|(_, value)| value.is_none()) {
            self.line.pop_back();
            self.holes -= 1;
        }
        if self.holes > HOLES_MIN && self.holes > self.line.len() / 2 {
            self.line.retain(|(_, value)| value.is_some());
            self.holes = 0;
        }
        if self.line.capacity() > 4 * HOLES_MIN && self.line.len() < self.line.capacity() / 8 {
            self.line.shrink_to(self.line.len() * 2);
        }
        Some(value)
    }

    /// In the order of ids, from `from` on.
    pub fn from(&self, from: MessageId) -> impl Iterator<Item = (MessageId, &T)> {
        let start = self.line.partition_point(|(id, _)| *id < from);
        let line = self.line.range(start..);
        let line = line.filter_map(|(id, value)| Some((*id, value.as_ref()?)));
        Merged {
            line: line.peekable(),
            late: self.late.range(from..).peekable(),
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (MessageId, &T)> {
        self.from(MessageId(0))
    }

    pub fn first(&self) -> Option<(MessageId, &T)> {
        self.iter().next()
    }
}

struct Merged<'a, T, L: Iterator<Item = (MessageId, &'a T)>> {
    line: std::iter::Peekable<L>,
    late: std::iter::Peekable<btree_map::Range<'a, MessageId, T>>,
}

impl<'a, T, L: Iterator<Item = (MessageId, &'a T)>> Iterator for Merged<'a, T, L> {
    type Item = (MessageId, &'a T);

    fn next(&mut self) -> Option<(MessageId, &'a T)> {
        let late_first = match (self.line.peek(), self.late.peek()) {
            (Some((line, _)), Some((late, _))) => *late < line,
            (line, _) => line.is_none(),
        };
        match late_first {
            true => self.late.next().map(|(id, value)| (*id, value)),
            false => self.line.next(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_shelf_is_a_map(steps in proptest::collection::vec((0u64..300, any::<bool>()), 0..2_000)) {
            let (mut shelf, mut plain) = (Shelf::default(), BTreeMap::new());
            for (n, (id, keep)) in steps.into_iter().enumerate() {
                let id = MessageId(id);
                if keep {
                    shelf.insert(id, n);
                    plain.insert(id, n);
                } else {
                    prop_assert_eq!(shelf.remove(id), plain.remove(&id));
                }
                prop_assert_eq!(shelf.len(), plain.len());
                prop_assert_eq!(shelf.get(id), plain.get(&id));
                prop_assert_eq!(shelf.first(), plain.first_key_value().map(|(id, n)| (*id, n)));
            }
            for from in [0, 1, 150, 299, 400] {
                let kept: Vec<_> = shelf.from(MessageId(from)).collect();
                let right: Vec<_> = plain.range(MessageId(from)..).map(|(id, n)| (*id, n)).collect();
                prop_assert_eq!(kept, right);
            }
        }
    }
}
