//! A guest's own folder, `/tmp` and nothing else: made when the guest first asks for its file system, gone with it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use tempfile::TempDir;
use wasmtime_wasi::{FsPerms, WasiCtx};

use super::files::Times;
use super::quota::Quota;
use crate::engine::Stream;
use crate::engine::output::Log;

/// Where the guest sees its folder.
const GUEST_PATH: &str = "/tmp";

/// A folder that goes when this does.
pub(super) struct Scratch(Option<TempDir>, Times, Arc<Quota>);

impl Scratch {
    fn new(dir: TempDir) -> Scratch {
        // By the file system's own clock, which may tick in larger steps than others.
        let made = std::fs::metadata(dir.path()).and_then(|of| of.modified()).ok();
        let since = made.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        let ns = since.and_then(|since| u64::try_from(since.as_nanos()).ok());
        let quota = Arc::new(Quota::of(dir.path()));
        Scratch(Some(dir), Times::new(ns.unwrap_or(0)), quota)
    }

    pub fn quota(&self) -> Arc<Quota> {
        self.2.clone()
    }

    pub fn times(&mut self) -> &mut Times {
        &mut self.1
    }

    fn path(&self) -> &Path {
        self.0.as_ref().map_or(Path::new(""), TempDir::path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let Some(dir) = self.0.take() else { return };
        // Most guests leave it empty; a full one is not worth a worker's time.
        if std::fs::remove_dir(dir.path()).is_ok() {
            let _: PathBuf = dir.keep();
        } else if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn_blocking(move || drop(dir));
        }
    }
}

/// A context with the scratch folder opened, everything else denied. Without a folder the guest has no files at all.
pub(super) fn file_system(log: &Log) -> (WasiCtx, Option<Scratch>) {
    let mut builder = WasiCtx::builder();
    builder.allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false);
    let made = tempfile::Builder::new()
        .prefix("emu-scratch-")
        .tempdir()
        .map(Scratch::new);
    let scratch = made.map_err(wasmtime::Error::from).and_then(|scratch| {
        builder.preopened_dir(scratch.path(), GUEST_PATH, FsPerms::ReadWrite)?;
        Ok(scratch)
    });
    let scratch = match scratch {
        Ok(scratch) => Some(scratch),
        Err(error) => {
            log.line(Stream::Warn, &format!("no scratch folder: {error:#}"));
            None
        }
    };
    (builder.build(), scratch)
}
