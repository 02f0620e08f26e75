//! Fingerprints of files: what is remembered of a path, to tell a change from a touch.

use std::fs::{self, Metadata};
use std::io::{self, Read};
use std::path::Path;
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};

/// Contents above this size are compared by size and modification time alone.
const HASHED_BYTES_MAX: u64 = 64 << 20;

pub type Hash = [u8; 32];

/// A path's state when it was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Print {
    Missing,
    Folder,
    File {
        stamp: Stamp,
        /// `None`: not read yet, or too big.
        hash: Option<Hash>,
    },
    /// There, but not to be read.
    Unreadable(io::ErrorKind),
}

/// What can be had without reading a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    pub bytes: u64,
    pub modified: Option<SystemTime>,
    /// The inode, where there are such.
    pub identity: u64,
}

/// How closely to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    Stamp,
    /// Contents of files that changed a moment ago, whose next change may leave the stamp as it is; stamps of others.
    Recent,
    Content,
}

/// Coarser than the clocks that file systems stamp with.
const RECENT: Duration = Duration::from_secs(2);

impl Print {
    /// Looks at a path, following links.
    pub fn take(path: &Path, depth: Depth) -> Print {
        match Print::try_take(path, depth) {
            Ok(print) => print,
            // `NotADirectory`: a file took the place of a folder above.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Print::Missing
            }
            Err(error) => Print::Unreadable(error.kind()),
        }
    }

    fn try_take(path: &Path, depth: Depth) -> io::Result<Print> {
        let metadata = fs::metadata(path)?;
        if metadata.is_dir() {
            return Ok(Print::Folder);
        }
        // Not a pipe or a device, which could block or never end.
        let read = match depth {
            Depth::Stamp => false,
            Depth::Recent => metadata
                .modified()
                .is_ok_and(|at| at.elapsed().unwrap_or_default() < RECENT),
            Depth::Content => true,
        };
        if !read || !metadata.is_file() || metadata.len() > HASHED_BYTES_MAX {
            return Ok(Print::File {
                stamp: Stamp::of(&metadata),
                hash: None,
            });
        }
        let mut file = fs::File::open(path)?;
        let mut hasher = Sha256::new();
        let mut buffer = [0; 16 << 10];
        let mut left = HASHED_BYTES_MAX;
        loop {
            let read = file.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            hasher.update(&buffer[..read]);
            left = left.saturating_sub(read as u64);
            if left == 0 {
                break;
            }
        }
        // After the reading, so that the stamp is never older than the content.
        let stamp = Stamp::of(&file.metadata()?);
        Ok(Print::File {
            stamp,
            hash: Some(hasher.finalize().into()),
        })
    }

    /// By content where both were read, else by stamp.
    pub fn same(&self, other: &Print) -> bool {
        match (self, other) {
            (Print::File { hash: Some(one), .. }, Print::File { hash: Some(two), .. }) => one == two,
            (Print::File { stamp: one, .. }, Print::File { stamp: two, .. }) => one == two,
            _ => self == other,
        }
    }

    pub fn hash(&self) -> Option<Hash> {
        match self {
            Print::File { hash, .. } => *hash,
            Print::Missing | Print::Folder | Print::Unreadable(_) => None,
        }
    }

    pub fn stamp(&self) -> Option<Stamp> {
        match self {
            Print::File { stamp, .. } => Some(*stamp),
            Print::Missing | Print::Folder | Print::Unreadable(_) => None,
        }
    }

    pub fn is_there(&self) -> bool {
        !matches!(self, Print::Missing)
    }
}

impl Stamp {
    fn of(metadata: &Metadata) -> Stamp {
        Stamp {
            bytes: metadata.len(),
            modified: metadata.modified().ok(),
            identity: identity(metadata),
        }
    }
}

/// Tells a folder or file from another one that took its place.
#[cfg(unix)]
pub fn identity(metadata: &Metadata) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    metadata.ino() ^ metadata.dev().rotate_left(32)
}

/// Tells a folder or file from another one that took its place.
#[cfg(not(unix))]
pub fn identity(metadata: &Metadata) -> u64 {
    let made = metadata
        .created()
        .ok()
        .and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
    made.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}
