//! `emu trace`: synthetic traces in the formats that simulations read.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;

use super::failure::{Failure, Outcome};
use super::output;
use crate::sim::trace::synthetic::{self, Format, Wanted};

/// Write a synthetic trace, for simulations: Azure's public formats or plain CSV
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// The folder; it is made when it is not there
    pub dir: PathBuf,

    /// Which format
    #[arg(long, value_enum, default_value_t = Kind::Azure2019)]
    pub format: Kind,

    /// Functions
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub functions: u32,

    /// Days
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=14))]
    pub days: u32,

    /// Invocations a day, about [default: 18,000 for each function, as in Azure's of 2019]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000_000_000))]
    pub requests: Option<u64>,

    /// The same seed gives the same trace
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Azure Functions 2019: counts by the minute, durations, memory
    #[value(name = "azure-2019")]
    Azure2019,
    /// Azure Functions 2021: an invocation a line, with its end
    #[value(name = "azure-2021")]
    Azure2021,
    /// `time,function,duration`
    Csv,
}

/// Invocations a day of a function, on average: 900 million of 50,000.
const REQUESTS_FUNCTION: u64 = 18_000;

/// Says which files it wrote.
///
/// # Errors
/// When one cannot be written.
pub fn run(args: &Args) -> Outcome {
    let fault = |error| Failure::new(format!("{} cannot be written: {error}", args.dir.display()));
    std::fs::create_dir_all(&args.dir).map_err(fault)?;
    let wanted = Wanted {
        format: match args.format {
            Kind::Azure2019 => Format::Azure2019,
            Kind::Azure2021 => Format::Azure2021,
            Kind::Csv => Format::Plain,
        },
        functions: args.functions,
        days: args.days,
        requests_day: args.requests.unwrap_or(u64::from(args.functions) * REQUESTS_FUNCTION),
        seed: args.seed,
    };
    for file in synthetic::write(&wanted, &args.dir).map_err(fault)? {
        output::data(&format!("{}\n", file.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}
