//! `emu bill`: what the traffic so far would have cost.

use std::process::ExitCode;

use clap::Args as ClapArgs;

use super::client::{block_on, find};
use super::failure::Outcome;
use super::output::data;
use super::{Global, json_line};
use crate::live::api;
use crate::report::bill::Bill;
use crate::report::number::{dollars, plural};

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
    let client = find(global)?;
    let bill: Bill = block_on(client.get(&["_emu", "bill"], &query))?;
    if args.json {
        data(&json_line(&bill)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let members: Vec<api::Member> = block_on(client.get(&["_emu", "members"], &[]))?;
    data(&format!("{}{}", bill.text(), group(&members)))?;
    Ok(ExitCode::SUCCESS)
}

/// What the whole group came to; the bill above is of the emulator that was asked.
fn group(members: &[api::Member]) -> String {
    if members.len() < 2 {
        return String::new();
    }
    let invocations: u64 = members.iter().map(|member| member.invocations).sum();
    let cost: f64 = members.iter().map(|member| member.cost_before_free).sum();
    format!(
        "\nThe {} members of the group together: {}, {} at the emulated provider's list price.\n",
        members.len(),
        plural(invocations, "invocation", "invocations"),
        dollars(cost)
    )
}
