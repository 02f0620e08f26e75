//! Rows into tables, and the oldest out of them.

use rusqlite::{Connection, params};

use super::{Bounds, Row};
use crate::live::clock::rfc3339;
use crate::platform::time::Time;
use crate::report::event::{Event, Stamped};

/// Rows between two looks at the size.
const ROWS_BETWEEN_LOOKS: u64 = 2_000;
/// Bytes of bodies between two looks, as a share of what there may be.
const SHARE_BETWEEN_LOOKS: u64 = 8;
/// Of the rows, when there are too many.
const SHARE_REMOVED: i64 = 8;
const PICODOLLARS: f64 = 1e-12;

pub(super) struct Writer {
    connection: Connection,
    bounds: Bounds,
    seq: i64,
    /// Rows since the size was looked at.
    unseen: u64,
    unseen_bytes: u64,
}

/// What is searched of an event.
#[derive(Default)]
struct Columns<'a> {
    kind: &'static str,
    function: Option<&'a str>,
    id: Option<&'a str>,
    cause: Option<&'a str>,
    /// The message that an invocation was handed, or that a message copies.
    via: Option<&'a str>,
    first_attempt: Option<&'a str>,
}

impl Writer {
    pub fn new(connection: Connection, bounds: Bounds) -> Writer {
        let newest = "SELECT max(ifnull((SELECT max(seq) FROM event), 0), ifnull((SELECT max(seq) FROM folded), 0))";
        // A table that cannot be read shows itself at the first write.
        let seq = connection.query_row(newest, [], |row| row.get(0)).unwrap_or(0);
        Writer {
            connection,
            bounds,
            seq,
            // The first write looks.
            unseen: ROWS_BETWEEN_LOOKS,
            unseen_bytes: 0,
        }
    }

    /// With a copy of the database.
    pub fn go_on(&mut self, copy: Connection) {
        self.connection = copy;
    }

    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// All rows or none.
    pub fn write(&mut self, now: Time, rows: &[Row]) -> rusqlite::Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        self.unseen += rows.len() as u64;
        let transaction = self.connection.unchecked_transaction()?;
        let seq = insert(&transaction, self.seq, rows)?;
        self.unseen_bytes += insert_exchanges(&transaction, rows)?;
        let many_bytes = self.unseen_bytes > self.bounds.bodies_bytes_max / SHARE_BETWEEN_LOOKS;
        if self.unseen >= ROWS_BETWEEN_LOOKS || many_bytes {
            self.unseen = 0;
            self.unseen_bytes = 0;
            remove_old(&transaction, now, &self.bounds)?;
        }
        transaction.commit()?;
        self.seq = seq;
        Ok(())
    }
}

fn insert(connection: &Connection, mut seq: i64, rows: &[Row]) -> rusqlite::Result<i64> {
    let mut event = connection.prepare_cached(
        "INSERT INTO event (seq, time, kind, function, id, cause, via, first_attempt, data)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    let mut folded = connection.prepare_cached(
        "INSERT INTO folded (seq, time, what, function, count, failed, duration_ms, billed_ms, cost)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    for row in rows {
        seq += 1;
        match row {
            Row::Event(stamped) => {
                let Some(data) = data(stamped) else { continue };
                let of = columns(&stamped.event);
                event.execute(params![
                    seq,
                    stamped.time,
                    of.kind,
                    of.function,
                    of.id,
                    of.cause,
                    of.via,
                    of.first_attempt,
                    data,
                ])?;
            }
            Row::Folded(sums) => {
                folded.execute(params![
                    seq,
                    rfc3339(sums.at),
                    "invocation",
                    &*sums.function,
                    sums.count as i64,
                    sums.failed as i64,
                    sums.duration_ms,
                    sums.billed_ms as i64,
                    sums.cost_picodollars as f64 * PICODOLLARS,
                ])?;
            }
            Row::Exchange(..) => {}
            Row::Skipped { at, what, count } => {
                let none = None::<i64>;
                folded.execute(params![
                    seq,
                    rfc3339(*at),
                    what,
                    none,
                    *count as i64,
                    none,
                    none,
                    none,
                    none
                ])?;
            }
        }
    }
    Ok(seq)
}

/// How many bytes they took. One that was forgotten meanwhile is left out.
fn insert_exchanges(connection: &Connection, rows: &[Row]) -> rusqlite::Result<u64> {
    let mut insert =
        connection.prepare_cached("INSERT INTO exchange (id, time, bytes, data) VALUES (?1, ?2, ?3, ?4)")?;
    let mut bytes = 0;
    for row in rows {
        let Row::Exchange(exchange, secrets) = row else {
            continue;
        };
        let Some(kept) = exchange.kept(secrets) else { continue };
        let Ok(data) = serde_json::to_string(&kept) else {
            continue;
        };
        insert.execute(params![exchange.id, rfc3339(exchange.at), data.len() as i64, data])?;
        bytes += data.len() as u64;
    }
    Ok(bytes)
}

/// As `--json` writes it. An event that is not JSON cannot be.
fn data(stamped: &Stamped) -> Option<String> {
    serde_json::to_string(&stamped.event).ok()
}

fn columns(event: &Event) -> Columns<'_> {
    let of = |kind, function| Columns {
        kind,
        function,
        ..Columns::default()
    };
    match event {
        Event::Ready(_) => of("ready", None),
        Event::Notice(_) => of("notice", None),
        Event::Cron(_) => of("cron", None),
        Event::Reload(e) => of("reload", Some(&e.function)),
        Event::Instance(e) => of("instance", Some(&e.function)),
        Event::Throttle(e) => Columns {
            id: e.invocation.as_deref(),
            ..of("throttle", Some(&e.function))
        },
        Event::Log(e) => Columns {
            id: Some(&e.invocation),
            ..of("log", Some(&e.function))
        },
        Event::Invocation(e) => Columns {
            id: Some(&e.id),
            cause: e.cause.as_deref(),
            via: e.message.as_deref(),
            first_attempt: e.first_attempt.as_deref(),
            ..of("invocation", Some(&e.function))
        },
        Event::Message(e) => Columns {
            id: Some(&e.id),
            cause: e.cause.as_deref().or(e.by.as_deref()),
            via: e.of.as_deref(),
            ..of("message", None)
        },
        Event::Retry(e) => Columns {
            id: Some(&e.first_attempt),
            ..of("retry", Some(&e.function))
        },
        Event::Fault(e) => Columns {
            id: e.invocation.as_deref().or(e.message.as_deref()),
            ..of("fault", Some(&e.function))
        },
        Event::GaveUp(e) => Columns {
            id: Some(&e.first_attempt),
            ..of("gave_up", Some(&e.function))
        },
    }
}

fn remove_old(connection: &Connection, now: Time, bounds: &Bounds) -> rusqlite::Result<()> {
    let oldest = rfc3339(Time(now.0.saturating_sub(bounds.age_max.0)));
    for table in ["event", "folded"] {
        // Walks over what is too old, and no further.
        let keep = format!("SELECT seq FROM {table} WHERE time >= ?1 ORDER BY seq LIMIT 1");
        let remove = format!("DELETE FROM {table} WHERE seq < ifnull(({keep}), 9223372036854775807)");
        connection.execute(&remove, [&oldest])?;
    }
    connection.execute("DELETE FROM exchange WHERE time < ?1", [&oldest])?;
    let too_many = "DELETE FROM exchange WHERE seq <= (SELECT max(seq) FROM
         (SELECT seq, sum(bytes) OVER (ORDER BY seq DESC) AS newer FROM exchange) WHERE newer > ?1)";
    connection.execute(too_many, [bounds.bodies_bytes_max as i64])?;
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let used = (pragma("page_count")? - pragma("freelist_count")?) * pragma("page_size")?;
    if used as u64 <= bounds.bytes_max {
        return Ok(());
    }
    for table in ["event", "folded"] {
        let remove = format!(
            "DELETE FROM {table} WHERE seq <=
             (SELECT min(seq) + (max(seq) - min(seq)) / {SHARE_REMOVED} FROM {table})"
        );
        connection.execute(&remove, [])?;
    }
    Ok(())
}
