//! Integer metering and price tiers.
//!
//! Each invocation is metered under every provider at once, because a bill says what the same traffic would have cost
//! elsewhere, and each provider rounds in its own way. Money is in picodollars (1e-12 $) until a report shows it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::provider::{self, Billing, MemoryBasis, Profile, Rates, Tier};

use super::cold_start::ColdStartModel;
use super::ids::FunctionId;
use super::time::Span;

/// MB-milliseconds in a GB-second.
pub const MB_MS_PER_GB_S: u128 = 1_024_000;
/// Milli-vCPU-milliseconds in a vCPU-second.
pub const VCPU_UNITS_PER_S: u128 = 1_000_000;

/// What one invocation is billed for, by the profile's rules. Money is in picodollars (1e-12 $).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metered {
    /// Rounded as the provider rounds. Where CPU time is billed, CPU milliseconds.
    pub billed_ms: u64,
    /// Memory size billed; zero where memory is not billed.
    pub memory_mb: u32,
    /// Before any free tier, at the first price tier.
    pub cost_picodollars: u64,
}

/// What one invocation used, as the platform saw it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// From the call into the guest to its end.
    pub duration: Span,
    /// CPU part of it; providers that bill CPU time bill this.
    pub cpu: Span,
    /// The cold start that this invocation waited for: the profile's with a model, else the measured one. Zero when warm.
    pub init: Span,
    /// `init` comes from the profile's model: under other providers their own median stands in for it.
    pub init_is_modelled: bool,
    /// Time its instance was busy that no earlier invocation's end has accounted for: from the later of "the instance
    /// went from idle to busy" and "another invocation on it ended" to the end of this one. On an instance that takes one
    /// at a time this is the duration. Summed up it is the time with at least one request in flight, exactly.
    pub busy: Span,
    pub memory_bytes_max: u64,
}

/// Sums of what was metered under one provider for one function; enough to price it, whatever the tiers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub requests: u64,
    /// Sum of the rounded times.
    pub billed_ms: u128,
    pub mb_ms: u128,
    /// Milli-vCPUs times milliseconds.
    pub vcpu_units: u128,
    /// Idle time of instances that `min_instances` keeps.
    pub kept_ms: u128,
    pub kept_mb_ms: u128,
    pub kept_vcpu_units: u128,
}

impl Usage {
    pub fn add(&mut self, other: &Usage) {
        self.requests += other.requests;
        self.billed_ms += other.billed_ms;
        self.mb_ms += other.mb_ms;
        self.vcpu_units += other.vcpu_units;
        self.kept_ms += other.kept_ms;
        self.kept_mb_ms += other.kept_mb_ms;
        self.kept_vcpu_units += other.kept_vcpu_units;
    }

    /// What came after `earlier`, a state of the same sums.
    pub fn less(&self, earlier: &Usage) -> Usage {
        Usage {
            requests: self.requests.saturating_sub(earlier.requests),
            billed_ms: self.billed_ms.saturating_sub(earlier.billed_ms),
            mb_ms: self.mb_ms.saturating_sub(earlier.mb_ms),
            vcpu_units: self.vcpu_units.saturating_sub(earlier.vcpu_units),
            kept_ms: self.kept_ms.saturating_sub(earlier.kept_ms),
            kept_mb_ms: self.kept_mb_ms.saturating_sub(earlier.kept_mb_ms),
            kept_vcpu_units: self.kept_vcpu_units.saturating_sub(earlier.kept_vcpu_units),
        }
    }
}

/// One provider's rules for one function, made ready so that metering neither looks anything up nor allocates.
#[derive(Clone, Debug)]
pub struct Tariff {
    step_ms: u64,
    min_ms: u64,
    bills_init: bool,
    bills_cpu: bool,
    shares_instance_time: bool,
    memory: MemoryBasis,
    memory_mb: u32,
    vcpu_millis: u32,
    /// This provider's median cold start, for invocations that ran cold under another one.
    init_median: Span,
    request_price: u64,
    gb_second_price: u64,
    vcpu_second_price: u64,
    cpu_ms_price: u64,
}

impl Tariff {
    pub fn new(profile: &Profile, spec: &MeteredFunction) -> Tariff {
        let billing = &profile.billing;
        let first = |rates: Option<&Rates>| rates.and_then(|r| r.tiers.first()).map_or(0, |tier| tier.price.0);
        let memory_mb = spec.memory_mb.max(1);
        let vcpu = billing.vcpu.iter().rev().find(|row| row.from_mb <= memory_mb);
        // The function's own name for its runtime was checked when its model was made; an unknown one takes no time.
        let model = ColdStartModel::new(profile, &spec.runtime).unwrap_or_default();
        Tariff {
            step_ms: billing.step_ms.max(1),
            min_ms: billing.min_ms,
            bills_init: billing.bills_init,
            bills_cpu: billing.cpu_ms.is_some(),
            shares_instance_time: billing.shares_instance_time,
            memory: billing.memory_basis,
            memory_mb,
            vcpu_millis: vcpu.map_or(0, |row| row.millis),
            init_median: model.median(spec.package_bytes).total(),
            request_price: first(Some(&billing.request)),
            gb_second_price: first(billing.gb_second.as_ref()),
            vcpu_second_price: first(billing.vcpu_second.as_ref()),
            cpu_ms_price: first(billing.cpu_ms.as_ref()),
        }
    }

    /// Meters one invocation whose `init` is this provider's own.
    pub fn meter(&self, used: &Used) -> Metered {
        self.price(self.quantities(used, used.init))
    }

    fn price(&self, (billed_ms, memory_mb): (u64, u32)) -> Metered {
        let duration = if self.bills_cpu {
            billed_ms.saturating_mul(self.cpu_ms_price)
        } else {
            let memory = per_unit::<MB_MS_PER_GB_S>(billed_ms, memory_mb, self.gb_second_price);
            let vcpu = per_unit::<VCPU_UNITS_PER_S>(billed_ms, self.vcpu_millis, self.vcpu_second_price);
            memory.saturating_add(vcpu)
        };
        Metered {
            billed_ms,
            memory_mb,
            cost_picodollars: duration.saturating_add(self.request_price),
        }
    }

    /// Billed milliseconds and MB of one invocation with this init.
    #[inline]
    pub(super) fn quantities(&self, used: &Used, init: Span) -> (u64, u32) {
        let time = if self.bills_cpu {
            used.cpu
        } else if self.shares_instance_time {
            used.busy
        } else {
            used.duration
        };
        let time = if self.bills_init { time + init } else { time };
        let ms = time.as_nanos().div_ceil(1_000_000).max(self.min_ms);
        let billed_ms = match (self.step_ms, u32::try_from(ms), u32::try_from(self.step_ms)) {
            (1, ..) => ms,
            // Narrow division is several times faster, and this runs for every invocation under every provider.
            (_, Ok(ms), Ok(step)) => u64::from(ms.div_ceil(step)) * u64::from(step),
            (step, ..) => ms.div_ceil(step).saturating_mul(step),
        };
        let memory_mb = match self.memory {
            MemoryBasis::Configured => self.memory_mb,
            MemoryBasis::Observed {
                step_mb,
                min_mb,
                max_mb,
            } => {
                let used_mb = u32::try_from(used.memory_bytes_max.div_ceil(1 << 20)).unwrap_or(u32::MAX);
                if used_mb <= min_mb {
                    min_mb
                } else {
                    used_mb.div_ceil(step_mb).saturating_mul(step_mb).min(max_mb)
                }
            }
            MemoryBasis::Unbilled => 0,
        };
        (billed_ms, memory_mb)
    }

    #[inline]
    pub(super) fn count(&self, usage: &mut Usage, (billed_ms, memory_mb): (u64, u32)) {
        let ms = u128::from(billed_ms);
        usage.requests += 1;
        usage.billed_ms += ms;
        usage.mb_ms += ms * u128::from(memory_mb);
        usage.vcpu_units += ms * u128::from(self.vcpu_millis);
    }

    fn count_kept(&self, usage: &mut Usage, idle: Span) {
        let ms = u128::from(idle.as_millis());
        usage.kept_ms += ms;
        usage.kept_mb_ms += ms * u128::from(self.memory_mb);
        usage.kept_vcpu_units += ms * u128::from(self.vcpu_millis);
    }
}

/// What metering must know of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeteredFunction {
    pub memory_mb: u32,
    /// As the manifest names it; [`ColdStartModel::runtime`].
    pub runtime: Arc<str>,
    pub package_bytes: u64,
}

/// Usage of one function under every provider.
#[derive(Clone, Debug)]
struct Account {
    spec: MeteredFunction,
    /// In the order of [`Ledger::profiles`].
    books: Vec<(Tariff, Usage)>,
}

/// All that was metered since the emulator began, also for functions that have since been removed.
#[derive(Clone, Debug)]
pub struct Ledger {
    profiles: Vec<Arc<Profile>>,
    /// Place of the project's own provider in `profiles`.
    active: usize,
    accounts: BTreeMap<FunctionId, Account>,
}

impl Ledger {
    /// For a project at this provider. A profile that is none of [`provider::all`] (a changed copy, in tests) takes the
    /// place of the one with its id, or comes after them.
    pub fn new(active: &Arc<Profile>) -> Ledger {
        let mut profiles = provider::all().to_vec();
        let at = profiles.iter().position(|profile| profile.id == active.id);
        let active_at = at.unwrap_or(profiles.len());
        match at {
            Some(at) => profiles[at] = Arc::clone(active),
            None => profiles.push(Arc::clone(active)),
        }
        Ledger {
            profiles,
            active: active_at,
            accounts: BTreeMap::new(),
        }
    }

    /// The project moved to another provider. What was metered stays: it was metered for all of them.
    pub fn set_provider(&mut self, id: &str) {
        if let Some(at) = self.profiles.iter().position(|profile| profile.id == id) {
            self.active = at;
        }
    }

    /// A function is new or changed (memory, runtime, a deployed package): later invocations are metered by this.
    pub fn set_function(&mut self, function: FunctionId, spec: MeteredFunction) {
        if self.accounts.get(&function).is_some_and(|account| account.spec == spec) {
            return;
        }
        let tariffs: Vec<Tariff> = self
            .profiles
            .iter()
            .map(|profile| Tariff::new(profile, &spec))
            .collect();
        match self.accounts.get_mut(&function) {
            Some(account) => {
                account.spec = spec;
                for ((tariff, _), new) in account.books.iter_mut().zip(tariffs) {
                    *tariff = new;
                }
            }
            None => {
                let books = tariffs.into_iter().map(|tariff| (tariff, Usage::default())).collect();
                self.accounts.insert(function, Account { spec, books });
            }
        }
    }

    /// Meters one invocation under every provider; the answer is the project's own one's. On the hot path: no allocation.
    ///
    /// A function that was never [set](Ledger::set_function) is metered at nothing.
    pub fn charge(&mut self, function: FunctionId, used: &Used) -> Metered {
        let Some(account) = self.accounts.get_mut(&function) else {
            debug_assert!(false, "{function:?} ran before it was set");
            return Metered::default();
        };
        let mut metered = Metered::default();
        for (at, (tariff, usage)) in account.books.iter_mut().enumerate() {
            if at == self.active {
                let quantities = tariff.quantities(used, used.init);
                tariff.count(usage, quantities);
                metered = tariff.price(quantities);
            } else {
                let cold = used.init_is_modelled && used.init > Span::ZERO;
                let init = if cold { tariff.init_median } else { used.init };
                tariff.count(usage, tariff.quantities(used, init));
            }
        }
        metered
    }

    /// An instance that `min_instances` keeps was idle for this long.
    pub fn keep(&mut self, function: FunctionId, idle: Span) {
        if let Some(account) = self.accounts.get_mut(&function) {
            for (tariff, usage) in &mut account.books {
                tariff.count_kept(usage, idle);
            }
        }
    }

    /// Forgets what was metered; functions stay set.
    pub fn reset(&mut self) {
        for account in self.accounts.values_mut() {
            for (_, usage) in &mut account.books {
                *usage = Usage::default();
            }
        }
    }

    /// The project's own provider.
    pub fn active(&self) -> &Arc<Profile> {
        &self.profiles[self.active]
    }

    pub fn profiles(&self) -> &[Arc<Profile>] {
        &self.profiles
    }

    /// Usage by function under one of [`Ledger::profiles`], in the order of ids.
    pub fn usage(&self, profile_id: &str) -> Vec<(FunctionId, Usage)> {
        let Some(at) = self.profiles.iter().position(|profile| profile.id == profile_id) else {
            return Vec::new();
        };
        let of = |account: &Account| account.books.get(at).map_or_else(Usage::default, |(_, usage)| *usage);
        self.accounts.iter().map(|(&id, account)| (id, of(account))).collect()
    }
}

/// Money of one function or of all, in picodollars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// At list price, by tiers.
    pub before_free: u128,
    /// After the month's free tier; fixed prices are not in it.
    pub after_free: u128,
}

/// A month's traffic priced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Priced {
    /// In the order of the usages given. They add up to `total` exactly.
    pub functions: Vec<Cost>,
    pub total: Cost,
    /// Fixed price of the plan, in neither of the above.
    pub base: u128,
}

/// Which price of compute holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Architecture {
    #[default]
    X86,
    Arm64,
}

/// Prices usages as the traffic of one month. Tiers and free tier belong to the account, so each meter is priced as a
/// whole and its cost shared out by use.
pub fn price_month(billing: &Billing, architecture: Architecture, usages: &[Usage]) -> Priced {
    let gb_second = match architecture {
        Architecture::Arm64 => billing.gb_second_arm64.as_ref().or(billing.gb_second.as_ref()),
        Architecture::X86 => billing.gb_second.as_ref(),
    };
    let flat = |price: Option<crate::provider::units::Price>| {
        price.map(|price| Rates {
            free: 0,
            tiers: vec![Tier { up_to: None, price }],
        })
    };
    let (kept_gb, kept_vcpu) = (flat(billing.idle_gb_second), flat(billing.idle_vcpu_second));
    type Units = fn(&Usage) -> u128;
    let meters: [(Option<&Rates>, u128, Units); 6] = [
        (Some(&billing.request), 1, |usage| u128::from(usage.requests)),
        (gb_second, MB_MS_PER_GB_S, |usage| usage.mb_ms),
        (billing.vcpu_second.as_ref(), VCPU_UNITS_PER_S, |usage| usage.vcpu_units),
        (billing.cpu_ms.as_ref(), 1, |usage| usage.billed_ms),
        (kept_gb.as_ref(), MB_MS_PER_GB_S, |usage| usage.kept_mb_ms),
        (kept_vcpu.as_ref(), VCPU_UNITS_PER_S, |usage| usage.kept_vcpu_units),
    ];
    let mut functions = vec![Cost::default(); usages.len()];
    let mut total = Cost::default();
    for (rates, per, units) in meters {
        let Some(rates) = rates else { continue };
        let all: u128 = usages.iter().map(units).sum();
        let cost = rates_cost(rates, per, all);
        total.before_free += cost.before_free;
        total.after_free += cost.after_free;
        let (mut so_far, mut given) = (0, Cost::default());
        for (usage, function) in usages.iter().zip(&mut functions) {
            so_far += units(usage);
            let upto = Cost {
                before_free: share(cost.before_free, so_far, all),
                after_free: share(cost.after_free, so_far, all),
            };
            function.before_free += upto.before_free - given.before_free;
            function.after_free += upto.after_free - given.after_free;
            given = upto;
        }
    }
    Priced {
        functions,
        total,
        base: u128::from(billing.base_month.0),
    }
}

/// What `units` cost by the tiers, where `per` units make one priced unit.
pub fn rates_cost(rates: &Rates, per: u128, units: u128) -> Cost {
    let before_free = tiered(rates, per, units);
    let free = tiered(rates, per, units.min(u128::from(rates.free) * per));
    Cost {
        before_free,
        after_free: before_free - free,
    }
}

/// Requests in an hour at which an always-on server costs as much as these requests did, to the nearest; `None` when
/// they cost nothing. `cost` is of `requests`, before the free tier, in picodollars like `hour`.
pub fn break_even_requests(hour: u128, requests: u64, cost: u128) -> Option<u64> {
    if cost == 0 {
        return None;
    }
    let even = hour.saturating_mul(u128::from(requests)).saturating_add(cost / 2) / cost;
    Some(u64::try_from(even).unwrap_or(u64::MAX))
}

fn tiered(rates: &Rates, per: u128, units: u128) -> u128 {
    let (mut from, mut sum) = (0, 0u128);
    for tier in &rates.tiers {
        let bound = tier.up_to.map_or(u128::MAX, |bound| u128::from(bound) * per);
        let here = units.min(bound).saturating_sub(from);
        sum = sum.saturating_add(here.saturating_mul(u128::from(tier.price.0)));
        from = bound;
        if units <= bound {
            break;
        }
    }
    sum.saturating_add(per / 2) / per
}

/// `ms * size * price / PER` to the nearest picodollar. The product of one invocation fits u64 but for giants, and there
/// a division by a constant is cheap.
fn per_unit<const PER: u128>(ms: u64, size: u32, price: u64) -> u64 {
    let product = u64::from(size).checked_mul(price).and_then(|rate| rate.checked_mul(ms));
    match (product, u64::try_from(PER)) {
        (Some(product), Ok(per)) => product.saturating_add(per / 2) / per,
        _ => {
            let rate = u128::from(size) * u128::from(price);
            let product = rate.saturating_mul(u128::from(ms)).saturating_add(PER / 2);
            u64::try_from(product / PER).unwrap_or(u64::MAX)
        }
    }
}

/// `amount * part / whole`, also where the product is wider than u128: then the parts lose their last digits, which
/// cannot show.
fn share(amount: u128, part: u128, whole: u128) -> u128 {
    if whole == 0 {
        return 0;
    }
    if part == whole {
        return amount;
    }
    let (mut part, mut whole) = (part, whole);
    loop {
        match amount.checked_mul(part) {
            Some(product) => return product / whole.max(1),
            None => {
                part >>= 8;
                whole >>= 8;
            }
        }
    }
}

#[cfg(test)]
#[path = "billing/tests.rs"]
mod tests;
