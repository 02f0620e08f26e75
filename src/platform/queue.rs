//! One queue: what is visible, delayed, in flight or locked, and until when. Knows nothing of functions.
//!
//! Messages keep the order of their ids, which is the order in which they were made. In a FIFO queue a group hands out
//! messages from its front only, and none while one of it is in flight.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::config::QueueSpec;
use super::effect::Delivery;
use super::ids::{InvocationId, MessageId, QueueId, ReceiptId};
use super::input::Message;
use super::time::{Span, Time};

#[derive(Debug)]
pub(super) struct Queue {
    pub spec: QueueSpec,
    messages: BTreeMap<MessageId, Held>,
    /// Standard queues: what can be received.
    visible: BTreeSet<MessageId>,
    /// Delayed and in flight, by when they turn visible.
    hidden: BTreeSet<(Time, MessageId)>,
    in_flight: u64,
    groups: BTreeMap<Arc<str>, Group>,
    /// FIFO queues: groups that can hand out messages, by their first.
    ready: BTreeMap<MessageId, Arc<str>>,
    dedup: BTreeMap<Arc<str>, MessageId>,
    dedup_until: VecDeque<(Time, Arc<str>)>,
}

/// A message as a queue holds it.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub sent_at: Time,
    pub first_received_at: Option<Time>,
    pub receive_count: u32,
    pub receipt: Option<ReceiptId>,
    pub state: MessageState,
    pub group: Option<Arc<str>>,
    /// The queue it was dead-lettered from.
    pub source: Option<QueueId>,
    pub cause: Option<InvocationId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageState {
    Visible,
    /// Not received yet, or returned with a delay.
    Delayed {
        until: Time,
    },
    InFlight {
        until: Time,
    },
}

impl MessageState {
    fn until(self) -> Option<Time> {
        match self {
            MessageState::Visible => None,
            MessageState::Delayed { until } | MessageState::InFlight { until } => Some(until),
        }
    }
}

#[derive(Debug, Default)]
struct Group {
    messages: BTreeSet<MessageId>,
    in_flight: u32,
    /// Its entry in `ready`.
    ready: Option<MessageId>,
}

/// What became of a message that was handed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Accepted { visible_at: Time },
    Duplicate { original: MessageId },
    Full,
}

impl Queue {
    pub fn new(spec: QueueSpec) -> Queue {
        Queue {
            spec,
            messages: BTreeMap::new(),
            visible: BTreeSet::new(),
            hidden: BTreeSet::new(),
            in_flight: 0,
            groups: BTreeMap::new(),
            ready: BTreeMap::new(),
            dedup: BTreeMap::new(),
            dedup_until: VecDeque::new(),
        }
    }

    /// Takes a changed specification over; messages stay.
    pub fn adapt(&mut self, spec: QueueSpec) {
        let reorder = self.spec.fifo != spec.fifo;
        self.spec = spec;
        if reorder {
            let messages = std::mem::take(&mut self.messages);
            self.visible.clear();
            self.hidden.clear();
            self.groups.clear();
            self.ready.clear();
            self.in_flight = 0;
            for (id, held) in messages {
                self.hold(id, held);
            }
        }
    }

    pub fn len(&self) -> u64 {
        self.messages.len() as u64
    }

    pub fn in_flight(&self) -> u64 {
        self.in_flight
    }

    pub fn delayed(&self) -> u64 {
        self.hidden.len() as u64 - self.in_flight
    }

    pub fn visible(&self) -> u64 {
        self.messages.len() as u64 - self.hidden.len() as u64
    }

    pub fn get(&self, id: MessageId) -> Option<&Held> {
        self.messages.get(&id)
    }

    pub fn iter(&self) -> impl Iterator<Item = (MessageId, &Held)> {
        self.messages.iter().map(|(id, held)| (*id, held))
    }

    pub fn oldest(&self) -> Option<Time> {
        self.messages.values().next().map(|held| held.sent_at)
    }

    /// How many messages a receive could hand out now, counted up to `enough`.
    pub fn available(&self, enough: usize) -> usize {
        if !self.spec.fifo {
            return self.visible.len().min(enough);
        }
        let mut count = 0;
        for key in self.ready.values() {
            count += self.front(key).take(enough - count).count();
            if count >= enough {
                break;
            }
        }
        count
    }

    /// The messages that a group may hand out.
    fn front<'a>(&'a self, key: &Arc<str>) -> impl Iterator<Item = MessageId> + 'a {
        let group = self.groups[key].messages.iter().copied();
        group.take_while(|id| self.messages[id].state == MessageState::Visible)
    }

    /// A new message, or a copy of one.
    pub fn send(&mut self, now: Time, message: &Message, window: Span) -> Entry {
        if self.spec.fifo
            && let Some(key) = &message.deduplication
        {
            self.forget_keys(now);
            if let Some(&original) = self.dedup.get(key) {
                return Entry::Duplicate { original };
            }
        }
        if self.len() >= self.spec.max_messages {
            return Entry::Full;
        }
        if self.spec.fifo
            && let Some(key) = &message.deduplication
        {
            self.dedup.insert(key.clone(), message.id);
            self.dedup_until.push_back((now + window, key.clone()));
        }
        let visible_at = now + message.delay.unwrap_or(self.spec.delay);
        let state = match visible_at > now {
            true => MessageState::Delayed { until: visible_at },
            false => MessageState::Visible,
        };
        let held = Held {
            sent_at: now,
            first_received_at: None,
            receive_count: 0,
            receipt: None,
            state,
            group: message.group.clone(),
            source: None,
            cause: message.cause,
        };
        self.hold(message.id, held);
        Entry::Accepted { visible_at }
    }

    fn forget_keys(&mut self, now: Time) {
        while let Some((until, _)) = self.dedup_until.front()
            && *until <= now
        {
            if let Some((_, key)) = self.dedup_until.pop_front() {
                self.dedup.remove(&key);
            }
        }
    }

    /// Puts a message in, in the state it has.
    pub fn hold(&mut self, id: MessageId, held: Held) {
        let state = held.state;
        if let Some(until) = state.until() {
            self.hidden.insert((until, id));
        }
        let in_flight = matches!(state, MessageState::InFlight { .. });
        self.in_flight += u64::from(in_flight);
        if self.spec.fifo {
            let key = group_key(&held);
            self.messages.insert(id, held);
            let group = self.groups.entry(key.clone()).or_default();
            group.messages.insert(id);
            group.in_flight += u32::from(in_flight);
            self.refresh(&key);
        } else {
            self.messages.insert(id, held);
            if state == MessageState::Visible {
                self.visible.insert(id);
            }
        }
    }

    /// Takes a message out for good.
    pub fn remove(&mut self, id: MessageId) -> Option<Held> {
        let held = self.messages.remove(&id)?;
        let in_flight = matches!(held.state, MessageState::InFlight { .. });
        self.in_flight -= u64::from(in_flight);
        match held.state.until() {
            Some(until) => self.hidden.remove(&(until, id)),
            None => self.visible.remove(&id),
        };
        if self.spec.fifo {
            let key = group_key(&held);
            if let Some(group) = self.groups.get_mut(&key) {
                group.messages.remove(&id);
                group.in_flight -= u32::from(in_flight);
                self.refresh(&key);
            }
        }
        Some(held)
    }

    /// Moves a message to another state.
    fn turn(&mut self, id: MessageId, state: MessageState) {
        let Some(held) = self.messages.get_mut(&id) else { return };
        let before = std::mem::replace(&mut held.state, state);
        match before.until() {
            Some(until) => self.hidden.remove(&(until, id)),
            None => self.visible.remove(&id),
        };
        let was = matches!(before, MessageState::InFlight { .. });
        let is = matches!(state, MessageState::InFlight { .. });
        self.in_flight = self.in_flight - u64::from(was) + u64::from(is);
        if let Some(until) = state.until() {
            self.hidden.insert((until, id));
        } else if !self.spec.fifo {
            self.visible.insert(id);
        }
        if self.spec.fifo {
            let key = group_key(&self.messages[&id]);
            if let Some(group) = self.groups.get_mut(&key) {
                group.in_flight = group.in_flight - u32::from(was) + u32::from(is);
            }
            self.refresh(&key);
        }
    }

    /// Keeps `ready` true for one group.
    fn refresh(&mut self, key: &Arc<str>) {
        let Some(group) = self.groups.get_mut(key) else { return };
        if let Some(before) = group.ready.take() {
            self.ready.remove(&before);
        }
        let Some(&first) = group.messages.first() else {
            self.groups.remove(key);
            return;
        };
        if group.in_flight == 0
            && self
                .messages
                .get(&first)
                .is_some_and(|held| held.state == MessageState::Visible)
        {
            group.ready = Some(first);
            self.ready.insert(first, key.clone());
        }
    }

    /// Hands out up to `max` messages; each gets a receipt from `receipts`, which is told
    /// the one before, and is hidden for `visibility`.
    pub fn receive(
        &mut self,
        now: Time,
        max: usize,
        visibility: Span,
        receipts: &mut impl FnMut(MessageId, Option<ReceiptId>) -> ReceiptId,
    ) -> Vec<Delivery> {
        let mut chosen = Vec::with_capacity(max.min(16));
        if self.spec.fifo {
            for key in self.ready.values() {
                chosen.extend(self.front(key).take(max - chosen.len()));
                if chosen.len() == max {
                    break;
                }
            }
        } else {
            chosen.extend(self.visible.iter().copied().take(max));
        }
        let until = now + visibility;
        let mut deliveries = Vec::with_capacity(chosen.len());
        for id in chosen {
            let receipt = receipts(id, self.messages[&id].receipt);
            deliveries.push(self.hand_out(now, id, until, receipt));
        }
        deliveries
    }

    fn hand_out(&mut self, now: Time, id: MessageId, until: Time, receipt: ReceiptId) -> Delivery {
        self.turn(id, MessageState::InFlight { until });
        let held = self.messages.get_mut(&id).expect("chosen from what is held");
        held.receive_count += 1;
        held.receipt = Some(receipt);
        let first_received_at = *held.first_received_at.get_or_insert(now);
        Delivery {
            message: id,
            receipt,
            receive_count: held.receive_count,
            sent_at: held.sent_at,
            first_received_at,
            group: held.group.clone(),
        }
    }

    /// Whether a receipt still speaks for its message: no later receive, and in a FIFO queue still in flight.
    pub fn honours(&self, id: MessageId, receipt: ReceiptId) -> bool {
        self.messages.get(&id).is_some_and(|held| {
            held.receipt == Some(receipt) && (!self.spec.fifo || matches!(held.state, MessageState::InFlight { .. }))
        })
    }

    /// A received message stays in flight until then (or is visible again: [`Queue::next_visible`] serves it).
    pub fn hide_until(&mut self, id: MessageId, until: Time) {
        self.turn(id, MessageState::InFlight { until });
    }

    /// A received message comes back then.
    pub fn delay_until(&mut self, id: MessageId, until: Time) {
        self.turn(id, MessageState::Delayed { until });
    }

    /// The next message whose time to turn visible has come.
    pub fn next_visible(&self, now: Time) -> Option<MessageId> {
        self.hidden
            .first()
            .filter(|(until, _)| *until <= now)
            .map(|(_, id)| *id)
    }

    pub fn show(&mut self, id: MessageId) {
        self.turn(id, MessageState::Visible);
    }

    /// The oldest message, if its retention is over.
    pub fn next_expired(&self, now: Time) -> Option<MessageId> {
        let (id, held) = self.messages.first_key_value()?;
        (held.sent_at + self.spec.retention <= now).then_some(*id)
    }

    /// When [`Queue::next_visible`] or [`Queue::next_expired`] have something to say.
    pub fn next_change(&self) -> Time {
        let visible = self.hidden.first().map_or(Time::NEVER, |(until, _)| *until);
        let expired = self
            .oldest()
            .map_or(Time::NEVER, |sent_at| sent_at + self.spec.retention);
        visible.min(expired)
    }

    /// Whether this message has been received as often as it may.
    pub fn is_exhausted(&self, id: MessageId) -> bool {
        let count = self.messages.get(&id).map_or(0, |held| held.receive_count);
        self.spec.max_receives.is_some_and(|max| count >= max)
    }

    /// Checks the indexes against the messages.
    pub fn check(&self) -> Result<(), String> {
        let mut hidden = BTreeSet::new();
        let mut visible = BTreeSet::new();
        let mut in_flight = 0;
        let mut groups: BTreeMap<Arc<str>, (BTreeSet<MessageId>, u32)> = BTreeMap::new();
        for (&id, held) in &self.messages {
            match held.state.until() {
                Some(until) => hidden.insert((until, id)),
                None => visible.insert(id),
            };
            let flies = matches!(held.state, MessageState::InFlight { .. });
            in_flight += u64::from(flies);
            let group = groups.entry(group_key(held)).or_default();
            group.0.insert(id);
            group.1 += u32::from(flies);
        }
        if hidden != self.hidden || in_flight != self.in_flight {
            return Err(String::from("what is hidden is not what should be"));
        }
        if !self.spec.fifo {
            let right = visible == self.visible && self.groups.is_empty();
            return right
                .then_some(())
                .ok_or_else(|| String::from("what is visible is not what should be"));
        }
        let ready: BTreeMap<MessageId, Arc<str>> = groups
            .iter()
            .filter(|(_, (_, in_flight))| *in_flight == 0)
            .filter_map(|(key, (messages, _))| Some((*messages.first()?, key.clone())))
            .filter(|(first, _)| visible.contains(first))
            .collect();
        let kept = self
            .groups
            .iter()
            .map(|(key, group)| (key.clone(), (group.messages.clone(), group.in_flight)));
        let kept: BTreeMap<Arc<str>, (BTreeSet<MessageId>, u32)> = kept.collect();
        let right = kept == groups && ready == self.ready && self.visible.is_empty();
        right
            .then_some(())
            .ok_or_else(|| String::from("groups are not what they should be"))
    }

    pub fn ids(&self) -> Vec<MessageId> {
        self.messages.keys().copied().collect()
    }
}

/// FIFO messages without a group share one.
fn group_key(held: &Held) -> Arc<str> {
    held.group.clone().unwrap_or_else(|| Arc::from(""))
}
