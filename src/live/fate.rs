//! How a run may end from outside while there are faults: its instance is lost, or the host that it is on, at an instant that is drawn when
//! the run begins. A run that has ended by then is lost with its answer: nobody hears that it was done.

use futures::FutureExt as _;
use futures::future::BoxFuture;

use crate::engine::pace::Pace;
use crate::engine::{Cut, Failure};
use crate::platform::effect::Run;
use crate::platform::ids::InvocationId;

use super::driver::Driver;
use super::faults::{self, Doom};
use super::table::Entry;

/// What may happen to one run.
pub struct Fate {
    driver: Driver,
    run: Run,
    doom: Option<Doom>,
    cut: Cut,
    /// While it lives, others can take this run with them.
    _listed: Listed,
}

/// Takes the run off the list of those that a lost instance ends.
struct Listed(Driver, InvocationId);

impl Drop for Listed {
    fn drop(&mut self) {
        self.0.0.chaos.ends(self.1);
    }
}

impl Fate {
    /// Of a run that begins now. `None` where nothing is to fail.
    pub fn of(driver: &Driver, run: &Run, entry: &Entry, pace: Option<&Pace>) -> Option<Fate> {
        let chaos = &driver.0.chaos;
        let lost = chaos.begins(run)?;
        let doom = chaos.doom(entry.name(), entry.function.timeout);
        let struck: BoxFuture<'static, ()> = match doom {
            None => Box::pin(std::future::pending()),
            Some(doom) => {
                let after = doom.after.to_std();
                let timer: BoxFuture<'static, ()> = match pace {
                    Some(pace) => pace.bound(after),
                    None => Box::pin(tokio::time::sleep(after)),
                };
                let (driver, run) = (driver.clone(), run.clone());
                Box::pin(async move {
                    timer.await;
                    if !driver.strike(&doom, &run, Some(doom.after)) {
                        std::future::pending().await
                    }
                })
            }
        };
        let taken = async {
            if lost.await.is_err() {
                // Nobody will tell any more.
                std::future::pending().await
            }
        };
        let cut = async {
            tokio::select! {
                biased;
                () = taken => {}
                () = struck => {}
            }
            faults::lost()
        };
        Some(Fate {
            driver: driver.clone(),
            run: run.clone(),
            doom,
            cut: cut.boxed().shared(),
            _listed: Listed(driver.clone(), run.invocation),
        })
    }

    pub fn cut(&self) -> Cut {
        self.cut.clone()
    }

    /// Whether it has come.
    pub fn has_come(&self) -> bool {
        self.cut.peek().is_some()
    }

    /// The run comes to its end, with what is left of its time: unless its fate comes first, or at last.
    pub async fn end(&self, rest: impl Future<Output = ()>) -> Result<(), Failure> {
        tokio::select! {
            biased;
            failure = self.cut() => return Err(failure),
            () = rest => {}
        }
        match &self.doom {
            Some(doom) if self.driver.strike(doom, &self.run, None) => Err(faults::lost()),
            _ => Ok(()),
        }
    }
}
