//! `/_emu/events`: every event as it happens. A reader that falls behind is told how many it missed.
//!
//! With `?sample` it is what a page can show: some of a flood singly, sums of all of it, and the state of things.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream::{self, Stream};
use serde_json::{Value, json};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use warp::Reply as _;
use warp::sse::Event;

use crate::live::Server;
use crate::live::clock::rfc3339;
use crate::live::driver::Driver;
use crate::report::event::Stamped;

use super::{Reply, views};

/// The state is looked at this often.
const LOOK: Duration = Duration::from_millis(250);
/// And told this often even when it is what it was, so that clocks stay together.
const BEAT: Duration = Duration::from_secs(2);

type Sent = Result<Event, std::convert::Infallible>;

pub fn reply(server: &Server, sample: bool) -> Reply {
    let driver = &server.driver;
    let stopping = driver.0.stopping.clone();
    match sample {
        true => warp::sse::reply(warp::sse::keep_alive().stream(samples(driver.clone(), stopping))).into_response(),
        false => {
            let events = events(driver.0.hub.subscribe(), stopping);
            warp::sse::reply(warp::sse::keep_alive().stream(events)).into_response()
        }
    }
}

fn events(
    receiver: Receiver<Arc<Stamped>>,
    stopping: CancellationToken,
) -> impl Stream<Item = Sent> + Send + Sync + 'static {
    stream::unfold((receiver, stopping), |(mut receiver, stopping)| async move {
        let event = tokio::select! {
            () = stopping.cancelled() => return None,
            event = receiver.recv() => event,
        };
        let event = match event {
            Ok(stamped) => Event::default().json_data(&*stamped).ok()?,
            Err(RecvError::Lagged(missed)) => missed_event(missed)?,
            Err(RecvError::Closed) => return None,
        };
        Some((Ok(event), (receiver, stopping)))
    })
}

fn missed_event(missed: u64) -> Option<Event> {
    Event::default()
        .json_data(json!({ "event": "missed", "count": missed }))
        .ok()
}

/// One page's view of things.
struct Page {
    driver: Driver,
    receiver: Receiver<Arc<str>>,
    stopping: CancellationToken,
    look: Interval,
    /// The state that it was told last, and when.
    known: Option<(Value, Instant)>,
}

fn samples(driver: Driver, stopping: CancellationToken) -> impl Stream<Item = Sent> + Send + Sync + 'static {
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let page = Page {
        receiver: driver.0.hub.subscribe_samples(),
        driver,
        stopping,
        look,
        known: None,
    };
    stream::unfold(page, |mut page| async move {
        loop {
            let event = tokio::select! {
                () = page.stopping.cancelled() => return None,
                event = page.receiver.recv() => match event {
                    Ok(json) => Some(Event::default().data(&*json)),
                    Err(RecvError::Lagged(missed)) => missed_event(missed),
                    Err(RecvError::Closed) => return None,
                },
                _ = page.look.tick() => page.state(),
            };
            if let Some(event) = event {
                return Some((Ok(event), page));
            }
        }
    })
}

impl Page {
    /// The state, when there is something to say of it.
    fn state(&mut self) -> Option<Event> {
        let mut state = views::state(&self.driver);
        let value = serde_json::to_value(&state).ok()?;
        let same = self
            .known
            .as_ref()
            .is_some_and(|(known, told)| *known == value && told.elapsed() < BEAT);
        if same {
            return None;
        }
        self.known = Some((value, Instant::now()));
        state.time = rfc3339(self.driver.now());
        Event::default().json_data(&state).ok()
    }
}
