//! Traces and metrics by OTLP, to a receiver that keeps what it is sent, and the page for Prometheus.
#![cfg(unix)]

use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use http::Method;
use warp::Filter as _;

use crate::harness::{Emu, Project, request, serve};
use crate::nats::Nats;

const API: &str = r#"
export default {
  async fetch(request, env) {
    await env.JOBS.send({ n: 1 });
    const answer = await env.OTHER.fetch("http://other/");
    return new Response(`${request.headers.get("traceparent")} ${await answer.text()}`);
  },
};
"#;

const OTHER: &str = "export default { fetch: (request) => new Response(request.headers.get('traceparent')) };\n";

const WORKER: &str = r#"
export default {
  async queue(batch) {
    console.log(batch.messages[0].attributes.traceparent);
    throw new Error("no luck");
  },
};
"#;

const MANIFEST: &str = r#"
[functions.api]
source = "functions/api.js"
bind = { JOBS = "queue:jobs", OTHER = "function:other" }

[functions.worker]
source = "functions/worker.js"
queue = "jobs"

[queues.jobs]
visibility_timeout = "1h"
"#;

fn project() -> Project {
    Project::new(&[
        ("emu.toml", MANIFEST),
        ("functions/api.js", API),
        ("functions/other.js", OTHER),
        ("functions/worker.js", WORKER),
    ])
}

/// Path and body of each request.
fn receiver() -> (String, Receiver<(String, Vec<u8>)>, tokio::runtime::Runtime) {
    let (to, from) = channel();
    let routes = warp::post().and(warp::path::full()).and(warp::body::bytes()).map(
        move |path: warp::path::FullPath, body: bytes::Bytes| {
            // The test may be over.
            let _ = to.send((path.as_str().to_owned(), body.to_vec()));
            warp::reply()
        },
    );
    let (address, runtime) = serve(routes.boxed());
    (format!("http://{address}"), from, runtime)
}

/// The parts of a Protocol Buffers message that are messages, texts, bytes or small numbers, with their own numbers.
fn parts(mut bytes: &[u8]) -> Vec<(u64, &[u8])> {
    fn number(bytes: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let byte = bytes[0];
            *bytes = &bytes[1..];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        value
    }
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let key = number(&mut bytes);
        match key & 7 {
            0 => {
                let from = bytes;
                number(&mut bytes);
                found.push((key >> 3, &from[..from.len() - bytes.len()]));
            }
            1 => bytes = &bytes[8..],
            2 => {
                let length = usize::try_from(number(&mut bytes)).expect("a length");
                found.push((key >> 3, &bytes[..length]));
                bytes = &bytes[length..];
            }
            5 => bytes = &bytes[4..],
            other => panic!("wire type {other}"),
        }
    }
    found
}

fn all(bytes: &[u8], number: u64) -> Vec<&[u8]> {
    parts(bytes)
        .into_iter()
        .filter(|(n, _)| *n == number)
        .map(|(_, part)| part)
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[derive(Debug)]
struct Span {
    trace: String,
    id: String,
    parent: String,
    name: String,
    /// `server`, `client`, `producer` or `consumer`.
    kind: &'static str,
    attributes: String,
    /// Of the spans that it links to.
    links: Vec<String>,
    /// What is said of an error.
    error: Option<String>,
}

impl Span {
    fn is(&self, kind: &str, name: &str) -> bool {
        self.kind == kind && self.name == name
    }

    /// The context of what it sends.
    fn header(&self) -> String {
        format!("00-{}-{}-01", self.trace, self.id)
    }

    #[track_caller]
    fn has(&self, attributes: &[&str]) {
        for one in attributes {
            assert!(self.attributes.contains(one), "{one} in {}", self.attributes);
        }
    }
}

/// Spans in the order in which they came.
#[derive(Debug)]
struct Spans(Vec<Span>);

impl Spans {
    /// Reads on until all of these are there: kind and name of each.
    fn receive(received: &Receiver<(String, Vec<u8>)>, wanted: &[(&str, &str)]) -> Spans {
        let mut found = Spans(Vec::new());
        found.go_on(received, wanted);
        found
    }

    fn go_on(&mut self, received: &Receiver<(String, Vec<u8>)>, wanted: &[(&str, &str)]) {
        let is_there = |found: &[Span], (kind, name): (&str, &str)| {
            let wanted = wanted.iter().filter(|one| **one == (kind, name)).count();
            found.iter().filter(|span| span.is(kind, name)).count() >= wanted
        };
        let deadline = Instant::now() + Duration::from_secs(60);
        while !wanted.iter().all(|one| is_there(&self.0, *one)) {
            let (path, body) = received
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
                .unwrap_or_else(|error| panic!("{error}: {:?}", self.0));
            if path == "/v1/traces" {
                self.0.extend(spans(&body));
            }
        }
    }

    /// The only one of this kind and name.
    #[track_caller]
    fn one(&self, kind: &str, name: &str) -> &Span {
        let mut found = self.0.iter().filter(|span| span.is(kind, name));
        match (found.next(), found.next()) {
            (Some(one), None) => one,
            _ => panic!("one {kind} {name}: {:?}", self.0),
        }
    }

    #[track_caller]
    fn are_of(&self, trace: &str) {
        assert!(self.0.iter().all(|span| span.trace == trace), "{:?}", self.0);
    }
}

fn spans(body: &[u8]) -> Vec<Span> {
    let scopes = all(body, 1).into_iter().flat_map(|resource| all(resource, 2));
    let spans = scopes.flat_map(|scope| all(scope, 2));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let first = |span: &[u8], number| all(span, number).first().map(|part| part.to_vec()).unwrap_or_default();
    spans
        .map(|span| Span {
            trace: hex(&first(span, 1)),
            id: hex(&first(span, 2)),
            parent: hex(&first(span, 4)),
            name: text(&first(span, 5)),
            kind: match first(span, 6).as_slice() {
                [2] => "server",
                [3] => "client",
                [4] => "producer",
                [5] => "consumer",
                other => panic!("kind {other:?}"),
            },
            attributes: all(span, 9).into_iter().map(text).collect(),
            links: all(span, 13).into_iter().map(|link| hex(&first(link, 2))).collect(),
            error: all(span, 15)
                .first()
                .and_then(|status| (first(status, 3) == [2]).then(|| text(&first(status, 2)))),
        })
        .collect()
}

#[test]
fn a_trace_goes_through_requests_calls_and_messages() {
    let (url, received, _runtime) = receiver();
    let emu = project().serve_in(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &url)], &[]);
    let (trace, parent) = CALLER;
    let header = format!("00-{trace}-{parent}-01");
    let url = format!("{}/api", emu.functions_url());
    let answer = request(Method::GET, &url, &[("traceparent", &header)], String::new()).text();
    let wanted = [
        ("server", "GET /api"),
        ("producer", "send jobs"),
        ("client", "GET other"),
        ("server", "GET other"),
        ("consumer", "process jobs"),
    ];
    let found = Spans::receive(&received, &wanted);
    let [api, send, ask, other, worker] = wanted.map(|(kind, name)| found.one(kind, name));
    found.are_of(trace);
    assert_eq!(api.parent, parent);
    assert_eq!([&send.parent, &ask.parent], [&api.id, &api.id]);
    assert_eq!(other.parent, ask.id);
    assert_eq!(worker.parent, send.id);
    assert_eq!(worker.links, [send.id.as_str()]);
    assert!(
        worker.error.as_ref().is_some_and(|error| error.contains("no luck")),
        "{worker:?}"
    );
    assert_eq!(api.error, None);
    let http = [
        "http.request.method",
        "url.path",
        "url.scheme",
        "http.response.status_code",
    ];
    api.has(&http);
    api.has(&["faas.name", "faas.trigger", "faas.coldstart", "faas.invocation_id"]);
    ask.has(&[
        "faas.invoked_name",
        "faas.invoked_provider",
        "http.response.status_code",
    ]);
    let message = [
        "messaging.destination.name",
        "messaging.operation.name",
        "messaging.message.id",
    ];
    send.has(&message);
    worker.has(&message);
    worker.has(&["error.type"]);
    // The functions see the same.
    assert_eq!(answer, format!("{} {}", api.header(), other.header()));
    emu.wait("log", |line| line["text"] == send.header());
    // Metrics leave at the latest with the end.
    emu.terminate();
    let metrics = received
        .iter()
        .find(|(path, _)| path == "/v1/metrics")
        .expect("metrics")
        .1;
    let text = String::from_utf8_lossy(&metrics).into_owned();
    for name in [
        "faas.invocations",
        "faas.errors",
        "faas.invoke_duration",
        "service.name",
    ] {
        assert!(text.contains(name), "{name}");
    }
    assert_eq!(emu.end().code(), Some(0));
}

/// Fails, and hands its record to a topic with a queue that wraps, a queue that does not, and a function that goes on to another.
const CHAIN: &str = r#"
[functions.job]
source = "functions/job.js"
on_failure = "topic:failures"

[functions.seen]
source = "functions/last.js"
topic = "failures"
on_success = "function:last"

[functions.last]
source = "functions/last.js"

[functions.wrapped]
source = "functions/worker.js"
queue = "wrapped"

[functions.dead]
source = "functions/last.js"
queue = "dead"

[topics.failures]
queues = [{ to = "wrapped", delivery = "wrapped" }]

[queues.wrapped]
dead_letter = "dead"
max_receives = 1

[queues.dead]
"#;

const JOB: &str = "export const handler = async () => { throw new Error('no luck'); };\n";

const LAST: &str = "export const handler = async () => {};\n";

const CALLER: (&str, &str) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");

/// Runs `job` in the caller's trace and does not wait.
fn hand_over(emu: &Emu) {
    let header = format!("00-{}-{}-01", CALLER.0, CALLER.1);
    let headers = [("x-emu-invocation-type", "event"), ("traceparent", header.as_str())];
    let accepted = emu.request(Method::POST, "/job", &headers, "{}");
    assert_eq!(accepted.status, 202, "{}", accepted.text());
}

#[test]
fn an_event_stays_in_its_trace_through_a_restart_retries_and_destinations() {
    let (url, received, _runtime) = receiver();
    let project = Project::new(&[
        ("emu.toml", CHAIN),
        ("functions/job.js", JOB),
        ("functions/last.js", LAST),
        ("functions/worker.js", WORKER),
    ]);
    let emu = project.serve_in(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &url)], &[]);
    hand_over(&emu);
    let mut found = Spans::receive(&received, &[("producer", "invoke job"), ("consumer", "job")]);
    // The waits between attempts are minutes: at this speed they pass after the restart.
    let clock = ["--clock", "x600"];
    let emu = emu.kill().serve_in(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &url)], &clock);
    found.go_on(
        &received,
        &[
            ("consumer", "job"),
            ("consumer", "job"),
            ("consumer", "job"),
            ("consumer", "process failures"),
            ("consumer", "last"),
            ("consumer", "process wrapped"),
            ("consumer", "process dead"),
        ],
    );
    found.are_of(CALLER.0);
    let sent = found.one("producer", "invoke job");
    assert_eq!(sent.parent, CALLER.1);
    let attempts: Vec<&Span> = found.0.iter().filter(|span| span.is("consumer", "job")).collect();
    assert!(
        attempts.len() == 3 && attempts.iter().all(|one| one.parent == sent.id && one.error.is_some()),
        "{attempts:?}"
    );
    let record = &attempts[2].id;
    let seen = found.one("consumer", "process failures");
    assert_eq!(&seen.parent, record);
    assert_eq!(found.one("consumer", "last").parent, seen.id);
    // The message in the dead-letter queue is the one that could not be handled.
    assert_eq!(&found.one("consumer", "process wrapped").parent, record);
    assert_eq!(&found.one("consumer", "process dead").parent, record);
    emu.terminate();
    assert_eq!(emu.end().code(), Some(0));
}

#[test]
fn a_trace_goes_over_the_bus() {
    let nats = Nats::start();
    let (url, received, _runtime) = receiver();
    let manifest = r#"
[project]
name = "shop"
[functions.job]
source = "functions/last.js"
on_success = "topic:done"
[functions.seen]
source = "functions/last.js"
topic = "done"
on_success = "function:last"
[functions.last]
source = "functions/last.js"
[functions.copies]
source = "functions/last.js"
queue = "copies"
[topics.done]
queues = ["copies"]
[queues.copies]
"#;
    let project = Project::new(&[("emu.toml", manifest), ("functions/last.js", LAST)]);
    let emu = project.serve_in(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &url)], &["--bus", &nats.url()]);
    hand_over(&emu);
    let wanted = [
        ("producer", "invoke job"),
        ("consumer", "job"),
        ("consumer", "process done"),
        ("consumer", "process copies"),
        ("consumer", "last"),
    ];
    let found = Spans::receive(&received, &wanted);
    found.are_of(CALLER.0);
    let [sent, job, seen, copies, last] = wanted.map(|(kind, name)| found.one(kind, name));
    assert_eq!(job.parent, sent.id);
    assert_eq!([&seen.parent, &copies.parent], [&job.id, &job.id]);
    assert_eq!(last.parent, seen.id);
}

#[test]
fn a_request_to_the_outside_is_a_span_that_goes_on_there() {
    let (url, received, _runtime) = receiver();
    let seen = warp::header::optional::<String>("traceparent")
        .map(|trace: Option<String>| warp::reply::with_status(trace.unwrap_or_default(), http::StatusCode::NOT_FOUND));
    let (outside, _other) = serve(seen.boxed());
    let api = format!(
        "export default {{ async fetch() {{ return new Response(await (await fetch('http://{outside}/stock?key=secret')).text()); }} }};\n"
    );
    let manifest = format!("[functions.api]\nsource = \"functions/api.js\"\nallow_hosts = [\"{outside}\"]\n");
    let emu = Project::new(&[("emu.toml", &manifest), ("functions/api.js", &api)])
        .serve_in(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &url)], &[]);
    let answer = emu.get("/api").text();
    let found = Spans::receive(&received, &[("client", "GET"), ("server", "GET /api")]);
    let (asked, api) = (found.one("client", "GET"), found.one("server", "GET /api"));
    assert_eq!(asked.parent, api.id);
    assert_eq!(answer, asked.header());
    asked.has(&[
        "server.address",
        "server.port",
        "url.full",
        "http.response.status_code",
        "error.type",
    ]);
    assert!(!asked.attributes.contains("secret"), "{}", asked.attributes);
    assert_eq!(asked.error.as_deref(), Some("status 404"));
}

#[test]
fn what_comes_in_without_a_trace_begins_one_for_all_that_follows() {
    let (url, received, _runtime) = receiver();
    let emu = Project::new(&[
        (
            "emu.toml",
            "[functions.worker]\nsource = \"functions/worker.js\"\nqueue = \"jobs\"\n[queues.jobs]\nmax_receives = 2\n",
        ),
        ("functions/worker.js", WORKER),
    ])
    .serve_in(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &url)], &["--clock", "x600"]);
    let sent = emu.control_post("/_emu/queues/jobs/messages", &serde_json::json!({"body": 1}));
    assert!(sent.status.is_success(), "{}", sent.text());
    let twice = [
        ("producer", "send jobs"),
        ("consumer", "process jobs"),
        ("consumer", "process jobs"),
    ];
    let found = Spans::receive(&received, &twice);
    let sent = found.one("producer", "send jobs");
    assert_eq!(sent.parent, "");
    found.are_of(&sent.trace);
    let mut received = found.0.iter().filter(|span| span.kind == "consumer");
    assert!(received.all(|one| one.parent == sent.id), "{found:?}");
}

#[test]
fn nothing_is_told_that_nobody_asked_for() {
    let emu = project().serve_with(&[]);
    let answer = emu.get("/api").text();
    assert_eq!(answer, "null ");
    let run = project().spawn_with(&[]);
    drop(run);
}

#[test]
fn what_is_wrong_in_the_environment_is_told_by_name_and_emu_goes_on() {
    let (url, _received, _runtime) = receiver();
    let envs = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()),
        ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "grpc"),
        ("OTEL_TRACES_SAMPLER", "sometimes"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization: Bearer secret"),
    ];
    let emu = project().serve_in(&envs, &[]);
    for told in [
        "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL=grpc: emu speaks http/protobuf",
        "OTEL_TRACES_SAMPLER=sometimes: emu knows",
        "OTEL_EXPORTER_OTLP_HEADERS: ",
    ] {
        emu.wait("notice", |line| {
            line["level"] == "warning" && line["message"].as_str().is_some_and(|text| text.starts_with(told))
        });
    }
    assert!(!emu.transcript().contains("secret"), "{}", emu.transcript());
    assert!(emu.get("/api").status.is_success());
}

#[test]
fn a_receiver_that_is_away_stops_nothing() {
    let emu = project().serve_in(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")], &[]);
    assert!(emu.get("/api").status.is_success());
    emu.wait("notice", |line| {
        let text = line["message"].as_str().unwrap_or_default();
        text.starts_with("traces are not taken by http://127.0.0.1:1 (OTEL_EXPORTER_OTLP_ENDPOINT)")
    });
    emu.terminate();
    assert_eq!(emu.end().code(), Some(0));
}

#[test]
fn prometheus_reads_the_control_port() {
    let emu = project().serve_with(&[]);
    let page = || {
        request(
            Method::GET,
            &format!("{}/metrics", emu.control_url()),
            &[],
            String::new(),
        )
    };
    assert!(
        page().text().contains("emu_invocations_total{function=\"other\"} 0"),
        "{}",
        page().text()
    );
    emu.get("/other");
    emu.wait("request", |line| line["path"] == "/other");
    let text = page().text();
    assert!(text.contains("emu_invocations_total{function=\"other\"} 1\n"), "{text}");
    assert!(
        text.contains("emu_invocation_duration_seconds_count{function=\"other\"} 1\n"),
        "{text}"
    );
    assert!(
        text.contains("emu_queue_messages{queue=\"jobs\",state=\"visible\"} 0\n"),
        "{text}"
    );
    assert!(
        page()
            .header("content-type")
            .starts_with("application/openmetrics-text")
    );
}
