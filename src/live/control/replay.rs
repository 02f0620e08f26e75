//! `POST /_emu/invocations/{id}/replay`: what an invocation was given, once more, to the code of now.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;

use crate::engine::{Batch, BatchSource, Event, HttpEvent, InMessage, Reply, Scheduled};
use crate::live::Server;
use crate::live::api::{self, KeptBody, KeptMessage, KeptRequest};
use crate::live::clock::instant;
use crate::live::events::Summary;
use crate::live::listen::full;
use crate::live::secrets::Secrets;
use crate::live::table::{Entry, Table};
use crate::platform::ids::InvocationId;
use crate::platform::time::Time;
use crate::project::Lookup;

use super::{Answer, ApiFailure, bad_request, handlers, past, read, views};

const REMEDY: &str = "send {}, or {\"function\": NAME, \"request\": as GET /_emu/invocations/{id} gives it}";
/// A stream that goes on is compared as far as it came by then.
const PATIENCE: Duration = Duration::from_secs(60);

pub async fn replay(server: &Server, id: &str, body: &Bytes) -> Answer<api::Replayed> {
    let asked: api::Replay = read(body, REMEDY)?;
    let (function, request, before) = match (asked.function, asked.request) {
        (Some(function), Some(request)) => (function, request, None),
        (None, None) => {
            let before = past::invocation(server, id).await?;
            let request = known(server, &before)?;
            (before.invocation.function.clone(), request, Some(before))
        }
        _ => return Err(bad_request("bad-replay", "function and request come together").remedy(REMEDY)),
    };
    let entry = handlers::entry(server, &function)?;
    let (event, summary) = event(&server.driver.table(), &entry, &request)?;
    let after = run(server, &entry, event, summary).await?;
    Ok(api::Replayed { before, after })
}

/// What it was given, as it was where memory still has it: the history has secrets taken out.
fn known(server: &Server, before: &api::InvocationDetail) -> Answer<KeptRequest> {
    let id = server.driver.0.ids.parse_invocation(&before.invocation.id);
    let raw = id.and_then(|id| {
        server.driver.0.hub.read(|recent, _| {
            let (_, done) = recent.invocation(id)?;
            let exchange = done.exchange.as_ref()?;
            exchange.kept(&Secrets::default()).map(|kept| kept.request)
        })
    });
    let Some(request) = raw.or_else(|| before.request.clone()) else {
        let why = before.not_kept.as_deref().unwrap_or("the history does not have it");
        let message = format!("what invocation {} was given is not kept: {why}", before.invocation.id);
        return Err(ApiFailure::new(StatusCode::CONFLICT, "request-not-kept", message)
            .remedy("send the request again from where it came; `emu logs` shows newer invocations"));
    };
    Ok(request)
}

async fn run(server: &Server, entry: &Entry, event: Event, summary: Summary) -> Answer<api::InvocationDetail> {
    let driver = &server.driver;
    let ticket = driver.invoke(entry, event, summary).await;
    let mut ticket = ticket.map_err(|reason| handlers::rejected(server, entry, reason))?;
    if let Some(Reply::Http(response)) = ticket.reply().await {
        let mut body = response.into_body();
        let all = async { while let Some(Ok(_)) = body.frame().await {} };
        // What has passed by then is kept.
        let _ = tokio::time::timeout(PATIENCE, all).await;
    }
    // The record is written before the run reports its end.
    let _ = ticket.ended().await;
    let after = views::invocation(driver, ticket.id);
    after
        .filter(|after| after.request.is_some())
        .ok_or_else(|| too_busy(ticket.id, server))
}

fn too_busy(id: InvocationId, server: &Server) -> ApiFailure {
    let id = server.driver.0.ids.invocation(id);
    let (message, remedy) = match server.driver.0.exchanges.is_on() {
        true => (
            format!("invocation {id} ran, and its answer was not kept: there is too much traffic"),
            "try again",
        ),
        false => (
            format!("invocation {id} ran, and its answer was not kept: [history] in emu.toml keeps none"),
            "remove max_bodies = \"0MB\" (or max_size) from [history] in emu.toml",
        ),
    };
    ApiFailure::new(StatusCode::CONFLICT, "answer-not-kept", message).remedy(remedy)
}

/// The event that a request makes, with the words for it.
fn event(table: &Table, entry: &Arc<Entry>, request: &KeptRequest) -> Answer<(Event, Summary)> {
    if request.content.truncated || request.messages_left_out > 0 {
        let message = format!(
            "only a part of the request is kept: it had {} bytes",
            request.content.bytes
        );
        return Err(
            ApiFailure::new(StatusCode::CONFLICT, "request-truncated", message).remedy(
                "emu keeps the first 64 KiB of a body, and none that nobody read: send it again from where it came",
            ),
        );
    }
    if request.redacted {
        let message = "the request held values of secrets, which the history does not keep";
        return Err(ApiFailure::new(StatusCode::CONFLICT, "request-redacted", message)
            .remedy("replay it while the emulator that served it still runs, or send it again from where it came"));
    }
    let name = || request.name.as_deref().unwrap_or_default();
    match request.kind.as_str() {
        "http" => http(table, entry, request),
        "queue" | "topic" => batch(request),
        "cron" => {
            let scheduled_at = time(request.scheduled_at.as_deref().unwrap_or_default())?;
            let scheduled = Scheduled {
                name: name().into(),
                schedule: request.schedule.as_deref().unwrap_or_default().into(),
                scheduled_at,
            };
            let summary = Summary::Cron {
                name: name().into(),
                scheduled_at,
            };
            Ok((Event::Scheduled(scheduled), summary))
        }
        "event" => {
            let event = serde_json::from_slice(&bytes(&request.content)?)
                .map_err(|error| bad_request("bad-replay", format!("the event is not JSON: {error}")))?;
            Ok((Event::Json(event), Summary::Event))
        }
        other => Err(
            bad_request("bad-replay", format!("nothing runs for a request of kind {other:?}"))
                .remedy("kinds are http, queue, topic, cron and event; messages are sent with `emu send`"),
        ),
    }
}

fn http(table: &Table, entry: &Arc<Entry>, request: &KeptRequest) -> Answer<(Event, Summary)> {
    let target = request.target.as_deref().unwrap_or("/");
    let wrong = |what: &str| bad_request("bad-replay", format!("the request has no {what}"));
    if !target.starts_with('/') {
        return Err(wrong("path that begins with /"));
    }
    let method: Method = request
        .method
        .as_deref()
        .unwrap_or("GET")
        .parse()
        .map_err(|_| wrong("method"))?;
    let body = bytes(&request.content)?;
    let mut made = Request::new(full(body.clone()));
    made.method_mut().clone_from(&method);
    *made.uri_mut() = target.parse().map_err(|_| wrong("path that can be read"))?;
    for (name, value) in &request.headers {
        let name: HeaderName = name.parse().map_err(|_| wrong("headers that can be read"))?;
        let value: HeaderValue = value.parse().map_err(|_| wrong("headers that can be read"))?;
        if name != header::CONTENT_LENGTH && name != header::TRANSFER_ENCODING && name != header::CONNECTION {
            made.headers_mut().append(name, value);
        }
    }
    if !body.is_empty() {
        made.headers_mut().insert(header::CONTENT_LENGTH, body.len().into());
    }
    let path = made.uri().path().to_owned();
    // A call of another function has no route.
    let (route_key, path_parameters) = match table.router.find(method.as_str(), &path) {
        Lookup::Found(found) if found.target.entry.id == entry.id => {
            let owned = |(name, value): &(&str, std::borrow::Cow<'_, str>)| ((*name).to_owned(), value.to_string());
            (found.target.key.clone(), found.params.iter().map(owned).collect())
        }
        _ => ("$default".into(), Vec::new()),
    };
    let event = HttpEvent {
        request: made,
        peer: std::net::Ipv4Addr::LOCALHOST.into(),
        route_key,
        path_parameters,
    };
    let summary = Summary::Request {
        method,
        path,
        cause: None,
    };
    Ok((Event::Http(event), summary))
}

fn batch(request: &KeptRequest) -> Answer<(Event, Summary)> {
    let name: Arc<str> = request.name.as_deref().unwrap_or_default().into();
    let messages = request.messages.iter().map(message).collect::<Answer<Vec<_>>>()?;
    let (source, summary) = match request.kind.as_str() {
        "queue" => (
            BatchSource::Queue(name.clone()),
            Summary::Batch {
                queue: name,
                messages: messages.len(),
            },
        ),
        _ => (BatchSource::Topic(name.clone()), Summary::Topic { topic: name }),
    };
    Ok((Event::Batch(Batch { source, messages }), summary))
}

fn message(kept: &KeptMessage) -> Answer<InMessage> {
    Ok(InMessage {
        id: kept.id.clone(),
        // Nothing is acknowledged by it.
        receipt: "replay".to_owned(),
        body: bytes(&kept.content)?,
        content_type: kept.content_type.clone(),
        attributes: kept.attributes.clone(),
        sent_at: time(&kept.sent_at)?,
        first_received_at: time(&kept.first_received_at)?,
        receive_count: kept.receive_count,
        group: kept.group.as_deref().map(Into::into),
    })
}

fn bytes(content: &KeptBody) -> Answer<Bytes> {
    match (&content.body, &content.base64) {
        (Some(text), _) => Ok(Bytes::from(text.clone())),
        (None, Some(text)) => STANDARD
            .decode(text)
            .map(Bytes::from)
            .map_err(|error| bad_request("bad-base64", format!("base64: {error}"))),
        (None, None) => Ok(Bytes::new()),
    }
}

fn time(text: &str) -> Answer<Time> {
    instant(text).map_err(|error| bad_request("bad-replay", error))
}
