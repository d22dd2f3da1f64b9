//! From arguments to sources, keys and time.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use maas_simplestreams::date::Timestamp;
use maas_simplestreams::path::SafePath;
use maas_simplestreams::repository::Source;
use maas_simplestreams::signature::{ExpiredKeys, Fingerprint, Keyring, OpenPgp, Verifier};
use maas_simplestreams::transport::{FileTransport, HttpOptions, SourceUrl, Standard, Transport};

use crate::args::Trust;

/// The only place where the clock is read.
pub(crate) fn now() -> Timestamp {
    Timestamp::from(SystemTime::now())
}

/// A transport for one URL: for files without everything that HTTP needs.
pub(crate) fn transport_for(url: &url::Url) -> Result<Arc<dyn Transport>, Box<dyn Error>> {
    if url.scheme() == "file" { Ok(Arc::new(FileTransport)) } else { transport() }
}

pub(crate) fn transport() -> Result<Arc<dyn Transport>, Box<dyn Error>> {
    Ok(Standard::shared(&HttpOptions::default())?)
}

fn keyring(name: &str) -> Result<Keyring, Box<dyn Error>> {
    if name == "ubuntu-cloudimage" {
        return Ok(Keyring::ubuntu_cloudimage()?);
    }
    let bytes = std::fs::read(name).map_err(|error| format!("keyring `{name}`: {error}"))?;
    Ok(Keyring::from_bytes(&bytes).map_err(|error| format!("keyring `{name}`: {error}"))?)
}

pub(crate) fn verifier(trust: &Trust) -> Result<Arc<dyn Verifier>, Box<dyn Error>> {
    let mut keys = match trust.keyrings.split_first() {
        None => Keyring::ubuntu_cloudimage()?,
        Some((first, others)) => {
            let mut keys = keyring(first)?;
            for other in others {
                keys = keys.and(keyring(other)?);
            }
            keys
        }
    };
    if !trust.fingerprints.is_empty() {
        let fingerprints: Result<Vec<Fingerprint>, _> =
            trust.fingerprints.iter().map(|text| text.parse()).collect();
        keys = keys.pinned(&fingerprints?)?;
    }
    let expired = if trust.allow_expired_keys {
        ExpiredKeys::AcceptIfValidWhenSigned
    } else {
        ExpiredKeys::Refuse
    };
    Ok(Arc::new(OpenPgp::new(keys).threshold(trust.threshold).expired_keys(expired)))
}

/// A URL, or a directory of this machine.
pub(crate) fn source_url(text: &str, path: Option<&str>) -> Result<SourceUrl, Box<dyn Error>> {
    let url = if text.contains("://") {
        SourceUrl::parse(text)?
    } else {
        let whole = std::path::absolute(Path::new(text))?;
        match whole.extension().and_then(|ending| ending.to_str()) {
            Some("json" | "sjson") if whole.is_file() => {
                let url = url::Url::from_file_path(&whole).map_err(|()| "no absolute path")?;
                SourceUrl::parse(url.as_str())?
            }
            _ => SourceUrl::directory(&whole)?,
        }
    };
    Ok(match path {
        Some(path) => url.with_path(SafePath::new(path)?),
        None => url,
    })
}

/// A source, verified unless the operator says otherwise.
pub(crate) fn source(
    url: SourceUrl,
    trust: &Trust,
    no_verify: bool,
) -> Result<Source, Box<dyn Error>> {
    if no_verify {
        Ok(Source::unverified(url))
    } else {
        Ok(Source::verified(url, verifier(trust)?))
    }
}
