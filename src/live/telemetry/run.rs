//! Where a run meets those who watch it: its span begins and ends here, and its duration is counted.

use crate::engine::{Event, Failure};
use crate::live::driver::Driver;
use crate::live::events::Summary;
use crate::platform::effect::Run;
use crate::platform::input::{Completion, Outcome};
use crate::platform::time::Span;

use super::{Active, Ended};

impl Driver {
    /// The run's span, where somebody watches.
    pub fn begin_span(&self, run: &Run, name: &str, event: &mut Event, summary: &Summary) -> Option<Active> {
        let telemetry = self.0.telemetry.as_ref()?;
        let id = self.0.ids.invocation(run.invocation);
        Some(telemetry.begin(name, &id, event, summary, self.0.clock.wall()))
    }

    /// Tells how long a run took and how it ended, to those who watch.
    pub fn end_span(
        &self,
        span: Option<Active>,
        name: &str,
        cold: bool,
        ended: (Option<u16>, Option<&Failure>),
        completion: &Completion,
        init: Span,
    ) {
        if let Some(durations) = self.0.durations.get() {
            durations.observe(name, completion.duration.to_std().as_secs_f64());
        }
        let Some(span) = span else { return };
        let (status, failure) = ended;
        span.end(&Ended {
            at: self.0.clock.wall(),
            status,
            error: failure.map(|failure| (format!("{:?}", failure.kind), failure.message.clone())),
            timed_out: completion.outcome == Outcome::TimedOut,
            cold,
            duration: completion.duration.to_std(),
            init: init.to_std(),
            memory_bytes: completion.memory_bytes_max,
        });
    }
}
