//! What work that no caller brought is made of: the contents of its messages, and the event that the guest gets.

use std::collections::HashMap;
use std::sync::Arc;

use crate::engine::{Batch, BatchSource, Event, InMessage, Scheduled};
use crate::platform::effect::{Delivery, Work};
use crate::platform::ids::{InvocationId, MessageId};
use crate::platform::time::Time;

use super::driver::{Core, Driver, lock};
use super::events::Summary;
use super::messages::{Content, Payload};
use super::names::PublicIds;
use super::table::Entry;
use super::telemetry::Trace;

/// What was in memory of the contents that work needs.
#[derive(Default)]
pub(super) struct Gathered {
    contents: HashMap<MessageId, Arc<Content>>,
    payload: Option<Payload>,
}

pub(super) fn gather(core: &Core, work: &Work) -> Gathered {
    match work {
        Work::Request | Work::Cron { .. } => Gathered::default(),
        Work::Async { first, .. } => Gathered {
            payload: core.messages.event(*first).cloned(),
            ..Gathered::default()
        },
        Work::Batch { deliveries, .. } => gather_messages(core, deliveries),
        Work::Topic { message, .. } => gather_contents(core, std::iter::once(*message)),
    }
}

/// What was in memory of the contents of deliveries.
pub(super) fn gather_messages(core: &Core, deliveries: &[Delivery]) -> Gathered {
    gather_contents(core, deliveries.iter().map(|delivery| delivery.message))
}

fn gather_contents(core: &Core, messages: impl Iterator<Item = MessageId>) -> Gathered {
    let found = |id: MessageId| Some((id, core.messages.get(id)?.clone()));
    Gathered {
        contents: messages.filter_map(found).collect(),
        ..Gathered::default()
    }
}

impl Gathered {
    /// Of an event; messages carry theirs.
    pub(super) fn trace(self) -> Option<Trace> {
        self.payload?.trace
    }

    /// Reads what is not in memory any more.
    pub(super) async fn complete(&mut self, driver: &Driver, needed: impl Iterator<Item = MessageId>) {
        let missing: Vec<MessageId> = needed.filter(|id| !self.contents.contains_key(id)).collect();
        if missing.is_empty() {
            return;
        }
        match driver.0.store.bodies(missing).await {
            Ok(found) => self.contents.extend(found),
            Err(error) => tracing::error!("bodies of messages cannot be read: {error}"),
        }
    }
}

/// The event of work that no caller brought. `None`: what it needs is gone.
pub(super) async fn event_of(
    driver: &Driver,
    entry: &Entry,
    work: &Work,
    gathered: &mut Gathered,
) -> Option<(Event, Summary)> {
    let inner = &driver.0;
    let names = || inner.names.read().unwrap_or_else(std::sync::PoisonError::into_inner);
    match work {
        Work::Request => None,
        Work::Async { first, .. } => {
            if gathered.payload.is_none() {
                gathered.payload = stored_payload(driver, *first).await;
            }
            let payload = gathered.payload.as_ref()?;
            Some((Event::Json(serde_json::from_str(&payload.json).ok()?), Summary::Event))
        }
        Work::Cron {
            trigger, scheduled_at, ..
        } => {
            let name = names().trigger(*trigger);
            let cron = entry.function.crons.iter().find(|cron| *cron.name == *name)?;
            let scheduled = Scheduled {
                name: name.clone(),
                schedule: cron.schedule.text().into(),
                scheduled_at: *scheduled_at,
            };
            Some((
                Event::Scheduled(scheduled),
                Summary::Cron {
                    name,
                    scheduled_at: *scheduled_at,
                },
            ))
        }
        Work::Batch { queue, deliveries } => {
            gathered
                .complete(driver, deliveries.iter().map(|delivery| delivery.message))
                .await;
            let name = names().queue(*queue);
            let messages = in_messages(&inner.ids, gathered, deliveries);
            let summary = Summary::Batch {
                queue: name.clone(),
                messages: deliveries.len(),
            };
            let batch = Batch {
                source: BatchSource::Queue(name),
                messages,
            };
            (!batch.messages.is_empty()).then_some((Event::Batch(batch), summary))
        }
        Work::Topic {
            topic,
            message,
            attempt,
            ..
        } => {
            gathered.complete(driver, std::iter::once(*message)).await;
            let name = names().topic(*topic);
            let content = gathered.contents.get(message)?;
            let message = published(inner.ids.message(*message), content, inner.clock.now(), *attempt);
            let batch = Batch {
                source: BatchSource::Topic(name.clone()),
                messages: vec![message],
            };
            Some((Event::Batch(batch), Summary::Topic { topic: name }))
        }
    }
}

/// An event's payload that is not in memory any more. Its end may need it once more, for a destination.
async fn stored_payload(driver: &Driver, first: InvocationId) -> Option<Payload> {
    let payload = driver.0.store.payload(first).await.ok()??;
    lock(&driver.0.core).messages.put_event(first, payload.clone());
    Some(payload)
}

/// A topic's message as a function gets it.
fn published(id: String, content: &Content, now: Time, attempt: u32) -> InMessage {
    InMessage {
        receipt: id.clone(),
        id,
        body: content.body.clone(),
        content_type: content.content_type.clone(),
        attributes: content.attributes.clone(),
        sent_at: now,
        first_received_at: now,
        receive_count: attempt,
        group: None,
    }
}

/// Deliveries with their contents, for whoever takes them.
pub(super) fn in_messages(ids: &PublicIds, gathered: &Gathered, deliveries: &[Delivery]) -> Vec<InMessage> {
    let one = |delivery: &Delivery| {
        let content = gathered.contents.get(&delivery.message)?;
        Some(InMessage {
            id: ids.message(delivery.message),
            receipt: format!("{:x}", delivery.receipt.0),
            body: content.body.clone(),
            content_type: content.content_type.clone(),
            attributes: content.attributes.clone(),
            sent_at: delivery.sent_at,
            first_received_at: delivery.first_received_at,
            receive_count: delivery.receive_count,
            group: delivery.group.clone(),
        })
    };
    deliveries.iter().filter_map(one).collect()
}
