//! Looks at the file system for the watching task: blocking, meant for a thread of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Interest;
use super::ignore::ignored;

/// Files and folders of the watched trees; what lies beyond is not followed.
const WALKED_MAX: usize = 50_000;

/// A lock file older than this was left behind by a version control command that died.
const LOCK_STALE: Duration = Duration::from_secs(60);

/// What lies in the watched trees.
#[derive(Debug, Default)]
pub struct Walk {
    pub files: BTreeSet<PathBuf>,
    pub folders: BTreeSet<PathBuf>,
    /// There was more than can be followed.
    pub truncated: bool,
}

impl Walk {
    /// Adds what lies at and beneath `start` in the tree `tree`. Links to folders are not followed: they may lead out
    /// of the project, or in circles.
    pub fn add(&mut self, tree: &Path, start: &Path) {
        let mut pending = vec![start.to_owned()];
        while let Some(path) = pending.pop() {
            if path.strip_prefix(tree).is_ok_and(ignored) {
                continue;
            }
            if self.files.len() + self.folders.len() >= WALKED_MAX {
                self.truncated = true;
                return;
            }
            // The tree itself may be a link.
            let metadata = if path == tree {
                fs::metadata(&path)
            } else {
                fs::symlink_metadata(&path)
            };
            let Ok(metadata) = metadata else { continue };
            if !metadata.is_dir() {
                self.files.insert(path);
                continue;
            }
            if let Ok(entries) = fs::read_dir(&path) {
                pending.extend(entries.flatten().map(|entry| entry.path()));
            }
            self.folders.insert(path);
        }
    }

    /// All trees.
    pub fn all(interest: &Interest) -> Walk {
        let mut walk = Walk::default();
        for tree in &interest.trees {
            walk.add(tree, tree);
        }
        walk
    }
}

/// The folders to watch for these files and trees: each folder from the project's root down to a file, because the
/// renaming of any of them takes the file away; outside the project, only the nearest one.
pub fn folders_to_watch<'a>(root: &Path, files: impl Iterator<Item = &'a Path>, walk: &Walk) -> BTreeSet<PathBuf> {
    let mut known: BTreeMap<PathBuf, bool> = BTreeMap::new();
    let mut is_folder = |path: &Path| match known.get(path) {
        Some(&known) => known,
        None => *known.entry(path.to_owned()).or_insert_with_key(|path| path.is_dir()),
    };
    let mut wanted = walk.folders.clone();
    wanted.insert(root.to_owned());
    let trees = walk
        .folders
        .iter()
        .filter_map(|folder| folder.parent())
        .map(Path::to_owned)
        .collect::<BTreeSet<_>>();
    let parents = files
        .filter_map(Path::parent)
        .map(Path::to_owned)
        .collect::<BTreeSet<_>>();
    for parent in parents.into_iter().chain(trees) {
        let inside = parent.starts_with(root);
        for folder in parent.ancestors() {
            if inside && (folder == root || wanted.contains(folder)) {
                break;
            }
            if is_folder(folder) {
                wanted.insert(folder.to_owned());
                if !inside {
                    break;
                }
            }
        }
    }
    wanted
}

/// The lock that git holds while it changes the working tree that `root` lies in.
pub fn git_lock(root: &Path) -> Option<PathBuf> {
    let found = root
        .ancestors()
        .map(|folder| folder.join(".git"))
        .find(|git| git.exists())?;
    if found.is_dir() {
        return Some(found.join("index.lock"));
    }
    // A linked working tree: a file that names the real folder.
    let text = fs::read_to_string(&found).ok()?;
    let folder = text.trim().strip_prefix("gitdir:")?.trim();
    Some(found.parent()?.join(folder).join("index.lock"))
}

/// A version control command is changing files right now.
pub fn is_locked(lock: &Path) -> bool {
    let modified = fs::metadata(lock).and_then(|metadata| metadata.modified());
    modified.is_ok_and(|modified| modified.elapsed().unwrap_or_default() < LOCK_STALE)
}

/// Names the file system if it is one that does not tell of changes made elsewhere.
#[cfg(target_os = "linux")]
pub fn remote_file_system(path: &Path) -> Option<&'static str> {
    // From linux/magic.h, and from the sources of vboxsf and of prl_fs.
    const REMOTE: [(u32, &str); 11] = [
        (0x0000_6969, "NFS"),
        (0x0000_517b, "SMB"),
        (0xff53_4d42, "CIFS"),
        (0xfe53_4d42, "SMB"),
        (0x0102_1997, "9p"),
        (0x6573_5546, "FUSE"),
        (0x786f_4256, "VirtualBox shared folder"),
        (0x7c7c_6673, "Parallels shared folder"),
        (0x00c3_6400, "Ceph"),
        (0x5346_414f, "AFS"),
        (0x7375_7245, "Coda"),
    ];
    let found = rustix::fs::statfs(path).ok()?;
    // The field's width and sign differ between architectures; the numbers are 32 bits.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "see above")]
    let magic = found.f_type as u32;
    REMOTE.iter().find(|(known, _)| *known == magic).map(|(_, name)| *name)
}

/// Names the file system if it is one that does not tell of changes made elsewhere.
#[cfg(not(target_os = "linux"))]
pub fn remote_file_system(_path: &Path) -> Option<&'static str> {
    None
}
