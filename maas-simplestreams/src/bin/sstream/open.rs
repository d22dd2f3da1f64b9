//! From arguments to sources, keys and time.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use maas_simplestreams::date::Timestamp;
use maas_simplestreams::path::{ContentId, SafePath};
use maas_simplestreams::report::chain;
use maas_simplestreams::repository::Source;
use maas_simplestreams::signature::{ExpiredKeys, Fingerprint, Keyring, OpenPgp, Verifier};
use maas_simplestreams::transport::{
    FileTransport, HttpOptions, ProxyUse, SourceUrl, Standard, Transport,
};
use maas_simplestreams::trust::TrustPolicy;

use crate::Usage;
use crate::args::{Caution, Network, Trust};

/// The only place where the clock is read.
pub(crate) fn now() -> Timestamp {
    Timestamp::from(SystemTime::now())
}

/// A transport for one URL: for files without everything that HTTP needs.
pub(crate) fn transport_for(
    url: &url::Url,
    network: &Network,
) -> Result<Arc<dyn Transport>, Box<dyn Error>> {
    if url.scheme() == "file" { Ok(Arc::new(FileTransport)) } else { transport(network) }
}

pub(crate) fn transport(network: &Network) -> Result<Arc<dyn Transport>, Box<dyn Error>> {
    let mut options = HttpOptions::default();
    options.proxy.clone_from(&network.proxy);
    options.no_proxy.clone_from(&network.no_proxy);
    if network.no_proxy.as_deref() == Some("*") {
        options.proxy_use = ProxyUse::Never;
    }
    options.connect_timeout = Duration::from_secs(network.connect_timeout.get());
    options.idle_timeout = Duration::from_secs(network.idle_timeout.get());
    Ok(Standard::shared(&options)?)
}

/// What documents must prove beside their signature.
pub(crate) fn policy(caution: &Caution) -> Result<TrustPolicy, Box<dyn Error>> {
    const DAY: u64 = 86_400;
    let mut policy = TrustPolicy::default();
    let days = |days: u64| Duration::from_secs(days.saturating_mul(DAY));
    policy.max_age = (caution.max_age > 0).then(|| days(caution.max_age));
    policy.key_notice = days(caution.key_notice);
    if !caution.content_ids.is_empty() {
        let ids = caution.content_ids.iter().map(|text| {
            ContentId::new(text.as_str())
                .map_err(|cause| Usage(format!("--content-id `{text}`: {cause}")))
        });
        policy.content_ids = Some(ids.collect::<Result<_, _>>()?);
    }
    if !caution.labels.is_empty() {
        policy.labels = Some(caution.labels.iter().cloned().collect());
    }
    Ok(policy)
}

fn keyring(name: &str) -> Result<Keyring, Box<dyn Error>> {
    if name == "ubuntu-cloudimage" {
        return Ok(Keyring::ubuntu_cloudimage()?);
    }
    let bytes = std::fs::read(name).map_err(|error| Usage(format!("keyring `{name}`: {error}")))?;
    Ok(Keyring::from_bytes(&bytes).map_err(|error| Usage(format!("keyring `{name}`: {error}")))?)
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
        let fingerprints =
            fingerprints.map_err(|error| Usage(format!("--fingerprint: {error}")))?;
        let none = |_| Usage("the keyring holds none of the keys of --fingerprint".to_owned());
        keys = keys.pinned(&fingerprints).map_err(none)?;
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
        SourceUrl::parse(text).map_err(|error| Usage(format!("`{text}`: {}", chain(&error))))?
    } else {
        let whole = std::path::absolute(Path::new(text))?;
        match whole.extension().and_then(|ending| ending.to_str()) {
            Some("json" | "sjson") if whole.is_file() => {
                let url = url::Url::from_file_path(&whole).map_err(|()| "no absolute path")?;
                let url = SourceUrl::parse(url.as_str())?;
                match text.find("streams/v1/").and_then(|start| text.get(..start)) {
                    Some(root) if !root.is_empty() => url.written_as(root),
                    _ => url,
                }
            }
            _ => SourceUrl::directory(&whole)?.written_as(text),
        }
    };
    Ok(match path {
        Some(path) => {
            let safe = SafePath::new(path).map_err(|error| Usage(format!("--path: {error}")))?;
            url.with_path(safe)
        }
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
