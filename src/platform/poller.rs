//! Queues at work: messages come in, batches go to functions, outside consumers receive and delete, what fails too
//! often is dead-lettered.

use std::collections::BTreeMap;

use super::Platform;
use super::config::QueueConsumer;
use super::deadline::Deadline;
use super::effect::{Delivery, Effect, MessageChange, Note, RejectReason, StoreChange, Stored};
use super::ids::{FunctionId, InvocationId, MessageId, QueueId, ReceiptId, TopicId};
use super::input::{Key, Message};
use super::invoke::{Invocation, Job, Phase};
use super::queue::{Entry, Held, MessageState, Queue};
use super::retry::backoff;
use super::rules::QueueRules;
use super::time::{Span, Time};

/// A queue with what feeds its function.
pub(super) struct Polled {
    pub queue: Queue,
    pub poller: Poller,
    /// The earliest deadline that is set for it.
    pub armed: Time,
    /// Another platform hands it out.
    pub resigned: bool,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Poller {
    /// Batches that run or wait for their instance.
    pub in_flight: u32,
    /// How many may, as the profile scales them.
    limit: u32,
    /// Since when messages wait although `limit` batches run; begins anew with each growth.
    backlog_since: Option<Time>,
    /// Since when messages wait for a batch to fill.
    waiting_since: Option<Time>,
    /// Times in a row that the function was throttled, and until when that holds the poller back.
    throttled: u32,
    pub(super) held_until: Time,
}

impl Poller {
    /// How many batches may run, as it has scaled and at the most.
    pub(super) fn bounds(&self, rules: &QueueRules, consumer: &QueueConsumer, reserved: Option<u32>) -> (u32, u32) {
        let reserved = reserved.unwrap_or(u32::MAX).max(1);
        let most = consumer.max_concurrency.unwrap_or(rules.batches_max).min(reserved);
        (self.limit.max(rules.batches_min).min(most), most)
    }
}

const MINUTE: Span = Span::from_secs(60);

impl Polled {
    pub fn new(queue: Queue) -> Polled {
        Polled {
            queue,
            poller: Poller::default(),
            armed: Time::NEVER,
            resigned: false,
        }
    }
}

/// What keeps a poller from taking a batch now.
enum Hold {
    /// Nothing to do before something else happens.
    Idle,
    Until(Time),
}

impl Platform {
    /// A message enters a queue. The shell learns what became of it from the notes.
    pub(super) fn send(&mut self, queue: QueueId, message: Message) {
        self.enqueue(queue, message, None, None);
    }

    /// `of`: the message that this one copies, in the envelope of a topic if `wrapped`. Returns what was noted; `None`:
    /// there is no such queue.
    pub(super) fn enqueue(
        &mut self,
        id: QueueId,
        message: Message,
        of: Option<MessageId>,
        wrapped: Option<TopicId>,
    ) -> Option<MessageChange> {
        // One that left while the message was written: it stays in the store, for when the queue comes back.
        let polled = self.queues.get_mut(&id)?;
        if self.shared {
            let change = self.hand_on(id, &message, of, wrapped);
            self.note_message(id, message.id, change.clone());
            return Some(change);
        }
        let window = self.rules.queues.deduplication_window;
        let entry = polled.queue.send(self.now, &message, window);
        let change = match entry {
            Entry::Accepted => {
                let held = polled.queue.get(message.id).expect("just accepted");
                let key = message.deduplication.clone().filter(|_| polled.queue.spec.fifo);
                let put = StoreChange::Put {
                    queue: id,
                    of,
                    wrapped,
                    stored: held.stored(message.id),
                    key: key.map(|key| (key, self.now + window)),
                };
                self.effects.push_back(Effect::Store(put));
                let cause = message.cause;
                MessageChange::Sent { cause, of }
            }
            Entry::Duplicate { original } => MessageChange::Deduplicated { original },
            Entry::Full => MessageChange::Refused,
        };
        self.note_message(id, message.id, change.clone());
        if matches!(change, MessageChange::Sent { .. }) {
            self.poll(id);
        } else {
            self.message_gone(Some(id), message.id);
        }
        Some(change)
    }

    /// Gives batches to the queue's function as long as there is one to give and room for it.
    pub(super) fn poll(&mut self, id: QueueId) {
        let hold = loop {
            match self.next_batch(id) {
                Ok(()) => {}
                Err(hold) => break hold,
            }
        };
        let Some(polled) = self.queues.get_mut(&id) else { return };
        let mut at = polled.queue.next_change();
        if let Hold::Until(until) = hold {
            at = at.min(until);
        }
        if at < polled.armed {
            polled.armed = at;
            self.deadlines.set(at.max(self.now), Deadline::Queue(id));
        }
    }

    fn next_batch(&mut self, id: QueueId) -> Result<(), Hold> {
        if self.draining {
            return Err(Hold::Idle);
        }
        let now = self.now;
        let rules = self.rules.queues.clone();
        let Some(Polled { queue, poller, .. }) = self.queues.get_mut(&id) else {
            return Err(Hold::Idle);
        };
        let Some(consumer) = &queue.spec.consumer else {
            return Err(Hold::Idle);
        };
        let (function, size) = (consumer.function, consumer.batch_size.max(1) as usize);
        let Some(fleet) = self.fleets.get(function).filter(|fleet| fleet.version.is_some()) else {
            return Err(Hold::Idle);
        };
        let available = queue.available(size);
        if available == 0 {
            poller.waiting_since = None;
            poller.backlog_since = None;
            if poller.in_flight == 0 {
                poller.limit = rules.batches_min;
            }
            return Err(Hold::Idle);
        }
        let ready_at = *poller.waiting_since.get_or_insert(now) + consumer.batch_window;
        if available < size && now < ready_at {
            return Err(Hold::Until(ready_at));
        }
        if now < poller.held_until {
            return Err(Hold::Until(poller.held_until));
        }
        let (limit, most) = poller.bounds(&rules, consumer, fleet.spec.max_concurrency);
        poller.limit = poller.limit.max(rules.batches_min);
        if poller.in_flight >= limit {
            if poller.in_flight >= most {
                return Err(Hold::Idle);
            }
            let grows_at = *poller.backlog_since.get_or_insert(now) + MINUTE;
            if now < grows_at {
                return Err(Hold::Until(grows_at));
            }
            let grown = poller.limit.saturating_add(rules.batches_per_minute);
            poller.limit = grown.min(rules.batches_max);
            poller.backlog_since = Some(now);
            if poller.in_flight >= poller.limit {
                return Err(Hold::Until(now + MINUTE));
            }
        }
        self.start_batch(id, function, size)
    }

    fn start_batch(&mut self, id: QueueId, function: FunctionId, size: usize) -> Result<(), Hold> {
        let seat = self.throttled(function).and_then(|()| self.acquire(function));
        let seat = match seat {
            Ok(seat) => seat,
            Err(reason) => return Err(self.hold_back(id, function, reason)),
        };
        let batch = self.new_invocation();
        let deliveries = self.hand_out(id, size, None, Some(batch));
        debug_assert!(!deliveries.is_empty(), "there was something to receive");
        let Polled { queue, poller, .. } = self.queues.get_mut(&id).expect("looked up by the caller");
        poller.in_flight += 1;
        poller.throttled = 0;
        poller.waiting_since = None;
        let cause = deliveries
            .first()
            .and_then(|delivery| queue.get(delivery.message))
            .and_then(Held::cause);
        let attempt = deliveries
            .iter()
            .map(|delivery| delivery.receive_count)
            .max()
            .unwrap_or(1);
        let invocation = Invocation {
            function,
            job: Job::Batch { queue: id, deliveries },
            phase: Phase::Parked,
            cold: false,
            arrived_at: self.now,
            started_at: self.now,
            attempt,
            cause,
        };
        self.seat(batch, invocation, seat);
        Ok(())
    }

    /// The function was throttled: messages stay where they are, uncounted, and the poller tries again later.
    fn hold_back(&mut self, id: QueueId, function: FunctionId, reason: RejectReason) -> Hold {
        let rules = &self.rules.asynchronous;
        let poller = &mut self.queues.get_mut(&id).expect("looked up by the caller").poller;
        poller.held_until = self.now + backoff(rules.backoff_min, rules.backoff_max, poller.throttled);
        poller.throttled += 1;
        let until = poller.held_until;
        self.fleets[function].counters.throttles += 1;
        self.effects.push_back(Effect::Note(Note::Throttled {
            function,
            invocation: None,
            reason,
        }));
        Hold::Until(until)
    }

    /// Counted anew: [`Poller::in_flight`].
    pub(super) fn batches(&self, id: QueueId) -> u32 {
        self.count_invocations(|of| matches!(of.job, Job::Batch { queue, .. } if queue == id))
    }

    /// Takes messages out of a queue for a consumer.
    fn hand_out(
        &mut self,
        id: QueueId,
        max: usize,
        visibility: Option<Span>,
        by: Option<InvocationId>,
    ) -> Vec<Delivery> {
        let Some(polled) = self.queues.get_mut(&id) else {
            return Vec::new();
        };
        let visibility = visibility.unwrap_or(polled.queue.spec.visibility_timeout);
        let (receipts, last) = (&mut self.receipts, &mut self.last_receipt);
        let mut receipt = |message: MessageId, before: Option<ReceiptId>| {
            if let Some(before) = before {
                receipts.remove(before.0);
            }
            *last += 1;
            receipts.insert(*last, (id, message));
            ReceiptId(*last)
        };
        let deliveries = polled.queue.receive(self.now, max, visibility, &mut receipt);
        for delivery in &deliveries {
            let (message, receive_count) = (delivery.message, delivery.receive_count);
            let change = StoreChange::Received {
                queue: id,
                message,
                receipt: delivery.receipt,
                receive_count,
                first_received_at: delivery.first_received_at,
                visible_at: self.now + visibility,
            };
            self.effects.push_back(Effect::Store(change));
            self.note_message(id, message, MessageChange::Received { receive_count, by });
        }
        deliveries
    }

    /// A batch ended: messages are deleted, come back, or wait for their visibility timeout.
    pub(super) fn batch_over(
        &mut self,
        id: QueueId,
        deliveries: &[Delivery],
        done_unless_named: bool,
        failed: &[(MessageId, Option<Span>)],
    ) {
        let Some(polled) = self.queues.get_mut(&id) else { return };
        polled.poller.in_flight -= 1;
        // Of a message named twice the first word counts.
        let named: BTreeMap<MessageId, Option<Span>> = failed.iter().rev().copied().collect();
        for delivery in deliveries {
            match named.get(&delivery.message) {
                None if done_unless_named => {
                    self.delete_by(id, delivery.message, delivery.receipt);
                }
                delay => self.comes_back(id, delivery, delay.copied().flatten()),
            }
        }
        self.poll(id);
    }

    /// A message that failed, with the delay its handler asked for.
    fn comes_back(&mut self, id: QueueId, delivery: &Delivery, asked: Option<Span>) {
        let delay = asked.or(self.rules.queues.failed_batch_delay);
        let lets_go = self.lets_go(id);
        let Some(Polled { queue, .. }) = self.queues.get_mut(&id) else {
            return;
        };
        let message = delivery.message;
        if !queue.honours(message, delivery.receipt) {
            return;
        }
        if lets_go && delay.is_some() && queue.is_exhausted(message) {
            // Nobody may hold it when the delay is over.
            return self.bury(id, message);
        }
        let visible_at = match (delay, queue.get(message).map(Held::state)) {
            (Some(delay), _) if lets_go => {
                let visible_at = self.now + delay;
                self.let_go(id, message, visible_at);
                visible_at
            }
            (Some(delay), _) => {
                let visible_at = self.now + delay;
                queue.delay_until(message, visible_at);
                if !self.shared {
                    self.effects.push_back(Effect::Store(StoreChange::Hidden {
                        queue: id,
                        message,
                        visible_at,
                        in_flight: false,
                    }));
                }
                visible_at
            }
            (None, Some(MessageState::InFlight { until })) => until,
            (None, _) => return,
        };
        self.note_message(id, message, MessageChange::Returned { visible_at });
        self.turn_visible(id);
    }

    fn delete_by(&mut self, id: QueueId, message: MessageId, receipt: ReceiptId) -> bool {
        let Some(Polled { queue, .. }) = self.queues.get_mut(&id) else {
            return false;
        };
        if !queue.honours(message, receipt) {
            return false;
        }
        self.take_away(id, message);
        self.note_message(id, message, MessageChange::Deleted);
        self.message_gone(Some(id), message);
        true
    }

    /// Takes a message out of its queue, and its receipt with it.
    pub(super) fn take_away(&mut self, id: QueueId, message: MessageId) -> Option<Held> {
        let held = self.queues.get_mut(&id)?.queue.remove(message)?;
        if let Some(receipt) = held.receipt() {
            self.receipts.remove(receipt.0);
        }
        Some(held)
    }

    /// Something in the queue has fallen due.
    pub(super) fn queue_deadline(&mut self, id: QueueId) {
        let Some(polled) = self.queues.get_mut(&id) else { return };
        if polled.armed > self.now {
            return;
        }
        polled.armed = Time::NEVER;
        self.expire_messages(id);
        self.turn_visible(id);
        self.poll(id);
    }

    fn expire_messages(&mut self, id: QueueId) {
        while let Some(message) = self
            .queues
            .get(&id)
            .and_then(|polled| polled.queue.next_expired(self.now))
        {
            self.take_away(id, message);
            self.note_message(id, message, MessageChange::Expired);
            self.message_gone(Some(id), message);
        }
    }

    /// Serves every message whose time has come: it is visible, or dead-lettered when it has been received too often.
    fn turn_visible(&mut self, id: QueueId) {
        while let Some(polled) = self.queues.get_mut(&id)
            && let Some(message) = polled.queue.next_visible(self.now)
        {
            if polled.queue.is_exhausted(message) {
                self.bury(id, message);
            } else if self.lets_go(id) {
                self.let_go(id, message, self.now);
            } else if let Some(polled) = self.queues.get_mut(&id) {
                polled.queue.show(message);
            }
        }
    }

    /// The limit of receives may have been lowered: what is visible and beyond it goes.
    pub(super) fn bury_exhausted(&mut self, id: QueueId) {
        let Some(Polled { queue, .. }) = self.queues.get(&id) else {
            return;
        };
        let visible = queue
            .iter()
            .filter(|(_, held)| held.state() == MessageState::Visible)
            .map(|(message, _)| message);
        let exhausted: Vec<MessageId> = visible.filter(|message| queue.is_exhausted(*message)).collect();
        for message in exhausted {
            self.bury(id, message);
        }
    }

    /// Moves a message to the dead-letter queue; without one it is gone.
    fn bury(&mut self, id: QueueId, message: MessageId) {
        let Some(held) = self.take_away(id, message) else {
            return;
        };
        let dead = self.queues[&id]
            .queue
            .spec
            .dead_letter
            .filter(|dead| self.queues.contains_key(dead));
        let receive_count = held.receive_count();
        let Some(to) = dead else {
            self.note_message(id, message, MessageChange::Exhausted { receive_count });
            return self.message_gone(Some(id), message);
        };
        self.move_to(id, to, message, held, MessageChange::DeadLettered { to, receive_count });
    }

    /// Puts a message that was taken away into another queue, fresh but for its age. It was accepted once: `max_messages`,
    /// which bounds what is sent, does not lose it here.
    fn move_to(&mut self, from: QueueId, to: QueueId, message: MessageId, held: Held, change: MessageChange) {
        let held = held.moved(matches!(change, MessageChange::DeadLettered { .. }).then_some(from));
        self.note_message(from, message, change);
        let target = self.queues.get_mut(&to).expect("checked by the caller");
        let stored = held.stored(message);
        if !self.shared {
            target.queue.hold(message, held);
        }
        self.effects
            .push_back(Effect::Store(StoreChange::Moved { from, to, stored }));
        self.poll(to);
    }

    /// A consumer outside the platform receives.
    pub(super) fn receive(&mut self, id: QueueId, max: u32, visibility: Option<Span>) {
        let deliveries = self.hand_out(id, max as usize, visibility, None);
        self.effects.push_back(Effect::Received { queue: id, deliveries });
        self.turn_visible(id);
        self.poll(id);
    }

    pub(super) fn delete(&mut self, id: QueueId, receipt: ReceiptId) {
        let message = self
            .receipts
            .get(receipt.0)
            .filter(|(queue, _)| *queue == id)
            .map(|(_, message)| *message);
        let valid = message.is_some_and(|message| self.delete_by(id, message, receipt));
        self.effects.push_back(Effect::ReceiptChecked {
            queue: id,
            receipt,
            valid,
        });
        self.poll(id);
    }

    pub(super) fn change_visibility(&mut self, id: QueueId, receipt: ReceiptId, visibility: Span) {
        let message = self
            .receipts
            .get(receipt.0)
            .filter(|(queue, _)| *queue == id)
            .map(|(_, message)| *message);
        let in_flight = message.filter(|message| {
            self.queues.get(&id).is_some_and(|polled| {
                polled.queue.honours(*message, receipt)
                    && polled
                        .queue
                        .get(*message)
                        .is_some_and(|held| held.state() != MessageState::Visible)
            })
        });
        if let (Some(message), Some(polled)) = (in_flight, self.queues.get_mut(&id)) {
            let visible_at = self.now + visibility;
            polled.queue.hide_until(message, visible_at);
            self.effects.push_back(Effect::Store(StoreChange::Hidden {
                queue: id,
                message,
                visible_at,
                in_flight: true,
            }));
        }
        self.effects.push_back(Effect::ReceiptChecked {
            queue: id,
            receipt,
            valid: in_flight.is_some(),
        });
        self.turn_visible(id);
        self.poll(id);
    }

    pub(super) fn purge(&mut self, id: QueueId) {
        let ids = self.message_ids(id);
        let messages = ids.len() as u64;
        for message in &ids {
            self.take_away(id, *message);
        }
        if let Some(&message) = ids.first() {
            self.note_message(id, message, MessageChange::Purged { messages });
        }
        self.effects.push_back(Effect::Store(StoreChange::Purged { queue: id }));
        self.poll(id);
    }

    /// Forgets a queue that left the manifest. A store keeps its messages: the queue may come back.
    pub(super) fn forget_queue(&mut self, id: QueueId) {
        for message in self.message_ids(id) {
            self.take_away(id, message);
        }
        self.queues.remove(&id);
    }

    fn message_ids(&self, id: QueueId) -> Vec<MessageId> {
        self.queues
            .get(&id)
            .map(|polled| polled.queue.ids())
            .unwrap_or_default()
    }

    /// What a store has kept.
    pub(super) fn restore(&mut self, id: QueueId, messages: &[Stored], keys: Vec<Key>) {
        let Some(Polled { queue, resigned, .. }) = self.queues.get_mut(&id) else {
            return;
        };
        *resigned = false;
        for stored in messages {
            if queue.get(stored.message).is_some() {
                continue;
            }
            let held = Held::restored(self.now, stored);
            if let Some(receipt) = held.receipt() {
                self.receipts.insert(receipt.0, (id, stored.message));
            }
            queue.hold(stored.message, held);
        }
        for key in keys {
            queue.remember_key(key.key, key.message, key.until);
        }
        self.expire_messages(id);
        self.bury_exhausted(id);
        self.poll(id);
    }

    /// Moves the visible messages of a dead-letter queue back to where they came from; those of no known source stay.
    pub(super) fn redrive(&mut self, id: QueueId) {
        for message in self.message_ids(id) {
            let held = self.queues.get(&id).and_then(|polled| polled.queue.get(message));
            let source = held
                .filter(|held| held.state() == MessageState::Visible)
                .and_then(Held::source)
                .filter(|source| self.queues.contains_key(source));
            let Some(to) = source else { continue };
            if let Some(held) = self.take_away(id, message) {
                self.move_to(id, to, message, held, MessageChange::Redriven { to });
            }
        }
        self.poll(id);
    }

    fn note_message(&mut self, queue: QueueId, message: MessageId, change: MessageChange) {
        self.effects.push_back(Effect::Note(Note::Message {
            queue: Some(queue),
            topic: None,
            message,
            change,
        }));
    }

    pub(super) fn message_gone(&mut self, queue: Option<QueueId>, message: MessageId) {
        self.effects
            .push_back(Effect::Store(StoreChange::Gone { queue, message }));
    }
}
