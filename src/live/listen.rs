//! Sockets: binding with the next free port when one is busy, on IPv4 and IPv6, and an accept loop of our own with
//! header timeouts, a connection limit and a graceful end.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::engine::Body;

/// Slow clients are cut off: a header must be complete within this time.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections at once on one port; further ones wait in the system's backlog.
const CONNECTIONS_MAX: usize = 4096;
/// Ports tried above a busy one.
const PORTS_TRIED: u16 = 100;
/// Bytes of one request's head.
const HEADER_BYTES_MAX: usize = 64 * 1024;

/// A port, on every address it answers at.
pub struct Bound {
    pub listeners: Vec<TcpListener>,
    pub port: u16,
    /// The port that was asked for, when it was busy.
    pub busy: Option<u16>,
}

/// Binds `host:port`, and for `127.0.0.1` also `::1` where the machine has it. Port 0 takes any free one; a busy port
/// gives the next free one.
///
/// # Errors
/// When no port can be bound; the text names the address and what the system said.
pub async fn bind(host: IpAddr, port: u16) -> io::Result<Bound> {
    let mut candidate = port;
    loop {
        match bind_exact(host, candidate).await {
            Ok(listeners) => {
                let bound = listeners
                    .first()
                    .map_or(Ok(candidate), |l| l.local_addr().map(|a| a.port()))?;
                return Ok(Bound {
                    listeners,
                    port: bound,
                    busy: (candidate != port).then_some(port),
                });
            }
            Err(error) if port != 0 && error.kind() == io::ErrorKind::AddrInUse => {
                if candidate == u16::MAX || candidate - port >= PORTS_TRIED {
                    return Err(io::Error::new(
                        error.kind(),
                        format!("ports {port} to {candidate} on {host} are all in use; pass --port 0 for any free one"),
                    ));
                }
                candidate += 1;
            }
            Err(error) => {
                return Err(io::Error::new(
                    error.kind(),
                    format!("cannot listen on {host}:{candidate}: {error}"),
                ));
            }
        }
    }
}

async fn bind_exact(host: IpAddr, port: u16) -> io::Result<Vec<TcpListener>> {
    let twin = (host == IpAddr::V4(Ipv4Addr::LOCALHOST)).then_some(IpAddr::V6(Ipv6Addr::LOCALHOST));
    // With port 0 the twin may find its number taken; another number then.
    for _ in 0..16 {
        let first = TcpListener::bind(SocketAddr::new(host, port)).await?;
        let bound = first.local_addr()?.port();
        let Some(twin) = twin else { return Ok(vec![first]) };
        match TcpListener::bind(SocketAddr::new(twin, bound)).await {
            Ok(second) => return Ok(vec![first, second]),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && port == 0 => {}
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(error),
            // No IPv6 on this machine.
            Err(_) => return Ok(vec![first]),
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

/// Accepts until `stop` fires, then lets connections finish what they answer; the tracker knows when all are done.
pub fn serve<S>(bound: Bound, service: S, stop: &CancellationToken, tracker: &TaskTracker)
where
    S: PeerService,
{
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    for listener in bound.listeners {
        let task = accept_loop(
            listener,
            service.clone(),
            stop.clone(),
            tracker.clone(),
            connections.clone(),
        );
        tracker.spawn(task);
    }
}

/// A service that is told who is at the other end.
pub trait PeerService: Clone + Send + Sync + 'static {
    fn answer(
        &self,
        request: http::Request<Incoming>,
        peer: IpAddr,
    ) -> impl Future<Output = http::Response<Body>> + Send + 'static;

    /// Somebody spoke TLS to this port.
    fn tls_attempt(&self);
}

async fn accept_loop<S: PeerService>(
    listener: TcpListener,
    service: S,
    stop: CancellationToken,
    tracker: TaskTracker,
    connections: Arc<Semaphore>,
) {
    loop {
        let accepted = async {
            let permit = connections.clone().acquire_owned().await;
            (listener.accept().await, permit)
        };
        let (accepted, permit) = tokio::select! {
            () = stop.cancelled() => return,
            accepted = accepted => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let (service, stop) = (service.clone(), stop.clone());
                tracker.spawn(async move {
                    serve_connection(stream, peer, service, stop).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!("accept failed: {error}");
                // Out of file descriptors: accepting again at once would spin.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn serve_connection<S: PeerService>(stream: TcpStream, peer: SocketAddr, service: S, stop: CancellationToken) {
    // Small answers must not wait for more to send.
    let _ = stream.set_nodelay(true);
    let mut first = [0u8; 1];
    match tokio::time::timeout(HEADER_READ_TIMEOUT, stream.peek(&mut first)).await {
        // 0x16 opens a TLS handshake.
        Ok(Ok(1)) if first[0] == 0x16 => {
            service.tls_attempt();
            return;
        }
        Ok(Ok(n)) if n > 0 => {}
        _ => return,
    }
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_READ_TIMEOUT)
        .max_header_size(HEADER_BYTES_MAX)
        .half_close(true)
        .pipeline_flush(true)
        .serve_connection(
            TokioIo::new(stream),
            Adapter {
                service,
                peer: peer.ip(),
            },
        );
    let mut connection = std::pin::pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!("connection from {peer}: {error}");
    }
}

struct Adapter<S> {
    service: S,
    peer: IpAddr,
}

impl<S: PeerService> Service<http::Request<Incoming>> for Adapter<S> {
    type Response = http::Response<Body>;
    type Error = std::convert::Infallible;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn call(&self, request: http::Request<Incoming>) -> Self::Future {
        let answer = self.service.answer(request, self.peer);
        Box::pin(async move { Ok(answer.await) })
    }
}

/// A body that is all there.
pub fn full(bytes: impl Into<bytes::Bytes>) -> Body {
    http_body_util::Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// As clients on this machine open it.
pub fn url(host: IpAddr, port: u16) -> String {
    match host {
        // 0.0.0.0 is no address to open.
        host if host.is_unspecified() => format!("http://127.0.0.1:{port}"),
        IpAddr::V4(host) => format!("http://{host}:{port}"),
        IpAddr::V6(host) => format!("http://[{host}]:{port}"),
    }
}

/// Where phones and other machines reach a port that is open to them.
pub fn network_url(host: IpAddr, port: u16) -> Option<String> {
    if host.is_loopback() {
        return None;
    }
    if !host.is_unspecified() {
        return Some(url(host, port));
    }
    // The address that this machine would send from; connecting a datagram socket sends nothing.
    let socket = std::net::UdpSocket::bind(("0.0.0.0", 0)).ok()?;
    socket.connect(("192.0.2.1", 9)).ok()?;
    let own = socket.local_addr().ok()?.ip();
    (!own.is_loopback() && !own.is_unspecified()).then(|| url(own, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_busy_port_gives_the_next_free_one() {
        let host = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let first = bind(host, 0).await.expect("any port");
        assert_ne!(first.port, 0);
        assert_eq!(first.busy, None);
        let second = bind(host, first.port).await.expect("a port above");
        assert!(second.port > first.port);
        assert_eq!(second.busy, Some(first.port));
    }

    #[tokio::test]
    async fn an_address_that_is_not_ours_is_named() {
        // 192.0.2.0/24 is for documentation: no machine has it.
        let error = bind("192.0.2.1".parse().expect("an address"), 0)
            .await
            .err()
            .expect("no such address");
        assert!(error.to_string().contains("192.0.2.1:0"), "{error}");
    }
}
