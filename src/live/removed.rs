//! Files that are removed while they are open: `git clean -fdx` or `rm -rf .emu` takes the databases of a running emulator away, and it
//! would go on writing into files that end with it. Whoever has one open looks here whether it still stands, and puts it
//! back from what the open connection sees.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rusqlite::Connection;

use super::watch::print::identity;

/// A file as it was when it was opened. It is never opened for this: closing it again would drop SQLite's locks.
#[derive(Clone, Debug)]
pub struct Standing {
    pub path: PathBuf,
    /// An open file keeps it, so that no other one can have it.
    identity: Option<u64>,
}

impl Standing {
    pub fn of(path: PathBuf) -> Standing {
        let identity = std::fs::metadata(&path).ok().map(|metadata| identity(&metadata));
        Standing { path, identity }
    }

    /// Whether the name still means this file. What cannot be looked at is taken to be there.
    pub fn stands(&self) -> bool {
        match std::fs::metadata(&self.path) {
            Ok(metadata) => self.identity.is_none_or(|was| was == identity(&metadata)),
            Err(error) => {
                self.identity.is_none() || !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
            }
        }
    }
}

/// A file beside the database, by SQLite's naming: `-wal`, `-shm`.
pub fn beside(database: &Path, end: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

/// Writes all that `connection` sees, which is in no transaction, into a database at `path`, at once or not at all. What has
/// that name is kept under another one if it is not `was`, and its new name is returned.
///
/// # Errors
/// When it cannot be written: nothing has changed then.
pub fn put_back(connection: &Connection, was: &Standing) -> anyhow::Result<Option<PathBuf>> {
    let path = &was.path;
    let new = beside(path, "-new");
    remove(&new)?;
    let name = new.to_str().context("its name is no UTF-8")?;
    connection
        .execute("VACUUM INTO ?1", [name])
        .with_context(|| format!("cannot write {}", new.display()))?;
    // SQLite need not have done so.
    File::open(&new)
        .and_then(|file| file.sync_all())
        .with_context(|| format!("cannot write {}", new.display()))?;
    let found = match path.exists() && !was.stands() {
        true => Some(put_aside(path)?),
        false => None,
    };
    // A log that is not of this file would be taken for its own.
    for end in ["-wal", "-shm"] {
        remove(&beside(path, end))?;
    }
    std::fs::rename(&new, path).with_context(|| format!("cannot rename {}", new.display()))?;
    Ok(found)
}

/// Removes a file, if it is there.
///
/// # Errors
/// When it cannot be removed.
pub fn remove(path: &Path) -> anyhow::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Somebody's database, with its log, under the first name that is free: `state.db.found-1`.
fn put_aside(path: &Path) -> anyhow::Result<PathBuf> {
    let free = |number: &u32| !beside(path, &format!(".found-{number}")).exists();
    let number = (1..1_000).find(free).context("there are too many .found files")?;
    let aside = beside(path, &format!(".found-{number}"));
    let log = beside(path, "-wal");
    if log.exists() {
        std::fs::rename(&log, beside(&aside, "-wal")).with_context(|| format!("cannot rename {}", log.display()))?;
    }
    std::fs::rename(path, &aside).with_context(|| format!("cannot rename {}", path.display()))?;
    Ok(aside)
}
