//! A synchronous invocation from its caller's side.

use std::future::Future;

use futures::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::engine::{Failure, Reply};
use crate::platform::ids::InvocationId;

/// A synchronous invocation that was taken in.
pub struct Ticket {
    pub id: InvocationId,
    pub cold: bool,
    reply: oneshot::Receiver<Reply>,
    ended: oneshot::Receiver<Option<Failure>>,
    run: Run,
}

impl Ticket {
    pub fn new(
        id: InvocationId,
        cold: bool,
        reply: oneshot::Receiver<Reply>,
        ended: oneshot::Receiver<Option<Failure>>,
        run: Run,
    ) -> Ticket {
        Ticket {
            id,
            cold,
            reply,
            ended,
            run,
        }
    }

    /// The guest's answer; none when it failed before it gave one.
    pub async fn reply(&mut self) -> Option<Reply> {
        if let Some(run) = &mut self.run.0 {
            tokio::select! {
                biased;
                () = run.as_mut() => {}
                reply = &mut self.reply => {
                    // A stream: the guest goes on while its answer is read.
                    self.run.let_go();
                    return reply.ok();
                }
            }
            self.run.0 = None;
        }
        (&mut self.reply).await.ok()
    }

    /// Lets the run go on by itself, for a caller who is driven by a guest: wasmtime runs no guest within the poll of another.
    pub fn detach(&mut self) {
        self.run.let_go();
    }

    /// Waits for the end of the run: why it failed, if it did.
    pub async fn ended(&mut self) -> Option<Failure> {
        self.run.let_go();
        (&mut self.ended).await.ok().flatten()
    }
}

/// A run that whoever waits for its answer drives: most have ended when they answer, and a hop to another thread costs more
/// than all else that the shell does for a request. When nobody waits any more, it goes on by itself.
pub struct Run(Option<BoxFuture<'static, ()>>);

impl Run {
    /// It has been driven from elsewhere since it started.
    pub const ELSEWHERE: Run = Run(None);

    pub fn new(run: impl Future<Output = ()> + Send + 'static) -> Run {
        Run(Some(Box::pin(run)))
    }

    fn let_go(&mut self) {
        // Without a runtime everything ends.
        if let (Some(run), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(run);
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.let_go();
    }
}
