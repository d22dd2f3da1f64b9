//! Faults that can be asked for, and when they strike.

use std::fmt;
use std::str::FromStr;

use super::random::{Random, combine};

/// Something that goes wrong on a share of the machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FaultKind {
    /// The power comes on and nothing else happens: no request is ever sent.
    NeverBoots,
    /// The ephemeral system boots and never says anything to the metadata service.
    NeverReports,
    /// One commissioning script exits with 1.
    CommissioningFails,
    /// curtin fails while it extracts the image.
    CurtinFails,
    /// The installed system boots and never asks the metadata service for anything.
    NoPhoneHome,
    /// All work takes ten times as long.
    Slow,
    /// The power fails while the image is being extracted, and does not come back by itself.
    LosesPower,
    /// The enlisting machine adds itself twice, as one does whose first answer was lost.
    EnlistTwice,
}

impl FaultKind {
    /// Every kind, in the order of the help text.
    pub const ALL: [Self; 8] = [
        Self::NeverBoots,
        Self::NeverReports,
        Self::CommissioningFails,
        Self::CurtinFails,
        Self::NoPhoneHome,
        Self::Slow,
        Self::LosesPower,
        Self::EnlistTwice,
    ];

    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NeverBoots => "never-boots",
            Self::NeverReports => "never-reports",
            Self::CommissioningFails => "commissioning-fails",
            Self::CurtinFails => "curtin-fails",
            Self::NoPhoneHome => "no-phone-home",
            Self::Slow => "slow",
            Self::LosesPower => "loses-power",
            Self::EnlistTwice => "enlist-twice",
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A kind of fault and the share of boots that it strikes, as in `curtin-fails=0.1`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FaultRate {
    kind: FaultKind,
    rate: f64,
}

/// Why a text is not a fault with its rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidFault {
    /// There is no `=`.
    #[error("{text:?} should be KIND=RATE, such as curtin-fails=0.1")]
    Shape {
        /// The text.
        text: String,
    },
    /// No fault has that name.
    #[error("there is no fault {name:?}; there are {}", FaultKind::ALL.map(FaultKind::name).join(", "))]
    Kind {
        /// The name.
        name: String,
    },
    /// The rate is not a number from 0 to 1.
    #[error("the rate {rate:?} of {kind} is not a number from 0 to 1")]
    Rate {
        /// The fault.
        kind: FaultKind,
        /// The text that should be a rate.
        rate: String,
    },
}

impl FaultRate {
    /// A fault that strikes a share of all boots; the share is held within 0 and 1.
    pub fn new(kind: FaultKind, rate: f64) -> Self {
        Self { kind, rate: if rate.is_finite() { rate.clamp(0.0, 1.0) } else { 0.0 } }
    }

    /// The kind of fault.
    pub const fn kind(self) -> FaultKind {
        self.kind
    }

    /// The share of boots that it strikes, from 0 to 1.
    pub const fn rate(self) -> f64 {
        self.rate
    }
}

impl FromStr for FaultRate {
    type Err = InvalidFault;

    fn from_str(text: &str) -> Result<Self, InvalidFault> {
        let (name, rate) =
            text.split_once('=').ok_or_else(|| InvalidFault::Shape { text: text.to_owned() })?;
        let kind = FaultKind::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| InvalidFault::Kind { name: name.to_owned() })?;
        match rate.parse::<f64>() {
            Ok(value) if (0.0..=1.0).contains(&value) => Ok(Self { kind, rate: value }),
            _ => Err(InvalidFault::Rate { kind, rate: rate.to_owned() }),
        }
    }
}

/// Whether a fault strikes: always the same for the same seed, machine and attempt.
pub(crate) fn strikes(faults: &[FaultRate], kind: FaultKind, machine: u64, attempt: u64) -> bool {
    faults.iter().filter(|fault| fault.kind == kind).any(|fault| {
        let seed = combine(combine(machine, attempt), kind as u64 + 1);
        Random::new(seed).unit() < fault.rate
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_kind_is_read_by_its_name() {
        for kind in FaultKind::ALL {
            let fault: FaultRate = format!("{kind}=0.25").parse().unwrap();
            assert_eq!((fault.kind(), fault.rate()), (kind, 0.25));
        }
    }

    #[test]
    fn a_wrong_fault_is_refused_in_words_that_help() {
        let said = |text: &str| text.parse::<FaultRate>().unwrap_err().to_string();
        assert!(said("slow").contains("KIND=RATE"));
        assert!(said("melts=1").contains("curtin-fails"));
        for rate in ["", "-0.1", "1.01", "NaN", "inf", "a"] {
            assert!(said(&format!("slow={rate}")).contains("from 0 to 1"), "{rate}");
        }
    }

    #[test]
    fn rate_one_always_strikes_and_rate_zero_never() {
        for (rate, expected) in [(1.0, true), (0.0, false)] {
            let faults = [FaultRate::new(FaultKind::Slow, rate)];
            assert!((0..500).all(|n| strikes(&faults, FaultKind::Slow, n, n / 3) == expected));
            assert!(!strikes(&faults, FaultKind::NeverBoots, 1, 1));
        }
    }

    #[test]
    fn about_the_asked_share_is_struck_and_always_the_same() {
        let faults = [FaultRate::new(FaultKind::CurtinFails, 0.2)];
        let draw = || (0..2000).filter(|n| strikes(&faults, FaultKind::CurtinFails, *n, 1)).count();
        assert!((320..480).contains(&draw()), "{}", draw());
        assert_eq!(draw(), draw());
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in ".{0,30}") {
            let _ = text.parse::<FaultRate>();
        }
    }
}
