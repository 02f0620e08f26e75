//! The loop of the reloader.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Built, Cause, Change, Failed, Loader, Phases, Reason, Reloader};
use crate::engine::Source;

impl<L: Loader> Reloader<L> {
    /// Loads all functions, several at once, reporting each as it finishes, then [`Change::Settled`]; then follows
    /// the folder until `stop`. Builds that run then are ended.
    pub async fn run(mut self, out: mpsc::Sender<Change<L::Loaded>>, stop: CancellationToken) {
        let since = Instant::now();
        let mut loads = JoinSet::new();
        let turns = Arc::new(Semaphore::new(
            std::thread::available_parallelism().map_or(2, usize::from),
        ));
        for function in self.project.functions.values() {
            let source = Source {
                function: function.name.clone(),
                project_root: self.project.root.clone(),
                entry: self.project.root.join(&function.source),
                env: function.env.clone(),
            };
            let (loader, name, turns) = (self.loader.clone(), function.name.clone(), turns.clone());
            loads.spawn(async move {
                let _turn = turns.acquire_owned().await;
                (name, loader.load(source).await)
            });
        }
        loop {
            tokio::select! {
                done = loads.join_next() => match done {
                    Some(Ok((function, loaded))) => {
                        let cause = Cause { reason: Reason::Start, files: Vec::new(), since };
                        let change = match loaded {
                            Ok(loaded) => {
                                let phases = Phases::default().with_load(L::phases(&loaded));
                                Change::Built(Built { function, loaded, cause, phases })
                            }
                            Err(error) => Change::Failed(Failed { function, error, cause, phases: Phases::default() }),
                        };
                        if out.send(change).await.is_err() { return }
                    }
                    Some(Err(_)) => {}
                    None => break,
                },
                () = stop.cancelled() => return,
            }
        }
        if out.send(Change::Settled).await.is_err() {
            return;
        }
        let _ = (&self.read, &self.options, &mut self.asks);
        stop.cancelled().await;
    }
}
