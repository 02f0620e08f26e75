//! One queue: what is visible, delayed, in flight or locked, and until when. Knows nothing of functions.
//!
//! Messages keep the order of their ids, which is the order in which they were made. In a FIFO queue a group hands out
//! messages from its front only, and none while one of it is in flight.

mod check;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::config::QueueSpec;
use super::effect::{Delivery, Stored};
use super::ids::{InvocationId, MessageId, QueueId, ReceiptId};
use super::input::Message;
use super::shelf::Shelf;
use super::time::{Span, Time};

#[derive(Debug)]
pub(super) struct Queue {
    pub spec: QueueSpec,
    messages: Shelf<Held>,
    /// Standard queues: what can be received of the messages before `fresh`.
    visible: BTreeSet<MessageId>,
    /// Standard queues: from here on messages that are visible stand in no index, they are taken in their order.
    fresh: MessageId,
    /// How many these are.
    fresh_visible: usize,
    /// Delayed and in flight, by when they turn visible.
    hidden: BTreeSet<(Time, MessageId)>,
    in_flight: u64,
    groups: BTreeMap<Arc<str>, Group>,
    /// FIFO queues: groups that can hand out messages, by their first.
    ready: BTreeMap<MessageId, Arc<str>>,
    dedup: BTreeMap<Arc<str>, MessageId>,
    dedup_until: VecDeque<(Time, Arc<str>)>,
}

/// A message as a queue holds it; small as long as nothing has happened to it.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub sent_at: Time,
    /// Zero: none. Ids begin with 1.
    cause: u64,
    fate: Option<Box<Fate>>,
}

/// What most messages of a backlog do not have.
#[derive(Clone, Debug, Default)]
struct Fate {
    state: MessageState,
    first_received_at: Option<Time>,
    receive_count: u32,
    receipt: Option<ReceiptId>,
    group: Option<Arc<str>>,
    /// The queue it was dead-lettered from.
    source: Option<QueueId>,
}

impl Held {
    fn new(sent_at: Time, cause: Option<InvocationId>, fate: Fate) -> Held {
        let plain = fate.state == MessageState::Visible && fate.receive_count == 0 && fate.group.is_none();
        Held {
            sent_at,
            cause: cause.map_or(0, |cause| cause.0),
            fate: (!plain || fate.source.is_some()).then(|| Box::new(fate)),
        }
    }

    pub fn state(&self) -> MessageState {
        self.fate.as_ref().map_or(MessageState::Visible, |fate| fate.state)
    }

    pub fn receive_count(&self) -> u32 {
        self.fate.as_ref().map_or(0, |fate| fate.receive_count)
    }

    pub fn receipt(&self) -> Option<ReceiptId> {
        self.fate.as_ref()?.receipt
    }

    pub fn source(&self) -> Option<QueueId> {
        self.fate.as_ref()?.source
    }

    pub fn cause(&self) -> Option<InvocationId> {
        (self.cause > 0).then_some(InvocationId(self.cause))
    }

    fn group(&self) -> Option<&Arc<str>> {
        self.fate.as_ref()?.group.as_ref()
    }

    fn fate(&mut self) -> &mut Fate {
        self.fate.get_or_insert_default()
    }

    /// Begins anew in another queue, as old as it is.
    pub fn moved(self, source: Option<QueueId>) -> Held {
        let fate = Fate {
            group: self.group().cloned(),
            source,
            ..Fate::default()
        };
        Held::new(self.sent_at, self.cause(), fate)
    }

    /// As a store has kept it, seen at `now`.
    pub fn restored(now: Time, stored: &Stored) -> Held {
        let state = match stored.visible_at {
            until if until <= now => MessageState::Visible,
            until if stored.in_flight => MessageState::InFlight { until },
            until => MessageState::Delayed { until },
        };
        let fate = Fate {
            state,
            first_received_at: stored.first_received_at,
            receive_count: stored.receive_count,
            receipt: stored.receipt,
            group: stored.group.clone(),
            source: stored.source,
        };
        Held::new(stored.sent_at, stored.cause, fate)
    }

    /// As a store keeps it.
    pub fn stored(&self, message: MessageId) -> Stored {
        Stored {
            message,
            sent_at: self.sent_at,
            visible_at: self.state().until().unwrap_or(self.sent_at),
            in_flight: matches!(self.state(), MessageState::InFlight { .. }),
            receive_count: self.receive_count(),
            first_received_at: self.fate.as_ref().and_then(|fate| fate.first_received_at),
            receipt: self.receipt(),
            group: self.group().cloned(),
            source: self.source(),
            cause: self.cause(),
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MessageState {
    #[default]
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
    Accepted,
    Duplicate { original: MessageId },
    Full,
}

impl Queue {
    pub fn new(spec: QueueSpec) -> Queue {
        Queue {
            spec,
            messages: Shelf::default(),
            visible: BTreeSet::new(),
            fresh: MessageId(0),
            fresh_visible: 0,
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
            self.fresh = MessageId(0);
            self.fresh_visible = 0;
            self.hidden.clear();
            self.groups.clear();
            self.ready.clear();
            self.in_flight = 0;
            for (id, held) in messages.iter() {
                self.hold(id, held.clone());
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
        self.messages.get(id)
    }

    pub fn iter(&self) -> impl Iterator<Item = (MessageId, &Held)> {
        self.messages.iter()
    }

    pub fn oldest(&self) -> Option<Time> {
        self.messages.first().map(|(_, held)| held.sent_at)
    }

    /// How many messages a receive could hand out now, counted up to `enough`.
    pub fn available(&self, enough: usize) -> usize {
        if !self.spec.fifo {
            return (self.visible.len() + self.fresh_visible).min(enough);
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
        group.take_while(|id| self.is_visible(*id))
    }

    fn is_visible(&self, id: MessageId) -> bool {
        self.get(id).is_some_and(|held| held.state() == MessageState::Visible)
    }

    /// The message that a new one with this key would repeat.
    pub fn duplicate(&mut self, now: Time, key: &str) -> Option<MessageId> {
        self.forget_keys(now);
        self.dedup.get(key).copied()
    }

    /// A key of the deduplication window, from before a restart.
    pub fn remember_key(&mut self, key: Arc<str>, message: MessageId, until: Time) {
        if self.dedup.contains_key(&key) {
            // It was used again since.
            return;
        }
        self.dedup.insert(key.clone(), message);
        let place = self.dedup_until.partition_point(|(other, _)| *other <= until);
        self.dedup_until.insert(place, (until, key));
    }

    /// A new message, or a copy of one.
    pub fn send(&mut self, now: Time, message: &Message, window: Span) -> Entry {
        if self.get(message.id).is_some() {
            // Read back from the store before its sender told of it.
            return Entry::Accepted;
        }
        if self.spec.fifo
            && let Some(key) = &message.deduplication
            && let Some(original) = self.duplicate(now, key)
        {
            return Entry::Duplicate { original };
        }
        if self.len() >= self.spec.max_messages && !message.admitted {
            return Entry::Full;
        }
        if self.spec.fifo
            && let Some(key) = &message.deduplication
        {
            self.remember_key(key.clone(), message.id, now + window);
        }
        let visible_at = now + message.delay.unwrap_or(self.spec.delay);
        let state = match visible_at > now {
            true => MessageState::Delayed { until: visible_at },
            false => MessageState::Visible,
        };
        let fate = Fate {
            state,
            group: message.group.clone(),
            ..Fate::default()
        };
        let held = Held::new(now, message.cause, fate);
        self.hold(message.id, held);
        Entry::Accepted
    }

    pub fn forget_keys(&mut self, now: Time) {
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
        debug_assert!(self.get(id).is_none(), "it would stand in two indexes");
        let state = held.state();
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
                self.add_visible(id);
            }
        }
    }

    fn add_visible(&mut self, id: MessageId) {
        match id >= self.fresh {
            true => self.fresh_visible += 1,
            false => {
                self.visible.insert(id);
            }
        }
    }

    /// Takes a message that was in `state` out of the index of that state.
    fn unlist(&mut self, id: MessageId, state: MessageState) {
        match state.until() {
            Some(until) => {
                self.hidden.remove(&(until, id));
            }
            None if self.spec.fifo => {}
            None if id >= self.fresh => self.fresh_visible -= 1,
            None => {
                self.visible.remove(&id);
            }
        }
    }

    /// Takes a message out for good.
    pub fn remove(&mut self, id: MessageId) -> Option<Held> {
        let held = self.messages.remove(id)?;
        let in_flight = matches!(held.state(), MessageState::InFlight { .. });
        self.in_flight -= u64::from(in_flight);
        self.unlist(id, held.state());
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
        let Some(held) = self.messages.get_mut(id) else { return };
        let before = held.state();
        held.fate().state = state;
        self.unlist(id, before);
        let was = matches!(before, MessageState::InFlight { .. });
        let is = matches!(state, MessageState::InFlight { .. });
        self.in_flight = self.in_flight - u64::from(was) + u64::from(is);
        if let Some(until) = state.until() {
            self.hidden.insert((until, id));
        } else if !self.spec.fifo {
            self.add_visible(id);
        }
        if self.spec.fifo {
            let key = self.get(id).map(group_key).unwrap_or_default();
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
                .get(first)
                .is_some_and(|held| held.state() == MessageState::Visible)
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
            self.take_fresh(max, &mut chosen);
        }
        let until = now + visibility;
        let mut deliveries = Vec::with_capacity(chosen.len());
        for id in chosen {
            let before = self.get(id).and_then(Held::receipt);
            deliveries.push(self.hand_out(now, id, until, receipts(id, before)));
        }
        deliveries
    }

    /// Fills `chosen` from the messages that stand in no index; these do from then on.
    fn take_fresh(&mut self, max: usize, chosen: &mut Vec<MessageId>) {
        let wanted = max.saturating_sub(chosen.len()).min(self.fresh_visible);
        if wanted == 0 {
            return;
        }
        let visible = self
            .messages
            .from(self.fresh)
            .filter(|(_, held)| held.state() == MessageState::Visible);
        let taken: Vec<MessageId> = visible.map(|(id, _)| id).take(wanted).collect();
        let Some(&last) = taken.last() else { return };
        self.fresh = MessageId(last.0 + 1);
        self.fresh_visible -= taken.len();
        self.visible.extend(&taken);
        chosen.extend(taken);
    }

    fn hand_out(&mut self, now: Time, id: MessageId, until: Time, receipt: ReceiptId) -> Delivery {
        self.turn(id, MessageState::InFlight { until });
        let held = self.messages.get_mut(id).expect("chosen from what is held");
        let sent_at = held.sent_at;
        let fate = held.fate();
        fate.receive_count += 1;
        fate.receipt = Some(receipt);
        let first_received_at = *fate.first_received_at.get_or_insert(now);
        Delivery {
            message: id,
            receipt,
            receive_count: fate.receive_count,
            sent_at,
            first_received_at,
            group: fate.group.clone(),
        }
    }

    /// Whether a receipt still speaks for its message: no later receive, and in a FIFO queue still in flight.
    pub fn honours(&self, id: MessageId, receipt: ReceiptId) -> bool {
        self.get(id).is_some_and(|held| {
            let flies = matches!(held.state(), MessageState::InFlight { .. });
            held.receipt() == Some(receipt) && (!self.spec.fifo || flies)
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
    pub fn next_visible(&mut self, now: Time) -> Option<MessageId> {
        while let Some(&(until, id)) = self.hidden.first()
            && until <= now
        {
            if self.get(id).is_some() {
                return Some(id);
            }
            // Never so; if it were, whoever serves all that is due would not come to an end.
            debug_assert!(false, "{id:?} is hidden and not held");
            self.hidden.pop_first();
        }
        None
    }

    pub fn show(&mut self, id: MessageId) {
        self.turn(id, MessageState::Visible);
    }

    /// The oldest message, if its retention is over.
    pub fn next_expired(&self, now: Time) -> Option<MessageId> {
        let (id, held) = self.messages.first()?;
        (held.sent_at + self.spec.retention <= now).then_some(id)
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
        let count = self.get(id).map_or(0, Held::receive_count);
        self.spec.max_receives.is_some_and(|max| count >= max)
    }

    pub fn ids(&self) -> Vec<MessageId> {
        self.messages.iter().map(|(id, _)| id).collect()
    }
}

/// FIFO messages without a group share one.
fn group_key(held: &Held) -> Arc<str> {
    held.group().cloned().unwrap_or_default()
}
