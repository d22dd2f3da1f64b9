#![allow(clippy::unwrap_used)]

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

const START: Duration = Duration::from_secs(7);

fn read(options: &[u8]) -> ReadRequest {
    let datagram = [b"\0\x01boot\0OCTET\0", options].concat();
    match Request::parse(&datagram).unwrap() {
        Request::Read(request) => request,
        Request::Write => panic!("a write"),
    }
}

fn ack(block: u16) -> Vec<u8> {
    [&[0, 4], &block.to_be_bytes()[..]].concat()
}

#[test]
fn requests_are_read_as_clients_write_them() {
    let request = read(b"tsize\x000\0BlkSize\x001432\0windowsize\x0016\0timeout\x002\0x\0y\0");
    assert_eq!(request.path, "boot");
    assert_eq!(request.mode, Mode::Octet);
    let expected = RequestOptions {
        block_size: Some(1432),
        wants_length: true,
        timeout: Some(2),
        window: Some(16),
    };
    assert_eq!(request.options, expected);
    assert_eq!(read(b"blksize\x007\0windowsize\x000\0timeout\x00x").options, Default::default());
    assert_eq!(Request::parse(b"\0\x02f\0octet\0"), Ok(Request::Write));
    for (datagram, error) in [
        (b"".as_slice(), RequestError::NotARequest),
        (b"\0\x04\0\0", RequestError::NotARequest),
        (b"\0\x01", RequestError::Path),
        (b"\0\x01\0octet\0", RequestError::Path),
        (b"\0\x01\xff\0octet\0", RequestError::Path),
        (b"\0\x01f\0", RequestError::CutOff),
        (b"\0\x01f\0mail\0", RequestError::Mode),
    ] {
        assert_eq!(Request::parse(datagram), Err(error), "{datagram:?}");
    }
}

#[test]
fn without_options_the_first_block_comes_at_once() {
    let (mut session, step) = Session::start(&read(b"").options, 1024, &Limits::default(), START);
    assert_eq!(step.send, Send::Blocks(1..=1));
    assert_eq!(session.block(1), Block { header: [0, 3, 0, 1], offset: 0, length: 512 });
    assert_eq!(session.received(&ack(1), START).send, Send::Blocks(2..=2));
    assert_eq!(session.received(&ack(2), START).send, Send::Blocks(3..=3));
    assert_eq!(session.block(3).length, 0, "a file of whole blocks ends with an empty one");
    assert_eq!(session.received(&ack(3), START).wait, Wait::Ended(Outcome::Complete));
}

#[test]
fn what_is_granted_is_no_more_than_was_asked_for_or_is_allowed() {
    let options =
        read(b"blksize\x0065464\0windowsize\x001000\0timeout\x0099\0tsize\x000\0").options;
    let (session, step) = Session::start(&options, 5, &Limits::default(), START);
    let oack = b"\0\x06blksize\x001468\0tsize\x005\0windowsize\x0064\0";
    assert_eq!(step.send, Send::Packet(oack.to_vec()));
    assert_eq!((session.block_size(), session.window()), (1468, 64));
}

#[test]
fn a_client_that_only_asks_for_the_length_ends_the_transfer() {
    let (mut session, _) =
        Session::start(&read(b"tsize\x000").options, 5, &Limits::default(), START);
    let step = session.received(b"\0\x05\0\x08no\0", START);
    assert_eq!(step.wait, Wait::Ended(Outcome::Aborted(8)));
}

#[test]
fn a_repeated_acknowledgement_does_not_double_the_traffic() {
    let (mut session, _) = Session::start(&read(b"").options, 5000, &Limits::default(), START);
    assert_eq!(session.received(&ack(1), START).send, Send::Blocks(2..=2));
    for _ in 0..3 {
        assert_eq!(session.received(&ack(1), START).send, Send::Nothing);
    }
    assert_eq!(session.received(&ack(0), START).send, Send::Nothing);
}

#[test]
fn a_lost_block_of_a_window_is_sent_again_without_a_timeout() {
    let options = read(b"windowsize\x008").options;
    let (mut session, _) = Session::start(&options, 100_000, &Limits::default(), START);
    assert_eq!(session.received(&ack(0), START).send, Send::Blocks(1..=8));
    assert_eq!(session.received(&ack(3), START).send, Send::Blocks(4..=11), "4 was lost");
    assert_eq!(session.received(&ack(3), START).send, Send::Nothing, "said once more for 6");
    assert_eq!(session.received(&ack(11), START).send, Send::Blocks(12..=19));
    assert_eq!(session.received(&ack(11), START).send, Send::Blocks(12..=19), "12 was lost");
    assert_eq!(session.received(&ack(11), START).send, Send::Nothing);
}

#[test]
fn silence_is_met_with_patience_that_ends() {
    let (mut session, mut step) = Session::start(&read(b"").options, 5, &Limits::default(), START);
    let mut sent = 0;
    let mut now = START;
    while let Wait::Until(deadline) = step.wait {
        sent += usize::from(step.send != Send::Nothing);
        assert_eq!(session.timed_out(deadline - Duration::from_millis(1)).send, Send::Nothing);
        now = deadline;
        step = session.timed_out(now);
    }
    assert_eq!(step.wait, Wait::Ended(Outcome::Unconfirmed), "its last block was sent");
    assert_eq!(sent, 7);
    assert!((10..40).contains(&(now - START).as_secs()), "{:?}", now - START);
}

#[test]
fn block_numbers_go_round() {
    let length = 70_000 * 512 + 1;
    let (mut session, _) = Session::start(&read(b"").options, length, &Limits::default(), START);
    for block in 1..=70_000_u64 {
        let step = session.received(&ack(u16::try_from(block % 65536).unwrap()), START);
        assert_eq!(step.send, Send::Blocks(block + 1..=block + 1));
    }
    assert_eq!(session.block(65_536).header, [0, 3, 0, 0]);
    let step = session.received(&ack(u16::try_from(70_001 % 65536).unwrap()), START);
    assert_eq!(step.wait, Wait::Ended(Outcome::Complete));
}

/// A receiver as RFC 7440 describes it.
struct Receiver {
    block_size: usize,
    window: u16,
    got: Vec<u8>,
    last: u64,
    in_window: u16,
    /// Whether it complains about every block that comes too early or only the first.
    eager: bool,
    complained: bool,
    greeted: bool,
    done: bool,
}

impl Receiver {
    fn take(&mut self, datagram: &[u8]) -> Option<Vec<u8>> {
        let number = u16::from_be_bytes([datagram[2], datagram[3]]);
        match datagram[1] {
            6 => {
                let first = !self.greeted;
                self.greeted = true;
                // A repeated greeting means that the acknowledgement was lost.
                (first || self.last == 0).then(|| ack(0))
            }
            3 => {
                self.greeted = true;
                let data = &datagram[4..];
                if number == wire(self.last + 1) && !self.done {
                    self.last += 1;
                    self.got.extend(data);
                    self.in_window += 1;
                    self.complained = false;
                    self.done = data.len() < self.block_size;
                    if self.in_window == self.window || self.done {
                        self.in_window = 0;
                        return Some(ack(number));
                    }
                    return None;
                }
                let complain = self.eager || !self.complained;
                self.complained = true;
                self.in_window = 0;
                complain.then(|| ack(wire(self.last)))
            }
            _ => None,
        }
    }
}

impl Receiver {
    /// Says once more what it has.
    fn wait_over(&mut self) -> Option<Vec<u8>> {
        (self.complained, self.in_window) = (false, 0);
        (self.greeted && !self.done).then(|| ack(wire(self.last)))
    }
}

fn wire(block: u64) -> u16 {
    u16::try_from(block % 65536).unwrap()
}

/// Time, order, direction, datagram.
type InFlight = (Duration, usize, usize, Vec<u8>);

/// A network that loses, doubles and delays as a tape of random bytes says, but never loses more
/// than two in a row of one direction.
struct Network {
    tape: Vec<u8>,
    at: usize,
    lost_in_a_row: [u32; 2],
}

impl Network {
    fn fates(&mut self, direction: usize) -> Vec<Duration> {
        let byte = self.tape[self.at % self.tape.len()];
        self.at += 1;
        if byte < 50 && self.lost_in_a_row[direction] < 2 {
            self.lost_in_a_row[direction] += 1;
            return Vec::new();
        }
        self.lost_in_a_row[direction] = 0;
        let late = Duration::from_millis(if byte.is_multiple_of(7) { 30 } else { 1 });
        match byte {
            230.. => vec![late, late + Duration::from_millis(5)],
            _ => vec![late],
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_file_arrives_whole_over_any_network(
        content in proptest::collection::vec(any::<u8>(), 0..6000),
        block_size in prop_oneof![Just(None), (8_u16..600).prop_map(Some)],
        window in prop_oneof![Just(None), (1_u16..20).prop_map(Some)],
        eager in any::<bool>(),
        tape in proptest::collection::vec(any::<u8>(), 64..512),
    ) {
        let options = RequestOptions { block_size, window, ..RequestOptions::default() };
        let limits = Limits::default().with_attempts(40);
        let (mut session, step) =
            Session::start(&options, content.len() as u64, &limits, Duration::ZERO);
        let mut receiver = Receiver {
            block_size: session.block_size(),
            window: u16::try_from(session.window()).unwrap(),
            got: Vec::new(),
            last: 0,
            in_window: 0,
            eager,
            complained: false,
            greeted: false,
            done: false,
        };
        let mut network = Network { tape, at: 0, lost_in_a_row: [0; 2] };
        let mut queue: BinaryHeap<Reverse<InFlight>> = BinaryHeap::new();
        let mut counter = 0;
        let mut sent_blocks = 0_u64;
        let mut step = step;
        let mut now = Duration::ZERO;
        let outcome = loop {
            let datagrams: Vec<Vec<u8>> = match step.send {
                Send::Nothing => Vec::new(),
                Send::Packet(packet) => vec![packet],
                Send::Blocks(blocks) => {
                    prop_assert!(*blocks.end() <= session.last_block());
                    prop_assert!(blocks.end() - blocks.start() < session.window() as u64);
                    blocks.map(|number| {
                        sent_blocks += 1;
                        let block = session.block(number);
                        let from = usize::try_from(block.offset).unwrap();
                        [&block.header[..], &content[from..from + block.length]].concat()
                    }).collect()
                }
            };
            for datagram in datagrams {
                for delay in network.fates(0) {
                    counter += 1;
                    queue.push(Reverse((now + delay, counter, 0, datagram.clone())));
                }
            }
            let deadline = match step.wait {
                Wait::Until(deadline) => deadline,
                Wait::Ended(outcome) => break outcome,
            };
            prop_assert!(sent_blocks < 200_000, "endless traffic");
            step = loop {
                match queue.pop() {
                    Some(Reverse((at, _, direction, datagram))) if at <= deadline => {
                        now = at;
                        if direction == 1 {
                            break session.received(&datagram, now);
                        }
                        if let Some(reply) = receiver.take(&datagram) {
                            for delay in network.fates(1) {
                                counter += 1;
                                queue.push(Reverse((now + delay, counter, 1, reply.clone())));
                            }
                        }
                    }
                    later => {
                        queue.extend(later);
                        now = deadline;
                        // The client has waited as long.
                        if let Some(reply) = receiver.wait_over() {
                            for delay in network.fates(1) {
                                counter += 1;
                                queue.push(Reverse((now + delay, counter, 1, reply.clone())));
                            }
                        }
                        break session.timed_out(now);
                    }
                }
            };
        };
        prop_assert_eq!(receiver.got, content);
        prop_assert!(receiver.done);
        prop_assert!(matches!(outcome, Outcome::Complete | Outcome::Unconfirmed), "{:?}", outcome);
    }

    #[test]
    fn no_datagram_makes_it_panic_or_send_what_was_not_asked_for(
        request in proptest::collection::vec(any::<u8>(), 0..80),
        replies in proptest::collection::vec(
            prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..8),
                any::<u16>().prop_map(ack),
                (0_u16..40).prop_map(ack),
            ],
            0..40,
        ),
        length in any::<u64>(),
    ) {
        let _ = Request::parse(&request);
        let options = RequestOptions { window: Some(9), ..RequestOptions::default() };
        let (mut session, _) = Session::start(&options, length, &Limits::default(), START);
        for reply in replies {
            if let Send::Blocks(blocks) = session.received(&reply, START).send {
                prop_assert!(*blocks.end() <= session.last_block());
                prop_assert!(blocks.end() - blocks.start() < 9);
                for number in blocks {
                    let block = session.block(number);
                    prop_assert!(block.offset + block.length as u64 <= length);
                }
            }
        }
    }
}
