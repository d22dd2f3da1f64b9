//! Puts in place what has arrived: images as resources, boot loaders as files.

use std::collections::{BTreeMap, BTreeSet};

use maas_core::image::{BootResource, FileType, ImageFile, Origin};
use maas_simplestreams::boot::{BootFile, BootImage, Bootloader, Ftype, ImageVersion};
use maas_simplestreams::digest::Sha256;
use maas_simplestreams::select::Chosen;

use super::error::SyncError;
use crate::clock;
use crate::images::bootloaders::{is_plain_name, unpack};
use crate::images::documents::{BootSource, BootloaderDocument, ResourceDocument, resource_key};
use crate::region::Region;
use crate::store::{Document, Stored};

/// The enabled boot sources in the order in which they are asked; of several with the same image
/// the first one's counts.
#[derive(Debug)]
pub(super) struct Ranks(BTreeMap<u64, usize>);

impl Ranks {
    pub(super) fn of(sources: &[Stored<BootSource>]) -> Self {
        Self(sources.iter().enumerate().map(|(rank, source)| (source.id, rank)).collect())
    }

    /// Whether what one source brings takes the place of what another one brought. That another
    /// one cannot be reached today does not give its place away.
    fn replaces(&self, new: u64, old: u64) -> bool {
        match (self.0.get(&new), self.0.get(&old)) {
            (Some(new), Some(old)) => new <= old,
            _ => true,
        }
    }
}

/// Leaves out what would not be put in place, so that it is not fetched either.
pub(super) async fn leave_out_outranked(
    region: &Region,
    source: &Stored<BootSource>,
    ranks: &Ranks,
    chosen: &mut Chosen,
) -> Result<(), SyncError> {
    let store = &*region.store;
    let known: BTreeMap<String, ResourceDocument> = store
        .list::<ResourceDocument>()
        .await?
        .into_iter()
        .map(|document| (resource_key(&document.value.resource), document.value))
        .collect();
    // Of two products for the same image in one stream the first one counts.
    let mut seen = BTreeSet::new();
    chosen.images.retain(|image| {
        let Some(version) = image.newest() else { return false };
        let key = resource_key(&resource(image, version, &source.value.url));
        let free = known.get(&key).is_none_or(|known| {
            !known.resource.is_custom() && ranks.replaces(source.id, known.boot_source_id)
        });
        free && seen.insert(key)
    });
    let known: BTreeMap<String, u64> = store
        .list::<BootloaderDocument>()
        .await?
        .into_iter()
        .filter_map(|document| {
            Some((document.value.key()?.into_owned(), document.value.boot_source_id))
        })
        .collect();
    chosen.bootloaders.retain(|bootloader| {
        if !is_plain_name(&bootloader.bootloader_type) || !is_plain_name(&bootloader.arch) {
            tracing::warn!(
                url = source.value.url,
                product = bootloader.product_name,
                "a boot loader whose type or architecture is no plain name is left out"
            );
            return false;
        }
        let key = document(source.id, bootloader, None);
        let known = key.key().and_then(|key| known.get(&*key));
        known.is_none_or(|known| ranks.replaces(source.id, *known))
    });
    Ok(())
}

/// Registers images whose files are all there; says how many.
pub(super) async fn images(
    region: &Region,
    source: &Stored<BootSource>,
    chosen: &Chosen,
    missing: &BTreeSet<Sha256>,
) -> Result<usize, SyncError> {
    let mut placed = 0;
    for image in &chosen.images {
        let Some(version) = complete(image.newest(), missing) else { continue };
        let resource = resource(image, version, &source.value.url);
        let known = region.store.by_key::<ResourceDocument>(&resource_key(&resource)).await?;
        let same = known.is_some_and(|known| {
            known.value.resource == resource && known.value.boot_source_id == source.id
        });
        if !same {
            let completed = clock::now();
            let document = ResourceDocument { boot_source_id: source.id, completed, resource };
            region.store.put(document).await?;
        }
        placed += 1;
    }
    Ok(placed)
}

/// Unpacks the boot loaders' archives, unless that is done already; says how many are in place.
pub(super) async fn bootloaders(
    region: &Region,
    source: &Stored<BootSource>,
    chosen: &Chosen,
    missing: &BTreeSet<Sha256>,
) -> Result<usize, SyncError> {
    let mut placed = 0;
    for bootloader in &chosen.bootloaders {
        let Some(version) = complete(bootloader.newest(), missing) else { continue };
        let mut document = document(source.id, bootloader, Some(version));
        let folder = region.images.bootloader_dir(&document.bootloader_type, &document.arch);
        let known = match document.key() {
            Some(key) => region.store.by_key::<BootloaderDocument>(&key).await?,
            None => None,
        };
        let known = known.map(|known| known.value);
        placed += 1;
        if let Some(known) = known.filter(|known| known.sha256s == document.sha256s)
            && known.files.iter().all(|name| folder.join(name).is_file())
        {
            if known.boot_source_id != source.id {
                document.files = known.files;
                region.store.put(document).await?;
            }
            continue;
        }
        for file in version.files.iter().filter(|file| file.ftype == Ftype::ArchiveTarXz) {
            let archive = region.images.blobs().path(&file.sha256);
            let folder = folder.clone();
            let names = tokio::task::spawn_blocking(move || unpack(&archive, &folder))
                .await
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;
            document.files.extend(names);
        }
        region.store.put(document).await?;
    }
    Ok(placed)
}

fn complete<'a>(
    version: Option<&'a ImageVersion>,
    missing: &BTreeSet<Sha256>,
) -> Option<&'a ImageVersion> {
    version.filter(|version| version.files.iter().all(|file| !missing.contains(&file.sha256)))
}

fn document(
    boot_source_id: u64,
    bootloader: &Bootloader,
    version: Option<&ImageVersion>,
) -> BootloaderDocument {
    BootloaderDocument {
        boot_source_id,
        os: bootloader.os.clone(),
        bootloader_type: bootloader.bootloader_type.clone(),
        arch: bootloader.arch.clone(),
        version: version.map(|version| version.name.clone()).unwrap_or_default(),
        sha256s: version
            .iter()
            .flat_map(|version| &version.files)
            .map(|file| file.sha256.to_string())
            .collect(),
        files: Vec::new(),
    }
}

fn resource(image: &BootImage, version: &ImageVersion, url: &str) -> BootResource {
    let kernel = version.files.iter().find(|file| file.ftype.as_str() == "boot-kernel");
    BootResource {
        os: image.os.clone(),
        release: image.release.clone(),
        arch: image.arch.clone(),
        subarch: image.subarch.clone(),
        kflavor: image.kflavor.clone().unwrap_or_default(),
        label: image.label.clone(),
        version: version.name.clone(),
        subarches: image.subarches.clone(),
        kpackage: kernel.and_then(|file| file.kpackage.clone()),
        kparams: kernel.and_then(|file| file.kparams.clone()),
        title: image.release_title.clone().unwrap_or_default(),
        files: version.files.iter().map(file).collect(),
        origin: Origin::Standard { boot_source: url.to_owned() },
    }
}

fn file(file: &BootFile) -> ImageFile {
    ImageFile {
        filetype: FileType::from(file.ftype.as_str()),
        filename: file.path.file_name().to_owned(),
        sha256: file.sha256.to_string(),
        size: file.size,
    }
}
