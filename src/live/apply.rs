//! Puts a change of the project into force: what the reloader found becomes the table, versions and events.

use std::sync::{Arc, PoisonError};

use futures::future::BoxFuture;

use crate::engine::{Engine, LoadError, LoadPhases, Loaded, Source};
use crate::platform::ids::{FunctionId, InvocationId, VersionNumber};
use crate::platform::input::Input;
use crate::project::{Function, Project};
use crate::provider;
use crate::report::event::{Event, Notice, Reload};
use crate::report::number::plural;

use super::driver::{Driver, Own, lock};
use super::events::What;
use super::reload::{Built, Cause, Change, Failed, Loader, Phases, Reason};
use super::table::{self, Table};

/// Loads by the engine.
pub struct EngineLoader(pub Engine);

impl Loader for EngineLoader {
    type Loaded = Loaded;

    fn load(&self, source: Source) -> BoxFuture<'static, Result<Loaded, LoadError>> {
        let engine = self.0.clone();
        Box::pin(async move { engine.load(&source).await })
    }

    fn phases(loaded: &Loaded) -> LoadPhases {
        loaded.phases
    }

    fn watch(loaded: &Loaded) -> Vec<std::path::PathBuf> {
        loaded.watch.clone()
    }
}

impl Driver {
    /// Makes the project's manifest the one in force.
    pub fn configure(&self, project: Arc<Project>) {
        let inner = &self.0;
        inner.hub.secrets().set(&project);
        let (project, cold_starts) = {
            let mut settings = inner.settings.write().unwrap_or_else(PoisonError::into_inner);
            (settings.over(project), settings.cold_starts())
        };
        let profile = provider::by_id(&project.provider).unwrap_or_else(|_| self.table().profile.clone());
        let shared = inner.store.group().is_some();
        let (table, config) = {
            let mut names = inner.names.write().unwrap_or_else(PoisonError::into_inner);
            let table = Arc::new(Table::new(project, profile, &mut names));
            let config = table::config(&table, &mut names, &inner.clock, cold_starts, shared);
            inner.store.name(names.stored());
            (table, config)
        };
        let mut core = lock(&inner.core);
        *inner.table.write().unwrap_or_else(PoisonError::into_inner) = table.clone();
        core.builds.retain(|function, _| table.functions.contains_key(function));
        let named = core.platform.named();
        core.restoring.configured(&config, named);
        self.step_locked(&mut core, Input::Configure(Arc::new(config)), &mut Own::default());
        if let Some(input) = self.throttle(false) {
            self.step_locked(&mut core, input, &mut Own::default());
        }
        drop(core);
        if let Some(group) = inner.store.group() {
            group.configured();
        }
    }

    /// See [`Driver::restore_beside`].
    fn restore_later(&self) {
        let driver = self.clone();
        tokio::spawn(async move {
            if let Err(error) = driver.restore_beside().await {
                driver.notice("error", format!("messages from before cannot be read: {error}"));
            }
        });
    }

    /// What to say of the queues that this project no longer has, and that hold messages.
    fn left_behind(&self, project: &Project) -> Vec<String> {
        let table = self.table();
        let gone = table
            .project
            .queues
            .keys()
            .filter(|name| !project.queues.contains_key(*name));
        let core = lock(&self.0.core);
        let held = gone.filter_map(|name| {
            let queue = self.names().find_queue(name)?;
            let view = core.platform.queue(queue)?;
            Some((name, view.visible + view.in_flight + view.delayed))
        });
        held.filter(|(_, messages)| *messages > 0)
            .map(|(name, messages)| {
                let messages = plural(messages, "message", "messages");
                format!("queue {name} left emu.toml with {messages}: they are kept for when it comes back")
            })
            .collect()
    }

    /// Whether it was the first load, whose events the ready line replaces.
    pub fn apply(&self, change: Change<Loaded>) {
        match change {
            Change::Project {
                project,
                warnings,
                cause,
            } => {
                let left = self.left_behind(&project);
                let later = for_the_next_start(&self.table().project, &project);
                self.configure(project);
                self.restore_later();
                for notice in left {
                    self.notice("warning", notice);
                }
                for warning in warnings {
                    self.notice("warning", warning);
                }
                if !later.is_empty() {
                    let text = format!("what changed here takes effect at the next start: {}", later.join(", "));
                    self.notice("warning", text);
                }
                if cause.reason != Reason::Start {
                    self.notice("info", format!("the project changed ({})", cause.files.join(", ")));
                }
            }
            Change::ProjectBroken { rendered, cause } => {
                let since = cause.since.elapsed().as_secs_f64() * 1e3;
                self.tell(Event::Reload(Reload {
                    function: match self.table().project.manifest {
                        Some(_) => "emu.toml".to_owned(),
                        None => "the project".to_owned(),
                    },
                    outcome: "failed".to_owned(),
                    version: None,
                    files: cause.files,
                    total_ms: since,
                    phases: Vec::new(),
                    error: Some(rendered),
                    serving: true,
                }));
            }
            Change::Built(built) => self.deploy(built),
            Change::Failed(failed) => self.build_failed(failed),
            Change::Unchanged {
                function,
                phases,
                cause,
            } => {
                self.reloaded(function, "unchanged", None, &cause, &phases, None, true);
            }
            Change::Removed { function, cause } => {
                self.reloaded(function, "removed", None, &cause, &Phases::default(), None, false);
            }
            Change::Output { function, stream, line } => self.tell(Event::Log(crate::report::event::Log {
                function,
                invocation: String::new(),
                stream,
                text: line,
            })),
            Change::Notice { level, message } => self.notice(level.as_str(), message),
            Change::Settled => {}
        }
    }

    fn deploy(&self, built: Built<Loaded>) {
        let Some(entry) = self.table().by_name.get(built.function.as_str()).cloned() else {
            return;
        };
        let unhandled = unhandled(&entry.function, built.loaded.version.handlers());
        let number = {
            let mut core = lock(&self.0.core);
            let build = core.builds.entry(entry.id).or_default();
            build.count += 1;
            let number = VersionNumber(build.count);
            build.version = Some((number, built.loaded.version));
            build.error = None;
            build.package_bytes = built.loaded.package_bytes;
            let mut names = self.0.names.write().unwrap_or_else(PoisonError::into_inner);
            names.facts_mut(entry.id).version = number.0;
            drop(names);
            let package_bytes = built.loaded.package_bytes;
            let input = Input::Deploy {
                function: entry.id,
                version: number,
                package_bytes,
            };
            self.step_locked(&mut core, input, &mut Own::default());
            number
        };
        for warning in unhandled {
            self.notice("warning", warning);
        }
        let outcome = if number.0 == 1 { "added" } else { "changed" };
        self.reloaded(
            built.function,
            outcome,
            Some(number.0),
            &built.cause,
            &built.phases,
            None,
            true,
        );
    }

    fn build_failed(&self, failed: Failed) {
        let mut text = error_text(&failed.error);
        self.0.hub.secrets().text(&mut text);
        let Some(entry) = self.table().by_name.get(failed.function.as_str()).cloned() else {
            return;
        };
        let serving = {
            let mut core = lock(&self.0.core);
            let build = core.builds.entry(entry.id).or_default();
            build.error = Some(text.clone());
            build.version.as_ref().map(|(number, _)| number.0)
        };
        self.reloaded(
            failed.function,
            "failed",
            serving,
            &failed.cause,
            &failed.phases,
            Some(text),
            serving.is_some(),
        );
    }

    #[expect(clippy::too_many_arguments, reason = "the event's fields, named where it is built")]
    fn reloaded(
        &self,
        function: String,
        outcome: &str,
        version: Option<u32>,
        cause: &Cause,
        phases: &Phases,
        error: Option<String>,
        serving: bool,
    ) {
        // The first load shows in the table of functions; only its failures are news.
        if cause.reason == Reason::Start && error.is_none() {
            return;
        }
        self.tell(Event::Reload(Reload {
            function,
            outcome: outcome.to_owned(),
            version,
            files: cause.files.clone(),
            total_ms: cause.since.elapsed().as_secs_f64() * 1e3,
            phases: phases.list_ms(),
            error,
            serving,
        }));
    }

    pub fn build_error(&self, function: FunctionId) -> Option<String> {
        lock(&self.0.core)
            .builds
            .get(&function)
            .and_then(|build| build.error.clone())
    }

    pub fn notice(&self, level: &str, message: String) {
        self.tell(Event::Notice(Notice {
            level: level.to_owned(),
            message,
        }));
    }

    pub fn tell(&self, event: Event) {
        self.0.hub.push(self.now(), What::Made(Box::new(event)));
    }

    pub fn fire_named(&self, cron: &str) -> Option<InvocationId> {
        let trigger = self
            .0
            .names
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .find_trigger(cron)?;
        Some(self.fire(trigger))
    }

    pub fn control_url(&self) -> String {
        self.0.control_url.get().cloned().unwrap_or_default()
    }

    pub fn functions_url(&self) -> String {
        self.0.functions_url.get().cloned().unwrap_or_default()
    }
}

/// Keys that are read once, and that are not now as they were.
fn for_the_next_start(old: &Project, new: &Project) -> Vec<&'static str> {
    let (was, is) = (&old.dev, &new.dev);
    let dev = [
        ("dev.port", was.port != is.port),
        ("dev.control_port", was.control_port != is.control_port),
        ("dev.host", was.host != is.host),
        ("dev.clock", was.clock != is.clock),
        ("dev.cold_starts", was.cold_starts != is.cold_starts),
        ("dev.seed", was.seed != is.seed),
        ("bus.url", was.bus != is.bus),
    ];
    let (was, is) = (&old.history, &new.history);
    let history = [
        ("history.max_age", was.age_max != is.age_max),
        ("history.max_size", was.bytes_max != is.bytes_max),
        ("history.max_bodies", was.bodies_bytes_max != is.bodies_bytes_max),
    ];
    let differ = dev.into_iter().chain(history).filter(|(_, differs)| *differs);
    differ.map(|(key, _)| key).collect()
}

/// What to say of triggers that a module has no handler for. `handlers`: what it exports, where that says it.
fn unhandled(function: &Function, handlers: Option<&[String]>) -> Vec<String> {
    let Some(handlers) = handlers else { return Vec::new() };
    let queue = function
        .queue
        .iter()
        .map(|queue| (format!("takes messages of queue {}", queue.from), "queue"));
    let topic = function
        .topic
        .iter()
        .map(|topic| (format!("takes messages of topic {}", topic.from), "queue"));
    let crons = (!function.crons.is_empty()).then(|| ("has a cron".to_owned(), "scheduled"));
    let routes = function
        .routes
        .first()
        .map(|route| (format!("takes requests ({route})"), "fetch"));
    let triggers = queue.chain(topic).chain(crons).chain(routes);
    triggers
        .filter(|(_, handler)| !handlers.iter().any(|offered| offered == handler))
        .map(|(does, handler)| format!("{} {does}, but exports no `{handler}` handler", function.name))
        .collect()
}

/// `functions/api.ts:3:7: message` and the detail below it.
pub fn error_text(error: &LoadError) -> String {
    let mut text = match &error.place {
        Some(place) => format!("{}:{}:{}: {}", place.file, place.line, place.column, error.message),
        None => error.message.clone(),
    };
    if let Some(detail) = &error.detail {
        text.push('\n');
        text.push_str(detail);
    }
    text
}
