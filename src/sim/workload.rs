//! When requests come. An [`Arrivals`] is a stream in time order that is asked for one request at a time, so that a
//! workload of a billion requests takes no memory.

mod pattern;

pub use pattern::{Pattern, State};

use std::collections::BTreeMap;

use super::distribution::Distribution;
use super::random::Stream;
use crate::platform::time::{Span, Time};

/// One request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Place of its function in [`super::Scene::functions`].
    pub function: u32,
    /// How long it runs, where the source knows; `None`: drawn from the function's service time.
    pub service: Option<Span>,
}

/// A source of requests, in the order of their times. See the header of [`super`] for how to add one.
pub trait Arrivals {
    /// When the next one comes; [`Time::NEVER`]: none does, at least until another has ended.
    fn next_at(&self) -> Time;

    /// Takes the one that `next_at` told of.
    fn take(&mut self) -> Arrival;

    /// A request of this function has been answered or refused; clients of a closed loop think from here on.
    fn ended(&mut self, now: Time, function: u32) {
        let _ = (now, function);
    }
}

/// A pattern's requests for one function.
#[derive(Clone, Debug)]
pub struct Patterned {
    function: u32,
    pattern: pattern::Running,
    stream: Stream,
    next: Time,
}

impl Patterned {
    pub fn new(pattern: &Pattern, function: u32, mut stream: Stream) -> Patterned {
        let mut pattern = pattern::Running::new(pattern, &mut stream);
        let next = pattern.next(&mut stream);
        Patterned {
            function,
            pattern,
            stream,
            next,
        }
    }
}

impl Arrivals for Patterned {
    #[inline]
    fn next_at(&self) -> Time {
        self.next
    }

    #[inline]
    fn take(&mut self) -> Arrival {
        self.next = self.pattern.next(&mut self.stream);
        Arrival {
            function: self.function,
            service: None,
        }
    }
}

/// Clients that each send a request, wait for its end, think, and send the next.
#[derive(Clone, Debug)]
pub struct ClosedLoop {
    function: u32,
    think: Distribution,
    stream: Stream,
    /// When clients send, with how many at that instant.
    due: BTreeMap<Time, u32>,
}

impl ClosedLoop {
    /// All clients begin with a thought.
    pub fn new(clients: u32, think: Distribution, function: u32, stream: Stream) -> ClosedLoop {
        let mut closed = ClosedLoop {
            function,
            think,
            stream,
            due: BTreeMap::new(),
        };
        for _ in 0..clients {
            closed.ended(Time::ZERO, function);
        }
        closed
    }
}

impl Arrivals for ClosedLoop {
    fn next_at(&self) -> Time {
        self.due.first_key_value().map_or(Time::NEVER, |(at, _)| *at)
    }

    fn take(&mut self) -> Arrival {
        if let Some(mut first) = self.due.first_entry() {
            *first.get_mut() -= 1;
            if *first.get() == 0 {
                first.remove();
            }
        }
        Arrival {
            function: self.function,
            service: None,
        }
    }

    fn ended(&mut self, now: Time, function: u32) {
        if function == self.function {
            // A client that does not think at all would send for ever at one instant when it is refused.
            let thought = Span(self.think.draw(&mut self.stream).0.max(1_000));
            *self.due.entry(now + thought).or_default() += 1;
        }
    }
}

impl Arrivals for Box<dyn Arrivals + Send> {
    fn next_at(&self) -> Time {
        self.as_ref().next_at()
    }

    fn take(&mut self) -> Arrival {
        self.as_mut().take()
    }

    fn ended(&mut self, now: Time, function: u32) {
        self.as_mut().ended(now, function);
    }
}

/// No requests.
pub struct Nothing;

impl Arrivals for Nothing {
    fn next_at(&self) -> Time {
        Time::NEVER
    }

    fn take(&mut self) -> Arrival {
        Arrival {
            function: 0,
            service: None,
        }
    }
}

/// Several sources as one, earliest first; ties go to the one named first. For a handful of sources.
pub struct Merged(pub Vec<Box<dyn Arrivals + Send>>);

impl Arrivals for Merged {
    fn next_at(&self) -> Time {
        self.0
            .iter()
            .map(|source| source.next_at())
            .min()
            .unwrap_or(Time::NEVER)
    }

    fn take(&mut self) -> Arrival {
        let earliest = self.0.iter_mut().min_by_key(|source| source.next_at());
        earliest.map_or(
            Arrival {
                function: 0,
                service: None,
            },
            |source| source.take(),
        )
    }

    fn ended(&mut self, now: Time, function: u32) {
        for source in &mut self.0 {
            source.ended(now, function);
        }
    }
}
