//! What guests may call: the project's own queues, topics, key-value stores and functions.

use std::sync::Arc;

use futures::future::BoxFuture;

use crate::engine::{Body, Event, Host, HostError, HttpEvent, KeyValue, OutMessage, Reply};
use crate::platform::ids::InvocationId;

use super::driver::Driver;
use super::events::Summary;
use super::http::{accept_event, is_asynchronous};
use super::render::{reject_code, reject_text};

/// One invocation's view of the project.
pub struct Bindings {
    driver: Driver,
    caller: InvocationId,
}

impl Bindings {
    pub fn new(driver: Driver, caller: InvocationId) -> Bindings {
        Bindings { driver, caller }
    }
}

impl Host for Bindings {
    fn send(&self, queue: String, messages: Vec<OutMessage>) -> BoxFuture<'static, Result<Vec<String>, HostError>> {
        let (driver, caller) = (self.driver.clone(), self.caller);
        Box::pin(async move { driver.send(&queue, messages, Some(caller)).await })
    }

    fn publish(&self, topic: String, messages: Vec<OutMessage>) -> BoxFuture<'static, Result<Vec<String>, HostError>> {
        let (driver, caller) = (self.driver.clone(), self.caller);
        Box::pin(async move { driver.publish(&topic, messages, Some(caller)).await })
    }

    fn call(
        &self,
        function: String,
        request: http::Request<Body>,
    ) -> BoxFuture<'static, Result<http::Response<Body>, HostError>> {
        let (driver, caller) = (self.driver.clone(), self.caller);
        Box::pin(async move { driver.call(&function, request, caller).await })
    }

    fn kv(&self, store: &str) -> Result<Arc<dyn KeyValue>, HostError> {
        Ok(Arc::new(self.driver.kv(store)?))
    }
}

impl Driver {
    /// One function calls another, as over HTTP.
    async fn call(
        &self,
        function: &str,
        request: http::Request<Body>,
        cause: InvocationId,
    ) -> Result<http::Response<Body>, HostError> {
        let table = self.table();
        let Some(entry) = table.by_name.get(function).cloned() else {
            return Err(not_found("function", function, table.project.functions.keys()));
        };
        if is_asynchronous(request.headers()) {
            let limit = table.limits.request_bytes_max;
            return Ok(accept_event(self, &entry, request, limit, Some(cause)).await);
        }
        let summary = Summary::Request {
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            cause: Some(cause),
        };
        let event = Event::Http(HttpEvent {
            request,
            peer: std::net::Ipv4Addr::LOCALHOST.into(),
            route_key: "$default".into(),
            path_parameters: Vec::new(),
        });
        let mut ticket = self.invoke(&entry, event, summary).await.map_err(|reason| HostError {
            code: reject_code(reason),
            message: format!("function {function}: {}", reject_text(reason)),
        })?;
        ticket.detach();
        match ticket.reply().await {
            Some(Reply::Http(response)) => Ok(response),
            _ => {
                let failure = ticket.ended().await;
                Err(HostError {
                    code: "function-failed",
                    message: match failure {
                        Some(failure) => format!("function {function} failed: {}", failure.message),
                        None => format!("function {function} gave no HTTP answer"),
                    },
                })
            }
        }
    }
}

pub(super) fn not_found<'a>(kind: &str, name: &str, known: impl Iterator<Item = &'a String>) -> HostError {
    let hint = nearest(name, known).map_or(String::new(), |near| format!("; did you mean {near}?"));
    HostError {
        code: match kind {
            "queue" => "queue-not-found",
            "topic" => "topic-not-found",
            "key-value store" => "kv-not-found",
            _ => "function-not-found",
        },
        message: format!("no {kind} named {name} in this project{hint}"),
    }
}

/// The most similar name, when it is similar at all.
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a String>) -> Option<&'a str> {
    known
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate.as_str()))
        .filter(|(distance, candidate)| *distance <= candidate.len().max(name.len()) / 3 + 1)
        .min()
        .map(|(_, candidate)| candidate)
}
