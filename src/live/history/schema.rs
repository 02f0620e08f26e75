//! The tables of the history. README's "History" describes them: a user may open the file.

use std::path::Path;

use anyhow::Context as _;
use rusqlite::{Connection, OpenFlags};

/// In the folder of the state.
const DATABASE: &str = "history.db";

/// Raised with every change of the tables; the history of another version is put aside.
const VERSION: i64 = 1;

const TABLES: &str = "
    CREATE TABLE event (
        seq INTEGER PRIMARY KEY, time TEXT NOT NULL, kind TEXT NOT NULL, function TEXT,
        id TEXT, cause TEXT, via TEXT, first_attempt TEXT, data TEXT NOT NULL);
    CREATE INDEX event_id ON event (id) WHERE id IS NOT NULL;
    CREATE INDEX event_cause ON event (cause) WHERE cause IS NOT NULL;
    CREATE INDEX event_via ON event (via) WHERE via IS NOT NULL;
    CREATE INDEX event_first ON event (first_attempt) WHERE first_attempt IS NOT NULL;
    CREATE INDEX event_function ON event (function, kind, seq) WHERE kind = 'invocation';
    CREATE TABLE folded (
        seq INTEGER PRIMARY KEY, time TEXT NOT NULL, what TEXT NOT NULL, function TEXT, count INTEGER NOT NULL,
        failed INTEGER, duration_ms REAL, billed_ms INTEGER, cost REAL);
    CREATE VIEW invocations AS
        SELECT seq, time, id, function, data ->> 'version' AS version, data ->> 'trigger' AS trigger,
               data ->> 'summary' AS summary, data ->> 'outcome' AS outcome, data ->> 'status' AS status,
               data ->> 'cold' AS cold, data ->> 'duration_ms' AS duration_ms, data ->> 'init_ms' AS init_ms,
               data ->> 'modelled_init_ms' AS modelled_init_ms, data ->> 'billed_ms' AS billed_ms,
               data ->> 'max_memory_mb' AS max_memory_mb, data ->> 'cost' AS cost, data ->> 'attempt' AS attempt,
               cause, data ->> '$.error.message' AS error
        FROM event WHERE kind = 'invocation';
    CREATE VIEW logs AS
        SELECT seq, time, function, id AS invocation, data ->> 'stream' AS stream, data ->> 'text' AS text
        FROM event WHERE kind = 'log';
    CREATE VIEW messages AS
        SELECT seq, time, id, data ->> 'queue' AS queue, data ->> 'topic' AS topic, data ->> 'change' AS change,
               data ->> 'detail' AS detail, cause AS invocation, via AS copy_of
        FROM event WHERE kind = 'message';
";

/// Made where they are not there yet: emu of before kept none of it, and its history stays good.
const LATER_TABLES: &str = "
    CREATE TABLE IF NOT EXISTS exchange (
        seq INTEGER PRIMARY KEY, id TEXT NOT NULL, time TEXT NOT NULL, bytes INTEGER NOT NULL, data TEXT NOT NULL);
    CREATE INDEX IF NOT EXISTS exchange_id ON exchange (id);
    CREATE INDEX IF NOT EXISTS exchange_time ON exchange (time, seq, bytes);
";

/// Opens the database, and makes its tables when it is new. No folder: in memory. `tell` hears when one that is of no use
/// was put aside.
pub(super) fn open(folder: Option<&Path>, tell: &dyn Fn(String)) -> anyhow::Result<Connection> {
    let Some(folder) = folder else {
        let connection = Connection::open_in_memory()?;
        make(&connection)?;
        return Ok(connection);
    };
    let path = folder.join(DATABASE);
    let opened = prepare(&path);
    let connection = match opened {
        Ok(Some(connection)) => connection,
        // Not ours to read, or broken: it is kept for whoever wants to look at it.
        Ok(None) | Err(_) => {
            put_aside(folder)?;
            tell(format!(
                "{} is no history that this emu can read: it is {DATABASE}.old now, and a new one begins",
                path.display()
            ));
            prepare(&path)
                .and_then(|connection| connection.ok_or(rusqlite::Error::InvalidQuery))
                .with_context(|| format!("cannot open {}", path.display()))?
        }
    };
    Ok(connection)
}

/// `None`: another version of emu made it.
fn prepare(path: &Path) -> rusqlite::Result<Option<Connection>> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    // Before anything is written: it reads the file, and so finds out whether it is a database.
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    match version {
        0 => make(&connection)?,
        VERSION => {
            settle(&connection)?;
            connection.execute_batch(LATER_TABLES)?;
        }
        _ => return Ok(None),
    }
    Ok(Some(connection))
}

fn make(connection: &Connection) -> rusqlite::Result<()> {
    settle(connection)?;
    connection.execute_batch(&format!(
        "BEGIN; {TABLES} {LATER_TABLES} PRAGMA user_version = {VERSION}; COMMIT;"
    ))
}

fn settle(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "synchronous", "off")?;
    // KiB, negative by SQLite's convention.
    connection.pragma_update(None, "cache_size", -2_048)
}

fn put_aside(folder: &Path) -> anyhow::Result<()> {
    let from = folder.join(DATABASE);
    let to = folder.join(format!("{DATABASE}.old"));
    std::fs::rename(&from, &to).with_context(|| format!("cannot rename {} to {}", from.display(), to.display()))?;
    for end in ["-wal", "-shm"] {
        // They are of no use without it, and mostly not there.
        let _ = std::fs::remove_file(folder.join(format!("{DATABASE}{end}")));
    }
    Ok(())
}

/// Opens the history of a folder to read it, whoever else has it open. `None`: there is none that this emu can read.
pub fn look(folder: &Path) -> Option<Connection> {
    let connection = Connection::open_with_flags(folder.join(DATABASE), OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
    let version: i64 = connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .ok()?;
    (version == VERSION).then_some(connection)
}
