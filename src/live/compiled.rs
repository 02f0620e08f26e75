//! A project's functions built, loaded and compiled, without serving them: what an image of the project needs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::alone::{built, engine};
use crate::engine::LoadError;
use crate::project::{Project, SourceKind};

/// Files on the disk of this machine.
#[derive(Debug, Default)]
pub struct Compiled {
    /// Machine code of what runs scripts; none where no folder for compiled code can be used.
    pub runtime: BTreeSet<PathBuf>,
    pub functions: BTreeMap<String, Parts>,
}

/// What one function is made of.
#[derive(Debug, Default)]
pub struct Parts {
    /// Machine code of a function that is WebAssembly itself.
    pub code: BTreeSet<PathBuf>,
    /// Sources and packages that were read or looked for. Functions read no files later.
    pub read: BTreeSet<PathBuf>,
}

impl Compiled {
    /// What the functions have read together.
    pub fn read(&self) -> BTreeSet<PathBuf> {
        let read = self.functions.values().flat_map(|parts| &parts.read);
        read.cloned().collect()
    }
}

/// Runs the functions' builds and loads them all.
///
/// # Errors
/// With the first function that does not build or load.
pub async fn compile(project: &Project) -> Result<Compiled, (String, LoadError)> {
    let engine = engine().map_err(|error| (project.name.clone(), error))?;
    let mut compiled = Compiled::default();
    for function in project.functions.values() {
        let loaded = built(&engine, project, function).await;
        let loaded = loaded.map_err(|error| (function.name.clone(), error))?;
        let mut parts = Parts {
            read: loaded.watch.into_iter().collect(),
            ..Parts::default()
        };
        parts.read.insert(project.root.join(&function.source));
        if function.kind == SourceKind::Wasm {
            // Its own though another may be the same component.
            parts.code.extend(engine.last_compiled());
        }
        compiled.functions.insert(function.name.clone(), parts);
    }
    let own: BTreeSet<&PathBuf> = compiled.functions.values().flat_map(|parts| &parts.code).collect();
    let code = engine.compiled_code();
    compiled.runtime = code.into_iter().filter(|code| !own.contains(code)).collect();
    Ok(compiled)
}
