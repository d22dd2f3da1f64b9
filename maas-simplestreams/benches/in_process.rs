//! Work on one document inside one process, for `tests/bench/simplestreams`, which measures the CPU
//! time: `bench_in_process WORK FILE TIMES`.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use maas_simplestreams::date::Timestamp;
use maas_simplestreams::limits::Limits;
use maas_simplestreams::products::Products;
use maas_simplestreams::signature::{Keyring, OpenPgp, Verified};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().ok_or("bench_in_process WORK FILE TIMES [KEYRING]");
    let (work, file, times) = (next()?, next()?, next()?.parse::<usize>()?);
    let text = Bytes::from(std::fs::read(file)?);
    let limits = Limits::default();
    let verifier = match next() {
        Ok(keyring) => Some(
            OpenPgp::new(Keyring::from_bytes(&std::fs::read(keyring)?)?)
                .threshold(NonZeroUsize::MIN),
        ),
        Err(_) => None,
    };
    let verifier = verifier.map(Arc::new);
    let now = Timestamp::from(SystemTime::now());
    let mut counted = 0;
    for _ in 0..times {
        match work.as_str() {
            "tokens" => {
                serde_json::from_slice::<serde::de::IgnoredAny>(&text)?;
            }
            "typed" => counted += Products::parse(&text, &limits)?.items().count(),
            "lazy" => {
                let none = ["product_name=none".parse()?];
                Products::scan_matching(&text, &limits, &none, |one| {
                    counted += one.items().count();
                })?;
            }
            "verify" => {
                let verifier = verifier.as_ref().ok_or("a keyring is needed")?;
                counted += Verified::from_clearsigned_bytes(text.clone(), &**verifier, now)?.len();
            }
            other => return Err(format!("no work `{other}`").into()),
        }
    }
    println!("{counted}");
    Ok(())
}
