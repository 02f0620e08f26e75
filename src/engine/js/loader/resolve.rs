//! From a specifier to a file, as bundlers do it: extensions and index files are implied, `.js` may mean `.ts`, bare names are
//! packages of a `node_modules` folder between the importer and the project root.

use std::collections::{BTreeSet, HashMap};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::manifest::{Manifest, Target, Use};
use super::parsed::Kind;
use super::tsconfig::{self, Compiler, Config};
use super::{builtin, refused};

/// What a specifier means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Canonical, below the project root.
    File(PathBuf),
    /// One that emu brings, by its name.
    Builtin(&'static str),
}

pub struct Resolver {
    root: PathBuf,
    production: bool,
    probed: BTreeSet<PathBuf>,
    manifests: HashMap<PathBuf, Option<Arc<Manifest>>>,
    configs: HashMap<PathBuf, Option<Arc<Config>>>,
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

/// Whether a path lies in an installed package.
pub fn is_installed(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "node_modules")
}

impl Resolver {
    pub fn new(root: &Path, production: bool) -> Resolver {
        Resolver {
            root: root.to_path_buf(),
            production,
            probed: BTreeSet::new(),
            manifests: HashMap::new(),
            configs: HashMap::new(),
        }
    }

    /// Paths that were looked for and are not there, and those beside the sources that had a say. A change at one of them
    /// may change the answer.
    pub fn take_probed(&mut self) -> BTreeSet<PathBuf> {
        std::mem::take(&mut self.probed)
    }

    /// What a specifier means.
    ///
    /// # Errors
    /// A fragment that names the specifier and says what to do.
    pub fn resolve(&mut self, importer: &Path, specifier: &str, by: Use) -> Result<Found, String> {
        if let Some(name) = builtin::find(specifier) {
            return Ok(Found::Builtin(name));
        }
        if specifier.starts_with("./") || specifier.starts_with("../") || specifier == "." || specifier == ".." {
            let folder = importer.parent().unwrap_or(&self.root);
            let path = normalize(&folder.join(specifier));
            return match self.file(&path, by)? {
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
        if let Some(found) = self.by_config(importer, specifier, by)? {
            return Ok(found);
        }
        if specifier.contains(':') {
            return Err(refused::scheme(specifier));
        }
        if specifier.starts_with('#') {
            return self.package_import(importer, specifier, by);
        }
        self.bare(importer, specifier, by)
    }

    /// A name: of the importer's own replacements, of a module of Node, of the importer's package itself, of a package.
    fn bare(&mut self, importer: &Path, specifier: &str, by: Use) -> Result<Found, String> {
        if let Some((folder, manifest)) = self.scope(importer)? {
            if let Some(instead) = manifest.in_browsers(specifier) {
                return self.replaced(&folder, instead, importer, by);
            }
            if let Some(name) = builtin::find_bare(specifier) {
                return Ok(Found::Builtin(name));
            }
            let (name, rest) = split_package(specifier);
            if manifest.name() == Some(name) && manifest.has_exports() {
                let target = self
                    .exported(&folder, &manifest, rest, by)
                    .map_err(|why| format!("cannot import {specifier:?}: {why}"))?;
                return self.inside(specifier, &target);
            }
        } else if let Some(name) = builtin::find_bare(specifier) {
            return Ok(Found::Builtin(name));
        }
        self.package(importer, specifier, by)
    }

    /// What a package puts in the place of a file or name: a file of its own, another package, or nothing.
    fn replaced(&mut self, folder: &Path, instead: &str, importer: &Path, by: Use) -> Result<Found, String> {
        if instead.is_empty() {
            return Ok(Found::Builtin(builtin::EMPTY));
        }
        if !instead.starts_with('.') {
            if let Some(name) = builtin::find(instead).or_else(|| builtin::find_bare(instead)) {
                return Ok(Found::Builtin(name));
            }
            return self.package(importer, instead, by);
        }
        let path = normalize(&folder.join(instead));
        match self.plain_file(&path) {
            Some(file) => self.inside(instead, &file),
            None => Err(format!("its package names {instead:?}, which is not there")),
        }
    }

    /// Follows symbolic links and refuses what leaves the project.
    fn real(&mut self, specifier: &str, path: &Path) -> Result<PathBuf, String> {
        let real = path
            .canonicalize()
            .map_err(|cause| format!("cannot read {specifier:?}: {cause}"))?;
        if !real.starts_with(&self.root) {
            return Err(format!(
                "cannot import {specifier:?}: it lies outside of the project {}; start emu in the folder above (--project)",
                self.root.display()
            ));
        }
        // A link that is pointed elsewhere changes the answer too.
        if real != path {
            self.probed.insert(path.to_path_buf());
        }
        Ok(real)
    }

    /// The file that a path means, or what its package puts in its place in browsers.
    fn inside(&mut self, specifier: &str, path: &Path) -> Result<Found, String> {
        let real = self.real(specifier, path)?;
        if is_installed(&real)
            && let Some((folder, manifest)) = self.scope(&real)?
            && let Some(below) = real.strip_prefix(&folder).ok().and_then(Path::to_str)
            && let Some(instead) = manifest.in_browsers(&format!("./{}", below.replace('\\', "/")))
        {
            if instead.is_empty() {
                return Ok(Found::Builtin(builtin::EMPTY));
            }
            if let Some(file) = self.plain_file(&normalize(&folder.join(instead))) {
                return self.real(specifier, &file).map(Found::File);
            }
        }
        Ok(Found::File(real))
    }

    fn is_file(&mut self, path: &Path) -> bool {
        if path.is_file() {
            return true;
        }
        self.probed.insert(path.to_path_buf());
        false
    }

    /// A file for a path without certain extension, or the entry of a folder.
    fn file(&mut self, path: &Path, by: Use) -> Result<Option<PathBuf>, String> {
        if let Some(file) = self.plain_file(path) {
            return Ok(Some(file));
        }
        if path.is_dir()
            && let Some(manifest) = self.manifest(path)?
        {
            let entries: Vec<PathBuf> = manifest.entries(by).map(|main| normalize(&path.join(main))).collect();
            for entry in entries {
                if let Some(file) = self.plain_file(&entry).or_else(|| self.index(&entry)) {
                    return Ok(Some(file));
                }
            }
        }
        Ok(self.index(path))
    }

    fn plain_file(&mut self, path: &Path) -> Option<PathBuf> {
        if self.is_file(path) {
            return Some(path.to_path_buf());
        }
        // TypeScript sources name the file that a compiler would write.
        for (written, meant) in [
            ("js", "ts"),
            ("js", "tsx"),
            ("mjs", "mts"),
            ("cjs", "cts"),
            ("jsx", "tsx"),
        ] {
            if path.extension().is_some_and(|extension| extension == written) {
                let path = path.with_extension(meant);
                if self.is_file(&path) {
                    return Some(path);
                }
            }
        }
        let name = path.file_name()?.to_str()?;
        for extension in Kind::implied(path) {
            let path = path.with_file_name(format!("{name}.{extension}"));
            if self.is_file(&path) {
                return Some(path);
            }
        }
        None
    }

    fn index(&mut self, folder: &Path) -> Option<PathBuf> {
        let mut indexes = Kind::implied(folder)
            .iter()
            .map(|extension| folder.join(format!("index.{extension}")));
        indexes.find(|path| self.is_file(path))
    }

    fn package(&mut self, importer: &Path, specifier: &str, by: Use) -> Result<Found, String> {
        let (name, rest) = split_package(specifier);
        let folders: Vec<PathBuf> = importer.ancestors().skip(1).map(Path::to_path_buf).collect();
        for folder in folders {
            let package = folder.join("node_modules").join(name);
            if !folder.starts_with(&self.root) {
                if package.is_dir() {
                    return Err(format!(
                        "cannot import {specifier:?}: its package lies outside of the project, in {}; start emu there \
                         (--project) or install it in the project",
                        folder.display()
                    ));
                }
                continue;
            }
            if package.is_dir() {
                let target = self
                    .package_entry(&package, rest, by)
                    .map_err(|why| format!("cannot import {specifier:?}: {why}"))?;
                return self.inside(specifier, &target);
            }
            self.probed.insert(package);
        }
        Err(refused::node(specifier).unwrap_or_else(|| {
            format!("cannot find package {name:?}: install it with `npm install {name}` in the project")
        }))
    }

    fn manifest(&mut self, package: &Path) -> Result<Option<Arc<Manifest>>, String> {
        if let Some(known) = self.manifests.get(package) {
            return Ok(known.clone());
        }
        let path = package.join("package.json");
        let mut manifest = None;
        if self.is_file(&path) {
            // Its entry points are part of the answer: a change counts.
            self.probed.insert(path.clone());
            let text = std::fs::read(&path).map_err(|cause| format!("failed to read {}: {cause}", path.display()))?;
            let parsed = Manifest::parse(&text).map_err(|cause| format!("{}: {cause}", path.display()))?;
            manifest = Some(Arc::new(parsed));
        }
        self.manifests.insert(package.to_path_buf(), manifest.clone());
        Ok(manifest)
    }

    /// The package a file belongs to: the nearest package.json above it, within the project and its package.
    fn scope(&mut self, file: &Path) -> Result<Option<(PathBuf, Arc<Manifest>)>, String> {
        let folders: Vec<PathBuf> = file.ancestors().skip(1).map(Path::to_path_buf).collect();
        for folder in folders {
            if !folder.starts_with(&self.root) || folder.ends_with("node_modules") {
                break;
            }
            if let Some(manifest) = self.manifest(&folder)? {
                return Ok(Some((folder, manifest)));
            }
        }
        Ok(None)
    }

    /// Whether the package of a file says `"type": "module"`.
    ///
    /// # Errors
    /// When its package.json is none.
    pub fn in_module_package(&mut self, file: &Path) -> Result<bool, String> {
        Ok(self.scope(file)?.is_some_and(|(_, manifest)| manifest.is_module()))
    }

    fn package_entry(&mut self, package: &Path, rest: &str, by: Use) -> Result<PathBuf, String> {
        let Some(manifest) = self.manifest(package)? else {
            let path = if rest.is_empty() {
                package.to_path_buf()
            } else {
                package.join(rest)
            };
            return self
                .file(&path, by)?
                .ok_or_else(|| "its package has no entry file".to_owned());
        };
        if manifest.has_exports() {
            return self.exported(package, &manifest, rest, by);
        }
        if !rest.is_empty() {
            return self
                .file(&normalize(&package.join(rest)), by)?
                .ok_or_else(|| format!("its package has no {rest:?}"));
        }
        self.file(package, by)?
            .ok_or_else(|| "its package has no entry file".to_owned())
    }

    /// What a package's `exports` say of a path below it.
    fn exported(&mut self, package: &Path, manifest: &Manifest, rest: &str, by: Use) -> Result<PathBuf, String> {
        let subpath = if rest.is_empty() {
            ".".to_owned()
        } else {
            format!("./{rest}")
        };
        // Packages for one of the two module kinds alone are taken as they are: both are understood.
        let other = if by == Use::Import { Use::Require } else { Use::Import };
        let found = manifest
            .export(&subpath, by, self.production)
            .or_else(|| manifest.export(&subpath, other, self.production));
        let Some(Target::Path(target)) = found else {
            return Err(format!("its package does not export {subpath:?}"));
        };
        self.plain_file(&normalize(&package.join(&target)))
            .ok_or_else(|| format!("its package names {target:?}, which is not there"))
    }

    /// `#name`: the `imports` of the importer's own package.
    fn package_import(&mut self, importer: &Path, specifier: &str, by: Use) -> Result<Found, String> {
        let target = self.scope(importer)?.and_then(|(folder, manifest)| {
            manifest
                .import(specifier, by, self.production)
                .map(|target| (folder, target))
        });
        match target {
            Some((folder, Target::Path(target))) if target.starts_with("./") => {
                let path = normalize(&folder.join(&target));
                match self.file(&path, by)? {
                    Some(file) => self.inside(specifier, &file),
                    None => Err(format!("cannot find {specifier:?}: {target:?} is not there")),
                }
            }
            Some((_, Target::Path(target))) => self.resolve(importer, &target, by),
            _ => Err(format!(
                "cannot find {specifier:?}: no package.json above the importer has it under \"imports\""
            )),
        }
    }

    /// `paths` and `baseUrl` of the importer's tsconfig.json.
    fn by_config(&mut self, importer: &Path, specifier: &str, by: Use) -> Result<Option<Found>, String> {
        let Some(config) = self.config(importer)? else {
            return Ok(None);
        };
        for candidate in config.candidates(specifier) {
            if let Some(file) = self.file(&candidate, by)? {
                return self.inside(specifier, &file).map(Some);
            }
        }
        Ok(None)
    }

    /// The tsconfig.json (or jsconfig.json) that holds for a file; none for those of packages.
    fn config(&mut self, file: &Path) -> Result<Option<Arc<Config>>, String> {
        if is_installed(file) {
            return Ok(None);
        }
        let mut passed = Vec::new();
        let mut found = None;
        let folders: Vec<PathBuf> = file.ancestors().skip(1).map(Path::to_path_buf).collect();
        for folder in folders {
            if !folder.starts_with(&self.root) {
                break;
            }
            if let Some(known) = self.configs.get(&folder) {
                found = known.clone();
                break;
            }
            let path = ["tsconfig.json", "jsconfig.json"].map(|name| folder.join(name));
            let path = path.into_iter().find(|path| self.is_file(path));
            passed.push(folder);
            if let Some(path) = path {
                found = Some(tsconfig::load(&path, &mut self.probed)?);
                break;
            }
        }
        for folder in passed {
            self.configs.insert(folder, found.clone());
        }
        Ok(found)
    }

    /// How a file is to be made JavaScript.
    ///
    /// # Errors
    /// When its tsconfig.json is none.
    pub fn compiler(&mut self, file: &Path) -> Result<Compiler, String> {
        Ok(self
            .config(file)?
            .map(|config| config.compiler.clone())
            .unwrap_or_default())
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
