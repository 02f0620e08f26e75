//! The fast way comes to the same as the platform, digit for digit, whatever the rules.

use proptest::prelude::*;

use super::super::random::Seeds;
use super::super::replicate::together;
use super::{alone, plan};

#[derive(Clone, Debug)]
struct Case {
    rate: u32,
    service_ms: u32,
    cold_ms: u32,
    keep_alive_ms: u32,
    max: Option<u32>,
    account: Option<u32>,
    starts: Option<u32>,
    age_s: Option<u32>,
    pattern: u8,
    provider: u8,
    seed: u64,
}

fn case() -> impl Strategy<Value = Case> {
    let maybe = |range: std::ops::Range<u32>| proptest::option::of(range);
    (
        (1u32..40, 1u32..3_000, 0u32..2_000, 0u32..20_000),
        (maybe(1..20), maybe(1..20), maybe(1..6), maybe(1..60)),
        (0u8..4, 0u8..3, any::<u64>()),
    )
        .prop_map(
            |((rate, service_ms, cold_ms, keep_alive_ms), (max, account, starts, age_s), (pattern, provider, seed))| {
                Case {
                    rate,
                    service_ms,
                    cold_ms,
                    keep_alive_ms,
                    max,
                    account,
                    starts,
                    age_s,
                    pattern,
                    provider,
                    seed: seed >> 1,
                }
            },
        )
}

impl Case {
    fn text(&self) -> String {
        let provider = ["aws-lambda", "azure-functions", "cloudflare-workers"][usize::from(self.provider)];
        let mut text = format!(
            "provider = \"{provider}\"\nhorizon = \"60s\"\nwarmup = \"7s\"\nseed = {}\n[limits]\nprovider = false\n",
            self.seed
        );
        let mut limit = |key: &str, value: Option<u32>, unit: &str| {
            if let Some(value) = value {
                match unit {
                    "" => text.push_str(&format!("{key} = {value}\n")),
                    _ => text.push_str(&format!("{key} = \"{value}{unit}\"\n")),
                }
            }
        };
        limit("account_concurrency", self.account, "");
        limit("starts", self.starts, "/3s");
        limit("max_age", self.age_s, "s");
        let rate = self.rate;
        text.push_str(&match self.pattern {
            0 => format!("[workload]\nrate = \"{rate}/s\"\n"),
            1 => format!(
                "[workload]\npattern = \"on-off\"\nrate = \"{rate}/s\"\non = {{ exponential = \"3s\" }}\noff = \"2s\"\n"
            ),
            2 => "[workload]\npattern = \"closed\"\nclients = 9\nthink = { exponential = \"1s\" }\n".to_owned(),
            _ => format!("[workload]\npattern = \"wave\"\npeak = \"{rate}/s\"\nperiod = \"30s\"\n"),
        });
        text.push_str(&format!(
            "[functions.f]\nconcurrency = 1\nservice = {{ exponential = \"{}ms\" }}\ncold_service = {{ min = \"1ms\", max = \"{}ms\" }}\n\
             cold_start = {{ exponential = \"{}ms\" }}\nkeep_alive = \"{}ms\"\n",
            self.service_ms,
            self.service_ms + 1,
            self.cold_ms,
            self.keep_alive_ms
        ));
        if let Some(max) = self.max {
            text.push_str(&format!("max_concurrency = {max}\n"));
        }
        text
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn a_lane_is_the_platform(case in case()) {
        let plan = plan(&case.text());
        prop_assert!(plan.scene.by_lanes());
        let fast = alone(&plan, 0).functions.remove(0);
        let seeds = Seeds { seed: plan.seed, replication: 0 };
        let full = together(&plan.scene, seeds).0.remove(0);
        prop_assert_eq!(fast.measured, full.measured);
        prop_assert_eq!(fast.usage, full.usage);
    }
}
