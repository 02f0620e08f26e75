//! `emu load`: traffic by an open-loop schedule, and what it does to cold starts, throttles and the bill.

mod summary;

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Args as ClapArgs;
use http::{HeaderName, HeaderValue, Method};

use super::client::{Client, find};
use super::failure::{FAILURE, Failure, Outcome};
use super::output::{data, say};
use super::signals::Signals;
use super::{Global, json_line};
use crate::live::api;
use crate::live::load::{Pattern, Plan, Tally, Template, first_route, lock, send_all};
use crate::project::units::parse_span;
use crate::report::bill::Bill;

const EXAMPLES: &str = "\
Examples:
  emu load api
  emu load /orders --method POST --body '{\"id\": 7}' --rate 20
  emu load slow --pattern burst --rate 50 --duration 5s
  emu load api --pattern waves --rate 200 --duration 2m --json

Patterns:
  steady   the same rate all the time
  burst    every ten seconds all of their requests within one second, then silence
  spike    the rate, and ten times the rate in the middle tenth
  waves    four waves between nothing and twice the rate

Requests leave when they are due, whether or not those before have been answered, as users do; latency counts \
from then.";

/// Send traffic to a function and say what came of it
#[derive(ClapArgs, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A function, or a path such as /orders
    #[arg(value_name = "FUNCTION|/PATH")]
    target: String,

    /// How the rate goes up and down
    #[arg(long, value_enum, default_value_t = Pattern::Steady, hide_possible_values = true)]
    pattern: Pattern,

    /// Requests a second
    #[arg(long, value_name = "N", default_value_t = 50.0)]
    rate: f64,

    /// For how long, e.g. 30s or 5m
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    duration: Duration,

    /// Requests under way at once, at most
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    concurrency: u32,

    /// HTTP method [default: the route's, else GET, or POST with a body]
    #[arg(short = 'X', long, value_name = "METHOD")]
    method: Option<Method>,

    /// Body of every request
    #[arg(short, long, value_name = "TEXT")]
    body: Option<String>,

    /// Header of every request; may be repeated
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(HeaderName, HeaderValue)>,

    /// Print the result as a JSON object
    #[arg(long)]
    json: bool,
}

fn duration(text: &str) -> Result<Duration, String> {
    let span = parse_span(text)?;
    if span.as_nanos() == 0 || span.as_secs() > 24 * 3_600 {
        return Err("expected more than nothing and at most 24h".to_owned());
    }
    Ok(span.to_std())
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("expected NAME: VALUE")?;
    let name = name.trim().parse().map_err(|_| format!("{name:?} is no header name"))?;
    let value = value
        .trim()
        .parse()
        .map_err(|_| format!("{value:?} is no header value"))?;
    Ok((name, value))
}

pub fn run(args: &Args, global: &Global) -> Outcome {
    let plan = Plan {
        pattern: args.pattern,
        rate: args.rate,
        duration: args.duration,
        concurrency: args.concurrency as usize,
    };
    plan.check().map_err(Failure::usage)?;
    let client = find(global)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(load(args, &plan, &client));
    runtime.shutdown_background();
    outcome
}

async fn load(args: &Args, plan: &Plan, client: &Client) -> Outcome {
    let health: api::Health = client.get(&["_emu", "health"], &[]).await?;
    let template = template(args, client, &health.functions_url).await?;
    let before = cost(client).await;
    let mut signals = Signals::listen()?;
    let begun = Instant::now();
    let tally = Arc::new(Mutex::new(Tally::default()));
    let show_progress = !args.json && std::io::stderr().is_terminal();
    let sending = send_all(plan, &template, &tally, begun);
    tokio::pin!(sending);
    let mut tick = tokio::time::interval(Duration::from_millis(500));
    loop {
        tokio::select! {
            () = &mut sending => break,
            // What there is by then is shown all the same.
            _ = signals.next() => break,
            _ = tick.tick() => if show_progress {
                let line = summary::progress(&lock(&tally), begun.elapsed());
                say(&format!("\r\x1b[K{line}"));
            },
        }
    }
    if show_progress {
        say("\r\x1b[K");
    }
    let cost = match (before, cost(client).await) {
        (Some(before), Some(after)) => Some((after - before).max(0.0)),
        _ => None,
    };
    let target = format!("{} {}", template.method, template.uri);
    let summary = lock(&tally)
        .clone()
        .summary(&target, begun.elapsed(), cost, &health.cold_starts);
    data(&if args.json {
        json_line(&summary)?
    } else {
        summary::text(&summary)
    })?;
    // Throttles and errors are results; nothing but errors is a load that did not work.
    let worked = summary.ok + summary.throttled > 0;
    Ok(ExitCode::from(if worked { 0 } else { FAILURE }))
}

/// The bill's total before the free tier; `None` when it cannot be had, which is no reason not to load.
async fn cost(client: &Client) -> Option<f64> {
    let bill: Bill = client.get(&["_emu", "bill"], &[]).await.ok()?;
    Some(bill.total.cost_before_free)
}

async fn template(args: &Args, client: &Client, functions_url: &str) -> Result<Template, Failure> {
    let (method, path) = if args.target.starts_with('/') {
        (None, args.target.clone())
    } else {
        let function: api::Function = client.get(&["_emu", "functions", &args.target], &[]).await?;
        first_route(&function.routes).ok_or_else(|| {
            Failure::new(format!("{} answers no HTTP requests", function.name))
                .remedy("`emu send` and `emu publish` feed queues and topics, `emu fire` runs crons")
        })?
    };
    let default = if args.body.is_some() { Method::POST } else { Method::GET };
    let uri = format!("{}{path}", functions_url.trim_end_matches('/'));
    let mut headers = args.headers.clone();
    let is_json = args
        .body
        .as_ref()
        .is_some_and(|body| serde_json::from_str::<serde_json::Value>(body).is_ok());
    if is_json && !headers.iter().any(|(name, _)| name == http::header::CONTENT_TYPE) {
        headers.push((http::header::CONTENT_TYPE, HeaderValue::from_static("application/json")));
    }
    Ok(Template {
        method: args.method.clone().or(method).unwrap_or(default),
        uri: uri
            .parse()
            .map_err(|error| Failure::usage(format!("{uri} is no URL: {error}")))?,
        headers,
        body: Bytes::from(args.body.clone().unwrap_or_default()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_checked() {
        assert!(duration("0s").is_err());
        assert!(duration("25h").is_err());
        assert_eq!(duration("1.5s").ok(), Some(Duration::from_millis(1_500)));
        assert!(header("x-a: b").is_ok());
        assert!(header("x-a").is_err());
        assert!(header("x a: b").is_err());
    }
}
