//! The bill: what the traffic so far would have cost, here and at the other providers, beside servers that always run.
//!
//! GET `/_emu/bill` answers a [`Bill`] as JSON, `emu bill` shows its text.

use serde::{Deserialize, Serialize};

use super::number;
use super::rules::{Month, Rules};
use super::table::Table;
use crate::platform::billing::{Architecture, Cost, Ledger, MB_MS_PER_GB_S, Usage, break_even_requests, price_month};
use crate::platform::ids::FunctionId;
use crate::provider::{self, MemoryBasis, Profile};

/// Hours that a month has where a price by the hour is shown by the month.
pub(super) const MONTH_HOURS: u64 = 730;

/// Money in dollars, times in milliseconds. Fields are only ever added.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bill {
    /// Whose prices these are: a profile's id.
    pub provider: String,
    pub provider_name: String,
    pub plan: String,
    pub region: String,
    /// Month of the price list, `2026-09`.
    pub prices_of: String,
    /// The provider that is emulated; cold starts, throttles and sharing of instances came about by its rules.
    pub emulated: String,
    /// What `billed_ms` counts: `time`, or `cpu` where CPU time is billed.
    pub billed: String,
    /// Every function that ran, by name.
    pub functions: Vec<Function>,
    pub total: Total,
    pub other_providers: Vec<Other>,
    pub always_on: Vec<AlwaysOn>,
    /// What the figures rest on, a sentence each.
    pub assumptions: Vec<String>,
    /// By which a single invocation is billed.
    #[serde(default)]
    pub rules: Rules,
    /// The traffic so far, going on for a month; none when it is not known how long it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub month: Option<Month>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Function {
    pub name: String,
    pub requests: u64,
    pub billed_ms: u64,
    pub gb_seconds: f64,
    /// At list price.
    pub cost_before_free: f64,
    /// After the month's free tier, which all functions share by use.
    pub cost: f64,
    /// A million requests like these at list price; none without a request.
    pub per_million: Option<f64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Total {
    pub requests: u64,
    pub billed_ms: u64,
    pub gb_seconds: f64,
    /// At list price, without the base price.
    pub cost_before_free: f64,
    /// The plan's fixed price a month.
    pub base: f64,
    /// What would be paid: after the free tier, with the base price.
    pub cost: f64,
    pub per_million: Option<f64>,
}

/// The same traffic at another provider.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Other {
    pub provider: String,
    pub name: String,
    pub plan: String,
    pub billed_ms: u64,
    pub gb_seconds: f64,
    pub cost_before_free: f64,
    pub base: f64,
    pub cost: f64,
    pub per_million: Option<f64>,
}

/// A server that runs all the time, beside the functions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlwaysOn {
    pub name: String,
    pub what: String,
    pub hourly: f64,
    pub monthly: f64,
    /// With more requests like these in an hour the server is cheaper, if it can carry them; none without a request.
    pub break_even_requests_per_hour: Option<u64>,
}

impl Bill {
    /// The bill of all that the ledger holds, at the prices of one of its profiles.
    ///
    /// Functions without a request or a kept instance are left out.
    pub fn new(ledger: &Ledger, profile: &Profile, name_of: impl Fn(FunctionId) -> String) -> Bill {
        let mut used: Vec<(String, Usage)> = ledger
            .usage(&profile.id)
            .into_iter()
            .filter(|(_, usage)| usage.requests > 0 || usage.kept_ms > 0)
            .map(|(id, usage)| (name_of(id), usage))
            .collect();
        used.sort_by(|(a, _), (b, _)| a.cmp(b));
        let usages: Vec<Usage> = used.iter().map(|(_, usage)| *usage).collect();
        let priced = price_month(&profile.billing, Architecture::X86, &usages);
        let all = sum(&usages);
        let keeps = usages.iter().any(|usage| usage.kept_ms > 0);
        Bill {
            provider: profile.id.clone(),
            provider_name: profile.name.clone(),
            plan: profile.billing.plan.clone(),
            region: profile.billing.region.clone(),
            prices_of: profile.billing.as_of.clone(),
            emulated: ledger.active().id.clone(),
            billed: String::from(if profile.billing.cpu_ms.is_some() {
                "cpu"
            } else {
                "time"
            }),
            functions: used
                .iter()
                .zip(&priced.functions)
                .map(|((name, usage), cost)| Function {
                    name: name.clone(),
                    requests: usage.requests,
                    billed_ms: milliseconds(usage),
                    gb_seconds: gb_seconds(usage),
                    cost_before_free: dollars(cost.before_free),
                    cost: dollars(cost.after_free),
                    per_million: per_million(*cost, usage.requests),
                })
                .collect(),
            total: Total {
                requests: all.requests,
                billed_ms: milliseconds(&all),
                gb_seconds: gb_seconds(&all),
                cost_before_free: dollars(priced.total.before_free),
                base: dollars(priced.base),
                cost: dollars(priced.total.after_free + priced.base),
                per_million: per_million(priced.total, all.requests),
            },
            other_providers: others(ledger, profile),
            always_on: always_on(priced.total, all.requests),
            assumptions: assumptions(ledger, profile, keeps),
            rules: Rules::of(profile),
            month: None,
        }
    }

    /// Tables for a terminal, each line ended.
    pub fn text(&self) -> String {
        let mut out = format!(
            "{}, {}, {}, prices of {}\n",
            self.provider_name, self.plan, self.region, self.prices_of
        );
        if self.emulated != self.provider {
            out.push_str(&format!("for traffic as it ran under the rules of {}\n", self.emulated));
        }
        if self.functions.is_empty() {
            out.push_str("nothing ran yet: the bill begins with the first invocation\n");
            return out;
        }
        out.push('\n');
        out.push_str(&self.functions_text());
        out.push_str("\nthe same traffic at other providers\n\n");
        out.push_str(&self.others_text());
        out.push_str("\nservers that always run\n\n");
        out.push_str(&self.servers_text());
        out.push_str("\nwhat this rests on\n\n");
        for assumption in &self.assumptions {
            out.push_str(&wrapped(assumption));
        }
        out
    }

    fn functions_text(&self) -> String {
        let billed = if self.billed == "cpu" {
            ">billed CPU"
        } else {
            ">billed time"
        };
        let mut table = Table::new(&[
            "function",
            ">requests",
            billed,
            ">GB-seconds",
            ">before free tier",
            ">after it",
            ">per million",
        ]);
        for function in &self.functions {
            table.row([
                function.name.clone(),
                number::count(function.requests),
                number::millis(function.billed_ms as f64),
                compute(function.gb_seconds),
                number::dollars(function.cost_before_free),
                number::dollars(function.cost),
                money_or_dash(function.per_million),
            ]);
        }
        let total = &self.total;
        if total.base > 0.0 {
            let mut base = vec![String::new(); 7];
            base[0] = String::from("base price a month");
            base[5] = number::dollars(total.base);
            table.row(base);
        }
        if self.functions.len() > 1 || total.base > 0.0 {
            table.row([
                String::from("total"),
                number::count(total.requests),
                number::millis(total.billed_ms as f64),
                compute(total.gb_seconds),
                number::dollars(total.cost_before_free),
                number::dollars(total.cost),
                money_or_dash(total.per_million),
            ]);
        }
        table.render()
    }

    fn others_text(&self) -> String {
        let mut table = Table::new(&["provider", "plan", ">before free tier", ">after it", ">per million"]);
        for other in &self.other_providers {
            let after = if other.base > 0.0 {
                format!(
                    "{} with {} base",
                    number::dollars(other.cost),
                    number::dollars(other.base)
                )
            } else {
                number::dollars(other.cost)
            };
            table.row([
                other.name.clone(),
                other.plan.clone(),
                number::dollars(other.cost_before_free),
                after,
                money_or_dash(other.per_million),
            ]);
        }
        table.render()
    }

    fn servers_text(&self) -> String {
        let mut table = Table::new(&["server", "with", ">an hour", ">a month", ">cheaper above"]);
        for server in &self.always_on {
            table.row([
                server.name.clone(),
                server.what.clone(),
                // A server's price by the hour needs its fourth decimal.
                format!("${:.4}", server.hourly),
                number::dollars(server.monthly),
                server.break_even_requests_per_hour.map_or_else(
                    || String::from("-"),
                    |requests| format!("{} requests/h", number::count(requests)),
                ),
            ]);
        }
        table.render()
    }
}

fn others(ledger: &Ledger, profile: &Profile) -> Vec<Other> {
    let elsewhere = ledger.profiles().iter().filter(|other| other.id != profile.id);
    elsewhere
        .map(|other| {
            let usages: Vec<Usage> = ledger.usage(&other.id).into_iter().map(|(_, usage)| usage).collect();
            let priced = price_month(&other.billing, Architecture::X86, &usages);
            let all = sum(&usages);
            Other {
                provider: other.id.clone(),
                name: other.name.clone(),
                plan: other.billing.plan.clone(),
                billed_ms: milliseconds(&all),
                gb_seconds: gb_seconds(&all),
                cost_before_free: dollars(priced.total.before_free),
                base: dollars(priced.base),
                cost: dollars(priced.total.after_free + priced.base),
                per_million: per_million(priced.total, all.requests),
            }
        })
        .collect()
}

fn always_on(cost: Cost, requests: u64) -> Vec<AlwaysOn> {
    provider::servers()
        .iter()
        .map(|server| {
            let hour = u128::from(server.hour.0);
            AlwaysOn {
                name: server.name.clone(),
                what: server.what.clone(),
                hourly: dollars(hour),
                monthly: dollars(hour * u128::from(MONTH_HOURS)),
                break_even_requests_per_hour: break_even_requests(hour, requests, cost.before_free),
            }
        })
        .collect()
}

/// What a bill's figures rest on, in words; also for documents.
pub fn assumptions(ledger: &Ledger, profile: &Profile, keeps_instances: bool) -> Vec<String> {
    let billing = &profile.billing;
    let mut words = vec![
        format!(
            "List prices of {} ({}, {}), without taxes and discounts.",
            billing.as_of, billing.plan, billing.region
        ),
        String::from(
            "All traffic so far counts as one month's, and nothing else in the account uses the free tier; functions share it by use.",
        ),
        String::from(
            "Compute and requests alone: queues, topics, schedules, API gateways, storage, logs and data transfer are not in it.",
        ),
        String::from(
            "Times are those of this machine and of WebAssembly; a provider's CPU share for the memory size may be smaller.",
        ),
        time_in_words(profile),
        memory_in_words(profile),
        init_in_words(profile),
    ];
    if keeps_instances {
        words.push(String::from(if billing.idle_gb_second.is_some() {
            "Instances that `min_instances` keeps are billed at their own price while idle, and at the common price while busy."
        } else {
            "Instances that `min_instances` keeps are not billed while idle: this plan has no price for them."
        }));
    }
    words.push(format!(
        "Elsewhere the same invocations take the same time and are cold when they were cold under {}; a cold start then takes \
         the other provider's median, and requests share an instance only as they did here.",
        ledger.active().name
    ));
    words.push(format!(
        "A month has {MONTH_HOURS} hours. Above the break-even a server costs less than these requests at list price; whether it \
         can carry them is not checked."
    ));
    words
}

fn time_in_words(profile: &Profile) -> String {
    let billing = &profile.billing;
    if billing.cpu_ms.is_some() {
        return String::from("CPU time is what emu's engine used, rounded up to 1 ms; waiting is free.");
    }
    let mut words = format!("Time is rounded up to {} ms", billing.step_ms);
    if billing.min_ms > billing.step_ms {
        words.push_str(&format!(", and is at least {} ms", billing.min_ms));
    }
    words.push_str(if billing.shares_instance_time {
        "; requests that run on an instance at once share its seconds."
    } else {
        " for each request."
    });
    words
}

fn memory_in_words(profile: &Profile) -> String {
    let memory = match profile.billing.memory_basis {
        MemoryBasis::Configured => String::from("Memory is the function's `memory`"),
        MemoryBasis::Observed { step_mb, .. } => format!(
            "Memory is what the WebAssembly function used, rounded up to {step_mb} MB; a language runtime of the provider's would add to it"
        ),
        MemoryBasis::Unbilled => return String::from("Memory and time are free, only requests and CPU time count."),
    };
    match profile.billing.vcpu.first() {
        Some(row) => format!(
            "{memory}, with {} vCPU, more of them above {} MB.",
            f64::from(row.millis) / 1000.0,
            profile.billing.vcpu.get(1).map_or(row.from_mb, |next| next.from_mb - 1)
        ),
        None => format!("{memory}."),
    }
}

fn init_in_words(profile: &Profile) -> String {
    let basis = &profile.cold_start.basis;
    if profile.billing.bills_init {
        format!("A cold start's init is billed as modelled ({basis}); with the model off, as measured here.")
    } else {
        format!("A cold start's init is not billed; it is modelled all the same ({basis}).")
    }
}

pub(super) fn sum(usages: &[Usage]) -> Usage {
    let mut all = Usage::default();
    for usage in usages {
        all.add(usage);
    }
    all
}

fn milliseconds(usage: &Usage) -> u64 {
    u64::try_from(usage.billed_ms).unwrap_or(u64::MAX)
}

fn gb_seconds(usage: &Usage) -> f64 {
    usage.mb_ms as f64 / MB_MS_PER_GB_S as f64
}

pub(super) fn dollars(picodollars: u128) -> f64 {
    picodollars as f64 / 1e12
}

fn per_million(cost: Cost, requests: u64) -> Option<f64> {
    (requests > 0).then(|| dollars(cost.before_free.saturating_mul(1_000_000) / u128::from(requests)))
}

fn money_or_dash(amount: Option<f64>) -> String {
    amount.map_or_else(|| String::from("-"), number::dollars)
}

/// `25.0`, `0.0031`: GB-seconds to three figures that matter.
fn compute(gb_seconds: f64) -> String {
    if gb_seconds == 0.0 {
        String::from("-")
    } else if gb_seconds >= 1_000.0 {
        number::count(gb_seconds.round() as u64)
    } else {
        let decimals = (2 - gb_seconds.log10().floor() as i32).clamp(0, 9) as usize;
        format!("{gb_seconds:.decimals$}")
    }
}

/// A sentence as a list item, within a terminal's width.
fn wrapped(sentence: &str) -> String {
    const WIDTH: usize = 100;
    let mut out = String::new();
    let mut line = String::from("-");
    for word in sentence.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > WIDTH {
            out.push_str(&line);
            out.push('\n');
            line = String::from(" ");
        }
        line.push(' ');
        line.push_str(word);
    }
    out.push_str(&line);
    out.push('\n');
    out
}

#[cfg(test)]
#[path = "bill_tests.rs"]
mod tests;
