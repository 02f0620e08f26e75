//! Finds and reads test files.

use std::path::{Path, PathBuf};

use crate::cli::Global;
use crate::cli::failure::Failure;
use crate::project::diagnostic::{Diagnostic, Diagnostics, Source};
use crate::project::testfile::{self, SUFFIX, TestFile};
use crate::project::{Target, shown};

/// Folders that hold nobody's tests.
const SKIPPED: [&str; 3] = ["node_modules", "target", "dist"];
/// Folders below each other that are looked into.
const DEPTH_MAX: usize = 32;
/// A test file above this is refused rather than read.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// The files that are named, and those in the folders that are; without any those of the project.
///
/// # Errors
/// When one is missing, or there is no project.
pub fn find(named: &[PathBuf], global: &Global) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    if named.is_empty() {
        let target = crate::project::find(global.project.as_deref())?;
        let root = match target {
            Target::Folder(root) => root,
            Target::File(file) => file.parent().unwrap_or(Path::new(".")).to_owned(),
        };
        below(&root, DEPTH_MAX, &mut found)?;
    }
    for path in named {
        match path.metadata() {
            Ok(metadata) if metadata.is_dir() => below(path, DEPTH_MAX, &mut found)?,
            Ok(_) => found.push(path.clone()),
            Err(error) => {
                return Err(Failure::usage(format!("{} cannot be read: {error}", path.display()))
                    .remedy("name test files, or folders that hold some"));
            }
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

fn below(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let entries = std::fs::read_dir(folder)
        .map_err(|error| Failure::new(format!("{} cannot be read: {error}", folder.display())))?;
    for entry in entries.filter_map(Result::ok) {
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() && depth > 0 && !name.starts_with('.') && !SKIPPED.contains(&name) {
            below(&entry.path(), depth - 1, found)?;
        } else if !kind.is_dir() && name.ends_with(SUFFIX) && name != SUFFIX {
            found.push(entry.path());
        }
    }
    Ok(())
}

/// # Errors
/// Everything that is wrong with it.
pub fn read(path: &Path) -> Result<TestFile, Diagnostics> {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let name = shown(&absolute);
    let unreadable =
        |why: &dyn std::fmt::Display| Diagnostics::from(Diagnostic::error(format!("{name} cannot be read: {why}")));
    let size = path.metadata().map_err(|error| unreadable(&error))?.len();
    if size > FILE_BYTES_MAX {
        return Err(unreadable(&"it is larger than 16MB"));
    }
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(&error))?;
    testfile::read(Source {
        name: name.clone(),
        path: absolute,
        text,
    })
}
