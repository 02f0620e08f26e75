//! Keeps the values of secrets out of all that is told: guest output and errors are cleaned where the shell takes them
//! in, so that terminal, events, history and control API need not know of secrets.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

use super::redact::Redactor;
use crate::engine::Failure;
use crate::project::Project;
use crate::report::event::Event;

use super::events::{Summary, What};

/// The secrets of the project in force.
#[derive(Default)]
pub struct Secrets {
    /// Without any, a line costs this flag's read.
    any: AtomicBool,
    known: RwLock<Known>,
}

impl std::fmt::Debug for Secrets {
    /// Without the values.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets")
    }
}

#[derive(Default)]
struct Known {
    now: BTreeSet<String>,
    redactor: Redactor,
}

impl Secrets {
    /// What a version before this one was given stays a secret, since it may still run; unless the project now has it
    /// as a value like any other.
    pub fn set(&self, project: &Project) {
        let values = &project.secret_values.0;
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let open = |value: &&String| {
            let mut given = project.functions.values().flat_map(|function| function.env.values());
            values.contains(*value) || !given.any(|given| given == *value)
        };
        let before = known.now.iter().filter(open);
        let redactor = Redactor::new(values.iter().chain(before).cloned());
        self.any.store(!redactor.is_empty(), Ordering::Release);
        known.redactor = redactor;
        known.now.clone_from(values);
    }

    /// Whether there was anything to take out.
    pub fn text(&self, text: &mut String) -> bool {
        self.any.load(Ordering::Acquire) && {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            known.redactor.clean(text)
        }
    }

    pub fn failure(&self, failure: &mut Failure) {
        self.text(&mut failure.message);
        for line in &mut failure.stack {
            self.text(line);
        }
    }

    pub fn event(&self, what: &mut What) {
        if !self.any.load(Ordering::Acquire) {
            return;
        }
        match what {
            What::Log { text, .. } => _ = self.text(text),
            What::Invocation(done) => {
                if let Some(failure) = &mut done.failure {
                    self.failure(failure);
                }
                if let Summary::Request { path, .. } = &mut done.summary {
                    self.text(path);
                }
            }
            What::Made(event) => match &mut **event {
                Event::Log(log) => _ = self.text(&mut log.text),
                Event::Notice(notice) => _ = self.text(&mut notice.message),
                Event::Reload(reload) => {
                    if let Some(error) = &mut reload.error {
                        self.text(error);
                    }
                }
                _ => {}
            },
            What::Note(_) => {}
        }
    }
}
