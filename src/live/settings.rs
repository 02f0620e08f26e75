//! What somebody has changed on the running emulator: it lies over manifest and command line until it is reset, or emu
//! ends.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use crate::platform::config::ColdStarts;
use crate::platform::scaling::keep_alive::Policy;
use crate::platform::time::Span;
use crate::project::{ClockSetting, Project};

use super::driver::Driver;

/// See the module's description.
pub struct Settings {
    /// As emu was started.
    first_cold_starts: ColdStarts,
    cold_starts: ColdStarts,
    functions: BTreeMap<String, FunctionSettings>,
    /// What the manifest says, once it has been read.
    manifest: Option<Arc<Project>>,
}

/// Of one function; `None`: as the manifest says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FunctionSettings {
    pub keep_alive: Option<Span>,
    pub max_concurrency: Option<u32>,
    pub concurrency: Option<u32>,
    pub min_instances: Option<u32>,
}

/// What shall be different; what is `None` stays.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// Back to how emu was started, before the rest of the change.
    pub reset: bool,
    /// Times as fast as the machine's.
    pub clock_factor: Option<f64>,
    pub cold_starts: Option<ColdStarts>,
    pub functions: BTreeMap<String, FunctionSettings>,
}

impl Settings {
    pub fn new(cold_starts: ColdStarts) -> Settings {
        Settings {
            first_cold_starts: cold_starts,
            cold_starts,
            functions: BTreeMap::new(),
            manifest: None,
        }
    }

    pub fn cold_starts(&self) -> ColdStarts {
        self.cold_starts
    }

    /// Whether anything is not as emu was started.
    pub fn is_changed(&self) -> bool {
        self.cold_starts != self.first_cold_starts || !self.functions.is_empty()
    }

    pub fn changes(&self, function: &str) -> bool {
        self.functions.contains_key(function)
    }

    /// The manifest with all changes: what is in force.
    pub fn over(&mut self, manifest: Arc<Project>) -> Arc<Project> {
        self.manifest = Some(manifest.clone());
        if self.functions.is_empty() {
            return manifest;
        }
        let mut project = Project::clone(&manifest);
        for (name, settings) in &self.functions {
            let Some(function) = project.functions.get_mut(name) else {
                continue;
            };
            function.keep_alive = settings.keep_alive.map(Policy::Fixed).or(function.keep_alive);
            function.max_concurrency = settings.max_concurrency.or(function.max_concurrency);
            function.concurrency = settings.concurrency.or(function.concurrency);
            function.min_instances = settings.min_instances.unwrap_or(function.min_instances);
        }
        Arc::new(project)
    }

    fn take(&mut self, change: &Change) {
        if change.reset {
            self.cold_starts = self.first_cold_starts;
            self.functions.clear();
        }
        self.cold_starts = change.cold_starts.unwrap_or(self.cold_starts);
        for (name, new) in &change.functions {
            let known = self.functions.entry(name.clone()).or_default();
            known.keep_alive = new.keep_alive.or(known.keep_alive);
            known.max_concurrency = new.max_concurrency.or(known.max_concurrency);
            known.concurrency = new.concurrency.or(known.concurrency);
            known.min_instances = new.min_instances.or(known.min_instances);
        }
        self.functions
            .retain(|_, settings| *settings != FunctionSettings::default());
    }
}

impl Driver {
    pub fn cold_starts(&self) -> ColdStarts {
        let settings = self.0.settings.read().unwrap_or_else(PoisonError::into_inner);
        settings.cold_starts()
    }

    /// Puts a change into force: the core gets it as a new configuration.
    pub fn change_settings(&self, change: &Change) {
        let clock = &self.0.clock;
        let first = match clock.setting() {
            ClockSetting::Scaled(factor) => factor,
            _ => 1.0,
        };
        // A clock that was never touched stays real, and in step with the machine's.
        let wanted = change.clock_factor.or(change.reset.then_some(first));
        let wanted = wanted.filter(|factor| clock.manual().is_none() && *factor != clock.factor());
        if let Some(factor) = wanted {
            clock.set_factor(factor);
        }
        let manifest = {
            let mut settings = self.0.settings.write().unwrap_or_else(PoisonError::into_inner);
            settings.take(change);
            settings.manifest.clone()
        };
        if let Some(manifest) = manifest {
            self.configure(manifest);
        }
        // It waits by the pace that was.
        self.0.timer.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_add_up_until_they_are_reset() {
        let mut settings = Settings::new(ColdStarts::Report);
        assert!(!settings.is_changed());
        let keep = FunctionSettings {
            keep_alive: Some(Span::from_secs(5)),
            ..FunctionSettings::default()
        };
        settings.take(&Change {
            cold_starts: Some(ColdStarts::Sleep),
            functions: BTreeMap::from([("a".to_owned(), keep)]),
            ..Change::default()
        });
        let limit = FunctionSettings {
            max_concurrency: Some(3),
            ..FunctionSettings::default()
        };
        settings.take(&Change {
            functions: BTreeMap::from([("a".to_owned(), limit), ("b".to_owned(), FunctionSettings::default())]),
            ..Change::default()
        });
        assert_eq!(settings.cold_starts(), ColdStarts::Sleep);
        assert_eq!(
            settings.functions["a"],
            FunctionSettings {
                max_concurrency: Some(3),
                ..keep
            }
        );
        assert!(!settings.changes("b"), "nothing was said of it");
        settings.take(&Change {
            reset: true,
            ..Change::default()
        });
        assert!(!settings.is_changed());
    }
}
