//! The operations of the queue: running a build command, loading a source.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::sync::mpsc;

use super::Loader;
use super::plan::entry;
use crate::engine::{LoadError, Source, Stream};
use crate::live::build;
use crate::live::watch::print::{Depth, Hash, Print};
use crate::project::{Function, Project};

/// What an operation came to.
#[derive(Debug)]
pub enum Outcome<L> {
    Loaded {
        loaded: L,
        /// The artefact's content before the load; functions with a build only.
        artefact: Option<Hash>,
    },
    /// The artefact is the one that was loaded last.
    Same,
    /// A build command succeeded.
    Ran,
    /// A load or a build command failed.
    NotLoaded(LoadError),
}

impl<L> Outcome<L> {
    pub fn is_failure(&self) -> bool {
        matches!(self, Outcome::NotLoaded(_))
    }
}

/// A line of a build command.
#[derive(Debug)]
pub struct Line {
    pub function: String,
    pub stream: Stream,
    pub text: String,
}

/// What the engine loads of a function.
pub fn source(project: &Project, function: &Function) -> Source {
    Source {
        function: function.name.clone(),
        project_root: project.root.clone(),
        entry: entry(project, function),
        env: function.env.clone(),
    }
}

/// An operation that is ready to run; dropping its future ends it.
pub struct Work<L>(BoxFuture<'static, Outcome<L>>);

impl<L: Send + 'static> Work<L> {
    /// `artefact`: what the version in service was made of, if the same again is not worth a load.
    pub fn load<T>(loader: Arc<T>, project: &Project, function: &Function, artefact: Option<Hash>) -> Work<L>
    where
        T: Loader<Loaded = L>,
    {
        let source = source(project, function);
        let is_built = function.build.is_some();
        Work(Box::pin(async move {
            let (root, path) = (source.project_root.clone(), source.entry.clone());
            let look = move || {
                let refused = leads_out(&root, &path);
                (
                    refused,
                    if is_built {
                        Print::take(&path, Depth::Content).hash()
                    } else {
                        None
                    },
                )
            };
            let (refused, hash) = match tokio::task::spawn_blocking(look).await {
                Ok(looked) => looked,
                Err(error) => return Outcome::NotLoaded(panicked(error)),
            };
            if let Some(refused) = refused {
                return Outcome::NotLoaded(refused);
            }
            if hash.is_some() && hash == artefact {
                return Outcome::Same;
            }
            match loader.load(source).await {
                Ok(loaded) => Outcome::Loaded { loaded, artefact: hash },
                Err(error) => Outcome::NotLoaded(error),
            }
        }))
    }

    /// Runs the function's build command, if it has one.
    pub fn build(project: &Project, function: &Function, output: mpsc::UnboundedSender<Line>) -> Option<Work<L>> {
        let command = function.build.clone()?;
        let (root, function) = (project.root.clone(), function.name.clone());
        let lines: build::Lines = Arc::new(move |stream, text| {
            // Nobody listens any more: the reloader has ended.
            let _ = output.send(Line {
                function: function.clone(),
                stream,
                text,
            });
        });
        Some(Work(Box::pin(async move {
            match build::run(&command, &root, lines).await {
                Ok(()) => Outcome::Ran,
                Err(error) => Outcome::NotLoaded(error),
            }
        })))
    }

    pub fn run(self) -> BoxFuture<'static, Outcome<L>> {
        self.0
    }
}

/// A source that is a link to somewhere outside the project is refused: what it leads to is not the project's.
fn leads_out(root: &Path, path: &Path) -> Option<LoadError> {
    // A missing file is for the loader to report.
    let real = path.canonicalize().ok()?;
    // The root may have lost Windows' long prefix, or be a link itself by now.
    if real.starts_with(root) || root.canonicalize().is_ok_and(|root| real.starts_with(root)) {
        return None;
    }
    let shown = path.strip_prefix(root).unwrap_or(path).display();
    Some(LoadError {
        message: format!(
            "`{shown}` is a link that leads out of the project, to {}; copy it into the project",
            real.display()
        ),
        place: None,
        detail: None,
        watch: vec![path.to_owned()],
    })
}

pub fn no_artefact(function: &Function) -> LoadError {
    let command = function.build.as_ref().map_or("", |build| &build.command);
    LoadError {
        message: format!(
            "the build command `{command}` succeeded but left no `{}`; let `source` name the file that it makes",
            function.source.display()
        ),
        place: None,
        detail: None,
        watch: Vec::<PathBuf>::new(),
    }
}

pub fn panicked(error: tokio::task::JoinError) -> LoadError {
    let what = match error.try_into_panic() {
        Ok(panic) => match panic.downcast::<String>() {
            Ok(text) => *text,
            Err(panic) => panic
                .downcast::<&str>()
                .map_or_else(|_| "no message".to_owned(), |text| (*text).to_owned()),
        },
        Err(error) => error.to_string(),
    };
    LoadError {
        message: format!("the load itself crashed: {what}"),
        place: None,
        detail: None,
        watch: Vec::new(),
    }
}
