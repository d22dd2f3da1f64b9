//! Layouts: whole storage configurations by name, with MAAS's options.

mod basic;
mod bcache;
mod custom;
mod vmfs;

use serde::{Deserialize, Serialize};

pub use custom::{CustomDevice, CustomLayout, CustomMount, CustomPartition, CustomVolume};

use super::device::{BlockDevice, Platform};
use super::model::{CacheMode, Disk, PartitionTable, Storage};
use super::size::Size;

/// A layout and its options.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "storage_layout", rename_all = "lowercase")]
#[non_exhaustive]
pub enum LayoutRequest {
    /// One root file system on the boot disk.
    Flat(BasicOptions),
    /// The root file system on a logical volume.
    Lvm(LvmOptions),
    /// The root file system on a cached disk; flat when no disk can be the cache.
    Bcache(BcacheOptions),
    /// ESXi 6's partitions and a datastore.
    Vmfs6(BasicOptions),
    /// ESXi 7's partitions and a datastore.
    Vmfs7(BasicOptions),
    /// Nothing at all.
    Blank,
    /// A layout document.
    Custom(CustomLayout),
    /// A configuration that was edited, with every size decided.
    Explicit(Box<Storage>),
}

impl Default for LayoutRequest {
    fn default() -> Self {
        Self::Flat(BasicOptions::default())
    }
}

/// The options of every layout.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct BasicOptions {
    /// The size of `/boot`; none, unless the platform needs one.
    pub boot_size: Option<Size>,
    /// The size of `/`; all the rest.
    pub root_size: Option<Size>,
    /// The disk that holds `/`; the boot disk.
    pub root_device: Option<String>,
    /// The boot disk's partition table; GPT. UEFI and Open Firmware always have GPT.
    pub partition_table: Option<PartitionTable>,
}

/// The options of the `lvm` layout.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LvmOptions {
    /// What every layout has.
    #[serde(flatten)]
    pub basic: BasicOptions,
    /// The volume group's name; `vgroot`.
    pub vg_name: Option<String>,
    /// The logical volume's name; `lvroot`.
    pub lv_name: Option<String>,
    /// The logical volume's size; all of the group.
    pub lv_size: Option<Size>,
}

/// The options of the `bcache` layout.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct BcacheOptions {
    /// What every layout has.
    #[serde(flatten)]
    pub basic: BasicOptions,
    /// The caching disk; the smallest other disk with the tag `ssd`.
    pub cache_device: Option<String>,
    /// When data reaches the backing disk.
    pub cache_mode: CacheMode,
    /// The size of the cache's partition; all of its disk.
    pub cache_size: Option<Size>,
    /// Use the caching disk as a whole, without a partition.
    pub cache_no_part: bool,
}

/// Why a layout cannot be laid out on a machine's disks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case", tag = "refusal")]
#[non_exhaustive]
pub enum LayoutRefusal {
    /// There is no disk.
    #[error("the machine has no block device")]
    NoBlockDevice,
    /// The boot disk is not among the disks.
    #[error("the machine has no boot disk {name:?}")]
    NoBootDisk {
        /// The name that was given; empty when none was.
        name: String,
    },
    /// A disk that is named is not there.
    #[error("{field} names the disk {found:?}, which does not exist")]
    UnknownDisk {
        /// The option.
        field: &'static str,
        /// Its value.
        found: String,
    },
    /// A size is below its least or above its most.
    #[error("{field} is {found} bytes; it must be between {least} and {most}")]
    Size {
        /// The option.
        field: &'static str,
        /// Its value in bytes.
        found: u64,
        /// The least.
        least: u64,
        /// The most.
        most: u64,
    },
    /// The disk is too small for the layout.
    #[error("disk {disk} of {found} bytes is too small; the layout needs {needed}")]
    TooSmall {
        /// The disk.
        disk: String,
        /// Its size.
        found: u64,
        /// What is needed.
        needed: u64,
    },
    /// The cache would be the disk that it caches.
    #[error("disk {disk} cannot cache itself")]
    CachesItself {
        /// The disk.
        disk: String,
    },
    /// A layout document contradicts itself.
    #[error("the layout document cannot be used: {path}: {problem}")]
    Document {
        /// Where, e.g. `layout.sda.partitions[1].size`.
        path: String,
        /// What is wrong.
        problem: String,
    },
}

impl LayoutRequest {
    /// MAAS's name of the layout.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Flat(_) => "flat",
            Self::Lvm(_) => "lvm",
            Self::Bcache(_) => "bcache",
            Self::Vmfs6(_) => "vmfs6",
            Self::Vmfs7(_) => "vmfs7",
            Self::Blank => "blank",
            Self::Custom(_) => "custom",
            Self::Explicit(_) => "explicit",
        }
    }

    /// Whether it is for VMware ESXi only.
    #[must_use]
    pub fn is_vmfs(&self) -> bool {
        match self {
            Self::Vmfs6(_) | Self::Vmfs7(_) => true,
            Self::Explicit(storage) => !storage.vmfs.is_empty(),
            _ => false,
        }
    }

    /// Decides every size.
    ///
    /// `boot_disk` names the disk that the firmware boots; the first one when `None`.
    ///
    /// # Errors
    ///
    /// The [`LayoutRefusal`] that names the option or disk at fault.
    pub fn lay_out(
        &self,
        devices: &[BlockDevice],
        boot_disk: Option<&str>,
        platform: &Platform,
    ) -> Result<Storage, LayoutRefusal> {
        let boot = match boot_disk {
            None => devices.first().ok_or(LayoutRefusal::NoBlockDevice)?,
            Some(_) if devices.is_empty() => return Err(LayoutRefusal::NoBlockDevice),
            Some(name) => devices
                .iter()
                .find(|device| device.name == name)
                .ok_or_else(|| LayoutRefusal::NoBootDisk { name: name.to_owned() })?,
        };
        match self {
            Self::Flat(options) => basic::flat(devices, boot, platform, options),
            Self::Lvm(options) => basic::lvm(devices, boot, platform, options),
            Self::Bcache(options) => bcache::bcache(devices, boot, platform, options),
            Self::Vmfs6(options) => vmfs::vmfs(devices, boot, platform, options, &vmfs::VMFS6),
            Self::Vmfs7(options) => vmfs::vmfs(devices, boot, platform, options, &vmfs::VMFS7),
            Self::Blank => {
                let disks = vec![Disk { boot: true, ..Disk::whole(boot.clone()) }];
                Ok(empty(platform, disks))
            }
            Self::Custom(layout) => layout.lay_out(devices, boot, platform),
            Self::Explicit(storage) => {
                let mut storage = (**storage).clone();
                // Commissioning may have found other disks since.
                storage.platform = platform.clone();
                let touched: Vec<Disk> =
                    storage.disks.iter().filter(|disk| storage.touches(disk)).cloned().collect();
                for disk in touched {
                    let name = &disk.device.name;
                    let found = disk_named(devices, "storage", name)?;
                    if found.size < disk.device.size {
                        return Err(LayoutRefusal::TooSmall {
                            disk: name.clone(),
                            found: found.size,
                            needed: disk.device.size,
                        });
                    }
                }
                storage.disks.retain_mut(|disk| {
                    let found = devices.iter().find(|device| device.name == disk.device.name);
                    if let Some(found) = found {
                        disk.device.clone_from(found);
                    }
                    found.is_some()
                });
                Ok(storage)
            }
        }
    }
}

/// A configuration of these disks and nothing else.
fn empty(platform: &Platform, disks: Vec<Disk>) -> Storage {
    Storage::empty(platform.clone(), disks)
}

fn disk_named<'a>(
    devices: &'a [BlockDevice],
    field: &'static str,
    name: &str,
) -> Result<&'a BlockDevice, LayoutRefusal> {
    devices
        .iter()
        .find(|device| device.name == name)
        .ok_or_else(|| LayoutRefusal::UnknownDisk { field, found: name.to_owned() })
}

#[cfg(test)]
mod tests;
