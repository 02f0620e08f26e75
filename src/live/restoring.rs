//! What a run before this one, or a queue, function or topic that was away, has left comes back: at the start, and beside
//! everything else when the manifest changes.
//!
//! What is read is a little older than what the core knows by the time it hears of it. Three rules keep that harmless. Only what
//! was named before the change is read: what came after it, the core is told. Reading waits until all that was named before has
//! been told, too ([`super::driver::Inner::gate`]). And what the core decides of something that may just be read voids the reading.

use std::collections::{BTreeMap, BTreeSet};

use crate::platform::config::Config;
use crate::platform::effect::StoreChange;
use crate::platform::ids::{FunctionId, InvocationId, MessageId, QueueId, TopicId};
use crate::platform::input::Input;

use super::driver::{Driver, Own, lock};
use super::store::StoreError;

/// What is there, and what of it has not been read yet.
#[derive(Default)]
pub struct Restoring {
    there: BTreeSet<Part>,
    unread: BTreeMap<Part, Unread>,
    /// The last one given out.
    mark: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Queue(QueueId),
    Function(FunctionId),
    Topic(TopicId),
}

/// Ids behind `after`, up to and with `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Unread {
    after: u64,
    to: u64,
    /// Another one: what was being read is void.
    mark: u64,
}

/// One part on its way from the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reading {
    part: Part,
    unread: Unread,
}

impl Restoring {
    /// What this configuration brings has to be read, as far as it was named by now; what it drops has not any more.
    pub fn configured(&mut self, config: &Config, named: (MessageId, InvocationId)) {
        let queues = config.queues.keys().map(|queue| Part::Queue(*queue));
        let functions = config.functions.keys().map(|function| Part::Function(*function));
        let topics = config.topics.keys().map(|topic| Part::Topic(*topic));
        self.are_there(queues.chain(functions).chain(topics).collect(), named);
    }

    fn are_there(&mut self, parts: BTreeSet<Part>, named: (MessageId, InvocationId)) {
        self.unread.retain(|part, _| parts.contains(part));
        let before = std::mem::replace(&mut self.there, parts);
        let new: Vec<Part> = self.there.difference(&before).copied().collect();
        for part in new {
            let to = match part {
                Part::Queue(_) | Part::Topic(_) => named.0.0,
                Part::Function(_) => named.1.0,
            };
            self.read(part, to);
        }
    }

    /// The core has dropped everything, and nothing new comes before all is read.
    pub fn anew(&mut self) {
        for part in self.there.clone() {
            self.read(part, u64::MAX);
        }
    }

    /// The store forgets everything.
    pub fn nothing_left(&mut self) {
        self.unread.clear();
    }

    /// For a core that begins anew. What is still being read for this one does not concern it.
    pub fn successor(&self) -> Restoring {
        Restoring {
            mark: self.mark,
            ..Restoring::default()
        }
    }

    fn read(&mut self, part: Part, to: u64) {
        self.mark += 1;
        let (after, mark) = (0, self.mark);
        self.unread.insert(part, Unread { after, to, mark });
    }

    fn next(&self) -> Option<Reading> {
        let (part, unread) = self.unread.first_key_value()?;
        Some(Reading {
            part: *part,
            unread: *unread,
        })
    }

    /// The unread part as it is now, if what was read of it still counts.
    fn current(&mut self, reading: &Reading) -> Option<&mut Unread> {
        let unread = self.unread.get_mut(&reading.part)?;
        (*unread == reading.unread).then_some(unread)
    }

    /// All of it has been read; `false`: it has to be read again.
    fn ends(&mut self, reading: &Reading) -> bool {
        let ends = self.current(reading).is_some();
        if ends {
            self.unread.remove(&reading.part);
        }
        ends
    }

    /// So far; `false`: that has to be read again.
    fn goes_on(&mut self, reading: &Reading, last: MessageId) -> bool {
        let current = self.current(reading);
        current.is_some_and(|unread| {
            unread.after = last.0;
            true
        })
    }

    /// What the core has decided. A row that goes may have been read just before, and must not come back.
    pub fn heard(&mut self, change: &StoreChange) {
        if self.unread.is_empty() {
            return;
        }
        match change {
            StoreChange::Gone {
                queue: Some(queue),
                message,
            } => self.void(Part::Queue(*queue), message.0),
            StoreChange::Moved { from, stored, .. } => self.void(Part::Queue(*from), stored.message.0),
            StoreChange::Purged { queue } => self.void_all(|part| part == Part::Queue(*queue), None),
            StoreChange::EventDone { first } => {
                self.void_all(|part| matches!(part, Part::Function(_)), Some(first.0));
            }
            StoreChange::Gone { queue: None, message } | StoreChange::FannedOut { message } => {
                self.void_all(|part| matches!(part, Part::Topic(_)), Some(message.0));
            }
            // What the core holds it does not take again; one that keeps its own lets nothing go.
            StoreChange::Put { .. }
            | StoreChange::LetGo { .. }
            | StoreChange::Received { .. }
            | StoreChange::Hidden { .. }
            | StoreChange::Event(_)
            | StoreChange::Destination { .. } => {}
        }
    }

    fn void(&mut self, part: Part, id: u64) {
        self.void_all(|of| of == part, Some(id));
    }

    fn void_all(&mut self, of: impl Fn(Part) -> bool, id: Option<u64>) {
        for (part, unread) in &mut self.unread {
            if of(*part) && id.is_none_or(|id| unread.after < id && id <= unread.to) {
                self.mark += 1;
                unread.mark = self.mark;
            }
        }
    }
}

impl Driver {
    /// Brings back what a run before this one has left. While nothing comes in.
    ///
    /// # Errors
    /// When the database cannot be read; what has been read is there.
    pub async fn restore(&self) -> Result<(), StoreError> {
        while let Some(reading) = self.reading() {
            self.restore_part(reading).await?;
        }
        Ok(())
    }

    /// As [`Driver::restore`], beside everything else.
    ///
    /// # Errors
    /// As [`Driver::restore`].
    pub async fn restore_beside(&self) -> Result<(), StoreError> {
        while let Some(reading) = self.reading() {
            // A group's keeper hands out by itself: it has nothing to be read.
            if self.0.store.group().is_none() {
                drop(self.0.gate.write().await);
            }
            self.restore_part(reading).await?;
        }
        Ok(())
    }

    fn reading(&self) -> Option<Reading> {
        lock(&self.0.core).restoring.next()
    }

    async fn restore_part(&self, reading: Reading) -> Result<(), StoreError> {
        let store = &self.0.store;
        let Unread { after, to, .. } = reading.unread;
        match reading.part {
            Part::Queue(queue) => {
                if after == 0 {
                    store.forget_keys(self.now());
                }
                let piece = store.messages(queue, MessageId(after), MessageId(to)).await?;
                let last = piece.messages.last().map(|stored| stored.message);
                let mut core = lock(&self.0.core);
                let counts = match last {
                    Some(last) => core.restoring.goes_on(&reading, last),
                    None => core.restoring.ends(&reading),
                };
                if counts {
                    let (messages, keys) = (piece.messages, piece.keys);
                    let input = Input::Restore { queue, messages, keys };
                    self.step_locked(&mut core, input, &mut Own::default());
                }
            }
            Part::Function(function) => {
                let events = store.events(function, InvocationId(to)).await?;
                let mut core = lock(&self.0.core);
                if core.restoring.ends(&reading) && !events.is_empty() {
                    // Of a function that left and came back attempts may still run.
                    let held = core.platform.events();
                    for event in events.into_iter().filter(|event| !held.contains(&event.first)) {
                        self.step_locked(&mut core, Input::RestoreEvent(event), &mut Own::default());
                    }
                }
            }
            Part::Topic(topic) => {
                let publications = store.publications(topic, MessageId(to)).await?;
                let mut core = lock(&self.0.core);
                if core.restoring.ends(&reading) {
                    for one in publications {
                        self.fan_out_locked(&mut core, topic, one.message, one.content, one.cause);
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOBS: QueueId = QueueId(3);

    fn there(jobs: bool) -> BTreeSet<Part> {
        jobs.then_some(Part::Queue(JOBS)).into_iter().collect()
    }

    fn restoring() -> Restoring {
        let mut restoring = Restoring::default();
        restoring.are_there(there(true), (MessageId(100), InvocationId(200)));
        restoring
    }

    fn gone(id: u64) -> StoreChange {
        StoreChange::Gone {
            queue: Some(JOBS),
            message: MessageId(id),
        }
    }

    #[test]
    fn only_what_was_named_before_is_read() {
        let restoring = restoring();
        let reading = restoring.next().expect("a queue");
        assert_eq!(reading.part, Part::Queue(JOBS));
        assert_eq!((reading.unread.after, reading.unread.to), (0, 100));
    }

    #[test]
    fn two_that_read_the_same_bring_it_back_once() {
        let mut restoring = restoring();
        let (one, other) = (restoring.next().expect("a queue"), restoring.next().expect("a queue"));
        assert!(restoring.goes_on(&one, MessageId(50)));
        assert!(!restoring.goes_on(&other, MessageId(50)));
        let rest = restoring.next().expect("the rest");
        assert_eq!(rest.unread.after, 50);
        assert!(restoring.ends(&rest) && !restoring.ends(&rest));
        assert_eq!(restoring.next(), None);
    }

    #[test]
    fn what_goes_while_it_is_read_is_read_again() {
        let mut restoring = restoring();
        let first = restoring.next().expect("a queue");
        restoring.heard(&gone(101));
        assert!(restoring.goes_on(&first, MessageId(50)), "it was not in it");
        let second = restoring.next().expect("the rest");
        restoring.heard(&gone(50));
        assert!(restoring.current(&second).is_some(), "that was before");
        restoring.heard(&gone(51));
        assert!(!restoring.goes_on(&second, MessageId(80)));
        let again = restoring.next().expect("again");
        restoring.heard(&StoreChange::Purged { queue: JOBS });
        assert!(!restoring.ends(&again));
        let again = restoring.next().expect("its keys are still there");
        assert!(restoring.ends(&again));
    }

    #[test]
    fn what_left_and_came_back_is_read_from_the_beginning() {
        let mut restoring = restoring();
        let before = restoring.next().expect("a queue");
        restoring.are_there(there(false), (MessageId(100), InvocationId(200)));
        assert_eq!(restoring.next(), None);
        restoring.are_there(there(true), (MessageId(120), InvocationId(200)));
        assert!(!restoring.goes_on(&before, MessageId(50)));
        assert_eq!(restoring.next().expect("a queue").unread.to, 120);
        let mut next = restoring.successor();
        next.are_there(there(true), (MessageId(120), InvocationId(200)));
        assert_ne!(next.next(), restoring.next(), "what the one before reads is void");
    }
}
