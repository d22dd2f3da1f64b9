//! From a boot source's URL and keyring to what it publishes, verified.

use std::sync::Arc;

use maas_simplestreams::boot::Catalogue;
use maas_simplestreams::date::Timestamp as StreamTime;
use maas_simplestreams::repository::{Repository, RepositoryError, Source};
use maas_simplestreams::signature::{Keyring, OpenPgp, Verifier};
use maas_simplestreams::transport::{HttpOptions, SourceUrl, Standard, Transport};
use maas_simplestreams::trust::TrustMemory;

use super::error::{KeyringProblem, SyncError};
use crate::clock;
use crate::images::documents::{BootSource, Offers, TrustDocument};
use crate::store::Store;

/// Opens a boot source and reads all of its products; what it was seen to publish is remembered
/// only when everything could be trusted.
pub(super) async fn catalogue(
    store: &dyn Store,
    source: &BootSource,
) -> Result<(Catalogue, SourceUrl, Arc<dyn Transport>), SyncError> {
    let url = || source.url.clone();
    let source_url = SourceUrl::parse(&source.url)
        .map_err(|error| SyncError::Url { url: url(), source: error })?;
    let stream = if source.skip_keyring_verification {
        Source::unverified(source_url.clone())
    } else {
        Source::verified(source_url.clone(), verifier(source)?)
    };
    let transport = Standard::shared(&HttpOptions::default())
        .map_err(|error| SyncError::Transport { url: url(), source: error })?;
    let memory = store
        .by_key::<TrustDocument>(&source.url)
        .await?
        .map_or_else(TrustMemory::default, |document| document.value.memory);
    let distrusted =
        |error: RepositoryError| SyncError::Repository { url: url(), source: Box::new(error) };
    let now = StreamTime::from_seconds(clock::now().seconds());
    let mut repository =
        Repository::open(stream, Arc::clone(&transport), memory, now).await.map_err(distrusted)?;
    let mut catalogue = Catalogue::default();
    let contents: Vec<_> = repository.entries().iter().map(|(id, _)| id.clone()).collect();
    for content_id in contents {
        let document = repository.products(&content_id).await.map_err(distrusted)?;
        catalogue.extend(Catalogue::from_products(document.verified_or_unverified()));
    }
    for alarm in repository.alarms() {
        tracing::warn!(url = source.url, ?alarm, "boot source");
    }
    let memory = repository.into_memory();
    store.put(TrustDocument { url: source.url.clone(), memory }).await?;
    let images = catalogue.images.iter();
    let images = images.map(|one| (one.os.clone(), one.release.clone(), one.arch.clone()));
    store.put(Offers { url: source.url.clone(), images: images.collect() }).await?;
    Ok((catalogue, source_url, transport))
}

fn verifier(source: &BootSource) -> Result<Arc<dyn Verifier>, SyncError> {
    let (name, keyring) = if !source.keyring_data.is_empty() {
        ("that was given".to_owned(), Keyring::from_bytes(&source.keyring_data).map_err(Into::into))
    } else if source.keyring_filename.is_empty() {
        ("that is built in".to_owned(), Keyring::ubuntu_cloudimage().map_err(Into::into))
    } else {
        let read = std::fs::read(&source.keyring_filename).map_err(KeyringProblem::from);
        let keyring = read.and_then(|bytes| Ok(Keyring::from_bytes(&bytes)?));
        (source.keyring_filename.clone(), keyring)
    };
    let keyring = keyring.map_err(|problem| SyncError::Keyring {
        url: source.url.clone(),
        keyring: name,
        source: problem,
    })?;
    Ok(Arc::new(OpenPgp::new(keyring)))
}
