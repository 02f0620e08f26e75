//! The host of a bundle: what the JavaScript runtime may call, by the same files as emu does it, on `wasi:http`, `wasi:clocks`,
//! `wasi:random` and `wasi:cli`. One invocation at a time, which the front sees to.

use std::cell::RefCell;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

mod bodies;
mod fetch;
mod sources;

#[path = "../../../../src/engine/host/allow.rs"]
mod allow;
#[path = "../../../../src/engine/js/crypto/mod.rs"]
mod crypto;
#[cfg(feature = "intl")]
#[path = "../../../../src/engine/js/intl/mod.rs"]
mod intl;
#[path = "../../../../src/engine/js/pattern.rs"]
mod pattern;
#[path = "../../../../src/engine/js/text.rs"]
mod text;
#[path = "../../../../src/engine/js/tools.rs"]
mod tools;
#[path = "../../../../src/engine/js/zip.rs"]
mod zip;

wit_bindgen::generate!({ path: "../wit", world: "host", std_feature });

use bodies::{Bodies, End, Slot};
use exports::emu::js::host;
use exports::emu::shell::invocation;
use exports::local::init::module_loader;
use invocation::{Body, Context, Event, Reply, Response};
use sources::Sources;
use zip::Zips;

/// `crypto.getRandomValues` fills no more at once, by its specification.
const RANDOM_BYTES_MAX: u32 = 65_536;

struct Host;
export!(Host);

/// One invocation; the sources stay.
#[derive(Default)]
pub struct State {
    sources: Option<Sources>,
    bodies: Bodies,
    zips: Zips,
    started_ns: u64,
    answer: Answer,
}

/// The response on its way to `answer`.
#[derive(Default)]
enum Answer {
    #[default]
    None,
    Wanted(futures::channel::oneshot::Sender<Result<Response, String>>),
    There(Result<Response, String>),
    Given,
}

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

/// The state, for as long as nothing waits.
pub fn with<T>(f: impl FnOnce(&mut State) -> T) -> T {
    STATE.with_borrow_mut(f)
}

fn with_sources<T>(f: impl FnOnce(&Sources) -> T) -> T {
    with(|state| f(state.sources.get_or_insert_with(Sources::read)))
}

impl State {
    /// The first answer counts.
    fn give(&mut self, response: Result<Response, String>) {
        self.answer = match std::mem::take(&mut self.answer) {
            Answer::None => Answer::There(response),
            Answer::Wanted(sender) => {
                // The client may have gone.
                let _ = sender.send(response);
                Answer::Given
            }
            other => other,
        };
    }
}

fn now_ns() -> u64 {
    wasip3::clocks::monotonic_clock::now()
}

impl module_loader::Guest for Host {
    fn resolve(referrer: String, specifier: String) -> Result<String, String> {
        with_sources(|sources| sources.resolve(&referrer, &specifier))
    }

    fn load(path: String) -> Result<String, String> {
        with_sources(|sources| sources.code(&path))
    }
}

impl invocation::Guest for Host {
    async fn begin(
        request: String,
        body: Option<wit_bindgen::StreamReader<u8>>,
    ) -> (Context, Event) {
        let random = wasip3::random::random::get_random_bytes(24);
        let half = |at: usize| u32::from_le_bytes([random[at], random[at + 1], random[at + 2], random[at + 3]]);
        let id = uuid(&random[8..24]);
        let (entry, settings, is_lambda) = with(|state| {
            state.bodies = Bodies::default();
            state.zips = Zips::default();
            state.started_ns = now_ns();
            state.answer = Answer::None;
            let sources = state.sources.get_or_insert_with(Sources::read);
            (sources.entry.clone(), sources.settings.clone(), sources.is_lambda)
        });
        let event = if is_lambda {
            let body = match body {
                Some(body) => bodies::collect(body).await,
                None => Vec::new(),
            };
            Event::Gateway(with_sources(|sources| sources.gateway(&request, &body, &id)))
        } else {
            let handle = body.map(|body| with(|state| state.bodies.insert(Slot::Arriving(body))));
            let body = match handle {
                Some(Ok(handle)) => Body::Handle(handle),
                // No invocation begins with a thousand bodies.
                Some(Err(_)) | None => Body::None,
            };
            Event::Http((sources::parsed(request), body))
        };
        let context = Context {
            entry,
            settings,
            id,
            seed_low: half(0),
            seed_high: half(4),
            remaining_ms: with_sources(|sources| sources.timeout_ms),
        };
        (context, event)
    }

    async fn answer() -> Result<Response, String> {
        let waiting = with(|state| match std::mem::take(&mut state.answer) {
            Answer::There(response) => {
                state.answer = Answer::Given;
                Ok(response)
            }
            _ => {
                let (sender, receiver) = futures::channel::oneshot::channel();
                state.answer = Answer::Wanted(sender);
                Err(receiver)
            }
        });
        match waiting {
            Ok(response) => response,
            Err(receiver) => receiver.await.unwrap_or_else(|_| Err("the function gave no answer".to_owned())),
        }
    }

    async fn end(reply: Reply) {
        match reply {
            Reply::Http((head, _)) if head.is_empty() => {}
            Reply::Http((head, body)) => {
                let response = response(head, body);
                with(|state| state.give(response));
            }
            Reply::Json(_) => with(|state| state.give(Err("the function gave no HTTP answer".to_owned()))),
            Reply::Failed(thrown) => {
                let told = sources::told(&thrown);
                log(3, &told);
                let response = Response {
                    head: "500 Internal Server Error\ncontent-type: text/plain;charset=utf-8".to_owned(),
                    whole: format!("the function failed: {}\n", told.lines().next().unwrap_or_default()).into_bytes(),
                    body: None,
                };
                with(|state| state.give(Ok(response)));
            }
        }
        let leaving = with(|state| std::mem::take(&mut state.bodies));
        for end in leaving.ends() {
            end_body(end, Err("the function ended before its body did".to_owned()));
        }
    }
}

/// A response whose body is there, or arrives from elsewhere.
fn response(head: String, body: Body) -> Result<Response, String> {
    let whole = |bytes: Vec<u8>| Response {
        head: head.clone(),
        whole: bytes,
        body: None,
    };
    Ok(match body {
        Body::None => whole(Vec::new()),
        Body::Text(text) => whole(text.into_bytes()),
        Body::Bytes(bytes) => whole(bytes),
        Body::Base64(text) => {
            let bytes = BASE64.decode(text);
            whole(bytes.map_err(|error| format!("the body is not base64: {error}"))?)
        }
        Body::Handle(handle) => {
            let body = with(|state| state.bodies.take(handle))?;
            let (end, ended) = wit_future::new(|| Ok(()));
            end_body(end, Ok(()));
            Response {
                head,
                whole: Vec::new(),
                body: Some((body, ended)),
            }
        }
    })
}

fn end_body(end: End, how: Result<(), String>) {
    wit_bindgen::spawn_local(async move {
        // Who reads it may have gone.
        let _ = end.write(how).await;
    });
}

fn log(level: u8, text: &str) {
    let stream = match level {
        0 | 1 => wasip2::cli::stdout::get_stdout(),
        _ => wasip2::cli::stderr::get_stderr(),
    };
    for piece in format!("{text}\n").as_bytes().chunks(4096) {
        // A log that nobody takes is no failure.
        let _ = stream.blocking_write_and_flush(piece);
    }
}

/// A UUID of version 4.
fn uuid(random: &[u8]) -> String {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&random[..16]);
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

fn seed() -> [u8; 32] {
    let mut seed = [0; 32];
    seed.copy_from_slice(&wasip3::random::random::get_random_bytes(32)[..32]);
    seed
}

impl host::Guest for Host {
    fn log(level: u8, text: String) {
        log(level, &text);
    }

    fn entered() {}

    fn elapsed_ms() -> f64 {
        (now_ns() - with(|state| state.started_ns)) as f64 / 1e6
    }

    fn random(len: u32) -> Vec<u8> {
        wasip3::random::random::get_random_bytes(len.min(RANDOM_BYTES_MAX).into())
    }

    fn url_parse(input: String, base: Option<String>) -> Option<String> {
        text::parse_url(&input, base.as_deref())
    }

    fn url_set(href: String, part: String, value: String) -> Option<String> {
        text::set_url_part(&href, &part, &value)
    }

    fn encode(text: String) -> Vec<u8> {
        text.into_bytes()
    }

    fn encoding(label: String) -> Option<String> {
        text::encoding_name(&label).map(Into::into)
    }

    fn decode(encoding: String, bytes: Vec<u8>, fatal: bool, keep_bom: bool) -> Option<String> {
        text::decode(&encoding, &bytes, fatal, keep_bom)
    }

    async fn compute(op: String, params: String, inputs: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>, String> {
        crypto::Work::read(&op, &params, &inputs)?.run(&op, &inputs, seed())
    }

    fn tool(op: String, text: String, bytes: Vec<u8>) -> Result<(String, Vec<u8>), String> {
        with(|state| tools::run(&mut state.zips, &mut 0, &op, &text, &bytes))
    }

    fn compute_now(op: String, params: String, inputs: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>, String> {
        crypto::Work::read(&op, &params, &inputs)?.run_now(&op, &inputs, seed())
    }

    #[cfg(feature = "intl")]
    fn intl(op: String, locale: String, options: String, value: String) -> Result<String, String> {
        intl::run(&op, &locale, &options, &value)
    }

    #[cfg(not(feature = "intl"))]
    fn intl(_: String, _: String, _: String, _: String) -> Result<String, String> {
        Err("NotSupportedError: this bundle has no Intl, since no file of it mentions Intl or a toLocale method: bundle with --intl".to_owned())
    }

    async fn sleep(ms: f64) {
        let ns = if ms > 0.0 { (ms * 1e6).min(1e17) as u64 } else { 0 };
        wasip3::clocks::monotonic_clock::wait_for(ns).await;
    }

    async fn fetch(
        head: String,
        body: Option<Vec<u8>>,
        sink: Option<u32>,
        binding: Option<String>,
    ) -> Result<(String, u32), String> {
        match binding {
            Some(name) => Err(absent(&name)),
            None => fetch::fetch(&head, body, sink).await,
        }
    }

    fn pipe() -> u32 {
        // Handle 0 is none: whatever is done with it says so.
        with(|state| state.bodies.pipe()).unwrap_or(0)
    }

    async fn read(handle: u32) -> Result<Option<Vec<u8>>, String> {
        bodies::read(handle).await
    }

    async fn write(handle: u32, chunk: Vec<u8>) -> Result<(), String> {
        bodies::write(handle, chunk).await
    }

    fn close(handle: u32, error: Option<String>) {
        if let Some((end, how)) = with(|state| state.bodies.close(handle, error)) {
            end_body(end, how);
        }
    }

    fn respond(head: String) -> u32 {
        let (writer, reader) = wit_stream::new();
        let (end, ended) = wit_future::new(|| Ok(()));
        let response = Response {
            head,
            whole: Vec::new(),
            body: Some((reader, ended)),
        };
        with(|state| {
            state.give(Ok(response));
            state.bodies.insert(Slot::Leaving(writer, Some(end))).unwrap_or(0)
        })
    }

    async fn call_binding(name: String, _: String, _: String) -> Result<String, String> {
        Err(absent(&name))
    }
}

/// A queue, topic, store or function is the emulator's, or the provider's.
fn absent(name: &str) -> String {
    format!("env.{name} is a binding of emu.toml, which a bundle has none of: run the function by emu dev, or call a service by fetch")
}
