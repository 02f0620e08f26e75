//! One function loaded by itself, outside of a running emulator.

use std::sync::Arc;

use super::reload::source;
use super::{build, table};
use crate::engine::{Engine, EngineOptions, LoadError, Loaded, Settings, Version};
use crate::project::{Function, Project};
use crate::provider;

/// A function that is ready to be run.
pub struct Alone {
    pub engine: Engine,
    pub version: Version,
    pub settings: Settings,
}

impl Alone {
    /// With an engine of its own. Builds the function first, if it has a build.
    ///
    /// # Errors
    /// When the function does not build or load.
    pub async fn load(project: &Project, function: &Function) -> Result<Alone, LoadError> {
        let engine = engine()?;
        let version = built(&engine, project, function).await?.version;
        Ok(Alone {
            settings: settings(project, function)?,
            engine,
            version,
        })
    }
}

/// An engine to load functions with; one does for all of a project, as it compiles what runs scripts once.
///
/// # Errors
/// When this machine cannot have one.
pub fn engine() -> Result<Engine, LoadError> {
    Engine::new(EngineOptions::default()).map_err(|error| plain(format!("{error:#}")))
}

/// A function loaded, after its build, if it has one.
///
/// # Errors
/// When the function does not build or load.
pub async fn built(engine: &Engine, project: &Project, function: &Function) -> Result<Loaded, LoadError> {
    if let Some(command) = &function.build {
        build::run(command, &project.root, Arc::new(|_, _| {})).await?;
    }
    engine.load(&source(project, function)).await
}

/// What a function is run by.
///
/// # Errors
/// When the project's provider is unknown.
pub fn settings(project: &Project, function: &Function) -> Result<Settings, LoadError> {
    let profile = provider::by_id(&project.provider).map_err(|error| plain(error.to_string()))?;
    Ok(table::settings(function, &table::Limits::of(&profile)))
}

/// A function's version as it lies on the disk.
pub async fn version(engine: &Engine, project: &Project, function: &Function) -> Result<Version, LoadError> {
    Ok(engine.load(&source(project, function)).await?.version)
}

fn plain(message: String) -> LoadError {
    LoadError {
        message,
        place: None,
        detail: None,
        watch: Vec::new(),
    }
}
