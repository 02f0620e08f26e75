//! `componentize MODULE COMPONENT`: wraps a core module that carries its world (as `wit-bindgen` leaves it) into a
//! component. For toolchains without a `wasm32-wasip2` target, whose linker would do it. A COMPONENT that ends with `.zst` is
//! packed.

use anyhow::{Context, bail};

/// Packed once, unpacked when a function is bundled.
const ZSTD_LEVEL: i32 = 19;

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [module, component] = args.as_slice() else {
        bail!("usage: componentize MODULE COMPONENT")
    };
    let bytes = std::fs::read(module).with_context(|| format!("failed to read {module}"))?;
    let encoded = wit_component::ComponentEncoder::default()
        .module(&bytes)?
        .validate(true)
        .encode()?;
    let encoded = match component.ends_with(".zst") {
        true => zstd::bulk::compress(&encoded, ZSTD_LEVEL)?,
        false => encoded,
    };
    std::fs::write(component, encoded).with_context(|| format!("failed to write {component}"))
}
