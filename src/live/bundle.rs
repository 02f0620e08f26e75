//! One function loaded by itself and written as a component: what `emu bundle` does.

use bytes::Bytes;

use super::alone::{built, settings};
use super::reload::source;
use crate::engine::js::{Bundle, Plain};
use crate::engine::{Engine, LoadError};
use crate::project::{Function, Project};

/// The function as a component, or why there can be none. Builds it first, if it has a build.
///
/// # Errors
/// When the function does not build or load.
pub async fn bundle(
    engine: &Engine,
    project: &Project,
    function: &Function,
    intl: Option<bool>,
) -> Result<Result<Bundle, String>, LoadError> {
    let version = built(engine, project, function).await?.version;
    Ok(engine.bundle(&version, &settings(project, function)?, intl))
}

/// A function that is WebAssembly, as a component. Builds it first, if it has a build.
///
/// # Errors
/// When the function does not build or load.
pub async fn component(engine: &Engine, project: &Project, function: &Function) -> Result<Bytes, LoadError> {
    built(engine, project, function).await?;
    engine.component_of(&source(project, function))
}

/// A Lambda-style handler as files for Node.js, or why there can be none. Builds it first, if it has a build.
///
/// # Errors
/// When the function does not build or load.
pub async fn plain_files(
    engine: &Engine,
    project: &Project,
    function: &Function,
) -> Result<Result<Plain, String>, LoadError> {
    let version = built(engine, project, function).await?.version;
    Ok(engine.plain_files(&version))
}
