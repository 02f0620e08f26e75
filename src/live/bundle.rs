//! One function loaded by itself and written as a component: what `emu bundle` does.

use std::sync::Arc;

use super::{build, table};
use crate::engine::js::Bundle;
use crate::engine::{Engine, EngineOptions, LoadError, Source};
use crate::project::{Function, Project};
use crate::provider;

/// The function as a component, or why there can be none. Builds it first, if it has a build.
///
/// # Errors
/// When the function does not build or load.
pub async fn bundle(
    project: Project,
    function: Function,
    intl: Option<bool>,
) -> Result<Result<Bundle, String>, LoadError> {
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
    let source = Source {
        function: function.name.clone(),
        project_root: project.root.clone(),
        entry: project.root.join(&function.source),
        env: function.env.clone(),
    };
    let version = engine.load(&source).await?.version;
    let profile = provider::by_id(&project.provider).map_err(|error| plain(error.to_string()))?;
    let settings = table::settings(&function, &table::Limits::of(&profile));
    Ok(engine.bundle(&version, &settings, intl))
}
