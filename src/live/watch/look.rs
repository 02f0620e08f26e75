//! One look at the file system for the watching task: blocking, meant for a thread of its own.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::Interest;
use super::native::{Insufficient, Native};
use super::print::{Depth, Print};
use super::scan::{Walk, folders_to_watch};

/// Rounds of walking and watching until no new folder turns up.
const WATCH_ROUNDS: usize = 5;

/// A path, what it leads to if it is a link or lies beneath one, and how it was found.
pub struct Seen {
    pub path: PathBuf,
    pub real: Option<PathBuf>,
    pub print: Print,
}

impl Seen {
    pub fn take(path: PathBuf, depth: Depth) -> Seen {
        let print = Print::take(&path, depth);
        let real = path.canonicalize().ok().filter(|real| *real != path);
        Seen { path, real, print }
    }
}

/// What a look at the file system is to cover.
pub struct Look {
    pub root: PathBuf,
    pub interest: Arc<Interest>,
    pub native: Option<Arc<Mutex<Native>>>,
    /// Paths that had an event; a folder among them may no longer be the one that is watched.
    pub touched: BTreeSet<PathBuf>,
    /// Paths to look at.
    pub paths: BTreeSet<PathBuf>,
    /// Known files whose folders must be watched, with what links lead to.
    pub known: Vec<PathBuf>,
    /// Not worth a look.
    pub skip: BTreeSet<PathBuf>,
    /// Look at the watched folders as such, and at all that lies in the trees.
    pub everything: bool,
    pub depth: Depth,
}

#[derive(Default)]
pub struct Looked {
    pub root_there: bool,
    pub seen: Vec<Seen>,
    pub insufficient: Option<Insufficient>,
    pub truncated: bool,
    /// Paths in folders that were not watched until now, if at all.
    pub unwatched: BTreeSet<PathBuf>,
}

impl Look {
    /// Watches first and looks then, so that nothing falls in between.
    pub fn run(self) -> Looked {
        let mut looked = Looked {
            root_there: self.root.is_dir(),
            ..Looked::default()
        };
        if !looked.root_there {
            return looked;
        }
        let mut paths = self.paths;
        let mut native = self
            .native
            .as_ref()
            .map(|native| native.lock().unwrap_or_else(PoisonError::into_inner));
        let is_watched = |path: &Path| native.as_ref().is_some_and(|native| native.watches(path));
        let in_unwatched = |path: &&PathBuf| !path.parent().is_some_and(is_watched);
        looked.unwatched = paths.iter().filter(in_unwatched).cloned().collect();
        let mut walk = Walk::default();
        if self.everything || self.touched.iter().any(|path| is_watched(path) || path.is_dir()) {
            walk = Walk::all(&self.interest);
            if let Some(native) = &mut native {
                for path in self.touched.iter().chain(&native.replaced()) {
                    native.forget(path);
                }
                for _ in 0..WATCH_ROUNDS {
                    let wanted = folders_to_watch(&self.root, self.known.iter().map(PathBuf::as_path), &walk);
                    let added = match native.set(&self.root, &wanted) {
                        Ok(added) if added.is_empty() => break,
                        Ok(added) => added,
                        Err(insufficient) => {
                            looked.insufficient = Some(insufficient);
                            break;
                        }
                    };
                    let is_in_added =
                        |path: &Path| path.parent().is_some_and(|parent| added.iter().any(|a| a == parent));
                    paths.extend(self.known.iter().filter(|path| is_in_added(path)).cloned());
                    walk = Walk::all(&self.interest);
                }
            }
            looked.truncated = walk.truncated;
        }
        drop(native);
        paths.extend(walk.files);
        let files = paths
            .into_iter()
            .filter(|path| !walk.folders.contains(path) && !self.skip.contains(path));
        looked.seen = files.map(|path| Seen::take(path, self.depth)).collect();
        looked
    }
}
