//! What guests may call: the project's own queues, topics, key-value stores and functions.

use std::sync::Arc;

use futures::future::BoxFuture;
use http_body_util::BodyExt;

use crate::engine::head::check_length;
use crate::engine::pace::Pace;
use crate::engine::{
    Body, Event, Host, HostError, HttpEvent, KeyValue, KvList, KvPage, KvPut, KvValue, OutMessage, Reply,
};
use crate::engine::{Left, OutsideAnswer, OutsideRoute};
use crate::platform::ids::InvocationId;

use super::driver::Driver;
use super::events::Summary;
use super::exchange::Exchange;
use super::http::{accept_event, is_asynchronous};
use super::listen::full;
use super::render::{reject_code, reject_text};
use super::state::Origin;
use super::telemetry::{self, Trace};

/// One invocation's view of the project.
pub struct Bindings {
    driver: Driver,
    caller: InvocationId,
    /// Under the manual clock.
    pace: Option<Arc<Pace>>,
    /// Where what the outside answers is kept.
    exchange: Option<Arc<Exchange>>,
    /// The trace context of what it asks and sends, when traces are told.
    trace: Option<Trace>,
}

impl Bindings {
    pub fn new(
        driver: Driver,
        caller: InvocationId,
        pace: Option<Arc<Pace>>,
        exchange: Option<Arc<Exchange>>,
        trace: Option<Trace>,
    ) -> Bindings {
        Bindings {
            driver,
            caller,
            pace,
            exchange,
            trace,
        }
    }

    fn origin(&self) -> Origin {
        Origin {
            cause: Some(self.caller),
            trace: self.trace.clone(),
        }
    }
}

/// Does something to others, whole or not at all, whatever becomes of the run: between the store and the core a message must not be left
/// behind. In virtual time: when it is the run's turn, and before the clock goes on.
async fn in_turn<T: Send + 'static>(
    pace: Option<Arc<Pace>>,
    work: impl Future<Output = Result<T, HostError>> + Send + 'static,
) -> Result<T, HostError> {
    let Some(pace) = pace else {
        let ended = tokio::spawn(work).await;
        return ended.unwrap_or_else(|error| {
            Err(HostError {
                code: "store-failed",
                message: format!("emu: {error}"),
            })
        });
    };
    pace.turn().await;
    let _hold = pace.hold();
    work.await
}

impl Host for Bindings {
    fn send(&self, queue: String, messages: Vec<OutMessage>) -> BoxFuture<'static, Result<Vec<String>, HostError>> {
        let (driver, origin) = (self.driver.clone(), self.origin());
        let pace = self.pace.clone();
        Box::pin(in_turn(
            pace,
            async move { driver.send(&queue, messages, origin).await },
        ))
    }

    fn publish(&self, topic: String, messages: Vec<OutMessage>) -> BoxFuture<'static, Result<Vec<String>, HostError>> {
        let (driver, origin) = (self.driver.clone(), self.origin());
        let pace = self.pace.clone();
        Box::pin(in_turn(
            pace,
            async move { driver.publish(&topic, messages, origin).await },
        ))
    }

    fn call(
        &self,
        function: String,
        mut request: http::Request<Body>,
    ) -> BoxFuture<'static, Result<http::Response<Body>, HostError>> {
        let (driver, caller) = (self.driver.clone(), self.caller);
        let pace = self.pace.clone();
        if is_asynchronous(request.headers()) {
            telemetry::carry(self.trace.as_ref(), request.headers_mut());
            return Box::pin(in_turn(
                pace,
                async move { driver.call(&function, request, caller).await },
            ));
        }
        let asking = driver.asking(&function, &mut request, self.trace.as_ref());
        Box::pin(async move {
            let Some(pace) = pace else {
                let answer = driver.call(&function, request, caller).await;
                driver.asked(asking, &answer);
                return answer;
            };
            let _elsewhere = pace.elsewhere();
            // Handed over whole: between two runs of virtual time nothing streams.
            let request = whole(request, driver.table().limits.request_bytes_max).await?;
            pace.turn().await;
            driver.call(&function, request, caller).await
        })
    }

    fn leaving(&self, request: &mut http::Request<Body>, host: &str, port: u16) -> Option<Left> {
        self.driver.leaving(request, (host, port), self.trace.as_ref())
    }

    fn outside(&self, method: &http::Method, url: &str, host: &str, port: u16) -> OutsideRoute {
        self.driver.0.outside.route(method, url, host, port)
    }

    fn recorded(&self, method: &http::Method, url: &str, answer: OutsideAnswer) {
        self.driver.0.outside.keep(method, url, answer);
    }

    fn heard(&self, method: &http::Method, url: &str, response: http::Response<Body>) -> http::Response<Body> {
        match &self.exchange {
            Some(exchange) => exchange.hear_outside(method, url, response),
            None => response,
        }
    }

    fn kv(&self, store: &str) -> Result<Arc<dyn KeyValue>, HostError> {
        let kv = self.driver.kv(store)?;
        Ok(match &self.pace {
            None => Arc::new(kv),
            Some(pace) => Arc::new(KvInTurn {
                kv: Arc::new(kv),
                pace: pace.clone(),
            }),
        })
    }
}

/// A request with all of its body.
async fn whole(request: http::Request<Body>, bytes_max: u64) -> Result<http::Request<Body>, HostError> {
    let (head, body) = request.into_parts();
    let limit = usize::try_from(bytes_max).unwrap_or(usize::MAX);
    let collected = http_body_util::Limited::new(body, limit).collect().await;
    let body = collected.map_err(|error| HostError {
        code: "broken-request",
        message: format!("the request's body could not be had: {error}"),
    })?;
    Ok(http::Request::from_parts(head, full(body.to_bytes())))
}

/// A key-value store, each operation when it is the run's turn.
struct KvInTurn {
    kv: Arc<dyn KeyValue>,
    pace: Arc<Pace>,
}

impl KvInTurn {
    fn turn<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn KeyValue) -> BoxFuture<'static, Result<T, HostError>> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, HostError>> {
        let kv = self.kv.clone();
        Box::pin(in_turn(Some(self.pace.clone()), async move { work(&*kv).await }))
    }
}

impl KeyValue for KvInTurn {
    fn get(&self, key: String) -> BoxFuture<'static, Result<Option<KvValue>, HostError>> {
        self.turn(|kv| kv.get(key))
    }

    fn put(&self, key: String, put: KvPut) -> BoxFuture<'static, Result<(), HostError>> {
        self.turn(|kv| kv.put(key, put))
    }

    fn delete(&self, key: String) -> BoxFuture<'static, Result<(), HostError>> {
        self.turn(|kv| kv.delete(key))
    }

    fn list(&self, list: KvList) -> BoxFuture<'static, Result<KvPage, HostError>> {
        self.turn(|kv| kv.list(list))
    }

    fn increment(&self, key: String, delta: u64) -> BoxFuture<'static, Result<u64, HostError>> {
        self.turn(move |kv| kv.increment(key, delta))
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
        let to_head = request.method() == http::Method::HEAD;
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
            Some(Reply::Http(mut response)) => {
                check_length(&mut response, to_head);
                Ok(response)
            }
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
