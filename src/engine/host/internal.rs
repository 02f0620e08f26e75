//! `http://NAME.queue.internal/`, `NAME.topic.internal` and `NAME.function.internal`: the project's own, by plain HTTP.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use serde_json::{Value, json};

use super::Run;
use super::outbound::OutboundError;
use crate::engine::cloudevents::{self, CloudEvent, Fault};
use crate::engine::{BindTarget, Body, HostError, OutMessage, Settings};

const DOMAIN: &str = ".internal";

/// What an internal host name names; the name is as written, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    kind: Kind,
    name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Queue,
    Topic,
    Function,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Topic => "topic",
            Self::Function => "function",
        }
    }
}

impl Target {
    /// `None` for hosts outside of `.internal`, and for internal ones that name none of ours.
    pub(super) fn parse(host: &str) -> Option<Self> {
        let (name, kind) = host.strip_suffix(DOMAIN)?.rsplit_once('.')?;
        let kind = match kind {
            "queue" => Kind::Queue,
            "topic" => Kind::Topic,
            "function" => Kind::Function,
            _ => return None,
        };
        Some(Self {
            kind,
            name: name.to_owned(),
        })
    }

    /// The target's name in the manifest: by the binding, or by its own name if some binding leads there.
    fn resolve(&self, settings: &Settings) -> Result<String, OutboundError> {
        let ours = settings
            .bind
            .iter()
            .filter_map(|(binding, target)| match (self.kind, target) {
                (Kind::Queue, BindTarget::Queue(name))
                | (Kind::Topic, BindTarget::Topic(name))
                | (Kind::Function, BindTarget::Function(name)) => Some((binding, name)),
                _ => None,
            });
        let ours: Vec<_> = ours.collect();
        let by_binding = ours
            .iter()
            .find(|(binding, _)| binding.eq_ignore_ascii_case(&self.name));
        let found = by_binding.or_else(|| ours.iter().find(|(_, name)| name.eq_ignore_ascii_case(&self.name)));
        found.map(|(_, name)| (*name).clone()).ok_or_else(|| {
            let (word, name) = (self.kind.word(), &self.name);
            OutboundError::Denied(format!(
                "function `{}` has no binding to a {word} `{name}`: add bind = {{ {} = \"{word}:{name}\" }} to it in emu.toml",
                settings.function,
                name.to_ascii_uppercase().replace(['-', '.'], "_"),
            ))
        })
    }
}

/// Serves a guest's request to one of the project's own.
///
/// # Errors
/// When no binding leads there, or the body cannot be read. What the target itself refuses is a response.
pub(super) async fn send(
    run: &Arc<Run>,
    target: Target,
    request: Request<Body>,
) -> Result<Response<Body>, OutboundError> {
    let name = target.resolve(&run.settings)?;
    if target.kind == Kind::Function {
        return match run.host.call(name, request).await {
            Ok(response) => Ok(response),
            Err(error) => Ok(refused(&error)),
        };
    }
    if request.method() != Method::POST {
        let text = format!("a {} takes messages by POST", target.kind.word());
        return Ok(answer(
            StatusCode::METHOD_NOT_ALLOWED,
            &problem("method-not-allowed", &text),
        ));
    }
    let (parts, body) = request.into_parts();
    let limit = usize::try_from(run.settings.body_bytes_max).unwrap_or(usize::MAX);
    let body = match Limited::new(body, limit).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            let text = format!("a message has at most {limit} bytes");
            return Ok(answer(
                StatusCode::PAYLOAD_TOO_LARGE,
                &problem("message-too-large", &text),
            ));
        }
        Err(error) => return Err(OutboundError::Request(error.to_string())),
    };
    let messages = match messages(&parts.headers, body) {
        Ok(messages) => messages,
        Err(fault) => {
            let text = format!("{}: {}", fault.message, fault.remedy);
            return Ok(answer(StatusCode::BAD_REQUEST, &problem("bad-event", &text)));
        }
    };
    let sent = match target.kind {
        Kind::Queue => run.host.send(name, messages).await,
        _ => run.host.publish(name, messages).await,
    };
    Ok(match sent {
        Ok(ids) => answer(StatusCode::ACCEPTED, &json!({ "ids": ids })),
        Err(error) => refused(&error),
    })
}

/// One message, or one for each CloudEvent in any of the three modes.
fn messages(headers: &HeaderMap, body: Bytes) -> Result<Vec<OutMessage>, Fault> {
    if cloudevents::is_announced(headers) {
        let events = cloudevents::read(headers, &body)?;
        return Ok(events.into_iter().map(CloudEvent::into_message).collect());
    }
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    Ok(vec![OutMessage {
        body,
        content_type: content_type.map(str::to_owned),
        ..OutMessage::default()
    }])
}

fn refused(error: &HostError) -> Response<Body> {
    let status = if error.code.ends_with("not-found") {
        StatusCode::NOT_FOUND
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    answer(status, &problem(error.code, &error.message))
}

fn problem(code: &str, message: &str) -> Value {
    json!({ "error": { "code": code, "message": message } })
}

fn answer(status: StatusCode, value: &Value) -> Response<Body> {
    let body = Full::new(Bytes::from(value.to_string()))
        .map_err(|never| match never {})
        .boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn internal_names_are_told_from_others() {
        let queue = Target::parse("orders.queue.internal").unwrap();
        assert_eq!((queue.kind, queue.name.as_str()), (Kind::Queue, "orders"));
        assert_eq!(Target::parse("orders.queue.internal.example.com"), None);
        assert_eq!(Target::parse("queue.internal"), None);
        assert_eq!(Target::parse("orders.kv.internal"), None);
    }

    #[test]
    fn cloud_events_are_read_and_other_bodies_left_as_they_are() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, "application/json".parse().unwrap());
        let plain = messages(&headers, Bytes::from_static(b"{\"id\":1}")).unwrap();
        assert_eq!(plain[0].body, Bytes::from_static(b"{\"id\":1}"));
        assert_eq!(plain[0].content_type.as_deref(), Some("application/json"));
        assert!(plain[0].attributes.is_empty());
        for (name, value) in [
            ("ce-specversion", "1.0"),
            ("ce-id", "1"),
            ("ce-source", "/s"),
            ("ce-type", "t"),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        let binary = messages(&headers, Bytes::from_static(b"{\"id\":1}")).unwrap();
        assert_eq!(binary[0].body, plain[0].body);
        assert_eq!(binary[0].attributes["ce-type"], "t");
        headers.remove("ce-source");
        let fault = messages(&headers, Bytes::new()).unwrap_err();
        assert!(fault.message.contains("`source`"), "{}", fault.message);
    }
}
