//! ESXi datastores.

use std::sync::Arc;

use maas_core::storage::{Edit, Vmfs};

use super::super::view::datastore::one;
use super::super::view::storage::StorageView;
use super::change::{When, edit, seen};
use super::forms;
use super::members::Members;
use crate::http::{
    Access, FieldErrors, Operation, Param, Problem, Reply, Request, delete, get, post, put,
};
use crate::region::Region;

const STORES: &str = "/MAAS/api/2.0/nodes/{system_id}/vmfs-datastores/";
const STORE: &str = "/MAAS/api/2.0/nodes/{system_id}/vmfs-datastore/{id}/";
const ALIAS: &str = "/MAAS/api/2.0/nodes/{system_id}/vmfs-datastores/{id}/";

pub(super) fn operations() -> Vec<Operation<Region>> {
    vec![
        get("VmfsDatastoresHandler", STORES, "The datastores of a machine.", list),
        post("VmfsDatastoresHandler", STORES, "Makes a datastore.", create)
            .access(Access::Admin)
            .params(&[
                Param::required("name", "Its name."),
                Param::optional("uuid", "Its UUID."),
                Param::repeated("block_devices", "Block devices; each gets one partition for it."),
                Param::repeated("partitions", "Partitions."),
            ]),
        get("VmfsDatastoreHandler", STORE, "One datastore.", read).alias(ALIAS),
        put("VmfsDatastoreHandler", STORE, "Changes a datastore.", update)
            .access(Access::Admin)
            .alias(ALIAS)
            .params(&[
                Param::optional("name", "Its name."),
                Param::optional("uuid", "Its UUID."),
                Param::repeated("add_block_devices", "Block devices to add."),
                Param::repeated("add_partitions", "Partitions to add."),
                Param::repeated("remove_partitions", "Partitions to take out."),
            ]),
        delete("VmfsDatastoreHandler", STORE, "Removes a datastore.", remove)
            .access(Access::Admin)
            .alias(ALIAS),
    ]
}

async fn list(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let machine = seen(&region, &request).await?;
    let view = StorageView::of(&machine);
    Reply::json(&view.storage().vmfs.iter().map(|vmfs| one(&view, vmfs)).collect::<Vec<_>>())
}

fn named<'a>(view: &'a StorageView<'_>, request: &Request) -> Result<&'a Vmfs, Problem> {
    let find = |name: &str| view.storage().vmfs.iter().find(|vmfs| vmfs.name == name);
    let name = forms::group(view, request, "VMFS", |name| find(name).is_some())?;
    find(&name).ok_or_else(|| Problem::not_found("No VMFS matches the given query."))
}

async fn read(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let machine = seen(&region, &request).await?;
    let view = StorageView::of(&machine);
    Reply::json(&one(&view, named(&view, &request)?))
}

/// The volumes of the form; a disk as a whole gets a partition, since ESXi takes nothing else.
fn members(
    view: &StorageView<'_>,
    request: &Request,
    devices: &str,
    partitions: &str,
) -> Result<Members, Problem> {
    let mut members = Members::to_use(view, request.fields(), devices, partitions)?;
    members.refuse_partitioned(view, devices)?;
    for id in &mut members.ids {
        if view.storage().disk(id).is_some() {
            members.edits.push(Edit::AddPartition {
                disk: id.clone(),
                size: maas_core::storage::Size::Percent(100),
                bootable: false,
            });
            *id = format!("{id}-part1");
        }
    }
    Ok(members)
}

async fn create(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let fields = request.fields();
    let mut errors = FieldErrors::new();
    let name = errors.collect(fields.required("name")).to_owned();
    let uuid = errors.collect(fields.filled("uuid")).map(str::to_owned);
    errors.done()?;
    let changed = edit(&region, &request, When::Ready, "create VMFS group", |view| {
        let members = members(view, &request, "block_devices", "partitions")?;
        if members.ids.is_empty() {
            return Err(Problem::field(
                FieldErrors::ALL,
                "At least one valid partition or block device is required.",
            ));
        }
        let mut edits = members.edits;
        edits.push(Edit::AddDatastore { name: name.clone(), devices: members.ids });
        edits.extend(uuid.clone().map(|uuid| Edit::SetUuid { id: name.clone(), uuid }));
        Ok(edits)
    })
    .await?;
    let view = StorageView::of(&changed);
    let made = view.storage().vmfs.iter().find(|vmfs| vmfs.name == name);
    Reply::json(&made.map(|vmfs| one(&view, vmfs)))
}

async fn update(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let fields = request.fields();
    let new_name = fields.filled("name")?;
    let uuid = fields.filled("uuid")?;
    let changed = edit(&region, &request, When::Ready, "update the VMFS datastore", |view| {
        let vmfs = named(view, &request)?;
        let added = members(view, &request, "add_block_devices", "add_partitions")?;
        let left = Members::to_leave(view, fields, "remove_block_devices", "remove_partitions")?;
        let mut devices: Vec<String> =
            vmfs.devices.iter().filter(|id| !left.contains(id)).cloned().collect();
        devices.extend(added.ids);
        if devices.is_empty() {
            return Err(Problem::field(FieldErrors::ALL, "A datastore needs a partition."));
        }
        let name = vmfs.name.clone();
        let mut edits = added.edits;
        edits.push(Edit::SetMembers { name: name.clone(), devices, spares: Vec::new() });
        edits.extend(uuid.map(|uuid| Edit::SetUuid { id: name.clone(), uuid: uuid.to_owned() }));
        edits.extend(new_name.map(|new| Edit::Rename { volume: name, name: new.to_owned() }));
        Ok(edits)
    })
    .await?;
    let view = StorageView::of(&changed);
    let renamed = new_name.and_then(|new| view.storage().vmfs.iter().find(|vmfs| vmfs.name == new));
    match renamed {
        Some(vmfs) => Reply::json(&one(&view, vmfs)),
        None => Reply::json(&one(&view, named(&view, &request)?)),
    }
}

async fn remove(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    edit(&region, &request, When::Ready, "delete VMFS datastore", |view| {
        Ok(vec![Edit::RemoveCompound { name: named(view, &request)?.name.clone() }])
    })
    .await?;
    Ok(Reply::no_content())
}
