//! The shapes of events and answers: API Gateway 2.0, SQS and scheduled events as JSON, CloudEvents by HTTP.
//!
//! Documented in the README under "WASI commands" and "Components"; figures of `FACTS.md`, section 3.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use md5::{Digest, Md5};
use serde_json::{Map, Value, json};

use super::host::Run;
use super::{Batch, BatchSource, Body, Event, Failure, FailureKind, InMessage, Reply, RetryMessage, Scheduled};
use super::{cloudevents, gateway};
use crate::platform::time::Time;

/// Account and region that the emulated events name.
pub(super) const ACCOUNT: &str = "000000000000";
const REGION: &str = "local";

/// What kind of reply an event wants.
pub(super) enum Wants {
    Http,
    Nothing,
    /// These messages were handed over.
    Batch(Vec<String>),
    Json,
}

impl Wants {
    pub fn of(event: &Event) -> Self {
        match event {
            Event::Http(_) => Self::Http,
            Event::Scheduled(_) => Self::Nothing,
            Event::Batch(batch) => Self::Batch(batch.messages.iter().map(|message| message.id.clone()).collect()),
            Event::Json(_) => Self::Json,
        }
    }
}

/// The event as a command reads it: API Gateway 2.0 for HTTP, the scheduled and SQS shapes, or the JSON as it is.
pub(super) async fn event_json(event: Event, run: &Run) -> Result<Vec<u8>, Failure> {
    let value = match event {
        Event::Http(event) => gateway::event(event, run).await?,
        Event::Scheduled(event) => scheduled_event(&event, run),
        Event::Batch(batch) => batch_event(&batch),
        Event::Json(value) => value,
    };
    Ok(value.to_string().into_bytes())
}

fn scheduled_event(event: &Scheduled, run: &Run) -> Value {
    json!({
        "version": "0",
        "id": run.id,
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": ACCOUNT,
        "time": time_of(event.scheduled_at).to_rfc3339_opts(SecondsFormat::Secs, true),
        "region": REGION,
        "resources": [format!("arn:aws:events:{REGION}:{ACCOUNT}:rule/{}", event.name)],
        "detail": {},
    })
}

fn batch_event(batch: &Batch) -> Value {
    let records: Vec<Value> = batch
        .messages
        .iter()
        .map(|message| record(message, &batch.source))
        .collect();
    json!({ "Records": records })
}

fn record(message: &InMessage, source: &BatchSource) -> Value {
    let (kind, name) = match source {
        BatchSource::Queue(name) => ("sqs", name),
        BatchSource::Topic(name) => ("sns", name),
    };
    let (body, encoded) = text_or_base64(&message.body);
    let mut attributes: Map<String, Value> = Map::new();
    for (name, value) in &message.attributes {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let data_type = if value.is_number() { "Number" } else { "String" };
        attributes.insert(name.clone(), json!({ "stringValue": text, "dataType": data_type }));
    }
    let mut record = json!({
        "messageId": message.id,
        "receiptHandle": message.receipt,
        "body": body,
        "attributes": {
            "ApproximateReceiveCount": message.receive_count.to_string(),
            "SentTimestamp": message.sent_at.as_millis().to_string(),
            "SenderId": ACCOUNT,
            "ApproximateFirstReceiveTimestamp": message.first_received_at.as_millis().to_string(),
        },
        "messageAttributes": attributes,
        "md5OfBody": super::cache::hex(&Md5::digest(&message.body)),
        "eventSource": format!("aws:{kind}"),
        "eventSourceARN": format!("arn:aws:{kind}:{REGION}:{ACCOUNT}:{name}"),
        "awsRegion": REGION,
    });
    if let Some(event) = cloudevents::of_message(&message.attributes, message.content_type.as_deref()) {
        record["cloudEvent"] = event.into();
    }
    if let Some(group) = &message.group {
        record["attributes"]["MessageGroupId"] = (**group).into();
    }
    if encoded {
        record["isBase64Encoded"] = true.into();
    }
    record
}

/// A command's output as the reply that its event wants.
pub(super) fn reply(wants: Wants, output: Vec<u8>) -> Result<Reply, Failure> {
    Ok(match wants {
        Wants::Http => Reply::Http(http_answer(output)?),
        Wants::Nothing => Reply::Done,
        Wants::Batch(ids) => Reply::Batch(retries(&output, &ids)?),
        Wants::Json => Reply::Json(json_or_text(output)),
    })
}

fn json_or_text(output: Vec<u8>) -> Value {
    if output.iter().all(u8::is_ascii_whitespace) {
        return Value::Null;
    }
    serde_json::from_slice(&output).unwrap_or_else(|_| String::from_utf8_lossy(&output).into_owned().into())
}

/// An object with `statusCode` is the whole response; other JSON is 200 `application/json`, anything else `text/plain`.
fn http_answer(output: Vec<u8>) -> Result<Response<Body>, Failure> {
    match serde_json::from_slice::<Value>(&output) {
        Ok(Value::Object(object)) if object.contains_key("statusCode") => gateway_answer(object),
        Ok(_) => Ok(plain(output, "application/json")),
        Err(_) => Ok(plain(output, "text/plain; charset=utf-8")),
    }
}

fn plain(body: Vec<u8>, content_type: &'static str) -> Response<Body> {
    let mut response = Response::new(full(body));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// Of an answer. The map of the http crate panics at some 24,000; no client takes as many as this.
pub(super) const HEADERS_MAX: usize = 10_000;

fn gateway_answer(object: Map<String, Value>) -> Result<Response<Body>, Failure> {
    let bad = |text: String| Failure::new(FailureKind::BadResponse, text);
    let code = object.get("statusCode");
    let status = code.and_then(|code| code.as_u64().or_else(|| code.as_str()?.parse().ok()));
    let status = status.and_then(|status| StatusCode::from_u16(u16::try_from(status).ok()?).ok());
    let status = status.ok_or_else(|| {
        bad(format!(
            "`statusCode` is {}, not an HTTP status",
            code.unwrap_or(&Value::Null)
        ))
    })?;
    let mut headers = HeaderMap::new();
    let mut append = |name: &str, value: &Value| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let name = name
            .parse::<HeaderName>()
            .map_err(|_| bad(format!("`{name}` is no header name")))?;
        let value = text
            .parse::<HeaderValue>()
            .map_err(|_| bad(format!("the value of header `{name}` is invalid")))?;
        if headers.len() >= HEADERS_MAX {
            return Err(bad(format!("the answer has more than {HEADERS_MAX} headers")));
        }
        headers.append(name, value);
        Ok(())
    };
    for field in ["headers", "multiValueHeaders"] {
        for (name, value) in object.get(field).and_then(Value::as_object).into_iter().flatten() {
            match value {
                Value::Array(values) => values.iter().try_for_each(|value| append(name, value))?,
                value => append(name, value)?,
            }
        }
    }
    for cookie in object.get("cookies").and_then(Value::as_array).into_iter().flatten() {
        append("set-cookie", cookie)?;
    }
    let encoded = object.get("isBase64Encoded").and_then(Value::as_bool).unwrap_or(false);
    let body = match object.get("body") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::String(text)) if encoded => BASE64
            .decode(text)
            .map_err(|error| bad(format!("`body` is not Base64: {error}")))?,
        Some(Value::String(text)) => text.clone().into_bytes(),
        Some(other) => other.to_string().into_bytes(),
    };
    if !headers.contains_key(header::CONTENT_TYPE) {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    if !body.is_empty() {
        headers.remove(header::CONTENT_LENGTH);
    }
    let mut response = Response::new(full(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

/// `{"batchItemFailures": [{"itemIdentifier": id}]}`: empty, null or absent means that all went well; an unknown id or
/// broken JSON that all failed.
fn retries(output: &[u8], ids: &[String]) -> Result<Vec<RetryMessage>, Failure> {
    let bad = |text: String| Failure::new(FailureKind::BadResponse, text);
    let Ok(Value::Object(object)) = serde_json::from_slice::<Value>(output) else {
        return Ok(Vec::new());
    };
    let failures = match object.get("batchItemFailures") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(failures)) => failures,
        Some(other) => return Err(bad(format!("`batchItemFailures` is {other}, not an array"))),
    };
    let one = |failure: &Value| {
        let id = failure
            .get("itemIdentifier")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if ids.iter().any(|known| known == id) {
            Ok(RetryMessage {
                id: id.to_owned(),
                delay: None,
            })
        } else {
            Err(bad(format!(
                "`batchItemFailures` names `{id}`, which is no message of this batch"
            )))
        }
    };
    failures.iter().map(one).collect()
}

/// What is no HTTP request, as a CloudEvent in structured mode (a batch as a batch), by POST to `/`. JSON from
/// `emu invoke` goes as it is.
pub(super) fn cloud_event_request(event: &Event, run: &Run) -> Request<Body> {
    let (content_type, body) = match event {
        Event::Scheduled(event) => (cloudevents::STRUCTURED, scheduled_cloud_event(event, run)),
        Event::Batch(batch) => {
            let events = batch
                .messages
                .iter()
                .map(|message| message_cloud_event(message, &batch.source))
                .collect();
            (cloudevents::BATCH, Value::Array(events))
        }
        Event::Json(value) => (json_type(value), value.clone()),
        // The caller hands HTTP over as it is.
        Event::Http(_) => ("application/json", Value::Null),
    };
    let body = body.to_string();
    let length = body.len();
    let mut request = Request::new(full(body.into_bytes()));
    *request.method_mut() = http::Method::POST;
    *request.uri_mut() = http::Uri::from_static("http://localhost/");
    let headers = request.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CONTENT_LENGTH, length.into());
    if let Ok(id) = HeaderValue::from_str(&run.id) {
        headers.insert("x-emu-invocation", id);
    }
    request
}

/// What the JSON of an invocation is.
pub(super) fn json_type(value: &Value) -> &'static str {
    if cloudevents::is_event(value) {
        cloudevents::STRUCTURED
    } else {
        "application/json"
    }
}

fn scheduled_cloud_event(event: &Scheduled, run: &Run) -> Value {
    let time = time_of(event.scheduled_at).to_rfc3339_opts(SecondsFormat::AutoSi, true);
    json!({
        "specversion": "1.0",
        "id": run.id,
        "source": format!("/emu/crons/{}", event.name),
        "type": "emu.cron.scheduled",
        "time": time,
        "datacontenttype": "application/json",
        "data": { "name": &*event.name, "schedule": &*event.schedule, "scheduledTime": time },
    })
}

/// A message that is a CloudEvent stays what it is; emu's own facts of the delivery stand beside as extensions.
fn message_cloud_event(message: &InMessage, source: &BatchSource) -> Value {
    let (source, kind) = match source {
        BatchSource::Queue(name) => (format!("/emu/queues/{name}"), "emu.queue.message"),
        BatchSource::Topic(name) => (format!("/emu/topics/{name}"), "emu.topic.message"),
    };
    let content_type = message.content_type.as_deref();
    let mut event = match cloudevents::of_message(&message.attributes, content_type) {
        Some(mut event) => {
            cloudevents::put_data(&mut event, content_type, &message.body);
            event.insert("emumessageid".to_owned(), message.id.as_str().into());
            event.insert("emusource".to_owned(), source.into());
            Value::Object(event)
        }
        None => plain_cloud_event(message, &source, kind),
    };
    event["emureceivecount"] = message.receive_count.into();
    if let Some(group) = &message.group {
        event["emugroup"] = (**group).into();
    }
    event
}

fn plain_cloud_event(message: &InMessage, source: &str, kind: &str) -> Value {
    let mut event = json!({
        "specversion": "1.0",
        "id": message.id,
        "source": source,
        "type": kind,
        "time": time_of(message.sent_at).to_rfc3339_opts(SecondsFormat::AutoSi, true),
    });
    let is_json = message.content_type.as_deref().is_none_or(|kind| kind.contains("json"));
    match serde_json::from_slice::<Value>(&message.body) {
        Ok(data) if is_json => {
            event["datacontenttype"] = "application/json".into();
            event["data"] = data;
        }
        _ => {
            event["datacontenttype"] = message.content_type.as_deref().unwrap_or("text/plain").into();
            let (text, encoded) = text_or_base64(&message.body);
            event[if encoded { "data_base64" } else { "data" }] = text.into();
        }
    }
    event
}

/// A component's answer to a CloudEvent: a status of 2xx is success, and a batch may name what failed.
pub(super) fn cloud_event_reply(event: &Event, response: Response<Bytes>) -> Result<Reply, Failure> {
    let (parts, body) = response.into_parts();
    if !parts.status.is_success() {
        let text = String::from_utf8_lossy(&body);
        let text: String = text.chars().take(200).collect();
        return Err(Failure::new(
            FailureKind::Error,
            format!("the handler answered {}: {text}", parts.status),
        ));
    }
    let output = match event {
        Event::Batch(batch) => by_message(&body, batch).unwrap_or_else(|| body.to_vec()),
        _ => body.to_vec(),
    };
    reply(Wants::of(event), output)
}

/// A handler of CloudEvents may name what failed by the events' own ids: the same answer by the ids of the messages.
/// `None`: there is nothing to change.
fn by_message(output: &[u8], batch: &Batch) -> Option<Vec<u8>> {
    let of_event = |id: &str| -> Vec<Value> {
        let named = |message: &&InMessage| message.attributes.get("ce-id").is_some_and(|own| own == id);
        let messages = batch.messages.iter().filter(named);
        messages
            .map(|message| json!({ "itemIdentifier": message.id }))
            .collect()
    };
    let mut answer: Value = serde_json::from_slice(output).ok()?;
    let failures = answer.get_mut("batchItemFailures")?.as_array_mut()?;
    let translated = failures.iter().flat_map(|failure| {
        let id = failure
            .get("itemIdentifier")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let is_own = batch.messages.iter().any(|message| message.id == id);
        let messages = if is_own { Vec::new() } else { of_event(id) };
        if messages.is_empty() {
            vec![failure.clone()]
        } else {
            messages
        }
    });
    *failures = translated.collect();
    Some(answer.to_string().into_bytes())
}

/// The whole response, within `bytes_max`.
pub(super) async fn collect(
    response: Response<wasmtime_wasi_http::WasiBody>,
    bytes_max: u64,
) -> Result<Response<Bytes>, Failure> {
    let (parts, body) = response.into_parts();
    let body = collect_bytes(body, bytes_max).await?;
    Ok(Response::from_parts(parts, body))
}

pub(super) async fn collect_bytes<B>(body: B, bytes_max: u64) -> Result<Bytes, Failure>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let limit = usize::try_from(bytes_max).unwrap_or(usize::MAX);
    match Limited::new(body, limit).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Failure::new(
            FailureKind::BadResponse,
            format!("a body has more than {bytes_max} bytes"),
        )),
        Err(error) => Err(Failure::new(
            FailureKind::BadResponse,
            format!("a body cannot be read: {error}"),
        )),
    }
}

fn full(body: Vec<u8>) -> Body {
    Full::new(Bytes::from(body))
        .map_err(|never| match never {})
        .boxed_unsync()
}

pub(super) fn text_or_base64(bytes: &[u8]) -> (String, bool) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (text.to_owned(), false),
        Err(_) => (BASE64.encode(bytes), true),
    }
}

pub(super) fn time_of(time: Time) -> DateTime<Utc> {
    DateTime::from_timestamp_nanos(i64::try_from(time.0).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;
