//! How much of what happens is kept singly: so many rows a second that no flood slows the data path, the rest as sums.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Folded, Row};
use crate::live::events::{Done, Kind, Raw, What};
use crate::platform::effect::{InstanceState, Note};
use crate::platform::ids::FunctionId;
use crate::platform::time::Time;

/// Invocations that went well, and those that did not, each, that are kept singly of one second.
const INVOCATIONS_MAX: u32 = 500;
/// Lines that guests wrote.
const LOGS_MAX: u32 = 1_000;
/// Steps of messages: some four for each message.
const MESSAGES_MAX: u32 = 2_000;
/// Everything else.
const OTHERS_MAX: u32 = 200;

const MAX: [u32; 5] = [INVOCATIONS_MAX, INVOCATIONS_MAX, LOGS_MAX, MESSAGES_MAX, OTHERS_MAX];

/// What the second that runs has used.
#[derive(Default)]
pub struct Budget {
    second: u64,
    used: [u32; 5],
    folded: BTreeMap<FunctionId, Folded>,
}

impl Budget {
    /// Whether this event is kept by itself; otherwise it is in the sums that [`Budget::sums`] gives.
    pub fn take(&mut self, raw: &Raw, name: impl FnOnce(FunctionId) -> Arc<str>) -> bool {
        if is_of_each_invocation(&raw.what) {
            return false;
        }
        let kind = Kind::of(&raw.what);
        let used = &mut self.used[kind as usize];
        *used = used.saturating_add(1);
        if *used <= MAX[kind as usize] {
            return true;
        }
        if let What::Invocation(done) = &raw.what {
            let function = done.record.function;
            let sums = self.folded.entry(function).or_insert_with(|| Folded {
                at: Time::from_secs(raw.at.as_secs()),
                function: name(function),
                ..Folded::default()
            });
            add(sums, done);
        }
        false
    }

    /// The sums of seconds before this one; call it before what happened at `now` is taken.
    pub fn sums(&mut self, now: Time) -> Vec<Row> {
        let second = now.as_secs();
        if second == self.second {
            return Vec::new();
        }
        let at = Time::from_secs(self.second);
        self.second = second;
        let used = std::mem::take(&mut self.used);
        let skipped = |kind: Kind, what| {
            let count = used[kind as usize].saturating_sub(MAX[kind as usize]);
            (count > 0).then_some(Row::Skipped {
                at,
                what,
                count: count.into(),
            })
        };
        let others = [
            skipped(Kind::Log, "log"),
            skipped(Kind::Message, "message"),
            skipped(Kind::Other, "other"),
        ];
        let folded = std::mem::take(&mut self.folded).into_values().map(Row::Folded);
        folded.chain(others.into_iter().flatten()).collect()
    }
}

fn add(sums: &mut Folded, done: &Done) {
    let metered = done.record.metered.unwrap_or_default();
    sums.count += 1;
    sums.failed += u64::from(!done.went_well());
    sums.duration_ms += done.record.duration.as_millis_f64();
    sums.billed_ms += metered.billed_ms;
    sums.cost_picodollars += metered.cost_picodollars;
}

/// An instance is idle and busy with each of its invocations, which say which instance they ran on.
fn is_of_each_invocation(what: &What) -> bool {
    matches!(
        what,
        What::Note(Note::Instance {
            state: InstanceState::Idle | InstanceState::Busy,
            ..
        })
    )
}
