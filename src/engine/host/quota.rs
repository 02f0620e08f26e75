//! How much a guest's folder holds: what is written there takes room, and what has been removed or written over gives it back when
//! there seems to be none left.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use wasmtime::StoreContextMut;
use wasmtime::component::{Access, Accessor, FutureReader, Linker, Resource, StreamReader};
use wasmtime_wasi::filesystem::WasiFilesystem;
use wasmtime_wasi::p2::{DynOutputStream, OutputStream, Pollable, StreamError, StreamResult};
use wasmtime_wasi::{p2, p3};

use super::{Guest, files};

/// Bytes in one folder: what `/tmp` has at Lambda unless told otherwise.
const BYTES_MAX: u64 = 512 << 20;

/// The room in one folder.
pub(super) struct Quota {
    folder: PathBuf,
    bytes_max: u64,
    /// At most what is free; less when files have gone since it was last counted.
    left: Mutex<u64>,
}

impl Quota {
    pub fn of(folder: &Path) -> Quota {
        Quota::with(folder, BYTES_MAX)
    }

    fn with(folder: &Path, bytes_max: u64) -> Quota {
        Quota {
            folder: folder.to_owned(),
            bytes_max,
            left: Mutex::new(bytes_max),
        }
    }

    /// False: there is no room for so much.
    fn take(&self, bytes: u64) -> bool {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        if bytes > *left {
            *left = self.bytes_max.saturating_sub(held(&self.folder));
        }
        let rest = left.checked_sub(bytes);
        *left = rest.unwrap_or(*left);
        rest.is_some()
    }

    /// Before a stream whose bytes nobody counts: whether there is any room now. Counts the folder's files.
    fn has_any(&self) -> bool {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        *left = self.bytes_max.saturating_sub(held(&self.folder));
        *left > 0
    }
}

/// Bytes of all files in a folder.
fn held(folder: &Path) -> u64 {
    let mut bytes = 0u64;
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            // Of a link itself, not of what it leads to.
            match entry.metadata() {
                Ok(of) if of.is_dir() => folders.push(entry.path()),
                Ok(of) => bytes = bytes.saturating_add(of.len()),
                Err(_) => {}
            }
        }
    }
    bytes
}

/// A file's stream that takes room for what is written to it.
struct Counted {
    stream: DynOutputStream,
    quota: Arc<Quota>,
}

impl Counted {
    fn take(&self, bytes: usize) -> StreamResult<()> {
        if self.quota.take(bytes as u64) {
            return Ok(());
        }
        let full = io::Error::from_raw_os_error(NO_SPACE);
        Err(StreamError::LastOperationFailed(full.into()))
    }
}

/// The system's own number for a full disk.
#[cfg(unix)]
const NO_SPACE: i32 = rustix::io::Errno::NOSPC.raw_os_error();
#[cfg(not(unix))]
const NO_SPACE: i32 = 112;

#[wasmtime_wasi::async_trait]
impl Pollable for Counted {
    async fn ready(&mut self) {
        self.stream.ready().await;
    }
}

#[wasmtime_wasi::async_trait]
impl OutputStream for Counted {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.take(bytes.len())?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.stream.flush()
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.stream.check_write()
    }

    async fn blocking_write_and_flush(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.take(bytes.len())?;
        self.stream.blocking_write_and_flush(bytes).await
    }

    async fn cancel(&mut self) {
        self.stream.cancel().await;
    }
}

type Store<'a> = StoreContextMut<'a, Guest>;

impl Guest {
    /// True without a folder, which is then refused elsewhere.
    fn has_room(&mut self, bytes: u64) -> bool {
        self.quota().is_none_or(|quota| quota.take(bytes))
    }

    /// The same of any room at all.
    fn has_any_room(&mut self) -> bool {
        self.quota().is_none_or(|quota| quota.has_any())
    }
}

/// In place of what wasmtime offers, which the linker must allow.
pub(super) fn add_to_linker(l: &mut Linker<Guest>) -> wasmtime::Result<()> {
    second::add(l)?;
    third::add(l)
}

/// WASI 0.2.
mod second {
    use p2::FsError;
    use p2::bindings::filesystem::types::{Descriptor, ErrorCode, HostDescriptor as _};

    use super::*;

    type Answer<T> = wasmtime::Result<(Result<T, ErrorCode>,)>;

    /// A stream of a file with the folder's quota before it.
    fn counted(
        guest: &mut Guest,
        opened: Result<Resource<DynOutputStream>, FsError>,
    ) -> Answer<Resource<DynOutputStream>> {
        let counted = match (opened, guest.quota()) {
            (Ok(stream), Some(quota)) => {
                let stream = guest.table.delete(stream)?;
                Ok(guest
                    .table
                    .push(Box::new(Counted { stream, quota }) as DynOutputStream)?)
            }
            (opened, _) => opened,
        };
        Ok((guest.answered(counted)?,))
    }

    async fn resize(guest: &mut Guest, fd: Resource<Descriptor>, size: u64) -> Result<(), FsError> {
        let stat = guest.filesystem().stat(Resource::new_borrow(fd.rep())).await?;
        if !guest.has_room(size.saturating_sub(stat.size)) {
            return Err(ErrorCode::InsufficientSpace.into());
        }
        guest.filesystem().set_size(fd, size).await
    }

    async fn write(guest: &mut Guest, fd: Resource<Descriptor>, bytes: Vec<u8>, at: u64) -> Result<u64, FsError> {
        if !guest.has_room(bytes.len() as u64) {
            return Err(ErrorCode::InsufficientSpace.into());
        }
        guest.filesystem().write(fd, bytes, at).await
    }

    pub fn add(l: &mut Linker<Guest>) -> wasmtime::Result<()> {
        let mut types = l.instance("wasi:filesystem/types@0.2.12")?;
        types.func_wrap(
            "[method]descriptor.write-via-stream",
            |mut store: Store<'_>, (fd, offset): (Resource<Descriptor>, u64)| {
                let guest = store.data_mut();
                let opened = guest.filesystem().write_via_stream(fd, offset);
                counted(guest, opened)
            },
        )?;
        types.func_wrap(
            "[method]descriptor.append-via-stream",
            |mut store: Store<'_>, (fd,): (Resource<Descriptor>,)| {
                let guest = store.data_mut();
                let opened = guest.filesystem().append_via_stream(fd);
                counted(guest, opened)
            },
        )?;
        types.func_wrap_async(
            "[method]descriptor.write",
            |mut store: Store<'_>, (fd, bytes, at): (Resource<Descriptor>, Vec<u8>, u64)| {
                Box::new(async move {
                    let guest = store.data_mut();
                    let written = write(guest, fd, bytes, at).await;
                    Ok((guest.answered(written)?,))
                })
            },
        )?;
        types.func_wrap_async(
            "[method]descriptor.set-size",
            |mut store: Store<'_>, (fd, size): (Resource<Descriptor>, u64)| {
                Box::new(async move {
                    let guest = store.data_mut();
                    let resized = resize(guest, fd, size).await;
                    Ok((guest.answered(resized)?,))
                })
            },
        )
    }
}

/// WASI 0.3: a stream is held up at its beginning, not within.
mod third {
    use p3::bindings::filesystem::types::{Descriptor, ErrorCode, HostDescriptorWithStore};
    use p3::filesystem::FilesystemError;

    use super::*;

    type Written = FutureReader<Result<(), ErrorCode>>;

    fn full(mut store: Store<'_>, mut data: StreamReader<u8>) -> wasmtime::Result<(Written,)> {
        data.close(&mut store)?;
        let full = async { Ok::<_, wasmtime::Error>(Err(ErrorCode::InsufficientSpace)) };
        Ok((FutureReader::new(&mut store, full)?,))
    }

    async fn resize(store: &Accessor<Guest>, fd: Resource<Descriptor>, size: u64) -> Result<(), FilesystemError> {
        let files: Accessor<Guest, WasiFilesystem> = store.with_getter::<WasiFilesystem>(Guest::filesystem);
        let stat = WasiFilesystem::stat(&files, Resource::new_borrow(fd.rep())).await?;
        let grown = size.saturating_sub(stat.size);
        if !store.with(|mut access| access.get().has_room(grown)) {
            return Err(ErrorCode::InsufficientSpace.into());
        }
        WasiFilesystem::set_size(&files, fd, size).await
    }

    pub fn add(l: &mut Linker<Guest>) -> wasmtime::Result<()> {
        let mut types = l.instance("wasi:filesystem/types@0.3.0")?;
        types.func_wrap(
            "[method]descriptor.write-via-stream",
            |mut store: Store<'_>, (fd, data, offset): (Resource<Descriptor>, StreamReader<u8>, u64)| {
                if !store.data_mut().has_any_room() {
                    return full(store, data);
                }
                let files = Access::<Guest, WasiFilesystem>::new(store, Guest::filesystem);
                Ok((WasiFilesystem::write_via_stream(files, fd, data, offset)?,))
            },
        )?;
        types.func_wrap(
            "[method]descriptor.append-via-stream",
            |mut store: Store<'_>, (fd, data): (Resource<Descriptor>, StreamReader<u8>)| {
                if !store.data_mut().has_any_room() {
                    return full(store, data);
                }
                let files = Access::<Guest, WasiFilesystem>::new(store, Guest::filesystem);
                Ok((WasiFilesystem::append_via_stream(files, fd, data)?,))
            },
        )?;
        types.func_wrap_concurrent(
            "[method]descriptor.set-size",
            |store: &Accessor<Guest>, (fd, size): (Resource<Descriptor>, u64)| {
                Box::pin(async move { Ok((files::answered(resize(store, fd, size).await)?,)) })
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_comes_back_when_files_go() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("sub")).expect("a folder");
        let quota = Quota::with(folder.path(), 100);
        let file = folder.path().join("sub/file");
        std::fs::write(&file, [0; 60]).expect("a file");
        assert!(quota.take(60));
        assert!(!quota.take(50));
        assert!(quota.take(40), "what is refused takes nothing");
        // Nothing of the last has been written: there is room again.
        assert!(quota.take(40));
        std::fs::remove_file(file).expect("it is there");
        assert!(quota.take(100));
        assert!(!quota.take(101));
    }

    #[test]
    fn what_was_written_uncounted_takes_room_too() {
        let folder = tempfile::tempdir().expect("a folder");
        let quota = Quota::with(folder.path(), 100);
        assert!(quota.has_any());
        let file = folder.path().join("file");
        std::fs::write(&file, [0; 100]).expect("a file");
        assert!(!quota.has_any());
        std::fs::remove_file(file).expect("it is there");
        assert!(quota.has_any());
    }
}
