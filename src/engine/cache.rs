//! Compiled code on disk, in a folder of the user's own: keyed by content and configuration, checked by hash before use.
//!
//! Loading compiled code is running it, so a folder that somebody else may write is not used at all.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};

/// Of an entry's first bytes; a new layout takes a new one.
const MAGIC: &[u8; 8] = b"emucode1";
const HEADER_BYTES: usize = MAGIC.len() + 32;
/// What stays on disk; the least recently used go first.
const CACHE_BYTES_MAX: u64 = 1 << 30;
const SCRATCH_PREFIX: &str = "scratch.";
/// A scratch folder as old as this was left by an emu that was killed: a compilation takes minutes at most.
const SCRATCH_AGE_MAX: Duration = Duration::from_secs(3_600);
/// A used entry's time is refreshed at most this often.
const TOUCH_AFTER: Duration = Duration::from_secs(3_600);

/// Where compiled code goes: `EMU_CACHE_DIR`, else `emu` in the user's cache folder. `None` when there is no home.
pub fn dir() -> Option<PathBuf> {
    if let Some(dir) = std::env::var_os("EMU_CACHE_DIR").filter(|dir| !dir.is_empty()) {
        return Some(PathBuf::from(dir));
    }
    let strategy = etcetera::choose_base_strategy().ok()?;
    Some(etcetera::BaseStrategy::cache_dir(&strategy).join("emu"))
}

/// What [`clear`] took away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cleared {
    pub files: u64,
    pub bytes: u64,
}

/// Removes all compiled code in `dir`; other files there stay.
///
/// # Errors
/// When a file cannot be removed. A folder that is not there is empty.
pub fn clear(dir: &Path) -> io::Result<Cleared> {
    let mut cleared = Cleared::default();
    for entry in entries(&code_dir(dir))? {
        fs::remove_file(&entry.path)?;
        cleared.files += 1;
        cleared.bytes += entry.bytes;
    }
    Ok(cleared)
}

fn code_dir(dir: &Path) -> PathBuf {
    dir.join("code")
}

/// Names one piece of compiled code: the hash of what went in and of how it was compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key(String);

impl Key {
    pub(super) fn new(wasm: &[u8], engine: &wasmtime::Engine) -> Self {
        let mut hasher = CompatibilityHasher(Sha256::new());
        std::hash::Hash::hash(&engine.precompile_compatibility_hash(), &mut hasher);
        let mut sha = hasher.0;
        sha.update(env!("CARGO_PKG_VERSION"));
        sha.update(wasm);
        Self(hex(&sha.finalize()))
    }
}

/// Feeds what wasmtime hashes of its configuration to SHA-256: stable from run to run, unlike the standard hasher.
struct CompatibilityHasher(Sha256);

impl std::hash::Hasher for CompatibilityHasher {
    fn finish(&self) -> u64 {
        0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The folder, opened once.
#[derive(Clone, Debug)]
pub(super) struct Cache {
    code: PathBuf,
}

impl Cache {
    /// Opens or creates the folder, readable and writable by its owner only.
    ///
    /// # Errors
    /// When it cannot be created, or when somebody else owns it or may write there.
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        let code = code_dir(dir);
        create_private(&code)?;
        check_private(&code)?;
        sweep(&code);
        Ok(Self { code })
    }

    /// Verified code, ready for wasmtime; `None` when there is none or it is damaged (then it is removed).
    pub(super) fn load(&self, key: &Key) -> Option<Vec<u8>> {
        let path = self.path(key);
        let bytes = fs::read(&path).ok()?;
        if let Some(code) = verified(bytes) {
            touch(&path);
            return Some(code);
        }
        tracing::warn!(path = %path.display(), "damaged compiled code removed");
        let _ = fs::remove_file(&path);
        None
    }

    /// A name for a file to be written and then [`Self::adopt`]ed.
    pub(super) fn scratch(&self, key: &Key) -> PathBuf {
        #[expect(clippy::disallowed_methods, reason = "a name for a file, which nothing waits for")]
        let unique = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| since.as_nanos());
        self.code.join(format!("{}.{}.{unique}.tmp", key.0, std::process::id()))
    }

    /// A folder for files that are not kept; it goes when it is dropped.
    pub(super) fn scratch_folder(&self) -> io::Result<tempfile::TempDir> {
        tempfile::Builder::new().prefix(SCRATCH_PREFIX).tempdir_in(&self.code)
    }

    /// Puts a finished file in its place, whole or not at all, and keeps the folder within its bound.
    pub(super) fn adopt(&self, scratch: &Path, key: &Key) -> io::Result<()> {
        fs::rename(scratch, self.path(key))?;
        self.prune();
        Ok(())
    }

    /// Where the code of this key is, once it is there.
    pub(super) fn path(&self, key: &Key) -> PathBuf {
        self.code.join(&key.0)
    }

    fn prune(&self) {
        let Ok(mut entries) = entries(&self.code) else { return };
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.used));
        let mut total = 0;
        for entry in entries {
            total += entry.bytes;
            if total > CACHE_BYTES_MAX {
                let _ = fs::remove_file(&entry.path);
            }
        }
    }
}

/// Removes scratch folders that nobody will come back to.
fn sweep(code: &Path) {
    for entry in fs::read_dir(code).into_iter().flatten().flatten() {
        let is_scratch = entry.file_name().to_string_lossy().starts_with(SCRATCH_PREFIX);
        let modified = entry.metadata().and_then(|metadata| metadata.modified());
        let age = modified.ok().and_then(|modified| modified.elapsed().ok());
        if is_scratch && age.is_some_and(|age| age > SCRATCH_AGE_MAX) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

struct Entry {
    path: PathBuf,
    bytes: u64,
    used: SystemTime,
}

fn entries(code: &Path) -> io::Result<Vec<Entry>> {
    let listing = match fs::read_dir(code) {
        Ok(listing) => listing,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut entries = Vec::new();
    for entry in listing {
        let entry = entry?;
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_file() {
            let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            entries.push(Entry {
                path: entry.path(),
                bytes: metadata.len(),
                used,
            });
        }
    }
    Ok(entries)
}

/// Writes `code` with the header that [`verified`] checks.
pub(super) fn write_entry(path: &Path, code: &[u8]) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(MAGIC)?;
    file.write_all(&Sha256::digest(code))?;
    file.write_all(code)
}

/// The code of an entry, if it is what was written.
pub(super) fn verified(mut entry: Vec<u8>) -> Option<Vec<u8>> {
    let header = entry.get(..HEADER_BYTES)?;
    let (magic, sum) = header.split_at(MAGIC.len());
    if magic != MAGIC || sum != Sha256::digest(entry.get(HEADER_BYTES..)?).as_slice() {
        return None;
    }
    entry.drain(..HEADER_BYTES);
    Some(entry)
}

fn touch(path: &Path) {
    #[expect(
        clippy::disallowed_methods,
        reason = "compared with times of files, which are the machine's"
    )]
    let now = SystemTime::now();
    let used = fs::metadata(path).and_then(|metadata| metadata.modified());
    let stale = used.is_ok_and(|used| now.duration_since(used).is_ok_and(|age| age > TOUCH_AFTER));
    if stale && let Ok(file) = fs::File::options().write(true).open(path) {
        let _ = file.set_modified(now);
    }
}

fn create_private(code: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(code)
}

#[cfg(unix)]
fn check_private(code: &Path) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let metadata = fs::metadata(code)?;
    let ours = metadata.uid() == rustix::process::geteuid().as_raw();
    if !ours || metadata.mode() & 0o022 != 0 {
        let who = if ours {
            "others may write there"
        } else {
            "it belongs to another user"
        };
        return Err(io::Error::other(format!(
            "compiled code is not kept in {}: {who}; set EMU_CACHE_DIR to a folder of your own",
            code.display()
        )));
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_private(_code: &Path) -> io::Result<()> {
    // The user's local application data is private by its access control list.
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache() -> (tempfile::TempDir, Cache) {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path()).unwrap();
        (dir, cache)
    }

    #[test]
    fn code_comes_back_as_it_was_stored() {
        let (dir, cache) = cache();
        let key = Key("k".into());
        let scratch = cache.scratch(&key);
        write_entry(&scratch, b"machine code").unwrap();
        cache.adopt(&scratch, &key).unwrap();
        assert_eq!(cache.load(&key).as_deref(), Some(&b"machine code"[..]));
        assert_eq!(clear(dir.path()).unwrap().files, 1);
        assert_eq!(cache.load(&key), None);
    }

    #[test]
    fn damaged_code_is_never_returned_and_goes_away() {
        let (_dir, cache) = cache();
        let key = Key("k".into());
        let path = cache.path(&key);
        write_entry(&path, b"machine code").unwrap();
        let mut bytes = fs::read(&path).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        fs::write(&path, &bytes).unwrap();
        assert_eq!(cache.load(&key), None);
        assert!(!path.exists());
        for length in 0..bytes.len() {
            assert_eq!(verified(bytes[..length].to_vec()), None);
        }
    }

    #[test]
    fn scratch_folders_of_the_dead_are_swept_and_those_of_the_living_stay() {
        let (dir, cache) = cache();
        let living = cache.scratch_folder().unwrap();
        let dead = cache.scratch_folder().unwrap().keep();
        let long_ago = fs::File::open(&dead).unwrap().metadata().unwrap().modified().unwrap() - 2 * SCRATCH_AGE_MAX;
        fs::File::open(&dead).unwrap().set_modified(long_ago).unwrap();
        Cache::open(dir.path()).unwrap();
        assert!(!dead.exists());
        assert!(living.path().exists());
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_others_may_write_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let (dir, cache) = cache();
        fs::set_permissions(&cache.code, fs::Permissions::from_mode(0o777)).unwrap();
        let error = Cache::open(dir.path()).unwrap_err().to_string();
        assert!(error.contains("EMU_CACHE_DIR"), "{error}");
    }
}
