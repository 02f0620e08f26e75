//! `*.sim.toml`: read as `emu.toml` is, by a table of keys and with every problem at its place, into a [`Scene`].

pub mod keys;
mod overrides;
mod scene;
pub mod spread;
#[cfg(test)]
mod tests;
mod trace;

use std::path::Path;
use std::sync::Arc;

use toml::de::DeTable;

use super::Scene;
use crate::project::diagnostic::{Diagnostic, Diagnostics, Source, nearest};
use crate::project::manifest::report_syntax;
use crate::project::read::Sink;
use crate::project::shown;

pub use overrides::{Override, bare_or_quoted};

/// How file names end.
pub const ENDING: &str = ".sim.toml";

/// A file above this is refused rather than read.
const BYTES_MAX: u64 = 1 << 20;

/// A file, read.
#[derive(Clone)]
pub struct Plan {
    pub name: String,
    pub scene: Scene,
    pub seed: u64,
    pub replications: u32,
    pub warnings: Vec<Diagnostic>,
    /// What the figures rest on besides what the file says, in a sentence each.
    pub assumptions: Vec<String>,
}

/// Reads a file's text.
///
/// # Errors
/// When it cannot be read, is too large, or is not there: then with the name that is nearest.
pub fn read_text(path: &Path) -> Result<String, Diagnostics> {
    let fault = |error: std::io::Error| {
        Diagnostics::from(Diagnostic::error(format!("{} cannot be read: {error}", path.display())))
    };
    let meta = match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(missing(path).into()),
        meta => meta.map_err(fault)?,
    };
    if meta.is_dir() {
        let problem = Diagnostic::error(format!("{} is a folder", path.display()));
        return Err(problem
            .remedy(format!(
                "name a file such as shop{ENDING}; `--project DIR` takes a project"
            ))
            .into());
    }
    if meta.len() > BYTES_MAX {
        return Err(Diagnostic::error(format!("{} is larger than {BYTES_MAX} bytes", path.display())).into());
    }
    std::fs::read_to_string(path).map_err(fault)
}

fn missing(path: &Path) -> Diagnostic {
    let folder = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let wanted = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let files = in_folder(folder);
    let names = files.iter().filter_map(|file| file.file_name()?.to_str());
    let remedy = match nearest(&wanted, names) {
        Some(near) => format!("did you mean {}?", folder.join(near).display()),
        None => "`emu simulate` without a file shows how one begins".to_owned(),
    };
    Diagnostic::error(format!("there is no {}", path.display())).remedy(remedy)
}

/// The simulation files of a folder, by name.
pub fn in_folder(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<_> = entries
        .map(|entry| entry.path())
        .filter(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().ends_with(ENDING))
        })
        .collect();
    files.sort();
    files
}

/// Makes a plan of a file's text, with some of its values replaced.
///
/// # Errors
/// Everything that is wrong, warnings included.
pub fn read(path: &Path, text: &str, overrides: &[Override]) -> Result<Plan, Diagnostics> {
    let (joined, begins) = overrides::joined(text, overrides);
    let source = Arc::new(Source {
        name: shown(path),
        path: path.to_owned(),
        text: joined,
    });
    let mut sink = Sink::new(Arc::clone(&source));
    let (mut root, syntax) = DeTable::parse_recoverable(&source.text[..begins]);
    report_syntax(&source.text[..begins], &syntax, &mut sink);
    if !syntax.is_empty() {
        return Err(Diagnostics(sink.list));
    }
    // Positions of what is set are those behind the file's own text.
    let set = format!("{}{}", " ".repeat(begins), &source.text[begins..]);
    let (set, syntax) = DeTable::parse_recoverable(&set);
    report_syntax(&source.text, &syntax, &mut sink);
    overrides::merge(root.get_mut(), set.into_inner());
    let file_name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let plan = scene::plan(&root, &file_name, &mut sink);
    sink.list
        .sort_by_key(|problem| problem.place.as_ref().map(|place| place.span.start));
    match plan {
        Some(plan) if !sink.list.iter().any(Diagnostic::is_error) => Ok(Plan {
            warnings: sink.list,
            ..plan
        }),
        _ => Err(Diagnostics(sink.list)),
    }
}
