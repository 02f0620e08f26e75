//! Talks to a running emulator's control API: plain HTTP, one connection a request.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use super::Global;
use super::failure::Failure;
use crate::live::api::{ErrorBody, REQUEST_BYTES_MAX, RunFile};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest answer that is read.
const BODY_BYTES_MAX: usize = 256 << 20;

/// A running emulator.
#[derive(Clone, Debug)]
pub struct Client {
    base: Url,
    token: Option<String>,
    /// The run file that named it, if one did.
    run_file: Option<(PathBuf, RunFile)>,
}

/// Finds the emulator: `--control-url` or `EMU_CONTROL_URL`, else `.emu/run.json` from the project (or the working
/// directory) upward.
///
/// # Errors
/// When nothing is named and no run file is there, or the URL is none that emu can talk to.
pub fn find(global: &Global) -> Result<Client, Failure> {
    match try_find(global)? {
        Some(client) => Ok(client),
        None => Err(Failure::new("no emulator runs for this folder")
            .remedy("start one with `emu dev`, or name one with --control-url or EMU_CONTROL_URL")),
    }
}

/// [`find`], with `None` when nothing runs.
///
/// # Errors
/// When the URL that is given is none that emu can talk to.
pub fn try_find(global: &Global) -> Result<Option<Client>, Failure> {
    if let Some(url) = &global.control_url {
        let base = parse_url(url)?;
        return Ok(Some(Client {
            base,
            token: global.control_token.clone(),
            run_file: None,
        }));
    }
    let from = match &global.project {
        Some(path) => path.clone(),
        None => std::env::current_dir()?,
    };
    let Some((path, run)) = run_file(&from) else {
        return Ok(None);
    };
    Ok(Some(Client {
        base: parse_url(&run.control_url)?,
        token: global.control_token.clone().or_else(|| run.token.clone()),
        run_file: Some((path, run)),
    }))
}

/// The nearest readable run file.
fn run_file(from: &Path) -> Option<(PathBuf, RunFile)> {
    let from = from.canonicalize().ok()?;
    from.ancestors().find_map(|folder| {
        let path = folder.join(".emu").join("run.json");
        let run = serde_json::from_slice(&std::fs::read(&path).ok()?).ok()?;
        Some((path, run))
    })
}

fn parse_url(text: &str) -> Result<Url, Failure> {
    let wrong = |why: &str| {
        Failure::usage(format!("the control URL {text:?} {why}")).remedy("give a URL such as http://127.0.0.1:3681")
    };
    let url = Url::parse(text).map_err(|error| wrong(&format!("is no URL: {error}")))?;
    match url.scheme() {
        "http" if url.host().is_some() => Ok(url),
        "http" => Err(wrong("names no host")),
        "https" => Err(wrong("is https, which the control API does not speak")),
        _ => Err(wrong("is not http")),
    }
}

impl Client {
    /// For an emulator in this process.
    ///
    /// # Errors
    /// When the URL is none.
    pub fn to(url: &str, token: Option<&str>) -> Result<Client, Failure> {
        Ok(Client {
            base: parse_url(url)?,
            token: token.map(str::to_owned),
            run_file: None,
        })
    }

    /// Whether something listens there.
    pub async fn answers(&self) -> bool {
        self.connect().await.is_ok()
    }

    /// GET of a path such as `["_emu", "queues", "orders"]`.
    ///
    /// # Errors
    /// When nothing answers, or what answers is an error.
    pub async fn get<T: DeserializeOwned>(&self, path: &[&str], query: &[(&str, &str)]) -> Result<T, Failure> {
        self.answer(self.send(Method::GET, path, query, Bytes::new()).await?)
            .await
    }

    /// POST of JSON.
    ///
    /// # Errors
    /// When nothing answers, or what answers is an error.
    pub async fn post<T: DeserializeOwned>(&self, path: &[&str], body: &impl Serialize) -> Result<T, Failure> {
        let body = serde_json::to_vec(body).map_err(|error| Failure::new(format!("not JSON: {error}")))?;
        self.answer(self.send(Method::POST, path, &[], Bytes::from(body)).await?)
            .await
    }

    /// The stream of `/_emu/events`, an event at a time.
    ///
    /// # Errors
    /// When nothing answers, or what answers is an error.
    pub async fn events(&self) -> Result<Events, Failure> {
        let response = self.send(Method::GET, &["_emu", "events"], &[], Bytes::new()).await?;
        if !response.status().is_success() {
            return Err(self
                .answer::<Value>(response)
                .await
                .err()
                .unwrap_or_else(|| Failure::new("no events")));
        }
        Ok(Events {
            body: response.into_body(),
            buffer: Vec::new(),
            cut_off: false,
        })
    }

    async fn send(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Bytes,
    ) -> Result<http::Response<Incoming>, Failure> {
        // The server would answer before it has read all of it, and close: the answer may be lost.
        if body.len() as u64 > REQUEST_BYTES_MAX {
            let message = format!("{} bytes are too much for one request: 16 MiB at the most", body.len());
            return Err(Failure::new(message).remedy("send less at once"));
        }
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.clear().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
        let host = &url[url::Position::BeforeHost..url::Position::AfterPort];
        let mut request = Request::builder().method(method).uri(target).header(header::HOST, host);
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request
            .body(Full::new(body))
            .map_err(|error| Failure::new(format!("the request cannot be made: {error}")))?;
        let stream = self.connect().await.map_err(|error| self.unreachable(&error))?;
        let broken = |error: hyper::Error| Failure::new(format!("the emulator at {} broke off: {error}", self.base));
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(broken)?;
        // Ends with the response; its error shows there as well.
        tokio::spawn(connection);
        sender.send_request(request).await.map_err(broken)
    }

    async fn connect(&self) -> std::io::Result<tokio::net::TcpStream> {
        let host = self.base.host_str().unwrap_or("127.0.0.1").trim_matches(['[', ']']);
        let port = self.base.port_or_known_default().unwrap_or(80);
        let connect = tokio::net::TcpStream::connect((host, port));
        tokio::time::timeout(CONNECT_TIMEOUT, connect)
            .await
            .unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
    }

    fn unreachable(&self, error: &std::io::Error) -> Failure {
        match &self.run_file {
            Some((path, run)) => Failure::new(format!(
                "the emulator (pid {}) that {} names does not answer at {}: {error}",
                run.pid,
                path.display(),
                self.base
            ))
            .remedy("it may have been killed: start it again with `emu dev`"),
            None => Failure::new(format!("no emulator answers at {}: {error}", self.base))
                .remedy("check --control-url and EMU_CONTROL_URL; `emu dev` prints the address as `control`"),
        }
    }

    async fn answer<T: DeserializeOwned>(&self, response: http::Response<Incoming>) -> Result<T, Failure> {
        let status = response.status();
        let body = Limited::new(response.into_body(), BODY_BYTES_MAX)
            .collect()
            .await
            .map_err(|error| Failure::new(format!("the answer of {} broke off: {error}", self.base)))?
            .to_bytes();
        if !status.is_success() {
            return Err(failure(status, &body));
        }
        serde_json::from_slice(&body).map_err(|error| {
            Failure::new(format!("{} does not answer as emu does: {error}", self.base))
                .remedy("another program, or another version of emu, may listen there")
        })
    }
}

/// The API's own words where it has some.
fn failure(status: StatusCode, body: &[u8]) -> Failure {
    match serde_json::from_slice::<ErrorBody>(body) {
        Ok(body) => body.error.into(),
        Err(_) => {
            let text: String = String::from_utf8_lossy(body).chars().take(300).collect();
            Failure::new(format!("the control API answered {status}: {text}"))
        }
    }
}

/// The server-sent events of a running emulator.
pub struct Events {
    body: Incoming,
    buffer: Vec<u8>,
    /// They ended in the middle: the emulator was killed, or cannot be reached any more.
    pub cut_off: bool,
}

/// A single event's longest text; a server that sends more is not emu.
const EVENT_BYTES_MAX: usize = 16 << 20;

impl Events {
    /// The data of the next event; `None` when the emulator has stopped.
    pub async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(data) = take_event(&mut self.buffer) {
                return Some(data);
            }
            if self.buffer.len() > EVENT_BYTES_MAX {
                return None;
            }
            let frame = match self.body.frame().await? {
                Ok(frame) => frame,
                Err(_) => {
                    self.cut_off = true;
                    return None;
                }
            };
            if let Ok(data) = frame.into_data() {
                self.buffer.extend_from_slice(&data);
            }
        }
    }
}

/// Takes the first whole event with data out of the buffer; comments (keep-alives) are skipped.
fn take_event(buffer: &mut Vec<u8>) -> Option<String> {
    loop {
        let end = buffer.windows(2).position(|pair| pair == b"\n\n")?;
        let event: Vec<u8> = buffer.drain(..end + 2).collect();
        let text = String::from_utf8_lossy(&event);
        let data: Vec<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("data:"))
            .map(|line| line.strip_prefix(' ').unwrap_or(line))
            .collect();
        if !data.is_empty() {
            return Some(data.join("\n"));
        }
    }
}

/// Runs a command that only asks: one thread is enough.
///
/// # Errors
/// Those of the command.
pub fn block_on<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(future)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_taken_whole() {
        let mut buffer = b": keep-alive\n\ndata: {\"a\":1}\n\ndata:x\ndata: y\n\ndata: half".to_vec();
        assert_eq!(take_event(&mut buffer).as_deref(), Some("{\"a\":1}"));
        assert_eq!(take_event(&mut buffer).as_deref(), Some("x\ny"));
        assert_eq!(take_event(&mut buffer), None);
        assert_eq!(buffer, b"data: half");
    }

    #[test]
    fn the_run_file_of_a_folder_above_is_found() {
        let folder = tempfile::tempdir().expect("a folder");
        let deep = folder.path().join("a").join("b");
        std::fs::create_dir_all(&deep).expect("folders");
        assert!(run_file(&deep).is_none());
        std::fs::create_dir(folder.path().join(".emu")).expect("a folder");
        let path = folder.path().join(".emu").join("run.json");
        std::fs::write(&path, "half a fi").expect("a file");
        assert!(run_file(&deep).is_none());
        let text = r#"{"functions_url":"http://127.0.0.1:1","control_url":"http://127.0.0.1:2","pid":3,"token":"t"}"#;
        std::fs::write(&path, text).expect("a file");
        let (_, run) = run_file(&deep).expect("found");
        assert_eq!(run.pid, 3);
        let global = Global {
            project: Some(deep),
            ..Global::default()
        };
        let client = find(&global).expect("found");
        assert_eq!(client.base.as_str(), "http://127.0.0.1:2/");
        assert_eq!(client.token.as_deref(), Some("t"));
    }

    #[test]
    fn urls_that_cannot_work_are_refused() {
        for url in ["", "127.0.0.1:3681", "https://127.0.0.1:3681", "ftp://x"] {
            assert_eq!(parse_url(url).expect_err(url).code, 2, "{url}");
        }
        assert!(parse_url("http://[::1]:3681").is_ok());
    }

    #[test]
    fn an_answer_that_is_no_error_of_emu_is_shown() {
        let text = failure(StatusCode::BAD_GATEWAY, b"<html>").render(&Default::default());
        assert_eq!(text, "error: the control API answered 502 Bad Gateway: <html>\n");
    }

    #[test]
    fn nothing_that_runs_says_what_to_start() {
        let folder = tempfile::tempdir().expect("a folder");
        let global = Global {
            project: Some(folder.path().to_owned()),
            ..Global::default()
        };
        let text = find(&global).expect_err("nothing runs").render(&Default::default());
        assert!(text.contains("emu dev"), "{text}");
    }
}
