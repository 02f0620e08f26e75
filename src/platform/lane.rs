//! One fleet that serves requests and nothing else, for simulations of a billion of them: the rules of
//! [`super::Platform`] for placement, limits, keep-alive, age and metering, by the same lists, rates and tariffs, but without
//! waiting lines, events, queues, versions, views and notes. Nothing is looked up by an id: a request is known by the slot of
//! its instance.
//!
//! [`Lane::fits`] says which functions it serves. A property test (`sim/tests`) holds it against the platform, request by
//! request.

use std::collections::VecDeque;

use super::billing::{MeteredFunction, Tariff, Usage, Used};
use super::config::FunctionSpec;
use super::lists::{IdleList, Newest, Place, Places, Slot};
use super::rules::Rules;
use super::scaling::StartRate;
use super::scaling::keep_alive::Policy;
use super::time::{Span, Time};
use crate::provider::Profile;

/// See the module's description. The shell calls [`Lane::serve`] at each [`Lane::next_deadline`], before anything else of
/// that instant.
#[derive(Debug)]
pub struct Lane {
    /// After the end of a request.
    keep_alive: Span,
    age_max: Option<Span>,
    /// Instances that may start or work at once.
    limit: u32,
    rate: StartRate,
    seats: Seats,
    free: Vec<Slot>,
    newest: Newest,
    idle: IdleList,
    /// Instances that start, or on which a request runs.
    running: u32,
    /// The earliest deadline that is set for the longest idle instance.
    expiry_armed: Time,
    /// Instances in the order in which they reach their maximum age, with the number of their start.
    ageing: VecDeque<(Time, Slot, u64)>,
    started: u64,
    tariff: Tariff,
    usage: Usage,
}

#[derive(Debug, Default)]
struct Seats(Vec<Seat>);

#[derive(Debug)]
struct Seat {
    place: Place,
    state: State,
    /// It has reached its maximum age and goes when its request has ended.
    leaves: bool,
    idle_since: Time,
    created_at: Time,
    /// Which start this is the instance of: slots are used again.
    number: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Free,
    Starting,
    Idle,
    Busy,
}

impl Places for Seats {
    #[inline]
    fn place(&mut self, slot: Slot) -> &mut Place {
        &mut self.0[slot as usize].place
    }
}

/// Where a request went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placed {
    /// It runs: answer with [`Lane::finished`].
    Warm(Slot),
    /// It waits for a new instance: answer with [`Lane::ready`], from when on it runs.
    Cold(Slot),
    /// 429.
    Refused,
}

impl Lane {
    /// Whether this function under these rules needs no more than a lane has: one request an instance, none provisioned,
    /// a fixed keep-alive, and no waiting where there is no capacity.
    pub fn fits(spec: &FunctionSpec, rules: &Rules) -> bool {
        let unlimited =
            rules.account_concurrency.is_none() && spec.max_concurrency.is_none() && rules.scale_up.is_none();
        let fixed = matches!(spec.keep_alive, None | Some(Policy::Fixed(_)));
        fixed
            && spec.instance_concurrency <= 1
            && spec.min_instances == 0
            && (rules.request_wait.is_none() || unlimited)
    }

    /// For a function that [fits](Lane::fits) and has the account for itself.
    pub fn new(spec: &FunctionSpec, profile: &Profile, package_bytes: u64) -> Lane {
        let rules = &profile.rules;
        let metered = MeteredFunction {
            memory_mb: spec.memory_mb,
            runtime: spec.cold_start.runtime.clone(),
            package_bytes,
        };
        let account = rules.account_concurrency.unwrap_or(u32::MAX);
        Lane {
            keep_alive: match spec.keep_alive {
                Some(Policy::Fixed(idle)) => idle,
                _ => rules.keep_alive,
            },
            age_max: rules.instance_age_max,
            limit: spec.max_concurrency.unwrap_or(u32::MAX).min(account),
            rate: StartRate::new(rules.scale_up),
            seats: Seats::default(),
            free: Vec::new(),
            newest: Newest::default(),
            idle: IdleList::default(),
            running: 0,
            expiry_armed: Time::NEVER,
            ageing: VecDeque::new(),
            started: 0,
            tariff: Tariff::new(profile, &metered),
            usage: Usage::default(),
        }
    }

    /// Instances that are not gone.
    #[inline]
    pub fn instances(&self) -> u32 {
        self.running + self.idle.len()
    }

    /// Instances that start, or on which a request runs.
    #[inline]
    pub fn running(&self) -> u32 {
        self.running
    }

    pub fn usage(&self) -> &Usage {
        &self.usage
    }

    /// When to call [`Lane::serve`]; for nothing, at times.
    #[inline]
    pub fn next_deadline(&self) -> Time {
        let age = self.ageing.front().map_or(Time::NEVER, |(at, ..)| *at);
        self.expiry_armed.min(age)
    }

    #[inline]
    pub fn arrive(&mut self, now: Time) -> Placed {
        if let Some(slot) = self.newest.newest() {
            if self.running >= self.limit {
                return Placed::Refused;
            }
            self.idle.remove(&mut self.seats, slot);
            self.running += 1;
            let seat = &mut self.seats.0[slot as usize];
            seat.state = State::Busy;
            self.newest.clear(seat.place.rank);
            return Placed::Warm(slot);
        }
        if self.running >= self.limit || self.rate.take(now).is_err() {
            return Placed::Refused;
        }
        Placed::Cold(self.start(now))
    }

    fn start(&mut self, now: Time) -> Slot {
        self.started += 1;
        self.running += 1;
        let slot = self.free.pop().unwrap_or_else(|| {
            self.seats.0.push(Seat {
                place: Place::NOWHERE,
                state: State::Free,
                leaves: false,
                idle_since: now,
                created_at: now,
                number: 0,
            });
            Slot::try_from(self.seats.0.len() - 1).expect("fewer than 2^32 instances")
        });
        let rank = self.newest.push(slot);
        let seat = &mut self.seats.0[slot as usize];
        *seat = Seat {
            place: Place { rank, ..Place::NOWHERE },
            state: State::Starting,
            leaves: false,
            idle_since: now,
            created_at: now,
            number: self.started,
        };
        if let Some(age) = self.age_max {
            self.ageing.push_back((now + age, slot, self.started));
        }
        slot
    }

    /// The new instance is there, and its request runs.
    pub fn ready(&mut self, slot: Slot) {
        let seat = &mut self.seats.0[slot as usize];
        debug_assert_eq!(seat.state, State::Starting, "an instance starts once");
        seat.state = State::Busy;
    }

    /// The request on this instance has ended. `gone` hears when the instance was created, if it goes.
    #[inline]
    pub fn finished(&mut self, now: Time, slot: Slot, used: &Used, gone: impl FnMut(Time)) {
        let quantities = self.tariff.quantities(used, used.init);
        self.tariff.count(&mut self.usage, quantities);
        self.running -= 1;
        let seat = &mut self.seats.0[slot as usize];
        debug_assert_eq!(seat.state, State::Busy, "what ends has run");
        if seat.leaves {
            return self.gone(slot, gone);
        }
        seat.state = State::Idle;
        seat.idle_since = now;
        self.newest.set(seat.place.rank);
        self.idle.push(&mut self.seats, slot);
        if self.expiry_armed == Time::NEVER {
            self.arm();
        }
    }

    fn arm(&mut self) {
        let longest = self.idle.longest();
        self.expiry_armed = longest.map_or(Time::NEVER, |slot| {
            self.seats.0[slot as usize].idle_since + self.keep_alive
        });
    }

    /// Lets instances go that have been idle for their keep-alive, or have reached their age. `gone` hears of each when it
    /// was created.
    pub fn serve(&mut self, now: Time, mut gone: impl FnMut(Time)) {
        if self.expiry_armed <= now {
            while let Some(slot) = self.idle.longest() {
                if self.seats.0[slot as usize].idle_since + self.keep_alive > now {
                    break;
                }
                self.stop_idle(slot, &mut gone);
            }
            self.arm();
        }
        while let Some(&(at, slot, number)) = self.ageing.front()
            && at <= now
        {
            self.ageing.pop_front();
            let seat = &mut self.seats.0[slot as usize];
            match seat.state {
                _ if seat.number != number => {}
                State::Free => {}
                State::Idle => self.stop_idle(slot, &mut gone),
                State::Starting | State::Busy => seat.leaves = true,
            }
        }
    }

    fn stop_idle(&mut self, slot: Slot, gone: impl FnMut(Time)) {
        self.idle.remove(&mut self.seats, slot);
        self.gone(slot, gone);
    }

    fn gone(&mut self, slot: Slot, mut gone: impl FnMut(Time)) {
        let seat = &mut self.seats.0[slot as usize];
        seat.state = State::Free;
        let (rank, created_at) = (seat.place.rank, seat.created_at);
        self.newest.remove(&mut self.seats, rank);
        self.free.push(slot);
        gone(created_at);
    }
}
