//! Sizes: constants of partitioning, and sizes as a user gives them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One MiB in bytes.
pub(super) const MIB: u64 = 1 << 20;
/// Sizes of partitions are multiples of this, and it is the smallest partition.
pub(super) const ALIGNMENT: u64 = 4 * MIB;
/// Where the first partition begins.
pub(super) const INITIAL_OFFSET: u64 = 4 * MIB;
/// What the second copy of a GUID partition table needs at the end.
pub(super) const END_RESERVE: u64 = MIB;
/// GRUB's own partition on BIOS with a GUID partition table.
pub(super) const BIOS_GRUB: u64 = MIB;
/// Open Firmware's boot partition.
pub(super) const PREP: u64 = 8 * MIB;
/// The EFI system partition.
pub(super) const EFI: u64 = 512 * MIB;
/// The smallest `/boot`.
pub(super) const MIN_BOOT: u64 = 512 * MIB;
/// The smallest `/`.
pub(super) const MIN_ROOT: u64 = 3 << 30;
/// The largest partition of an MBR table.
pub(super) const MBR_LARGEST: u64 = ((1 << 32) - 1) * 512 - MIB;

/// Rounds down to a multiple.
pub(super) const fn align_down(size: u64, to: u64) -> u64 {
    size / to * to
}

/// A size as a user gives it: bytes, a number with unit (`500M`, `10GiB`: powers of 1024; `10GB`:
/// powers of 1000), or a part of the whole (`50%`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "serde_json::Value", into = "serde_json::Value")]
pub enum Size {
    /// Bytes.
    Bytes(u64),
    /// Hundredths of the whole, 1 to 100.
    Percent(u8),
}

/// A text that is no size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a size: found {found:?}, expected bytes, 500M, 10G or 50%")]
pub struct InvalidSize {
    /// The text that was given.
    pub found: String,
}

impl Size {
    /// The bytes, of a whole of this many bytes.
    #[must_use]
    pub fn of(self, whole: u64) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Percent(percent) => {
                let part = u128::from(whole) * u128::from(percent) / 100;
                u64::try_from(part).unwrap_or(whole)
            }
        }
    }
}

impl FromStr for Size {
    type Err = InvalidSize;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidSize { found: text.chars().take(64).collect() };
        let trimmed = text.trim();
        if let Some(number) = trimmed.strip_suffix('%') {
            let percent: u8 = number.trim().parse().map_err(|_| invalid())?;
            return if (1..=100).contains(&percent) {
                Ok(Self::Percent(percent))
            } else {
                Err(invalid())
            };
        }
        let digits =
            trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
        let (number, unit) = trimmed.split_at(digits);
        let factor: u64 = match unit.trim() {
            "" | "B" => 1,
            "k" | "K" | "KiB" => 1 << 10,
            "M" | "MiB" => 1 << 20,
            "G" | "GiB" => 1 << 30,
            "T" | "TiB" => 1 << 40,
            "kB" | "KB" => 1000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            "TB" => 1_000_000_000_000,
            _ => return Err(invalid()),
        };
        // Three decimals are enough for `1.5G` and need no floating point.
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if fraction.len() > 3 {
            return Err(invalid());
        }
        let thousandths: u64 = match fraction {
            "" => 0,
            digits => format!("{digits:0<3}").parse().map_err(|_| invalid())?,
        };
        let whole: u64 = whole.parse().map_err(|_| invalid())?;
        let bytes = u128::from(whole) * u128::from(factor)
            + u128::from(factor) * u128::from(thousandths) / 1000;
        u64::try_from(bytes).map(Self::Bytes).map_err(|_| invalid())
    }
}

impl TryFrom<serde_json::Value> for Size {
    type Error = InvalidSize;

    fn try_from(value: serde_json::Value) -> Result<Self, Self::Error> {
        match &value {
            serde_json::Value::String(text) => text.parse(),
            other => other
                .as_u64()
                .map(Self::Bytes)
                .ok_or_else(|| InvalidSize { found: other.to_string().chars().take(64).collect() }),
        }
    }
}

impl From<Size> for serde_json::Value {
    fn from(size: Size) -> Self {
        match size {
            Size::Bytes(bytes) => Self::from(bytes),
            Size::Percent(percent) => Self::from(format!("{percent}%")),
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(formatter, "{bytes} bytes"),
            Self::Percent(percent) => write!(formatter, "{percent}%"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_are_read_in_every_unit() {
        for (text, bytes) in [
            ("5", 5),
            ("500M", 500 << 20),
            ("1.5G", 3 << 29),
            ("10GB", 10_000_000_000),
            ("2 TiB", 2 << 40),
        ] {
            assert_eq!(text.parse::<Size>().unwrap(), Size::Bytes(bytes), "{text}");
        }
        assert_eq!("50%".parse::<Size>().unwrap().of(1000), 500);
        for text in ["", "G", "0%", "101%", "1.2.3", "-1", "99999999999T", "1X", "1.2345G"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn reading_never_panics_and_what_is_written_is_read_back(text in "\\PC{0,12}|[0-9.]{0,6}[KMGT%B]{0,2}") {
            if let Ok(size) = text.parse::<Size>() {
                let json = serde_json::to_string(&size).unwrap();
                prop_assert_eq!(serde_json::from_str::<Size>(&json).unwrap(), size);
            }
        }
    }
}
