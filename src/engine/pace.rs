//! Virtual time of one run. What the guest computes counts by its fuel, scaled by the share of a processor that comes with
//! its memory; what it waits for is served by whoever drives the run. No machine's speed shows in either.
//!
//! A run's own time may be ahead of the driver's clock: it computes at once and then waits until the clock has come as far
//! ([`Pace::turn`]), so that all it does to others happens at its own instant and in order.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;

use crate::platform::time::{Span, Time};

/// Fuel that a whole processor burns in a second. wasmtime counts about one unit an instruction; a giga-instruction a second is
/// what a core of a server does with compiled WebAssembly, to within a factor of two.
pub const FUEL_PER_SECOND: u64 = 1_000_000_000;

/// Processor time of fuel on a whole processor.
pub fn cpu_time(fuel: u64) -> Span {
    Span(scale(fuel, 1_000_000_000, FUEL_PER_SECOND))
}

/// `value * by / of` without overflow on the way.
fn scale(value: u64, by: u64, of: u64) -> u64 {
    let scaled = u128::from(value) * u128::from(by) / u128::from(of.max(1));
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

/// As long as it lives, something is so.
pub type Hold = Box<dyn Any + Send + Sync>;

/// Resolves when the clock has come to an instant. Registered when it is made: of the same instant the first made is first.
pub type Turn = BoxFuture<'static, ()>;

/// Who drives a run in virtual time.
pub trait Keeper: Send + Sync {
    fn now(&self) -> Time;
    /// For what the run waits for.
    fn turn(&self, at: Time) -> Turn;
    /// As [`Keeper::turn`], for a bound on the run: who only has this left does something real.
    fn bound(&self, at: Time) -> Turn;
    /// The clock stands still meanwhile: something real is under way.
    fn hold(&self) -> Hold;
    /// The run waits for another one meanwhile.
    fn elsewhere(&self) -> Hold;
    /// Does something when the clock has come to this instant.
    fn at(&self, at: Time, act: Box<dyn FnOnce() + Send>);
}

/// How much of a processor a run has: `of` for each `share`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    share: u64,
    of: u64,
}

impl Share {
    /// `full_mb`: the memory that brings a whole processor; `None`: any does. More than one is of no use to a guest, which has
    /// one thread.
    pub fn of_memory(memory_mb: u32, full_mb: Option<u32>) -> Share {
        let of = u64::from(full_mb.unwrap_or(0));
        match u64::from(memory_mb.max(1)) {
            share if share < of => Share { share, of },
            _ => Share { share: 1, of: 1 },
        }
    }

    fn time_ns(self, fuel: u64) -> u64 {
        scale(cpu_time(fuel).0, self.of, self.share)
    }

    fn fuel(self, time: Duration) -> u64 {
        let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        scale(scale(ns, self.share, self.of), FUEL_PER_SECOND, 1_000_000_000)
    }
}

/// The time of one run.
pub struct Pace {
    keeper: Arc<dyn Keeper>,
    arrival: Time,
    /// When it has used up its time.
    end: Time,
    share: Share,
    /// Burned when the guest was last looked at.
    fuel: AtomicU64,
    waited_ns: AtomicU64,
    /// When it was ended from outside.
    cut: Arc<AtomicU64>,
}

impl Pace {
    /// A run that begins now.
    pub fn new(keeper: Arc<dyn Keeper>, share: Share, timeout: Duration) -> Pace {
        let arrival = keeper.now();
        Pace {
            arrival,
            end: arrival + Span::from(timeout),
            keeper,
            share,
            fuel: AtomicU64::new(0),
            waited_ns: AtomicU64::new(0),
            cut: Arc::new(AtomicU64::new(Time::NEVER.0)),
        }
    }

    pub fn arrival(&self) -> Time {
        self.arrival
    }

    /// The guest has burned so much by now. If the clock is ahead of it, it has waited.
    pub fn sync(&self, fuel: u64) {
        self.fuel.store(fuel, Ordering::Relaxed);
        let behind = self.keeper.now().since(self.local());
        self.waited_ns.fetch_add(behind.0, Ordering::Relaxed);
    }

    /// Since the arrival, in the run's own time.
    pub fn elapsed(&self) -> Span {
        let computed = self.share.time_ns(self.fuel.load(Ordering::Relaxed));
        let elapsed = Span(computed.saturating_add(self.waited_ns.load(Ordering::Relaxed)));
        elapsed.min(Time(self.cut.load(Ordering::Relaxed)).since(self.arrival))
    }

    /// The run ends now from outside: of what the guest has computed ahead nothing happens.
    pub fn cut(&self) {
        self.cut.store(self.keeper.now().0, Ordering::Relaxed);
    }

    /// Since the arrival, by the clock, which may be behind the run.
    pub fn elapsed_by_clock(&self) -> Span {
        self.keeper.now().since(self.arrival)
    }

    /// The run's own time.
    pub fn local(&self) -> Time {
        self.arrival + self.elapsed()
    }

    /// Waits until it is this run's turn to do something to others.
    pub fn turn(&self) -> Turn {
        self.turn_at(self.local())
    }

    pub fn turn_at(&self, at: Time) -> Turn {
        self.keeper.turn(at)
    }

    /// Resolves when the run has taken so long.
    pub fn bound(&self, after: Duration) -> Turn {
        self.keeper.bound(self.arrival + Span::from(after))
    }

    pub fn hold(&self) -> Hold {
        self.keeper.hold()
    }

    pub fn elsewhere(&self) -> Hold {
        self.keeper.elsewhere()
    }

    /// Does something when the clock has come to the run's own time, or to its end if that is passed. Nothing, if the run has
    /// been cut by then.
    pub fn act(&self, act: Box<dyn FnOnce(Time) + Send>) {
        let at = self.local().min(self.end);
        let cut = Arc::clone(&self.cut);
        let act = move || {
            if at.0 <= cut.load(Ordering::Relaxed) {
                act(at);
            }
        };
        self.keeper.at(at, Box::new(act));
    }

    /// All that the guest may burn in so much time.
    pub fn fuel_in(&self, time: Duration) -> u64 {
        self.share.fuel(time)
    }
}

impl std::fmt::Debug for Pace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pace({:?} + {})", self.arrival, self.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_brings_its_share_of_a_processor_and_never_more_than_one() {
        let small = Share::of_memory(128, Some(1_769));
        assert_eq!(small.time_ns(FUEL_PER_SECOND), 13_820_312_500);
        assert_eq!(small.fuel(Duration::from_nanos(13_820_312_500)), FUEL_PER_SECOND);
        for whole in [
            Share::of_memory(1_769, Some(1_769)),
            Share::of_memory(10_240, Some(1_769)),
            Share::of_memory(128, None),
        ] {
            assert_eq!(whole.time_ns(FUEL_PER_SECOND), 1_000_000_000);
        }
    }
}
