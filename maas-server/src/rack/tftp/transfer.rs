//! One transfer: the session's steps carried out on its own socket.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use maas_core::boot::FetchedOver;
use maas_core::tftp::{
    ErrorCode, Mode, Outcome, ReadRequest, Reply, Send, Session, Step, Wait, error_packet,
};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::TftpLimits;
use super::clients::{Hearing, Slot};
use super::lock_step;
use super::socket::{Received, Socket, is_same_peer, of_transfer};
use super::source::Source;
use crate::http::Problem;
use crate::rack::files::BootFiles;

/// A request with who sent it and where to.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) request: ReadRequest,
    pub(super) peer: SocketAddr,
    pub(super) reached: IpAddr,
}

/// Why a file is not sent.
enum Refusal {
    Problem(Problem),
    TooLargeForText,
    Io(io::Error),
}

/// A transfer that has begun: what is left are datagrams to and fro.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) peer: SocketAddr,
    pub(super) source: Source,
    pub(super) session: Session,
    pub(super) step: Step,
    pub(super) started: Instant,
}

/// Serves one request until the file has arrived, the client is gone, or it takes too long.
///
/// A transfer in lock-step takes one of the `threads`, while there are any.
pub(super) async fn run(
    asked: Asked,
    slot: Slot,
    files: &dyn BootFiles,
    limits: TftpLimits,
    threads: &Arc<Semaphore>,
) {
    let path = &asked.request.path;
    let (peer, started) = (asked.peer, Instant::now());
    let socket = match of_transfer(asked.reached, peer) {
        Ok(socket) => socket,
        Err(error) => {
            tracing::warn!(%error, %peer, "TFTP: no socket for a transfer");
            return;
        }
    };
    let shown: String = path.chars().filter(|c| !c.is_control()).take(200).collect();
    let over = slot.over().clone();
    // A thread of this transfer's ends with it, however it ends.
    let _ends_with_this = over.clone().drop_guard();
    let transferred = async {
        let source = match source(&asked, files).await {
            Ok(source) => source,
            Err(refusal) => return refuse(&asked, socket, &refusal).await.map(|()| None),
        };
        let length = source.length();
        let begun = begin(&asked, source, &limits);
        let is_lock_step = begun.session.window() == 1;
        let thread = is_lock_step.then(|| Arc::clone(threads).try_acquire_owned().ok()).flatten();
        let outcome = match thread {
            Some(thread) => {
                let carried_out = tokio::task::spawn_blocking(move || {
                    let _thread = thread;
                    lock_step::carry_out(begun, &socket, &slot)
                });
                carried_out.await.map_err(io::Error::other)??
            }
            None => carry_out(begun, socket, &slot).await?,
        };
        Ok(Some((outcome, length)))
    };
    let transferred = tokio::select! {
        transferred = tokio::time::timeout(limits.transfer_time, transferred) => transferred,
        () = over.cancelled() => {
            tracing::debug!(%peer, path = shown, "TFTP: given up");
            return;
        }
    };
    match transferred {
        Ok(Ok(Some((outcome, bytes)))) => {
            let ms = started.elapsed().as_millis();
            match outcome {
                Outcome::Silent => {
                    tracing::info!(%peer, path = shown, bytes, ms, "TFTP: the client fell silent");
                }
                _ => tracing::debug!(%peer, path = shown, bytes, ms, ?outcome, "TFTP: sent"),
            }
        }
        Ok(Ok(None)) => {}
        // What a client is told that has gone away: its port is closed.
        Ok(Err(error)) => tracing::debug!(%peer, path = shown, %error, "TFTP: cut off"),
        Err(_) => tracing::warn!(%peer, path = shown, "TFTP: a transfer took too long"),
    }
}

fn begin(asked: &Asked, source: Source, limits: &TftpLimits) -> Begun {
    let mut granted = limits.session;
    if asked.peer.is_ipv6() {
        // The header of IPv6 is 20 bytes longer.
        granted = granted.with_block_size(granted.block_size.min(1448));
    }
    // A length before the conversion to text would be wrong, one after it surprises nobody.
    debug_assert!(asked.request.mode == Mode::Octet || matches!(source, Source::Memory(_)));
    let (session, step) =
        Session::start(&asked.request.options, source.length(), &granted, Duration::ZERO);
    Begun { peer: asked.peer, source, session, step, started: Instant::now() }
}

async fn source(asked: &Asked, files: &dyn BootFiles) -> Result<Source, Refusal> {
    let path = &asked.request.path;
    let file =
        files.open(path, Some(asked.reached), FetchedOver::Tftp).await.map_err(Refusal::Problem)?;
    match Source::open(file, asked.request.mode).await {
        Ok(Some(source)) => Ok(source),
        Ok(None) => Err(Refusal::TooLargeForText),
        Err(error) => Err(Refusal::Io(error)),
    }
}

async fn refuse(asked: &Asked, socket: UdpSocket, refusal: &Refusal) -> io::Result<()> {
    let (code, text) = match refusal {
        Refusal::Problem(Problem::NotFound(text)) => (ErrorCode::FileNotFound, text.clone()),
        Refusal::Problem(Problem::Forbidden(text)) => (ErrorCode::AccessViolation, text.clone()),
        Refusal::TooLargeForText => {
            (ErrorCode::IllegalOperation, "netascii is for text, ask for octet".to_owned())
        }
        Refusal::Problem(problem) => {
            tracing::warn!(
                peer = %asked.peer,
                error = crate::with_causes(problem),
                "TFTP: a boot file failed"
            );
            (ErrorCode::Undefined, "internal error".to_owned())
        }
        Refusal::Io(error) => {
            tracing::warn!(peer = %asked.peer, %error, "TFTP: a boot file cannot be read");
            (ErrorCode::Undefined, "internal error".to_owned())
        }
    };
    tracing::debug!(peer = %asked.peer, path = ?asked.request.path, why = text, "TFTP: refused");
    // Clients show little of it, and a datagram holds so much.
    let text: String = text.chars().take(400).collect();
    let socket = Socket::from_std(socket)?;
    socket.send(asked.peer, None, &error_packet(code, &text), None).await
}

/// Carries out a transfer among others on one thread; returns how it ended.
async fn carry_out(begun: Begun, socket: UdpSocket, slot: &Slot) -> io::Result<Outcome> {
    let Begun { peer, mut source, mut session, mut step, started } = begun;
    let socket = Socket::from_std(socket)?;
    let mut outgoing = Vec::new();
    let mut incoming = vec![0; 2048];
    let mut heard = false;
    loop {
        match &step.send {
            Send::Nothing => {}
            Send::Packet(packet) => socket.send(peer, None, packet, None).await?,
            Send::Blocks(blocks) => {
                let (from, to) = extent(&session, blocks);
                let bytes = source.slice(from, to).await?;
                gather(&session, blocks.clone(), bytes, &mut outgoing)?;
                let segment = 4 + session.block_size();
                socket.send(peer, None, &outgoing, Some(segment)).await?;
            }
        }
        let deadline = match step.wait {
            Wait::Until(deadline) => started + deadline,
            Wait::Ended(outcome) => return Ok(outcome),
        };
        step = match tokio::time::timeout_at(deadline, socket.receive(&mut incoming)).await {
            Err(_) => {
                if heard {
                    slot.note(Hearing::FellSilent);
                }
                session.timed_out(started.elapsed())
            }
            Ok(received) => {
                let received = received?;
                let mut next = Step { send: Send::Nothing, wait: step.wait };
                if !is_same_peer(received.peer, peer) {
                    turn_away(&socket, &received, &incoming).await;
                    step = next;
                    continue;
                }
                heard = true;
                slot.note(Hearing::Answers);
                for datagram in received.datagrams(&incoming) {
                    let answer = session.received(datagram, started.elapsed());
                    // Of several acknowledgements the last that moves anything counts.
                    if answer.send != Send::Nothing || matches!(answer.wait, Wait::Ended(_)) {
                        next = answer;
                    }
                }
                next
            }
        };
    }
}

/// Tells somebody who has no part in a transfer so (RFC 1350 section 4); the transfer goes on.
async fn turn_away(socket: &Socket, received: &Received, incoming: &[u8]) {
    if received.datagrams(incoming).any(is_error) {
        return;
    }
    if let Err(error) = socket.send(received.peer, None, &unknown_transfer(), None).await {
        tracing::debug!(%error, peer = %received.peer, "TFTP: a stranger was not turned away");
    }
}

/// Whether it is an error, which is never answered: two sides could go on like that without end.
pub(super) fn is_error(datagram: &[u8]) -> bool {
    matches!(Reply::parse(datagram), Some(Reply::Error(_)))
}

/// What somebody is told who has no part in a transfer.
pub(super) fn unknown_transfer() -> Vec<u8> {
    error_packet(ErrorCode::UnknownTransferId, "unknown transfer ID")
}

/// Where the data of these blocks begins in the file and where it ends.
pub(super) fn extent(session: &Session, blocks: &RangeInclusive<u64>) -> (u64, u64) {
    let (first, last) = (session.block(*blocks.start()), session.block(*blocks.end()));
    (first.offset, last.offset + last.length as u64)
}

/// Puts blocks with their headers one after the other; all but the last are of one size. `bytes`
/// are their data.
pub(super) fn gather(
    session: &Session,
    blocks: RangeInclusive<u64>,
    bytes: &[u8],
    outgoing: &mut Vec<u8>,
) -> io::Result<()> {
    outgoing.clear();
    let mut rest = bytes;
    for number in blocks {
        let block = session.block(number);
        let Some((data, later)) = rest.split_at_checked(block.length) else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        outgoing.extend(block.header);
        outgoing.extend(data);
        rest = later;
    }
    Ok(())
}
