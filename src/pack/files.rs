//! Which files of a project go along: its own, and of its packages those that a function reads.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::PackError;
use super::ignore::Ignore;
use super::layer::{Content, Tree};
use super::layout::{LAYOUT_FILE, SCRATCH};
use crate::live::watch::ignored;

/// Lines as in `.gitignore`.
const IGNORE_FILE: &str = ".emuignore";
const PACKAGES: &str = "node_modules";

/// What of a project goes along.
#[derive(Clone, Debug, Default)]
pub struct Files {
    /// Relative to the root, with `/`.
    pub own: Vec<String>,
    /// Below `node_modules`, links among them.
    pub packages: Vec<String>,
    /// What stayed out because it may hold secrets.
    pub env_files: Vec<String>,
}

/// Looks through the project. `read`: absolute files that functions read, which go along wherever they lie. `env`: absolute env
/// files, which stay out whatever their name. `out`: what is being written; the last one of its name stays out of the next, as
/// all images do.
///
/// # Errors
/// When a folder cannot be read.
pub fn collect(root: &Path, read: &BTreeSet<PathBuf>, env: &[PathBuf], out: Option<&Path>) -> Result<Files, PackError> {
    // A link to one, or a way to it through `..`, is the same file.
    let env: BTreeSet<PathBuf> = env.iter().filter_map(|path| path.canonicalize().ok()).collect();
    let is_env = |path: &str| {
        is_env_file(path.rsplit('/').next().unwrap_or_default())
            || !env.is_empty() && root.join(path).canonicalize().is_ok_and(|path| env.contains(&path))
    };
    let ignore = match std::fs::read_to_string(root.join(IGNORE_FILE)) {
        Ok(text) => Ignore::parse(&text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ignore::default(),
        Err(error) => return Err(PackError::at(root.join(IGNORE_FILE))(error)),
    };
    let (mut own, mut packages, mut env_files) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        for (path, kind) in list(root, &folder)? {
            let name = path.rsplit('/').next().unwrap_or_default();
            if name == PACKAGES && kind.is_dir() {
                links(root, &path, &mut packages)?;
            } else if is_env(&path) {
                env_files.insert(path);
            } else if ignored(Path::new(name)) || ignore.leaves_out(&path, kind.is_dir()) || is_image(root, &path, out)
            {
                // Stays here.
            } else if kind.is_dir() {
                folders.push(path);
            } else {
                own.insert(path);
            }
        }
    }
    for path in read {
        let Ok(relative) = path.strip_prefix(root) else {
            continue;
        };
        let relative = slashed(relative);
        // Of what was looked for only what is there; folders come with their files.
        if !path.is_file() || is_env(&relative) {
            continue;
        }
        match relative.split('/').any(|part| part == PACKAGES) {
            true => packages.insert(relative),
            false => own.insert(relative),
        };
    }
    Ok(Files {
        own: own.into_iter().collect(),
        packages: packages.into_iter().collect(),
        env_files: env_files.into_iter().collect(),
    })
}

/// Puts files into a tree below `into`, owned by root, readable by all.
///
/// # Errors
/// When a link cannot be read.
pub fn add(tree: &mut Tree, root: &Path, paths: &[String], into: &str) -> Result<(), PackError> {
    for path in paths {
        let file = root.join(path);
        let to = format!("{into}/{path}");
        let metadata = std::fs::symlink_metadata(&file).map_err(PackError::at(&file))?;
        if metadata.is_symlink() {
            let target = std::fs::read_link(&file).map_err(PackError::at(&file))?;
            if target.is_absolute() {
                return Err(PackError::new(format!("{path} is a link to {}", target.display()))
                    .remedy(format!("make the link relative, or name it in {IGNORE_FILE}")));
            }
            tree.link(&to, &slashed(&target));
        } else if metadata.is_file() {
            let mode = if is_executable(&metadata) { 0o755 } else { 0o644 };
            tree.file(&to, Content::Path(file), mode, 0);
        }
    }
    Ok(())
}

/// What this command has written, or is writing.
fn is_image(root: &Path, path: &str, out: Option<&Path>) -> bool {
    let file = root.join(path);
    let name = path.rsplit('/').next().unwrap_or_default();
    out == Some(&file) || name.starts_with(SCRATCH) || file.join(LAYOUT_FILE).is_file()
}

/// `.env`, `.env.production`, `.dev.vars`: secrets never go along. Examples of them do.
fn is_env_file(name: &str) -> bool {
    let is_example = [".example", ".sample", ".template"]
        .iter()
        .any(|end| name.ends_with(end));
    (name == ".env" || name.starts_with(".env.") || name.starts_with(".dev.vars")) && !is_example
}

/// Links that package managers make between packages: without them paths lead nowhere.
fn links(root: &Path, folder: &str, found: &mut BTreeSet<String>) -> Result<(), PackError> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for (path, kind) in list(root, &folder)? {
            let name = path.rsplit('/').next().unwrap_or_default();
            let parent = folder.rsplit('/').next().unwrap_or_default();
            if kind.is_symlink() && name != ".bin" && parent != ".bin" {
                found.insert(path);
            } else if kind.is_dir()
                && (name.starts_with('@') || name == PACKAGES || matches!(parent, PACKAGES | ".pnpm"))
            {
                folders.push(path);
            }
        }
    }
    Ok(())
}

fn list(root: &Path, folder: &str) -> Result<Vec<(String, std::fs::FileType)>, PackError> {
    let path = root.join(folder);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&path).map_err(PackError::at(&path))? {
        let entry = entry.map_err(PackError::at(&path))?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            let shown = entry.path();
            return Err(PackError::new(format!("the name of {} is no UTF-8", shown.display())).remedy("rename it"));
        };
        let relative = match folder.is_empty() {
            true => name.to_owned(),
            false => format!("{folder}/{name}"),
        };
        found.push((relative, entry.file_type().map_err(PackError::at(&path))?));
    }
    Ok(found)
}

fn slashed(path: &Path) -> String {
    path.to_string_lossy().replace('\\', "/")
}

#[cfg(unix)]
fn is_executable(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o100 != 0
}

#[cfg(not(unix))]
fn is_executable(_: &std::fs::Metadata) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_go_along_and_secrets_do_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        for (path, text) in [
            ("emu.toml", ""),
            ("functions/api.ts", ""),
            (".env", "API_KEY=1"),
            (".env.local", ""),
            (".env.example", ""),
            (".git/config", ""),
            (".emu/state.db", ""),
            ("notes/a.md", ""),
            (".emuignore", "/notes\n"),
            ("target/f.wasm", ""),
            ("target/other.o", ""),
            ("node_modules/zod/index.js", ""),
            ("node_modules/zod/unused.js", ""),
            ("functions/api.ts~", ""),
            ("shop.tar", ""),
            ("image/oci-layout", ""),
            ("deploy/production.vars", "API_KEY=2"),
        ] {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            std::fs::write(path, text).expect("a file");
        }
        let read = [
            "target/f.wasm",
            "node_modules/zod/index.js",
            "node_modules/gone.js",
            ".env",
            "deploy/production.vars",
        ];
        let read = read.iter().map(|path| root.join(path)).collect();
        let env = [".env.local", "deploy/../deploy/production.vars", "gone"].map(|path| root.join(path));
        let files = collect(root, &read, &env, Some(&root.join("shop.tar"))).expect("files");
        assert_eq!(
            files.own,
            [
                ".emuignore",
                ".env.example",
                "emu.toml",
                "functions/api.ts",
                "target/f.wasm"
            ]
        );
        assert_eq!(files.packages, ["node_modules/zod/index.js"]);
        assert_eq!(files.env_files, [".env", ".env.local", "deploy/production.vars"]);
    }
}
