//! Several platforms on one keeper of messages: what differs from one that keeps its own.
//!
//! Such a platform holds only what it was handed ([`super::input::Input::Restore`], [`super::input::Input::RestoreEvent`]) and has not
//! let go of. What enters a queue, a dead-lettered message and a retry leave by their [`StoreChange`] and come to whoever has
//! room; what is handed out is told so, and asked for by [`Platform::appetite`]. FIFO queues are the exception: one platform
//! holds all of one, and keeps what fails, because what stands behind it in its group must not pass it; until it resigns.

use super::Platform;
use super::effect::{Effect, MessageChange, StoreChange, Stored};
use super::ids::{MessageId, QueueId, TopicId};
use super::input::Message;
use super::invoke::Invocation;
use super::poller::Polled;
use super::queue::MessageState;
use super::time::Time;

/// Messages of a FIFO queue that its platform holds: so many groups can be looked into.
const FIFO_WINDOW: u64 = 1_000;

impl Platform {
    /// From now on others take part.
    pub fn share(&mut self) {
        self.shared = true;
    }

    /// How many more messages of a queue its function could take now.
    pub fn appetite(&self, id: QueueId) -> u64 {
        if self.draining {
            return 0;
        }
        let Some(polled) = self.queues.get(&id) else { return 0 };
        let (queue, poller) = (&polled.queue, &polled.poller);
        let Some(consumer) = &queue.spec.consumer else { return 0 };
        let Some(fleet) = self
            .fleets
            .get(consumer.function)
            .filter(|fleet| fleet.version.is_some())
        else {
            return 0;
        };
        if queue.spec.fifo {
            return FIFO_WINDOW.saturating_sub(queue.len());
        }
        if self.now < poller.held_until {
            return 0;
        }
        let (limit, most) = poller.bounds(&self.rules.queues, consumer, fleet.spec.max_concurrency);
        // One batch more where there may be more pollers: that it waits is what makes them grow.
        let spare = u64::from(limit < most);
        let batches = u64::from(limit.saturating_sub(poller.in_flight)) + spare;
        (batches * u64::from(consumer.batch_size.max(1))).saturating_sub(queue.visible())
    }

    /// Whether a function reads this queue.
    pub fn consumes(&self, id: QueueId) -> bool {
        self.queues
            .get(&id)
            .is_some_and(|polled| polled.queue.spec.consumer.is_some())
    }

    /// Whether a version of this function is in service.
    pub fn can_run(&self, function: super::ids::FunctionId) -> bool {
        let fleet = self.fleets.get(function).filter(|_| !self.draining);
        fleet.is_some_and(|fleet| fleet.version.is_some() && !fleet.removed)
    }

    /// A message on its way to a queue that somebody else may hold.
    pub(super) fn hand_on(
        &mut self,
        queue: QueueId,
        message: &Message,
        of: Option<MessageId>,
        wrapped: Option<TopicId>,
    ) -> MessageChange {
        let delay = self.queues.get(&queue).map(|polled| polled.queue.spec.delay);
        let stored = Stored {
            message: message.id,
            sent_at: self.now,
            visible_at: self.now + message.delay.or(delay).unwrap_or_default(),
            in_flight: false,
            receive_count: 0,
            first_received_at: None,
            receipt: None,
            group: message.group.clone(),
            source: None,
            cause: message.cause,
        };
        let window = self.rules.queues.deduplication_window;
        let key = message.deduplication.clone().map(|key| (key, self.now + window));
        self.effects.push_back(Effect::Store(StoreChange::Put {
            queue,
            of,
            wrapped,
            stored,
            key,
        }));
        let cause = message.cause;
        MessageChange::Sent { cause, of }
    }

    /// Whether a message that was received and is not done leaves this platform.
    pub(super) fn lets_go(&self, queue: QueueId) -> bool {
        let leaves = |polled: &Polled| !polled.queue.spec.fifo || polled.resigned;
        self.shared && self.queues.get(&queue).is_some_and(leaves)
    }

    /// Whoever is free has it from then on.
    pub(super) fn let_go(&mut self, queue: QueueId, message: MessageId, visible_at: Time) {
        self.take_away(queue, message);
        self.effects.push_back(Effect::Store(StoreChange::LetGo {
            queue,
            message,
            visible_at,
        }));
    }

    /// A queue that no function here reads any more may be read elsewhere: what is not received goes there.
    pub(super) fn leave_to_others(&mut self, id: QueueId) {
        let Some(Polled { queue, .. }) = self.queues.get(&id) else {
            return;
        };
        if !self.shared || queue.spec.consumer.is_some() {
            return;
        }
        let visible = queue
            .iter()
            .filter(|(_, held)| held.state() == MessageState::Visible)
            .map(|(message, _)| message);
        for message in visible.collect::<Vec<_>>() {
            self.let_go(id, message, self.now);
        }
    }

    /// Another platform hands this FIFO queue out: what is not in flight goes there now, the rest when it comes back.
    pub(super) fn resign(&mut self, id: QueueId) {
        let Some(polled) = self.queues.get_mut(&id).filter(|polled| polled.queue.spec.fifo) else {
            return;
        };
        polled.resigned = true;
        let waits = polled.queue.iter().filter_map(|(message, held)| match held.state() {
            MessageState::Visible => Some((message, self.now)),
            MessageState::Delayed { until } => Some((message, until)),
            MessageState::InFlight { .. } => None,
        });
        for (message, visible_at) in waits.collect::<Vec<_>>() {
            self.let_go(id, message, visible_at);
        }
    }

    /// The next attempt at an event is whoever's is free by then.
    pub(super) fn put_off(&mut self, invocation: &Invocation, at: Time) {
        let (function, attempt, cause) = (invocation.function, invocation.attempt, invocation.cause);
        self.keep_event(function, &invocation.job, attempt, at, cause);
        self.forget_event(invocation);
    }
}
