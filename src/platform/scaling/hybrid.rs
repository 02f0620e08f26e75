//! The hybrid histogram policy of "Serverless in the Wild" (Shahrad et al., USENIX ATC 2020): idle times of a function are
//! counted in bins; where they show a pattern, its instances go at once, and one is started shortly before the next request
//! is likely, and kept until it no longer is. Where they show none, a fixed time holds. (The paper forecasts the times
//! that lie beyond the histogram; here the fixed time holds for them as well.)

use crate::platform::time::{Span, Time};

/// Its settings; the defaults are the paper's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HybridSpec {
    /// Width of a bin.
    pub bin: Span,
    /// Longer idle times are beyond the histogram.
    pub range: Span,
    /// Percentile of idle times before which no request is expected.
    pub head_percent: u32,
    /// Percentile after which none is.
    pub tail_percent: u32,
    /// Both are moved apart by so much of themselves.
    pub margin_percent: u32,
    /// The fixed time, while the histogram says nothing.
    pub fallback: Span,
}

impl Default for HybridSpec {
    fn default() -> HybridSpec {
        let range = Span::from_secs(4 * 3_600);
        HybridSpec {
            bin: Span::from_secs(60),
            range,
            head_percent: 5,
            tail_percent: 99,
            margin_percent: 10,
            fallback: range,
        }
    }
}

/// Idle from `0` to `prewarm` without an instance, and from there to `keep` with one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Windows {
    pub prewarm: Span,
    pub keep: Span,
}

#[derive(Clone, Debug)]
pub(super) struct Hybrid {
    spec: HybridSpec,
    bins: Vec<u32>,
    count: u64,
    /// Of the bins' counts: their spread tells whether there is a pattern.
    squares: u64,
    beyond: u64,
    /// Since when nothing starts or runs, with what was decided then.
    idle: Option<(Time, Windows)>,
}

/// A histogram with at least this coefficient of variation among its bins is representative.
const VARIATION_MIN: f64 = 2.0;

/// More bins say nothing more, whatever a manifest asks for.
const BINS_MAX: u64 = 10_000;

impl Hybrid {
    pub fn new(spec: HybridSpec) -> Hybrid {
        let bins = (spec.range.0 / spec.bin.0.max(1)).clamp(1, BINS_MAX);
        Hybrid {
            spec,
            bins: vec![0; usize::try_from(bins).unwrap_or(1)],
            count: 0,
            squares: 0,
            beyond: 0,
            idle: None,
        }
    }

    pub fn arrived(&mut self, now: Time) {
        let Some((since, _)) = self.idle.take() else { return };
        let bin = usize::try_from(now.since(since).0 / self.spec.bin.0.max(1)).unwrap_or(usize::MAX);
        match self.bins.get_mut(bin) {
            Some(bin) => {
                self.squares += 2 * u64::from(*bin) + 1;
                *bin += 1;
                self.count += 1;
            }
            None => self.beyond += 1,
        }
    }

    pub fn stay(&mut self, now: Time, all: bool) -> Span {
        if let Some((since, windows)) = self.idle {
            // One that was started ahead.
            return (since + windows.keep).since(now);
        }
        let windows = self.windows();
        if !all {
            return windows.keep;
        }
        self.idle = Some((now, windows));
        if windows.prewarm > Span::ZERO {
            Span::ZERO
        } else {
            windows.keep
        }
    }

    pub fn prewarm_at(&self) -> Option<Time> {
        let (since, windows) = self.idle?;
        (windows.prewarm > Span::ZERO).then(|| since + windows.prewarm)
    }

    pub fn windows(&self) -> Windows {
        let n = self.bins.len() as f64;
        let mean = self.count as f64 / n;
        let variance = self.squares as f64 / n - mean * mean;
        if self.count == 0 || self.beyond > self.count || variance.max(0.0).sqrt() < VARIATION_MIN * mean {
            return Windows {
                prewarm: Span::ZERO,
                keep: self.spec.fallback,
            };
        }
        let margin = u64::from(self.spec.margin_percent);
        let (head, tail) = (
            self.percentile(self.spec.head_percent),
            self.percentile(self.spec.tail_percent),
        );
        let bin = self.spec.bin.0;
        // Down to the lower edge of the one bin, up to the upper edge of the other.
        Windows {
            prewarm: Span((head * bin) / 100 * 100u64.saturating_sub(margin)),
            keep: Span(((tail + 1) * bin) / 100 * (100 + margin)),
        }
    }

    /// The bin that holds this percentile.
    fn percentile(&self, percent: u32) -> u64 {
        let rank = (self.count * u64::from(percent)).div_ceil(100).max(1);
        let mut below = 0;
        for (at, count) in self.bins.iter().enumerate() {
            below += u64::from(*count);
            if below >= rank {
                return at as u64;
            }
        }
        self.bins.len() as u64 - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(gaps_s: &[u64]) -> Hybrid {
        let mut hybrid = Hybrid::new(HybridSpec::default());
        let mut now = Time::from_secs(1);
        for gap in gaps_s {
            hybrid.stay(now, true);
            now += Span::from_secs(*gap);
            hybrid.arrived(now);
        }
        hybrid
    }

    #[test]
    fn without_a_pattern_the_fixed_time_holds() {
        let fallback = Windows {
            prewarm: Span::ZERO,
            keep: Span::from_secs(4 * 3_600),
        };
        assert_eq!(after(&[]).windows(), fallback);
        let even: Vec<u64> = (0..240).map(|minute| minute * 60 + 30).collect();
        assert_eq!(after(&even).windows(), fallback);
        // Most of them beyond the histogram.
        assert_eq!(after(&[5 * 3_600, 5 * 3_600, 60]).windows(), fallback);
    }

    /// Every half an hour: instances go at once, one comes back after 27 minutes, and stays until the 34th.
    #[test]
    fn a_timer_is_prewarmed() {
        let windows = after(&[1_800; 20]).windows();
        assert_eq!(
            windows,
            Windows {
                prewarm: Span::from_secs(27 * 60),
                keep: Span::from_secs(31 * 66)
            }
        );
    }

    /// Often: the head is in the first bin, so that nothing is let go before the tail.
    #[test]
    fn frequent_requests_keep_their_instance() {
        let windows = after(&[5, 20, 30, 7, 90, 12, 3]).windows();
        assert_eq!(
            windows,
            Windows {
                prewarm: Span::ZERO,
                keep: Span::from_secs(132)
            }
        );
    }
}
