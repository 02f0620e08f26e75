//! One guest's store and what runs in it. Limits, deadline and output are armed anew for each run.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::oneshot::Sender;
use wasmtime::{AsContext, Store};

use super::host::clock::Clock;
use super::host::{self, Guest, Run};
use super::runtime::Engine;
use super::{Cut, Failure, Invocation, Outcome, Reply, command, component, js, limits};

/// Where invocations run, one after the other. Dropping it ends whatever runs.
pub struct Sandbox(Kind);

enum Kind {
    Component(component::Sandbox),
    Command(Engine, Arc<command::Version>),
    Script(js::Sandbox),
}

impl Sandbox {
    pub(super) fn component(engine: Engine, version: Arc<component::Version>) -> Self {
        Self(Kind::Component(component::Sandbox::new(engine, version)))
    }

    pub(super) fn command(engine: Engine, version: Arc<command::Version>) -> Self {
        Self(Kind::Command(engine, version))
    }

    pub(super) fn script(engine: Engine, version: Arc<js::Version>) -> Self {
        Self(Kind::Script(js::Sandbox::new(engine, version)))
    }

    /// Runs the guest to its end. The reply is sent as soon as the guest has given it; if there is none, the sender is
    /// dropped and the outcome says why. A failed run leaves nothing of the guest behind: the next one starts afresh.
    ///
    /// Waits for room in the pool first, no longer than its timeout; neither that nor instantiation counts as duration, but the timeout
    /// covers instantiation too.
    pub async fn run(&mut self, invocation: Invocation, reply: Sender<Reply>) -> Outcome {
        match &mut self.0 {
            Kind::Component(sandbox) => sandbox.run(invocation, reply).await,
            Kind::Command(engine, version) => command::run(engine, version, invocation, reply).await,
            Kind::Script(sandbox) => sandbox.run(invocation, reply).await,
        }
    }
}

/// A store that is being used, with its place in the pool.
pub(super) struct Live {
    pub store: Store<Guest>,
    _room: OwnedSemaphorePermit,
}

impl Live {
    /// A new store with nothing in it yet, once there is room for it.
    ///
    /// # Errors
    /// When there is none within the run's timeout.
    pub async fn new(engine: &Engine, slots: u32, run: Arc<Run>, seed: u64) -> Result<Self, Failure> {
        let room = match engine.pool().room_now(slots) {
            Some(room) => room,
            None => wait_for_room(engine, slots, &run).await?,
        };
        let store = host::store(engine.wasmtime(), Guest::new(run, seed)).map_err(Failure::internal)?;
        Ok(Self { store, _room: room })
    }

    /// Prepares a kept store for its next run.
    pub fn rearm(&mut self, run: Arc<Run>, seed: u64) -> Result<(), Failure> {
        self.store.data_mut().arm(run, seed);
        host::refuel(&mut self.store).map_err(Failure::internal)
    }
}

async fn wait_for_room(engine: &Engine, slots: u32, run: &Run) -> Result<OwnedSemaphorePermit, Failure> {
    let timeout = run.settings.timeout;
    let room = async {
        // Those who run may wait for the clock.
        let _elsewhere = run.clock.pace().map(|pace| pace.elsewhere());
        engine.pool().room(slots).await
    };
    let room = within(&run.clock, timeout, room).await;
    if let Some(pace) = run.clock.pace() {
        pace.sync(0);
    }
    room.map_err(|failure| match failure.is_timeout() {
        true => engine.pool().full(timeout),
        false => failure,
    })
}

/// Measures a run from outside.
pub(super) struct Meter {
    clock: Clock,
    began: Duration,
    init: Duration,
}

impl Meter {
    pub fn start(clock: &Clock) -> Self {
        Self {
            clock: clock.clone(),
            began: clock.elapsed(),
            init: Duration::ZERO,
        }
    }

    /// Instantiation is over.
    pub fn initialised(&mut self, store: impl AsContext<Data = Guest>) {
        host::sync(store);
        self.initialised_at(self.clock.elapsed());
    }

    /// Instantiation was over then, on the run's clock.
    pub fn initialised_at(&mut self, elapsed: Duration) {
        self.init = elapsed.saturating_sub(self.began);
    }

    /// What the run came to; the store may be dropped afterwards.
    pub fn outcome(&self, live: &Live, mut result: Result<(), Failure>) -> Outcome {
        host::sync(&live.store);
        let mut elapsed = self.clock.elapsed().saturating_sub(self.began);
        let guest = live.store.data();
        guest.stdout.finish();
        guest.stderr.finish();
        let timeout = guest.run.settings.timeout;
        if self.clock.pace().is_some() && elapsed >= timeout && guest.memory.refused().is_none() {
            // Fuel is counted when the guest comes back, not when it passes the bound.
            result = Err(result
                .err()
                .filter(Failure::is_timeout)
                .unwrap_or_else(|| Failure::timeout(timeout)));
            elapsed = timeout;
        }
        Outcome {
            result,
            duration: elapsed.saturating_sub(self.init),
            init: self.init,
            fuel: host::fuel_spent(&live.store),
            memory_bytes_max: guest.memory.peak_bytes(),
            log_bytes_dropped: guest.run.log.dropped_bytes(),
        }
    }
}

/// The outcome of a run that never began.
pub(super) fn not_run(failure: Failure) -> Outcome {
    Outcome {
        result: Err(failure),
        duration: Duration::ZERO,
        init: Duration::ZERO,
        fuel: 0,
        memory_bytes_max: 0,
        log_bytes_dropped: 0,
    }
}

/// Runs `work` within the run's deadline, and up to its cut.
pub(super) async fn within_cut<T>(
    clock: &Clock,
    timeout: Duration,
    cut: Option<Cut>,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let work = within(clock, timeout, work);
    let Some(cut) = cut else { return work.await };
    tokio::select! {
        biased;
        result = work => result,
        failure = cut => {
            if let Some(pace) = clock.pace() {
                pace.cut();
            }
            Err(failure)
        }
    }
}

/// Runs `work` within the run's deadline.
pub(super) async fn within<T>(
    clock: &Clock,
    timeout: Duration,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let Some(pace) = clock.pace() else {
        return limits::within(timeout, work)
            .await
            .unwrap_or_else(|_| Err(Failure::timeout(timeout)));
    };
    // What is real does not pass in virtual time; it must come to an end all the same.
    let patience = timeout.saturating_mul(REAL_FACTOR).saturating_add(REAL_GRACE);
    let work = limits::within(patience, work);
    tokio::select! {
        biased;
        result = work => result.unwrap_or_else(|_| Err(Failure::held_up(patience))),
        () = pace.bound(timeout) => Err(Failure::timeout(timeout)),
    }
}

/// In virtual time a run may take so many times its timeout of the machine's, and this on top.
const REAL_FACTOR: u32 = 10;
const REAL_GRACE: Duration = Duration::from_secs(60);
