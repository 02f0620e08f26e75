//! The folder with the state: one emulator at a time holds it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::live::removed::Standing;

/// The database's name in the folder.
pub const DATABASE: &str = "state.db";
/// Locked while an emulator holds the folder; says which.
const LOCK: &str = "lock";

/// For a folder that cannot be written.
const WITHOUT: &str = "`emu dev --ephemeral` needs no folder";

/// The right to use a folder; given back when dropped.
pub struct Held {
    pub folder: PathBuf,
    _lock: File,
    standing: Standing,
}

impl Held {
    /// # Errors
    /// When somebody else holds it, or when it cannot be made.
    pub fn take(folder: &Path) -> anyhow::Result<Held> {
        make(folder).with_context(|| format!("cannot make the folder {} ({WITHOUT})", folder.display()))?;
        let path = folder.join(LOCK);
        let mut lock = open(&path).with_context(|| format!("cannot open {} ({WITHOUT})", path.display()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let by = read_holder(&mut lock).map_or(String::new(), |pid| format!(" (process {pid})"));
                bail!(
                    "another emulator{by} holds the state in {}: stop it, or run this one with --ephemeral",
                    folder.display()
                );
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
        }
        lock.set_len(0)
            .and_then(|()| writeln!(lock, "{}", std::process::id()))
            .or_else(|error| match error.kind() {
                // Only the message of the next one is the poorer.
                std::io::ErrorKind::StorageFull => Ok(()),
                _ => Err(error),
            })
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Held {
            folder: folder.to_owned(),
            _lock: lock,
            standing: Standing::of(path),
        })
    }

    /// Whether the lock is where others look for it.
    pub fn stands(&self) -> bool {
        self.standing.stands()
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
}

fn read_holder(lock: &mut File) -> Option<u32> {
    let mut text = String::new();
    lock.rewind().ok()?;
    lock.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// The process that holds the folder's state now; `None` when nobody does.
pub fn holder(folder: &Path) -> Option<u32> {
    let mut lock = open(&folder.join(LOCK)).ok()?;
    match lock.try_lock() {
        Err(TryLockError::WouldBlock) => Some(read_holder(&mut lock).unwrap_or(0)),
        _ => None,
    }
}

/// The folder, with a file in it that keeps it out of version control.
fn make(folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let ignore = folder.join(".gitignore");
    if !ignore.exists() {
        // A full disk is no reason not to start.
        let _ = std::fs::write(ignore, "*\n");
    }
    Ok(())
}
