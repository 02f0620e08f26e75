//! Links the QuickJS runtime and the glue for emu's WIT world into one component.

use std::path::Path;

use anyhow::{Context, Result};
use componentize_qjs::{codegen, default_runtime_wasm};
use wit_component::{Linker, StringEncoding};
use wit_parser::Resolve;

use crate::trim::trim;

/// A component without memory image, and the script that prepares QuickJS for its world.
pub struct Linked {
    pub component: Vec<u8>,
    pub shim: String,
}

/// `touched`: pages of which every invocation writes a byte, see [`crate::pages`].
pub fn link(wit: &Path, touched: &[u64]) -> Result<Linked> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(wit)?;
    let world = resolve.select_world(&[package], Some("runtime"))?;

    let (glue, metadata) = wit_dylib::create_with_metadata(&resolve, world, None);
    let shim = codegen::generate_shim(&resolve, &metadata);
    let mut glue = crate::pages::touch(&glue, touched)?.context("the glue has no entry")?;
    wit_component::embed_component_metadata(&mut glue, &resolve, world, StringEncoding::UTF8)?;

    let trimmed = trim(default_runtime_wasm()).context("failed to trim the runtime")?;
    let mut linker = Linker::default();
    linker.encoder().validate(true);
    linker.library("quickjs.wasm", &trimmed.runtime, false)?;
    linker.library("stubs.wasm", &trimmed.stubs, false)?;
    linker.library("glue.wasm", &glue, false)?;
    let component = linker.encode().context("failed to link the runtime")?;
    Ok(Linked { component, shim })
}
