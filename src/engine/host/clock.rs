//! Guest time: the arrival on emu's clock plus what has run since. What a guest waits for itself is execution: it takes
//! as long as it takes and is billed; a scaled clock shortens what lies between invocations.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use wasmtime::component::{Accessor, HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::p2::bindings::clocks as p2;
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};
use wasmtime_wasi::p3::bindings::clocks as p3;

use super::Guest;
use crate::platform::time::Time;

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
    pub fn new(arrival: Time) -> Self {
        let inner = Inner {
            arrival_ns: arrival.0,
            started: Instant::now(),
            still: None,
        };
        Self(Arc::new(inner))
    }

    /// A clock by which nothing takes time but sleeping, so that runs can be compared.
    pub fn still(arrival: Time) -> Self {
        let inner = Inner {
            arrival_ns: arrival.0,
            started: Instant::now(),
            still: Some(Still::default()),
        };
        Self(Arc::new(inner))
    }

    /// When the run began.
    pub fn arrival(&self) -> Time {
        Time(self.0.arrival_ns)
    }

    /// Unix time as the guest sees it, nanoseconds.
    pub fn now_ns(&self) -> u64 {
        self.0.arrival_ns.saturating_add(self.elapsed_ns())
    }

    /// Guest time since the run began, nanoseconds.
    pub fn elapsed_ns(&self) -> u64 {
        if let Some(still) = &self.0.still {
            return still.elapsed_ns();
        }
        u64::try_from(self.0.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Waits until guest time has reached `elapsed_ns` since the run began.
    pub async fn sleep_until(&self, elapsed_ns: u64) {
        let wait_ns = elapsed_ns.saturating_sub(self.elapsed_ns());
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
}

struct HasClock;

impl HasData for HasClock {
    type Data<'a> = ClockView<'a>;
}

struct ClockView<'a> {
    clock: &'a Clock,
    table: &'a mut ResourceTable,
}

fn view(guest: &mut Guest) -> ClockView<'_> {
    ClockView {
        clock: &guest.run.clock,
        table: &mut guest.table,
    }
}

pub(super) fn add_to_linker(l: &mut Linker<Guest>) -> wasmtime::Result<()> {
    p2::wall_clock::add_to_linker::<_, HasClock>(l, view)?;
    p2::monotonic_clock::add_to_linker::<_, HasClock>(l, view)?;
    p3::types::add_to_linker::<_, HasClock>(l, view)?;
    p3::system_clock::add_to_linker::<_, HasClock>(l, view)?;
    p3::monotonic_clock::add_to_linker::<_, HasClock>(l, view)
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

impl ClockView<'_> {
    fn subscribe(self, until_ns: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let wait = self.table.push(Wait {
            clock: self.clock.clone(),
            until_ns,
        })?;
        subscribe(self.table, wait)
    }
}

impl p2::wall_clock::Host for ClockView<'_> {
    fn now(&mut self) -> wasmtime::Result<p2::wall_clock::Datetime> {
        let now = Duration::from_nanos(self.clock.now_ns());
        Ok(p2::wall_clock::Datetime {
            seconds: now.as_secs(),
            nanoseconds: now.subsec_nanos(),
        })
    }

    fn resolution(&mut self) -> wasmtime::Result<p2::wall_clock::Datetime> {
        Ok(p2::wall_clock::Datetime {
            seconds: 0,
            nanoseconds: RESOLUTION_NS as u32,
        })
    }
}

impl p2::monotonic_clock::Host for ClockView<'_> {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(self.clock.now_ns())
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(RESOLUTION_NS)
    }

    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        ClockView {
            clock: self.clock,
            table: self.table,
        }
        .subscribe(when)
    }

    fn subscribe_duration(&mut self, duration: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let until_ns = self.clock.now_ns().saturating_add(duration);
        ClockView {
            clock: self.clock,
            table: self.table,
        }
        .subscribe(until_ns)
    }
}

impl p3::types::Host for ClockView<'_> {}

impl p3::system_clock::Host for ClockView<'_> {
    fn now(&mut self) -> wasmtime::Result<p3::system_clock::Instant> {
        let now = Duration::from_nanos(self.clock.now_ns());
        Ok(p3::system_clock::Instant {
            seconds: now.as_secs().try_into()?,
            nanoseconds: now.subsec_nanos(),
        })
    }

    fn get_resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(RESOLUTION_NS)
    }
}

impl p3::monotonic_clock::Host for ClockView<'_> {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(self.clock.now_ns())
    }

    fn get_resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(RESOLUTION_NS)
    }
}

impl<T> p3::monotonic_clock::HostWithStore<T> for HasClock {
    async fn wait_until(accessor: &Accessor<T, Self>, when: u64) -> wasmtime::Result<()> {
        let clock = accessor.with(|mut access| access.get().clock.clone());
        clock.sleep_until(when.saturating_sub(clock.0.arrival_ns)).await;
        Ok(())
    }

    async fn wait_for(accessor: &Accessor<T, Self>, duration: u64) -> wasmtime::Result<()> {
        let clock = accessor.with(|mut access| access.get().clock.clone());
        clock.sleep(Duration::from_nanos(duration)).await;
        Ok(())
    }
}
