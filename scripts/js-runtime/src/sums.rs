//! The list of SHA-256 sums by which emu's tests notice a forgotten rebuild.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// One line for each input and for the artefact: the sum, two spaces, the path below `dir`; in the order of the paths.
pub fn list(dir: &Path) -> Result<String> {
    let mut names = vec!["runtime/emu-js.wasm.zst".to_owned()];
    for folder in ["prelude", "wit"] {
        for entry in std::fs::read_dir(dir.join(folder))? {
            let name = entry?.file_name().into_string().ok().context("a file name is not UTF-8")?;
            names.push(format!("{folder}/{name}"));
        }
    }
    names.sort();

    let mut lines = String::new();
    for name in names {
        let bytes = std::fs::read(dir.join(&name)).with_context(|| format!("failed to read {name}"))?;
        for byte in Sha256::digest(&bytes) {
            write!(lines, "{byte:02x}")?;
        }
        writeln!(lines, "  {name}")?;
    }
    Ok(lines)
}
