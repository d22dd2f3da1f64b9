//! The largest packet that an interface carries.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::Invalid;

/// Maximum transmission unit in bytes, 552 to 65535 (MAAS's range).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Mtu(u16);

impl Mtu {
    /// Ethernet's ordinary 1500 bytes.
    pub const ETHERNET: Self = Self(1500);
    /// The lowest MTU that MAAS takes.
    pub const MIN: u32 = 552;
    /// The highest MTU.
    pub const MAX: u32 = 65_535;

    /// Checks a number of bytes.
    ///
    /// # Errors
    /// [`Invalid`] outside 552 to 65535.
    pub fn new(bytes: u32) -> Result<Self, Invalid> {
        match u16::try_from(bytes) {
            Ok(fits) if bytes >= Self::MIN => Ok(Self(fits)),
            _ => Err(Invalid::new("MTU", bytes.to_string(), "552 to 65535 bytes")),
        }
    }

    /// The number of bytes.
    pub const fn bytes(self) -> u16 {
        self.0
    }
}

impl fmt::Display for Mtu {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl TryFrom<u32> for Mtu {
    type Error = Invalid;

    fn try_from(bytes: u32) -> Result<Self, Invalid> {
        Self::new(bytes)
    }
}

impl From<Mtu> for u32 {
    fn from(mtu: Mtu) -> Self {
        mtu.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_is_that_of_maas() {
        assert!(Mtu::new(551).is_err() && Mtu::new(65_536).is_err());
        assert!(Mtu::new(552).is_ok() && Mtu::new(65_535).is_ok());
    }
}
