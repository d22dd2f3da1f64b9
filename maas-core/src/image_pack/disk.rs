//! A disk image's partition table and the file systems' labels, read in one pass.

use std::io::{self, Read};

use serde::{Deserialize, Serialize};

use super::finding::Finding;
use super::sniff::BEGINNING;
use super::tape::fill;
use crate::image::PackedSeed;

/// The most partitions that are looked at.
const MOST: usize = 128;
/// GUIDs of partition types as they lie on the disk.
const ESP: [u8; 16] =
    [0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b];
const BIOS_BOOT: [u8; 16] = *b"Hah!IdontNeedEFI";

/// What a disk image holds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DiskFacts {
    /// `gpt` or `mbr`; `None` without a partition table.
    pub table: Option<String>,
    /// Whether it has an EFI system partition.
    pub boots_uefi: bool,
    /// Whether it has boot code for a BIOS.
    pub boots_bios: bool,
    /// Its partitions in the order of their numbers.
    pub partitions: Vec<Partition>,
}

/// A partition.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Partition {
    /// Its number, from 1.
    pub number: u32,
    /// Where it begins, in bytes.
    pub start: u64,
    /// Its length in bytes.
    pub size: u64,
    /// Its file system: `ext4`, `xfs`, `vfat`, `lvm2`…, when that is known.
    pub filesystem: Option<String>,
    /// The file system's label.
    pub label: Option<String>,
}

/// Reads a disk image to its end; `start` is its beginning, `rest` what follows it.
pub(super) fn read(
    start: &[u8],
    rest: &mut dyn Read,
) -> io::Result<(DiskFacts, Vec<PackedSeed>, Vec<Finding>)> {
    let (mut facts, end) = table(start);
    let mut reader = start.chain(rest);
    let mut at = 0_u64;
    let mut order: Vec<usize> = (0..facts.partitions.len()).collect();
    order.sort_by_key(|index| facts.partitions.get(*index).map(|partition| partition.start));
    let mut truncated = false;
    for index in order {
        let Some(partition) = facts.partitions.get_mut(index) else { continue };
        // Overlapping partitions: what has streamed past is past.
        let Some(gap) = partition.start.checked_sub(at) else { continue };
        let skipped = io::copy(&mut reader.by_ref().take(gap), &mut io::sink())?;
        at += skipped;
        if skipped < gap {
            truncated = true;
            break;
        }
        let length = usize::try_from(partition.size).unwrap_or(BEGINNING).min(BEGINNING);
        let mut beginning = vec![0; length];
        let read = fill(&mut reader, &mut beginning)?;
        at += read as u64;
        beginning.truncate(read);
        let (filesystem, label) = filesystem(&beginning);
        partition.filesystem = filesystem.map(str::to_owned);
        partition.label = label.filter(|label| !label.is_empty());
    }
    at += io::copy(&mut reader, &mut io::sink())?;
    let mut findings = Vec::new();
    if facts.table.is_none() {
        findings.push(Finding::NoPartitionTable);
    }
    if truncated || end > at {
        findings.push(Finding::Damaged {
            problem: format!("the disk has {at} bytes, its partition table reaches to {end}"),
        });
    }
    let seeds: Vec<PackedSeed> = facts.partitions.iter().filter_map(seed).collect();
    findings.extend(seeds.iter().map(|seed| Finding::PackedSeed { path: seed.path().to_owned() }));
    findings.push(Finding::FileSystemsNotRead);
    Ok((facts, seeds, findings))
}

/// cloud-init's NoCloud takes a file system with this label.
fn seed(partition: &Partition) -> Option<PackedSeed> {
    let label = partition.label.as_deref()?;
    label.eq_ignore_ascii_case("cidata").then(|| PackedSeed::NoCloud {
        path: format!("partition {} (label {label})", partition.number),
    })
}

/// The partition table and the byte at which the last partition ends.
fn table(start: &[u8]) -> (DiskFacts, u64) {
    for sector in [512_usize, 4096] {
        if start.get(sector..sector + 8) == Some(b"EFI PART".as_slice()) {
            return gpt(start, sector);
        }
    }
    if start.get(510..512) != Some(&[0x55, 0xaa][..]) || !has_mbr_entries(start) {
        return (DiskFacts::default(), 0);
    }
    mbr(start)
}

fn gpt(start: &[u8], sector: usize) -> (DiskFacts, u64) {
    let entries_at = u64_at(start, sector + 72).saturating_mul(sector as u64);
    let entries_at = usize::try_from(entries_at).unwrap_or(usize::MAX);
    let count = (u32_at(start, sector + 80) as usize).min(MOST);
    let length = (u32_at(start, sector + 84) as usize).max(128);
    let mut facts = DiskFacts { table: Some("gpt".to_owned()), ..DiskFacts::default() };
    let mut end = 0;
    for index in 0..count {
        let at = entries_at.saturating_add(index.saturating_mul(length));
        let Some(entry) = start.get(at..at.saturating_add(128)) else { break };
        let kind = entry.get(..16).unwrap_or_default();
        if kind.iter().all(|byte| *byte == 0) {
            continue;
        }
        facts.boots_uefi |= kind == ESP;
        facts.boots_bios |= kind == BIOS_BOOT;
        let (first, last) = (u64_at(entry, 32), u64_at(entry, 40));
        let bytes = |sectors: u64| sectors.saturating_mul(sector as u64);
        let size = bytes(last.saturating_sub(first).saturating_add(1));
        end = end.max(bytes(first).saturating_add(size));
        facts.partitions.push(Partition {
            number: u32::try_from(index + 1).unwrap_or(u32::MAX),
            start: bytes(first),
            size,
            ..Partition::default()
        });
    }
    (facts, end)
}

/// A boot sector of a bare file system has the same mark, but text where the table would be.
fn has_mbr_entries(start: &[u8]) -> bool {
    let entries: Vec<&[u8]> =
        (0..4).filter_map(|index| start.get(446 + index * 16..462 + index * 16)).collect();
    entries.iter().all(|entry| matches!(entry.first(), Some(0 | 0x80)))
        && entries.iter().any(|entry| u32_at(entry, 12) > 0)
}

fn mbr(start: &[u8]) -> (DiskFacts, u64) {
    let code = start.get(..440).unwrap_or_default();
    let mut facts = DiskFacts {
        table: Some("mbr".to_owned()),
        boots_bios: code.iter().any(|byte| *byte != 0),
        ..DiskFacts::default()
    };
    let mut end = 0;
    for (index, number) in (0..4).zip(1..) {
        let entry = start.get(446 + index * 16..462 + index * 16).unwrap_or_default();
        let kind = entry.get(4).copied().unwrap_or_default();
        let (first, sectors) = (u64::from(u32_at(entry, 8)), u64::from(u32_at(entry, 12)));
        if kind == 0 || sectors == 0 {
            continue;
        }
        facts.boots_uefi |= kind == 0xef;
        end = end.max((first + sectors) * 512);
        let (start, size) = (first * 512, sectors * 512);
        facts.partitions.push(Partition { number, start, size, ..Partition::default() });
    }
    (facts, end)
}

/// The file system that begins so, and its label.
fn filesystem(start: &[u8]) -> (Option<&'static str>, Option<String>) {
    let has = |at: usize, magic: &[u8]| start.get(at..at + magic.len()) == Some(magic);
    let label = |from: usize, length: usize| {
        let bytes = start.get(from..from + length)?.split(|byte| *byte == 0).next()?;
        Some(String::from_utf8_lossy(bytes).trim().to_owned())
    };
    if has(1080, &[0x53, 0xef]) {
        (Some("ext4"), label(1144, 16))
    } else if has(0, b"XFSB") {
        (Some("xfs"), label(108, 12))
    } else if has(82, b"FAT32") {
        (Some("vfat"), label(71, 11))
    } else if has(54, b"FAT1") {
        (Some("vfat"), label(43, 11))
    } else if has(32_769, b"CD001") {
        (Some("iso9660"), label(32_808, 32))
    } else if has(512, b"LABELONE") {
        (Some("lvm2"), None)
    } else if has(4086, b"SWAPSPACE2") {
        (Some("swap"), None)
    } else if has(0, b"hsqs") {
        (Some("squashfs"), None)
    } else if has(3, b"NTFS    ") {
        (Some("ntfs"), None)
    } else {
        (None, None)
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let four = bytes.get(at..at.saturating_add(4)).and_then(|four| four.try_into().ok());
    four.map_or(0, u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let eight = bytes.get(at..at.saturating_add(8)).and_then(|eight| eight.try_into().ok());
    eight.map_or(0, u64::from_le_bytes)
}
