//! The identifier of an 802.1Q VLAN.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::Invalid;

/// VLAN identifier, 0 to 4094. 0 means untagged; a VLAN interface needs 1 to 4094.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct Vid(u16);

impl Vid {
    /// The untagged VLAN.
    pub const UNTAGGED: Self = Self(0);
    /// The highest identifier (4095 is reserved).
    pub const MAX: u16 = 4094;

    /// Checks an identifier.
    ///
    /// # Errors
    /// [`Invalid`] above 4094.
    pub fn new(vid: u16) -> Result<Self, Invalid> {
        if vid <= Self::MAX {
            Ok(Self(vid))
        } else {
            Err(Invalid::new("VLAN identifier", vid.to_string(), "0 to 4094"))
        }
    }

    /// The number.
    pub const fn number(self) -> u16 {
        self.0
    }
}

impl fmt::Display for Vid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl TryFrom<u16> for Vid {
    type Error = Invalid;

    fn try_from(vid: u16) -> Result<Self, Invalid> {
        Self::new(vid)
    }
}

impl From<Vid> for u16 {
    fn from(vid: Vid) -> Self {
        vid.0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn identifiers_end_at_4094() {
        assert_eq!(Vid::new(4094).unwrap().number(), 4094);
        assert!(Vid::new(4095).is_err());
        assert_eq!(Vid::new(0).unwrap(), Vid::UNTAGGED);
    }
}
