//! Integer metering and price tiers.

use serde::{Deserialize, Serialize};

/// What one invocation is billed for, by the profile's rules. Money is in picodollars (1e-12 $).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metered {
    /// Rounded as the provider rounds.
    pub billed_ms: u64,
    /// Memory size billed.
    pub memory_mb: u32,
    /// Before any free tier.
    pub cost_picodollars: u64,
}
