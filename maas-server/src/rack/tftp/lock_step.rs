//! One transfer in lock-step on a thread of its own: a block, its acknowledgement, the next block.
//!
//! Most firmware knows nothing better. Each block then costs what the way to it costs, and the
//! shortest one is a thread that waits in the system call by which the acknowledgement arrives.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use maas_core::tftp::{Outcome, Send, Step, Wait};

use super::clients::{Hearing, Slot};
use super::socket::{Family, canonical, is_same_peer};
use super::transfer::{Begun, extent, gather, is_error, unknown_transfer};

/// How many transfers may have a thread at a time; others share one.
pub(super) const THREADS: usize = 64;

/// The longest wait before the thread looks whether its transfer is over. Shorter than any wait of
/// a session, so that as a rule the system need not be told another time for each block.
const LONGEST_WAIT: Duration = Duration::from_millis(100);

/// Carries out a transfer; returns how it ended.
///
/// # Errors
///
/// What the socket or the file failed by, and [`io::ErrorKind::Interrupted`] when it is over
/// before its end.
pub(super) fn carry_out(begun: Begun, socket: &UdpSocket, slot: &Slot) -> io::Result<Outcome> {
    let Begun { peer, mut source, mut session, mut step, started } = begun;
    let mut line = Line::new(socket, peer)?;
    let mut outgoing = Vec::new();
    let mut heard = false;
    loop {
        match &step.send {
            Send::Nothing => {}
            Send::Packet(packet) => line.send(packet)?,
            Send::Blocks(blocks) => {
                let (from, to) = extent(&session, blocks);
                gather(&session, blocks.clone(), source.slice_here(from, to)?, &mut outgoing)?;
                line.send(&outgoing)?;
            }
        }
        let deadline = match step.wait {
            Wait::Until(deadline) => deadline,
            Wait::Ended(outcome) => return Ok(outcome),
        };
        if slot.over().is_cancelled() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let datagram = line.receive(deadline.saturating_sub(started.elapsed()))?;
        let now = started.elapsed();
        step = match datagram {
            Some(datagram) => {
                heard = true;
                slot.note(Hearing::Answers);
                session.received(datagram, now)
            }
            None if now < deadline => Step { send: Send::Nothing, wait: step.wait },
            None => {
                if heard {
                    slot.note(Hearing::FellSilent);
                }
                session.timed_out(now)
            }
        };
    }
}

/// A socket whose other end is one client.
struct Line<'a> {
    socket: &'a UdpSocket,
    peer: SocketAddr,
    destination: SocketAddr,
    incoming: [u8; 2048],
    /// For how long the system was told to wait.
    wait: Option<Duration>,
}

impl<'a> Line<'a> {
    fn new(socket: &'a UdpSocket, peer: SocketAddr) -> io::Result<Self> {
        let destination = Family::of(socket.local_addr()?).address_of(peer);
        Ok(Self { socket, peer, destination, incoming: [0; 2048], wait: None })
    }

    fn send(&self, datagram: &[u8]) -> io::Result<()> {
        self.socket.send_to(datagram, self.destination).map(|_| ())
    }

    /// Waits for a datagram of the client; `None` after so long, or earlier.
    fn receive(&mut self, wait: Duration) -> io::Result<Option<&[u8]>> {
        let wait = wait.clamp(Duration::from_millis(1), LONGEST_WAIT);
        if self.wait != Some(wait) {
            self.socket.set_read_timeout(Some(wait))?;
            self.wait = Some(wait);
        }
        let (length, from) = match self.socket.recv_from(&mut self.incoming) {
            Ok(received) => received,
            Err(error) if is_nothing_yet(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        let datagram = self.incoming.get(..length).unwrap_or_default();
        if is_same_peer(canonical(from), self.peer) {
            return Ok(Some(datagram));
        }
        if !is_error(datagram) {
            self.socket.send_to(&unknown_transfer(), from)?;
        }
        Ok(None)
    }
}

fn is_nothing_yet(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), Interrupted | TimedOut | WouldBlock)
}
