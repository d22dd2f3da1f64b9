//! The architecture of a program, from its ELF header.

/// As much of a file as its ELF header needs.
pub(super) const HEADER: usize = 20;

/// The Debian architecture of a program that begins so; `None` when it is no ELF file or for a
/// machine without a Debian name.
pub(super) fn architecture(start: &[u8]) -> Option<&'static str> {
    if start.get(..4)? != b"\x7fELF" {
        return None;
    }
    let (class, order) = (*start.get(4)?, *start.get(5)?);
    let bytes: [u8; 2] = start.get(18..20)?.try_into().ok()?;
    let machine = match order {
        1 => u16::from_le_bytes(bytes),
        2 => u16::from_be_bytes(bytes),
        _ => return None,
    };
    Some(match (machine, class, order) {
        (62, 2, _) => "amd64",
        (3, ..) => "i386",
        (183, ..) => "arm64",
        (40, ..) => "armhf",
        (21, _, 1) => "ppc64el",
        (21, ..) => "ppc64",
        (22, 2, _) => "s390x",
        (243, 2, _) => "riscv64",
        (258, ..) => "loong64",
        _ => return None,
    })
}
