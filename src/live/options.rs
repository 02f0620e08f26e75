//! How an emulator is started.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use crate::platform::config::ColdStarts;
use crate::platform::time::Time;
use crate::project::ClockSetting;
use crate::project::faults::Faults;

use super::Durability;
use super::observed::Observer;
use super::outbound::Outside;
use super::serve::Serving;
use super::telemetry;

/// How to run a project; flag > environment > file > default has been settled.
#[derive(Debug)]
pub struct Options {
    pub host: IpAddr,
    /// 0 takes any free port.
    pub port: u16,
    pub control_host: IpAddr,
    pub control_port: u16,
    /// Required of every control request when set.
    pub control_token: Option<String>,
    pub clock: ClockSetting,
    /// Where a manual clock begins; `None`: [`super::manual::START`].
    pub start_time: Option<Time>,
    pub cold_starts: ColdStarts,
    pub seed: u64,
    pub watch: bool,
    /// Write `.emu/run.json` for other commands to find this emulator (`emu dev`).
    pub run_file: bool,
    /// Keep all state in memory, whatever the folder holds.
    pub ephemeral: bool,
    /// The broker that keeps it instead, and that several emulators share.
    pub bus: Option<String>,
    pub durability: Durability,
    /// How long a shutdown waits for what runs.
    pub drain: Duration,
    /// What fails on purpose.
    pub faults: Faults,
    /// Who answers functions' requests to the outside.
    pub outside: Outside,
    /// `emu serve`: the functions' port is exact, there is no page.
    pub serving: Option<Serving>,
    /// Traces and metrics for others' tools.
    pub telemetry: telemetry::Asked,
    /// Who hears of every call of the core, and of every effect.
    pub observer: Option<Box<dyn Observer>>,
}

impl Default for Options {
    /// For itself: any free ports of this machine, all state in memory.
    fn default() -> Options {
        Options {
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 0,
            control_host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            control_port: 0,
            control_token: None,
            clock: ClockSetting::default(),
            start_time: None,
            cold_starts: ColdStarts::default(),
            seed: 0,
            watch: false,
            run_file: false,
            ephemeral: true,
            bus: None,
            durability: Durability::Normal,
            drain: DRAIN,
            faults: Faults::default(),
            outside: Outside::default(),
            serving: None,
            telemetry: telemetry::Asked::default(),
            observer: None,
        }
    }
}

/// How long a shutdown waits for what runs.
pub const DRAIN: Duration = Duration::from_secs(5);
