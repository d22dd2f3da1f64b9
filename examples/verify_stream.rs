//! Verifies a clearsigned document and says who signed it.
//!
//! `cargo run --example verify_stream -- index.sjson [keyring.gpg]`

use std::error::Error;
use std::time::SystemTime;

use maas_simplestreams::date::Timestamp;
use maas_simplestreams::limits::Limits;
use maas_simplestreams::signature::{Keyring, OpenPgp, Verified};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let document = arguments.next().ok_or("usage: verify_stream FILE.sjson [KEYRING]")?;
    let keyring = match arguments.next() {
        Some(file) => Keyring::from_bytes(&std::fs::read(file)?)?,
        None => Keyring::ubuntu_cloudimage()?,
    };
    for fingerprint in keyring.fingerprints() {
        println!("trusting {fingerprint}");
    }
    let now = Timestamp::from(SystemTime::now());
    let document = std::fs::read(document)?;
    let verified = Verified::from_clearsigned(&document, &OpenPgp::new(keyring), now)?;
    for signer in verified.signers() {
        println!("signed by {} on {}", signer.fingerprint, signer.signed_at);
    }
    if let Ok(index) = verified.parse_index(&Limits::default()) {
        for (content_id, entry) in index.entries.iter() {
            println!("{content_id}: {} products", entry.products().count());
        }
    }
    Ok(())
}
