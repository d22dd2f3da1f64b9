//! One transfer: datagrams and timeouts in, blocks and deadlines out.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::options::{Granted, Limits, RequestOptions, grant};
use super::packet::{DATA, Reply};

/// The first wait for an acknowledgement, and the longest that a measured round trip leads to.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// The shortest wait for an acknowledgement: firmware may be busy for as long.
const SHORTEST_WAIT: Duration = Duration::from_millis(200);

/// The longest wait that doubling leads to.
const LONGEST_WAIT: Duration = Duration::from_secs(4);

/// A transfer to one client.
///
/// Time is any clock that does not go back, as the [`Duration`] since some moment.
#[derive(Debug, Clone)]
pub struct Session {
    granted: Granted,
    attempts: u32,
    length: u64,
    /// The packet that grants the options, until it is acknowledged.
    greeting: Option<Vec<u8>>,
    /// Every block up to this one is acknowledged; 0 before the first.
    acknowledged: u64,
    /// The last block that was sent; 0 before the first.
    sent: u64,
    /// When these blocks went out, if for the first time.
    sent_at: Option<Duration>,
    /// Whether a repeated acknowledgement still means that the first block of a window is lost.
    heed_repeated: bool,
    /// The smoothed round trip.
    round_trip: Option<Duration>,
    /// How often the same packets were sent again.
    repeated: u32,
    deadline: Duration,
    ended: Option<Outcome>,
}

/// What is to be done now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What is to be sent.
    pub send: Send,
    /// What is to be waited for.
    pub wait: Wait,
}

/// What is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Send {
    /// Nothing.
    Nothing,
    /// This datagram.
    Packet(Vec<u8>),
    /// These blocks, see [`Session::block`].
    Blocks(RangeInclusive<u64>),
}

/// What is to be waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// A datagram, until this moment; then [`Session::timed_out`].
    Until(Duration),
    /// Nothing: the transfer has ended.
    Ended(Outcome),
}

/// How a transfer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The client has all of it.
    Complete,
    /// All of it was sent, but the client did not say that it has the end: many a firmware
    /// starts what it fetched at once.
    Unconfirmed,
    /// The client gave up with this code of RFC 1350; asking for the length only is done so.
    Aborted(u16),
    /// The client fell silent.
    Silent,
}

/// One block of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// What stands before the data in its datagram.
    pub header: [u8; 4],
    /// Where its data begins in the file, in bytes.
    pub offset: u64,
    /// How many bytes of data it has; the last block has fewer than the others, maybe none.
    pub length: usize,
}

impl Session {
    /// Starts a transfer of `length` bytes.
    #[must_use]
    pub fn start(
        options: &RequestOptions,
        length: u64,
        limits: &Limits,
        now: Duration,
    ) -> (Self, Step) {
        let (granted, greeting) = grant(options, length, limits);
        let mut session = Self {
            granted,
            attempts: limits.attempts,
            length,
            greeting,
            acknowledged: 0,
            sent: 0,
            sent_at: Some(now),
            heed_repeated: false,
            round_trip: None,
            repeated: 0,
            deadline: now,
            ended: None,
        };
        let send = match session.greeting.clone() {
            Some(packet) => Send::Packet(packet),
            None => session.next_window(now),
        };
        session.deadline = now + session.patience();
        let step = session.step(send);
        (session, step)
    }

    /// Bytes of a full block's data.
    #[must_use]
    pub fn block_size(&self) -> usize {
        self.granted.block_size.into()
    }

    /// Blocks for each acknowledgement.
    #[must_use]
    pub fn window(&self) -> usize {
        self.granted.window.into()
    }

    /// The number of the last block: the first that is not full, maybe empty.
    #[must_use]
    pub fn last_block(&self) -> u64 {
        self.length / u64::from(self.granted.block_size) + 1
    }

    /// A block by its number, from 1 on; one after the last is empty.
    #[must_use]
    pub fn block(&self, number: u64) -> Block {
        let size = u64::from(self.granted.block_size);
        let offset = number.saturating_sub(1).saturating_mul(size).min(self.length);
        let length = usize::from(self.granted.block_size)
            .min(usize::try_from(self.length - offset).unwrap_or(usize::MAX));
        let [op_high, op_low] = DATA.to_be_bytes();
        // Numbers go round after 65535; every client that can fetch so much expects 0 then.
        let [high, low] = on_the_wire(number).to_be_bytes();
        Block { header: [op_high, op_low, high, low], offset, length }
    }

    /// A datagram came from the client.
    #[must_use]
    pub fn received(&mut self, datagram: &[u8], now: Duration) -> Step {
        if self.ended.is_some() {
            return self.step(Send::Nothing);
        }
        match Reply::parse(datagram) {
            Some(Reply::Error(code)) => self.end(Outcome::Aborted(code)),
            Some(Reply::Ack(number)) => self.acknowledged(number, now),
            None => self.step(Send::Nothing),
        }
    }

    /// The deadline of the last step has passed.
    #[must_use]
    pub fn timed_out(&mut self, now: Duration) -> Step {
        if self.ended.is_some() || now < self.deadline {
            return self.step(Send::Nothing);
        }
        if self.repeated >= self.attempts {
            let at_end = self.greeting.is_none() && self.sent == self.last_block();
            return self.end(if at_end { Outcome::Unconfirmed } else { Outcome::Silent });
        }
        self.repeated += 1;
        self.heed_repeated = false;
        // An acknowledgement could now belong to either sending.
        self.sent_at = None;
        self.deadline = now + self.patience();
        let send = match &self.greeting {
            Some(packet) => Send::Packet(packet.clone()),
            None => Send::Blocks(self.acknowledged + 1..=self.sent),
        };
        self.step(send)
    }

    fn acknowledged(&mut self, number: u16, now: Duration) -> Step {
        if self.greeting.is_some() {
            if number != 0 {
                return self.step(Send::Nothing);
            }
            self.greeting = None;
            self.measure(now);
            return self.advance(Loss::None, now);
        }
        // The only block in flight that has this number on the wire.
        let ahead = number.wrapping_sub(on_the_wire(self.acknowledged));
        let block = self.acknowledged + u64::from(ahead);
        if block > self.sent {
            return self.step(Send::Nothing);
        }
        if block == self.acknowledged {
            // Answering every repeated acknowledgement would double all that follows (RFC 1123,
            // 4.2.3.1); with a window, one of them tells that its first block is lost (RFC 7440).
            if !self.heed_repeated {
                return self.step(Send::Nothing);
            }
            self.heed_repeated = false;
            self.sent_at = None;
            return self.step(Send::Blocks(self.acknowledged + 1..=self.sent));
        }
        self.measure(now);
        let loss = if block == self.sent { Loss::None } else { Loss::Some };
        self.acknowledged = block;
        if block == self.last_block() {
            return self.end(Outcome::Complete);
        }
        self.advance(loss, now)
    }

    /// Sends the window after what is acknowledged.
    fn advance(&mut self, loss: Loss, now: Duration) -> Step {
        self.repeated = 0;
        let send = self.next_window(now);
        // After a loss the client says the same once for each block that it got too early.
        self.heed_repeated = loss == Loss::None && self.granted.window > 1;
        self.deadline = now + self.patience();
        self.step(send)
    }

    fn next_window(&mut self, now: Duration) -> Send {
        let first = self.acknowledged + 1;
        let window = u64::from(self.granted.window);
        self.sent = (self.acknowledged + window).min(self.last_block());
        self.sent_at = Some(now);
        Send::Blocks(first..=self.sent)
    }

    fn measure(&mut self, now: Duration) {
        let Some(sent_at) = self.sent_at.take() else { return };
        let sample = now.saturating_sub(sent_at);
        self.round_trip = Some(match self.round_trip {
            None => sample,
            Some(before) => (before * 7 + sample) / 8,
        });
    }

    /// How long to wait for the client: as it asked, or by its round trip, doubled at each
    /// repetition.
    fn patience(&self) -> Duration {
        if let Some(asked) = self.granted.timeout {
            return asked;
        }
        let first = self
            .round_trip
            .map_or(FIRST_WAIT, |round_trip| (round_trip * 8).clamp(SHORTEST_WAIT, FIRST_WAIT));
        (first * (1 << self.repeated.min(8))).min(LONGEST_WAIT)
    }

    fn end(&mut self, outcome: Outcome) -> Step {
        self.ended = Some(outcome);
        self.step(Send::Nothing)
    }

    fn step(&self, send: Send) -> Step {
        let wait = match self.ended {
            Some(outcome) => Wait::Ended(outcome),
            None => Wait::Until(self.deadline),
        };
        Step { send, wait }
    }
}

/// Whether the client missed a block of a window.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Loss {
    None,
    Some,
}

fn on_the_wire(block: u64) -> u16 {
    let [.., high, low] = block.to_be_bytes();
    u16::from_be_bytes([high, low])
}
