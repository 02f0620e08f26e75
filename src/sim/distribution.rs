//! How long things take: service times, think times, cold starts, gaps between requests.

use std::sync::Arc;

use rand_distr::{Distribution as _, Exp1, StandardNormal};

use super::random::Stream;
use crate::platform::time::Span;

#[derive(Clone, Debug, PartialEq)]
pub enum Distribution {
    Constant(Span),
    Exponential {
        mean: Span,
    },
    /// The logarithm of nanoseconds is normal.
    LogNormal {
        mu: f64,
        sigma: f64,
    },
    Uniform {
        min: Span,
        max: Span,
    },
    /// (probability, nanoseconds), both ascending, from 0 to 1; straight lines between.
    Quantiles(Arc<[(f64, f64)]>),
}

impl Distribution {
    /// From the median and the standard deviation of the logarithm.
    pub fn log_normal(median: Span, sigma: f64) -> Distribution {
        Distribution::LogNormal {
            mu: (median.as_nanos().max(1) as f64).ln(),
            sigma,
        }
    }

    /// The table of what was measured, in its own quantiles. At least one measurement.
    pub fn measured(mut spans: Vec<Span>) -> Distribution {
        /// As many points as a table needs for a 99.9th percentile of its own.
        const POINTS_MAX: usize = 1_001;
        spans.sort_unstable();
        let last = spans.len().saturating_sub(1);
        let points = spans.len().clamp(1, POINTS_MAX);
        let at = |point: usize| {
            let share = if points == 1 {
                0.0
            } else {
                point as f64 / (points - 1) as f64
            };
            let span = spans
                .get((share * last as f64).round() as usize)
                .copied()
                .unwrap_or_default();
            (share, span.as_nanos() as f64)
        };
        match last {
            0 => Distribution::Constant(spans.first().copied().unwrap_or_default()),
            _ => Distribution::Quantiles((0..points).map(at).collect()),
        }
    }

    #[inline]
    pub fn draw(&self, stream: &mut Stream) -> Span {
        match self {
            Distribution::Constant(span) => *span,
            Distribution::Exponential { mean } => {
                let unit: f64 = Exp1.sample(stream);
                span(unit * mean.as_nanos() as f64)
            }
            Distribution::LogNormal { mu, sigma } => {
                let score: f64 = StandardNormal.sample(stream);
                span((mu + sigma * score).exp())
            }
            Distribution::Uniform { min, max } => {
                span(min.as_nanos() as f64 + stream.unit() * (*max - *min).as_nanos() as f64)
            }
            Distribution::Quantiles(points) => span(interpolate(points, stream.unit())),
        }
    }

    /// In seconds.
    pub fn mean_s(&self) -> f64 {
        let nanos = match self {
            Distribution::Constant(span) | Distribution::Exponential { mean: span } => span.as_nanos() as f64,
            Distribution::LogNormal { mu, sigma } => (mu + sigma * sigma / 2.0).exp(),
            Distribution::Uniform { min, max } => (min.as_nanos() as f64 + max.as_nanos() as f64) / 2.0,
            Distribution::Quantiles(points) => points
                .windows(2)
                .map(|pair| (pair[1].0 - pair[0].0) * (pair[0].1 + pair[1].1) / 2.0)
                .sum(),
        };
        nanos / 1e9
    }
}

/// To the nearest nanosecond; what a float cannot be as a time is zero or the longest time.
fn span(nanos: f64) -> Span {
    Span::from_nanos((nanos + 0.5) as u64)
}

fn interpolate(points: &[(f64, f64)], probability: f64) -> f64 {
    let after = points.partition_point(|(share, _)| *share <= probability);
    match (after.checked_sub(1).map(|at| points[at]), points.get(after)) {
        (Some((from, low)), Some((to, high))) => low + (high - low) * (probability - from) / (to - from),
        (Some((_, only)), None) => only,
        (None, Some((_, only))) => *only,
        (None, None) => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::random::Purpose;
    use super::*;

    fn mean_of(distribution: &Distribution) -> f64 {
        let mut stream = Stream::new(3, 0, Purpose::Service, 0);
        let n = 100_000;
        let sum: f64 = (0..n).map(|_| distribution.draw(&mut stream).as_nanos() as f64).sum();
        sum / f64::from(n) / 1e9
    }

    #[test]
    fn draws_have_the_mean_they_say() {
        let ms = Span::from_millis;
        for distribution in [
            Distribution::Constant(ms(250)),
            Distribution::Exponential { mean: ms(2_000) },
            Distribution::log_normal(ms(100), 0.5),
            Distribution::Uniform {
                min: ms(10),
                max: ms(30),
            },
            Distribution::Quantiles([(0.0, 1e7), (0.5, 2e7), (0.99, 1e8), (1.0, 5e8)].into()),
            Distribution::measured((1..=2_000).map(ms).collect()),
        ] {
            let (drawn, said) = (mean_of(&distribution), distribution.mean_s());
            assert!(
                (drawn / said - 1.0).abs() < 0.02,
                "{distribution:?}: {drawn} is not {said}"
            );
        }
    }

    #[test]
    fn what_was_measured_comes_back() {
        let one = Distribution::measured(vec![Span::from_millis(7)]);
        assert_eq!(one, Distribution::Constant(Span::from_millis(7)));
        let mut stream = Stream::new(1, 0, Purpose::Service, 0);
        let two = Distribution::measured(vec![Span::from_millis(30), Span::from_millis(10)]);
        for _ in 0..1_000 {
            let drawn = two.draw(&mut stream).as_millis_f64();
            assert!((10.0..=30.0).contains(&drawn), "{drawn}");
        }
    }
}
