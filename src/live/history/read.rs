//! Questions to the past.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, Row, params_from_iter};

use crate::live::api;
use crate::live::exchange::Kept;
use crate::report::event::{Event, Stamped};

/// Which events.
#[derive(Clone, Debug, Default)]
pub struct Query {
    pub function: Option<String>,
    /// Not before this instant, as the events write it.
    pub since: Option<String>,
    /// Only these kinds; none: all.
    pub kinds: Vec<String>,
    /// The newest of them, at most.
    pub limit: u32,
}

/// The newest events, oldest first.
///
/// # Errors
/// Those of the database.
pub fn events(connection: &Connection, query: &Query) -> rusqlite::Result<Vec<Stamped>> {
    let mut sql = "SELECT time, data FROM event WHERE true".to_owned();
    let mut values: Vec<Value> = Vec::new();
    narrow(&mut sql, &mut values, query);
    if !query.kinds.is_empty() {
        let marks = vec!["?"; query.kinds.len()].join(", ");
        sql.push_str(&format!(" AND kind IN ({marks})"));
        values.extend(query.kinds.iter().cloned().map(Value::Text));
    }
    sql.push_str(" ORDER BY seq DESC LIMIT ?");
    values.push(Value::Integer(query.limit.into()));
    let mut found = collect(connection, &sql, values)?;
    found.reverse();
    Ok(found)
}

fn narrow(sql: &mut String, values: &mut Vec<Value>, query: &Query) {
    if let Some(function) = &query.function {
        sql.push_str(" AND function = ?");
        values.push(Value::Text(function.clone()));
    }
    if let Some(since) = &query.since {
        sql.push_str(" AND time >= ?");
        values.push(Value::Text(since.clone()));
    }
}

/// The newest invocations, newest first.
///
/// # Errors
/// Those of the database.
pub fn invocations(connection: &Connection, query: &Query) -> rusqlite::Result<Vec<api::Listed>> {
    let mut sql = "SELECT time, data FROM event WHERE kind = 'invocation'".to_owned();
    let mut values: Vec<Value> = Vec::new();
    narrow(&mut sql, &mut values, query);
    sql.push_str(" ORDER BY seq DESC LIMIT ?");
    values.push(Value::Integer(query.limit.into()));
    let found = collect(connection, &sql, values)?;
    Ok(found.into_iter().filter_map(listed).collect())
}

fn listed(stamped: Stamped) -> Option<api::Listed> {
    match stamped.event {
        Event::Invocation(invocation) => Some(api::Listed {
            time: stamped.time,
            invocation,
        }),
        _ => None,
    }
}

/// One invocation with what it wrote.
///
/// # Errors
/// Those of the database.
pub fn invocation(connection: &Connection, id: &str) -> rusqlite::Result<Option<api::InvocationDetail>> {
    let mut find = connection.prepare_cached("SELECT time, data FROM event WHERE id = ?1 AND kind = 'invocation'")?;
    let found = find.query_row([id], stamped).optional()?.flatten();
    let Some(listed) = found.and_then(listed) else {
        return Ok(None);
    };
    let log = log(connection, id)?;
    let line = |stamped: Stamped| match stamped.event {
        Event::Log(log) => Some(api::LogLine {
            stream: log.stream,
            text: log.text,
        }),
        _ => None,
    };
    let mut found = api::InvocationDetail {
        time: listed.time,
        invocation: listed.invocation,
        log: log.into_iter().filter_map(line).collect(),
        log_dropped: 0,
        response: None,
        outbound: Vec::new(),
        request: None,
        not_kept: None,
    };
    found.keep(exchange(connection, id)?);
    Ok(Some(found))
}

/// What an invocation was given and answered, where it is kept.
///
/// # Errors
/// Those of the database.
pub fn exchange(connection: &Connection, id: &str) -> rusqlite::Result<Option<Kept>> {
    if !connection.table_exists(None, "exchange")? {
        // Read only, and of an emu that kept none.
        return Ok(None);
    }
    let mut find = connection.prepare_cached("SELECT data FROM exchange WHERE id = ?1 ORDER BY seq DESC LIMIT 1")?;
    let found: Option<String> = find.query_row([id], |row| row.get(0)).optional()?;
    Ok(found.and_then(|data| serde_json::from_str(&data).ok()))
}

/// The lines and the ends of the newest invocations, each invocation's lines before its end.
///
/// # Errors
/// Those of the database.
pub fn logs(connection: &Connection, query: &Query) -> rusqlite::Result<Vec<Stamped>> {
    let mut all = Vec::new();
    for row in invocations(connection, query)?.into_iter().rev() {
        all.extend(log(connection, &row.invocation.id)?);
        all.push(Stamped {
            time: row.time,
            event: Event::Invocation(row.invocation),
        });
    }
    Ok(all)
}

fn log(connection: &Connection, id: &str) -> rusqlite::Result<Vec<Stamped>> {
    collect(
        connection,
        "SELECT time, data FROM event WHERE id = ? AND kind = 'log' ORDER BY seq",
        vec![Value::Text(id.to_owned())],
    )
}

/// Events by a query that gives `time, data`.
fn collect(connection: &Connection, sql: &str, values: Vec<Value>) -> rusqlite::Result<Vec<Stamped>> {
    let mut find = connection.prepare_cached(sql)?;
    let rows = find.query_map(params_from_iter(values), stamped)?;
    rows.filter_map(Result::transpose).collect()
}

/// `None`: an event that only another version of emu knows.
fn stamped(row: &Row<'_>) -> rusqlite::Result<Option<Stamped>> {
    let (time, data): (String, String) = (row.get(0)?, row.get(1)?);
    let event = serde_json::from_str::<Event>(&data).ok();
    Ok(event.map(|event| Stamped { time, event }))
}
