//! The options of a transfer: what was asked for and what is granted (RFC 2347, 2348, 2349, 7440).

use std::time::Duration;

use super::packet::OACK;

/// The options of a read request that we know; others are ignored, as RFC 2347 asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RequestOptions {
    /// `blksize`: bytes of a block, 8 to 65464.
    pub block_size: Option<u16>,
    /// `tsize`: the client wants to be told the file's length.
    pub wants_length: bool,
    /// `timeout`: seconds until a packet is sent again, 1 to 255.
    pub timeout: Option<u8>,
    /// `windowsize`: blocks sent for each acknowledgement, 1 to 65535.
    pub window: Option<u16>,
}

impl RequestOptions {
    /// Takes one option; a value out of its range counts as not given.
    pub(super) fn take(&mut self, name: &[u8], value: &[u8]) {
        let Some(number) = decimal(value) else { return };
        let within = |low: u64, high: u64| (low..=high).contains(&number);
        if name.eq_ignore_ascii_case(b"blksize") && within(8, 65464) {
            self.block_size = u16::try_from(number).ok();
        } else if name.eq_ignore_ascii_case(b"tsize") {
            self.wants_length = true;
        } else if name.eq_ignore_ascii_case(b"timeout") && within(1, 255) {
            self.timeout = u8::try_from(number).ok();
        } else if name.eq_ignore_ascii_case(b"windowsize") && within(1, 65535) {
            self.window = u16::try_from(number).ok();
        }
    }
}

fn decimal(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

/// What the server grants at most, and how patient it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The largest block in bytes. Larger ones than fit into a frame would be fragmented, which
    /// many a firmware's network stack cannot undo.
    pub block_size: u16,
    /// The largest window in blocks.
    pub window: u16,
    /// The longest `timeout` that is granted, in seconds; a longer one is not answered.
    pub timeout: u8,
    /// How often the same packets are sent again before the client is given up.
    pub attempts: u32,
}

impl Default for Limits {
    fn default() -> Self {
        // 1500 bytes of Ethernet less 20 of IP, 8 of UDP and 4 of TFTP.
        Self { block_size: 1468, window: 64, timeout: 30, attempts: 6 }
    }
}

impl Limits {
    /// With another largest block, in bytes, at least 8.
    #[must_use]
    pub fn with_block_size(mut self, bytes: u16) -> Self {
        self.block_size = bytes.max(8);
        self
    }

    /// With another largest window, in blocks, at least 1.
    #[must_use]
    pub fn with_window(mut self, blocks: u16) -> Self {
        self.window = blocks.max(1);
        self
    }

    /// With another number of attempts.
    #[must_use]
    pub fn with_attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }
}

/// What holds for a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Granted {
    pub(super) block_size: u16,
    pub(super) window: u16,
    pub(super) timeout: Option<Duration>,
}

/// Grants what the limits allow; the packet that says so, unless nothing was asked for.
pub(super) fn grant(
    options: &RequestOptions,
    length: u64,
    limits: &Limits,
) -> (Granted, Option<Vec<u8>>) {
    let block_size = options.block_size.map(|size| size.min(limits.block_size));
    let window = options.window.map(|window| window.min(limits.window));
    let timeout = options.timeout.filter(|seconds| *seconds <= limits.timeout);
    let mut packet = OACK.to_be_bytes().to_vec();
    let mut say = |name: &str, value: String| {
        packet.extend(name.bytes().chain([0]).chain(value.bytes()).chain([0]));
    };
    if let Some(size) = block_size {
        say("blksize", size.to_string());
    }
    if let Some(seconds) = timeout {
        say("timeout", seconds.to_string());
    }
    if options.wants_length {
        say("tsize", length.to_string());
    }
    if let Some(window) = window {
        say("windowsize", window.to_string());
    }
    let granted = Granted {
        block_size: block_size.unwrap_or(512),
        window: window.unwrap_or(1),
        timeout: timeout.map(|seconds| Duration::from_secs(seconds.into())),
    };
    (granted, (packet.len() > 2).then_some(packet))
}
