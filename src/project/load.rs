//! Finds a project from where a person stands, and loads it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::check;
use super::diagnostic::{Diagnostic, Diagnostics, Source};
use super::discover::{self, FOLDER, is_name, kind_of, slashed};
use super::env::EnvFiles;
use super::foreign;
use super::manifest::{self, Manifest};
use super::read::Sink;
use super::secrets;
use super::{DevSettings, HistorySettings, HttpSettings, Project, Route};
use crate::provider::{self, Profile};

/// The manifest's file name.
pub const MANIFEST: &str = "emu.toml";

/// A manifest above this is refused rather than read.
const MANIFEST_BYTES_MAX: u64 = 1 << 20;

/// A project, and what is odd about it.
#[derive(Debug)]
pub struct Loaded {
    pub project: Project,
    pub warnings: Vec<Diagnostic>,
}

/// What the command line says about the project.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// A profile id that wins over the manifest's.
    pub provider: Option<String>,
    /// Files beside `.env` and `.env.local`, absolute; they must be there.
    pub env_files: Vec<PathBuf>,
    /// Functions that are served here; those of the others need no source. Empty: all.
    pub only: BTreeSet<String>,
}

impl Project {
    /// Loads the project at `path`: a folder, its emu.toml, or one function's file, which is then served alone at `/*`.
    /// Without a path: the nearest folder from the working directory upward that has emu.toml or `functions/`.
    ///
    /// # Errors
    /// Everything that is wrong, warnings included.
    pub fn load(path: Option<&Path>) -> Result<Loaded, Diagnostics> {
        Project::load_with(path, &LoadOptions::default())
    }

    /// [`Project::load`] with what the command line says.
    ///
    /// # Errors
    /// Everything that is wrong, warnings included.
    pub fn load_with(path: Option<&Path>, options: &LoadOptions) -> Result<Loaded, Diagnostics> {
        let target = find(path)?;
        let root = match &target {
            Target::Folder(root) => root.clone(),
            Target::File(file) => parent(file),
        };
        let env = EnvFiles::read(&root, &options.env_files);
        let loaded = match target {
            Target::Folder(root) => load_folder(&root, options),
            Target::File(file) => load_file(&file, options),
        };
        env.into_functions_of(loaded)
    }
}

/// Where a project is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A canonical folder with emu.toml or `functions/`.
    Folder(PathBuf),
    /// The canonical path of one module.
    File(PathBuf),
}

/// Finds the project at a path, or from the working directory upward.
///
/// # Errors
/// When there is none: what was looked for and, where another tool's configuration lies there, how to begin.
pub fn find(path: Option<&Path>) -> Result<Target, Diagnostics> {
    let Some(path) = path else {
        let here = std::env::current_dir()
            .map_err(|error| Diagnostic::error(format!("the working directory cannot be read: {error}")))?;
        return find_upward(&here)
            .map(Target::Folder)
            .ok_or_else(|| foreign::nothing_found(&here, true).into());
    };
    let canonical = canonical(path).map_err(|error| missing_path(path, &error))?;
    if canonical.is_dir() {
        if is_project(&canonical) {
            return Ok(Target::Folder(canonical));
        }
        let mut problem = foreign::nothing_found(&canonical, false);
        if let Some(above) = canonical.parent().and_then(find_upward) {
            problem.remedy = Some(format!("the project is {}", above.display()));
        }
        return Err(problem.into());
    }
    if canonical.file_name().is_some_and(|name| name == MANIFEST) {
        return Ok(Target::Folder(parent(&canonical)));
    }
    if kind_of(&canonical).is_some() {
        return Ok(Target::File(canonical));
    }
    Err(Diagnostic::error(format!("emu cannot run {}", path.display()))
        .remedy("name a folder, an emu.toml, or a JavaScript, TypeScript, .wasm or .wat file")
        .into())
}

/// The nearest folder with emu.toml or `functions/`, this one included.
pub(super) fn find_upward(from: &Path) -> Option<PathBuf> {
    let from = canonical(from).ok()?;
    from.ancestors().find(|folder| is_project(folder)).map(Path::to_owned)
}

fn is_project(folder: &Path) -> bool {
    folder.join(MANIFEST).is_file() || folder.join(FOLDER).is_dir()
}

/// Canonical, without the `\\?\` that Windows puts in front and that many programs cannot read.
fn canonical(path: &Path) -> std::io::Result<PathBuf> {
    let real = path.canonicalize()?;
    let plain = real
        .to_str()
        .and_then(|text| text.strip_prefix(r"\\?\"))
        .filter(|rest| !rest.starts_with("UNC"));
    Ok(plain.map_or(real.clone(), PathBuf::from))
}

fn parent(path: &Path) -> PathBuf {
    path.parent().unwrap_or(path).to_owned()
}

fn missing_path(path: &Path, error: &std::io::Error) -> Diagnostics {
    if error.kind() != std::io::ErrorKind::NotFound {
        return Diagnostic::error(format!("{} cannot be read: {error}", path.display())).into();
    }
    let wanted = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let folder = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut names: Vec<String> = fs::read_dir(folder)
        .map(|entries| {
            entries
                .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
                .collect()
        })
        .unwrap_or_default();
    names.sort();
    let near = super::diagnostic::nearest(&wanted, names.iter().map(String::as_str));
    Diagnostic::error(format!("there is no {}", path.display()))
        .remedy(match near {
            Some(near) => format!("did you mean {}?", folder.join(near).display()),
            None => "`emu new DIR` makes a new project".to_owned(),
        })
        .into()
}

fn load_folder(root: &Path, options: &LoadOptions) -> Result<Loaded, Diagnostics> {
    let file = root.join(MANIFEST);
    let text = match read_manifest(&file) {
        Ok(text) => text,
        Err(problem) => return Err((*problem).into()),
    };
    let source = Source {
        name: shown(&file),
        path: file.clone(),
        text: text.clone().unwrap_or_default(),
    };
    let mut loaded = load_text(source, root, options)?;
    loaded.project.manifest = text.map(|_| file);
    if loaded.project.functions.is_empty() && loaded.project.elsewhere.is_empty() {
        loaded.warnings.push(
            Diagnostic::warning(format!(
                "the project has no functions: {} holds none",
                slashed_folder(root)
            ))
            .remedy(format!(
                "create {FOLDER}/hello.js, or declare one in {MANIFEST}; `emu new DIR` shows how"
            )),
        );
    }
    Ok(loaded)
}

fn slashed_folder(root: &Path) -> String {
    shown(&root.join(FOLDER))
}

/// `None` when there is no manifest.
fn read_manifest(file: &Path) -> Result<Option<String>, Box<Diagnostic>> {
    let fault =
        |error: &dyn std::fmt::Display| Box::new(Diagnostic::error(format!("{} cannot be read: {error}", shown(file))));
    match fs::metadata(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fault(&error)),
        Ok(metadata) if metadata.len() > MANIFEST_BYTES_MAX => return Err(fault(&"it is larger than 1MB")),
        Ok(_) => {}
    }
    let bytes = fs::read(file).map_err(|error| fault(&error))?;
    String::from_utf8(bytes).map(Some).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
        Box::new(Diagnostic::error(format!("{}:{line}: not valid UTF-8", shown(file))).remedy("save the file as UTF-8"))
    })
}

/// Loads a manifest's text against a folder. An empty text is a project without a manifest.
///
/// # Errors
/// Everything that is wrong, warnings included, in the order of the file.
pub fn load_text(source: Source, root: &Path, options: &LoadOptions) -> Result<Loaded, Diagnostics> {
    let source = Arc::new(source);
    let mut sink = Sink::new(Arc::clone(&source));
    let manifest = manifest::read(&source.text, &mut sink);
    if sink
        .list
        .iter()
        .any(|problem| problem.is_error() && problem.message.starts_with(manifest::SYNTAX))
    {
        return Err(Diagnostics(sink.list));
    }
    let profile = profile_of(&manifest, options)?;
    let mut found = discover::discover(root)
        .map_err(|error| Diagnostic::error(format!("{} cannot be read: {error}", slashed_folder(root))))?;
    let warnings = std::mem::take(&mut found.warnings);
    let project = check::project(&manifest, root, &profile, &found, &options.only, &mut sink);
    let mut list = sink.list;
    secrets::mask(&mut list, &source, &manifest);
    list.sort_by_key(|problem| problem.place.as_ref().map(|place| place.span.start));
    list.extend(warnings.into_iter().filter(|warning| !is_declared(warning, &manifest)));
    if list.iter().any(Diagnostic::is_error) {
        return Err(Diagnostics(list));
    }
    Ok(Loaded {
        project,
        warnings: list,
    })
}

/// A file that is no function by itself but is built into a declared one needs no warning.
fn is_declared(warning: &Diagnostic, manifest: &Manifest) -> bool {
    manifest.functions.iter().any(|function| {
        let name = &function.name.value;
        warning.message.starts_with(&format!("{FOLDER}/{name}."))
            || warning.message.starts_with(&format!("{FOLDER}/{name} "))
    })
}

fn profile_of(manifest: &Manifest, options: &LoadOptions) -> Result<Arc<Profile>, Diagnostics> {
    let written = manifest.provider.as_ref().map(|provider| provider.value.as_str());
    let id = options.provider.as_deref().or(written).unwrap_or(provider::DEFAULT_ID);
    provider::by_id(id).map_err(|unknown| {
        Diagnostic::error(format!("no provider is called `{id}`"))
            .remedy(manifest::providers(unknown.nearest))
            .into()
    })
}

/// One module, served alone on every path.
fn load_file(file: &Path, options: &LoadOptions) -> Result<Loaded, Diagnostics> {
    let root = parent(file);
    let profile = profile_of(&Manifest::default(), options)?;
    let stem = file
        .file_stem()
        .map(|stem| stem.to_string_lossy().into_owned())
        .unwrap_or_default();
    let name = if is_name(&stem) { stem } else { "function".to_owned() };
    let source = file.file_name().map(PathBuf::from).unwrap_or_default();
    let function = check::plain_function(&name, source, vec![Route::everything()], &profile);
    let project = Project {
        name: check::folder_name(&root),
        root,
        provider: profile.id.clone(),
        functions: [(name, function)].into(),
        elsewhere: Default::default(),
        queues: Default::default(),
        kv: Default::default(),
        topics: Default::default(),
        http: HttpSettings::default(),
        history: HistorySettings::default(),
        dev: DevSettings::default(),
        secrets: Default::default(),
        secret_values: Default::default(),
        env_files: Vec::new(),
        env_names: Default::default(),
        manifest: None,
    };
    Ok(Loaded {
        project,
        warnings: Vec::new(),
    })
}

/// A path as people should see it: relative to the working directory where it lies below that.
pub fn shown(path: &Path) -> String {
    let here = std::env::current_dir().ok().and_then(|here| canonical(&here).ok());
    match here.as_deref().and_then(|here| path.strip_prefix(here).ok()) {
        Some(relative) if !relative.as_os_str().is_empty() => slashed(relative),
        Some(_) | None => path.display().to_string(),
    }
}
