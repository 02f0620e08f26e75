//! A store so plain that it cannot be wrong: what of the platform's changes is left, to begin again with.

use std::collections::{BTreeMap, BTreeSet};

use super::super::effect::{StoreChange, Stored, StoredEvent};
use super::super::ids::{FunctionId, InvocationId, MessageId, QueueId};

#[derive(Default)]
pub struct Kept {
    pub messages: BTreeMap<MessageId, (QueueId, Stored)>,
    pub events: BTreeMap<InvocationId, StoredEvent>,
    /// Bodies of topics' messages.
    pub bodies: BTreeSet<MessageId>,
}

impl Kept {
    /// # Errors
    /// When the change contradicts what is kept.
    pub fn follow(&mut self, change: &StoreChange) -> Result<(), String> {
        match change {
            StoreChange::Put { queue, of, stored, .. } => {
                if of.is_some_and(|of| !self.bodies.contains(&of)) {
                    return Err(String::from("copies a body that is gone"));
                }
                self.messages.insert(stored.message, (*queue, stored.clone()));
            }
            StoreChange::Moved { from, to, stored } => {
                self.at(*from, stored.message)?;
                self.messages.insert(stored.message, (*to, stored.clone()));
            }
            StoreChange::Received {
                queue,
                message,
                receipt,
                receive_count,
                first_received_at,
                visible_at,
            } => {
                let stored = self.at(*queue, *message)?;
                if *receive_count <= stored.receive_count {
                    return Err(String::from("the receive count does not grow"));
                }
                stored.receipt = Some(*receipt);
                stored.receive_count = *receive_count;
                stored.first_received_at = Some(*first_received_at);
                stored.visible_at = *visible_at;
                stored.in_flight = true;
            }
            StoreChange::Hidden {
                queue,
                message,
                visible_at,
                in_flight,
            } => {
                let stored = self.at(*queue, *message)?;
                stored.visible_at = *visible_at;
                stored.in_flight = *in_flight;
            }
            StoreChange::LetGo { message, .. } => return Err(format!("{message:?} leaves a platform that is alone")),
            StoreChange::Gone {
                queue: Some(_),
                message,
            } => {
                // One that was refused has never been put.
                self.messages.remove(message);
            }
            StoreChange::Gone { queue: None, message } => {
                if !self
                    .events
                    .values()
                    .any(|event| event.topic.is_some_and(|(_, of)| of == *message))
                {
                    self.bodies.remove(message);
                }
            }
            StoreChange::Purged { queue } => self.messages.retain(|_, (at, _)| at != queue),
            StoreChange::Event(event) => {
                self.events.insert(event.first, event.clone());
            }
            StoreChange::EventDone { first } => {
                // A function that left and came back while an attempt ran has the event twice: at least once it is.
                self.events.remove(first);
            }
            StoreChange::FannedOut { .. } | StoreChange::Destination { .. } => {}
        }
        Ok(())
    }

    fn at(&mut self, queue: QueueId, message: MessageId) -> Result<&mut Stored, String> {
        match self.messages.get_mut(&message) {
            Some((at, stored)) if *at == queue => Ok(stored),
            _ => Err(String::from("it is not there")),
        }
    }

    pub fn of_queue(&self, queue: QueueId) -> Vec<Stored> {
        let of = self.messages.values().filter(|(at, _)| *at == queue);
        of.map(|(_, stored)| stored.clone()).collect()
    }

    pub fn of_function(&self, function: FunctionId) -> Vec<StoredEvent> {
        let of = self.events.values().filter(|event| event.function == function);
        of.cloned().collect()
    }

    pub fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.events.is_empty() && self.bodies.is_empty()
    }
}
