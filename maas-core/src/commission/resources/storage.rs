//! Disks of the resources document.

use super::{LIST_LIMIT, Node, ResourcesError};
use crate::machine::hardware::Disk;

/// Disks up to this size are not for operating systems (MAAS's rule).
const SMALLEST: u64 = 4 * 1024 * 1024;

pub(super) fn read(disks: &Node<'_>) -> Result<Vec<Disk>, ResourcesError> {
    let mut kept: Vec<(Disk, Option<String>)> = Vec::new();
    for item in disks.items(LIST_LIMIT)? {
        let Some((disk, lun)) = read_disk(&item)? else { continue };
        let twin = kept.iter_mut().find(|(other, other_lun)| {
            lun.is_some()
                && *other_lun == lun
                && !disk.serial.is_empty()
                && other.serial == disk.serial
        });
        match twin {
            // The same unit by another path.
            Some((first, _)) => {
                if !first.tags.iter().any(|tag| tag == "multipath") {
                    first.tags.push("multipath".to_owned());
                }
            }
            None => kept.push((disk, lun)),
        }
    }
    Ok(kept.into_iter().map(|(disk, _)| disk).collect())
}

fn read_disk(item: &Node<'_>) -> Result<Option<(Disk, Option<String>)>, ResourcesError> {
    let name_node = item.get("id")?;
    let name = name_node.text()?;
    if name.is_empty() || name.contains('/') || name.contains(char::is_whitespace) {
        return Err(name_node.out_of_range("a kernel's device name", &name));
    }
    let attachment = item.get("type")?.text()?;
    let size = item.get("size")?.number()?;
    if item.get("read_only")?.flag()?
        || attachment == "cdrom"
        || name.starts_with("bcache")
        || name.starts_with("loop")
        || size <= SMALLEST
    {
        return Ok(None);
    }
    let serial = item.get("serial")?.text()?;
    let device_id = item.get("device_id")?.text()?;
    let id_path = if serial.is_empty() || device_id.is_empty() {
        format!("/dev/{name}")
    } else {
        format!("/dev/disk/by-id/{device_id}")
    };
    let rpm = item.get("rpm")?.small()?;
    let mut tags = Vec::new();
    if rpm > 0 {
        tags.push("rotary".to_owned());
        tags.push(format!("{rpm}rpm"));
    } else {
        tags.push("ssd".to_owned());
    }
    if attachment == "sata" {
        tags.push("sata".to_owned());
    }
    if item.get("removable")?.flag()? {
        tags.push("removable".to_owned());
    }
    let block_size = match item.get("block_size")?.small()? {
        0 => 512,
        bytes => bytes,
    };
    let lun = lun(&item.get("device_path")?.text()?);
    let disk = Disk {
        model: item.get("model")?.text()?,
        firmware_version: item.get("firmware_version")?.text()?,
        numa_node: item.get("numa_node")?.small()?,
        pci_address: item.get("pci_address")?.some_text()?,
        name,
        serial,
        id_path,
        size,
        block_size,
        attachment,
        tags,
        rpm,
    };
    Ok(Some((disk, lun)))
}

/// The logical unit in udev's path: `…-lun-3`, or the last number of `…-scsi-0:0:1:3`.
fn lun(device_path: &str) -> Option<String> {
    let after = if let Some((_, after)) = device_path.rsplit_once("-lun-") {
        after
    } else {
        let (_, address) = device_path.rsplit_once("-scsi-")?;
        address.rsplit(':').next()?
    };
    (!after.is_empty() && after.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'x'))
        .then(|| after.to_owned())
}
