//! From what each replication came to, to means with confidence intervals.

use std::collections::BTreeMap;
use std::sync::Arc;

use statrs::distribution::{ContinuousCDF as _, StudentsT};

use super::meter::{Bin, Measured, Sums};
use super::{Replication, Scene};
use crate::platform::billing::{Architecture, Priced, Usage, price_month};
use crate::provider::Profile;
use crate::report::simulation::{ALL, Interval, Piece, Point, Side};

/// Hours that a month's prices are reckoned with.
const MONTH_S: f64 = 730.0 * 3_600.0;

/// Figures of one replication.
type Sample = BTreeMap<&'static str, f64>;

/// A scene's figures; `settings` says what was swept.
pub fn point(scene: &Scene, replications: &[Replication], settings: Vec<(String, String)>) -> Point {
    let seconds = scene.window.seconds();
    let prices: Vec<Prices> = replications.iter().map(|came| Prices::new(scene, came)).collect();
    let functions = scene.functions.iter().enumerate().map(|(at, function)| {
        let samples = replications.iter().zip(&prices).filter_map(|(came, prices)| {
            let tally = came.functions.get(at)?;
            let mut sample = common(&tally.measured);
            fleet(&tally.measured, seconds, &mut sample);
            prices.function(at, tally.measured.sums.ended, &mut sample);
            Some(sample)
        });
        let bins = replications
            .iter()
            .filter_map(|came| Some(came.functions.get(at)?.measured.bins.as_slice()));
        side(&function.name, samples.collect(), &bins.collect::<Vec<_>>(), seconds)
    });
    let servers = scene.servers.iter().enumerate().map(|(at, group)| {
        let meters: Vec<&Measured> = replications
            .iter()
            .filter_map(|came| Some(&came.servers.get(at)?.measured))
            .collect();
        let samples = meters.iter().map(|meter| {
            let mut sample = common(meter);
            servers(meter, seconds, &mut sample);
            let hour = group.hour_picodollars as f64 / 1e12 * f64::from(group.count);
            sample.insert("cost_dollars", hour * seconds / 3_600.0);
            sample.insert("cost_month_dollars", hour * MONTH_S / 3_600.0);
            sample
        });
        let bins: Vec<&[Bin]> = meters.iter().map(|meter| meter.bins.as_slice()).collect();
        side(&group.name, samples.collect(), &bins, seconds)
    });
    let together = || {
        let bins: Vec<&[Bin]> = replications.iter().map(|came| came.bins.as_slice()).collect();
        side(ALL, all(replications, &prices, seconds), &bins, seconds)
    };
    Point {
        settings,
        functions: functions.collect(),
        servers: servers.collect(),
        all: (scene.functions.len() > 1).then(together),
    }
}

fn side(name: &str, samples: Vec<Sample>, bins: &[&[Bin]], seconds: f64) -> Side {
    Side {
        name: name.to_owned(),
        figures: intervals(&samples),
        over_time: over_time(bins, seconds),
    }
}

fn common(meter: &Measured) -> Sample {
    let sums = &meter.sums;
    let of_all = |part: u64| share(part as f64, sums.arrivals as f64);
    let mut sample = Sample::from([
        ("requests", sums.arrivals as f64),
        ("refused_share", of_all(sums.refused)),
    ]);
    if sums.ended > 0 {
        sample.insert("latency_mean_ms", sums.latency_ns as f64 / sums.ended as f64 / 1e6);
        let names = ["latency_p50_ms", "latency_p90_ms", "latency_p99_ms"];
        sample.extend(names.into_iter().zip(meter.latency_us.map(|us| us as f64 / 1e3)));
    }
    sample.insert("utilisation", share(sums.running_ns as f64, sums.instances_ns as f64));
    sample
}

fn fleet(meter: &Measured, seconds: f64, sample: &mut Sample) {
    let sums = &meter.sums;
    let nanos = seconds * 1e9;
    sample.insert("cold_share", share(sums.cold as f64, sums.ended as f64));
    sample.insert("instances_mean", sums.instances_ns as f64 / nanos);
    sample.insert("instances_max", f64::from(meter.peak));
    sample.insert("running_mean", sums.running_ns as f64 / nanos);
    if sums.gone > 0 {
        sample.insert("life_s", sums.lived_ns as f64 / sums.gone as f64 / 1e9);
    }
}

fn servers(meter: &Measured, seconds: f64, sample: &mut Sample) {
    let sums = &meter.sums;
    sample.insert("failed_share", share(sums.failed as f64, sums.arrivals as f64));
    sample.insert("workers_mean", sums.instances_ns as f64 / (seconds * 1e9));
}

fn all(replications: &[Replication], prices: &[Prices], seconds: f64) -> Vec<Sample> {
    let nanos = seconds * 1e9;
    let sample = |(came, prices): (&Replication, &Prices)| {
        let sum = |of: &dyn Fn(&Sums) -> f64| came.functions.iter().map(|tally| of(&tally.measured.sums)).sum::<f64>();
        let arrivals = sum(&|sums| sums.arrivals as f64);
        let instances = sum(&|sums| sums.instances_ns as f64 / nanos);
        let running = sum(&|sums| sums.running_ns as f64 / nanos);
        let ended = sum(&|sums| sums.ended as f64);
        Sample::from([
            ("requests", arrivals),
            ("refused_share", share(sum(&|sums| sums.refused as f64), arrivals)),
            ("cold_share", share(sum(&|sums| sums.cold as f64), ended)),
            ("instances_mean", instances),
            ("running_mean", running),
            ("utilisation", share(running, instances)),
            ("cost_dollars", dollars(prices.window.total.before_free)),
            (
                "cost_month_dollars",
                dollars(prices.month.total.after_free + prices.month.base),
            ),
        ])
    };
    replications.iter().zip(prices).map(sample).collect()
}

/// What one replication's functions cost.
struct Prices {
    /// The part that counts, at list price.
    window: Priced,
    /// A month of the same traffic.
    month: Priced,
}

impl Prices {
    fn new(scene: &Scene, came: &Replication) -> Prices {
        let profile: &Arc<Profile> = &scene.config.profile;
        let usages: Vec<Usage> = came.functions.iter().map(|tally| tally.usage).collect();
        let seconds = scene.window.seconds();
        let months = MONTH_S / seconds.max(1e-9);
        let month: Vec<Usage> = usages.iter().map(|usage| scaled(usage, months)).collect();
        Prices {
            window: price_month(&profile.billing, Architecture::X86, &usages),
            month: price_month(&profile.billing, Architecture::X86, &month),
        }
    }

    fn function(&self, at: usize, ended: u64, sample: &mut Sample) {
        let (Some(window), Some(month)) = (self.window.functions.get(at), self.month.functions.get(at)) else {
            return;
        };
        let base = if self.month.functions.len() == 1 {
            self.month.base
        } else {
            0
        };
        sample.insert("cost_dollars", dollars(window.before_free));
        sample.insert("cost_month_dollars", dollars(month.after_free + base));
        if ended > 0 {
            sample.insert("cost_million_dollars", dollars(window.before_free) * 1e6 / ended as f64);
        }
    }
}

fn scaled(usage: &Usage, by: f64) -> Usage {
    let times = |sum: u128| (sum as f64 * by).round() as u128;
    Usage {
        requests: (usage.requests as f64 * by).round() as u64,
        billed_ms: times(usage.billed_ms),
        mb_ms: times(usage.mb_ms),
        vcpu_units: times(usage.vcpu_units),
        kept_ms: times(usage.kept_ms),
        kept_mb_ms: times(usage.kept_mb_ms),
        kept_vcpu_units: times(usage.kept_vcpu_units),
    }
}

fn dollars(picodollars: u128) -> f64 {
    picodollars as f64 / 1e12
}

/// Nothing of nothing is nothing.
fn share(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

fn intervals(samples: &[Sample]) -> BTreeMap<&'static str, Interval> {
    let mut values: BTreeMap<&'static str, Vec<f64>> = BTreeMap::new();
    for (name, value) in samples.iter().flatten() {
        values.entry(name).or_default().push(*value);
    }
    values
        .into_iter()
        .map(|(name, values)| (name, interval(&values)))
        .collect()
}

/// The mean, with Student's 95% confidence interval.
pub fn interval(values: &[f64]) -> Interval {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n.max(1.0);
    if values.len() < 2 {
        return Interval {
            mean,
            half_width: None,
            deviation: None,
        };
    }
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let deviation = (squares / (n - 1.0)).sqrt();
    let t = StudentsT::new(0.0, 1.0, n - 1.0).map_or(1.96, |student| student.inverse_cdf(0.975));
    Interval {
        mean,
        half_width: Some(t * deviation / n.sqrt()),
        deviation: Some(deviation),
    }
}

/// Means over replications, which have as many bins as one another.
fn over_time(replications: &[&[Bin]], seconds: f64) -> Vec<Piece> {
    let Some(first) = replications.first() else {
        return Vec::new();
    };
    let n = replications.len() as f64;
    let width = seconds / first.len() as f64;
    let piece = |at: usize| {
        let bins: Vec<&Bin> = replications.iter().filter_map(|bins| bins.get(at)).collect();
        let mean = |of: fn(&Bin) -> f64| bins.iter().map(|bin| of(bin)).sum::<f64>() / n;
        Piece {
            at_s: seconds * at as f64 / first.len() as f64,
            requests: mean(|bin| bin.arrivals as f64),
            cold: mean(|bin| bin.cold as f64),
            refused: mean(|bin| bin.refused as f64),
            instances: mean(|bin| bin.instances_ns as f64) / (width * 1e9),
            running: mean(|bin| bin.running_ns as f64) / (width * 1e9),
            instances_max: bins.iter().map(|bin| bin.instances_max).max().unwrap_or(0),
        }
    };
    (0..first.len()).map(piece).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values and interval worked out by hand: mean 3, deviation sqrt(2.5), t(4) = 2.776445.
    #[test]
    fn intervals_are_students() {
        let came = interval(&[1.0, 2.0, 3.0, 4.0, 5.0]);
        assert!((came.mean - 3.0).abs() < 1e-12);
        assert!(
            (came.half_width.expect("five values") - 1.963_243).abs() < 1e-5,
            "{came:?}"
        );
        assert_eq!(interval(&[7.0]).half_width, None);
    }
}
