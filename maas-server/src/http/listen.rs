//! Puts an [`Api`] on a socket: HTTP/1.1 with limits and an orderly end.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::file::FilePart;
use super::sender::Senders;
use super::splice::{Pieces, SplicingStream};
use super::stall::StallGuard;
use super::{Api, Connection, ReplyBody, Transport};

/// Why a server cannot listen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// Somebody else listens there.
    #[error("the address {address} is in use by another program")]
    InUse {
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The port needs a privilege that this process has not.
    #[error("this process may not listen on {address}")]
    Denied {
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// Anything else, such as an address this host does not have.
    #[error("cannot listen on {address}")]
    Other {
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

/// How connections are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServeOptions {
    /// The most connections at a time; further ones wait in the system's queue.
    pub connections: usize,
    /// The most headers of a request.
    pub headers: usize,
    /// The most bytes of a request's head.
    pub head_len: usize,
    /// The longest wait for a request's head, also between two requests.
    pub head_timeout: Duration,
    /// The longest time that a client may take none of the bytes that wait for it.
    pub stall_timeout: Duration,
    /// How long requests under way may go on after the server was told to stop.
    pub grace: Duration,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            connections: 4096,
            headers: 100,
            head_len: 64 * 1024,
            head_timeout: Duration::from_secs(30),
            stall_timeout: Duration::from_secs(60),
            grace: Duration::from_secs(10),
        }
    }
}

impl ServeOptions {
    /// With another grace time.
    #[must_use]
    pub fn with_grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// With another number of connections, at least one.
    #[must_use]
    pub fn with_connections(mut self, connections: usize) -> Self {
        self.connections = connections.max(1);
        self
    }

    /// With other times for waiting on a client: for its request's head and for its reading.
    #[must_use]
    pub fn with_timeouts(mut self, head: Duration, stall: Duration) -> Self {
        self.head_timeout = head;
        self.stall_timeout = stall;
        self
    }
}

/// Answers requests that come over a socket: an [`Api`], or anything else.
pub trait Answer: Send + Sync + 'static {
    /// Answers one request; whatever happens, there is a response.
    fn answer(
        &self,
        request: http::Request<Incoming>,
        connection: Connection,
    ) -> impl Future<Output = http::Response<ReplyBody>> + Send;
}

impl<S: Send + Sync + 'static> Answer for Api<S> {
    fn answer(
        &self,
        request: http::Request<Incoming>,
        connection: Connection,
    ) -> impl Future<Output = http::Response<ReplyBody>> + Send {
        self.call(request, connection)
    }
}

/// A socket that listens.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Listens on an address; port 0 lets the system choose.
    ///
    /// # Errors
    /// [`BindError`].
    pub async fn bind(address: SocketAddr) -> Result<Self, BindError> {
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => BindError::InUse { address, source },
            io::ErrorKind::PermissionDenied => BindError::Denied { address, source },
            _ => BindError::Other { address, source },
        };
        let socket = TcpListener::bind(address).await.map_err(failed)?;
        Self::from_tokio(socket).map_err(failed)
    }

    /// Takes over a socket that listens already (socket activation).
    ///
    /// # Errors
    /// When the system does not tell its address.
    pub fn from_tokio(socket: TcpListener) -> io::Result<Self> {
        let address = socket.local_addr()?;
        // Every connection inherits it.
        rustix::net::sockopt::set_tcp_nodelay(&socket, true)?;
        Ok(Self { socket, address })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`, then lets requests under way finish within the grace time, and
    /// returns when no connection is left. A connection that fails or panics ends alone.
    pub async fn serve<A: Answer>(
        self,
        api: Arc<A>,
        options: ServeOptions,
        stop: CancellationToken,
    ) {
        let slots = Arc::new(Semaphore::new(options.connections.max(1)));
        let senders = Arc::new(Senders::default());
        let (connections, cut) = (TaskTracker::new(), CancellationToken::new());
        loop {
            // A slot first: what cannot be served is not accepted.
            let slot = tokio::select! {
                () = stop.cancelled() => break,
                slot = Arc::clone(&slots).acquire_owned() => slot,
            };
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = self.socket.accept() => accepted,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    // Out of file descriptors, say: waiting helps, trying at once does not.
                    let pause = Duration::from_millis(100);
                    tokio::select! {
                        () = stop.cancelled() => break,
                        () = tokio::time::sleep(pause) => continue,
                    }
                }
            };
            let (api, stop, cut) = (Arc::clone(&api), stop.clone(), cut.clone());
            let local = (!self.address.ip().is_unspecified()).then_some(self.address);
            let stream = SplicingStream::new(stream, options.stall_timeout, Arc::clone(&senders));
            let served = async move {
                let _slot = slot;
                let served = serve_tcp(api, stream, (peer, local), options, stop);
                let served = AssertUnwindSafe(cut.run_until_cancelled(served)).catch_unwind();
                if served.await.is_err() {
                    tracing::error!(%peer, "a connection panicked");
                }
            };
            connections.spawn(served);
        }
        drop(self.socket);
        connections.close();
        if tokio::time::timeout(options.grace, connections.wait()).await.is_err() {
            tracing::warn!(connections = connections.len(), "cut connections after the grace time");
            cut.cancel();
            connections.wait().await;
        }
    }
}

async fn serve_tcp<A: Answer>(
    api: Arc<A>,
    stream: SplicingStream,
    (peer, local): (SocketAddr, Option<SocketAddr>),
    options: ServeOptions,
    stop: CancellationToken,
) {
    // A socket for both families shows IPv4 peers as ::ffff:a.b.c.d.
    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    let local = local.or_else(|| stream.local_address());
    let connection = Connection { peer: Some(peer), local, transport: Transport::Plain };
    let pieces = stream.pieces();
    serve_stream(api, stream, connection, options, stop, Some(pieces)).await;
}

/// Serves one connection that is already established: what a TLS acceptor calls.
pub async fn serve_connection<A, T>(
    api: Arc<A>,
    stream: T,
    connection: Connection,
    options: ServeOptions,
    stop: CancellationToken,
) where
    A: Answer,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let stream = StallGuard::new(stream, options.stall_timeout);
    serve_stream(api, stream, connection, options, stop, None).await;
}

/// Serves a stream that takes pieces of files as they are, or one that does not; it gives up by
/// itself on a client that takes nothing.
async fn serve_stream<A, T>(
    api: Arc<A>,
    stream: T,
    connection: Connection,
    options: ServeOptions,
    stop: CancellationToken,
    pieces: Option<Pieces>,
) where
    A: Answer,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let io = TokioIo::new(stream);
    let service = service_fn(move |request| {
        let (api, pieces) = (Arc::clone(&api), pieces.clone());
        async move {
            let mut response = api.answer(request, connection).await;
            if let (Some(pieces), Some(part)) =
                (pieces, response.extensions_mut().remove::<FilePart>())
            {
                *response.body_mut() = part.spliced(pieces);
            }
            Ok::<_, Infallible>(response)
        }
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        // GRUB 2.06 knows `Content-Length` in this spelling only, and otherwise waits for the end
        // of a connection that stays open.
        .title_case_headers(true)
        .header_read_timeout(options.head_timeout)
        .max_header_size(options.head_len);
    // hyper keeps its own limit of 100 on the stack and any other on the heap.
    if options.headers != 100 {
        builder.max_headers(options.headers);
    }
    let served = builder.serve_connection(io, service);
    tokio::pin!(served);
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = stop.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.as_mut().await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(peer = connection.peer.map(tracing::field::display), %error, "connection ended");
    }
}

#[cfg(test)]
mod tests;
