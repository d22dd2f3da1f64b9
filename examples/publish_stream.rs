//! Publishes a small signed stream in the shape of MAAS's own, into a directory.
//!
//! `cargo run --example publish_stream -- DIRECTORY`

use std::error::Error;
use std::path::PathBuf;
use std::time::SystemTime;

use maas_simplestreams::date::Timestamp;
use maas_simplestreams::publish::{Content, NewItem, NewProduct, NewVersion, Signing, Stream};
use maas_simplestreams::sign::SigningKey;

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(std::env::args().nth(1).ok_or("usage: publish_stream DIRECTORY")?);
    let now = Timestamp::from(SystemTime::now());
    let key = SigningKey::generate("Example <images@example.com>", now)?;

    let mut version = NewVersion::new("20260101");
    for ftype in ["boot-kernel", "boot-initrd", "squashfs"] {
        let path = format!("noble/amd64/20260101/{ftype}");
        let item = NewItem::from_bytes(path, format!("a {ftype}")).tag("ftype", ftype);
        version = version.item(ftype, item);
    }
    let noble = NewProduct::new("com.ubuntu.maas.stable:v3:boot:24.04:amd64:ga-24.04")
        .tag("os", "ubuntu")
        .tag("release", "noble")
        .tag("version", "24.04")
        .tag("arch", "amd64")
        .tag("subarch", "ga-24.04")
        .tag("subarches", "generic,ga-24.04")
        .tag("label", "stable")
        .version(version);
    let published = Stream::new(now)
        .content(Content::new("com.ubuntu.maas:stable:v3:download", "image-ids").product(noble))
        .write(&root, Signing::Signed { key: &key, at: now })?;

    std::fs::write(root.join("keyring.gpg"), key.public_keyring()?)?;
    println!("{} bytes published below {}", published.bytes, root.display());
    Ok(())
}
