//! What of a bundle is always the same: built from `scripts/bundle-shell`, packed, inside the binary.

use std::io;

const FRONT: &[u8] = include_bytes!("shell/front.wasm.zst");
const HOST: &[u8] = include_bytes!("shell/host.wasm.zst");
/// With the data of `Intl`, which is most of it.
const HOST_WITH_INTL: &[u8] = include_bytes!("shell/host-intl.wasm.zst");

/// Unpacked they stay below this.
const UNPACKED_BYTES_MAX: usize = 32 << 20;

/// # Errors
/// When the artefact is damaged, which a test rules out.
pub fn front() -> io::Result<Vec<u8>> {
    zstd::bulk::decompress(FRONT, UNPACKED_BYTES_MAX)
}

/// # Errors
/// When the artefact is damaged, which a test rules out.
pub fn host(with_intl: bool) -> io::Result<Vec<u8>> {
    let packed = if with_intl { HOST_WITH_INTL } else { HOST };
    zstd::bulk::decompress(packed, UNPACKED_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use sha2::{Digest, Sha256};

    use super::*;

    /// The files of the engine that the host of a bundle is built from as well, as it names them: all of a folder's.
    fn shared(root: &Path) -> Vec<String> {
        let host = include_str!("../../../../scripts/bundle-shell/host/src/lib.rs");
        let mut files = vec!["src/engine/js/wit/world.wit".to_owned()];
        for line in host.lines() {
            let named = line.strip_prefix("#[path = \"../../../../");
            let Some(path) = named.and_then(|rest| rest.strip_suffix("\"]")) else {
                continue;
            };
            let Some(folder) = path.strip_suffix("/mod.rs") else {
                files.push(path.to_owned());
                continue;
            };
            for entry in std::fs::read_dir(root.join(folder)).expect("a folder of the engine") {
                let name = entry.expect("an entry").file_name();
                files.push(format!("{folder}/{}", name.to_string_lossy()));
            }
        }
        files
    }

    /// A change of the shell's files, or of those that it shares with the engine, that was not followed by
    /// `scripts/build-bundle-shell` fails here: bundles would go on with what was.
    #[test]
    fn artefacts_were_made_from_these_sources() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let sums = include_str!("shell/sums");
        for line in sums.lines() {
            let (sum, name) = line.split_once("  ").expect("a line of sums");
            let bytes = std::fs::read(root.join(name)).expect("a listed file is there");
            let now: String = Sha256::digest(&bytes)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            assert_eq!(now, sum, "{name} has changed: run scripts/build-bundle-shell");
        }
        let own = ["front/src/lib.rs", "host/src/lib.rs", "wit/shell.wit"];
        let own = own.map(|name| format!("scripts/bundle-shell/{name}"));
        let shared = shared(root);
        assert!(shared.len() > 25, "{shared:?}");
        for name in own.iter().chain(&shared) {
            assert!(
                sums.lines().any(|line| line.ends_with(&format!("  {name}"))),
                "{name} is not listed: run scripts/build-bundle-shell"
            );
        }
    }

    #[test]
    fn artefacts_unpack_to_components() {
        for bytes in [front(), host(false), host(true)] {
            assert_eq!(&bytes.expect("it unpacks")[..8], b"\0asm\x0d\0\x01\0");
        }
    }
}
