//! `emu load`: traffic by an open-loop schedule, and what it does to cold starts, throttles and the bill.

mod schedule;
mod summary;

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Args as ClapArgs;
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use super::client::{Client, find};
use super::failure::{FAILURE, Failure, Outcome};
use super::output::{data, say};
use super::signals::Signals;
use super::{Global, json_line};
use crate::live::api;
use crate::project::units::parse_span;
use crate::report::bill::Bill;
use schedule::{Pattern, Schedule};
use summary::{Answer, Tally};

const RATE_MAX: f64 = 100_000.0;
const REQUESTS_MAX: f64 = 5_000_000.0;
/// A request without an answer for this long is an error.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
/// After the last request, answers are waited for this long.
const TAIL: Duration = Duration::from_secs(30);

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
    if !(args.rate > 0.0 && args.rate <= RATE_MAX) {
        return Err(Failure::usage(format!(
            "--rate {} is not between 0 and {RATE_MAX}",
            args.rate
        )));
    }
    if args.rate * args.duration.as_secs_f64() * 2.0 > REQUESTS_MAX {
        return Err(Failure::usage("this is more than 2,500,000 requests").remedy("lower --rate or --duration"));
    }
    let client = find(global)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(load(args, &client));
    runtime.shutdown_background();
    outcome
}

/// What is sent, again and again.
#[derive(Clone)]
struct Template {
    method: Method,
    uri: Uri,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
}

impl Template {
    fn request(&self) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        request.headers_mut().extend(self.headers.iter().cloned());
        request
    }
}

async fn load(args: &Args, client: &Client) -> Outcome {
    let health: api::Health = client.get(&["_emu", "health"], &[]).await?;
    let template = template(args, client, &health.functions_url).await?;
    let before = cost(client).await;
    let mut signals = Signals::listen()?;
    let begun = Instant::now();
    let tally = Arc::new(Mutex::new(Tally::default()));
    let show_progress = !args.json && std::io::stderr().is_terminal();
    let sending = send_all(args, &template, &tally, begun);
    tokio::pin!(sending);
    let mut tick = tokio::time::interval(Duration::from_millis(500));
    loop {
        tokio::select! {
            () = &mut sending => break,
            // What there is by then is shown all the same.
            _ = signals.next() => break,
            _ = tick.tick() => if show_progress {
                let line = lock(&tally).progress(begun.elapsed());
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
        summary.text()
    })?;
    // Throttles and errors are results; nothing but errors is a load that did not work.
    let worked = summary.ok + summary.throttled > 0;
    Ok(ExitCode::from(if worked { 0 } else { FAILURE }))
}

/// Sends on time, waits for the answers.
async fn send_all(args: &Args, template: &Template, tally: &Arc<Mutex<Tally>>, begun: Instant) {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let http: HttpClient<HttpConnector, Full<Bytes>> = HttpClient::builder(TokioExecutor::new())
        .pool_max_idle_per_host(args.concurrency as usize)
        .build(connector);
    let slots = Arc::new(Semaphore::new(args.concurrency as usize));
    let tasks = TaskTracker::new();
    for offset in Schedule::new(args.pattern, args.rate, args.duration) {
        let due = begun + offset;
        // Timers are good to a millisecond: what is due within that leaves at once.
        if due.saturating_duration_since(Instant::now()) > Duration::from_millis(1) {
            tokio::time::sleep_until(due.into()).await;
        }
        let Ok(slot) = slots.clone().try_acquire_owned() else {
            lock(tally).held_back += 1;
            continue;
        };
        lock(tally).sent += 1;
        let (http, request, tally) = (http.clone(), template.request(), tally.clone());
        tasks.spawn(async move {
            let answer = one(&http, request, due).await;
            lock(&tally).add(answer);
            drop(slot);
        });
    }
    tasks.close();
    let _ = tokio::time::timeout(TAIL, tasks.wait()).await;
}

async fn one(http: &HttpClient<HttpConnector, Full<Bytes>>, request: Request<Full<Bytes>>, due: Instant) -> Answer {
    let mut cold = None;
    let exchange = async {
        let response = http.request(request).await.map_err(|error| {
            let source = std::error::Error::source(&error).map(ToString::to_string);
            source.unwrap_or_else(|| error.to_string())
        })?;
        cold = response.headers().get("x-emu-start").map(|value| value == "cold");
        let status = response.status().as_u16();
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            frame.map_err(|error| format!("the answer broke off: {error}"))?;
        }
        Ok(status)
    };
    let status = tokio::time::timeout(ANSWER_TIMEOUT, exchange)
        .await
        .unwrap_or_else(|_| Err("no answer".to_owned()));
    Answer {
        status,
        cold,
        latency: due.elapsed(),
    }
}

fn lock(tally: &Mutex<Tally>) -> std::sync::MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
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
        route(&function)?
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

/// The function's first route, with something in the place of parameters.
fn route(function: &api::Function) -> Result<(Option<Method>, String), Failure> {
    let Some(route) = function.routes.first() else {
        return Err(Failure::new(format!("{} answers no HTTP requests", function.name))
            .remedy("`emu send` and `emu publish` feed queues and topics, `emu fire` runs crons"));
    };
    let (method, pattern) = route.split_once(' ').unwrap_or(("ANY", route));
    let method = (method != "ANY").then(|| method.parse().ok()).flatten();
    let segments: Vec<&str> = pattern
        .split('/')
        .map(|segment| match segment {
            "*" => "",
            segment if segment.starts_with('{') && segment.ends_with("+}") => "",
            segment if segment.starts_with('{') => "1",
            segment => segment,
        })
        .collect();
    let path = segments.join("/");
    Ok((
        method,
        if path.starts_with('/') {
            path
        } else {
            format!("/{path}")
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(routes: &[&str], method: Option<Method>, path: &str) {
        let function = api::Function {
            routes: routes.iter().map(|r| (*r).to_owned()).collect(),
            ..crate::cli::list::sample_function("api")
        };
        assert_eq!(
            route(&function).expect("a route"),
            (method, path.to_owned()),
            "{routes:?}"
        );
    }

    #[test]
    fn routes_become_paths() {
        check(&["ANY /api", "GET /x"], None, "/api");
        check(&["POST /orders"], Some(Method::POST), "/orders");
        check(&["GET /products/{id}"], Some(Method::GET), "/products/1");
        check(&["ANY /*"], None, "/");
        check(&["ANY /files/{path+}"], None, "/files/");
        let queue_only = crate::cli::list::sample_function("worker");
        assert!(route(&queue_only).is_err());
    }

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
