//! The engine by itself: what guests can do, what they cannot, and that nothing stays behind.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use emu::engine::compile::CompileIn;
use emu::engine::{
    Batch, BatchSource, BindTarget, Body, BodyError, Engine, EngineOptions, Event, FailureKind, Host, HostError,
    HttpEvent, InMessage, Invocation, KeyValue, LoadError, LogSink, OutMessage, Outcome, Reply, Sandbox, Scheduled,
    Settings, Source, Stream, Version,
};
use emu::platform::time::Time;
use futures::future::BoxFuture;
use http_body_util::{BodyExt, Empty, Full};
use serde_json::{Value, json};
use tokio::sync::oneshot;

const NOON: Time = Time::from_secs(1_800_000_000);

/// What the guests under test did to the world.
#[derive(Default)]
struct World {
    lines: Mutex<Vec<(Stream, String)>>,
    sent: Mutex<Vec<(String, OutMessage)>>,
}

impl LogSink for World {
    fn line(&self, stream: Stream, text: &str) {
        self.lines.lock().unwrap().push((stream, text.to_owned()));
    }
}

impl World {
    fn send(&self, to: String, messages: Vec<OutMessage>) -> BoxFuture<'static, Result<Vec<String>, HostError>> {
        let ids = messages
            .iter()
            .enumerate()
            .map(|(index, _)| format!("m{index}"))
            .collect();
        self.sent
            .lock()
            .unwrap()
            .extend(messages.into_iter().map(|message| (to.clone(), message)));
        Box::pin(async { Ok(ids) })
    }

    fn lines(&self) -> Vec<String> {
        self.lines
            .lock()
            .unwrap()
            .iter()
            .map(|(stream, text)| format!("{stream:?}: {text}"))
            .collect()
    }
}

impl Host for World {
    fn send(&self, queue: String, messages: Vec<OutMessage>) -> BoxFuture<'static, Result<Vec<String>, HostError>> {
        self.send(format!("queue {queue}"), messages)
    }

    fn publish(&self, topic: String, messages: Vec<OutMessage>) -> BoxFuture<'static, Result<Vec<String>, HostError>> {
        self.send(format!("topic {topic}"), messages)
    }

    fn call(
        &self,
        function: String,
        request: http::Request<Body>,
    ) -> BoxFuture<'static, Result<http::Response<Body>, HostError>> {
        Box::pin(async move {
            let path = request.uri().path().to_owned();
            let body = request
                .into_body()
                .collect()
                .await
                .map(|body| body.to_bytes())
                .unwrap_or_default();
            let text = format!("{function} got {path} with {}", String::from_utf8_lossy(&body));
            Ok(http::Response::new(full(text)))
        })
    }

    fn kv(&self, store: &str) -> Result<Arc<dyn KeyValue>, HostError> {
        Err(HostError {
            code: "kv-not-found",
            message: format!("no key-value store named {store}"),
        })
    }
}

fn full(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).map_err(|never| match never {}).boxed_unsync()
}

fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// One engine for all tests of this file: it reserves much address space, and has a cache of compiled code.
fn engine() -> Engine {
    static ENGINE: std::sync::OnceLock<Engine> = std::sync::OnceLock::new();
    let make = || {
        let cache_dir = Some(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("engine-cache"));
        Engine::new(EngineOptions {
            compile_in: CompileIn::Process,
            cache_dir,
            images: true,
        })
        .expect("an engine")
    };
    ENGINE.get_or_init(make).clone()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

async fn try_load(entry: &Path) -> Result<Version, LoadError> {
    let source = Source {
        function: "f".into(),
        project_root: entry.parent().expect("a folder").to_owned(),
        entry: entry.to_owned(),
        env: BTreeMap::new(),
    };
    engine().load(&source).await.map(|loaded| loaded.version)
}

async fn fixture(name: &str) -> Version {
    try_load(&root().join("fixtures/wasm").join(name))
        .await
        .expect("the fixture loads")
}

fn settings() -> Settings {
    Settings {
        function: "f".into(),
        memory_bytes: 64 << 20,
        timeout: Duration::from_secs(20),
        env: vec![("GREETING".into(), "hello".into())],
        bind: BTreeMap::new(),
        allow_hosts: Vec::new(),
        args: vec!["--flag".into()],
        payload_v1: false,
        body_bytes_max: 1 << 20,
        log_bytes_max: 1 << 16,
    }
}

/// What one run came to. The body of a response was read while the guest ran.
struct Ran {
    outcome: Outcome,
    reply: Option<Reply>,
    body: Result<Bytes, BodyError>,
    world: Arc<World>,
}

impl Ran {
    fn failure(&self) -> (FailureKind, String) {
        let failure = self.outcome.result.as_ref().expect_err("the run fails");
        (failure.kind, failure.message.clone())
    }

    fn response(self) -> (u16, http::HeaderMap, String) {
        self.outcome.result.expect("the run succeeds");
        let Some(Reply::Http(response)) = self.reply else {
            panic!("no response")
        };
        let (parts, _) = response.into_parts();
        let body = self.body.expect("a whole body");
        (
            parts.status.as_u16(),
            parts.headers,
            String::from_utf8_lossy(&body).into_owned(),
        )
    }

    fn text(self) -> String {
        let (status, _, text) = self.response();
        assert_eq!(status, 200, "{text}");
        text
    }
}

fn invocation(settings: Settings, event: Event, world: &Arc<World>) -> Invocation {
    Invocation {
        id: "11111111-2222-3333-4444-555555555555".into(),
        settings: Arc::new(settings),
        event,
        now: NOON,
        pace: None,
        seed: 7,
        host: world.clone(),
        log: world.clone(),
        cut: None,
    }
}

async fn run_in(sandbox: &mut Sandbox, invocation: Invocation, world: Arc<World>) -> Ran {
    let (sender, reply) = oneshot::channel();
    let read = async {
        match reply.await.ok() {
            Some(Reply::Http(response)) => {
                let (parts, body) = response.into_parts();
                let body = body.collect().await.map(|body| body.to_bytes());
                (Some(Reply::Http(http::Response::from_parts(parts, empty()))), body)
            }
            reply => (reply, Ok(Bytes::new())),
        }
    };
    let (outcome, (reply, body)) = tokio::join!(sandbox.run(invocation, sender), read);
    Ran {
        outcome,
        reply,
        body,
        world,
    }
}

async fn run_with(version: &Version, settings: Settings, event: Event) -> Ran {
    let world = Arc::new(World::default());
    let mut sandbox = engine().open(version).expect("a sandbox");
    run_in(&mut sandbox, invocation(settings, event, &world), world).await
}

async fn run(version: &Version, event: Event) -> Ran {
    run_with(version, settings(), event).await
}

fn http(method: &str, target: &str, body: Body) -> Event {
    let request = http::Request::builder()
        .method(method)
        .uri(target)
        .header("host", "api.localhost:3680");
    Event::Http(HttpEvent {
        request: request.body(body).expect("a request"),
        peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
        route_key: "GET /things/{id}".into(),
        path_parameters: vec![("id".into(), "7".into())],
    })
}

fn get(target: &str) -> Event {
    http("GET", target, empty())
}

fn post(target: &str, body: &str) -> Event {
    http("POST", target, full(body.to_owned()))
}

fn message(id: &str, body: &str) -> InMessage {
    InMessage {
        id: id.into(),
        receipt: format!("receipt-{id}"),
        body: Bytes::from(body.to_owned()),
        content_type: None,
        attributes: BTreeMap::new(),
        sent_at: NOON,
        first_received_at: NOON,
        receive_count: 1,
        group: None,
    }
}

fn batch(messages: Vec<InMessage>) -> Event {
    Event::Batch(Batch {
        source: BatchSource::Queue("orders".into()),
        messages,
    })
}

fn cron() -> Event {
    Event::Scheduled(Scheduled {
        name: "report".into(),
        schedule: "0 8 * * *".into(),
        scheduled_at: NOON,
    })
}

#[tokio::test]
async fn the_hello_component_greets_and_gives_a_body_back() {
    let hello = try_load(&root().join("examples/hello-component/hello.wasm"))
        .await
        .unwrap();
    let (status, headers, text) = run(&hello, get("/hello?name=Ada")).await.response();
    assert_eq!((status, text.as_str()), (200, "Hello, Ada!\n"));
    assert_eq!(headers["content-type"], "text/plain; charset=utf-8");
    let long = "0123456789".repeat(20_000);
    assert_eq!(run(&hello, post("/hello", &long)).await.text(), long);
}

#[tokio::test]
async fn a_component_of_the_next_http_streams_and_may_fail() {
    let hello = fixture("hello3.wasm").await;
    let (status, headers, text) = run(&hello, get("/there")).await.response();
    assert_eq!((status, text.as_str()), (200, "Hello from /there\n"));
    assert_eq!(headers["content-type"], "text/plain");
    let (kind, message) = run(&hello, get("/fail")).await.failure();
    assert_eq!(kind, FailureKind::BadResponse);
    assert!(message.contains("as asked"), "{message}");
    let ran = run(&hello, batch(vec![message_of("a")])).await;
    assert!(matches!(ran.reply, Some(Reply::Batch(retry)) if retry.is_empty()));
    let world = Arc::new(World::default());
    let mut sandbox = engine().open(&hello).unwrap();
    for _ in 0..3 {
        let ran = run_in(
            &mut sandbox,
            invocation(settings(), get("/again"), &world),
            world.clone(),
        )
        .await;
        assert_eq!(ran.text(), "Hello from /again\n");
    }
}

fn message_of(id: &str) -> InMessage {
    message(id, "{}")
}

#[tokio::test]
async fn a_response_streams_while_the_guest_runs() {
    let probe = fixture("probe.wasm").await;
    let world = Arc::new(World::default());
    let mut sandbox = engine().open(&probe).unwrap();
    let (sender, reply) = oneshot::channel();
    let event = get("/stream?100");
    let running = sandbox.run(invocation(settings(), event, &world), sender);
    let reading = async {
        let Ok(Reply::Http(response)) = reply.await else {
            panic!("no response")
        };
        let mut body = response.into_body();
        let first = body
            .frame()
            .await
            .expect("a piece")
            .expect("no error")
            .into_data()
            .expect("data");
        assert_eq!(first, "piece 0\n");
        let rest = body.collect().await.expect("a whole body").to_bytes();
        assert!(rest.ends_with(b"piece 99\n"));
    };
    // The guest waits for its reader: 100 pieces fit in no buffer.
    let (outcome, ()) = tokio::join!(running, reading);
    outcome.result.unwrap();
}

#[tokio::test]
async fn a_guest_that_fails_in_the_middle_leaves_a_broken_body() {
    let probe = fixture("probe.wasm").await;
    let ran = run(&probe, get("/half")).await;
    assert_eq!(ran.failure().0, FailureKind::Trap);
    let error = ran.body.expect_err("no clean end");
    assert!(error.to_string().contains("before its answer was complete"), "{error}");
}

#[tokio::test]
async fn nothing_leaks_from_one_invocation_to_the_next() {
    let probe = fixture("probe.wasm").await;
    let count = fixture("count.wat").await;
    for _ in 0..3 {
        assert_eq!(
            run(&probe, get("/count")).await.text(),
            "1",
            "a component's globals are new"
        );
        assert_eq!(
            run(&count, Event::Json(Value::Null)).await.reply.map(json_of),
            Some(json!(11)),
            "so is memory"
        );
        assert_eq!(
            run(&probe, get("/files")).await.text(),
            "in /tmp; out: false",
            "and the scratch folder"
        );
    }
    let env = run(&probe, get("/env")).await.text();
    assert_eq!(
        env, r#"[("GREETING", "hello")] ["f", "--flag"]"#,
        "nothing of this process's environment"
    );
}

fn json_of(reply: Reply) -> Value {
    let Reply::Json(value) = reply else { panic!("no JSON") };
    value
}

#[tokio::test]
async fn a_kept_sandbox_keeps_its_globals_and_files_but_not_its_log() {
    let probe = fixture("probe.wasm").await;
    let mut sandbox = engine().open(&probe).unwrap();
    for expected in 1..4 {
        let world = Arc::new(World::default());
        let ran = run_in(
            &mut sandbox,
            invocation(settings(), get("/count"), &world),
            world.clone(),
        )
        .await;
        assert_eq!(
            ran.outcome.init.is_zero(),
            expected > 1,
            "only the first run instantiates"
        );
        assert_eq!(ran.text(), expected.to_string());
        let ran = run_in(&mut sandbox, invocation(settings(), get("/log"), &world), world.clone()).await;
        assert_eq!(ran.text(), "logged");
        assert_eq!(
            world.lines(),
            ["Stdout: to stdout", "Stderr: to stderr", "Stdout: unfinished"]
        );
    }
    let world = Arc::new(World::default());
    let first = run_in(
        &mut sandbox,
        invocation(settings(), get("/files"), &world),
        world.clone(),
    )
    .await;
    assert_eq!(first.text(), "in /tmp; out: false");
    let second = run_in(
        &mut sandbox,
        invocation(settings(), get("/files"), &world),
        world.clone(),
    )
    .await;
    assert_eq!(second.text(), "left-over, in /tmp; out: false");
    let panicked = run_in(
        &mut sandbox,
        invocation(settings(), get("/panic"), &world),
        world.clone(),
    )
    .await;
    assert_eq!(panicked.failure().0, FailureKind::Trap);
    let fresh = run_in(&mut sandbox, invocation(settings(), get("/count"), &world), world).await;
    assert_eq!(fresh.text(), "1", "a failed guest is not used again");
}

#[tokio::test]
async fn randomness_and_time_come_from_the_invocation() {
    let probe = fixture("probe.wasm").await;
    let first = run(&probe, get("/random")).await.text();
    assert_eq!(run(&probe, get("/random")).await.text(), first, "the same seed");
    let world = Arc::new(World::default());
    let other = Invocation {
        seed: 8,
        ..invocation(settings(), get("/random"), &world)
    };
    let mut sandbox = engine().open(&probe).unwrap();
    assert_ne!(run_in(&mut sandbox, other, world).await.text(), first, "another seed");
    let clock: f64 = run(&probe, get("/clock")).await.text().parse().unwrap();
    assert!((1_800_000_000.0..1_800_000_010.0).contains(&clock), "{clock}");
}

#[tokio::test]
async fn a_guest_that_never_ends_is_stopped_and_others_go_on() {
    let versions = [
        fixture("loop.wat").await,
        fixture("probe.wasm").await,
        fixture("endless-output.wat").await,
    ];
    let short = Settings {
        timeout: Duration::from_millis(150),
        ..settings()
    };
    let events = [Event::Json(Value::Null), get("/spin"), Event::Json(Value::Null)];
    for (version, event) in versions.iter().zip(events) {
        let started = Instant::now();
        // On the one thread of this test's runtime: the neighbour runs only if the loop yields.
        let neighbour = async {
            tokio::task::yield_now().await;
            run(&versions[1], get("/count")).await.text()
        };
        let (ran, neighbour) = tokio::join!(run_with(version, short.clone(), event), neighbour);
        assert_eq!(ran.failure(), (FailureKind::Timeout, "timed out after 0.15 s".into()));
        assert!(started.elapsed() < Duration::from_secs(10));
        assert!(ran.outcome.fuel > 100_000, "{}", ran.outcome.fuel);
        assert_eq!(neighbour, "1");
    }
}

#[tokio::test]
async fn output_is_bounded_and_what_is_left_out_is_counted() {
    let endless = fixture("endless-output.wat").await;
    let short = Settings {
        timeout: Duration::from_millis(200),
        log_bytes_max: 100,
        ..settings()
    };
    let ran = run_with(&endless, short, Event::Json(Value::Null)).await;
    assert_eq!(ran.world.lines(), vec!["Stderr: all work and no play"; 4]);
    assert!(
        ran.outcome.log_bytes_dropped > 1_000,
        "{}",
        ran.outcome.log_bytes_dropped
    );
}

#[tokio::test]
async fn memory_ends_the_invocation_even_if_the_guest_does_not_mind() {
    let bomb = fixture("memory-bomb.wat").await;
    let ran = run(&bomb, Event::Json(Value::Null)).await;
    let (kind, message) = ran.failure();
    assert_eq!(kind, FailureKind::OutOfMemory);
    assert!(message.contains("memory = \"64MB\""), "{message}");
    assert!(
        (48 << 20..=64 << 20).contains(&ran.outcome.memory_bytes_max),
        "{}",
        ran.outcome.memory_bytes_max
    );

    let probe = fixture("probe.wasm").await;
    assert_eq!(run(&probe, get("/hoard")).await.failure().0, FailureKind::OutOfMemory);
    let tiny = Settings {
        memory_bytes: 64 << 10,
        ..settings()
    };
    let ran = run_with(&probe, tiny, get("/count")).await;
    assert_eq!(
        ran.failure().0,
        FailureKind::OutOfMemory,
        "what the guest starts with counts too"
    );
}

#[tokio::test]
async fn recursion_ends_in_a_trap() {
    let recursion = fixture("recursion.wat").await;
    let (kind, message) = run(&recursion, Event::Json(Value::Null)).await.failure();
    assert_eq!(kind, FailureKind::Trap);
    assert!(message.contains("call stack exhausted"), "{message}");
}

#[tokio::test]
async fn huge_requests_to_the_host_are_refused() {
    let probe = fixture("probe.wasm").await;
    let (_, message) = run(&probe, get("/random-flood")).await.failure();
    assert!(message.contains("random bytes at once"), "{message}");
}

#[tokio::test]
async fn a_trap_shows_names_and_lines() {
    let trap = fixture("trap.wat").await;
    let ran = run(&trap, Event::Json(Value::Null)).await;
    let failure = ran.outcome.result.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Trap);
    assert!(failure.message.contains("unreachable"), "{}", failure.message);
    let stack = failure.stack.join("\n");
    assert!(stack.starts_with("inner"), "{stack}");
    assert!(stack.contains("trap.wat:4") && stack.contains("outer"), "{stack}");

    let probe = fixture("probe.wasm").await;
    let ran = run(&probe, get("/panic")).await;
    let stack = ran.outcome.result.unwrap_err().stack.join("\n");
    assert!(stack.starts_with("answer\n"), "user frames first: {stack}");
    assert!(stack.contains("probe/src/lib.rs:"), "{stack}");
}

#[tokio::test]
async fn a_command_that_fails_says_its_status_and_why() {
    let ran = run(&fixture("exit.wat").await, Event::Json(Value::Null)).await;
    assert_eq!(ran.failure(), (FailureKind::Exit, "exit status 3".into()));
    assert_eq!(ran.world.lines(), ["Stderr: no paper left", "Stderr: please refill"]);
}

#[tokio::test]
async fn a_command_reads_http_as_api_gateway_does_and_may_answer_so() {
    let echo = fixture("echo.wat").await;
    let (status, headers, text) = run(&echo, post("/things/7?a=1&a=2&b=x%20y", "{}")).await.response();
    assert_eq!(
        (status, &headers["content-type"]),
        (200, &"application/json".parse().unwrap())
    );
    let event: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(event["version"], "2.0");
    assert_eq!(event["routeKey"], "GET /things/{id}");
    assert_eq!(event["rawPath"], "/things/7");
    assert_eq!(event["rawQueryString"], "a=1&a=2&b=x%20y");
    assert_eq!(event["queryStringParameters"], json!({"a": "1,2", "b": "x y"}));
    assert_eq!(event["pathParameters"], json!({"id": "7"}));
    assert_eq!(event["requestContext"]["http"]["method"], "POST");
    assert_eq!(event["requestContext"]["http"]["sourceIp"], "127.0.0.1");
    assert_eq!(event["requestContext"]["timeEpoch"], json!(NOON.as_millis()));
    assert_eq!(
        (&event["body"], &event["isBase64Encoded"]),
        (&json!("{}"), &json!(false))
    );

    let (status, headers, text) = run(&fixture("answer.wat").await, get("/")).await.response();
    assert_eq!(
        (status, text.as_str(), headers["x-pot"].to_str().unwrap()),
        (418, "short", "tea")
    );
    let cookies: Vec<_> = headers.get_all("set-cookie").iter().collect();
    assert_eq!(cookies, ["a=1", "b=2"]);
}

#[tokio::test]
async fn a_command_gets_crons_and_batches_as_lambda_does() {
    let echo = fixture("echo.wat").await;
    let ran = run(&echo, cron()).await;
    ran.outcome.result.unwrap();
    assert!(matches!(ran.reply, Some(Reply::Done)));
    let ran = run(&echo, batch(vec![message("a", "one"), message("b", "two")])).await;
    assert!(matches!(ran.reply, Some(Reply::Batch(retry)) if retry.is_empty()));
    // What it would answer on partial failure, handed through as JSON.
    let event = json!({"batchItemFailures": []});
    assert_eq!(
        run(&echo, Event::Json(event.clone())).await.reply.map(json_of),
        Some(event)
    );
}

#[tokio::test]
async fn a_component_gets_other_events_as_cloud_events() {
    let probe = fixture("probe.wasm").await;
    let ran = run(&probe, cron()).await;
    ran.outcome.result.unwrap();
    assert!(matches!(ran.reply, Some(Reply::Done)));
    let ran = run(&probe, Event::Json(json!({"a": 1}))).await;
    assert_eq!(ran.reply.map(json_of), Some(json!({"a": 1})));
    let ran = run(&probe, batch(vec![message("a", r#"{"n":1}"#)])).await;
    assert!(matches!(ran.reply, Some(Reply::Batch(retry)) if retry.is_empty()));
    let ran = run(&probe, batch(vec![message("a", "please fail")])).await;
    let (kind, text) = ran.failure();
    assert_eq!(kind, FailureKind::Error);
    assert!(text.contains("500") && text.contains("failing as asked"), "{text}");
    assert!(ran.reply.is_none());
}

#[tokio::test]
async fn a_component_that_gives_no_response_is_told_so() {
    let probe = fixture("probe.wasm").await;
    let (kind, message) = run(&probe, get("/silent")).await.failure();
    assert_eq!(kind, FailureKind::BadResponse);
    assert!(message.contains("without giving a response"), "{message}");
}

#[tokio::test]
async fn outbound_calls_go_only_where_allow_hosts_says() {
    let probe = fixture("probe.wasm").await;
    let ran = run(&probe, get("/fetch?https://example.com/x")).await;
    let world = ran.world.clone();
    let text = ran.text();
    assert!(text.contains("allow_hosts = [\\\"example.com\\\"]"), "{text}");
    assert!(
        world.lines()[0].starts_with("Warn: example.com is not in `allow_hosts`"),
        "{:?}",
        world.lines()
    );

    // A server on this machine: the name alone does not open it, name and port do.
    let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = server.local_addr().unwrap().port();
    let serve = async {
        let (stream, _) = server.accept().await.unwrap();
        let service = hyper::service::service_fn(|request: http::Request<hyper::body::Incoming>| async move {
            let host = request.headers()["host"].to_str().unwrap().to_owned();
            Ok::<_, std::convert::Infallible>(http::Response::new(full(format!("{} from {host}", request.uri()))))
        });
        let io = hyper_util::rt::TokioIo::new(stream);
        let _ = hyper::server::conn::http1::Builder::new()
            .serve_connection(io, service)
            .await;
    };
    let url = format!("/fetch?http://127.0.0.1:{port}/a?b");
    for allowed in ["*", "127.0.0.1"] {
        let some = Settings {
            allow_hosts: vec![allowed.into()],
            ..settings()
        };
        let text = run_with(&probe, some, get(&url)).await.text();
        assert!(text.contains("private network"), "{allowed}: {text}");
    }
    let named = Settings {
        allow_hosts: vec![format!("127.0.0.1:{port}")],
        ..settings()
    };
    let (ran, ()) = tokio::join!(run_with(&probe, named, get(&url)), serve);
    assert_eq!(ran.text(), format!("200 /a?b from 127.0.0.1:{port}"));
}

fn bound() -> Settings {
    let bind = [
        ("ORDERS", BindTarget::Queue("orders-queue".into())),
        ("NEWS", BindTarget::Topic("news".into())),
        ("BILLING", BindTarget::Function("billing".into())),
    ];
    Settings {
        bind: bind
            .into_iter()
            .map(|(name, target)| (name.to_owned(), target))
            .collect(),
        ..settings()
    }
}

#[tokio::test]
async fn internal_hosts_reach_queues_topics_and_functions() {
    let probe = fixture("probe.wasm").await;
    for host in [
        "orders.queue.internal",
        "ORDERS-queue.queue.internal",
        "news.topic.internal",
    ] {
        let ran = run_with(&probe, bound(), post(&format!("/fetch?http://{host}/"), "{\"n\":1}")).await;
        let world = ran.world.clone();
        assert_eq!(ran.text(), r#"202 {"ids":["m0"]}"#, "{host}");
        let sent = world.sent.lock().unwrap();
        let to = if host.contains("topic") {
            "topic news"
        } else {
            "queue orders-queue"
        };
        assert_eq!((sent[0].0.as_str(), &sent[0].1.body[..]), (to, &b"{\"n\":1}"[..]));
    }
    let ran = run_with(
        &probe,
        bound(),
        post("/fetch?http://billing.function.internal/pay", "5"),
    )
    .await;
    assert_eq!(ran.text(), "200 billing got /pay with 5");
    let text = run_with(&probe, bound(), get("/fetch?http://stock.queue.internal/"))
        .await
        .text();
    assert!(text.contains("bind = { STOCK = \\\"queue:stock\\\" }"), "{text}");
    let text = run_with(&probe, bound(), get("/fetch?http://orders.queue.internal/"))
        .await
        .text();
    assert!(text.starts_with("405"), "{text}");
}

#[tokio::test]
async fn a_flood_of_calls_ends_at_its_bound() {
    let probe = fixture("probe.wasm").await;
    let text = run_with(&probe, bound(), get("/flood?http://orders.queue.internal/"))
        .await
        .text();
    assert_eq!(text, "1000 ErrorCode::ConnectionLimitReached");
}

#[tokio::test]
async fn broken_files_are_load_errors_with_a_place_and_a_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let load = async |name: &str, content: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        try_load(&path).await.expect_err("it does not load")
    };
    let error = load("typo.wat", b"(module\n  (func (export \"_start\")\n    (i32.cost 1)))").await;
    let place = error.place.as_ref().expect("a place");
    assert_eq!((place.file.as_str(), place.line, place.column), ("typo.wat", 3, 6));
    assert!(error.detail.unwrap().contains("^"));
    assert_eq!(error.watch, [dir.path().join("typo.wat")]);

    let error = load(
        "invalid.wat",
        b"(module (memory (export \"memory\") 1) (func (export \"_start\") i32.const 1))",
    )
    .await;
    assert!(error.message.contains("invalid.wat"), "{}", error.message);
    let error = load("library.wat", b"(module (func (export \"add\") (param i32)))").await;
    assert!(
        error.message.contains("_start") || error.message.contains("exports"),
        "{}",
        error.message
    );
    let error = load("empty-component.wat", b"(component)").await;
    assert!(
        error.message.contains("exports nothing") && error.message.contains("wasi:cli/run"),
        "{}",
        error.message
    );
    let error = load(
        "stranger.wat",
        b"(component (import \"acme:db/sql\" (instance (export \"q\" (func)))))",
    )
    .await;
    assert!(error.message.contains("acme:db/sql"), "{}", error.message);
    let error = load("garbage.wasm", b"\0asm\x01\0\0\0garbage").await;
    assert!(error.message.contains("garbage.wasm"), "{}", error.message);
    let error = load("text.wasm", b"\xff\xfe\0\0").await;
    assert!(
        error.message.contains("neither WebAssembly nor its text form"),
        "{}",
        error.message
    );
    let error = load("main.py", b"print(1)").await;
    assert!(error.message.contains(".wat files"), "{}", error.message);
}

#[tokio::test]
async fn messages_in_flight_share_one_engine() {
    let probe = fixture("probe.wasm").await;
    let runs = (0..50).map(|_| run(&probe, get("/count")));
    for ran in futures::future::join_all(runs).await {
        assert_eq!(ran.text(), "1");
    }
}
