//! Instants that are stored are emu's time. When the machine's clock was set, the next run begins with what it shows now:
//! what is stored moves with it, so that nothing becomes visible early or late.

use rusqlite::{Connection, Result, params};

use super::Store;
use super::thread::{Class, Op};

/// Nanoseconds that the wall clock was ahead of emu's time in the run that wrote last.
const AHEAD: &str = "wall_ahead_ns";

/// Tables and their columns that hold instants.
const INSTANTS: [(&str, &[&str]); 4] = [
    ("message", &["sent_at", "visible_at", "first_received_at"]),
    ("deduplication", &["until"]),
    ("event", &["accepted_at", "at"]),
    ("kv", &["expires_at"]),
];

impl Store {
    /// Remembers how far the wall clock is ahead of emu's time.
    pub(in crate::live) fn follow_wall(&self, ahead_ns: i64) {
        self.0.push(Op {
            work: Box::new(move |connection| remember(connection, ahead_ns)),
            class: Class::Follow,
            done: None,
        });
    }
}

fn remember(connection: &Connection, ahead_ns: i64) -> Result<()> {
    let sql = "INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)";
    connection.prepare_cached(sql)?.execute(params![AHEAD, ahead_ns])?;
    Ok(())
}

/// Moves all that is stored to the time of a run that begins now; inside of a transaction.
pub(super) fn settle(connection: &Connection) -> Result<()> {
    let ahead: i64 = connection.query_row(
        "SELECT ifnull((SELECT value FROM meta WHERE key = ?1), 0)",
        [AHEAD],
        |row| row.get(0),
    )?;
    if ahead == 0 {
        return Ok(());
    }
    for (table, columns) in INSTANTS {
        // What is never stays never.
        let moved = |column: &&str| format!("{column} = iif({column} < {}, {column} + ?1, {column})", i64::MAX);
        let moves: Vec<String> = columns.iter().map(moved).collect();
        connection.execute(&format!("UPDATE {table} SET {}", moves.join(", ")), [ahead])?;
    }
    remember(connection, 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::store::{Durability, Opened, Place};

    #[test]
    fn what_is_stored_moves_with_a_clock_that_was_set() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = Place::Folder(folder.path().to_owned());
        let open = || Opened::open(&place, Durability::Normal, 1).expect("it opens");
        let opened = open();
        opened
            .connection
            .execute_batch(
                "INSERT INTO message (queue, id, sent_at, visible_at, in_flight, receive_count) VALUES (1, 1, 100, 200, 1, 1);
                 INSERT INTO kv (store, key, value, expires_at) VALUES ('s', 'k', x'', 300), ('s', 'n', x'', NULL);
                 INSERT INTO event (id, function, accepted_at, attempt, at) VALUES (1, 1, 10, 1, 9223372036854775807);",
            )
            .expect("rows");
        remember(&opened.connection, -50).expect("written");
        drop(opened);
        for _ in 0..2 {
            let opened = open();
            let one = |sql: &str| {
                let row = |row: &rusqlite::Row<'_>| row.get::<_, Option<i64>>(0);
                opened.connection.query_row(sql, [], row).expect("a row")
            };
            assert_eq!(one("SELECT sent_at FROM message"), Some(50));
            assert_eq!(one("SELECT visible_at FROM message"), Some(150));
            assert_eq!(one("SELECT first_received_at FROM message"), None);
            assert_eq!(one("SELECT expires_at FROM kv WHERE key = 'k'"), Some(250));
            assert_eq!(one("SELECT expires_at FROM kv WHERE key = 'n'"), None);
            assert_eq!(one("SELECT at FROM event"), Some(i64::MAX));
        }
    }
}
