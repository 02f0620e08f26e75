//! `--measure`: how long the functions themselves take. Each HTTP function is run on the engine, first on instances that are fresh
//! and then on a warm one, with the requests of the project's test files, or with a plain GET where none asks for it. What
//! comes out is a simulation file, as from a history.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::mpsc;

use super::project::{Figures, head, section};
use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::settings::{self, Opened, RunArgs};
use crate::cli::{Global, output, test};
use crate::live::api::{Answered, SendRequest};
use crate::live::{self, Live, Sink};
use crate::platform::scaling::keep_alive::Policy;
use crate::platform::time::Span;
use crate::project::testfile::Act;
use crate::project::{ClockSetting, Project};
use crate::report::event::{Event, Invocation, Stamped};
use crate::report::number;

/// How often each request is sent, to fresh instances and then to warm ones.
const TIMES: usize = 20;

/// How long the record of an invocation may take that has been answered.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is assumed where nobody has said how often requests come.
const RATE: &str = "1/s";

/// Times of one function, in microseconds.
#[derive(Default)]
struct Times {
    fresh: Vec<u64>,
    warm: Vec<u64>,
    failed: u64,
    /// Of the last one that failed.
    error: Option<String>,
}

/// Hands on the invocations.
struct Ended(mpsc::UnboundedSender<Invocation>);

impl Sink for Ended {
    fn event(&mut self, event: &Stamped) {
        if let Event::Invocation(invocation) = &event.event {
            // Closed once nobody measures any more.
            let _ = self.0.send(invocation.clone());
        }
    }

    fn folded(&mut self, _: u64, _: u64) {}
}

/// The name that problems show, and the text.
///
/// # Errors
/// When the project or a test file of it is wrong, when no function of it answers HTTP, or when none of their runs succeeds.
pub fn read(global: &Global) -> Result<(PathBuf, String), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start threads: {error}")))?;
    let read = runtime.block_on(measured(global));
    // A guest that does not end must not keep the process.
    runtime.shutdown_background();
    read
}

async fn measured(global: &Global) -> Result<(PathBuf, String), Failure> {
    let requests = requests(global)?;
    let opened = settings::open(global.project.as_deref(), &RunArgs::default())?;
    let project = &opened.loaded.project;
    let plain = plain(project)?;
    let mut times: BTreeMap<String, Times> = BTreeMap::new();
    for fresh in [true, false] {
        round(&opened, &requests, &plain, fresh, &mut times).await?;
    }
    let mut text = head(project, "the times that they took on this machine, and an assumed rate");
    for (name, times) in &times {
        let Some(function) = project.functions.get(name) else {
            continue;
        };
        output::say(&format!("{}\n", said(name, times)));
        if times.fresh.is_empty() || times.warm.is_empty() {
            let error = times.error.as_deref().unwrap_or("no run of it succeeded");
            return Err(Failure::new(format!("{name} cannot be measured: {error}")).remedy(
                "`emu test` and `emu invoke` show more; a test file (*.emu.toml) can hold a request that it takes",
            ));
        }
        let figures = Figures {
            service: &times.warm,
            cold_service: Some(&times.fresh),
            rate: RATE.to_owned(),
        };
        text.push_str(&section(function, &figures));
    }
    output::say(&format!(
        "nobody has said how often requests come: {RATE} is assumed; --set functions.NAME.workload.rate=20/s says more\n"
    ));
    Ok((PathBuf::from("measured.sim.toml"), text))
}

/// `api: 1.20 ms fresh, 0.80 ms warm (medians of 20 and 40 runs)`.
fn said(name: &str, times: &Times) -> String {
    let median = |times: &[u64]| times.get(times.len() / 2).map_or(0.0, |us| *us as f64 / 1e3);
    let failed = match times.failed {
        0 => String::new(),
        n => format!("; {} failed and do not count", number::plural(n, "run", "runs")),
    };
    format!(
        "{name}: {} fresh, {} warm (medians of {} and {} runs){failed}",
        number::millis(median(&times.fresh)),
        number::millis(median(&times.warm)),
        times.fresh.len(),
        times.warm.len()
    )
}

/// Those of the test files, in their order. One that needs what an earlier answer held is left out.
fn requests(global: &Global) -> Result<Vec<SendRequest>, Failure> {
    let mut requests = Vec::new();
    for path in test::files::find(&[], global)? {
        for step in test::files::read(&path)?.steps {
            let Act::Request {
                method,
                path,
                mut headers,
                content,
            } = step.act.value
            else {
                continue;
            };
            let body = content.text();
            let varies = |text: &String| text.contains("${");
            if varies(&path) || headers.iter().any(|(_, value)| varies(value)) || body.as_ref().is_some_and(varies) {
                continue;
            }
            if let Some(implied) = content.implied_type(headers.iter().map(|(name, _)| name.as_str())) {
                headers.push(("content-type".to_owned(), implied.to_owned()));
            }
            requests.push(SendRequest {
                method: Some(method),
                path,
                headers,
                body,
                base64: None,
            });
        }
    }
    Ok(requests)
}

/// All requests on an emulator of their own, some times over.
async fn round(
    opened: &Opened,
    requests: &[SendRequest],
    plain: &[(String, SendRequest)],
    fresh: bool,
    times: &mut BTreeMap<String, Times>,
) -> Result<(), Failure> {
    let run = RunArgs {
        clock: Some(ClockSetting::Real),
        ..RunArgs::default()
    };
    let mut project = opened.loaded.project.clone();
    // Nobody asks for its past.
    project.history.bytes_max = 0;
    for function in project.functions.values_mut() {
        function.min_instances = 0;
        function.keep_alive = Some(Policy::Fixed(if fresh { Span::ZERO } else { Span::MAX }));
    }
    let options = settings::private(&run, None, &project.dev, 0);
    let (sender, mut ended) = mpsc::unbounded_channel();
    let live = live::start(project, opened.read.clone(), options, Box::new(Ended(sender))).await?;
    let sent = send_all(&live, requests, plain, fresh, &mut ended, times).await;
    live.shutdown().await;
    sent
}

async fn send_all(
    live: &Live,
    requests: &[SendRequest],
    plain: &[(String, SendRequest)],
    fresh: bool,
    ended: &mut mpsc::UnboundedReceiver<Invocation>,
    times: &mut BTreeMap<String, Times>,
) -> Result<(), Failure> {
    if let Some(broken) = test::stage::broken(live) {
        return Err(broken);
    }
    let client = Client::to(&live.control_url, None)?;
    for _ in 0..TIMES {
        for request in requests {
            send(&client, request, fresh, ended, times).await?;
        }
    }
    for (name, request) in plain {
        // Without the one warm request that was cold.
        let seen = times
            .get(name)
            .is_some_and(|times| !(if fresh { &times.fresh } else { &times.warm }).is_empty());
        for _ in 0..if seen { 0 } else { TIMES + usize::from(!fresh) } {
            send(&client, request, fresh, ended, times).await?;
        }
    }
    for times in times.values_mut() {
        times.fresh.sort_unstable();
        times.warm.sort_unstable();
    }
    Ok(())
}

async fn send(
    client: &Client,
    request: &SendRequest,
    fresh: bool,
    ended: &mut mpsc::UnboundedReceiver<Invocation>,
    times: &mut BTreeMap<String, Times>,
) -> Result<(), Failure> {
    let answered: Answered = client.post(&["_emu", "request"], request).await?;
    // Not a function's answer: a request of a test file that expects a refusal.
    let Some(id) = answered.invocation else { return Ok(()) };
    loop {
        let next = tokio::time::timeout(PATIENCE, ended.recv()).await;
        let Ok(Some(invocation)) = next else {
            return Err(Failure::new(format!(
                "nothing was heard of the invocation {id} that was answered"
            )));
        };
        let is_last = invocation.id == id;
        let of_function = times.entry(invocation.function.clone()).or_default();
        let us = |ms: f64| (ms * 1e3).round().max(0.0) as u64;
        if invocation.outcome != "succeeded" {
            of_function.failed += 1;
            of_function.error = Some(invocation.error.map_or(invocation.outcome, |error| error.message));
        } else if invocation.cold && fresh {
            of_function.fresh.push(us(invocation.duration_ms + invocation.init_ms));
        } else if !invocation.cold && !fresh {
            of_function.warm.push(us(invocation.duration_ms));
        }
        if is_last {
            return Ok(());
        }
    }
}

/// A GET for each function that answers HTTP.
fn plain(project: &Project) -> Result<Vec<(String, SendRequest)>, Failure> {
    let with_routes = project.functions.values().filter_map(|function| {
        let shown = function.routes.first()?.to_string();
        let (method, pattern) = match shown.split_once(' ') {
            Some((method, pattern)) if method != "ANY" => (method.to_owned(), pattern.to_owned()),
            Some((_, pattern)) => ("GET".to_owned(), pattern.to_owned()),
            None => ("GET".to_owned(), shown.clone()),
        };
        let path: Vec<&str> = pattern
            .split('/')
            .map(|part| {
                if part.starts_with('{') || part == "*" {
                    "1"
                } else {
                    part
                }
            })
            .collect();
        let request = SendRequest {
            method: Some(method),
            path: path.join("/"),
            headers: Vec::new(),
            body: None,
            base64: None,
        };
        Some((function.name.clone(), request))
    });
    let requests: Vec<(String, SendRequest)> = with_routes.collect();
    if requests.is_empty() {
        return Err(Failure::new(format!("no function of {} answers HTTP", project.name))
            .remedy("a history has the times of the others: `emu dev`, and then --from-history"));
    }
    Ok(requests)
}
