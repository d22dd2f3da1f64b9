//! Modes and parameters of a bond, with the kernel's own words.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::name::IfName;

/// Declares an enum whose values have one fixed spelling in every format.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $text)] $variant,)*
        }

        impl $name {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The spelling used in every format.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = crate::error::Invalid;

            fn from_str(text: &str) -> Result<Self, crate::error::Invalid> {
                match text {
                    $($text => Ok(Self::$variant),)*
                    _ => Err(crate::error::Invalid::new(
                        stringify!($name),
                        text,
                        concat!("one of", $(" ", $text),*),
                    )),
                }
            }
        }
    };
}
pub(crate) use words;

words! {
    /// How a bond spreads traffic over its members.
    #[derive(Default)]
    BondMode {
        /// In turn; the kernel's default.
        #[default]
        BalanceRr = "balance-rr",
        /// One at a time.
        ActiveBackup = "active-backup",
        /// By a hash of the packet.
        BalanceXor = "balance-xor",
        /// On all at once.
        Broadcast = "broadcast",
        /// Negotiated with the switch by LACP.
        Ieee8023ad = "802.3ad",
        /// By load when sending.
        BalanceTlb = "balance-tlb",
        /// By load both ways.
        BalanceAlb = "balance-alb",
    }
}
words! {
    /// How often LACP asks its peer.
    LacpRate {
        /// Every 30 s.
        Slow = "slow",
        /// Every second.
        Fast = "fast",
    }
}
words! {
    /// What the transmit hash looks at.
    XmitHashPolicy {
        /// MAC addresses.
        Layer2 = "layer2",
        /// MAC and IP addresses.
        Layer23 = "layer2+3",
        /// IP addresses and ports.
        Layer34 = "layer3+4",
        /// MAC and IP addresses inside a tunnel.
        Encap23 = "encap2+3",
        /// IP addresses and ports inside a tunnel.
        Encap34 = "encap3+4",
    }
}
words! {
    /// When the primary member takes over again.
    PrimaryReselect {
        /// As soon as it is up.
        Always = "always",
        /// When it is faster than the active one.
        Better = "better",
        /// Only when the active one fails.
        Failure = "failure",
    }
}
words! {
    /// How 802.3ad chooses its aggregator.
    AdSelect {
        /// Keep the first.
        Stable = "stable",
        /// Most bandwidth.
        Bandwidth = "bandwidth",
        /// Most ports.
        Count = "count",
    }
}
words! {
    /// What happens to MAC addresses when the active member changes.
    FailOverMac {
        /// All members have the bond's address.
        None = "none",
        /// The bond takes the active member's.
        Active = "active",
        /// The active member takes the bond's.
        Follow = "follow",
    }
}
words! {
    /// Which ARP replies count.
    ArpValidate {
        /// All.
        None = "none",
        /// Checked on the active member.
        Active = "active",
        /// Checked on the backups.
        Backup = "backup",
        /// Checked everywhere.
        All = "all",
    }
}
words! {
    /// How many ARP targets must answer.
    ArpAllTargets {
        /// One.
        Any = "any",
        /// Every one.
        All = "all",
    }
}

/// Parameters of a bond; `None` leaves the kernel's default. Times are in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BondParams {
    /// The mode.
    pub mode: BondMode,
    /// How often the link is looked at, ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub miimon: Option<u32>,
    /// How long a link must be down, ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub downdelay: Option<u32>,
    /// How long a link must be up, ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updelay: Option<u32>,
    /// Announcements after a fail-over, 0 to 255; only active-backup.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_grat_arp: Option<u8>,
    /// LACP rate; only 802.3ad.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lacp_rate: Option<LacpRate>,
    /// Transmit hash; only balance-xor, 802.3ad and balance-tlb use it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub xmit_hash_policy: Option<XmitHashPolicy>,
    /// The preferred member; only active-backup, balance-tlb and balance-alb.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary: Option<IfName>,
    /// When the primary takes over again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary_reselect: Option<PrimaryReselect>,
    /// Aggregator selection; only 802.3ad.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ad_select: Option<AdSelect>,
    /// MAC addresses on fail-over; only active-backup.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fail_over_mac: Option<FailOverMac>,
    /// Members that must be up for the bond to be up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_links: Option<u32>,
    /// How often ARP targets are asked, ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arp_interval: Option<u32>,
    /// Whom to ask, at most 16.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub arp_ip_targets: Vec<Ipv4Addr>,
    /// Which ARP replies count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arp_validate: Option<ArpValidate>,
    /// How many ARP targets must answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arp_all_targets: Option<ArpAllTargets>,
    /// Whether duplicate frames on backups are delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub all_slaves_active: Option<bool>,
    /// IGMP reports after a fail-over, 0 to 255.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resend_igmp: Option<u8>,
    /// Learning packets, seconds; only balance-tlb and balance-alb.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub learn_packet_interval: Option<u32>,
    /// Packets on one member before the next; only balance-rr.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packets_per_slave: Option<u32>,
}

impl BondParams {
    /// Parameters with this mode and the kernel's defaults otherwise.
    pub fn new(mode: BondMode) -> Self {
        Self { mode, ..Self::default() }
    }
}
