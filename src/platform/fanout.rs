//! Topics: a message fans out to every subscription whose filter it passes.

use super::Platform;
use super::config::Subscriber;
use super::effect::{Effect, MessageChange, Note, StoreChange};
use super::ids::{MessageId, TopicId};
use super::input::{Message, TopicContent};
use super::invoke::{Job, Retry};

impl Platform {
    pub(super) fn publish(&mut self, topic: TopicId, message: &Message, content: &TopicContent) {
        let spec = self.config.as_ref().and_then(|config| config.topics.get(&topic));
        // One that left while the message was written: it stays in the store, for when the topic comes back.
        let Some(spec) = spec else { return };
        let passed = spec.subscriptions.iter();
        let passed = passed.filter(|sub| sub.filter.as_ref().is_none_or(|filter| filter.matches(content)));
        let passed: Vec<(Subscriber, bool)> = passed.map(|sub| (sub.to, sub.wrapped)).collect();
        let deliveries = u32::try_from(passed.len()).unwrap_or(u32::MAX);
        let cause = message.cause;
        self.note_topic(topic, message.id, MessageChange::FannedOut { deliveries, cause });
        let functions = passed
            .iter()
            .filter(|(to, _)| matches!(to, Subscriber::Function(_)) && !self.shared)
            .count();
        // One more than its deliveries, so that it outlives the loop below.
        self.topic_deliveries.insert(message.id.0, functions + 1);
        for (to, wrapped) in passed {
            match to {
                Subscriber::Queue(queue) => {
                    let copy = Message {
                        id: self.new_message(),
                        // Its topic has taken it.
                        admitted: true,
                        ..message.clone()
                    };
                    self.enqueue(queue, copy, Some(message.id), wrapped.then_some(topic));
                }
                Subscriber::Function(function) => {
                    let first = self.new_invocation();
                    let retry = Retry::new(self.now);
                    let job = Job::Topic {
                        first,
                        topic,
                        message: message.id,
                        retry,
                    };
                    self.keep_event(function, &job, 1, self.now, message.cause);
                    if !self.shared {
                        self.start_event(first, function, job, message.cause);
                    }
                }
            }
        }
        self.effects
            .push_back(Effect::Store(StoreChange::FannedOut { message: message.id }));
        self.topic_delivery_over(message.id);
    }

    /// One of a message's deliveries to functions is over for good; with the last one its body can go.
    pub(super) fn topic_delivery_over(&mut self, message: MessageId) {
        let left = self.topic_deliveries.get_mut(message.0).map(|left| {
            *left -= 1;
            *left
        });
        if left == Some(0) {
            self.topic_deliveries.remove(message.0);
            self.message_gone(None, message);
        }
    }

    /// As [`Platform::topic_delivery_over`] for a delivery that a store keeps: the body stays there, too.
    pub(super) fn topic_delivery_left(&mut self, message: MessageId) {
        let left = self.topic_deliveries.get_mut(message.0).map(|left| {
            *left -= 1;
            *left
        });
        if left == Some(0) {
            self.topic_deliveries.remove(message.0);
        }
    }

    fn note_topic(&mut self, topic: TopicId, message: MessageId, change: MessageChange) {
        self.effects.push_back(Effect::Note(Note::Message {
            queue: None,
            topic: Some(topic),
            message,
            change,
        }));
    }
}
