//! A project in a temporary folder, and one invocation after the other.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http_body_util::{BodyExt, Full};
use serde_json::Value;

use crate::engine::compile::CompileIn;
use crate::engine::{
    BindTarget, Body, Engine, EngineOptions, Event, Host, HostError, HttpEvent, Invocation, KeyValue, LoadError,
    LogSink, OutMessage, Outcome, Reply, Settings, Source, Stream, Version,
};
use crate::platform::time::Time;

/// One for all tests of the process: the runtime is compiled once.
fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| {
        Engine::new(EngineOptions {
            compile_in: CompileIn::Process,
            cache_dir: None,
            images: true,
        })
        .expect("an engine")
    })
}

/// Files, settings, and what the outside saw.
pub struct Project {
    folder: PathBuf,
    /// Removed with the project.
    _temporary: Option<tempfile::TempDir>,
    pub settings: Settings,
    pub world: Arc<World>,
    pub seed: u64,
}

#[derive(Default)]
pub struct World {
    pub lines: Mutex<Vec<String>>,
    pub sent: Mutex<Vec<(String, OutMessage)>>,
}

impl LogSink for World {
    fn line(&self, stream: Stream, text: &str) {
        self.lines.lock().expect("no panic").push(format!("{stream:?} {text}"));
    }
}

impl Host for World {
    fn send(&self, queue: String, messages: Vec<OutMessage>) -> BoxFuture<'static, Result<Vec<String>, HostError>> {
        if queue == "full" {
            let error = HostError {
                code: "queue-full",
                message: "the queue is full".to_owned(),
            };
            return Box::pin(async { Err(error) });
        }
        let mut sent = self.sent.lock().expect("no panic");
        let first = sent.len();
        sent.extend(messages.into_iter().map(|message| (queue.clone(), message)));
        let ids = (first..sent.len()).map(|index| format!("id-{index}")).collect();
        Box::pin(async { Ok(ids) })
    }

    fn publish(&self, topic: String, messages: Vec<OutMessage>) -> BoxFuture<'static, Result<Vec<String>, HostError>> {
        self.send(format!("topic {topic}"), messages)
    }

    /// Answers with what it was asked.
    fn call(
        &self,
        function: String,
        request: http::Request<Body>,
    ) -> BoxFuture<'static, Result<http::Response<Body>, HostError>> {
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.expect("a body").to_bytes();
            let text = format!(
                "{function} {} {} {}",
                parts.method,
                parts.uri,
                String::from_utf8_lossy(&body)
            );
            let body = Full::new(Bytes::from(text))
                .map_err(|never| match never {})
                .boxed_unsync();
            let response = http::Response::builder()
                .status(201)
                .header("x-from", "other")
                .body(body);
            Ok(response.expect("a response"))
        })
    }

    fn kv(&self, store: &str) -> Result<Arc<dyn KeyValue>, HostError> {
        Err(HostError {
            code: "kv-not-found",
            message: format!("no key-value store named {store}"),
        })
    }
}

pub fn text_body(text: &str) -> Body {
    Full::new(Bytes::copy_from_slice(text.as_bytes()))
        .map_err(|never| match never {})
        .boxed_unsync()
}

impl Project {
    /// `files`: path and contents; the first is the entry.
    pub fn new(files: &[(&str, &str)]) -> Project {
        let folder = tempfile::tempdir().expect("a folder");
        let mut project = Self::at(folder.path());
        project._temporary = Some(folder);
        for (name, text) in files {
            project.write(name, text);
        }
        project
    }

    /// A project that lies on disk.
    pub fn at(folder: &Path) -> Project {
        Project {
            folder: folder.to_owned(),
            _temporary: None,
            settings: Settings {
                function: "test".into(),
                memory_bytes: 128 << 20,
                timeout: Duration::from_secs(20),
                env: vec![("GREETING".to_owned(), "hello".to_owned())],
                bind: BTreeMap::from([
                    ("ORDERS".to_owned(), BindTarget::Queue("orders".to_owned())),
                    ("FULL".to_owned(), BindTarget::Queue("full".to_owned())),
                    ("NEWS".to_owned(), BindTarget::Topic("news".to_owned())),
                    ("OTHER".to_owned(), BindTarget::Function("other".to_owned())),
                ]),
                allow_hosts: Vec::new(),
                args: Vec::new(),
                payload_v1: false,
                body_bytes_max: 1 << 20,
                log_bytes_max: 1 << 20,
            },
            world: Arc::default(),
            seed: 7,
        }
    }

    pub fn root(&self) -> PathBuf {
        self.folder.canonicalize().expect("it is there")
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.folder.join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }

    pub fn source(&self, entry: &str) -> Source {
        Source {
            function: "test".to_owned(),
            project_root: self.root(),
            entry: self.root().join(entry),
            env: self.settings.env.iter().cloned().collect(),
        }
    }

    pub async fn load(&self, entry: &str) -> Result<Version, LoadError> {
        engine().load(&self.source(entry)).await.map(|loaded| loaded.version)
    }

    /// The same where it must load.
    pub async fn loaded(&self, entry: &str) -> Version {
        let version = self.load(entry).await;
        version.unwrap_or_else(|error| panic!("{entry}: {}", load_error(&error)))
    }

    pub fn invocation(&self, event: Event) -> Invocation {
        Invocation {
            id: "11111111-2222-4333-8444-555555555555".to_owned(),
            settings: Arc::new(self.settings.clone()),
            event,
            now: Time::from_millis(1_700_000_000_123),
            pace: None,
            seed: self.seed,
            host: self.world.clone(),
            log: self.world.clone(),
            cut: None,
        }
    }

    /// Waits for the bridges of the version's image; false: nobody has begun.
    pub async fn bridges_made(&self, version: &Version) -> bool {
        engine().bridges_made(version).await
    }

    /// Makes the version's image now.
    pub async fn image(&self, version: &Version) -> Result<(), String> {
        let invocation = self.invocation(Event::Json(Value::Null));
        engine().make_image(version, invocation.settings).await
    }

    /// Makes its image one in which every run traps.
    pub async fn spoil_image(&self, version: &Version) {
        engine().spoil_image(version).await;
    }

    /// Runs a fresh sandbox of the version.
    pub async fn invoke(&self, version: &Version, event: Event) -> (Outcome, Option<Reply>) {
        let mut sandbox = engine().open(version).expect("a sandbox");
        self.invoke_in(&mut sandbox, event).await
    }

    pub async fn invoke_in(&self, sandbox: &mut crate::engine::Sandbox, event: Event) -> (Outcome, Option<Reply>) {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        // The body of a reply streams while the guest runs.
        let collect = async {
            match receiver.await.ok()? {
                Reply::Http(response) => {
                    let (parts, body) = response.into_parts();
                    let body = match body.collect().await {
                        Ok(body) => String::from_utf8_lossy(&body.to_bytes()).into_owned(),
                        Err(error) => format!("<broken: {error}>"),
                    };
                    Some(Reply::Http(http::Response::from_parts(parts, text_body(&body))))
                }
                other => Some(other),
            }
        };
        tokio::join!(sandbox.run(self.invocation(event), sender), collect)
    }

    pub fn sandbox(&self, version: &Version) -> crate::engine::Sandbox {
        engine().open(version).expect("a sandbox")
    }

    pub fn lines(&self) -> Vec<String> {
        std::mem::take(&mut *self.world.lines.lock().expect("no panic"))
    }
}

/// A request for the handler.
pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: Body) -> Event {
    let mut request = http::Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost:3680");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Event::Http(HttpEvent {
        request: request.body(body).expect("a request"),
        peer: std::net::IpAddr::from([127, 0, 0, 1]),
        route_key: "$default".into(),
        path_parameters: Vec::new(),
    })
}

pub fn get(path: &str) -> Event {
    request(
        "GET",
        path,
        &[],
        Body::new(http_body_util::Empty::new().map_err(|never| match never {})),
    )
}

/// Status, the headers that are not usual, and the body; or how it failed.
pub async fn show((outcome, reply): (Outcome, Option<Reply>)) -> String {
    let mut out = String::new();
    match reply {
        Some(Reply::Http(response)) => {
            let (parts, body) = response.into_parts();
            let _ = write!(out, "{}", parts.status.as_u16());
            for (name, value) in &parts.headers {
                let _ = write!(out, " {name}: {};", String::from_utf8_lossy(value.as_bytes()));
            }
            let body = body.collect().await.expect("a body").to_bytes();
            let _ = write!(out, "\n{}", String::from_utf8_lossy(&body));
        }
        Some(Reply::Json(value)) => out.push_str(&value.to_string()),
        Some(Reply::Batch(retried)) => {
            let _ = write!(out, "retry {retried:?}");
        }
        Some(Reply::Done) => out.push_str("done"),
        None => out.push_str("no reply"),
    }
    if let Err(failure) = outcome.result {
        let _ = write!(out, "\n{:?}: {}", failure.kind, failure.message);
        for line in failure.stack {
            let _ = write!(out, "\n  {line}");
        }
    }
    out
}

/// Loads the one file, handles one GET, shows what came.
pub async fn serve(code: &str) -> String {
    let project = Project::new(&[("f.js", code)]);
    match project.load("f.js").await {
        Ok(version) => show(project.invoke(&version, get("/path?q=1")).await).await,
        Err(error) => load_error(&error),
    }
}

pub fn load_error(error: &LoadError) -> String {
    let place = error
        .place
        .as_ref()
        .map(|place| format!(" at {}:{}:{}", place.file, place.line, place.column));
    let detail = error.detail.as_ref().map(|detail| format!("\n{detail}"));
    format!(
        "error: {}{}{}",
        error.message,
        place.unwrap_or_default(),
        detail.unwrap_or_default()
    )
}

/// The body of a handler that answers with the JSON of an expression (which may await).
pub async fn evaluate(expression: &str) -> Value {
    let code = format!(
        "export default {{ async fetch(request, env, ctx) {{ return Response.json({expression} ?? null); }} }};"
    );
    let shown = serve(&code).await;
    let body = shown.split_once('\n').map_or("", |(_, body)| body);
    serde_json::from_str(body).unwrap_or_else(|_| panic!("{expression}: {shown}"))
}

/// Loads a file of the repository.
pub async fn load_path(root: &std::path::Path, entry: &std::path::Path) -> Result<Version, LoadError> {
    let source = Source {
        function: "example".to_owned(),
        project_root: root.canonicalize().expect("it is there"),
        entry: entry.canonicalize().expect("it is there"),
        env: BTreeMap::new(),
    };
    engine().load(&source).await.map(|loaded| loaded.version)
}
