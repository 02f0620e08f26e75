//! What a probed function may reach: bindings in memory, which remember what was done by them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::BoxFuture;
use tokio::sync::oneshot;

use crate::engine::{
    Body, Engine, Event, Host, HostError, HttpEvent, Invocation, KeyValue, LogSink, OutMessage, Reply, Stream,
};
use crate::live::bindings::not_found;
use crate::live::table;
use crate::platform::time::Time;
use crate::project::Project;
use crate::provider;

use super::kv::Stores;

/// Calls from one function to the next, of those that call each other.
const CALLS_DEEP_MAX: u32 = 8;

/// One world: begins empty, and goes with its last user.
pub struct World {
    engine: Engine,
    project: Arc<Project>,
    stores: Stores,
    done: Mutex<Done>,
}

/// A world as one function sees it.
pub struct View {
    world: Arc<World>,
    /// Calls of functions between this one and the probed one, which has none.
    depth: u32,
}

/// What was done since the last [`World::take`].
#[derive(Clone, Debug, Default)]
pub struct Done {
    pub lines: Vec<(Stream, String)>,
    pub sent: Vec<Sent>,
    /// `METHOD path` of requests to other functions.
    pub calls: Vec<String>,
    /// What the stores hold now: `store key` and value.
    pub kept: BTreeMap<String, String>,
}

/// A message on its way.
#[derive(Clone, Debug)]
pub struct Sent {
    /// `queue orders`, `topic signup`.
    pub to: String,
    pub message: OutMessage,
}

impl World {
    pub fn new(engine: Engine, project: Arc<Project>) -> Arc<World> {
        Arc::new(World {
            engine,
            stores: Stores::new(&project),
            project,
            done: Mutex::default(),
        })
    }

    /// What expires does so by this time.
    pub fn set_time(&self, now: Time) {
        self.stores.set_time(now);
    }

    pub fn take(&self) -> Done {
        let mut done = std::mem::take(&mut *self.done());
        done.kept = self.stores.content();
        done
    }

    fn done(&self) -> MutexGuard<'_, Done> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, to: String, messages: Vec<OutMessage>) -> Vec<String> {
        let mut done = self.done();
        let before = done.sent.len();
        let ids = (0..messages.len()).map(|at| format!("00000000-0000-8000-8000-{:012x}", before + at + 1));
        let ids = ids.collect();
        done.sent.extend(messages.into_iter().map(|message| Sent {
            to: to.clone(),
            message,
        }));
        ids
    }
}

impl View {
    /// As the probed function sees it.
    pub fn of(world: &Arc<World>) -> Arc<View> {
        Arc::new(View {
            world: Arc::clone(world),
            depth: 0,
        })
    }
}

impl LogSink for View {
    /// What a called function says is its own business.
    fn line(&self, stream: Stream, text: &str) {
        if self.depth == 0 {
            self.world.done().lines.push((stream, text.to_owned()));
        }
    }
}

impl Host for View {
    fn send(&self, queue: String, messages: Vec<OutMessage>) -> BoxFuture<'static, Result<Vec<String>, HostError>> {
        let ids = self.world.send(format!("queue {queue}"), messages);
        Box::pin(async move { Ok(ids) })
    }

    fn publish(&self, topic: String, messages: Vec<OutMessage>) -> BoxFuture<'static, Result<Vec<String>, HostError>> {
        let ids = self.world.send(format!("topic {topic}"), messages);
        Box::pin(async move { Ok(ids) })
    }

    fn call(
        &self,
        function: String,
        request: http::Request<Body>,
    ) -> BoxFuture<'static, Result<http::Response<Body>, HostError>> {
        let what = format!("{function}: {} {}", request.method(), request.uri().path());
        self.world.done().calls.push(what);
        let view = View {
            world: Arc::clone(&self.world),
            depth: self.depth + 1,
        };
        Box::pin(async move {
            // wasmtime runs no guest within the poll of another.
            let run = tokio::spawn(run_called(view, function, request));
            run.await.unwrap_or_else(|error| Err(failed(error.to_string())))
        })
    }

    fn kv(&self, store: &str) -> Result<Arc<dyn KeyValue>, HostError> {
        let found = self.world.stores.open(store);
        let found = found.ok_or_else(|| not_found("key-value store", store, self.world.project.kv.keys()))?;
        Ok(Arc::new(found))
    }

    fn is_time_still(&self) -> bool {
        true
    }
}

fn failed(message: String) -> HostError {
    HostError {
        code: "function-failed",
        message,
    }
}

/// The called function in a fresh sandbox, in the same world.
async fn run_called(view: View, name: String, request: http::Request<Body>) -> Result<http::Response<Body>, HostError> {
    let (world, depth) = (Arc::clone(&view.world), view.depth);
    let project = &world.project;
    let Some(function) = project.functions.get(&name) else {
        return Err(not_found("function", &name, project.functions.keys()));
    };
    if depth > CALLS_DEEP_MAX {
        return Err(failed(format!(
            "function {name}: functions call each other more than {CALLS_DEEP_MAX} deep"
        )));
    }
    let loaded = super::super::alone::version(&world.engine, project, function).await;
    let version = loaded.map_err(|error| failed(format!("function {name} does not load: {error}")))?;
    let profile = provider::by_id(&project.provider).map_err(|error| failed(error.to_string()))?;
    let mut settings = table::settings(function, &table::Limits::of(&profile));
    // One function is probed: the others reach nothing outside.
    settings.allow_hosts.clear();
    let view = Arc::new(view);
    let invocation = Invocation {
        id: format!("00000000-0000-8000-9000-{depth:012x}"),
        settings: Arc::new(settings),
        event: Event::Http(HttpEvent {
            request,
            peer: std::net::Ipv4Addr::LOCALHOST.into(),
            route_key: "$default".into(),
            path_parameters: Vec::new(),
        }),
        now: world.stores.time(),
        pace: None,
        seed: u64::from(depth),
        host: view.clone(),
        log: view,
        cut: None,
    };
    let (sender, reply) = oneshot::channel();
    let mut sandbox = world.engine.open(&version).map_err(|failure| failed(failure.message))?;
    let mut running = tokio::spawn(async move { sandbox.run(invocation, sender).await });
    match reply.await {
        Ok(Reply::Http(response)) => Ok(response),
        _ => {
            let ended = (&mut running).await.map(|outcome| outcome.result);
            Err(failed(match ended {
                Ok(Err(failure)) => format!("function {name} failed: {}", failure.message),
                _ => format!("function {name} gave no HTTP answer"),
            }))
        }
    }
}
