//! Boot loader file names and where the mirrored files are stored.

/// The names that firmware and boot loaders ask for, with the folder they are stored in.
const STORED: [(&str, &[&str]); 7] = [
    ("bootloaders/uefi/amd64", &["bootx64.efi", "grubx64.efi", "mmx64.efi"]),
    ("bootloaders/uefi/arm64", &["bootaa64.efi", "grubaa64.efi", "mmaa64.efi"]),
    ("bootloaders/open-firmware/ppc64el", &["bootppc64.bin"]),
    (
        "bootloaders/pxe/i386",
        &[
            "pxelinux.0",
            "lpxelinux.0",
            "chain.c32",
            "ifcpu.c32",
            "ifcpu64.c32",
            "ldlinux.c32",
            "libcom32.c32",
            "libutil.c32",
        ],
    ),
    // No boot source has these; operators bring them.
    ("bootloaders/ipxe/i386", &["undionly.kpxe"]),
    ("bootloaders/ipxe/amd64", &["ipxe.efi", "snponly.efi"]),
    ("bootloaders/ipxe/arm64", &["ipxe-arm64.efi"]),
];

/// Every name with where its file is stored, as [`stored_bootloader`] says it.
pub fn bootloader_names() -> impl Iterator<Item = (&'static str, String)> {
    STORED.iter().flat_map(|(folder, names)| {
        names.iter().map(move |name| (*name, format!("{folder}/{name}")))
    })
}

/// What a boot loader's file must begin with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadLoader {
    /// It has no or hardly any bytes.
    #[error("it has {length} bytes, which is no boot loader")]
    Short {
        /// Its bytes.
        length: usize,
    },
    /// It should be a UEFI program and is not.
    #[error("it is no UEFI program (PE)")]
    NotPe,
    /// It is a UEFI program for other machines.
    #[error("it is a UEFI program for machine type {found:#06x}, expected {expected:#06x}")]
    Machine {
        /// The type that firmware of its name's kind runs (Microsoft PE format).
        expected: u16,
        /// The type it has.
        found: u16,
    },
}

/// Looks whether a file can be the boot loader of its name: firmware that is given a half or a
/// foreign one shows an empty screen.
///
/// # Errors
///
/// [`BadLoader`].
pub fn check_bootloader(name: &str, content: &[u8]) -> Result<(), BadLoader> {
    if content.len() < 512 {
        return Err(BadLoader::Short { length: content.len() });
    }
    if !name.ends_with(".efi") {
        return Ok(());
    }
    let expected =
        if name.ends_with("aa64.efi") || name.ends_with("-arm64.efi") { 0xaa64 } else { 0x8664 };
    let found = pe_machine(content).ok_or(BadLoader::NotPe)?;
    if found == expected { Ok(()) } else { Err(BadLoader::Machine { expected, found }) }
}

/// The machine type of a PE file.
fn pe_machine(content: &[u8]) -> Option<u16> {
    let bytes = |at: usize, length: usize| content.get(at..at.checked_add(length)?);
    if bytes(0, 2)? != b"MZ" {
        return None;
    }
    let header = u32::from_le_bytes(bytes(0x3c, 4)?.try_into().ok()?);
    let header = usize::try_from(header).ok()?;
    if bytes(header, 4)? != b"PE\0\0" {
        return None;
    }
    Some(u16::from_le_bytes(bytes(header.checked_add(4)?, 2)?.try_into().ok()?))
}

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

#[cfg(test)]
mod tests {
    use super::*;

    /// The least that has the marks of a UEFI program.
    fn pe(machine: u16) -> Vec<u8> {
        let mut file = vec![0; 600];
        file[..2].copy_from_slice(b"MZ");
        file[0x3c] = 0x80;
        file[0x80..0x84].copy_from_slice(b"PE\0\0");
        file[0x84..0x86].copy_from_slice(&machine.to_le_bytes());
        file
    }

    #[test]
    fn a_loader_must_be_one_for_the_machines_that_ask_for_it() {
        assert_eq!(check_bootloader("bootx64.efi", &pe(0x8664)), Ok(()));
        assert_eq!(check_bootloader("bootaa64.efi", &pe(0xaa64)), Ok(()));
        let foreign = BadLoader::Machine { expected: 0xaa64, found: 0x8664 };
        assert_eq!(check_bootloader("grubaa64.efi", &pe(0x8664)), Err(foreign));
        assert_eq!(check_bootloader("ipxe.efi", &[0; 600]), Err(BadLoader::NotPe));
        let short = BadLoader::Short { length: 9 };
        assert_eq!(check_bootloader("lpxelinux.0", &[1; 9]), Err(short));
        assert_eq!(check_bootloader("lpxelinux.0", &[1; 600]), Ok(()));
    }

    proptest::proptest! {
        #[test]
        fn no_file_makes_the_check_panic(
            mut file in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..700),
        ) {
            let _ = check_bootloader("bootx64.efi", &file);
            if let Some(start) = file.get_mut(..2) {
                start.copy_from_slice(b"MZ");
            }
            let _ = check_bootloader("bootx64.efi", &file);
        }
    }
}
