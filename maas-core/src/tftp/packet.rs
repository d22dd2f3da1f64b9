//! The datagrams of TFTP (RFC 1350 section 5, RFC 2347).

use super::options::RequestOptions;

/// The port that requests are sent to (UDP).
pub const PORT: u16 = 69;

/// The longest file name of a request that is looked at, in bytes.
const LONGEST_PATH: usize = 1024;

/// The most options of a request that are looked at.
const MOST_OPTIONS: usize = 16;

const RRQ: u16 = 1;
const WRQ: u16 = 2;
pub(super) const DATA: u16 = 3;
const ACK: u16 = 4;
const ERROR: u16 = 5;
pub(super) const OACK: u16 = 6;

/// What a client sends to the well-known port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// It wants a file.
    Read(ReadRequest),
    /// It wants to send one, which is to be refused.
    Write,
}

/// A request for a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadRequest {
    /// The file's name as sent.
    pub path: String,
    /// How its bytes are to be sent.
    pub mode: Mode,
    /// What else was asked for.
    pub options: RequestOptions,
}

/// How the bytes of a file are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// As they are.
    Octet,
    /// As text with CR LF at the end of a line.
    Netascii,
}

/// A datagram that is no request which could be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// It is neither a read nor a write request.
    #[error("the datagram is no request")]
    NotARequest,
    /// It ends in the middle of a text.
    #[error("the request is cut off")]
    CutOff,
    /// The file's name is empty, longer than 1024 bytes or not UTF-8.
    #[error("the file name cannot be read")]
    Path,
    /// The mode is neither `octet` nor `netascii`.
    #[error("the transfer mode is neither octet nor netascii")]
    Mode,
}

impl Request {
    /// Reads a datagram from the well-known port.
    ///
    /// # Errors
    ///
    /// [`RequestError`]; [`RequestError::NotARequest`] is to be ignored, the others may be
    /// answered by an error packet.
    pub fn parse(datagram: &[u8]) -> Result<Self, RequestError> {
        match opcode(datagram) {
            Some(RRQ) => {}
            Some(WRQ) => return Ok(Self::Write),
            _ => return Err(RequestError::NotARequest),
        }
        let body = datagram.get(2..).unwrap_or_default();
        // Some clients leave out the last zero byte.
        let body = body.strip_suffix(&[0]).unwrap_or(body);
        let mut texts = body.split(|byte| *byte == 0);
        let path = texts.next().unwrap_or_default();
        if path.is_empty() || path.len() > LONGEST_PATH {
            return Err(RequestError::Path);
        }
        let path = std::str::from_utf8(path).map_err(|_| RequestError::Path)?.to_owned();
        let mode = texts.next().ok_or(RequestError::CutOff)?;
        let mode = if mode.eq_ignore_ascii_case(b"octet") {
            Mode::Octet
        } else if mode.eq_ignore_ascii_case(b"netascii") {
            Mode::Netascii
        } else {
            return Err(RequestError::Mode);
        };
        let mut options = RequestOptions::default();
        for _ in 0..MOST_OPTIONS {
            let (Some(name), Some(value)) = (texts.next(), texts.next()) else { break };
            options.take(name, value);
        }
        Ok(Self::Read(ReadRequest { path, mode, options }))
    }
}

/// What a client sends within a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reply {
    /// It has every block up to this one, modulo 65536.
    Ack(u16),
    /// It gives up.
    Error(u16),
}

impl Reply {
    /// Reads a datagram of a transfer; `None` for one that means nothing there.
    #[must_use]
    pub fn parse(datagram: &[u8]) -> Option<Self> {
        let number = || Some(u16::from_be_bytes([*datagram.get(2)?, *datagram.get(3)?]));
        match opcode(datagram)? {
            ACK => number().map(Self::Ack),
            // Some clients send no code.
            ERROR => Some(Self::Error(number().unwrap_or_default())),
            _ => None,
        }
    }
}

/// The error codes of RFC 1350 and 2347.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorCode {
    /// Not defined, see the message.
    Undefined,
    /// File not found.
    FileNotFound,
    /// Access violation.
    AccessViolation,
    /// Illegal operation.
    IllegalOperation,
    /// Unknown transfer ID: the datagram came from a port that has no part in the transfer.
    UnknownTransferId,
}

/// An error packet with a message for people (ASCII).
#[must_use]
pub fn error_packet(code: ErrorCode, message: &str) -> Vec<u8> {
    let code: u16 = match code {
        ErrorCode::Undefined => 0,
        ErrorCode::FileNotFound => 1,
        ErrorCode::AccessViolation => 2,
        ErrorCode::IllegalOperation => 4,
        ErrorCode::UnknownTransferId => 5,
    };
    let mut packet = Vec::with_capacity(5 + message.len());
    packet.extend(ERROR.to_be_bytes());
    packet.extend(code.to_be_bytes());
    packet.extend(message.bytes().filter(|byte| (b' '..=b'~').contains(byte)));
    packet.push(0);
    packet
}

fn opcode(datagram: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes([*datagram.first()?, *datagram.get(1)?]))
}
