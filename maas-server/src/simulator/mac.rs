//! A MAC address as boot files, URLs and people spell it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An Ethernet MAC address. It reads `:` or `-` between the octets, either case, and writes
/// lower case with colons.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mac([u8; 6]);

impl Mac {
    pub(crate) const fn new(octets: [u8; 6]) -> Self {
        Self(octets)
    }

    pub(crate) const fn octets(self) -> [u8; 6] {
        self.0
    }

    /// With dashes, as pxelinux and `BOOTIF` spell it.
    pub(crate) fn dashes(self) -> String {
        self.to_string().replace(':', "-")
    }

    /// The address of a further port of the same machine.
    pub(crate) fn plus(self, ports: u8) -> Self {
        let mut octets = self.0;
        octets[5] = octets[5].wrapping_add(ports);
        Self(octets)
    }
}

/// A text that is not a MAC address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a MAC address such as 52:54:00:12:34:56")]
#[non_exhaustive]
pub struct InvalidMac {
    /// The text.
    pub text: String,
}

impl FromStr for Mac {
    type Err = InvalidMac;

    fn from_str(text: &str) -> Result<Self, InvalidMac> {
        let invalid = || InvalidMac { text: text.chars().take(40).collect() };
        let mut octets = [0; 6];
        let mut parts = text.split([':', '-']);
        for octet in &mut octets {
            let part = parts.next().ok_or_else(invalid)?;
            if part.len() != 2 || !part.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err(invalid());
            }
            *octet = u8::from_str_radix(part, 16).map_err(|_| invalid())?;
        }
        if parts.next().is_some() {
            return Err(invalid());
        }
        Ok(Self(octets))
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, f] = self.0;
        write!(formatter, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl TryFrom<String> for Mac {
    type Error = InvalidMac;

    fn try_from(text: String) -> Result<Self, InvalidMac> {
        text.parse()
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> Self {
        mac.to_string()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_address_survives_both_spellings(octets: [u8; 6]) {
            let mac = Mac::new(octets);
            prop_assert_eq!(mac.to_string().parse::<Mac>().unwrap(), mac);
            prop_assert_eq!(mac.dashes().to_uppercase().parse::<Mac>().unwrap(), mac);
        }

        #[test]
        fn any_text_is_read_without_panic(text in ".{0,30}") {
            let _ = text.parse::<Mac>();
        }
    }

    #[test]
    fn what_is_not_an_address_is_refused() {
        for text in
            ["", "52:54:00:12:34", "52:54:00:12:34:56:78", "52:54:00:12:34:+6", "zz:54:00:12:34:56"]
        {
            assert!(text.parse::<Mac>().is_err(), "{text}");
        }
    }
}
