//! WASI commands: the event as JSON on standard input, the answer on standard output, complaints on standard error.

use bytes::Bytes;
use tokio::sync::oneshot::Sender;
use wasmtime::component::InstancePre;
use wasmtime_wasi::{I32Exit, p2, p3};

use super::host::{Guest, Run};
use super::runtime::Engine;
use super::sandbox::{Live, Meter, not_run, within_cut};
use super::{Failure, FailureKind, Invocation, Outcome, Reply, shape};

pub(super) struct Version {
    pre: Pre,
    slots: u32,
}

enum Pre {
    P2(p2::bindings::CommandPre<Guest>),
    P3(p3::bindings::CommandPre<Guest>),
}

impl Version {
    pub fn p2(pre: InstancePre<Guest>, slots: u32) -> wasmtime::Result<Self> {
        Ok(Self {
            pre: Pre::P2(p2::bindings::CommandPre::new(pre)?),
            slots,
        })
    }

    pub fn p3(pre: InstancePre<Guest>, slots: u32) -> wasmtime::Result<Self> {
        Ok(Self {
            pre: Pre::P3(p3::bindings::CommandPre::new(pre)?),
            slots,
        })
    }
}

/// A command runs once: its process ends with it, so there is nothing to keep.
pub(super) async fn run(engine: &Engine, version: &Version, invocation: Invocation, reply: Sender<Reply>) -> Outcome {
    let run = Run::new(&invocation);
    let mut live = match Live::new(engine, version.slots, run.clone(), invocation.seed).await {
        Ok(live) => live,
        Err(failure) => return not_run(failure),
    };
    let mut meter = Meter::start(&run.clock);
    let work = async {
        let wants = shape::Wants::of(&invocation.event);
        let stdin = shape::event_json(invocation.event, &run).await?;
        live.store.data_mut().stdin(Bytes::from(stdin));
        live.store.data_mut().stdout.capture(run.settings.body_bytes_max);
        execute(&version.pre, &mut live, &mut meter).await?;
        let output = live.store.data().stdout.finish();
        if output.overflowed {
            let message = format!("the answer has more than {} bytes", run.settings.body_bytes_max);
            return Err(Failure::new(FailureKind::BadResponse, message));
        }
        let _ = reply.send(shape::reply(wants, output.bytes)?);
        Ok(())
    };
    let result = within_cut(&run.clock, run.settings.timeout, invocation.cut, work).await;
    meter.outcome(&live, result)
}

async fn execute(pre: &Pre, live: &mut Live, meter: &mut Meter) -> Result<(), Failure> {
    let store = &mut live.store;
    let ended = match pre {
        Pre::P2(pre) => match pre.instantiate_async(&mut *store).await {
            Ok(command) => {
                meter.initialised(&*store);
                command.wasi_cli_run().call_run(&mut *store).await
            }
            Err(error) => Err(error),
        },
        Pre::P3(pre) => match pre.instantiate_async(&mut *store).await {
            Ok(command) => {
                meter.initialised(&*store);
                let ran = store
                    .run_concurrent(async |accessor| command.wasi_cli_run().call_run(accessor).await)
                    .await;
                ran.and_then(|ran| ran)
            }
            Err(error) => Err(error),
        },
    };
    match ended {
        Ok(Ok(())) => Ok(()),
        Ok(Err(())) => Err(Failure::new(FailureKind::Exit, "exit status 1")),
        Err(error) if error.downcast_ref::<I32Exit>().is_some_and(|exit| exit.0 == 0) => Ok(()),
        Err(error) => Err(Failure::of(&error, live.store.data())),
    }
}
