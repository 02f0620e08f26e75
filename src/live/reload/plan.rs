//! Which functions a change of files concerns, and what two readings of a project differ in: pure.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::queue::BuildKey;
use crate::live::watch::ignore::{ignored, output_folder};
use crate::live::watch::{How, Interest};
use crate::project::{Function, Project};

/// The folder whose files and folders are functions.
const FUNCTIONS: &str = "functions";
const MANIFEST: &str = "emu.toml";

/// What the watched folder is compared with.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    pub project: &'a Project,
    /// What each function's last load read and looked for.
    pub watched: &'a BTreeMap<String, BTreeSet<PathBuf>>,
    /// The project as it now stands cannot be read: any file that comes or goes may mend it.
    pub broken: bool,
}

/// What is to be done about a change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Affected {
    /// The project must be read again.
    pub reread: bool,
    /// Functions to load, with the files that they read.
    pub loads: BTreeMap<String, BTreeSet<PathBuf>>,
    /// Build commands to run, with the sources that changed.
    pub builds: BTreeMap<BuildKey, BTreeSet<PathBuf>>,
    /// Functions with a build that read a changed file themselves: they must be loaded after it, even if their
    /// artefact stays as it is.
    pub read_itself: BTreeSet<String>,
}

pub fn build_key(function: &Function) -> Option<BuildKey> {
    let build = function.build.as_ref()?;
    Some(BuildKey {
        command: build.command.clone(),
        dir: build.dir.clone(),
    })
}

pub fn entry(project: &Project, function: &Function) -> PathBuf {
    project.root.join(&function.source)
}

impl View<'_> {
    /// All that must be watched for this project.
    pub fn interest(&self) -> Interest {
        let root = &self.project.root;
        let mut files: BTreeSet<PathBuf> = self.watched.values().flatten().cloned().collect();
        files.insert(root.join(MANIFEST));
        files.extend(self.project.env_files.iter().cloned());
        let mut trees = BTreeSet::from([root.join(FUNCTIONS)]);
        for function in self.project.functions.values() {
            files.insert(entry(self.project, function));
            trees.extend(self.build_trees(function));
        }
        if self.broken {
            trees.insert(root.clone());
        }
        Interest { files, trees }
    }

    fn build_trees(&self, function: &Function) -> Vec<PathBuf> {
        let root = &self.project.root;
        match &function.build {
            None => Vec::new(),
            Some(build) if build.watch.is_empty() => vec![root.join(&build.dir)],
            Some(build) => build.watch.iter().map(|watch| root.join(watch)).collect(),
        }
    }

    /// What a change of these files asks for.
    pub fn affected<'a>(&self, files: impl Iterator<Item = (&'a Path, How)>) -> Affected {
        let mut affected = Affected::default();
        for (path, how) in files {
            affected.reread |= self.concerns_project(path, how);
            for function in self.project.functions.values() {
                self.concerns(function, path, &mut affected);
            }
        }
        affected.loads.retain(|name, files| {
            let function = self.project.functions.get(name);
            let key = function.and_then(build_key);
            let build_first = key.is_some_and(|key| affected.builds.contains_key(&key));
            let artefact = function.map(|function| entry(self.project, function));
            if build_first && files.iter().any(|file| Some(file) != artefact.as_ref()) {
                affected.read_itself.insert(name.clone());
            }
            !build_first
        });
        affected
    }

    fn concerns_project(&self, path: &Path, how: How) -> bool {
        let root = &self.project.root;
        if path == root.join(MANIFEST) || self.project.env_files.iter().any(|file| file == path) {
            return true;
        }
        let came_or_went = how != How::Modified;
        let beneath = |folder: &Path| path.strip_prefix(folder).is_ok_and(|relative| !ignored(relative));
        came_or_went && (beneath(&root.join(FUNCTIONS)) || (self.broken && beneath(root)))
    }

    fn concerns(&self, function: &Function, path: &Path, affected: &mut Affected) {
        let is_entry = path == entry(self.project, function);
        if is_entry
            || self
                .watched
                .get(&function.name)
                .is_some_and(|watched| watched.contains(path))
        {
            affected
                .loads
                .entry(function.name.clone())
                .or_default()
                .insert(path.to_owned());
        }
        let Some(key) = build_key(function) else { return };
        let in_tree = |tree: &PathBuf| path.strip_prefix(tree).is_ok_and(|relative| !ignored(relative));
        if self.build_trees(function).iter().any(in_tree) && !self.is_made(&key, path) {
            affected.builds.entry(key).or_default().insert(path.to_owned());
        }
    }

    /// Whether the command itself makes this file, as far as its functions' artefacts tell.
    fn is_made(&self, key: &BuildKey, path: &Path) -> bool {
        let root = &self.project.root;
        let mut users = self
            .project
            .functions
            .values()
            .filter(|function| build_key(function).as_ref() == Some(key));
        users.any(|function| {
            let folder = output_folder(&function.source).filter(|folder| {
                // A watch that names the folder, or something in it, means it.
                let named = function.build.iter().flat_map(|build| &build.watch);
                !named.into_iter().any(|watch| watch.starts_with(folder))
            });
            path == root.join(&function.source) || folder.is_some_and(|folder| path.starts_with(root.join(folder)))
        })
    }
}

/// What two readings of a project differ in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Anything at all.
    pub any: bool,
    /// New functions, and those whose source, build or environment is another.
    pub rebuild: BTreeSet<String>,
    pub removed: BTreeSet<String>,
}

pub fn difference(old: &Project, new: &Project) -> Difference {
    let rebuilt = |function: &&Function| match old.functions.get(&function.name) {
        None => true,
        Some(before) => {
            let parts = |f: &Function| (f.source.clone(), f.kind, f.build.clone(), f.env.clone());
            parts(before) != parts(function)
        }
    };
    Difference {
        any: old != new,
        rebuild: new
            .functions
            .values()
            .filter(rebuilt)
            .map(|function| function.name.clone())
            .collect(),
        removed: old
            .functions
            .keys()
            .filter(|name| !new.functions.contains_key(*name))
            .cloned()
            .collect(),
    }
}

/// At most this many files are named as a cause.
const FILES_NAMED_MAX: usize = 50;

/// Changed files as people know them: relative to the project where they lie in it, with forward slashes.
pub fn named(root: &Path, files: impl Iterator<Item = impl AsRef<Path>>) -> Vec<String> {
    let name = |path: &Path| {
        path.strip_prefix(root)
            .unwrap_or(path)
            .to_string_lossy()
            .replace('\\', "/")
    };
    let mut names: Vec<String> = files.map(|path| name(path.as_ref())).collect();
    names.sort();
    let more = names.len().saturating_sub(FILES_NAMED_MAX);
    if more > 0 {
        names.truncate(FILES_NAMED_MAX);
        names.push(format!("and {more} more"));
    }
    names
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
