//! CloudEvents 1.0: read from HTTP in its three modes, kept as messages, and made whole again for who receives them.
//!
//! As a message an event is its data, with the attributes beside it: `ce-type` and so on, as binary mode writes them. So
//! they last and travel like any other message's. Figures of the specification: the core, its HTTP binding and its JSON
//! format, each 1.0.2.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::{HeaderMap, header};
use serde_json::{Map, Value};

use super::OutMessage;

/// Before an attribute's name, in headers and among a message's attributes.
const PREFIX: &str = "ce-";
const REQUIRED: [&str; 4] = ["specversion", "id", "source", "type"];
pub const STRUCTURED: &str = "application/cloudevents+json";
pub const BATCH: &str = "application/cloudevents-batch+json";

/// An event that holds to the rules.
#[derive(Clone, Debug, PartialEq)]
pub struct CloudEvent {
    /// By their names, without `datacontenttype`.
    attributes: BTreeMap<String, Value>,
    content_type: Option<String>,
    data: Bytes,
}

/// What is wrong with a request that brings events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Names the attribute, and in a batch the event.
    pub message: String,
    pub remedy: &'static str,
}

/// How a request carries events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Structured,
    Batch,
    Binary,
}

/// Whether a request says that it carries events. No form on a foreign page can: neither such a content type nor such a
/// header may go to another site without its leave.
pub fn is_announced(headers: &HeaderMap) -> bool {
    let by_type = content_type(headers).is_some_and(|value| is_event_format(essence(value)));
    by_type || headers.keys().any(|name| name.as_str().starts_with(PREFIX))
}

/// The events of a request; a batch may be empty.
///
/// # Errors
/// The first thing that is wrong with any of them: none is to be taken then.
pub fn read(headers: &HeaderMap, body: &Bytes) -> Result<Vec<CloudEvent>, Fault> {
    match mode(headers)? {
        Mode::Binary => Ok(vec![binary(headers, body.clone())?]),
        Mode::Structured => match json(body)? {
            Value::Array(_) => Err(fault(
                "the body is a list of events, and the content type says one",
                "send application/cloudevents-batch+json",
            )),
            event => Ok(vec![structured(event)?]),
        },
        Mode::Batch => {
            let Value::Array(events) = json(body)? else {
                return Err(fault("a batch is a JSON array of events", "send one event as [{...}]"));
            };
            let one = |(index, event)| {
                structured(event).map_err(|error| Fault {
                    message: format!("event {index} of the batch: {}", error.message),
                    ..error
                })
            };
            events.into_iter().enumerate().map(one).collect()
        }
    }
}

fn mode(headers: &HeaderMap) -> Result<Mode, Fault> {
    let essence = content_type(headers).map(essence).unwrap_or_default();
    if !is_event_format(essence) {
        return Ok(Mode::Binary);
    }
    match essence.to_ascii_lowercase().as_str() {
        STRUCTURED => Ok(Mode::Structured),
        BATCH => Ok(Mode::Batch),
        other => Err(fault(
            format!("the event format {other} is not known"),
            "send application/cloudevents+json or application/cloudevents-batch+json",
        )),
    }
}

fn is_event_format(essence: &str) -> bool {
    let start = essence.get(.."application/cloudevents".len());
    start.is_some_and(|start| start.eq_ignore_ascii_case("application/cloudevents"))
}

fn content_type(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::CONTENT_TYPE)?.to_str().ok()
}

/// Without parameters.
fn essence(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

fn json(body: &Bytes) -> Result<Value, Fault> {
    serde_json::from_slice(body).map_err(|error| {
        fault(
            format!("the body is not JSON: {error}"),
            "send events in CloudEvents' JSON format",
        )
    })
}

fn fault(message: impl Into<String>, remedy: &'static str) -> Fault {
    Fault {
        message: message.into(),
        remedy,
    }
}

fn structured(event: Value) -> Result<CloudEvent, Fault> {
    let Value::Object(mut members) = event else {
        return Err(fault(
            format!("an event is an object, not {}", kind(&event)),
            "send {\"specversion\": \"1.0\", \"id\", \"source\", \"type\", ...}",
        ));
    };
    let data = members.remove("data");
    let encoded = members.remove("data_base64").filter(|encoded| !encoded.is_null());
    if data.is_some() && encoded.is_some() {
        return Err(fault(
            "`data` and `data_base64` exclude each other",
            "leave one of them out",
        ));
    }
    // Null says that an attribute is not set.
    members.retain(|_, value| !value.is_null());
    let content_type = match members.remove("datacontenttype") {
        None => None,
        Some(Value::String(text)) => Some(text),
        Some(other) => return Err(wrong_kind("datacontenttype", &other)),
    };
    let is_json = content_type.as_deref().is_none_or(is_json);
    let (data, content_type) = match (data, encoded) {
        (None, None) => (Bytes::new(), content_type),
        (None, Some(Value::String(text))) => {
            let bytes = BASE64.decode(&text).map_err(|error| {
                fault(
                    format!("`data_base64` is not Base64: {error}"),
                    "encode it with the standard alphabet and padding",
                )
            })?;
            (bytes.into(), content_type)
        }
        (_, Some(other)) => return Err(wrong_kind("data_base64", &other)),
        (Some(Value::String(text)), None) if !is_json => (text.into(), content_type),
        // Without a content type, data in JSON is JSON.
        (Some(value), None) => (
            value.to_string().into(),
            content_type.or_else(|| Some("application/json".to_owned())),
        ),
    };
    checked(members.into_iter().collect(), content_type, data)
}

fn binary(headers: &HeaderMap, data: Bytes) -> Result<CloudEvent, Fault> {
    let mut attributes = BTreeMap::new();
    for (name, value) in headers {
        let Some(name) = name.as_str().strip_prefix(PREFIX) else {
            continue;
        };
        if name == "datacontenttype" {
            return Err(fault(
                "`datacontenttype` comes as a header of its own",
                "in binary mode the header Content-Type says it",
            ));
        }
        let text = header_text(value.as_bytes()).ok_or_else(|| {
            fault(
                format!("`{name}` is no UTF-8 text"),
                "percent-encode the UTF-8 bytes of what is not ASCII",
            )
        })?;
        if attributes.insert(name.to_owned(), Value::String(text)).is_some() {
            return Err(fault(format!("`{name}` comes twice"), "send each attribute once"));
        }
    }
    checked(attributes, content_type(headers).map(str::to_owned), data)
}

/// A header's value: quotes are taken off, then `%XX` is decoded, once. `None`: it is no UTF-8.
fn header_text(value: &[u8]) -> Option<String> {
    let quoted = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    let mut bytes = Vec::with_capacity(value.len());
    match quoted {
        None => bytes.extend_from_slice(value),
        Some(inner) => {
            let mut inner = inner.iter();
            while let Some(byte) = inner.next() {
                let escaped = if *byte == b'\\' { inner.next() } else { None };
                bytes.push(*escaped.unwrap_or(byte));
            }
        }
    }
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes.as_slice();
    while let Some((first, after)) = rest.split_first() {
        let hex = |at: usize| after.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        match (*first, hex(0), hex(1)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(u8::try_from(high * 16 + low).unwrap_or(b'%'));
                rest = &after[2..];
            }
            _ => {
                decoded.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(decoded).ok()
}

/// Holds the attributes to the rules of the core specification.
fn checked(
    attributes: BTreeMap<String, Value>,
    content_type: Option<String>,
    data: Bytes,
) -> Result<CloudEvent, Fault> {
    for name in REQUIRED {
        if !attributes.contains_key(name) {
            return Err(fault(
                format!("`{name}` is missing"),
                "an event has specversion \"1.0\", id, source and type",
            ));
        }
    }
    for (name, value) in &attributes {
        check_name(name)?;
        check_value(name, value)?;
    }
    if attributes["specversion"] != "1.0" {
        return Err(fault(
            format!("`specversion` is {}", attributes["specversion"]),
            "emu takes CloudEvents 1.0",
        ));
    }
    if let Some(written) = content_type.as_deref().filter(|written| !is_media_type(written)) {
        return Err(fault(
            format!("`datacontenttype` is {written:?}, no media type"),
            "write one such as application/json",
        ));
    }
    Ok(CloudEvent {
        attributes,
        content_type,
        data,
    })
}

fn check_name(name: &str) -> Result<(), Fault> {
    if is_name(name) {
        return Ok(());
    }
    Err(fault(
        format!("`{name}` is no name for an attribute"),
        "names have lower-case letters and digits only",
    ))
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

fn check_value(name: &str, value: &Value) -> Result<(), Fault> {
    let defined = ["specversion", "id", "source", "type", "subject", "time", "dataschema"].contains(&name);
    let text = match value {
        Value::String(text) => text,
        Value::Bool(_) if !defined => return Ok(()),
        Value::Number(number) if !defined => {
            let fits = number.as_i64().is_some_and(|number| i32::try_from(number).is_ok());
            return fits.then_some(()).ok_or_else(|| {
                fault(
                    format!("`{name}` is {number}; numbers are whole, of 32 bits"),
                    "send it as a string",
                )
            });
        }
        other => return Err(wrong_kind(name, other)),
    };
    if let Some(control) = text.chars().find(|c| c.is_control()) {
        return Err(fault(
            format!("`{name}` has the control character {control:?}"),
            "take it out, or move the text into the data",
        ));
    }
    if defined && text.is_empty() {
        return Err(fault(
            format!("`{name}` is empty"),
            "give it a value, or leave it out if it is optional",
        ));
    }
    let is_reference = |text: &str| !text.contains(|c: char| c.is_whitespace() || "<>\"{}|\\^`".contains(c));
    match name {
        "time" if chrono::DateTime::parse_from_rfc3339(text).is_err() => Err(fault(
            format!("`time` is {text:?}, no time of RFC 3339"),
            "write one such as \"2026-11-23T08:00:00Z\"",
        )),
        "source" if !is_reference(text) => Err(fault(
            format!("`source` is {text:?}, no URI reference"),
            "write one such as \"/shop/orders\" or \"https://example.com/orders\"",
        )),
        "dataschema" if !is_reference(text) || url::Url::parse(text).is_err() => Err(fault(
            format!("`dataschema` is {text:?}, no absolute URI"),
            "write one such as \"https://example.com/schema.json\"",
        )),
        _ => Ok(()),
    }
}

fn wrong_kind(name: &str, value: &Value) -> Fault {
    fault(
        format!("`{name}` is {}", kind(value)),
        "attributes are strings; extensions also booleans and whole numbers",
    )
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn is_media_type(text: &str) -> bool {
    let is_token = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
    };
    essence(text)
        .split_once('/')
        .is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype))
}

/// `application/json`, `text/json`, `application/problem+json`.
fn is_json(content_type: &str) -> bool {
    let essence = essence(content_type).to_ascii_lowercase();
    let subtype = essence.split_once('/').map_or("", |(_, subtype)| subtype);
    subtype == "json" || subtype.ends_with("+json")
}

impl CloudEvent {
    /// The attribute `type`.
    pub fn kind(&self) -> &str {
        self.text("type").unwrap_or_default()
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).and_then(Value::as_str)
    }

    /// As it waits in queues: data beside attributes. In a FIFO queue events of one `partitionkey` keep their order, and
    /// one that has the source and id of another is its duplicate.
    pub fn into_message(self) -> OutMessage {
        let group = self.text("partitionkey").map(str::to_owned);
        let identity = (
            self.text("source").unwrap_or_default(),
            self.text("id").unwrap_or_default(),
        );
        let deduplication = Some(format!("{} {}", identity.0, identity.1));
        let attributes = self.attributes.into_iter();
        OutMessage {
            body: self.data,
            content_type: self.content_type,
            group,
            deduplication,
            attributes: attributes
                .map(|(name, value)| (format!("{PREFIX}{name}"), value))
                .collect(),
            ..OutMessage::default()
        }
    }

    /// In the JSON format.
    pub fn to_json(&self) -> Value {
        let attributes = self.attributes.iter().map(|(name, value)| (name.as_str(), value));
        let mut event = members(attributes, self.content_type.as_deref());
        put_data(&mut event, self.content_type.as_deref(), &self.data);
        Value::Object(event)
    }
}

/// The attributes of the event that a message is, `datacontenttype` among them; `None` for any other message.
pub(super) fn of_message(
    attributes: &BTreeMap<String, Value>,
    content_type: Option<&str>,
) -> Option<Map<String, Value>> {
    let own = attributes.iter().filter_map(|(name, value)| {
        let name = name.strip_prefix(PREFIX).filter(|name| is_name(name))?;
        check_value(name, value).is_ok().then_some((name, value))
    });
    let event = members(own, content_type);
    let whole = REQUIRED.iter().all(|name| event.contains_key(*name));
    (whole && event["specversion"] == "1.0").then_some(event)
}

fn members<'a>(
    attributes: impl Iterator<Item = (&'a str, &'a Value)>,
    content_type: Option<&str>,
) -> Map<String, Value> {
    let mut members: Map<String, Value> = attributes
        .map(|(name, value)| (name.to_owned(), value.clone()))
        .collect();
    if let Some(content_type) = content_type {
        members.insert("datacontenttype".to_owned(), content_type.into());
    }
    members
}

/// Data into an event: JSON as it is, text as a string, all else in Base64. An empty body is no data.
pub(super) fn put_data(event: &mut Map<String, Value>, content_type: Option<&str>, body: &[u8]) {
    if body.is_empty() {
        return;
    }
    let json = content_type.is_some_and(is_json);
    let text = match content_type {
        Some(_) if !json => std::str::from_utf8(body).ok(),
        _ => None,
    };
    let parsed = json.then(|| serde_json::from_slice(body).ok()).flatten();
    match (parsed, text) {
        (Some(value), _) => event.insert("data".to_owned(), value),
        (None, Some(text)) => event.insert("data".to_owned(), text.into()),
        (None, None) => event.insert("data_base64".to_owned(), BASE64.encode(body).into()),
    };
}

/// Whether a JSON value is an event in the JSON format.
pub(super) fn is_event(value: &Value) -> bool {
    value["specversion"] == "1.0" && REQUIRED.iter().all(|name| value[*name].is_string())
}

#[cfg(test)]
mod tests;
