//! The imperative shell of `emu dev`: real time, real sockets, real files, real guests.

pub mod api;
pub mod reload;

use std::net::IpAddr;

use crate::platform::config::ColdStarts;
use crate::project::{ClockSetting, Project};

/// How to run a project; flag > environment > file > default has been settled.
#[derive(Clone, Debug)]
pub struct Options {
    pub host: IpAddr,
    /// 0 takes any free port.
    pub port: u16,
    pub control_host: IpAddr,
    pub control_port: u16,
    /// Required of every control request when set.
    pub control_token: Option<String>,
    pub clock: ClockSetting,
    pub cold_starts: ColdStarts,
    pub seed: u64,
    pub watch: bool,
    /// Write `.emu/run.json` for other commands to find this emulator (`emu dev`).
    pub run_file: bool,
    /// How long a shutdown waits for what runs.
    pub drain: std::time::Duration,
}

/// A running emulator.
pub struct Live {
    pub functions_url: String,
    pub control_url: String,
}

impl Live {
    /// As GET `/_emu/functions`, in the order of names.
    pub fn functions(&self) -> Vec<api::Function> {
        Vec::new()
    }

    /// As GET `/_emu/queues`.
    pub fn queues(&self) -> Vec<api::Queue> {
        Vec::new()
    }

    /// As GET `/_emu/topics`.
    pub fn topics(&self) -> Vec<api::Topic> {
        Vec::new()
    }

    /// Reads the project again and rebuilds every function, as if all files had changed. Returns at once; the outcome
    /// comes as events.
    pub fn reload(&self) {}

    /// Takes no more work, waits up to [`Options::drain`] for what runs, removes the run file, lets the sink see the
    /// last events. How many invocations were cut off.
    pub async fn shutdown(self) -> u64 {
        0
    }
}

/// Receives every event, in order, on a thread of its own: it may take its time, the data path does not wait.
pub trait Sink: Send {
    fn event(&mut self, event: &crate::report::event::Stamped);
    /// This many events were left out since the last call, because they came faster than they could be shown.
    fn folded(&mut self, invocations: u64, others: u64);
}

/// Loads everything, opens the ports, serves until [`Live::shutdown`].
///
/// # Errors
/// When no port can be had or the engine cannot start. Functions that fail to build are events, not errors.
pub async fn start(_project: Project, _options: Options, _sink: Box<dyn Sink>) -> anyhow::Result<Live> {
    anyhow::bail!("not written yet")
}
