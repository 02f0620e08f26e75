//! The engine itself: one wasmtime, one linker and one compiler for all functions; versions and their sandboxes.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::OnceCell;
use wasmtime::component::{Component, Linker};

use super::compile::{CompileIn, Compiler};
use super::host::{self, Guest};
use super::pool::Pool;
use super::sandbox::Sandbox;
use super::{Failure, LoadError, LoadPhases, Settings, Source, cache, command, component, config, js, wasm};

/// How an engine is set up.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    pub compile_in: CompileIn,
    /// Where compiled code is kept; `None` keeps none.
    pub cache_dir: Option<PathBuf>,
    /// Whether scripts that are used much get a memory image of their own. It spares instructions, so that the same work takes
    /// fewer of them once it is there: off where they must be the same each time.
    pub images: bool,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            compile_in: CompileIn::default(),
            cache_dir: cache::dir(),
            images: true,
        }
    }
}

/// Runs guests. Clones share everything.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    wasmtime: wasmtime::Engine,
    linker: Linker<Guest>,
    compiler: Compiler,
    /// Made when the first script is loaded.
    script_runtime: OnceCell<Arc<js::Runtime>>,
    script_cache: Arc<js::Cache>,
    images: js::Shelf,
    pool: Pool,
}

impl Engine {
    /// # Errors
    /// When wasmtime does not support this machine.
    pub fn new(options: EngineOptions) -> anyhow::Result<Self> {
        let (wasmtime, slots_max) = new_wasmtime()?;
        let linker = host::linker(&wasmtime).map_err(anyhow::Error::from)?;
        let compiler = Compiler::new(wasmtime.clone(), options.compile_in, options.cache_dir.as_deref());
        Ok(Self(Arc::new(Inner {
            wasmtime,
            linker,
            compiler,
            script_runtime: OnceCell::new(),
            script_cache: Arc::default(),
            images: js::Shelf::new(options.images),
            pool: Pool::new(slots_max),
        })))
    }

    pub(crate) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.0.wasmtime
    }

    /// What every guest may import. A kind of guest that offers more clones it and adds.
    pub(crate) fn linker(&self) -> &Linker<Guest> {
        &self.0.linker
    }

    pub(crate) fn compiler(&self) -> &Compiler {
        &self.0.compiler
    }

    /// Files of compiled code that this engine has used.
    pub fn compiled_code(&self) -> BTreeSet<PathBuf> {
        self.0.compiler.used().into_iter().collect()
    }

    /// The one that it has used last.
    pub fn last_compiled(&self) -> Option<PathBuf> {
        self.0.compiler.used().pop()
    }

    /// What runs scripts, compiled or found in the cache at the first call.
    pub(crate) async fn script_runtime(&self) -> Result<Arc<js::Runtime>, String> {
        let make = async || js::Runtime::new(self).await.map(Arc::new);
        self.0.script_runtime.get_or_try_init(make).await.cloned()
    }

    /// Sources of scripts that have been parsed.
    pub(crate) fn script_cache(&self) -> Arc<js::Cache> {
        Arc::clone(&self.0.script_cache)
    }

    pub(crate) fn images(&self) -> &js::Shelf {
        &self.0.images
    }

    /// Waits for the bridges of a script's image.
    #[cfg(test)]
    pub(crate) async fn bridges_made(&self, version: &Version) -> bool {
        match &*version.0 {
            Kind::Script(version) => js::bridges_made(version).await,
            _ => false,
        }
    }

    /// Makes the memory image of a script's version whatever its imports have cost.
    #[cfg(test)]
    pub(crate) async fn make_image(&self, version: &Version, settings: Arc<super::Settings>) -> Result<(), String> {
        match &*version.0 {
            Kind::Script(version) => js::make_image(self, version, settings).await,
            _ => Err("only scripts have images".to_owned()),
        }
    }

    /// Makes the version's image one in which every run traps.
    #[cfg(test)]
    pub(crate) async fn spoil_image(&self, version: &Version) {
        if let Kind::Script(version) = &*version.0 {
            js::spoil_image(self, version).await;
        }
    }

    /// Room for guests. A sandbox holds some while its store lives.
    pub(crate) fn pool(&self) -> &Pool {
        &self.0.pool
    }

    /// How many slots of the pool an instance of `component` takes: one for each memory, and more for many tables.
    pub(crate) fn slots_of(component: &Component) -> u32 {
        let Some(needs) = component.resources_required() else {
            return config::MEMORIES_MAX as u32;
        };
        needs
            .num_memories
            .max(needs.num_tables.div_ceil(config::TABLES_PER_SLOT))
            .max(1)
    }

    /// Makes a version of what lies on disk now. Dropping the future cancels the compilation.
    ///
    /// # Errors
    /// With what to tell the function's author, and the files whose change is worth another try.
    pub async fn load(&self, source: &Source) -> Result<Loaded, LoadError> {
        let extension = source
            .entry
            .extension()
            .and_then(|extension| extension.to_str())
            .unwrap_or_default();
        match extension {
            "wasm" | "wat" => wasm::load(self, source).await,
            "js" | "mjs" | "cjs" | "jsx" | "ts" | "mts" | "cts" | "tsx" => js::load(self, source).await,
            _ => Err(LoadError {
                message: format!(
                    "`{}` is no function: emu runs .js, .mjs, .cjs, .jsx, .ts, .mts, .cts, .tsx, .wasm and .wat files",
                    source.entry.display()
                ),
                place: None,
                detail: None,
                watch: vec![source.entry.clone()],
            }),
        }
    }

    /// A script as a `wasi:http` component that needs no emu. `intl`: whether it has `Intl`; `None`: if it mentions it.
    ///
    /// # Errors
    /// When the version is no script, or answers no requests.
    pub fn bundle(&self, version: &Version, settings: &Settings, intl: Option<bool>) -> Result<js::Bundle, String> {
        match &*version.0 {
            Kind::Script(version) => js::bundle(version, settings, intl),
            Kind::Component(_) => Err("it is a component already, which other hosts run as it is".to_owned()),
            Kind::Command(_) => {
                Err("a WASI command answers no requests of its own; bundles are made of scripts".to_owned())
            }
        }
    }

    /// A Lambda-style script as Node.js reads it.
    ///
    /// # Errors
    /// When the version is no such script, or imports what only emu has.
    pub fn plain_files(&self, version: &Version) -> Result<js::Plain, String> {
        match &*version.0 {
            Kind::Script(version) if version.offer.convention == js::Convention::Lambda => js::plain_files(version),
            Kind::Script(_) => Err(
                "it is a Worker (`export default { fetch }`), and Lambda calls `export const handler`: \
                                    package it as oci or wasm, or export a handler"
                    .to_owned(),
            ),
            Kind::Component(_) | Kind::Command(_) => {
                Err("it is WebAssembly, and Lambda's Node.js calls JavaScript: package it as oci or wasm".to_owned())
            }
        }
    }

    /// A file of WebAssembly or its text as a component: commands with what joins them to WASI 0.2.
    ///
    /// # Errors
    /// When it is neither.
    pub fn component_of(&self, source: &Source) -> Result<bytes::Bytes, LoadError> {
        wasm::component(source)
    }

    /// A sandbox that is filled at its first run.
    ///
    /// # Errors
    /// None today; a kind of guest may need something at this point.
    pub fn open(&self, version: &Version) -> Result<Sandbox, Failure> {
        Ok(match &*version.0 {
            Kind::Component(version) => Sandbox::component(self.clone(), version.clone()),
            Kind::Command(version) => Sandbox::command(self.clone(), version.clone()),
            Kind::Script(version) => Sandbox::script(self.clone(), version.clone()),
        })
    }
}

/// With the largest pool that this machine's address space allows, at last without one.
fn new_wasmtime() -> anyhow::Result<(wasmtime::Engine, u32)> {
    for slots in config::POOL_SLOTS {
        match wasmtime::Engine::new(&config::pooled(slots)) {
            Ok(engine) => return Ok((engine, slots)),
            Err(error) => tracing::info!("no room for {slots} guests at once: {error:#}"),
        }
    }
    let engine = wasmtime::Engine::new(&config::base()).map_err(anyhow::Error::from)?;
    Ok((engine, config::POOL_SLOTS[2]))
}

/// A function's code at one moment, ready to be run. Clones share it.
#[derive(Clone)]
pub struct Version(pub(super) Arc<Kind>);

impl Version {
    /// Whether a sandbox of it lives on after an invocation. A command's process ends with it.
    pub fn is_kept(&self) -> bool {
        !matches!(&*self.0, Kind::Command(_))
    }

    /// What a script exports for emu to call, in Workers' convention (`fetch`, `scheduled`, `queue`). `None`: it is no script,
    /// or has one handler for all.
    pub fn handlers(&self) -> Option<&[String]> {
        match &*self.0 {
            Kind::Script(version) => version.offer.workers(),
            Kind::Component(_) | Kind::Command(_) => None,
        }
    }

    pub(super) fn script(version: js::Version) -> Self {
        Self(Arc::new(Kind::Script(Arc::new(version))))
    }
}

impl std::fmt::Debug for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match &*self.0 {
            Kind::Component(_) => "Version(wasi:http component)",
            Kind::Command(_) => "Version(WASI command)",
            Kind::Script(_) => "Version(JavaScript module)",
        })
    }
}

pub(super) enum Kind {
    Component(Arc<component::Version>),
    Command(Arc<command::Version>),
    Script(Arc<js::Version>),
}

/// What [`Engine::load`] gives.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub version: Version,
    pub phases: LoadPhases,
    /// Files that were read or looked for.
    pub watch: Vec<PathBuf>,
    /// What a provider would have been sent.
    pub package_bytes: u64,
}
