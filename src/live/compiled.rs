//! A project's functions built, loaded and compiled, without serving them: what an image of the project needs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use super::build;
use super::reload::source;
use crate::engine::{Engine, EngineOptions, LoadError};
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
    let plain = |message: String| LoadError {
        message,
        place: None,
        detail: None,
        watch: Vec::new(),
    };
    let engine =
        Engine::new(EngineOptions::default()).map_err(|error| (project.name.clone(), plain(format!("{error:#}"))))?;
    let mut compiled = Compiled::default();
    let mut known = BTreeSet::new();
    for function in project.functions.values() {
        let failed = |error| (function.name.clone(), error);
        if let Some(command) = &function.build {
            build::run(command, &project.root, Arc::new(|_, _| {}))
                .await
                .map_err(failed)?;
        }
        let loaded = engine.load(&source(project, function)).await.map_err(failed)?;
        compiled.read.extend(loaded.watch);
        compiled.read.insert(project.root.join(&function.source));
        let code = engine.compiled_code();
        let new: BTreeSet<PathBuf> = match function.kind {
            // Two functions may be the same component.
            SourceKind::Wasm => engine.last_compiled().into_iter().collect(),
            SourceKind::Script => code.difference(&known).cloned().collect(),
        };
        match function.kind {
            SourceKind::Script => compiled.runtime.extend(new),
            SourceKind::Wasm => {
                compiled.functions.insert(function.name.clone(), new);
            }
        }
        known = code;
    }
    Ok(compiled)
}
