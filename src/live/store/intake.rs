//! What comes in from outside: written first, and only then told to the core and to the sender.

use std::sync::Arc;

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension as _, Result, params};
use serde_json::Value;

use super::change::{self, number, time};
use super::thread::{Class, Op};
use super::{Kind, Store, StoreError};
use crate::live::messages::{Content, Payload};
use crate::live::telemetry::Trace;
use crate::platform::effect::{StoreChange, Stored, StoredEvent};
use crate::platform::ids::{InvocationId, MessageId, QueueId, TopicId};
use crate::platform::time::Time;

/// Something new that must last before it is acknowledged.
#[derive(Clone, Debug)]
pub enum Intake {
    /// Into a queue, with its deduplication key.
    Message {
        queue: QueueId,
        stored: Stored,
        key: Option<(Arc<str>, Time)>,
        content: Arc<Content>,
    },
    /// To a topic, not yet handed to its subscriptions.
    Publication {
        topic: TopicId,
        message: MessageId,
        cause: Option<InvocationId>,
        content: Arc<Content>,
    },
    /// An asynchronous invocation.
    Event { event: StoredEvent, payload: Payload },
}

impl Intake {
    fn write(&self, connection: &Connection) -> Result<()> {
        match self {
            Intake::Message {
                queue,
                stored,
                key,
                content,
            } => {
                put_body(connection, stored.message, content)?;
                let put = StoreChange::Put {
                    queue: *queue,
                    of: None,
                    wrapped: None,
                    stored: stored.clone(),
                    key: key.clone(),
                };
                change::apply(connection, &put)
            }
            Intake::Publication {
                topic,
                message,
                cause,
                content,
            } => {
                put_body(connection, *message, content)?;
                let sql = "INSERT INTO publication (id, topic, cause) VALUES (?1, ?2, ?3)";
                let cause = cause.map(|cause| number(cause.0));
                connection
                    .prepare_cached(sql)?
                    .execute(params![number(message.0), topic.0, cause])?;
                Ok(())
            }
            Intake::Event { event, payload } => {
                let sql = "INSERT OR REPLACE INTO event (id, function, accepted_at, attempt, at, cause, payload, trace) \
                           VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
                connection.prepare_cached(sql)?.execute(params![
                    number(event.first.0),
                    event.function.0,
                    time(event.accepted_at),
                    event.attempt,
                    time(event.at),
                    event.cause.map(|cause| number(cause.0)),
                    &*payload.json,
                    payload.trace.as_ref().map(Trace::as_str),
                ])?;
                Ok(())
            }
        }
    }
}

pub(super) fn put_body(connection: &Connection, message: MessageId, content: &Content) -> Result<()> {
    let sql = "INSERT OR REPLACE INTO body (id, body, content_type, attributes) VALUES (?1, ?2, ?3, ?4)";
    let attributes = (!content.attributes.is_empty()).then(|| serde_json::to_string(&content.attributes));
    connection.prepare_cached(sql)?.execute(params![
        number(message.0),
        &content.body[..],
        content.content_type,
        attributes.and_then(std::result::Result::ok),
    ])?;
    Ok(())
}

impl Store {
    /// Writes all of it or nothing; returns when it lasts.
    ///
    /// # Errors
    /// When the disk is full or has failed: nothing was taken.
    pub async fn take_in(&self, intake: Vec<Intake>) -> std::result::Result<(), StoreError> {
        self.write(move |connection| intake.iter().try_for_each(|one| one.write(connection)))
            .await
    }

    /// The body of a message that the core makes of something it knows; its changes follow in the next step.
    pub(in crate::live) fn follow_body(&self, message: MessageId, content: Arc<Content>) {
        self.0.push(Op {
            work: Box::new(move |connection| put_body(connection, message, &content)),
            class: Class::Follow,
            done: None,
        });
    }

    /// As [`Store::follow_body`], made of an event's payload while that is still there.
    pub(in crate::live) fn follow_record(
        &self,
        first: InvocationId,
        message: MessageId,
        make: impl Fn(&Payload) -> Content + Send + 'static,
    ) {
        self.0.push(Op {
            work: Box::new(move |connection| {
                let event = payload(connection, first)?.unwrap_or_default();
                put_body(connection, message, &make(&event))
            }),
            class: Class::Follow,
            done: None,
        });
    }

    /// As [`Store::follow_body`], made of the body of another message while that is still there.
    pub(in crate::live) fn follow_made(
        &self,
        of: MessageId,
        to: MessageId,
        make: impl Fn(&Content) -> Content + Send + 'static,
    ) {
        self.0.push(Op {
            work: Box::new(move |connection| match body(connection, of)? {
                Some(content) => put_body(connection, to, &make(&content)),
                None => Ok(()),
            }),
            class: Class::Follow,
            done: None,
        });
    }

    /// The payload of an event that the core is about to keep.
    pub(in crate::live) fn follow_event(&self, event: StoredEvent, payload: Payload) {
        let intake = Intake::Event { event, payload };
        self.0.push(Op {
            work: Box::new(move |connection| intake.write(connection)),
            class: Class::Follow,
            done: None,
        });
    }

    /// Names of ids that rows refer to.
    pub fn name(&self, names: Vec<(Kind, u32, String)>) {
        self.0.push(Op {
            work: Box::new(move |connection| {
                let sql = "INSERT OR IGNORE INTO name (kind, id, name) VALUES (?1, ?2, ?3)";
                let mut statement = connection.prepare_cached(sql)?;
                for (kind, id, name) in &names {
                    statement.execute(params![kind.word(), id, name])?;
                }
                Ok(())
            }),
            class: Class::Follow,
            done: None,
        });
    }

    /// Bodies by message, as far as they are there.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn bodies(
        &self,
        messages: Vec<MessageId>,
    ) -> std::result::Result<Vec<(MessageId, Arc<Content>)>, StoreError> {
        self.read(move |connection| {
            let mut found = Vec::with_capacity(messages.len());
            for message in &messages {
                if let Some(content) = body(connection, *message)? {
                    found.push((*message, Arc::new(content)));
                }
            }
            Ok(found)
        })
        .await
    }

    /// An event's payload.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn payload(&self, first: InvocationId) -> std::result::Result<Option<Payload>, StoreError> {
        self.read(move |connection| payload(connection, first)).await
    }
}

fn payload(connection: &Connection, first: InvocationId) -> Result<Option<Payload>> {
    let mut get = connection.prepare_cached("SELECT payload, trace FROM event WHERE id = ?1")?;
    let payload = get.query_row([number(first.0)], |row| {
        let (json, trace): (Option<String>, Option<String>) = (row.get(0)?, row.get(1)?);
        Ok(json.map(|json| Payload {
            json: json.into(),
            trace: trace.as_deref().and_then(Trace::read),
        }))
    });
    Ok(payload.optional()?.flatten())
}

pub(super) fn body(connection: &Connection, message: MessageId) -> Result<Option<Content>> {
    let mut get = connection.prepare_cached("SELECT body, content_type, attributes FROM body WHERE id = ?1")?;
    get.query_row([number(message.0)], |row| {
        let body: Vec<u8> = row.get(0)?;
        let attributes: Option<String> = row.get(2)?;
        let attributes =
            attributes.and_then(|text| serde_json::from_str::<std::collections::BTreeMap<String, Value>>(&text).ok());
        Ok(Content {
            body: Bytes::from(body),
            content_type: row.get(1)?,
            attributes: attributes.unwrap_or_default(),
        })
    })
    .optional()
}
