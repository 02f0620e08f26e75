//! What bounds a run: memory, deadline, and how an end by a bound is told from an end of the guest's own.

use std::time::Duration;

use wasmtime::ResourceLimiter;

use super::config::{INSTANCES_MAX, MEMORIES_MAX, TABLE_ELEMENTS_MAX, TABLES_MAX};

/// The guest asked for more memory than its limit; ends the invocation whatever the guest would do about it.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("out of memory: {wanted_bytes} bytes wanted, the limit is {limit_bytes}")]
pub struct OutOfMemory {
    pub wanted_bytes: u64,
    pub limit_bytes: u64,
}

/// Counts the linear memory of all of a sandbox's instances, and refuses what is over the limit.
#[derive(Debug, Default)]
pub struct MemoryLimit {
    limit_bytes: u64,
    used_bytes: u64,
    peak_bytes: u64,
    /// The first refusal of this run, kept because a guest's trap may hide it.
    refused: Option<OutOfMemory>,
}

impl MemoryLimit {
    /// Starts a run: a kept sandbox's memory counts from where it is.
    pub fn arm(&mut self, limit_bytes: u64) {
        self.limit_bytes = limit_bytes;
        self.peak_bytes = self.used_bytes;
        self.refused = None;
    }

    /// The most that was in use at once in this run.
    pub fn peak_bytes(&self) -> u64 {
        self.peak_bytes
    }

    pub fn refused(&self) -> Option<OutOfMemory> {
        self.refused
    }
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            // Its own declared maximum: the guest gets -1, as everywhere.
            return Ok(false);
        }
        let used_bytes = self.used_bytes.saturating_add(desired.saturating_sub(current) as u64);
        if used_bytes > self.limit_bytes {
            let refused = OutOfMemory {
                wanted_bytes: used_bytes,
                limit_bytes: self.limit_bytes,
            };
            self.refused.get_or_insert(refused);
            return Err(wasmtime::Error::from(refused));
        }
        self.used_bytes = used_bytes;
        self.peak_bytes = self.peak_bytes.max(used_bytes);
        Ok(true)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS_MAX)
    }

    fn instances(&self) -> usize {
        INSTANCES_MAX
    }

    fn tables(&self) -> usize {
        TABLES_MAX
    }

    fn memories(&self) -> usize {
        MEMORIES_MAX
    }
}

/// The run took longer than its timeout.
#[derive(Clone, Copy, Debug)]
pub struct TimedOut;

/// Runs `work` at most `timeout`. The deadline lies outside of the guest: the fuel interval makes even a spinning guest
/// come back here, and dropping `work` unwinds it.
pub async fn within<T>(timeout: Duration, work: impl Future<Output = T>) -> Result<T, TimedOut> {
    tokio::time::timeout(timeout, work).await.map_err(|_| TimedOut)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_of_all_instances_counts_together_and_the_refusal_is_remembered() {
        let mut limit = MemoryLimit::default();
        limit.arm(1_000);
        assert!(limit.memory_growing(0, 600, None).unwrap());
        assert!(limit.memory_growing(0, 400, None).unwrap());
        assert!(!limit.memory_growing(400, 500, Some(450)).unwrap());
        assert!(limit.refused().is_none());
        assert!(limit.memory_growing(600, 601, None).is_err());
        assert_eq!(limit.refused().unwrap().wanted_bytes, 1_001);
        assert_eq!(limit.peak_bytes(), 1_000);
        limit.arm(2_000);
        assert!(limit.refused().is_none());
        assert_eq!(limit.peak_bytes(), 1_000);
    }
}
