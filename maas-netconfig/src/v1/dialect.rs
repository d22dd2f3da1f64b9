//! The four spellings of v1 that its consumers need.

use std::fmt;
use std::str::FromStr;

use crate::error::Invalid;

/// Which consumer a v1 document is for. No single spelling suits them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Dialect {
    /// What MAAS emits and every curtin passes on: `id`, dashes, `destination` routes.
    #[default]
    Maas,
    /// Valid against cloud-init's JSON schema but for three bond parameters, which its
    /// renderers only honour with dashes.
    CloudInit,
    /// For curtin's own ifupdown renderer, which needs `network` and `netmask` in routes.
    CurtinEni,
    /// For the ESXi script of packer-maas images, which knows less of v1 than the others.
    Esxi,
}

impl Dialect {
    /// Every dialect.
    pub const ALL: [Self; 4] = [Self::Maas, Self::CloudInit, Self::CurtinEni, Self::Esxi];

    /// Its name on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Maas => "maas",
            Self::CloudInit => "cloud-init",
            Self::CurtinEni => "curtin-eni",
            Self::Esxi => "esxi",
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for Dialect {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::ALL
            .into_iter()
            .find(|dialect| dialect.as_str() == text)
            .ok_or_else(|| Invalid::new("dialect", text, "maas, cloud-init, curtin-eni or esxi"))
    }
}
