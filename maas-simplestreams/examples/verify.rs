//! Verifies a signed document and shows who signed it.
//!
//! `cargo run -p maas-simplestreams --example verify -- KEYRING FILE.sjson`

use std::error::Error;
use std::time::SystemTime;

use maas_simplestreams::date::Timestamp;
use maas_simplestreams::limits::Limits;
use maas_simplestreams::signature::{Keyring, OpenPgp, Verified};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(keyring), Some(file)) = (arguments.next(), arguments.next()) else {
        return Err("usage: verify KEYRING FILE.sjson".into());
    };
    let keyring = Keyring::from_bytes(&std::fs::read(keyring)?)?;
    // Whoever trusts a keyring should have seen what is in it.
    for fingerprint in keyring.fingerprints() {
        println!("trusted: {fingerprint}");
    }
    let now = Timestamp::from(SystemTime::now());
    let verified = Verified::from_clearsigned(&std::fs::read(file)?, &OpenPgp::new(keyring), now)?;
    for signer in verified.signers() {
        println!("signed by {} on {} ({})", signer.fingerprint, signer.signed_at, signer.hash);
    }
    // What is read from here on is exactly what the signature covers.
    match verified.parse_index(&Limits::default()) {
        Ok(index) => {
            for (content_id, entry) in index.entries.iter() {
                let path = entry.path().map(|path| path.to_string());
                println!("{content_id}: {}", path.unwrap_or_default());
            }
        }
        Err(_) => {
            let products = verified.parse_products(&Limits::default())?;
            println!("{} items", products.items().count());
        }
    }
    Ok(())
}
