//! From a source on disk to a version: read, resolve, and import once on trial.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;

use super::Offer;
use super::loader::Graph;
use super::runtime::Runtime;
use super::sandbox::{Version, context, failure_of, settings_json};
use super::script::Script;
use super::stack::Thrown;
use crate::engine::host::Run;
use crate::engine::runtime::{self, Engine, Loaded};
use crate::engine::sandbox::{Live, within};
use crate::engine::{
    Body, Event, Failure, Host, HostError, Invocation, KeyValue, LoadError, LoadPhases, LogSink, OutMessage, Settings,
    Source, Stream,
};
use crate::platform::time::Time;

/// A module that takes longer to be evaluated than this would not do as a function; Lambda gives as long.
pub const TRIAL_TIME_MAX: Duration = Duration::from_secs(if cfg!(test) { 2 } else { 10 });
/// Enough for any module to be evaluated; the function's own limit holds when it runs.
const TRIAL_MEMORY_BYTES: u64 = 512 << 20;

/// Reads a source and all it imports, and imports it once: what fails then would fail at every invocation.
///
/// # Errors
/// The first mistake, with its place.
pub async fn load(engine: &Engine, source: &Source) -> Result<Loaded, LoadError> {
    let started = Instant::now();
    let reading = source.clone();
    let cache = engine.script_cache();
    let graph = tokio::task::spawn_blocking(move || Graph::load(&reading, &cache)).await;
    let graph = Arc::new(graph.map_err(|error| plain(format!("failed to read the source: {error}"), source))??);
    let read = started.elapsed();

    let compiling = Instant::now();
    let runtime = engine
        .script_runtime()
        .await
        .map_err(|message| plain(message, source))?;
    let compile = compiling.elapsed();

    let linking = Instant::now();
    let offer = trial(engine, &runtime, &graph, source).await?;
    let phases = LoadPhases {
        read,
        compile,
        compile_cached: runtime.compile_cached,
        link: linking.elapsed(),
    };
    let watch = graph.watch.clone();
    let package_bytes = graph.source_bytes as u64;
    let version = runtime::Version::script(Version::new(runtime, graph, offer));
    Ok(Loaded {
        version,
        phases,
        watch,
        package_bytes,
    })
}

fn plain(message: String, source: &Source) -> LoadError {
    LoadError {
        message,
        place: None,
        detail: None,
        watch: vec![source.entry.clone()],
    }
}

/// Imports the entry in a sandbox that is thrown away, and asks what it offers.
async fn trial(engine: &Engine, runtime: &Runtime, graph: &Arc<Graph>, source: &Source) -> Result<Offer, LoadError> {
    let settings = Arc::new(Settings {
        function: source.function.as_str().into(),
        memory_bytes: TRIAL_MEMORY_BYTES,
        timeout: TRIAL_TIME_MAX,
        env: source.env.clone().into_iter().collect(),
        bind: Default::default(),
        allow_hosts: Vec::new(),
        args: Vec::new(),
        payload_v1: false,
        body_bytes_max: 0,
        log_bytes_max: 0,
    });
    let invocation = on_trial(Arc::clone(&settings));
    let failed = |failure: Failure| LoadError {
        message: format!("importing the module failed: {}", failure.message),
        place: None,
        detail: Some(failure.stack.join("\n")).filter(|stack| !stack.is_empty()),
        watch: graph.watch.clone(),
    };

    let run = Run::new(&invocation);
    let clock = run.clock.clone();
    let mut live = Live::new(engine, runtime.slots, run, invocation.seed)
        .await
        .map_err(failed)?;
    live.store.data_mut().extension = Some(Box::new(Script::new(Arc::clone(graph))));
    let context = context(&graph.entry, settings_json(&settings), &invocation);
    let work = async {
        let load = runtime
            .instantiate_for_load(&mut live.store)
            .await
            .map_err(|error| failure_of(&error, &live))?;
        let answer = load.call_async(&mut live.store, (context, false)).await;
        answer.map_err(|error| failure_of(&error, &live))
    };
    match within(&clock, TRIAL_TIME_MAX, work).await.map_err(failed)? {
        (Ok(offer),) => serde_json::from_str(&offer).map_err(|error| plain(format!("emu: {error}"), source)),
        (Err(thrown),) => {
            let thrown = Thrown::parse(&thrown);
            let lines = thrown.lines(graph);
            Err(LoadError {
                message: thrown.headline(),
                place: thrown.place(graph),
                detail: Some(lines.join("\n")).filter(|lines| !lines.is_empty()),
                watch: graph.watch.clone(),
            })
        }
    }
}

/// An import that belongs to no invocation.
pub fn on_trial(settings: Arc<Settings>) -> Invocation {
    Invocation {
        id: "00000000-0000-0000-0000-000000000000".to_owned(),
        settings,
        event: Event::Json(serde_json::Value::Null),
        now: time_of_day(),
        pace: None,
        seed: 0,
        host: Arc::new(Nobody),
        log: Arc::new(Nobody),
        cut: None,
    }
}

/// For modules that ask for the time while they are evaluated.
fn time_of_day() -> Time {
    #[expect(
        clippy::disallowed_methods,
        reason = "a trial belongs to no invocation, so no clock of emu's holds for it"
    )]
    let now = std::time::SystemTime::now();
    let since = now.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Time(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

/// Stands for the outside during a trial: it hears nothing and refuses everything.
struct Nobody;

impl LogSink for Nobody {
    fn line(&self, _stream: Stream, _text: &str) {}
}

fn refuse<T: Send + 'static>() -> BoxFuture<'static, Result<T, HostError>> {
    Box::pin(async move { Err(not_invoked()) })
}

fn not_invoked() -> HostError {
    HostError {
        code: "not-invoked",
        message: "not while the module is evaluated: send and call from within a handler".to_owned(),
    }
}

impl Host for Nobody {
    fn send(&self, _: String, _: Vec<OutMessage>) -> BoxFuture<'static, Result<Vec<String>, HostError>> {
        refuse()
    }

    fn publish(&self, _: String, _: Vec<OutMessage>) -> BoxFuture<'static, Result<Vec<String>, HostError>> {
        refuse()
    }

    fn call(&self, _: String, _: http::Request<Body>) -> BoxFuture<'static, Result<http::Response<Body>, HostError>> {
        refuse()
    }

    fn kv(&self, _: &str) -> Result<Arc<dyn KeyValue>, HostError> {
        Err(not_invoked())
    }
}
