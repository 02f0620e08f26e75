//! What a shell has said to the core, said to it again in virtual time: stepped as in `platform_run`, each deadline at its own
//! time, with the calls of a record in place of what comes of a workload and draws. Whatever the shell was (`live` with real requests),
//! the same effects come out, one for one: that is what it means that both share the core.

use crate::platform::Platform;
use crate::platform::call::Call;
use crate::platform::effect::Effect;
use crate::platform::input::Input;

/// The effects of these calls, in order.
pub fn replay<'a>(calls: impl IntoIterator<Item = &'a Call>) -> Vec<Effect> {
    let mut platform = Platform::new(0);
    let mut effects = Vec::new();
    for call in calls {
        if let Call::Handle(now, _) = call {
            while let Some(due) = platform.next_deadline().filter(|due| due < now) {
                platform.handle(due, Input::Tick);
                effects.extend(std::iter::from_fn(|| platform.poll_effect()));
            }
        }
        platform.call(call);
        effects.extend(std::iter::from_fn(|| platform.poll_effect()));
    }
    effects
}
