//! The host functions of `wit/world.wit`, the module loader and the clocks, as a linker for the runtime's component.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use wasmtime::StoreContextMut;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Accessor, Component, Linker, LinkerInstance};

use super::script::{script, with_bodies, with_guest};
use super::wire::Datetime;
use super::{bodies, compute, intl, outbound, reply, text, tools};
use crate::engine::host::clock::synced;
use crate::engine::host::{Guest, give_way, sync};
use crate::engine::{Reply, Stream};

/// `crypto.getRandomValues` fills no more at once, by its specification.
const RANDOM_BYTES_MAX: u32 = 65_536;

type Store<'a> = StoreContextMut<'a, Guest>;

/// A linker that gives the component all it imports.
///
/// # Errors
/// When the component imports what this room does not know, which a test rules out.
pub fn linker(component: &Component) -> wasmtime::Result<Linker<Guest>> {
    let engine = component.engine();
    let mut linker = Linker::new(engine);
    for (name, _) in component.component_type().imports(engine) {
        let mut instance = linker.instance(name)?;
        match name.split('@').next().unwrap_or(name) {
            "emu:js/host" => {
                add_sync(&mut instance)?;
                add_pure(&mut instance)?;
                add_bodies(&mut instance)?;
                add_async(&mut instance)?;
            }
            "local:init/module-loader" => add_loader(&mut instance)?,
            "wasi:clocks/wall-clock" => {
                instance.func_wrap("now", |store: Store<'_>, (): ()| Ok((datetime(&store),)))?
            }
            "wasi:clocks/monotonic-clock" => {
                instance.func_wrap("now", |store: Store<'_>, (): ()| {
                    sync(&store);
                    Ok((store.data().run.clock.now_ns(),))
                })?;
            }
            other => {
                return Err(wasmtime::format_err!(
                    "the runtime imports {other}, which nobody offers"
                ));
            }
        }
    }
    Ok(linker)
}

/// A linker for an import whose result is kept for every invocation to come: modules and plain computation are there, all
/// else ends the import.
///
/// # Errors
/// As [`linker`].
pub fn linker_for_image(component: &Component) -> wasmtime::Result<Linker<Guest>> {
    let engine = component.engine();
    let mut linker = Linker::new(engine);
    // What may be called is put over what may not.
    linker.allow_shadowing(true);
    for (interface, item) in component.component_type().imports(engine) {
        let ComponentItem::ComponentInstance(functions) = item.ty else {
            return Err(wasmtime::format_err!(
                "the runtime imports {interface}, which is no interface"
            ));
        };
        let mut instance = linker.instance(interface)?;
        for (name, item) in functions.exports(engine) {
            if let ComponentItem::ComponentFunc(function) = item.ty {
                refuse(&mut instance, interface, name, function.async_())?;
            }
        }
        match interface {
            "emu:js/host" => {
                add_pure(&mut instance)?;
                add_patterns(&mut instance)?;
            }
            name if name.starts_with("local:init/module-loader") => add_loader(&mut instance)?,
            _ => {}
        }
    }
    Ok(linker)
}

/// A function that ends the guest when it is called.
fn refuse(
    instance: &mut LinkerInstance<'_, Guest>,
    interface: &str,
    name: &str,
    is_async: bool,
) -> wasmtime::Result<()> {
    let message = format!("calls {name} of {interface}");
    if is_async {
        instance.func_new_concurrent(name, move |_, _, _, _| {
            let error = wasmtime::Error::msg(message.clone());
            Box::pin(async move { Err(error) })
        })
    } else {
        instance.func_new(name, move |_, _, _, _| Err(wasmtime::Error::msg(message.clone())))
    }
}

fn datetime(store: &Store<'_>) -> Datetime {
    sync(store);
    let now = Duration::from_nanos(store.data().run.clock.now_ns());
    Datetime {
        seconds: now.as_secs(),
        nanoseconds: now.subsec_nanos(),
    }
}

fn add_loader(loader: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    loader.func_wrap(
        "resolve",
        |mut store: Store<'_>, (referrer, specifier): (String, String)| {
            Ok((script(store.data_mut()).and_then(|script| script.graph.resolve(&referrer, &specifier)),))
        },
    )?;
    loader.func_wrap("load", |mut store: Store<'_>, (name,): (String,)| {
        Ok((script(store.data_mut()).and_then(|script| script.graph.code(&name)),))
    })
}

fn add_sync(host: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    host.func_wrap("log", |store: Store<'_>, (level, text): (u8, String)| {
        let stream = match level {
            0 => Stream::Debug,
            1 => Stream::Info,
            2 => Stream::Warn,
            _ => Stream::Error,
        };
        sync(&store);
        for line in text.split('\n') {
            store.data().run.log.line(stream, line);
        }
        Ok(())
    })?;
    host.func_wrap("elapsed-ms", |store: Store<'_>, (): ()| {
        sync(&store);
        Ok((store.data().run.clock.elapsed_ns() as f64 / 1e6,))
    })?;
    host.func_wrap("random", |mut store: Store<'_>, (length,): (u32,)| {
        Ok((store.data_mut().random.bytes(length.min(RANDOM_BYTES_MAX).into())?,))
    })?;
    host.func_wrap_async(
        "compute-now",
        |mut store: Store<'_>, (op, params, inputs): (String, String, Vec<Vec<u8>>)| {
            Box::new(async move { Ok((compute::compute_now(&mut store, op, &params, inputs).await?,)) })
        },
    )?;
    host.func_wrap_async(
        "tool",
        |mut store: Store<'_>, (op, text, bytes): (String, String, Vec<u8>)| {
            Box::new(async move {
                let answer = tool(store.data_mut(), &op, &text, &bytes);
                give_way(&mut store).await?;
                Ok((answer,))
            })
        },
    )
}

fn tool(guest: &mut Guest, op: &str, text: &str, bytes: &[u8]) -> Result<(String, Vec<u8>), String> {
    let mut charged = 0;
    let answer = tools::run(&mut script(guest)?.zips, &mut charged, op, text, bytes);
    guest.charged += charged;
    answer
}

/// What answers the same whenever it is asked, and leaves nothing behind.
fn add_pure(host: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    host.func_wrap("entered", |mut store: Store<'_>, (): ()| {
        sync(&store);
        let entered = store.data().run.clock.elapsed();
        script(store.data_mut()).map_err(wasmtime::Error::msg)?.entered = Some(entered);
        Ok(())
    })?;
    host.func_wrap_async(
        "intl",
        |mut store: Store<'_>, (op, locale, options, value): (String, String, String, String)| {
            Box::new(async move {
                store.data_mut().charged += intl::fuel(&op, &value);
                give_way(&mut store).await?;
                Ok((intl::run(&op, &locale, &options, &value),))
            })
        },
    )?;
    host.func_wrap("url-parse", |_: Store<'_>, (input, base): (String, Option<String>)| {
        Ok((text::parse_url(&input, base.as_deref()),))
    })?;
    host.func_wrap(
        "url-set",
        |_: Store<'_>, (href, part, value): (String, String, String)| Ok((text::set_url_part(&href, &part, &value),)),
    )?;
    host.func_wrap("encode", |_: Store<'_>, (text,): (String,)| Ok((text.into_bytes(),)))?;
    host.func_wrap("encoding", |_: Store<'_>, (label,): (String,)| {
        Ok((text::encoding_name(&label),))
    })?;
    host.func_wrap(
        "decode",
        |_: Store<'_>, (name, bytes, fatal, keep_bom): (String, Vec<u8>, bool, bool)| {
            Ok((text::decode(&name, &bytes, fatal, keep_bom),))
        },
    )
}

/// Of the tools those that hold nothing on this side.
fn add_patterns(host: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    host.func_wrap(
        "tool",
        |mut store: Store<'_>, (op, text, bytes): (String, String, Vec<u8>)| match op.starts_with("pattern") {
            true => Ok((tool(store.data_mut(), &op, &text, &bytes),)),
            false => Err(wasmtime::format_err!("calls tool of emu:js/host for {op}")),
        },
    )
}

fn add_bodies(host: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    host.func_wrap("pipe", |mut store: Store<'_>, (): ()| {
        let handle = script(store.data_mut()).and_then(|script| script.bodies.pipe());
        Ok((handle.map_err(wasmtime::Error::msg)?,))
    })?;
    host.func_wrap(
        "close",
        |mut store: Store<'_>, (handle, error): (u32, Option<String>)| {
            script(store.data_mut())
                .map_err(wasmtime::Error::msg)?
                .bodies
                .close(handle, error);
            Ok(())
        },
    )?;
    host.func_wrap("respond", |mut store: Store<'_>, (head,): (String,)| {
        Ok((respond(store.data_mut(), &head).map_err(wasmtime::Error::msg)?,))
    })?;
    host.func_wrap_concurrent("read", |store: &Accessor<Guest>, (handle,): (u32,)| {
        Box::pin(async move { Ok((of_this_run(store, read(store, handle)).await,)) })
    })?;
    host.func_wrap_concurrent("write", |store: &Accessor<Guest>, (handle, chunk): (u32, Vec<u8>)| {
        Box::pin(async move { Ok((of_this_run(store, write(store, handle, chunk)).await,)) })
    })
}

fn respond(guest: &mut Guest, head: &str) -> Result<u32, String> {
    let script = script(guest)?;
    let (writer, body) = script.bodies.channel();
    let handle = script.bodies.leaving(writer)?;
    let mut response = reply::response(head, body)?;
    // It may be of the body that this one was made from.
    response.headers_mut().remove(CONTENT_LENGTH);
    script.answer(Reply::Http(response));
    Ok(handle)
}

async fn read(store: &Accessor<Guest>, handle: u32) -> Result<Option<Vec<u8>>, String> {
    let Some(mut body) = with_bodies(store, |bodies| bodies.begin_read(handle))? else {
        return Ok(None);
    };
    let chunk = bodies::next_chunk(&mut body).await;
    let rest = matches!(chunk, Ok(Some(_))).then_some(body);
    with_bodies(store, |bodies| {
        bodies.put_back(handle, rest);
        Ok(())
    })?;
    chunk.map(|chunk| chunk.map(|bytes| bytes.to_vec()))
}

async fn write(store: &Accessor<Guest>, handle: u32, chunk: Vec<u8>) -> Result<(), String> {
    let writer = with_bodies(store, |bodies| bodies.writer(handle))?;
    if writer.write(Bytes::from(chunk)).await {
        Ok(())
    } else {
        Err("the reader of the body has gone".to_owned())
    }
}

/// A call belongs to the run that began it. An answer that comes in a later one, in an instance that is kept, is not handed over: the
/// guest would go on with that run as the task of this one, and trap. The prelude has told those who wait.
async fn of_this_run<T>(store: &Accessor<Guest>, call: impl Future<Output = T>) -> T {
    let run = with_guest(store, |guest| {
        calls(guest, 1);
        Arc::downgrade(&guest.run)
    });
    let answer = call.await;
    let is_late = with_guest(store, |guest| {
        let is_late = !std::ptr::eq(run.as_ptr(), Arc::as_ptr(&guest.run));
        if !is_late {
            calls(guest, -1);
        }
        is_late
    });
    if is_late {
        std::future::pending::<()>().await;
    }
    answer
}

fn calls(guest: &mut Guest, more: i32) {
    if let Ok(script) = script(guest) {
        script.calls = script.calls.saturating_add_signed(more);
    }
}

fn add_async(host: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    host.func_wrap_concurrent("sleep", |store: &Accessor<Guest>, (ms,): (f64,)| {
        Box::pin(async move {
            let clock = synced(store);
            of_this_run(store, clock.sleep(duration_of_ms(ms))).await;
            synced(store);
            Ok(())
        })
    })?;
    host.func_wrap_concurrent(
        "compute",
        |store: &Accessor<Guest>, (op, params, inputs): (String, String, Vec<Vec<u8>>)| {
            Box::pin(async move {
                let clock = synced(store);
                let work = clock.standing(compute::compute(store, op, &params, inputs));
                let answer = of_this_run(store, work).await;
                synced(store);
                Ok((answer,))
            })
        },
    )?;
    host.func_wrap_concurrent(
        "fetch",
        |store: &Accessor<Guest>,
         (head, body, sink, binding): (String, Option<Vec<u8>>, Option<u32>, Option<String>)| {
            Box::pin(async move {
                synced(store);
                let answer = of_this_run(store, outbound::fetch(store, &head, body, sink, binding)).await;
                synced(store);
                Ok((answer,))
            })
        },
    )?;
    host.func_wrap_concurrent(
        "call-binding",
        |store: &Accessor<Guest>, (name, op, payload): (String, String, String)| {
            Box::pin(async move {
                synced(store);
                let answer = of_this_run(store, outbound::call_binding(store, &name, &op, &payload)).await;
                synced(store);
                Ok((answer,))
            })
        },
    )
}

/// Nonsense counts as no time at all.
fn duration_of_ms(ms: f64) -> Duration {
    Duration::try_from_secs_f64(ms / 1e3).unwrap_or(if ms > 0.0 { Duration::MAX } else { Duration::ZERO })
}
