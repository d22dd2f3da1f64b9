//! UDP with the address a client asked, and many datagrams for one system call.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};

use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// A UDP socket.
pub(super) struct Socket {
    socket: UdpSocket,
    state: UdpSocketState,
    family: Family,
}

/// What peers' addresses must look like to the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    /// The family of a socket with this address.
    pub(super) const fn of(local: SocketAddr) -> Self {
        match local {
            SocketAddr::V4(_) => Self::V4,
            SocketAddr::V6(_) => Self::V6,
        }
    }

    pub(super) fn address_of(self, peer: SocketAddr) -> SocketAddr {
        match (self, peer) {
            (Self::V6, SocketAddr::V4(peer)) => {
                SocketAddr::new(peer.ip().to_ipv6_mapped().into(), peer.port())
            }
            (_, peer) => peer,
        }
    }
}

/// A socket of its own for one transfer, at the address that its client asked.
///
/// It is not connected: what others send to it is to be answered by an error.
pub(super) fn of_transfer(local: IpAddr, peer: SocketAddr) -> io::Result<std::net::UdpSocket> {
    let mut address = SocketAddr::new(local, 0);
    // A link-local address is one of a link.
    if let (SocketAddr::V6(local), SocketAddr::V6(peer)) = (&mut address, peer)
        && (local.ip().segments()[0] & 0xffc0) == 0xfe80
    {
        local.set_scope_id(peer.scope_id());
    }
    std::net::UdpSocket::bind(address)
}

/// Whether these are one peer. On a link-local address the number of the link may be missing.
pub(super) fn is_same_peer(one: SocketAddr, other: SocketAddr) -> bool {
    (one.ip(), one.port()) == (other.ip(), other.port())
}

/// What was received: one datagram, or several of one client.
#[derive(Debug, Clone, Copy)]
pub(super) struct Received {
    /// Who sent it.
    pub(super) peer: SocketAddr,
    /// The address it was sent to, when the system tells.
    pub(super) reached: Option<IpAddr>,
    length: usize,
    stride: usize,
}

impl Received {
    /// The datagrams in the buffer that was filled.
    pub(super) fn datagrams<'a>(&self, buffer: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let filled = buffer.get(..self.length).unwrap_or_default();
        filled.chunks(self.stride.max(1))
    }
}

impl Socket {
    pub(super) async fn bind(address: SocketAddr) -> io::Result<Self> {
        Self::of(UdpSocket::bind(address).await?)
    }

    fn of(socket: UdpSocket) -> io::Result<Self> {
        let state = UdpSocketState::new((&socket).into())?;
        let family = Family::of(socket.local_addr()?);
        Ok(Self { socket, state, family })
    }

    /// The same socket for another runtime, which takes it with [`Socket::from_std`].
    pub(super) fn into_std(self) -> io::Result<std::net::UdpSocket> {
        self.socket.into_std()
    }

    /// A socket of the runtime that this is called in.
    pub(super) fn from_std(socket: std::net::UdpSocket) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Self::of(UdpSocket::from_std(socket)?)
    }

    pub(super) fn local_address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    pub(super) async fn receive(&self, buffer: &mut [u8]) -> io::Result<Received> {
        loop {
            self.socket.readable().await?;
            let mut meta = [RecvMeta::default()];
            let mut buffers = [IoSliceMut::new(buffer)];
            let received = self.socket.try_io(Interest::READABLE, || {
                self.state.recv((&self.socket).into(), &mut buffers, &mut meta)
            });
            match received {
                Ok(_) => {
                    let [meta] = meta;
                    return Ok(Received {
                        peer: canonical(meta.addr),
                        reached: meta.dst_ip.map(|ip| ip.to_canonical()),
                        length: meta.len,
                        stride: meta.stride,
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends one datagram, or with `segment` as many of that size as `bytes` holds.
    pub(super) async fn send(
        &self,
        peer: SocketAddr,
        from: Option<IpAddr>,
        bytes: &[u8],
        segment: Option<usize>,
    ) -> io::Result<()> {
        let peer = self.family.address_of(peer);
        let size = segment.unwrap_or(bytes.len()).max(1);
        let mut rest = bytes;
        while !rest.is_empty() {
            // Asked anew: the first failure tells that this system takes one at a time.
            let at_once = self.state.max_gso_segments().clamp(1, (60_000 / size).max(1));
            let (now, later) = rest.split_at((size * at_once).min(rest.len()));
            let transmit = Transmit {
                destination: peer,
                ecn: None,
                contents: now,
                segment_size: (now.len() > size).then_some(size),
                src_ip: from,
            };
            let sent = self.socket.try_io(Interest::WRITABLE, || {
                self.state.try_send((&self.socket).into(), &transmit)
            });
            match sent {
                Ok(()) => rest = later,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.socket.writable().await?;
                }
                Err(_) if at_once > 1 && self.state.max_gso_segments() <= 1 => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// A socket for both families shows IPv4 clients as `::ffff:a.b.c.d`.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::new(ip.into(), address.port()),
        IpAddr::V6(_) => address,
    }
}

impl std::fmt::Debug for Socket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Socket").field("socket", &self.socket).finish_non_exhaustive()
    }
}
