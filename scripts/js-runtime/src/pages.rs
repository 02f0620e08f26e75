//! Which pages of the snapshot a small invocation writes: see the files of the engine that are shared here.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};
use wasmtime::component::{Component, Linker, Val};
use wasmtime::{Config, Engine, Store};

#[expect(dead_code, reason = "the engine asks for more")]
#[path = "../../../src/engine/mapped.rs"]
mod mapped;
#[path = "../../../src/engine/js/pages.rs"]
mod shared;

pub use shared::{bridges, stretches, touch};

/// A handler that does what the least of them do.
const HELLO: &str = "export default { fetch() { return new Response('hello'); } };";

/// Runs one invocation in the snapshot and answers with the pages (by number) that it wrote.
pub async fn written(snapshot: &[u8]) -> Result<BTreeSet<u64>> {
    let mut config = Config::new();
    config.wasm_component_model_async(true).wasm_component_model_map(true).memory_init_cow(true);
    let engine = Engine::new(&config)?;
    let component = Component::new(&engine, snapshot)?;
    let mut linker = Linker::new(&engine);
    linker.allow_shadowing(true);
    crate::evaluate::refuse_all(&mut linker, &component)?;
    crate::evaluate::stop_clocks(&mut linker, &component)?;
    let mut loader = linker.instance("local:init/module-loader")?;
    loader.func_wrap("resolve", |_, (_, name): (String, String)| Ok((Ok::<_, String>(name),)))?;
    loader.func_wrap("load", |_, (_,): (String,)| Ok((Ok::<_, String>(HELLO.to_owned()),)))?;

    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate_async(&mut store, &component).await?;
    let handle = instance.get_func(&mut store, "handle").context("the snapshot exports no handle")?;
    let text = |text: &str| Val::String(text.to_owned());
    let context = Val::Record(vec![
        ("entry".into(), text("hello.js")),
        ("settings".into(), text("{\"bindings\":{},\"env\":{},\"memoryMb\":128,\"name\":\"hello\"}")),
        ("id".into(), text("00000000-0000-8000-8000-000000000001")),
        ("seed-low".into(), Val::U32(1)),
        ("seed-high".into(), Val::U32(2)),
        ("remaining-ms".into(), Val::Float64(3e3)),
    ]);
    let head = text("GET http://127.0.0.1:3680/hello\nhost: 127.0.0.1:3680\nuser-agent: curl/8.5.0\naccept: */*");
    let none = Val::Variant("none".into(), None);
    let event = Val::Variant("http".into(), Some(Box::new(Val::Tuple(vec![head, none]))));
    let mut results = [Val::Bool(false)];
    handle.call_async(&mut store, &[context, event], &mut results).await?;
    match &results[0] {
        Val::Variant(tag, _) if tag == "http" => Ok(mapped::written(&mapped::images()?)?),
        other => bail!("hello answered {other:?}"),
    }
}
