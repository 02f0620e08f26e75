//! Queues for consumers outside of the functions: receive, delete, extend, look without taking; and starting anew.

use bytes::Bytes;
use http::StatusCode;

use crate::engine::InMessage;
use crate::live::Server;
use crate::live::api;
use crate::live::clock::rfc3339;
use crate::live::driver::{Driver, Own, lock};
use crate::live::gathered;
use crate::live::keeper::Seen;
use crate::live::state::store_error;
use crate::platform::ids::{QueueId, ReceiptId};
use crate::platform::input::Input;
use crate::platform::time::Span;
use crate::platform::view::queue_state;
use crate::project::units::parse_span;

use super::handlers::{host_failure, missing};
use super::{Answer, ApiFailure, bad_request, read};

/// Messages that one receive or one look returns at the most.
const MESSAGES_MAX: u32 = 1_000;

/// A visibility timeout, which the provider bounds.
fn span(driver: &Driver, text: &str) -> Answer<Span> {
    let span = parse_span(text)
        .map_err(|error| bad_request("bad-time", format!("visibility: {error}")).remedy("for example \"30s\""))?;
    let profile = &driver.table().profile;
    let max = profile.queue.visibility_timeout_max;
    match span > max {
        true => {
            let message = format!("visibility: {span} is longer than {} allows", profile.name);
            Err(bad_request("bad-time", message).remedy(format!("{max} at the most")))
        }
        false => Ok(span),
    }
}

/// A queue of the project, without looking at what it holds.
fn id(driver: &Driver, name: &str) -> Answer<QueueId> {
    let queues = &driver.table().project.queues;
    let found = driver.names().find_queue(name);
    found.filter(|_| queues.contains_key(name)).ok_or_else(|| {
        let known: Vec<String> = queues.keys().cloned().collect();
        missing("queue", "queue-not-found", name, &known)
    })
}

/// POST `/_emu/queues/{name}/receive`: takes messages as a function would; they come back after their visibility
/// timeout unless they are deleted.
pub async fn receive(server: &Server, name: &str, body: &Bytes) -> Answer<Vec<api::Received>> {
    let driver = &server.driver;
    let queue = id(driver, name)?;
    let asked: api::Receive = read(body, r#"send {"max": 10, "visibility": "30s"}"#)?;
    let max = asked.max.unwrap_or(1);
    if max == 0 || max > MESSAGES_MAX {
        let message = format!("max is {max}");
        return Err(bad_request("bad-max", message).remedy("between 1 and 1000"));
    }
    let visibility = asked.visibility.as_deref().map(|text| span(driver, text)).transpose()?;
    let drawn = driver.draw(queue, max).await;
    drawn.map_err(|error| host_failure(store_error(error)))?;
    let (deliveries, mut gathered, commit) = {
        let mut core = lock(&driver.0.core);
        let mut own = Own::default();
        let commit = driver.step_kept(&mut core, Input::Receive { queue, max, visibility }, &mut own);
        let gathered = gathered::gather_messages(&core, &own.received);
        (own.received, gathered, commit)
    };
    let lasts = driver.lasts(commit).await;
    lasts.map_err(|error| host_failure(store_error(error)))?;
    gathered
        .complete(driver, deliveries.iter().map(|delivery| delivery.message))
        .await;
    let messages = gathered::in_messages(&driver.0.ids, &gathered, &deliveries);
    Ok(messages.into_iter().map(received).collect())
}

fn received(message: InMessage) -> api::Received {
    api::Received {
        body: shown(&message.body),
        id: message.id,
        receipt: message.receipt,
        content_type: message.content_type,
        attributes: message.attributes,
        group: message.group.map(|group| group.to_string()),
        receive_count: message.receive_count,
        sent_at: rfc3339(message.sent_at),
        first_received_at: rfc3339(message.first_received_at),
    }
}

/// JSON where it is JSON, else the text.
fn shown(body: &[u8]) -> serde_json::Value {
    serde_json::from_slice(body)
        .unwrap_or_else(|_| serde_json::Value::String(String::from_utf8_lossy(body).into_owned()))
}

/// POST `/_emu/queues/{name}/delete`.
pub async fn delete(server: &Server, name: &str, body: &Bytes) -> Answer<api::Checked> {
    let queue = id(&server.driver, name)?;
    let asked: api::ByReceipt = read(body, r#"send {"receipt": "1f"}"#)?;
    let input = Input::Delete {
        queue,
        receipt: receipt(&asked)?,
    };
    checked(&server.driver, input).await
}

/// POST `/_emu/queues/{name}/visibility`: a received message stays hidden for so long from now.
pub async fn visibility(server: &Server, name: &str, body: &Bytes) -> Answer<api::Checked> {
    let queue = id(&server.driver, name)?;
    let asked: api::ByReceipt = read(body, r#"send {"receipt": "1f", "visibility": "2m"}"#)?;
    let input = Input::ChangeVisibility {
        queue,
        receipt: receipt(&asked)?,
        visibility: span(&server.driver, asked.visibility.as_deref().unwrap_or_default())?,
    };
    checked(&server.driver, input).await
}

fn receipt(asked: &api::ByReceipt) -> Answer<ReceiptId> {
    let number = u64::from_str_radix(&asked.receipt, 16).map(ReceiptId);
    number.map_err(|_| {
        let message = format!("{:?} is no receipt", asked.receipt);
        bad_request("bad-receipt", message).remedy("use the receipt of the latest receive")
    })
}

async fn checked(driver: &Driver, input: Input) -> Answer<api::Checked> {
    let (valid, commit) = {
        let mut core = lock(&driver.0.core);
        let mut own = Own::default();
        let commit = driver.step_kept(&mut core, input, &mut own);
        (own.receipt_valid == Some(true), commit)
    };
    if !valid {
        let message = "the receipt is not valid any more: the message was deleted, or received again since";
        return Err(ApiFailure::new(StatusCode::CONFLICT, "stale-receipt", message)
            .remedy("use the receipt of the latest receive"));
    }
    let lasts = driver.lasts(commit).await;
    lasts.map_err(|error| host_failure(store_error(error)))?;
    Ok(api::Checked { done: true })
}

/// GET `/_emu/queues/{name}/messages`: the oldest messages, left where they are.
pub async fn peek(server: &Server, name: &str, max: Option<&str>) -> Answer<Vec<api::Peeked>> {
    let driver = &server.driver;
    let queue = id(driver, name)?;
    let max: u32 = match max {
        None => 10,
        Some(text) => text
            .parse()
            .ok()
            .filter(|max| *max <= MESSAGES_MAX)
            .ok_or_else(|| bad_request("bad-max", format!("max is {text:?}")).remedy("at most 1000"))?,
    };
    let seen = driver.look(queue, max as usize).await;
    if let Some(seen) = seen.map_err(|error| host_failure(store_error(error)))? {
        return Ok(seen.into_iter().map(|one| peeked(driver, queue, one)).collect());
    }
    let views = lock(&driver.0.core).platform.peek(queue, max as usize);
    let ids = views.iter().map(|view| view.id).collect();
    let bodies = driver.0.store.bodies(ids).await;
    let bodies = bodies.map_err(|error| host_failure(store_error(error)))?;
    let one = |view: &crate::platform::view::MessageView| {
        let (_, content) = bodies.iter().find(|(id, _)| *id == view.id)?;
        let (state, until) = queue_state(view.state);
        Some(api::Peeked {
            id: driver.0.ids.message(view.id),
            state: state.to_owned(),
            until: until.map(rfc3339),
            sent_at: rfc3339(view.sent_at),
            receive_count: view.receive_count,
            source: view.source.map(|source| driver.names().queue(source).to_string()),
            body: shown(&content.body),
            attributes: content.attributes.clone(),
        })
    };
    Ok(views.iter().filter_map(one).collect())
}

/// A message as it lies where others have it too. What this member holds of it, its core knows.
fn peeked(driver: &Driver, queue: QueueId, seen: Seen) -> api::Peeked {
    let own = lock(&driver.0.core).platform.message(queue, seen.message);
    let hidden = (seen.visible_at > driver.now()).then_some(seen.visible_at);
    let (state, until) = match (&own, hidden) {
        (Some(own), _) => queue_state(own.state),
        (None, Some(until)) => ("delayed", Some(until)),
        (None, None) => ("visible", None),
    };
    api::Peeked {
        id: driver.0.ids.message(seen.message),
        state: state.to_owned(),
        until: until.map(rfc3339),
        sent_at: rfc3339(seen.sent_at),
        receive_count: own.map_or(0, |own| own.receive_count),
        source: seen.source.map(|source| driver.names().queue(source).to_string()),
        body: shown(&seen.content.body),
        attributes: seen.content.attributes.clone(),
    }
}

/// POST `/_emu/reset`: every message and every waiting event goes.
pub async fn reset(server: &Server) -> Answer<serde_json::Value> {
    let cleared = server.driver.reset().await;
    cleared.map_err(|error| host_failure(store_error(error)))?;
    Ok(serde_json::json!({ "reset": true }))
}
