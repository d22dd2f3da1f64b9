//! One transfer: the session's steps carried out on its own socket.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use maas_core::boot::FetchedOver;
use maas_core::tftp::{
    ErrorCode, Mode, Outcome, ReadRequest, Reply, Send, Session, Step, Wait, error_packet,
};
use tokio::time::Instant;

use super::TftpLimits;
use super::socket::{Received, Socket};
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

pub(super) async fn run(asked: Asked, files: &dyn BootFiles, limits: TftpLimits) {
    let path = &asked.request.path;
    let (peer, started) = (asked.peer, Instant::now());
    let socket = match Socket::of_transfer(asked.reached, peer).await {
        Ok(socket) => socket,
        Err(error) => {
            tracing::warn!(%error, %peer, "TFTP: no socket for a transfer");
            return;
        }
    };
    let transferred = async {
        match source(&asked, files).await {
            Ok(source) => carry_out(&asked, &socket, source, limits).await,
            Err(refusal) => refuse(&asked, &socket, &refusal).await.map(|()| None),
        }
    };
    let shown: String = path.chars().filter(|c| !c.is_control()).take(200).collect();
    match tokio::time::timeout(limits.transfer_time, transferred).await {
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

async fn refuse(asked: &Asked, socket: &Socket, refusal: &Refusal) -> io::Result<()> {
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
    socket.send(asked.peer, None, &error_packet(code, &text), None).await
}

/// Returns how it ended and how many bytes the file has.
async fn carry_out(
    asked: &Asked,
    socket: &Socket,
    mut source: Source,
    limits: TftpLimits,
) -> io::Result<Option<(Outcome, u64)>> {
    let started = Instant::now();
    let length = source.length();
    let options = &asked.request.options;
    let mut session_limits = limits.session;
    if asked.peer.is_ipv6() {
        // The header of IPv6 is 20 bytes longer.
        session_limits = session_limits.with_block_size(session_limits.block_size.min(1448));
    }
    // A length before the conversion to text would be wrong, one after it surprises nobody.
    debug_assert!(asked.request.mode == Mode::Octet || matches!(source, Source::Memory(_)));
    let (mut session, mut step) = Session::start(options, length, &session_limits, Duration::ZERO);
    let mut outgoing = Vec::new();
    let mut incoming = vec![0; 2048];
    loop {
        match &step.send {
            Send::Nothing => {}
            Send::Packet(packet) => socket.send(asked.peer, None, packet, None).await?,
            Send::Blocks(blocks) => {
                gather(&session, &mut source, blocks.clone(), &mut outgoing).await?;
                let segment = 4 + session.block_size();
                socket.send(asked.peer, None, &outgoing, Some(segment)).await?;
            }
        }
        let deadline = match step.wait {
            Wait::Until(deadline) => started + deadline,
            Wait::Ended(outcome) => return Ok(Some((outcome, length))),
        };
        step = match tokio::time::timeout_at(deadline, socket.receive(&mut incoming)).await {
            Err(_) => session.timed_out(started.elapsed()),
            Ok(received) => {
                let received = received?;
                let mut next = Step { send: Send::Nothing, wait: step.wait };
                if !received.is_of(asked.peer) {
                    turn_away(socket, &received, &incoming).await;
                    step = next;
                    continue;
                }
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
    // Errors are never answered: two sides could go on like that without end.
    if !received
        .datagrams(incoming)
        .any(|datagram| matches!(Reply::parse(datagram), Some(Reply::Error(_))))
    {
        let packet = error_packet(ErrorCode::UnknownTransferId, "unknown transfer ID");
        if let Err(error) = socket.send(received.peer, None, &packet, None).await {
            tracing::debug!(%error, peer = %received.peer, "TFTP: a stranger was not turned away");
        }
    }
}

/// Puts blocks with their headers one after the other; all but the last are of one size.
async fn gather(
    session: &Session,
    source: &mut Source,
    blocks: RangeInclusive<u64>,
    outgoing: &mut Vec<u8>,
) -> io::Result<()> {
    let (first, last) = (session.block(*blocks.start()), session.block(*blocks.end()));
    let bytes = source.slice(first.offset, last.offset + last.length as u64).await?;
    outgoing.clear();
    let mut rest = &bytes[..];
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
