//! What `emu serve` asks of the functions' port beyond what `emu dev` does: a line for every request, and an answer for
//! whoever looks after the process.

use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName};
use http::{Method, Request, Response, StatusCode};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use serde_json::json;

use crate::engine::{Body, BodyError};
use crate::project::Lookup;
use crate::report::access::Access;

use super::clock::rfc3339;
use super::driver::Driver;
use super::http::{INVOCATION_HEADER, reply};
use super::table::Table;

/// Takes every request that has been answered. Must not block: the connection waits for it.
pub type AccessLog = Arc<dyn Fn(Access) + Send + Sync>;

/// How a project is served to others than its developer.
#[derive(Clone)]
pub struct Serving {
    /// `None`: nobody wants a line for each request.
    pub access: Option<AccessLog>,
    pub health: HealthPath,
}

impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serving")
            .field("health", &self.health)
            .finish_non_exhaustive()
    }
}

/// Where the functions' port says how the emulator is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthPath {
    pub path: String,
    /// Somebody asked for this very path: then a function that has it as a route does not see such requests.
    pub wins: bool,
}

impl HealthPath {
    /// The answer, if the request asks for it.
    pub fn answer<B>(&self, driver: &Driver, table: &Table, request: &Request<B>) -> Option<Response<Body>> {
        let is_asked = request.uri().path() == self.path && matches!(*request.method(), Method::GET | Method::HEAD);
        if !is_asked || (!self.wins && self.function(table).is_some()) {
            return None;
        }
        let (status, word) = match driver.0.draining.load(Ordering::Relaxed) {
            false => (StatusCode::OK, "ok"),
            true => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
        };
        Some(reply(status, &json!({ "status": word })))
    }

    /// The function that has this path as a route of its own.
    fn function<'a>(&self, table: &'a Table) -> Option<&'a str> {
        match table.router.find(Method::GET.as_str(), &self.path) {
            Lookup::Found(found) => Some(found.target.entry.name()),
            Lookup::MethodNotAllowed(_) | Lookup::NotFound => None,
        }
    }

    /// Who goes without, when a function has this path as well.
    pub fn conflict(&self, table: &Table) -> Option<String> {
        let function = self.function(table)?;
        let path = &self.path;
        Some(match self.wins {
            true => format!("GET {path} is answered by emu and never reaches {function}, which has a route for it"),
            false => format!(
                "GET {path} is a route of {function}, so nothing says how emu is: choose another path with --health-path"
            ),
        })
    }
}

/// A request whose answer is on its way.
pub struct Pending {
    log: AccessLog,
    began: Instant,
    /// Of the answer's body, when that was said beforehand.
    length: Option<u64>,
    access: Access,
}

impl Pending {
    /// Notes what the request says of itself. The query stays out of it: it may hold secrets.
    pub fn begin<B>(log: &AccessLog, driver: &Driver, table: &Table, request: &Request<B>, peer: IpAddr) -> Pending {
        let path = request.uri().path();
        let function = match table.router.find(request.method().as_str(), path) {
            Lookup::Found(found) => Some(found.target.entry.name().to_string()),
            Lookup::MethodNotAllowed(_) | Lookup::NotFound => None,
        };
        let headers = request.headers();
        Pending {
            log: log.clone(),
            began: Instant::now(),
            length: None,
            access: Access {
                time: rfc3339(driver.now()),
                method: request.method().to_string(),
                path: path.to_owned(),
                status: 0,
                duration_ms: 0.0,
                response_bytes: 0,
                complete: false,
                peer: peer.to_string(),
                forwarded_for: text(headers, &HeaderName::from_static("x-forwarded-for")),
                user_agent: text(headers, &header::USER_AGENT),
                function,
                invocation: None,
            },
        }
    }

    /// The answer, which tells the log once its last byte has left or nobody wants it any more.
    pub fn follow(mut self, response: Response<Body>) -> Response<Body> {
        self.access.status = response.status().as_u16();
        self.access.invocation = text(response.headers(), &INVOCATION_HEADER);
        let length = response.headers().get(header::CONTENT_LENGTH);
        self.length = length.and_then(|length| length.to_str().ok()?.parse().ok());
        response.map(|body| {
            self.access.complete = body.is_end_stream() || self.access.method == Method::HEAD.as_str();
            Logged { body, pending: self }.boxed_unsync()
        })
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        // A request that was given up before it had an answer.
        if self.access.status == 0 {
            self.access.status = 499;
        }
        self.access.duration_ms = self.began.elapsed().as_secs_f64() * 1e3;
        (self.log)(std::mem::take(&mut self.access));
    }
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?;
    Some(value.to_owned())
}

/// A body that counts itself.
struct Logged {
    body: Body,
    pending: Pending,
}

impl http_body::Body for Logged {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = self.pending.access.response_bytes + frame.data_ref().map_or(0, Bytes::len) as u64;
                // hyper does not ask again for a body that is known to be over.
                let is_over = self.body.is_end_stream() || self.pending.length == Some(bytes);
                self.pending.access.response_bytes = bytes;
                self.pending.access.complete = is_over;
            }
            Poll::Ready(None) => self.pending.access.complete = true,
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
