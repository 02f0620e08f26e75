//! The network: only addresses that were checked, over a connection of the run's own.
//!
//! The name is looked up once, every address is judged, and the connection goes to an address that passed; a name that
//! answers differently the second time (DNS rebinding) changes nothing. Connections are not pooled: a pool would carry
//! what one function may reach over to another.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use http::{HeaderName, HeaderValue, Request, Response, Uri, header};
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

use super::Run;
use super::allow::{Verdict, judge};
use super::outbound::OutboundError;
use crate::engine::{Body, BodyError};

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

/// Whom a URL names.
pub(super) struct Destination {
    secure: bool,
    /// Lower case, an IPv6 address without brackets.
    pub host: String,
    pub port: u16,
}

impl Destination {
    /// # Errors
    /// When it names nobody that HTTP reaches.
    pub fn of(uri: &Uri) -> Result<Self, OutboundError> {
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
fn is_public(address: IpAddr) -> bool {
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

/// Over the network.
///
/// # Errors
/// See [`OutboundError`].
pub(super) async fn send_outside(
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

/// A request and its answer over a connection.
///
/// # Errors
/// When the other side breaks it.
pub(super) async fn exchange<S>(
    stream: S,
    host: String,
    request: Request<Body>,
) -> Result<Response<Body>, OutboundError>
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
///
/// # Errors
/// When that is no request any more.
pub(super) fn origin_form(request: Request<Body>) -> Result<Request<Body>, OutboundError> {
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
