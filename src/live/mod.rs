//! The imperative shell of `emu dev`: real time, real sockets, real files, real guests.
//!
//! [`start`] takes its world as arguments, so that tests and `emu exec` run it in process. Reading order: `driver`
//! (input -> platform -> effects -> tasks), `run` (one invocation), `http` (the functions' port), `control` (the
//! other one), `reload` (files -> versions), `apply` (versions -> service), `events` (what happened -> who asks).

mod alone;
pub mod api;
mod apply;
mod bindings;
mod build;
mod bundle;
mod bus;
mod caller;
mod clock;
mod compiled;
mod control;
mod cors;
mod cron;
mod destination;
mod driver;
mod events;
mod exchange;
mod fate;
mod faults;
mod gathered;
mod group;
mod history;
mod http;
pub mod idle;
mod keeper;
mod kv;
mod listen;
pub mod load;
mod log;
pub mod manual;
mod messages;
mod names;
pub mod observed;
mod options;
pub mod outbound;
pub mod probe;
pub mod recording;
mod redact;
pub mod reload;
mod removed;
mod render;
mod reset;
mod restoring;
mod run;
mod run_file;
mod sample;
mod secrets;
mod sequence;
pub mod serve;
mod settings;
pub mod snapshot;
mod state;
mod store;
mod table;
pub mod telemetry;
mod ticket;
mod timer;
pub mod watch;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::engine::{Engine, EngineOptions, Loaded};
use crate::platform::input::Input;
use crate::project::{ClockSetting, Project};
use crate::provider;
use crate::report::event::{Event, Ready};

use apply::EngineLoader;
use clock::Clock;
use control::Control;
use control::guard::Guard;
use driver::{Driver, Own, Parts};
use events::Hub;
use exchange::Exchanges;
use group::Reached;
use history::Past;
use keeper::Opened;
use listen::{Bound, bind, network_url, url};
use names::{Names, PublicIds};
use reload::{Change, ReadProject, Reloader};
use run_file::RunFile;

pub use alone::engine;
pub use bundle::{bundle, component, plain_files};
pub use clock::{instant, since};
pub use compiled::{Compiled, compile};
pub use control::openapi::document as openapi;
pub use history::{Archive, Ran};
pub use store::Durability;
use table::Table;
use telemetry::Telemetry;

pub use options::{DRAIN, Options};

/// What the ports' services share.
#[derive(Clone)]
pub(crate) struct Server {
    pub driver: Driver,
    pub functions_url: String,
    pub control_url: String,
    /// Where other machines reach the functions, when they may.
    pub network_url: Option<String>,
    ready: Arc<AtomicBool>,
    reload: reload::Control,
}

impl Server {
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    pub fn reload(&self) {
        self.reload.reload_all();
    }
}

/// A running emulator.
pub struct Live {
    pub functions_url: String,
    pub control_url: String,
    server: Server,
    connections: TaskTracker,
    stop_accepting: CancellationToken,
    drain: Duration,
    run_file: Option<Arc<RunFile>>,
    past: Option<Past>,
}

/// Receives every event, in order, on a thread of its own: it may take its time, the data path does not wait.
pub trait Sink: Send {
    fn event(&mut self, event: &crate::report::event::Stamped);
    /// This many events were left out since the last call, because they came faster than they could be shown.
    fn folded(&mut self, invocations: u64, others: u64);
    /// Events that it wants to see of one second; the rest is folded. `None`: all of them.
    fn lines_per_second_max(&self) -> Option<u32> {
        None
    }
}

/// Loads everything, opens the ports, serves until [`Live::shutdown`]. Returns once every function has been loaded or
/// has failed to.
///
/// # Errors
/// When no port can be had or the engine cannot start. Functions that fail to build are events, not errors.
pub async fn start(project: Project, read: ReadProject, options: Options, sink: Box<dyn Sink>) -> anyhow::Result<Live> {
    let engine = engine_for(options.clock)?;
    start_on(engine, project, read, options, sink).await
}

/// An engine that suits emulators with this clock. Under the manual one time is counted in instructions, which must not
/// depend on what ran before: so scripts get no images of their own there.
///
/// # Errors
/// When wasmtime does not support this machine.
pub fn engine_for(clock: ClockSetting) -> anyhow::Result<Engine> {
    let options = EngineOptions {
        images: clock != ClockSetting::Manual,
        ..EngineOptions::default()
    };
    Engine::new(options).context("cannot start the WebAssembly engine")
}

/// [`start`] on an engine that several emulators of this process share.
///
/// # Errors
/// When no port can be had.
// tidy: long, because a start is read from top to bottom
pub async fn start_on(
    engine: Engine,
    project: Project,
    read: ReadProject,
    options: Options,
    sink: Box<dyn Sink>,
) -> anyhow::Result<Live> {
    let clock = Clock::start_at(options.clock, options.start_time);
    let folder = project.root.join(FOLDER);
    let opened = Opened::open(&options, &folder, &project.name, options.seed ^ clock.now().0).await?;
    let ids = PublicIds::new(opened.identity.head);
    let ids_from = opened.identity.ids_from;
    let mut names = Names::default();
    names.recall(&opened.identity.names);
    let names = Arc::new(RwLock::new(names));
    let hub = Hub::start(names.clone(), ids, sink).context("cannot start the thread that reports")?;
    let past = keep_history(&project, &options, &hub, &clock)?;
    let store = opened
        .start(names.clone(), told_by(&hub, &clock))
        .context("cannot start the thread that keeps state")?;
    let project = Arc::new(project);
    let profile = provider::by_id(&project.provider)?;
    let table = {
        let mut names = names.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        Arc::new(Table::new(project.clone(), profile, &mut names))
    };
    let keeps_bodies = project.history.bytes_max > 0 && project.history.bodies_bytes_max > 0;
    let (cron, arms) = mpsc::unbounded_channel();
    let telemetry = start_telemetry(&options, told_by(&hub, &clock));
    let parts = Parts {
        engine: engine.clone(),
        clock: clock.clone(),
        ids,
        names,
        exchanges: Exchanges::new(hub.clone(), ids, keeps_bodies),
        hub,
        table,
        store,
        ids_from,
        cold_starts: options.cold_starts,
        seed: options.seed,
        cron,
        faults: options.faults.clone(),
        outside: options.outside.clone(),
        telemetry,
        observer: options.observer,
    };
    let driver = Driver::new(parts);
    let functions = bind(options.host, options.port).await?;
    if let (Some(busy), Some(_)) = (functions.busy, &options.serving) {
        anyhow::bail!("port {busy} is in use: stop what listens there, or give another --port");
    }
    let control = bind(options.control_host, options.control_port).await?;
    tell_of_busy_ports(&driver, &functions, &control);
    let functions_url = url(options.host, functions.port);
    let control_url = url(options.control_host, control.port);
    let _ = driver.0.functions_url.set(functions_url.clone());
    let _ = driver.0.control_url.set(control_url.clone());
    let at = [(options.host, functions.port), (options.control_host, control.port)];
    let _ = driver.0.reached.set(Reached::new(at, options.serving.is_none()));
    driver.configure(project.clone());
    driver.restore().await?;
    if let Some(group) = driver.0.store.group() {
        group.join(&driver);
    }
    let reload_options = reload::Options {
        watch: options.watch,
        ..reload::Options::default()
    };
    let (reloader, reload) = Reloader::new(project.clone(), read, Arc::new(EngineLoader(engine)), reload_options);
    let server = Server {
        driver: driver.clone(),
        functions_url: functions_url.clone(),
        control_url: control_url.clone(),
        network_url: network_url(options.host, functions.port),
        ready: Arc::default(),
        reload,
    };
    let mut live = Live {
        functions_url,
        control_url,
        server: server.clone(),
        connections: TaskTracker::new(),
        stop_accepting: CancellationToken::new(),
        drain: options.drain,
        run_file: None,
        past,
    };
    if options.run_file && !runs_beside(&folder, &driver, options.ephemeral) {
        let run = live.run_file(&folder, options.control_token.clone());
        live.run_file = Some(Arc::new(run));
    }
    let guard = Guard {
        port: control.port,
        host: (!options.control_host.is_loopback()).then_some(options.control_host),
        token: options.control_token.clone(),
    };
    listen::serve(
        control,
        Control::new(server.clone(), guard, options.serving.is_none()),
        &live.stop_accepting,
        &live.connections,
    );
    live.spawn_background(&clock, arms);
    let settled = live.follow(reloader);
    first_load(settled).await;
    // The order in which builds end is the machine's.
    if clock.manual().is_some() {
        driver.begin_anew().await?;
    }
    server.ready.store(true, Ordering::Release);
    if let Some(conflict) = options
        .serving
        .as_ref()
        .and_then(|serving| serving.health.conflict(&driver.table()))
    {
        driver.notice("warning", conflict);
    }
    listen::serve(
        functions,
        http::Functions::new(driver.clone(), options.serving.clone()),
        &live.stop_accepting,
        &live.connections,
    );
    if let Some(file) = &live.run_file {
        let written = file
            .write()
            .with_context(|| format!("cannot write {}", file.path().display()));
        match written {
            // What needs no folder runs in one that cannot be written, too.
            Err(error) if options.ephemeral => {
                let message = format!(
                    "{error:#}: commands find this emulator by --control-url {}",
                    live.control_url
                );
                driver.notice("warning", message);
            }
            written => {
                written?;
                let (file, stop) = (file.clone(), driver.0.stopping.clone());
                tokio::spawn(stop.run_until_cancelled_owned(async move { file.keep().await }));
            }
        }
    }
    driver.tell(Event::Ready(Ready {
        functions_url: live.functions_url.clone(),
        control_url: live.control_url.clone(),
        pid: std::process::id(),
        project: project.name.clone(),
        provider: project.provider.clone(),
        functions: project.functions.len(),
        startup_ms: clock.uptime().as_secs_f64() * 1e3,
    }));
    Ok(live)
}

/// Traces and metrics, where somebody wants them.
fn start_telemetry(options: &Options, tell: store::Tell) -> Option<Telemetry> {
    for wrong in &options.telemetry.wrong {
        tell("warning", wrong.clone());
    }
    // What virtual time says is nothing for those who watch the real one.
    let wanted = options
        .telemetry
        .settings
        .as_ref()
        .filter(|_| options.clock != ClockSetting::Manual)?;
    let tell = Arc::new(tell);
    let on_failure = tell.clone();
    Telemetry::start(wanted, Box::new(move |level, message| tell(level, message)))
        .inspect_err(|error| on_failure("warning", format!("{error:#}")))
        .ok()
}

/// In the project's root: state, and where a running emulator is found.
const FOLDER: &str = ".emu";

/// Removes the state of a project that no emulator serves.
///
/// # Errors
/// When an emulator holds it, or it cannot be removed.
pub fn forget(root: &Path) -> anyhow::Result<()> {
    let folder = root.join(FOLDER);
    if !folder.join(store::DATABASE).exists() {
        return Ok(());
    }
    let held = store::Held::take(&folder)?;
    for end in ["", "-wal", "-shm"] {
        removed::remove(&held.folder.join(format!("{}{end}", store::DATABASE)))?;
    }
    Ok(())
}

/// From here on what happens is kept, in the folder of the state or in memory.
fn keep_history(project: &Project, options: &Options, hub: &Hub, clock: &Clock) -> anyhow::Result<Option<Past>> {
    let wanted = project.history;
    if wanted.bytes_max == 0 {
        return Ok(None);
    }
    let (folder, bytes_max, bodies_bytes_max) = match options.ephemeral {
        true => (None, history::MEMORY_BYTES_MAX, history::MEMORY_BODIES_BYTES_MAX),
        false => (Some(project.root.join(FOLDER)), u64::MAX, u64::MAX),
    };
    let bytes_max = wanted.bytes_max.min(bytes_max);
    let bounds = history::Bounds {
        age_max: wanted.age_max,
        bytes_max,
        // Events need room as well.
        bodies_bytes_max: wanted.bodies_bytes_max.min(bodies_bytes_max).min(bytes_max / 2),
    };
    let tell = told_by(hub, clock);
    let past = Past::start(folder, bounds, Box::new(move |message| tell("warning", message)))
        .context("cannot start the thread that keeps the history")?;
    hub.keep(past.clone());
    Ok(Some(past))
}

/// What the store has to say goes where everything else goes.
fn told_by(hub: &Hub, clock: &Clock) -> store::Tell {
    let (hub, clock) = (hub.clone(), clock.clone());
    Box::new(move |level, message| {
        let level = level.to_owned();
        let notice = Event::Notice(crate::report::event::Notice { level, message });
        hub.push(clock.now(), events::What::Made(Box::new(notice)));
    })
}

/// Whether another emulator serves this folder, which commands shall go on finding.
fn runs_beside(folder: &Path, driver: &Driver, ephemeral: bool) -> bool {
    let Some(pid) = ephemeral.then(|| store::holder(folder)).flatten() else {
        return false;
    };
    let message =
        format!("process {pid} serves this folder as well: commands find that one, this one by --control-url");
    driver.notice("warning", message);
    true
}

fn tell_of_busy_ports(driver: &Driver, functions: &Bound, control: &Bound) {
    for (what, bound) in [("functions", functions), ("control", control)] {
        if let Some(busy) = bound.busy {
            let message = format!("port {busy} is in use, {what} are on {}", bound.port);
            driver.notice("warning", message.replace("control are", "the control API is"));
        }
    }
}

/// Waits until everything has been built once.
async fn first_load(mut settled: tokio::sync::watch::Receiver<bool>) {
    // An error means that the reloader ended: there is nothing to wait for.
    let _ = settled.wait_for(|settled| *settled).await;
}

impl Live {
    fn run_file(&self, folder: &Path, token: Option<String>) -> RunFile {
        let run = api::RunFile {
            functions_url: self.functions_url.clone(),
            control_url: self.control_url.clone(),
            pid: std::process::id(),
            token,
        };
        RunFile::new(folder.join(run_file::NAME), run)
    }

    fn spawn_background(&self, clock: &Clock, arms: mpsc::UnboundedReceiver<cron::Arm>) {
        let driver = self.server.driver.clone();
        let stop = driver.0.stopping.clone();
        if let Some(manual) = clock.manual() {
            tokio::spawn(manual::conduct(manual.clone(), driver, stop));
            return;
        }
        tokio::spawn(stop.clone().run_until_cancelled_owned(driver.clone().run_timer()));
        if !clock.is_real() {
            // The core's deadlines are exact where no scheduler wakes it; nothing arms.
            return;
        }
        let clock = clock.clone();
        tokio::spawn(stop.run_until_cancelled_owned(async move {
            let due = {
                let driver = driver.clone();
                move |arm: cron::Arm| {
                    let input = Input::Due {
                        trigger: arm.trigger,
                        scheduled_at: arm.at,
                    };
                    driver.step(input, &mut Own::default());
                }
            };
            if let Err(error) = cron::run(clock, arms, due).await {
                driver.notice(
                    "warning",
                    format!("the cron scheduler stopped, the timer takes over: {error}"),
                );
            }
        }));
    }

    /// Follows the project folder; the receiver turns true once everything has been built once.
    fn follow(&self, reloader: Reloader<EngineLoader>) -> tokio::sync::watch::Receiver<bool> {
        let driver = self.server.driver.clone();
        let stop = driver.0.stopping.clone();
        let (settled_tx, settled) = tokio::sync::watch::channel(false);
        let (changes_tx, mut changes) = mpsc::channel::<Change<Loaded>>(64);
        tokio::spawn(reloader.run(changes_tx, stop.clone()));
        tokio::spawn(stop.run_until_cancelled_owned(async move {
            while let Some(change) = changes.recv().await {
                let settled = matches!(change, Change::Settled);
                driver.apply(change);
                if settled {
                    settled_tx.send_replace(true);
                }
            }
        }));
        settled
    }

    /// Emu's clock. Only a manual one can be moved.
    pub fn clock(&self) -> manual::Control {
        manual::Control::new(self.server.driver.clone())
    }

    /// Returns when nothing is queued, running or due.
    ///
    /// # Errors
    /// See [`idle::NotIdle`].
    pub async fn idle(&self, wait: idle::Wait) -> Result<(), idle::NotIdle> {
        self.server.driver.idle(wait).await
    }

    /// As GET `/_emu/functions`, in the order of names.
    pub fn functions(&self) -> Vec<api::Function> {
        control::views::functions(&self.server.driver)
    }

    /// What the network has answered functions, where that was to be kept.
    pub fn recorded(&self) -> Vec<outbound::Held> {
        self.server.driver.0.outside.recorded()
    }

    /// From now on.
    pub fn set_faults(&self, faults: crate::project::faults::Faults) {
        self.server.driver.set_faults(faults);
    }

    /// As GET `/_emu/queues`.
    pub fn queues(&self) -> Vec<api::Queue> {
        control::views::queues(&self.server.driver)
    }

    /// As GET `/_emu/topics`.
    pub fn topics(&self) -> Vec<api::Topic> {
        control::views::topics(&self.server.driver)
    }

    /// Reads the project again and rebuilds every function, as if all files had changed. Returns at once; the outcome
    /// comes as events.
    pub fn reload(&self) {
        self.server.reload();
    }

    /// Takes no more work, waits up to [`Options::drain`] for what runs, removes the run file, lets the sink see the
    /// last events. How many invocations were cut off.
    pub async fn shutdown(self) -> u64 {
        let inner = &self.server.driver.0;
        if let Some(file) = &self.run_file {
            file.remove();
        }
        inner.draining.store(true, Ordering::Relaxed);
        self.server.driver.step(Input::Drain, &mut Own::default());
        inner.stopping.cancel();
        self.stop_accepting.cancel();
        self.connections.close();
        inner.running.close();
        let drained = tokio::time::timeout(self.drain, async {
            inner.running.wait().await;
            self.connections.wait().await;
        });
        let finished = drained.await.is_ok();
        let left = if finished { 0 } else { inner.running.len() as u64 };
        self.server.driver.let_go();
        inner.store.close().await;
        if let Some(telemetry) = &inner.telemetry {
            telemetry.close().await;
        }
        let hub = inner.hub.clone();
        // The sink may write to a slow terminal.
        let _ = tokio::task::spawn_blocking(move || hub.close()).await;
        if let Some(past) = &self.past {
            past.close().await;
        }
        left
    }
}
