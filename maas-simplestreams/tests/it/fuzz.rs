//! Mutated documents against every reader: no panic, no endless loop, and what is read once reads
//! the same again.
//!
//! Each target runs for a moment by default; `MAAS_TEST_FUZZ_SECONDS` sets how long. Guided by
//! coverage they run in `fuzz/`.

use std::time::{Duration, Instant};

use crate::fuzz_targets::{TARGETS, Target};

/// A small generator of its own: the same seed, the same inputs.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap() % bound.max(1)
    }

    fn pick<'a, T: AsRef<[u8]>>(&mut self, from: &'a [T]) -> &'a [u8] {
        from[self.below(from.len())].as_ref()
    }

    /// Changes a few places: bytes, words of the language, pieces of other seeds, cuts.
    fn mutate(&mut self, seeds: &[Vec<u8>], words: &[&[u8]]) -> Vec<u8> {
        let mut input = self.pick(seeds).to_vec();
        for _ in 0..=self.below(6) {
            let place = self.below(input.len() + 1);
            match self.below(7) {
                0 if !input.is_empty() => {
                    let place = place % input.len();
                    input[place] = u8::try_from(self.below(256)).unwrap();
                }
                1 => input.truncate(place),
                2 => {
                    let end = (place + self.below(12)).min(input.len());
                    input.drain(place..end);
                }
                3 | 4 => {
                    input.splice(place..place, self.pick(words).iter().copied());
                }
                5 => {
                    let other = self.pick(seeds);
                    let start = self.below(other.len() + 1);
                    let end = (start + self.below(200)).min(other.len());
                    input.splice(place..place, other[start..end].iter().copied());
                }
                _ => {
                    let end = (place + self.below(40)).min(input.len());
                    let piece = input[place..end].to_vec();
                    input.splice(place..place, piece);
                }
            }
        }
        input
    }
}

fn run(target: &Target) {
    let seconds = std::env::var("MAAS_TEST_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let span = seconds.map_or(Duration::from_millis(300), Duration::from_secs);
    let mut random = Random(target.name.bytes().fold(0x9e37_79b9_7f4a_7c15, |seed, byte| {
        seed.wrapping_mul(31).wrapping_add(u64::from(byte))
    }));
    let seeds = (target.seeds)();
    for seed in &seeds {
        (target.check)(seed);
    }
    let start = Instant::now();
    let mut runs = 0u64;
    while start.elapsed() < span {
        for _ in 0..64 {
            let input = random.mutate(&seeds, target.words);
            let begun = Instant::now();
            (target.check)(&input);
            let took = begun.elapsed();
            let shown = String::from_utf8_lossy(&input);
            assert!(took < Duration::from_secs(10), "{took:?} for {shown:?}");
            runs += 1;
        }
    }
    println!("{}: {runs} inputs in {:?}", target.name, start.elapsed());
}

#[test]
fn whatever_comes_every_reader_keeps_its_promises() {
    for target in &TARGETS {
        run(target);
    }
}
