//! A Lambda-shaped archive: a handler's own files and its packages, as Node.js finds them. Sorted and without times.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::PackError;

/// Packages nest; nobody has so many.
const PACKAGES_MAX: usize = 20_000;

/// Writes files, and packages with all that they depend on.
///
/// # Errors
/// When a package is not there, or the archive cannot be written.
pub fn write<W: Write + Seek>(
    out: W,
    root: &Path,
    files: &BTreeMap<String, String>,
    packages: &BTreeSet<(String, String)>,
) -> Result<W, PackError> {
    let mut entries: BTreeMap<String, Content> = BTreeMap::new();
    for found in closure(root, packages)? {
        found.add(root, &mut entries)?;
    }
    for (path, text) in files {
        entries.insert(path.clone(), Content::Text(text));
    }
    let failed = |error: zip::result::ZipError| PackError::new(format!("the archive cannot be written: {error}"));
    let mut zip = ZipWriter::new(out);
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(zip::DateTime::default())
        .unix_permissions(0o644);
    for (path, content) in &entries {
        match content {
            Content::Link(target) => {
                zip.add_symlink(path, target, options).map_err(failed)?;
                continue;
            }
            Content::Text(text) => {
                zip.start_file(path, options).map_err(failed)?;
                zip.write_all(text.as_bytes()).map_err(PackError::at(path))?;
            }
            Content::File(file) => {
                zip.start_file(path, options).map_err(failed)?;
                let bytes = fs::read(file).map_err(PackError::at(file))?;
                zip.write_all(&bytes).map_err(PackError::at(file))?;
            }
        }
    }
    zip.finish().map_err(failed)
}

enum Content<'a> {
    Text(&'a str),
    File(PathBuf),
    Link(String),
}

/// A package where it lies, and the link by which it was found when there is one.
struct Package {
    folder: PathBuf,
    link: Option<PathBuf>,
}

impl Package {
    /// Its files, without packages within it: those that are needed are packages of their own.
    fn add<'a>(&self, root: &Path, entries: &mut BTreeMap<String, Content<'a>>) -> Result<(), PackError> {
        if let Some(link) = &self.link {
            let target = fs::read_link(link).map_err(PackError::at(link))?;
            entries.insert(
                below(root, link)?,
                Content::Link(target.to_string_lossy().replace('\\', "/")),
            );
        }
        let mut folders = vec![self.folder.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).map_err(PackError::at(&folder))? {
                let entry = entry.map_err(PackError::at(&folder))?;
                let kind = entry.file_type().map_err(PackError::at(entry.path()))?;
                if kind.is_dir() && entry.file_name() != "node_modules" {
                    folders.push(entry.path());
                } else if kind.is_file() {
                    entries.insert(below(root, &entry.path())?, Content::File(entry.path()));
                }
            }
        }
        Ok(())
    }
}

fn below(root: &Path, path: &Path) -> Result<String, PackError> {
    let relative = path.strip_prefix(root).map_err(|_| {
        PackError::new(format!("{} lies outside of the project", path.display()))
            .remedy("install the packages in the project's folder")
    })?;
    Ok(relative.to_string_lossy().replace('\\', "/"))
}

/// The packages that files import, and those that these need.
fn closure(root: &Path, packages: &BTreeSet<(String, String)>) -> Result<Vec<Package>, PackError> {
    let root = &root.canonicalize().map_err(PackError::at(root))?;
    let mut todo: VecDeque<(PathBuf, String, bool)> = packages
        .iter()
        .map(|(folder, name)| (root.join(folder), name.clone(), true))
        .collect();
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    while let Some((from, name, is_required)) = todo.pop_front() {
        let Some(at) = find(root, &from, &name) else {
            if is_required {
                let message = format!("the package {name} is not in node_modules");
                return Err(PackError::new(message).remedy("install the project's packages"));
            }
            continue;
        };
        if !seen.insert(at.clone()) {
            continue;
        }
        if seen.len() > PACKAGES_MAX {
            return Err(PackError::new("the function needs too many packages"));
        }
        let folder = at.canonicalize().map_err(PackError::at(&at))?;
        let text = fs::read(folder.join("package.json")).unwrap_or_default();
        let manifest: Value = serde_json::from_slice(&text).unwrap_or_default();
        for (kind, is_required) in [
            ("dependencies", true),
            ("optionalDependencies", false),
            ("peerDependencies", false),
        ] {
            let names = manifest[kind]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, _)| name.clone());
            // An optional one stands among the dependencies too.
            let optional = |name: &String| manifest["optionalDependencies"].get(name).is_some();
            todo.extend(names.map(|name| (folder.clone(), name.clone(), is_required && !optional(&name))));
        }
        let link = (folder != at).then(|| link_of(&at)).flatten();
        found.push(Package { folder, link });
    }
    Ok(found)
}

/// As Node looks: in each `node_modules` from the folder upward, not beyond the project.
fn find(root: &Path, from: &Path, name: &str) -> Option<PathBuf> {
    let folders = from.ancestors().take_while(|folder| folder.starts_with(root));
    let mut places = folders
        .filter(|folder| !folder.ends_with("node_modules"))
        .map(|f| f.join("node_modules").join(name));
    places.find(|place| place.is_dir())
}

/// The path itself, when it is a link.
fn link_of(at: &Path) -> Option<PathBuf> {
    let metadata = fs::symlink_metadata(at).ok()?;
    metadata.is_symlink().then(|| at.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_come_with_what_they_need() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = &folder.path().canonicalize().expect("a folder");
        for (path, text) in [
            (
                "node_modules/a/package.json",
                r#"{"dependencies": {"b": "1"}, "optionalDependencies": {"gone": "1"}}"#,
            ),
            ("node_modules/a/index.js", ""),
            ("node_modules/a/node_modules/b/index.js", "inner"),
            ("node_modules/b/index.js", "outer"),
            ("node_modules/unused/index.js", ""),
        ] {
            let path = root.join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, text).expect("a file");
        }
        let files = BTreeMap::from([("functions/api.mjs".to_owned(), "import 'a'".to_owned())]);
        let packages = BTreeSet::from([("functions".to_owned(), "a".to_owned())]);
        let make = || {
            write(std::io::Cursor::new(Vec::new()), root, &files, &packages)
                .expect("an archive")
                .into_inner()
        };
        let bytes = make();
        assert_eq!(bytes, make(), "the same input gives the same archive");
        let mut zip = zip::ZipArchive::new(std::io::Cursor::new(bytes)).expect("an archive");
        let names = zip.file_names().map(|name| name.expect("a name").into_owned());
        let names: Vec<String> = names.collect::<BTreeSet<_>>().into_iter().collect();
        let expect = [
            "functions/api.mjs",
            "node_modules/a/index.js",
            "node_modules/a/node_modules/b/index.js",
            "node_modules/a/package.json",
        ];
        assert_eq!(names, expect);
        let text = std::io::read_to_string(zip.by_name("functions/api.mjs").expect("the file")).expect("text");
        assert_eq!(text, "import 'a'");
        let missing = BTreeSet::from([(String::new(), "c".to_owned())]);
        let error = write(std::io::Cursor::new(Vec::new()), root, &files, &missing).expect_err("not there");
        assert!(error.message.contains("package c"), "{error}");
    }
}
