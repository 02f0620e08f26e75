//! The shell's part of what lasts: what comes in is written before the core hears of it.

use std::sync::{Arc, PoisonError};

use serde_json::Value;

use crate::engine::{HostError, OutMessage, notification};
use crate::platform::effect::{Stored, StoredEvent};
use crate::platform::ids::{FunctionId, InvocationId, MessageId, QueueId, TopicId};
use crate::platform::input::{Input, TopicContent};
use crate::platform::time::{Span, Time};
use crate::project;

use super::bindings::not_found;
use super::driver::{Core, Driver, Own, lock};
use super::exchange::Sent;
use super::keeper::Taken;
use super::messages::{Content, Payload};
use super::run::{self, SendOptions};
use super::store::{Intake, StoreError};
use super::telemetry::{self, Trace};

/// Who sends, and in which trace.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// `None`: somebody outside.
    pub cause: Option<InvocationId>,
    pub trace: Option<Trace>,
}

impl Origin {
    /// A request from outside.
    pub fn outside(headers: &http::HeaderMap) -> Origin {
        Origin {
            cause: None,
            trace: Trace::of_headers(headers),
        }
    }
}

/// One message on its way in.
struct Coming {
    id: MessageId,
    content: Arc<Content>,
}

/// Messages named and not yet written.
#[derive(Default)]
struct Stage<'a> {
    /// Of each message: its own, or that of the one it repeats.
    ids: Vec<MessageId>,
    intake: Vec<Intake>,
    coming: Vec<(Coming, &'a SendOptions)>,
}

impl Driver {
    /// Puts messages into a queue, all or none; their ids, once they last.
    ///
    /// # Errors
    /// `queue-not-found`, `queue-full`, `bad-delay`, `message-too-large`, `store-full`, `store-failed`.
    pub async fn send(
        &self,
        queue: &str,
        mut messages: Vec<OutMessage>,
        origin: Origin,
    ) -> Result<Vec<String>, HostError> {
        let sending = self.sending("send", Some(queue), messages.iter_mut(), &origin);
        let sent = self.put(queue, messages, origin.cause).await;
        self.sent(sending, &sent);
        sent
    }

    async fn put(
        &self,
        queue: &str,
        messages: Vec<OutMessage>,
        cause: Option<InvocationId>,
    ) -> Result<Vec<String>, HostError> {
        let table = self.table();
        let spec = table.project.queues.get(queue);
        let id = self.names().find_queue(queue);
        let (Some(spec), Some(id)) = (spec, id) else {
            return Err(not_found("queue", queue, table.project.queues.keys()));
        };
        let mut options: Vec<SendOptions> = messages.iter().map(SendOptions::of).collect();
        let delay_max = table.profile.queue.delay_max;
        if let Some(delay) = options
            .iter()
            .filter_map(|one| one.delay)
            .find(|delay| *delay > delay_max)
        {
            return Err(HostError {
                code: "bad-delay",
                message: format!(
                    "a delay of {delay} is too long: {} takes {delay_max} at the most",
                    table.profile.name
                ),
            });
        }
        for one in options.iter_mut().filter(|one| one.delay.is_none() && !spec.fifo) {
            one.delay = self.held_up(queue);
        }
        let contents = self.contents(messages, queue)?;
        let window = table.profile.rules.queues.deduplication_window;
        let _gate = self.0.gate.read().await;
        let Stage {
            mut ids,
            intake,
            coming,
        } = self.stage(id, spec, window, contents.into_iter().zip(&options), cause)?;
        let taken = self.0.store.take_in(intake).await.map_err(store_error)?;
        for (Coming { id: message, content }, options) in &coming {
            self.keep_sent(queue, *message, content, options, cause);
        }
        if let Taken::There(kept) = taken {
            let messages = coming.iter().map(|(coming, _)| coming.id);
            return Ok(self.sent_on(id, messages, &kept, cause));
        }
        let mut core = lock(&self.0.core);
        for (Coming { id: message, content }, options) in coming {
            let input = Input::Send {
                queue: id,
                message: run::message(message, &content, cause, options),
            };
            core.messages.put(message, content);
            let mut own = Own {
                message: Some(message),
                ..Own::default()
            };
            self.step_locked(&mut core, input, &mut own);
            if own.refused {
                return Err(queue_full(queue));
            }
            if let Some(original) = own.original {
                for id in ids.iter_mut().filter(|id| **id == message) {
                    *id = original;
                }
            }
        }
        Ok(ids.into_iter().map(|id| self.0.ids.message(id)).collect())
    }

    /// For recordings: what functions send comes of itself.
    fn keep_sent(
        &self,
        queue: &str,
        message: MessageId,
        content: &Content,
        options: &SendOptions,
        cause: Option<InvocationId>,
    ) {
        if cause.is_none() {
            self.0.exchanges.sent(self.now(), message, || Sent {
                delay: options.delay,
                group: options.group.clone(),
                ..Sent::new(true, queue, content)
            });
        }
    }

    /// Names what goes into a queue, as far as it does not repeat what is there.
    fn stage<'a>(
        &self,
        queue: QueueId,
        spec: &project::Queue,
        window: Span,
        messages: impl Iterator<Item = (Arc<Content>, &'a SendOptions)>,
        cause: Option<InvocationId>,
    ) -> Result<Stage<'a>, HostError> {
        let now = self.now();
        let mut stage = Stage::default();
        let mut core = lock(&self.0.core);
        for (content, options) in messages {
            let key = options.deduplication.as_deref().filter(|_| spec.fifo);
            if let Some(original) = key.and_then(|key| core.platform.duplicate(now, queue, key)) {
                stage.ids.push(original);
                continue;
            }
            if !core.platform.has_room(queue, stage.coming.len() as u64 + 1) {
                return Err(queue_full(&spec.name));
            }
            let id = core.platform.new_message();
            stage.ids.push(id);
            let stored = Stored {
                message: id,
                sent_at: now,
                visible_at: now + options.delay.unwrap_or(spec.delay),
                in_flight: false,
                receive_count: 0,
                first_received_at: None,
                receipt: None,
                group: options.group.as_deref().map(Into::into),
                source: None,
                cause,
            };
            stage.intake.push(Intake::Message {
                queue,
                stored,
                key: key.map(|key| (key.into(), now + window)),
                content: content.clone(),
            });
            stage.coming.push((Coming { id, content }, options));
        }
        Ok(stage)
    }

    /// Publishes to a topic; the messages' ids, once they last.
    ///
    /// # Errors
    /// `topic-not-found`, `message-too-large`, `store-full`, `store-failed`.
    pub async fn publish(
        &self,
        topic: &str,
        messages: Vec<OutMessage>,
        origin: Origin,
    ) -> Result<Vec<String>, HostError> {
        let messages = messages.into_iter().map(|message| (topic, message)).collect();
        self.publish_each(messages, origin).await
    }

    /// Publishes each message to its own topic, all or none.
    ///
    /// # Errors
    /// As [`Driver::publish`].
    pub async fn publish_each(
        &self,
        mut messages: Vec<(&str, OutMessage)>,
        origin: Origin,
    ) -> Result<Vec<String>, HostError> {
        let topic = messages.first().map(|(topic, _)| *topic);
        let topic = topic.filter(|topic| messages.iter().all(|(other, _)| other == topic));
        let sending = self.sending(
            "publish",
            topic,
            messages.iter_mut().map(|(_, message)| message),
            &origin,
        );
        let sent = self.hand_out(messages, origin.cause).await;
        self.sent(sending, &sent);
        sent
    }

    async fn hand_out(
        &self,
        messages: Vec<(&str, OutMessage)>,
        cause: Option<InvocationId>,
    ) -> Result<Vec<String>, HostError> {
        let table = self.table();
        let mut known = Vec::with_capacity(messages.len());
        for (topic, message) in messages {
            let declared = table.project.topics.contains_key(topic);
            let Some(id) = self.names().find_topic(topic).filter(|_| declared) else {
                return Err(not_found("topic", topic, table.project.topics.keys()));
            };
            known.extend(
                self.contents(vec![message], topic)?
                    .into_iter()
                    .map(|content| (id, content)),
            );
        }
        let _gate = self.0.gate.read().await;
        let coming: Vec<(TopicId, Coming)> = {
            let mut core = lock(&self.0.core);
            let named = known.into_iter().map(|(topic, content)| {
                let id = core.platform.new_message();
                (topic, Coming { id, content })
            });
            named.collect()
        };
        let publication = |(topic, coming): &(TopicId, Coming)| Intake::Publication {
            topic: *topic,
            message: coming.id,
            cause,
            content: coming.content.clone(),
        };
        let intake = coming.iter().map(publication).collect();
        let taken = self.0.store.take_in(intake).await.map_err(store_error)?;
        for (topic, Coming { id, content }) in coming.iter().filter(|_| cause.is_none()) {
            let name = self.names().topic(*topic);
            let sent = || Sent::new(false, &name, content);
            self.0.exchanges.sent(self.now(), *id, sent);
        }
        if let Taken::There(kept) = taken {
            return Ok(kept.into_iter().map(|id| self.0.ids.message(MessageId(id))).collect());
        }
        let mut ids = Vec::with_capacity(coming.len());
        for (topic, one) in coming {
            ids.push(self.0.ids.message(one.id));
            self.fan_out(topic, one.id, one.content, cause);
        }
        Ok(ids)
    }

    pub(super) fn fan_out(
        &self,
        topic: TopicId,
        message: MessageId,
        content: Arc<Content>,
        cause: Option<InvocationId>,
    ) {
        self.fan_out_locked(&mut lock(&self.0.core), topic, message, content, cause);
    }

    pub(super) fn fan_out_locked(
        &self,
        core: &mut Core,
        topic: TopicId,
        message: MessageId,
        content: Arc<Content>,
        cause: Option<InvocationId>,
    ) {
        let input = publish_input(topic, message, &content, cause);
        core.messages.put(message, content);
        self.step_locked(core, input, &mut Own::default());
    }

    /// Makes the body of a topic's copy for a queue: an envelope around that of the message.
    pub(super) fn wrap(&self, core: &mut Core, now: Time, topic: TopicId, (of, to): (MessageId, MessageId)) {
        let (id, topic) = (self.0.ids.message(of), self.names().topic(topic));
        let envelope = move |content: &Content| Content {
            body: notification(&topic, &id, now, &content.body, &content.attributes)
                .to_string()
                .into(),
            content_type: Some("application/json".to_owned()),
            attributes: telemetry::attributes(content.trace().as_ref()),
        };
        let Some(content) = core.messages.get(of) else {
            return self.0.store.follow_made(of, to, Box::new(envelope));
        };
        let content = Arc::new(envelope(content));
        self.0.store.follow_body(to, content.clone());
        core.messages.put(to, content);
    }

    fn contents(&self, messages: Vec<OutMessage>, name: &str) -> Result<Vec<Arc<Content>>, HostError> {
        let max = self.table().limits.message_bytes_max;
        let one = |message: OutMessage| {
            let content = Content {
                body: message.body,
                content_type: message.content_type,
                attributes: message.attributes,
            };
            let size = content.size_bytes();
            if size > max {
                return Err(HostError {
                    code: "message-too-large",
                    message: format!("the message for {name} has {size} bytes, the provider takes {max} at the most"),
                });
            }
            Ok(Arc::new(content))
        };
        messages.into_iter().map(one).collect()
    }

    /// Runs an event without waiting, retried by the provider's rules; returns once it lasts.
    ///
    /// # Errors
    /// `store-full`, `store-failed`.
    pub async fn invoke_async(
        &self,
        function: FunctionId,
        event: &Value,
        origin: Origin,
    ) -> Result<InvocationId, HostError> {
        let ids = self
            .invoke_async_each(function, std::slice::from_ref(event), origin)
            .await?;
        Ok(ids[0])
    }

    /// As [`Driver::invoke_async`] for several events, all or none.
    ///
    /// # Errors
    /// As [`Driver::invoke_async`].
    pub async fn invoke_async_each(
        &self,
        function: FunctionId,
        events: &[Value],
        origin: Origin,
    ) -> Result<Vec<InvocationId>, HostError> {
        let sending = self.handing_over(function, &origin);
        let trace = sending.as_ref().map(telemetry::Open::trace);
        let accepted = self.accept(function, events, trace, origin.cause).await;
        self.handed_over(sending, &accepted);
        accepted
    }

    async fn accept(
        &self,
        function: FunctionId,
        events: &[Value],
        trace: Option<Trace>,
        cause: Option<InvocationId>,
    ) -> Result<Vec<InvocationId>, HostError> {
        let _gate = self.0.gate.read().await;
        let now = self.now();
        let coming: Vec<(InvocationId, Payload)> = {
            let mut core = lock(&self.0.core);
            let named = events.iter().map(|event| {
                let payload = Payload {
                    json: event.to_string().into(),
                    trace: trace.clone(),
                };
                (core.platform.new_invocation(), payload)
            });
            named.collect()
        };
        let intake = |(id, payload): &(InvocationId, Payload)| Intake::Event {
            event: first_attempt(*id, function, now, cause),
            payload: payload.clone(),
        };
        let intake = coming.iter().map(intake).collect();
        if let Taken::There(kept) = self.0.store.take_in(intake).await.map_err(store_error)? {
            return Ok(kept.into_iter().map(InvocationId).collect());
        }
        let mut core = lock(&self.0.core);
        let mut ids = Vec::with_capacity(coming.len());
        for (invocation, payload) in coming {
            core.messages.put_event(invocation, payload);
            let input = Input::ArriveAsync {
                invocation,
                function,
                cause,
            };
            self.step_locked(&mut core, input, &mut Own::default());
            ids.push(invocation);
        }
        Ok(ids)
    }

    pub(super) fn names(&self) -> std::sync::RwLockReadGuard<'_, super::names::Names> {
        self.0.names.read().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn publish_input(
    topic: TopicId,
    message: MessageId,
    content: &Content,
    cause: Option<InvocationId>,
) -> Input {
    Input::Publish {
        topic,
        message: run::message(message, content, cause, &SendOptions::default()),
        content: Arc::new(TopicContent {
            attributes: content.attributes.clone(),
            body: content.json(),
        }),
    }
}

pub(super) fn first_attempt(
    first: InvocationId,
    function: FunctionId,
    now: Time,
    cause: Option<InvocationId>,
) -> StoredEvent {
    StoredEvent {
        first,
        function,
        topic: None,
        accepted_at: now,
        attempt: 1,
        at: now,
        cause,
    }
}

fn queue_full(name: &str) -> HostError {
    HostError {
        code: "queue-full",
        message: format!("queue {name} holds its maximum (max_messages); consume or purge it first"),
    }
}

pub fn store_error(error: StoreError) -> HostError {
    let code = match &error {
        StoreError::Full(_) => "store-full",
        StoreError::QueueFull(name) => return queue_full(name),
        StoreError::Away(_) => "bus-away",
        StoreError::Removed(..) => "store-removed",
        StoreError::NoRoom(_) => "bus-full",
        StoreError::Elsewhere(_) => "queue-elsewhere",
        StoreError::Broken(..) | StoreError::Failed(_) | StoreError::Closed => "store-failed",
    };
    HostError {
        code,
        message: error.to_string(),
    }
}
