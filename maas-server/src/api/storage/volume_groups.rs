//! LVM volume groups and their logical volumes.

use std::sync::Arc;

use maas_core::machine::Machine;
use maas_core::storage::{Edit, Size, VolumeGroup};

use super::super::view::block_device;
use super::super::view::storage::StorageView;
use super::super::view::volume_group::{all, one};
use super::change::{When, edit, seen};
use super::filesystems::strip;
use super::forms;
use super::members::Members;
use crate::http::{
    Access, FieldErrors, Operation, Param, Problem, Reply, Request, delete, get, post, put,
};
use crate::region::Region;

const GROUPS: &str = "/MAAS/api/2.0/nodes/{system_id}/volume-groups/";
const GROUP: &str = "/MAAS/api/2.0/nodes/{system_id}/volume-group/{id}/";
const ALIAS: &str = "/MAAS/api/2.0/nodes/{system_id}/volume-groups/{id}/";

pub(super) fn operations() -> Vec<Operation<Region>> {
    vec![
        get("VolumeGroupsHandler", GROUPS, "The volume groups of a machine.", list),
        post("VolumeGroupsHandler", GROUPS, "Makes a volume group.", create)
            .access(Access::Admin)
            .params(&[
                Param::required("name", "Its name."),
                Param::optional("uuid", "Its UUID."),
                Param::repeated("block_devices", "Block devices it is made of."),
                Param::repeated("partitions", "Partitions it is made of."),
            ]),
        get("VolumeGroupHandler", GROUP, "One volume group.", read).alias(ALIAS),
        put("VolumeGroupHandler", GROUP, "Changes a volume group.", update)
            .access(Access::Admin)
            .alias(ALIAS)
            .params(&[
                Param::optional("name", "Its name."),
                Param::optional("uuid", "Its UUID."),
                Param::repeated("add_block_devices", "Block devices to add."),
                Param::repeated("remove_block_devices", "Block devices to take out."),
                Param::repeated("add_partitions", "Partitions to add."),
                Param::repeated("remove_partitions", "Partitions to take out."),
            ]),
        delete("VolumeGroupHandler", GROUP, "Removes a volume group without volumes.", remove)
            .access(Access::Admin)
            .alias(ALIAS),
        post("VolumeGroupHandler", GROUP, "Makes a logical volume.", create_logical_volume)
            .access(Access::Admin)
            .op("create_logical_volume")
            .alias(ALIAS)
            .params(&[
                Param::required("name", "Its name."),
                Param::optional("size", "Bytes, or with K, M, G, T; all that is free."),
                Param::optional("uuid", "Its UUID."),
            ]),
        post("VolumeGroupHandler", GROUP, "Removes a logical volume.", delete_logical_volume)
            .access(Access::Admin)
            .op("delete_logical_volume")
            .alias(ALIAS)
            .params(&[Param::required("id", "The logical volume's number.")]),
    ]
}

async fn list(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let machine = seen(&region, &request).await?;
    Reply::json(&all(&StorageView::of(&machine)))
}

fn named<'a>(view: &'a StorageView<'_>, request: &Request) -> Result<&'a VolumeGroup, Problem> {
    let find = |name: &str| view.storage().volume_groups.iter().find(|group| group.name == name);
    let name = forms::group(view, request, "VolumeGroup", |name| find(name).is_some())?;
    find(&name).ok_or_else(|| Problem::not_found("No VolumeGroup matches the given query."))
}

fn reply(machine: &Machine, name: &str) -> Result<Reply, Problem> {
    let view = StorageView::of(machine);
    let group = view.storage().volume_groups.iter().find(|group| group.name == name);
    Reply::json(&group.map(|group| one(&view, group)))
}

async fn read(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let machine = seen(&region, &request).await?;
    let view = StorageView::of(&machine);
    Reply::json(&one(&view, named(&view, &request)?))
}

async fn create(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let fields = request.fields();
    let mut errors = FieldErrors::new();
    let name = errors.collect(fields.required("name")).to_owned();
    let uuid = errors.collect(fields.filled("uuid")).map(str::to_owned);
    errors.done()?;
    let changed = edit(&region, &request, When::Ready, "create volume group", |view| {
        let members = Members::to_use(view, fields, "block_devices", "partitions")?;
        members.refuse_partitioned(view, "block_devices")?;
        if members.ids.is_empty() {
            return Err(Problem::field(
                FieldErrors::ALL,
                "At least one valid block device or partition is required.",
            ));
        }
        let mut edits = members.edits;
        edits.push(Edit::AddVolumeGroup { name: name.clone(), devices: members.ids });
        edits.extend(uuid.clone().map(|uuid| Edit::SetUuid { id: name.clone(), uuid }));
        Ok(edits)
    })
    .await?;
    reply(&changed, &name)
}

async fn update(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let fields = request.fields();
    let new_name = fields.filled("name")?;
    let uuid = fields.filled("uuid")?;
    let changed = edit(&region, &request, When::Ready, "update volume group", |view| {
        let group = named(view, &request)?;
        let added = Members::to_use(view, fields, "add_block_devices", "add_partitions")?;
        added.refuse_partitioned(view, "add_block_devices")?;
        let left = Members::to_leave(view, fields, "remove_block_devices", "remove_partitions")?;
        let mut devices: Vec<String> =
            group.devices.iter().filter(|device| !left.contains(device)).cloned().collect();
        devices.extend(added.ids);
        let name = group.name.clone();
        let mut edits = added.edits;
        edits.push(Edit::SetMembers { name: name.clone(), devices, spares: Vec::new() });
        edits.extend(uuid.map(|uuid| Edit::SetUuid { id: name.clone(), uuid: uuid.to_owned() }));
        edits.extend(new_name.map(|new| Edit::Rename { volume: name, name: new.to_owned() }));
        Ok(edits)
    })
    .await?;
    let view = StorageView::of(&changed);
    let renamed = new_name
        .and_then(|new| view.storage().volume_groups.iter().find(|group| group.name == new));
    match renamed {
        Some(group) => Reply::json(&one(&view, group)),
        None => Reply::json(&one(&view, named(&view, &request)?)),
    }
}

async fn remove(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    edit(&region, &request, When::Ready, "delete volume group", |view| {
        Ok(vec![Edit::RemoveCompound { name: named(view, &request)?.name.clone() }])
    })
    .await?;
    Ok(Reply::no_content())
}

async fn create_logical_volume(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let fields = request.fields();
    let mut errors = FieldErrors::new();
    let name = errors.collect(fields.required("name")).to_owned();
    let size = errors.collect(forms::size(fields, "size")).unwrap_or(Size::Percent(100));
    let uuid = errors.collect(fields.filled("uuid")).map(str::to_owned);
    errors.done()?;
    // Clients send the volume's name with its group's as well as without.
    let short = |group: &VolumeGroup| {
        let prefix = format!("{}-", group.name);
        name.strip_prefix(&prefix).unwrap_or(&name).to_owned()
    };
    let changed = edit(&region, &request, When::Ready, "create logical volume", |view| {
        let group = named(view, &request)?;
        let name = short(group);
        let id = group.volume_id(&name);
        let mut edits = vec![Edit::AddLogicalVolume { group: group.name.clone(), name, size }];
        edits.extend(uuid.clone().map(|uuid| Edit::SetUuid { id, uuid }));
        Ok(edits)
    })
    .await?;
    let view = StorageView::of(&changed);
    let group = named(&view, &request)?;
    Reply::json(&block_device::one(&view, &group.volume_id(&short(group))))
}

async fn delete_logical_volume(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let fields = request.fields();
    let text = fields.required("id")?;
    edit(&region, &request, When::Ready, "delete logical volume", |view| {
        let group = named(view, &request)?;
        let id = match text.parse() {
            Ok(number) => view.register().device_of(number).unwrap_or_default(),
            Err(_) => text,
        };
        // What is not there is gone already.
        if !group.volumes.iter().any(|one| group.volume_id(&one.name) == id) {
            return Ok(Vec::new());
        }
        let mut edits = strip(view, id);
        edits.push(Edit::RemoveLogicalVolume { volume: id.to_owned() });
        Ok(edits)
    })
    .await?;
    Ok(Reply::no_content())
}
