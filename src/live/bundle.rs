//! One function loaded by itself and written as a component: what `emu bundle` does.

use bytes::Bytes;

use super::alone::Alone;
use super::reload::source;
use crate::engine::LoadError;
use crate::engine::js::{Bundle, Plain};
use crate::project::{Function, Project};

/// The function as a component, or why there can be none. Builds it first, if it has a build.
///
/// # Errors
/// When the function does not build or load.
pub async fn bundle(
    project: Project,
    function: Function,
    intl: Option<bool>,
) -> Result<Result<Bundle, String>, LoadError> {
    let alone = Alone::load(&project, &function).await?;
    Ok(alone.engine.bundle(&alone.version, &alone.settings, intl))
}

/// A function that is WebAssembly, as a component. Builds it first, if it has a build.
///
/// # Errors
/// When the function does not build or load.
pub async fn component(project: &Project, function: &Function) -> Result<Bytes, LoadError> {
    let alone = Alone::load(project, function).await?;
    alone.engine.component_of(&source(project, function))
}

/// A Lambda-style handler as files for Node.js, or why there can be none. Builds it first, if it has a build.
///
/// # Errors
/// When the function does not build or load.
pub async fn plain_files(project: &Project, function: &Function) -> Result<Result<Plain, String>, LoadError> {
    let alone = Alone::load(project, function).await?;
    Ok(alone.engine.plain_files(&alone.version))
}
