//! RAIDs.

use std::sync::Arc;

use maas_core::storage::{Edit, Raid, RaidLevel};

use super::super::view::raid::{all, one};
use super::super::view::storage::StorageView;
use super::change::{When, edit, seen};
use super::filesystems::strip;
use super::forms;
use super::members::Members;
use crate::http::{
    Access, FieldErrors, Operation, Param, Problem, Reply, Request, delete, get, post, put,
};
use crate::region::Region;

const RAIDS: &str = "/MAAS/api/2.0/nodes/{system_id}/raids/";
const RAID: &str = "/MAAS/api/2.0/nodes/{system_id}/raid/{id}/";
const ALIAS: &str = "/MAAS/api/2.0/nodes/{system_id}/raids/{id}/";

pub(super) fn operations() -> Vec<Operation<Region>> {
    vec![
        get("RaidsHandler", RAIDS, "The RAIDs of a machine.", list),
        post("RaidsHandler", RAIDS, "Makes a RAID.", create).access(Access::Admin).params(&[
            Param::optional("name", "Its name; the next free md number."),
            Param::optional("uuid", "Its UUID."),
            Param::required("level", "raid-0, raid-1, raid-5, raid-6 or raid-10."),
            Param::repeated("block_devices", "Block devices it is made of."),
            Param::repeated("partitions", "Partitions it is made of."),
            Param::repeated("spare_devices", "Spare block devices."),
            Param::repeated("spare_partitions", "Spare partitions."),
        ]),
        get("RaidHandler", RAID, "One RAID.", read).alias(ALIAS),
        put("RaidHandler", RAID, "Changes a RAID.", update)
            .access(Access::Admin)
            .alias(ALIAS)
            .params(&[
                Param::optional("name", "Its name."),
                Param::optional("uuid", "Its UUID."),
                Param::repeated("add_block_devices", "Block devices to add."),
                Param::repeated("remove_block_devices", "Block devices to take out."),
                Param::repeated("add_partitions", "Partitions to add."),
                Param::repeated("remove_partitions", "Partitions to take out."),
                Param::repeated("add_spare_devices", "Spare block devices to add."),
                Param::repeated("remove_spare_devices", "Spare block devices to take out."),
                Param::repeated("add_spare_partitions", "Spare partitions to add."),
                Param::repeated("remove_spare_partitions", "Spare partitions to take out."),
            ]),
        delete("RaidHandler", RAID, "Removes a RAID and its file system.", remove)
            .access(Access::Admin)
            .alias(ALIAS),
    ]
}

async fn list(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let machine = seen(&region, &request).await?;
    Reply::json(&all(&StorageView::of(&machine)))
}

fn named<'a>(view: &'a StorageView<'_>, request: &Request) -> Result<&'a Raid, Problem> {
    let find = |name: &str| view.storage().raids.iter().find(|raid| raid.name == name);
    let name = forms::group(view, request, "RAID", |name| find(name).is_some())?;
    find(&name).ok_or_else(|| Problem::not_found("No RAID matches the given query."))
}

async fn read(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let machine = seen(&region, &request).await?;
    let view = StorageView::of(&machine);
    Reply::json(&one(&view, named(&view, &request)?))
}

/// `raid-1` as MAAS writes it; also `raid1` and `1`.
fn level(text: &str) -> Option<RaidLevel> {
    let number = text.strip_prefix("raid").unwrap_or(text).trim_start_matches('-');
    RaidLevel::try_from(number.parse::<u8>().ok()?).ok()
}

/// `md0`, or the next one that no device is called.
fn free_name(view: &StorageView<'_>) -> String {
    let taken = |name: &String| view.register().device(name) != 0;
    (0_u32..).map(|number| format!("md{number}")).find(|name| !taken(name)).unwrap_or_default()
}

async fn create(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let fields = request.fields();
    let mut errors = FieldErrors::new();
    let given = errors.collect(fields.filled("name"));
    let uuid = errors.collect(fields.filled("uuid"));
    let word = errors.collect(fields.required("level"));
    let level = level(word);
    if level.is_none() && !word.is_empty() {
        let word: String = word.chars().take(32).collect();
        errors.add(
            "level",
            format!("Select a valid choice. {word} is not one of the available choices."),
        );
    }
    errors.done()?;
    let Some(level) = level else { return Err(Problem::field("level", "This field is required.")) };
    let name = std::sync::Mutex::new(String::new());
    let changed = edit(&region, &request, When::Ready, "create RAID", |view| {
        let members = Members::to_use(view, fields, "block_devices", "partitions")?;
        members.refuse_partitioned(view, "block_devices")?;
        let spares = Members::to_use(view, fields, "spare_devices", "spare_partitions")?;
        spares.refuse_partitioned(view, "spare_devices")?;
        let chosen = given.map_or_else(|| free_name(view), str::to_owned);
        let mut edits = members.edits;
        edits.extend(spares.edits);
        edits.push(Edit::AddRaid {
            name: chosen.clone(),
            level,
            devices: members.ids,
            spares: spares.ids,
        });
        edits.extend(uuid.map(|uuid| Edit::SetUuid { id: chosen.clone(), uuid: uuid.to_owned() }));
        if let Ok(mut name) = name.lock() {
            *name = chosen;
        }
        Ok(edits)
    })
    .await?;
    let name = name.into_inner().unwrap_or_default();
    let view = StorageView::of(&changed);
    let made = view.storage().raids.iter().find(|raid| raid.name == name);
    Reply::json(&made.map(|raid| one(&view, raid)))
}

async fn update(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let fields = request.fields();
    let new_name = fields.filled("name")?;
    let uuid = fields.filled("uuid")?;
    let changed = edit(&region, &request, When::Ready, "update RAID", |view| {
        let raid = named(view, &request)?;
        let mut edits = Vec::new();
        let mut after = |have: &[String], devices: [&str; 2], partitions: [&str; 2]| {
            let added = Members::to_use(view, fields, devices[0], partitions[0])?;
            added.refuse_partitioned(view, devices[0])?;
            let left = Members::to_leave(view, fields, devices[1], partitions[1])?;
            let mut ids: Vec<String> =
                have.iter().filter(|id| !left.contains(id)).cloned().collect();
            ids.extend(added.ids);
            edits.extend(added.edits);
            Ok::<_, Problem>(ids)
        };
        let devices = after(
            &raid.devices,
            ["add_block_devices", "remove_block_devices"],
            ["add_partitions", "remove_partitions"],
        )?;
        let spares = after(
            &raid.spares,
            ["add_spare_devices", "remove_spare_devices"],
            ["add_spare_partitions", "remove_spare_partitions"],
        )?;
        let name = raid.name.clone();
        edits.push(Edit::SetMembers { name: name.clone(), devices, spares });
        edits.extend(uuid.map(|uuid| Edit::SetUuid { id: name.clone(), uuid: uuid.to_owned() }));
        edits.extend(new_name.map(|new| Edit::Rename { volume: name, name: new.to_owned() }));
        Ok(edits)
    })
    .await?;
    let view = StorageView::of(&changed);
    let renamed =
        new_name.and_then(|new| view.storage().raids.iter().find(|raid| raid.name == new));
    match renamed {
        Some(raid) => Reply::json(&one(&view, raid)),
        None => Reply::json(&one(&view, named(&view, &request)?)),
    }
}

async fn remove(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    edit(&region, &request, When::Ready, "delete RAID", |view| {
        let name = named(view, &request)?.name.clone();
        let mut edits = strip(view, &name);
        edits.push(Edit::RemoveCompound { name });
        Ok(edits)
    })
    .await?;
    Ok(Reply::no_content())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_written_in_three_ways() {
        assert_eq!(level("raid-10"), Some(RaidLevel::Raid10));
        assert_eq!(level("raid1"), Some(RaidLevel::Raid1));
        assert_eq!(level("6"), Some(RaidLevel::Raid6));
        for word in ["", "raid-", "raid-2", "raid-256", "mirror"] {
            assert_eq!(level(word), None, "{word}");
        }
    }
}
