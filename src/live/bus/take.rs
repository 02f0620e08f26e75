//! What comes in from outside: published, and acknowledged once the broker has it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::kv::{self, CreateErrorKind};
use async_nats::jetstream::{self, ErrorCode};
use bytes::Bytes;
use futures::future::try_join_all;

use super::connect::ANSWER_MAX;
use super::label::Label;
use super::place::{Place, encode};
use super::{Inner, RAISE_PAYLOAD, away, too_large};
use crate::live::keeper::Taken;
use crate::live::messages::Content;
use crate::live::store::{Intake, StoreError};
use crate::platform::effect::{Stored, StoredEvent};
use crate::platform::ids::{InvocationId, MessageId, QueueId, TopicId};
use crate::platform::time::Time;

/// Between two tries to publish.
const AGAIN: Duration = Duration::from_millis(200);
/// A queue that is fuller than this share of its maximum is counted before it takes more.
const NEARLY_FULL: u64 = 10;

impl Inner {
    pub async fn take_in(&self, intake: Vec<Intake>) -> Result<Taken, StoreError> {
        self.prepare(&intake).await?;
        let mut kept = vec![0; intake.len()];
        let fifo = self.fifo_queues(&intake);
        let lanes = lanes(intake, &fifo).into_iter().map(|lane| async move {
            let mut kept = Vec::with_capacity(lane.len());
            for (at, one) in lane {
                kept.push((at, self.take_one(one).await?));
            }
            Ok::<_, StoreError>(kept)
        });
        for (at, id) in try_join_all(lanes).await?.into_iter().flatten() {
            if let Some(kept) = kept.get_mut(at) {
                *kept = id;
            }
        }
        Ok(Taken::There(kept))
    }

    fn fifo_queues(&self, intake: &[Intake]) -> BTreeSet<QueueId> {
        let Some(driver) = self.driver() else {
            return BTreeSet::new();
        };
        let table = driver.table();
        let is_fifo = |id: &QueueId| {
            let queue = table.project.queues.get(&*self.names().queue(*id));
            queue.is_some_and(|queue| queue.fifo)
        };
        let queues = intake.iter().filter_map(|one| match one {
            Intake::Message { queue, .. } => Some(*queue),
            Intake::Publication { .. } | Intake::Event { .. } => None,
        });
        queues.collect::<BTreeSet<_>>().into_iter().filter(is_fifo).collect()
    }

    /// Refuses what would not fit any more where it goes from here.
    fn check_size(&self, headers: &HeaderMap, body: &Bytes) -> Result<(), StoreError> {
        let beside = headers
            .iter()
            .flat_map(|(_, values)| values.iter().map(|value| value.as_str().len()));
        match beside.sum::<usize>() + body.len() <= self.bytes_max() {
            true => Ok(()),
            false => Err(too_large(self, "message", body.len(), RAISE_PAYLOAD)),
        }
    }

    /// The queues that something comes to are there and have room for all of it.
    async fn prepare(&self, intake: &[Intake]) -> Result<(), StoreError> {
        let mut coming: BTreeMap<QueueId, u64> = BTreeMap::new();
        for one in intake {
            if let Intake::Message { queue, .. } = one {
                *coming.entry(*queue).or_default() += 1;
            }
        }
        for (queue, several) in coming {
            let name = self.names().queue(queue);
            self.make_queue(&name).await?;
            self.check_room(queue, &name, several).await?;
        }
        Ok(())
    }

    async fn take_one(&self, intake: Intake) -> Result<u64, StoreError> {
        match intake {
            Intake::Message {
                queue,
                stored,
                key,
                content,
            } => self.take_message(queue, &stored, key, &content).await,
            Intake::Publication {
                topic,
                message,
                cause,
                content,
            } => self.take_publication(topic, message, cause, &content).await,
            Intake::Event { event, payload } => {
                let function = self.names().function(event.function);
                self.event_stream().await?;
                let label = Label {
                    trace: payload.trace.map(|trace| trace.as_str().to_owned()),
                    ..event_label(&event)
                };
                let headers = label.headers(&format!("e{}", event.first.0));
                let body = Bytes::copy_from_slice(payload.json.as_bytes());
                self.publish(&self.places.event(&function), headers, body).await?;
                Ok(event.first.0)
            }
        }
    }

    async fn take_message(
        &self,
        queue: QueueId,
        stored: &Stored,
        key: Option<(Arc<str>, Time)>,
        content: &Content,
    ) -> Result<u64, StoreError> {
        let name = self.names().queue(queue);
        let mut label = message_label(stored, content);
        let mut once = format!("m{}", label.id);
        if let Some((key, _)) = &key {
            label.id = self.claim_key(&name, key, label.id).await?;
            // The key alone would outlive a reset.
            once = format!("k{}-{}", encode(key), label.id);
        }
        let place = self.places.queue(&name);
        let headers = label.headers(&once);
        self.check_size(&headers, &content.body)?;
        self.publish(&place, headers, content.body.clone()).await?;
        Ok(label.id)
    }

    /// The keys of a FIFO queue, gone after the provider's window.
    pub async fn keys(&self, queue: &str) -> Result<kv::Store, StoreError> {
        let age_max = self.window().to_std().max(Duration::from_secs(1));
        self.bucket(&self.places.keys(queue), age_max).await
    }

    /// The id of the message that has this key: this one's, or that of the one before.
    async fn claim_key(&self, queue: &str, key: &str, id: u64) -> Result<u64, StoreError> {
        let bucket = self.keys(queue).await?;
        let key = encode(key);
        let failed = |error: &dyn std::fmt::Display| away(self, "a deduplication key cannot be read", error);
        match bucket.create(&key, id.to_string().into()).await {
            Ok(_) => return Ok(id),
            Err(error) if error.kind() == CreateErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(&error)),
        }
        let held = bucket.get(&key).await.map_err(|error| failed(&error))?;
        let held = held.and_then(|text| std::str::from_utf8(&text).ok()?.parse().ok());
        // It may have expired just now.
        Ok(held.unwrap_or(id))
    }

    async fn take_publication(
        &self,
        topic: TopicId,
        message: MessageId,
        cause: Option<InvocationId>,
        content: &Content,
    ) -> Result<u64, StoreError> {
        let name = self.names().topic(topic);
        let now = self.driver().map_or(Time::ZERO, |driver| driver.now());
        let label = Label {
            cause: cause.map(|cause| cause.0),
            ..Label::of(message.0, now.0, content)
        };
        self.topic_stream().await?;
        let headers = label.headers(&format!("p{}", message.0));
        self.check_size(&headers, &content.body)?;
        self.publish(&self.places.topic(&name), headers, content.body.clone())
            .await?;
        Ok(message.0)
    }

    /// The stream of a queue that the manifest has.
    pub async fn make_queue(&self, name: &str) -> Result<(), StoreError> {
        let queue = self
            .driver()
            .and_then(|driver| driver.table().project.queues.get(name).cloned());
        match queue {
            Some(queue) => self.queue_stream(&queue).await.map(drop),
            // It left meanwhile; its stream may still be there.
            None => Ok(()),
        }
    }

    /// Refuses what goes beyond `max_messages`. Members may be ahead of what another has counted by what they send at once.
    async fn check_room(&self, queue: QueueId, name: &str, several: u64) -> Result<(), StoreError> {
        let Some(max) = self
            .driver()
            .and_then(|driver| Some(driver.table().project.queues.get(name)?.max_messages))
        else {
            return Ok(());
        };
        let depth = {
            let mut depths = self.depths.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let depth = depths.entry(queue).or_default();
            // Until it is counted anew.
            depth.messages += several;
            *depth
        };
        if depth.messages < max - max / NEARLY_FULL {
            return Ok(());
        }
        match self.count(queue, name).await?.messages + several > max {
            true => Err(StoreError::QueueFull(name.to_owned())),
            false => Ok(()),
        }
    }

    /// Returns when the broker has it. Done again within the stream's window it does nothing.
    pub async fn publish(&self, place: &Place, headers: HeaderMap, body: Bytes) -> Result<(), StoreError> {
        let began = Instant::now();
        loop {
            let sent = self
                .context
                .publish_with_headers(place.subject.clone(), headers.clone(), body.clone());
            let answered = match sent.await {
                Ok(answer) => answer.await,
                Err(error) => Err(error),
            };
            let error = match answered {
                Ok(_) => return Ok(()),
                Err(error) => error,
            };
            if let Some(remedy) = remedy_of_size(&error) {
                return Err(too_large(self, "message", body.len(), remedy));
            }
            if error.kind() == PublishErrorKind::StreamNotFound {
                // Somebody has deleted it; it is made again within a moment.
                self.failed.notify_one();
            }
            let refused = away(self, "a message was not taken", &error);
            if matches!(refused, StoreError::NoRoom(_)) {
                return Err(refused);
            }
            // A leader that fell is followed by another within a moment.
            if began.elapsed() >= ANSWER_MAX || self.stop.is_cancelled() {
                return Err(refused);
            }
            tokio::time::sleep(AGAIN).await;
        }
    }
}

/// What to do when the server, or its stream as somebody has set it up, takes nothing of this size ever.
fn remedy_of_size(error: &PublishError) -> Option<&'static str> {
    if error.kind() == PublishErrorKind::MaxPayloadExceeded {
        return Some(RAISE_PAYLOAD);
    }
    let refused = std::error::Error::source(error)?.downcast_ref::<jetstream::Error>()?;
    match refused.error_code() {
        ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM => Some("raise the max_msg_size of its stream"),
        ErrorCode::STREAM_HEADER_EXCEEDS_MAXIMUM => Some("shorten its attributes, which have 64 KiB"),
        _ => None,
    }
}

/// What is taken in beside each other, each with its place: messages of one group come one after the other.
fn lanes(intake: Vec<Intake>, fifo: &BTreeSet<QueueId>) -> Vec<Vec<(usize, Intake)>> {
    let mut lanes: Vec<Vec<(usize, Intake)>> = Vec::new();
    let mut groups = HashMap::new();
    for (at, one) in intake.into_iter().enumerate() {
        let group = match &one {
            Intake::Message { queue, stored, .. } if fifo.contains(queue) => {
                Some((*queue, stored.group.clone().unwrap_or_default()))
            }
            Intake::Message { .. } => None,
            Intake::Publication { .. } | Intake::Event { .. } => None,
        };
        let lane = group.map_or(lanes.len(), |group| *groups.entry(group).or_insert(lanes.len()));
        match lanes.get_mut(lane) {
            Some(lane) => lane.push((at, one)),
            None => lanes.push(vec![(at, one)]),
        }
    }
    lanes
}

pub(super) fn message_label(stored: &Stored, content: &Content) -> Label {
    Label {
        visible_at: (stored.visible_at > stored.sent_at).then_some(stored.visible_at.0),
        group: stored.group.as_deref().map(str::to_owned),
        cause: stored.cause.map(|cause| cause.0),
        ..Label::of(stored.message.0, stored.sent_at.0, content)
    }
}

pub(super) fn event_label(event: &StoredEvent) -> Label {
    Label {
        id: event.first.0,
        sent_at: event.accepted_at.0,
        cause: event.cause.map(|cause| cause.0),
        ..Label::default()
    }
}
