//! Any bytes against the promises of the target `rack`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| maas_server_fuzz::targets::rack(input));
