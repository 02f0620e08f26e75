//! Guest time: the arrival on emu's clock plus what has run since. What a guest waits for itself is execution: it takes
//! as long as it takes and is billed; a scaled clock shortens what lies between invocations. Under the manual clock guest time is
//! virtual ([`Pace`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use wasmtime::StoreContextMut;
use wasmtime::component::{Accessor, Linker, Resource};
use wasmtime_wasi::p2::bindings::clocks::wall_clock::Datetime;
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};
use wasmtime_wasi::p3::bindings::clocks::system_clock::Instant as SystemInstant;

use super::{Guest, sync};
use crate::engine::pace::{Hold, Pace};
use crate::platform::time::{Span, Time};

/// Longest single wait; wasmtime's timers overflow far above.
const WAIT_MAX: Duration = Duration::from_secs(365 * 24 * 3_600);
/// What the clocks say of themselves.
const RESOLUTION_NS: u64 = 1_000;
/// A clock that stands still passes so much with each look beyond so many: a guest that waits by looking gets on.
const STEP_NS: u64 = 10_000;
const LOOKS_MAX: u64 = 10_000;

/// The time of one run. Clones share it.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Unix time at arrival, nanoseconds.
    arrival_ns: u64,
    started: Instant,
    /// Virtual time; `None`: the machine's.
    pace: Option<Arc<Pace>>,
    still: Option<Still>,
}

/// Time that only passes by sleeping.
#[derive(Debug, Default)]
struct Still {
    slept_ns: AtomicU64,
    looks: AtomicU64,
}

impl Still {
    fn elapsed_ns(&self) -> u64 {
        let looks = self.looks.fetch_add(1, Ordering::Relaxed);
        let passed_ns = looks.saturating_sub(LOOKS_MAX).saturating_mul(STEP_NS);
        self.slept_ns.load(Ordering::Relaxed).saturating_add(passed_ns)
    }
}

impl Clock {
    pub fn new(arrival: Time, pace: Option<Arc<Pace>>) -> Self {
        let inner = Inner {
            arrival_ns: arrival.0,
            started: Instant::now(),
            still: None,
            pace,
        };
        Self(Arc::new(inner))
    }

    /// A clock by which nothing takes time but sleeping, so that runs can be compared.
    pub fn still(arrival: Time) -> Self {
        let inner = Inner {
            arrival_ns: arrival.0,
            started: Instant::now(),
            still: Some(Still::default()),
            pace: None,
        };
        Self(Arc::new(inner))
    }

    /// Whether the guest's time is not the machine's.
    pub fn is_virtual(&self) -> bool {
        self.0.pace.is_some() || self.0.still.is_some()
    }

    /// When the run began.
    pub fn arrival(&self) -> Time {
        Time(self.0.arrival_ns)
    }

    pub fn pace(&self) -> Option<&Arc<Pace>> {
        self.0.pace.as_ref()
    }

    /// Unix time as the guest sees it, nanoseconds.
    pub fn now_ns(&self) -> u64 {
        self.0.arrival_ns.saturating_add(self.elapsed_ns())
    }

    /// Guest time since the run began, nanoseconds.
    pub fn elapsed_ns(&self) -> u64 {
        match &self.0.still {
            Some(still) => still.elapsed_ns(),
            None => u64::try_from(self.elapsed().as_nanos()).unwrap_or(u64::MAX),
        }
    }

    /// What a run is charged for: virtual time, or the machine's, also where the guest's own time stands still.
    pub fn elapsed(&self) -> Duration {
        match &self.0.pace {
            Some(pace) => pace.elapsed().to_std(),
            None => self.0.started.elapsed(),
        }
    }

    /// Waits until guest time has reached `elapsed_ns` since the run began.
    pub async fn sleep_until(&self, elapsed_ns: u64) {
        let wait_ns = elapsed_ns.saturating_sub(self.elapsed_ns());
        if let Some(pace) = &self.0.pace {
            // What has passed is no reason to wait: a guest that only polls ends by its fuel.
            if wait_ns > 0 {
                pace.turn_at(pace.arrival() + Span(elapsed_ns)).await;
            }
            return;
        }
        if wait_ns == 0 {
            // A guest that polls in a loop must still let others run.
            return tokio::task::yield_now().await;
        }
        tokio::time::sleep(Duration::from_nanos(wait_ns).min(WAIT_MAX)).await;
        if let Some(still) = &self.0.still {
            still.slept_ns.fetch_max(elapsed_ns, Ordering::Relaxed);
        }
    }

    pub async fn sleep(&self, duration: Duration) {
        let duration_ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.sleep_until(self.elapsed_ns().saturating_add(duration_ns)).await;
    }

    /// Does something real. In virtual time it takes none: the clock stands still meanwhile, and what is done is handed over in
    /// the order in which it was begun.
    pub async fn standing<T>(&self, work: impl Future<Output = T>) -> T {
        let Some(pace) = &self.0.pace else {
            return work.await;
        };
        let (turn, hold) = (pace.turn(), pace.hold());
        let done = work.await;
        drop(hold);
        turn.await;
        done
    }

    /// Keeps a virtual clock from going on.
    pub fn hold(&self) -> Option<Hold> {
        self.0.pace.as_ref().map(|pace| pace.hold())
    }
}

type Store<'a> = StoreContextMut<'a, Guest>;

fn now_ns(store: &Store<'_>) -> u64 {
    sync(store);
    store.data().run.clock.now_ns()
}

/// By hand, not by the generated traits: virtual time is fuel, which only the store knows.
pub(super) fn add_to_linker(l: &mut Linker<Guest>) -> wasmtime::Result<()> {
    add_p2(l)?;
    add_p3(l)
}

fn add_p2(l: &mut Linker<Guest>) -> wasmtime::Result<()> {
    let mut wall = l.instance("wasi:clocks/wall-clock@0.2.12")?;
    wall.func_wrap("now", |store: Store<'_>, (): ()| Ok((datetime(now_ns(&store)),)))?;
    wall.func_wrap("resolution", |_: Store<'_>, (): ()| Ok((datetime(RESOLUTION_NS),)))?;
    let mut monotonic = l.instance("wasi:clocks/monotonic-clock@0.2.12")?;
    monotonic.func_wrap("now", |store: Store<'_>, (): ()| Ok((now_ns(&store),)))?;
    monotonic.func_wrap("resolution", |_: Store<'_>, (): ()| Ok((RESOLUTION_NS,)))?;
    monotonic.func_wrap("subscribe-instant", |mut store: Store<'_>, (when,): (u64,)| {
        sync(&store);
        Ok((pollable(store.data_mut(), when)?,))
    })?;
    monotonic.func_wrap("subscribe-duration", |mut store: Store<'_>, (duration,): (u64,)| {
        let until_ns = now_ns(&store).saturating_add(duration);
        Ok((pollable(store.data_mut(), until_ns)?,))
    })
}

fn add_p3(l: &mut Linker<Guest>) -> wasmtime::Result<()> {
    l.instance("wasi:clocks/types@0.3.0")?;
    let mut system = l.instance("wasi:clocks/system-clock@0.3.0")?;
    system.func_wrap("now", |store: Store<'_>, (): ()| {
        let now = Duration::from_nanos(now_ns(&store));
        Ok((SystemInstant {
            seconds: now.as_secs().try_into()?,
            nanoseconds: now.subsec_nanos(),
        },))
    })?;
    system.func_wrap("get-resolution", |_: Store<'_>, (): ()| Ok((RESOLUTION_NS,)))?;
    let mut monotonic = l.instance("wasi:clocks/monotonic-clock@0.3.0")?;
    monotonic.func_wrap("now", |store: Store<'_>, (): ()| Ok((now_ns(&store),)))?;
    monotonic.func_wrap("get-resolution", |_: Store<'_>, (): ()| Ok((RESOLUTION_NS,)))?;
    monotonic.func_wrap_concurrent("wait-until", |store: &Accessor<Guest>, (when,): (u64,)| {
        Box::pin(async move {
            let clock = synced(store);
            clock.sleep_until(when.saturating_sub(clock.0.arrival_ns)).await;
            synced(store);
            Ok(())
        })
    })?;
    monotonic.func_wrap_concurrent("wait-for", |store: &Accessor<Guest>, (duration,): (u64,)| {
        Box::pin(async move {
            synced(store).sleep(Duration::from_nanos(duration)).await;
            synced(store);
            Ok(())
        })
    })
}

/// The run's clock, with what the guest has computed by now.
pub fn synced(store: &Accessor<Guest>) -> Clock {
    store.with(|mut access| {
        sync(&access);
        access.get().run.clock.clone()
    })
}

fn datetime(ns: u64) -> Datetime {
    let time = Duration::from_nanos(ns);
    Datetime {
        seconds: time.as_secs(),
        nanoseconds: time.subsec_nanos(),
    }
}

/// The monotonic clock counts from the Unix epoch too: a kept sandbox then sees it grow from run to run.
struct Wait {
    clock: Clock,
    until_ns: u64,
}

#[wasmtime_wasi::async_trait]
impl Pollable for Wait {
    async fn ready(&mut self) {
        self.clock
            .sleep_until(self.until_ns.saturating_sub(self.clock.0.arrival_ns))
            .await;
    }
}

fn pollable(guest: &mut Guest, until_ns: u64) -> wasmtime::Result<Resource<DynPollable>> {
    let wait = guest.table.push(Wait {
        clock: guest.run.clock.clone(),
        until_ns,
    })?;
    subscribe(&mut guest.table, wait)
}
