//! A MAC address in MAAS's normal form: lower case, separated by colons.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::Invalid;

/// Ethernet hardware address. Shown as `52:54:00:aa:00:01`.
///
/// Read from all spellings that MAAS takes, in either case: `52:54:0:aa:0:1`,
/// `52-54-00-AA-00-01`, `5254.00aa.0001` and `525400aa0001`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mac([u8; 6]);

impl Mac {
    /// An address of six octets.
    pub const fn new(octets: [u8; 6]) -> Self {
        Self(octets)
    }

    /// The six octets.
    pub const fn octets(self) -> [u8; 6] {
        self.0
    }

    /// Whether this is a group address, which no interface can have as its own.
    pub const fn is_multicast(self) -> bool {
        self.0[0] & 1 == 1
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, f] = self.0;
        write!(formatter, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
    }
}

fn octets(text: &str) -> Option<[u8; 6]> {
    let mut octets = [0; 6];
    let separator = text.chars().find(|char| matches!(char, ':' | '-' | '.'));
    // (digits per group, whether leading zeros may be left out)
    let (groups, digits, short): (Vec<&str>, usize, bool) = match separator {
        Some('.') => (text.split('.').collect(), 4, false),
        Some(':') => (text.split(':').collect(), 2, true),
        Some(char) => (text.split(char).collect(), 2, false),
        None => (vec![text], 12, false),
    };
    if groups.len() * digits != 12 {
        return None;
    }
    let mut hex = String::with_capacity(12);
    for group in groups {
        let fits = if short { (1..=digits).contains(&group.len()) } else { group.len() == digits };
        if !fits || !group.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        hex.extend(std::iter::repeat_n('0', digits - group.len()));
        hex.push_str(group);
    }
    for (octet, at) in octets.iter_mut().zip((0..12).step_by(2)) {
        *octet = u8::from_str_radix(hex.get(at..at + 2)?, 16).ok()?;
    }
    Some(octets)
}

impl FromStr for Mac {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        octets(text).map(Self).ok_or_else(|| {
            Invalid::new("MAC address", text, "six octets such as 52:54:00:aa:00:01")
        })
    }
}

impl TryFrom<String> for Mac {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
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

    #[test]
    fn every_spelling_reads_as_the_same_address() {
        for text in [
            "52:54:00:aa:00:01",
            "52:54:0:AA:0:1",
            "52-54-00-aa-00-01",
            "52-54-00-AA-00-01",
            "5254.00aa.0001",
            "525400AA0001",
        ] {
            assert_eq!(text.parse::<Mac>().unwrap().to_string(), "52:54:00:aa:00:01", "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "52:54:00:aa:00",
            "52:54:00:aa:00:01:02",
            "52-54:00:aa:00:01",
            "g2:54:00:aa:00:01",
            "5254.00aa.001",
            "525400aa00011",
            "52:54:00:aa:00:",
            "+2:54:00:aa:00:01",
            "é2:54:00:aa:0:1",
        ] {
            assert!(text.parse::<Mac>().is_err(), "{text}");
        }
    }
}
