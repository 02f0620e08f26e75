//! The state's files, and what becomes of them when somebody removes them under a running emulator.

use std::path::Path;

use anyhow::{bail, ensure};
use rusqlite::Connection;

use super::folder::{DATABASE, Held};
use super::{Durability, schema};
use crate::live::removed::{self, Standing};
use crate::report::number::plural;

/// The lock, the database and its log, as they were opened.
pub(super) struct Files {
    held: Held,
    database: Standing,
    log: Standing,
    durability: Durability,
}

impl Files {
    pub fn new(held: Held, durability: Durability) -> Files {
        let path = held.folder.join(DATABASE);
        Files {
            log: Standing::of(removed::beside(&path, "-wal")),
            database: Standing::of(path),
            held,
            durability,
        }
    }

    pub fn folder(&self) -> &Path {
        &self.held.folder
    }

    pub fn stand(&self) -> bool {
        self.held.stands() && self.database.stands() && self.log.stands()
    }

    /// Takes the folder again and writes all that `connection` sees into a new database. The connection to that, and what
    /// it holds, for people.
    ///
    /// # Errors
    /// When the project's folder is gone, another emulator has taken it, or there is no room. The old connection is to be
    /// used on then.
    pub fn put_back(&mut self, connection: &Connection) -> anyhow::Result<(Connection, String)> {
        let folder = self.held.folder.clone();
        if !folder.parent().is_some_and(Path::is_dir) {
            bail!("the folder above it is gone as well");
        }
        let held = match self.held.stands() {
            true => None,
            false => Some(Held::take(&folder)?),
        };
        let found = removed::put_back(connection, &self.database)?;
        let new = schema::open(Some(&self.database.path), self.durability)?;
        let head = |connection: &Connection| schema::meta(connection, "head");
        ensure!(head(&new)? == head(connection)?, "it was removed again");
        let mut holds = holds(&new)?;
        if let Some(found) = found {
            holds.push_str(&format!(" (another one that stood there is {} now)", found.display()));
        }
        if let Some(held) = held {
            self.held = held;
        }
        // Reading has made the log.
        let path = self.database.path.clone();
        self.log = Standing::of(removed::beside(&path, "-wal"));
        self.database = Standing::of(path);
        Ok((new, holds))
    }
}

/// `2 messages, 0 events and 5 keys`
fn holds(connection: &Connection) -> rusqlite::Result<String> {
    let count = |sql: &str| -> rusqlite::Result<u64> {
        let count: i64 = connection.query_row(sql, [], |row| row.get(0))?;
        Ok(count.unsigned_abs())
    };
    Ok(format!(
        "{}, {} and {}",
        plural(
            count("SELECT (SELECT count(*) FROM message) + (SELECT count(*) FROM publication)")?,
            "message",
            "messages"
        ),
        plural(count("SELECT count(*) FROM event")?, "waiting event", "waiting events"),
        plural(count("SELECT count(*) FROM kv")?, "key", "keys"),
    ))
}
