//! The identifier of a machine.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The digits of a system id: base 24 without look-alikes (MAAS API 2.0).
const DIGITS: &[u8; 24] = b"34678abcdefghkmnpqrstwxy";

/// The identifier of a machine: six characters out of `34678abcdefghkmnpqrstwxy` (MAAS API 2.0).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SystemId(String);

impl SystemId {
    /// The id for a number drawn by the caller; every `u64` gives a valid six-character id.
    #[must_use]
    pub fn from_entropy(number: u64) -> Self {
        const FIRST: u64 = 24u64.pow(5);
        const SPAN: u64 = 24u64.pow(6) - FIRST;
        let mut rest = FIRST + number % SPAN;
        let mut digits = [0u8; 6];
        for slot in digits.iter_mut().rev() {
            *slot = DIGITS[(rest % 24) as usize];
            rest /= 24;
        }
        Self(digits.iter().map(|&digit| char::from(digit)).collect())
    }

    /// The six characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text that is not a system id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a system id: found {found:?}, expected six of the characters 34678abcdefghkmnpqrstwxy"
)]
pub struct InvalidSystemId {
    /// The text that was given.
    pub found: String,
}

impl FromStr for SystemId {
    type Err = InvalidSystemId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() == 6 && text.bytes().all(|byte| DIGITS.contains(&byte)) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidSystemId { found: text.chars().take(64).collect() })
        }
    }
}

impl TryFrom<String> for SystemId {
    type Error = InvalidSystemId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<SystemId> for String {
    fn from(id: SystemId) -> Self {
        id.0
    }
}

impl fmt::Display for SystemId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for SystemId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SystemId({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_number_gives_an_id_that_parses_back(number: u64) {
            let id = SystemId::from_entropy(number);
            prop_assert_eq!(id.as_str().parse::<SystemId>().unwrap(), id);
        }

        #[test]
        fn parsing_never_panics(text in "\\PC{0,12}") {
            if let Ok(id) = text.parse::<SystemId>() {
                prop_assert_eq!(id.as_str(), text);
            }
        }
    }
}
