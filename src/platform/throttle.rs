//! Throttling on purpose: what arrives is refused as if there were no room, by function and probability.

use super::Platform;
use super::effect::RejectReason;
use super::ids::FunctionId;
use super::rng::Rng;

/// What [`Input::Throttle`](super::input::Input::Throttle) asked for.
#[derive(Default)]
pub(super) struct Throttles {
    rules: Vec<(Option<FunctionId>, f64)>,
    /// Apart from the platform's own, so that a run without faults draws as it did.
    rng: Option<Rng>,
}

impl Throttles {
    pub fn set(&mut self, rules: Vec<(Option<FunctionId>, f64)>, seed: u64, anew: bool) {
        self.rules = rules;
        if anew || self.rng.is_none() {
            self.rng = Some(Rng::new(seed));
        }
    }

    fn draw(&mut self, function: FunctionId) -> Result<(), RejectReason> {
        let Some(rng) = &mut self.rng else { return Ok(()) };
        for (rule, (of, probability)) in self.rules.iter().enumerate() {
            if of.is_none_or(|of| of == function) && rng.unit() < *probability {
                return Err(RejectReason::OnPurpose { rule });
            }
        }
        Ok(())
    }
}

impl Platform {
    /// Whether an arrival at a function is throttled. Without a rule for it nothing is drawn; what is not there is refused for that.
    ///
    /// # Errors
    /// By which rule.
    pub(super) fn throttled(&mut self, function: FunctionId) -> Result<(), RejectReason> {
        match self.fleets.get(function) {
            Some(fleet) if !fleet.removed => self.throttles.draw(function),
            _ => Ok(()),
        }
    }
}
