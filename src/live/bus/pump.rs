//! From the broker to this member's core: for each queue, each function and the topics a task that asks for as much as there is
//! room for.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::message::Acker;
use async_nats::jetstream::{AckKind, Message};
use futures::{FutureExt as _, StreamExt as _};
use tokio_util::sync::CancellationToken;

use super::claims::{Claim, Key, Of};
use super::label::Label;
use super::lead::Lease;
use super::streams::{SILENCE_MAX, silence};
use super::{Inner, away};
use crate::live::driver::Driver;
use crate::live::group::Carried;
use crate::live::messages::Content;
use crate::live::store::StoreError;
use crate::platform::effect::{Stored, StoredEvent};
use crate::platform::ids::{FunctionId, InvocationId, MessageId, QueueId, TopicId};
use crate::platform::time::Time;
use crate::project::Queue;

/// The name of the consumer of a queue's stream.
pub(super) const CONSUMER: &str = "members";
/// How long one request for messages stands.
const REQUEST: Duration = Duration::from_secs(5);
/// A core without room is asked again after this even when it says nothing.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// After a failure.
const PAUSE: Duration = Duration::from_millis(500);
/// What the core does not take comes again after this.
const PUT_BACK: Duration = Duration::from_secs(1);
/// Messages of one request.
const REQUEST_MAX: u64 = 256;
/// Events of one function that stand here.
const EVENTS_MAX: usize = 64;

/// One task that brings things here.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Source {
    Queue(QueueId, Queue),
    Function(FunctionId, String, usize),
    Topics,
}

type Running = Vec<(Source, CancellationToken)>;

impl Inner {
    /// Keeps one task for each source of the manifest in force.
    pub async fn run_pumps(self: Arc<Self>) {
        let mut running: Running = Vec::new();
        while let Some(driver) = self.driver() {
            let wanted = sources(&driver);
            running.retain(|(source, stop)| {
                let stays = wanted.contains(source);
                if !stays {
                    stop.cancel();
                    self.stopped(source, &wanted);
                }
                stays
            });
            for source in wanted {
                if running.iter().all(|(known, _)| *known != source) {
                    let stop = self.pumps.child_token();
                    let task = self.clone().run_pump(source.clone());
                    self.pumping.spawn(stop.clone().run_until_cancelled_owned(task));
                    running.push((source, stop));
                }
            }
            drop(driver);
            tokio::select! {
                () = self.pumps.cancelled() => return,
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
        }
    }

    /// What a task that is stopped can do no more.
    fn stopped(self: &Arc<Self>, source: &Source, wanted: &[Source]) {
        let Source::Queue(id, queue) = source else { return };
        let goes_on = |next: &Source| matches!(next, Source::Queue(of, next) if of == id && next.fifo);
        // The next task takes the lease on.
        if !wanted.iter().any(goes_on) {
            self.release(&queue.name);
        }
    }

    /// What the core has dropped with a queue or a function that left the manifest is another's, or waits until it comes back.
    pub fn configured(self: &Arc<Self>) {
        let Some(driver) = self.driver() else { return };
        self.release_all_but(driver.table().project.queues.values());
        let left = {
            let table = driver.table();
            let queues: BTreeSet<QueueId> = {
                let names = driver.names();
                let known = table.project.queues.keys();
                known.filter_map(|name| names.find_queue(name)).collect()
            };
            let is_left = |of: &Of| match of {
                Of::Queue(id, _) => !queues.contains(id),
                Of::Function { function, .. } => !table.functions.contains_key(function),
                Of::Topic => false,
            };
            // What is held is locked before the names, never after.
            self.held().claims.take(|_, of| is_left(of))
        };
        for claim in left {
            self.put_back(claim);
        }
    }

    /// The core does not take it now: it comes again, here or elsewhere.
    fn put_back(&self, claim: Claim) {
        self.give_back_claim(claim, Some(PUT_BACK));
    }

    /// Hands messages to the core; of a queue that it does not have they go back.
    pub fn hand_messages(&self, driver: &Driver, id: QueueId, messages: Vec<(Stored, Arc<Content>)>) {
        let keys: Vec<Key> = messages
            .iter()
            .map(|(stored, _)| Key::Message(stored.message))
            .collect();
        if messages.is_empty() || driver.hand_messages(id, messages) {
            return;
        }
        let claims: Vec<Claim> = {
            let mut held = self.held();
            keys.into_iter().filter_map(|key| held.claims.remove(key)).collect()
        };
        for claim in claims {
            self.put_back(claim);
        }
    }

    async fn run_pump(self: Arc<Self>, source: Source) {
        loop {
            let ended = match &source {
                Source::Queue(id, queue) if queue.fifo => self.pump_fifo(*id, queue).await,
                Source::Queue(id, queue) => self.pump_queue(*id, queue).await,
                Source::Function(id, name, room) => self.pump_events(*id, name, *room).await,
                Source::Topics => self.pump_topics().await,
            };
            if let Err(error) = ended {
                tracing::warn!("{error}; again in a moment");
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    pub async fn queue_consumer(&self, queue: &Queue) -> Result<PullConsumer, StoreError> {
        let stream = self.queue_stream(queue).await?;
        let subject = self.places.queue(&queue.name).subject;
        self.consumer(&stream, CONSUMER, &subject, silence(queue)).await
    }

    async fn pump_queue(&self, id: QueueId, queue: &Queue) -> Result<(), StoreError> {
        let consumer = self.queue_consumer(queue).await?;
        loop {
            let room = self
                .room_for(|driver| driver.appetite(id).min(self.open_room(&Of::Queue(id, None))))
                .await?;
            let mut batch = self.request(&consumer, room, REQUEST).await?;
            while let Some(messages) = several(self, &mut batch).await? {
                if self.driver().is_some_and(|driver| driver.consumes(id)) {
                    self.hand_out(id, queue, messages).await;
                    continue;
                }
                // Its function has just left; others may have it, and nothing more is asked for.
                for read in messages.into_iter().filter_map(Read::of) {
                    self.put_back(read.claim(Of::Queue(id, None), silence(queue)));
                }
                return Ok(());
            }
        }
    }

    /// All of a FIFO queue is with one member: order within a group is kept nowhere else.
    async fn pump_fifo(&self, id: QueueId, queue: &Queue) -> Result<(), StoreError> {
        let lease = self.lease(&queue.name).await?;
        let ended = self.pump_leased(id, queue, &lease).await;
        if lease.is_lost() {
            // What came after that is nobody's here.
            self.resign(&queue.name);
        }
        ended
    }

    async fn pump_leased(&self, id: QueueId, queue: &Queue, lease: &Lease) -> Result<(), StoreError> {
        let consumer = self.take_over(id, queue, lease).await?;
        while !lease.is_lost() {
            self.settle(id, queue, &consumer).await?;
            self.hand_on(id, queue, lease);
            let stepped = self.room.notified();
            let appetite = self.driver().ok_or(StoreError::Closed)?.appetite(id);
            let appetite = appetite.min(self.open_room(&Of::Queue(id, None)));
            let (behind, waits) = match self.behinds().get(&id) {
                Some(behind) => (behind.len(), behind.is_waiting()),
                None => (0, false),
            };
            // What it waits for must find room, however much has come that stands behind it.
            let room = appetite.saturating_sub(behind).max(u64::from(waits));
            if room == 0 {
                tokio::select! {
                    () = stepped => {}
                    () = lease.lost() => {}
                    () = tokio::time::sleep(LOOK_AGAIN) => {}
                }
                continue;
            }
            let mut batch = self.request(&consumer, room, LOOK_AGAIN).await?;
            while let Some(messages) = several(self, &mut batch).await? {
                self.hand_in_order(id, queue, lease, messages);
            }
        }
        Ok(())
    }

    async fn pump_events(&self, function: FunctionId, name: &str, room: usize) -> Result<(), StoreError> {
        let stream = self.event_stream().await?;
        let place = self.places.event(name);
        let durable = super::place::encode(name);
        let consumer = self.consumer(&stream, &durable, &place.subject, SILENCE_MAX).await?;
        // What bounds it beside the places of the function is what the bus has not taken yet.
        let origin = Of::Function { function, attempt: 0 };
        loop {
            let room = self
                .room_for(|driver| {
                    if !driver.can_run(function) {
                        return 0;
                    }
                    let free = room.saturating_sub(self.held().claims.of_function(function)) as u64;
                    free.min(self.open_room(&origin))
                })
                .await?;
            let mut batch = self.request(&consumer, room, REQUEST).await?;
            while let Some(messages) = several(self, &mut batch).await? {
                for message in messages {
                    self.hand_event(function, message);
                }
            }
        }
    }

    async fn pump_topics(&self) -> Result<(), StoreError> {
        let stream = self.topic_stream().await?;
        let subject = format!("{}>", self.places.topic("").subject);
        let consumer = self.consumer(&stream, CONSUMER, &subject, SILENCE_MAX).await?;
        loop {
            // Fanning out takes no place of a function: what bounds it is what the bus has not taken yet.
            let room = self.room_for(|_| self.open_room(&Of::Topic)).await?;
            let mut batch = self.request(&consumer, room, REQUEST).await?;
            while let Some(messages) = several(self, &mut batch).await? {
                for message in messages {
                    self.hand_publication(message);
                }
            }
        }
    }

    /// Waits until the core takes something.
    async fn room_for(&self, room: impl Fn(&Driver) -> u64) -> Result<u64, StoreError> {
        loop {
            let stepped = self.room.notified();
            let driver = self.driver().ok_or(StoreError::Closed)?;
            let room = room(&driver);
            if room > 0 {
                return Ok(room);
            }
            drop(driver);
            let _ = tokio::time::timeout(LOOK_AGAIN, stepped).await;
        }
    }

    pub async fn request(
        &self,
        consumer: &PullConsumer,
        room: u64,
        expires: Duration,
    ) -> Result<async_nats::jetstream::consumer::pull::Batch, StoreError> {
        let most = usize::try_from(room.min(REQUEST_MAX)).unwrap_or(1);
        let batch = consumer.batch().max_messages(most).expires(expires).messages().await;
        batch.map_err(|error| away(self, "messages cannot be asked for", &error))
    }

    /// Messages of a standard queue.
    pub async fn hand_out(&self, id: QueueId, queue: &Queue, messages: Vec<Message>) {
        let Some(driver) = self.driver() else { return };
        let mut ready = Vec::with_capacity(messages.len());
        let mut early = Vec::new();
        {
            let now = driver.now();
            let mut held = self.held();
            for message in messages {
                let Some(read) = Read::of(message) else { continue };
                if read.visible_at() > now {
                    early.push((read.acker, read.label.visible_at.map_or(now, Time)));
                } else if held
                    .claims
                    .insert(read.key(), read.claim(Of::Queue(id, None), silence(queue)))
                {
                    ready.push((read.stored(&driver), read.content));
                }
            }
        }
        // Whoever asked may be stopped where it waits; what is claimed is with the core by then.
        self.hand_messages(&driver, id, ready);
        for (acker, at) in early {
            let wait = at.since(driver.now()).to_std();
            if let Err(error) = acker.ack_with(AckKind::Nak(Some(wait))).await {
                tracing::warn!("a delay was not taken: {error}");
            }
        }
    }

    fn hand_event(&self, function: FunctionId, message: Message) {
        let (Some(driver), Some(read)) = (self.driver(), Read::of(message)) else {
            return;
        };
        let first = InvocationId(read.label.id);
        let topic = read.label.topic.as_ref();
        let topic = topic.map(|(topic, message)| (self.topic_id(topic), MessageId(*message)));
        let attempt = u32::try_from(read.received() + 1).unwrap_or(u32::MAX);
        let of = Of::Function { function, attempt };
        let (carried, claim) = match topic {
            Some((_, message)) => {
                let content = read.content.clone();
                let claim = Claim {
                    message: Some(message),
                    ..read.claim(of, SILENCE_MAX)
                };
                (Carried::Content(content), claim)
            }
            None => {
                let payload = read.label.payload(&read.content.body);
                let claim = Claim {
                    payload: Some(payload.clone()),
                    content: None,
                    ..read.claim(of, SILENCE_MAX)
                };
                (Carried::Payload(payload), claim)
            }
        };
        if !self.held().claims.insert(Key::Event(first), claim) {
            return;
        }
        let event = StoredEvent {
            first,
            function,
            topic,
            accepted_at: Time(read.label.sent_at),
            attempt,
            at: driver.now(),
            cause: read.label.cause.map(InvocationId),
        };
        if !driver.hand_event(event, carried) {
            let claim = self.held().claims.remove(Key::Event(first));
            claim.into_iter().for_each(|claim| self.put_back(claim));
        }
    }

    /// Another member may have a topic that this one has never heard of.
    fn topic_id(&self, name: &str) -> TopicId {
        let known = self.names().find_topic(name);
        known.unwrap_or_else(|| {
            let mut names = self.names.write().unwrap_or_else(std::sync::PoisonError::into_inner);
            names.intern_topic(name)
        })
    }

    fn hand_publication(&self, message: Message) {
        let subject = message.subject.to_string();
        let (Some(driver), Some(read)) = (self.driver(), Read::of(message)) else {
            return;
        };
        let name = subject
            .rsplit('.')
            .next()
            .and_then(super::place::decode)
            .unwrap_or_default();
        let known = driver.table().project.topics.contains_key(&name);
        let topic = self.names().find_topic(&name).filter(|_| known);
        // Of a topic that left the manifest they wait: another member may have it, or it comes back.
        let Some(topic) = topic else { return };
        let id = MessageId(read.label.id);
        let claim = Claim {
            message: Some(id),
            ..read.claim(Of::Topic, SILENCE_MAX)
        };
        if self.held().claims.insert(Key::Publication(id), claim) {
            let cause = read.label.cause.map(InvocationId);
            driver.hand_publication(topic, id, read.content, cause);
        }
    }

    /// Says of all that stands here that it still does.
    pub async fn run_renewal(self: Arc<Self>) {
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
            let now = Instant::now();
            let mut due = self.held().claims.due(now);
            {
                let mut behinds = self.behinds();
                due.extend(behinds.values_mut().flat_map(|behind| behind.due(now)));
            }
            for acker in due {
                if let Err(error) = acker.ack_with(AckKind::Progress).await {
                    tracing::debug!("a claim was not renewed: {error}");
                }
            }
        }
    }
}

/// What the manifest in force takes from the broker by itself.
fn sources(driver: &Driver) -> Vec<Source> {
    let table = driver.table();
    let names = driver.names();
    let mut sources = Vec::new();
    for function in table.by_name.values().map(|entry| &entry.function) {
        let queue = function
            .queue
            .as_ref()
            .and_then(|trigger| table.project.queues.get(&trigger.from));
        if let Some(queue) = queue
            && let Some(id) = names.find_queue(&queue.name)
        {
            sources.push(Source::Queue(id, queue.clone()));
        }
        if let Some(id) = names.find_function(&function.name) {
            let most = function
                .max_concurrency
                .map_or(EVENTS_MAX, |most| most as usize)
                .clamp(1, EVENTS_MAX);
            sources.push(Source::Function(id, function.name.clone(), most));
        }
    }
    if !table.project.topics.is_empty() {
        sources.push(Source::Topics);
    }
    sources
}

/// The next message and all that have come with it; `None`: the request is over.
///
/// # Errors
/// When it was refused: the consumer is gone, or nobody leads it.
pub(super) async fn several(
    inner: &Inner,
    batch: &mut async_nats::jetstream::consumer::pull::Batch,
) -> Result<Option<Vec<Message>>, StoreError> {
    let refused = |error: &dyn std::fmt::Display| away(inner, "a request for messages was refused", error);
    let first = match batch.next().await {
        None => return Ok(None),
        Some(first) => first.map_err(|error| refused(&error))?,
    };
    let mut messages = vec![first];
    while let Some(Some(Ok(message))) = batch.next().now_or_never() {
        messages.push(message);
    }
    Ok(Some(messages))
}

/// A message of the broker, taken apart.
pub(super) struct Read {
    pub label: Arc<Label>,
    pub content: Arc<Content>,
    pub acker: Arc<Acker>,
    pub sequence: u64,
    /// How often it was handed out, this time included.
    pub delivered: u64,
    pub read_at: Instant,
}

impl Read {
    /// `None`: nobody of emu has sent this; it stays where it is.
    pub fn of(message: Message) -> Option<Read> {
        let Some(label) = Label::read(message.headers.as_ref()) else {
            tracing::warn!(
                "{} holds something that emu has not sent; it is left there",
                message.subject
            );
            return None;
        };
        let (sequence, delivered) = {
            let info = message.info().ok()?;
            (info.stream_sequence, u64::try_from(info.delivered).unwrap_or(1))
        };
        let (message, acker) = message.split();
        Some(Read {
            content: label.content(message.payload),
            label: Arc::new(label),
            acker: Arc::new(acker),
            sequence,
            delivered,
            read_at: Instant::now(),
        })
    }

    pub fn key(&self) -> Key {
        Key::Message(MessageId(self.label.id))
    }

    fn visible_at(&self) -> Time {
        self.label.visible_at.map_or(Time::ZERO, Time)
    }

    pub fn claim(&self, of: Of, wait: Duration) -> Claim {
        Claim {
            acker: self.acker.clone(),
            sequence: self.sequence,
            of,
            label: self.label.clone(),
            received: self.received(),
            is_seen: false,
            wait,
            renewed_at: self.read_at,
            message: Some(MessageId(self.label.id)),
            content: Some(self.content.clone()),
            payload: None,
        }
    }

    /// How often it was received before. Each time that somebody was handed it counts, but for the one that a delay takes.
    fn received(&self) -> u64 {
        let delay = u64::from(self.label.visible_at.is_some());
        (self.label.received + self.delivered).saturating_sub(1 + delay)
    }

    /// As the core knows it.
    pub fn stored(&self, driver: &Driver) -> Stored {
        let source = self.label.source.as_ref();
        Stored {
            message: MessageId(self.label.id),
            sent_at: Time(self.label.sent_at),
            visible_at: self.label.visible_at.map_or(Time(self.label.sent_at), Time),
            in_flight: false,
            receive_count: u32::try_from(self.received()).unwrap_or(u32::MAX),
            first_received_at: None,
            receipt: None,
            group: self.label.group.as_deref().map(Into::into),
            source: source.and_then(|source| driver.names().find_queue(source)),
            cause: self.label.cause.map(InvocationId),
        }
    }
}
