//! A component as an artefact of OCI, in the form that the runtimes of WebAssembly have agreed on: its own kind of configuration, one layer.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use wasmparser::{Parser, Payload};

use super::PackError;
use super::layout::{Layout, MANIFEST};

const CONFIG: &str = "application/vnd.wasm.config.v0+json";
const LAYER: &str = "application/wasm";

/// What was written of a component.
#[derive(Clone, Debug)]
pub struct Written {
    pub digest: String,
    pub bytes: u64,
}

/// Writes a component, its configuration and its manifest; the descriptor for the index as well.
///
/// # Errors
/// When it is no component, or cannot be written.
pub fn write(
    layout: &Layout,
    component: &[u8],
    labels: &BTreeMap<String, String>,
    created: &str,
    reference: &str,
) -> Result<(Written, Value), PackError> {
    let (imports, exports) =
        world(component).map_err(|error| PackError::new(format!("the component cannot be read: {error}")))?;
    let layer = layout.blob(component)?;
    let config = layout.json(&json!({
        "created": created,
        "architecture": "wasm",
        "os": "wasip2",
        "layerDigests": [layer.digest],
        "component": { "exports": exports, "imports": imports, "target": null },
    }))?;
    let manifest = layout.json(&json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": { "mediaType": CONFIG, "digest": config.digest, "size": config.bytes },
        "layers": [{ "mediaType": LAYER, "digest": layer.digest, "size": layer.bytes }],
        "annotations": labels,
    }))?;
    let descriptor = json!({
        "mediaType": MANIFEST,
        "digest": manifest.digest,
        "size": manifest.bytes,
        "platform": { "architecture": "wasm", "os": "wasip2" },
        "annotations": { "org.opencontainers.image.ref.name": reference },
    });
    let written = Written {
        digest: manifest.digest,
        bytes: layer.bytes,
    };
    Ok((written, descriptor))
}

/// Names of what the outermost component imports and exports.
fn world(component: &[u8]) -> wasmparser::Result<(Vec<String>, Vec<String>)> {
    let (mut imports, mut exports) = (Vec::new(), Vec::new());
    let mut depth = 0usize;
    for payload in Parser::new(0).parse_all(component) {
        match payload? {
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 1 => {
                for import in section {
                    imports.push(import?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 1 => {
                for export in section {
                    exports.push(export?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok((imports, exports))
}
