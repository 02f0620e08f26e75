//! Subscriptions, filters, fan-out.

/// A subscription's filter policy.
#[derive(Clone, Debug, Default)]
pub struct Filter {}
