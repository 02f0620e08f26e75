//! A map from ids to things, for the hot path: ids are unique and dense enough that one multiplication spreads them.
//! Never iterated where order could show.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Keys are the plain numbers of ids.
pub(super) struct Table<T> {
    map: HashMap<u64, T, BuildHasherDefault<IdHasher>>,
}

impl<T> Default for Table<T> {
    fn default() -> Table<T> {
        Table {
            map: HashMap::default(),
        }
    }
}

impl<T> Table<T> {
    /// # Panics
    /// When the id is taken: ids are never reused.
    pub fn insert(&mut self, id: u64, value: T) {
        let before = self.map.insert(id, value);
        assert!(before.is_none(), "id {id} is used twice");
    }

    pub fn get(&self, id: u64) -> Option<&T> {
        self.map.get(&id)
    }

    pub fn get_mut(&mut self, id: u64) -> Option<&mut T> {
        self.map.get_mut(&id)
    }

    pub fn remove(&mut self, id: u64) -> Option<T> {
        self.map.remove(&id)
    }

    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// All ids in ascending order; for views and checks, not for the hot path.
    pub fn ids(&self) -> Vec<u64> {
        let mut ids: Vec<u64> = self.map.keys().copied().collect();
        ids.sort_unstable();
        ids
    }
}

/// Multiplies by an odd constant (2^64 / golden ratio): a permutation of the low bits for consecutive ids, and well
/// spread high bits, which is what the standard map looks at.
#[derive(Default)]
pub(super) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_u64(&mut self, n: u64) {
        self.0 = (self.0 ^ n).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}
