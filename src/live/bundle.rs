//! One function loaded by itself and written as a component: what `emu bundle` does.

use super::alone::Alone;
use crate::engine::LoadError;
use crate::engine::js::Bundle;
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
