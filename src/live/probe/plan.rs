//! The events of a probe: given ones, or samples of what triggers the function.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use http_body_util::{BodyExt as _, Full};
use serde_json::{Map, Value, json};

use super::Delivery;
use crate::engine::{Batch, BatchSource, Body, Event, HttpEvent, InMessage, Scheduled};
use crate::project::diagnostic::{list_names, nearest};

use crate::project::{Function, Lookup, Router, Segment};

/// Of each kind; more say nothing new.
const SAMPLES_MAX: usize = 8;

/// An event that can be delivered any number of times.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// `GET /carts/1`, `message of queue orders`.
    pub name: String,
    given: Given,
}

#[derive(Clone, Debug, PartialEq)]
enum Given {
    Request(Request),
    Message(Message),
    Cron { name: String, schedule: String },
    Json(Value),
}

#[derive(Clone, Debug, PartialEq)]
struct Request {
    method: Method,
    /// With its query.
    path: String,
    headers: Vec<(String, String)>,
    body: Bytes,
    route_key: String,
    params: Vec<(String, String)>,
}

#[derive(Clone, Debug, PartialEq)]
struct Message {
    is_topic: bool,
    from: String,
    body: Bytes,
    attributes: BTreeMap<String, Value>,
    group: Option<String>,
}

/// What triggers the function, each once or, where two say more than one, twice.
pub fn sample(function: &Function) -> Vec<Planned> {
    let mut events: Vec<Planned> = Vec::new();
    let mut add = |event: Value| {
        // What the function is triggered by is not refused.
        if let Ok(planned) = Planned::of(&event, function)
            && events
                .iter()
                .all(|known| known.name != planned.name || !matches!(known.given, Given::Request(_)))
        {
            events.push(planned);
        }
    };
    for route in function.routes.iter().take(SAMPLES_MAX) {
        let method = route.method.as_deref().unwrap_or("GET");
        for value in ["1", "2"] {
            let mut path = String::new();
            for segment in &route.segments {
                match segment {
                    Segment::Literal(text) => path.extend(["/", text]),
                    Segment::Param(_) => path.extend(["/", value]),
                    Segment::Rest(_) => {}
                }
            }
            let path = if path.is_empty() { "/" } else { &path };
            add(match method {
                "POST" | "PUT" | "PATCH" => json!({ "request": format!("{method} {path}"), "body": { "id": value } }),
                _ => json!({ "request": format!("{method} {path}") }),
            });
        }
    }
    if function.queue.is_some() || function.topic.is_some() {
        add(json!({ "message": { "id": 1 } }));
        add(json!({ "message": { "id": 2 } }));
    }
    for cron in function.crons.iter().take(SAMPLES_MAX) {
        add(json!({ "cron": cron.name }));
    }
    if events.is_empty() {
        events.push(Planned {
            name: "event {}".to_owned(),
            given: Given::Json(json!({})),
        });
    }
    events
}

impl Planned {
    /// An event as the user gives it: `{"request": "POST /orders", "headers", "body"}`, `{"message", "attributes",
    /// "group"}`, `{"cron": name}`, or any other JSON, which the handler gets as it is.
    ///
    /// # Errors
    /// What is wrong with it, with the remedy.
    pub fn of(event: &Value, function: &Function) -> Result<Planned, String> {
        let fields = event.as_object();
        let known = |key: &str| fields.filter(|fields| fields.contains_key(key));
        if let Some(fields) = known("request") {
            check_keys(fields, &["request", "headers", "body"])?;
            return request(fields, function);
        }
        if let Some(fields) = known("message") {
            check_keys(fields, &["message", "attributes", "group"])?;
            return message(fields, function);
        }
        if let Some(fields) = known("cron") {
            check_keys(fields, &["cron"])?;
            return cron(&fields["cron"], function);
        }
        let mut name = format!("event {event}");
        if name.chars().count() > 40 {
            name = name.chars().take(38).chain("..".chars()).collect();
        }
        Ok(Planned {
            name,
            given: Given::Json(event.clone()),
        })
    }

    /// Whether a second delivery is nothing unusual: messages, crons and asynchronous events come at least once, and HTTP
    /// has it that PUT and DELETE may be sent again.
    pub fn is_repeatable(&self) -> bool {
        match &self.given {
            Given::Request(request) => matches!(request.method, Method::PUT | Method::DELETE),
            Given::Message(_) | Given::Cron { .. } | Given::Json(_) => true,
        }
    }

    pub(super) fn event(&self, delivery: &Delivery) -> Event {
        match &self.given {
            Given::Request(request) => Event::Http(request.event()),
            Given::Message(message) => Event::Batch(message.batch(delivery)),
            Given::Cron { name, schedule } => Event::Scheduled(Scheduled {
                name: name.as_str().into(),
                schedule: schedule.as_str().into(),
                scheduled_at: delivery.event_at,
            }),
            Given::Json(value) => Event::Json(value.clone()),
        }
    }
}

fn check_keys(fields: &Map<String, Value>, known: &[&str]) -> Result<(), String> {
    let Some(wrong) = fields.keys().find(|key| !known.contains(&key.as_str())) else {
        return Ok(());
    };
    let hint = match nearest(wrong, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("it may have {}", list_names(known.iter().copied())),
    };
    Err(format!("an event with `{}` has no `{wrong}`; {hint}", known[0]))
}

/// Text as it is, anything else as JSON.
fn content(value: Option<&Value>) -> (Bytes, bool) {
    match value {
        None | Some(Value::Null) => (Bytes::new(), false),
        Some(Value::String(text)) => (text.clone().into(), false),
        Some(value) => (value.to_string().into(), true),
    }
}

fn request(fields: &Map<String, Value>, function: &Function) -> Result<Planned, String> {
    let line = fields["request"].as_str().unwrap_or_default().trim();
    let (method, path) = line.split_once(' ').unwrap_or(("GET", line));
    let method: Method = method.parse().map_err(|_| format!("`{method}` is no HTTP method"))?;
    let path = path.trim();
    if !path.starts_with('/') || path.parse::<http::Uri>().is_err() {
        return Err(format!(
            "`request` is {line:?}; write a method and a path: \"POST /orders\""
        ));
    }
    let mut router = Router::new();
    for route in &function.routes {
        // Of two that are the same the first counts.
        let _ = router.insert(route, ());
    }
    let bare = path.split('?').next().unwrap_or(path);
    let (route_key, params) = match router.find(method.as_str(), bare) {
        Lookup::Found(found) => {
            let params = found
                .params
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.to_string()));
            (found.key.to_owned(), params.collect())
        }
        Lookup::MethodNotAllowed(_) | Lookup::NotFound => {
            let routes: Vec<String> = function.routes.iter().map(ToString::to_string).collect();
            return Err(match routes.is_empty() {
                true => format!(
                    "function {} has no routes, so {method} {path} does not reach it",
                    function.name
                ),
                false => format!(
                    "no route of {} takes {method} {path}; it has {}",
                    function.name,
                    routes.join(", ")
                ),
            });
        }
    };
    let (body, is_json) = content(fields.get("body"));
    let headers = headers(fields.get("headers"), &body, is_json)?;
    Ok(Planned {
        name: format!("{method} {path}"),
        given: Given::Request(Request {
            method,
            path: path.to_owned(),
            headers,
            body,
            route_key,
            params,
        }),
    })
}

/// Those of the event, and what any client sends.
fn headers(given: Option<&Value>, body: &Bytes, is_json: bool) -> Result<Vec<(String, String)>, String> {
    let mut headers = vec![("host".to_owned(), "localhost".to_owned())];
    if !body.is_empty() {
        headers.push(("content-length".to_owned(), body.len().to_string()));
    }
    if is_json {
        headers.push(("content-type".to_owned(), "application/json".to_owned()));
    }
    match given {
        None => {}
        Some(Value::Object(given)) => {
            for (name, value) in given {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                let is_valid = name.parse::<http::HeaderName>().is_ok() && text.parse::<http::HeaderValue>().is_ok();
                if !is_valid {
                    return Err(format!("`{name}: {text}` is no header"));
                }
                headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
                headers.push((name.clone(), text));
            }
        }
        Some(_) => return Err("`headers` is no object of names and values".to_owned()),
    }
    Ok(headers)
}

impl Request {
    fn event(&self) -> HttpEvent {
        let body: Body = Full::new(self.body.clone())
            .map_err(|never| match never {})
            .boxed_unsync();
        let mut request = http::Request::new(body);
        *request.method_mut() = self.method.clone();
        // Both were parsed when the event was planned.
        if let Ok(uri) = self.path.parse() {
            *request.uri_mut() = uri;
        }
        for (name, value) in &self.headers {
            if let (Ok(name), Ok(value)) = (name.parse::<http::HeaderName>(), value.parse()) {
                request.headers_mut().append(name, value);
            }
        }
        HttpEvent {
            request,
            peer: std::net::Ipv4Addr::LOCALHOST.into(),
            route_key: self.route_key.as_str().into(),
            path_parameters: self.params.clone(),
        }
    }
}

fn message(fields: &Map<String, Value>, function: &Function) -> Result<Planned, String> {
    let (is_topic, from) = match (&function.queue, &function.topic) {
        (Some(queue), _) => (false, queue.from.clone()),
        (None, Some(topic)) => (true, topic.from.clone()),
        (None, None) => {
            return Err(format!(
                "function {} gets no messages: neither `queue` nor `topic` is set in emu.toml",
                function.name
            ));
        }
    };
    let attributes = match fields.get("attributes") {
        None => BTreeMap::new(),
        Some(Value::Object(given)) => given.clone().into_iter().collect(),
        Some(_) => return Err("`attributes` is no object of names and values".to_owned()),
    };
    Ok(Planned {
        name: format!("message of {} {from}", if is_topic { "topic" } else { "queue" }),
        given: Given::Message(Message {
            is_topic,
            from,
            body: content(fields.get("message")).0,
            attributes,
            group: fields.get("group").and_then(Value::as_str).map(str::to_owned),
        }),
    })
}

impl Message {
    fn batch(&self, delivery: &Delivery) -> Batch {
        let from: Arc<str> = self.from.as_str().into();
        Batch {
            source: if self.is_topic {
                BatchSource::Topic(from)
            } else {
                BatchSource::Queue(from)
            },
            messages: vec![InMessage {
                id: delivery.message_id.clone(),
                receipt: delivery.id.clone(),
                body: self.body.clone(),
                content_type: None,
                attributes: self.attributes.clone(),
                sent_at: delivery.event_at,
                first_received_at: delivery.event_at,
                receive_count: delivery.receive_count,
                group: self.group.as_deref().map(Into::into),
            }],
        }
    }
}

fn cron(wanted: &Value, function: &Function) -> Result<Planned, String> {
    let names = || function.crons.iter().map(|cron| cron.name.as_str());
    let found = match wanted {
        Value::Bool(true) => function.crons.first(),
        Value::String(name) => function.crons.iter().find(|cron| cron.name == *name),
        _ => None,
    };
    let Some(found) = found else {
        return Err(match function.crons.is_empty() {
            true => format!("function {} has no cron", function.name),
            false => format!(
                "no cron named {wanted}; function {} has {}",
                function.name,
                list_names(names())
            ),
        });
    };
    Ok(Planned {
        name: format!("cron {}", found.name),
        given: Given::Cron {
            name: found.name.clone(),
            schedule: found.schedule.text().to_owned(),
        },
    })
}
