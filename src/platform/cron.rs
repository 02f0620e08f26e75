//! Cron triggers: when they fire, what overlaps, and what becomes of instants that were slept through.
//!
//! The pair (trigger, instant) is fired once however often the platform is woken for it: a trigger knows its next
//! instant, and only a wake for that very instant counts.

use super::Platform;
use super::config::{CronSpec, Overlap};
use super::deadline::Deadline;
use super::effect::{CronSkip, DropReason, Effect, End, Note, RejectReason};
use super::ids::{FunctionId, InvocationId, TriggerId};
use super::invoke::{Invocation, Job, Phase, Retry};
use super::retry::cron_retry;
use super::time::{Span, Time};

/// The latest missed instant is caught up when it is not longer ago than this.
pub const CATCH_UP_MAX: Span = Span::from_secs(3_600);

/// How long the shell's own wake may be late before the platform fires a trigger by itself.
const WAKE_PATIENCE: Span = Span::from_secs(1);

/// A clock that is set back further was wrong: crons begin anew from what it shows now. As cron daemons do it.
const SET_BACK_MAX: Span = Span::from_secs(3 * 3_600);

/// Missed instants are counted up to here, so that a long sleep costs no more than that.
const MISSED_COUNTED_MAX: u32 = 10_000;

pub(super) struct Cron {
    pub spec: CronSpec,
    /// The instant it waits for, on the wall clock; `None`: never again.
    pub next: Option<Time>,
    /// The last instant that it ran for, on the wall clock.
    pub last: Option<Time>,
    /// Runs that have not ended, throttled ones too; not retries that wait for their time.
    pub running: u32,
    /// A run that waits for the one before (`overlap = "queue"`).
    pub queued: Option<(InvocationId, Time, bool)>,
}

impl Platform {
    /// A trigger is new, or its schedule has changed; one whose schedule stays keeps its instant.
    pub(super) fn set_cron(&mut self, trigger: TriggerId, spec: &CronSpec) {
        let same = self
            .crons
            .get(&trigger)
            .filter(|cron| cron.spec.schedule == spec.schedule);
        let schedule = match same {
            Some(cron) => cron.spec.schedule.clone(),
            None => spec.schedule.clone().counted_from(self.wall(self.now)),
        };
        let next = same.map_or_else(|| schedule.next_after(self.wall(self.now)), |cron| cron.next);
        let spec = CronSpec {
            schedule,
            ..spec.clone()
        };
        match self.crons.get_mut(&trigger) {
            Some(cron) => {
                cron.next = next;
                cron.spec = spec;
            }
            None => {
                // One that left and came back may still run.
                let running = self.cron_runs(trigger);
                self.crons.insert(
                    trigger,
                    Cron {
                        spec,
                        next,
                        last: None,
                        running,
                        queued: None,
                    },
                );
            }
        }
        self.arm_cron(trigger);
    }

    /// Counted anew: [`Cron::running`].
    pub(super) fn cron_runs(&self, trigger: TriggerId) -> u32 {
        self.count_invocations(|invocation| {
            let waits = invocation.phase == Phase::Parked && cron_retry(invocation).is_some();
            matches!(invocation.job, Job::Cron { trigger: of, .. } if of == trigger) && !waits
        })
    }

    fn arm_cron(&mut self, trigger: TriggerId) {
        let Some(at) = self.crons.get(&trigger).and_then(|cron| cron.next) else {
            return;
        };
        let wake_at = self.of_wall(at);
        self.effects.push_back(Effect::ArmCron { trigger, at, wake_at });
        self.deadlines
            .set(wake_at + self.cron_patience(), Deadline::Cron(trigger));
    }

    /// What the wall clock shows at an instant of the platform's time.
    fn wall(&self, at: Time) -> Time {
        Time(at.0.saturating_add_signed(self.wall_ahead_ns))
    }

    /// When the wall clock shows this.
    pub(super) fn of_wall(&self, wall: Time) -> Time {
        if wall == Time::NEVER {
            return wall;
        }
        Time(wall.0.saturating_sub_signed(self.wall_ahead_ns))
    }

    /// Somebody set the machine's clock. Only crons follow it: instants that it jumped over were missed, and those that
    /// come a second time have been served, unless it was set back so far that it must have been wrong before.
    pub(super) fn clock_set(&mut self, wall_ahead_ns: i64) {
        let before = self.wall(self.now);
        self.wall_ahead_ns = wall_ahead_ns;
        let wall = self.wall(self.now);
        let triggers: Vec<TriggerId> = self.crons.keys().copied().collect();
        for trigger in triggers {
            if before.since(wall) > SET_BACK_MAX
                && let Some(cron) = self.crons.get_mut(&trigger)
            {
                cron.next = cron.spec.schedule.next_after(wall);
            }
            self.arm_cron(trigger);
        }
    }

    pub(super) fn cron_patience(&self) -> Span {
        if self.cron_wakes { WAKE_PATIENCE } else { Span::ZERO }
    }

    /// The shell says that an instant has come.
    pub(super) fn cron_due(&mut self, trigger: TriggerId, scheduled_at: Time) {
        let Some(cron) = self.crons.get(&trigger) else { return };
        if cron.next != Some(scheduled_at) {
            return;
        }
        if scheduled_at > self.wall(self.now) {
            // Woken too early: the clock was set back, or the shell rounds down.
            return self.arm_cron(trigger);
        }
        self.serve_cron(trigger, scheduled_at);
    }

    /// The platform's own deadline.
    pub(super) fn cron_deadline(&mut self, trigger: TriggerId) {
        let next = self.crons.get(&trigger).and_then(|cron| cron.next);
        let Some(at) = next.filter(|at| self.of_wall(*at) + self.cron_patience() <= self.now) else {
            return;
        };
        if self.handled_at.since(self.of_wall(at)) > self.cron_grace && self.now < self.handled_at {
            // Slept through: everything else that fell due meanwhile comes first, then this, at the time it now is.
            self.deadlines.set(self.handled_at, Deadline::Cron(trigger));
        } else {
            self.serve_cron(trigger, at);
        }
    }

    fn serve_cron(&mut self, trigger: TriggerId, due: Time) {
        let wall = self.wall(self.handled_at);
        if wall.since(due) <= self.cron_grace {
            self.advance_cron(trigger, due);
            self.fire_cron(trigger, due);
            return self.arm_cron(trigger);
        }
        let schedule = &self.crons[&trigger].spec.schedule;
        let (latest, before) = missed(due, wall, |after| schedule.next_after(after));
        let caught_up = wall.since(latest) <= CATCH_UP_MAX;
        self.advance_cron(trigger, wall);
        let count = before + u32::from(!caught_up);
        if count > 0 {
            self.effects.push_back(Effect::Note(Note::CronSkipped {
                trigger,
                scheduled_at: due,
                reason: CronSkip::Missed { count },
            }));
        }
        if caught_up {
            self.fire_cron(trigger, latest);
        }
        self.arm_cron(trigger);
    }

    fn advance_cron(&mut self, trigger: TriggerId, after: Time) {
        let cron = self.crons.get_mut(&trigger).expect("it has just been looked up");
        cron.next = cron.spec.schedule.next_after(after);
        debug_assert!(cron.next.is_none_or(|next| next > after), "a schedule goes forward");
    }

    fn fire_cron(&mut self, trigger: TriggerId, scheduled_at: Time) {
        match self.shared {
            true => self.effects.push_back(Effect::AskCron { trigger, scheduled_at }),
            false => self.serve_instant(trigger, scheduled_at),
        }
    }

    /// Nobody else fires for this instant.
    pub(super) fn cron_won(&mut self, trigger: TriggerId, scheduled_at: Time) {
        if self.crons.contains_key(&trigger) {
            self.serve_instant(trigger, scheduled_at);
        }
    }

    fn serve_instant(&mut self, trigger: TriggerId, scheduled_at: Time) {
        let Cron {
            spec, running, queued, ..
        } = &self.crons[&trigger];
        let busy = *running > 0;
        let taken = queued.is_some();
        match spec.overlap {
            Overlap::Skip if busy => self.skip_overlap(trigger, scheduled_at),
            Overlap::Queue if busy && taken => self.skip_overlap(trigger, scheduled_at),
            Overlap::Queue if busy => {
                let id = self.new_invocation();
                self.queue_cron(trigger, id, scheduled_at, false);
            }
            Overlap::Skip | Overlap::Queue | Overlap::Allow => {
                let id = self.new_invocation();
                self.run_cron(trigger, id, scheduled_at, false);
            }
        }
    }

    fn skip_overlap(&mut self, trigger: TriggerId, scheduled_at: Time) {
        let reason = CronSkip::Overlap;
        self.effects.push_back(Effect::Note(Note::CronSkipped {
            trigger,
            scheduled_at,
            reason,
        }));
    }

    /// Somebody asked for a run now.
    pub(super) fn fire_by_hand(&mut self, trigger: TriggerId, id: InvocationId) {
        let Some(Cron {
            spec, running, queued, ..
        }) = self.crons.get(&trigger)
        else {
            debug_assert!(false, "the shell fires triggers that exist");
            return;
        };
        let (function, busy, taken) = (spec.function, *running > 0, queued.is_some());
        let (overlap, at) = (spec.overlap, self.wall(self.now));
        match overlap {
            Overlap::Skip if busy => self.drop_cron(id, trigger, function, at, true, DropReason::CronOverlap),
            Overlap::Queue if busy && taken => {
                self.drop_cron(id, trigger, function, at, true, DropReason::CronOverlap);
            }
            Overlap::Queue if busy => self.queue_cron(trigger, id, at, true),
            Overlap::Skip | Overlap::Queue | Overlap::Allow => self.run_cron(trigger, id, at, true),
        }
    }

    fn queue_cron(&mut self, trigger: TriggerId, id: InvocationId, scheduled_at: Time, manual: bool) {
        let cron = self.crons.get_mut(&trigger).expect("looked up by the caller");
        cron.queued = Some((id, scheduled_at, manual));
    }

    fn run_cron(&mut self, trigger: TriggerId, id: InvocationId, scheduled_at: Time, manual: bool) {
        let cron = self.crons.get_mut(&trigger).expect("looked up by the caller");
        cron.running += 1;
        cron.last = Some(scheduled_at);
        let function = cron.spec.function;
        let job = Job::Cron {
            trigger,
            scheduled_at,
            manual,
            retry: Retry::new(self.now),
        };
        if self.fleets.get(function).is_none_or(|fleet| fleet.version.is_none()) {
            let invocation = cron_invocation(function, job, self.now);
            self.record(id, &invocation, End::Rejected(RejectReason::NoVersion));
            return self.cron_over(trigger);
        }
        self.start_event(id, function, job, None);
    }

    fn drop_cron(
        &mut self,
        id: InvocationId,
        trigger: TriggerId,
        function: FunctionId,
        scheduled_at: Time,
        manual: bool,
        reason: DropReason,
    ) {
        let job = Job::Cron {
            trigger,
            scheduled_at,
            manual,
            retry: Retry::new(self.now),
        };
        self.record(id, &cron_invocation(function, job, self.now), End::Dropped(reason));
    }

    /// Whether a retry may run now; one that may counts as a run. A newer run takes its place.
    pub(super) fn cron_may_retry(&mut self, trigger: TriggerId) -> bool {
        let Some(cron) = self.crons.get_mut(&trigger) else {
            return true;
        };
        let may = cron.running == 0 || cron.spec.overlap == Overlap::Allow;
        cron.running += u32::from(may);
        may
    }

    /// A run has ended, or waits to be tried again; the one that waits for it follows.
    pub(super) fn cron_over(&mut self, trigger: TriggerId) {
        let Some(cron) = self.crons.get_mut(&trigger) else {
            return;
        };
        cron.running = cron.running.saturating_sub(1);
        if cron.running == 0
            && let Some((id, scheduled_at, manual)) = cron.queued.take()
        {
            self.run_cron(trigger, id, scheduled_at, manual);
        }
    }

    /// The trigger left the manifest: what runs is left to finish, what waits for its time or for capacity is dropped.
    pub(super) fn remove_cron(&mut self, trigger: TriggerId) {
        let Some(cron) = self.crons.remove(&trigger) else {
            return;
        };
        if let Some((id, scheduled_at, manual)) = cron.queued {
            let reason = DropReason::FunctionRemoved;
            self.drop_cron(id, trigger, cron.spec.function, scheduled_at, manual, reason);
        }
        for id in self.invocations.ids() {
            let parked = self.invocations.get(id).is_some_and(|of| {
                of.phase == Phase::Parked && matches!(of.job, Job::Cron { trigger: of, .. } if of == trigger)
            });
            if parked && let Some(invocation) = self.invocations.remove(id) {
                self.fleets[invocation.function].parked -= 1;
                self.record(InvocationId(id), &invocation, End::Dropped(DropReason::FunctionRemoved));
            }
        }
    }
}

fn cron_invocation(function: FunctionId, job: Job, now: Time) -> Invocation {
    Invocation {
        function,
        job,
        phase: Phase::Parked,
        cold: false,
        arrived_at: now,
        started_at: now,
        attempt: 1,
        cause: None,
    }
}

/// The latest instant up to `wall`, starting from `due`, and how many there are before it.
fn missed(due: Time, wall: Time, next_after: impl Fn(Time) -> Option<Time>) -> (Time, u32) {
    let mut latest = due;
    let mut before = 0;
    while let Some(next) = next_after(latest).filter(|next| *next <= wall) {
        latest = next;
        before += 1;
        if before == MISSED_COUNTED_MAX {
            // Too many to count: go on near the end.
            if let Some(near) = next_after(wall - CATCH_UP_MAX).filter(|near| *near > latest && *near <= wall) {
                latest = near;
            }
        } else if before > 2 * MISSED_COUNTED_MAX {
            break;
        }
    }
    (latest, before)
}
