//! What a store holds for a script beside what every guest has: its modules, its bodies, and the answer that it owes.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use wasmtime::component::Accessor;

use super::bodies::Bodies;
use super::loader::Graph;
use super::zip::Zips;
use crate::engine::Reply;
use crate::engine::host::Guest;

/// The extension of a [`Guest`] that runs a script.
pub struct Script {
    pub graph: Arc<Graph>,
    pub bodies: Bodies,
    pub zips: Zips,
    /// Calls of the host that are under way, also those that earlier invocations left.
    pub calls: u32,
    reply: Option<oneshot::Sender<Reply>>,
    /// When the entry module was there and the handler began, on the run's clock.
    pub entered: Option<Duration>,
}

impl Script {
    pub fn new(graph: Arc<Graph>) -> Script {
        Script {
            graph,
            bodies: Bodies::default(),
            zips: Zips::default(),
            calls: 0,
            reply: None,
            entered: None,
        }
    }

    /// Begins an invocation. Bodies and compression streams of the one before are closed.
    pub fn arm(&mut self, reply: Option<oneshot::Sender<Reply>>) {
        self.bodies.renew();
        self.zips.renew();
        self.reply = reply;
        self.entered = None;
    }

    /// Hands the answer over; the first one counts. When the caller has gone, nobody wants it.
    pub fn answer(&mut self, reply: Reply) {
        if let Some(sender) = self.reply.take() {
            drop(sender.send(reply));
        }
    }
}

/// The script of a guest. Every store of this room has one.
pub fn script(guest: &mut Guest) -> Result<&mut Script, String> {
    let extension = guest.extension.as_mut().and_then(|extension| extension.downcast_mut());
    extension.ok_or_else(|| "the store runs no script".to_owned())
}

/// Something of the script or its guest, from an asynchronous host call.
pub fn with_guest<T>(store: &Accessor<Guest>, f: impl FnOnce(&mut Guest) -> T) -> T {
    store.with(|mut access| f(access.get()))
}

/// The same for its bodies.
pub fn with_bodies<T>(store: &Accessor<Guest>, f: impl FnOnce(&mut Bodies) -> Result<T, String>) -> Result<T, String> {
    with_guest(store, |guest| f(&mut script(guest)?.bodies))
}
