//! TFTP: the rack's boot files for firmware that knows nothing better.
//!
//! The protocol is [`maas_core::tftp`]; here are sockets, files and limits. Each transfer has its
//! own socket, bound to the address that its client asked.

mod clients;
mod lock_step;
mod netascii;
mod socket;
mod source;
mod transfer;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use maas_core::boot::FetchedOver;
use maas_core::tftp::{self, ErrorCode, Request, RequestError, error_packet};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::clients::Clients;
use self::socket::Socket;
use self::transfer::Asked;
use super::files::{BootFile, BootFiles};
use crate::http::Problem;

/// What TFTP clients may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct TftpLimits {
    /// The most transfers at a time; further requests are not answered, and clients repeat them.
    pub transfers: usize,
    /// The most transfers at a time of one address.
    pub transfers_of_client: usize,
    /// The longest time for one transfer.
    pub transfer_time: Duration,
    /// What is granted within a transfer.
    pub session: tftp::Limits,
}

impl Default for TftpLimits {
    fn default() -> Self {
        Self {
            transfers: 1024,
            transfers_of_client: 16,
            transfer_time: Duration::from_secs(30 * 60),
            session: tftp::Limits::default(),
        }
    }
}

/// TFTP cannot be served on an address.
#[derive(Debug, thiserror::Error)]
#[error("TFTP cannot be served on {address}")]
pub struct TftpBindError {
    /// The address.
    pub address: SocketAddr,
    /// The system's reason.
    #[source]
    pub source: io::Error,
}

/// A TFTP server that has its port.
#[derive(Debug)]
pub struct TftpServer {
    socket: Socket,
    address: SocketAddr,
}

impl TftpServer {
    /// Takes the port; 0 lets the system choose.
    ///
    /// # Errors
    ///
    /// [`TftpBindError`].
    pub async fn bind(address: SocketAddr) -> Result<Self, TftpBindError> {
        let failed = |source| TftpBindError { address, source };
        let socket = Socket::bind(address).await.map_err(failed)?;
        let address = socket.local_address().map_err(failed)?;
        Ok(Self { socket, address })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`; transfers under way are cut, firmware then asks again.
    ///
    /// Packets are handled on threads of their own, away from everything else that this program
    /// does: one for requests and transfers with windows, one for each of the first transfers that
    /// go block by block. Files are found where this is called.
    pub async fn serve(
        self,
        files: Arc<dyn BootFiles>,
        limits: TftpLimits,
        stop: CancellationToken,
    ) {
        let (ended, wait) = tokio::sync::oneshot::channel::<()>();
        let files: Arc<dyn BootFiles> =
            Arc::new(Elsewhere { files, runtime: tokio::runtime::Handle::current() });
        let packets = move || -> io::Result<()> {
            let _ended = ended;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let socket = self.socket.into_std()?;
            runtime.block_on(async {
                let server = Self { socket: Socket::from_std(socket)?, address: self.address };
                server.packets(files, limits, stop).await;
                Ok(())
            })
        };
        let thread = std::thread::Builder::new().name("tftp".to_owned());
        let started = thread.spawn(move || {
            if let Err(error) = packets() {
                tracing::error!(%error, "TFTP is not served");
            }
        });
        match started {
            // It ends by dropping its half, whatever happens.
            Ok(_) => drop(wait.await),
            Err(error) => tracing::error!(%error, "TFTP is not served: no thread for it"),
        }
    }

    async fn packets(self, files: Arc<dyn BootFiles>, limits: TftpLimits, stop: CancellationToken) {
        let clients =
            Arc::new(Clients::new(limits.transfers, limits.transfers_of_client, stop.clone()));
        let threads = Arc::new(Semaphore::new(lock_step::THREADS));
        let mut transfers = JoinSet::new();
        // Room for as many datagrams as the system hands over at once.
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let received = tokio::select! {
                () = stop.cancelled() => break,
                Some(ended) = transfers.join_next(), if !transfers.is_empty() => {
                    report(ended);
                    continue;
                }
                received = self.socket.receive(&mut buffer) => received,
            };
            let received = match received {
                Ok(received) => received,
                Err(error) => {
                    tracing::debug!(%error, "TFTP: nothing received");
                    continue;
                }
            };
            for datagram in received.datagrams(&buffer) {
                let request = match Request::parse(datagram) {
                    Ok(request) => request,
                    // An answer to it could be answered in turn, without end.
                    Err(RequestError::NotARequest) => continue,
                    Err(error) => {
                        self.refuse(&received, &error.to_string()).await;
                        continue;
                    }
                };
                let Request::Read(request) = request else {
                    self.refuse(&received, "files are only read here").await;
                    continue;
                };
                let Some(slot) = clients.admit(received.peer, &request) else { continue };
                let reached = received.reached.unwrap_or(self.address.ip());
                let asked = Asked { request, peer: received.peer, reached };
                let (files, threads) = (Arc::clone(&files), Arc::clone(&threads));
                transfers.spawn(async move {
                    transfer::run(asked, slot, &*files, limits, &threads).await;
                });
            }
        }
        transfers.shutdown().await;
    }

    async fn refuse(&self, received: &socket::Received, why: &str) {
        tracing::info!(peer = %received.peer, why, "TFTP: refused");
        let packet = error_packet(ErrorCode::IllegalOperation, why);
        if let Err(error) = self.socket.send(received.peer, received.reached, &packet, None).await {
            tracing::debug!(%error, peer = %received.peer, "TFTP: no refusal sent");
        }
    }
}

/// Files that are looked for by another runtime's tasks: database and connections belong there.
#[derive(Debug)]
struct Elsewhere {
    files: Arc<dyn BootFiles>,
    runtime: tokio::runtime::Handle,
}

impl BootFiles for Elsewhere {
    fn open<'a>(
        &'a self,
        path: &'a str,
        reached: Option<IpAddr>,
        over: FetchedOver,
    ) -> BoxFuture<'a, Result<BootFile, Problem>> {
        let (files, path) = (Arc::clone(&self.files), path.to_owned());
        let found = self.runtime.spawn(async move { files.open(&path, reached, over).await });
        Box::pin(async move { found.await.map_err(Problem::internal)? })
    }
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a TFTP transfer panicked");
    }
}

#[cfg(test)]
mod tests;
