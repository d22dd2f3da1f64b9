//! The bytes of the demo's images: small, made here, and of the kinds that they claim to be.

use std::io::Write;

/// Sizes in bytes: large enough for a progress bar, small enough for seconds.
const KERNEL: usize = 2 << 20;
const INITRD: usize = 4 << 20;
const SQUASHFS: usize = 24 << 20;

/// A stream of bytes that does not compress, the same for the same seed (xorshift64*).
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        bytes.extend_from_slice(&state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// A Linux kernel as `file` would see it: x86 boot protocol header (boot flag, `HdrS`), then noise.
pub(super) fn kernel(seed: u64) -> Vec<u8> {
    let mut bytes = noise(seed, KERNEL);
    bytes[0..2].copy_from_slice(b"MZ");
    bytes[0x1fe..0x200].copy_from_slice(&[0x55, 0xaa]);
    bytes[0x202..0x206].copy_from_slice(b"HdrS");
    bytes[0x206..0x208].copy_from_slice(&0x020f_u16.to_le_bytes());
    bytes
}

/// An initial RAM disk: a cpio archive in the `newc` form with an `init` and a payload.
pub(super) fn initrd(seed: u64) -> Vec<u8> {
    let mut archive = Vec::with_capacity(INITRD + 4096);
    cpio_member(&mut archive, "init", 0o100_755, b"#!/bin/sh\nexec /lib/live/boot\n");
    cpio_member(&mut archive, "payload", 0o100_644, &noise(seed, INITRD));
    cpio_member(&mut archive, "TRAILER!!!", 0, b"");
    archive
}

fn cpio_member(archive: &mut Vec<u8>, name: &str, mode: u32, content: &[u8]) {
    let mut fields = [0u32; 13];
    fields[1] = mode;
    fields[4] = 1;
    fields[6] = u32::try_from(content.len()).unwrap_or(u32::MAX);
    fields[11] = u32::try_from(name.len() + 1).unwrap_or(u32::MAX);
    archive.extend_from_slice(b"070701");
    for field in fields {
        archive.extend_from_slice(format!("{field:08x}").as_bytes());
    }
    archive.extend_from_slice(name.as_bytes());
    archive.push(0);
    pad(archive);
    archive.extend_from_slice(content);
    pad(archive);
}

fn pad(archive: &mut Vec<u8>) {
    archive.resize(archive.len().next_multiple_of(4), 0);
}

/// A root file system: a squashfs 4.0 superblock, then noise. Nothing mounts it in the demo.
pub(super) fn squashfs(seed: u64) -> Vec<u8> {
    let mut bytes = noise(seed, SQUASHFS);
    bytes[0..4].copy_from_slice(b"hsqs");
    bytes[28..30].copy_from_slice(&4u16.to_le_bytes());
    bytes[30..32].copy_from_slice(&0u16.to_le_bytes());
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_le_bytes();
    bytes[40..48].copy_from_slice(&length);
    bytes
}

/// The list of packages in the root file system.
pub(super) fn manifest() -> Vec<u8> {
    b"bash\t5.2.21-2ubuntu4\ncloud-init\t24.4-0ubuntu1\nlinux-image-generic\t6.8.0.60.62\n\
      netplan.io\t1.1.2-2~ubuntu24.04.1\nsystemd\t255.4-1ubuntu8.8\n"
        .to_vec()
}

/// A bootloader archive (`archive.tar.xz`) with these members.
///
/// # Errors
///
/// An I/O error of the compressor.
pub(super) fn bootloader(seed: u64, members: &[&str]) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for (number, name) in members.iter().enumerate() {
        let mut content = noise(seed + number as u64, 64 << 10);
        if name.ends_with(".efi") {
            content[0..2].copy_from_slice(b"MZ");
        }
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        archive.append_data(&mut header, name, content.as_slice())?;
    }
    let tar = archive.into_inner()?;
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
    encoder.write_all(&tar)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::Read;

    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_bytes() {
        assert_eq!(noise(3, 1000), noise(3, 1000));
        assert_ne!(noise(3, 1000), noise(4, 1000));
    }

    #[test]
    fn a_bootloader_archive_unpacks_to_its_members() {
        let packed = bootloader(1, &["bootx64.efi", "grubx64.efi"]).unwrap();
        let mut tar = Vec::new();
        liblzma::read::XzDecoder::new(packed.as_slice()).read_to_end(&mut tar).unwrap();
        let names: Vec<String> = tar::Archive::new(tar.as_slice())
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().to_string_lossy().into_owned())
            .collect();
        assert_eq!(names, ["bootx64.efi", "grubx64.efi"]);
    }
}
