//! What somebody asks about or does to a queue from outside: how deep it is, what lies in it, to take from it, to empty it.

use std::time::Duration;

use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::{AckKind, Message};

use super::label::Label;
use super::pump::{CONSUMER, Read, several};
use super::{Inner, away};
use crate::live::keeper::{Depth, Seen};
use crate::live::store::StoreError;
use crate::platform::ids::{MessageId, QueueId};
use crate::platform::time::Time;
use crate::project::Queue;

/// How long a receive waits for the broker's first message; the broker says at once when there is none.
const DRAW: Duration = Duration::from_millis(500);
/// How often the queues are counted.
const COUNT_EVERY: Duration = Duration::from_millis(500);

impl Inner {
    fn queue_of(&self, id: QueueId) -> Result<Queue, StoreError> {
        let name = self.names().queue(id);
        let driver = self.driver().ok_or(StoreError::Closed)?;
        let queue = driver.table().project.queues.get(&*name).cloned();
        queue.ok_or_else(|| StoreError::Failed(format!("queue {name} has left emu.toml")))
    }

    /// As deep as a queue is now.
    pub async fn count(&self, id: QueueId, name: &str) -> Result<Depth, StoreError> {
        let queue = self.queue_of(id)?;
        let stream = self.queue_stream(&queue).await?;
        let failed = |error: &dyn std::fmt::Display| away(self, &format!("queue {name} cannot be counted"), error);
        let messages = stream.get_info().await.map_err(|error| failed(&error))?.state.messages;
        // Nobody has asked for any yet.
        let pending = stream
            .consumer_info(CONSUMER)
            .await
            .map_or(0, |info| info.num_ack_pending as u64);
        let depth = Depth { messages, pending };
        let mut depths = self.depths.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        depths.insert(id, depth);
        Ok(depth)
    }

    /// Keeps what is shown of the queues fresh.
    pub async fn run_counts(self: std::sync::Arc<Self>) {
        while let Some(driver) = self.driver() {
            let queues: Vec<(QueueId, String)> = {
                let names = driver.names();
                let table = driver.table();
                let ids = table
                    .project
                    .queues
                    .keys()
                    .filter_map(|name| Some((names.find_queue(name)?, name.clone())));
                ids.collect()
            };
            drop(driver);
            for (id, name) in queues {
                if let Err(error) = self.count(id, &name).await {
                    tracing::debug!("{error}");
                }
            }
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(COUNT_EVERY) => {}
            }
        }
    }

    /// Brings messages here for somebody who receives from outside.
    pub async fn draw(&self, id: QueueId, max: u32) -> Result<(), StoreError> {
        let queue = self.queue_of(id)?;
        let is_consumed = self.driver().is_some_and(|driver| driver.consumes(id));
        if queue.fifo && is_consumed {
            // All of it is with the member that hands it out.
            return self.check_lease(&queue.name).await;
        }
        if queue.fifo {
            let lease = self.hold_lease(&queue).await?;
            let consumer = self.take_over(id, &queue, &lease).await?;
            self.settle(id, &queue, &consumer).await?;
            let messages = self.now(&consumer, max as usize).await?;
            self.hand_in_order(id, &queue, &lease, messages);
            return Ok(());
        }
        let consumer = self.queue_consumer(&queue).await?;
        let messages = self.now(&consumer, max as usize).await?;
        self.hand_out(id, &queue, messages).await;
        Ok(())
    }

    /// What there is now, without waiting for more.
    async fn now(&self, consumer: &PullConsumer, max: usize) -> Result<Vec<Message>, StoreError> {
        let asked = consumer.fetch().max_messages(max).expires(DRAW).messages().await;
        let mut batch = asked.map_err(|error| away(self, "messages cannot be asked for", &error))?;
        let mut messages = Vec::new();
        while let Some(more) = several(self, &mut batch).await? {
            messages.extend(more);
        }
        Ok(messages)
    }

    pub async fn peek(&self, id: QueueId, max: usize) -> Result<Vec<Seen>, StoreError> {
        let queue = self.queue_of(id)?;
        let stream = self.queue_stream(&queue).await?;
        let failed = |error: &dyn std::fmt::Display| away(self, "the queue cannot be read", error);
        let state = stream.get_info().await.map_err(|error| failed(&error))?.state;
        let subject = self.places.queue(&queue.name).subject;
        let mut seen = Vec::new();
        let mut next = state.first_sequence;
        while seen.len() < max && next <= state.last_sequence {
            // None is left, or what is left has gone meanwhile.
            let Ok(message) = stream
                .raw_message_builder()
                .next_by_subject(subject.as_str())
                .sequence(next)
                .send()
                .await
            else {
                break;
            };
            next = message.sequence + 1;
            let Some(label) = Label::read(Some(&message.headers)) else {
                continue;
            };
            seen.push(Seen {
                message: MessageId(label.id),
                sent_at: Time(label.sent_at),
                visible_at: label.visible_at.map_or(Time::ZERO, Time),
                source: label.source.as_ref().and_then(|source| self.names().find_queue(source)),
                content: label.content(message.payload),
            });
        }
        Ok(seen)
    }

    /// Moves what was dead-lettered back: published there, then acknowledged here.
    pub async fn redrive(&self, id: QueueId) -> Result<u64, StoreError> {
        let queue = self.queue_of(id)?;
        let consumer = self.queue_consumer(&queue).await?;
        let mut moved = 0;
        let mut stay = Vec::new();
        loop {
            let messages = self.now(&consumer, 256).await?;
            if messages.is_empty() {
                break;
            }
            for read in messages.into_iter().filter_map(Read::of) {
                let there = |name: &&String| {
                    let table = self.driver().map(|driver| driver.table());
                    table.is_some_and(|table| table.project.queues.contains_key(*name))
                };
                let Some(source) = read.label.source.as_ref().filter(there).cloned() else {
                    stay.push(read.acker);
                    continue;
                };
                self.make_queue(&source).await?;
                let label = Label {
                    source: None,
                    visible_at: None,
                    received: 0,
                    ..(*read.label).clone()
                };
                let headers = label.headers(&format!("r{}-{}", queue.name, read.sequence));
                self.publish(&self.places.queue(&source), headers, read.content.body.clone())
                    .await?;
                let acked = read.acker.double_ack().await;
                acked.map_err(|error| away(self, "a message was moved and stays as well", &error))?;
                moved += 1;
            }
        }
        for acker in stay {
            // Otherwise it comes back after its silence.
            let _ = acker.ack_with(AckKind::Nak(None)).await;
        }
        self.count(id, &queue.name).await?;
        Ok(moved)
    }

    pub async fn purge_queue(&self, name: &str) -> Result<(), StoreError> {
        let Some(id) = self.names().find_queue(name) else {
            return Ok(());
        };
        let queue = self.queue_of(id)?;
        let stream = self.queue_stream(&queue).await?;
        let purged = stream.purge().await;
        purged.map_err(|error| away(self, &format!("queue {name} cannot be emptied"), &error))?;
        self.count(id, name).await.map(drop)
    }

    /// Empties all that this project has there.
    pub async fn clear(&self) -> Result<(), StoreError> {
        let Some(driver) = self.driver() else { return Ok(()) };
        let table = driver.table();
        for (name, queue) in &table.project.queues {
            self.purge_queue(name).await?;
            if queue.fifo {
                let purged = self.keys(name).await?.stream.purge().await;
                purged.map_err(|error| away(self, "deduplication keys cannot be forgotten", &error))?;
            }
        }
        for stream in [self.event_stream().await?, self.topic_stream().await?] {
            let purged = stream.purge().await;
            purged.map_err(|error| away(self, "waiting events cannot be dropped", &error))?;
        }
        for store in table.project.kv.keys() {
            self.kv_clear(store).await?;
        }
        Ok(())
    }
}
