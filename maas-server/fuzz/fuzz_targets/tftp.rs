//! Any bytes against the promises of the target `tftp`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| maas_server_fuzz::targets::tftp(input));
