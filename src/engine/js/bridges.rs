//! When an image's memory is looked at for the stretches of pages that invocations write, and the component that writes
//! fewer: see [`pages`].

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::Result;
use bytes::Bytes;
use tokio_util::task::AbortOnDropHandle;
use wasm_encoder::{Encode, RawSection};
use wasmparser::{BinaryReader, Parser, Payload};

use super::pages;
use crate::engine::mapped;

/// Invocations after which the pages that they write are known, errors and rare ways through the code aside.
const USES_SETTLED: u32 = 200;
/// Stretches of which wasmtime 48 resets a memory without unmapping any of it.
const STRETCHES_MAX: usize = 32;
/// Of a component's binary form: magic number, version, layer.
const PREAMBLE_BYTES: usize = 8;
/// The section of a component that is a module.
const CORE_MODULE: u8 = 1;

/// What an image without bridges was made of.
pub struct Plain {
    pub frozen: Bytes,
    /// The files behind its memories.
    pub memories: BTreeSet<u64>,
}

/// How far an image is on the way to bridges. The default has come to the end of it.
#[derive(Default)]
pub struct Bridges {
    uses: AtomicU32,
    plain: Mutex<Option<Plain>>,
    /// Ends with the image.
    work: Mutex<Option<AbortOnDropHandle<()>>>,
}

impl Bridges {
    pub fn new(plain: Plain) -> Bridges {
        Bridges {
            plain: Mutex::new(Some(plain)),
            ..Bridges::default()
        }
    }

    /// Counts a use. Once, when there have been enough: what the image was made of, and the pages that were written. It looks at once, in a
    /// millisecond, and must be asked while the instance is there: its end unmaps what is more than wasmtime's scan tells of.
    pub fn settled(&self) -> Option<(Plain, BTreeSet<u64>)> {
        let uses = self.uses.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        if !uses.is_multiple_of(USES_SETTLED) {
            return None;
        }
        let mut plain = self.plain.lock().unwrap_or_else(PoisonError::into_inner);
        match mapped::written(&plain.as_ref()?.memories) {
            Ok(written) if written.is_empty() => None,
            Ok(written) => Some((plain.take()?, written)),
            Err(error) => {
                tracing::debug!("no bridges: {error}");
                // Nor will it be told later.
                *plain = None;
                None
            }
        }
    }

    /// Keeps what works on the bridges.
    pub fn work(&self, work: AbortOnDropHandle<()>) {
        *self.work.lock().unwrap_or_else(PoisonError::into_inner) = Some(work);
    }

    /// The component with a bridge far beyond its memory.
    #[cfg(test)]
    pub fn spoilt(&self) -> Option<Vec<u8>> {
        let plain = self.plain.lock().unwrap_or_else(PoisonError::into_inner);
        touch(&plain.as_ref()?.frozen, &[100_000]).ok()
    }

    /// What works on the bridges, for a test to wait for.
    #[cfg(test)]
    pub fn working(&self) -> Option<AbortOnDropHandle<()>> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Plain {
    /// The component with bridges; none where it does well without.
    ///
    /// # Errors
    /// When the component cannot be read.
    pub fn bridged(&self, written: &BTreeSet<u64>) -> Result<Option<Vec<u8>>> {
        // Memory grows while an invocation runs, and the entry of the next one may only touch what is there at the beginning.
        let written: BTreeSet<u64> = written.range(..initial_pages(&self.frozen)?).copied().collect();
        let (stretches, bridges) = (pages::stretches(&written), pages::bridges(&written));
        tracing::debug!(
            pages = written.len(),
            stretches,
            bridges = bridges.len(),
            "pages of an image"
        );
        if stretches <= STRETCHES_MAX {
            return Ok(None);
        }
        touch(&self.frozen, &bridges).map(Some)
    }
}

/// The pages that every memory of the component has from the beginning: those of the smallest.
///
/// # Errors
/// When it cannot be read.
fn initial_pages(component: &[u8]) -> Result<u64> {
    let mut least = None;
    let modules = sections(component)?.into_iter().filter(|(id, _)| *id == CORE_MODULE);
    for payload in modules.flat_map(|(_, module)| Parser::new(0).parse_all(module)) {
        let Payload::MemorySection(memories) = payload? else {
            continue;
        };
        for memory in memories {
            let memory = memory?;
            let page_bytes = 1_u64.checked_shl(memory.page_size_log2.unwrap_or(16)).unwrap_or(0);
            let pages = memory.initial.saturating_mul(page_bytes) / pages::PAGE_BYTES;
            least = least.into_iter().chain([pages]).min();
        }
    }
    Ok(least.unwrap_or(0))
}

/// The sections of a component, each with its number.
///
/// # Errors
/// When it is none.
fn sections(component: &[u8]) -> Result<Vec<(u8, &[u8])>> {
    let sections = component.get(PREAMBLE_BYTES..).unwrap_or_default();
    let mut reader = BinaryReader::new(sections, 0);
    let mut all = Vec::new();
    while !reader.eof() {
        let id = reader.read_u8()?;
        let data = reader.read_reader()?;
        all.push((id, &sections[data.range()]));
    }
    Ok(all)
}

/// The component, with the pages written by whichever of its modules has the entry.
fn touch(component: &[u8], pages: &[u64]) -> Result<Vec<u8>> {
    let mut out = component[..component.len().min(PREAMBLE_BYTES)].to_vec();
    for (id, data) in sections(component)? {
        let touched = match id {
            CORE_MODULE => pages::touch(data, pages)?,
            _ => None,
        };
        let data = touched.as_deref().unwrap_or(data);
        out.push(id);
        RawSection { id, data }.encode(&mut out);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_gaps_are_bridged() {
        // Twelve stretches: one page each, and gaps of one page, two pages and so on.
        let written: BTreeSet<u64> = (0..12)
            .scan(0, |at, gap| Some(std::mem::replace(at, *at + gap + 2)))
            .collect();
        assert_eq!(pages::stretches(&written), 12);
        assert_eq!(pages::bridges(&written), [1, 3, 4, 6, 7, 8, 10, 11, 12, 13]);
        let all: BTreeSet<u64> = written.iter().copied().chain(pages::bridges(&written)).collect();
        assert_eq!(pages::stretches(&all), 8);
        assert_eq!(pages::bridges(&(3..40).collect()), [] as [u64; 0]);
    }

    #[test]
    fn only_the_entry_writes_the_pages() {
        let config = wasmtime::Config::new();
        let engine = wasmtime::Engine::new(&config).unwrap();
        let text = r#"(component
            (core module (memory 1) (func (export "other") (param i32) (result i32) local.get 0))
            (core module
                (import "env" "memory" (memory 1))
                (func (export "before") (result i32) i32.const 1)
                (func (export "[async-lift]handle") (param i32) (result i32) (local i64) local.get 0)
                (func (export "after") (result i32) i32.const 3)))"#;
        let component = wat(text);
        let touched = touch(&component, &[2, 7]).unwrap();
        wasmtime::component::Component::new(&engine, &touched).unwrap();
        let shown = functions(&touched);
        let plain = functions(&component);
        assert_eq!(plain.len(), 4);
        for at in [0, 1, 3] {
            assert_eq!(shown[at], plain[at]);
        }
        assert_eq!(shown[2].len(), plain[2].len() + 8);
        assert!(
            shown[2][..8].iter().any(|operator| operator.contains("28672")),
            "{:?}",
            shown[2]
        );
        assert_eq!(touch(&component, &[]).unwrap(), component);
        assert!(touch(b"\0asm\x0d\0\x01\0\x01\x7f", &[]).is_err());
    }

    /// Every second page, of which the memory has the first 128 when it begins.
    #[test]
    fn what_a_memory_grows_into_is_not_touched() {
        let text = r#"(component
            (core module (memory 8) (func (export "[async-lift]handle") (param i32) (result i32) local.get 0))
            (core module (memory 9 200)))"#;
        let plain = Plain {
            frozen: wat(text).into(),
            memories: BTreeSet::new(),
        };
        let touched = plain.bridged(&(0..400).step_by(2).collect()).unwrap().unwrap();
        let entry = functions(&touched).remove(0);
        let pages: BTreeSet<u32> = entry
            .iter()
            .filter_map(|operator| {
                operator
                    .strip_prefix("I32Const { value: ")?
                    .strip_suffix(" }")?
                    .parse()
                    .ok()
            })
            .map(|address: u32| address / 4096)
            .collect();
        assert_eq!(pages.len(), 64 - 8);
        assert!(pages.iter().all(|page| *page < 128), "{pages:?}");
        // Of these the memory has too few for bridges.
        assert_eq!(plain.bridged(&(100..4_000).step_by(2).collect()).unwrap(), None);
    }

    fn wat(text: &str) -> Vec<u8> {
        let buffer = wast::parser::ParseBuffer::new(text).unwrap();
        wast::parser::parse::<wast::Wat>(&buffer).unwrap().encode().unwrap()
    }

    /// The operators of all functions.
    fn functions(component: &[u8]) -> Vec<Vec<String>> {
        let payloads = wasmparser::Parser::new(0).parse_all(component);
        payloads
            .filter_map(|payload| match payload.unwrap() {
                wasmparser::Payload::CodeSectionEntry(body) => Some(body),
                _ => None,
            })
            .map(|body| {
                let operators = body.get_operators_reader().unwrap().into_iter();
                operators.map(|operator| format!("{:?}", operator.unwrap())).collect()
            })
            .collect()
    }
}
