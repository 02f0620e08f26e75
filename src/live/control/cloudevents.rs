//! CloudEvents from outside, in any of their modes, on their way to a topic, a queue or a function.

use std::collections::HashMap;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use crate::engine::cloudevents::{self, CloudEvent, Fault};
use crate::live::Server;
use crate::live::bindings::nearest;
use crate::live::state::Origin;

use super::handlers::{entry, host_failure};
use super::{Answer, ApiFailure, Reply, failure_reply, json as json_reply};

/// Where events go.
pub enum Target {
    Topic(String),
    Queue(String),
    Function(String),
    /// A topic by each event's type, or the only one.
    ByType,
}

const TARGETS: [&str; 3] = ["topic", "queue", "function"];

/// What `/_emu/{what}/{name}/{action}` names, when the request brings events.
pub fn target(what: &str, name: &str, action: &str, headers: &HeaderMap) -> Option<Target> {
    let name = name.to_owned();
    match (what, action) {
        _ if !cloudevents::is_announced(headers) => None,
        ("topics", "messages") => Some(Target::Topic(name)),
        ("queues", "messages") => Some(Target::Queue(name)),
        _ => None,
    }
}

/// POST `/_emu/cloudevents`.
pub async fn post(server: &Server, query: &HashMap<String, String>, headers: &HeaderMap, body: &Bytes) -> Reply {
    match asked(query) {
        Ok(target) => to(server, target, headers, body).await,
        Err(failure) => failure_reply(&failure),
    }
}

fn asked(query: &HashMap<String, String>) -> Answer<Target> {
    let bad = |message: String, remedy: String| {
        Err(ApiFailure::new(StatusCode::BAD_REQUEST, "bad-target", message).remedy(remedy))
    };
    if let Some(unknown) = query.keys().find(|key| !TARGETS.contains(&key.as_str())) {
        let known = TARGETS.map(str::to_owned);
        let remedy = nearest(unknown, known.iter()).map_or_else(
            || "there are ?topic=NAME, ?queue=NAME and ?function=NAME".to_owned(),
            |near| format!("did you mean ?{near}=NAME?"),
        );
        return bad(format!("?{unknown} says nothing here"), remedy);
    }
    let mut given = TARGETS
        .iter()
        .filter_map(|kind| Some((*kind, query.get(*kind)?.clone())));
    match (given.next(), given.next()) {
        (None, _) => Ok(Target::ByType),
        (Some(("topic", name)), None) => Ok(Target::Topic(name)),
        (Some(("queue", name)), None) => Ok(Target::Queue(name)),
        (Some((_, name)), None) => Ok(Target::Function(name)),
        (Some((first, _)), Some((second, _))) => bad(
            format!("?{first} and ?{second} together"),
            "name one target; a topic reaches several".to_owned(),
        ),
    }
}

/// Takes all events of a request, or none.
pub async fn to(server: &Server, target: Target, headers: &HeaderMap, body: &Bytes) -> Reply {
    match deliver(server, target, headers, body).await {
        Ok(ids) => json_reply(StatusCode::ACCEPTED, &json!({ "ids": ids })),
        Err(failure) => failure_reply(&failure),
    }
}

async fn deliver(server: &Server, target: Target, headers: &HeaderMap, body: &Bytes) -> Answer<Vec<String>> {
    let driver = &server.driver;
    let events = cloudevents::read(headers, body).map_err(bad_event)?;
    let origin = Origin::outside(headers);
    let messages = |events: Vec<CloudEvent>| events.into_iter().map(CloudEvent::into_message).collect();
    let ids = match target {
        Target::Topic(topic) => driver.publish(&topic, messages(events), origin).await,
        Target::Queue(queue) => driver.send(&queue, messages(events), origin).await,
        Target::Function(function) => return invoke(server, &function, &events, origin).await,
        Target::ByType => {
            let mut coming = Vec::with_capacity(events.len());
            for event in events {
                coming.push((topic_of(server, &event)?, event.into_message()));
            }
            let coming = coming.iter().map(|(topic, message)| (topic.as_str(), message.clone()));
            driver.publish_each(coming.collect(), origin).await
        }
    };
    ids.map_err(host_failure)
}

fn bad_event(fault: Fault) -> ApiFailure {
    ApiFailure::new(StatusCode::BAD_REQUEST, "bad-event", fault.message).remedy(fault.remedy)
}

/// The topic called like the event's type, or the project's only one.
fn topic_of(server: &Server, event: &CloudEvent) -> Answer<String> {
    let table = server.driver.table();
    let topics = &table.project.topics;
    let only = topics.keys().next().filter(|_| topics.len() == 1);
    let named = topics.get_key_value(event.kind()).map(|(name, _)| name);
    named.or(only).cloned().ok_or_else(|| {
        let message = format!("no topic is called like the type {:?}", event.kind());
        let known: Vec<&str> = topics.keys().map(String::as_str).collect();
        let remedy = if known.is_empty() {
            "this project has no topics: name a target with ?queue=NAME or ?function=NAME".to_owned()
        } else {
            format!("name one with ?topic=NAME: there are {}", known.join(", "))
        };
        ApiFailure::new(StatusCode::BAD_REQUEST, "no-target", message).remedy(remedy)
    })
}

async fn invoke(server: &Server, function: &str, events: &[CloudEvent], origin: Origin) -> Answer<Vec<String>> {
    let entry = entry(server, function)?;
    let driver = &server.driver;
    let events: Vec<Value> = events.iter().map(CloudEvent::to_json).collect();
    let max = driver.table().limits.event_bytes_max;
    let sizes = events.iter().map(|event| event.to_string().len() as u64);
    if let Some(size) = sizes.max().filter(|size| *size > max) {
        let message = format!("the event for {function} has {size} bytes, the provider takes {max} at the most");
        return Err(ApiFailure::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "event-too-large",
            message,
        ));
    }
    let ids = driver
        .invoke_async_each(entry.id, &events, origin)
        .await
        .map_err(host_failure)?;
    Ok(ids.into_iter().map(|id| driver.0.ids.invocation(id)).collect())
}
