//! Operations on a machine's storage as a whole: layouts, and mounts without a device.

use std::sync::Arc;

use maas_core::machine::{Machine, Status};
use maas_core::storage::{CustomLayout, Edit, LayoutRequest};

use super::super::configuration;
use super::super::machines::{MACHINE, reply};
use super::change::{When, change, edit};
use super::refused::layout_refused;
use crate::http::{Access, FieldErrors, Operation, Param, Problem, Reply, Request, post};
use crate::region::Region;

pub(super) fn operations() -> Vec<Operation<Region>> {
    vec![
        post("MachineHandler", MACHINE, "Lays the disks out anew.", set_storage_layout)
            .access(Access::Admin)
            .op("set_storage_layout")
            .params(&[
                Param::required(
                    "storage_layout",
                    "flat, lvm, bcache, vmfs6, vmfs7, custom, blank.",
                ),
                Param::optional("boot_size", "Size of /boot."),
                Param::optional("root_size", "Size of the root file system."),
                Param::optional("root_device", "The disk of the root file system."),
                Param::optional("vg_name", "LVM: the volume group; vgroot."),
                Param::optional("lv_name", "LVM: the logical volume; lvroot."),
                Param::optional("lv_size", "LVM: the logical volume's size."),
                Param::optional("cache_device", "bcache: the disk that caches."),
                Param::optional("cache_mode", "bcache: writeback, writethrough or writearound."),
                Param::optional("cache_size", "bcache: the size of the cache."),
                Param::optional("cache_no_part", "bcache: whether the disk caches as a whole."),
            ]),
        post("MachineHandler", MACHINE, "Mounts a file system without a device.", mount_special)
            .op("mount_special")
            .params(&[
                Param::required("fstype", "tmpfs or ramfs."),
                Param::required("mount_point", "The absolute path."),
                Param::optional("mount_options", "Options of mount(8)."),
            ]),
        post(
            "MachineHandler",
            MACHINE,
            "Unmounts a file system without a device.",
            unmount_special,
        )
        .op("unmount_special")
        .params(&[Param::required("mount_point", "The absolute path.")]),
        post("MachineHandler", MACHINE, "Lays the disks out as after commissioning.", restore)
            .access(Access::Admin)
            .op("restore_storage_configuration"),
    ]
}

/// A disk may be named by its number as well as by its name.
fn with_names(request: LayoutRequest, machine: &Machine) -> LayoutRequest {
    let register = machine.storage().register;
    let name = |slot: &mut Option<String>| {
        let number = slot.as_ref().and_then(|text| text.parse().ok());
        if let Some(found) = number.and_then(|number| register.device_of(number)) {
            *slot = Some(found.to_owned());
        }
    };
    let mut request = request;
    match &mut request {
        LayoutRequest::Flat(basic) | LayoutRequest::Vmfs6(basic) | LayoutRequest::Vmfs7(basic) => {
            name(&mut basic.root_device);
        }
        LayoutRequest::Lvm(lvm) => name(&mut lvm.basic.root_device),
        LayoutRequest::Bcache(bcache) => {
            name(&mut bcache.basic.root_device);
            name(&mut bcache.cache_device);
        }
        _ => {}
    }
    request
}

async fn set_storage_layout(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let fields = request.fields();
    let custom = fields.text("storage_layout")? == Some("custom");
    let layout = if custom { None } else { Some(configuration::storage_layout(fields)?) };
    let changed = change(&region, &request, When::Ready, "change the storage layout", |machine| {
        let layout = match &layout {
            Some(layout) => with_names(layout.clone(), machine),
            None => LayoutRequest::Custom(document(machine)?),
        };
        machine.choose_layout(Some(layout)).map_err(|refusal| layout_refused(&refusal))
    })
    .await?;
    reply(&region, &changed).await
}

/// The document that a commissioning script left.
fn document(machine: &Machine) -> Result<CustomLayout, Problem> {
    let Some(document) = machine.hardware.storage_extra.clone() else {
        return Err(Problem::field(
            "storage_layout",
            "No custom layout: no commissioning script left a storage-extra document.",
        ));
    };
    serde_json::from_value(document).map_err(|error| {
        Problem::field("storage_layout", format!("The storage-extra document: {error}."))
    })
}

async fn mount_special(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let fields = request.fields();
    let what = "mount the filesystem";
    let changed = edit(&region, &request, When::ReadyOrAllocated, what, |_| {
        let mut errors = FieldErrors::new();
        let fstype = errors.collect(fields.required("fstype")).to_owned();
        let path = errors.collect(fields.required("mount_point")).to_owned();
        let options = errors.collect(fields.text("mount_options")).unwrap_or_default().to_owned();
        errors.done()?;
        Ok(vec![Edit::MountSpecial { fstype, path, options }])
    })
    .await?;
    reply(&region, &changed).await
}

async fn unmount_special(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let what = "unmount the filesystem";
    let changed = edit(&region, &request, When::ReadyOrAllocated, what, |_| {
        let path = request.fields().required("mount_point")?.to_owned();
        Ok(vec![Edit::UnmountSpecial { path }])
    })
    .await?;
    reply(&region, &changed).await
}

async fn restore(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let changed = change(&region, &request, When::Always, "restore", |machine| {
        restorable(machine)?;
        machine.forget_storage();
        Ok(())
    })
    .await?;
    reply(&region, &changed).await
}

fn restorable(machine: &Machine) -> Result<(), Problem> {
    if matches!(machine.status, Status::Ready | Status::FailedTesting) {
        return Ok(());
    }
    Err(Problem::Conflict(
        "Machine must be in a ready or failed testing state to restore its storage configuration."
            .to_owned(),
    ))
}
