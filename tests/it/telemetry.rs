//! Traces and metrics by OTLP, to a receiver that keeps what it is sent, and the page for Prometheus.
#![cfg(unix)]

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use http::Method;
use warp::Filter as _;

use crate::harness::{Project, request, serve};

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

/// The parts of a Protocol Buffers message that are messages, texts or bytes, with their numbers.
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
            0 => drop(number(&mut bytes)),
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
    attributes: String,
    has_error: bool,
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
            attributes: all(span, 9).into_iter().map(text).collect(),
            has_error: text(&first(span, 15)).contains("no luck"),
        })
        .collect()
}

#[test]
fn a_trace_goes_through_requests_calls_and_messages() {
    let (url, received, _runtime) = receiver();
    let emu = project().serve_in(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &url)], &[]);
    let (trace, parent) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
    let header = format!("00-{trace}-{parent}-01");
    let url = format!("{}/api", emu.functions_url());
    let answer = request(Method::GET, &url, &[("traceparent", &header)], String::new()).text();
    let mut found: Vec<Span> = Vec::new();
    while found.len() < 3 {
        let (path, body) = received.recv_timeout(Duration::from_secs(60)).expect("spans");
        if path == "/v1/traces" {
            found.extend(spans(&body));
        }
    }
    let named = |name: &str| {
        found
            .iter()
            .find(|span| span.name == name)
            .unwrap_or_else(|| panic!("{name}: {found:?}"))
    };
    let (api, other, worker) = (named("GET api"), named("GET other"), named("process jobs"));
    assert!(found.iter().all(|span| span.trace == trace), "{found:?}");
    assert_eq!(api.parent, parent);
    assert_eq!(other.parent, api.id);
    assert_eq!(worker.parent, api.id);
    assert!(worker.has_error && !api.has_error);
    for part in [
        "faas.name",
        "faas.trigger",
        "faas.coldstart",
        "http.response.status_code",
    ] {
        assert!(api.attributes.contains(part), "{part} in {}", api.attributes);
    }
    assert!(
        worker.attributes.contains("messaging.destination.name"),
        "{}",
        worker.attributes
    );
    // The functions see the same.
    assert_eq!(answer, format!("00-{trace}-{}-01 00-{trace}-{}-01", api.id, other.id));
    emu.wait("log", |line| line["text"] == format!("00-{trace}-{}-01", api.id));
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

#[test]
fn nothing_is_told_that_nobody_asked_for() {
    let emu = project().serve_with(&[]);
    let answer = emu.get("/api").text();
    assert_eq!(answer, "null ");
    let run = project().spawn_with(&[]);
    drop(run);
    let refused = project();
    let mut command = crate::harness::emu(refused.path());
    let envs = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
    ];
    let run = command.arg("serve").envs(envs).output().expect("run emu");
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.code() == Some(2) && said.contains("http/protobuf"), "{said}");
}

#[test]
fn a_receiver_that_is_away_stops_nothing() {
    let emu = project().serve_in(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")], &[]);
    assert!(emu.get("/api").status.is_success());
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
