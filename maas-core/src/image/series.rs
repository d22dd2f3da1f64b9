//! Ubuntu's series, so far as documents differ between them.

/// An Ubuntu series that is known by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Series {
    /// The codename in lower case, e.g. `noble`.
    pub codename: &'static str,
    /// Year and month, e.g. `(24, 4)`.
    pub version: (u8, u8),
}

const SERIES: [Series; 14] = [
    Series { codename: "precise", version: (12, 4) },
    Series { codename: "trusty", version: (14, 4) },
    Series { codename: "xenial", version: (16, 4) },
    Series { codename: "bionic", version: (18, 4) },
    Series { codename: "focal", version: (20, 4) },
    Series { codename: "jammy", version: (22, 4) },
    Series { codename: "kinetic", version: (22, 10) },
    Series { codename: "lunar", version: (23, 4) },
    Series { codename: "mantic", version: (23, 10) },
    Series { codename: "noble", version: (24, 4) },
    Series { codename: "oracular", version: (24, 10) },
    Series { codename: "plucky", version: (25, 4) },
    Series { codename: "questing", version: (25, 10) },
    Series { codename: "resolute", version: (26, 4) },
];

impl Series {
    /// The series of this codename or version (`noble`, `24.04`).
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        SERIES.into_iter().find(|series| series.codename == name || series.number() == name)
    }

    /// The version as Ubuntu writes it: `24.04`.
    #[must_use]
    pub fn number(&self) -> String {
        format!("{}.{:02}", self.version.0, self.version.1)
    }

    /// Whether the series named so is older than this version; a series that is not in the table
    /// is taken to be newer.
    #[must_use]
    pub fn is_before(name: &str, version: (u8, u8)) -> bool {
        Self::find(name).is_some_and(|series| series.version < version)
    }
}
