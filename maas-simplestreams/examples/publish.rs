//! Publishes one file as a signed stream and writes the keyring that readers need beside it.
//!
//! `cargo run -p maas-simplestreams --example publish -- FILE OUT`

use std::error::Error;
use std::path::Path;
use std::time::SystemTime;

use maas_simplestreams::date::Timestamp;
use maas_simplestreams::publish::{Content, NewItem, NewProduct, NewVersion, Signing, Stream};
use maas_simplestreams::sign::SigningKey;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(file), Some(out)) = (arguments.next(), arguments.next()) else {
        return Err("usage: publish FILE OUT".into());
    };
    let (out, now) = (Path::new(&out), Timestamp::from(SystemTime::now()));
    // A publisher loads its key with `SigningKey::load`.
    let key = SigningKey::generate("Example <images@example.com>", now)?;

    let image = NewItem::from_file("noble/amd64/20250718/squashfs", file).tag("ftype", "squashfs");
    let version = NewVersion::new("20250718").item("squashfs", image);
    let product = NewProduct::new("com.example:noble:amd64")
        .tag("arch", "amd64")
        .tag("release", "noble")
        .version(version);
    Stream::new(now)
        .content(Content::new("com.example:download", "image-downloads").product(product))
        .write(out, Signing::Signed { key: &key, at: now })?;
    std::fs::write(out.join("keyring.gpg"), key.public_keyring()?)?;
    println!("published in {}", out.display());
    Ok(())
}
