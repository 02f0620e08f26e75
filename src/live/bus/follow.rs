//! What the core decides of what it was handed: done in the broker, in an order in which a death at any point loses nothing. What
//! is to exist is published first; only then is acknowledged what it came from.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use async_nats::jetstream::AckKind;
use async_nats::jetstream::message::Acker;
use bytes::Bytes;
use futures::StreamExt as _;
use futures::future::{join_all, try_join_all};
use futures::stream::FuturesUnordered;
use tokio::sync::{mpsc, watch};

use super::claims::{Claim, Key, Of};
use super::label::Label;
use super::lead::Lease;
use super::place::{Place, encode};
use super::take::{event_label, message_label};
use super::{Held, Inner, away};
use crate::live::keeper::{Beside, Commit, Committed};
use crate::live::store::StoreError;
use crate::platform::effect::{StoreChange, Stored, StoredEvent};
use crate::platform::ids::{InvocationId, MessageId, QueueId};
use crate::platform::time::Time;

/// Between two tries to reach a broker that is away.
const AGAIN: Duration = Duration::from_millis(500);
/// Tries to acknowledge: after that it comes again, here or elsewhere.
const ACK_TRIES: u32 = 5;
/// Steps of one origin that are not done yet; beyond it nothing more is brought here from there.
const OPEN_MAX: u64 = 1_000;
/// It is not said more often that the bus takes nothing.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// What runs is counted where it is handed out, and need not wait for what else comes of the step: the bus may take none of it.
fn commit(seq: u64, committed: watch::Receiver<Committed>, beside: Recorded) -> Commit {
    Commit {
        seq,
        committed,
        counts: false,
        beside,
    }
}

/// Versions of the records that have what a step has received, and how far these are.
type Recorded = Vec<(u64, watch::Receiver<Beside>)>;

/// What one step of the core leads to.
#[derive(Default)]
struct Step {
    publish: Vec<Publish>,
    answer: Vec<(Arc<Acker>, AckKind)>,
    purge: Vec<Arc<str>>,
    /// What is acknowledged when all of this is there.
    from: Vec<Claim>,
    /// Of FIFO queues: what is to be recorded before it runs.
    received: Vec<(QueueId, MessageId, u32)>,
    record: Vec<(Lease, u64)>,
}

/// A step on its way, and whoever waits for it.
pub(super) struct Given {
    number: u64,
    step: Step,
    done: watch::Sender<Committed>,
}

struct Publish {
    place: Place,
    /// The message, or the first attempt of the event.
    id: u64,
    /// Its stream may have to be made.
    to: To,
    headers: HeaderMap,
    body: Bytes,
    /// It is what it comes from, which stays unless this is taken.
    is_needed: bool,
}

enum To {
    Queue(Arc<str>),
    Function(Arc<str>),
}

impl std::fmt::Display for To {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            To::Queue(name) => write!(f, "queue {name}"),
            To::Function(name) => write!(f, "function {name}"),
        }
    }
}

impl Inner {
    pub fn follow(&self, changes: &[StoreChange]) -> Commit {
        for change in changes {
            if let StoreChange::Purged { queue } = change {
                self.behinds().remove(queue);
            }
        }
        self.begin(|held, step| {
            for change in changes {
                self.decide(held, step, change);
            }
        })
    }

    /// Gives back what this member does not run; `wait`: not at once.
    pub fn give_back_claim(&self, claim: Claim, wait: Option<Duration>) -> Commit {
        self.begin(|_, step| self.back(step, claim, wait))
    }

    fn begin(&self, decide: impl FnOnce(&mut Held, &mut Step)) -> Commit {
        let mut step = Step::default();
        let (number, beside) = {
            let mut held = self.held();
            decide(&mut held, &mut step);
            let beside = self.receive(&mut step);
            if step.is_empty() && step.record.is_empty() {
                return commit(0, self.nothing.subscribe(), beside);
            }
            held.steps += 1;
            let number = held.steps;
            let from = std::mem::take(&mut step.from);
            if !step.publish.is_empty() {
                held.claims.open(number, from);
            }
            (number, beside)
        };
        // What was received waits for its record, and for nothing else of this.
        let seq = u64::from(!step.is_empty());
        self.open.send_modify(|open| *open += 1);
        // Each step is of messages of its own: nobody waits for another's.
        let (done, committed) = watch::channel(Committed::default());
        // Closed only after the last step.
        let _ = self.steps.send(Given { number, step, done });
        commit(seq, committed, beside)
    }

    /// How many more things of one origin may lead to steps before those that are not done are.
    pub fn open_room(&self, of: &Of) -> u64 {
        OPEN_MAX.saturating_sub(self.held().claims.open_of(of))
    }

    /// What was received of FIFO queues, on its way to their records; what to wait for before it runs.
    fn receive(&self, step: &mut Step) -> Recorded {
        let mut beside = Vec::new();
        for (queue, message, count) in std::mem::take(&mut step.received) {
            let name = self.names().queue(queue);
            let Some(lease) = self.lease_of(&name) else {
                // Another's by now.
                beside.push((
                    u64::MAX,
                    watch::Sender::new(Beside {
                        is_void: true,
                        ..Beside::default()
                    })
                    .subscribe(),
                ));
                continue;
            };
            let version = lease.received(message, count);
            beside.push((version, lease.recorded()));
            step.record.push((lease, version));
        }
        beside
    }

    fn decide(&self, held: &mut Held, step: &mut Step, change: &StoreChange) {
        match change {
            StoreChange::Put { queue, of, stored, .. } => self.put(held, step, *queue, *of, stored),
            StoreChange::Moved { from, to, stored } => self.moved(held, step, *from, *to, stored),
            StoreChange::LetGo {
                message, visible_at, ..
            } => {
                if let Some(claim) = held.claims.remove(Key::Message(*message)) {
                    self.back(step, claim, self.wait(*visible_at));
                }
            }
            StoreChange::Gone {
                queue: Some(queue),
                message,
            } => {
                self.forget(held, *queue, *message);
                step.done(held, Key::Message(*message));
            }
            StoreChange::Gone { queue: None, message } => {
                step.done(held, Key::Publication(*message));
                held.made.remove(message);
            }
            StoreChange::Purged { queue } => {
                let claims = held.claims.take(|_, of| matches!(of, Of::Queue(of, _) if of == queue));
                step.answer
                    .extend(claims.into_iter().map(|claim| (claim.acker, AckKind::Ack)));
                step.purge.push(self.names().queue(*queue));
            }
            StoreChange::Event(event) => self.event(held, step, event),
            StoreChange::EventDone { first } => {
                held.made_events.remove(first);
                step.done(held, Key::Event(*first));
            }
            StoreChange::Received {
                message, receive_count, ..
            } => {
                held.claims.see(Key::Message(*message));
                let fifo = held.claims.fifo_of(*message);
                step.received
                    .extend(fifo.map(|queue| (queue, *message, *receive_count)));
            }
            // A claim says the rest by itself.
            StoreChange::Hidden { .. } | StoreChange::FannedOut { .. } | StoreChange::Destination { .. } => {}
        }
    }

    /// A new message, or a copy of one.
    fn put(&self, held: &mut Held, step: &mut Step, queue: QueueId, of: Option<MessageId>, stored: &Stored) {
        let own = held.made.remove(&stored.message);
        let Some(content) = own.or_else(|| held.content(of?).cloned()) else {
            tracing::error!("{:?} enters a queue without its content", stored.message);
            return;
        };
        let publication = of.and_then(|of| held.claims.get(Key::Publication(of)));
        let once = match publication {
            // Once in each queue, whoever hands it on and in whichever order.
            Some(claim) => format!("f{}", claim.sequence),
            None => format!("m{}", stored.message.0),
        };
        let name = self.names().queue(queue);
        let label = message_label(stored, &content);
        step.publish.push(Publish {
            place: self.places.queue(&name),
            id: label.id,
            to: To::Queue(name),
            headers: label.headers(&once),
            body: content.body.clone(),
            is_needed: false,
        });
    }

    /// Of a FIFO queue's message it need not be known any more how often it was received.
    fn forget(&self, held: &Held, queue: QueueId, message: MessageId) {
        if held.claims.fifo_of(message).is_some()
            && let Some(lease) = self.lease_of(&self.names().queue(queue))
        {
            lease.forget(message);
        }
    }

    fn moved(&self, held: &mut Held, step: &mut Step, from: QueueId, to: QueueId, stored: &Stored) {
        self.forget(held, from, stored.message);
        let Some(claim) = held.claims.remove(Key::Message(stored.message)) else {
            tracing::error!("{:?} is moved and not claimed", stored.message);
            return;
        };
        let Some(content) = claim.content.clone() else { return };
        let name = self.names().queue(to);
        let source = self.names().queue(from);
        let label = Label {
            source: stored.source.map(|_| source.to_string()),
            ..message_label(stored, &content)
        };
        step.publish.push(Publish {
            place: self.places.queue(&name),
            id: label.id,
            to: To::Queue(name),
            headers: label.headers(&format!("v{source}-{}", claim.sequence)),
            body: content.body.clone(),
            is_needed: false,
        });
        step.acknowledge(claim);
    }

    /// An event that is new, or whose next attempt is another's.
    fn event(&self, held: &mut Held, step: &mut Step, event: &StoredEvent) {
        let key = Key::Event(event.first);
        if let Some(claim) = held.claims.get(key) {
            let goes = matches!(claim.of, Of::Function { attempt, .. } if event.attempt > attempt);
            if goes && let Some(claim) = held.claims.remove(key) {
                step.answer.push((claim.acker, AckKind::Nak(self.wait(event.at))));
            }
            return;
        }
        let function = self.names().function(event.function);
        let mut label = event_label(event);
        let (once, body) = match event.topic {
            None => {
                let Some(payload) = held.made_events.remove(&event.first) else {
                    return;
                };
                label.trace = payload.trace.map(|trace| trace.as_str().to_owned());
                (
                    format!("e{}", event.first.0),
                    Bytes::copy_from_slice(payload.json.as_bytes()),
                )
            }
            Some((topic, message)) => {
                let Some(content) = held.content(message) else { return };
                label.topic = Some((self.names().topic(topic).to_string(), message.0));
                label.content_type.clone_from(&content.content_type);
                label.attributes.clone_from(&content.attributes);
                let once = match held.claims.get(Key::Publication(message)) {
                    // Events of all functions lie in one stream.
                    Some(claim) => format!("f{}-{}", claim.sequence, encode(&function)),
                    None => format!("e{}", event.first.0),
                };
                (once, content.body.clone())
            }
        };
        step.publish.push(Publish {
            place: self.places.event(&function),
            id: label.id,
            to: To::Function(function),
            headers: label.headers(&once),
            body,
            is_needed: false,
        });
    }

    /// What goes back before anybody has seen it, published anew: handed out again, the broker would count it as received. `None`:
    /// it was seen, or what it is of is not counted by the broker.
    fn anew(&self, claim: &Claim) -> Option<Publish> {
        if claim.is_seen {
            return None;
        }
        let (place, to) = match &claim.of {
            Of::Queue(queue, None) => {
                let name = self.names().queue(*queue);
                (self.places.queue(&name), To::Queue(name))
            }
            Of::Function { function, .. } => {
                let name = self.names().function(*function);
                (self.places.event(&name), To::Function(name))
            }
            Of::Queue(_, Some(_)) | Of::Topic => return None,
        };
        let body = match (&claim.content, &claim.payload) {
            (Some(content), _) => content.body.clone(),
            (None, payload) => Bytes::copy_from_slice(payload.as_ref()?.json.as_bytes()),
        };
        let label = Label {
            received: claim.received,
            visible_at: None,
            ..(*claim.label).clone()
        };
        Some(Publish {
            place,
            id: label.id,
            to,
            headers: label.headers(&format!("u{}", claim.sequence)),
            body,
            is_needed: true,
        })
    }

    /// A claim goes back: at once, or after `wait`.
    fn back(&self, step: &mut Step, claim: Claim, wait: Option<Duration>) {
        match self.anew(&claim) {
            Some(publish) => {
                step.publish.push(publish);
                step.acknowledge(claim);
            }
            None => step.answer.push((claim.acker, AckKind::Nak(wait))),
        }
    }

    /// How long until an instant of emu's time; `None`: it has come.
    fn wait(&self, at: Time) -> Option<Duration> {
        let now = self.driver()?.now();
        (at > now).then(|| at.since(now).to_std())
    }

    /// Carries steps out beside each other: they are of different messages.
    pub async fn run_steps(self: Arc<Self>, mut given: mpsc::UnboundedReceiver<Given>) {
        let mut running = FuturesUnordered::new();
        loop {
            tokio::select! {
                given = given.recv() => match given {
                    Some(given) => running.push(self.clone().run_step(given)),
                    None => break,
                },
                () = self.stop.cancelled() => break,
                Some(()) = running.next() => {}
            }
        }
    }

    async fn run_step(self: Arc<Self>, given: Given) {
        let Given { number, step, done } = given;
        let made = self.carry_out(step).await;
        self.held().claims.close(number);
        done.send_replace(Committed {
            seq: 1,
            broken: made.err(),
            ended: true,
        });
        self.open.send_modify(|open| *open -= 1);
        self.room.notify_waiters();
    }

    /// # Errors
    /// The first that was not done. The rest is.
    async fn carry_out(self: &Arc<Self>, step: Step) -> Result<(), StoreError> {
        let record = step.record.iter();
        let record = join_all(record.map(|(lease, version)| self.write_record(lease, *version)));
        futures::future::join(record, self.carry_out_rest(&step)).await.1
    }

    async fn carry_out_rest(&self, step: &Step) -> Result<(), StoreError> {
        // What it comes from is handed out again when nobody speaks for it any more.
        try_join_all(step.publish.iter().map(|publish| self.publish_surely(publish))).await?;
        let answers = step.answer.iter();
        let answers = answers.map(|(acker, kind)| self.answer(acker.clone(), *kind));
        let mut done: Result<(), StoreError> = join_all(answers).await.into_iter().collect();
        for queue in &step.purge {
            if let Err(error) = self.purge_queue(queue).await {
                self.tell("error", format!("queue {queue} was not emptied: {error}"));
                done = done.and(Err(error));
            }
        }
        done
    }

    /// Returns when it is there, or when the bus will never take it: then it is told and dropped, for what it comes from would
    /// run again and again and come to the same.
    ///
    /// # Errors
    /// When this member stops before that.
    async fn publish_surely(&self, publish: &Publish) -> Result<(), StoreError> {
        loop {
            let made = match &publish.to {
                To::Queue(name) => self.make_queue(name).await,
                To::Function(_) => self.event_stream().await.map(drop),
            };
            let sent = match made {
                Ok(()) => {
                    self.publish(&publish.place, publish.headers.clone(), publish.body.clone())
                        .await
                }
                Err(error) => Err(error),
            };
            match sent {
                Ok(()) => return Ok(()),
                Err(error @ StoreError::Failed(_)) if publish.is_needed => return Err(error),
                Err(StoreError::Failed(error)) => {
                    self.tell_of_drop(publish, &error);
                    return Ok(());
                }
                Err(error) if self.stop.is_cancelled() => {
                    tracing::error!("{error}");
                    return Err(StoreError::Closed);
                }
                Err(error) => self.tell_of_refusal(&publish.to, &error),
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    fn tell_of_drop(&self, publish: &Publish, error: &str) {
        let id = self.driver().map(|driver| match &publish.to {
            To::Queue(_) => driver.0.ids.message(MessageId(publish.id)),
            To::Function(_) => driver.0.ids.invocation(InvocationId(publish.id)),
        });
        let id = id.unwrap_or_default();
        self.tell(
            "error",
            format!("{id}, on its way to {}, is dropped: {error}", publish.to),
        );
    }

    /// Without a connection everybody knows already.
    fn tell_of_refusal(&self, to: &To, error: &StoreError) {
        tracing::warn!("for {to}: {error}; again in a moment");
        if self.context.client().connection_state() != async_nats::connection::State::Connected {
            return;
        }
        let mut told_at = self.told_at.lock().unwrap_or_else(PoisonError::into_inner);
        if told_at.is_some_and(|at| at.elapsed() < TELL_EVERY) {
            return;
        }
        *told_at = Some(Instant::now());
        self.tell(
            "warning",
            format!(
                "what goes to {to} waits until the bus takes it: {error}; give it room, or empty the queue that is full"
            ),
        );
    }

    /// # Errors
    /// It comes again, here or elsewhere.
    async fn answer(&self, acker: Arc<Acker>, kind: AckKind) -> Result<(), StoreError> {
        let mut failed = None;
        for _ in 0..ACK_TRIES {
            let answered = match kind {
                AckKind::Ack => acker.double_ack().await,
                kind => acker.ack_with(kind).await,
            };
            match answered {
                Ok(()) => return Ok(()),
                Err(error) => {
                    tracing::warn!("an acknowledgement was not taken: {error}");
                    failed = Some(away(self, "an acknowledgement was not taken", &error));
                }
            }
            if self.stop.is_cancelled() {
                break;
            }
        }
        failed.map_or(Ok(()), Err)
    }
}

impl Step {
    fn is_empty(&self) -> bool {
        self.publish.is_empty() && self.answer.is_empty() && self.purge.is_empty()
    }

    fn acknowledge(&mut self, claim: Claim) {
        self.answer.push((claim.acker.clone(), AckKind::Ack));
        self.from.push(claim);
    }

    fn done(&mut self, held: &mut Held, key: Key) {
        if let Some(claim) = held.claims.remove(key) {
            self.acknowledge(claim);
        }
        if let Key::Message(message) = key {
            held.made.remove(&message);
        }
    }
}
