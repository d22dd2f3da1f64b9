//! TFTP as a server speaks it, without sockets and clocks.
//!
//! [`Request::parse`] reads what arrives on the well-known port; a [`Session`] is one transfer
//! after that: datagrams and timeouts in, [`Step`]s out. The caller owns the socket, the file and
//! the clock, and does what the step says.
//!
//! Protocols: RFC 1350 (TFTP revision 2), 2347 (options), 2348 (`blksize`), 2349 (`timeout`,
//! `tsize`), 7440 (`windowsize`). Only reading is offered: a network boot server that takes files
//! from strangers has no use.
//!
//! ```
//! use std::time::Duration;
//! use maas_core::tftp::{Limits, Request, Send, Session, Wait};
//!
//! let request = Request::parse(b"\x00\x01bootx64.efi\0octet\0blksize\01024\0")?;
//! let Request::Read(request) = request else { panic!("not a read") };
//! let now = Duration::ZERO;
//! let (mut session, step) = Session::start(&request.options, 1500, &Limits::default(), now);
//! assert_eq!(step.send, Send::Packet(b"\x00\x06blksize\01024\0".to_vec()));
//! let step = session.received(b"\x00\x04\x00\x00", now);
//! assert_eq!(step.send, Send::Blocks(1..=1));
//! assert_eq!(session.block(1).length, 1024);
//! assert!(matches!(step.wait, Wait::Until(_)));
//! # Ok::<(), maas_core::tftp::RequestError>(())
//! ```

mod options;
mod packet;
mod session;

pub use options::{Limits, RequestOptions};
pub use packet::{ErrorCode, Mode, PORT, ReadRequest, Reply, Request, RequestError, error_packet};
pub use session::{Block, Outcome, Send, Session, Step, Wait};

#[cfg(test)]
mod tests;
