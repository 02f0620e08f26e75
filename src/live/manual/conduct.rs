//! The loop that serves virtual time: everything that can go on at this instant, then the next instant.

use std::collections::HashMap;
use std::task::{Context, Poll};

use tokio_util::sync::CancellationToken;

use super::agenda::Item;
use super::moves::{Asked, Began, ClockError, Happened, Move, Moved};
use super::tasks::{Task, TaskId, waker};
use super::{Manual, Ran, State, Tally};
use crate::live::driver::{Driver, Own, lock};
use crate::platform::input::Input;
use crate::platform::time::Time;
use crate::platform::view::Unrest;

/// After so many steps other tasks of the thread get their turn, and what happened is handed to those who keep it.
const STEPS_AT_ONCE: u32 = 256;

/// What the conductor does next.
enum Next {
    /// A task may go on at this instant.
    Poll(TaskId),
    /// Something real is under way, or nobody pulls.
    Wait,
    /// The core has a deadline.
    Core(Time),
    /// Something of the agenda.
    Serve(Time),
    /// Something was decided; look again.
    Again,
}

enum Verdict {
    GoOn,
    Done(Result<Moved, ClockError>),
}

struct Conductor {
    manual: Manual,
    driver: Driver,
    tasks: HashMap<TaskId, Task>,
}

/// Serves virtual time until `stop`, and then until nobody waits for an answer any more.
pub async fn run(manual: Manual, driver: Driver, stop: CancellationToken) {
    let conductor = Conductor {
        manual,
        driver,
        tasks: HashMap::new(),
    };
    // Unconstrained: tokio's own measure of fairness would hold back what is ready, and a step would wait for nothing.
    tokio::task::unconstrained(conductor.conduct(stop)).await;
}

impl Conductor {
    async fn conduct(mut self, stop: CancellationToken) {
        let mut steps = 0;
        loop {
            if stop.is_cancelled() && !self.manual.is_pulled() {
                break;
            }
            self.reset();
            match self.next() {
                Next::Poll(task) => self.poll(task),
                Next::Wait => {
                    tokio::select! {
                        () = self.manual.0.changed.notified() => {}
                        () = stop.cancelled(), if !stop.is_cancelled() => {}
                    }
                    continue;
                }
                Next::Core(at) => {
                    self.manual.set(at.max(self.manual.now()));
                    self.driver.step(Input::Tick, &mut Own::default());
                }
                Next::Serve(at) => self.serve(at),
                Next::Again => {}
            }
            steps += 1;
            if steps % STEPS_AT_ONCE == 0 {
                self.driver.0.hub.settle();
                tokio::task::yield_now().await;
            }
        }
        self.drop_all();
    }

    /// Drops everything when that was asked for.
    fn reset(&mut self) {
        let Some(done) = self.manual.lock().reset.take() else {
            return;
        };
        self.drop_all();
        self.manual.set(self.manual.start());
        let _ = done.send(());
    }

    fn drop_all(&mut self) {
        for id in self.tasks.keys().copied().collect::<Vec<_>>() {
            self.end(id);
        }
        let mut state = self.manual.lock();
        let new = state.tasks.take_new();
        let left = (
            state.agenda.take(),
            std::mem::take(&mut state.after),
            std::mem::take(&mut state.moves),
        );
        state.runs.clear();
        state.tally = Tally::default();
        drop(state);
        for (id, _, future) in new {
            drop(future);
            self.manual.lock().tasks.gone(id);
        }
        drop(left);
    }

    fn end(&mut self, id: TaskId) {
        let Some(task) = self.tasks.remove(&id) else { return };
        let invocation = task.invocation;
        // Whatever it waited for is given up before it is forgotten.
        drop(task);
        let mut state = self.manual.lock();
        state.tasks.gone(id);
        state.runs.remove(&invocation);
    }

    fn poll(&mut self, id: TaskId) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        let mut context = Context::from_waker(&task.waker);
        if let Poll::Ready(()) = task.future.as_mut().poll(&mut context) {
            self.end(id);
        }
    }

    fn serve(&self, at: Time) {
        self.manual.set(at.max(self.manual.now()));
        let mut state = self.manual.lock();
        let Some((_, item)) = state.agenda.pop() else { return };
        if let Item::Wake(_, Some(task)) = &item {
            state.tasks.waits_no_more(*task);
        }
        drop(state);
        match item {
            // The run may have been dropped meanwhile.
            Item::Wake(go, _) => drop(go.send(())),
            Item::Act(act) => act(),
        }
    }

    fn next(&mut self) -> Next {
        let mut state = self.manual.lock();
        for (id, invocation, future) in state.tasks.take_new() {
            let waker = waker(&self.manual, id);
            let task = Task {
                future,
                waker,
                invocation,
            };
            self.tasks.insert(id, task);
        }
        if state.requests == 0 && state.moves.is_empty() && state.after.is_empty() {
            return Next::Wait;
        }
        if let Some(task) = state.tasks.next_ready() {
            return Next::Poll(task);
        }
        if state.holds > 0 || !state.tasks.rest() {
            return Next::Wait;
        }
        let after = std::mem::take(&mut state.after);
        if !after.is_empty() {
            drop(state);
            after.into_iter().for_each(|act| act());
            return Next::Again;
        }
        drop(state);
        self.next_instant()
    }

    /// Everything rests: what is next, and does anybody want the clock to go there?
    fn next_instant(&self) -> Next {
        let (core, unrest) = {
            let core = lock(&self.driver.0.core);
            (core.platform.next_deadline(), core.platform.unrest())
        };
        let mut state = self.manual.lock();
        let next = earlier(core, state.agenda.next());
        let step = match next {
            None => Next::Wait,
            Some(at) if core == Some(at) => Next::Core(at),
            Some(at) => Next::Serve(at),
        };
        let Some(mut asked) = state.moves.pop_front() else {
            // Only requests pull.
            return step;
        };
        if asked.begun.is_none() {
            asked.begun = Some(Began {
                at: self.manual.now(),
                tally: state.tally.clone(),
            });
        }
        match self.verdict(&state, &asked, unrest, next) {
            Verdict::GoOn => {
                state.moves.push_front(asked);
                step
            }
            Verdict::Done(answer) => {
                if let Ok(moved) = &answer {
                    self.manual.set(moved.to);
                }
                drop(state);
                // Whoever asked may have gone.
                let _ = asked.answer.send(answer);
                Next::Again
            }
        }
    }

    /// Whether a move goes on to the next instant, or what came of it.
    fn verdict(&self, state: &State, asked: &Asked, unrest: Unrest, next: Option<Time>) -> Verdict {
        let now = self.manual.now();
        let Some(begun) = &asked.begun else {
            return Verdict::GoOn;
        };
        let invocations = state.tally.begun - begun.tally.begun;
        if invocations >= asked.invocations_max {
            let most = self.most(&begun.tally, &state.tally);
            return Verdict::Done(Err(ClockError::TooMuch {
                at: now,
                invocations,
                most,
            }));
        }
        let idle = unrest == Unrest::default();
        let running = unrest.starting > 0 || runs_on(state, asked.to, begun.at);
        let bounded = |bound: Time| !idle && next.is_some_and(|at| at <= bound) || self.crons_until(bound, next);
        let (goes_on, target) = match asked.to {
            Move::To(target) => (running || next.is_some_and(|at| at <= target), target),
            Move::Settle => (running, now),
            Move::UntilIdle { bound: None } => (!idle, now),
            Move::UntilIdle { bound: Some(bound) } if idle && !self.has_crons() => (running || bounded(bound), now),
            Move::UntilIdle { bound: Some(bound) } => (running || bounded(bound), bound),
        };
        match (goes_on, next) {
            (true, Some(_)) => Verdict::GoOn,
            (true, None) => Verdict::Done(Err(ClockError::Stuck {
                at: now,
                what: format!("{} messages, {} invocations", unrest.messages, unrest.invocations),
            })),
            (false, _) => Verdict::Done(Ok(Moved {
                from: begun.at,
                to: target.max(now),
                happened: self.happened(&begun.tally, &state.tally),
                next,
            })),
        }
    }

    fn crons_until(&self, bound: Time, next: Option<Time>) -> bool {
        next.is_some_and(|at| at <= bound) && self.has_crons()
    }

    fn has_crons(&self) -> bool {
        let table = self.driver.table();
        table
            .project
            .functions
            .values()
            .any(|function| !function.crons.is_empty())
    }

    fn happened(&self, before: &Tally, now: &Tally) -> Happened {
        let names = self.driver.names();
        let mut invocations = std::collections::BTreeMap::new();
        for (function, ran) in &now.ran {
            let earlier = before.ran.get(function).copied().unwrap_or_default();
            let since = Ran {
                ran: ran.ran - earlier.ran,
                failed: ran.failed - earlier.failed,
            };
            if since.ran > 0 {
                invocations.insert(names.function(*function).to_string(), since);
            }
        }
        Happened {
            invocations,
            retries: now.retries - before.retries,
            dead_letters: now.dead_letters - before.dead_letters,
            gave_up: now.gave_up - before.gave_up,
        }
    }

    /// Who ran most, in words.
    fn most(&self, before: &Tally, now: &Tally) -> String {
        let happened = self.happened(before, now);
        let most = happened.invocations.into_iter().max_by_key(|(_, ran)| ran.ran);
        most.map_or_else(
            || "none has ended".to_owned(),
            |(name, ran)| format!("most of {name} ({}, {} of them failed)", ran.ran, ran.failed),
        )
    }
}

/// The earlier of two that may not be.
pub fn earlier(one: Option<Time>, other: Option<Time>) -> Option<Time> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// Whether something runs that this move, begun then, waits for. Crons that fire on the way to the end of others do not count.
fn runs_on(state: &State, to: Move, begun: Time) -> bool {
    let target = match to {
        Move::To(target) => target,
        Move::UntilIdle { bound } => bound.unwrap_or(Time::NEVER),
        Move::Settle => begun,
    };
    state.runs.values().any(|run| !run.cron || run.at <= target)
}
