//! `emu snapshot`: the state under a name, in a running emulator and in the folder of a stopped one.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use chrono::{DateTime, SecondsFormat, Utc};

use crate::platform::input::Input;

use super::api;
use super::bindings::nearest;
use super::driver::{Driver, Own, lock};
use super::store::{DATABASE, Durability, Opened, Place, StoreError, snapshot};

/// In the folder of the state.
const FOLDER: &str = "snapshots";
const END: &str = ".db";
const NAME_CHARS_MAX: usize = 100;

/// Why a snapshot was not saved, loaded or removed.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error("{0:?} is no name for a snapshot")]
    BadName(String),
    #[error("there is no snapshot {name}")]
    Missing { name: String, known: Vec<String> },
    #[error("there is a snapshot {0} already")]
    Exists(String),
    /// Why, as what follows its name.
    #[error("the snapshot {0} {1}")]
    Unusable(String, String),
    /// An emulator holds the folder, or its state cannot be opened.
    #[error("{0:#}")]
    State(anyhow::Error),
    #[error("the snapshot {0} was not {1}: {2}")]
    Store(String, &'static str, StoreError),
    #[error("{}: {}", .0.display(), .1)]
    Io(PathBuf, io::Error),
}

impl SnapshotError {
    pub fn remedy(&self) -> Option<String> {
        match self {
            SnapshotError::BadName(_) => Some(format!(
                "a name has up to {NAME_CHARS_MAX} letters, digits, `.`, `_` and `-`, and does not begin with `.`"
            )),
            SnapshotError::Missing { name, known } => Some(match nearest(name, known.iter()) {
                Some(near) => format!("did you mean {near}?"),
                None if known.is_empty() => "`emu snapshot save` makes the first one".to_owned(),
                None => format!("there are {}", known.join(", ")),
            }),
            SnapshotError::Exists(_) => Some("choose another name, or replace it with --force".to_owned()),
            SnapshotError::Store(_, "loaded", _) => Some("the state is as it was".to_owned()),
            SnapshotError::Unusable(..)
            | SnapshotError::State(_)
            | SnapshotError::Store(..)
            | SnapshotError::Io(..) => None,
        }
    }
}

type Answer<T> = Result<T, SnapshotError>;

/// The snapshots of a project's folder.
#[derive(Clone, Debug)]
pub struct Snapshots {
    folder: PathBuf,
}

impl Snapshots {
    pub fn of(root: &Path) -> Snapshots {
        Snapshots {
            folder: root.join(super::FOLDER).join(FOLDER),
        }
    }

    fn path(&self, name: &str) -> Answer<PathBuf> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let fits =
            !name.is_empty() && name.len() <= NAME_CHARS_MAX && !name.starts_with('.') && name.chars().all(plain);
        match fits {
            true => Ok(self.folder.join(format!("{name}{END}"))),
            false => Err(SnapshotError::BadName(name.to_owned())),
        }
    }

    /// The path of one that is there.
    fn find(&self, name: &str) -> Answer<PathBuf> {
        let path = self.path(name)?;
        match path.is_file() {
            true => Ok(path),
            false => Err(SnapshotError::Missing {
                name: name.to_owned(),
                known: self.names()?,
            }),
        }
    }

    fn names(&self) -> Answer<Vec<String>> {
        let entries = match std::fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(SnapshotError::Io(self.folder.clone(), error)),
        };
        let name = |entry: io::Result<std::fs::DirEntry>| {
            Some(entry.ok()?.file_name().to_str()?.strip_suffix(END)?.to_owned())
        };
        let mut names: Vec<String> = entries
            .filter_map(name)
            .filter(|name| self.path(name).is_ok_and(|path| path.is_file()))
            .collect();
        names.sort();
        Ok(names)
    }

    /// All, in the order of their names. One that cannot be read says why.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn list(&self) -> Answer<Vec<api::Snapshot>> {
        self.names()?.iter().map(|name| self.info(name)).collect()
    }

    fn info(&self, name: &str) -> Answer<api::Snapshot> {
        let path = self.find(name)?;
        let io = |error| SnapshotError::Io(path.clone(), error);
        let metadata = std::fs::metadata(&path).map_err(io)?;
        let saved_at = DateTime::<Utc>::from(metadata.modified().map_err(io)?);
        let (contents, error) = match snapshot::look(&path) {
            Ok(contents) => (contents, None),
            Err(why) => (snapshot::Contents::default(), Some(why)),
        };
        Ok(api::Snapshot {
            name: name.to_owned(),
            bytes: metadata.len(),
            saved_at: saved_at.to_rfc3339_opts(SecondsFormat::Millis, true),
            messages: contents.messages,
            events: contents.events,
            keys: contents.keys,
            error,
        })
    }

    /// # Errors
    /// When it is not there.
    pub fn remove(&self, name: &str) -> Answer<()> {
        let path = self.find(name)?;
        std::fs::remove_file(&path).map_err(|error| SnapshotError::Io(path, error))
    }

    /// A file to write into, which [`Draft::keep`] gives its name.
    fn draft(&self, name: &str, force: bool) -> Answer<Draft> {
        let path = self.path(name)?;
        if !force && path.exists() {
            return Err(SnapshotError::Exists(name.to_owned()));
        }
        let made = std::fs::create_dir_all(&self.folder)
            .and_then(|()| tempfile::Builder::new().prefix(".saving-").tempfile_in(&self.folder));
        let file = made.map_err(|error| SnapshotError::Io(self.folder.clone(), error))?;
        Ok(Draft { file, path, force })
    }

    /// The state of a folder that no emulator holds.
    ///
    /// # Errors
    /// When one does, when there is no state, or a snapshot of this name.
    pub fn save_stopped(&self, root: &Path, name: &str, force: bool, seed: u64) -> Answer<api::Snapshot> {
        let state = root.join(super::FOLDER);
        if !state.join(DATABASE).exists() {
            let nothing = anyhow::anyhow!("there is no state in {} to save", state.display());
            return Err(SnapshotError::State(nothing));
        }
        let opened = open(&state, seed)?;
        let draft = self.draft(name, force)?;
        let saved = opened.save_to(draft.file.path());
        saved.map_err(|error| SnapshotError::Store(name.to_owned(), "saved", StoreError::Failed(error.to_string())))?;
        draft.keep()?;
        self.info(name)
    }

    /// Into a folder that no emulator holds.
    ///
    /// # Errors
    /// When one does, or the snapshot cannot be used: the state is as it was.
    pub fn load_stopped(&self, root: &Path, name: &str, seed: u64) -> Answer<api::Snapshot> {
        let path = self.checked(name)?.0;
        let opened = open(&root.join(super::FOLDER), seed)?;
        let loaded = opened.load_from(&path);
        loaded
            .map_err(|error| SnapshotError::Store(name.to_owned(), "loaded", StoreError::Failed(error.to_string())))?;
        self.info(name)
    }

    fn checked(&self, name: &str) -> Answer<(PathBuf, snapshot::Contents)> {
        let path = self.find(name)?;
        let contents = snapshot::check(&path).map_err(|why| SnapshotError::Unusable(name.to_owned(), why))?;
        Ok((path, contents))
    }
}

fn open(state: &Path, seed: u64) -> Answer<Opened> {
    Opened::open(&Place::Folder(state.to_owned()), Durability::Full, seed).map_err(SnapshotError::State)
}

struct Draft {
    file: tempfile::NamedTempFile,
    path: PathBuf,
    force: bool,
}

impl Draft {
    fn keep(self) -> Answer<()> {
        let Draft { file, path, force } = self;
        let io = |error| SnapshotError::Io(path.clone(), error);
        file.as_file().sync_all().map_err(io)?;
        let kept = match force {
            true => file.persist(&path),
            false => file.persist_noclobber(&path),
        };
        kept.map_err(|error| match error.error.kind() {
            io::ErrorKind::AlreadyExists => SnapshotError::Exists(
                path.file_stem()
                    .map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
            ),
            _ => io(error.error),
        })?;
        Ok(())
    }
}

/// What may block, on a thread for it.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Answer<T> + Send + 'static) -> Answer<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(SnapshotError::State(error.into())),
    }
}

impl Driver {
    fn snapshots(&self) -> Snapshots {
        Snapshots::of(&self.table().project.root)
    }

    /// # Errors
    /// As [`Snapshots::list`].
    pub async fn list_snapshots(&self) -> Answer<Vec<api::Snapshot>> {
        let snapshots = self.snapshots();
        blocking(move || snapshots.list()).await
    }

    /// # Errors
    /// As [`Snapshots::remove`].
    pub async fn remove_snapshot(&self, name: &str) -> Answer<()> {
        let (snapshots, name) = (self.snapshots(), name.to_owned());
        blocking(move || snapshots.remove(&name)).await
    }

    /// All that was acknowledged before the call.
    ///
    /// # Errors
    /// When there is a snapshot of this name, or no room for one.
    pub async fn save_snapshot(&self, name: &str, force: bool) -> Answer<api::Snapshot> {
        let (snapshots, name) = (self.snapshots(), name.to_owned());
        let draft = {
            let (snapshots, name) = (snapshots.clone(), name.clone());
            blocking(move || snapshots.draft(&name, force)).await?
        };
        let saved = self.0.store.save(draft.file.path()).await;
        saved.map_err(|error| SnapshotError::Store(name.clone(), "saved", error))?;
        blocking(move || {
            draft.keep()?;
            snapshots.info(&name)
        })
        .await
    }

    /// Replaces the state. What runs goes on to its end, of which nothing comes; what comes meanwhile waits.
    ///
    /// # Errors
    /// When the snapshot cannot be used: the state is as it was.
    pub async fn load_snapshot(&self, name: &str) -> Answer<api::Snapshot> {
        let (snapshots, name) = (self.snapshots(), name.to_owned());
        let (path, contents) = {
            let (snapshots, name) = (snapshots.clone(), name.clone());
            blocking(move || snapshots.checked(&name)).await?
        };
        let failed = |error| SnapshotError::Store(name.clone(), "loaded", error);
        self.0.store.settled().await.map_err(failed)?;
        let _gate = self.0.gate.write().await;
        let loading = {
            let mut core = lock(&self.0.core);
            let names = {
                let mut names = self.0.names.write().unwrap_or_else(PoisonError::into_inner);
                names.recall(&contents.names);
                names.stored()
            };
            let mut own = Own {
                unwritten: true,
                ..Own::default()
            };
            self.step_locked(&mut core, Input::Reset, &mut own);
            core.restoring.anew();
            self.0.store.load(&path, names)
        };
        let loaded = loading.await;
        if let Ok(Some(ids)) = &loaded {
            lock(&self.0.core).platform.ids_above(*ids);
        }
        // Whichever state it is now.
        let restored = self.restore().await;
        loaded.map_err(failed)?;
        restored.map_err(failed)?;
        self.notice("info", format!("the state is that of snapshot {name}"));
        blocking(move || snapshots.info(&name)).await
    }
}
