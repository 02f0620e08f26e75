//! The system's notifications: which folders are watched, and what an event says of which path.
//!
//! Folders are watched, never files: a save that renames a new file into place would take a file's watch away. Where
//! the system watches one folder at a time (inotify), only folders that matter are watched, so that a project with a
//! big `node_modules` costs nothing; elsewhere the project is watched as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use notify::event::{AccessKind, AccessMode, ModifyKind, RenameMode};
use notify::{ErrorKind, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

use super::fold::Touch;
use super::print::identity;

/// The system watches whole trees by itself.
pub const RECURSIVE: bool = cfg!(any(target_os = "macos", windows));

/// The system tells when a file was closed after writing.
pub const CLOSES: bool = cfg!(any(target_os = "linux", target_os = "android"));

/// Events that wait for the watching task; beyond it everything is looked at.
const EVENTS_MAX: usize = 16_384;

/// What an event says of one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raw {
    pub at: Instant,
    pub path: PathBuf,
    pub touch: Touch,
}

/// The folders under watch.
pub struct Native {
    watcher: RecommendedWatcher,
    /// With the identity they had when the watch began.
    folders: BTreeMap<PathBuf, u64>,
}

/// Where notifications arrive.
pub struct Events {
    pub raw: mpsc::Receiver<Raw>,
    /// Some were lost.
    pub lost: Arc<AtomicBool>,
}

/// Why notifications cannot be relied on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Insufficient(pub String);

impl Native {
    /// # Errors
    /// When the system gives no (more) notification handles.
    pub fn start() -> Result<(Native, Events), Insufficient> {
        let (sender, raw) = mpsc::channel(EVENTS_MAX);
        let lost = Arc::new(AtomicBool::new(false));
        let handler_lost = lost.clone();
        let handler = move |event: notify::Result<notify::Event>| {
            let at = Instant::now();
            let complete = match event {
                Ok(event) => {
                    let touches = touches(&event);
                    !event.need_rescan()
                        && touches
                            .into_iter()
                            .all(|(path, touch)| sender.try_send(Raw { at, path, touch }).is_ok())
                }
                Err(_) => false,
            };
            if !complete {
                handler_lost.store(true, Ordering::Release);
                // Wakes the task; when even this finds no room, it is awake already.
                let _ = sender.try_send(Raw {
                    at,
                    path: PathBuf::new(),
                    touch: Touch::Meta,
                });
            }
        };
        let watcher = notify::recommended_watcher(handler).map_err(|error| insufficient(&error))?;
        Ok((
            Native {
                watcher,
                folders: BTreeMap::new(),
            },
            Events { raw, lost },
        ))
    }

    /// Whether events of what lies directly in the folder are told.
    pub fn watches(&self, folder: &Path) -> bool {
        self.folders.contains_key(folder)
            || (RECURSIVE && folder.ancestors().any(|above| self.folders.contains_key(above)))
    }

    /// Forgets the watches on `path` and beneath: it was removed, or is not the one it was.
    pub fn forget(&mut self, path: &Path) {
        let from = self.folders.range::<Path, _>((Bound::Included(path), Bound::Unbounded));
        let gone: Vec<PathBuf> = from
            .map(|(folder, _)| folder.clone())
            .take_while(|f| f.starts_with(path))
            .collect();
        for folder in gone {
            self.folders.remove(&folder);
            // The system has often dropped it already.
            let _ = self.watcher.unwatch(&folder);
        }
    }

    /// Watched folders whose place another one has taken, or none.
    pub fn replaced(&self) -> Vec<PathBuf> {
        let same = |(folder, known): (&PathBuf, &u64)| match fs::metadata(folder) {
            Ok(metadata) => metadata.is_dir() && identity(&metadata) == *known,
            Err(_) => false,
        };
        self.folders
            .iter()
            .filter(|&entry| !same(entry))
            .map(|(folder, _)| folder.clone())
            .collect()
    }

    /// Watches exactly these folders. Those that were not watched before.
    ///
    /// # Errors
    /// When watches ran out; some folders are then without.
    pub fn set(&mut self, root: &Path, wanted: &BTreeSet<PathBuf>) -> Result<Vec<PathBuf>, Insufficient> {
        let covered = |folder: &Path| RECURSIVE && folder != root && folder.starts_with(root);
        let old: Vec<PathBuf> = self
            .folders
            .keys()
            .filter(|folder| !wanted.contains(*folder))
            .cloned()
            .collect();
        for folder in old {
            self.folders.remove(&folder);
            let _ = self.watcher.unwatch(&folder);
        }
        let mut added = Vec::new();
        for folder in wanted.iter().filter(|folder| !covered(folder)) {
            if self.folders.contains_key(folder) {
                continue;
            }
            let Some(id) = fs::metadata(folder)
                .ok()
                .filter(fs::Metadata::is_dir)
                .map(|metadata| identity(&metadata))
            else {
                continue;
            };
            let mode = if RECURSIVE && folder == root {
                RecursiveMode::Recursive
            } else {
                RecursiveMode::NonRecursive
            };
            match self.watcher.watch(folder, mode) {
                Ok(()) => {
                    self.folders.insert(folder.clone(), id);
                    added.push(folder.clone());
                }
                Err(error) if vanished(&error) => {}
                Err(error) => return Err(insufficient(&error)),
            }
        }
        Ok(added)
    }
}

fn vanished(error: &notify::Error) -> bool {
    match &error.kind {
        ErrorKind::PathNotFound => true,
        ErrorKind::Io(io) => matches!(
            io.kind(),
            std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
        ),
        ErrorKind::Generic(_) | ErrorKind::WatchNotFound | ErrorKind::InvalidConfig(_) | ErrorKind::MaxFilesWatch => {
            false
        }
    }
}

fn insufficient(error: &notify::Error) -> Insufficient {
    Insufficient(match &error.kind {
        ErrorKind::MaxFilesWatch => "the system's file watches ran out (raise fs.inotify.max_user_watches)".to_owned(),
        ErrorKind::Io(io) => {
            format!("the system gives no file notifications: {io} (on Linux, raise fs.inotify.max_user_instances)")
        }
        _ => format!("the system gives no file notifications: {error}"),
    })
}

/// What a notification says of which paths; nothing for mere reading.
fn touches(event: &notify::Event) -> Vec<(PathBuf, Touch)> {
    let touch = match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => Touch::Settled,
        EventKind::Access(_) => return Vec::new(),
        EventKind::Create(_) => Touch::Created,
        EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(RenameMode::From)) => Touch::Gone,
        EventKind::Modify(ModifyKind::Name(RenameMode::To)) => Touch::Settled,
        EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => {
            // inotify has already told both halves, under the same tracker.
            return match (&event.paths[..], event.tracker()) {
                ([from, to], None) => vec![(from.clone(), Touch::Gone), (to.clone(), Touch::Settled)],
                _ => Vec::new(),
            };
        }
        EventKind::Modify(ModifyKind::Metadata(_)) => Touch::Meta,
        EventKind::Modify(_) | EventKind::Any | EventKind::Other => Touch::Writing,
    };
    event.paths.iter().map(|path| (path.clone(), touch)).collect()
}

#[cfg(test)]
mod tests {
    use notify::event::{CreateKind, DataChange, MetadataKind, RemoveKind};

    use super::*;

    #[test]
    fn what_events_say() {
        let check = |kind: EventKind, expect: &[(&str, Touch)]| {
            let event = notify::Event::new(kind)
                .add_path(PathBuf::from("a"))
                .add_path(PathBuf::from("b"));
            let expect: Vec<_> = expect
                .iter()
                .map(|&(path, touch)| (PathBuf::from(path), touch))
                .collect();
            assert_eq!(touches(&event), expect, "{kind:?}");
        };
        let both = |touch| [("a", touch), ("b", touch)];
        check(EventKind::Access(AccessKind::Open(AccessMode::Any)), &[]);
        check(EventKind::Access(AccessKind::Close(AccessMode::Read)), &[]);
        check(
            EventKind::Access(AccessKind::Close(AccessMode::Write)),
            &both(Touch::Settled),
        );
        check(EventKind::Create(CreateKind::File), &both(Touch::Created));
        check(
            EventKind::Modify(ModifyKind::Data(DataChange::Any)),
            &both(Touch::Writing),
        );
        check(
            EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any)),
            &both(Touch::Meta),
        );
        check(
            EventKind::Modify(ModifyKind::Name(RenameMode::From)),
            &both(Touch::Gone),
        );
        check(
            EventKind::Modify(ModifyKind::Name(RenameMode::Both)),
            &[("a", Touch::Gone), ("b", Touch::Settled)],
        );
        check(EventKind::Remove(RemoveKind::Folder), &both(Touch::Gone));
    }

    #[test]
    fn the_second_half_of_a_tracked_rename_says_nothing_new() {
        let kind = EventKind::Modify(ModifyKind::Name(RenameMode::Both));
        let event = notify::Event::new(kind)
            .add_path("a".into())
            .add_path("b".into())
            .set_tracker(7);
        assert_eq!(touches(&event), []);
    }
}
