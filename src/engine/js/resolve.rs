//! From a specifier to a file, as bundlers do it: extensions and index files are implied, `.js` may mean `.ts`, bare names are
//! packages of a `node_modules` folder between the importer and the project root.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use serde_json::Value;

use super::module::Kind;

/// Conditions of `exports` and `imports` in a package.json, the best first.
const CONDITIONS: [&str; 6] = ["workerd", "worker", "browser", "module", "import", "default"];

/// Node's own modules, which a function has not; told apart from packages that are not installed.
const NODE_MODULES: [&str; 38] = [
    "assert",
    "async_hooks",
    "buffer",
    "child_process",
    "cluster",
    "console",
    "crypto",
    "dgram",
    "diagnostics_channel",
    "dns",
    "events",
    "fs",
    "fs/promises",
    "http",
    "http2",
    "https",
    "inspector",
    "module",
    "net",
    "os",
    "path",
    "perf_hooks",
    "process",
    "querystring",
    "readline",
    "stream",
    "string_decoder",
    "sys",
    "timers",
    "tls",
    "tty",
    "url",
    "util",
    "v8",
    "vm",
    "wasi",
    "worker_threads",
    "zlib",
];

pub struct Resolver {
    root: PathBuf,
    probed: BTreeSet<PathBuf>,
}

/// Takes `.` and `..` out of a path without asking the file system.
pub fn normalize(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            part => out.push(part),
        }
    }
    out
}

impl Resolver {
    pub fn new(root: &Path) -> Resolver {
        Resolver {
            root: root.to_path_buf(),
            probed: BTreeSet::new(),
        }
    }

    /// Paths that were looked for and are not there. A file that appears at one of them may change the answer.
    pub fn take_probed(&mut self) -> BTreeSet<PathBuf> {
        std::mem::take(&mut self.probed)
    }

    /// The file that a specifier means: canonical, below the project root.
    ///
    /// # Errors
    /// A fragment that names the specifier and says what to do.
    pub fn resolve(&mut self, importer: &Path, specifier: &str) -> Result<PathBuf, String> {
        if specifier.starts_with("./") || specifier.starts_with("../") || specifier == "." || specifier == ".." {
            let folder = importer.parent().unwrap_or(&self.root);
            let path = normalize(&folder.join(specifier));
            return match self.file(&path) {
                Some(file) => self.inside(specifier, &file),
                None => Err(format!(
                    "cannot find {specifier:?}: there is no such file beside the importer"
                )),
            };
        }
        if specifier.starts_with('/') {
            return Err(format!(
                "cannot import {specifier:?}: write a path relative to the importer"
            ));
        }
        if let Some(name) = specifier.strip_prefix("node:") {
            return Err(format!(
                "cannot import \"node:{name}\": functions run without Node; use the web API (fetch, crypto, URL, ...) instead"
            ));
        }
        if specifier.contains("://") || specifier.starts_with("data:") {
            return Err(format!(
                "cannot import {specifier:?}: modules come from files; download it or install its package"
            ));
        }
        if specifier.contains(':') {
            return Err(format!("cannot import {specifier:?}: emu has no such module"));
        }
        if specifier.starts_with('#') {
            return self.package_import(importer, specifier);
        }
        self.package(importer, specifier)
    }

    /// Follows symbolic links and refuses what leaves the project.
    fn inside(&mut self, specifier: &str, path: &Path) -> Result<PathBuf, String> {
        let real = path
            .canonicalize()
            .map_err(|cause| format!("cannot read {specifier:?}: {cause}"))?;
        if !real.starts_with(&self.root) {
            return Err(format!("cannot import {specifier:?}: it lies outside of the project"));
        }
        // A link that is pointed elsewhere changes the answer too.
        if real != path {
            self.probed.insert(path.to_path_buf());
        }
        Ok(real)
    }

    fn is_file(&mut self, path: &Path) -> bool {
        if path.is_file() {
            return true;
        }
        self.probed.insert(path.to_path_buf());
        false
    }

    /// A file for a path without certain extension.
    fn file(&mut self, path: &Path) -> Option<PathBuf> {
        if self.is_file(path) {
            return Some(path.to_path_buf());
        }
        // TypeScript sources name the file that a compiler would write.
        for (written, meant) in [("js", "ts"), ("mjs", "mts"), ("jsx", "tsx")] {
            if path.extension().is_some_and(|extension| extension == written) {
                let path = path.with_extension(meant);
                if self.is_file(&path) {
                    return Some(path);
                }
            }
        }
        let name = path.file_name()?.to_str()?;
        for extension in Kind::IMPLIED {
            let path = path.with_file_name(format!("{name}.{extension}"));
            if self.is_file(&path) {
                return Some(path);
            }
        }
        for extension in Kind::IMPLIED {
            let path = path.join(format!("index.{extension}"));
            if self.is_file(&path) {
                return Some(path);
            }
        }
        None
    }

    fn package(&mut self, importer: &Path, specifier: &str) -> Result<PathBuf, String> {
        let (name, rest) = split_package(specifier);
        let folders: Vec<PathBuf> = importer.ancestors().skip(1).map(Path::to_path_buf).collect();
        for folder in folders {
            if !folder.starts_with(&self.root) {
                break;
            }
            let package = folder.join("node_modules").join(name);
            if package.is_dir() {
                let target = self
                    .package_entry(&package, rest)
                    .map_err(|why| format!("cannot import {specifier:?}: {why}"))?;
                return self.inside(specifier, &target);
            }
            self.probed.insert(package);
        }
        if NODE_MODULES.contains(&specifier) {
            return Err(format!(
                "cannot import {specifier:?}: functions run without Node; use the web API (fetch, crypto, URL, ...) instead"
            ));
        }
        Err(format!(
            "cannot find package {name:?}: install it with `npm install {name}` in the project"
        ))
    }

    fn manifest(&mut self, package: &Path) -> Result<Option<Value>, String> {
        let path = package.join("package.json");
        if !self.is_file(&path) {
            return Ok(None);
        }
        // Its entry points are part of the answer: a change counts.
        self.probed.insert(path.clone());
        let text = std::fs::read(&path).map_err(|cause| format!("failed to read {}: {cause}", path.display()))?;
        serde_json::from_slice(&text)
            .map(Some)
            .map_err(|cause| format!("{}: {cause}", path.display()))
    }

    fn package_entry(&mut self, package: &Path, rest: &str) -> Result<PathBuf, String> {
        let manifest = self.manifest(package)?.unwrap_or(Value::Null);
        if let Some(exports) = manifest.get("exports").filter(|exports| !exports.is_null()) {
            let subpath = if rest.is_empty() {
                ".".to_owned()
            } else {
                format!("./{rest}")
            };
            let target =
                match_exports(exports, &subpath).ok_or_else(|| format!("its package does not export {subpath:?}"))?;
            let path = normalize(&package.join(&target));
            return self
                .file(&path)
                .ok_or_else(|| format!("its package names {target:?}, which is not there"));
        }
        if !rest.is_empty() {
            return self
                .file(&package.join(rest))
                .ok_or_else(|| format!("its package has no {rest:?}"));
        }
        for field in ["module", "main"] {
            if let Some(main) = manifest.get(field).and_then(Value::as_str)
                && let Some(file) = self.file(&normalize(&package.join(main)))
            {
                return Ok(file);
            }
        }
        self.file(&package.join("index"))
            .ok_or_else(|| "its package has no entry file".to_owned())
    }

    /// `#name`: the `imports` of the importer's own package.
    fn package_import(&mut self, importer: &Path, specifier: &str) -> Result<PathBuf, String> {
        let folders: Vec<PathBuf> = importer.ancestors().skip(1).map(Path::to_path_buf).collect();
        for folder in folders {
            if !folder.starts_with(&self.root) {
                break;
            }
            let Some(manifest) = self.manifest(&folder)? else {
                continue;
            };
            let Some(target) = manifest
                .get("imports")
                .and_then(|imports| match_exports(imports, specifier))
            else {
                break;
            };
            if !target.starts_with("./") {
                return self.package(importer, &target);
            }
            let path = normalize(&folder.join(&target));
            let file = self
                .file(&path)
                .ok_or_else(|| format!("cannot find {specifier:?}: {target:?} is not there"))?;
            return self.inside(specifier, &file);
        }
        Err(format!(
            "cannot find {specifier:?}: no package.json above the importer has it under \"imports\""
        ))
    }
}

/// `@scope/name/sub/path` into the package's name and the path below it.
fn split_package(specifier: &str) -> (&str, &str) {
    let skip = if specifier.starts_with('@') {
        specifier.find('/').map_or(0, |at| at + 1)
    } else {
        0
    };
    match specifier[skip..].find('/') {
        Some(at) => (&specifier[..skip + at], &specifier[skip + at + 1..]),
        None => (specifier, ""),
    }
}

/// The target of a subpath in `exports` or `imports`.
fn match_exports(exports: &Value, subpath: &str) -> Option<String> {
    let Value::Object(map) = exports else {
        return pick(exports, "").filter(|_| subpath == ".");
    };
    let by_path = map.keys().any(|key| key.starts_with('.') || key.starts_with('#'));
    if !by_path {
        return pick(exports, "").filter(|_| subpath == ".");
    }
    if let Some(target) = map.get(subpath) {
        return pick(target, "");
    }
    // The longest pattern wins.
    let mut best: Option<(&str, &Value, &str)> = None;
    for (pattern, target) in map {
        let Some((before, after)) = pattern.split_once('*') else {
            continue;
        };
        let Some(star) = subpath.strip_prefix(before).and_then(|tail| tail.strip_suffix(after)) else {
            continue;
        };
        if best.is_none_or(|(known, _, _)| before.len() > known.len()) {
            best = Some((before, target, star));
        }
    }
    best.and_then(|(_, target, star)| pick(target, star))
}

/// The target of the best condition that holds.
fn pick(target: &Value, star: &str) -> Option<String> {
    match target {
        Value::String(path) => Some(path.replace('*', star)),
        Value::Array(list) => list.iter().find_map(|target| pick(target, star)),
        Value::Object(map) => CONDITIONS
            .iter()
            .filter_map(|condition| map.get(*condition))
            .find_map(|target| pick(target, star)),
        _ => None,
    }
}
