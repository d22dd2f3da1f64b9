//! Mirrors the newest amd64 images of a release and shows progress.
//!
//! `cargo run --example mirror_images -- SOURCE DIRECTORY RELEASE [KEYRING]`

use std::error::Error;
use std::sync::Arc;
use std::time::SystemTime;

use maas_simplestreams::date::Timestamp;
use maas_simplestreams::mirror::{Mirror, MirrorOptions};
use maas_simplestreams::report::Event;
use maas_simplestreams::repository::Source;
use maas_simplestreams::signature::{Keyring, OpenPgp};
use maas_simplestreams::transport::{HttpOptions, SourceUrl, Standard};
use maas_simplestreams::work::Retention;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [source, directory, release, more @ ..] = &arguments[..] else {
        return Err("usage: mirror_images SOURCE DIRECTORY RELEASE [KEYRING]".into());
    };
    let keyring = match more.first() {
        Some(file) => Keyring::from_bytes(&std::fs::read(file)?)?,
        None => Keyring::ubuntu_cloudimage()?,
    };
    let source = Source::verified(SourceUrl::parse(source)?, Arc::new(OpenPgp::new(keyring)));

    let mut options = MirrorOptions::default();
    options.filters = vec!["arch=amd64".parse()?, format!("release={release}").parse()?];
    options.retention = Retention::Newest(1);

    let show = |event: Event| {
        if let Event::Finished { sha256, size } = event {
            println!("{sha256} ({size} bytes)");
        }
    };
    let mut mirror = Mirror::open(directory).await?;
    let transport = Standard::shared(&HttpOptions::default())?;
    let now = Timestamp::from(SystemTime::now());
    let outcome = mirror.sync(source, transport, &options, &show, now).await?;
    println!("{} versions added, {} removed", outcome.added, outcome.removed);
    for alarm in outcome.alarms {
        println!("warning: {alarm}");
    }
    Ok(())
}
