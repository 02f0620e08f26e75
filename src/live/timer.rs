//! Serves the core's deadlines, and follows the machine's wall clock when somebody sets it.

use std::time::Duration;

use crate::platform::input::Input;
use crate::platform::time::{Span, Time};

use super::driver::{Driver, Own, lock};

/// The timer looks at the clocks this often however far the next deadline is: a machine that slept wakes with timers that
/// did not count, and nobody says that the wall clock was set.
const CLOCK_CHECK: Duration = Duration::from_secs(5);

/// Less than this is an adjustment, which crons need not hear of.
const CLOCK_SET_MIN: Span = Span::from_secs(1);

impl Driver {
    /// Serves deadlines for ever; drop it to stop.
    pub async fn run_timer(self) {
        let mut ahead_ns = 0;
        loop {
            self.follow_wall(&mut ahead_ns);
            let next = {
                let mut core = lock(&self.0.core);
                core.armed = core.platform.next_deadline().unwrap_or(Time::NEVER);
                core.armed
            };
            let wait = self.0.clock.until(next);
            if wait.is_zero() {
                self.step(Input::Tick, &mut Own::default());
                continue;
            }
            tokio::select! {
                () = tokio::time::sleep(wait.min(CLOCK_CHECK)) => {}
                () = self.0.timer.notified() => {}
            }
        }
    }

    /// Crons follow the machine's wall clock; nothing else does.
    fn follow_wall(&self, known_ns: &mut i64) {
        let ahead_ns = self.0.clock.wall_ahead_ns();
        let by = ahead_ns.saturating_sub(*known_ns);
        if by.unsigned_abs() < CLOCK_SET_MIN.0 {
            return;
        }
        *known_ns = ahead_ns;
        let way = if by > 0 { "forward" } else { "back" };
        let by = Span::from_secs(Span(by.unsigned_abs()).as_secs());
        self.notice(
            "warning",
            format!("the machine's clock was set {way} by {by}: crons follow it, delays, retries and keep-alive go on as they were"),
        );
        self.0.store.follow_wall(ahead_ns);
        let input = Input::ClockSet {
            wall_ahead_ns: ahead_ns,
        };
        self.step(input, &mut Own::default());
    }
}
