//! What the reloader does about changed files, an edited manifest, and a wish to reload everything.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::plan::{self, View, build_key, entry, named};
use super::queue::{BuildKey, Unit};
use super::restless::Decision;
use super::run::Follower;
use super::{Cause, Change, Level, Loader, Reason, Reread, Unreadable, work};
use crate::live::watch::{Found, How};
use crate::project::Project;

/// Changes that are remembered until the loads that run have told what they read.
const CHANGES_MAX: usize = 4096;
/// What is wrong with the project is not told twice so soon.
const SAME_WITHIN: Duration = Duration::from_secs(1);

impl<L: Loader> Follower<L> {
    pub async fn found(&mut self, found: Found) {
        match found {
            Found::Changed { files, since } => self.changed(files, since).await,
            Found::RootGone => {
                let text = format!(
                    "{} is gone; everything serves on as it was",
                    self.project.root.display()
                );
                self.notice(Level::Warning, text).await;
            }
            Found::RootBack => {
                let text = format!("{} is back", self.project.root.display());
                self.notice(Level::Info, text).await;
            }
            Found::Polling { why } => {
                let text = format!("{why}; comparing modification times four times a second instead");
                self.notice(Level::Warning, text).await;
            }
            Found::TooMany => {
                let text = "the watched folders hold too many files to follow them all; name fewer in `watch` of the \
                            functions' `build`"
                    .to_owned();
                self.notice(Level::Warning, text).await;
            }
        }
    }

    async fn changed(&mut self, files: BTreeMap<PathBuf, How>, since: Instant) {
        let now = Instant::now();
        self.changes.extend(files.keys().map(|path| (now, path.clone())));
        let excess = self.changes.len().saturating_sub(CHANGES_MAX);
        self.changes.drain(..excess);
        let cause = Cause {
            reason: Reason::Change,
            files: named(&self.project.root, files.keys()),
            since,
        };
        let concerned = |view: View<'_>| view.affected(files.iter().map(|(path, how)| (path.as_path(), *how)));
        if concerned(self.view()).reread {
            self.reread(&cause).await;
        }
        let affected = concerned(self.view());
        for name in &affected.read_itself {
            self.functions.entry(name.clone()).or_default().force = true;
        }
        for (name, own) in affected.loads {
            let gone = |path: &PathBuf| files.get(path) == Some(&How::Vanished);
            self.load_changed(name, &own, gone, &cause);
        }
        for (key, own) in affected.builds {
            let cause = Cause {
                files: named(&self.project.root, own.iter()),
                ..cause.clone()
            };
            match self.restless.changed(&key, cause.clone()) {
                Decision::Now(cause) => self.queue.want(now, Unit::Build(key), cause),
                Decision::Later(tell) => {
                    if tell {
                        let text = format!(
                            "`{}` seems to change its own sources ({}) each time it runs; it now runs less often. Name \
                             its real sources in `watch` of the function's `build`",
                            key.command,
                            cause.files.join(", ")
                        );
                        self.notice(Level::Warning, text).await;
                    }
                }
            }
        }
    }

    /// `own`: the changed files that the function read.
    fn load_changed(&mut self, name: String, own: &BTreeSet<PathBuf>, gone: impl Fn(&PathBuf) -> bool, cause: &Cause) {
        let Some(function) = self.project.functions.get(&name) else {
            return;
        };
        let entry = entry(&self.project, function);
        // The diagnostics of the project already say so.
        if self.broken && gone(&entry) {
            return;
        }
        if let Some(key) = build_key(function) {
            let only_artefact = own.iter().all(|path| *path == entry);
            // The command that writes the artefact has it loaded when it is done.
            if only_artefact && self.queue.is_active(&Unit::Build(key)) {
                return;
            }
            self.functions.entry(name.clone()).or_default().force |= !only_artefact;
        }
        let cause = Cause {
            files: named(&self.project.root, own.iter()),
            ..cause.clone()
        };
        self.queue.want(Instant::now(), Unit::Load(name), cause);
    }

    /// Reads the project again, and puts what differs into force. Whether it could be read.
    async fn reread(&mut self, cause: &Cause) -> bool {
        let read = self.read.clone();
        let result = match tokio::task::spawn_blocking(move || read()).await {
            Ok(result) => result,
            Err(error) => Err(Unreadable {
                rendered: work::panicked(error).message,
            }),
        };
        match result {
            Ok(reread) => {
                self.put_into_force(reread, cause).await;
                true
            }
            Err(unreadable) => {
                self.broken = true;
                self.watch_what_matters(None);
                let rendered = unreadable.rendered;
                // A file that is renamed is two changes.
                let now = Instant::now();
                let told = self.told.replace((now, rendered.clone()));
                if told.is_some_and(|(at, text)| text == rendered && now.duration_since(at) < SAME_WITHIN) {
                    return false;
                }
                self.tell(Change::ProjectBroken {
                    rendered,
                    cause: cause.clone(),
                })
                .await;
                false
            }
        }
    }

    async fn put_into_force(&mut self, reread: Reread, cause: &Cause) {
        let Reread { project, warnings } = reread;
        let was_broken = std::mem::replace(&mut self.broken, false);
        self.told = None;
        let difference = plan::difference(&self.project, &project);
        if difference.any || was_broken {
            let old = std::mem::replace(&mut self.project, Arc::new(project));
            for name in &difference.removed {
                self.functions.remove(name);
                self.watched.remove(name);
            }
            self.end_what_nobody_wants(&old);
            self.tell(Change::Project {
                project: self.project.clone(),
                warnings,
                cause: cause.clone(),
            })
            .await;
            for function in difference.removed {
                self.tell(Change::Removed {
                    function,
                    cause: cause.clone(),
                })
                .await;
            }
            for name in &difference.rebuild {
                // What the old source read says nothing about the new one.
                self.watched.remove(name);
                if let Some(known) = self.functions.get_mut(name) {
                    known.artefact = None;
                }
            }
            self.make(difference.rebuild.iter(), cause);
        }
        self.watch_what_matters(None);
    }

    /// Ends loads and builds of functions that are no longer there, or are made otherwise now.
    fn end_what_nobody_wants(&mut self, old: &Project) {
        let now = Instant::now();
        for (name, function) in &old.functions {
            if !self.project.functions.contains_key(name) {
                self.queue.remove(now, &Unit::Load(name.clone()));
            }
            if let Some(key) = build_key(function)
                && self.users(&key).next().is_none()
            {
                self.queue.remove(now, &Unit::Build(key));
            }
        }
        let keys: BTreeSet<BuildKey> = self.project.functions.values().filter_map(build_key).collect();
        self.restless.retain(|key| keys.contains(key));
    }

    pub async fn reload_all(&mut self) {
        let cause = Cause {
            reason: Reason::Asked,
            files: Vec::new(),
            since: Instant::now(),
        };
        self.reread(&cause).await;
        let names: Vec<String> = self.project.functions.keys().cloned().collect();
        for name in &names {
            self.functions.entry(name.clone()).or_default().force = true;
        }
        self.make(names.iter(), &cause);
        if let Some(watch) = &self.watch {
            watch.rescan(self.interest.clone());
        }
    }
}
