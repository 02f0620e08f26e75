//! `wasi:http` components, 0.2 and 0.3: a request in, a response out, both streaming.
//!
//! What is no HTTP request comes as a CloudEvent by POST to `/`; see [`shape`](super::shape).

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use tokio::sync::oneshot::{self, Sender};
use wasmtime::component::InstancePre;
use wasmtime_wasi_http::p2::bindings::http::types as p2_types;
use wasmtime_wasi_http::p2::bindings::{Proxy, ProxyPre};
use wasmtime_wasi_http::p3::bindings::{Service, ServicePre};
use wasmtime_wasi_http::{WasiBody, WasiHttpHooks, WasiHttpView, p3};

use super::host::{Guest, Run};
use super::pool::Kept;
use super::runtime::Engine;
use super::sandbox::{Live, Meter, not_run, within_cut};
use super::{Body, BodyError, Event, Failure, FailureKind, Invocation, Outcome, Reply, shape};

pub(super) struct Version {
    pre: Pre,
    slots: u32,
}

enum Pre {
    P2(ProxyPre<Guest>),
    P3(ServicePre<Guest>),
}

enum Instance {
    P2(Proxy),
    P3(Service),
}

impl Version {
    pub fn p2(pre: InstancePre<Guest>, slots: u32) -> wasmtime::Result<Self> {
        Ok(Self {
            pre: Pre::P2(ProxyPre::new(pre)?),
            slots,
        })
    }

    pub fn p3(pre: InstancePre<Guest>, slots: u32) -> wasmtime::Result<Self> {
        Ok(Self {
            pre: Pre::P3(ServicePre::new(pre)?),
            slots,
        })
    }
}

pub(super) struct Sandbox {
    engine: Engine,
    version: Arc<Version>,
    /// From the last run, if that went well.
    kept: Kept<(Live, Arc<Instance>)>,
}

impl Sandbox {
    pub fn new(engine: Engine, version: Arc<Version>) -> Self {
        Self {
            kept: Kept::nothing(engine.clone()),
            engine,
            version,
        }
    }

    pub async fn run(&mut self, invocation: Invocation, reply: Sender<Reply>) -> Outcome {
        let run = Run::new(&invocation);
        let seed = invocation.seed;
        let (mut live, mut instance) = match self.kept.take() {
            Some((mut live, instance)) => match live.rearm(run.clone(), seed) {
                Ok(()) => (live, Some(instance)),
                Err(failure) => return not_run(failure),
            },
            None => match Live::new(&self.engine, self.version.slots, run.clone(), seed).await {
                Ok(live) => (live, None),
                Err(failure) => return not_run(failure),
            },
        };
        let mut meter = Meter::start(&run.clock);
        let broken = Arc::new(AtomicBool::new(false));
        let work = async {
            let instance = match &instance {
                Some(instance) => instance.clone(),
                None => {
                    let fresh = instantiate(&self.version.pre, &mut live).await?;
                    meter.initialised(&live.store);
                    instance.insert(Arc::new(fresh)).clone()
                }
            };
            serve(&instance, &mut live, invocation.event, &run, reply, &broken).await
        };
        let result = within_cut(&run.clock, run.settings.timeout, invocation.cut, work).await;
        if result.is_err() {
            // Before the store goes: the body's reader must see a broken answer, not a short one.
            broken.store(true, Ordering::Release);
        }
        let outcome = meter.outcome(&live, result);
        if outcome.result.is_ok()
            && let Some(instance) = instance
        {
            self.kept.keep((live, instance));
        }
        outcome
    }
}

async fn instantiate(pre: &Pre, live: &mut Live) -> Result<Instance, Failure> {
    let instance = match pre {
        Pre::P2(pre) => pre.instantiate_async(&mut live.store).await.map(Instance::P2),
        Pre::P3(pre) => pre.instantiate_async(&mut live.store).await.map(Instance::P3),
    };
    instance.map_err(|error| Failure::of(&error, live.store.data()))
}

/// Hands the event over as a request, and the response back as the kind of reply that the event wants.
async fn serve(
    instance: &Instance,
    live: &mut Live,
    event: Event,
    run: &Run,
    reply: Sender<Reply>,
    broken: &Arc<AtomicBool>,
) -> Result<(), Failure> {
    match event {
        Event::Http(event) => {
            let broken = broken.clone();
            let respond = move |response: Response<WasiBody>| {
                let _ = reply.send(Reply::Http(response.map(|body| Body::new(Answer { body, broken }))));
            };
            call(instance, live, event.request, respond).await
        }
        event => {
            let request = shape::cloud_event_request(&event, run);
            let (responded, response) = oneshot::channel();
            let respond = move |response: Response<WasiBody>| {
                let _ = responded.send(response);
            };
            let limit = run.settings.body_bytes_max;
            // Side by side: the guest may wait for its body to be read.
            let collect = async {
                match response.await {
                    Ok(response) => Some(shape::collect(response, limit).await),
                    Err(_) => None,
                }
            };
            let (called, response) = tokio::join!(call(instance, live, request, respond), collect);
            called?;
            let response = response.ok_or_else(no_response)??;
            let _ = reply.send(shape::cloud_event_reply(&event, response)?);
            Ok(())
        }
    }
}

fn no_response() -> Failure {
    Failure::new(FailureKind::BadResponse, "the handler ended without giving a response")
}

async fn call(
    instance: &Instance,
    live: &mut Live,
    request: Request<Body>,
    respond: impl FnOnce(Response<WasiBody>) + Send + Sync + 'static,
) -> Result<(), Failure> {
    let request = with_authority(request);
    match instance {
        Instance::P2(proxy) => call_p2(proxy, live, request, respond).await,
        Instance::P3(service) => call_p3(service, live, request, respond).await,
    }
}

/// Guests ask for the authority; a request from an HTTP/1 client carries it in its header only.
fn with_authority(mut request: Request<Body>) -> Request<Body> {
    if request.uri().authority().is_none() {
        let host = request
            .headers()
            .get(http::header::HOST)
            .and_then(|host| host.to_str().ok());
        let authority = host.and_then(|host| host.parse::<http::uri::Authority>().ok());
        let mut parts = request.uri().clone().into_parts();
        parts.scheme = Some(http::uri::Scheme::HTTP);
        parts.authority = Some(authority.unwrap_or_else(|| http::uri::Authority::from_static("localhost")));
        if let Ok(uri) = http::Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
    }
    request
}

async fn call_p2(
    proxy: &Proxy,
    live: &mut Live,
    request: Request<Body>,
    respond: impl FnOnce(Response<WasiBody>) + Send + Sync + 'static,
) -> Result<(), Failure> {
    let (refused, refusal) = oneshot::channel();
    let mut http = live.store.data_mut().http();
    let prepared = http
        .new_incoming_request(p2_types::Scheme::Http, request.map(super::host::to_wasi))
        .and_then(|request| {
            let out = http.new_response_outparam_from_callback(move |result| match result {
                Ok(response) => {
                    let _ = refused.send(None);
                    respond(response);
                }
                Err(code) => {
                    let _ = refused.send(Some(code));
                }
            })?;
            Ok((request, out))
        });
    let (request, out) = prepared.map_err(Failure::internal)?;
    let called = proxy
        .wasi_http_incoming_handler()
        .call_handle(&mut live.store, request, out)
        .await;
    called.map_err(|error| Failure::of(&error, live.store.data()))?;
    let mut refusal = refusal;
    match refusal.try_recv() {
        Ok(None) => Ok(()),
        Ok(Some(code)) => Err(Failure::new(
            FailureKind::BadResponse,
            format!("the handler answered with the error {code:?}"),
        )),
        Err(_) => Err(no_response()),
    }
}

type Transmitted = Pin<Box<dyn Future<Output = Result<(), wasmtime_wasi_http::Error>> + Send>>;

async fn call_p3(
    service: &Service,
    live: &mut Live,
    request: Request<Body>,
    respond: impl FnOnce(Response<WasiBody>) + Send + 'static,
) -> Result<(), Failure> {
    let request = request.map(super::host::to_wasi);
    let called = live
        .store
        .run_concurrent(async |accessor| -> wasmtime::Result<Result<(), String>> {
            let (request, transmitted) = accessor.with(|mut access| {
                let hooks: &mut dyn WasiHttpHooks = access.data_mut().http().hooks;
                let (request, transmitted) = p3::Request::from_http(hooks, request);
                (request, Box::pin(transmitted) as Transmitted)
            });
            let response = match service.handle(accessor, request).await? {
                Ok(response) => response,
                Err(code) => return Ok(Err(format!("the handler answered with the error {code:?}"))),
            };
            respond(accessor.with(|access| response.into_http(access, transmitted))?);
            // The body may still be written, and work done after it.
            std::future::poll_fn(|cx| accessor.poll_no_interesting_tasks(cx)).await;
            Ok(Ok(()))
        })
        .await;
    match called.and_then(|called| called) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(message)) => Err(Failure::new(FailureKind::BadResponse, message)),
        Err(error) => Err(Failure::of(&error, live.store.data())),
    }
}

/// The guest's body on its way to the client. If the guest fails on the way, the end is an error, not an end.
struct Answer {
    body: WasiBody,
    broken: Arc<AtomicBool>,
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        Poll::Ready(match frame {
            Some(frame) => Some(frame.map_err(|error| BodyError(error.to_string()))),
            None if self.broken.load(Ordering::Acquire) => Some(Err(BodyError(
                "the function failed before its answer was complete".into(),
            ))),
            None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream() && !self.broken.load(Ordering::Acquire)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
