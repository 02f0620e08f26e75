//! What a profile must fulfil beyond its types, and the look-ups that rest on it.

use crate::platform::time::Span;

use super::profile::{Beyond, Billing, ColdStart, MemoryBasis, Profile, Rate, Rates, RuntimeInit};

impl Profile {
    /// Refuses figures that contradict each other.
    pub(super) fn check(&self) -> Result<(), String> {
        let memory = &self.memory;
        ensure(memory.step_mb > 0, "memory.step_mb must be above zero")?;
        ensure(
            memory.min_mb > 0 && memory.min_mb <= memory.default_mb && memory.default_mb <= memory.max_mb,
            "memory: min_mb, default_mb and max_mb must ascend from above zero",
        )?;
        ensure(
            self.timeout.default > Span::ZERO && self.timeout.default <= self.timeout.max,
            "timeout: default must be above zero and at most max",
        )?;
        ensure(self.instance.concurrency > 0, "instance.concurrency must be above zero")?;
        ensure(
            self.instance.keep_alive > Span::ZERO,
            "instance.keep_alive must be above zero",
        )?;
        self.check_scaling()?;
        self.check_messages()?;
        self.cold_start.check()?;
        self.billing.check()
    }

    fn check_scaling(&self) -> Result<(), String> {
        let Rate {
            burst,
            refill,
            interval,
        } = self.scaling.rate;
        ensure(
            burst > 0 && refill > 0 && interval > Span::ZERO,
            "scaling.rate: burst, refill and interval must be above zero",
        )?;
        if let Beyond::Wait { requests_max, time_max } = self.scaling.beyond {
            ensure(
                requests_max > 0 && time_max > Span::ZERO,
                "scaling.beyond.wait: requests_max and time_max must be above zero",
            )?;
        }
        ensure(
            self.scaling.account_concurrency != Some(0) && self.scaling.function_instances_max != Some(0),
            "scaling: a limit of zero would let nothing run",
        )
    }

    fn check_messages(&self) -> Result<(), String> {
        let asynchronous = &self.asynchronous;
        ensure(
            asynchronous.retries_max == 0 || !asynchronous.retry_waits.is_empty(),
            "async.retry_waits must name at least one wait",
        )?;
        ensure(
            asynchronous.throttle_backoff_min > Span::ZERO
                && asynchronous.throttle_backoff_min <= asynchronous.throttle_backoff_max,
            "async: throttle_backoff_min must be above zero and at most throttle_backoff_max",
        )?;
        ensure(
            asynchronous.retries_max <= asynchronous.retries_most
                && asynchronous.age_least <= asynchronous.age_max
                && asynchronous.age_max <= asynchronous.age_most,
            "async: retries_max and age_max must lie within what a function may ask for",
        )?;
        let queue = &self.queue;
        ensure(
            queue.pollers.initial > 0 && queue.pollers.initial <= queue.pollers.max,
            "queue.pollers: initial must be above zero and at most max",
        )?;
        ensure(
            queue.batch.size_default > 0 && queue.batch.size_default <= queue.batch.size_max,
            "queue.batch: size_default must be above zero and at most size_max",
        )?;
        ensure(
            queue.max_receives_default > 0,
            "queue.max_receives_default must be above zero",
        )?;
        ensure(
            queue.retention_min <= queue.retention_default && queue.retention_default <= queue.retention_max,
            "queue: retention_min, retention_default and retention_max must ascend",
        )?;
        ensure(
            queue.visibility_timeout_default <= queue.visibility_timeout_max,
            "queue: visibility_timeout_default must be at most visibility_timeout_max",
        )
    }
}

impl ColdStart {
    fn check(&self) -> Result<(), String> {
        for name in [&self.script, &self.wasm] {
            ensure(
                self.runtimes.contains_key(name),
                &format!("cold_start.runtimes has no `{name}`, which is a default"),
            )?;
        }
        for (name, init) in &self.runtimes {
            let RuntimeInit {
                p50_ms,
                p90_ms,
                p99_ms,
                sigma,
            } = *init;
            ensure(
                p50_ms > 0.0
                    && p50_ms <= p90_ms
                    && p90_ms <= p99_ms
                    && p99_ms < 600_000.0
                    && sigma > 0.0
                    && sigma < 4.0,
                &format!("cold_start.runtimes.{name}: quantiles must ascend from above zero, sigma lie in 0 to 4"),
            )?;
        }
        ensure(
            self.package
                .windows(2)
                .all(|pair| pair[0].bytes < pair[1].bytes && pair[0].init <= pair[1].init),
            "cold_start.package must ascend",
        )
    }
}

impl Billing {
    fn check(&self) -> Result<(), String> {
        ensure(self.step_ms > 0, "billing.step_ms must be above zero")?;
        if let MemoryBasis::Observed {
            step_mb,
            min_mb,
            max_mb,
        } = self.memory_basis
        {
            ensure(
                step_mb > 0 && min_mb > 0 && min_mb <= max_mb,
                "billing.memory_basis: step_mb must be above zero, min_mb at most max_mb",
            )?;
        }
        ensure(
            (self.memory_basis == MemoryBasis::Unbilled) == self.gb_second.is_none(),
            "billing: gb_second goes with a memory_basis other than unbilled",
        )?;
        ensure(
            self.vcpu.is_empty() == self.vcpu_second.is_none(),
            "billing: vcpu and vcpu_second go together",
        )?;
        ensure(
            self.vcpu.windows(2).all(|pair| pair[0].from_mb < pair[1].from_mb)
                && self.vcpu.first().is_none_or(|row| row.from_mb == 0),
            "billing.vcpu must ascend from 0 MB",
        )?;
        let meters = [
            ("request", Some(&self.request)),
            ("gb_second", self.gb_second.as_ref()),
            ("gb_second_arm64", self.gb_second_arm64.as_ref()),
            ("vcpu_second", self.vcpu_second.as_ref()),
            ("cpu_ms", self.cpu_ms.as_ref()),
        ];
        for (name, rates) in meters {
            if let Some(rates) = rates {
                rates.check(name)?;
            }
        }
        Ok(())
    }
}

impl Rates {
    fn check(&self, name: &str) -> Result<(), String> {
        let bounds: Vec<u64> = self.tiers.iter().map_while(|tier| tier.up_to).collect();
        ensure(
            bounds.len() + 1 == self.tiers.len() && bounds.windows(2).all(|pair| pair[0] < pair[1]),
            &format!("billing.{name}.tiers must ascend, and only the last one has no bound"),
        )?;
        ensure(
            bounds.first().is_none_or(|first| self.free <= *first),
            &format!("billing.{name}.free must lie within the first tier"),
        )
    }
}

fn ensure(holds: bool, otherwise: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(String::from(otherwise)) }
}
