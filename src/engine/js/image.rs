//! A version's memory image: the runtime as it is once it has imported the version's modules, compiled again with that
//! memory. An invocation in it begins at its handler, however many packages the modules are made of.
//!
//! An image freezes what it saw. So the import must be a matter of the modules and the settings alone: one that reads a
//! clock or randomness, logs, or asks the host for anything but modules and plain computation gets none. And it is worth
//! a compilation only where imports cost more: it is made in the background once they have cost [`WORTH`], and
//! the least recently used of more than [`IMAGES_MAX`] goes.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;
use wasmtime::Store;
use wasmtime::component::{Instance, Lift, WasmList};
use wasmtime_wizer::{ComponentInstanceState, Wizer};

use super::bridges::{Bridges, Plain};
use super::load::{TRIAL_TIME_MAX, on_trial};
use super::loader::Graph;
use super::runtime::Runtime;
use super::sandbox::{Version, context, failure_of};
use super::script::Script;
use super::{Offer, artefact, host};
use crate::engine::compile::Unkept;
use crate::engine::host::{Guest, Run};
use crate::engine::runtime::Engine;
use crate::engine::sandbox::{Live, within};
use crate::engine::{Failure, Settings};

/// What imports of a version have cost before an image is made: of the order of what making it costs, so that code that
/// is being edited, or called now and then, causes no compilation.
const WORTH: Duration = Duration::from_millis(100);
/// Each holds some megabytes of machine code.
const IMAGES_MAX: usize = 16;

/// Ready to be instantiated in place of the version's runtime, under the settings that it was made with: modules may have
/// read their environment.
pub struct Image {
    pub runtime: Runtime,
    pub settings: Arc<str>,
    /// When it was last used, in milliseconds of its shelf.
    used_ms: AtomicU64,
    bridges: Bridges,
}

/// How far a version is on the way to an image.
pub enum Progress {
    /// What imports have cost so far.
    Earned(Duration),
    Making {
        _task: AbortOnDropHandle<()>,
    },
    Made(Arc<Image>),
    /// Its import does more than define things, or an image could not be made, or a run in it trapped.
    Never,
}

impl Default for Progress {
    fn default() -> Self {
        Self::Earned(Duration::ZERO)
    }
}

/// All images of an engine.
pub struct Shelf {
    began: Instant,
    made: Mutex<Vec<Weak<Version>>>,
    /// Off where the same work must take the same instructions each time.
    enabled: bool,
}

impl Shelf {
    pub fn new(enabled: bool) -> Shelf {
        Shelf {
            began: Instant::now(),
            made: Mutex::default(),
            enabled,
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The image to run an invocation in, if there is one that fits.
    pub fn take(&self, progress: &mut Progress, settings: &Arc<str>) -> Option<Arc<Image>> {
        let Progress::Made(image) = progress else { return None };
        if image.settings != *settings {
            // Settings change with the manifest, not with an invocation: the old ones do not come back.
            *progress = Progress::default();
            return None;
        }
        image.used_ms.store(self.now_ms(), Ordering::Relaxed);
        Some(Arc::clone(image))
    }

    /// Takes note of a use, and makes the image anew when it shows that invocations write here and there.
    pub fn used(&self, engine: &Engine, version: &Arc<Version>, image: &Arc<Image>) {
        if let Some((plain, written)) = image.bridges.settled() {
            let (engine, version, of) = (engine.clone(), Arc::downgrade(version), Arc::downgrade(image));
            let work = async move {
                let Some(runtime) = bridged(&engine, plain, written).await else {
                    return;
                };
                let (Some(version), Some(of)) = (version.upgrade(), of.upgrade()) else {
                    return;
                };
                let image = Arc::new(Image {
                    runtime,
                    settings: Arc::clone(&of.settings),
                    used_ms: AtomicU64::new(of.used_ms.load(Ordering::Relaxed)),
                    bridges: Bridges::default(),
                });
                replace(&version, &of, Progress::Made(image));
            };
            image.bridges.work(AbortOnDropHandle::new(tokio::spawn(work)));
        }
    }

    /// The version goes on without this image, and gets no other.
    pub fn give_up(&self, version: &Version, image: &Arc<Image>) {
        replace(version, image, Progress::Never);
    }

    /// Takes note of what an import has cost, and begins an image where that has become too much.
    pub fn imported(&self, engine: &Engine, version: &Arc<Version>, settings: &Arc<Settings>, cost: Duration) {
        if !self.enabled {
            return;
        }
        version.progress(|progress| {
            let Progress::Earned(spent) = progress else { return };
            *spent += cost;
            if *spent >= WORTH {
                let work = make(engine.clone(), Arc::downgrade(version), Arc::clone(settings));
                *progress = Progress::Making {
                    _task: AbortOnDropHandle::new(tokio::spawn(work)),
                };
            }
        });
    }

    /// Takes an image in, and lets go of the one that was not used for longest when there are too many.
    fn keep(&self, version: &Arc<Version>, image: Image) {
        image.used_ms.store(self.now_ms(), Ordering::Relaxed);
        version.progress(|progress| *progress = Progress::Made(Arc::new(image)));
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.push(Arc::downgrade(version));
        let used = |version: &Version| {
            version.progress(|progress| match progress {
                Progress::Made(image) => image.used_ms.load(Ordering::Relaxed),
                _ => 0,
            })
        };
        made.retain(|version| version.upgrade().is_some_and(|version| version.has_image()));
        if made.len() > IMAGES_MAX {
            let versions: Vec<Arc<Version>> = made.iter().filter_map(Weak::upgrade).collect();
            if let Some(oldest) = versions.iter().min_by_key(|version| used(version)) {
                oldest.progress(|progress| *progress = Progress::default());
                made.retain(|version| version.upgrade().is_some_and(|version| version.has_image()));
            }
        }
    }
}

/// What the version has after this image, if it still has it.
fn replace(version: &Version, image: &Arc<Image>, next: Progress) {
    version.progress(|progress| match progress {
        Progress::Made(now) if Arc::ptr_eq(now, image) => *progress = next,
        _ => {}
    });
}

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The import did what an image would repeat for ever.
    #[error("the import {0}")]
    Impure(String),
    #[error("{0}")]
    Failed(String),
}

/// Makes the image of a version that nobody may want any more when it is done.
async fn make(engine: Engine, version: Weak<Version>, settings: Arc<Settings>) {
    let Some((graph, json)) = version
        .upgrade()
        .map(|version| (Arc::clone(&version.graph), version.settings_json(&settings)))
    else {
        return;
    };
    let made = image(&engine, &graph, settings, json).await;
    let Some(version) = version.upgrade() else { return };
    match made {
        Ok(image) => engine.images().keep(&version, image),
        Err(refused) => {
            tracing::debug!(entry = %graph.entry, "no image: {refused}");
            version.progress(|progress| *progress = Progress::Never);
        }
    }
}

/// The same at once, for tests.
#[cfg(test)]
pub async fn make_image(engine: &Engine, version: &Arc<Version>, settings: Arc<Settings>) -> Result<(), String> {
    let json = version.settings_json(&settings);
    let made = image(engine, &version.graph, settings, json).await;
    engine
        .images()
        .keep(version, made.map_err(|refused| refused.to_string())?);
    Ok(())
}

/// Puts bridges into the version's image where it has no memory, so that every run in it traps.
#[cfg(test)]
pub async fn spoil_image(engine: &Engine, version: &Arc<Version>) {
    let image = version.progress(|progress| match progress {
        Progress::Made(image) => Arc::clone(image),
        _ => panic!("an image"),
    });
    let spoilt = image.bridges.spoilt().expect("a component");
    let (runtime, _) = compiled(engine, spoilt.into()).await.expect("it compiles");
    let image = Image {
        runtime,
        settings: Arc::clone(&image.settings),
        used_ms: AtomicU64::new(0),
        bridges: Bridges::default(),
    };
    version.progress(|progress| *progress = Progress::Made(Arc::new(image)));
}

/// Waits until the version's image has the bridges that its use has asked for.
#[cfg(test)]
pub async fn bridges_made(version: &Version) -> bool {
    let working = version.progress(|progress| match progress {
        Progress::Made(image) => image.bridges.working(),
        _ => None,
    });
    let Some(working) = working else { return false };
    working.await.expect("an end");
    true
}

/// Imports the modules in an instance that can be looked into, and compiles what its memory has become.
///
/// # Errors
/// When the import is no matter of the modules alone, or what it left cannot be frozen.
pub async fn image(
    engine: &Engine,
    graph: &Arc<Graph>,
    settings: Arc<Settings>,
    json: Arc<str>,
) -> Result<Image, Refused> {
    let (importing, modules, with) = (engine.clone(), Arc::clone(graph), Arc::clone(&json));
    // Much of it is work on megabytes of bytes between two calls of the guest.
    let frozen =
        tokio::task::spawn_blocking(move || Handle::current().block_on(frozen(&importing, &modules, &settings, with)));
    let frozen = frozen.await.map_err(|error| Refused::Failed(error.to_string()))??;
    let frozen = Bytes::from(frozen);
    let (runtime, memories) = compiled(engine, frozen.clone()).await?;
    Ok(Image {
        runtime,
        settings: json,
        used_ms: AtomicU64::new(0),
        bridges: match memories.is_empty() {
            true => Bridges::default(),
            false => Bridges::new(Plain { frozen, memories }),
        },
    })
}

/// The runtime with a memory of its own, and the files behind that.
async fn compiled(engine: &Engine, frozen: Bytes) -> Result<(Runtime, BTreeSet<u64>), Refused> {
    let unkept = engine.compiler().unkept(frozen).await;
    let Unkept { component, memories } = unkept.map_err(|error| Refused::Failed(error.to_string()))?;
    let linked = host::linker(&component).and_then(|linker| Runtime::link(&linker, &component, false));
    Ok((linked.map_err(|error| Refused::Failed(format!("{error:#}")))?, memories))
}

/// The same with bridges, where invocations need some.
async fn bridged(engine: &Engine, plain: Plain, written: BTreeSet<u64>) -> Option<Runtime> {
    let bridged = tokio::task::spawn_blocking(move || plain.bridged(&written)).await;
    let made = match bridged.map_err(anyhow::Error::from).flatten() {
        Ok(component) => compiled(engine, component?.into()).await.map_err(anyhow::Error::from),
        Err(error) => Err(error),
    };
    // Without bridges the image is as good, only slower.
    made.inspect_err(|error| tracing::debug!("no bridges: {error:#}"))
        .ok()
        .map(|(runtime, _)| runtime)
}

/// The component, with the memory as it is after the import.
async fn frozen(
    engine: &Engine,
    graph: &Arc<Graph>,
    settings: &Arc<Settings>,
    json: Arc<str>,
) -> Result<Vec<u8>, Refused> {
    let failed = |error: wasmtime::Error| Refused::Failed(format!("{error:#}"));
    let unpacked = artefact::unpack().map_err(|error| Refused::Failed(error.to_string()))?;
    let wizer = Wizer::new();
    let (seen, instrumented) = wizer.instrument_component(&unpacked).map_err(failed)?;
    let compiled = engine.compiler().component(Bytes::from(instrumented)).await;
    let component = compiled.map_err(|error| Refused::Failed(error.to_string()))?.component;
    let linked = host::linker_for_image(&component).and_then(|linker| Runtime::link(&linker, &component, false));
    let runtime = linked.map_err(failed)?;

    let invocation = on_trial(Arc::clone(settings));
    let run = Run::new(&invocation);
    let clock = run.clock.clone();
    let live = Live::new(engine, runtime.slots, run, invocation.seed).await;
    let mut live = live.map_err(|failure| Refused::Failed(failure.message))?;
    live.store.data_mut().extension = Some(Box::new(Script::new(Arc::clone(graph))));
    let work = async {
        let (instance, load) = runtime
            .instantiate_for_image(&mut live.store)
            .await
            .map_err(|error| failure_of(&error, &live))?;
        let context = context(&graph.entry, json, &invocation);
        let answer = load.call_async(&mut live.store, (context, true)).await;
        let (answer,) = answer.map_err(|error| failure_of(&error, &live))?;
        Ok((instance, answer))
    };
    let imported: Result<_, Failure> = within(&clock, TRIAL_TIME_MAX, work).await;
    let (instance, answer) = imported.map_err(|failure| Refused::Impure(failure.message))?;
    let offer = answer.map_err(|_| Refused::Impure("fails".to_owned()))?;
    let offer: Offer = serde_json::from_str(&offer).map_err(|error| Refused::Failed(error.to_string()))?;
    if offer.random {
        return Err(Refused::Impure("calls Math.random".to_owned()));
    }
    let mut state = Frozen {
        store: &mut live.store,
        instance,
        failed: None,
    };
    let snapshot = wizer.snapshot_component(&seen, &mut state).await;
    match state.failed {
        Some(error) => Err(failed(error)),
        None => snapshot.map_err(failed),
    }
}

/// Looks into an instance through the functions that wizer has added to it.
struct Frozen<'a> {
    store: &'a mut Store<Guest>,
    instance: Instance,
    /// The first call that failed: the trait has no errors.
    failed: Option<wasmtime::Error>,
}

impl Frozen<'_> {
    async fn call<R: Lift + 'static, T>(
        &mut self,
        instance: &str,
        function: &str,
        then: impl FnOnce(&mut Store<Guest>, R) -> T,
    ) -> Option<T> {
        match self.called(instance, function).await {
            Ok(value) => Some(then(self.store, value)),
            Err(error) => {
                self.failed.get_or_insert(error);
                None
            }
        }
    }

    async fn called<R: Lift + 'static>(&mut self, instance: &str, function: &str) -> wasmtime::Result<R> {
        let absent = || wasmtime::format_err!("{instance} {function} is not there");
        let export = self.instance.get_export_index(&mut *self.store, None, instance);
        let export = self
            .instance
            .get_export_index(&mut *self.store, Some(&export.ok_or_else(absent)?), function);
        let function = export.ok_or_else(absent)?;
        let function = self.instance.get_typed_func::<(), (R,)>(&mut *self.store, function)?;
        Ok(function.call_async(&mut *self.store, ()).await?.0)
    }
}

impl ComponentInstanceState for Frozen<'_> {
    async fn call_func_ret_list_u8(&mut self, instance: &str, func: &str, contents: impl FnOnce(&[u8]) + Send) {
        self.call(instance, func, |store, bytes: WasmList<u8>| {
            contents(bytes.as_le_slice(&*store));
        })
        .await;
    }

    async fn call_func_ret_s32(&mut self, instance: &str, func: &str) -> i32 {
        self.call(instance, func, |_, value| value).await.unwrap_or_default()
    }

    async fn call_func_ret_s64(&mut self, instance: &str, func: &str) -> i64 {
        self.call(instance, func, |_, value| value).await.unwrap_or_default()
    }

    async fn call_func_ret_f32(&mut self, instance: &str, func: &str) -> u32 {
        self.call(instance, func, |_, value: f32| value.to_bits())
            .await
            .unwrap_or_default()
    }

    async fn call_func_ret_f64(&mut self, instance: &str, func: &str) -> u64 {
        self.call(instance, func, |_, value: f64| value.to_bits())
            .await
            .unwrap_or_default()
    }
}
