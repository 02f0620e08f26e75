//! Where a run meets those who watch it: its span begins and ends here, and its duration is counted.

use std::sync::Arc;

use opentelemetry::KeyValue;

use crate::engine::{Event, Failure};
use crate::live::driver::Driver;
use crate::live::events::Summary;
use crate::live::render::failure_name;
use crate::platform::effect::{Run, Work};
use crate::platform::input::{Completion, Outcome};
use crate::platform::time::Span;

use super::Ended;
use super::context::{HEADER, Trace};
use super::span::{self, Open};

/// A run that somebody watches.
pub struct Active {
    open: Open,
    trace: Trace,
    trigger: &'static str,
}

impl Active {
    /// For what the run asks and sends.
    pub fn trace(&self) -> Trace {
        self.trace.clone()
    }
}

impl Driver {
    /// The run's span, where somebody watches. A request shows its own context to the function from here on. `sent_in`: of an
    /// event that nobody waits for.
    pub fn begin_span(
        &self,
        run: &Run,
        sent_in: Option<Trace>,
        name: &Arc<str>,
        event: &mut Event,
        summary: &Summary,
    ) -> Option<Active> {
        self.0.telemetry.as_ref()?;
        let parent = match sent_in {
            Some(trace) => trace.context(),
            None => span::parent(event),
        };
        let own = span::child(self, parent.as_ref())?;
        let trigger = span::trigger(summary);
        let open = Open::new(self, own, parent.as_ref(), || {
            let mut begun = span::describe(name, &run.work, event, summary);
            begun.attributes.extend([
                KeyValue::new("faas.name", name.clone()),
                KeyValue::new("faas.trigger", trigger),
                KeyValue::new("faas.invocation_id", self.0.ids.invocation(run.invocation)),
                KeyValue::new("faas.coldstart", run.cold),
            ]);
            let (Work::Async { attempt, .. } | Work::Topic { attempt, .. }) = run.work else {
                return begun;
            };
            begun.attributes.push(KeyValue::new("emu.attempt", i64::from(attempt)));
            begun
        });
        let trace = open.trace();
        if let Event::Http(http) = event
            && let Some(header) = trace.header()
        {
            http.request.headers_mut().insert(HEADER, header);
        }
        Some(Active { open, trace, trigger })
    }

    /// Tells how long a run took and how it ended, to those who watch.
    pub fn end_span(
        &self,
        span: Option<Active>,
        name: &Arc<str>,
        cold: bool,
        ended: (Option<u16>, Option<&Failure>),
        completion: &Completion,
        init: Span,
    ) {
        if let Some(durations) = self.0.durations.get() {
            durations.observe(name, completion.duration.to_std().as_secs_f64());
        }
        let (Some(Active { open, trigger, .. }), Some(telemetry)) = (span, &self.0.telemetry) else {
            return;
        };
        let (status, failure) = ended;
        telemetry.count(
            name,
            trigger,
            &Ended {
                failed: failure.is_some(),
                timed_out: completion.outcome == Outcome::TimedOut,
                cold,
                duration: completion.duration.to_std(),
                init: init.to_std(),
                memory_bytes: completion.memory_bytes_max,
            },
        );
        let fault = match (failure, status) {
            (Some(failure), _) => Some((failure_name(failure.kind).into(), failure.message.clone().into())),
            (None, Some(status)) => span::fault_of(status, 500),
            (None, None) => None,
        };
        open.end(status.map(span::status_code), fault);
    }
}
