//! Requests as they were recorded: at their times, for their functions, as long as they took.

use std::sync::Arc;

use super::Source;
use super::random::Seeds;
use super::workload::{Arrival, Arrivals};
use crate::platform::time::{Span, Time};

/// One request that was served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// From the beginning of the record.
    pub at: Time,
    /// Place of its function.
    pub function: u32,
    pub took: Span,
}

/// In the order of time.
#[derive(Clone)]
pub struct Recorded(Arc<[Request]>);

impl Recorded {
    pub fn new(mut requests: Vec<Request>) -> Recorded {
        requests.sort_by_key(|request| request.at);
        Recorded(requests.into())
    }

    /// When the last one came.
    pub fn last(&self) -> Time {
        self.0.last().map_or(Time::ZERO, |request| request.at)
    }
}

struct Replay {
    requests: Arc<[Request]>,
    next: usize,
}

impl Source for Recorded {
    fn open(&self, _function: u32, _seeds: Seeds) -> Box<dyn Arrivals + Send> {
        Box::new(Replay {
            requests: Arc::clone(&self.0),
            next: 0,
        })
    }
}

impl Arrivals for Replay {
    fn next_at(&self) -> Time {
        self.requests.get(self.next).map_or(Time::NEVER, |request| request.at)
    }

    fn take(&mut self) -> Arrival {
        let request = self.requests.get(self.next);
        self.next += 1;
        Arrival {
            function: request.map_or(0, |request| request.function),
            service: request.map(|request| request.took),
        }
    }
}
