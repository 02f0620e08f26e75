//! Records of asynchronous invocations that ended, on their way to `on_success` and `on_failure`.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::engine::{Failure, FailureKind, Reply};
use crate::platform::config::Destination;
use crate::platform::effect::{Condition, StoreChange};
use crate::platform::ids::{InvocationId, MessageId, QueueId};
use crate::platform::input::Input;
use crate::platform::time::Time;

use super::clock::rfc3339;
use super::driver::{Core, Driver, Own};
use super::keeper::Group;
use super::messages::{Content, Payload};
use super::run::{self, SendOptions};
use super::state::{first_attempt, publish_input};
use super::telemetry::{self, Trace};

/// What the last attempt answered.
#[derive(Clone, Debug)]
pub struct Response {
    failed: bool,
    payload: Value,
    /// What the record goes on with.
    trace: Option<Trace>,
}

impl Response {
    pub fn of(reply: Option<&Reply>, failure: Option<&Failure>, trace: Option<Trace>) -> Response {
        let payload = match (failure, reply) {
            (Some(failure), _) => failure_payload(failure),
            (None, Some(Reply::Json(value))) => value.clone(),
            (None, _) => Value::Null,
        };
        Response {
            failed: failure.is_some(),
            payload,
            trace,
        }
    }
}

/// As Lambda shows an error: `{"errorType", "errorMessage", "stackTrace"}`.
fn failure_payload(failure: &Failure) -> Value {
    let is_name = |text: &str| text.ends_with("Error") && text.chars().all(|c| c.is_alphanumeric() || c == '_');
    let named = failure.message.split_once(": ").filter(|(name, _)| is_name(name));
    let (kind, message) = match failure.kind {
        FailureKind::Timeout => ("Sandbox.Timedout", failure.message.as_str()),
        FailureKind::OutOfMemory => ("Runtime.OutOfMemory", failure.message.as_str()),
        FailureKind::Exit | FailureKind::Trap => ("Runtime.ExitError", failure.message.as_str()),
        FailureKind::BadResponse => ("Runtime.BadResponse", failure.message.as_str()),
        FailureKind::Error => named.unwrap_or(("Error", failure.message.as_str())),
    };
    json!({ "errorType": kind, "errorMessage": message, "stackTrace": failure.stack })
}

/// What a record says of a response besides its payload, at the most.
const RESPONSE_BYTES: u64 = 128;

/// All of a record but its event.
struct Ended {
    time: Time,
    request_id: String,
    function: Arc<str>,
    condition: Condition,
    attempts: u32,
    response: Option<Response>,
    /// Beyond it the response's payload stays away, as the largest part that is not needed to try again.
    bytes_max: u64,
    /// Beyond it nobody takes the record: then it names its event instead of holding it.
    taken_max: Option<u64>,
    /// The event's name.
    first: String,
}

impl Ended {
    /// In the shape of Lambda's destination records.
    fn record(&self, payload: &Value) -> Value {
        let condition = match self.condition {
            Condition::Success => "Success",
            Condition::RetriesExhausted => "RetriesExhausted",
            Condition::EventAgeExceeded => "EventAgeExceeded",
        };
        let mut record = json!({
            "version": "1.0",
            "timestamp": rfc3339(self.time),
            "requestContext": {
                "requestId": self.request_id,
                "functionArn": format!("arn:aws:lambda:local:000000000000:function:{}:$LATEST", self.function),
                "condition": condition,
                "approximateInvokeCount": self.attempts,
            },
            "requestPayload": payload,
        });
        let fits = |max| record.to_string().len() as u64 + RESPONSE_BYTES <= max;
        if !self.taken_max.is_none_or(fits) {
            tracing::warn!("{}: its event does not fit into its record", self.request_id);
            record["requestPayload"] = self.first.clone().into();
        }
        let Some(response) = &self.response else {
            return record;
        };
        record["responseContext"] = json!({ "statusCode": 200, "executedVersion": "$LATEST" });
        if response.failed {
            record["responseContext"]["functionError"] = "Unhandled".into();
        }
        let payload = response.payload.to_string().len();
        if (record.to_string().len() + payload) as u64 > self.bytes_max {
            tracing::warn!(
                "{}: its answer of {payload} bytes does not fit into its record",
                self.request_id
            );
        } else {
            record["responsePayload"] = response.payload.clone();
        }
        record
    }

    /// The trace of the last attempt; of an event that never ran its own.
    fn trace(&self, event: Option<Trace>) -> Option<Trace> {
        let response = self.response.as_ref();
        response.and_then(|response| response.trace.clone()).or(event)
    }

    fn content(&self, payload: &Value, event: Option<Trace>) -> Content {
        Content {
            body: self.record(payload).to_string().into(),
            content_type: Some("application/json".to_owned()),
            attributes: telemetry::attributes(self.trace(event).as_ref()),
        }
    }
}

impl Driver {
    /// Sends the record of an asynchronous invocation that ended to its destination. Its event is needed for that and
    /// may have left memory.
    pub(super) fn send_record(&self, core: &mut Core, now: Time, change: &StoreChange, own: &Own) {
        let StoreChange::Destination {
            first,
            function,
            message,
            last,
            attempts,
            condition,
            to,
        } = *change
        else {
            return;
        };
        let taken_max = self.0.store.group().map(Group::bytes_max);
        let ended = Ended {
            time: now,
            request_id: self.0.ids.invocation(last),
            function: self.names().function(function),
            condition,
            attempts,
            response: own.response.clone().filter(|_| own.invocation == Some(last)),
            bytes_max: self.table().limits.message_bytes_max.min(taken_max.unwrap_or(u64::MAX)),
            taken_max,
            first: self.0.ids.invocation(first),
        };
        let (payload, trace) = event(core, first, message);
        if let (None, None, Destination::Queue(queue)) = (&payload, message, to) {
            return self.send_stored_record(core, now, (first, last), ended, queue);
        }
        // It ran a moment ago, so its event is in memory, unless much larger ones have come since.
        let payload = payload.unwrap_or_else(|| Value::String(self.0.ids.invocation(first)));
        if let Destination::Function(function) = to {
            let id = core.platform.new_invocation();
            let payload = Payload {
                json: ended.record(&payload).to_string().into(),
                trace: ended.trace(trace),
            };
            let event = first_attempt(id, function, now, Some(last));
            self.0.store.follow_event(event, payload.clone());
            core.messages.put_event(id, payload);
            let input = Input::ArriveAsync {
                invocation: id,
                function,
                cause: Some(last),
            };
            return core.platform.handle(now, input);
        }
        let content = Arc::new(ended.content(&payload, trace));
        let message = core.platform.new_message();
        self.0.store.follow_body(message, content.clone());
        let input = match to {
            Destination::Topic(topic) => publish_input(topic, message, &content, Some(last)),
            Destination::Queue(queue) => Input::Send {
                queue,
                message: run::message(message, &content, Some(last), &SendOptions::default()),
            },
            Destination::Function(_) => return,
        };
        core.messages.put(message, content);
        core.platform.handle(now, input);
    }

    /// As [`Driver::send_record`] for an event that only the store still has: the record is made there.
    fn send_stored_record(
        &self,
        core: &mut Core,
        now: Time,
        (first, last): (InvocationId, InvocationId),
        ended: Ended,
        queue: QueueId,
    ) {
        let message = core.platform.new_message();
        let make = move |event: &Payload| {
            let payload = serde_json::from_str(&event.json).unwrap_or(Value::Null);
            ended.content(&payload, event.trace.clone())
        };
        self.0.store.follow_record(first, message, Box::new(make));
        let content = Content::default();
        let message = run::message(message, &content, Some(last), &SendOptions::default());
        core.platform.handle(now, Input::Send { queue, message });
    }
}

/// What led to a record, as far as it is in memory, and the trace that it came in.
fn event(core: &Core, first: InvocationId, message: Option<MessageId>) -> (Option<Value>, Option<Trace>) {
    match message {
        None => {
            let event = core.messages.event(first);
            let payload = event.and_then(|event| serde_json::from_str(&event.json).ok());
            (payload, event.and_then(|event| event.trace.clone()))
        }
        Some(message) => {
            let content = core.messages.get(message);
            let payload = content.map(|content| content.json_or_text());
            (payload, content.and_then(|content| content.trace()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(response: Option<Response>, bytes_max: u64) -> Ended {
        Ended {
            time: Time(1_700_000_000_000_000_000),
            request_id: "i1".to_owned(),
            function: "job".into(),
            condition: Condition::Success,
            attempts: 1,
            response,
            bytes_max,
            taken_max: None,
            first: "i0".to_owned(),
        }
    }

    #[test]
    fn a_record_has_lambdas_shape() {
        let answer = Response::of(Some(&Reply::Json(json!({"done": 1}))), None, None);
        assert_eq!(
            ended(Some(answer), 1 << 20).record(&json!({"n": 1})),
            json!({
                "version": "1.0",
                "timestamp": "2023-11-14T22:13:20.000Z",
                "requestContext": {
                    "requestId": "i1",
                    "functionArn": "arn:aws:lambda:local:000000000000:function:job:$LATEST",
                    "condition": "Success",
                    "approximateInvokeCount": 1,
                },
                "requestPayload": {"n": 1},
                "responseContext": {"statusCode": 200, "executedVersion": "$LATEST"},
                "responsePayload": {"done": 1},
            })
        );
        let never_ran = ended(None, 1 << 20).record(&Value::Null);
        assert!(never_ran.get("responseContext").is_none(), "{never_ran}");
    }

    #[test]
    fn an_answer_that_does_not_fit_stays_away() {
        let answer = Response::of(Some(&Reply::Json("x".repeat(1000).into())), None, None);
        let record = ended(Some(answer), 900).record(&json!({"n": 1}));
        assert!(record.get("responsePayload").is_none() && record["requestPayload"]["n"] == 1);
    }

    #[test]
    fn a_record_that_nobody_takes_names_its_event() {
        let answer = Response::of(Some(&Reply::Json(json!({"done": 1}))), None, None);
        let ended = Ended {
            taken_max: Some(900),
            ..ended(Some(answer), 900)
        };
        let record = ended.record(&json!("x".repeat(1000)));
        assert_eq!(record["requestPayload"], "i0");
        assert_eq!(record["responsePayload"], json!({"done": 1}));
        assert_eq!(ended.record(&json!({"n": 1}))["requestPayload"]["n"], 1);
    }

    #[test]
    fn errors_are_named() {
        let failure = |kind, message: &str| Failure {
            kind,
            message: message.to_owned(),
            stack: Vec::new(),
        };
        for (failure, kind, message) in [
            (failure(FailureKind::Error, "TypeError: no"), "TypeError", "no"),
            (failure(FailureKind::Error, "see: this"), "Error", "see: this"),
            (
                failure(FailureKind::Timeout, "timed out after 3 s"),
                "Sandbox.Timedout",
                "timed out after 3 s",
            ),
        ] {
            let payload = Response::of(None, Some(&failure), None).payload;
            assert_eq!(
                (&payload["errorType"], &payload["errorMessage"]),
                (&json!(kind), &json!(message))
            );
        }
    }
}
