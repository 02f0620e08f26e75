//! Outbound HTTP: only to `allow_hosts`, whether it is the network that answers or somebody in its place.

use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::SinkExt as _;
use futures::channel::mpsc;
use futures::future::BoxFuture;
use http::{Request, Response};
use http_body::Body as _;
use http_body_util::{BodyExt, StreamBody};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use super::allow::{Verdict, judge};
use super::clock::Clock;
use super::network::{Destination, exchange, origin_form, send_outside};
use super::{Run, internal};
use crate::engine::head::tell_length;
use crate::engine::pace::Hold;
use crate::engine::{Body, BodyError, OutsideAnswer, OutsideRoute, Stream};

/// Calls of one run that go on at once; further ones wait.
const CALLS_AT_ONCE: usize = 16;
/// Calls of one run altogether (Cloudflare Workers stop at 1,000 subrequests as well).
const CALLS_MAX: u32 = 1_000;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How many calls a run has under way and behind it.
pub struct Calls {
    free: Semaphore,
    made: AtomicU32,
}

impl Default for Calls {
    fn default() -> Self {
        Self {
            free: Semaphore::new(CALLS_AT_ONCE),
            made: AtomicU32::new(0),
        }
    }
}

/// One call under way, until its response body is dropped.
struct Call(Arc<Run>);

impl Call {
    async fn begin(run: &Arc<Run>) -> Result<Self, OutboundError> {
        if run.calls.made.fetch_add(1, Ordering::Relaxed) >= CALLS_MAX {
            return Err(OutboundError::Limit);
        }
        let permit = run.calls.free.acquire().await.map_err(|_| OutboundError::Limit)?;
        permit.forget();
        Ok(Self(run.clone()))
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.0.calls.free.add_permits(1);
    }
}

/// Why there is no response. The texts are for the function's author.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OutboundError {
    #[error("{0}")]
    Denied(String),
    #[error("invalid request: {0}")]
    Request(String),
    #[error("{host} cannot be looked up: {error}")]
    Lookup { host: String, error: String },
    #[error("{host} cannot be reached: {error}")]
    Connect { host: String, error: String },
    #[error("{host} did not answer the connection within {} s", .after.as_secs_f32())]
    ConnectTimeout { host: String, after: Duration },
    #[error("no secure connection to {host}: {error}")]
    Tls { host: String, error: String },
    #[error("{host} broke the connection: {error}")]
    Protocol { host: String, error: String },
    #[error("more than {CALLS_MAX} outbound calls in one invocation")]
    Limit,
    #[error("{0}")]
    Internal(String),
}

impl OutboundError {
    fn kind(&self) -> &'static str {
        match self {
            Self::Denied(_) => "denied",
            Self::Request(_) => "invalid_request",
            Self::Lookup { .. } => "lookup",
            Self::Connect { .. } => "connect",
            Self::ConnectTimeout { .. } => "timeout",
            Self::Tls { .. } => "tls",
            Self::Protocol { .. } => "protocol",
            Self::Limit => "limit",
            Self::Internal(_) => "internal",
        }
    }

    /// The nearest error of `wasi:http`; its free text where no code says what to do about it.
    pub(super) fn into_wasi(self) -> wasmtime_wasi_http::Error {
        use wasmtime_wasi_http::Error;
        match self {
            Self::Request(_) => Error::HttpRequestUriInvalid,
            Self::Lookup { error, .. } => Error::DnsError {
                rcode: Some(error),
                info_code: None,
            },
            Self::Connect { .. } => Error::ConnectionRefused,
            Self::ConnectTimeout { .. } => Error::ConnectionTimeout,
            Self::Protocol { .. } => Error::HttpProtocolError,
            Self::Limit => Error::ConnectionLimitReached,
            Self::Denied(_) | Self::Tls { .. } | Self::Internal(_) => Error::InternalError(Some(self.to_string())),
        }
    }
}

/// Sends a request for a guest: to the project's own queues, topics and functions (`http://NAME.queue.internal/`), or
/// outside. The URI is absolute. The future may outlive the guest's store.
///
/// # Errors
/// See [`OutboundError`]; a denied host is also named in the guest's log.
pub async fn send(run: Arc<Run>, request: Request<Body>) -> Result<Response<Body>, OutboundError> {
    send_within(run, request, None).await
}

pub(super) async fn send_within(
    run: Arc<Run>,
    mut request: Request<Body>,
    connect_timeout: Option<Duration>,
) -> Result<Response<Body>, OutboundError> {
    tell_length(&mut request);
    let call = Call::begin(&run).await?;
    let destination = Destination::of(request.uri())?;
    let response = match internal::Target::parse(&destination.host) {
        Some(target) => internal::send(&run, target, request).await?,
        None => {
            let left = run.host.leaving(&mut request, &destination.host, destination.port);
            let connect_timeout = connect_timeout.unwrap_or(CONNECT_TIMEOUT);
            let sent = match run.clock.pace() {
                Some(pace) => {
                    let (turn, standstill) = (pace.turn(), Standstill::new(&run.clock));
                    let (request, feeding) = standstill.fed(request);
                    let sent = outside(&run, &destination, request, connect_timeout);
                    let sent = standstill.over(sent, feeding).await;
                    turn.await;
                    sent
                }
                None => outside(&run, &destination, request, connect_timeout).await,
            };
            if let Some(left) = left {
                left(match &sent {
                    Ok(response) => Ok(response.status()),
                    Err(error) => Err((error.kind(), error.to_string())),
                });
            }
            if let Err(error @ OutboundError::Denied(_)) = &sent {
                run.log.line(Stream::Warn, &error.to_string());
            }
            sent?.map(|body| standing(&run, body))
        }
    };
    Ok(response.map(|body| holding(body, call)))
}

/// `body`, which lets `held` go when it is dropped.
pub fn holding(body: Body, held: impl Send + Unpin + 'static) -> Body {
    watched(body, move |_| {
        let _ = &held;
    })
}

/// `body`, which tells each time that it is asked for more whether there was something, be it the end.
fn watched(body: Body, looked: impl FnMut(bool) + Send + Unpin + 'static) -> Body {
    Watched { body, looked }.boxed_unsync()
}

struct Watched<F> {
    body: Body,
    looked: F,
}

impl<F: FnMut(bool) + Unpin> http_body::Body for Watched<F> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        (self.looked)(polled.is_ready());
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

/// A manual clock that stands still for something real, but while that waits for the guest.
#[derive(Clone)]
struct Standstill {
    clock: Clock,
    /// `None`: it moves. And whether what is real has come to its end.
    held: Arc<Mutex<(Option<Hold>, bool)>>,
}

/// Hands a guest's body on until it ends.
type Feeding = BoxFuture<'static, ()>;

impl Standstill {
    fn new(clock: &Clock) -> Standstill {
        Standstill {
            clock: clock.clone(),
            held: Arc::new(Mutex::new((clock.hold(), false))),
        }
    }

    fn moves(&self, moves: bool, over: bool) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.1 |= over;
        held.0 = if moves || held.1 { None } else { self.clock.hold() };
    }

    /// The request with its body in other hands: the run's own task passes it on, so that the clock stands again before it can go past what the
    /// guest has just written.
    fn fed(&self, request: Request<Body>) -> (Request<Body>, Feeding) {
        if request.body().size_hint().exact().is_some() {
            return (request, Box::pin(std::future::ready(())));
        }
        let (head, mut body) = request.into_parts();
        let (mut sender, fed) = mpsc::channel(0);
        let standstill = self.clone();
        let feeding = async move {
            loop {
                standstill.moves(true, false);
                let frame = body.frame().await;
                standstill.moves(false, false);
                let Some(frame) = frame else { return };
                if sender.send(frame).await.is_err() {
                    return;
                }
            }
        };
        let body = StreamBody::new(fed).boxed_unsync();
        (Request::from_parts(head, body), Box::pin(feeding))
    }

    /// Feeds `work` up to its end; what is left of the body then goes on by itself.
    async fn over<T>(self, work: impl Future<Output = T>, mut feeding: Feeding) -> T {
        let mut work = std::pin::pin!(work);
        let done = tokio::select! {
            biased;
            () = &mut feeding => None,
            done = &mut work => Some(done),
        };
        let done = match done {
            Some(done) => {
                tokio::spawn(feeding);
                done
            }
            None => work.await,
        };
        self.moves(true, true);
        done
    }
}

/// A body from the outside: the manual clock stands still while the guest waits for more of it.
fn standing(run: &Arc<Run>, body: Body) -> Body {
    if run.clock.pace().is_none() {
        return body;
    }
    let (clock, mut hold) = (run.clock.clone(), None);
    watched(body, move |is_ready| match is_ready {
        true => hold = None,
        false => hold = hold.take().or_else(|| clock.hold()),
    })
}

/// To the network, or to who answers in its place. What `allow_hosts` does not name, nobody answers.
async fn outside(
    run: &Arc<Run>,
    destination: &Destination,
    request: Request<Body>,
    connect_timeout: Duration,
) -> Result<Response<Body>, OutboundError> {
    let Destination { host, port, .. } = destination;
    let (method, url) = (request.method().clone(), request.uri().to_string());
    let route = match judge(&run.settings.allow_hosts, host, *port) {
        Verdict::Denied => OutsideRoute::Network { record: false },
        Verdict::Public | Verdict::Anywhere => run.host.outside(&method, &url, host, *port),
    };
    let response = match route {
        OutsideRoute::Answer(answer) => Ok(answer.into_response()),
        OutsideRoute::Refused(why) => Err(OutboundError::Denied(why)),
        OutsideRoute::To(stand_in) => {
            let address = (stand_in.host(), stand_in.port_u16().unwrap_or(80));
            let connected = TcpStream::connect(address)
                .await
                .map_err(|error| OutboundError::Connect {
                    host: format!("{stand_in}, which stands for {host},"),
                    error: error.to_string(),
                });
            exchange(TokioIo::new(connected?), host.clone(), origin_form(request)?).await
        }
        OutsideRoute::Network { record: false } => send_outside(run, destination, request, connect_timeout).await,
        OutsideRoute::Network { record: true } => {
            let response = send_outside(run, destination, request, connect_timeout).await?;
            let (parts, body) = response.into_parts();
            let limit = usize::try_from(run.settings.body_bytes_max).unwrap_or(usize::MAX);
            let body = http_body_util::Limited::new(body, limit).collect().await;
            let body = body.map_err(|error| OutboundError::Protocol {
                host: host.clone(),
                error: error.to_string(),
            })?;
            let answer = OutsideAnswer {
                status: parts.status,
                headers: parts.headers,
                body: body.to_bytes(),
            };
            run.host.recorded(&method, &url, answer.clone());
            Ok(answer.into_response())
        }
    };
    response.map(|response| run.host.heard(&method, &url, response))
}
