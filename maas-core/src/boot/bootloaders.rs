//! Boot loader file names and where the mirrored files are stored.

/// The names that firmware and boot loaders ask for, with the folder they are stored in.
const STORED: [(&str, &[&str]); 4] = [
    ("bootloaders/uefi/amd64", &["bootx64.efi", "grubx64.efi", "mmx64.efi"]),
    ("bootloaders/uefi/arm64", &["bootaa64.efi", "grubaa64.efi", "mmaa64.efi"]),
    ("bootloaders/open-firmware/ppc64el", &["bootppc64.bin"]),
    (
        "bootloaders/pxe/i386",
        &[
            "lpxelinux.0",
            "chain.c32",
            "ifcpu.c32",
            "ifcpu64.c32",
            "ldlinux.c32",
            "libcom32.c32",
            "libutil.c32",
        ],
    ),
];

/// Where the boot loader file of this name is stored, e.g. `bootloaders/uefi/amd64/bootx64.efi`.
///
/// The name may be asked for below any folder; only its last component counts.
#[must_use]
pub fn stored_bootloader(path: &str) -> Option<String> {
    let name = path.rsplit('/').next()?;
    STORED
        .iter()
        .find(|(_, names)| names.contains(&name))
        .map(|(folder, _)| format!("{folder}/{name}"))
}
