//! What came from outside in a stretch of time, for a test file: requests, messages, events and crons fired by hand.

use rusqlite::{Connection, params};

use crate::live::api::{KeptOutbound, RecordedStep, Recording};
use crate::live::clock::instant;
use crate::live::exchange::Kept;
use crate::report::event::Invocation;

/// Rows that are looked at.
const ROWS_MAX: u32 = 20_000;
/// Steps of a file.
pub const STEPS_MAX: usize = 1_000;

/// Which of them.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Not before this instant, as events write it.
    pub since: Option<String>,
    pub function: Option<String>,
    /// Queues and topics that the function reads, whose messages are its own.
    pub reads: Vec<String>,
    /// Only these invocations.
    pub ids: Vec<String>,
    /// The newest of them, at most.
    pub last: usize,
}

impl Wanted {
    fn has(&self, step: &RecordedStep, handed: &[String]) -> bool {
        let of_function = match (&self.function, &step.function) {
            (None, _) => true,
            (Some(wanted), Some(function)) => wanted == function,
            (Some(_), None) => step.request.name.as_ref().is_some_and(|name| self.reads.contains(name)),
        };
        let of_ids = self.ids.is_empty() || self.ids.contains(&step.id) || handed.contains(&step.id);
        of_function && of_ids
    }
}

/// The newest of what came from outside, oldest first.
///
/// # Errors
/// Those of the database.
pub fn recorded(connection: &Connection, wanted: &Wanted) -> rusqlite::Result<Recording> {
    let mut recording = Recording::default();
    if !connection.table_exists(None, "exchange")? {
        return Ok(recording);
    }
    let since = wanted.since.as_deref().unwrap_or_default();
    let mut find = connection.prepare_cached(
        "SELECT exchange.id, exchange.time, exchange.data, event.time, event.data FROM exchange
         LEFT JOIN event ON event.id = exchange.id AND event.kind = 'invocation'
         WHERE exchange.time >= ?1 ORDER BY exchange.time DESC, exchange.seq DESC LIMIT ?2",
    )?;
    let rows = find.query_map(params![since, ROWS_MAX], row)?;
    let mut outbound: Vec<(String, KeptOutbound)> = Vec::new();
    // Messages of the invocations that are asked for, which come before them.
    let mut handed: Vec<String> = Vec::new();
    for row in rows {
        let Some(Row { step, calls, is_root }) = row? else {
            continue;
        };
        let is_full = recording.steps.len() == wanted.last.min(STEPS_MAX);
        if is_full && recording.steps.last().is_some_and(|oldest| step.time < oldest.time) {
            // Older ones are neither steps nor of their time.
            break;
        }
        outbound.extend(calls.into_iter().rev().map(|call| (step.time.clone(), call)));
        if wanted.ids.contains(&step.id) {
            handed.extend(step.request.messages.iter().map(|message| message.id.clone()));
        }
        if is_root && !is_full && wanted.has(&step, &handed) {
            recording.steps.push(step);
        }
    }
    recording.steps.reverse();
    let Some(first) = recording.steps.first() else {
        return Ok(recording);
    };
    recording.from = first.time.clone();
    outbound.retain(|(time, _)| *time >= recording.from);
    outbound.reverse();
    recording.outbound = outbound.into_iter().map(|(_, call)| call).collect();
    (recording.to, recording.left_out) = rest(connection, &recording.from)?;
    Ok(recording)
}

struct Row {
    step: RecordedStep,
    calls: Vec<KeptOutbound>,
    is_root: bool,
}

/// `None`: what only another version of emu knows.
fn row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Option<Row>> {
    let (id, time, data): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
    let (ended, invocation): (Option<String>, Option<String>) = (row.get(3)?, row.get(4)?);
    let Ok(kept) = serde_json::from_str::<Kept>(&data) else {
        return Ok(None);
    };
    let invocation = invocation.and_then(|data| serde_json::from_str::<Invocation>(&data).ok());
    let is_root = match (kept.request.kind.as_str(), &invocation) {
        ("send" | "publish", _) => true,
        ("http", Some(one)) => one.cause.is_none(),
        ("event", Some(one)) => one.cause.is_none() && one.attempt == 1,
        ("cron", Some(_)) => kept.request.by_hand,
        _ => false,
    };
    let step = RecordedStep {
        id,
        ended: ended.unwrap_or_else(|| time.clone()),
        time,
        function: invocation.as_ref().map(|one| one.function.clone()),
        status: invocation.as_ref().and_then(|one| one.status),
        outcome: invocation.map(|one| one.outcome),
        request: kept.request,
        response: kept.response,
    };
    Ok(Some(Row {
        step,
        calls: kept.outbound,
        is_root,
    }))
}

/// When the last of what came of it had ended, and of how many requests nothing is kept.
fn rest(connection: &Connection, from: &str) -> rusqlite::Result<(String, u64)> {
    let last = "SELECT ifnull(max(time), ?1) FROM event WHERE kind = 'invocation' AND time >= ?1";
    let to = connection.query_row(last, [from], |row| row.get(0))?;
    let missing = "SELECT count(*) FROM event WHERE kind = 'invocation' AND time >= ?1 AND cause IS NULL
         AND data ->> 'trigger' = 'http' AND data ->> 'instance' IS NOT NULL
         AND NOT EXISTS (SELECT 1 FROM exchange WHERE exchange.id = event.id)";
    let missing: i64 = connection.query_row(missing, [from], |row| row.get(0))?;
    Ok((to, missing.unsigned_abs()))
}

/// Milliseconds from one instant to another, as events write them; 0 when it is not later.
pub fn millis_between(from: &str, to: &str) -> u64 {
    match (instant(from), instant(to)) {
        (Ok(from), Ok(to)) => to.0.saturating_sub(from.0) / 1_000_000,
        _ => 0,
    }
}
