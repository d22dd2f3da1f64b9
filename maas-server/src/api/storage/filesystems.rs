//! Formatting and mounting, the same for block devices and partitions.

use maas_core::storage::Edit;

use super::super::view::storage::StorageView;
use crate::http::{FieldErrors, Fields, Param, Problem};

/// The word of an error's sentence for what a file system lies on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bearer {
    BlockDevice,
    Partition,
}

impl Bearer {
    pub(super) const fn lower(self) -> &'static str {
        match self {
            Self::BlockDevice => "block device",
            Self::Partition => "partition",
        }
    }

    const fn upper(self) -> &'static str {
        match self {
            Self::BlockDevice => "Block device",
            Self::Partition => "Partition",
        }
    }
}

/// What is done with a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    Format,
    Unformat,
    Mount,
    Unmount,
}

impl Command {
    pub(super) const ALL: [Self; 4] = [Self::Format, Self::Unformat, Self::Mount, Self::Unmount];

    pub(super) const fn op(self) -> &'static str {
        match self {
            Self::Format => "format",
            Self::Unformat => "unformat",
            Self::Mount => "mount",
            Self::Unmount => "unmount",
        }
    }

    pub(super) const fn doc(self) -> &'static str {
        match self {
            Self::Format => "Makes a file system; an unmounted one that is there is replaced.",
            Self::Unformat => "Takes the file system away.",
            Self::Mount => "Mounts the file system.",
            Self::Unmount => "Does not mount the file system any more.",
        }
    }

    pub(super) const fn params(self) -> &'static [Param] {
        match self {
            Self::Format => FORMAT,
            Self::Mount => MOUNT,
            Self::Unformat | Self::Unmount => &[],
        }
    }
}

const FORMAT: &[Param] = &[
    Param::required("fstype", "ext4, ext2, xfs, btrfs, fat32, vfat, swap…"),
    Param::optional("label", "The file system's label."),
    Param::optional("uuid", "The file system's UUID."),
];

const MOUNT: &[Param] = &[
    Param::required("mount_point", "The absolute path; not needed for swap."),
    Param::optional("mount_options", "Options of mount(8)."),
];

/// The edits that the command comes to.
pub(super) fn edits(
    view: &StorageView<'_>,
    fields: &Fields,
    id: &str,
    command: Command,
    bearer: Bearer,
) -> Result<Vec<Edit>, Problem> {
    let volume = id.to_owned();
    let filesystem = view.storage().filesystem_on(id);
    let not_formatted = || Problem::bad_request(format!("{} is not formatted.", bearer.upper()));
    match command {
        Command::Format => {
            let mut errors = FieldErrors::new();
            let fstype = errors.collect(fields.required("fstype")).to_owned();
            let label = errors.collect(fields.text("label")).unwrap_or_default().to_owned();
            let uuid = errors.collect(fields.filled("uuid")).map(str::to_owned);
            errors.done()?;
            let mut edits = Vec::new();
            if filesystem.is_some() {
                edits.push(Edit::Unformat { volume: volume.clone() });
            }
            edits.push(Edit::Format { volume, fstype, label });
            edits.extend(uuid.map(|uuid| Edit::SetUuid { id: format!("{id}_format"), uuid }));
            Ok(edits)
        }
        Command::Unformat => {
            let filesystem = filesystem.ok_or_else(not_formatted)?;
            if filesystem.mount.is_some() {
                return Err(Problem::bad_request(format!(
                    "Filesystem is mounted and cannot be unformatted. Unmount the filesystem \
                     before unformatting the {}.",
                    bearer.lower()
                )));
            }
            Ok(vec![Edit::Unformat { volume }])
        }
        Command::Mount => {
            let Some(filesystem) = filesystem else {
                return Err(Problem::field(
                    FieldErrors::ALL,
                    "Cannot mount an unformatted partition or block device.",
                ));
            };
            let path = match fields.filled("mount_point")? {
                // Swap is mounted nowhere, and MAAS takes either word for it.
                _ if filesystem.fstype == "swap" => "none",
                Some(path) => path,
                None => fields.required("mount_point")?,
            };
            let options = fields.text("mount_options")?.unwrap_or_default().to_owned();
            Ok(vec![Edit::Mount { volume, path: path.to_owned(), options }])
        }
        Command::Unmount => {
            if filesystem.ok_or_else(not_formatted)?.mount.is_none() {
                return Err(Problem::bad_request("Filesystem is already unmounted."));
            }
            Ok(vec![Edit::Unmount { volume }])
        }
    }
}

/// What must go before a volume can: its file system, mounted or not.
pub(super) fn strip(view: &StorageView<'_>, id: &str) -> Vec<Edit> {
    let Some(filesystem) = view.storage().filesystem_on(id) else { return Vec::new() };
    let volume = id.to_owned();
    let mut edits = Vec::new();
    if filesystem.mount.is_some() {
        edits.push(Edit::Unmount { volume: volume.clone() });
    }
    edits.push(Edit::Unformat { volume });
    edits
}
