//! What something led to, by the events that are kept.

use rusqlite::Connection;

/// Ids of invocations and messages that come of `id`, it included. What has not ended is known by what it came from only.
///
/// # Errors
/// When the database cannot be read.
pub fn caused(connection: &Connection, id: &str) -> rusqlite::Result<Vec<String>> {
    let mut find = connection.prepare_cached(
        "WITH RECURSIVE caused (id) AS (
             VALUES (?1)
             UNION SELECT event.id FROM event JOIN caused ON event.cause = caused.id
                 WHERE event.id IS NOT NULL AND event.data ->> 'by' IS NULL
             UNION SELECT event.id FROM event JOIN caused ON event.via = caused.id WHERE event.id IS NOT NULL
             UNION SELECT event.id FROM event JOIN caused ON event.first_attempt = caused.id WHERE event.id IS NOT NULL
             UNION SELECT event.data ->> 'by' FROM event JOIN caused ON event.id = caused.id
                 WHERE event.kind = 'message' AND event.data ->> 'by' IS NOT NULL)
         SELECT id FROM caused",
    )?;
    let ids = find.query_map([id], |row| row.get(0))?;
    ids.collect()
}
