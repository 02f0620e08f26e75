//! One function a request: finds the thing, does it, answers. A path that is to be served also stands in `openapi.json`.

use std::collections::HashMap;

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};

use crate::engine::{Event, HostError, OutMessage, Reply as GuestReply};
use crate::live::Server;
use crate::live::api;
use crate::live::bindings::nearest;
use crate::live::events::Summary;
use crate::live::render::{reject_code, reject_text};
use crate::live::state::{Origin, store_error};
use crate::live::table::Entry;
use crate::platform::effect::RejectReason;
use crate::project::faults::Faults;
use crate::report::bill::Bill;

use super::{
    Answer, ApiFailure, Reply, answered, clock, consume, json as json_reply, kv, load, object, openapi, parse, past,
    replay, request, settings, snapshot, sse, views,
};

/// GET `/_emu/{what}`.
pub async fn list(server: &Server, what: &str, query: &HashMap<String, String>) -> Reply {
    match what {
        "health" => answered(Ok(views::health(server))),
        "ready" => ready(server),
        "openapi.json" => document(),
        "faults" => answered(Ok(server.driver.0.chaos.faults().to_json())),
        "functions" => answered(Ok(views::functions(&server.driver))),
        "instances" => answered(Ok(views::instances(&server.driver))),
        "invocations" => answered(past::invocations(server, query).await),
        "recording" => answered(past::recording(server, query).await),
        "logs" => answered(past::logs(server, query).await),
        "history" => answered(past::history(server, query).await),
        "members" => answered(members(server).await),
        "queues" => answered(Ok(views::queues(&server.driver))),
        "topics" => answered(Ok(views::topics(&server.driver))),
        "crons" => answered(Ok(views::crons(&server.driver))),
        "bill" => answered(bill(server, query)),
        "clock" => answered(Ok(clock::show(server))),
        "idle" => answered(clock::idle(server, query).await),
        "settings" => answered(Ok(settings::show(server))),
        "load" => answered(Ok(load::show(server))),
        "events" => sse::reply(server, query.contains_key("sample")),
        _ => answered::<()>(Err(unknown_path(what))),
    }
}

fn unknown_path(what: &str) -> ApiFailure {
    ApiFailure::new(StatusCode::NOT_FOUND, "not-found", format!("no /_emu/{what}")).remedy(openapi::hint(what))
}

/// From now on these fail, and no others.
fn set_faults(server: &Server, body: &Bytes) -> Answer<Value> {
    let faults = Faults::from_json(&parse(body)?).map_err(|message| {
        let remedy =
            r#"send {"fail": 0.1, "delay": {"probability": 0.2, "by": "2s", "function": "billing"}}, or {} for none"#;
        ApiFailure::new(StatusCode::BAD_REQUEST, "bad-faults", message).remedy(remedy)
    })?;
    for function in faults.functions() {
        entry(server, function)?;
    }
    server.driver.set_faults(faults.clone());
    Ok(faults.to_json())
}

fn document() -> Reply {
    let mut response = Reply::new(openapi::document().into());
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, json);
    response
}

fn ready(server: &Server) -> Reply {
    let ready = server.is_ready();
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    json_reply(status, &json!({ "ready": ready }))
}

async fn members(server: &Server) -> Answer<Vec<api::Member>> {
    let members = server.driver.members().await;
    members.map_err(|error| host_failure(store_error(error)))
}

fn bill(server: &Server, query: &HashMap<String, String>) -> Answer<Bill> {
    let provider = query.get("provider").map(String::as_str);
    views::bill(&server.driver, provider)
        .map_err(|message| ApiFailure::new(StatusCode::NOT_FOUND, "provider-not-found", message))
}

/// GET `/_emu/{what}/{name}`.
pub async fn one(server: &Server, what: &str, name: &str) -> Reply {
    match what {
        "functions" => answered(entry(server, name).and_then(|_| {
            let mut all = views::functions(&server.driver).into_iter();
            all.find(|function| function.name == name)
                .ok_or_else(|| unknown_path(name))
        })),
        "queues" => answered(queue(server, name)),
        "topics" => answered(topic(server, name)),
        "crons" => answered(cron(server, name)),
        "invocations" => answered(past::invocation(server, name).await),
        "why" => answered(past::why(server, name).await),
        _ => answered::<()>(Err(unknown_path(what))),
    }
}

fn queue(server: &Server, name: &str) -> Answer<api::Queue> {
    let all = views::queues(&server.driver);
    let known: Vec<String> = all.iter().map(|queue| queue.name.clone()).collect();
    all.into_iter()
        .find(|queue| queue.name == name)
        .ok_or_else(|| missing("queue", "queue-not-found", name, &known))
}

fn topic(server: &Server, name: &str) -> Answer<api::Topic> {
    let all = views::topics(&server.driver);
    let known: Vec<String> = all.iter().map(|topic| topic.name.clone()).collect();
    all.into_iter()
        .find(|topic| topic.name == name)
        .ok_or_else(|| missing("topic", "topic-not-found", name, &known))
}

fn cron(server: &Server, name: &str) -> Answer<api::CronState> {
    let all = views::crons(&server.driver);
    let known: Vec<String> = all.iter().map(|cron| cron.name.clone()).collect();
    all.into_iter()
        .find(|cron| cron.name == name)
        .ok_or_else(|| missing("cron", "cron-not-found", name, &known))
}

pub(super) fn entry(server: &Server, name: &str) -> Answer<std::sync::Arc<Entry>> {
    let table = server.driver.table();
    table.by_name.get(name).cloned().ok_or_else(|| {
        let known: Vec<String> = table.project.functions.keys().cloned().collect();
        missing("function", "function-not-found", name, &known)
    })
}

pub(super) fn missing(kind: &str, code: &'static str, name: &str, known: &[String]) -> ApiFailure {
    let remedy = match nearest(name, known.iter()) {
        Some(near) => format!("did you mean {near}?"),
        None if known.is_empty() => format!("this project has no {kind}s"),
        None => format!("there are: {}", known.join(", ")),
    };
    ApiFailure::new(StatusCode::NOT_FOUND, code, format!("no {kind} named {name}")).remedy(remedy)
}

/// POST `/_emu/{what}/{name}/{action}`.
pub async fn act(server: &Server, (what, name, action): (&str, &str, &str), body: Bytes, origin: Origin) -> Reply {
    match (what, action) {
        ("queues", "messages") => answered(send(server, name, &body, true, origin).await),
        ("topics", "messages") => answered(send(server, name, &body, false, origin).await),
        ("queues", "receive") => answered(consume::receive(server, name, &body).await),
        ("queues", "delete") => answered(consume::delete(server, name, &body).await),
        ("queues", "visibility") => answered(consume::visibility(server, name, &body).await),
        ("queues", "purge") => queue_action(server, name, &body, Action::Purge).await,
        ("queues", "redrive") => queue_action(server, name, &body, Action::Redrive).await,
        ("kv", "put") => answered(kv::put(server, name, &body).await),
        ("kv", "delete") => answered(kv::delete(server, name, &body).await),
        ("crons", "fire") => answered(parse(&body).and_then(|_| fire(server, name))),
        ("functions", "invoke") => answered(invoke(server, name, &body).await),
        ("invocations", "replay") => answered(replay::replay(server, name, &body).await),
        ("functions", "invoke-async") => answered(invoke_async(server, name, &body, origin).await),
        ("snapshots", _) => match snapshot::act(server, name, action, &body).await {
            Some(reply) => reply,
            None => answered::<()>(Err(unknown_path(&format!("{what}/{name}/{action}")))),
        },
        _ => answered::<()>(Err(unknown_path(&format!("{what}/{name}/{action}")))),
    }
}

/// One message, or several in an array: all are taken or none.
async fn send(server: &Server, name: &str, body: &Bytes, to_queue: bool, origin: Origin) -> Answer<Value> {
    let parsed = parse(body)?;
    let several = parsed.is_array();
    let messages: Vec<api::SendMessage> = match parsed {
        Value::Array(items) => items.into_iter().map(object).collect(),
        one => object(one).map(|one| vec![one]),
    }
    .map_err(|error: serde_json::Error| {
        ApiFailure::new(
            StatusCode::BAD_REQUEST,
            "bad-message",
            format!("the message cannot be read: {error}"),
        )
        .remedy(r#"send {"body": ANY JSON, "delay": "5s"}, or an array of these"#)
    })?;
    let out = messages.into_iter().map(outgoing).collect::<Answer<Vec<_>>>()?;
    let driver = &server.driver;
    let sent = match to_queue {
        true => driver.send(name, out, origin).await,
        false => driver.publish(name, out, origin).await,
    };
    let mut ids = sent.map_err(host_failure)?;
    Ok(match several {
        true => json!({ "ids": ids }),
        false => json!(api::Sent {
            id: ids.pop().unwrap_or_default()
        }),
    })
}

fn outgoing(message: api::SendMessage) -> Answer<OutMessage> {
    let delay = match &message.delay {
        None => None,
        Some(text) => Some(crate::project::units::parse_span(text).map_err(|error| {
            ApiFailure::new(StatusCode::BAD_REQUEST, "bad-delay", format!("delay: {error}"))
                .remedy("for example \"5s\"")
        })?),
    };
    let (bytes, content_type) = match message.body {
        Value::String(text) => (Bytes::from(text), "text/plain"),
        other => (Bytes::from(other.to_string()), "application/json"),
    };
    Ok(OutMessage {
        body: bytes,
        content_type: Some(content_type.to_owned()),
        delay,
        group: message.group,
        deduplication: message.deduplication,
        attributes: message.attributes,
    })
}

pub fn host_failure(error: HostError) -> ApiFailure {
    let status = match error.code {
        "queue-not-found" | "topic-not-found" | "function-not-found" | "kv-not-found" => StatusCode::NOT_FOUND,
        "message-too-large" | "value-too-large" => StatusCode::PAYLOAD_TOO_LARGE,
        "bus-away" | "store-removed" => StatusCode::SERVICE_UNAVAILABLE,
        "queue-elsewhere" => StatusCode::CONFLICT,
        "queue-full" | "store-full" | "bus-full" | "store-failed" => StatusCode::INSUFFICIENT_STORAGE,
        _ => StatusCode::BAD_REQUEST,
    };
    ApiFailure::new(status, error.code, error.message)
}

enum Action {
    Purge,
    Redrive,
}

async fn queue_action(server: &Server, name: &str, body: &Bytes, action: Action) -> Reply {
    let acted = async {
        parse(body)?;
        queue(server, name)?;
        let done = match action {
            Action::Purge => server.driver.purge(name).await,
            Action::Redrive => server.driver.redrive(name).await,
        };
        done.map_err(|error| host_failure(store_error(error)))?;
        queue(server, name)
    };
    answered(acted.await)
}

fn fire(server: &Server, name: &str) -> Answer<api::Fired> {
    cron(server, name)?;
    let fired = server.driver.fire_named(name);
    let id =
        fired.ok_or_else(|| ApiFailure::new(StatusCode::NOT_FOUND, "cron-not-found", format!("no cron {name}")))?;
    Ok(api::Fired {
        invocation: server.driver.0.ids.invocation(id),
    })
}

async fn invoke_async(server: &Server, name: &str, body: &Bytes, origin: Origin) -> Answer<Value> {
    let entry = entry(server, name)?;
    let event = parse(body)?;
    let accepted = server.driver.invoke_async(entry.id, &event, origin).await;
    let id = accepted.map_err(host_failure)?;
    Ok(json!({ "invocation": server.driver.0.ids.invocation(id) }))
}

async fn invoke(server: &Server, name: &str, body: &Bytes) -> Answer<api::Invoked> {
    let entry = entry(server, name)?;
    let event = parse(body)?;
    let driver = &server.driver;
    let mut ticket = driver
        .invoke(&entry, Event::Json(event), Summary::Event)
        .await
        .map_err(|reason| rejected(server, &entry, reason))?;
    let response = match ticket.reply().await {
        Some(GuestReply::Json(value)) => value,
        Some(GuestReply::Http(response)) => views::http_value(response).await,
        Some(GuestReply::Batch(_) | GuestReply::Done) | None => Value::Null,
    };
    // The record is written before the run reports its end.
    let _ = ticket.ended().await;
    let detail = views::invocation(driver, ticket.id).ok_or_else(|| {
        ApiFailure::new(
            StatusCode::GONE,
            "history-overflow",
            "the invocation's record was pushed out of the history",
        )
    })?;
    Ok(api::Invoked {
        invocation: detail.invocation,
        response,
        log: detail.log,
    })
}

pub(super) fn rejected(server: &Server, entry: &Entry, reason: RejectReason) -> ApiFailure {
    let status = match reason {
        RejectReason::FunctionConcurrency { .. }
        | RejectReason::AccountConcurrency { .. }
        | RejectReason::ScalingRate { .. }
        | RejectReason::OnPurpose { .. } => StatusCode::TOO_MANY_REQUESTS,
        RejectReason::QueueFull => StatusCode::SERVICE_UNAVAILABLE,
        RejectReason::Removed => StatusCode::NOT_FOUND,
        RejectReason::NoVersion | RejectReason::InitFailed => StatusCode::BAD_GATEWAY,
    };
    let mut failure = ApiFailure::new(
        status,
        reject_code(reason),
        format!("function {}: {}", entry.name(), reject_text(reason)),
    );
    if let Some(error) = server.driver.build_error(entry.id) {
        failure = failure.remedy(error);
    }
    failure
}

/// POST `/_emu/{action}`.
pub async fn whole(server: &Server, action: &str, body: &Bytes) -> Reply {
    match action {
        "reload" => {
            server.reload();
            json_reply(StatusCode::ACCEPTED, &json!({ "reloading": true }))
        }
        "clock" => answered(clock::go(server, body).await),
        "faults" => answered(set_faults(server, body)),
        "reset" => answered(consume::reset(server).await),
        "settings" => answered(settings::change(server, body)),
        "load" => answered(load::post(server, body)),
        "request" => answered(request::send(server, body).await),
        _ => answered::<()>(Err(unknown_path(action))),
    }
}

/// GET `/_emu/queues/{name}/messages`
pub async fn below(server: &Server, what: &str, name: &str, part: &str, query: &HashMap<String, String>) -> Reply {
    match (what, part) {
        ("queues", "messages") => {
            let max = query.get("max").map(String::as_str);
            answered(consume::peek(server, name, max).await)
        }
        _ => answered::<()>(Err(unknown_path(&format!("{what}/{name}/{part}")))),
    }
}
