//! The loop of the reloader: what was found, what was asked, what finished, and what to do about it.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::plan::{View, build_key, entry, named};
use super::queue::{BuildKey, Effect, Limits, Queue, Ticket, Unit};
use super::restless::Restless;
use super::slow::Slow;
use super::work::{self, Outcome, Work};
use super::{Ask, Built, Cause, Change, Failed, Level, Loader, Phases, Reason, Reloader};
use crate::live::watch::print::Hash;
use crate::live::watch::{Interest, Watch};
use crate::project::{Function, Project};

impl<L: Loader> Reloader<L> {
    /// Loads all functions, several at once, reporting each as it finishes, then [`Change::Settled`]; then follows
    /// the folder until `stop`. Builds that run then are ended before this returns.
    pub async fn run(self, out: mpsc::Sender<Change<L::Loaded>>, stop: CancellationToken) {
        let mut follower = Follower::new(self, out, stop.clone());
        tokio::select! {
            () = stop.cancelled() => {}
            () = follower.follow() => {}
        }
        follower.jobs.shutdown().await;
    }
}

/// What is known of one function.
#[derive(Debug, Default)]
pub struct Known {
    /// It has a version.
    serving: bool,
    /// The artefact that its version was made of; functions with a build only.
    pub artefact: Option<Hash>,
    /// Load even if the artefact is the same.
    pub force: bool,
    /// How long the parts took that came before the load.
    before: Phases,
    /// The build failed at the start, while an older artefact was there to load: told once that has a result.
    failed: Option<Failed>,
}

pub struct Follower<L: Loader> {
    pub project: Arc<Project>,
    pub read: super::ReadProject,
    loader: Arc<L>,
    asks: mpsc::UnboundedReceiver<Ask>,
    out: mpsc::Sender<Change<L::Loaded>>,
    pub watch: Option<Watch>,
    pub queue: Queue<Outcome<L::Loaded>>,
    pub restless: Restless,
    pub functions: BTreeMap<String, Known>,
    /// What each function's last load read and looked for.
    pub watched: BTreeMap<String, BTreeSet<PathBuf>>,
    pub broken: bool,
    /// What was wrong with the project when that was last told.
    pub told: Option<(Instant, String)>,
    pub interest: Arc<Interest>,
    /// Changed files, by when they were found.
    pub changes: VecDeque<(Instant, PathBuf)>,
    jobs: JoinSet<Outcome<L::Loaded>>,
    slow: Slow,
    running: HashMap<tokio::task::Id, (Ticket, AbortHandle)>,
    output: (mpsc::UnboundedSender<work::Line>, mpsc::UnboundedReceiver<work::Line>),
}

impl<L: Loader> Follower<L> {
    fn new(reloader: Reloader<L>, out: mpsc::Sender<Change<L::Loaded>>, stop: CancellationToken) -> Follower<L> {
        let Reloader {
            project,
            read,
            loader,
            options,
            asks,
        } = reloader;
        let watch = options
            .watch
            .then(|| Watch::start(project.root.clone(), options.poll, stop));
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Follower {
            project,
            read,
            loader,
            asks,
            out,
            watch,
            // A build command is often parallel by itself.
            queue: Queue::new(Limits {
                loads: cores.max(2),
                builds: cores.div_ceil(2),
            }),
            restless: Restless::default(),
            functions: BTreeMap::new(),
            watched: BTreeMap::new(),
            broken: false,
            told: None,
            interest: Arc::default(),
            changes: VecDeque::new(),
            jobs: JoinSet::new(),
            slow: Slow::default(),
            running: HashMap::new(),
            output: mpsc::unbounded_channel(),
        }
    }

    async fn follow(&mut self) {
        let since = Instant::now();
        self.interest = Arc::new(self.view().interest());
        if let Some(watch) = &self.watch {
            // What changes after the first read must not be missed.
            watch.set_now(self.interest.clone()).await;
        }
        let cause = Cause {
            reason: Reason::Start,
            files: Vec::new(),
            since,
        };
        let names: Vec<String> = self.project.functions.keys().cloned().collect();
        if names.is_empty() {
            self.tell(Change::Settled).await;
        }
        self.make(names.iter(), &cause);
        loop {
            self.act().await;
            if self.out.is_closed() {
                return;
            }
            let wake = self
                .queue
                .next_deadline()
                .into_iter()
                .chain(self.restless.next_deadline())
                .chain(self.slow.next_deadline())
                .min();
            let timer = async {
                match wake {
                    Some(wake) => tokio::time::sleep_until(wake.into()).await,
                    None => std::future::pending().await,
                }
            };
            let found = async {
                match &mut self.watch {
                    Some(watch) => watch.found.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                found = found => match found {
                    Some(found) => self.found(found).await,
                    None => self.watch = None,
                },
                Some(done) = self.jobs.join_next_with_id() => self.finished(done),
                Some(Ask::ReloadAll) = self.asks.recv() => self.reload_all().await,
                Some(line) = self.output.1.recv() => self.pass_on(line).await,
                () = timer => self.tick().await,
            }
        }
    }

    pub async fn tell(&self, change: Change<L::Loaded>) {
        // A closed channel ends the loop at its next turn.
        let _ = self.out.send(change).await;
    }

    pub async fn notice(&self, level: Level, message: String) {
        self.tell(Change::Notice { level, message }).await;
    }

    pub fn view(&self) -> View<'_> {
        View {
            project: &self.project,
            watched: &self.watched,
            broken: self.broken,
        }
    }

    pub fn watch_what_matters(&mut self, read_since: Option<Instant>) {
        let interest = self.view().interest();
        if interest != *self.interest {
            self.interest = Arc::new(interest);
            if let Some(watch) = &self.watch {
                watch.set(self.interest.clone(), read_since);
            }
        }
    }

    /// Makes these functions anew: by their build commands, where they have one.
    pub fn make<'a>(&mut self, names: impl Iterator<Item = &'a String>, cause: &Cause) {
        let mut units = BTreeSet::new();
        for name in names {
            let Some(function) = self.project.functions.get(name) else {
                continue;
            };
            units.insert(match build_key(function) {
                Some(key) => Unit::Build(key),
                None => Unit::Load(name.clone()),
            });
        }
        for unit in units {
            self.queue.want(Instant::now(), unit, cause.clone());
        }
    }

    /// Does what the queue decided.
    async fn act(&mut self) {
        while let Some(effect) = self.queue.poll_effect() {
            match effect {
                Effect::Start { ticket, unit, cause } => self.start(ticket, &unit, &cause),
                Effect::Cancel { ticket } => {
                    let of_ticket = |(_, (running, _)): &(&tokio::task::Id, &(Ticket, AbortHandle))| *running == ticket;
                    if let Some((_, (_, abort))) = self.running.iter().find(of_ticket) {
                        abort.abort();
                    }
                }
                Effect::Report {
                    unit,
                    cause,
                    started,
                    result,
                } => self.report(unit, cause, started, result).await,
                Effect::Settled => {
                    self.changes.clear();
                    self.tell(Change::Settled).await;
                }
            }
        }
    }

    fn start(&mut self, ticket: Ticket, unit: &Unit, cause: &Cause) {
        let now = Instant::now();
        let work = match unit {
            Unit::Load(name) => self.project.functions.get(name).map(|function| {
                let known = self.functions.entry(name.clone()).or_default();
                Work::load(
                    self.loader.clone(),
                    &self.project,
                    function,
                    known.artefact.filter(|_| !known.force),
                )
            }),
            Unit::Build(key) => {
                self.restless.started(key, now);
                let user = self.users(key).next().cloned();
                user.and_then(|user| Work::build(&self.project, &user, self.output.0.clone()))
            }
        };
        tracing::debug!(?unit, reason = ?cause.reason, "start");
        match work {
            Some(work) => {
                let handle = self.jobs.spawn(work.run());
                let users = match unit {
                    Unit::Load(_) => Vec::new(),
                    Unit::Build(key) => self.users(key).map(|function| function.name.clone()).collect(),
                };
                self.slow.started(ticket, now, unit, &users, cause.reason);
                self.running.insert(handle.id(), (ticket, handle));
            }
            None => self.queue.remove(now, unit),
        }
    }

    /// Functions that the command makes.
    pub fn users<'a>(&'a self, key: &'a BuildKey) -> impl Iterator<Item = &'a Function> {
        self.project
            .functions
            .values()
            .filter(move |function| build_key(function).as_ref() == Some(key))
    }

    fn finished(&mut self, done: Result<(tokio::task::Id, Outcome<L::Loaded>), JoinError>) {
        let (id, outcome) = match done {
            Ok((id, outcome)) => (id, outcome),
            Err(error) if error.is_cancelled() => {
                if let Some((ticket, _)) = self.running.remove(&error.id()) {
                    self.slow.ended(ticket);
                }
                return;
            }
            Err(error) => (error.id(), Outcome::NotLoaded(work::panicked(error))),
        };
        let Some((ticket, _)) = self.running.remove(&id) else {
            return;
        };
        self.slow.ended(ticket);
        let unit = self
            .queue
            .current(ticket)
            .map(|(unit, started)| (unit.clone(), started));
        // At once, also for a failure that is held back: what it missed may come any moment.
        if let Some((Unit::Load(name), started)) = unit {
            match &outcome {
                Outcome::Loaded { loaded, .. } => self.now_watched(&name, L::watch(loaded), started, false),
                Outcome::NotLoaded(error) => self.now_watched(&name, error.watch.clone(), started, true),
                Outcome::Same | Outcome::Ran => {}
            }
        }
        let calm_at = self
            .watch
            .as_ref()
            .and_then(Watch::calm_at)
            .filter(|_| outcome.is_failure());
        self.queue.finished(Instant::now(), ticket, outcome, calm_at);
    }

    async fn tick(&mut self) {
        let now = Instant::now();
        for text in self.slow.due(now) {
            self.notice(Level::Info, text).await;
        }
        self.queue.tick(now, self.watch.as_ref().and_then(Watch::calm_at));
        while let Some((key, cause)) = self.restless.due(now) {
            self.queue.want(now, Unit::Build(key), cause);
        }
    }

    async fn pass_on(&mut self, line: work::Line) {
        let work::Line { function, stream, text } = line;
        self.tell(Change::Output {
            function,
            stream,
            line: text,
        })
        .await;
    }

    async fn report(&mut self, unit: Unit, cause: Cause, started: Instant, outcome: Outcome<L::Loaded>) {
        let mut phases = Phases::default();
        if cause.reason == Reason::Change {
            phases.watch = Some(started.saturating_duration_since(cause.since));
        }
        match unit {
            Unit::Load(name) => self.loaded(name, cause, phases, outcome).await,
            Unit::Build(key) => {
                self.restless.ended(&key, Instant::now());
                phases.build = Some(started.elapsed());
                self.ran(&key, cause, phases, outcome).await;
            }
        }
    }

    /// A build command ran: its functions load what it made, or have failed.
    async fn ran(&mut self, key: &BuildKey, cause: Cause, phases: Phases, outcome: Outcome<L::Loaded>) {
        // Lines that were written before the end are told before it.
        while let Ok(line) = self.output.1.try_recv() {
            self.pass_on(line).await;
        }
        let users: Vec<Function> = self.users(key).cloned().collect();
        for function in users {
            let name = function.name.clone();
            let is_there = entry(&self.project, &function).is_file();
            let error = match &outcome {
                Outcome::NotLoaded(error) => Some(error.clone()),
                _ if !is_there => Some(work::no_artefact(&function)),
                _ => None,
            };
            let known = self.functions.entry(name.clone()).or_default();
            let Some(error) = error else {
                known.before = phases;
                self.queue.want(Instant::now(), Unit::Load(name), cause.clone());
                continue;
            };
            let failed = Failed {
                function: name.clone(),
                error,
                cause: cause.clone(),
                phases,
            };
            if is_there && !known.serving {
                known.failed = Some(failed);
                self.queue.want(Instant::now(), Unit::Load(name), cause.clone());
            } else {
                self.tell(Change::Failed(failed)).await;
            }
        }
    }

    async fn loaded(&mut self, name: String, cause: Cause, mut phases: Phases, outcome: Outcome<L::Loaded>) {
        let known = self.functions.entry(name.clone()).or_default();
        known.force = false;
        let before = std::mem::take(&mut known.before);
        phases.watch = before.watch.or(phases.watch);
        phases.build = before.build;
        let failed_before = known.failed.take();
        match outcome {
            Outcome::Loaded { loaded, artefact } => {
                known.serving = true;
                known.artefact = artefact;
                let phases = phases.with_load(L::phases(&loaded));
                self.tell(Change::Built(Built {
                    function: name,
                    loaded,
                    cause,
                    phases,
                }))
                .await;
            }
            Outcome::NotLoaded(error) => {
                self.tell(Change::Failed(Failed {
                    function: name,
                    error,
                    cause,
                    phases,
                }))
                .await;
            }
            // A touched artefact is no news; a build that came to nothing is.
            Outcome::Same if phases.build.is_some() => {
                self.tell(Change::Unchanged {
                    function: name,
                    cause,
                    phases,
                })
                .await
            }
            Outcome::Same | Outcome::Ran => {}
        }
        if let Some(failed) = failed_before {
            self.tell(Change::Failed(failed)).await;
        }
    }

    /// Remembers what a load read. A file that changed while the load ran may have been read before its change.
    fn now_watched(&mut self, name: &str, files: Vec<PathBuf>, started: Instant, keep_old: bool) {
        let watched = self.watched.entry(name.to_owned()).or_default();
        let old = std::mem::take(watched);
        watched.extend(files);
        let changed = self
            .changes
            .iter()
            .filter(|(at, path)| *at >= started && watched.contains(path));
        let newly: Vec<PathBuf> = changed
            .filter(|(_, path)| !old.contains(path))
            .map(|(_, path)| path.clone())
            .collect();
        if keep_old {
            watched.extend(old);
        }
        if !newly.is_empty() {
            let files = named(&self.project.root, newly.iter());
            let cause = Cause {
                reason: Reason::Change,
                files,
                since: started,
            };
            self.queue.want(Instant::now(), Unit::Load(name.to_owned()), cause);
        }
        self.watch_what_matters(Some(started));
    }
}
