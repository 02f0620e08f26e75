//! What a run before this one has left.

use std::sync::Arc;

use rusqlite::{Connection, Result, params};

use super::change::{self, number};
use super::intake::body;
use super::thread::{Class, Op};
use super::{Store, StoreError};
use crate::live::messages::Content;
use crate::platform::effect::{Stored, StoredEvent};
use crate::platform::ids::{FunctionId, InvocationId, MessageId, QueueId, ReceiptId, TopicId};
use crate::platform::input::Key;
use crate::platform::time::Time;

/// Messages read at once: a backlog of a million must not stand in memory twice.
pub const MESSAGES_PER_PIECE: usize = 20_000;

/// A part of a queue's messages, in the order of their ids.
#[derive(Debug, Default)]
pub struct Piece {
    pub messages: Vec<Stored>,
    /// With the first piece.
    pub keys: Vec<Key>,
}

/// A topic's message that was accepted and not yet handed to its subscriptions.
#[derive(Debug)]
pub struct Publication {
    pub message: MessageId,
    pub cause: Option<InvocationId>,
    pub content: Arc<Content>,
}

impl Store {
    /// The next messages of a queue behind `after`, up to and with `to`; empty: there are no more.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn messages(
        &self,
        queue: QueueId,
        after: MessageId,
        to: MessageId,
    ) -> std::result::Result<Piece, StoreError> {
        self.read(move |connection| {
            Ok(Piece {
                messages: messages(connection, queue, after, to)?,
                keys: match after.0 {
                    0 => keys(connection, queue)?,
                    _ => Vec::new(),
                },
            })
        })
        .await
    }

    /// Asynchronous invocations and topic deliveries of a function up to and with `to`, oldest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn events(
        &self,
        function: FunctionId,
        to: InvocationId,
    ) -> std::result::Result<Vec<StoredEvent>, StoreError> {
        self.read(move |connection| {
            let sql = "SELECT id, topic, message, accepted_at, attempt, at, cause FROM event \
                       WHERE function = ?1 AND id <= ?2 ORDER BY id";
            let mut list = connection.prepare_cached(sql)?;
            let rows = list.query_map(params![function.0, number(to.0)], |row| {
                let topic: Option<u32> = row.get(1)?;
                let message: Option<i64> = row.get(2)?;
                Ok(StoredEvent {
                    first: InvocationId(id(row.get(0)?)),
                    function,
                    topic: topic.map(TopicId).zip(message.map(|message| MessageId(id(message)))),
                    accepted_at: time(row.get(3)?),
                    attempt: row.get(4)?,
                    at: time(row.get(5)?),
                    cause: row.get::<_, Option<i64>>(6)?.map(|cause| InvocationId(id(cause))),
                })
            })?;
            rows.collect()
        })
        .await
    }

    /// Messages of a topic, up to and with `to`, that a kill or a change of the manifest has caught between acceptance and
    /// fan-out.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn publications(
        &self,
        topic: TopicId,
        to: MessageId,
    ) -> std::result::Result<Vec<Publication>, StoreError> {
        self.read(move |connection| {
            let sql = "SELECT id, cause FROM publication WHERE topic = ?1 AND id <= ?2 ORDER BY id";
            let mut list = connection.prepare_cached(sql)?;
            let rows = list.query_map(params![topic.0, number(to.0)], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, Option<i64>>(1)?))
            })?;
            let mut all = Vec::new();
            for row in rows {
                let (message, cause) = row?;
                let message = MessageId(id(message));
                if let Some(content) = body(connection, message)? {
                    all.push(Publication {
                        message,
                        cause: cause.map(|cause| InvocationId(id(cause))),
                        content: Arc::new(content),
                    });
                }
            }
            Ok(all)
        })
        .await
    }

    /// Forgets deduplication keys whose time is over, of all queues.
    pub(in crate::live) fn forget_keys(&self, now: Time) {
        self.0.push(Op {
            work: Box::new(move |connection| {
                let sql = "DELETE FROM deduplication WHERE until <= ?1";
                connection.prepare_cached(sql)?.execute([change::time(now)]).map(drop)
            }),
            class: Class::Follow,
            done: None,
        });
    }

    /// Forgets everything; what queues and events there were, the core has dropped.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn clear(&self) -> std::result::Result<(), StoreError> {
        self.shrink(|connection| {
            connection.execute_batch(
                "DELETE FROM message; DELETE FROM body; DELETE FROM deduplication; DELETE FROM publication; \
                 DELETE FROM event; DELETE FROM kv;",
            )
        })
        .await
    }
}

/// Newest bodies that [`sweep`] looks at. A kill strands those of one commit at most.
const SWEPT_MAX: i64 = 10_000;

/// Removes bodies that a kill has caught between their own commit and that of the message they were for. They are among
/// the newest, so that a backlog costs nothing here.
pub(super) fn sweep(connection: &Connection) -> Result<usize> {
    let oldest = "SELECT min(id) FROM (SELECT id FROM body ORDER BY id DESC LIMIT ?1)";
    let oldest: Option<i64> = connection.query_row(oldest, [SWEPT_MAX], |row| row.get(0))?;
    // Of the queues one row each is read: their messages are in the order of the queues' numbers.
    let orphans = "WITH RECURSIVE queues (queue) AS (
            SELECT min(queue) FROM message
            UNION ALL
            SELECT (SELECT min(queue) FROM message WHERE queue > queues.queue) FROM queues WHERE queue IS NOT NULL)
        DELETE FROM body WHERE id >= ?1 AND id NOT IN (
            SELECT message.id FROM queues CROSS JOIN message
                ON message.queue = queues.queue AND message.id >= ?1
            UNION ALL SELECT id FROM publication WHERE id >= ?1
            UNION ALL SELECT message FROM event WHERE message >= ?1)";
    match oldest {
        Some(oldest) => connection.execute(orphans, [oldest]),
        None => Ok(0),
    }
}

fn id(value: i64) -> u64 {
    u64::try_from(value).unwrap_or_default()
}

fn time(value: i64) -> Time {
    match value {
        i64::MAX => Time::NEVER,
        value => Time(id(value)),
    }
}

fn messages(connection: &Connection, queue: QueueId, after: MessageId, to: MessageId) -> Result<Vec<Stored>> {
    let sql = "SELECT id, sent_at, visible_at, in_flight, receive_count, first_received_at, receipt, message_group, \
               source, cause FROM message WHERE queue = ?1 AND id > ?2 AND id <= ?3 ORDER BY id LIMIT ?4";
    let mut list = connection.prepare_cached(sql)?;
    let range = params![queue.0, number(after.0), number(to.0), MESSAGES_PER_PIECE as i64];
    let rows = list.query_map(range, |row| {
        Ok(Stored {
            message: MessageId(id(row.get(0)?)),
            sent_at: time(row.get(1)?),
            visible_at: time(row.get(2)?),
            in_flight: row.get(3)?,
            receive_count: row.get(4)?,
            first_received_at: row.get::<_, Option<i64>>(5)?.map(time),
            receipt: row.get::<_, Option<i64>>(6)?.map(|receipt| ReceiptId(id(receipt))),
            group: row.get::<_, Option<String>>(7)?.map(Arc::from),
            source: row.get::<_, Option<u32>>(8)?.map(QueueId),
            cause: row.get::<_, Option<i64>>(9)?.map(|cause| InvocationId(id(cause))),
        })
    })?;
    rows.collect()
}

fn keys(connection: &Connection, queue: QueueId) -> Result<Vec<Key>> {
    let sql = "SELECT key, message, until FROM deduplication WHERE queue = ?1 ORDER BY until";
    let mut list = connection.prepare_cached(sql)?;
    let rows = list.query_map([queue.0], |row| {
        Ok(Key {
            key: row.get::<_, String>(0)?.into(),
            message: MessageId(id(row.get(1)?)),
            until: time(row.get(2)?),
        })
    })?;
    rows.collect()
}
