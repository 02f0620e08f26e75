//! Builds the JavaScript runtime that ships inside emu: QuickJS linked for emu's WIT world, the prelude evaluated, its
//! memory frozen in a snapshot, so that an instance starts with everything in place.
//!
//! `js-runtime DIR` reads `DIR/wit` and `DIR/prelude` and writes `DIR/runtime/emu-js.wasm.zst` and `DIR/runtime/sums`.

mod evaluate;
mod link;
mod pages;
mod sums;
mod trim;

use std::path::PathBuf;

use anyhow::{Context, Result};

/// Small enough to hold the artefact under 600 KB; it is packed once and unpacked once on a machine.
const ZSTD_LEVEL: i32 = 19;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let dir: PathBuf = std::env::args_os().nth(1).context("usage: js-runtime DIR")?.into();
    let prelude = dir.join("prelude");
    let make = async |touched: &[u64]| -> Result<Vec<u8>> {
        evaluate::evaluate(&link::link(&dir.join("wit"), touched)?, &prelude).await
    };
    let plain = make(&[]).await?;
    let written = pages::written(&plain).await?;
    let touched = pages::bridges(&written);
    let snapshot = make(&touched).await?;
    let after = pages::written(&snapshot).await?;
    println!(
        "hello writes {} pages in {} stretches; with {} bridged {} in {}",
        written.len(),
        pages::stretches(&written),
        touched.len(),
        after.len(),
        pages::stretches(&after)
    );
    let packed = zstd::bulk::compress(&snapshot, ZSTD_LEVEL)?;

    let out = dir.join("runtime");
    std::fs::create_dir_all(&out)?;
    std::fs::write(out.join("emu-js.wasm.zst"), &packed)?;
    std::fs::write(out.join("sums"), sums::list(&dir)?)?;
    println!("{} bytes, {} packed", snapshot.len(), packed.len());
    Ok(())
}
