//! The runtime that ships inside the binary.

use std::io;

/// `runtime/emu-js.wasm.zst`: a component, packed.
const PACKED: &[u8] = include_bytes!("runtime/emu-js.wasm.zst");

/// Its unpacked size stays below this; the snapshot holds the prelude's memory.
const UNPACKED_BYTES_MAX: usize = 16 << 20;

/// The component's bytes. Needed only when no compiled form of it is cached.
///
/// # Errors
/// When the artefact is damaged, which a test rules out.
pub fn unpack() -> io::Result<Vec<u8>> {
    zstd::bulk::decompress(PACKED, UNPACKED_BYTES_MAX)
}

/// SHA-256 of the packed artefact in hexadecimal, for the names of caches.
#[must_use]
pub fn sum() -> &'static str {
    let line = SUMS.lines().find(|line| line.ends_with("runtime/emu-js.wasm.zst"));
    line.and_then(|line| line.split(' ').next()).unwrap_or_default()
}

/// SHA-256 of the artefact and of all it was made from, as `sha256sum` prints it.
const SUMS: &str = include_str!("runtime/sums");

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use sha2::{Digest, Sha256};

    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// A change of the prelude or the WIT that was not followed by `scripts/build-js-runtime` fails here.
    #[test]
    fn artefact_was_made_from_these_sources() {
        let room = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/engine/js");
        let mut listed = BTreeSet::new();
        for line in SUMS.lines() {
            let (sum, name) = line.split_once("  ").expect("a line of sums");
            let bytes = std::fs::read(room.join(name)).expect("a listed file is there");
            assert_eq!(
                hex(&Sha256::digest(&bytes)),
                sum,
                "{name} has changed: run scripts/build-js-runtime"
            );
            listed.insert(name.to_owned());
        }
        for folder in ["prelude", "wit"] {
            for entry in std::fs::read_dir(room.join(folder)).expect("the folder is there") {
                let name = format!("{folder}/{}", entry.expect("an entry").file_name().to_string_lossy());
                assert!(listed.contains(&name), "{name} is new: run scripts/build-js-runtime");
            }
        }
    }

    #[test]
    fn artefact_unpacks_to_a_component() {
        let bytes = unpack().expect("it unpacks");
        assert_eq!(&bytes[..8], b"\0asm\x0d\0\x01\0");
        assert_eq!(sum(), hex(&Sha256::digest(PACKED)));
    }
}
