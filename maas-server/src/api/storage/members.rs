//! The block devices and partitions that a form names to make something of.

use maas_core::storage::{Edit, PartitionTable, Size};

use super::super::view::storage::StorageView;
use crate::http::{FieldError, FieldErrors, Fields, Problem};

/// Volumes that a form names, and what has to be done before they can be used.
#[derive(Debug, Default)]
pub(super) struct Members {
    /// Their ids.
    pub(super) ids: Vec<String>,
    /// The boot disk must have a partition for it: firmware does not boot from a disk that is a
    /// part of something as a whole.
    pub(super) edits: Vec<Edit>,
}

/// What a form may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    BlockDevice,
    Partition,
}

impl Members {
    /// Reads volumes to be used; a boot disk without partitions gets one.
    pub(super) fn to_use(
        view: &StorageView<'_>,
        fields: &Fields,
        devices: &str,
        partitions: &str,
    ) -> Result<Self, Problem> {
        let mut members = Self::default();
        let mut errors = FieldErrors::new();
        for (field, kind) in [(devices, Kind::BlockDevice), (partitions, Kind::Partition)] {
            for text in fields.words(field)? {
                let id = errors.collect(named(view, field, text, kind));
                if !id.is_empty() {
                    members.add(view, id);
                }
            }
        }
        errors.done()?;
        Ok(members)
    }

    /// Reads volumes that are used already and shall not be any more.
    pub(super) fn to_leave(
        view: &StorageView<'_>,
        fields: &Fields,
        devices: &str,
        partitions: &str,
    ) -> Result<Vec<String>, Problem> {
        let mut ids = Vec::new();
        let mut errors = FieldErrors::new();
        for (field, kind) in [(devices, Kind::BlockDevice), (partitions, Kind::Partition)] {
            for text in fields.words(field)? {
                ids.push(errors.collect(named(view, field, text, kind)));
            }
        }
        errors.done()?;
        Ok(ids)
    }

    /// Reads the one volume that is named by either field; `None` when neither is given.
    pub(super) fn one_of(
        view: &StorageView<'_>,
        fields: &Fields,
        device: &str,
        partition: &str,
    ) -> Result<Option<(String, Vec<Edit>)>, Problem> {
        let mut given = Vec::new();
        for (field, kind) in [(device, Kind::BlockDevice), (partition, Kind::Partition)] {
            if let Some(text) = fields.filled(field)? {
                given.push(named(view, field, text, kind)?);
            }
        }
        if given.len() > 1 {
            let text = format!("Cannot specify both {device} and {partition}.");
            return Err(Problem::field(FieldErrors::ALL, text));
        }
        let Some(id) = given.pop() else { return Ok(None) };
        let mut members = Self::default();
        members.add(view, id);
        Ok(members.ids.pop().map(|id| (id, members.edits)))
    }

    fn add(&mut self, view: &StorageView<'_>, id: String) {
        let boots = view.storage().disk(&id).filter(|disk| disk.boot && disk.table.is_none());
        let Some(disk) = boots else {
            self.ids.push(id);
            return;
        };
        let edit =
            Edit::AddPartition { disk: id.clone(), size: Size::Percent(100), bootable: false };
        // The partition's number is known only once the firmware's own has been made.
        let name = match view.storage().edit(&edit) {
            Ok(after) => after
                .disk(&id)
                .and_then(|disk| disk.partitions.last().map(|last| disk.partition_id(last.number))),
            Err(_) => None,
        };
        match name {
            Some(name) => {
                self.ids.push(name);
                self.edits.push(edit);
            }
            None => self.ids.push(disk.device.name.clone()),
        }
    }

    /// The disks that the form names as a whole and that have partitions are no members.
    pub(super) fn refuse_partitioned(
        &self,
        view: &StorageView<'_>,
        field: &str,
    ) -> Result<(), FieldError> {
        let has_table = |id: &&String| {
            let table: Option<PartitionTable> =
                view.storage().disk(id.as_str()).and_then(|disk| disk.table);
            table.is_some()
        };
        match self.ids.iter().find(has_table) {
            Some(id) => Err(FieldError::new(
                field,
                format!("Block device {id} has a partition table; name its partitions instead."),
            )),
            None => Ok(()),
        }
    }
}

fn named(
    view: &StorageView<'_>,
    field: &str,
    text: &str,
    kind: Kind,
) -> Result<String, FieldError> {
    let register = view.register();
    let number: Option<u32> = text.parse().ok();
    let id = match (kind, number) {
        (Kind::BlockDevice, Some(number)) => register.device_of(number),
        (Kind::BlockDevice, None) => (register.device(text) != 0).then_some(text),
        (Kind::Partition, Some(number)) => register.partition_of(number),
        (Kind::Partition, None) => (register.partition(text) != 0).then_some(text),
    };
    id.map(str::to_owned).ok_or_else(|| {
        let text: String = text.chars().take(64).collect();
        FieldError::new(
            field,
            format!("Select a valid choice. {text} is not one of the available choices."),
        )
    })
}
