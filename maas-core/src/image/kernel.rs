//! Names of Ubuntu kernels (`ga-24.04`, `hwe-22.04-lowlatency-edge`) and their order.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// Which line of kernels a series takes its kernel from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KernelBranch {
    /// The kernel that the series was released with.
    Ga,
    /// The kernel of a later series ("hardware enablement").
    Hwe,
}

/// The name of an Ubuntu kernel, ordered by the age of the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Kernel {
    /// `ga` or `hwe`.
    pub branch: KernelBranch,
    /// The series' version, e.g. `(24, 4)`; `None` for `rolling`, the newest of all.
    pub version: Option<(u8, u8)>,
    /// The flavour: `generic`, `lowlatency`…
    pub flavour: String,
    /// Whether it is the preview of the next hardware-enablement kernel.
    pub edge: bool,
}

/// A text that is not the name of a kernel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a kernel: found {found:?}, expected e.g. ga-24.04, hwe-24.04 or hwe-24.04-lowlatency")]
pub struct InvalidKernel {
    /// The text that was given.
    pub found: String,
}

impl Kernel {
    /// The released kernel of a series.
    #[must_use]
    pub fn ga(version: (u8, u8)) -> Self {
        Self {
            branch: KernelBranch::Ga,
            version: Some(version),
            flavour: "generic".to_owned(),
            edge: false,
        }
    }

    /// Whether this kernel is at least as new as `minimum`, whatever the flavours.
    #[must_use]
    pub fn satisfies(&self, minimum: &Self) -> bool {
        self.age().cmp(&minimum.age()) != Ordering::Less
    }

    /// A value that grows with the age of the kernel line.
    #[must_use]
    pub fn age(&self) -> (u8, u8, KernelBranch, bool) {
        let (year, month) = self.version.unwrap_or((u8::MAX, u8::MAX));
        (year, month, self.branch, self.edge)
    }

    /// The Debian package of the kernel, used when the stream names none.
    #[must_use]
    pub fn package(&self) -> String {
        let edge = if self.edge { "-edge" } else { "" };
        match (self.branch, self.version) {
            (KernelBranch::Ga, Some(_)) => format!("linux-{}", self.flavour),
            (_, Some((year, month))) => {
                format!("linux-{}-hwe-{year}.{month:02}{edge}", self.flavour)
            }
            (_, None) => format!("linux-{}-hwe-rolling{edge}", self.flavour),
        }
    }
}

impl FromStr for Kernel {
    type Err = InvalidKernel;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidKernel { found: text.chars().take(64).collect() };
        let mut words = text.split('-');
        let branch = match words.next() {
            Some("ga") => KernelBranch::Ga,
            Some("hwe") => KernelBranch::Hwe,
            _ => return Err(invalid()),
        };
        let version = match words.next().ok_or_else(invalid)? {
            "rolling" if branch == KernelBranch::Hwe => None,
            // Before 16.04 hardware-enablement kernels bore their series' first letter.
            letter if letter.len() == 1 => Some(old_series(letter).ok_or_else(invalid)?),
            number => {
                let (year, month) = number.split_once('.').ok_or_else(invalid)?;
                if month.len() != 2 {
                    return Err(invalid());
                }
                let part = |word: &str| word.parse::<u8>().map_err(|_| invalid());
                Some((part(year)?, part(month)?))
            }
        };
        let mut flavour = None;
        let mut edge = false;
        for word in words {
            match word {
                _ if edge => return Err(invalid()),
                "edge" => edge = true,
                "" => return Err(invalid()),
                word if flavour.is_none() && word.bytes().all(|b| b.is_ascii_alphanumeric()) => {
                    flavour = Some(word.to_owned());
                }
                _ => return Err(invalid()),
            }
        }
        let flavour = flavour.unwrap_or_else(|| "generic".to_owned());
        Ok(Self { branch, version, flavour, edge })
    }
}

fn old_series(letter: &str) -> Option<(u8, u8)> {
    let at = u8::try_from("pqrstuvwxy".find(letter)?).ok()?;
    Some((12 + at / 2, if at.is_multiple_of(2) { 4 } else { 10 }))
}

impl fmt::Display for Kernel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self.branch {
            KernelBranch::Ga => "ga-",
            KernelBranch::Hwe => "hwe-",
        })?;
        match self.version {
            Some((year, month)) => write!(formatter, "{year}.{month:02}")?,
            None => formatter.write_str("rolling")?,
        }
        if self.flavour != "generic" {
            write!(formatter, "-{}", self.flavour)?;
        }
        if self.edge {
            formatter.write_str("-edge")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn kernel(text: &str) -> Kernel {
        text.parse().unwrap()
    }

    #[test]
    fn kernels_are_ordered_by_age_and_not_by_text() {
        let ascending = ["hwe-p", "hwe-w", "ga-16.04", "hwe-16.04", "hwe-16.04-edge", "ga-24.04"];
        for pair in ascending.windows(2) {
            assert!(kernel(pair[1]).satisfies(&kernel(pair[0])), "{pair:?}");
            assert!(!kernel(pair[0]).satisfies(&kernel(pair[1])), "{pair:?}");
        }
        assert!(kernel("hwe-rolling").satisfies(&kernel("hwe-24.04-edge")));
        assert!(kernel("ga-24.04").satisfies(&kernel("ga-24.04-lowlatency")));
    }

    #[test]
    fn packages_follow_the_name() {
        assert_eq!(kernel("ga-24.04").package(), "linux-generic");
        assert_eq!(kernel("hwe-24.04").package(), "linux-generic-hwe-24.04");
        assert_eq!(
            kernel("hwe-22.04-lowlatency-edge").package(),
            "linux-lowlatency-hwe-22.04-edge"
        );
        assert_eq!(kernel("hwe-rolling-edge").package(), "linux-generic-hwe-rolling-edge");
    }

    #[test]
    fn what_is_no_kernel_is_refused() {
        for text in ["", "generic", "ga", "ga-", "ga-rolling", "ga-24.4", "hwe-24.04-edge-edge"] {
            assert!(text.parse::<Kernel>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_what_parses_prints_a_name_that_parses(text in "\\PC{0,24}|(ga|hwe)-[0-9.a-z-]{0,16}") {
            if let Ok(parsed) = text.parse::<Kernel>() {
                prop_assert_eq!(kernel(&parsed.to_string()), parsed);
            }
        }
    }
}
