//! `/_emu/events`: every event as it happens. A reader that falls behind is told how many it missed.

use std::sync::Arc;

use futures::stream::{self, Stream};
use serde_json::json;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use warp::Reply as _;
use warp::sse::Event;

use crate::live::driver::Driver;
use crate::report::event::Stamped;

use super::Reply;

pub fn reply(driver: &Driver) -> Reply {
    let events = events(driver.0.hub.subscribe(), driver.0.stopping.clone());
    warp::sse::reply(warp::sse::keep_alive().stream(events)).into_response()
}

fn events(
    receiver: Receiver<Arc<Stamped>>,
    stopping: tokio_util::sync::CancellationToken,
) -> impl Stream<Item = Result<Event, std::convert::Infallible>> + Send + Sync + 'static {
    stream::unfold((receiver, stopping), |(mut receiver, stopping)| async move {
        let event = tokio::select! {
            () = stopping.cancelled() => return None,
            event = receiver.recv() => event,
        };
        let event = match event {
            Ok(stamped) => Event::default().json_data(&*stamped).ok()?,
            Err(RecvError::Lagged(missed)) => Event::default()
                .json_data(json!({ "event": "missed", "count": missed }))
                .ok()?,
            Err(RecvError::Closed) => return None,
        };
        Some((Ok(event), (receiver, stopping)))
    })
}
