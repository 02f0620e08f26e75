//! The only place that reads the machine's time.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, SecondsFormat, Utc};

use crate::platform::time::{Span, Time};
use crate::project::ClockSetting;

/// emu's clock: real time, or waiting that runs faster by a factor.
#[derive(Clone)]
pub struct Clock(Arc<Inner>);

struct Inner {
    started: Instant,
    /// The machine's wall clock at the start.
    epoch: Time,
    factor: f64,
    setting: ClockSetting,
}

impl Clock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one room that reads the machine's clock"
    )]
    pub fn start(setting: ClockSetting) -> Clock {
        let factor = match setting {
            ClockSetting::Real => 1.0,
            ClockSetting::Scaled(factor) => factor,
        };
        let epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Clock(Arc::new(Inner {
            started: Instant::now(),
            epoch: Time(epoch.as_nanos() as u64),
            factor,
            setting,
        }))
    }

    /// Emu's time. In real time it follows the machine's wall clock, also over a suspend or a manual change (a step
    /// back is seen as standing still by whoever compares); scaled time is monotonic.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one room that reads the machine's clock"
    )]
    pub fn now(&self) -> Time {
        match self.0.setting {
            ClockSetting::Real => {
                let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Time(wall.as_nanos() as u64)
            }
            ClockSetting::Scaled(factor) => {
                let elapsed = self.0.started.elapsed().as_nanos() as f64 * factor;
                self.0.epoch + Span(elapsed as u64)
            }
        }
    }

    /// Emu's time when it started.
    pub fn started_at(&self) -> Time {
        self.0.epoch
    }

    /// How long the machine must wait until emu's clock shows `at`.
    pub fn until(&self, at: Time) -> Duration {
        let span = at.since(self.now()).0 as f64 / self.0.factor;
        // Timers of tokio have millisecond grain; a year is as good as for ever.
        Duration::from_nanos(span.min(31_536_000e9) as u64)
    }

    pub fn factor(&self) -> f64 {
        self.0.factor
    }

    pub fn is_real(&self) -> bool {
        self.0.setting == ClockSetting::Real
    }

    /// Since this clock started, in machine time.
    pub fn uptime(&self) -> Duration {
        self.0.started.elapsed()
    }

    /// `real` or `x60`.
    pub fn name(&self) -> String {
        match self.0.setting {
            ClockSetting::Real => "real".to_owned(),
            ClockSetting::Scaled(factor) => format!("x{factor}"),
        }
    }
}

/// RFC 3339 with milliseconds, UTC.
pub fn rfc3339(time: Time) -> String {
    match i64::try_from(time.0) {
        Ok(ns) => DateTime::<Utc>::from_timestamp_nanos(ns).to_rfc3339_opts(SecondsFormat::Millis, true),
        Err(_) => "never".to_owned(),
    }
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
