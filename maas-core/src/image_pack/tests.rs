#![allow(clippy::unwrap_used)]

use std::io::{self, Read, Write};

use proptest::prelude::*;

use super::*;
use crate::image::{FileType, PackedSeed};

const ALL: [Compression; 5] =
    [Compression::None, Compression::Gzip, Compression::Bzip2, Compression::Xz, Compression::Zstd];

/// The beginning of a program for this machine.
fn elf(machine: u16) -> Vec<u8> {
    let mut bytes = vec![0; 64];
    bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
    bytes[18..20].copy_from_slice(&machine.to_le_bytes());
    bytes
}

fn facts(mode: u32) -> EntryFacts {
    EntryFacts { mode, ..EntryFacts::default() }
}

/// A small Debian with these files besides.
fn tree(compression: Compression, more: &[(&str, u32, &[u8])]) -> Vec<u8> {
    let amd64 = elf(62);
    let mut files: Vec<(&str, u32, &[u8])> = vec![
        ("boot/initrd.img-6.1", 0o600, b"initrd"),
        ("boot/vmlinuz-6.1", 0o600, b"kernel"),
        ("etc/os-release", 0o644, b"ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME='Debian 12'\n"),
        ("usr/bin/cloud-init", 0o755, b"#!/usr/bin/python3\n"),
        ("usr/bin/env", 0o755, &amd64),
        ("usr/sbin/netplan", 0o755, b"#!/usr/bin/python3\n"),
    ];
    files.extend(more);
    pack(compression, &files)
}

fn pack(compression: Compression, files: &[(&str, u32, &[u8])]) -> Vec<u8> {
    let mut packer = Packer::new(Vec::new(), compression).unwrap();
    packer.directory("etc", facts(0o755)).unwrap();
    packer.symlink("lib64", facts(0o777), "usr/lib64").unwrap();
    for (path, mode, content) in files {
        packer.file(path, facts(*mode), content.len() as u64, &[], *content).unwrap();
    }
    packer.finish().unwrap()
}

fn compressed(compression: Compression, bytes: &[u8]) -> Vec<u8> {
    // A packer's encoder without a packer.
    match compression {
        Compression::None => bytes.to_vec(),
        Compression::Gzip => {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Compression::Bzip2 => {
            let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Compression::Xz => {
            let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 0);
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Compression::Zstd => zstd::encode_all(bytes, 1).unwrap(),
    }
}

fn look(bytes: &[u8], filetype: Option<&str>, arch: Option<&str>) -> Inspection {
    let declared = Declared {
        filetype: filetype.map(|word| FileType::of_upload(word).unwrap()),
        arch: arch.map(str::to_owned),
    };
    inspect(bytes, &declared, &Limits::default()).unwrap()
}

fn codes(inspection: &Inspection) -> Vec<&'static str> {
    inspection.findings.iter().map(Finding::code).collect()
}

/// A GPT with an EFI system partition and a Linux partition with a labelled ext4.
fn gpt_disk(label: &str) -> Vec<u8> {
    let mut disk = vec![0; 256 * 512];
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    disk[512..520].copy_from_slice(b"EFI PART");
    disk[512 + 72..512 + 80].copy_from_slice(&2_u64.to_le_bytes());
    disk[512 + 80..512 + 84].copy_from_slice(&128_u32.to_le_bytes());
    disk[512 + 84..512 + 88].copy_from_slice(&128_u32.to_le_bytes());
    let esp = [
        0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b,
    ];
    for (index, kind, first, last) in [(0, esp, 100_u64, 119_u64), (1, [7; 16], 120, 250)] {
        let at = 1024 + index * 128;
        disk[at..at + 16].copy_from_slice(&kind);
        disk[at + 32..at + 40].copy_from_slice(&first.to_le_bytes());
        disk[at + 40..at + 48].copy_from_slice(&last.to_le_bytes());
    }
    let ext4 = 120 * 512;
    disk[ext4 + 1080..ext4 + 1082].copy_from_slice(&[0x53, 0xef]);
    disk[ext4 + 1144..ext4 + 1144 + label.len()].copy_from_slice(label.as_bytes());
    disk
}

fn in_tar(compression: Compression, disk: &[u8]) -> Vec<u8> {
    let mut packer = Packer::new(Vec::new(), compression).unwrap();
    packer.file("root-dd.raw", facts(0o644), disk.len() as u64, &[], disk).unwrap();
    packer.finish().unwrap()
}

#[test]
fn a_root_file_system_is_described_in_every_compression() {
    for compression in ALL {
        let found = look(&tree(compression, &[]), None, Some("amd64"));
        assert_eq!((found.compression, found.content), (compression, Content::Tar));
        assert_eq!(codes(&found), [""; 0], "{compression}");
        let root = found.root.unwrap();
        assert_eq!(root.os_release.unwrap().pretty_name, "Debian 12");
        assert_eq!(root.architecture.as_deref(), Some("amd64"));
        assert_eq!(root.kernels, ["/boot/vmlinuz-6.1"]);
        assert_eq!(root.initrds, ["/boot/initrd.img-6.1"]);
        assert_eq!(root.cloud_init.as_deref(), Some("/usr/bin/cloud-init"));
        assert!(root.netplan && root.network_renderers.contains("netplan"));
        assert_eq!(found.members, 8);
    }
}

#[test]
fn a_type_that_is_not_declared_names_the_one_that_fits() {
    let disk = gpt_disk("root");
    for (bytes, declared, fits) in [
        (compressed(Compression::Gzip, &disk), "ddtgz", "ddgz"),
        (compressed(Compression::Gzip, &disk), "tgz", "ddgz"),
        (in_tar(Compression::Gzip, &disk), "ddgz", "ddtgz"),
        (in_tar(Compression::Xz, &disk), "ddtar", "ddtxz"),
        (tree(Compression::Xz, &[]), "tgz", "txz"),
        (tree(Compression::Gzip, &[]), "ddtgz", "tgz"),
        (disk.clone(), "ddgz", "ddraw"),
    ] {
        let wrong = look(&bytes, Some(declared), None);
        let found = wrong.errors().next().unwrap().to_string();
        assert!(found.ends_with(&format!("upload it with the file type {fits}")), "{found}");
        let right = look(&bytes, Some(fits), None);
        assert_eq!(right.errors().count(), 0, "{fits}: {:?}", right.findings);
    }
}

#[test]
fn what_no_installer_reads_is_said_in_its_own_words() {
    let mut qcow2 = b"QFI\xfb".to_vec();
    qcow2.resize(4096, 0);
    for (bytes, words) in [
        (vec![b'x'; 100_000], "it is a file of an unknown kind"),
        (Vec::new(), "it is an empty file"),
        (qcow2, "qemu-img convert"),
        (tree(Compression::Zstd, &[]), "compress it with gzip"),
    ] {
        let found = look(&bytes, Some("tgz"), None);
        let error = found.errors().next().unwrap().to_string();
        assert!(error.contains(words), "{error}");
        assert_eq!(found.packed, bytes.len() as u64, "read to its end");
    }
}

#[test]
fn what_is_missing_or_dangerous_is_found() {
    let found = look(
        &pack(Compression::Gzip, &[("etc/passwd", 0o644, b""), ("bin/sh", 0o755, &elf(183))]),
        Some("tgz"),
        Some("amd64"),
    );
    assert_eq!(
        codes(&found),
        ["no-cloud-init", "wrong-architecture", "no-network-renderer", "no-kernel"]
    );
    let found = look(
        &tree(
            Compression::Gzip,
            &[
                ("curtin/curtin-hooks", 0o644, b"#!/usr/bin/python3\n"),
                ("etc/cloud/cloud-init.disabled", 0o644, b""),
                ("etc/ssh/ssh_host_rsa_key", 0o600, b"key"),
            ],
        ),
        Some("tgz"),
        None,
    );
    assert_eq!(codes(&found), ["hooks-not-executable", "cloud-init-disabled", "host-keys"]);
    assert_eq!(found.root.unwrap().curtin_hooks, ["/curtin/curtin-hooks"]);
    let folder: Vec<(&str, u32, &[u8])> =
        vec![("rootfs/etc/passwd", 0o644, b""), ("rootfs/bin/sh", 0o755, b"")];
    let mut packer = Packer::new(Vec::new(), Compression::Gzip).unwrap();
    for (path, mode, content) in folder {
        packer.file(path, facts(mode), 0, &[], content).unwrap();
    }
    let found = look(&packer.finish().unwrap(), Some("tgz"), None);
    let error = found.errors().next().unwrap().to_string();
    assert!(error.contains("\"rootfs\""), "{error}");
}

#[test]
fn packed_seeds_are_found_and_the_last_list_counts() {
    let found = look(
        &tree(
            Compression::Gzip,
            &[
                ("var/lib/cloud/seed/nocloud/user-data", 0o600, b"#cloud-config\n"),
                (
                    "etc/cloud/cloud.cfg.d/99-fake.cfg",
                    0o644,
                    b"datasource_list: [ NoCloud, None ]\n",
                ),
                ("etc/cloud/cloud.cfg.d/10-other.cfg", 0o644, b"datasource_list: [ Ec2 ]\n"),
                ("etc/cloud/cloud.cfg.d/05-no.cfg", 0o644, b"apt: {}\n"),
            ],
        ),
        Some("tgz"),
        None,
    );
    assert_eq!(found.root.as_ref().unwrap().packed_seeds.len(), 3);
    assert_eq!(
        found.packed_seed(),
        Some(&PackedSeed::DatasourceList {
            path: "/etc/cloud/cloud.cfg.d/99-fake.cfg".into(),
            names: vec!["NoCloud".into(), "None".into()],
        })
    );
}

#[test]
fn the_partitions_of_a_disk_image_are_listed_with_their_file_systems() {
    for (bytes, word) in [
        (gpt_disk("CIDATA"), "ddraw"),
        (compressed(Compression::Xz, &gpt_disk("CIDATA")), "ddxz"),
        (in_tar(Compression::Bzip2, &gpt_disk("CIDATA")), "ddtbz"),
    ] {
        let found = look(&bytes, Some(word), Some("amd64"));
        assert_eq!(codes(&found), ["packed-seed", "file-systems-not-read"], "{word}");
        let disk = found.disk.as_ref().unwrap();
        assert_eq!(disk.table.as_deref(), Some("gpt"));
        assert!(disk.boots_uefi && !disk.boots_bios);
        assert_eq!(disk.partitions.len(), 2);
        assert_eq!(disk.partitions[1].filesystem.as_deref(), Some("ext4"));
        assert_eq!(disk.partitions[1].label.as_deref(), Some("CIDATA"));
        assert!(matches!(found.packed_seed(), Some(PackedSeed::NoCloud { .. })));
    }
}

#[test]
fn an_image_that_breaks_off_is_damaged() {
    for (bytes, word) in [
        (tree(Compression::Gzip, &[]), "tgz"),
        (tree(Compression::Xz, &[]), "txz"),
        (tree(Compression::Bzip2, &[]), "tbz"),
        (gpt_disk("root"), "ddraw"),
    ] {
        let short = &bytes[..bytes.len() * 2 / 3];
        let found = look(short, Some(word), None);
        let gravest = found.errors().next().unwrap();
        assert!(matches!(gravest, Finding::Damaged { .. }), "{word}: {gravest}");
        assert_eq!(found.packed, short.len() as u64);
    }
}

#[test]
fn limits_end_an_inspection_with_a_finding() {
    let bomb = compressed(Compression::Gzip, &vec![0; 4 << 20]);
    let limits = Limits { unpacked: 1 << 20, ..Limits::default() };
    let found = inspect(&bomb[..], &Declared::default(), &limits).unwrap();
    assert!(matches!(&found.findings[..], [.., Finding::TooLarge { limit: 1_048_576, .. }]));
    assert!(found.unpacked <= (1 << 20) + (64 << 10), "{}", found.unpacked);
    let limits = Limits { ratio: 100, ratio_from: 1 << 20, ..Limits::default() };
    let found = inspect(&bomb[..], &Declared::default(), &limits).unwrap();
    assert!(matches!(&found.findings[..], [Finding::TooLarge { limit: 100, .. }]));
    let limits = Limits { members: 3, ..Limits::default() };
    let found = inspect(&tree(Compression::None, &[])[..], &Declared::default(), &limits).unwrap();
    assert!(matches!(found.findings[0], Finding::TooLarge { limit: 3, .. }));
    assert_eq!(found.packed, tree(Compression::None, &[]).len() as u64);
}

#[test]
fn a_name_of_a_gigabyte_is_not_read() {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::GNULongName);
    header.set_size(1 << 30);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.resize(1 << 20, b'a');
    let found = inspect(&bytes[..], &Declared::default(), &Limits::default()).unwrap();
    assert!(matches!(found.findings[0], Finding::TooLarge { .. }), "{:?}", found.findings);
}

#[test]
fn an_error_of_the_reader_is_no_finding() {
    struct Fails;
    impl Read for Fails {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("cable"))
        }
    }
    let start = tree(Compression::Gzip, &[]);
    let reader = (&start[..100]).chain(Fails);
    let error = inspect(reader, &Declared::default(), &Limits::default()).unwrap_err();
    assert_eq!(error.to_string(), "cable");
}

#[test]
fn long_names_and_large_attributes_are_read() {
    let long = format!("usr/share/{}/end", "n".repeat(300));
    let mut packer = Packer::new(Vec::new(), Compression::Gzip).unwrap();
    let attributes = [("security.capability", vec![1, 0, 0, 2, 0])];
    packer.file(&long, facts(0o755), 3, &attributes, &b"abc"[..]).unwrap();
    packer.hard_link("usr/bin/again", facts(0o755), &long).unwrap();
    packer.file("etc/x", facts(0o644), 0, &[], io::empty()).unwrap();
    let found = look(&packer.finish().unwrap(), Some("tgz"), None);
    assert_eq!(found.members, 3);
    assert!(!codes(&found).contains(&"damaged"), "{:?}", found.findings);
}

#[test]
fn a_file_that_shrinks_while_it_is_packed_is_an_error() {
    let mut packer = Packer::new(Vec::new(), Compression::None).unwrap();
    assert!(packer.file("a", facts(0o644), 10, &[], &b"short"[..]).is_err());
}

#[test]
fn the_same_tree_gives_the_same_bytes() {
    for compression in ALL {
        assert_eq!(tree(compression, &[]), tree(compression, &[]), "{compression}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..4096)) {
        for compression in ALL {
            let found = look(&compressed(compression, &bytes), Some("tgz"), Some("amd64"));
            prop_assert!(!found.findings.is_empty());
        }
    }

    #[test]
    fn a_damaged_archive_or_disk_never_panics(
        at in 0_usize..8192, value in any::<u8>(), cut in 0_usize..20_000, is_disk in any::<bool>(),
    ) {
        let mut bytes = if is_disk { gpt_disk("root") } else { tree(Compression::None, &[]) };
        let at = at % bytes.len();
        bytes[at] = value;
        bytes.truncate(bytes.len().saturating_sub(cut));
        let found = look(&bytes, None, None);
        prop_assert_eq!(found.packed, bytes.len() as u64);
    }

    #[test]
    fn what_is_stored_comes_back(disk in any::<bool>()) {
        let bytes = if disk { gpt_disk("cidata") } else { tree(Compression::Gzip, &[]) };
        let found = look(&bytes, Some("ddtar"), None);
        let text = serde_json::to_string(&found).unwrap();
        prop_assert_eq!(serde_json::from_str::<Inspection>(&text).unwrap(), found);
    }
}
