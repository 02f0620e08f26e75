//! What falls due when: by instant, and of one instant in the order in which it was asked for.

use std::collections::BTreeMap;

use futures::channel::oneshot;

use super::tasks::TaskId;
use crate::platform::time::Time;

pub type Act = Box<dyn FnOnce() + Send>;
pub type Key = (Time, u64);

pub enum Item {
    /// Lets a run go on. With its task when the run waits for it.
    Wake(oneshot::Sender<()>, Option<TaskId>),
    Act(Act),
}

#[derive(Default)]
pub struct Agenda {
    items: BTreeMap<Key, Item>,
    asked: u64,
}

impl Agenda {
    fn add(&mut self, at: Time, item: Item) -> Key {
        self.asked += 1;
        let key = (at, self.asked);
        self.items.insert(key, item);
        key
    }

    pub fn act(&mut self, at: Time, act: Act) {
        self.add(at, Item::Act(act));
    }

    pub fn wake(&mut self, at: Time, task: Option<TaskId>) -> (Key, oneshot::Receiver<()>) {
        let (sender, receiver) = oneshot::channel();
        (self.add(at, Item::Wake(sender, task)), receiver)
    }

    pub fn next(&self) -> Option<Time> {
        self.items.first_key_value().map(|((at, _), _)| *at)
    }

    pub fn pop(&mut self) -> Option<(Time, Item)> {
        self.items.pop_first().map(|((at, _), item)| (at, item))
    }

    /// What was still to come; to be dropped where nothing is locked, since that wakes.
    pub fn remove(&mut self, key: Key) -> Option<Item> {
        self.items.remove(&key)
    }

    /// All of it, to be dropped where nothing is locked.
    pub fn take(&mut self) -> Vec<Item> {
        self.asked = 0;
        std::mem::take(&mut self.items).into_values().collect()
    }
}
