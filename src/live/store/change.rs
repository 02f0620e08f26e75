//! The core's changes as statements. Those of one step stand in one transaction, in the order given.

use std::sync::Arc;

use rusqlite::{Connection, Result, params};

use crate::platform::effect::{StoreChange, Stored, StoredEvent};
use crate::platform::ids::{MessageId, QueueId};
use crate::platform::time::Time;

/// SQLite's integers have a sign; [`Time::NEVER`] becomes the last of them.
pub(super) fn time(time: Time) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX)
}

pub(super) fn number(id: u64) -> i64 {
    // Ids count from 1 by ones: no run gets that far.
    i64::try_from(id).unwrap_or(i64::MAX)
}

// tidy: long, because it is one arm a change
pub(super) fn apply(connection: &Connection, change: &StoreChange) -> Result<()> {
    let run = |sql: &str, params: &[&dyn rusqlite::ToSql]| connection.prepare_cached(sql)?.execute(params).map(drop);
    match change {
        StoreChange::Put {
            queue,
            of,
            wrapped,
            stored,
            key,
        } => {
            // An envelope was written before, by the shell.
            let of = of.filter(|_| wrapped.is_none());
            put_new(connection, *queue, of, stored, key.as_ref())
        }
        StoreChange::Moved { from, to, stored } => {
            take(connection, *from, stored.message)?;
            put(connection, *to, stored)
        }
        StoreChange::Received {
            queue,
            message,
            receipt,
            receive_count,
            first_received_at,
            visible_at,
        } => run(
            "UPDATE message SET receipt = ?3, receive_count = ?4, first_received_at = ?5, visible_at = ?6, in_flight = 1 \
             WHERE queue = ?1 AND id = ?2",
            params![
                queue.0,
                number(message.0),
                number(receipt.0),
                receive_count,
                time(*first_received_at),
                time(*visible_at)
            ],
        ),
        StoreChange::Hidden {
            queue,
            message,
            visible_at,
            in_flight,
        } => run(
            "UPDATE message SET visible_at = ?3, in_flight = ?4 WHERE queue = ?1 AND id = ?2",
            params![queue.0, number(message.0), time(*visible_at), in_flight],
        ),
        // A platform that keeps its own lets nothing go.
        StoreChange::LetGo { .. } => Ok(()),
        StoreChange::Gone { queue, message } => {
            let Some(queue) = queue else {
                run("DELETE FROM publication WHERE id = ?1", params![number(message.0)])?;
                // A function that left the manifest may come back for its delivery.
                let sql = "DELETE FROM body WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM event WHERE message = ?1)";
                return run(sql, params![number(message.0)]);
            };
            take(connection, *queue, *message)?;
            run("DELETE FROM body WHERE id = ?1", params![number(message.0)])
        }
        StoreChange::Purged { queue } => {
            run(
                "DELETE FROM body WHERE id IN (SELECT id FROM message WHERE queue = ?1)",
                params![queue.0],
            )?;
            run("DELETE FROM message WHERE queue = ?1", params![queue.0])
        }
        StoreChange::FannedOut { message } => run("DELETE FROM publication WHERE id = ?1", params![number(message.0)]),
        StoreChange::Event(event) => put_event(connection, event),
        StoreChange::EventDone { first } => run("DELETE FROM event WHERE id = ?1", params![number(first.0)]),
        // The shell sends a message instead, whose own changes follow.
        StoreChange::Destination { .. } => Ok(()),
    }
}

pub(super) fn put(connection: &Connection, queue: QueueId, stored: &Stored) -> Result<()> {
    let sql = "INSERT OR REPLACE INTO message (queue, id, sent_at, visible_at, in_flight, receive_count, \
               first_received_at, receipt, message_group, source, cause) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
    connection.prepare_cached(sql)?.execute(params![
        queue.0,
        number(stored.message.0),
        time(stored.sent_at),
        time(stored.visible_at),
        stored.in_flight,
        stored.receive_count,
        stored.first_received_at.map(time),
        stored.receipt.map(|receipt| number(receipt.0)),
        stored.group.as_deref(),
        stored.source.map(|source| source.0),
        stored.cause.map(|cause| number(cause.0)),
    ])?;
    Ok(())
}

/// A message that was nowhere before, with a copy of the body of `of` if it has not its own.
fn put_new(
    connection: &Connection,
    queue: QueueId,
    of: Option<MessageId>,
    stored: &Stored,
    key: Option<&(Arc<str>, Time)>,
) -> Result<()> {
    put(connection, queue, stored)?;
    if let Some(of) = of {
        copy_body(connection, of, stored.message)?;
    }
    if let Some((key, until)) = key {
        forget_some_keys(connection, stored.sent_at)?;
        let sql = "INSERT OR REPLACE INTO deduplication (queue, key, message, until) VALUES (?1, ?2, ?3, ?4)";
        connection
            .prepare_cached(sql)?
            .execute(params![queue.0, &**key, number(stored.message.0), time(*until)])?;
    }
    Ok(())
}

/// More than one for each that comes: what there is too much of becomes less.
const KEYS_FORGOTTEN: i64 = 4;

fn forget_some_keys(connection: &Connection, now: Time) -> Result<()> {
    let sql = "DELETE FROM deduplication WHERE (queue, key) IN \
               (SELECT queue, key FROM deduplication WHERE until <= ?1 ORDER BY until LIMIT ?2)";
    connection
        .prepare_cached(sql)?
        .execute(params![time(now), KEYS_FORGOTTEN])?;
    Ok(())
}

fn take(connection: &Connection, queue: QueueId, message: MessageId) -> Result<()> {
    let sql = "DELETE FROM message WHERE queue = ?1 AND id = ?2";
    connection
        .prepare_cached(sql)?
        .execute(params![queue.0, number(message.0)])?;
    Ok(())
}

fn copy_body(connection: &Connection, of: MessageId, to: MessageId) -> Result<()> {
    let sql = "INSERT OR REPLACE INTO body (id, body, content_type, attributes) \
               SELECT ?2, body, content_type, attributes FROM body WHERE id = ?1";
    connection
        .prepare_cached(sql)?
        .execute(params![number(of.0), number(to.0)])?;
    Ok(())
}

/// Its payload, if it has one, was written when it was accepted, and stays.
fn put_event(connection: &Connection, event: &StoredEvent) -> Result<()> {
    let sql = "INSERT INTO event (id, function, topic, message, accepted_at, attempt, at, cause) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) \
               ON CONFLICT (id) DO UPDATE SET attempt = ?6, at = ?7, cause = ?8";
    let (topic, message) = event.topic.unzip();
    connection.prepare_cached(sql)?.execute(params![
        number(event.first.0),
        event.function.0,
        topic.map(|topic| topic.0),
        message.map(|message| number(message.0)),
        time(event.accepted_at),
        event.attempt,
        time(event.at),
        event.cause.map(|cause| number(cause.0)),
    ])?;
    Ok(())
}
