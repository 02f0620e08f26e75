//! Policies: how long idle instances stay, how many are provisioned, how fast new ones may start.

pub(super) mod greedy;
mod hybrid;
pub mod keep_alive;

use super::rules::ScaleUp;
use super::time::{Span, Time};

/// The scaling rate of one function, as a bucket that refills evenly. Kept as one instant: when the bucket will be
/// full again (the generic cell rate algorithm).
#[derive(Clone, Copy, Debug)]
pub(super) struct StartRate {
    limit: Option<ScaleUp>,
    full_at: Time,
}

impl StartRate {
    pub fn new(limit: Option<ScaleUp>) -> StartRate {
        StartRate {
            limit,
            full_at: Time::ZERO,
        }
    }

    /// A changed limit keeps what has been used.
    pub fn set_limit(&mut self, limit: Option<ScaleUp>) {
        self.limit = limit;
    }

    /// # Errors
    /// How long until the next start is allowed.
    pub fn take(&mut self, now: Time) -> Result<(), Span> {
        let Some(limit) = self.limit else { return Ok(()) };
        let each = Span(limit.every.0 / u64::from(limit.count.max(1)));
        let room = Span(each.0.saturating_mul(u64::from(limit.burst.max(1)) - 1));
        let debt = self.full_at.since(now);
        if debt > room {
            return Err(debt - room);
        }
        self.full_at = self.full_at.max(now) + each;
        Ok(())
    }
}
