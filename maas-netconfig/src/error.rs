//! What can be wrong with a value, and with a network as a whole.

use std::fmt;

use serde::Serialize;

/// A single value that its checked type refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {found:?} is not {expected}")]
#[non_exhaustive]
pub struct Invalid {
    /// The kind of value, such as "MAC address".
    pub what: &'static str,
    /// What was given.
    pub found: String,
    /// What would be accepted.
    pub expected: &'static str,
}

impl Invalid {
    pub(crate) fn new(
        what: &'static str,
        found: impl Into<String>,
        expected: &'static str,
    ) -> Self {
        // A hostile megabyte must not come back in an error text.
        let found = found.into().chars().take(80).collect();
        Self { what, found, expected }
    }
}

/// How much a [`Problem`] matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The result works, but perhaps not as meant.
    Warning,
    /// No usable configuration can be made from this.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// Where in a text something was found, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
}

/// One finding about a network: what, where, how bad, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Problem {
    /// How much it matters.
    pub severity: Severity,
    /// What it is, stable across releases.
    pub code: Code,
    /// Where it is, such as `interfaces[eno1].links[0]`.
    pub path: String,
    /// What it is in words, lower case, naming the remedy where there is one.
    pub message: String,
    /// Where in the text it is, when the network was read from one.
    pub position: Option<Position>,
}

impl Problem {
    pub(crate) fn error(code: Code, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code,
            path: path.into(),
            message: message.into(),
            position: None,
        }
    }

    pub(crate) fn warning(code: Code, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, path, message) }
    }

    pub(crate) fn at(mut self, line: usize, column: usize) -> Self {
        self.position = Some(Position { line, column });
        self
    }

    /// Whether no configuration can be made because of this.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}[{}]: ", self.severity, self.code)?;
        if let Some(at) = self.position {
            write!(formatter, "line {}, column {}: ", at.line, at.column)?;
        }
        if self.path.is_empty() {
            formatter.write_str(&self.message)
        } else {
            write!(formatter, "{}: {}", self.path, self.message)
        }
    }
}

/// A network that was refused, with everything that is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the network is refused: {}", list(.problems))]
#[non_exhaustive]
pub struct Refused {
    /// Every finding, errors and warnings, in the order of the input.
    pub problems: Vec<Problem>,
}

fn list(problems: &[Problem]) -> String {
    let errors: Vec<String> =
        problems.iter().filter(|problem| problem.is_error()).map(ToString::to_string).collect();
    errors.join("; ")
}

impl Refused {
    /// Splits findings into a refusal, when one of them is an error, or the warnings.
    pub(crate) fn unless_clean(problems: Vec<Problem>) -> Result<Vec<Problem>, Self> {
        if problems.iter().any(Problem::is_error) { Err(Self { problems }) } else { Ok(problems) }
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident => $text:literal,)*) => {
        /// What a [`Problem`] is; the text form is stable across releases.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $($(#[$doc])* $variant,)*
        }

        impl Code {
            /// The stable text form, such as `unknown-subnet`.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }
    };
}

codes! {
    /// The same address is given to two links.
    AddressDuplicate => "address-duplicate",
    /// An address is not inside its subnet.
    AddressOutsideSubnet => "address-outside-subnet",
    /// An address is the subnet's network or broadcast address.
    AddressReserved => "address-reserved",
    /// An AUTO link has no address yet.
    AddressUnassigned => "address-unassigned",
    /// A setting does nothing in this bond mode.
    BondSettingIdle => "bond-setting-idle",
    /// Interfaces are stacked in a circle.
    Cycle => "cycle",
    /// One interface has two DHCP links of the same kind.
    DhcpDuplicate => "dhcp-duplicate",
    /// The default gateway is chosen from a link that has none.
    GatewayChoiceInvalid => "gateway-choice-invalid",
    /// A gateway is of the other address family or cannot be reached.
    GatewayUnreachable => "gateway-unreachable",
    /// The kind of interface cannot be used in this place.
    KindUnfit => "kind-unfit",
    /// A link-up link stands beside other links.
    LinkUpConflict => "link-up-conflict",
    /// A MAC address is used twice, is a group address or is missing.
    MacUnfit => "mac-unfit",
    /// A member of a bond or bridge has links of its own.
    MemberConfigured => "member-configured",
    /// An interface is a member of two bonds or bridges.
    MemberShared => "member-shared",
    /// The MTU cannot work here.
    MtuUnfit => "mtu-unfit",
    /// Two interfaces have the same name.
    NameDuplicate => "name-duplicate",
    /// A bond or bridge has no usable member.
    NoMembers => "no-members",
    /// No interface is configured.
    NotConfigured => "not-configured",
    /// The same destination is routed twice.
    RouteDuplicate => "route-duplicate",
    /// A route's destination, gateway and source do not fit together.
    RouteUnfit => "route-unfit",
    /// Two subnets overlap.
    SubnetOverlap => "subnet-overlap",
    /// A subnet is not what a network address and prefix can be.
    SubnetUnfit => "subnet-unfit",
    /// The text cannot be read.
    Syntax => "syntax",
    /// There are more secondary gateways than routing tables.
    TablesExhausted => "tables-exhausted",
    /// An interface named here does not exist (or is disabled).
    UnknownInterface => "unknown-interface",
    /// A key that the format does not have.
    UnknownKey => "unknown-key",
    /// A subnet named here does not exist.
    UnknownSubnet => "unknown-subnet",
    /// The target cannot do this at all.
    Unsupported => "unsupported",
    /// The value of a key is not acceptable.
    ValueUnfit => "value-unfit",
    /// The VLAN identifier is 0, or used twice on one parent.
    VidUnfit => "vid-unfit",
}

impl fmt::Display for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
