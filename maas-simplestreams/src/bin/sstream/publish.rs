//! `sstream build`, `sign` and `keygen`.

use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use maas_simplestreams::ordered::Tags;
use maas_simplestreams::publish::{Listing, Signing, Stream, sign_unverified_tree};
use maas_simplestreams::report::chain;
use maas_simplestreams::sign::{KeyKind, SigningKey};
use maas_simplestreams::value::Value;

use crate::args::{self, Build, Key, Keygen, Kind};
use crate::{Answer, open, say};

fn signing_key(arguments: &Key) -> Result<Option<SigningKey>, Box<dyn Error>> {
    let Some(path) = &arguments.key else { return Ok(None) };
    let secret = std::fs::read(path).map_err(|error| format!("`{}`: {error}", path.display()))?;
    let passphrase = match &arguments.passphrase_file {
        Some(file) => {
            let text = std::fs::read_to_string(file)
                .map_err(|error| format!("`{}`: {error}", file.display()))?;
            text.lines().next().map(str::to_owned)
        }
        None => std::env::var("SSTREAM_PASSPHRASE").ok(),
    };
    Ok(Some(SigningKey::load(&secret, passphrase.as_deref(), open::now())?))
}

/// The records of a list of items.
fn items(list: Value) -> Option<Vec<Tags>> {
    let Value::Array(list) = list else { return None };
    let records = list.into_iter().map(|record| match record {
        Value::Object(record) => Some(*record),
        _ => None,
    });
    records.collect()
}

pub(crate) fn build(arguments: Build) -> Answer {
    let key = signing_key(&arguments.key)?;
    let mut records: Vec<Tags> = Vec::new();
    for list in &arguments.items {
        let text = std::fs::read(list).map_err(|error| format!("`{}`: {error}", list.display()))?;
        let content = Value::from_json(&text)
            .map_err(|error| format!("`{}`: {}", list.display(), chain(&error)))?;
        records.extend(
            items(content)
                .ok_or_else(|| format!("`{}` is not a list of objects", list.display()))?,
        );
    }
    let beside = arguments.items.first().and_then(|list| list.parent());
    let files = arguments.files.as_deref().or(beside).unwrap_or(Path::new("."));
    let now = open::now();
    let signing = match &key {
        Some(key) => Signing::Signed { key, at: now },
        None => Signing::Unsigned,
    };
    let published = Stream::from_records(records, files, now)?.write(&arguments.output, signing)?;
    for products in &published.products {
        if let Some(content_id) = products.content_id() {
            say!(
                "{content_id}: {} products, {} items",
                products.products.len(),
                products.items().count()
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn sign(arguments: args::Sign) -> Answer {
    let key = signing_key(&arguments.key)?.ok_or("--key is needed")?;
    let listing = if arguments.present_only { Listing::Present } else { Listing::AsIs };
    let signed = sign_unverified_tree(&arguments.directory, &key, listing, open::now())?;
    say!("{signed} documents signed");
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn keygen(arguments: Keygen) -> Answer {
    let kind = match arguments.kind {
        Kind::Ed25519 => KeyKind::Ed25519,
        Kind::Rsa2048 => KeyKind::Rsa2048,
        Kind::Rsa4096 => KeyKind::Rsa4096,
    };
    let key = SigningKey::generate_kind(&arguments.user_id, open::now(), kind)?;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut secret = options
        .open(&arguments.secret)
        .map_err(|error| format!("`{}`: {error}", arguments.secret.display()))?;
    secret.write_all(&key.export_secret_armored()?)?;
    secret.sync_all()?;
    std::fs::write(&arguments.public, key.public_keyring()?)?;
    if let Some(fingerprint) = key.fingerprint() {
        say!("{fingerprint}");
    }
    Ok(ExitCode::SUCCESS)
}
