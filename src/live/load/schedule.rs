//! When the requests of a load leave: a pure function of pattern, rate and duration.

use std::time::Duration;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// The shape of the traffic over time. All but `spike` have the rate as their mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pattern {
    /// The same rate all the time
    #[default]
    Steady,
    /// Every ten seconds all of their requests within one second, then silence
    Burst,
    /// The rate, and ten times the rate in the middle tenth
    Spike,
    /// Four waves between nothing and twice the rate
    Waves,
}

/// Length of a burst and the silence after it, and of the burst alone.
const BURST_PERIOD_S: f64 = 10.0;
const BURST_S: f64 = 1.0;
const SPIKE_FACTOR: f64 = 10.0;
const WAVES: f64 = 4.0;
/// Rates are taken as constant over this long.
const STEP_S: f64 = 0.001;

impl Pattern {
    /// Requests a second at `t` seconds of `total`, for a rate of 1.
    fn intensity(self, t: f64, total: f64) -> f64 {
        match self {
            Pattern::Steady => 1.0,
            Pattern::Burst => {
                // A load shorter than a period is one burst with a whole load's requests.
                let period = BURST_PERIOD_S.min(total);
                let burst = BURST_S.min(period);
                if t % period < burst { period / burst } else { 0.0 }
            }
            Pattern::Spike => {
                if (0.45..0.55).contains(&(t / total)) {
                    SPIKE_FACTOR
                } else {
                    1.0
                }
            }
            Pattern::Waves => 1.0 - (t / total * WAVES * std::f64::consts::TAU).cos(),
        }
    }
}

/// The offsets from the start at which requests leave, in order.
#[derive(Clone, Debug)]
pub struct Schedule {
    pattern: Pattern,
    rate: f64,
    total_s: f64,
    step: u64,
    /// Requests due up to the start of `step`, as a fraction beyond those handed out.
    owed: f64,
    /// Within `step`: how much of it the last request used up, in requests.
    used: f64,
}

impl Schedule {
    /// `rate` in requests a second; anything that is not above zero makes an empty schedule.
    pub fn new(pattern: Pattern, rate: f64, duration: Duration) -> Schedule {
        let rate = if rate.is_finite() && rate > 0.0 { rate } else { 0.0 };
        Schedule {
            pattern,
            rate,
            total_s: duration.as_secs_f64(),
            step: 0,
            // The first request of a steady load leaves at once.
            owed: 1.0,
            used: 0.0,
        }
    }
}

impl Iterator for Schedule {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        loop {
            let begin = self.step as f64 * STEP_S;
            if begin >= self.total_s || self.rate == 0.0 {
                return None;
            }
            let length = STEP_S.min(self.total_s - begin);
            let in_step = self.rate * self.pattern.intensity(begin + length / 2.0, self.total_s) * length;
            let wanted = 1.0 - self.owed;
            // A hair's breadth for what floating point loses over a million steps.
            if in_step > 0.0 && self.used + wanted < in_step - 1e-9 {
                self.used += wanted.max(0.0);
                self.owed = 0.0;
                return Some(Duration::from_secs_f64(begin + length * self.used / in_step));
            }
            self.owed += in_step - self.used;
            self.used = 0.0;
            self.step += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offsets(pattern: Pattern, rate: f64, seconds: f64) -> Vec<f64> {
        Schedule::new(pattern, rate, Duration::from_secs_f64(seconds))
            .map(|d| d.as_secs_f64())
            .collect()
    }

    fn between(offsets: &[f64], from: f64, to: f64) -> usize {
        offsets.iter().filter(|t| (from..to).contains(*t)).count()
    }

    #[test]
    fn steady_requests_are_evenly_spaced() {
        let t = offsets(Pattern::Steady, 50.0, 2.0);
        assert_eq!(t.len(), 100);
        assert!(t[0] < 1e-6);
        for pair in t.windows(2) {
            assert!((pair[1] - pair[0] - 0.02).abs() < 1e-6, "{pair:?}");
        }
        assert_eq!(offsets(Pattern::Steady, 0.5, 10.0).len(), 5);
        assert_eq!(offsets(Pattern::Steady, 5_000.0, 1.0).len(), 5_000);
    }

    #[test]
    fn bursts_keep_the_mean_and_leave_silence() {
        let t = offsets(Pattern::Burst, 20.0, 30.0);
        assert_eq!(t.len(), 600);
        assert_eq!(between(&t, 0.0, 1.0), 200);
        assert_eq!(between(&t, 1.01, 9.99), 0);
        assert_eq!(between(&t, 10.0, 11.01), 200);
        let short = offsets(Pattern::Burst, 50.0, 5.0);
        assert_eq!((short.len(), between(&short, 0.0, 1.0)), (250, 250));
    }

    #[test]
    fn a_spike_stands_in_the_middle() {
        let t = offsets(Pattern::Spike, 10.0, 100.0);
        assert_eq!(t.len(), 900 + 1_000);
        assert_eq!(between(&t, 0.0, 44.9), 449);
        assert!((between(&t, 45.0, 55.0) as i64 - 1_000).abs() <= 1);
    }

    #[test]
    fn waves_rise_and_fall_four_times() {
        let t = offsets(Pattern::Waves, 25.0, 40.0);
        assert!((t.len() as i64 - 1_000).abs() <= 1, "{}", t.len());
        for wave in 0..4 {
            let start = f64::from(wave) * 10.0;
            let (trough, crest) = (between(&t, start, start + 1.0), between(&t, start + 4.5, start + 5.5));
            assert!(trough < 5 && crest > 45, "wave {wave}: {trough} {crest}");
        }
    }

    #[test]
    fn order_holds_and_nothing_comes_of_nothing() {
        for pattern in [Pattern::Steady, Pattern::Burst, Pattern::Spike, Pattern::Waves] {
            let t = offsets(pattern, 333.3, 7.7);
            assert!(t.windows(2).all(|pair| pair[0] <= pair[1]), "{pattern:?}");
            assert!(t.iter().all(|t| (0.0..=7.7).contains(t)), "{pattern:?}");
            for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
                assert_eq!(offsets(pattern, rate, 1.0).len(), 0);
            }
            assert_eq!(offsets(pattern, 10.0, 0.0).len(), 0);
        }
    }
}
