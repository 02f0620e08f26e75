//! What has been: invocations with their logs, all events, and why something happened.

use std::collections::{HashMap, HashSet};

use http::StatusCode;

use crate::live::Server;
use crate::live::api;
use crate::live::clock::{rfc3339, since};
use crate::live::history::{self, Query};
use crate::live::names::PublicIds;
use crate::live::recording::{Draft, Expected};
use crate::report::event::Stamped;

use super::{Answer, ApiFailure, handlers, views};

/// Rows that a list shows unless asked for more.
const LIST_DEFAULT: u32 = 100;
const LIST_MAX: u32 = 10_000;

/// What `kind` may name: the events of the README.
const KINDS: [&str; 12] = [
    "ready",
    "invocation",
    "instance",
    "reload",
    "log",
    "throttle",
    "message",
    "cron",
    "retry",
    "gave_up",
    "fault",
    "notice",
];

/// `function`, `since`, `kind` and `limit` of a query string.
fn query(server: &Server, text: &HashMap<String, String>) -> Answer<Query> {
    let bad =
        |code, message: String, remedy: &str| ApiFailure::new(StatusCode::BAD_REQUEST, code, message).remedy(remedy);
    let limit = match text.get("limit") {
        None => LIST_DEFAULT,
        Some(text) => text.parse().map_err(|_| {
            bad(
                "bad-limit",
                format!("limit is a number, not {text:?}"),
                "for example limit=100",
            )
        })?,
    };
    let since = match text.get("since") {
        None => None,
        Some(text) => Some(since(text, server.driver.now()).map_err(|error| {
            bad(
                "bad-since",
                format!("since: {error}"),
                "give a time span such as 15m, or an instant such as 2026-01-31T12:00:00Z",
            )
        })?),
    };
    let kinds = text.get("kind").map_or("", String::as_str).split(',');
    let kinds: Vec<String> = kinds.filter(|kind| !kind.is_empty()).map(str::to_owned).collect();
    if let Some(unknown) = kinds.iter().find(|kind| !KINDS.contains(&kind.as_str())) {
        let remedy = format!("there are: {}", KINDS.join(", "));
        return Err(bad("bad-kind", format!("no event is called {unknown:?}"), &remedy));
    }
    Ok(Query {
        function: text.get("function").cloned(),
        since,
        kinds,
        limit: limit.min(LIST_MAX),
    })
}

async fn ask<T: Send + 'static>(
    server: &Server,
    question: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<T> + Send + 'static,
) -> Answer<Option<T>> {
    let Some(past) = server.driver.0.hub.past() else {
        return Ok(None);
    };
    past.ask(question).await.transpose().map_err(|error| {
        ApiFailure::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "history-failed",
            format!("the history cannot be read: {error}"),
        )
        .remedy("move .emu/history.db away to begin a new one")
    })
}

/// The newest first: what memory holds, then what only the database has.
pub async fn invocations(server: &Server, text: &HashMap<String, String>) -> Answer<Vec<api::Listed>> {
    let query = query(server, text)?;
    let limit = query.limit as usize;
    let function = match &query.function {
        None => None,
        // One that left the manifest has a past as well.
        Some(name) => match server.driver.names().find_function(name) {
            None => return Err(handlers::entry(server, name).err().unwrap_or_else(|| not_found(name))),
            some => some,
        },
    };
    let since = query.since.clone();
    let mut list: Vec<api::Listed> = server.driver.0.hub.read(|recent, renderer| {
        let found = recent.invocations(function).take(limit);
        let listed = found.map(|(at, done)| api::Listed {
            time: rfc3339(*at),
            invocation: renderer.invocation(done),
        });
        listed
            .take_while(|row| since.as_ref().is_none_or(|since| row.time >= *since))
            .collect()
    });
    if list.len() < limit {
        let known: HashSet<String> = list.iter().map(|row| row.invocation.id.clone()).collect();
        let older = ask(server, move |connection| history::invocations(connection, &query)).await?;
        let older = older.unwrap_or_default().into_iter();
        list.extend(older.filter(|row| !known.contains(&row.invocation.id)));
        list.truncate(limit);
    }
    Ok(list)
}

fn not_found(id: &str) -> ApiFailure {
    ApiFailure::new(
        StatusCode::NOT_FOUND,
        "invocation-not-found",
        format!("no finished invocation {id}"),
    )
    .remedy("it may still run, or be older than the history; GET /_emu/invocations lists what is kept")
}

pub async fn invocation(server: &Server, id: &str) -> Answer<api::InvocationDetail> {
    let ids: PublicIds = server.driver.0.ids;
    let recent = ids
        .parse_invocation(id)
        .and_then(|id| views::invocation(&server.driver, id));
    let wanted = id.to_owned();
    let mut found = match recent {
        None => {
            let older = ask(server, move |connection| history::invocation(connection, &wanted)).await?;
            older.flatten().ok_or_else(|| not_found(id))?
        }
        Some(mut found) => {
            // Memory forgets bodies before it forgets invocations.
            if found.request.is_none() && server.driver.0.exchanges.is_on() {
                let older = ask(server, move |connection| history::exchange(connection, &wanted)).await?;
                found.keep(older.flatten());
            }
            found
        }
    };
    if found.request.is_none() {
        found.not_kept = Some(not_kept(server, &found).to_owned());
    }
    Ok(found)
}

/// Why there is no request, and what to do about it.
fn not_kept(server: &Server, found: &api::InvocationDetail) -> &'static str {
    if found.invocation.instance.is_none() {
        "it never ran, so there is nothing that a function was given"
    } else if !server.driver.0.exchanges.is_on() {
        "requests are not kept in this project: remove max_bodies = \"0MB\" (or max_size) from [history] in emu.toml"
    } else {
        "in a flood not every request is kept, and the oldest go: raise max_bodies under [history] in emu.toml, or send it again"
    }
}

/// Lines and ends of the newest invocations, in the order in which they are read.
pub async fn logs(server: &Server, text: &HashMap<String, String>) -> Answer<Vec<Stamped>> {
    if let Some(name) = text.get("function")
        && server.driver.names().find_function(name).is_none()
    {
        handlers::entry(server, name)?;
    }
    let query = query(server, text)?;
    let found = ask(server, move |connection| history::logs(connection, &query)).await?;
    Ok(found.unwrap_or_default())
}

/// All kinds of events, the newest, oldest first.
pub async fn history(server: &Server, text: &HashMap<String, String>) -> Answer<Vec<Stamped>> {
    let query = query(server, text)?;
    let found = ask(server, move |connection| history::events(connection, &query)).await?;
    Ok(found.unwrap_or_default())
}

/// What came from outside, and a test file of it.
pub async fn recording(server: &Server, text: &HashMap<String, String>) -> Answer<api::Recording> {
    let query = query(server, text)?;
    let reads = match &query.function {
        Some(name) => handlers::entry(server, name)?.function.reads(),
        None => Vec::new(),
    };
    let ids = text.get("ids").map_or("", String::as_str).split(',');
    let wanted = history::Wanted {
        since: query.since,
        function: query.function,
        reads,
        ids: ids.filter(|id| !id.is_empty()).map(str::to_owned).collect(),
        last: match text.contains_key("limit") {
            true => query.limit as usize,
            false => history::STEPS_MAX,
        },
    };
    if !server.driver.0.exchanges.is_on() {
        let message = "requests are not kept in this project";
        return Err(ApiFailure::new(StatusCode::CONFLICT, "requests-not-kept", message)
            .remedy("remove max_bodies = \"0MB\" (or max_size) from [history] in emu.toml, and start emu again"));
    }
    let found = ask(server, move |connection| history::recorded(connection, &wanted)).await?;
    let mut recording = found.unwrap_or_default();
    recording.exact = server.driver.0.clock.manual().is_some();
    let drafted = tokio::task::spawn_blocking(move || {
        recording.file = Draft::new(&recording).text(None, &Expected::Recorded);
        recording
    });
    let failed = |error| {
        ApiFailure::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "draft-failed",
            format!("emu: {error}"),
        )
    };
    drafted.await.map_err(failed)
}

pub async fn why(server: &Server, id: &str) -> Answer<api::Why> {
    let wanted = id.to_owned();
    let found = ask(server, move |connection| history::why(connection, &wanted)).await?;
    found.unwrap_or(Err(history::NoWhy::Unknown)).map_err(|unclear| {
        let (status, code) = match unclear {
            history::NoWhy::Unknown => (StatusCode::NOT_FOUND, "not-in-history"),
            history::NoWhy::Several(_) => (StatusCode::CONFLICT, "several-ids"),
        };
        let (message, remedy) = unclear.explain(id);
        ApiFailure::new(status, code, message).remedy(remedy)
    })
}
