//! `emu bill`: what the traffic so far would have cost.

use std::process::ExitCode;

use clap::Args as ClapArgs;

use super::client::{block_on, find};
use super::failure::Outcome;
use super::output::data;
use super::{Global, json_line};
use crate::report::bill::Bill;

/// Show what it would have cost: by function, elsewhere, and on a server of one's own
#[derive(ClapArgs, Clone, Debug)]
#[command(after_help = "Example:\n  emu bill --provider gcp-functions")]
pub struct Args {
    /// Under another provider's prices: aws-lambda, gcp-functions, azure-functions, cloudflare-workers
    #[arg(long, value_name = "PROVIDER")]
    provider: Option<String>,

    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args, global: &Global) -> Outcome {
    let query: Vec<(&str, &str)> = args.provider.iter().map(|id| ("provider", id.as_str())).collect();
    let bill: Bill = block_on(find(global)?.get(&["_emu", "bill"], &query))?;
    data(&if args.json { json_line(&bill)? } else { bill.text() })?;
    Ok(ExitCode::SUCCESS)
}
