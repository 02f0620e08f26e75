//! Keeps a build command that changes its own sources from running for ever: pure.
//!
//! Nobody can tell whether a file that changed while a command ran was changed by the command or by the user. So such a
//! change builds again like any other; but when it happens in several runs one after the other, the running command is
//! no longer ended for it, and its next run waits, longer each time. No change is ever left out.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::Cause;
use super::queue::BuildKey;

/// Runs in a row with changes during the run before it is taken for a loop.
const RUNS_MAX: u32 = 3;
const WAIT_MIN: Duration = Duration::from_secs(1);
const WAIT_MAX: Duration = Duration::from_secs(60);
/// A change so long after a run's end may still be the run's.
const AFTERMATH: Duration = Duration::from_millis(30);

#[derive(Debug, Default)]
struct Command {
    /// Began, and ended if it has.
    run: Option<(Instant, Option<Instant>)>,
    /// Runs in a row during which files changed.
    runs: u32,
    counted_in_run: bool,
    waiting: Option<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    cause: Cause,
    /// Set when the run ends.
    when: Option<Instant>,
}

impl Command {
    /// What changed then may be the last run's work.
    fn ran_at(&self, at: Instant) -> bool {
        self.run
            .is_some_and(|(start, end)| at >= start && end.is_none_or(|end| at <= end + AFTERMATH))
    }
}

/// What to do about a changed source.
#[derive(Debug)]
pub enum Decision {
    /// Build now, ending a run that is going on.
    Now(Cause),
    /// It will come out of [`Restless::due`]. `true`: tell the user about the loop; it is the first time.
    Later(bool),
}

/// See the module.
#[derive(Debug, Default)]
pub struct Restless {
    commands: BTreeMap<BuildKey, Command>,
}

impl Restless {
    pub fn started(&mut self, key: &BuildKey, now: Instant) {
        let command = self.commands.entry(key.clone()).or_default();
        command.run = Some((now, None));
        command.counted_in_run = false;
    }

    pub fn ended(&mut self, key: &BuildKey, now: Instant) {
        let Some(command) = self.commands.get_mut(key) else {
            return;
        };
        if let Some((_, end)) = &mut command.run {
            *end = Some(now);
        }
        let wait = wait(command.runs);
        if let Some(waiting) = &mut command.waiting {
            waiting.when = Some(now + wait);
        }
    }

    /// A source of the command changed.
    pub fn changed(&mut self, key: &BuildKey, cause: Cause) -> Decision {
        let command = self.commands.entry(key.clone()).or_default();
        if !command.ran_at(cause.since) {
            command.runs = 0;
            command.waiting = None;
            return Decision::Now(cause);
        }
        if !std::mem::replace(&mut command.counted_in_run, true) {
            command.runs += 1;
        }
        if command.runs < RUNS_MAX {
            return Decision::Now(cause);
        }
        let first = command.runs == RUNS_MAX && command.waiting.is_none();
        let when = command.run.and_then(|(_, end)| end).map(|end| end + wait(command.runs));
        command.waiting = Some(Waiting { cause, when });
        Decision::Later(first)
    }

    pub fn next_deadline(&self) -> Option<Instant> {
        self.commands
            .values()
            .filter_map(|command| command.waiting.as_ref()?.when)
            .min()
    }

    pub fn due(&mut self, now: Instant) -> Option<(BuildKey, Cause)> {
        for (key, command) in &mut self.commands {
            if command
                .waiting
                .as_ref()
                .and_then(|waiting| waiting.when)
                .is_some_and(|when| when <= now)
            {
                return command.waiting.take().map(|waiting| (key.clone(), waiting.cause));
            }
        }
        None
    }

    pub fn retain(&mut self, keep: impl Fn(&BuildKey) -> bool) {
        self.commands.retain(|key, _| keep(key));
    }
}

fn wait(runs: u32) -> Duration {
    WAIT_MIN
        .saturating_mul(1 << runs.saturating_sub(RUNS_MAX).min(10))
        .min(WAIT_MAX)
}

#[cfg(test)]
mod tests {
    use super::super::Reason;
    use super::*;

    fn key() -> BuildKey {
        BuildKey {
            command: "make".to_owned(),
            dir: "".into(),
        }
    }

    fn cause(since: Instant) -> Cause {
        Cause {
            reason: Reason::Change,
            files: Vec::new(),
            since,
        }
    }

    /// A command that touches a source in each of its runs, 10 ms long: the times at which it runs, in milliseconds.
    #[test]
    fn a_loop_slows_down() {
        let zero = Instant::now();
        let ms = Duration::from_millis;
        let mut restless = Restless::default();
        let (mut now, mut starts, mut told) = (zero, Vec::new(), 0);
        for _ in 0..8 {
            restless.started(&key(), now);
            starts.push((now - zero).as_millis());
            restless.ended(&key(), now + ms(10));
            // The event is seen only after the run.
            now = match restless.changed(&key(), cause(now + ms(9))) {
                Decision::Now(_) => now + ms(20),
                Decision::Later(tell) => {
                    told += u32::from(tell);
                    restless.next_deadline().expect("it waits")
                }
            };
            let due = restless.due(now);
            assert!(due.is_none() || restless.next_deadline().is_none());
        }
        assert_eq!(starts, [0, 20, 40, 1050, 3060, 7070, 15080, 31090]);
        assert_eq!(told, 1);
    }

    #[test]
    fn a_change_between_runs_builds_at_once() {
        let zero = Instant::now();
        let mut restless = Restless::default();
        for second in 0..20 {
            let now = zero + Duration::from_secs(second);
            restless.started(&key(), now);
            restless.ended(&key(), now + Duration::from_millis(100));
            let saved = now + Duration::from_millis(500);
            assert!(matches!(restless.changed(&key(), cause(saved)), Decision::Now(_)));
        }
    }

    #[test]
    fn many_changes_in_one_run_count_once() {
        let zero = Instant::now();
        let mut restless = Restless::default();
        restless.started(&key(), zero);
        for n in 1..20 {
            let saved = zero + Duration::from_millis(n);
            assert!(
                matches!(restless.changed(&key(), cause(saved)), Decision::Now(_)),
                "save {n}"
            );
        }
    }

    #[test]
    fn during_a_run_it_waits_for_the_end() {
        let zero = Instant::now();
        let second = Duration::from_secs(1);
        let mut restless = Restless::default();
        for run in 0..3 {
            restless.started(&key(), zero + second * run * 10);
            let decision = restless.changed(&key(), cause(zero + second * (run * 10 + 1)));
            assert_eq!(matches!(decision, Decision::Later(true)), run == 2, "run {run}");
        }
        assert_eq!(restless.next_deadline(), None);
        restless.ended(&key(), zero + second * 25);
        assert_eq!(restless.next_deadline(), Some(zero + second * 26));
        assert!(restless.due(zero + second * 25).is_none());
        assert!(restless.due(zero + second * 26).is_some());
        assert!(restless.due(zero + second * 27).is_none());
    }
}
