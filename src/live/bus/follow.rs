//! What the core decides of what it was handed: done in the broker, in an order in which a death at any point loses nothing. What
//! is to exist is published first; only then is acknowledged what it came from.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::AckKind;
use async_nats::jetstream::message::Acker;
use bytes::Bytes;
use futures::StreamExt as _;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use tokio::sync::mpsc;

use super::claims::{Key, Of};
use super::label::Label;
use super::place::{Place, encode};
use super::take::{event_label, message_label};
use super::{Held, Inner};
use crate::live::keeper::Commit;
use crate::live::store::StoreError;
use crate::platform::effect::{StoreChange, Stored, StoredEvent};
use crate::platform::ids::{MessageId, QueueId};
use crate::platform::time::Time;

/// Between two tries to reach a broker that is away.
const AGAIN: Duration = Duration::from_millis(500);
/// Tries to acknowledge: after that it comes again, here or elsewhere.
const ACK_TRIES: u32 = 5;

/// What one step of the core leads to.
#[derive(Default)]
pub(super) struct Step {
    seq: u64,
    publish: Vec<Publish>,
    answer: Vec<(Arc<Acker>, AckKind)>,
    purge: Vec<Arc<str>>,
}

struct Publish {
    place: Place,
    /// Its stream may have to be made.
    to: To,
    headers: HeaderMap,
    body: Bytes,
}

enum To {
    Queue(Arc<str>),
    Events,
}

impl Inner {
    pub fn follow(&self, changes: &[StoreChange]) -> Commit {
        let mut step = Step::default();
        {
            let mut held = self.held();
            for change in changes {
                self.decide(&mut held, &mut step, change);
            }
        }
        let committed = self.committed.subscribe();
        if step.is_empty() {
            return Commit { seq: 0, committed };
        }
        let mut stepped = self.stepped.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *stepped += 1;
        step.seq = *stepped;
        // Closed only after the last step.
        let _ = self.steps.send(step);
        Commit {
            seq: *stepped,
            committed,
        }
    }

    fn decide(&self, held: &mut Held, step: &mut Step, change: &StoreChange) {
        match change {
            StoreChange::Put { queue, of, stored, .. } => self.put(held, step, *queue, *of, stored),
            StoreChange::Moved { from, to, stored } => self.moved(held, step, *from, *to, stored),
            StoreChange::Hidden {
                message,
                visible_at,
                in_flight: false,
                ..
            } => {
                if let Some(claim) = held.claims.remove(Key::Message(*message)) {
                    step.answer.push((claim.acker, AckKind::Nak(self.wait(*visible_at))));
                }
            }
            StoreChange::Gone {
                queue: Some(_),
                message,
            } => step.done(held, Key::Message(*message)),
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
            // A claim says the rest by itself.
            StoreChange::Received { .. }
            | StoreChange::Hidden { in_flight: true, .. }
            | StoreChange::FannedOut { .. }
            | StoreChange::Destination { .. } => {}
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
            to: To::Queue(name),
            headers: label.headers(&once),
            body: content.body.clone(),
        });
    }

    fn moved(&self, held: &mut Held, step: &mut Step, from: QueueId, to: QueueId, stored: &Stored) {
        let Some(claim) = held.claims.remove(Key::Message(stored.message)) else {
            tracing::error!("{:?} is moved and not claimed", stored.message);
            return;
        };
        let Some(content) = &claim.content else { return };
        let name = self.names().queue(to);
        let source = self.names().queue(from);
        let label = Label {
            source: stored.source.map(|_| source.to_string()),
            ..message_label(stored, content)
        };
        step.publish.push(Publish {
            place: self.places.queue(&name),
            to: To::Queue(name),
            headers: label.headers(&format!("v{source}-{}", claim.sequence)),
            body: content.body.clone(),
        });
        step.answer.push((claim.acker, AckKind::Ack));
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
                (
                    format!("e{}", event.first.0),
                    Bytes::copy_from_slice(payload.as_bytes()),
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
            to: To::Events,
            headers: label.headers(&once),
            body,
        });
    }

    /// How long until an instant of emu's time; `None`: it has come.
    fn wait(&self, at: Time) -> Option<Duration> {
        let now = self.driver()?.now();
        (at > now).then(|| at.since(now).to_std())
    }

    /// Carries steps out beside each other: they are of different messages.
    pub async fn run_steps(self: Arc<Self>, mut given: mpsc::UnboundedReceiver<Step>) {
        let mut running = FuturesUnordered::new();
        let mut open = BTreeSet::new();
        let mut last = 0;
        loop {
            tokio::select! {
                step = given.recv() => {
                    let Some(step) = step else { break };
                    last = step.seq;
                    open.insert(step.seq);
                    running.push(self.clone().run_step(step));
                }
                () = self.stop.cancelled() => break,
                Some(seq) = running.next() => {
                    open.remove(&seq);
                    let done = open.first().map_or(last, |first| first - 1);
                    self.committed.send_modify(|state| state.seq = done);
                }
            }
        }
        self.committed.send_modify(|state| state.ended = true);
    }

    async fn run_step(self: Arc<Self>, step: Step) -> u64 {
        let there = join_all(step.publish.iter().map(|publish| self.publish_surely(publish))).await;
        if there.contains(&false) {
            // What it comes from is handed out again when nobody speaks for it any more.
            return step.seq;
        }
        join_all(step.answer.into_iter().map(|(acker, kind)| self.answer(acker, kind))).await;
        for queue in &step.purge {
            if let Err(error) = self.purge_queue(queue).await {
                self.tell("error", format!("queue {queue} was not emptied: {error}"));
            }
        }
        step.seq
    }

    /// Until it is there; `false`: it never will.
    async fn publish_surely(&self, publish: &Publish) -> bool {
        loop {
            let made = match &publish.to {
                To::Queue(name) => self.make_queue(name).await,
                To::Events => self.event_stream().await.map(drop),
            };
            let sent = match made {
                Ok(()) => {
                    self.publish(&publish.place, publish.headers.clone(), publish.body.clone())
                        .await
                }
                Err(error) => Err(error),
            };
            match sent {
                Ok(()) => return true,
                Err(StoreError::Failed(error)) => {
                    self.tell("error", error);
                    return false;
                }
                Err(error) if self.stop.is_cancelled() => {
                    tracing::error!("{error}");
                    return false;
                }
                Err(error) => tracing::warn!("{error}; again in a moment"),
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn answer(&self, acker: Arc<Acker>, kind: AckKind) {
        for _ in 0..ACK_TRIES {
            let answered = match kind {
                AckKind::Ack => acker.double_ack().await,
                kind => acker.ack_with(kind).await,
            };
            match answered {
                Ok(()) => return,
                Err(error) => tracing::warn!("an acknowledgement was not taken: {error}"),
            }
            if self.stop.is_cancelled() {
                return;
            }
        }
    }
}

impl Step {
    fn is_empty(&self) -> bool {
        self.publish.is_empty() && self.answer.is_empty() && self.purge.is_empty()
    }

    fn done(&mut self, held: &mut Held, key: Key) {
        if let Some(claim) = held.claims.remove(key) {
            self.answer.push((claim.acker, AckKind::Ack));
        }
        if let Key::Message(message) = key {
            held.made.remove(&message);
        }
    }
}
