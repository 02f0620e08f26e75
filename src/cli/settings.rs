//! Flag > environment > `[dev]` in emu.toml > default, for everything that says how a project runs.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use clap::Args;

use super::failure::Failure;
use crate::live::outbound::Outside;
use crate::live::reload::{ReadProject, Reread, Unreadable};
use crate::live::telemetry;
use crate::live::{Durability, Options};
use crate::platform::config::ColdStarts;
use crate::platform::time::Time;
use crate::project::faults::Faults;
use crate::project::{BusUrl, ClockSetting, DevSettings, Diagnostic, Diagnostics, LoadOptions, Loaded, Project};

/// E-M-U on a phone's keypad.
pub const PORT: u16 = 3680;
pub const CONTROL_PORT: u16 = 3681;

/// Flags of every command that runs a project itself.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Simulation")]
pub struct RunArgs {
    /// Time: `real`, `x60` for waiting (keep-alive, cron, delays, retries) that is sixty times faster, or `manual`, which stands
    /// still until it is moved
    #[arg(long, value_name = "real|xN|manual", env = "EMU_CLOCK", value_parser = clock)]
    pub clock: Option<ClockSetting>,

    /// Where the manual clock begins [default: 2026-01-01T00:00:00Z]
    #[arg(long, value_name = "INSTANT", env = "EMU_START_TIME", value_parser = instant)]
    pub start_time: Option<Time>,

    /// Modelled cold starts: `report` them, `sleep` through them, or `off`
    #[arg(long, value_name = "report|sleep|off", env = "EMU_COLD_STARTS", value_parser = cold_starts)]
    pub cold_starts: Option<ColdStarts>,

    /// Seed of all that is drawn at random: modelled cold starts, and the functions' own randomness
    #[arg(long, value_name = "N", env = "EMU_SEED")]
    pub seed: Option<u64>,

    /// Whose rules and prices apply: aws-lambda, gcp-functions, azure-functions, cloudflare-workers
    #[arg(long, value_name = "PROVIDER", env = "EMU_PROVIDER")]
    pub provider: Option<String>,

    /// What fails on purpose, `fail=0.1,billing.kill=0.05,delay=0.2/2s`, or a TOML file with these keys
    #[arg(long, value_name = "SPEC|FILE", value_parser = faults)]
    pub faults: Option<Faults>,

    /// Requests to a host go to this address instead, `api.example.com=http://127.0.0.1:9000`; may be given again
    #[arg(long, value_name = "HOST=URL", value_parser = crate::live::outbound::parse_host, help_heading = "Options")]
    pub outbound: Vec<(String, http::uri::Authority)>,

    /// A file of `NAME=value` lines for every function, besides .env and .env.local; may be given again, the last wins
    #[arg(long = "env-file", value_name = "FILE", help_heading = "Options")]
    pub env_files: Vec<PathBuf>,
}

/// Flags of `emu dev` about what outlives it.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "State")]
pub struct StateArgs {
    /// Keep messages and state in memory, and leave what the folder holds alone
    #[arg(long, env = "EMU_EPHEMERAL", value_parser = clap::builder::FalseyValueParser::new())]
    pub ephemeral: bool,

    /// Messages, events and key-value live in this NATS server with JetStream, and all emulators that name it share the
    /// work: `nats://HOST:4222`, several of a cluster with commas, or `none`
    #[arg(long, value_name = "URL", env = "EMU_BUS", hide_env_values = true, value_parser = bus, conflicts_with = "ephemeral")]
    pub bus: Option<Bus>,

    /// What an acknowledged message survives: `normal` the end of the process, `full` a loss of power as well
    #[arg(long, value_name = "normal|full", env = "EMU_DURABILITY", value_parser = durability)]
    pub durability: Option<Durability>,
}

/// `--bus`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bus {
    /// Whatever emu.toml says.
    None,
    At(BusUrl),
}

fn bus(text: &str) -> Result<Bus, String> {
    match text {
        "none" => Ok(Bus::None),
        url => url.parse().map(Bus::At),
    }
}

/// Flag > environment > file; time of one's own and a bus do not go together.
fn bus_of(state: &StateArgs, file: &DevSettings, clock: ClockSetting) -> Result<Option<BusUrl>, Failure> {
    let url = match &state.bus {
        Some(Bus::At(url)) => Some(url.clone()),
        Some(Bus::None) => None,
        None if state.ephemeral => None,
        None => file.bus.clone(),
    };
    match (&url, clock) {
        (Some(_), ClockSetting::Manual | ClockSetting::Scaled(_)) => Err(Failure::usage(
            "emulators that share a bus go by the wall clock, and --clock gives this one a time of its own",
        )
        .remedy("leave --clock out, or keep messages here with --bus none")),
        _ => Ok(url),
    }
}

fn durability(text: &str) -> Result<Durability, String> {
    match text {
        "normal" => Ok(Durability::Normal),
        "full" => Ok(Durability::Full),
        _ => Err("expected normal or full".to_owned()),
    }
}

/// Flags of `emu dev` about its ports.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Network")]
pub struct NetworkArgs {
    /// Port of the functions; 0 takes any free one [default: 3680, env also: PORT]
    #[arg(short, long, value_name = "PORT", env = "EMU_PORT", hide_env_values = true)]
    pub port: Option<u16>,

    /// Port of the control API; 0 takes any free one [default: 3681]
    #[arg(long, value_name = "PORT", env = "EMU_CONTROL_PORT")]
    pub control_port: Option<u16>,

    /// Address the functions listen on; 0.0.0.0 opens them to your network [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS", env = "EMU_HOST")]
    pub host: Option<String>,

    /// Address the control API listens on; anything but loopback needs --control-token [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS", env = "EMU_CONTROL_HOST")]
    pub control_host: Option<String>,
}

fn clock(text: &str) -> Result<ClockSetting, String> {
    text.parse()
}

/// An RFC 3339 instant.
pub fn instant(text: &str) -> Result<Time, String> {
    crate::live::instant(text)
}

/// A line of faults, or a file with the keys of `[faults]`.
fn faults(text: &str) -> Result<Faults, String> {
    if text.contains('=') || text.is_empty() {
        return Faults::parse(text);
    }
    let file = std::fs::read_to_string(text)
        .map_err(|error| format!("{text}: {error}; give a file, or faults such as fail=0.1"))?;
    let table: toml::Table = file.parse().map_err(|error| format!("{text}: {error}"))?;
    let value = serde_json::to_value(table).map_err(|error| format!("{text}: {error}"))?;
    Faults::from_json(value.get("faults").unwrap_or(&value))
}

fn cold_starts(text: &str) -> Result<ColdStarts, String> {
    match text {
        "report" => Ok(ColdStarts::Report),
        "sleep" => Ok(ColdStarts::Sleep),
        "off" => Ok(ColdStarts::Off),
        _ => Err("expected report, sleep or off".to_owned()),
    }
}

/// What `emu dev` runs with.
///
/// # Errors
/// When an address is no address, or would open the control API to others without a token.
pub fn dev(
    run: &RunArgs,
    network: &NetworkArgs,
    state: &StateArgs,
    token: Option<&str>,
    env: &dyn Fn(&str) -> Option<String>,
    file: &DevSettings,
    seed: u64,
) -> Result<Options, Failure> {
    let port_of_env = match env("PORT").filter(|text| !text.is_empty()) {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| {
            Failure::usage(format!(
                "the environment variable PORT holds {text:?}, which is no port"
            ))
            .remedy("unset it, or give --port")
        })?),
    };
    let control_host = address(network.control_host.as_deref().unwrap_or("127.0.0.1"), "--control-host")?;
    if !control_host.is_loopback() && token.is_none() {
        return Err(
            Failure::usage(format!("--control-host {control_host} opens the control API to others"))
                .remedy("give a secret with --control-token or EMU_CONTROL_TOKEN"),
        );
    }
    let private = private(run, token, file, seed);
    let bus = bus_of(state, file, private.clock)?;
    Ok(Options {
        host: address(
            network.host.as_deref().or(file.host.as_deref()).unwrap_or("127.0.0.1"),
            "--host",
        )?,
        port: network.port.or(port_of_env).or(file.port).unwrap_or(PORT),
        control_host,
        control_port: network.control_port.or(file.control_port).unwrap_or(CONTROL_PORT),
        run_file: true,
        durability: state.durability.unwrap_or_default(),
        // What a manual clock says is nothing to keep: the folder's messages are of real time.
        ephemeral: state.ephemeral || private.clock == ClockSetting::Manual || bus.is_some(),
        bus: bus.map(|url| url.0),
        ..private
    })
}

/// What a command runs with that starts an emulator for itself: any free ports, nobody else's business.
pub fn private(run: &RunArgs, token: Option<&str>, file: &DevSettings, seed: u64) -> Options {
    Options {
        control_token: token.map(str::to_owned),
        clock: run.clock.or(file.clock).unwrap_or_default(),
        start_time: run.start_time,
        cold_starts: run.cold_starts.or(file.cold_starts).unwrap_or_default(),
        seed: run.seed.or(file.seed).unwrap_or(seed),
        faults: run.faults.clone().unwrap_or_default(),
        outside: Outside {
            hosts: run.outbound.clone(),
            answers: None,
        },
        ..Options::default()
    }
}

/// Traces and metrics for others, as the environment asks for them.
pub fn telemetry(project: &Project) -> telemetry::Asked {
    telemetry::Asked::of_env(&super::env, &project.name)
}

fn address(text: &str, flag: &str) -> Result<IpAddr, Failure> {
    if text == "localhost" {
        return Ok(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    text.parse().map_err(|_| {
        Failure::usage(format!("{flag} {text:?} is no address"))
            .remedy("give an IP address, such as 127.0.0.1, ::1 or 0.0.0.0")
    })
}

/// A loaded project, and how to load it again.
pub struct Opened {
    pub loaded: Loaded,
    pub read: ReadProject,
}

/// # Errors
/// When the working directory is gone, to which paths are relative.
pub fn load_options(provider: Option<&str>, env_files: &[PathBuf]) -> Result<LoadOptions, Failure> {
    let absolute = |path: &PathBuf| std::path::absolute(path);
    let env_files: Result<Vec<PathBuf>, _> = env_files.iter().map(absolute).collect();
    Ok(LoadOptions {
        provider: provider.map(str::to_owned),
        env_files: env_files.map_err(|error| Failure::usage(format!("--env-file: {error}")))?,
        only: BTreeSet::new(),
    })
}

/// Loads the project at `path`, or the nearest one upward.
///
/// # Errors
/// With everything that is wrong with the project.
pub fn open(path: Option<&Path>, run: &RunArgs) -> Result<Opened, Failure> {
    open_only(path, run, BTreeSet::new())
}

/// [`open`] for these functions, by [`LoadOptions::only`].
///
/// # Errors
/// With everything that is wrong with the project.
pub fn open_only(path: Option<&Path>, run: &RunArgs, only: BTreeSet<String>) -> Result<Opened, Failure> {
    let options = LoadOptions {
        only,
        ..load_options(run.provider.as_deref(), &run.env_files)?
    };
    let loaded = Project::load_with(path, &options)?;
    if run.start_time.is_some() && run.clock.or(loaded.project.dev.clock) != Some(ClockSetting::Manual) {
        return Err(
            Failure::usage("--start-time is where a manual clock begins, and this one is not manual")
                .remedy("add --clock manual, or leave --start-time (EMU_START_TIME) out"),
        );
    }
    // The working directory does not change, so a relative path stays what it is; a search upward might find another
    // project later, hence the root.
    let again: PathBuf = path.map_or_else(|| loaded.project.root.clone(), Path::to_owned);
    let said = Mutex::new(messages(&loaded.warnings));
    let read: ReadProject = Arc::new(move || match Project::load_with(Some(&again), &options) {
        Ok(loaded) => {
            let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
            let before = std::mem::replace(&mut *said, messages(&loaded.warnings));
            Ok(Reread {
                project: loaded.project,
                warnings: new_warnings(&loaded.warnings, &before),
            })
        }
        Err(diagnostics) => Err(Unreadable {
            rendered: errors(&diagnostics),
        }),
    });
    Ok(Opened { loaded, read })
}

fn messages(warnings: &[Diagnostic]) -> BTreeSet<String> {
    warnings.iter().map(|warning| warning.message.clone()).collect()
}

/// Those that have not been said. As the text of a notice, whose level says that it is a warning.
fn new_warnings(warnings: &[Diagnostic], said: &BTreeSet<String>) -> Vec<String> {
    let new = warnings.iter().filter(|warning| !said.contains(&warning.message));
    let text = new.map(|warning| warning.render(false));
    text.map(|text| text.strip_prefix("warning: ").map(str::to_owned).unwrap_or(text))
        .collect()
}

/// What keeps the project from being read; warnings would hide it.
fn errors(found: &Diagnostics) -> String {
    let errors = found.0.iter().filter(|one| one.is_error()).cloned().collect();
    Diagnostics(errors).render(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settle(network: &NetworkArgs, env_port: Option<&str>, file: &DevSettings) -> Result<Options, Failure> {
        let env = |name: &str| (name == "PORT").then(|| env_port.map(str::to_owned)).flatten();
        dev(&RunArgs::default(), network, &StateArgs::default(), None, &env, file, 7)
    }

    #[test]
    fn ports_by_precedence() {
        let flag = NetworkArgs {
            port: Some(1),
            ..NetworkArgs::default()
        };
        let none = NetworkArgs::default();
        let file = DevSettings {
            port: Some(3),
            ..DevSettings::default()
        };
        let empty = DevSettings::default();
        let port = |network: &NetworkArgs, env, file: &DevSettings| settle(network, env, file).expect("valid").port;
        assert_eq!(port(&flag, Some("2"), &file), 1);
        assert_eq!(port(&none, Some("2"), &file), 2);
        assert_eq!(port(&none, None, &file), 3);
        assert_eq!(port(&none, None, &empty), 3680);
        assert_eq!(port(&none, Some(""), &empty), 3680);
        let wrong = settle(&none, Some("http"), &file).expect_err("no port");
        assert_eq!(wrong.code, 2);
    }

    #[test]
    fn the_file_sets_the_simulation_and_flags_win() {
        let file = DevSettings {
            clock: Some(ClockSetting::Scaled(60.0)),
            cold_starts: Some(ColdStarts::Sleep),
            seed: Some(5),
            host: Some("0.0.0.0".to_owned()),
            ..DevSettings::default()
        };
        let options = settle(&NetworkArgs::default(), None, &file).expect("valid");
        assert_eq!(options.clock, ClockSetting::Scaled(60.0));
        assert_eq!(options.cold_starts, ColdStarts::Sleep);
        assert_eq!(options.seed, 5);
        assert!(options.host.is_unspecified());
        let flags = RunArgs {
            seed: Some(9),
            cold_starts: Some(ColdStarts::Off),
            ..RunArgs::default()
        };
        let options = private(&flags, None, &file, 7);
        assert_eq!(
            (options.seed, options.cold_starts, options.port),
            (9, ColdStarts::Off, 0)
        );
        assert_eq!(private(&RunArgs::default(), None, &DevSettings::default(), 7).seed, 7);
    }

    #[test]
    fn a_bus_by_precedence_and_not_with_a_clock_of_ones_own() {
        let file = DevSettings {
            bus: Some(BusUrl("nats://file".to_owned())),
            ..DevSettings::default()
        };
        let state = |bus: Option<&str>, ephemeral| StateArgs {
            bus: bus.map(|text| super::bus(text).expect("a bus")),
            ephemeral,
            ..StateArgs::default()
        };
        let real = ClockSetting::Real;
        let of = |state: &StateArgs, clock| bus_of(state, &file, clock).map(|url| url.map(|url| url.0));
        assert_eq!(
            of(&state(None, false), real).ok().flatten().as_deref(),
            Some("nats://file")
        );
        assert_eq!(
            of(&state(Some("nats://flag"), false), real).ok().flatten().as_deref(),
            Some("nats://flag")
        );
        assert_eq!(of(&state(Some("none"), false), ClockSetting::Manual).ok(), Some(None));
        assert_eq!(of(&state(None, true), real).ok(), Some(None));
        assert_eq!(
            of(&state(None, false), ClockSetting::Scaled(60.0))
                .expect_err("refused")
                .code,
            2
        );
        assert!(super::bus("http://a").is_err() && super::bus("").is_err() && super::bus("nats://a, b").is_ok());
    }

    #[test]
    fn the_control_api_is_not_opened_without_a_token() {
        let network = NetworkArgs {
            control_host: Some("0.0.0.0".to_owned()),
            ..NetworkArgs::default()
        };
        let failure = settle(&network, None, &DevSettings::default()).expect_err("no token");
        assert_eq!(failure.code, 2);
        let env = |_: &str| None;
        let open = dev(
            &RunArgs::default(),
            &network,
            &StateArgs::default(),
            Some("s3cret"),
            &env,
            &DevSettings::default(),
            0,
        );
        assert!(open.is_ok());
        let network = NetworkArgs {
            host: Some("example.com".to_owned()),
            ..NetworkArgs::default()
        };
        assert!(settle(&network, None, &DevSettings::default()).is_err());
    }
}
