//! Runs the prelude once in the linked component and takes the snapshot.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, ComponentType, Linker, Lower};
use wasmtime::{Config, Engine, Store};
use wasmtime_wizer::{WasmtimeWizerComponent, Wizer};

use crate::link::Linked;

/// The prelude's modules are named so, in stacks too, where emu removes their frames.
const PREFIX: &str = "emu:prelude/";

wasmtime::component::bindgen!({
    inline: "
        package local:init;
        world init {
            export init: func(shim: string, script: string, entry-path: option<string>, disable-gc: bool)
                -> result<_, string>;
        }
    ",
    exports: { default: async },
});

/// Evaluates `main.js` of `prelude` and freezes the instance.
pub async fn evaluate(linked: &Linked, prelude: &Path) -> Result<Vec<u8>> {
    let mut config = Config::new();
    config.wasm_component_model_async(true).wasm_component_model_map(true);
    let engine = Engine::new(&config)?;
    let mut store = Store::new(&engine, ());

    let wizer = Wizer::new();
    let (context, instrumented) = wizer.instrument_component(&linked.component)?;
    let component = Component::new(&engine, &instrumented)?;

    let mut linker = Linker::new(&engine);
    linker.allow_shadowing(true);
    refuse_all(&mut linker, &component)?;
    stop_clocks(&mut linker, &component)?;
    serve_prelude(&mut linker, prelude.to_path_buf())?;

    let main = std::fs::read_to_string(prelude.join("main.js")).context("failed to read main.js")?;
    let instance = linker.instantiate_async(&mut store, &component).await?;
    let entry = format!("{PREFIX}main.js");
    Init::new(&mut store, &instance)?
        .call_init(&mut store, &linked.shim, &main, Some(&entry), false)
        .await?
        .map_err(|error| anyhow!("the prelude failed: {error}"))?;

    wizer
        .snapshot_component(context, &mut WasmtimeWizerComponent { store: &mut store, instance })
        .await
        .map_err(Into::into)
}

/// The prelude may not call the host while it is evaluated: the snapshot would keep the answer.
/// (`define_unknown_imports_as_traps` gives async functions the wrong type.)
pub fn refuse_all(linker: &mut Linker<()>, component: &Component) -> Result<()> {
    let engine = component.engine();
    for (interface, item) in component.component_type().imports(engine) {
        let ComponentItem::ComponentInstance(instance) = item.ty else { bail!("{interface} is no interface") };
        let mut host = linker.instance(interface)?;
        for (name, item) in instance.exports(engine) {
            let ComponentItem::ComponentFunc(function) = item.ty else { continue };
            // Says that the module is there; the snapshot is taken long before.
            if name == "entered" {
                host.func_wrap(name, |_, (): ()| Ok(()))?;
                continue;
            }
            let message = format!("the prelude called {interface} {name} while it was evaluated");
            if function.async_() {
                host.func_new_concurrent(name, move |_, _, _, _| {
                    let error = wasmtime::format_err!("{message}");
                    Box::pin(async move { Err(error) })
                })?;
            } else {
                host.func_new(name, move |_, _, _, _| Err(wasmtime::format_err!("{message}")))?;
            }
        }
    }
    Ok(())
}

/// Clocks that stand still: the same inputs shall give the same snapshot.
pub fn stop_clocks(linker: &mut Linker<()>, component: &Component) -> Result<()> {
    for (interface, _) in component.component_type().imports(component.engine()) {
        if interface.starts_with("wasi:clocks/wall-clock@") {
            linker.instance(interface)?.func_wrap("now", |_, (): ()| Ok((Datetime { seconds: 0, nanoseconds: 0 },)))?;
        } else if interface.starts_with("wasi:clocks/monotonic-clock@") {
            linker.instance(interface)?.func_wrap("now", |_, (): ()| Ok((0u64,)))?;
        }
    }
    Ok(())
}

#[derive(ComponentType, Lower)]
#[component(record)]
struct Datetime {
    seconds: u64,
    nanoseconds: u32,
}

fn serve_prelude(linker: &mut Linker<()>, dir: PathBuf) -> Result<()> {
    let mut loader = linker.instance("local:init/module-loader")?;
    loader.func_wrap("resolve", |_, (_, specifier): (String, String)| {
        let name = specifier.strip_prefix("./").map(|name| format!("{PREFIX}{name}"));
        Ok((name.ok_or_else(|| format!("{specifier} is no module of the prelude")),))
    })?;
    loader.func_wrap("load", move |_, (name,): (String,)| {
        let file = dir.join(name.trim_start_matches(PREFIX));
        Ok((std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display())),))
    })?;
    Ok(())
}
