//! Core modules become components through the preview-1 adapter, so that there is one path for all guests.
//!
//! The adapter knows success and failure but no exit status, so a module's `proc_exit` is led past it to
//! `wasi:cli/exit`, which does.

use anyhow::{Context, bail};
use wasi_preview1_component_adapter_provider as adapter;
use wasmparser::{Parser, Payload};
use wit_component::{ComponentEncoder, DecodedWasm, StringEncoding};

const EXIT_MODULE: &str = "wasi:cli/exit@0.2.12";
const EXIT_NAME: &str = "exit-with-code";
/// A component with nothing but that import: where the encoder learns its type.
const EXIT_WORLD: &str = r#"(component
    (import "wasi:cli/exit@0.2.12" (instance (export "exit-with-code" (func (param "status-code" u8))))))"#;
const IMPORT_SECTION: u8 = 2;
/// Magic number and version.
const PREAMBLE_BYTES: usize = 8;

/// Whether the module is a command, by what it exports.
pub(super) fn is_command(module: &[u8]) -> bool {
    let mut names = Parser::new(0)
        .parse_all(module)
        .map_while(Result::ok)
        .filter_map(|payload| match payload {
            Payload::ExportSection(section) => {
                Some(section.into_iter().map_while(Result::ok).any(|e| e.name == "_start"))
            }
            _ => None,
        });
    names.any(|found| found)
}

/// Wraps a core module.
///
/// # Errors
/// When it is malformed, or imports what neither preview 1 nor its own component type explains.
pub(super) fn componentize(module: &[u8]) -> anyhow::Result<Vec<u8>> {
    let command = is_command(module);
    let led = if command { lead_exit_past_adapter(module)? } else { None };
    let adapter_bytes = if command {
        adapter::WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER
    } else {
        adapter::WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER
    };
    ComponentEncoder::default()
        .module(led.as_deref().unwrap_or(module))?
        .adapter(adapter::WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, adapter_bytes)?
        .validate(true)
        .encode()
}

/// The module with `proc_exit` imported from `wasi:cli/exit` instead; the lowered types are the same. `None` if it
/// imports no such function.
fn lead_exit_past_adapter(module: &[u8]) -> anyhow::Result<Option<Vec<u8>>> {
    for payload in Parser::new(0).parse_all(module) {
        let Payload::ImportSection(section) = payload? else {
            continue;
        };
        let range = section.range();
        let mut imports = Vec::new();
        let mut found = false;
        let mut entries = Vec::new();
        for entry in section.into_imports_with_offsets() {
            entries.push(entry?);
        }
        push_number(&mut imports, entries.len())?;
        for (index, (offset, import)) in entries.iter().enumerate() {
            let end = entries.get(index + 1).map_or(range.end, |(next, _)| *next);
            let bytes = module
                .get(*offset..end)
                .context("an import lies outside of its section")?;
            if import.module == adapter::WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME && import.name == "proc_exit" {
                found = true;
                let old_names = name_bytes(import.module)? + name_bytes(import.name)?;
                push_name(&mut imports, EXIT_MODULE)?;
                push_name(&mut imports, EXIT_NAME)?;
                imports.extend_from_slice(bytes.get(old_names..).context("an import without a type")?);
            } else {
                imports.extend_from_slice(bytes);
            }
        }
        return if found {
            with_imports(module, range.start..range.end, &imports).map(Some)
        } else {
            Ok(None)
        };
    }
    Ok(None)
}

/// `module` with another import section, and the type of what it now imports.
fn with_imports(module: &[u8], old: std::ops::Range<usize>, imports: &[u8]) -> anyhow::Result<Vec<u8>> {
    let start = section_start(module, old.start)?;
    let mut changed = module[..start].to_vec();
    changed.push(IMPORT_SECTION);
    push_number(&mut changed, imports.len())?;
    changed.extend_from_slice(imports);
    changed.extend_from_slice(&module[old.end..]);
    let buffer = wast::parser::ParseBuffer::new(EXIT_WORLD)?;
    let world = wast::parser::parse::<wast::Wat>(&buffer)?.encode()?;
    let DecodedWasm::Component(resolve, world) = wit_component::decode(&world)? else {
        bail!("a component is a component");
    };
    wit_component::embed_component_metadata(&mut changed, &resolve, world, StringEncoding::UTF8)?;
    Ok(changed)
}

/// Where the section begins whose contents begin at `contents`: before its id and its length.
fn section_start(module: &[u8], contents: usize) -> anyhow::Result<usize> {
    let mut at = PREAMBLE_BYTES;
    while at < contents {
        let mut reader = wasmparser::BinaryReader::new(&module[at..], at);
        let _id = reader.read_u8()?;
        let length = reader.read_var_u32()? as usize;
        if reader.original_position() == contents {
            return Ok(at);
        }
        at = reader.original_position() + length;
    }
    bail!("the import section has no beginning")
}

/// Bytes that a name takes in a binary module.
fn name_bytes(name: &str) -> anyhow::Result<usize> {
    let mut bytes = Vec::new();
    push_name(&mut bytes, name)?;
    Ok(bytes.len())
}

fn push_name(bytes: &mut Vec<u8>, name: &str) -> anyhow::Result<()> {
    push_number(bytes, name.len())?;
    bytes.extend_from_slice(name.as_bytes());
    Ok(())
}

/// LEB128.
fn push_number(bytes: &mut Vec<u8>, number: usize) -> anyhow::Result<()> {
    let mut rest = u32::try_from(number).context("a section of more than 4 GiB")?;
    while rest >= 0x80 {
        bytes.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    Ok(())
}
