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
    /// Machine code of functions that are WebAssembly themselves.
    pub functions: BTreeMap<String, BTreeSet<PathBuf>>,
    /// Sources and packages that were read or looked for.
    pub read: BTreeSet<PathBuf>,
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
        compiled.read.extend(loaded.watch);
        compiled.read.insert(project.root.join(&function.source));
        if function.kind == SourceKind::Wasm {
            // Its own though another may be the same component.
            let code = engine.last_compiled().into_iter().collect();
            compiled.functions.insert(function.name.clone(), code);
        }
    }
    let own: BTreeSet<&PathBuf> = compiled.functions.values().flatten().collect();
    let code = engine.compiled_code();
    compiled.runtime = code.into_iter().filter(|code| !own.contains(code)).collect();
    Ok(compiled)
}
