//! Which files of a project go along: its own, and of its packages those that a function reads.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read as _;
use std::path::{Component, Path, PathBuf};

use super::PackError;
use super::ignore::Ignore;
use super::layer::{Content, Tree};
use super::layout::{LAYOUT_FILE, SCRATCH, is_image_tar};
use crate::live::watch::ignored;

/// Lines as in `.gitignore`.
const IGNORE_FILE: &str = ".emuignore";
const PACKAGES: &str = "node_modules";
/// As many links as systems follow on the way to one file.
const LINKS_MAX: usize = 40;

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
    let is_env = env_test(root, env);
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

/// Of what functions read the files that are there, with the links on the way to them, and nothing else. Env files stay out.
pub fn read_only(root: &Path, read: &BTreeSet<PathBuf>, env: &[PathBuf]) -> Files {
    let is_env = env_test(root, env);
    let (mut own, mut packages) = (BTreeSet::new(), BTreeSet::new());
    for path in read
        .iter()
        .flat_map(|path| way(root, path))
        .filter(|path| !is_env(path))
    {
        match path.split('/').any(|part| part == PACKAGES) {
            true => packages.insert(path),
            false => own.insert(path),
        };
    }
    Files {
        own: own.into_iter().collect(),
        packages: packages.into_iter().collect(),
        env_files: Vec::new(),
    }
}

/// The file that a path leads to and the links on the way there, relative to the root. Nothing when it leads to no file, or out of the
/// project, which the loader refuses.
fn way(root: &Path, path: &Path) -> Vec<String> {
    let Ok(relative) = path.strip_prefix(root) else {
        return Vec::new();
    };
    let parts = |path: &Path| -> Vec<OsString> { path.iter().rev().map(OsStr::to_owned).collect() };
    let (mut left, mut at, mut found) = (parts(relative), root.to_owned(), Vec::new());
    while let Some(part) = left.pop() {
        if part == ".." {
            at.pop();
            continue;
        }
        if part == "." {
            continue;
        }
        let next = at.join(&part);
        match std::fs::read_link(&next) {
            Ok(target) if found.len() < LINKS_MAX => {
                found.push(next);
                if target.is_absolute() {
                    // Refused when it is to be written.
                    break;
                }
                left.extend(parts(&target));
            }
            _ => at = next,
        }
    }
    if at.is_file() && left.is_empty() {
        found.push(at);
    } else if !path.exists() {
        found.clear();
    }
    let below = found.iter().filter_map(|path| path.strip_prefix(root).ok());
    below.map(slashed).collect()
}

/// Tells env files by their names and as those that were given. A link to one, or a way to it through `..`, is the same file.
fn env_test<'a>(root: &'a Path, env: &[PathBuf]) -> impl Fn(&str) -> bool + use<'a> {
    let env: BTreeSet<PathBuf> = env.iter().filter_map(|path| path.canonicalize().ok()).collect();
    move |path| {
        is_env_file(path.rsplit('/').next().unwrap_or_default())
            || !env.is_empty() && root.join(path).canonicalize().is_ok_and(|path| env.contains(&path))
    }
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
            if target.is_absolute() || leaves(Path::new(path), &target) {
                return Err(PackError::new(format!(
                    "{path} is a link to {}, which is not in the image",
                    target.display()
                ))
                .remedy(format!(
                    "make it relative and within the project, or name it in {IGNORE_FILE}"
                )));
            }
            tree.link(&to, &slashed(&target));
        } else if metadata.is_file() {
            let mode = if is_executable(&metadata) { 0o755 } else { 0o644 };
            tree.file(&to, Content::Path(file), mode, 0);
        }
    }
    Ok(())
}

/// Whether a relative link leads out of the folder that paths are relative to.
fn leaves(link: &Path, target: &Path) -> bool {
    let above = link.components().count().saturating_sub(1);
    let mut depth = isize::try_from(above).unwrap_or(isize::MAX);
    target.components().any(|part| {
        match part {
            Component::ParentDir => depth -= 1,
            Component::Normal(_) => depth += 1,
            _ => {}
        }
        depth < 0
    })
}

/// What this command has written, or is writing.
fn is_image(root: &Path, path: &str, out: Option<&Path>) -> bool {
    let file = root.join(path);
    let name = path.rsplit('/').next().unwrap_or_default();
    out == Some(&file) || name.starts_with(SCRATCH) || file.join(LAYOUT_FILE).is_file() || is_image_tar(&file)
}

/// `.env`, `.env.production`, `.dev.vars`: secrets never go along. Examples of them do.
fn is_env_file(name: &str) -> bool {
    let is_example = [".example", ".sample", ".template"]
        .iter()
        .any(|end| name.ends_with(end));
    (name == ".env" || name.starts_with(".env.") || name.starts_with(".dev.vars")) && !is_example
}

/// Tells private keys and logins by their names and what they begin with.
pub fn holds_secrets(path: &Path) -> bool {
    const BEGINNING: u64 = 64 << 10;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    let marks: &[&str] = match (&*name, &*extension) {
        (".npmrc", _) => &["_authToken=", "_auth=", "_password="],
        (".netrc" | ".pgpass" | ".git-credentials", _) | (_, "p12" | "pfx" | "jks" | "kdbx") => return true,
        ("id_rsa" | "id_dsa" | "id_ecdsa" | "id_ed25519", _) | (_, "pem" | "key") => &["PRIVATE KEY"],
        (_, "json") => &["\"private_key\":"],
        _ => return false,
    };
    let mut text = Vec::new();
    let read = File::open(path).and_then(|file| file.take(BEGINNING).read_to_end(&mut text));
    let text = String::from_utf8_lossy(&text);
    read.is_ok() && marks.iter().any(|mark| text.contains(mark))
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
    fn a_link_leads_out_or_stays() {
        let leaves = |link: &str, target: &str| leaves(Path::new(link), Path::new(target));
        assert!(!leaves("a/b.js", "../c.js") && !leaves("node_modules/@x/y", "../../packages/y"));
        assert!(leaves("b.js", "../c.js") && leaves("a/b", "../../c") && leaves("a/b", "../../a/c"));
    }

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
            ("older.tar", "blobs/sha256/00000000"),
            ("data.tar", "data/of/its/own/kind"),
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
                "data.tar",
                "emu.toml",
                "functions/api.ts",
                "target/f.wasm"
            ]
        );
        assert_eq!(files.packages, ["node_modules/zod/index.js"]);
        assert_eq!(files.env_files, [".env", ".env.local", "deploy/production.vars"]);
    }
}
