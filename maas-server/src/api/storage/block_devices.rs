//! Block devices: disks, and what is made of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use maas_core::machine::hardware::Disk as FoundDisk;
use maas_core::machine::{Machine, Status};
use maas_core::storage::{Edit, Size};

use super::super::view::block_device::one;
use super::super::view::storage::StorageView;
use super::change::{When, change, edit, seen};
use super::filesystems::{Bearer, Command, edits, strip};
use super::forms;
use super::refused::refused;
use crate::http::{
    Access, FieldErrors, Fields, Operation, Param, Problem, Reply, Request, delete, get, post, put,
};
use crate::region::Region;

const DEVICES: &str = "/MAAS/api/2.0/nodes/{system_id}/blockdevices/";
const DEVICE: &str = "/MAAS/api/2.0/nodes/{system_id}/blockdevices/{id}/";

/// The most disks of one machine.
const MOST: usize = 1024;

const DISK: &[Param] = &[
    Param::optional("model", "The model."),
    Param::optional("serial", "The serial number."),
    Param::optional("id_path", "A path that does not change, for a disk without serial number."),
];

pub(super) fn operations() -> Vec<Operation<Region>> {
    let mut rows = vec![
        get("BlockDevicesHandler", DEVICES, "The block devices of a machine.", list),
        post(
            "BlockDevicesHandler",
            DEVICES,
            "Adds a disk that commissioning did not find.",
            create,
        )
        .access(Access::Admin)
        .params(&[
            Param::required("name", "The kernel's name, e.g. sda."),
            Param::required("size", "Bytes, or with K, M, G, T."),
            Param::required("block_size", "Bytes of one sector."),
            Param::optional("numa_node", "The NUMA node it hangs on."),
        ])
        .params(DISK),
        get("BlockDeviceHandler", DEVICE, "One block device.", read),
        put("BlockDeviceHandler", DEVICE, "Changes a block device.", update)
            .access(Access::Admin)
            .params(&[
                Param::optional("name", "The name; of a logical volume without its group."),
                Param::optional("size", "Disks and logical volumes: the size."),
                Param::optional("block_size", "Disks: bytes of one sector."),
                Param::optional("uuid", "Virtual devices: the UUID."),
            ])
            .params(DISK),
        delete("BlockDeviceHandler", DEVICE, "Removes a block device.", remove)
            .access(Access::Admin),
        post("BlockDeviceHandler", DEVICE, "Adds a tag.", |region, request| {
            change_tag(region, request, TagChange::Add)
        })
        .access(Access::Admin)
        .op("add_tag")
        .params(&[Param::required("tag", "The tag.")]),
        post("BlockDeviceHandler", DEVICE, "Removes a tag.", |region, request| {
            change_tag(region, request, TagChange::Remove)
        })
        .access(Access::Admin)
        .op("remove_tag")
        .params(&[Param::required("tag", "The tag.")]),
        post("BlockDeviceHandler", DEVICE, "Makes this disk the boot disk.", set_boot_disk)
            .access(Access::Admin)
            .op("set_boot_disk"),
    ];
    rows.extend(Command::ALL.map(|command| {
        post("BlockDeviceHandler", DEVICE, command.doc(), move |region, request| {
            filesystem(region, request, command)
        })
        .op(command.op())
        .params(command.params())
    }));
    rows
}

async fn list(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let machine = seen(&region, &request).await?;
    let view = StorageView::of(&machine);
    let mut shown: Vec<_> =
        view.storage().disks.iter().map(|disk| one(&view, &disk.device.name)).collect();
    shown.extend(view.virtual_devices().iter().map(|id| one(&view, id)));
    Reply::json(&shown)
}

async fn read(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    reply(&*seen(&region, &request).await?, &request)
}

/// The device that the path names; a name may have changed, a number has not.
fn reply(machine: &Machine, request: &Request) -> Result<Reply, Problem> {
    let view = StorageView::of(machine);
    let id = forms::device(&view, request, "id")?;
    Reply::json(&one(&view, &id))
}

async fn create(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let fields = request.fields();
    let mut errors = FieldErrors::new();
    let mut disk = FoundDisk {
        name: errors.collect(fields.required("name")).to_owned(),
        numa_node: errors.collect(fields.number("numa_node")).unwrap_or(0),
        ..FoundDisk::default()
    };
    if let Err(missing) = fields.required("size").and(fields.required("block_size")) {
        errors.add(missing.field, missing.message);
    }
    describe(&mut disk, fields, &mut errors);
    if disk.serial.is_empty() && disk.id_path.is_empty() {
        errors.add(
            FieldErrors::ALL,
            "Serial number (with model) or id_path is needed to find the disk on the machine.",
        );
    }
    errors.done()?;
    let changed = change(&region, &request, When::Always, "create block device", |machine| {
        let disks = &mut machine.hardware.disks;
        if disks.iter().any(|have| have.name == disk.name) {
            let text = "Block device with this Node config and Name already exists.";
            return Err(Problem::field(FieldErrors::ALL, text));
        }
        if disks.len() >= MOST {
            return Err(Problem::bad_request(format!("A machine has at most {MOST} disks.")));
        }
        disks.push(disk.clone());
        refuse_bad_name(machine, &disk.name)
    })
    .await?;
    let view = StorageView::of(&changed);
    Reply::json(&one(&view, &disk.name))
}

/// What the form says of a disk but its name.
fn describe(disk: &mut FoundDisk, fields: &Fields, errors: &mut FieldErrors) {
    for (name, slot) in
        [("model", &mut disk.model), ("serial", &mut disk.serial), ("id_path", &mut disk.id_path)]
    {
        if let Some(text) = errors.collect(fields.text(name)) {
            if text.len() > 4096 || text.contains(char::is_control) {
                errors.add(name, "Not a plain text of at most 4096 bytes.");
            }
            text.clone_into(slot);
        }
    }
    match errors.collect(forms::size(fields, "size")) {
        Some(Size::Bytes(bytes)) if bytes >= 1 << 20 => disk.size = bytes,
        Some(_) => errors.add("size", "Ensure this value is at least 1048576 bytes."),
        None => {}
    }
    match errors.collect(forms::size(fields, "block_size")) {
        Some(Size::Bytes(bytes @ 512..=1_048_576)) => {
            disk.block_size = u32::try_from(bytes).unwrap_or(512);
        }
        Some(_) => errors.add("block_size", "Ensure this value is at least 512 bytes."),
        None => {}
    }
}

fn refuse_bad_name(machine: &Machine, name: &str) -> Result<(), Problem> {
    use maas_core::storage::StorageProblem;
    let bad = machine.storage().storage.check().into_iter().find(|problem| match problem {
        StorageProblem::DiskName { disk } => disk == name,
        StorageProblem::DuplicateName { name: twice } => twice == name,
        _ => false,
    });
    bad.map_or(Ok(()), |problem| Err(refused(problem.into())))
}

async fn update(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let fields = request.fields();
    let name = fields.filled("name")?;
    let changed = change(&region, &request, When::Always, "update block device", |machine| {
        let view = StorageView::of(machine);
        let id = forms::device(&view, &request, "id")?;
        let physical = view.storage().disk(&id).is_some();
        match (machine.status, physical) {
            (Status::Ready, _) | (Status::Deployed, true) => {}
            (Status::Deployed, false) => {
                return Err(Problem::Conflict(
                    "Cannot update virtual block device because the machine is Deployed.".into(),
                ));
            }
            _ => {
                return Err(Problem::Conflict(
                    "Cannot update block device because the machine is not Ready.".into(),
                ));
            }
        }
        if physical {
            update_disk(machine, &id, name, fields)
        } else {
            let edits = update_virtual(&view, &id, name, fields)?;
            machine.edit_storage(&edits).map_err(refused)
        }
    })
    .await?;
    reply(&changed, &request)
}

fn update_disk(
    machine: &mut Machine,
    id: &str,
    name: Option<&str>,
    fields: &Fields,
) -> Result<(), Problem> {
    let before = machine.storage();
    let at = machine.hardware.disks.iter().position(|disk| disk.name == id);
    let Some(disk) = at.and_then(|at| machine.hardware.disks.get_mut(at)) else {
        return Err(Problem::not_found("No BlockDevice matches the given query."));
    };
    let mut errors = FieldErrors::new();
    let (size, block_size) = (disk.size, disk.block_size);
    describe(disk, fields, &mut errors);
    errors.done()?;
    if machine.status == Status::Deployed {
        // A disk was replaced by one like it; what lies on it cannot change under the system.
        (disk.size, disk.block_size) = (size, block_size);
    }
    if disk.size < size && before.storage.disk(id).is_some_and(|disk| disk.table.is_some()) {
        return Err(Problem::field("size", "The disk's partitions would not fit any more."));
    }
    let Some(name) = name.filter(|name| *name != id) else { return Ok(()) };
    let rename = Edit::Rename { volume: id.to_owned(), name: name.to_owned() };
    let edited = before.storage.edit_all(&[rename]).map_err(refused)?;
    name.clone_into(&mut disk.name);
    let configuration = &mut machine.configuration;
    configuration.volumes = before.register;
    configuration.volumes.rename(&edited.renamed);
    configuration.volumes.update(&edited.storage);
    if configuration.boot_disk.as_deref() == Some(id) {
        configuration.boot_disk = Some(name.to_owned());
    }
    if configuration.acquired_storage.is_some() {
        configuration.acquired_storage = Some(edited.storage.clone());
    }
    // A layout knows disks by name as well; what it has made is kept as it is.
    configuration.edited_storage = Some(edited.storage);
    Ok(())
}

fn update_virtual(
    view: &StorageView<'_>,
    id: &str,
    name: Option<&str>,
    fields: &Fields,
) -> Result<Vec<Edit>, Problem> {
    let mut edits = Vec::new();
    let volume = id.to_owned();
    let group = view
        .storage()
        .volume_groups
        .iter()
        .find(|group| group.volumes.iter().any(|one| group.volume_id(&one.name) == id));
    if let Some(size) = forms::size(fields, "size")? {
        if group.is_none() {
            return Err(Problem::field("size", "Size cannot be changed on this device."));
        }
        edits.push(Edit::ResizeLogicalVolume { volume: volume.clone(), size });
    }
    if let Some(uuid) = fields.filled("uuid")? {
        edits.push(Edit::SetUuid { id: volume.clone(), uuid: uuid.to_owned() });
    }
    if let Some(name) = name {
        // Clients send back the name that they read, which is the group's and the volume's.
        let prefix = group.map_or_else(String::new, |group| format!("{}-", group.name));
        let name = name.strip_prefix(&prefix).unwrap_or(name).to_owned();
        edits.push(Edit::Rename { volume, name });
    }
    Ok(edits)
}

async fn remove(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    change(&region, &request, When::Ready, "delete block device", |machine| {
        let view = StorageView::of(machine);
        let id = forms::device(&view, &request, "id")?;
        let mut edits = strip(&view, &id);
        let storage = view.storage();
        if let Some(disk) = storage.disk(&id) {
            for partition in disk.partitions.iter().rev().filter(|one| !one.flag.is_firmware()) {
                let partition = disk.partition_id(partition.number);
                edits.extend(strip(&view, &partition));
                edits.push(Edit::RemovePartition { partition });
            }
            edits.push(Edit::RemoveDisk { disk: id.clone() });
            if disk.boot
                && let Some(next) = storage.disks.iter().find(|other| other.device.name != id)
            {
                edits.push(Edit::SetBootDisk { disk: next.device.name.clone() });
            }
            machine.edit_storage(&edits).map_err(refused)?;
            machine.hardware.disks.retain(|disk| disk.name != id);
            return Ok(());
        }
        let compound = storage.raids.iter().any(|raid| raid.name == id)
            || storage.bcaches.iter().any(|bcache| bcache.name == id);
        edits.push(match compound {
            true => Edit::RemoveCompound { name: id },
            false => Edit::RemoveLogicalVolume { volume: id },
        });
        machine.edit_storage(&edits).map_err(refused)
    })
    .await?;
    Ok(Reply::no_content())
}

async fn filesystem(
    region: Arc<Region>,
    request: Request,
    command: Command,
) -> Result<Reply, Problem> {
    let what = format!("{} block device", command.op());
    let changed = edit(&region, &request, When::ReadyOrAllocated, &what, |view| {
        let id = forms::device(view, &request, "id")?;
        if command == Command::Format
            && view.storage().disk(&id).is_some_and(|disk| disk.table.is_some())
        {
            return Err(Problem::field(
                FieldErrors::ALL,
                "Cannot format block device with a partition table.",
            ));
        }
        edits(view, request.fields(), &id, command, Bearer::BlockDevice)
    })
    .await?;
    reply(&changed, &request)
}

async fn set_boot_disk(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    edit(&region, &request, When::Ready, "set block device as boot disk", |view| {
        let disk = forms::device(view, &request, "id")?;
        if view.storage().disk(&disk).is_none() {
            return Err(Problem::bad_request(
                "Cannot set a virtual block device as the boot disk.",
            ));
        }
        Ok(vec![Edit::SetBootDisk { disk }])
    })
    .await?;
    Ok(Reply::ok())
}

/// What is done with a tag.
#[derive(Debug, Clone, Copy)]
pub(super) enum TagChange {
    Add,
    Remove,
}

impl TagChange {
    pub(super) fn apply(self, tags: &mut BTreeSet<String>, tag: &str) {
        match self {
            Self::Add => {
                tags.insert(tag.to_owned());
            }
            Self::Remove => {
                tags.remove(tag);
            }
        }
    }
}

/// The tag of the form.
pub(super) fn tag(request: &Request) -> Result<String, Problem> {
    let tag = request.fields().required("tag")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if tag.len() > 255 || !tag.chars().all(plain) {
        return Err(Problem::field("tag", "Expected letters, digits and any of _ - ."));
    }
    Ok(tag.to_owned())
}

async fn change_tag(
    region: Arc<Region>,
    request: Request,
    tag_change: TagChange,
) -> Result<Reply, Problem> {
    let tag = tag(&request)?;
    let changed = change(&region, &request, When::Ready, "update block device", |machine| {
        let view = StorageView::of(machine);
        let id = forms::device(&view, &request, "id")?;
        let mut register = view.register().clone();
        if let Some(disk) = machine.hardware.disks.iter_mut().find(|disk| disk.name == id) {
            disk.tags.retain(|have| *have != tag);
            if matches!(tag_change, TagChange::Add) {
                disk.tags.push(tag.clone());
            }
            return Ok(());
        }
        tag_change.apply(register.tags_mut(&id), &tag);
        machine.configuration.volumes = register;
        Ok(())
    })
    .await?;
    reply(&changed, &request)
}
