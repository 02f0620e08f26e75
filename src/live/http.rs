//! The functions' port: a request finds its route, becomes an invocation, and the guest's answer streams back.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Value, json};

use crate::engine::head::{check_length, names_one_host};
use crate::engine::{Body, BodyError, Event, Failure, FailureKind, HttpEvent, Reply};
use crate::platform::effect::RejectReason;
use crate::platform::ids::InvocationId;
use crate::project::{Lookup, Match};

use super::cors;
use super::driver::Driver;
use super::events::{Summary, What};
use super::listen::{PeerService, full};
use super::names::PublicIds;
use super::render::{reject_code, reject_text};
use super::sequence::Place;
use super::serve::{Pending, Serving};
use super::state::Origin;
use super::table::{Entry, Table, Target};
use super::telemetry::Trace;
use crate::report::event::{Event as Told, Notice};

/// On every answer of a function.
pub const INVOCATION_HEADER: HeaderName = HeaderName::from_static("x-emu-invocation");
/// `cold` or `warm`.
pub const START_HEADER: HeaderName = HeaderName::from_static("x-emu-start");
/// `event` asks for an asynchronous invocation.
const TYPE_HEADER: HeaderName = HeaderName::from_static("x-emu-invocation-type");

/// What is read of a body that is refused, so that its sender gets to see the answer.
const DRAINED_BYTES_MAX: usize = 64 << 20;
const DRAIN_TIME_MAX: Duration = Duration::from_secs(5);
/// Within this a body must be there that is read before anything runs, where no function's timeout counts.
const BODY_TIME_MAX: Duration = Duration::from_secs(60);

/// The number of a request among those that are to be taken in order.
const SEQUENCE_HEADER: HeaderName = HeaderName::from_static("x-emu-sequence");
/// What guests see of who asks under the manual clock: neither port nor client differ from run to run.
const SAME_HOST: HeaderValue = HeaderValue::from_static("localhost");
const SAME_AGENT: HeaderValue = HeaderValue::from_static("emu");

const COLD: HeaderValue = HeaderValue::from_static("cold");
const WARM: HeaderValue = HeaderValue::from_static("warm");

/// The functions' service.
#[derive(Clone)]
pub struct Functions {
    driver: Driver,
    serving: Option<Arc<Serving>>,
    told_of_tls: Arc<AtomicBool>,
}

impl Functions {
    pub fn new(driver: Driver, serving: Option<Serving>) -> Functions {
        Functions {
            driver,
            serving: serving.map(Arc::new),
            told_of_tls: Arc::default(),
        }
    }
}

impl PeerService for Functions {
    fn answer(
        &self,
        request: Request<Incoming>,
        peer: IpAddr,
    ) -> impl Future<Output = Response<Body>> + Send + 'static {
        serve(self.driver.clone(), self.serving.clone(), request, peer)
    }

    fn tls_attempt(&self) {
        if !self.told_of_tls.swap(true, Ordering::Relaxed) {
            let message = "a client spoke TLS to the functions' port; emu serves plain HTTP: use http:// in the URL, \
                           or put a TLS proxy before it"
                .to_owned();
            let notice = Notice {
                level: "warning".to_owned(),
                message,
            };
            self.driver
                .0
                .hub
                .push(self.driver.now(), What::Made(Box::new(Told::Notice(notice))));
        }
    }
}

/// What a request's path led to, free of the request.
struct Route {
    entry: Arc<Entry>,
    key: Arc<str>,
    params: Vec<(String, String)>,
}

impl Route {
    fn of(found: &Match<'_, '_, Target>) -> Route {
        let owned = |(name, value): &(&str, std::borrow::Cow<'_, str>)| ((*name).to_owned(), value.to_string());
        Route {
            entry: found.target.entry.clone(),
            key: found.target.key.clone(),
            params: found.params.iter().map(owned).collect(),
        }
    }
}

async fn serve(
    driver: Driver,
    serving: Option<Arc<Serving>>,
    request: Request<Incoming>,
    peer: IpAddr,
) -> Response<Body> {
    let table = driver.table();
    let mut pending = None;
    if let Some(serving) = &serving {
        // Probes come every few seconds, and have no line.
        if let Some(health) = serving.health.answer(&driver, &table, &request) {
            return health;
        }
        let log = serving.access.as_ref();
        pending = log.map(|log| Pending::begin(log, &driver, &table, &request, peer));
    }
    let origin = request.headers().get(header::ORIGIN).cloned();
    let mut response = match cors::preflight(&table, &request) {
        Some(response) => response,
        None => answer(&driver, &table, request, peer).await,
    };
    cors::decorate(&table, origin.as_ref(), response.headers_mut());
    match pending {
        Some(pending) => pending.follow(response),
        None => response,
    }
}

async fn answer(driver: &Driver, table: &Table, request: Request<Incoming>, peer: IpAddr) -> Response<Body> {
    if wants_websocket(request.headers()) {
        return refuse(
            StatusCode::NOT_IMPLEMENTED,
            "websocket-not-supported",
            "emu does not upgrade connections to WebSocket",
            "use streaming responses (server-sent events), or run the WebSocket server beside emu",
        );
    }
    let found = match table.router.find(request.method().as_str(), request.uri().path()) {
        Lookup::Found(found) => Route::of(&found),
        Lookup::MethodNotAllowed(allowed) => return method_not_allowed(&allowed),
        Lookup::NotFound => return no_route(table, request.uri().path()),
    };
    if !names_one_host(&request) {
        let remedy = "send Host: NAME or NAME:PORT, once";
        let message = "the Host header names no host";
        return refuse(StatusCode::BAD_REQUEST, "bad-host", message, remedy);
    }
    let entry = found.entry.clone();
    let limit = table.limits.request_bytes_max;
    if request.body().size_hint().lower() > limit {
        // A client that waits for leave to send is not given it.
        if !request.headers().contains_key(header::EXPECT) {
            drain(request.into_body()).await;
        }
        return too_large(limit);
    }
    let _place = match in_order(driver, request.headers()).await {
        Ok(place) => place,
        Err(refused) => return refused,
    };
    if is_asynchronous(request.headers()) {
        return accept_event(driver, &entry, request, limit, None).await;
    }
    let summary = Summary::Request {
        method: request.method().clone(),
        path: request.uri().path().to_owned(),
        cause: None,
    };
    let head = request.method() == Method::HEAD;
    let (event, overflow) = match driver.0.clock.manual() {
        None => http_event(request, peer, found, limit),
        Some(_) => match whole_event(request, found, limit).await {
            Ok(event) => (event, Arc::default()),
            Err(refused) => return refused,
        },
    };
    let mut ticket = match driver.invoke(&entry, event, summary).await {
        Ok(ticket) => ticket,
        Err(reason) => return rejected(driver, &entry, reason),
    };
    let mut response = match ticket.reply().await {
        Some(Reply::Http(mut response)) => {
            strip_hop_by_hop(response.headers_mut());
            check_length(&mut response, head);
            response
        }
        _ if overflow.load(Ordering::Relaxed) => too_large(limit),
        _ => failed(&entry, ticket.ended().await),
    };
    mark(response.headers_mut(), &driver.0.ids, &ticket.id, ticket.cold);
    response
}

fn mark(headers: &mut HeaderMap, ids: &PublicIds, id: &InvocationId, cold: bool) {
    if let Ok(id) = HeaderValue::from_maybe_shared(Bytes::from(ids.invocation(*id))) {
        cors::set(headers, INVOCATION_HEADER, id);
    }
    cors::set(headers, START_HEADER, if cold { COLD } else { WARM });
}

/// What a guest may not say of the connection: hyper owns it.
fn strip_hop_by_hop(headers: &mut HeaderMap) {
    for name in [
        header::CONNECTION,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        header::TE,
        header::TRAILER,
    ] {
        if headers.contains_key(&name) {
            headers.remove(name);
        }
    }
    if headers.contains_key("keep-alive") {
        headers.remove("keep-alive");
    }
}

fn http_event(request: Request<Incoming>, peer: IpAddr, route: Route, limit: u64) -> (Event, Arc<AtomicBool>) {
    let overflow = Arc::new(AtomicBool::new(false));
    let request = request.map(|body| {
        if body.is_end_stream() {
            return full(Bytes::new());
        }
        Bounded {
            body,
            left: limit,
            overflow: overflow.clone(),
        }
        .boxed_unsync()
    });
    let event = HttpEvent {
        request,
        peer,
        route_key: route.key,
        path_parameters: route.params,
    };
    (Event::Http(event), overflow)
}

/// Waits for the request's place in the order that the client gave; most have none.
async fn in_order<'a>(driver: &'a Driver, headers: &HeaderMap) -> Result<Option<Place<'a>>, Response<Body>> {
    let Some(number) = headers.get(SEQUENCE_HEADER) else {
        return Ok(None);
    };
    let number = number.to_str().ok().and_then(|text| text.parse().ok());
    let Some(number) = number.filter(|number| *number > 0) else {
        let message = "x-emu-sequence is no number";
        return Err(refuse(StatusCode::BAD_REQUEST, "bad-sequence", message, "count from 1"));
    };
    let placed = driver.0.sequence.place(number).await.map(Some);
    placed.map_err(|disorder| {
        let remedy = "number the requests 1, 2, 3 and so on, or leave the header out";
        refuse(StatusCode::CONFLICT, "bad-sequence", &disorder.to_string(), remedy)
    })
}

/// All of a body that is read before anything runs.
async fn whole<B>(body: B, limit: u64) -> Result<Bytes, Response<Body>>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let bytes_max = usize::try_from(limit).unwrap_or(usize::MAX);
    let read = http_body_util::Limited::new(body, bytes_max).collect();
    let broken = |status, message: &str| refuse(status, "broken-request", message, "send it again");
    match tokio::time::timeout(BODY_TIME_MAX, read).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(too_large(limit)),
        Ok(Err(error)) => {
            let message = format!("the body broke off: {error}");
            Err(broken(StatusCode::BAD_REQUEST, &message))
        }
        Err(_) => {
            let message = format!("the body was not there after {} s", BODY_TIME_MAX.as_secs());
            Err(broken(StatusCode::REQUEST_TIMEOUT, &message))
        }
    }
}

/// A request of virtual time: it has come when all of it is there, and looks the same from every client.
async fn whole_event(request: Request<Incoming>, route: Route, limit: u64) -> Result<Event, Response<Body>> {
    let (mut head, body) = request.into_parts();
    let body = whole(body, limit).await?;
    head.headers.insert(header::HOST, SAME_HOST);
    if head.headers.contains_key(header::USER_AGENT) {
        head.headers.insert(header::USER_AGENT, SAME_AGENT);
    }
    Ok(Event::Http(HttpEvent {
        request: Request::from_parts(head, full(body)),
        peer: std::net::Ipv4Addr::LOCALHOST.into(),
        route_key: route.key,
        path_parameters: route.params,
    }))
}

/// A request body that ends in an error where it passes the provider's limit.
struct Bounded {
    body: Incoming,
    left: u64,
    overflow: Arc<AtomicBool>,
}

impl http_body::Body for Bounded {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            None => return Poll::Ready(None),
            Some(Err(error)) => {
                return Poll::Ready(Some(Err(BodyError(format!("the client's request broke off: {error}")))));
            }
            Some(Ok(frame)) => frame,
        };
        if let Some(data) = frame.data_ref() {
            match self.left.checked_sub(data.len() as u64) {
                Some(left) => self.left = left,
                None => {
                    self.overflow.store(true, Ordering::Relaxed);
                    let text = "the request body is longer than the provider's limit".to_owned();
                    return Poll::Ready(Some(Err(BodyError(text))));
                }
            }
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Whether the caller wants it run without waiting for it.
pub(super) fn is_asynchronous(headers: &HeaderMap) -> bool {
    let kind = headers.get(TYPE_HEADER);
    kind.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"event"))
}

/// Takes an asynchronous event in; `cause` is the invocation that sent it.
pub(super) async fn accept_event<B>(
    driver: &Driver,
    entry: &Entry,
    request: Request<B>,
    limit: u64,
    cause: Option<InvocationId>,
) -> Response<Body>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let limit = limit.min(driver.table().limits.event_bytes_max);
    let trace = Trace::of_headers(request.headers());
    let body = match whole(request.into_body(), limit).await {
        Ok(body) => body,
        Err(refused) => return refused,
    };
    let event = if body.is_empty() {
        Ok(Value::Null)
    } else {
        serde_json::from_slice(&body)
    };
    match event {
        Ok(event) => {
            let id = match driver.invoke_async(entry.id, &event, Origin { cause, trace }).await {
                Ok(id) => id,
                Err(error) => {
                    let remedy = "make room on the disk, or run emu with --ephemeral";
                    return refuse(StatusCode::INSUFFICIENT_STORAGE, error.code, &error.message, remedy);
                }
            };
            let mut response = reply(
                StatusCode::ACCEPTED,
                &json!({ "invocation": driver.0.ids.invocation(id) }),
            );
            if let Ok(id) = HeaderValue::try_from(driver.0.ids.invocation(id)) {
                response.headers_mut().insert(INVOCATION_HEADER, id);
            }
            response
        }
        Err(error) => refuse(
            StatusCode::BAD_REQUEST,
            "bad-event",
            &format!("an asynchronous event is JSON: {error}"),
            "send a JSON body, or leave out x-emu-invocation-type",
        ),
    }
}

fn wants_websocket(headers: &HeaderMap) -> bool {
    headers
        .get(header::UPGRADE)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

pub fn reply(status: StatusCode, body: &Value) -> Response<Body> {
    let mut text = serde_json::to_vec_pretty(body).unwrap_or_default();
    text.push(b'\n');
    let mut response = Response::new(full(text));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// An answer of emu's own, not of a function.
pub fn refuse(status: StatusCode, code: &str, message: &str, remedy: &str) -> Response<Body> {
    reply(
        status,
        &json!({ "error": { "code": code, "message": message, "remedy": remedy } }),
    )
}

fn no_route(table: &Table, path: &str) -> Response<Body> {
    let routes: Vec<String> = table
        .functions
        .values()
        .flat_map(|entry| entry.function.routes.iter().map(move |route| (route, entry)))
        .map(|(route, entry)| {
            let method = route.method.as_deref().unwrap_or("ANY");
            format!("{method} {} -> {}", route.pattern, entry.name())
        })
        .collect();
    let asset = path.rsplit('/').next().is_some_and(|last| {
        [".css", ".js", ".png", ".svg", ".ico", ".html", ".jpg", ".woff2", ".map"]
            .iter()
            .any(|end| last.ends_with(end))
    });
    let remedy = if asset {
        "emu serves functions, not static files: serve them by a function, or by your frontend's own server with [http] cors"
    } else {
        "request one of the routes, or add one under http = [...] of a function in emu.toml"
    };
    let message = format!("no route matches {path}");
    let error =
        json!({ "error": { "code": "route-not-found", "message": message, "remedy": remedy, "routes": routes } });
    reply(StatusCode::NOT_FOUND, &error)
}

fn method_not_allowed(allowed: &[&str]) -> Response<Body> {
    let allowed = allowed.join(", ");
    let message = format!("this path answers to {allowed} only");
    let remedy = "use one of these methods, or add the route to the function's http setting";
    let mut response = refuse(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", &message, remedy);
    if let Ok(value) = HeaderValue::try_from(allowed) {
        response.headers_mut().insert(header::ALLOW, value);
    }
    response
}

/// Reads what a client is still sending, within bounds: most clients look for an answer only when they have sent all,
/// and see a broken connection otherwise.
async fn drain(mut body: Incoming) {
    let read = async {
        let mut left = DRAINED_BYTES_MAX;
        while let Some(Ok(frame)) = body.frame().await {
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            match left.checked_sub(bytes) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    };
    // A client that is slower gets its answer and the end of the connection.
    let _ = tokio::time::timeout(DRAIN_TIME_MAX, read).await;
}

fn too_large(limit: u64) -> Response<Body> {
    let message = format!("the request body is longer than the provider's limit of {limit} bytes");
    let remedy = "send less, or choose a provider with a higher limit under [project] in emu.toml";
    let mut response = refuse(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", &message, remedy);
    // What is left of the body will not be read.
    response
        .headers_mut()
        .insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

fn failed(entry: &Entry, failure: Option<Failure>) -> Response<Body> {
    let Some(failure) = failure else {
        let message = format!("function {} ended without an answer", entry.name());
        return refuse(
            StatusCode::BAD_GATEWAY,
            "no-response",
            &message,
            "return a response from the handler",
        );
    };
    let (status, code, remedy) = match failure.kind {
        FailureKind::Timeout => (
            StatusCode::GATEWAY_TIMEOUT,
            "function-timeout",
            "raise timeout in emu.toml, or make the function faster",
        ),
        FailureKind::OutOfMemory => (
            StatusCode::BAD_GATEWAY,
            "function-out-of-memory",
            "raise memory in emu.toml, or hold less at once",
        ),
        FailureKind::BadResponse => (
            StatusCode::BAD_GATEWAY,
            "bad-response",
            "see the README on handlers and answers",
        ),
        FailureKind::Error | FailureKind::Trap | FailureKind::Exit => (
            StatusCode::BAD_GATEWAY,
            "function-failed",
            "see the stack, and the function's output in emu's terminal",
        ),
    };
    let error = json!({ "error": {
        "code": code,
        "function": entry.name().as_ref(),
        "message": failure.message,
        "stack": failure.stack,
        "remedy": remedy,
    }});
    reply(status, &error)
}

fn rejected(driver: &Driver, entry: &Entry, reason: RejectReason) -> Response<Body> {
    let (status, retry_after, remedy) = match reason {
        RejectReason::FunctionConcurrency { .. } => (
            StatusCode::TOO_MANY_REQUESTS,
            Some(Duration::from_secs(1)),
            "raise max_concurrency, or retry later",
        ),
        RejectReason::AccountConcurrency { .. } => (
            StatusCode::TOO_MANY_REQUESTS,
            Some(Duration::from_secs(1)),
            "retry later, as at the provider",
        ),
        RejectReason::ScalingRate { retry_after } => (
            StatusCode::TOO_MANY_REQUESTS,
            Some(retry_after.to_std()),
            "retry later, or set min_instances",
        ),
        RejectReason::OnPurpose { .. } => (
            StatusCode::TOO_MANY_REQUESTS,
            Some(Duration::from_secs(1)),
            "retry later, as at the provider, or ask for no faults",
        ),
        RejectReason::QueueFull => (
            StatusCode::SERVICE_UNAVAILABLE,
            Some(Duration::from_secs(1)),
            "retry later",
        ),
        RejectReason::Removed => (StatusCode::NOT_FOUND, None, "the function is no longer in the project"),
        RejectReason::NoVersion => (
            StatusCode::BAD_GATEWAY,
            None,
            "mend the error and save: it is served at once",
        ),
        RejectReason::InitFailed => (StatusCode::BAD_GATEWAY, None, "see emu's terminal for the reason"),
    };
    let build_error = driver.build_error(entry.id);
    let message = match &build_error {
        Some(_) if reason == RejectReason::NoVersion => format!("function {} does not build", entry.name()),
        _ => format!("function {}: {}", entry.name(), reject_text(reason)),
    };
    let error = json!({ "error": {
        "code": reject_code(reason),
        "function": entry.name().as_ref(),
        "message": message,
        "remedy": remedy,
        "build": build_error.filter(|_| reason == RejectReason::NoVersion),
    }});
    let mut response = reply(status, &error);
    if let Some(after) = retry_after {
        let secs = after.as_secs() + u64::from(after.subsec_nanos() > 0);
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(secs.max(1)));
    }
    response
}
