//! One script's store: from an invocation to its outcome.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value, json};
use tokio::sync::oneshot;
use wasmtime::Trap;

use super::image::{Image, Progress};
use super::loader::Graph;
use super::runtime::{Handle, Runtime};
use super::script::{Script, script};
use super::stack::Thrown;
use super::{Offer, events, reply, wire};
use crate::engine::host::Run;
use crate::engine::pool::Kept;
use crate::engine::runtime::Engine;
use crate::engine::sandbox::{Live, Meter, not_run, within_cut};
use crate::engine::{BindTarget, Failure, FailureKind, Invocation, Outcome, Reply, Settings};

/// Calls of the host that invocations may leave under way in an instance that is kept: each takes some of its memory, for good.
const CALLS_LEFT_MAX: u32 = 1_000;

/// A script at one moment: its modules, and what they offer.
pub struct Version {
    pub runtime: Arc<Runtime>,
    pub graph: Arc<Graph>,
    pub offer: Offer,
    /// The settings of the last invocation, as the guest gets them: one manifest's stay the same for many.
    settings: Mutex<Option<(Arc<Settings>, Arc<str>)>>,
    image: Mutex<Progress>,
}

impl Version {
    pub fn new(runtime: Arc<Runtime>, graph: Arc<Graph>, offer: Offer) -> Version {
        Version {
            runtime,
            graph,
            offer,
            settings: Mutex::new(None),
            image: Mutex::default(),
        }
    }

    /// Looks at how far its image is, or changes it.
    pub fn progress<T>(&self, look: impl FnOnce(&mut Progress) -> T) -> T {
        look(&mut self.image.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn has_image(&self) -> bool {
        self.progress(|progress| matches!(progress, Progress::Made(_)))
    }

    pub fn settings_json(&self, settings: &Arc<Settings>) -> Arc<str> {
        let mut known = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        match &*known {
            Some((of, json)) if Arc::ptr_eq(of, settings) => Arc::clone(json),
            _ => {
                let json = settings_json(settings);
                *known = Some((Arc::clone(settings), Arc::clone(&json)));
                json
            }
        }
    }
}

/// `settings` of the context: what is the same for all invocations under one manifest.
pub fn settings_json(settings: &Settings) -> Arc<str> {
    let env: Map<String, Value> = settings
        .env
        .iter()
        .map(|(name, value)| (name.clone(), json!(value)))
        .collect();
    let kind = |target: &BindTarget| match target {
        BindTarget::Queue(_) => "queue",
        BindTarget::Topic(_) => "topic",
        BindTarget::Kv(_) => "kv",
        BindTarget::Function(_) => "function",
    };
    let bindings: Map<String, Value> = settings
        .bind
        .iter()
        .map(|(name, target)| (name.clone(), json!(kind(target))))
        .collect();
    let all = json!({
        "name": &*settings.function,
        "memoryMb": settings.memory_bytes >> 20,
        "env": env,
        "bindings": bindings,
    });
    all.to_string().into()
}

pub fn context(entry: &Arc<str>, settings: Arc<str>, invocation: &Invocation) -> wire::Context {
    wire::Context {
        entry: Arc::clone(entry),
        settings,
        id: invocation.id.clone(),
        seed_low: invocation.seed as u32,
        seed_high: (invocation.seed >> 32) as u32,
        remaining_ms: invocation.settings.timeout.as_secs_f64() * 1e3,
    }
}

/// What happened to a guest, as its author should read it.
pub fn failure_of(error: &wasmtime::Error, live: &Live) -> Failure {
    match error.downcast_ref::<Trap>() {
        _ if live.store.data().memory.refused().is_some() => Failure::of(error, live.store.data()),
        // QuickJS recurses on the machine's stack, so its own check never comes to speak.
        Some(Trap::StackOverflow) => Failure::new(FailureKind::Error, "RangeError: Maximum call stack size exceeded"),
        Some(Trap::AsyncDeadlock | Trap::NoAsyncResult) => Failure::new(
            FailureKind::Error,
            "the handler waits for a promise that nothing can settle: no timer, request or message is under way \
             (one that began in an earlier invocation ended with it)",
        ),
        _ => Failure::of(error, live.store.data()),
    }
}

/// Where a script's invocations run, one after the other.
pub struct Sandbox {
    code: Code,
    kept: Kept<(Live, Handle)>,
}

/// What is run, and by whom.
struct Code {
    engine: Engine,
    version: Arc<Version>,
}

impl Sandbox {
    pub fn new(engine: Engine, version: Arc<Version>) -> Sandbox {
        Sandbox {
            kept: Kept::nothing(engine.clone()),
            code: Code { engine, version },
        }
    }

    /// See [`crate::engine::Sandbox::run`].
    pub async fn run(&mut self, invocation: Invocation, sender: oneshot::Sender<Reply>) -> Outcome {
        let run = Run::new(&invocation);
        let opened = match self.kept.take() {
            Some((mut live, handle)) => live.rearm(run, invocation.seed).map(|()| (live, Some(handle))),
            None => Live::new(&self.code.engine, self.code.version.runtime.slots, run, invocation.seed)
                .await
                .map(|live| (live, None)),
        };
        let (mut live, handle) = match opened {
            Ok(opened) => opened,
            Err(failure) => return not_run(failure),
        };
        if handle.is_none() {
            live.store.data_mut().extension = Some(Box::new(Script::new(Arc::clone(&self.code.version.graph))));
        }
        let clock = live.store.data().run.clock.clone();
        let mut meter = Meter::start(&clock);
        let timeout = invocation.settings.timeout;
        let cut = invocation.cut.clone();
        let mut kept = None;
        let work = self
            .code
            .work(&mut live, handle, &mut kept, &mut meter, invocation, sender);
        let result = within_cut(&clock, timeout, cut, work).await;
        let outcome = meter.outcome(&live, result);
        let left = script(live.store.data_mut()).map_or(0, |script| script.calls);
        // After a failure nobody knows what state the guest is in.
        if outcome.result.is_ok()
            && left <= CALLS_LEFT_MAX
            && let Some(handle) = kept
        {
            self.kept.keep((live, handle));
        }
        outcome
    }
}

impl Code {
    /// One invocation within its deadline; a guest that did well is left in `kept`.
    async fn work(
        &self,
        live: &mut Live,
        handle: Option<Handle>,
        kept: &mut Option<Handle>,
        meter: &mut Meter,
        invocation: Invocation,
        sender: oneshot::Sender<Reply>,
    ) -> Result<(), Failure> {
        let (engine, version) = (&self.engine, &self.version);
        let fresh = handle.is_none();
        let settings = version.settings_json(&invocation.settings);
        // An image comes when the machine finds the time for it: in virtual time every run is like the first.
        let may_have_image = fresh && live.store.data().run.clock.pace().is_none();
        let image: Option<Arc<Image>> = match may_have_image {
            true => version.progress(|progress| engine.images().take(progress, &settings)),
            false => None,
        };
        let handle = match handle {
            Some(handle) => handle,
            None => {
                let runtime = image.as_ref().map_or(&*version.runtime, |image| &image.runtime);
                let instance = runtime.instantiate(&mut live.store).await;
                instance.map_err(|error| self.failure_in(image.as_ref(), &error, live))?
            }
        };
        let context = context(&version.graph.entry, settings, &invocation);
        let of = Arc::clone(&invocation.settings);
        let run = Arc::clone(&live.store.data().run);
        let guest = script(live.store.data_mut()).map_err(Failure::internal)?;
        guest.arm(Some(sender));
        let convention = version.offer.convention;
        let (event, expected) = events::prepare(invocation.event, convention, &mut guest.bodies, &run).await?;

        let called = run.clock.elapsed();
        let answer = handle.call_async(&mut live.store, (context, event)).await;
        if fresh && let Ok(script) = script(live.store.data_mut()) {
            let entered = script.entered.unwrap_or_else(|| run.clock.elapsed());
            meter.initialised_at(entered);
            if may_have_image && image.is_none() {
                let cost = entered.saturating_sub(called);
                engine.images().imported(engine, version, &of, cost);
            }
        }
        let (answer,) = answer.map_err(|error| self.failure_in(image.as_ref(), &error, live))?;
        if let Some(image) = &image {
            // While its memory is there with all that was written.
            engine.images().used(engine, version, image);
        }
        let guest = script(live.store.data_mut()).map_err(Failure::internal)?;
        if let wire::Reply::Failed(thrown) = &answer {
            // What a failed batch acknowledged by name stays acknowledged.
            if let Ok(retried) = reply::verdicts(thrown) {
                guest.answer(Reply::Batch(retried));
            }
            return Err(Thrown::parse(thrown).failure(&version.graph, kind_of(thrown)));
        }
        let reply = reply::convert(answer, expected, &mut guest.bodies).await;
        if let Some(reply) = reply.map_err(|message| Failure::new(FailureKind::BadResponse, message))? {
            guest.answer(reply);
        }
        *kept = Some(handle);
        Ok(())
    }

    /// [`failure_of`]; an image whose run trapped is not used again, so that no image makes a function fail for good.
    fn failure_in(&self, image: Option<&Arc<Image>>, error: &wasmtime::Error, live: &Live) -> Failure {
        let failure = failure_of(error, live);
        if let (Some(image), FailureKind::Trap) = (image, failure.kind) {
            tracing::warn!(entry = %self.version.graph.entry, "an image that trapped is given up: {}", failure.message);
            self.engine.images().give_up(&self.version, image);
        }
        failure
    }
}

/// Whether the prelude says that the answer (not the handler) was wrong.
fn kind_of(thrown: &str) -> FailureKind {
    #[derive(serde::Deserialize)]
    struct Marked {
        #[serde(default)]
        bad: bool,
    }
    match serde_json::from_str::<Marked>(thrown) {
        Ok(Marked { bad: true }) => FailureKind::BadResponse,
        _ => FailureKind::Error,
    }
}
