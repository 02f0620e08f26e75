//! Which pages of a memory image invocations write, and a way to make fewer stretches of them.
//!
//! wasmtime resets a used memory by copying back the pages that were written, but its page scan tells of at most 32
//! stretches of such pages; all behind them is unmapped and has to be faulted in again by the next instance, which costs
//! more than the invocation itself. A page that was written once stays, so the gaps between stretches are bridged by
//! writing a byte of each page in them (the byte that is there) whenever an invocation begins.
//!
//! `scripts/js-runtime` uses this file too, with other releases of the crates that read and write Wasm.

use std::collections::BTreeSet;

use anyhow::Result;
use wasm_encoder::{CodeSection, Encode, Instruction, MemArg, Module, RawSection};
use wasmparser::{ExternalKind, FunctionBody, Parser, Payload, TypeRef};

pub const PAGE_BYTES: u64 = 4096;

/// Stretches that may be left: what a handler of another kind writes makes others.
const STRETCHES_MAX: usize = 8;

/// The export of the glue through which every invocation comes.
const ENTRY: &str = "[async-lift]handle";

/// How many stretches of neighbours there are.
pub fn stretches(pages: &BTreeSet<u64>) -> usize {
    pages
        .iter()
        .filter(|page| **page == 0 || !pages.contains(&(**page - 1)))
        .count()
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

/// A module with code before its entry that writes a byte of each page; none if it has no entry.
///
/// # Errors
/// When it is no module.
pub fn touch(module: &[u8], pages: &[u64]) -> Result<Option<Vec<u8>>> {
    let (mut imported, mut entry, mut at) = (0, None, 0);
    let mut code = CodeSection::new();
    let mut out = Module::new();
    for payload in Parser::new(0).parse_all(module) {
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
                if Some(imported + at) == entry {
                    code.raw(&touching(module, body, pages)?);
                } else {
                    code.raw(&module[index(body.range().start)?..index(body.range().end)?]);
                }
                at += 1;
                continue;
            }
            Payload::CodeSectionStart { .. } => continue,
            _ => {}
        }
        if !code.is_empty() {
            out.section(&code);
            code = CodeSection::new();
        }
        if let Some((id, range)) = payload.as_section() {
            let data = &module[index(range.start)?..index(range.end)?];
            out.section(&RawSection { id, data });
        }
    }
    Ok(entry.filter(|entry| *entry >= imported).map(|_| out.finish()))
}

/// The body of a function, after writing a byte of each page.
fn touching(module: &[u8], body: &FunctionBody, pages: &[u64]) -> Result<Vec<u8>> {
    let operators = index(body.get_operators_reader()?.original_position())?;
    let mut bytes = module[index(body.range().start)?..operators].to_vec();
    for page in pages {
        let address = i32::try_from(page * PAGE_BYTES)?;
        let byte = MemArg {
            offset: 0,
            align: 0,
            memory_index: 0,
        };
        for instruction in [
            Instruction::I32Const(address),
            Instruction::I32Const(address),
            Instruction::I32Load8U(byte),
            Instruction::I32Store8(byte),
        ] {
            instruction.encode(&mut bytes);
        }
    }
    bytes.extend(&module[operators..index(body.range().end)?]);
    Ok(bytes)
}

/// Where something stands in a file: of another type in other releases of the parser.
fn index<T: TryInto<usize>>(position: T) -> Result<usize> {
    position
        .try_into()
        .map_err(|_| anyhow::format_err!("the module is too large"))
}
