//! The event log of `emu exec --log`, and what its events say of time that was spent waiting.
//!
//! The log is what `--json` writes, without what differs from machine to machine: ports, process ids, how long a build took.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::DateTime;

use super::failure::Failure;
use crate::live::Sink;
use crate::report::event::{Event, Stamped};

/// Waits of this length altogether are worth a word.
const HINT_MS_MIN: i64 = 2_000;

/// Sees every event of a run on its way to `inner`.
pub struct Tap {
    inner: Box<dyn Sink>,
    log: Option<Log>,
    seen: Seen,
}

struct Log {
    out: BufWriter<File>,
    begun: bool,
}

/// What the events came to; clones share it.
#[derive(Clone, Default)]
pub struct Seen(Arc<Mutex<Waits>>);

#[derive(Default)]
struct Waits {
    /// When messages and failed events were put aside, by id.
    aside: BTreeMap<String, i64>,
    /// Up to here waiting has been counted, so that two at once count once.
    counted_ms: i64,
    waited_ms: i64,
    /// The log could not be written.
    broken: Option<String>,
}

/// Ids that are remembered; more are not needed for a hint.
const ASIDE_MAX: usize = 10_000;

impl Tap {
    /// With `log`: a file that is begun anew.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn new(inner: Box<dyn Sink>, log: Option<&Path>) -> Result<(Tap, Seen), Failure> {
        let log = log.map(|path| {
            let made = File::create(path);
            made.map_err(|error| Failure::new(format!("cannot write the log {}: {error}", path.display())))
        });
        let log = log.transpose()?.map(|file| Log {
            out: BufWriter::new(file),
            begun: false,
        });
        let seen = Seen::default();
        let tap = Tap {
            inner,
            log,
            seen: seen.clone(),
        };
        Ok((tap, seen))
    }
}

impl Sink for Tap {
    fn event(&mut self, event: &Stamped) {
        if let Some(log) = &mut self.log
            && let Err(error) = log.write(event)
        {
            self.seen.lock().broken = Some(error.to_string());
            self.log = None;
        }
        self.seen.lock().event(event);
        self.inner.event(event);
    }

    fn folded(&mut self, invocations: u64, others: u64) {
        self.inner.folded(invocations, others);
    }
}

impl Log {
    fn write(&mut self, stamped: &Stamped) -> std::io::Result<()> {
        self.begun |= matches!(stamped.event, Event::Ready(_));
        if !self.begun {
            return Ok(());
        }
        let differing = match stamped.event {
            Event::Ready(_) => &["functions_url", "control_url", "pid", "startup_ms"][..],
            Event::Reload(_) => &["total_ms", "phases"],
            _ => {
                serde_json::to_writer(&mut self.out, stamped)?;
                return self.out.write_all(b"\n");
            }
        };
        let mut value = serde_json::to_value(stamped)?;
        if let Some(fields) = value.as_object_mut() {
            fields.retain(|key, _| !differing.contains(&key.as_str()));
        }
        serde_json::to_writer(&mut self.out, &value)?;
        self.out.write_all(b"\n")
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        // The tap goes when the last event has been seen; who reads the log finds it short.
        let _ = self.out.flush();
    }
}

impl Seen {
    fn lock(&self) -> MutexGuard<'_, Waits> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why the log is not complete.
    pub fn broken(&self) -> Option<String> {
        self.lock().broken.clone()
    }

    /// What to say of a run under a real clock.
    pub fn hint(&self) -> Option<String> {
        let waited_ms = self.lock().waited_ms;
        (waited_ms >= HINT_MS_MIN).then(|| {
            format!(
                "{:.1} s of this were spent on visibility timeouts and retry waits: with --clock manual they take no time \
                 (emu clock run-until-idle)",
                waited_ms as f64 / 1e3
            )
        })
    }
}

impl Waits {
    fn event(&mut self, stamped: &Stamped) {
        let (id, over) = match &stamped.event {
            Event::Message(message) if message.change == "returned" => (&message.id, false),
            Event::Message(message) if message.change == "received" => (&message.id, true),
            Event::Retry(retry) => (&retry.first_attempt, false),
            Event::Invocation(invocation) if invocation.attempt > 1 => match &invocation.first_attempt {
                Some(first) => (first, true),
                None => return,
            },
            _ => return,
        };
        let Ok(at) = DateTime::parse_from_rfc3339(&stamped.time) else {
            return;
        };
        let at_ms = at.timestamp_millis();
        if !over {
            if self.aside.len() < ASIDE_MAX {
                self.aside.insert(id.clone(), at_ms);
            }
        } else if let Some(since_ms) = self.aside.remove(id) {
            self.waited_ms += (at_ms - since_ms.max(self.counted_ms)).max(0);
            self.counted_ms = self.counted_ms.max(at_ms);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::event::Message;

    fn message(time: &str, id: &str, change: &str) -> Stamped {
        let message = Message {
            id: id.to_owned(),
            change: change.to_owned(),
            ..Message::default()
        };
        Stamped {
            time: time.to_owned(),
            event: Event::Message(message),
        }
    }

    #[test]
    fn waits_that_overlap_count_once_and_short_ones_are_not_worth_a_word() {
        let seen = Seen::default();
        for (time, id, change) in [
            ("2026-01-01T00:00:00Z", "a", "returned"),
            ("2026-01-01T00:00:01Z", "b", "returned"),
            ("2026-01-01T00:00:01.500Z", "a", "received"),
        ] {
            seen.lock().event(&message(time, id, change));
        }
        assert_eq!(seen.hint(), None);
        seen.lock().event(&message("2026-01-01T00:00:04Z", "b", "received"));
        assert_eq!(seen.lock().waited_ms, 4_000);
        assert!(seen.hint().is_some_and(|hint| hint.starts_with("4.0 s")));
    }
}
