//! Mirrors the newest version of each product of a source into a directory.
//!
//! `cargo run -p maas-simplestreams --example mirror -- KEYRING URL DEST [FILTER…]`

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use maas_simplestreams::date::Timestamp;
use maas_simplestreams::mirror::{Mirror, MirrorOptions};
use maas_simplestreams::report::Event;
use maas_simplestreams::repository::Source;
use maas_simplestreams::signature::{Keyring, OpenPgp};
use maas_simplestreams::transport::{HttpOptions, SourceUrl, Standard};
use maas_simplestreams::trust::TrustPolicy;
use maas_simplestreams::work::Retention;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(keyring), Some(url), Some(destination)) =
        (arguments.next(), arguments.next(), arguments.next())
    else {
        return Err("usage: mirror KEYRING URL DEST [FILTER…]".into());
    };
    let keyring = Keyring::from_bytes(&std::fs::read(keyring)?)?;
    let mut policy = TrustPolicy::default();
    policy.max_age = Some(Duration::from_secs(7 * 86_400));
    let url = SourceUrl::parse(&url)?;
    let source = Source::verified(url, Arc::new(OpenPgp::new(keyring))).policy(policy);

    let mut options = MirrorOptions::default();
    options.retention = Retention::Newest(1);
    for filter in arguments {
        options.filters.push(filter.parse()?);
    }
    let reporter = |event: Event| {
        if let Event::Finished { sha256, size } = event {
            println!("{sha256}: {size} bytes");
        }
    };
    // Interrupt it anywhere and run it again: it goes on where it stopped.
    let mut mirror = Mirror::open(destination).await?;
    let transport = Standard::shared(&HttpOptions::default())?;
    let now = Timestamp::from(SystemTime::now());
    let outcome = mirror.sync(source, transport, &options, &reporter, now).await?;
    for alarm in &outcome.alarms {
        eprintln!("warning: {alarm}");
    }
    println!("{} versions added, {} removed", outcome.added, outcome.removed);
    Ok(())
}
