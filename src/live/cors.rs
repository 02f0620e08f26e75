//! `[http] cors`: preflight answers and the headers on every response, for a frontend on another port.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;

use crate::engine::Body;
use crate::project::Cors;

use super::listen::full;
use super::table::Table;

/// Answers a preflight request; `None` when it is none, when CORS is off, or when a function answers `OPTIONS` here.
pub fn preflight(table: &Table, request: &Request<Incoming>) -> Option<Response<Body>> {
    let cors = table.project.http.cors.as_ref()?;
    let headers = request.headers();
    let origin = headers.get(header::ORIGIN)?;
    let asked = headers.get(header::ACCESS_CONTROL_REQUEST_METHOD)?;
    if request.method() != Method::OPTIONS {
        return None;
    }
    let mut response = Response::new(full(Vec::new()));
    *response.status_mut() = StatusCode::NO_CONTENT;
    if allowed_origin(cors, origin).is_none() {
        return Some(response);
    }
    let out = response.headers_mut();
    insert(out, header::ACCESS_CONTROL_ALLOW_METHODS, list(&cors.methods, asked));
    if let Some(asked) = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        insert(out, header::ACCESS_CONTROL_ALLOW_HEADERS, list(&cors.headers, asked));
    }
    out.insert(
        header::ACCESS_CONTROL_MAX_AGE,
        HeaderValue::from(cors.max_age.as_secs()),
    );
    Some(response)
}

/// A wildcard becomes what was asked for, so that it works with credentials too.
fn list(configured: &[String], asked: &HeaderValue) -> Option<HeaderValue> {
    if configured.iter().any(|item| item == "*") {
        return Some(asked.clone());
    }
    HeaderValue::try_from(configured.join(", ")).ok()
}

/// An answer that has as many headers as a map holds goes without this one.
pub(super) fn set(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) {
    if headers.try_insert(name, value).is_err() {
        tracing::debug!("an answer with too many headers");
    }
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: Option<HeaderValue>) {
    if let Some(value) = value {
        headers.insert(name, value);
    }
}

fn allowed_origin(cors: &Cors, origin: &HeaderValue) -> Option<HeaderValue> {
    let any = cors.origins.iter().any(|allowed| allowed == "*");
    if any && !cors.credentials {
        return Some(HeaderValue::from_static("*"));
    }
    let exact = cors
        .origins
        .iter()
        .any(|allowed| allowed.as_bytes() == origin.as_bytes());
    (any || exact).then(|| origin.clone())
}

/// Adds the headers that let a page read the answer. A function that sets its own keeps them.
pub fn decorate(table: &Table, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
    let (Some(cors), Some(origin)) = (&table.project.http.cors, origin) else {
        return;
    };
    if headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN) {
        return;
    }
    let Some(allowed) = allowed_origin(cors, origin) else {
        return;
    };
    if allowed != "*" {
        // As `set`, which see.
        drop(headers.try_append(header::VARY, HeaderValue::from_static("Origin")));
    }
    set(headers, header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
    if cors.credentials {
        let yes = HeaderValue::from_static("true");
        set(headers, header::ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
    }
    let exposed = HeaderValue::from_static("x-emu-invocation, x-emu-start");
    set(headers, header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
}
