//! The name of a network interface as Linux and MAAS accept it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::Invalid;

/// Interface name: 1 to 15 of `A-Z a-z 0-9 _ - . :`, not `.` or `..`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IfName(String);

impl IfName {
    /// Longest name that Linux keeps (IFNAMSIZ less the closing NUL).
    pub const MAX_LEN: usize = 15;

    /// Checks a name.
    ///
    /// # Errors
    /// [`Invalid`] when it is empty, too long or has other characters.
    pub fn new(name: impl Into<String>) -> Result<Self, Invalid> {
        let name = name.into();
        let legal = (1..=Self::MAX_LEN).contains(&name.len())
            && name != "."
            && name != ".."
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte));
        if legal {
            Ok(Self(name))
        } else {
            Err(Invalid::new("interface name", name, "1 to 15 of A-Z a-z 0-9 _ - . :"))
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for IfName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl AsRef<str> for IfName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for IfName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl FromStr for IfName {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::new(text)
    }
}

impl TryFrom<String> for IfName {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        Self::new(text)
    }
}

impl From<IfName> for String {
    fn from(name: IfName) -> Self {
        name.0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_of_one_to_fifteen_legal_characters_are_accepted() {
        for name in ["e", "eno1", "bond0.300", "br-tenant", "eth0:1", "a_b-c.d:e123456"] {
            assert_eq!(IfName::new(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn names_that_linux_would_refuse_are_refused() {
        for name in ["", ".", "..", "0123456789abcdef", "a b", "a/b", "é", "a\n"] {
            assert!(IfName::new(name).is_err(), "{name:?}");
        }
    }
}
