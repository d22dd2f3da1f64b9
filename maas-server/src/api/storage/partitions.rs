//! Partitions of a block device.

use std::collections::BTreeSet;
use std::sync::Arc;

use maas_core::machine::Machine;
use maas_core::storage::{Edit, Size};

use super::super::view::partition::one;
use super::super::view::storage::StorageView;
use super::change::{When, change, edit, seen};
use super::filesystems::{Bearer, Command, edits, strip};
use super::{block_devices, forms};
use crate::http::{
    Access, FieldErrors, Operation, Param, Problem, Reply, Request, delete, get, post,
};
use crate::region::Region;

const PARTITIONS: &str = "/MAAS/api/2.0/nodes/{system_id}/blockdevices/{device_id}/partitions/";
const PARTITION: &str = "/MAAS/api/2.0/nodes/{system_id}/blockdevices/{device_id}/partition/{id}";
const ALIAS: &str = "/MAAS/api/2.0/nodes/{system_id}/blockdevices/{device_id}/partitions/{id}";

pub(super) fn operations() -> Vec<Operation<Region>> {
    let mut rows = vec![
        get("PartitionsHandler", PARTITIONS, "The partitions of a block device.", list),
        post("PartitionsHandler", PARTITIONS, "Adds a partition after the last one.", create)
            .access(Access::Admin)
            .params(&[
                Param::optional("size", "Bytes, or with K, M, G, T; all that is free."),
                Param::optional("uuid", "The partition's UUID."),
                Param::optional("bootable", "Whether the firmware boots from it."),
            ]),
        get("PartitionHandler", PARTITION, "One partition.", read).alias(ALIAS),
        delete("PartitionHandler", PARTITION, "Removes a partition and its file system.", remove)
            .access(Access::Admin)
            .alias(ALIAS),
        post("PartitionHandler", PARTITION, "Adds a tag.", |region, request| {
            tag(region, request, block_devices::TagChange::Add)
        })
        .access(Access::Admin)
        .op("add_tag")
        .alias(ALIAS)
        .params(&[Param::required("tag", "The tag.")]),
        post("PartitionHandler", PARTITION, "Removes a tag.", |region, request| {
            tag(region, request, block_devices::TagChange::Remove)
        })
        .access(Access::Admin)
        .op("remove_tag")
        .alias(ALIAS)
        .params(&[Param::required("tag", "The tag.")]),
    ];
    rows.extend(Command::ALL.map(|command| {
        post("PartitionHandler", PARTITION, command.doc(), move |region, request| {
            filesystem(region, request, command)
        })
        .op(command.op())
        .alias(ALIAS)
        .params(command.params())
    }));
    rows
}

async fn list(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let machine = seen(&region, &request).await?;
    let view = StorageView::of(&machine);
    let device = forms::device(&view, &request, "device_id")?;
    let disk = view.storage().disk(&device);
    let shown: Vec<_> = disk
        .into_iter()
        .flat_map(|disk| disk.partitions.iter().map(move |one| (disk, one)))
        .filter(|(_, partition)| !partition.flag.is_firmware())
        .map(|(disk, partition)| one(&view, disk, partition))
        .collect();
    Reply::json(&shown)
}

async fn read(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    reply(&*seen(&region, &request).await?, &request)
}

/// The partition that the path names.
fn reply(machine: &Machine, request: &Request) -> Result<Reply, Problem> {
    let view = StorageView::of(machine);
    let (disk, partition) = forms::partition(&view, request)?;
    Reply::json(&one(&view, disk, partition))
}

async fn create(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let fields = request.fields();
    let mut errors = FieldErrors::new();
    let size = errors.collect(forms::size(fields, "size")).unwrap_or(Size::Percent(100));
    let bootable = errors.collect(fields.flag("bootable")).unwrap_or(false);
    let uuid = errors.collect(fields.filled("uuid"));
    errors.done()?;
    let changed = edit(&region, &request, When::Ready, "create partition", |view| {
        let disk = forms::device(view, &request, "device_id")?;
        if view.storage().disk(&disk).is_none() {
            return Err(Problem::bad_request(
                "Cannot create a partition on a virtual block device.",
            ));
        }
        let add = Edit::AddPartition { disk: disk.clone(), size, bootable };
        let mut edits = vec![add];
        if let Some(uuid) = uuid {
            let after = view.storage().edit_all(&edits).map_err(super::refused::refused)?;
            let last = after
                .storage
                .disk(&disk)
                .and_then(|disk| disk.partitions.last().map(|last| disk.partition_id(last.number)));
            edits.extend(last.map(|id| Edit::SetUuid { id, uuid: uuid.to_owned() }));
        }
        Ok(edits)
    })
    .await?;
    let view = StorageView::of(&changed);
    let device = forms::device(&view, &request, "device_id")?;
    let disk = view.storage().disk(&device);
    let made = disk.and_then(|disk| Some((disk, disk.partitions.last()?)));
    let (disk, partition) = made.ok_or_else(|| Problem::not_found("Not Found"))?;
    Reply::json(&one(&view, disk, partition))
}

async fn remove(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    edit(&region, &request, When::Ready, "delete partition", |view| {
        let (disk, partition) = forms::partition(view, &request)?;
        let id = disk.partition_id(partition.number);
        let mut edits = strip(view, &id);
        edits.push(Edit::RemovePartition { partition: id });
        Ok(edits)
    })
    .await?;
    Ok(Reply::no_content())
}

async fn filesystem(
    region: Arc<Region>,
    request: Request,
    command: Command,
) -> Result<Reply, Problem> {
    let what = format!("{} partition", command.op());
    let changed = edit(&region, &request, When::ReadyOrAllocated, &what, |view| {
        let (disk, partition) = forms::partition(view, &request)?;
        let id = disk.partition_id(partition.number);
        edits(view, request.fields(), &id, command, Bearer::Partition)
    })
    .await?;
    reply(&changed, &request)
}

async fn tag(
    region: Arc<Region>,
    request: Request,
    tag_change: block_devices::TagChange,
) -> Result<Reply, Problem> {
    let tag = block_devices::tag(&request)?;
    let changed = change(&region, &request, When::Ready, "update partition", |machine| {
        let view = StorageView::of(machine);
        let (disk, partition) = forms::partition(&view, &request)?;
        let id = disk.partition_id(partition.number);
        let mut register = view.register().clone();
        let tags: &mut BTreeSet<String> = register.tags_mut(&id);
        tag_change.apply(tags, &tag);
        machine.configuration.volumes = register;
        Ok(())
    })
    .await?;
    reply(&changed, &request)
}
