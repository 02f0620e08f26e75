//! Starts the real binary in a copy of a project and talks to it as a user's tools would: over HTTP, by its event
//! stream, by its command line. Nothing sleeps; what a test waits for is an event, and a wait that ends without it
//! prints everything the emulator said.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tempfile::TempDir;
use warp::filters::BoxedFilter;

/// How long anything may take before the test fails. Far above what it needs: a loaded machine that compiles the
/// JavaScript runtime for the first time needs seconds.
const PATIENCE: Duration = Duration::from_secs(90);

static RUNTIME: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime")
});

/// A project in a temporary folder.
pub struct Project {
    dir: TempDir,
}

impl Project {
    /// A project made of these files.
    pub fn new(files: &[(&str, &str)]) -> Self {
        let project = Project {
            dir: TempDir::new().expect("a temporary folder"),
        };
        for (path, text) in files {
            project.write(path, text);
        }
        project
    }

    /// A copy of `examples/NAME`.
    pub fn example(name: &str) -> Self {
        let project = Project {
            dir: TempDir::new().expect("a temporary folder"),
        };
        copy(&repository().join("examples").join(name), project.path());
        project
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().expect("a file has a folder")).expect("create the folder");
        fs::write(path, text).expect("write the file");
    }

    /// As an editor saves a file: a new file, renamed over the old one.
    pub fn write_by_rename(&self, path: &str, text: &str) {
        let temporary = format!("{path}.tmp~");
        self.write(&temporary, text);
        fs::rename(self.path().join(temporary), self.path().join(path)).expect("rename the file");
    }

    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path().join(path)).expect("read the file")
    }

    /// Replaces text that must be there.
    pub fn edit(&self, path: &str, from: &str, to: &str) {
        let text = self.read(path);
        assert!(text.contains(from), "{path} does not contain {from:?}");
        self.write(path, &text.replace(from, to));
    }

    pub fn remove(&self, path: &str) {
        fs::remove_file(self.path().join(path)).expect("remove the file");
    }

    /// Runs an `emu` command in the project's folder to its end.
    pub fn emu<const N: usize>(&self, args: [&str; N]) -> Output {
        emu(self.path()).args(args).output().expect("run emu")
    }

    pub fn start(self) -> Emu {
        self.start_with(&[])
    }

    /// Starts `emu dev` with more arguments and waits until it is ready.
    pub fn start_with(self, args: &[&str]) -> Emu {
        let emu = self.spawn_with(args);
        emu.wait("ready", |_| true);
        emu
    }

    /// Starts `emu dev` without waiting for it.
    pub fn spawn_with(self, args: &[&str]) -> Emu {
        self.spawn(&["dev", "--json"], args, &[])
    }

    /// Starts `emu serve` and waits until it is ready.
    pub fn serve_with(self, args: &[&str]) -> Emu {
        self.serve_in(&[], args)
    }

    /// The same with variables in its environment.
    pub fn serve_in(self, env: &[(&str, &str)], args: &[&str]) -> Emu {
        let emu = self.spawn(&["serve", "--log-format", "json"], args, env);
        emu.wait("ready", |_| true);
        emu
    }

    fn spawn(self, how: &[&str], args: &[&str], env: &[(&str, &str)]) -> Emu {
        let mut command = emu(self.path());
        command.args(how).args(args).envs(env.iter().copied());
        for port in ["--port", "--control-port"] {
            if !args.contains(&port) {
                command.args([port, "0"]);
            }
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("start emu");
        let said = Arc::new(Said::default());
        let (out, err) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
        let (stdout, stderr) = (Arc::clone(&said), Arc::clone(&said));
        thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                stdout.record(&line);
            }
            stdout.end();
        });
        thread::spawn(move || {
            for line in BufReader::new(err).lines().map_while(Result::ok) {
                stderr.lock().stderr.push(line);
            }
        });
        Emu {
            child,
            project: self,
            said,
        }
    }
}

/// A running emulator; killed when dropped.
pub struct Emu {
    child: Child,
    pub project: Project,
    said: Arc<Said>,
}

impl Emu {
    pub fn example(name: &str) -> Self {
        Project::example(name).start()
    }

    pub fn functions_url(&self) -> String {
        self.url("functions_url")
    }

    pub fn control_url(&self) -> String {
        self.url("control_url")
    }

    fn url(&self, key: &str) -> String {
        let ready = self.wait("ready", |_| true);
        ready[key]
            .as_str()
            .unwrap_or_else(|| panic!("{key} in {ready}"))
            .trim_end_matches('/')
            .to_owned()
    }

    /// `127.0.0.1:PORT` of a URL, for raw connections.
    pub fn address(url: &str) -> String {
        url.strip_prefix("http://")
            .expect("an http URL")
            .trim_end_matches('/')
            .to_owned()
    }

    /// GET to the functions' port.
    pub fn get(&self, path: &str) -> Answer {
        self.request(Method::GET, path, &[], "")
    }

    /// POST of JSON to the functions' port.
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.request(
            Method::POST,
            path,
            &[("content-type", "application/json")],
            &body.to_string(),
        )
    }

    pub fn request(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        request(
            method,
            &format!("{}{path}", self.functions_url()),
            headers,
            body.to_owned(),
        )
    }

    /// GET to the control API, which must answer 200.
    pub fn control(&self, path: &str) -> Value {
        let answer = request(
            Method::GET,
            &format!("{}{path}", self.control_url()),
            &[],
            String::new(),
        );
        assert_eq!(answer.status, StatusCode::OK, "GET {path}: {}", answer.text());
        answer.json()
    }

    /// POST of JSON to the control API, whatever it answers.
    pub fn control_post(&self, path: &str, body: &Value) -> Answer {
        let url = format!("{}{path}", self.control_url());
        request(
            Method::POST,
            &url,
            &[("content-type", "application/json")],
            body.to_string(),
        )
    }

    /// The next place in the event stream: events before it are left out by [`Emu::wait_from`].
    pub fn mark(&self) -> usize {
        self.said.lock().events.len()
    }

    /// The first event of this name that fits, whether it came already or comes now.
    pub fn wait(&self, event: &str, fits: impl FnMut(&Value) -> bool) -> Value {
        self.wait_from(0, event, fits)
    }

    /// The first such event since the mark.
    pub fn wait_from(&self, mark: usize, event: &str, mut fits: impl FnMut(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        let mut next = mark;
        let mut said = self.said.lock();
        loop {
            while let Some(value) = said.events.get(next) {
                if value["event"] == event && fits(value) {
                    return value.clone();
                }
                next += 1;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if said.ended || left.is_zero() {
                let why = if said.ended {
                    "the emulator ended"
                } else {
                    "the patience ended"
                };
                panic!(
                    "no fitting `{event}` event since {mark} when {why}\n{}",
                    said.transcript()
                );
            }
            said = self
                .said
                .changed
                .wait_timeout(said, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// All events of this name so far that fit.
    pub fn events(&self, event: &str, mut fits: impl FnMut(&Value) -> bool) -> Vec<Value> {
        self.said
            .lock()
            .events
            .iter()
            .filter(|value| value["event"] == event && fits(value))
            .cloned()
            .collect()
    }

    /// Everything said so far, for a failing assertion.
    pub fn transcript(&self) -> String {
        self.said.lock().transcript()
    }

    /// Runs an `emu` command against this emulator to its end.
    pub fn command<const N: usize>(&self, args: [&str; N]) -> Output {
        self.project.emu(args)
    }

    /// Ends the process at once, as a crash or the power switch does to it; the project stays for another start.
    pub fn kill(mut self) -> Project {
        self.child.kill().expect("kill emu");
        self.child.wait().expect("emu's status");
        self.leave_project()
    }

    /// Ends it as container engines do; the project stays for another start.
    #[cfg(unix)]
    pub fn stop(mut self) -> Project {
        self.terminate();
        let project = self.leave_project();
        self.end();
        project
    }

    fn leave_project(&mut self) -> Project {
        let empty = Project {
            dir: TempDir::new().expect("a temporary folder"),
        };
        std::mem::replace(&mut self.project, empty)
    }

    /// As Ctrl-C does.
    #[cfg(unix)]
    pub fn interrupt(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("interrupt emu");
    }

    /// Stops it where it is, or lets it go on.
    #[cfg(unix)]
    pub fn pause(&self, stop: bool) {
        use rustix::process::Signal;
        let pid = rustix::process::Pid::from_child(&self.child);
        let signal = if stop { Signal::STOP } else { Signal::CONT };
        rustix::process::kill_process(pid, signal).expect("pause emu");
    }

    /// As container engines do.
    #[cfg(unix)]
    pub fn terminate(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("terminate emu");
    }

    /// Waits for the emulator's own end.
    pub fn end(mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        let mut said = self.said.lock();
        while !said.ended {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "emu did not end\n{}", said.transcript());
            said = self
                .said
                .changed
                .wait_timeout(said, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        drop(said);
        self.child.wait().expect("emu's status")
    }
}

impl Drop for Emu {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the emulator has said so far.
#[derive(Default)]
struct Said {
    lines: Mutex<Lines>,
    changed: Condvar,
}

#[derive(Default)]
struct Lines {
    events: Vec<Value>,
    stderr: Vec<String>,
    /// Standard output is closed.
    ended: bool,
}

impl Said {
    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, line: &str) {
        let event = serde_json::from_str(line).unwrap_or_else(|_| Value::String(format!("not JSON: {line}")));
        self.lock().events.push(event);
        self.changed.notify_all();
    }

    fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_all();
    }
}

impl Lines {
    fn transcript(&self) -> String {
        let mut text = String::from("--- events\n");
        for event in &self.events {
            let _ = writeln!(text, "{event}");
        }
        text.push_str("--- stderr\n");
        for line in &self.stderr {
            let _ = writeln!(text, "{line}");
        }
        text
    }
}

/// An HTTP answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {:?}", self.text()))
    }

    /// A header's value, empty when it is absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }
}

/// One request with a client of its own, so that no connection outlives it.
pub fn request(method: Method, url: &str, headers: &[(&str, &str)], body: String) -> Answer {
    try_request(method, url, headers, body).unwrap_or_else(|error| panic!("{url}: {error}"))
}

/// [`request`], with an error where the other side is gone.
pub fn try_request(method: Method, url: &str, headers: &[(&str, &str)], body: String) -> Result<Answer, String> {
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(Bytes::from(body))).expect("a request");
    let exchange = async {
        let client: Client<HttpConnector, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
        let answer = client.request(request).await.map_err(|error| format!("{error:?}"))?;
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.map_err(|error| format!("{error:?}"))?.to_bytes();
        Ok(Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        })
    };
    RUNTIME.block_on(async {
        let answered = tokio::time::timeout(PATIENCE, exchange).await;
        answered.unwrap_or_else(|_| Err("no answer".to_owned()))
    })
}

/// Sends these bytes and reads until the other side closes, for requests that no client library would make.
pub fn raw(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("connect");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.write_all(request.as_bytes()).expect("write the request");
    let mut answer = Vec::new();
    // A reset after the answer is as good as an end.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// The `emu` program with an environment that holds nothing of the caller's emulators.
pub fn emu(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_emu"));
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| {
            name.starts_with("EMU_") || name.starts_with("OTEL_") || matches!(name, "CI" | "PORT" | "RUST_LOG")
        }) {
            command.env_remove(name);
        }
    }
    // Shared by all tests and kept between runs: the JavaScript runtime is compiled once.
    command.env("EMU_CACHE_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache"));
    command.env("NO_COLOR", "1").current_dir(dir);
    command
}

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap_or_else(|error| panic!("{}: {error}", from.display())) {
        let entry = entry.expect("a folder's entry");
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if matches!(entry.file_name().to_str(), Some(".emu" | "target" | "node_modules")) {
            continue;
        }
        if entry.file_type().expect("a file type").is_dir() {
            fs::create_dir_all(&to).expect("create a folder");
            copy(&from, &to);
        } else {
            fs::copy(&from, &to).expect("copy a file");
        }
    }
}

/// Serves on a free port of this machine until the runtime is dropped.
pub fn serve<T: warp::Reply + 'static>(routes: BoxedFilter<(T,)>) -> (SocketAddr, tokio::runtime::Runtime) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("threads");
    let address = runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(warp::serve(routes).incoming(listener).run());
        address
    });
    (address, runtime)
}
