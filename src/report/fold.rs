//! Above some rate lines are counted instead of shown, so that a terminal never holds the emulator up.

use super::number;

/// What a line costs: each class has its own budget, so that a flood of good news hides no failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Rare and never folded: reloads, notices.
    Always,
    /// A finished invocation that went well.
    Invocation,
    /// One that did not.
    Failure,
    /// A guest's line.
    Log,
    /// Instances, messages, throttles.
    Other,
}

/// Lines a second that are shown.
const INVOCATIONS_MAX: u32 = 40;
const FAILURES_MAX: u32 = 20;
const LOGS_MAX: u32 = 200;
const OTHERS_MAX: u32 = 20;

const WINDOW_MS: u64 = 1_000;

/// What was counted instead of shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hidden {
    pub invocations: u64,
    pub failures: u64,
    pub logs: u64,
    pub others: u64,
}

impl Hidden {
    pub fn is_empty(&self) -> bool {
        *self == Hidden::default()
    }
}

impl std::fmt::Display for Hidden {
    /// `... 18,204 more in the last second, 12 of them failed; 300 log lines`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut parts = Vec::new();
        let invocations = self.invocations + self.failures;
        if invocations > 0 {
            let mut part = format!("{} more in the last second", number::count(invocations));
            if self.failures > 0 {
                part.push_str(&format!(", {} of them failed", number::count(self.failures)));
            }
            parts.push(part);
        }
        if self.logs > 0 {
            parts.push(number::plural(self.logs, "log line", "log lines"));
        }
        if self.others > 0 {
            parts.push(number::plural(self.others, "other event", "other events"));
        }
        write!(f, "... {}", parts.join("; "))
    }
}

/// Decides line by line. Times are milliseconds of any clock that only goes forward.
#[derive(Clone, Debug, Default)]
pub struct Fold {
    window_start_ms: u64,
    shown: [u32; 4],
    hidden: Hidden,
}

impl Fold {
    /// Whether a line of this class is shown. Ask [`Fold::due`] first: it closes the window before.
    pub fn admit(&mut self, class: Class) -> bool {
        let (at, max) = match class {
            Class::Always => return true,
            Class::Invocation => (0, INVOCATIONS_MAX),
            Class::Failure => (1, FAILURES_MAX),
            Class::Log => (2, LOGS_MAX),
            Class::Other => (3, OTHERS_MAX),
        };
        if self.shown[at] < max {
            self.shown[at] += 1;
            return true;
        }
        match class {
            Class::Failure => self.hidden.failures += 1,
            Class::Log => self.hidden.logs += 1,
            Class::Other => self.hidden.others += 1,
            Class::Invocation | Class::Always => self.hidden.invocations += 1,
        }
        false
    }

    /// Events that never came this far.
    pub fn add(&mut self, invocations: u64, others: u64) {
        self.hidden.invocations += invocations;
        self.hidden.others += others;
    }

    /// What the window that is over did not show, once; a new window begins.
    pub fn due(&mut self, now_ms: u64) -> Option<Hidden> {
        if now_ms.saturating_sub(self.window_start_ms) < WINDOW_MS {
            return None;
        }
        self.window_start_ms = now_ms;
        self.shown = [0; 4];
        self.flush()
    }

    /// What is hidden so far, once; for the end of a session.
    pub fn flush(&mut self) -> Option<Hidden> {
        let hidden = std::mem::take(&mut self.hidden);
        (!hidden.is_empty()).then_some(hidden)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_traffic_is_shown_whole() {
        let mut fold = Fold::default();
        for second in 1..100 {
            assert_eq!(fold.due(second * 1_000), None);
            for _ in 0..INVOCATIONS_MAX {
                assert!(fold.admit(Class::Invocation));
            }
        }
    }

    #[test]
    fn fast_traffic_is_counted_and_failures_show_through() {
        let mut fold = Fold::default();
        fold.due(1_000);
        let shown = (0..18_244).filter(|_| fold.admit(Class::Invocation)).count();
        assert_eq!(shown, 40);
        assert!(fold.admit(Class::Failure));
        assert!(fold.admit(Class::Always));
        assert_eq!(fold.due(1_999), None);
        let hidden = fold.due(2_000).expect("a window with hidden lines");
        assert_eq!(hidden.to_string(), "... 18,204 more in the last second");
        assert!(fold.admit(Class::Invocation));
        assert_eq!(fold.due(3_000), None);
    }

    #[test]
    fn the_sum_names_what_it_holds() {
        let mut fold = Fold::default();
        fold.due(1_000);
        for _ in 0..25 {
            fold.admit(Class::Failure);
        }
        for _ in 0..201 {
            fold.admit(Class::Log);
        }
        fold.add(1_000, 2);
        let hidden = fold.due(2_500).expect("hidden lines");
        assert_eq!(
            hidden.to_string(),
            "... 1,005 more in the last second, 5 of them failed; 1 log line; 2 other events"
        );
    }
}
