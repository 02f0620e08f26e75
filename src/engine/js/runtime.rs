//! The interpreter, compiled and linked: one for all scripts.

use bytes::Bytes;
use wasmtime::component::{ComponentExportIndex, Instance, InstancePre, Linker, TypedFunc};
use wasmtime::{Store, component};

use super::{artefact, host, wire};
use crate::engine::host::Guest;
use crate::engine::runtime::Engine;

/// Ready to be instantiated.
pub struct Runtime {
    pre: InstancePre<Guest>,
    load: ComponentExportIndex,
    handle: ComponentExportIndex,
    pub slots: u32,
    /// Its machine code was found in the cache.
    pub compile_cached: bool,
}

/// `load` of an instance.
type Load = TypedFunc<(wire::Context, bool), (Result<String, String>,)>;

/// `handle` of an instance.
pub type Handle = TypedFunc<(wire::Context, wire::Event), (wire::Reply,)>;

impl Runtime {
    /// Compiles the runtime or takes it from the cache.
    ///
    /// # Errors
    /// A fragment for the user: compilation needs memory, time and a cache folder.
    pub async fn new(engine: &Engine) -> Result<Runtime, String> {
        let unpacked = artefact::unpack().map_err(|error| format!("the JavaScript runtime is damaged: {error}"))?;
        let compiled = engine.compiler().component(Bytes::from(unpacked)).await;
        let compiled = compiled.map_err(|error| format!("failed to compile the JavaScript runtime: {error}"))?;
        let linker = host::linker(&compiled.component);
        let linked = linker.and_then(|linker| Self::link(&linker, &compiled.component, compiled.cached));
        linked.map_err(|error| format!("failed to link the JavaScript runtime: {error:#}"))
    }

    /// # Errors
    /// When the component lacks an export, or imports what the linker does not have.
    pub fn link(
        linker: &Linker<Guest>,
        component: &component::Component,
        compile_cached: bool,
    ) -> wasmtime::Result<Runtime> {
        let export = |name: &str| {
            let found = component.get_export_index(None, name);
            found.ok_or_else(|| wasmtime::format_err!("the runtime has no export {name}"))
        };
        Ok(Runtime {
            pre: linker.instantiate_pre(component)?,
            load: export("load")?,
            handle: export("handle")?,
            slots: Engine::slots_of(component),
            compile_cached,
        })
    }

    /// A fresh instance, ready to handle events.
    pub async fn instantiate(&self, store: &mut Store<Guest>) -> wasmtime::Result<Handle> {
        let instance = self.pre.instantiate_async(&mut *store).await?;
        instance.get_typed_func(store, self.handle)
    }

    /// A fresh instance, to import a module on trial.
    pub async fn instantiate_for_load(&self, store: &mut Store<Guest>) -> wasmtime::Result<Load> {
        Ok(self.instantiate_for_image(store).await?.1)
    }

    /// The same, to look into the instance afterwards.
    pub async fn instantiate_for_image(&self, store: &mut Store<Guest>) -> wasmtime::Result<(Instance, Load)> {
        let instance = self.pre.instantiate_async(&mut *store).await?;
        let load = instance.get_typed_func(store, self.load)?;
        Ok((instance, load))
    }
}
