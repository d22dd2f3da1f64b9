//! Mutated bodies and headers against their readers: no panic, no endless loop.
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

    /// Changes a few places: bytes, words of the language, cuts, repetitions.
    fn mutate(&mut self, target: &Target, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut input = seeds[self.below(seeds.len())].clone();
        for _ in 0..=self.below(6) {
            let place = self.below(input.len() + 1);
            match self.below(6) {
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
                    let word = target.words[self.below(target.words.len())];
                    input.splice(place..place, word.iter().copied());
                }
                _ => {
                    let end = (place + self.below(60)).min(input.len());
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
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let seeds = (target.seeds)();
    for seed in &seeds {
        (target.check)(seed);
    }
    let start = Instant::now();
    let mut runs = 0u64;
    while start.elapsed() < span {
        let input = random.mutate(target, &seeds);
        let begun = Instant::now();
        (target.check)(&input);
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", String::from_utf8_lossy(&input));
        runs += 1;
    }
    println!("{}: {runs} inputs", target.name);
    assert!(runs > 0);
}

#[test]
fn bodies_of_any_form_are_read_or_refused() {
    run(&TARGETS[0]);
}

#[test]
fn credentials_of_any_form_are_read_or_refused() {
    run(&TARGETS[1]);
}

#[test]
fn tftp_sessions_with_any_client_stay_within_the_file_and_end() {
    run(&TARGETS[2]);
}

#[test]
fn what_a_rack_reads_from_the_network_is_read_or_refused() {
    run(&TARGETS[3]);
}
