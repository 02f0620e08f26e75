//! Follows the project folder: a change of files becomes builds, and these become new versions.
//!
//! The shell hands over how a project is read ([`ReadProject`]) and how a source is loaded ([`Loader`]), runs
//! [`Reloader::run`] beside everything else and acts on each [`Change`] that comes out of the channel.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use tokio::sync::mpsc;

use crate::engine::{LoadError, LoadPhases, Source, Stream};
use crate::project::Project;

mod plan;
mod queue;
mod react;
mod restless;
mod run;
mod slow;
mod work;

pub(super) use work::source;

/// Turns a source into a version that can serve. A trait, so that the order of builds is tested without an engine.
pub trait Loader: Send + Sync + 'static {
    /// What a load makes.
    type Loaded: Send + 'static;

    /// Dropping the future gives the load up: a newer change has come.
    fn load(&self, source: Source) -> BoxFuture<'static, Result<Self::Loaded, LoadError>>;

    /// How long the load's parts took.
    fn phases(loaded: &Self::Loaded) -> LoadPhases;

    /// Files read, and paths probed and missed: a change of any of them loads the function again.
    fn watch(loaded: &Self::Loaded) -> Vec<PathBuf>;
}

/// Reads the project anew, on a blocking thread: at an edit of emu.toml, when files come and go in `functions/`, and
/// at [`Control::reload_all`].
pub type ReadProject = Arc<dyn Fn() -> Result<Reread, Unreadable> + Send + Sync>;

/// A project that could be read.
#[derive(Clone, Debug)]
pub struct Reread {
    pub project: Project,
    /// Rendered, one a diagnostic.
    pub warnings: Vec<String>,
}

/// A project with errors.
#[derive(Clone, Debug)]
pub struct Unreadable {
    /// All diagnostics, ready to print.
    pub rendered: String,
}

/// How to follow the folder.
#[derive(Clone, Debug)]
pub struct Options {
    /// `false`: everything is loaded once, and again only by [`Control`].
    pub watch: bool,
    /// Compare modification times at short intervals whatever the system's notifications promise.
    pub poll: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            watch: true,
            poll: false,
        }
    }
}

/// What came of a change, in the order in which it is to be put into force.
#[derive(Debug)]
pub enum Change<L> {
    /// The project was read anew and differs: functions, queues, topics and triggers as they now are. Functions
    /// without a version yet follow as [`Change::Built`] or [`Change::Failed`]; those that are gone, as
    /// [`Change::Removed`].
    Project {
        project: Arc<Project>,
        warnings: Vec<String>,
        cause: Cause,
    },
    /// The project has errors: the last good one stays.
    ProjectBroken { rendered: String, cause: Cause },
    /// A version is ready to take over.
    Built(Built<L>),
    /// A build or load failed: the version before it, if any, stays.
    Failed(Failed),
    /// A build command ran and left its artefact as it was: nothing to deploy.
    Unchanged {
        function: String,
        cause: Cause,
        phases: Phases,
    },
    /// The project no longer has this function.
    Removed { function: String, cause: Cause },
    /// A line that a build command wrote.
    Output {
        function: String,
        stream: Stream,
        line: String,
    },
    /// For the user: polling instead of notifications, a folder that vanished or came back, a refused link.
    Notice { level: Level, message: String },
    /// Nothing is building or waiting. Comes once after the first load of all functions, whether they succeeded or
    /// not, and after each later round.
    Settled,
}

/// A function's new version.
#[derive(Debug)]
pub struct Built<L> {
    pub function: String,
    pub loaded: L,
    pub cause: Cause,
    pub phases: Phases,
}

/// A function's build that failed.
#[derive(Debug)]
pub struct Failed {
    pub function: String,
    /// For a failed build command, `detail` holds the end of its output.
    pub error: LoadError,
    pub cause: Cause,
    pub phases: Phases,
}

/// Why something was built.
#[derive(Clone, Debug)]
pub struct Cause {
    pub reason: Reason,
    /// Changed files, relative to the project where they lie in it, sorted; empty unless the reason is a change.
    pub files: Vec<String>,
    /// The first file event of the change, from which totals count.
    pub since: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The first load.
    Start,
    /// Files changed.
    Change,
    /// The user asked for it.
    Asked,
}

/// How long the parts took; those that took place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Phases {
    /// From the file event until the build or load began: folding, comparing, and waiting for a turn.
    pub watch: Option<Duration>,
    /// The build command.
    pub build: Option<Duration>,
    pub read: Option<Duration>,
    pub compile: Option<Duration>,
    pub link: Option<Duration>,
}

impl Phases {
    /// `watch`, `build`, `read`, `compile`, `link`, in milliseconds; those that took place.
    pub fn list_ms(&self) -> Vec<(String, f64)> {
        [
            ("watch", self.watch),
            ("build", self.build),
            ("read", self.read),
            ("compile", self.compile),
            ("link", self.link),
        ]
        .into_iter()
        .filter_map(|(name, took)| took.map(|took| (name.to_owned(), took.as_secs_f64() * 1e3)))
        .collect()
    }

    fn with_load(mut self, load: LoadPhases) -> Phases {
        self.read = Some(load.read);
        self.compile = (!load.compile.is_zero()).then_some(load.compile);
        self.link = Some(load.link);
        self
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Info,
    Warning,
    Error,
}

impl Level {
    /// As the event schema writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Info => "info",
            Level::Warning => "warning",
            Level::Error => "error",
        }
    }
}

/// Asks a running [`Reloader`] for something.
#[derive(Clone, Debug)]
pub struct Control {
    asks: mpsc::UnboundedSender<Ask>,
}

#[derive(Clone, Copy, Debug)]
enum Ask {
    ReloadAll,
}

impl Control {
    /// Reads the project again and rebuilds every function, as if all files had changed.
    pub fn reload_all(&self) {
        // A reloader that has ended has nothing to reload.
        let _ = self.asks.send(Ask::ReloadAll);
    }
}

/// Loads a project's functions, then follows its folder.
pub struct Reloader<L: Loader> {
    project: Arc<Project>,
    read: ReadProject,
    loader: Arc<L>,
    options: Options,
    asks: mpsc::UnboundedReceiver<Ask>,
}

impl<L: Loader> Reloader<L> {
    /// `project` is the one that `read` just gave.
    pub fn new(project: Arc<Project>, read: ReadProject, loader: Arc<L>, options: Options) -> (Reloader<L>, Control) {
        let (sender, asks) = mpsc::unbounded_channel();
        (
            Reloader {
                project,
                read,
                loader,
                options,
                asks,
            },
            Control { asks: sender },
        )
    }
}
