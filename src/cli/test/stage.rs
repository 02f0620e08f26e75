//! A fresh emulator in this process for one test file: does what steps say, and tells how things stand.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};

use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::settings::{self, RunArgs};
use crate::engine::{Engine, OutsideAnswer};
use crate::live::idle::Wait;
use crate::live::outbound::{Answers, Held, Outside};
use crate::live::{self, Live, Options, Sink, api};
use crate::project::ClockSetting;
use crate::project::faults::Faults;
use crate::project::testfile::{Act, Content, Expect, Outbound, TestFile};
use crate::report::event::Stamped;
use crate::report::number::plural;

/// Events of one test that are kept; what comes after fails it.
const EVENTS_MAX: usize = 1_000_000;
/// Longest answer of a function that is read.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// Invocations that the end of a swarm's run may take: what goes round for ever is found out.
const DRAIN_INVOCATIONS_MAX: u64 = 100_000;
/// The machine's time that what runs may take to come to rest at the end, when it has done so by the clock.
const DRAIN_PATIENCE: Duration = Duration::from_secs(60);
/// Unless a file names another.
pub const SEED: u64 = 1;

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// How things stand after a step.
#[derive(Debug, Default)]
pub struct Facts {
    pub functions: Vec<String>,
    pub queues: Vec<api::Queue>,
    /// By store and key: the value as text, none when it is not there; or why it cannot be told.
    pub kv: BTreeMap<(String, String), Result<Option<String>, String>>,
    pub events: Vec<Value>,
}

impl Facts {
    /// Events of invocations that have ended.
    pub fn invocations(&self) -> impl Iterator<Item = &Value> {
        self.events.iter().filter(|event| event["event"] == "invocation")
    }

    /// Lines that a function has written.
    pub fn said<'a>(&'a self, function: &'a str) -> impl Iterator<Item = &'a str> {
        let lines = self.events.iter().filter(|event| event["event"] == "log");
        lines
            .filter(move |event| event["function"] == function)
            .filter_map(|event| event["text"].as_str())
    }
}

#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<Value>>>);

impl Seen {
    fn lock(&self) -> MutexGuard<'_, Vec<Value>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink for Seen {
    fn event(&mut self, event: &Stamped) {
        let mut events = self.lock();
        if events.len() < EVENTS_MAX {
            events.push(serde_json::to_value(event).unwrap_or_default());
        }
    }

    fn folded(&mut self, _: u64, _: u64) {}
}

/// How a file is run.
#[derive(Clone, Copy)]
pub struct Setting<'a> {
    pub seed: u64,
    pub faults: &'a Faults,
    /// Requests to the outside that the file has no answer for go over the network, and are kept.
    pub record: bool,
    pub engine: &'a Engine,
}

pub struct Stage {
    live: Live,
    control: Client,
    seen: Seen,
}

impl Stage {
    /// # Errors
    /// When the project cannot be read, does not build, or no emulator starts.
    pub async fn open(file: &TestFile, project: &Path, setting: Setting<'_>) -> Result<Stage, Failure> {
        let Setting {
            seed,
            faults,
            record,
            engine,
        } = setting;
        let run = RunArgs {
            clock: Some(ClockSetting::Manual),
            seed: Some(seed),
            provider: file.provider.clone(),
            start_time: match &file.start {
                Some(at) => Some(settings::instant(&at.value).map_err(Failure::usage)?),
                None => None,
            },
            ..RunArgs::default()
        };
        let mut opened = settings::open(Some(project), &run)?;
        let options = Options {
            faults: faults.clone(),
            outside: Outside {
                hosts: Vec::new(),
                answers: Some(answers(file, record)?),
            },
            ..settings::private(&run, None, &opened.loaded.project.dev, seed)
        };

        for function in opened.loaded.project.functions.values_mut() {
            function.env.extend(file.env.iter().cloned());
        }
        // Nobody asks for the past of a test.
        opened.loaded.project.history.bytes_max = 0;
        let seen = Seen::default();
        let sink = Box::new(seen.clone());
        let live = live::start_on(engine.clone(), opened.loaded.project, opened.read, options, sink).await?;
        if let Some(broken) = broken(&live) {
            live.shutdown().await;
            return Err(broken);
        }
        let control = Client::to(&live.control_url, None)?;
        Ok(Stage { live, control, seen })
    }

    /// Does what a step says, and lets all run that is due then.
    ///
    /// # Errors
    /// When it cannot be done.
    pub async fn act(&self, act: &Act) -> Result<Option<Answer>, Failure> {
        let mut answer = None;
        match act {
            Act::Request {
                method,
                path,
                headers,
                content,
            } => answer = Some(self.request(method, path, headers, content).await?),
            Act::Send {
                queue,
                content,
                delay,
                group,
            } => {
                let message = api::SendMessage {
                    body: body_of(content),
                    delay: delay.map(micros),
                    group: group.clone(),
                    ..api::SendMessage::default()
                };
                let _: Value = self
                    .control
                    .post(&["_emu", "queues", queue, "messages"], &message)
                    .await?;
            }
            Act::Publish { topic, content } => {
                let message = json!({ "body": body_of(content) });
                let _: Value = self
                    .control
                    .post(&["_emu", "topics", topic, "messages"], &message)
                    .await?;
            }
            Act::Fire(cron) => {
                let _: Value = self.control.post(&["_emu", "crons", cron, "fire"], &json!({})).await?;
            }
            Act::Invoke { function, event } => answer = Some(self.invoke(function, event).await?),
            Act::Advance(by) => return self.clock(&json!({ "advance": micros(*by) })).await,
            Act::AdvanceTo(to) => return self.clock(&json!({ "advance_to": to })).await,
            Act::Idle(None) => return self.clock(&json!({ "run_until_idle": true })).await,
            Act::Idle(Some(bound)) => return self.clock(&json!({ "run_until_idle": micros(*bound) })).await,
        }
        self.clock(&json!({ "advance": "0s" })).await?;
        Ok(answer)
    }

    async fn clock(&self, body: &Value) -> Result<Option<Answer>, Failure> {
        let _: Value = self.control.post(&["_emu", "clock"], body).await?;
        Ok(None)
    }

    async fn invoke(&self, function: &str, event: &Value) -> Result<Answer, Failure> {
        let invoked: api::Invoked = self
            .control
            .post(&["_emu", "functions", function, "invoke"], event)
            .await?;
        let failed = invoked.invocation.outcome != "succeeded";
        let status = invoked.response["statusCode"]
            .as_u64()
            .and_then(|code| u16::try_from(code).ok());
        let body = match (invoked.invocation.error, failed) {
            (Some(error), true) => json!({ "error": error }),
            _ => invoked.response,
        };
        Ok(Answer {
            status: if failed { 502 } else { status.unwrap_or(200) },
            headers: HeaderMap::new(),
            body: body.to_string().into(),
        })
    }

    async fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(String, String)],
        content: &Content,
    ) -> Result<Answer, Failure> {
        let host = self.live.functions_url.trim_start_matches("http://");
        let mut request = Request::builder().method(method).uri(path).header("host", host);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        if let Some(implied) = content.implied_type(headers.iter().map(|(name, _)| name.as_str())) {
            request = request.header("content-type", implied);
        }
        let body = Bytes::from(content.text().unwrap_or_default());
        let wrong = |error: &dyn std::fmt::Display| Failure::new(format!("{method} {path}: {error}"));
        let request = request.body(Full::new(body)).map_err(|error| wrong(&error))?;
        let stream = tokio::net::TcpStream::connect(host).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| wrong(&error))?;
        // Ends with the answer; its error shows there as well.
        tokio::spawn(connection);
        let answer = sender.send_request(request).await.map_err(|error| wrong(&error))?;
        let (parts, body) = answer.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX)
            .collect()
            .await
            .map_err(|error| wrong(&error))?;
        Ok(Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: body.to_bytes(),
        })
    }

    /// How things stand, as far as anybody asks.
    ///
    /// # Errors
    /// When the emulator does not answer.
    pub async fn facts(&self, asked: &[&Expect]) -> Result<Facts, Failure> {
        // Whoever asks for the history sees all that has happened; so does the sink, before.
        let _: Value = self.control.get(&["_emu", "invocations"], &[("limit", "1")]).await?;
        let events = self.seen.lock().clone();
        if events.len() >= EVENTS_MAX {
            return Err(Failure::new(format!(
                "more than {EVENTS_MAX} events: the test does too much"
            )));
        }
        let mut facts = Facts {
            functions: self
                .live
                .functions()
                .into_iter()
                .map(|function| function.name)
                .collect(),
            queues: self.live.queues(),
            kv: BTreeMap::new(),
            events,
        };
        for (store, key, _) in asked.iter().flat_map(|expect| &expect.kv) {
            let value = self.value(store, key).await;
            facts.kv.insert((store.clone(), key.clone()), value);
        }
        Ok(facts)
    }

    async fn value(&self, store: &str, key: &str) -> Result<Option<String>, String> {
        let said = |failure: Failure| failure.said();
        let keys: api::KvKeys = self
            .control
            .get(&["_emu", "kv", store], &[("prefix", key)])
            .await
            .map_err(said)?;
        if !keys.keys.iter().any(|known| known.name == key) {
            return Ok(None);
        }
        let value: Result<api::KvValue, Failure> =
            self.control.get(&["_emu", "kv", store, "value"], &[("key", key)]).await;
        value.map(|found| found.value.or(found.base64)).map_err(said)
    }

    /// What the network has answered functions.
    pub fn recorded(&self) -> Vec<Held> {
        self.live.recorded()
    }

    /// Lets all that waits come to its end with nothing failing any more; what is left then. Of dead letters those that `always` says
    /// nothing about: elsewhere it has the last word.
    ///
    /// # Errors
    /// When it does not come to an end.
    pub async fn drain(&self, always: &Expect) -> Result<Vec<String>, Failure> {
        self.live.set_faults(Faults::default());
        let bounded = json!({ "run_until_idle": true, "max_invocations": DRAIN_INVOCATIONS_MAX });
        self.clock(&bounded).await?;
        let mut left = Vec::new();
        let wait = Wait {
            timeout: DRAIN_PATIENCE,
            before: None,
            caused_by: None,
        };
        if let Err(busy) = self.live.idle(wait).await {
            left.push(format!("at the end not all is done: {busy}"));
        }
        let spoken_of = |name: &str| always.queues.iter().any(|(queue, ..)| queue == name);
        for queue in self.live.queues() {
            let name = &queue.name;
            if queue.consumer.is_some() && queue.visible + queue.in_flight + queue.delayed > 0 {
                left.push(format!(
                    "queue {name} is not empty at the end: {} visible, {} in flight, {} delayed",
                    queue.visible, queue.in_flight, queue.delayed
                ));
            }
            if let Some(to) = queue.dead_letter.as_ref().filter(|_| queue.dead > 0)
                && !spoken_of(name)
                && !spoken_of(to)
            {
                left.push(format!(
                    "at the end {to} holds {} of {name}; if that may be, say how many: `[always]`, `queues.{name} = {{ dead = \"<= {}\" }}`",
                    plural(queue.dead, "dead letter", "dead letters"),
                    queue.dead
                ));
            }
        }
        Ok(left)
    }

    pub async fn close(self) {
        self.live.shutdown().await;
    }
}

/// The answers of a file as the emulator takes them.
fn answers(file: &TestFile, record: bool) -> Result<Answers, Failure> {
    let one = |outbound: &Outbound| {
        let mut headers = HeaderMap::new();
        let mut put = |name: &str, value: &str| {
            let name = name.parse::<http::HeaderName>().map_err(|error| error.to_string())?;
            let value = value.parse::<http::HeaderValue>().map_err(|error| error.to_string())?;
            headers.append(name, value);
            Ok::<(), String>(())
        };
        let names = outbound.headers.iter().map(|(name, _)| name.as_str());
        if let Some(implied) = outbound.content.implied_type(names) {
            put("content-type", implied)?;
        }
        for (name, value) in &outbound.headers {
            put(name, &value.value)?;
        }
        let body = Bytes::from(outbound.content.text().unwrap_or_default());
        let status = StatusCode::from_u16(outbound.status).map_err(|error| error.to_string())?;
        Ok(Held {
            method: outbound.method.clone(),
            url: outbound.url.clone(),
            answer: OutsideAnswer { status, headers, body },
        })
    };
    let list: Result<Vec<Held>, String> = file.outbound.iter().map(one).collect();
    let list = list.map_err(|error| Failure::usage(format!("[[outbound]]: {error}")))?;
    Ok(Answers { list, record })
}

fn body_of(content: &Content) -> Value {
    match content {
        Content::None => Value::Null,
        Content::Text(text) => Value::String(text.clone()),
        Content::Json(value) => value.clone(),
    }
}

/// The functions that do not build: nothing is to be tried on half a project.
pub fn broken(live: &Live) -> Option<Failure> {
    let functions = live.functions().into_iter();
    let broken =
        functions.filter_map(|function| Some(format!("{} does not build\n{}", function.name, function.error?)));
    let broken: Vec<String> = broken.collect();
    (!broken.is_empty()).then(|| Failure::new(broken.join("\n")))
}

/// As the control API reads it.
fn micros(span: crate::platform::time::Span) -> String {
    format!("{}us", span.0 / 1_000)
}
