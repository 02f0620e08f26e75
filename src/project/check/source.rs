//! Which file stands behind each function.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use super::World;
use crate::project::diagnostic::{Diagnostic, nearest};
use crate::project::discover::{EXTENSIONS, FOLDER, kind_of, slashed};
use crate::project::manifest::{Manifest, RawFunction};
use crate::project::read::{At, Sink};

/// By function name: its source, relative to the root. A function whose source is wrong is missing, and reported if it is to be
/// served here.
pub fn all(manifest: &Manifest, world: &World<'_>, sink: &mut Sink) -> BTreeMap<String, PathBuf> {
    let mut sources = BTreeMap::new();
    for function in &manifest.functions {
        let said = sink.list.len();
        if let Some(source) = of_declared(function, world, sink) {
            sources.insert(function.name.value.clone(), source);
        }
        if !world.is_here(&function.name.value) {
            sink.list.truncate(said);
        }
    }
    let claimed: BTreeSet<PathBuf> = sources.values().cloned().collect();
    for (name, files) in &world.found.sources {
        if manifest.functions.iter().any(|function| function.name.value == *name) {
            continue;
        }
        let free: Vec<&PathBuf> = files.iter().filter(|file| !claimed.contains(*file)).collect();
        match free.as_slice() {
            [] => {}
            [one, ..] if !world.is_here(name) => {
                sources.insert(name.clone(), (*one).clone());
            }
            [one] => match inside(world.root, one) {
                Ok(()) => {
                    sources.insert(name.clone(), (*one).clone());
                }
                Err(fault) => {
                    sink.push(Diagnostic::error(format!("{}: {}", slashed(one), fault.message)).remedy(fault.remedy));
                }
            },
            several => {
                sink.push(two_sources(name, several));
            }
        }
    }
    sources
}

fn two_sources(name: &str, files: &[&PathBuf]) -> Diagnostic {
    let shown: Vec<String> = files.iter().map(|file| slashed(file)).collect();
    Diagnostic::error(format!("the function `{name}` has several sources: {}", shown.join(", "))).remedy(format!(
        "keep one, begin the others' names with `_`, or write `[functions.{name}]` with `source = \"{}\"` into emu.toml",
        shown.first().map_or("", String::as_str)
    ))
}

fn of_declared(function: &RawFunction, world: &World<'_>, sink: &mut Sink) -> Option<PathBuf> {
    match &function.source {
        Some(written) => resolve(written, function, world, sink),
        None => by_name(&function.name, function, world, sink),
    }
}

/// `functions/NAME.*`, for a function that does not say.
fn by_name(name: &At<String>, function: &RawFunction, world: &World<'_>, sink: &mut Sink) -> Option<PathBuf> {
    if function.build.is_some() {
        sink.error(
            &name.span,
            format!("the function `{}` has a `build` and no `source`", name.value),
        )
        .remedy("add `source = ...` with the file that the build makes");
        return None;
    }
    match world.found.sources.get(&name.value).map(Vec::as_slice) {
        Some([one]) => match inside(world.root, one) {
            Ok(()) => Some(one.clone()),
            Err(fault) => {
                sink.error(&name.span, format!("{}: {}", slashed(one), fault.message))
                    .remedy(fault.remedy);
                None
            }
        },
        Some(several) if several.len() > 1 => {
            let files: Vec<String> = several.iter().map(|file| format!("`{}`", slashed(file))).collect();
            sink.error(
                &name.span,
                format!(
                    "the function `{}` has several sources: {}",
                    name.value,
                    files.join(", ")
                ),
            )
            .remedy("say which with `source = ...`");
            None
        }
        Some(_) | None => {
            let problem = sink
                .error(&name.span, format!("the function `{}` has no source", name.value))
                .note(format!(
                    "looked for {FOLDER}/{0}.EXT and {FOLDER}/{0}/index.EXT with EXT one of {1}",
                    name.value,
                    EXTENSIONS.join(", ")
                ));
            let files = world
                .found
                .sources
                .values()
                .flatten()
                .map(|file| slashed(file))
                .collect::<Vec<_>>();
            let near = nearest(&name.value, world.found.sources.keys().map(String::as_str));
            match near.and_then(|near| files.iter().find(|file| file.contains(near))) {
                Some(file) => problem.remedy(format!("did you mean `source = \"{file}\"`?")),
                None => problem.remedy(format!("create {FOLDER}/{}.js, or add `source = ...`", name.value)),
            };
            None
        }
    }
}

fn resolve(written: &At<String>, function: &RawFunction, world: &World<'_>, sink: &mut Sink) -> Option<PathBuf> {
    let span = &written.span;
    let mut relative = match normalise(&written.value) {
        Ok(path) => path,
        Err(fault) => {
            sink.error(span, fault.message).remedy(fault.remedy);
            return None;
        }
    };
    let built = function.build.is_some();
    let mut path = world.root.join(&relative);
    if !built && path.is_dir() {
        let index = EXTENSIONS
            .iter()
            .map(|ext| format!("index.{ext}"))
            .find(|index| path.join(index).is_file());
        let Some(index) = index else {
            sink.error(span, format!("`{}` is a folder without an index file", written.value))
                .remedy("name the file itself, such as `source = \"functions/api/main.ts\"`");
            return None;
        };
        relative.push(index);
        path = world.root.join(&relative);
    }
    if kind_of(&relative).is_none() {
        wrong_kind(written, &relative, built, sink);
        return None;
    }
    if !path.is_file() {
        if built {
            return Some(relative);
        }
        let problem = sink.error(span, format!("there is no file `{}`", written.value));
        match nearest_file(world.root, &relative) {
            Some(near) => problem.remedy(format!("did you mean `{near}`?")),
            None => {
                problem.remedy("paths are relative to the folder of emu.toml; a file that is built needs `build = ...`")
            }
        };
        return None;
    }
    if let Err(fault) = inside(world.root, &relative) {
        sink.error(span, format!("`{}`: {}", written.value, fault.message))
            .remedy(fault.remedy);
        return None;
    }
    Some(relative)
}

fn wrong_kind(written: &At<String>, relative: &Path, built: bool, sink: &mut Sink) {
    let extension = relative.extension().and_then(|e| e.to_str()).unwrap_or_default();
    let message = format!(
        "emu cannot run `{}`: it runs JavaScript, TypeScript, .wasm and .wat",
        written.value
    );
    let remedy = match extension {
        // A handler as other tools name it: `src/api.handler`.
        "handler" | "fetch" | "main" | "default" => "name the file, with its extension, and no export".to_owned(),
        "" => "name the file with its extension".to_owned(),
        _ if built => "`source` is the file that the build makes, such as `app.wasm`".to_owned(),
        _ => {
            "compile it to WebAssembly with `build = ...`, and name the .wasm file that it makes as `source`".to_owned()
        }
    };
    sink.error(&written.span, message).remedy(remedy);
}

/// Why a path may not be used.
pub struct PathFault {
    pub message: String,
    pub remedy: String,
}

/// A path relative to the root without `.` and `..`.
pub fn normalise(written: &str) -> Result<PathBuf, PathFault> {
    let outside = |message: String| PathFault {
        message,
        remedy: "write a path relative to the folder of emu.toml, and within it".to_owned(),
    };
    let mut path = PathBuf::new();
    // Both separators, so that one manifest serves all systems.
    for component in Path::new(&written.replace('\\', "/")).components() {
        match component {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            Component::ParentDir => {
                if !path.pop() {
                    return Err(outside(format!("`{written}` leaves the project")));
                }
            }
            Component::RootDir | Component::Prefix(_) => {
                return Err(outside(format!("`{written}` is an absolute path")));
            }
        }
    }
    Ok(path)
}

/// Refuses symbolic links that lead out of the project.
pub fn inside(root: &Path, relative: &Path) -> Result<(), PathFault> {
    match root.join(relative).canonicalize() {
        Ok(real) if real.starts_with(root) => Ok(()),
        Ok(_) => Err(PathFault {
            message: "a symbolic link that leaves the project".to_owned(),
            remedy: "copy the file into the project, or import it from a file that is".to_owned(),
        }),
        Err(error) => Err(PathFault {
            message: format!("cannot be read: {error}"),
            remedy: "see to its permissions".to_owned(),
        }),
    }
}

/// The file beside a missing one that is called most like it.
fn nearest_file(root: &Path, missing: &Path) -> Option<String> {
    let parent = missing.parent()?;
    let wanted = missing.file_name()?.to_str()?;
    let stem = missing.file_stem()?.to_str()?;
    let mut here: Vec<String> = fs::read_dir(root.join(parent))
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| kind_of(Path::new(name)).is_some())
        .collect();
    here.sort();
    let same_stem = here
        .iter()
        .find(|name| Path::new(name).file_stem().is_some_and(|s| s == stem))
        .map(String::as_str);
    let near = same_stem.or_else(|| nearest(wanted, here.iter().map(String::as_str)))?;
    Some(slashed(&parent.join(near)))
}
