//! The only place that reads the machine's time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, SecondsFormat, Utc};

use crate::platform::time::{Span, Time};
use crate::project::ClockSetting;

use super::manual::{self, Manual};

/// emu's clock: real time, or waiting that runs faster by a factor.
#[derive(Clone)]
pub struct Clock(Arc<Inner>);

struct Inner {
    started: Instant,
    /// [`since_boot`] at the start.
    awake: Duration,
    /// The machine's wall clock at the start.
    epoch: Time,
    factor: f64,
    setting: ClockSetting,
    /// With [`ClockSetting::Manual`].
    manual: Option<Manual>,
    /// Since somebody changed it on the running emulator.
    pace: RwLock<Option<Pace>>,
    /// Whether there is one: nearly always there is none, and time is asked for often.
    paced: AtomicBool,
}

/// A speed that was set after the start.
#[derive(Clone, Copy)]
struct Pace {
    /// Emu's time when it was set.
    at: Time,
    /// And the machine's, since emu's start.
    since: Duration,
    factor: f64,
}

impl Clock {
    pub fn start(setting: ClockSetting) -> Clock {
        Clock::start_at(setting, None)
    }

    /// A manual clock begins at `start`; the others are what they are.
    pub fn start_at(setting: ClockSetting, start: Option<Time>) -> Clock {
        let factor = match setting {
            ClockSetting::Real | ClockSetting::Manual => 1.0,
            ClockSetting::Scaled(factor) => factor,
        };
        let manual = (setting == ClockSetting::Manual).then(|| Manual::new(start.unwrap_or(manual::START)));
        Clock(Arc::new(Inner {
            started: Instant::now(),
            awake: since_boot(),
            epoch: manual.as_ref().map_or_else(machine_wall, Manual::start),
            factor,
            setting,
            manual,
            pace: RwLock::default(),
            paced: AtomicBool::new(false),
        }))
    }

    /// How much faster than the machine's it goes by itself: 0 when it is moved by hand.
    pub fn speed(&self) -> f64 {
        match self.0.manual {
            Some(_) => 0.0,
            None => self.factor(),
        }
    }

    /// Virtual time, when that is what this clock shows.
    pub fn manual(&self) -> Option<&Manual> {
        self.0.manual.as_ref()
    }

    /// From now on time goes this many times as fast as the machine's. It never goes back.
    pub fn set_factor(&self, factor: f64) {
        let mut pace = self.0.pace.write().unwrap_or_else(PoisonError::into_inner);
        let since = self.0.started.elapsed();
        let at = match *pace {
            Some(pace) => pace.time(since),
            None => self.now_unpaced(),
        };
        *pace = Some(Pace { at, since, factor });
        self.0.paced.store(true, Ordering::Release);
    }

    fn pace(&self) -> Option<Pace> {
        if !self.0.paced.load(Ordering::Acquire) {
            return None;
        }
        *self.0.pace.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Emu's time. It began with the machine's wall clock and then only goes forward, through a suspend as well, however
    /// somebody sets that clock: what waits, waits as long as it should.
    pub fn now(&self) -> Time {
        match self.pace() {
            Some(pace) => pace.time(self.0.started.elapsed()),
            None => self.now_unpaced(),
        }
    }

    fn now_unpaced(&self) -> Time {
        match self.0.setting {
            ClockSetting::Manual => self.0.manual.as_ref().map_or(self.0.epoch, Manual::now),
            ClockSetting::Real => self.0.epoch + Span::from(since_boot().saturating_sub(self.0.awake)),
            ClockSetting::Scaled(factor) => {
                let elapsed = self.0.started.elapsed().as_nanos() as f64 * factor;
                self.0.epoch + Span(elapsed as u64)
            }
        }
    }

    /// How far the machine's wall clock is ahead of emu's time, in nanoseconds: not zero when it was set meanwhile. A
    /// scaled clock has nothing to do with it.
    pub fn wall_ahead_ns(&self) -> i64 {
        if self.pace().is_some() {
            return 0;
        }
        match self.0.setting {
            ClockSetting::Real => machine_wall().0.wrapping_sub(self.now().0).cast_signed(),
            ClockSetting::Scaled(_) | ClockSetting::Manual => 0,
        }
    }

    /// What a guest's `Date` shows.
    pub fn wall(&self) -> Time {
        if self.pace().is_some() {
            return self.now();
        }
        match self.0.setting {
            ClockSetting::Real => machine_wall(),
            ClockSetting::Scaled(_) | ClockSetting::Manual => self.now(),
        }
    }

    /// Emu's time when it started.
    pub fn started_at(&self) -> Time {
        self.0.epoch
    }

    /// How long the machine must wait until emu's clock shows `at`.
    pub fn until(&self, at: Time) -> Duration {
        let span = at.since(self.now()).0 as f64 / self.factor();
        // Timers of tokio have millisecond grain; a year is as good as for ever.
        Duration::from_nanos(span.min(31_536_000e9) as u64)
    }

    pub fn factor(&self) -> f64 {
        self.pace().map_or(self.0.factor, |pace| pace.factor)
    }

    pub fn is_real(&self) -> bool {
        self.0.setting == ClockSetting::Real && self.pace().is_none()
    }

    /// How it was started.
    pub fn setting(&self) -> ClockSetting {
        self.0.setting
    }

    /// Since this clock started, in machine time.
    pub fn uptime(&self) -> Duration {
        self.0.started.elapsed()
    }

    /// `real`, `manual` or `x60`.
    pub fn name(&self) -> String {
        if let Some(pace) = self.pace() {
            return format!("x{}", pace.factor);
        }
        match self.0.setting {
            ClockSetting::Manual => "manual".to_owned(),
            ClockSetting::Real => "real".to_owned(),
            ClockSetting::Scaled(factor) => format!("x{factor}"),
        }
    }
}

impl Pace {
    fn time(&self, elapsed: Duration) -> Time {
        let ns = elapsed.saturating_sub(self.since).as_nanos() as f64 * self.factor;
        self.at + Span(ns as u64)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the one room that reads the machine's clock"
)]
fn machine_wall() -> Time {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(u64::try_from(wall.as_nanos()).unwrap_or(u64::MAX))
}

/// Time that nobody sets, and that goes on while the machine sleeps: tokio's and std's clocks stop then on Linux and macOS.
#[cfg(unix)]
fn since_boot() -> Duration {
    use rustix::time::{ClockId, clock_gettime};
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let clock = ClockId::Boottime;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let clock = ClockId::Monotonic;
    let time = clock_gettime(clock);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

#[cfg(not(unix))]
fn since_boot() -> Duration {
    static FIRST: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    FIRST.get_or_init(Instant::now).elapsed()
}

/// RFC 3339 with milliseconds, UTC.
pub fn rfc3339(time: Time) -> String {
    match i64::try_from(time.0) {
        Ok(ns) => DateTime::<Utc>::from_timestamp_nanos(ns).to_rfc3339_opts(SecondsFormat::Millis, true),
        Err(_) => "never".to_owned(),
    }
}

/// An RFC 3339 instant.
///
/// # Errors
/// What is wrong with it.
pub fn instant(text: &str) -> Result<Time, String> {
    let at = DateTime::parse_from_rfc3339(text)
        .map_err(|error| format!("{text:?} is no instant ({error}): write it as 2026-03-29T00:00:00Z"))?;
    let ns = at.timestamp_nanos_opt().and_then(|ns| u64::try_from(ns).ok());
    ns.map(Time)
        .ok_or_else(|| format!("{text:?} lies outside of the years 1970 to 2262"))
}

/// An instant of the past as events write it: `15m` before `now`, or an RFC 3339 instant.
///
/// # Errors
/// What is wrong with it.
pub fn since(text: &str, now: Time) -> Result<String, String> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(at.to_utc().to_rfc3339_opts(SecondsFormat::Millis, true));
    }
    let span = crate::project::units::parse_span(text).map_err(|error| error.to_string())?;
    Ok(rfc3339(Time(now.0.saturating_sub(span.0))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun_at(epoch: Time) -> Clock {
        Clock(Arc::new(Inner {
            epoch,
            ..Arc::into_inner(Clock::start(ClockSetting::Real).0).expect("the only one")
        }))
    }

    #[test]
    fn a_clock_that_was_set_changes_the_wall_and_not_the_time() {
        // As if the machine's clock had been set forward by an hour since the start.
        let clock = begun_at(Time(machine_wall().0 - 3_600_000_000_000));
        let ahead = clock.wall_ahead_ns();
        assert!((3_599_000_000_000..3_601_000_000_000).contains(&ahead), "{ahead}");
        assert!(clock.wall().since(clock.now()) > Span::from_secs(3_599));
        let before = clock.now();
        assert!(clock.now() >= before);
        assert!(clock.now().since(clock.started_at()) < Span::from_secs(60));
    }

    #[test]
    fn another_pace_goes_on_from_where_the_clock_was() {
        let clock = Clock::start(ClockSetting::Real);
        assert!(clock.is_real());
        let before = clock.now();
        clock.set_factor(1_000_000.0);
        let fast = clock.now();
        assert!(fast >= before && !clock.is_real());
        assert_eq!((clock.factor(), clock.name().as_str()), (1_000_000.0, "x1000000"));
        clock.set_factor(0.001);
        let slow = clock.now();
        assert!(slow >= fast);
        assert!(clock.now().since(slow) < Span::from_secs(1), "it goes slowly now");
        assert!(clock.until(slow + Span::from_secs(1)) > Duration::from_secs(900));
    }

    #[test]
    fn an_instant_of_the_past_is_a_span_or_a_date() {
        let now = Time::from_secs(7_200);
        assert_eq!(since("1h", now).as_deref(), Ok("1970-01-01T01:00:00.000Z"));
        assert_eq!(
            since("1970-01-01T03:00:00+02:00", now).as_deref(),
            Ok("1970-01-01T01:00:00.000Z")
        );
        assert!(since("yesterday", now).is_err());
    }
}
