//! Changes of the configuration: each is made as a whole or refused by name.

mod create;
mod group;
mod link;
mod update;

use std::collections::BTreeSet;
use std::net::IpAddr;

use maas_netconfig::model::{BondParams, BridgeKind, BridgeParams};
use maas_netconfig::{IfName, Mac, Mtu};

use super::{Interface, Interfaces, Kind, LinkMode, NetworkFacts, Refusal};
use crate::machine::Status;

/// Whose interfaces they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Node {
    /// A machine in this status.
    Machine(Status),
    /// A device: only physical interfaces, only STATIC links.
    Device,
}

/// What every interface can be told; `None` leaves it as it is, or at its default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// The name.
    pub name: Option<IfName>,
    /// The hardware address.
    pub mac: Option<Mac>,
    /// The number of the VLAN; `Some(None)` disconnects.
    pub vlan: Option<Option<u64>>,
    /// All tags.
    pub tags: Option<BTreeSet<String>>,
    /// The MTU; `Some(None)` takes the VLAN's.
    pub mtu: Option<Option<Mtu>>,
    /// Whether router advertisements are accepted; `Some(None)` leaves it to the system.
    pub accept_ra: Option<Option<bool>>,
    /// The switch of a physical interface.
    pub enabled: Option<bool>,
    /// Whether the link has a carrier.
    pub link_connected: Option<bool>,
    /// Mbit/s.
    pub interface_speed: Option<u32>,
    /// Mbit/s.
    pub link_speed: Option<u32>,
    /// The NUMA node of the card.
    pub numa_node: Option<u32>,
    /// The numbers of the interfaces below; a VLAN has exactly one.
    pub parents: Option<Vec<u64>>,
    /// A bond's changed parameters.
    pub bond: BondChange,
    /// A bridge's changed parameters.
    pub bridge: BridgeChange,
}

/// The parameters of a bond that the API knows; `None` leaves one as it is, or at MAAS's default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the fields are those of `BondParams`")]
pub struct BondChange {
    pub mode: Option<maas_netconfig::model::BondMode>,
    pub miimon: Option<u32>,
    pub downdelay: Option<u32>,
    pub updelay: Option<u32>,
    pub num_grat_arp: Option<u8>,
    pub lacp_rate: Option<maas_netconfig::model::LacpRate>,
    pub xmit_hash_policy: Option<maas_netconfig::model::XmitHashPolicy>,
}

impl BondChange {
    /// The parameters with these changes. Only the ones that the mode uses are kept besides those
    /// that MAAS always has.
    #[must_use]
    pub fn applied(self, before: &BondParams) -> BondParams {
        BondParams {
            mode: self.mode.unwrap_or(before.mode),
            miimon: self.miimon.or(before.miimon),
            downdelay: self.downdelay.or(before.downdelay),
            updelay: self.updelay.or(before.updelay),
            num_grat_arp: self.num_grat_arp.or(before.num_grat_arp),
            lacp_rate: self.lacp_rate.or(before.lacp_rate),
            xmit_hash_policy: self.xmit_hash_policy.or(before.xmit_hash_policy),
            ..before.clone()
        }
    }

    /// What a bond has on creation where nothing is said (`netconfig.md` §1.2).
    #[must_use]
    pub fn initial() -> BondParams {
        use maas_netconfig::model::{BondMode, LacpRate, XmitHashPolicy};
        BondParams {
            miimon: Some(100),
            downdelay: Some(0),
            updelay: Some(0),
            num_grat_arp: Some(1),
            lacp_rate: Some(LacpRate::Fast),
            xmit_hash_policy: Some(XmitHashPolicy::Layer2),
            ..BondParams::new(BondMode::BalanceRr)
        }
    }
}

/// The parameters of a bridge that the API knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the fields are those of `BridgeParams`")]
pub struct BridgeChange {
    pub kind: Option<BridgeKind>,
    pub stp: Option<bool>,
    pub forward_delay: Option<u32>,
}

impl BridgeChange {
    /// The parameters with these changes.
    #[must_use]
    pub fn applied(self, before: &BridgeParams) -> BridgeParams {
        BridgeParams {
            stp: self.stp.or(before.stp),
            forward_delay: self.forward_delay.or(before.forward_delay),
            ..before.clone()
        }
    }

    /// What a bridge has on creation where nothing is said.
    #[must_use]
    pub fn initial() -> BridgeParams {
        BridgeParams { stp: Some(false), forward_delay: Some(15), ..BridgeParams::default() }
    }
}

/// A wanted link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewLink {
    /// How it gets its address.
    pub mode: LinkMode,
    /// The number of the subnet.
    pub subnet: Option<u64>,
    /// The address of a STATIC link; `None` leaves the choice to the caller
    /// ([`Interfaces::without_address`] names it then).
    pub ip: Option<IpAddr>,
    /// Whether its subnet's router becomes the default gateway.
    pub default_gateway: Chosen,
    /// Whether other links, and the interface's VLAN, give way.
    pub force: Force,
}

/// Whether a link is chosen for the default gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Chosen {
    Yes,
    #[default]
    No,
}

/// Whether what is in the way gives way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Force {
    Yes,
    #[default]
    No,
}

/// One change.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Edit {
    /// Adds a port of a card.
    CreatePhysical(Settings),
    /// Makes one link of several ports.
    CreateBond(Settings),
    /// Adds a software switch.
    CreateBridge(Settings),
    /// Adds a tagged VLAN on an interface.
    CreateVlan(Settings),
    /// Changes an interface.
    Update {
        /// Its number.
        id: u64,
        /// What changes.
        settings: Box<Settings>,
    },
    /// Removes an interface, and those that would be left without a parent.
    Delete {
        /// Its number.
        id: u64,
    },
    /// Adds a tag.
    AddTag {
        /// The interface's number.
        id: u64,
        /// The tag.
        tag: String,
    },
    /// Removes a tag.
    RemoveTag {
        /// The interface's number.
        id: u64,
        /// The tag.
        tag: String,
    },
    /// Adds a link.
    LinkSubnet {
        /// The interface's number.
        id: u64,
        /// The link.
        link: NewLink,
    },
    /// Removes a link.
    UnlinkSubnet {
        /// The interface's number.
        id: u64,
        /// The link's number.
        link: u64,
    },
    /// Removes all links and the VLAN.
    Disconnect {
        /// The interface's number.
        id: u64,
    },
    /// Chooses the default gateway of each address family that the link, or the interface, has.
    SetDefaultGateway {
        /// The interface's number.
        id: u64,
        /// The link's number; any of the interface's when not given.
        link: Option<u64>,
    },
    /// Chooses the default gateways automatically again.
    ClearDefaultGateways,
}

impl Edit {
    /// The word in the sentence of a refusal by status.
    const fn action(&self) -> &'static str {
        match self {
            Self::CreatePhysical(_)
            | Self::CreateBond(_)
            | Self::CreateBridge(_)
            | Self::CreateVlan(_) => "create",
            Self::Update { .. } => "update",
            Self::Delete { .. } => "delete",
            Self::AddTag { .. } => "add tag",
            Self::RemoveTag { .. } => "remove tag",
            Self::LinkSubnet { .. } => "link subnet",
            Self::UnlinkSubnet { .. } => "unlink subnet",
            Self::Disconnect { .. } => "disconnect",
            Self::SetDefaultGateway { .. } => "set default gateway",
            Self::ClearDefaultGateways => "clear default gateways",
        }
    }

    fn check_node(&self, node: Node) -> Result<(), Refusal> {
        use Status::{Allocated, Broken, FailedTesting, New, Ready};
        match node {
            // Wherever it stands: only the next deployment sees it (`api.md` §1.3).
            Node::Machine(_) if matches!(self, Self::ClearDefaultGateways) => Ok(()),
            Node::Machine(New | Ready | FailedTesting | Allocated | Broken) => Ok(()),
            Node::Machine(_) => Err(Refusal::WrongStatus { action: self.action() }),
            Node::Device => match self {
                Self::CreateBond(_) | Self::CreateBridge(_) | Self::CreateVlan(_) => {
                    Err(Refusal::NotForDevices { what: "No Machine matches the given query." })
                }
                Self::LinkSubnet { link, .. } if link.mode != LinkMode::Static => {
                    Err(Refusal::field("mode", "A device has only STATIC links."))
                }
                _ => Ok(()),
            },
        }
    }
}

impl Interfaces {
    /// The interfaces after a change, and the number of the one that it is about.
    ///
    /// # Errors
    ///
    /// [`Refusal`]; it names the field to blame.
    pub fn edit(
        &self,
        edit: &Edit,
        node: Node,
        networks: &NetworkFacts,
    ) -> Result<(Self, Option<u64>), Refusal> {
        edit.check_node(node)?;
        let mut after = self.clone();
        let id = match edit {
            Edit::CreatePhysical(settings) => {
                Some(after.create_physical(settings, node, networks)?)
            }
            Edit::CreateBond(settings) => Some(after.create_bond(settings, networks)?),
            Edit::CreateBridge(settings) => Some(after.create_bridge(settings, networks)?),
            Edit::CreateVlan(settings) => Some(after.create_vlan(settings, networks)?),
            Edit::Update { id, settings } => {
                after.update(*id, settings, networks)?;
                Some(*id)
            }
            Edit::Delete { id } => {
                after.known(*id)?;
                after.delete(*id);
                None
            }
            Edit::AddTag { id, tag } => {
                check_tag("tag", tag)?;
                after.known_mut(*id)?.tags.insert(tag.clone());
                Some(*id)
            }
            Edit::RemoveTag { id, tag } => {
                after.known_mut(*id)?.tags.remove(tag);
                Some(*id)
            }
            Edit::LinkSubnet { id, link } => {
                after.link_subnet(*id, *link, networks)?;
                Some(*id)
            }
            Edit::UnlinkSubnet { id, link } => {
                after.unlink_subnet(*id, *link)?;
                Some(*id)
            }
            Edit::Disconnect { id } => {
                after.disconnect(*id)?;
                Some(*id)
            }
            Edit::SetDefaultGateway { id, link } => {
                after.set_default_gateway(*id, *link, networks)?;
                Some(*id)
            }
            Edit::ClearDefaultGateways => {
                after.gateways = super::GatewayLinks::default();
                None
            }
        };
        after.list.sort_by_key(|interface| interface.id);
        after.tidy();
        self.check_rendering(&after, networks)?;
        Ok((after, id))
    }

    /// Refuses what no renderer takes, whatever rule above was missing: a mistake that the
    /// network did not have before.
    fn check_rendering(&self, after: &Self, networks: &NetworkFacts) -> Result<(), Refusal> {
        let errors = |it: &Self| -> Vec<String> {
            let found = it.network(None, "", networks).validate();
            found.iter().filter(|one| one.is_error()).map(ToString::to_string).collect()
        };
        let found = errors(after);
        if found.is_empty() {
            return Ok(());
        }
        let before = errors(self);
        match found.into_iter().find(|error| !before.contains(error)) {
            Some(new) => Err(Refusal::field("__all__", new)),
            None => Ok(()),
        }
    }

    fn known(&self, id: u64) -> Result<&Interface, Refusal> {
        self.by_id(id).ok_or(Refusal::NoInterface)
    }

    fn known_mut(&mut self, id: u64) -> Result<&mut Interface, Refusal> {
        self.get_mut(id).ok_or(Refusal::NoInterface)
    }

    fn check_name(&self, name: &IfName, but: Option<u64>) -> Result<(), Refusal> {
        match self.by_name(name.as_str()) {
            Some(other) if Some(other.id) != but => Err(Refusal::field(
                "name",
                format!("The machine already has an interface named '{name}'."),
            )),
            _ => Ok(()),
        }
    }

    fn check_mac(&self, mac: Mac, but: Option<u64>) -> Result<(), Refusal> {
        if mac.is_multicast() {
            return Err(Refusal::field("mac_address", format!("{mac} is a group address.")));
        }
        match self.by_mac(mac) {
            Some(other) if Some(other.id) != but => Err(Refusal::field(
                "mac_address",
                format!("This MAC address is already in use by {}.", other.name),
            )),
            _ => Ok(()),
        }
    }

    /// Follows a VLAN that was deleted, whatever the node's status: interfaces that carried its tag
    /// go with it, those that were plugged into it are plugged into `instead`. Says whether there
    /// were any (MAAS `manage_connected_interfaces`).
    pub fn leave_vlan(&mut self, vlan: u64, instead: Option<u64>) -> bool {
        let here = |interface: &&Interface| interface.vlan == Some(vlan);
        let ids: Vec<u64> = self.list.iter().filter(here).map(|interface| interface.id).collect();
        for id in &ids {
            match self.get_mut(*id) {
                Some(Interface { kind: Kind::Vlan { .. }, .. }) => self.delete(*id),
                Some(interface) => interface.vlan = instead,
                // Gone with the one that it was built on.
                None => {}
            }
        }
        !ids.is_empty()
    }

    fn delete(&mut self, id: u64) {
        let Some(at) = self.list.iter().position(|interface| interface.id == id) else { return };
        let gone = self.list.remove(at);
        let children: Vec<u64> = self.children(id).map(|child| child.id).collect();
        for child in children {
            let orphan = match self.get_mut(child).map(|child| &mut child.kind) {
                Some(Kind::Bond { parents, .. } | Kind::Bridge { parents, .. }) => {
                    parents.retain(|parent| *parent != id);
                    parents.is_empty()
                }
                Some(Kind::Vlan { .. }) => true,
                Some(Kind::Physical) | None => false,
            };
            if orphan {
                self.delete(child);
            }
        }
        for parent in gone.kind.parents() {
            self.ensure_link_up(*parent);
        }
    }
}

fn check_tag(field: &'static str, tag: &str) -> Result<(), Refusal> {
    let legal = (1..=256).contains(&tag.len())
        && tag.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',');
    if legal { Ok(()) } else { Err(Refusal::field(field, format!("Invalid tag name: '{tag}'."))) }
}
