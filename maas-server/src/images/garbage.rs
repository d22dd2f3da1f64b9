//! What is kept: resources that somebody selects or uploaded, and blobs that somebody needs.

use std::collections::BTreeSet;

use maas_core::deploy::DeploymentPlan;
use maas_core::machine::{Machine, Status};
use maas_simplestreams::select::{ImageTags, Selection as Wish};

use super::documents::{BootSource, BootloaderDocument, ResourceDocument, Selection};
use super::sync::SyncError;
use super::uploads::UploadDocument;
use crate::region::Region;
use crate::store::{Attachment, MachineFilter, Stored};

/// Removes the resources of boot sources that no selection wants any more or that are gone.
///
/// What only vanished from a stream stays, and so does what a user uploaded.
pub(super) async fn forget_unselected(region: &Region) -> Result<(), SyncError> {
    let store = &*region.store;
    let sources: BTreeSet<u64> =
        store.list::<BootSource>().await?.into_iter().map(|source| source.id).collect();
    let selections = store.list::<Selection>().await?;
    for document in store.list::<ResourceDocument>().await? {
        if !is_kept(&document.value, &sources, &selections) {
            store.remove::<ResourceDocument>(document.id, document.version).await?;
        }
    }
    Ok(())
}

fn is_kept(
    document: &ResourceDocument,
    sources: &BTreeSet<u64>,
    selections: &[Stored<Selection>],
) -> bool {
    let resource = &document.resource;
    let tags = ImageTags {
        os: &resource.os,
        release: &resource.release,
        arch: &resource.arch,
        label: &resource.label,
        subarch: &resource.subarch,
        subarches: &resource.subarches,
    };
    resource.is_custom()
        || sources.contains(&document.boot_source_id)
            && selections
                .iter()
                .filter(|selection| selection.value.boot_source_id == document.boot_source_id)
                .any(|selection| Wish::from(&selection.value).wants(&tags))
}

/// Removes blobs that nothing needs: no resource, no boot loader, no deployment plan, and not
/// `arrived`, files of images that are not complete yet.
///
/// While a machine is in the middle of booting something that no plan holds fast, everything
/// stays: it may just have been told to fetch a file of the version before.
pub(crate) async fn collect(region: &Region, arrived: &BTreeSet<String>) -> Result<(), SyncError> {
    let machines = region.store.machines(&MachineFilter::all()).await?;
    if machines.iter().any(boots_without_plan) {
        return Ok(());
    }
    // An upload that finds its content here already must not lose it meanwhile.
    let _keeping = region.images.uploads().keep_blobs().await;
    let mut used = arrived.clone();
    for document in region.store.list::<UploadDocument>().await? {
        used.insert(document.value.sha256);
    }
    for document in region.store.list::<ResourceDocument>().await? {
        used.extend(document.value.resource.files.into_iter().map(|file| file.sha256));
    }
    for document in region.store.list::<BootloaderDocument>().await? {
        used.extend(document.value.sha256s);
    }
    for machine in machines.iter().filter(|machine| fetches_by_plan(machine)) {
        let plan = region.store.attachment(&machine.system_id, Attachment::Plan).await?;
        let Some(plan) = plan else { continue };
        match serde_json::from_slice::<DeploymentPlan>(plan.expose()) {
            Ok(plan) => used.extend(plan.files().map(|file| file.sha256.clone())),
            Err(error) => {
                let id = &machine.system_id;
                tracing::warn!(system_id = %id, %error, "plan unreadable; no image file removed");
                return Ok(());
            }
        }
    }
    let blobs = region.images.blobs();
    let mut removed = 0_u64;
    for blob in blobs.list().await? {
        if !used.contains(&blob.sha256.to_string()) && blobs.remove(&blob.sha256).await? {
            removed += 1;
        }
    }
    if removed > 0 {
        tracing::info!(files = removed, "image files that nothing needs any more removed");
    }
    Ok(())
}

fn boots_without_plan(machine: &Machine) -> bool {
    machine.enlisting || (machine.status.is_transient() && machine.status != Status::Deploying)
}

/// A system that was installed boots from its disk; one that runs from memory fetches its image at
/// each boot.
fn fetches_by_plan(machine: &Machine) -> bool {
    machine.status == Status::Deploying
        || machine.deployment.as_ref().is_some_and(|deployment| deployment.ephemeral)
}
