//! What guests may call: the project's own queues, topics and functions.

use std::sync::Arc;

use futures::future::BoxFuture;

use crate::engine::{Body, Event, Host, HostError, HttpEvent, OutMessage, Reply};
use crate::platform::ids::{InvocationId, MessageId};
use crate::platform::input::{Input, TopicContent};

use super::driver::{Driver, Own, lock};
use super::events::Summary;
use super::messages::Content;
use super::render::{reject_code, reject_text};
use super::run::{self, SendOptions};

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
        let each = move |message| driver.send(&queue, message, Some(caller));
        Box::pin(async move { messages.into_iter().map(each).collect() })
    }

    fn publish(&self, topic: String, messages: Vec<OutMessage>) -> BoxFuture<'static, Result<Vec<String>, HostError>> {
        let (driver, caller) = (self.driver.clone(), self.caller);
        let each = move |message| driver.publish(&topic, message, Some(caller));
        Box::pin(async move { messages.into_iter().map(each).collect() })
    }

    fn call(
        &self,
        function: String,
        request: http::Request<Body>,
    ) -> BoxFuture<'static, Result<http::Response<Body>, HostError>> {
        let (driver, caller) = (self.driver.clone(), self.caller);
        Box::pin(async move { driver.call(&function, request, caller).await })
    }
}

impl Driver {
    /// Puts a message into a queue; its id.
    ///
    /// # Errors
    /// `queue-not-found`, `queue-full`, `message-too-large`, `store-full`.
    pub fn send(&self, queue: &str, message: OutMessage, cause: Option<InvocationId>) -> Result<String, HostError> {
        let table = self.table();
        let known = table.project.queues.contains_key(queue);
        let names = self.0.names.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let Some(id) = names.find_queue(queue).filter(|_| known) else {
            return Err(not_found("queue", queue, table.project.queues.keys()));
        };
        drop(names);
        let options = SendOptions {
            delay: message.delay,
            group: message.group.clone(),
            deduplication: message.deduplication.clone(),
        };
        self.put(
            message,
            |message, content| run::send_input(id, message, content, cause, &options),
            queue,
        )
    }

    /// Publishes to a topic; the message's id.
    ///
    /// # Errors
    /// `topic-not-found`, `message-too-large`, `store-full`.
    pub fn publish(&self, topic: &str, message: OutMessage, cause: Option<InvocationId>) -> Result<String, HostError> {
        let table = self.table();
        let known = table.project.topics.contains_key(topic);
        let names = self.0.names.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let Some(id) = names.find_topic(topic).filter(|_| known) else {
            return Err(not_found("topic", topic, table.project.topics.keys()));
        };
        drop(names);
        let input = |message, content: &Content| Input::Publish {
            topic: id,
            message: run::message(message, content, cause, &SendOptions::default()),
            content: Arc::new(TopicContent {
                attributes: content.attributes.clone(),
                body: content.json(),
            }),
        };
        self.put(message, input, topic)
    }

    fn put(
        &self,
        message: OutMessage,
        input: impl FnOnce(MessageId, &Content) -> Input,
        name: &str,
    ) -> Result<String, HostError> {
        let content = Content {
            body: message.body,
            content_type: message.content_type,
            attributes: message.attributes,
        };
        let size = content.size_bytes();
        let max = self.table().limits.message_bytes_max;
        if size > max {
            return Err(HostError {
                code: "message-too-large",
                message: format!("the message for {name} has {size} bytes, the provider takes {max} at the most"),
            });
        }
        let mut core = lock(&self.0.core);
        if !core.messages.fits(size) {
            return Err(HostError {
                code: "store-full",
                message: "the messages of all queues together take 1 GiB; consume or purge a queue first".to_owned(),
            });
        }
        let id = core.platform.new_message();
        let input = input(id, &content);
        core.messages.put(id, Arc::new(content));
        let mut own = Own {
            message: Some(id),
            ..Own::default()
        };
        self.step_locked(&mut core, input, &mut own);
        if own.refused {
            core.messages.remove(id);
            return Err(HostError {
                code: "queue-full",
                message: format!("queue {name} holds its maximum (max_messages); consume or purge it first"),
            });
        }
        if let Some(original) = own.original {
            core.messages.remove(id);
            return Ok(self.0.ids.message(original));
        }
        Ok(self.0.ids.message(id))
    }

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
        let ticket = self.invoke(&entry, event, summary).await.map_err(|reason| HostError {
            code: reject_code(reason),
            message: format!("function {function}: {}", reject_text(reason)),
        })?;
        match ticket.reply.await {
            Ok(Reply::Http(response)) => Ok(response),
            _ => {
                let failure = ticket.ended.await.ok().flatten();
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

fn not_found<'a>(kind: &str, name: &str, known: impl Iterator<Item = &'a String>) -> HostError {
    let hint = nearest(name, known).map_or(String::new(), |near| format!("; did you mean {near}?"));
    HostError {
        code: match kind {
            "queue" => "queue-not-found",
            "topic" => "topic-not-found",
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
