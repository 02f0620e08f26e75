//! Messages of FIFO queues that are here before their turn.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_nats::jetstream::Message;
use async_nats::jetstream::message::Acker;

use super::Inner;
use super::claims::{Claims, Of};
use super::lead::Lease;
use super::pump::Read;
use super::streams::silence;
use crate::platform::ids::{MessageId, QueueId};
use crate::project::Queue;

/// Messages of one queue that wait for those before them, by group and in the order of the stream.
#[derive(Default)]
pub(super) struct Behind {
    groups: BTreeMap<Arc<str>, BTreeMap<u64, Read>>,
    /// What the leader before may still have in flight: nothing of the group passes it.
    theirs: BTreeMap<Arc<str>, BTreeSet<u64>>,
    /// When somebody last looked for what is theirs no more.
    looked_at: Option<Instant>,
    /// How long the broker waits for a sign of life.
    wait: Duration,
}

impl Behind {
    /// Of a leader before, by sequence.
    pub fn wait_for(&mut self, theirs: Vec<(u64, Arc<str>)>) {
        self.theirs.clear();
        for (sequence, group) in theirs {
            self.theirs.entry(group).or_default().insert(sequence);
        }
    }

    /// It is acknowledged, or this member's.
    pub fn is_gone(&mut self, sequence: u64) {
        self.theirs.retain(|_, theirs| {
            theirs.remove(&sequence);
            !theirs.is_empty()
        });
    }

    /// Whether something is another's.
    pub fn is_waiting(&self) -> bool {
        !self.theirs.is_empty()
    }

    /// The first of each group that is another's, if it is time to look again.
    pub fn due_to_look(&mut self, every: Duration, most: usize) -> Vec<u64> {
        if self.looked_at.is_some_and(|at| at.elapsed() < every) {
            return Vec::new();
        }
        self.looked_at = Some(Instant::now());
        let firsts = self.theirs.values().filter_map(|theirs| theirs.first());
        firsts.take(most).copied().collect()
    }

    pub fn push(&mut self, message: Message) {
        let Some(read) = Read::of(message) else { return };
        self.is_gone(read.sequence);
        let group: Arc<str> = read.label.group.as_deref().unwrap_or_default().into();
        // Handed out again, it keeps its place.
        self.groups.entry(group).or_default().insert(read.sequence, read);
    }

    pub fn len(&self) -> u64 {
        self.groups.values().map(|waiting| waiting.len() as u64).sum()
    }

    pub fn sequences(&self) -> impl Iterator<Item = u64> {
        self.groups.values().flat_map(|waiting| waiting.keys().copied())
    }

    /// Those that need a sign of life; they count as renewed.
    pub fn due(&mut self, now: Instant) -> Vec<Arc<Acker>> {
        let wait = self.wait / 3;
        let due = self.groups.values_mut().flat_map(BTreeMap::values_mut);
        due.filter(|read| now.saturating_duration_since(read.read_at) >= wait)
            .map(|read| {
                read.read_at = now;
                read.acker.clone()
            })
            .collect()
    }

    pub fn into_ackers(self) -> Vec<Arc<Acker>> {
        let waiting = self.groups.into_values().flat_map(BTreeMap::into_values);
        waiting.map(|read| read.acker).collect()
    }

    /// Takes out what may stand beside those of its group that are here, and claims it.
    fn ready(&mut self, claims: &mut Claims, id: QueueId, wait: Duration) -> Vec<Read> {
        self.wait = wait;
        let (mut ready, theirs) = (Vec::new(), &self.theirs);
        self.groups.retain(|group, waiting| {
            let first_of_theirs = theirs.get(group).and_then(BTreeSet::first);
            while let Some((sequence, read)) = waiting.first_key_value() {
                let message = MessageId(read.label.id);
                let known = claims.get(read.key()).is_some();
                let passes = first_of_theirs.is_some_and(|first| first < sequence);
                if !known && (passes || !claims.may_follow(id, group, message)) {
                    break;
                }
                let Some((_, read)) = waiting.pop_first() else { break };
                let of = Of::Queue(id, Some(group.clone()));
                if claims.insert(read.key(), read.claim(of, wait)) {
                    ready.push(read);
                }
            }
            !waiting.is_empty()
        });
        ready
    }
}

impl Inner {
    /// Locked before what is held, never after.
    pub fn behinds(&self) -> MutexGuard<'_, HashMap<QueueId, Behind>> {
        self.behinds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Messages of a FIFO queue that have come here.
    pub fn hand_in_order(&self, id: QueueId, queue: &Queue, lease: &Lease, messages: Vec<Message>) {
        {
            let mut behinds = self.behinds();
            let behind = behinds.entry(id).or_default();
            messages.into_iter().for_each(|message| behind.push(message));
        }
        self.hand_on(id, queue, lease);
    }

    /// Hands on what may stand beside those of its group that are here. The rest waits as long as it takes.
    pub fn hand_on(&self, id: QueueId, queue: &Queue, lease: &Lease) {
        let Some(driver) = self.driver() else { return };
        let ready = match self.behinds().get_mut(&id) {
            Some(behind) => behind.ready(&mut self.held().claims, id, silence(queue)),
            None => return,
        };
        let ready = ready.into_iter().map(|read| {
            let mut stored = read.stored(&driver);
            stored.receive_count = lease.receive_count(stored.message);
            (stored, read.content)
        });
        self.hand_messages(&driver, id, ready.collect());
        // Lost just now: nobody takes back what came after that.
        if lease.is_lost() {
            self.resign(&queue.name);
        }
    }
}
