//! By which rules a single invocation is billed, and what traffic would cost that goes on for a month.

use serde::{Deserialize, Serialize};

use super::bill::{Bill, MONTH_HOURS, dollars, sum};
use crate::platform::billing::{Architecture, Ledger, Usage, price_month};
use crate::platform::time::Span;
use crate::provider::{MemoryBasis, Profile, Rates};

/// Prices are in dollars, at the first tier; a price of 0 is of what is not billed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rules {
    /// `time` or `cpu`.
    pub billed: String,
    pub step_ms: u64,
    pub min_ms: u64,
    pub bills_init: bool,
    pub shares_instance_time: bool,
    /// `configured`, `observed` or `unbilled`.
    pub memory: String,
    pub request: f64,
    pub gb_second: f64,
    pub vcpu_second: f64,
    pub cpu_ms: f64,
    /// A month's.
    pub free_requests: f64,
    pub free_gb_seconds: f64,
    pub free_vcpu_seconds: f64,
    pub free_cpu_ms: f64,
}

/// What a month of traffic like that so far would cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Month {
    /// How much of it was seen, in hours of emu's clock.
    pub hours_seen: f64,
    pub requests: u64,
    pub cost_before_free: f64,
    /// What would be paid.
    pub cost: f64,
    pub other_providers: Vec<MonthElsewhere>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MonthElsewhere {
    pub provider: String,
    pub name: String,
    pub cost_before_free: f64,
    pub cost: f64,
}

impl Bill {
    /// With what a month of it would cost, when all of it took this long.
    #[must_use]
    pub fn projected(mut self, ledger: &Ledger, took: Span) -> Bill {
        let hours_seen = took.as_millis_f64() / 3_600_000.0;
        if hours_seen <= 0.0 || self.total.requests == 0 {
            return self;
        }
        let times = MONTH_HOURS as f64 / hours_seen;
        let of = |profile: &Profile| {
            let usages: Vec<Usage> = ledger
                .usage(&profile.id)
                .into_iter()
                .map(|(_, usage)| scaled(&usage, times))
                .collect();
            let priced = price_month(&profile.billing, Architecture::X86, &usages);
            let cost = dollars(priced.total.after_free + priced.base);
            (sum(&usages).requests, dollars(priced.total.before_free), cost)
        };
        let mut month = Month {
            hours_seen,
            requests: 0,
            cost_before_free: 0.0,
            cost: 0.0,
            other_providers: Vec::new(),
        };
        for profile in ledger.profiles() {
            let (requests, cost_before_free, cost) = of(profile);
            if profile.id == self.provider {
                month.requests = requests;
                month.cost_before_free = cost_before_free;
                month.cost = cost;
            } else {
                month.other_providers.push(MonthElsewhere {
                    provider: profile.id.clone(),
                    name: profile.name.clone(),
                    cost_before_free,
                    cost,
                });
            }
        }
        self.month = Some(month);
        self
    }
}

impl Rules {
    pub fn of(profile: &Profile) -> Rules {
        let billing = &profile.billing;
        let price = |rates: Option<&Rates>| {
            let first = rates.and_then(|rates| rates.tiers.first());
            first.map_or(0.0, |tier| dollars(u128::from(tier.price.0)))
        };
        let free = |rates: Option<&Rates>| rates.map_or(0.0, |rates| rates.free as f64);
        Rules {
            billed: if billing.cpu_ms.is_some() { "cpu" } else { "time" }.to_owned(),
            step_ms: billing.step_ms,
            min_ms: billing.min_ms,
            bills_init: billing.bills_init,
            shares_instance_time: billing.shares_instance_time,
            memory: match billing.memory_basis {
                MemoryBasis::Configured => "configured",
                MemoryBasis::Observed { .. } => "observed",
                MemoryBasis::Unbilled => "unbilled",
            }
            .to_owned(),
            request: price(Some(&billing.request)),
            gb_second: price(billing.gb_second.as_ref()),
            vcpu_second: price(billing.vcpu_second.as_ref()),
            cpu_ms: price(billing.cpu_ms.as_ref()),
            free_requests: free(Some(&billing.request)),
            free_gb_seconds: free(billing.gb_second.as_ref()),
            free_vcpu_seconds: free(billing.vcpu_second.as_ref()),
            free_cpu_ms: free(billing.cpu_ms.as_ref()),
        }
    }
}

/// So many times as much.
fn scaled(usage: &Usage, times: f64) -> Usage {
    let scale = |n: u128| (n as f64 * times).round() as u128;
    Usage {
        requests: scale(usage.requests.into()) as u64,
        billed_ms: scale(usage.billed_ms),
        mb_ms: scale(usage.mb_ms),
        vcpu_units: scale(usage.vcpu_units),
        kept_ms: scale(usage.kept_ms),
        kept_mb_ms: scale(usage.kept_mb_ms),
        kept_vcpu_units: scale(usage.kept_vcpu_units),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::billing::{MeteredFunction, Used};
    use crate::platform::ids::FunctionId;

    #[test]
    fn a_month_is_what_was_seen_as_often_as_it_fits() {
        let profile = crate::provider::by_id("aws-lambda").expect("a profile");
        let mut ledger = Ledger::new(&profile);
        let spec = MeteredFunction {
            memory_mb: 1_024,
            runtime: "nodejs22".into(),
            package_bytes: 0,
        };
        ledger.set_function(FunctionId(0), spec);
        let used = Used {
            duration: Span::from_secs(1),
            busy: Span::from_secs(1),
            ..Used::default()
        };
        for _ in 0..1_000 {
            ledger.charge(FunctionId(0), &used);
        }
        let bill = Bill::new(&ledger, &profile, |_| "f".into());
        let rules = &bill.rules;
        assert_eq!(
            (rules.gb_second, rules.request, rules.step_ms),
            (0.0000166667, 0.0000002, 1)
        );
        assert_eq!((rules.free_gb_seconds, rules.free_requests), (400_000.0, 1_000_000.0));
        // 1,000 GB-seconds in half an hour: 1,460 times as much in a month.
        let month = bill.projected(&ledger, Span::from_secs(1_800)).month.expect("traffic");
        assert_eq!(month.requests, 1_460_000);
        let before = 1_460_000.0 * (0.0000166667 + 0.0000002);
        assert!((month.cost_before_free - before).abs() < 1e-6, "{month:?}");
        let after = 1_060_000.0 * 0.0000166667 + 460_000.0 * 0.0000002;
        assert!((month.cost - after).abs() < 1e-6, "{month:?}");
        assert_eq!(month.other_providers.len(), 3);
        let bill = Bill::new(&ledger, &profile, |_| "f".into());
        assert!(bill.projected(&ledger, Span::ZERO).month.is_none());
    }
}
