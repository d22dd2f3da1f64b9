//! Any bytes against the promises of the target `path`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| maas_simplestreams_fuzz::targets::path(input));
