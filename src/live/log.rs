//! What guests write, on its way to the events.

use std::sync::Arc;

use crate::engine::pace::Pace;
use crate::engine::{LogSink, Stream};
use crate::platform::ids::{FunctionId, InvocationId};

use super::driver::Driver;
use super::events::{Hub, What};

/// A guest's output on its way to history, sink and watchers.
pub(super) struct Log {
    pub hub: Hub,
    pub driver: Driver,
    pub id: InvocationId,
    pub function: FunctionId,
    pub pace: Option<Arc<Pace>>,
}

impl LogSink for Log {
    fn line(&self, stream: Stream, text: &str) {
        let what = What::Log {
            invocation: self.id,
            function: self.function,
            stream,
            text: text.to_owned(),
        };
        let Some(pace) = &self.pace else {
            return self.hub.push(self.driver.now(), what);
        };
        let hub = self.hub.clone();
        pace.act(Box::new(move |at| hub.push(at, what)));
    }
}
