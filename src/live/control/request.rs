//! `POST /_emu/request`: a request to the functions' port, sent by emu itself, for pages that may not reach it.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::live::Server;
use crate::live::api;
use crate::live::http::{INVOCATION_HEADER, START_HEADER};

use super::load::{own_uri, parse_headers, parse_method};
use super::{Answer, ApiFailure, bad_request, read};

const REMEDY: &str = r#"for example {"method": "POST", "path": "/orders", "headers": [["content-type", "application/json"]], "body": "{}"}"#;
/// Of an answer's body that is shown.
const BODY_BYTES_MAX: usize = 4 << 20;
/// A stream that goes on is shown as far as it came by then.
const PATIENCE: Duration = Duration::from_secs(60);

pub async fn send(server: &Server, body: &Bytes) -> Answer<api::Answered> {
    let asked: api::SendRequest = read(body, REMEDY)?;
    let request = build(server, &asked)?;
    let begun = Instant::now();
    let client: Client<HttpConnector, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let failed = |why: String| {
        ApiFailure::new(StatusCode::BAD_GATEWAY, "no-answer", why).remedy("the functions' port gave no answer")
    };
    let answer = tokio::time::timeout(PATIENCE, client.request(request)).await;
    let answer = answer
        .map_err(|_| failed(format!("no answer within {} s", PATIENCE.as_secs())))?
        .map_err(|error| failed(error.to_string()))?;
    let (head, body) = answer.into_parts();
    let left = PATIENCE.saturating_sub(begun.elapsed());
    let (bytes, whole) = gather(body, left).await;
    let (text, base64) = match String::from_utf8(bytes.clone()) {
        Ok(text) => (Some(text), None),
        Err(_) => (None, Some(STANDARD.encode(&bytes))),
    };
    Ok(api::Answered {
        status: head.status.as_u16(),
        elapsed_ms: begun.elapsed().as_secs_f64() * 1e3,
        invocation: word(&head.headers, INVOCATION_HEADER.as_str()),
        start: word(&head.headers, START_HEADER.as_str()),
        headers: head
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect(),
        body: text,
        base64,
        bytes: bytes.len(),
        truncated: !whole,
    })
}

fn build(server: &Server, asked: &api::SendRequest) -> Answer<Request<Full<Bytes>>> {
    let body = match (&asked.body, &asked.base64) {
        (Some(_), Some(_)) => return Err(bad_request("bad-request", "give one of body and base64").remedy(REMEDY)),
        (Some(text), None) => Bytes::from(text.clone()),
        (None, Some(text)) => STANDARD
            .decode(text)
            .map(Bytes::from)
            .map_err(|error| bad_request("bad-base64", format!("base64: {error}")))?,
        (None, None) => Bytes::new(),
    };
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = match &asked.method {
        Some(method) => parse_method(method)?,
        None => Method::GET,
    };
    *request.uri_mut() = own_uri(server, &asked.path)?;
    for (name, value) in parse_headers(&asked.headers)? {
        request.headers_mut().append(name, value);
    }
    Ok(request)
}

fn word(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// The body, and whether that is all of it.
async fn gather(mut body: Incoming, patience: Duration) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    let reading = async {
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return false };
            if let Some(data) = frame.data_ref() {
                let room = BODY_BYTES_MAX - bytes.len();
                bytes.extend_from_slice(&data[..data.len().min(room)]);
                if data.len() > room {
                    return false;
                }
            }
        }
        true
    };
    let whole = tokio::time::timeout(patience, reading).await.unwrap_or(false);
    (bytes, whole)
}
