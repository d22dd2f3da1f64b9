//! The faults of a storage configuration.

use serde::{Deserialize, Serialize};

use super::super::model::EXTENDED;
use super::super::size::MIN_ROOT;

/// A fault of a storage configuration; each would make the installation or the first boot fail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case", tag = "problem")]
#[non_exhaustive]
pub enum StorageProblem {
    /// No disk is the boot disk.
    #[error("there is no boot disk")]
    NoBootDisk,
    /// Nothing is mounted at `/`.
    #[error("nothing is mounted at '/'")]
    NoRoot,
    /// Two things have the same name.
    #[error("the name {name:?} is given twice")]
    DuplicateName {
        /// The name.
        name: String,
    },
    /// A reference leads nowhere.
    #[error("{user} uses {volume:?}, which does not exist")]
    UnknownVolume {
        /// What refers.
        user: String,
        /// What it refers to.
        volume: String,
    },
    /// A volume has two uses.
    #[error("{volume:?} is used twice: by {first} and by {second}")]
    UsedTwice {
        /// The volume.
        volume: String,
        /// Its first use.
        first: String,
        /// Its second use.
        second: String,
    },
    /// Two file systems are mounted at one path.
    #[error("two file systems are mounted at {path:?}")]
    MountedTwice {
        /// The path.
        path: String,
    },
    /// A mount point is not a plain absolute path.
    #[error("{path:?} is not a plain absolute path")]
    BadMountPoint {
        /// The path.
        path: String,
    },
    /// A partition is not where it can be.
    #[error(
        "partition {partition} of {size} bytes at {offset} does not fit on its disk of {disk_size} bytes"
    )]
    OffTheDisk {
        /// The partition's id.
        partition: String,
        /// Its first byte.
        offset: u64,
        /// Its size.
        size: u64,
        /// The disk's size.
        disk_size: u64,
    },
    /// Two partitions share bytes, or are not in order.
    #[error("partition {second} begins before {first} ends")]
    Overlap {
        /// The earlier one.
        first: String,
        /// The later one.
        second: String,
    },
    /// A GUID partition table has no more entries.
    #[error("a GUID partition table cannot hold partition {partition}: it has {GPT_LAST} entries")]
    BeyondGpt {
        /// The partition's id.
        partition: String,
    },
    /// There are more of something than a machine can sensibly have.
    #[error("there are {found} {what}; at most {most} are possible")]
    TooMany {
        /// Of what.
        what: String,
        /// How many there are.
        found: usize,
        /// The most.
        most: usize,
    },
    /// A label is longer than the file system can hold.
    #[error(
        "the label {label:?} of {volume} is longer than the {most} bytes that {fstype} can hold"
    )]
    LabelTooLong {
        /// The volume.
        volume: String,
        /// The file system's type.
        fstype: String,
        /// The label.
        label: String,
        /// The most bytes.
        most: usize,
    },
    /// A partition does not begin on a MiB.
    #[error("partition {partition} does not begin on a MiB")]
    Unaligned {
        /// The partition's id.
        partition: String,
    },
    /// An MBR table cannot hold the partition.
    #[error(
        "an MBR table cannot hold partition {partition}: three primary and {MBR_LOGICAL} logical ones of at most 2 TiB"
    )]
    BeyondMbr {
        /// The partition's id.
        partition: String,
    },
    /// A RAID has too few devices.
    #[error("RAID {level} needs {needed} devices; {name} has {found}")]
    TooFewDevices {
        /// The RAID's name.
        name: String,
        /// The level.
        level: u8,
        /// How many are needed.
        needed: usize,
        /// How many there are.
        found: usize,
    },
    /// Something has no size: no devices, or it is made of itself.
    #[error("{name} has no devices, or is made of itself")]
    NoSize {
        /// Its name.
        name: String,
    },
    /// The logical volumes are larger than their group.
    #[error("the volumes of {group} need {needed} bytes; it has {available}")]
    GroupTooSmall {
        /// The group.
        group: String,
        /// What its volumes need.
        needed: u64,
        /// What it has.
        available: u64,
    },
    /// The root file system is too small.
    #[error("'/' has {found} bytes; it needs at least {MIN_ROOT}")]
    RootTooSmall {
        /// Its size.
        found: u64,
    },
    /// The root file system is of a type that no system boots from.
    #[error("'/' cannot be on {fstype}")]
    RootType {
        /// The type.
        fstype: String,
    },
    /// A file system of this type cannot be made.
    #[error("{volume:?} is to be {fstype}, which curtin cannot make")]
    FilesystemType {
        /// The volume.
        volume: String,
        /// The type.
        fstype: String,
    },
    /// The firmware cannot start the system.
    #[error("the firmware cannot boot this: {reason}")]
    NotBootable {
        /// What is missing.
        reason: String,
    },
    /// A disk has a name that no kernel gives.
    #[error("disk {disk:?} is named with characters that no device has")]
    DiskName {
        /// The disk.
        disk: String,
    },
    /// A RAID, bcache, group, volume or datastore has a name that its tools do not take.
    #[error("{name:?} is no name: it needs letters, digits and any of . _ + - and no - first")]
    VolumeName {
        /// The name.
        name: String,
    },
    /// The key of an encrypted volume cannot be used.
    #[error("{name} needs a key of 1 to 512 bytes, or the absolute path of a key file")]
    BadKey {
        /// The encrypted volume.
        name: String,
    },
    /// curtin makes a root on ZFS only where it is the one, on a disk with a GUID partition table.
    #[error("zfsroot on {volume}: {reason}")]
    ZfsRoot {
        /// The volume.
        volume: String,
        /// What is in the way.
        reason: String,
    },
    /// A UUID that a user chose is none.
    #[error("{uuid:?} of {id} is no UUID")]
    BadUuid {
        /// The entry.
        id: String,
        /// What was given.
        uuid: String,
    },
    /// A memory file system is of a type that needs a device.
    #[error("{fstype:?} cannot be mounted at {path:?} without a device")]
    SpecialType {
        /// The type.
        fstype: String,
        /// The path.
        path: String,
    },
    /// Mount options or a label would break out of their field in fstab.
    #[error("{text:?} of {volume} contains white space or control characters")]
    BadText {
        /// The volume or path.
        volume: String,
        /// What was given.
        text: String,
    },
}

/// The most logical partitions of an MBR table: Linux names no more than 15 partitions of a disk
/// whose driver has 16 minor numbers for it.
pub(super) const MBR_LOGICAL: u32 = 11;
pub(super) const MBR_LAST: u32 = EXTENDED + MBR_LOGICAL;
/// The entries of a GUID partition table as every tool makes it.
pub(super) const GPT_LAST: u32 = 128;
