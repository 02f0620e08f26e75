//! Outbound HTTP: only to `allow_hosts`, only to addresses that were checked, over a connection of the run's own.
//!
//! The name is looked up once, every address is judged, and the connection goes to an address that passed; a name that
//! answers differently the second time (DNS rebinding) changes nothing. Connections are not pooled: a pool would carry
//! what one function may reach over to another.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, Uri, header};
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

use super::allow::{Verdict, judge};
use super::clock::Clock;
use super::{Run, internal};
use crate::engine::pace::Hold;
use crate::engine::{Body, BodyError, OutsideAnswer, OutsideRoute, Stream};

/// Calls of one run that go on at once; further ones wait.
const CALLS_AT_ONCE: usize = 16;
/// Calls of one run altogether (Cloudflare Workers stop at 1,000 subrequests as well).
const CALLS_MAX: u32 = 1_000;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Hop-by-hop headers, and the host, which follows from the URL.
const STRIPPED: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::HOST,
];

/// How many calls a run has under way and behind it.
pub struct Calls {
    free: Semaphore,
    made: AtomicU32,
}

impl Default for Calls {
    fn default() -> Self {
        Self {
            free: Semaphore::new(CALLS_AT_ONCE),
            made: AtomicU32::new(0),
        }
    }
}

/// One call under way, until its response body is dropped.
struct Call(Arc<Run>);

impl Call {
    async fn begin(run: &Arc<Run>) -> Result<Self, OutboundError> {
        if run.calls.made.fetch_add(1, Ordering::Relaxed) >= CALLS_MAX {
            return Err(OutboundError::Limit);
        }
        let permit = run.calls.free.acquire().await.map_err(|_| OutboundError::Limit)?;
        permit.forget();
        Ok(Self(run.clone()))
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.0.calls.free.add_permits(1);
    }
}

/// Why there is no response. The texts are for the function's author.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OutboundError {
    #[error("{0}")]
    Denied(String),
    #[error("invalid request: {0}")]
    Request(String),
    #[error("{host} cannot be looked up: {error}")]
    Lookup { host: String, error: String },
    #[error("{host} cannot be reached: {error}")]
    Connect { host: String, error: String },
    #[error("{host} did not answer the connection within {} s", .after.as_secs_f32())]
    ConnectTimeout { host: String, after: Duration },
    #[error("no secure connection to {host}: {error}")]
    Tls { host: String, error: String },
    #[error("{host} broke the connection: {error}")]
    Protocol { host: String, error: String },
    #[error("more than {CALLS_MAX} outbound calls in one invocation")]
    Limit,
    #[error("{0}")]
    Internal(String),
}

impl OutboundError {
    /// The nearest error of `wasi:http`; its free text where no code says what to do about it.
    pub(super) fn into_wasi(self) -> wasmtime_wasi_http::Error {
        use wasmtime_wasi_http::Error;
        match self {
            Self::Request(_) => Error::HttpRequestUriInvalid,
            Self::Lookup { error, .. } => Error::DnsError {
                rcode: Some(error),
                info_code: None,
            },
            Self::Connect { .. } => Error::ConnectionRefused,
            Self::ConnectTimeout { .. } => Error::ConnectionTimeout,
            Self::Protocol { .. } => Error::HttpProtocolError,
            Self::Limit => Error::ConnectionLimitReached,
            Self::Denied(_) | Self::Tls { .. } | Self::Internal(_) => Error::InternalError(Some(self.to_string())),
        }
    }
}

/// Sends a request for a guest: to the project's own queues, topics and functions (`http://NAME.queue.internal/`), or
/// outside. The URI is absolute. The future may outlive the guest's store.
///
/// # Errors
/// See [`OutboundError`]; a denied host is also named in the guest's log.
pub async fn send(run: Arc<Run>, request: Request<Body>) -> Result<Response<Body>, OutboundError> {
    send_within(run, request, None).await
}

pub(super) async fn send_within(
    run: Arc<Run>,
    request: Request<Body>,
    connect_timeout: Option<Duration>,
) -> Result<Response<Body>, OutboundError> {
    let call = Call::begin(&run).await?;
    let destination = Destination::of(request.uri())?;
    let response = match internal::Target::parse(&destination.host) {
        Some(target) => internal::send(&run, target, request).await?,
        None => {
            let sent = outside(&run, &destination, request, connect_timeout.unwrap_or(CONNECT_TIMEOUT));
            let sent = run.clock.standing(sent).await;
            if let Err(error @ OutboundError::Denied(_)) = &sent {
                run.log.line(Stream::Warn, &error.to_string());
            }
            sent?.map(|body| standing(&run, body))
        }
    };
    Ok(response.map(|body| holding(body, call)))
}

/// The body with its call: over when the body is dropped.
fn holding(body: Body, call: Call) -> Body {
    body.map_frame(move |frame| {
        let _ = &call;
        frame
    })
    .boxed_unsync()
}

/// A body from the outside: the manual clock stands still while the guest waits for more of it.
fn standing(run: &Arc<Run>, body: Body) -> Body {
    match run.clock.pace() {
        Some(_) => Standing {
            body,
            clock: run.clock.clone(),
            hold: None,
        }
        .boxed_unsync(),
        None => body,
    }
}

struct Standing {
    body: Body,
    clock: Clock,
    hold: Option<Hold>,
}

impl http_body::Body for Standing {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if polled.is_ready() {
            self.hold = None;
        } else if self.hold.is_none() {
            self.hold = self.clock.hold();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

struct Destination {
    secure: bool,
    /// Lower case, an IPv6 address without brackets.
    host: String,
    port: u16,
}

impl Destination {
    fn of(uri: &Uri) -> Result<Self, OutboundError> {
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => {
                return Err(OutboundError::Request(
                    "the URL must begin with http:// or https://".into(),
                ));
            }
        };
        let host = uri.host().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| OutboundError::Request("the URL has no host".into()))?;
        let host = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .trim_end_matches('.')
            .to_ascii_lowercase();
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        Ok(Self { secure, host, port })
    }
}

/// Whether an address is out on the internet, rather than on this machine, in this network, or nowhere.
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_broadcast()
        || address.is_documentation()
        || address.is_multicast()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (18..20).contains(&b));
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match segments {
        // Mapped, and the prefix of NAT64: the IPv4 address inside decides.
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => is_public_v4(embedded(high, low)),
        // 6to4 likewise.
        [0x2002, high, low, ..] => is_public_v4(embedded(high, low)),
        // Teredo and documentation.
        [0x2001, 0, ..] | [0x2001, 0xdb8, ..] => false,
        // Global unicast; all else is local, multicast or unassigned.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

/// To the network, or to who answers in its place. What `allow_hosts` does not name, nobody answers.
async fn outside(
    run: &Arc<Run>,
    destination: &Destination,
    request: Request<Body>,
    connect_timeout: Duration,
) -> Result<Response<Body>, OutboundError> {
    let Destination { host, port, .. } = destination;
    let (method, url) = (request.method().clone(), request.uri().to_string());
    let route = match judge(&run.settings.allow_hosts, host, *port) {
        Verdict::Denied => OutsideRoute::Network { record: false },
        Verdict::Public | Verdict::Anywhere => run.host.outside(&method, &url, host, *port),
    };
    match route {
        OutsideRoute::Answer(answer) => Ok(answer.into_response()),
        OutsideRoute::Refused(why) => Err(OutboundError::Denied(why)),
        OutsideRoute::To(stand_in) => {
            let address = (stand_in.host(), stand_in.port_u16().unwrap_or(80));
            let connected = TcpStream::connect(address)
                .await
                .map_err(|error| OutboundError::Connect {
                    host: format!("{stand_in}, which stands for {host},"),
                    error: error.to_string(),
                });
            exchange(TokioIo::new(connected?), host.clone(), origin_form(request)?).await
        }
        OutsideRoute::Network { record: false } => send_outside(run, destination, request, connect_timeout).await,
        OutsideRoute::Network { record: true } => {
            let response = send_outside(run, destination, request, connect_timeout).await?;
            let (parts, body) = response.into_parts();
            let limit = usize::try_from(run.settings.body_bytes_max).unwrap_or(usize::MAX);
            let body = http_body_util::Limited::new(body, limit).collect().await;
            let body = body.map_err(|error| OutboundError::Protocol {
                host: host.clone(),
                error: error.to_string(),
            })?;
            let answer = OutsideAnswer {
                status: parts.status,
                headers: parts.headers,
                body: body.to_bytes(),
            };
            run.host.recorded(&method, &url, answer.clone());
            Ok(answer.into_response())
        }
    }
}

async fn send_outside(
    run: &Arc<Run>,
    destination: &Destination,
    request: Request<Body>,
    connect_timeout: Duration,
) -> Result<Response<Body>, OutboundError> {
    let connected = tokio::time::timeout(connect_timeout, connect(run, destination)).await;
    let host = destination.host.clone();
    let stream = connected.map_err(|_| OutboundError::ConnectTimeout {
        host: host.clone(),
        after: connect_timeout,
    })??;
    let request = origin_form(request)?;
    if destination.secure {
        let name = ServerName::try_from(host.clone());
        let name = name.map_err(|error| OutboundError::Tls {
            host: host.clone(),
            error: error.to_string(),
        })?;
        let secured = TlsConnector::from(tls_config()?).connect(name, stream);
        let secured = tokio::time::timeout(connect_timeout, secured).await;
        let secured = secured.map_err(|_| OutboundError::ConnectTimeout {
            host: host.clone(),
            after: connect_timeout,
        })?;
        let stream = secured.map_err(|error| OutboundError::Tls {
            host: host.clone(),
            error: error.to_string(),
        })?;
        exchange(TokioIo::new(stream), host, request).await
    } else {
        exchange(TokioIo::new(stream), host, request).await
    }
}

async fn exchange<S>(stream: S, host: String, request: Request<Body>) -> Result<Response<Body>, OutboundError>
where
    S: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let broken = |error: hyper::Error| OutboundError::Protocol {
        host: host.clone(),
        error: text_of(&error),
    };
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.map_err(broken)?;
    // Ends with the response body or the sender, whichever is dropped last.
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!("outbound connection: {error}");
        }
    });
    let response = sender.send_request(request).await.map_err(broken)?;
    Ok(response.map(|body| body.map_err(|error| BodyError(text_of(&error))).boxed_unsync()))
}

/// An error with its causes: hyper's own text alone says little.
fn text_of(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

async fn connect(run: &Arc<Run>, destination: &Destination) -> Result<TcpStream, OutboundError> {
    let settings = &run.settings;
    let Destination { host, port, .. } = destination;
    let verdict = judge(&settings.allow_hosts, host, *port);
    if verdict == Verdict::Denied {
        return Err(OutboundError::Denied(format!(
            "{host} is not in `allow_hosts` of function `{}`: add allow_hosts = [\"{host}\"] to it in emu.toml",
            settings.function
        )));
    }
    let addresses = lookup(host, *port).await?;
    let checked: Vec<SocketAddr> = match verdict {
        Verdict::Anywhere => addresses,
        _ => addresses
            .into_iter()
            .filter(|address| is_public(address.ip()))
            .collect(),
    };
    if checked.is_empty() {
        let literal = if host.contains(':') {
            format!("[{host}]")
        } else {
            host.clone()
        };
        return Err(OutboundError::Denied(format!(
            "{host} is on this machine or its private network: only an entry with its port, \
             allow_hosts = [\"{literal}:{port}\"], opens that for function `{}`",
            settings.function
        )));
    }
    let mut last = None;
    for address in checked {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) => last = Some(error),
        }
    }
    let error = last.map_or_else(|| "no address".to_owned(), |error| error.to_string());
    Err(OutboundError::Connect {
        host: host.clone(),
        error,
    })
}

async fn lookup(host: &str, port: u16) -> Result<Vec<SocketAddr>, OutboundError> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let found = tokio::net::lookup_host((host, port)).await;
    let found = found.map_err(|error| OutboundError::Lookup {
        host: host.to_owned(),
        error: error.to_string(),
    })?;
    Ok(found.collect())
}

/// As it goes over the wire: path only, the host in its header, nothing that concerns the guest's own connection.
fn origin_form(request: Request<Body>) -> Result<Request<Body>, OutboundError> {
    let invalid = |error: http::Error| OutboundError::Request(error.to_string());
    let (mut parts, body) = request.into_parts();
    for name in &STRIPPED {
        parts.headers.remove(name);
    }
    let authority = parts
        .uri
        .authority()
        .map(|authority| authority.as_str().to_owned())
        .unwrap_or_default();
    // Credentials in the URL are not part of the host.
    let host = authority.rsplit('@').next().unwrap_or_default();
    let host = HeaderValue::from_str(host).map_err(|error| invalid(error.into()))?;
    parts.headers.insert(header::HOST, host);
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    parts.uri = Uri::builder().path_and_query(path).build().map_err(invalid)?;
    parts.version = http::Version::HTTP_11;
    Ok(Request::from_parts(parts, body))
}

fn tls_config() -> Result<Arc<ClientConfig>, OutboundError> {
    static CONFIG: LazyLock<Result<Arc<ClientConfig>, rustls::Error>> = LazyLock::new(|| {
        let roots = RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    });
    CONFIG
        .clone()
        .map_err(|error| OutboundError::Internal(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(allow: &[&str], host: &str, port: u16) -> Verdict {
        let allow: Vec<String> = allow.iter().map(|entry| (*entry).to_owned()).collect();
        judge(&allow, host, port)
    }

    #[test]
    fn hosts_are_judged_by_name_and_port() {
        assert_eq!(verdict(&[], "example.com", 443), Verdict::Denied);
        assert_eq!(verdict(&["example.com"], "example.com", 443), Verdict::Public);
        assert_eq!(verdict(&["Example.com"], "example.com", 80), Verdict::Public);
        assert_eq!(verdict(&["example.com"], "evil-example.com", 443), Verdict::Denied);
        assert_eq!(verdict(&["*.example.com"], "a.b.example.com", 443), Verdict::Public);
        assert_eq!(verdict(&["*.example.com"], "example.com", 443), Verdict::Denied);
        assert_eq!(verdict(&["*.example.com"], "evilexample.com", 443), Verdict::Denied);
        assert_eq!(verdict(&["example.com:8080"], "example.com", 443), Verdict::Denied);
        assert_eq!(verdict(&["*"], "localhost", 80), Verdict::Public);
        assert_eq!(verdict(&["*:80"], "localhost", 80), Verdict::Public);
        assert_eq!(verdict(&["*", "localhost:5432"], "localhost", 5432), Verdict::Anywhere);
        assert_eq!(verdict(&["[::1]:80"], "::1", 80), Verdict::Anywhere);
        assert_eq!(verdict(&["::1"], "::1", 80), Verdict::Public);
    }

    #[test]
    fn only_addresses_out_on_the_internet_are_public() {
        for public in [
            "1.1.1.1",
            "172.32.0.1",
            "2606:4700::1111",
            "::ffff:1.1.1.1",
            "64:ff9b::101:101",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for local in [
            "127.0.0.1",
            "127.1.2.3",
            "0.0.0.0",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001:db8::1",
            "::127.0.0.1",
        ] {
            assert!(!is_public(local.parse().unwrap()), "{local}");
        }
    }
}
