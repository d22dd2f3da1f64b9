//! The beginning of an upload: a name, an architecture, a length and a digest.

use maas_core::image::{BootResource, FileType, Origin};

use super::complete::complete_from_blob;
use super::document::{UploadDocument, next_version};
use super::keep::of_resource;
use crate::clock;
use crate::http::Problem;
use crate::images::documents::{ResourceDocument, resource_key};
use crate::region::Region;
use crate::store::{DocumentError, Stored};

/// What the uploader says of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Declaration {
    /// The operating system: `custom`, `esxi`…
    pub(crate) os: String,
    /// The image's name.
    pub(crate) name: String,
    /// The Debian architecture.
    pub(crate) arch: String,
    /// The sub-architecture.
    pub(crate) subarch: String,
    /// What people call it.
    pub(crate) title: String,
    /// What the file is.
    pub(crate) filetype: FileType,
    /// The image that it was built from; empty when not told.
    pub(crate) base_image: String,
    /// SHA-256 of the whole, 64 lower-case hex digits.
    pub(crate) sha256: String,
    /// Its length in bytes.
    pub(crate) size: u64,
    /// Whether versions before it stay.
    pub(crate) keep_old: bool,
    /// Whether an upload of the same content that was broken off is gone on with.
    pub(crate) resume: bool,
}

/// Declares an upload; when the content is here already it is complete at once.
pub(crate) async fn declare(
    region: &Region,
    declaration: &Declaration,
) -> Result<Stored<ResourceDocument>, Problem> {
    let resource = resource(region, declaration).await?;
    let uploads = of_resource(region, resource.id).await?;
    if declaration.resume
        && uploads.iter().any(|upload| {
            let value = &upload.value;
            !value.complete
                && value.sha256 == declaration.sha256
                && value.size == declaration.size
                && value.filetype == declaration.filetype
                // Clients go on with the newest.
                && uploads.iter().all(|other| other.value.version <= value.version)
        })
    {
        return Ok(resource);
    }
    let day = jiff::Timestamp::from_microsecond(clock::now().0)
        .map(|now| now.strftime("%Y%m%d").to_string())
        .map_err(Problem::internal)?;
    let mut have: Vec<String> = uploads.into_iter().map(|it| it.value.version).collect();
    have.push(resource.value.resource.version.clone());
    // From here on the content stays, should it be here already.
    let keeping = region.images.uploads().keep_blobs().await;
    let upload = loop {
        let version = next_version(&day, have.iter().map(String::as_str));
        let upload = UploadDocument {
            resource_id: resource.id,
            version: version.clone(),
            filetype: declaration.filetype.clone(),
            base_image: declaration.base_image.clone(),
            sha256: declaration.sha256.clone(),
            size: declaration.size,
            received: 0,
            complete: false,
            keep_old: declaration.keep_old,
            touched: clock::now(),
            inspection: None,
        };
        match region.store.insert(upload).await {
            Ok(stored) => break stored,
            // Somebody else declared one at the same moment.
            Err(DocumentError::DuplicateKey { .. }) => have.push(version),
            Err(error) => return Err(Problem::internal(error)),
        }
    };
    drop(keeping);
    complete_from_blob(region, upload).await?;
    let resource = region.store.find::<ResourceDocument>(resource.id).await;
    resource
        .map_err(Problem::internal)?
        .ok_or_else(|| Problem::Conflict("The boot resource was deleted meanwhile.".to_owned()))
}

/// The boot resource of this name and architecture; made, without files, when there is none.
async fn resource(
    region: &Region,
    declaration: &Declaration,
) -> Result<Stored<ResourceDocument>, Problem> {
    let Declaration { os, name, arch, subarch, title, .. } = declaration;
    let wanted = BootResource {
        os: os.clone(),
        release: name.clone(),
        arch: arch.clone(),
        subarch: subarch.clone(),
        kflavor: String::new(),
        label: "uploaded".to_owned(),
        version: String::new(),
        subarches: vec![subarch.clone()],
        kpackage: None,
        kparams: None,
        title: title.clone(),
        files: Vec::new(),
        origin: Origin::Custom {
            base_image: declaration.base_image.clone(),
            packed_seed: None,
            defects: Vec::new(),
        },
    };
    let all = region.store.list::<ResourceDocument>().await.map_err(Problem::internal)?;
    let reserved = all.iter().any(|known| {
        let known = &known.value.resource;
        !known.is_custom() && known.release == *name && (known.os == *os || os == "custom")
    });
    if reserved {
        let text = format!("{name} is the name of an image from a boot source: choose another.");
        return Err(Problem::field("name", text));
    }
    let key = resource_key(&wanted);
    loop {
        let known = region.store.by_key::<ResourceDocument>(&key).await;
        if let Some(mut known) = known.map_err(Problem::internal)? {
            if title.is_empty() || known.value.resource.title == *title {
                return Ok(known);
            }
            known.value.resource.title.clone_from(title);
            match region.store.update(known).await {
                Ok(stored) => return Ok(stored),
                Err(DocumentError::Conflict { .. } | DocumentError::Gone { .. }) => continue,
                Err(error) => return Err(Problem::internal(error)),
            }
        }
        let document = ResourceDocument {
            boot_source_id: 0,
            completed: clock::now(),
            resource: wanted.clone(),
        };
        match region.store.insert(document).await {
            Ok(stored) => return Ok(stored),
            Err(DocumentError::DuplicateKey { .. }) => {}
            Err(error) => return Err(Problem::internal(error)),
        }
    }
}
