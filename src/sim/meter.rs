//! What one replication of one function (or of one group of servers) comes to: counts, times, and integrals over time.
//! Bounded in size, however long the run.

use super::latency::{Latencies, Precision};
use crate::platform::time::{Span, Time};

/// The part of a run that counts, and in how many pieces it is shown over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// End of the warm-up.
    pub from: Time,
    pub until: Time,
    pub bins: u32,
}

impl Window {
    /// Its length.
    pub fn seconds(&self) -> f64 {
        self.until.since(self.from).0 as f64 / 1e9
    }

    /// End of the bin with this number.
    fn bin_end(&self, bin: usize) -> Time {
        let whole = u128::from(self.until.since(self.from).0);
        let upto = whole * (bin as u128 + 1) / u128::from(self.bins.max(1));
        self.from + Span(u64::try_from(upto).unwrap_or(u64::MAX))
    }
}

/// Sums since the end of the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    pub arrivals: u64,
    /// That ran to their end.
    pub ended: u64,
    pub cold: u64,
    pub refused: u64,
    pub failed: u64,
    /// From arrival to end, of those that ran.
    pub latency_ns: u128,
    /// Instances (servers: workers) times nanoseconds, all of them and those that work or start.
    pub instances_ns: u128,
    pub running_ns: u128,
    /// Instances that went, and how long they had lived.
    pub gone: u64,
    pub lived_ns: u128,
}

/// Sums within one piece of time: whole numbers, so that those of many functions add up to the same in any order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bin {
    pub arrivals: u64,
    pub cold: u64,
    pub refused: u64,
    /// Times nanoseconds.
    pub instances_ns: u128,
    pub running_ns: u128,
    pub instances_max: u32,
}

impl Bin {
    /// What happens elsewhere meanwhile; of the most at once nothing can be said then.
    pub fn add(&mut self, other: &Bin) {
        self.arrivals += other.arrivals;
        self.cold += other.cold;
        self.refused += other.refused;
        self.instances_ns += other.instances_ns;
        self.running_ns += other.running_ns;
        self.instances_max = 0;
    }
}

#[derive(Clone, Debug)]
pub struct Meter {
    window: Window,
    /// When something is to be cut: the end of the warm-up or of a bin.
    mark: Time,
    warm: bool,
    last: Time,
    instances: u32,
    running: u32,
    pub sums: Sums,
    cut: Sums,
    bin_peak: u32,
    pub peak: u32,
    /// Microseconds.
    pub latency_us: Latencies,
    pub bins: Vec<Bin>,
}

/// What a [`Meter`] came to, without what it took to get there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measured {
    pub sums: Sums,
    pub peak: u32,
    /// Of the latencies, in microseconds, by [`QUANTILES`].
    pub latency_us: [u64; 3],
    pub bins: Vec<Bin>,
}

/// Shares of latencies that are told.
pub const QUANTILES: [f64; 3] = [0.5, 0.9, 0.99];

impl Meter {
    /// Without bins and with coarse latencies where there are `many` of them.
    pub fn new(window: Window, many: bool) -> Meter {
        let precision = if many { Precision::Coarse } else { Precision::Fine };
        let window = Window {
            bins: if many { 0 } else { window.bins },
            ..window
        };
        let warm = window.from == Time::ZERO;
        Meter {
            window,
            mark: match warm {
                true if window.bins == 0 => Time::NEVER,
                true => window.bin_end(0),
                false => window.from,
            },
            warm,
            last: Time::ZERO,
            instances: 0,
            running: 0,
            sums: Sums::default(),
            cut: Sums::default(),
            bin_peak: 0,
            peak: 0,
            latency_us: Latencies::new(precision),
            bins: Vec::with_capacity(window.bins as usize),
        }
    }

    /// Time has come to `now`; before whatever happens there.
    #[inline]
    pub fn pass_to(&mut self, now: Time) {
        if now >= self.mark {
            self.cut_to(now);
        }
        self.integrate(now);
    }

    #[inline]
    fn integrate(&mut self, now: Time) {
        let passed = now.since(self.last).0;
        self.last = now;
        self.sums.instances_ns += u128::from(passed) * u128::from(self.instances);
        self.sums.running_ns += u128::from(passed) * u128::from(self.running);
    }

    #[cold]
    fn cut_to(&mut self, now: Time) {
        while now >= self.mark {
            self.integrate(self.mark);
            if self.warm {
                self.end_bin();
            } else {
                self.warm = true;
                self.sums = Sums::default();
                self.latency_us.clear();
                self.peak = self.instances;
            }
            self.bin_peak = self.instances;
            self.cut = self.sums;
            self.mark = match u32::try_from(self.bins.len()) {
                Ok(bins) if bins < self.window.bins => self.window.bin_end(self.bins.len()),
                _ => Time::NEVER,
            };
            if self.mark == Time::NEVER {
                return;
            }
        }
    }

    fn end_bin(&mut self) {
        let (sums, cut) = (&self.sums, &self.cut);
        self.bins.push(Bin {
            arrivals: sums.arrivals - cut.arrivals,
            cold: sums.cold - cut.cold,
            refused: sums.refused - cut.refused,
            instances_ns: sums.instances_ns - cut.instances_ns,
            running_ns: sums.running_ns - cut.running_ns,
            instances_max: self.bin_peak,
        });
    }

    pub fn arrived(&mut self) {
        self.sums.arrivals += 1;
    }

    pub fn refused(&mut self) {
        self.sums.refused += 1;
    }

    /// It broke off with what ran it, and nobody got an answer.
    pub fn failed(&mut self) {
        self.sums.failed += 1;
    }

    #[inline]
    pub fn ended(&mut self, latency: Span, cold: bool) {
        self.sums.ended += 1;
        self.sums.cold += u64::from(cold);
        self.sums.latency_ns += u128::from(latency.0);
        self.latency_us.record(latency.0 / 1_000);
    }

    /// From here on there are so many instances, of which so many work or start.
    #[inline]
    pub fn now_are(&mut self, instances: u32, running: u32) {
        self.running = running;
        if instances != self.instances {
            self.instances = instances;
            self.peak = self.peak.max(instances);
            self.bin_peak = self.bin_peak.max(instances);
        }
    }

    pub fn gone(&mut self, lived: Span) {
        self.sums.gone += 1;
        self.sums.lived_ns += u128::from(lived.0);
    }

    /// At the end of the window.
    pub fn done(mut self) -> Measured {
        self.pass_to(self.window.until);
        Measured {
            sums: self.sums,
            peak: self.peak,
            latency_us: QUANTILES.map(|share| self.latency_us.quantile(share)),
            bins: self.bins,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integrals_leave_the_warm_up_out_and_fill_every_bin() {
        let s = Time::from_secs;
        let window = Window {
            from: s(10),
            until: s(30),
            bins: 4,
        };
        let mut meter = Meter::new(window, false);
        meter.pass_to(s(2));
        meter.arrived();
        meter.now_are(2, 1);
        meter.pass_to(s(12));
        meter.arrived();
        meter.now_are(4, 4);
        meter.pass_to(s(14));
        meter.ended(Span::from_secs(2), true);
        meter.now_are(1, 0);
        let meter = meter.done();
        assert_eq!(meter.latency_us, [2_000_895; 3]);
        assert_eq!((meter.sums.arrivals, meter.sums.ended, meter.sums.cold), (1, 1, 1));
        assert_eq!(meter.sums.instances_ns, (2 * 2 + 4 * 2 + 16) * 1_000_000_000);
        assert_eq!(meter.sums.running_ns, (2 + 8) * 1_000_000_000);
        assert_eq!(meter.peak, 4);
        let bins = meter.bins.iter();
        let shown: Vec<(u128, u32)> = bins
            .map(|bin| (bin.instances_ns / 1_000_000_000, bin.instances_max))
            .collect();
        assert_eq!(shown, [(13, 4), (5, 1), (5, 1), (5, 1)]);
    }
}
