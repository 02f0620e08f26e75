//! One function loaded by itself, outside of a running emulator.

use std::sync::Arc;

use super::reload::source;
use super::{build, table};
use crate::engine::{Engine, EngineOptions, LoadError, Settings, Version};
use crate::project::{Function, Project};
use crate::provider;

/// A function that is ready to be run, with an engine of its own.
pub struct Alone {
    pub engine: Engine,
    pub version: Version,
    pub settings: Settings,
}

impl Alone {
    /// Builds it first, if it has a build.
    ///
    /// # Errors
    /// When the function does not build or load.
    pub async fn load(project: &Project, function: &Function) -> Result<Alone, LoadError> {
        let plain = |message: String| LoadError {
            message,
            place: None,
            detail: None,
            watch: Vec::new(),
        };
        if let Some(command) = &function.build {
            build::run(command, &project.root, Arc::new(|_, _| {})).await?;
        }
        let engine = Engine::new(EngineOptions::default()).map_err(|error| plain(format!("{error:#}")))?;
        let version = version(&engine, project, function).await?;
        let profile = provider::by_id(&project.provider).map_err(|error| plain(error.to_string()))?;
        let settings = table::settings(function, &table::Limits::of(&profile));
        Ok(Alone {
            engine,
            version,
            settings,
        })
    }
}

/// A function's version as it lies on the disk.
pub async fn version(engine: &Engine, project: &Project, function: &Function) -> Result<Version, LoadError> {
    Ok(engine.load(&source(project, function)).await?.version)
}
