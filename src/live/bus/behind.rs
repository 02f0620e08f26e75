//! Messages of FIFO queues that are here before their turn.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use async_nats::jetstream::message::Acker;
use async_nats::jetstream::{AckKind, Message};

use super::Inner;
use super::claims::Of;
use super::pump::Read;
use super::streams::silence;
use crate::platform::ids::{MessageId, QueueId};
use crate::project::Queue;

/// Messages of one queue that wait for those before them, by group.
#[derive(Default)]
pub(super) struct Behind {
    groups: BTreeMap<Arc<str>, VecDeque<Read>>,
    /// How long the broker waits for a sign of life.
    wait: Duration,
}

impl Behind {
    pub fn push(&mut self, message: Message) {
        let Some(read) = Read::of(message) else { return };
        let group: Arc<str> = read.label.group.as_deref().unwrap_or_default().into();
        let waiting = self.groups.entry(group).or_default();
        // Handed out again, it keeps its place.
        match waiting.iter_mut().find(|known| known.sequence == read.sequence) {
            Some(known) => *known = read,
            None => waiting.push_back(read),
        }
    }

    pub fn len(&self) -> u64 {
        self.groups.values().map(|waiting| waiting.len() as u64).sum()
    }

    /// Those that need a sign of life; they count as renewed.
    pub fn due(&mut self, now: Instant) -> Vec<Arc<Acker>> {
        let wait = self.wait / 3;
        let due = self.groups.values_mut().flatten();
        due.filter(|read| now.saturating_duration_since(read.read_at) >= wait)
            .map(|read| {
                read.read_at = now;
                read.acker.clone()
            })
            .collect()
    }
}

impl Inner {
    /// Hands on what may stand beside those of its group that are here.
    pub fn hand_on(&self, id: QueueId, queue: &Queue, behind: &mut Behind) {
        let Some(driver) = self.driver() else { return };
        let mut ready = Vec::new();
        {
            let mut held = self.held();
            behind.groups.retain(|group, waiting| {
                while let Some(read) = waiting.front() {
                    let message = MessageId(read.label.id);
                    let known = held.claims.get(read.key()).is_some();
                    if !known && !held.claims.may_follow(id, group, message) {
                        break;
                    }
                    let Some(read) = waiting.pop_front() else { break };
                    let of = Of::Queue(id, Some(group.clone()));
                    if held.claims.insert(read.key(), read.claim(of, silence(queue))) {
                        ready.push((read.stored(&driver), read.content));
                    }
                }
                !waiting.is_empty()
            });
        }
        // The rest waits here as long as it takes.
        behind.wait = silence(queue);
        for acker in behind.due(Instant::now()) {
            tokio::spawn(async move { acker.ack_with(AckKind::Progress).await.ok() });
        }
        self.hand_messages(&driver, id, ready);
    }

    /// Messages for somebody who receives from outside.
    pub fn hand_in_order(&self, id: QueueId, queue: &Queue, messages: Vec<Message>) {
        let mut outside = self.outside.lock().unwrap_or_else(PoisonError::into_inner);
        let behind = outside.entry(id).or_default();
        for message in messages {
            behind.push(message);
        }
        self.hand_on(id, queue, behind);
    }
}
