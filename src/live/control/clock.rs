//! Time: where the clock stands, moving it, and waiting for rest.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};

use crate::live::Server;
use crate::live::api;
use crate::live::clock::{instant, rfc3339};
use crate::live::idle::{NotIdle, Wait};
use crate::live::manual::{ClockError, Control};
use crate::platform::time::Span;
use crate::project::units::parse_span;

use super::{Answer, ApiFailure, bad_request, read};

/// How long GET `/_emu/idle` waits unless it is told.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The longest: a connection that waits longer has been forgotten.
const TIMEOUT_MAX: Span = Span::from_secs(3_600);

/// GET `/_emu/clock`.
pub fn show(server: &Server) -> api::ClockState {
    let clock = Control::new(server.driver.clone());
    api::ClockState {
        clock: clock.name(),
        now: rfc3339(clock.now()),
        next: clock.next().map(rfc3339),
    }
}

fn span(name: &str, text: &str) -> Answer<Span> {
    parse_span(text).map_err(|error| bad_request("bad-time", format!("{name}: {error}")).remedy("for example \"15m\""))
}

/// POST `/_emu/clock`: exactly one of `advance`, `advance_to` and `run_until_idle`.
pub async fn go(server: &Server, body: &Bytes) -> Answer<api::ClockMoved> {
    const REMEDY: &str = r#"send {"advance": "15m"}, {"advance_to": "2026-01-02T00:00:00Z"}, {"run_until_idle": true} or {"run_until_idle": "1d"}"#;
    let asked: api::MoveClock = read(body, REMEDY)?;
    let clock = Control::new(server.driver.clone()).invocations_max(asked.max_invocations);
    let moved = match (&asked.advance, &asked.advance_to, &asked.run_until_idle) {
        (Some(by), None, None) => clock.advance(span("advance", by)?).await,
        (None, Some(to), None) => {
            let to = instant(to).map_err(|error| bad_request("bad-time", format!("advance_to: {error}")))?;
            clock.advance_to(to).await
        }
        (None, None, Some(Value::Bool(true))) => clock.run_until_idle(None).await,
        (None, None, Some(Value::String(bound))) => clock.run_until_idle(Some(span("run_until_idle", bound)?)).await,
        _ => {
            let message = "the clock is moved by one of advance, advance_to and run_until_idle";
            return Err(bad_request("bad-request", message).remedy(REMEDY));
        }
    };
    let moved = moved.map_err(failure)?;
    Ok(api::ClockMoved {
        from: rfc3339(moved.from),
        now: rfc3339(moved.to),
        next: moved.next.map(rfc3339),
        happened: moved.happened,
    })
}

fn failure(error: ClockError) -> ApiFailure {
    let status = match &error {
        ClockError::Past { .. } => StatusCode::BAD_REQUEST,
        ClockError::Stopped => StatusCode::SERVICE_UNAVAILABLE,
        ClockError::NotManual { .. } | ClockError::TooMuch { .. } | ClockError::Stuck { .. } => StatusCode::CONFLICT,
    };
    ApiFailure::new(status, error.code(), error.to_string())
}

/// GET `/_emu/idle?timeout=5s&before=1m&caused_by=ID`.
pub async fn idle(server: &Server, query: &HashMap<String, String>) -> Answer<Value> {
    let timeout = match query.get("timeout") {
        None => TIMEOUT,
        Some(text) => span("timeout", text)?.min(TIMEOUT_MAX).to_std(),
    };
    let before = query.get("before").map(|text| span("before", text)).transpose()?;
    let wait = Wait {
        timeout,
        before,
        caused_by: query.get("caused_by").cloned(),
    };
    let waited = server.driver.idle(wait).await;
    waited.map_err(|error| {
        let status = match &error {
            NotIdle::TimedOut { .. } => StatusCode::REQUEST_TIMEOUT,
            NotIdle::Stopped { .. } | NotIdle::Shared(_) => StatusCode::CONFLICT,
            NotIdle::Closed => StatusCode::SERVICE_UNAVAILABLE,
            NotIdle::Unknown(_) => StatusCode::BAD_REQUEST,
        };
        let failure = ApiFailure::new(status, error.code(), error.to_string());
        match &error {
            NotIdle::Stopped { .. } => {
                failure.remedy("emu clock run-until-idle, or POST /_emu/clock {\"run_until_idle\": true}")
            }
            NotIdle::Shared(_) => failure.remedy("wait for the whole group, without caused_by"),
            _ => failure,
        }
    })?;
    Ok(json!({ "idle": true, "now": rfc3339(server.driver.now()) }))
}
