//! Modelled init phases: what a provider's cold start would have taken.

use std::sync::Arc;

use crate::provider::{Profile, RuntimeInit, UnknownRuntime};

use super::rng::Rng;
use super::time::Span;

/// How long a cold start of a function takes at the provider, as a distribution.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ColdStartModel {
    /// The runtime that the manifest names; other providers' bills look theirs up by it.
    pub runtime: Arc<str>,
    /// Quantiles (probability in 1/1000, time), ascending; sampled by linear interpolation. Empty: no cold start.
    pub quantiles: Vec<(u32, Span)>,
    /// What a package of so many bytes adds, ascending; straight lines between, the last slope goes on.
    pub package: Vec<(u64, Span)>,
}

/// One draw from the model, in its phases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ModelledInit {
    /// Runtime start and static code.
    pub runtime: Span,
    /// Download and unpacking of the package.
    pub package: Span,
}

impl ModelledInit {
    pub fn total(&self) -> Span {
        self.runtime + self.package
    }
}

impl ColdStartModel {
    /// The profile's figures for this runtime, or for the one of its figures that stands nearest to it.
    ///
    /// # Errors
    /// When no provider knows a runtime of this name; the error holds the nearest name.
    pub fn new(profile: &Profile, runtime: &str) -> Result<ColdStartModel, UnknownRuntime> {
        let init = profile.cold_start.runtime(runtime)?;
        Ok(ColdStartModel {
            runtime: Arc::from(runtime),
            quantiles: quantiles(init),
            package: profile
                .cold_start
                .package
                .iter()
                .map(|point| (point.bytes, point.init))
                .collect(),
        })
    }

    /// One cold start of a package of this size.
    pub fn draw(&self, rng: &mut Rng, package_bytes: u64) -> ModelledInit {
        if self.quantiles.is_empty() {
            return ModelledInit::default();
        }
        ModelledInit {
            runtime: self.at(rng.below(SCALE)),
            package: self.package(package_bytes),
        }
    }

    /// The median cold start: what stands for one where nothing is drawn.
    pub fn median(&self, package_bytes: u64) -> ModelledInit {
        ModelledInit {
            runtime: self.at(SCALE / 2),
            package: self.package(package_bytes),
        }
    }

    /// The time at a probability in 1/[`SCALE`].
    fn at(&self, probability: u64) -> Span {
        let points = self
            .quantiles
            .iter()
            .map(|&(permille, span)| (u64::from(permille) * (SCALE / 1000), span));
        interpolate(points, probability)
    }

    fn package(&self, bytes: u64) -> Span {
        interpolate(self.package.iter().copied(), bytes)
    }
}

/// Probabilities are drawn in millionths, finer than any table.
const SCALE: u64 = 1_000_000;

/// On straight lines between ascending points; flat before the first one, the last slope beyond the last one.
fn interpolate(points: impl Iterator<Item = (u64, Span)>, x: u64) -> Span {
    let mut before: Option<(u64, Span)> = None;
    let mut line: Option<((u64, Span), (u64, Span))> = None;
    for point in points {
        if let Some(before) = before {
            line = Some((before, point));
        } else if x <= point.0 {
            return point.1;
        }
        if x <= point.0 {
            break;
        }
        before = Some(point);
    }
    match (line, before) {
        (Some(((x0, y0), (x1, y1))), _) => {
            let run = u128::from(x1.saturating_sub(x0).max(1));
            let rise = u128::from((y1 - y0).as_nanos());
            let step = rise * u128::from(x.saturating_sub(x0)) / run;
            y0 + Span(u64::try_from(step).unwrap_or(u64::MAX))
        }
        (None, Some((_, only))) => only,
        (None, None) => Span::ZERO,
    }
}

/// A table from three measured quantiles and the spread of the logarithm: log-normal below the median, log-linear in the
/// normal score between the measured points, and the slope of the last two beyond them, because measured tails are
/// heavier than one log-normal.
fn quantiles(init: &RuntimeInit) -> Vec<(u32, Span)> {
    let RuntimeInit {
        p50_ms,
        p90_ms,
        p99_ms,
        sigma,
    } = *init;
    let between = |from: f64, to: f64, share: f64| from * (to / from).powf(share);
    let tail = (p99_ms / p90_ms).ln() / (Z_99 - Z_90);
    let points = [
        (0, p50_ms * (-Z_9999 * sigma).exp()),
        (10, p50_ms * (-Z_99 * sigma).exp()),
        (100, p50_ms * (-Z_90 * sigma).exp()),
        (250, p50_ms * (-Z_75 * sigma).exp()),
        (500, p50_ms),
        (750, between(p50_ms, p90_ms, Z_75 / Z_90)),
        (900, p90_ms),
        (950, between(p90_ms, p99_ms, (Z_95 - Z_90) / (Z_99 - Z_90))),
        (990, p99_ms),
        (999, p99_ms * (tail * (Z_999 - Z_99)).exp()),
        (1000, p99_ms * (tail * (Z_9999 - Z_99)).exp()),
    ];
    // Whole microseconds, so that the last bit of a platform's exp() does not show in a simulation.
    points
        .map(|(permille, ms)| (permille, Span::from_micros((ms * 1e3).round() as u64)))
        .to_vec()
}

// Quantiles of the standard normal distribution.
const Z_75: f64 = 0.674_49;
const Z_90: f64 = 1.281_55;
const Z_95: f64 = 1.644_85;
const Z_99: f64 = 2.326_35;
const Z_999: f64 = 3.090_23;
const Z_9999: f64 = 3.719_02;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider;

    fn model(provider: &str, runtime: &str) -> ColdStartModel {
        let profile = provider::by_id(provider).expect("the profile exists");
        ColdStartModel::new(&profile, runtime).expect("the runtime exists")
    }

    #[test]
    fn drawn_quantiles_come_back() {
        for profile in provider::all() {
            for (name, init) in &profile.cold_start.runtimes {
                let model = ColdStartModel::new(profile, name).expect(name);
                let mut rng = Rng::new(7);
                let mut drawn: Vec<f64> = (0..40_000)
                    .map(|_| model.draw(&mut rng, 0).runtime.as_millis_f64())
                    .collect();
                drawn.sort_by(f64::total_cmp);
                for (share, expect, tolerance) in [
                    (0.1, init.p50_ms * (-Z_90 * init.sigma).exp(), 0.05),
                    (0.5, init.p50_ms, 0.03),
                    (0.9, init.p90_ms, 0.03),
                    (0.99, init.p99_ms, 0.08),
                ] {
                    let found = drawn[(share * drawn.len() as f64) as usize];
                    assert!(
                        (found / expect - 1.0).abs() < tolerance,
                        "{} {name}: p{} is {found} rather than {expect}",
                        profile.id,
                        share * 100.0
                    );
                }
                let last = drawn[drawn.len() - 1];
                assert!(last > init.p99_ms && last < init.p99_ms * 60.0, "{name}: {last}");
            }
        }
    }

    #[test]
    fn the_same_seed_draws_the_same() {
        let model = model("aws-lambda", "nodejs22");
        let (mut a, mut b) = (Rng::new(3), Rng::new(3));
        for _ in 0..100 {
            assert_eq!(model.draw(&mut a, 1 << 20), model.draw(&mut b, 1 << 20));
        }
    }

    #[test]
    fn packages_cost_what_was_measured() {
        let aws = model("aws-lambda", "nodejs22");
        let azure = model("azure-functions", "nodejs22");
        for (model, bytes, ms) in [
            (&aws, 0, 0),
            (&aws, 1 << 10, 0),
            (&aws, 14 << 20, 1440),
            (&aws, 35 << 20, 3610),
            (&azure, 14 << 20, 5730),
            (&azure, 35 << 20, 12_960),
        ] {
            assert_eq!(model.median(bytes).package, Span::from_millis(ms), "{bytes}");
        }
        // Halfway between two points, and the last slope beyond them.
        let between = aws.median((14 << 20) + (21 << 19)).package;
        assert_eq!(between, Span::from_millis(2525));
        let beyond = aws.median(56 << 20).package;
        assert_eq!(beyond, Span::from_millis(5780));
        assert_eq!(aws.median(0).runtime, Span::from_micros(144_800));
    }

    #[test]
    fn a_model_without_figures_takes_no_time() {
        let mut rng = Rng::new(1);
        assert_eq!(
            ColdStartModel::default().draw(&mut rng, 1 << 30),
            ModelledInit::default()
        );
        assert_eq!(ColdStartModel::default().median(1 << 30), ModelledInit::default());
    }

    #[test]
    fn runtimes_without_figures_use_the_nearest_ones() {
        for (provider, runtime, like) in [
            ("aws-lambda", "nodejs20", "nodejs22"),
            ("aws-lambda", "nodejs26", "nodejs24"),
            ("aws-lambda", "python3.9", "python3.12"),
            ("aws-lambda", "go1.25", "go"),
            ("gcp-functions", "nodejs22", "nodejs"),
            ("gcp-functions", "java21", "nodejs"),
            ("gcp-functions", "rust", "go"),
            ("azure-functions", "dotnet8", "dotnet"),
            ("cloudflare-workers", "python3.13", "isolate"),
        ] {
            let profile = provider::by_id(provider).expect(provider);
            let found = profile.cold_start.runtime(runtime).expect(runtime);
            assert_eq!(
                Some(found),
                profile.cold_start.runtimes.get(like),
                "{runtime} at {provider}"
            );
        }
        let profile = provider::by_id("aws-lambda").expect("the profile exists");
        for (wrong, nearest) in [("nodjs22", "nodejs22"), ("phyton3.13", "python3.13"), ("", "nodejs22")] {
            let error = ColdStartModel::new(&profile, wrong).expect_err(wrong);
            assert_eq!(error.nearest, nearest, "for `{wrong}`");
        }
    }
}
