//! What leaves the laptop: container images, artefacts of components, archives for providers.
//!
//! Everything written here is reproducible: entries are sorted, times and owners fixed, so that the same input has the same
//! digest on every machine. Reading order: `files` (what of a project goes in), `cut` (what some
//! of its functions need of it), `layer` (a tree of files as a blob), `image` (layers
//! and configuration), `layout` (blobs as a folder or a tar file).

pub mod archive;
pub mod cut;
pub mod elf;
pub mod export;
pub mod files;
pub mod ignore;
pub mod image;
pub mod layer;
pub mod layout;
pub mod push;
pub mod system;
pub mod wasm;

use std::path::PathBuf;

/// Why nothing was written: a lowercase fragment, and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct PackError {
    pub message: String,
    pub remedy: Option<String>,
}

impl PackError {
    pub fn new(message: impl Into<String>) -> PackError {
        PackError {
            message: message.into(),
            remedy: None,
        }
    }

    pub fn remedy(mut self, remedy: impl Into<String>) -> PackError {
        self.remedy = Some(remedy.into());
        self
    }

    fn at(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> PackError {
        let path = path.into();
        move |error| {
            let failed = PackError::new(format!("{}: {error}", path.display()));
            match error.kind() {
                std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                    failed.remedy("make room, or write to another place: --output, or TMPDIR for --push alone")
                }
                _ => failed,
            }
        }
    }
}
