//! The control API on its own port: what runs, what it cost, and the means to make things happen. Warp routes it; the
//! guard stands before all of it.

mod assets;
mod clock;
mod cloudevents;
mod consume;
pub mod guard;
mod handlers;
mod kv;
mod load;
pub mod metrics;
pub mod openapi;
mod past;
mod replay;
mod request;
mod settings;
mod snapshot;
mod sse;
pub mod views;

use std::collections::HashMap;
use std::net::IpAddr;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tower_service::Service;
use warp::Filter;
use warp::filters::BoxedFilter;

use crate::engine::{Body, BodyError};

use super::Server;
use super::api::REQUEST_BYTES_MAX;
use super::listen::PeerService;
use super::state::Origin;
use guard::{Asked, Guard};

type Reply = warp::reply::Response;

/// An error of the control API on its way out.
#[derive(Debug)]
pub struct ApiFailure {
    pub status: StatusCode,
    pub code: &'static str,
    pub message: String,
    pub remedy: Option<String>,
}

impl ApiFailure {
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> ApiFailure {
        ApiFailure {
            status,
            code,
            message: message.into(),
            remedy: None,
        }
    }

    pub fn remedy(mut self, remedy: impl Into<String>) -> ApiFailure {
        self.remedy = Some(remedy.into());
        self
    }
}

type Answer<T> = Result<T, ApiFailure>;

/// The control port's service.
#[derive(Clone)]
pub struct Control {
    guard: Guard,
    has_page: bool,
    routes: BoxedFilter<(Reply,)>,
}

impl Control {
    pub fn new(server: Server, guard: Guard, has_page: bool) -> Control {
        Control {
            guard,
            has_page,
            routes: routes(server),
        }
    }
}

impl Control {
    /// The refusal of the dashboard where there is none.
    fn no_page(&self, asked: &Asked<'_>) -> Option<Response<Body>> {
        if self.has_page || !assets::is_page(asked.method, asked.uri.path()) {
            return None;
        }
        Some(super::http::refuse(
            StatusCode::NOT_FOUND,
            "no-dashboard",
            "emu serve has no dashboard",
            "emu dev has one; here GET /_emu/openapi.json describes the control API",
        ))
    }
}

impl PeerService for Control {
    fn answer(
        &self,
        mut request: Request<Incoming>,
        _peer: IpAddr,
    ) -> impl Future<Output = Response<Body>> + Send + 'static {
        let asked = Asked {
            method: request.method(),
            uri: request.uri(),
            headers: request.headers(),
        };
        let refused = self.guard.check(&asked).or_else(|| self.no_page(&asked));
        if *request.method() == Method::HEAD {
            // Hyper leaves the body out.
            *request.method_mut() = Method::GET;
        }
        let mut service = warp::service(self.routes.clone());
        async move {
            let mut response = match refused {
                Some(response) => response,
                None => {
                    let answer = service.call(request).await;
                    let response = answer.unwrap_or_else(|never| match never {});
                    response.map(|body| body.map_err(|error| BodyError(error.to_string())).boxed_unsync())
                }
            };
            guard::harden(response.headers_mut());
            response
        }
    }

    fn tls_attempt(&self) {}
}

fn json<T: Serialize>(status: StatusCode, value: &T) -> Reply {
    let mut text = serde_json::to_vec_pretty(value).unwrap_or_default();
    text.push(b'\n');
    let mut response = Reply::new(text.into());
    *response.status_mut() = status;
    response.headers_mut().insert(
        http::header::CONTENT_TYPE,
        http::HeaderValue::from_static("application/json"),
    );
    response
}

fn answered<T: Serialize>(answer: Answer<T>) -> Reply {
    match answer {
        Ok(value) => json(StatusCode::OK, &value),
        Err(failure) => failure_reply(&failure),
    }
}

fn failure_reply(failure: &ApiFailure) -> Reply {
    let mut error = serde_json::json!({ "code": failure.code, "message": failure.message });
    if let Some(remedy) = &failure.remedy {
        error["remedy"] = Value::String(remedy.clone());
    }
    json(failure.status, &serde_json::json!({ "error": error }))
}

/// A request's JSON body; an empty one is null.
fn parse(body: &Bytes) -> Answer<Value> {
    if body.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(body).map_err(|error| {
        ApiFailure::new(
            StatusCode::BAD_REQUEST,
            "bad-json",
            format!("the body is not JSON: {error}"),
        )
        .remedy("send a JSON document")
    })
}

/// GET: what there is.
fn reads(server: Server) -> BoxedFilter<(Reply,)> {
    let with = warp::any().map(move || server.clone());
    let query = warp::query::<HashMap<String, String>>();
    let get = warp::get().and(warp::path("_emu")).and(with);
    let lists = get
        .clone()
        .and(warp::path::param::<String>())
        .and(warp::path::end())
        .and(query)
        .then(
            |server: Server, what: String, query: HashMap<String, String>| async move {
                handlers::list(&server, &what, &query).await
            },
        );
    let one = get
        .clone()
        .and(warp::path::param::<String>())
        .and(warp::path::param::<String>())
        .and(warp::path::end())
        .then(|server: Server, what: String, name: String| async move {
            handlers::one(&server, &what, &decode(&name)).await
        });
    let below = get
        .clone()
        .and(warp::path::param::<String>())
        .and(warp::path::param::<String>())
        .and(warp::path::param::<String>())
        .and(warp::path::end())
        .and(query)
        .then(
            |server: Server, what: String, name: String, part: String, query: HashMap<String, String>| async move {
                handlers::below(&server, &what, &decode(&name), &part, &query).await
            },
        );
    let get = get.boxed();
    let snapshots = snapshot::routes(get.clone());
    let kv = kv::routes(get).or(snapshots).unify();
    kv.or(lists).unify().or(one).unify().or(below).unify().boxed()
}

/// The body as what the path takes; without one, as an object without members.
fn read<T: DeserializeOwned>(body: &Bytes, remedy: &str) -> Answer<T> {
    let value = match body.is_empty() {
        true => Value::Object(serde_json::Map::new()),
        false => parse(body)?,
    };
    object(value)
        .map_err(|error| bad_request("bad-request", format!("the body cannot be read: {error}")).remedy(remedy))
}

/// A value with named members; serde would take a list of them as well.
fn object<T: DeserializeOwned>(value: Value) -> serde_json::Result<T> {
    match value {
        Value::Array(_) => Err(serde::de::Error::custom("a list where an object is expected")),
        value => serde_json::from_value(value),
    }
}

fn bad_request(code: &'static str, message: impl Into<String>) -> ApiFailure {
    ApiFailure::new(StatusCode::BAD_REQUEST, code, message)
}

fn routes(server: Server) -> BoxedFilter<(Reply,)> {
    let reads = reads(server.clone());
    let shared = server.clone();
    let with = warp::any().map(move || shared.clone());
    let body = warp::body::content_length_limit(REQUEST_BYTES_MAX).and(warp::body::bytes());
    let post = warp::post().and(warp::path("_emu")).and(with);
    let act = post
        .clone()
        .and(warp::path::param::<String>())
        .and(warp::path::param::<String>())
        .and(warp::path::param::<String>())
        .and(warp::path::end())
        .and(warp::header::headers_cloned())
        .and(body)
        .then(
            |server: Server, what: String, name: String, action: String, headers: HeaderMap, body: Bytes| async move {
                let name = decode(&name);
                match cloudevents::target(&what, &name, &action, &headers) {
                    Some(target) => cloudevents::to(&server, target, &headers, &body).await,
                    None => handlers::act(&server, (&what, &name, &action), body, Origin::outside(&headers)).await,
                }
            },
        );
    let whole = post
        .and(warp::path::param::<String>())
        .and(warp::path::end())
        .and(warp::query::<HashMap<String, String>>())
        .and(warp::header::headers_cloned())
        .and(body)
        .then(
            |server: Server, action: String, query: HashMap<String, String>, headers: HeaderMap, body: Bytes| async move {
                match action.as_str() {
                    "cloudevents" => cloudevents::post(&server, &query, &headers, &body).await,
                    _ => match parse(&body) {
                        Ok(_) => handlers::whole(&server, &action, &body).await,
                        Err(failure) => failure_reply(&failure),
                    },
                }
            },
        );
    let metrics = {
        let server = server.clone();
        let path = warp::get().and(warp::path("metrics")).and(warp::path::end());
        path.map(move || metrics::reply(&server))
    };
    let page = warp::get()
        .and(warp::path::end())
        .and(warp::header::headers_cloned())
        .map(|headers: HeaderMap| assets::reply("", &headers));
    let file = warp::get()
        .and(warp::path("dashboard"))
        .and(warp::path::param::<String>())
        .and(warp::path::end())
        .and(warp::header::headers_cloned())
        .map(|name: String, headers: HeaderMap| assets::reply(&name, &headers));
    reads
        .or(act)
        .unify()
        .or(whole)
        .unify()
        .or(metrics)
        .unify()
        .or(page)
        .unify()
        .or(file)
        .unify()
        .recover(|rejection: warp::Rejection| async move { Ok::<_, std::convert::Infallible>(recover(&rejection)) })
        .unify()
        .boxed()
}

fn decode(name: &str) -> String {
    crate::project::route::percent_decode(name).into_owned()
}

fn recover(rejection: &warp::Rejection) -> Reply {
    let failure = if rejection.find::<warp::reject::PayloadTooLarge>().is_some() {
        ApiFailure::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body-too-large",
            "a control request has at most 16 MiB",
        )
        .remedy("send less at once")
    } else if rejection.find::<warp::reject::LengthRequired>().is_some() {
        ApiFailure::new(
            StatusCode::LENGTH_REQUIRED,
            "length-required",
            "a control request has a Content-Length",
        )
    } else if rejection.find::<warp::reject::InvalidQuery>().is_some() {
        ApiFailure::new(StatusCode::BAD_REQUEST, "bad-query", "the query string cannot be read")
    } else {
        ApiFailure::new(StatusCode::NOT_FOUND, "not-found", "the control API has no such path")
            .remedy("GET /_emu/health, /_emu/functions, /_emu/invocations, ...: the README lists all of it")
    };
    failure_reply(&failure)
}
