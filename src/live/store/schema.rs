//! The tables. README's "State" describes them: a user may open the file.

use std::path::Path;

use anyhow::{Context as _, bail};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{Durability, Identity, Kind};

/// Raised with every change of the tables; an older database is brought up to it, a newer one refused.
pub(super) const VERSION: i64 = 2;

/// Ids of one run. Far more than a run uses, few enough that the public form holds sixty thousand runs.
pub(super) const IDS_PER_RUN: u64 = 1 << 32;

const PAGE_BYTES: i64 = 4096;
/// Beyond it sends are refused as on a full disk.
const BYTES_MAX: i64 = 16 << 30;
const MEMORY_BYTES_MAX: i64 = 1 << 30;

const TABLES: &str = "
    CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE name (kind TEXT, id INTEGER, name TEXT NOT NULL, PRIMARY KEY (kind, id)) WITHOUT ROWID;
    CREATE TABLE message (
        queue INTEGER, id INTEGER,
        sent_at INTEGER NOT NULL, visible_at INTEGER NOT NULL, in_flight INTEGER NOT NULL,
        receive_count INTEGER NOT NULL, first_received_at INTEGER, receipt INTEGER,
        message_group TEXT, source INTEGER, cause INTEGER,
        PRIMARY KEY (queue, id)) WITHOUT ROWID;
    CREATE TABLE body (id INTEGER PRIMARY KEY, body BLOB NOT NULL, content_type TEXT, attributes TEXT);
    CREATE TABLE deduplication (
        queue INTEGER, key TEXT, message INTEGER NOT NULL, until INTEGER NOT NULL,
        PRIMARY KEY (queue, key)) WITHOUT ROWID;
    CREATE TABLE publication (id INTEGER PRIMARY KEY, topic INTEGER NOT NULL, cause INTEGER);
    CREATE TABLE event (
        id INTEGER PRIMARY KEY, function INTEGER NOT NULL, topic INTEGER, message INTEGER,
        accepted_at INTEGER NOT NULL, attempt INTEGER NOT NULL, at INTEGER NOT NULL, cause INTEGER, payload TEXT,
        trace TEXT);
    CREATE INDEX event_message ON event (message) WHERE message IS NOT NULL;
    CREATE TABLE kv (
        store TEXT, key TEXT, value BLOB NOT NULL, metadata TEXT, expires_at INTEGER,
        PRIMARY KEY (store, key)) WITHOUT ROWID;
    CREATE VIEW messages AS
        SELECT name.name AS queue, message.id, datetime(sent_at / 1000000000, 'unixepoch') AS sent_at,
               datetime(visible_at / 1000000000, 'unixepoch') AS visible_at, in_flight, receive_count, message_group,
               (SELECT name FROM name WHERE kind = 'queue' AND id = message.source) AS source,
               content_type, attributes, CAST(body AS TEXT) AS body
        FROM message JOIN body USING (id) JOIN name ON name.kind = 'queue' AND name.id = message.queue;
";

/// From each version to the next, from 1 on.
const UPGRADES: [&str; 1] = ["ALTER TABLE event ADD COLUMN trace TEXT;"];

/// Opens the database, and makes its tables when it is new. No path: in memory.
pub(super) fn open(path: Option<&Path>, durability: Durability) -> anyhow::Result<Connection> {
    let shown = path.unwrap_or(Path::new("memory")).display();
    let connection = match path {
        Some(path) => Connection::open(path),
        None => Connection::open_in_memory(),
    };
    let connection = connection.with_context(|| format!("cannot open the state in {shown}"))?;
    prepare(&connection, path.is_some(), durability).with_context(|| {
        format!("the state in {shown} cannot be used; move it away to begin anew, or run with --ephemeral")
    })?;
    Ok(connection)
}

fn prepare(connection: &Connection, on_disk: bool, durability: Durability) -> anyhow::Result<()> {
    connection.set_prepared_statement_cache_capacity(64);
    // Somebody may look at it with another tool.
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    // Until there is something to lose: a new database is made without waiting for the disk.
    connection.pragma_update(None, "synchronous", "off")?;
    if on_disk {
        connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    }
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match version {
        0 => make_tables(connection)?,
        VERSION => {}
        1..VERSION => upgrade(connection, version)?,
        _ => bail!("version {version} of its tables is not this emu's, {VERSION}"),
    }
    // What an emu of before has made has it not. Without it all goes on, but slower.
    let index = "CREATE INDEX IF NOT EXISTS deduplication_until ON deduplication (until)";
    match connection.execute_batch(index) {
        Err(error) if !super::thread::is_full(&error) => return Err(error.into()),
        _ => {}
    }
    let bytes_max = if on_disk { BYTES_MAX } else { MEMORY_BYTES_MAX };
    connection.pragma_update_and_check(None, "max_page_count", bytes_max / PAGE_BYTES, |_| Ok(()))?;
    // KiB, negative by SQLite's convention.
    connection.pragma_update(None, "cache_size", -8_192)?;
    let level = match durability {
        Durability::Normal => "normal",
        Durability::Full => "full",
    };
    connection.pragma_update(None, "synchronous", level)?;
    Ok(())
}

/// In a new database.
pub(super) fn make_tables(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(&format!("BEGIN; {TABLES} PRAGMA user_version = {VERSION}; COMMIT;"))
}

/// All the way or not at all.
fn upgrade(connection: &Connection, version: i64) -> rusqlite::Result<()> {
    let missing = usize::try_from(version - 1).unwrap_or_default();
    let statements = UPGRADES[missing.min(UPGRADES.len())..].concat();
    let upgraded = connection.execute_batch(&format!("BEGIN; {statements} PRAGMA user_version = {VERSION}; COMMIT;"));
    if upgraded.is_err() && !connection.is_autocommit() {
        connection.execute_batch("ROLLBACK")?;
    }
    upgraded
}

/// The highest id that rows of `database` (`main`, or one that is attached) have.
pub(super) fn highest(connection: &Connection, database: &str) -> rusqlite::Result<u64> {
    let sql = format!(
        "SELECT max(ifnull((SELECT max(id) FROM {database}.body), 0), ifnull((SELECT max(id) FROM {database}.event), 0))"
    );
    connection.query_row(&sql, [], |row| Ok(row.get::<_, i64>(0)? as u64))
}

/// In the order of their numbers from 0.
pub(super) fn names(connection: &Connection) -> rusqlite::Result<Vec<(Kind, String)>> {
    let mut names = connection.prepare("SELECT kind, name FROM name ORDER BY kind, id")?;
    let names = names.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    let names = names.collect::<Result<Vec<_>, _>>()?;
    let kinds = |kind: &str| {
        [Kind::Function, Kind::Queue, Kind::Topic]
            .into_iter()
            .find(|known| known.word() == kind)
    };
    let names = names.into_iter().filter_map(|(kind, name)| Some((kinds(&kind)?, name)));
    Ok(names.collect())
}

/// Reads who this database is, and takes the ids of this run.
pub(super) fn identity(connection: &Connection, head: u64) -> anyhow::Result<Identity> {
    let head = match meta(connection, "head")? {
        Some(head) => head as u64,
        None => head,
    };
    let reserved = meta(connection, "ids")?.unwrap_or(0) as u64;
    // A run that used more than its share must not meet its own messages again.
    let ids_from = reserved.max(highest(connection, "main")?);
    let mut set = connection.prepare("INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)")?;
    let took = connection.execute_batch("BEGIN").and_then(|()| {
        set.execute(params!["head", head as i64])?;
        set.execute(params!["ids", (ids_from + IDS_PER_RUN) as i64])?;
        super::wall::settle(connection)?;
        connection.execute_batch("COMMIT")
    });
    if let Err(error) = took {
        // On a full disk the state can still be read and drained; what is left of the last run's ids has to do.
        let _ = connection.execute_batch("ROLLBACK");
        if !super::thread::is_full(&error) {
            return Err(error.into());
        }
    }
    Ok(Identity {
        ids_from,
        head,
        names: names(connection)?,
    })
}

pub(super) fn meta(connection: &Connection, key: &str) -> rusqlite::Result<Option<i64>> {
    let mut get = connection.prepare("SELECT value FROM meta WHERE key = ?1")?;
    get.query_row([key], |row| row.get(0)).optional()
}

impl Kind {
    pub(super) fn word(self) -> &'static str {
        match self {
            Kind::Function => "function",
            Kind::Queue => "queue",
            Kind::Topic => "topic",
        }
    }
}
