//! Every key that netplan 1.2 knows, with the shape of its value, and the strict check of a
//! document against them.

use crate::error::Code;
use crate::read::{Findings, scalar};
use crate::yaml::{Node, NodeKind};

/// What to do with keys that netplan does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Unknown {
    /// An error with line and column, as netplan itself does.
    #[default]
    Refuse,
    /// A warning; the key is kept and written out again.
    Keep,
}

/// The shape of a value.
#[derive(Debug, Clone, Copy)]
enum Shape {
    Bool,
    /// A whole number up to this one.
    Number(u64),
    Text,
    Mac,
    Word(&'static [&'static str]),
    List(&'static Self),
    /// Either one value or a list of them.
    OneOrList(&'static Self),
    Keys(&'static [&'static [Key]]),
    /// A mapping from names to values of one shape.
    Named(&'static Self),
    /// Texts, or mappings with one entry and options.
    Addresses,
    /// Kept as it is.
    Opaque,
}

type Key = (&'static str, Shape);

use Shape::{Addresses, Bool, Keys, List, Mac, Named, Number, OneOrList, Opaque, Text, Word};

const U32: Shape = Number(u32::MAX as u64);
const RENDERER: Shape = Word(&["networkd", "NetworkManager", "sriov"]);

const NETWORK: &[Key] = &[
    ("version", Number(2)),
    ("renderer", RENDERER),
    ("ethernets", Named(&Keys(&[COMMON, PHYSICAL, ETHERNET]))),
    ("bonds", Named(&Keys(&[COMMON, BOND]))),
    ("bridges", Named(&Keys(&[COMMON, BRIDGE]))),
    ("vlans", Named(&Keys(&[COMMON, VLAN]))),
    ("vrfs", Named(&Keys(&[COMMON, VRF]))),
    ("tunnels", Named(&Keys(&[COMMON, TUNNEL]))),
    ("dummy-devices", Named(&Keys(&[COMMON]))),
    ("virtual-ethernets", Named(&Keys(&[COMMON, VETH]))),
    ("wifis", Opaque),
    ("modems", Opaque),
    ("nm-devices", Opaque),
    ("openvswitch", Keys(&[OVS, OVS_GLOBAL])),
];

const COMMON: &[Key] = &[
    ("renderer", RENDERER),
    ("accept-ra", Bool),
    ("activation-mode", Word(&["manual", "off"])),
    ("addresses", Addresses),
    ("critical", Bool),
    ("ignore-carrier", Bool),
    ("dhcp4", Bool),
    ("dhcp6", Bool),
    ("dhcp-identifier", Text),
    ("dhcp4-overrides", Keys(&[OVERRIDES])),
    ("dhcp6-overrides", Keys(&[OVERRIDES])),
    ("ra-overrides", Keys(&[RA_OVERRIDES])),
    ("gateway4", Text),
    ("gateway6", Text),
    ("ipv6-address-generation", Word(&["eui64", "stable-privacy"])),
    ("ipv6-address-token", Text),
    ("ipv6-mtu", U32),
    ("ipv6-privacy", Bool),
    ("link-local", List(&Word(&["ipv4", "ipv6"]))),
    ("macaddress", Text),
    ("mtu", U32),
    ("nameservers", Keys(&[NAMESERVERS])),
    ("optional", Bool),
    ("optional-addresses", List(&Text)),
    ("routes", List(&Keys(&[ROUTE]))),
    ("routing-policy", List(&Keys(&[POLICY]))),
    ("hairpin", Bool),
    ("port-mac-learning", Bool),
    ("neigh-suppress", Bool),
    ("networkmanager", Opaque),
    ("openvswitch", Keys(&[OVS])),
];

const OVERRIDES: &[Key] = &[
    ("hostname", Text),
    ("route-metric", U32),
    ("send-hostname", Bool),
    ("use-dns", Bool),
    ("use-domains", Text),
    ("use-hostname", Bool),
    ("use-mtu", Bool),
    ("use-ntp", Bool),
    ("use-routes", Bool),
];

const RA_OVERRIDES: &[Key] = &[("use-dns", Bool), ("use-domains", Text), ("table", U32)];

const NAMESERVERS: &[Key] = &[("addresses", List(&Text)), ("search", List(&Text))];

const ROUTE: &[Key] = &[
    ("from", Text),
    ("to", Text),
    ("via", Text),
    ("on-link", Bool),
    ("scope", Word(&["global", "link", "host"])),
    ("table", U32),
    (
        "type",
        Word(&[
            "unicast",
            "anycast",
            "blackhole",
            "broadcast",
            "local",
            "multicast",
            "nat",
            "prohibit",
            "throw",
            "unreachable",
            "xresolve",
        ]),
    ),
    ("metric", U32),
    ("mtu", U32),
    ("congestion-window", U32),
    ("advertised-receive-window", U32),
    ("advertised-mss", U32),
];

const POLICY: &[Key] = &[
    ("from", Text),
    ("to", Text),
    ("table", U32),
    ("priority", U32),
    ("mark", U32),
    ("type-of-service", Number(255)),
];

const PHYSICAL: &[Key] = &[
    ("match", Keys(&[MATCH])),
    ("set-name", Text),
    ("wakeonlan", Bool),
    ("wakeonwlan", Opaque),
    ("emit-lldp", Bool),
    ("receive-checksum-offload", Bool),
    ("transmit-checksum-offload", Bool),
    ("tcp-segmentation-offload", Bool),
    ("tcp6-segmentation-offload", Bool),
    ("generic-segmentation-offload", Bool),
    ("generic-receive-offload", Bool),
    ("large-receive-offload", Bool),
];

const MATCH: &[Key] = &[("name", Text), ("macaddress", Mac), ("driver", OneOrList(&Text))];

const ETHERNET: &[Key] = &[
    ("auth", Opaque),
    ("link", Text),
    ("virtual-function-count", Number(256)),
    ("embedded-switch-mode", Word(&["switchdev", "legacy"])),
    ("delay-virtual-functions-rebind", Bool),
    ("infiniband-mode", Word(&["datagram", "connected"])),
];

const BOND: &[Key] = &[("interfaces", List(&Text)), ("parameters", Keys(&[BOND_PARAMETERS]))];

const BOND_PARAMETERS: &[Key] = &[
    (
        "mode",
        Word(&[
            "balance-rr",
            "active-backup",
            "balance-xor",
            "broadcast",
            "802.3ad",
            "balance-tlb",
            "balance-alb",
            "balance-tcp",
            "balance-slb",
        ]),
    ),
    ("lacp-rate", Word(&["slow", "fast"])),
    ("mii-monitor-interval", Text),
    ("min-links", U32),
    ("transmit-hash-policy", Text),
    ("ad-select", Text),
    ("all-slaves-active", Bool),
    ("all-members-active", Bool),
    ("arp-interval", Text),
    ("arp-ip-targets", List(&Text)),
    ("arp-validate", Text),
    ("arp-all-targets", Text),
    ("up-delay", Text),
    ("down-delay", Text),
    ("fail-over-mac-policy", Text),
    ("gratuitous-arp", Number(255)),
    ("gratuitious-arp", Number(255)),
    ("packets-per-slave", U32),
    ("packets-per-member", U32),
    ("primary-reselect-policy", Text),
    ("resend-igmp", Number(255)),
    ("learn-packet-interval", Text),
    ("primary", Text),
];

const BRIDGE: &[Key] = &[("interfaces", List(&Text)), ("parameters", Keys(&[BRIDGE_PARAMETERS]))];

const BRIDGE_PARAMETERS: &[Key] = &[
    ("ageing-time", Text),
    ("aging-time", Text),
    ("forward-delay", Text),
    ("hello-time", Text),
    ("max-age", Text),
    ("path-cost", Named(&U32)),
    ("port-priority", Named(&Number(63))),
    ("priority", Number(65_535)),
    ("stp", Bool),
];

const VLAN: &[Key] = &[("id", Number(4094)), ("link", Text)];

const VRF: &[Key] = &[("table", U32), ("interfaces", List(&Text))];

const VETH: &[Key] = &[("peer", Text)];

const TUNNEL: &[Key] = &[
    (
        "mode",
        Word(&[
            "ipip",
            "gre",
            "sit",
            "isatap",
            "vti",
            "vti6",
            "ip6ip6",
            "ipip6",
            "ip6gre",
            "gretap",
            "ip6gretap",
            "vxlan",
            "wireguard",
        ]),
    ),
    ("local", Text),
    ("remote", Text),
    ("ttl", Number(255)),
    ("key", Opaque),
    ("keys", Opaque),
    ("mark", U32),
    ("port", Number(65_535)),
    ("peers", List(&Keys(&[PEER]))),
    ("id", Number(16_777_215)),
    ("link", Text),
    ("ageing", U32),
    ("aging", U32),
    ("limit", U32),
    ("type-of-service", Number(255)),
    ("flow-label", U32),
    ("do-not-fragment", Text),
    ("short-circuit", Bool),
    ("arp-proxy", Bool),
    ("mac-learning", Bool),
    ("notifications", List(&Word(&["l2-miss", "l3-miss"]))),
    ("checksums", List(&Text)),
    ("extensions", List(&Text)),
    ("port-range", List(&Number(65_535))),
    ("neigh-suppress", Bool),
];

const PEER: &[Key] = &[
    ("endpoint", Text),
    ("allowed-ips", List(&Text)),
    ("keepalive", Number(65_535)),
    ("keys", Opaque),
];

const OVS: &[Key] = &[
    ("external-ids", Named(&Text)),
    ("other-config", Named(&Text)),
    ("lacp", Word(&["active", "passive", "off"])),
    ("fail-mode", Word(&["secure", "standalone"])),
    ("mcast-snooping", Bool),
    ("rstp", Bool),
    ("protocols", List(&Text)),
    ("controller", Keys(&[CONTROLLER])),
];

const CONTROLLER: &[Key] =
    &[("addresses", List(&Text)), ("connection-mode", Word(&["in-band", "out-of-band"]))];

const OVS_GLOBAL: &[Key] = &[("ports", List(&List(&Text))), ("ssl", Opaque)];

/// Checks a `network` mapping against the schema.
pub(super) fn check(found: &mut Findings, network: &Node, unknown: Unknown) {
    Check { found, unknown }.shape(network, &Keys(&[NETWORK]), "network");
}

struct Check<'a> {
    found: &'a mut Findings,
    unknown: Unknown,
}

impl Check<'_> {
    fn shape(&mut self, node: &Node, shape: &Shape, path: &str) {
        // A key with nothing after it says nothing; netplan accepts that everywhere.
        if matches!(node.kind, NodeKind::Null) {
            return;
        }
        match shape {
            Opaque => {}
            Bool => {
                self.found.boolean(node, path);
            }
            Number(most) => {
                if let Some(number) = self.found.expected::<u64>(node, path, "a whole number")
                    && number > *most
                {
                    self.unfit(node, path, format!("{number} is more than {most}"));
                }
            }
            Text => {
                self.found.text(node, path);
            }
            Mac => {
                // Six octets, or the twenty of InfiniBand.
                let full = scalar(node).is_some_and(|text| {
                    let octets: Vec<&str> = text.split(':').collect();
                    matches!(octets.len(), 6 | 20)
                        && octets.iter().all(|octet| {
                            octet.len() == 2 && octet.bytes().all(|byte| byte.is_ascii_hexdigit())
                        })
                });
                if !full {
                    self.unfit(
                        node,
                        path,
                        "expected a MAC address of six two-digit octets".to_owned(),
                    );
                }
            }
            Word(words) => {
                if let Some(text) = self.found.text(node, path)
                    && !words.contains(&text.as_str())
                {
                    self.unfit(node, path, format!("{text:?} is not one of {}", words.join(", ")));
                }
            }
            List(item) => match &node.kind {
                NodeKind::List(items) => self.items(items, item, path),
                _ => self.unfit(node, path, format!("expected a list, found {}", node.noun())),
            },
            OneOrList(item) => match &node.kind {
                NodeKind::List(items) => self.items(items, item, path),
                _ => self.shape(node, item, path),
            },
            Named(value) => match &node.kind {
                NodeKind::Map(entries) => {
                    for (key, node) in entries {
                        self.shape(node, value, &format!("{path}.{}", key.text));
                    }
                }
                _ => self.unfit(node, path, format!("expected a mapping, found {}", node.noun())),
            },
            Keys(tables) => match &node.kind {
                NodeKind::Map(entries) => {
                    for (key, node) in entries {
                        let known = tables
                            .iter()
                            .flat_map(|table| table.iter())
                            .find(|(name, _)| *name == key.text);
                        match known {
                            Some((name, shape)) => {
                                self.shape(node, shape, &format!("{path}.{name}"));
                            }
                            None => self.unknown(key, path),
                        }
                    }
                }
                _ => self.unfit(node, path, format!("expected a mapping, found {}", node.noun())),
            },
            Addresses => self.addresses(node, path),
        }
    }

    fn items(&mut self, items: &[Node], shape: &Shape, path: &str) {
        for (index, item) in items.iter().enumerate() {
            self.shape(item, shape, &format!("{path}[{index}]"));
        }
    }

    fn addresses(&mut self, node: &Node, path: &str) {
        const OPTIONS: &[Key] = &[("label", Text), ("lifetime", Word(&["0", "forever"]))];
        let NodeKind::List(items) = &node.kind else {
            self.unfit(node, path, format!("expected a list, found {}", node.noun()));
            return;
        };
        for (index, item) in items.iter().enumerate() {
            let path = format!("{path}[{index}]");
            match &item.kind {
                NodeKind::Map(_) => self.shape(item, &Named(&Keys(&[OPTIONS])), &path),
                _ => self.shape(item, &Text, &path),
            }
        }
    }

    fn unfit(&mut self, node: &Node, path: &str, message: String) {
        self.found.error(node, path, Code::ValueUnfit, message);
    }

    fn unknown(&mut self, key: &crate::yaml::Key, path: &str) {
        let at = Node { line: key.line, column: key.column, kind: NodeKind::Null };
        match self.unknown {
            Unknown::Refuse => self.found.error(
                &at,
                path,
                Code::UnknownKey,
                format!("netplan does not know the key {:?}", key.text),
            ),
            Unknown::Keep => self.found.warn(
                &at,
                path,
                Code::UnknownKey,
                format!("netplan does not know the key {:?}; it is kept", key.text),
            ),
        }
    }
}
