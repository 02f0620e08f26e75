//! Which pages of the snapshot a small invocation writes, and a way to make fewer stretches of them.
//!
//! wasmtime resets a used memory by copying back the pages that were written, but its page scan tells of at most 32
//! stretches of such pages; all behind them is unmapped and has to be faulted in again by the next instance, which costs
//! more than the invocation itself. A page that was written once stays, so the gaps between stretches are bridged by
//! writing a byte of each page in them (the byte that is there) whenever an invocation begins.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::FileExt;

use anyhow::{Context, Result, bail};
use wasm_encoder::{CodeSection, Instruction, MemArg, Module, RawSection};
use wasmparser::{ExternalKind, Parser, Payload, TypeRef};
use wasmtime::component::{Component, Linker, Val};
use wasmtime::{Config, Engine, Store};

const PAGE_BYTES: u64 = 4096;

/// Stretches that may be left: what a handler of more than a line writes makes others.
const STRETCHES_MAX: usize = 8;

/// The export of the glue through which every invocation comes.
const ENTRY: &str = "[async-lift]handle";

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
        Val::Variant(tag, _) if tag == "http" => private_pages(),
        other => bail!("hello answered {other:?}"),
    }
}

/// Pages of this process's one memory image that are no longer the file's.
fn private_pages() -> Result<BTreeSet<u64>> {
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    // Neighbours that can be written, the first of them where the memory begins.
    let mut ranges: Vec<(u64, u64, bool)> = Vec::new();
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (range, rights) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (start, end) = range.split_once('-').context("a mapping has a range")?;
        let (start, end) = (u64::from_str_radix(start, 16)?, u64::from_str_radix(end, 16)?);
        let goes_on = rights.starts_with("rw") && ranges.last().is_none_or(|(_, before, _)| *before == start);
        if !goes_on {
            if ranges.iter().any(|(_, _, image)| *image) {
                break;
            }
            ranges.clear();
        }
        if rights.starts_with("rw") {
            ranges.push((start, end, line.contains("wasm-memory-image")));
        }
    }
    if !ranges.iter().any(|(_, _, image)| *image) {
        bail!("no memory image is mapped");
    }
    let base = ranges[0].0;
    let pagemap = File::open("/proc/self/pagemap")?;
    let mut pages = BTreeSet::new();
    for (start, end, _) in ranges {
        let mut entries = vec![0; usize::try_from((end - start) / PAGE_BYTES * 8)?];
        pagemap.read_exact_at(&mut entries, start / PAGE_BYTES * 8)?;
        for (at, entry) in (0..).zip(entries.chunks_exact(8)) {
            let entry = u64::from_le_bytes(entry.try_into().expect("eight bytes"));
            // Present, and neither of a file nor shared.
            if entry >> 63 & 1 == 1 && entry >> 61 & 1 == 0 {
                pages.insert((start - base) / PAGE_BYTES + at);
            }
        }
    }
    Ok(pages)
}

/// How many stretches of neighbours there are.
pub fn stretches(pages: &BTreeSet<u64>) -> usize {
    pages.iter().filter(|page| **page == 0 || !pages.contains(&(**page - 1))).count()
}

/// The pages of the smallest gaps, as many as it takes.
pub fn bridges(written: &BTreeSet<u64>) -> Vec<u64> {
    let mut gaps: Vec<(u64, u64)> = written
        .iter()
        .zip(written.iter().skip(1))
        .filter(|(one, next)| **next > **one + 1)
        .map(|(one, next)| (*one + 1, *next))
        .collect();
    gaps.sort_by_key(|(from, to)| (to - from, *from));
    let filled = stretches(written).saturating_sub(STRETCHES_MAX);
    gaps.into_iter().take(filled).flat_map(|(from, to)| from..to).collect()
}

/// The glue with code before its entry that writes a byte of each page.
pub fn touch(glue: &[u8], pages: &[u64]) -> Result<Vec<u8>> {
    if pages.is_empty() {
        return Ok(glue.to_vec());
    }
    let (mut imported, mut entry, mut at) = (0, None, 0);
    let mut code = CodeSection::new();
    let mut out = Module::new();
    for payload in Parser::new(0).parse_all(glue) {
        let payload = payload?;
        match &payload {
            Payload::ImportSection(reader) => {
                for import in reader.clone().into_imports() {
                    imported += u32::from(matches!(import?.ty, TypeRef::Func(_)));
                }
            }
            Payload::ExportSection(reader) => {
                for export in reader.clone() {
                    let export = export?;
                    if export.name == ENTRY && export.kind == ExternalKind::Func {
                        entry = Some(export.index);
                    }
                }
            }
            Payload::CodeSectionEntry(body) => {
                let index = imported + at;
                at += 1;
                let range = body.range();
                let range = usize::try_from(range.start)?..usize::try_from(range.end)?;
                if Some(index) != entry {
                    code.raw(&glue[range]);
                    continue;
                }
                let operators = usize::try_from(body.get_operators_reader()?.original_position())?;
                let mut bytes = glue[range.start..operators].to_vec();
                for page in pages {
                    let address = i32::try_from(page * PAGE_BYTES)?;
                    let byte = MemArg { offset: 0, align: 0, memory_index: 0 };
                    for instruction in [
                        Instruction::I32Const(address),
                        Instruction::I32Const(address),
                        Instruction::I32Load8U(byte),
                        Instruction::I32Store8(byte),
                    ] {
                        wasm_encoder::Encode::encode(&instruction, &mut bytes);
                    }
                }
                bytes.extend(&glue[operators..range.end]);
                code.raw(&bytes);
                continue;
            }
            Payload::CodeSectionStart { .. } => continue,
            _ => {}
        }
        if at > 0 && !code.is_empty() && !matches!(payload, Payload::CodeSectionEntry(_)) {
            out.section(&code);
            code = CodeSection::new();
        }
        if let Some((id, range)) = payload.as_section() {
            let range = usize::try_from(range.start)?..usize::try_from(range.end)?;
            out.section(&RawSection { id, data: &glue[range] });
        } else if matches!(payload, Payload::End(_)) && !code.is_empty() {
            out.section(&code);
        }
    }
    if entry.is_none() {
        bail!("the glue exports no {ENTRY}");
    }
    Ok(out.finish())
}
