//! What takes long is named, once: a start waits for all functions, and one module that hangs while it is imported holds
//! up the others.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::Reason;
use super::queue::{Ticket, Unit};

/// After this long a load or a build is told of. Most loads take a hundredth of it, once the runtime is compiled.
const SLOW: Duration = Duration::from_millis(1_500);

/// What runs and has not been told of.
#[derive(Debug, Default)]
pub struct Slow(BTreeMap<Ticket, (Instant, What)>);

#[derive(Debug)]
enum What {
    Load { name: String, reason: Reason },
    Build(String),
}

impl Slow {
    /// `users`: the functions that a build command makes.
    pub fn started(&mut self, ticket: Ticket, now: Instant, unit: &Unit, users: &[String], reason: Reason) {
        let what = match unit {
            Unit::Load(name) => What::Load {
                name: name.clone(),
                reason,
            },
            Unit::Build(key) => What::Build(format!("still running `{}` of {}", key.command, users.join(", "))),
        };
        self.0.insert(ticket, (now + SLOW, what));
    }

    pub fn ended(&mut self, ticket: Ticket) {
        self.0.remove(&ticket);
    }

    pub fn next_deadline(&self) -> Option<Instant> {
        self.0.values().map(|(at, _)| *at).min()
    }

    /// What is to be said now, and never again.
    pub fn due(&mut self, now: Instant) -> Vec<String> {
        let due = self.0.extract_if(.., |_, (at, _)| *at <= now);
        let (mut names, mut texts, mut first) = (Vec::new(), Vec::new(), false);
        for (_, (_, what)) in due {
            match what {
                What::Build(text) => texts.push(text),
                What::Load { name, reason } => {
                    names.push(name);
                    first |= reason == Reason::Start;
                }
            }
        }
        if !names.is_empty() {
            let cache = "; a first start on a machine also compiles what later ones find in the cache";
            let names = names.join(", ");
            let cache = if first { cache } else { "" };
            texts.push(format!("still loading {names}: importing takes its time{cache}"));
        }
        texts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_long_is_named_once_and_what_has_ended_is_not() {
        let mut slow = Slow::default();
        let now = Instant::now();
        let load = |name: &str| Unit::Load(name.to_owned());
        slow.started(1, now, &load("hang"), &[], Reason::Start);
        slow.started(2, now, &load("quick"), &[], Reason::Start);
        slow.started(3, now, &load("heavy"), &[], Reason::Start);
        slow.ended(2);
        assert_eq!(slow.next_deadline(), Some(now + SLOW));
        assert!(slow.due(now).is_empty());
        let told = slow.due(now + SLOW);
        assert!(
            told.len() == 1 && told[0].starts_with("still loading hang, heavy: "),
            "{told:?}"
        );
        assert!(slow.due(now + SLOW * 9).is_empty() && slow.next_deadline().is_none());
    }
}
