//! The whole state as a file of its own, and back. A snapshot is a database with the tables of the state and nothing
//! else, so it can be opened as the state can.
//!
//! A message that comes back keeps its id if this database named it; what another one named is named anew, so that no id
//! ever means two things. Receipts do not come back.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, OpenFlags, Result, params};
use tokio::sync::oneshot;

use super::schema::{self, IDS_PER_RUN};
use super::thread::{Class, Op, transaction};
use super::{Kind, Store, StoreError};

/// What a snapshot holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    pub names: Vec<(Kind, String)>,
    /// In queues and on their way from a topic.
    pub messages: u64,
    /// Asynchronous invocations and topic deliveries.
    pub events: u64,
    pub keys: u64,
}

/// Tables that a snapshot has as the state has them; `meta` and `name` come beside.
const TABLES: [&str; 6] = ["message", "body", "deduplication", "publication", "event", "kv"];

impl Store {
    /// Whether all that the core has decided is written, so that a snapshot has it.
    ///
    /// # Errors
    /// When the disk is full or has failed.
    pub async fn settled(&self) -> std::result::Result<(), StoreError> {
        self.alone(|_| Ok(())).await
    }

    /// Writes the state, as it is when all that came before has been written, into a new file.
    ///
    /// # Errors
    /// When there is no room for it.
    pub async fn save(&self, path: &Path) -> std::result::Result<(), StoreError> {
        let path = path.to_owned();
        self.alone(move |connection| save(connection, &path)).await
    }

    /// Puts a snapshot in the place of the state, or leaves that as it is. In the order of the calls: what was given
    /// before is replaced, what is given after comes on top. Ids of the run must be above the answer, if there is one.
    /// `names`: those of this run.
    pub(in crate::live) fn load(
        &self,
        path: &Path,
        names: Vec<(Kind, u32, String)>,
    ) -> impl Future<Output = std::result::Result<Option<u64>, StoreError>> + use<> {
        let path = path.to_owned();
        self.alone(move |connection| load(connection, &path, &names))
    }

    /// Runs `work` outside of any transaction, with all before it committed. Called at once, not when it is awaited.
    fn alone<T, W>(&self, mut work: W) -> impl Future<Output = std::result::Result<T, StoreError>> + use<T, W>
    where
        T: Send + 'static,
        W: FnMut(&Connection) -> Result<T> + Send + 'static,
    {
        let (sender, answer) = oneshot::channel();
        let result = Arc::new(std::sync::Mutex::new(None));
        let slot = result.clone();
        self.0.push(Op {
            work: Box::new(move |connection| {
                let value = work(connection)?;
                *slot.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(value);
                Ok(())
            }),
            class: Class::Alone,
            // Nobody waits any more: nothing to tell.
            done: Some(Box::new(move |outcome| drop(sender.send(outcome)))),
        });
        async move {
            answer.await.unwrap_or(Err(StoreError::Closed))?;
            let value = result.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
            value.ok_or(StoreError::Closed)
        }
    }
}

/// Whether a file is a snapshot that this emu can load, and what it holds. Reads all of it.
///
/// # Errors
/// Why it is none, as a fragment that follows its name.
pub fn check(path: &Path) -> std::result::Result<Contents, String> {
    let contents = look(path)?;
    let connection = reader(path).map_err(|error| error.to_string())?;
    let whole: Result<String> = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0));
    match whole {
        Ok(verdict) if verdict == "ok" => Ok(contents),
        Ok(verdict) => Err(format!("is damaged: {verdict}")),
        Err(error) => Err(format!("is damaged: {error}")),
    }
}

/// As [`check`] without reading all of it.
///
/// # Errors
/// As [`check`].
pub fn look(path: &Path) -> std::result::Result<Contents, String> {
    let read = || -> Result<(i64, Contents)> {
        let connection = reader(path)?;
        let version = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let count = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
        let contents = Contents {
            names: schema::names(&connection)?,
            messages: count("SELECT (SELECT count(*) FROM message) + (SELECT count(*) FROM publication)")? as u64,
            events: count("SELECT count(*) FROM event")? as u64,
            keys: count("SELECT count(*) FROM kv")? as u64,
        };
        Ok((version, contents))
    };
    match read() {
        Ok((version, _)) if version > schema::VERSION => Err(format!(
            "was made by a newer emu: version {version} of its tables, this emu knows {}",
            schema::VERSION
        )),
        Ok((_, contents)) => Ok(contents),
        Err(error) => Err(format!("is no snapshot of emu: {error}")),
    }
}

fn reader(path: &Path) -> Result<Connection> {
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

/// Writes the state of `connection`, which is in no transaction, into a file that is empty or not there.
pub fn save(connection: &Connection, path: &Path) -> Result<()> {
    // The tables are made by themselves: their statements name no database.
    let new = Connection::open(path)?;
    new.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;")?;
    schema::make_tables(&new)?;
    drop(new);
    beside(connection, path, || {
        connection.execute_batch("PRAGMA snapshot.journal_mode = OFF; PRAGMA snapshot.synchronous = OFF;")?;
        transaction(connection, || {
            for table in ["meta", "name"].into_iter().chain(TABLES) {
                let columns = columns(connection, "main", table)?.join(", ");
                connection.execute(
                    &format!("INSERT INTO snapshot.{table} ({columns}) SELECT {columns} FROM main.{table}"),
                    [],
                )?;
            }
            Ok(())
        })
    })
}

/// Puts the snapshot at `path` in the place of the state of `connection`, which is in no transaction. Ids of a run that
/// goes on must be above the answer.
pub fn load(connection: &Connection, path: &Path, names: &[(Kind, u32, String)]) -> Result<Option<u64>> {
    beside(connection, path, || {
        transaction(connection, || replace(connection, names))
    })
}

/// With the file attached as `snapshot`.
fn beside<T>(connection: &Connection, path: &Path, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let path = path
        .to_str()
        .ok_or_else(|| rusqlite::Error::InvalidPath(path.to_owned()))?;
    connection.execute("ATTACH ?1 AS snapshot", [path])?;
    let done = work();
    // Statements that name it must not keep it.
    connection.flush_prepared_statement_cache();
    let detached = connection.execute("DETACH snapshot", []);
    let done = done?;
    detached.map(|_| done)
}

/// The columns of a table of `database`.
fn columns(connection: &Connection, database: &str, table: &str) -> Result<Vec<String>> {
    let mut list = connection.prepare("SELECT name FROM pragma_table_info(?1, ?2)")?;
    let names = list.query_map([table, database], |row| row.get::<_, String>(0))?;
    names.collect()
}

fn replace(connection: &Connection, names: &[(Kind, u32, String)]) -> Result<Option<u64>> {
    let (shift, ids) = renamed(connection)?;
    name_alike(connection, names)?;
    for table in TABLES {
        connection.execute(&format!("DELETE FROM main.{table}"), [])?;
    }
    let map = "WITH here (kind, was, is_now) AS MATERIALIZED (SELECT was.kind, was.id, is_now.id FROM snapshot.name was \
               JOIN main.name is_now ON is_now.kind = was.kind AND is_now.name = was.name)";
    // One of before has none.
    let trace = match columns(connection, "snapshot", "event")?
        .iter()
        .any(|name| name == "trace")
    {
        true => "trace",
        false => "NULL",
    };
    let events = format!(
        "INSERT INTO main.event (id, function, topic, message, accepted_at, attempt, at, cause, payload, trace) \
         SELECT e.id + ?1, f.is_now, t.is_now, message + ?1, accepted_at, attempt, at, cause + ?1, payload, {trace} \
         FROM snapshot.event e JOIN here f ON f.kind = 'function' AND f.was = e.function \
         LEFT JOIN here t ON t.kind = 'topic' AND t.was = e.topic"
    );
    let copies = [
        "INSERT INTO main.message (queue, id, sent_at, visible_at, in_flight, receive_count, first_received_at, \
         message_group, source, cause) \
         SELECT q.is_now, m.id + ?1, sent_at, visible_at, in_flight, receive_count, first_received_at, message_group, \
         s.is_now, cause + ?1 FROM snapshot.message m JOIN here q ON q.kind = 'queue' AND q.was = m.queue \
         LEFT JOIN here s ON s.kind = 'queue' AND s.was = m.source",
        "INSERT INTO main.body (id, body, content_type, attributes) \
         SELECT id + ?1, body, content_type, attributes FROM snapshot.body",
        "INSERT INTO main.deduplication (queue, key, message, until) \
         SELECT q.is_now, key, message + ?1, until FROM snapshot.deduplication d \
         JOIN here q ON q.kind = 'queue' AND q.was = d.queue",
        "INSERT INTO main.publication (id, topic, cause) SELECT p.id + ?1, t.is_now, cause + ?1 \
         FROM snapshot.publication p JOIN here t ON t.kind = 'topic' AND t.was = p.topic",
        &events,
        "INSERT INTO main.kv (store, key, value, metadata, expires_at) \
         SELECT store, key, value, metadata, expires_at FROM snapshot.kv WHERE ?1 >= 0",
    ];
    for copy in copies {
        connection.execute(&format!("{map} {copy}"), params![shift as i64])?;
    }
    Ok(ids)
}

/// How far the snapshot's ids are moved, and what new ids must be above from now on, if that is news.
fn renamed(connection: &Connection) -> Result<(u64, Option<u64>)> {
    let meta = |database: &str, key: &str| -> Result<u64> {
        let sql = format!("SELECT ifnull((SELECT value FROM {database}.meta WHERE key = ?1), 0)");
        connection.query_row(&sql, [key], |row| Ok(row.get::<_, i64>(0)? as u64))
    };
    let here = meta("main", "ids")?.max(schema::highest(connection, "main")?);
    let there = schema::highest(connection, "snapshot")?;
    let (shift, ids) = match meta("main", "head")? == meta("snapshot", "head")? {
        // Of this very database: its ids mean the same now.
        true if there <= meta("main", "ids")? => return Ok((0, None)),
        true => (0, here.max(there)),
        false => (here, here + there),
    };
    let sql = "INSERT OR REPLACE INTO main.meta (key, value) VALUES ('ids', ?1)";
    connection.execute(sql, [(ids + IDS_PER_RUN) as i64])?;
    Ok((shift, Some(ids)))
}

/// Gives every name of the snapshot a number here: that which this run has given it, the one it had, or a new one.
fn name_alike(connection: &Connection, names: &[(Kind, u32, String)]) -> Result<()> {
    let mut known: BTreeMap<&str, i64> = BTreeMap::new();
    let mut add = connection.prepare("INSERT OR IGNORE INTO main.name (kind, id, name) VALUES (?1, ?2, ?3)")?;
    for (kind, id, name) in names {
        add.execute(params![kind.word(), id, name])?;
    }
    for kind in [Kind::Function, Kind::Queue, Kind::Topic] {
        let sql = "SELECT ifnull(max(id) + 1, 0) FROM main.name WHERE kind = ?1";
        known.insert(kind.word(), connection.query_row(sql, [kind.word()], |row| row.get(0))?);
    }
    let sql = "SELECT kind, name FROM snapshot.name was WHERE NOT EXISTS \
               (SELECT 1 FROM main.name is_now WHERE is_now.kind = was.kind AND is_now.name = was.name) ORDER BY kind, id";
    let mut missing = connection.prepare(sql)?;
    let missing = missing.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    for row in missing.collect::<Result<Vec<_>>>()? {
        let (kind, name) = row;
        if let Some(next) = known.get_mut(kind.as_str()) {
            add.execute(params![kind, *next, name])?;
            *next += 1;
        }
    }
    Ok(())
}

/// For a folder that no emulator holds.
impl super::Opened {
    /// # Errors
    /// As SQLite has them.
    pub fn save_to(&self, path: &Path) -> Result<()> {
        save(&self.connection, path)
    }

    /// # Errors
    /// As SQLite has them; the state is as it was.
    pub fn load_from(&self, path: &Path) -> Result<()> {
        load(&self.connection, path, &[]).map(drop)
    }
}

#[cfg(test)]
#[path = "snapshot_tests.rs"]
mod tests;
