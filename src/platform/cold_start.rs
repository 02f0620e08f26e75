//! Modelled init phases: what a provider's cold start would have taken.

use super::time::Span;

/// How long a cold start of this function takes at the provider, as a distribution.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ColdStartModel {
    /// Quantiles (probability in 1/1000, time), ascending; sampled by linear interpolation. Empty: no cold start.
    pub quantiles: Vec<(u32, Span)>,
    /// Added for the size of the package.
    pub package: Span,
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
