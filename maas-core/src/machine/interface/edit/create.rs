//! New interfaces.

use maas_netconfig::IfName;

use super::{BondChange, BridgeChange, Node, Settings};
use crate::machine::interface::{Interface, Interfaces, Kind, NetworkFacts, Refusal};

/// The most interfaces that one machine may have.
const MAX_INTERFACES: usize = 512;

impl Interfaces {
    fn check_count(&self) -> Result<(), Refusal> {
        if self.list.len() < MAX_INTERFACES {
            return Ok(());
        }
        Err(Refusal::field(
            "__all__",
            format!("The machine already has {MAX_INTERFACES} interfaces."),
        ))
    }

    pub(super) fn create_physical(
        &mut self,
        settings: &Settings,
        node: Node,
        networks: &NetworkFacts,
    ) -> Result<u64, Refusal> {
        self.check_count()?;
        let mac = settings.mac.ok_or_else(|| Refusal::required("mac_address"))?;
        self.check_mac(mac, None)?;
        let name = match &settings.name {
            Some(name) => name.clone(),
            None => self.free_name().ok_or_else(|| Refusal::required("name"))?,
        };
        let id = self.add(name, Kind::Physical)?;
        if let Some(interface) = self.get_mut(id) {
            interface.mac = Some(mac);
            interface.card.link_connected = true;
            interface.vlan = match node {
                Node::Machine(_) => None,
                Node::Device => networks.default_vlan,
            };
        }
        self.set_common(id, settings)?;
        if let Some(vlan) = settings.vlan {
            self.move_to_vlan(id, vlan, networks)?;
        }
        if matches!(node, Node::Machine(_)) {
            self.ensure_link_up(id);
        }
        Ok(id)
    }

    pub(super) fn create_bond(
        &mut self,
        settings: &Settings,
        networks: &NetworkFacts,
    ) -> Result<u64, Refusal> {
        let params = settings.bond.applied(&BondChange::initial());
        self.create_group(settings, Kind::Bond { parents: Vec::new(), params }, networks)
    }

    pub(super) fn create_bridge(
        &mut self,
        settings: &Settings,
        networks: &NetworkFacts,
    ) -> Result<u64, Refusal> {
        let kind = Kind::Bridge {
            parents: Vec::new(),
            bridge: settings.bridge.kind.unwrap_or_default(),
            params: settings.bridge.applied(&BridgeChange::initial()),
        };
        self.create_group(settings, kind, networks)
    }

    fn create_group(
        &mut self,
        settings: &Settings,
        kind: Kind,
        networks: &NetworkFacts,
    ) -> Result<u64, Refusal> {
        self.check_count()?;
        let name = settings.name.clone().ok_or_else(|| Refusal::required("name"))?;
        let parents = settings.parents.clone().unwrap_or_default();
        let id = self.add(name, kind)?;
        self.set_parents(id, &parents)?;
        let first = parents.first().and_then(|parent| self.by_id(*parent));
        let (mac, vlan) = (
            settings.mac.or_else(|| self.mac_of(first?)),
            settings.vlan.unwrap_or_else(|| first.and_then(|parent| parent.vlan)),
        );
        self.known_mut(id)?.mac = mac;
        self.set_common(id, settings)?;
        self.move_to_vlan(id, vlan, networks)?;
        self.ensure_link_up(id);
        Ok(id)
    }

    pub(super) fn create_vlan(
        &mut self,
        settings: &Settings,
        networks: &NetworkFacts,
    ) -> Result<u64, Refusal> {
        self.check_count()?;
        let &[parent] = settings.parents.as_deref().unwrap_or_default() else {
            return Err(match settings.parents.as_deref() {
                None | Some([]) => {
                    Refusal::field("parents", "A VLAN interface must have exactly one parent.")
                }
                Some(_) => Refusal::field("parents", "A VLAN interface can have only one parent."),
            });
        };
        let vlan = settings.vlan.flatten().ok_or_else(|| Refusal::required("vlan"))?;
        let vid = networks.vlans.get(&vlan).ok_or_else(|| Refusal::no_choice("vlan"))?.vid;
        let name = match &settings.name {
            Some(name) => name.clone(),
            None => {
                let parent = self.by_id(parent).ok_or_else(|| Refusal::no_choice("parents"))?;
                IfName::new(format!("{}.{vid}", parent.name)).map_err(|_| {
                    Refusal::field("name", "The name PARENT.VID is too long; give another.")
                })?
            }
        };
        let id = self.add(name, Kind::Vlan { parent })?;
        if settings.mac.is_some() {
            return Err(Refusal::field("mac_address", "A VLAN interface has its parent's."));
        }
        self.set_common(id, settings)?;
        self.set_tag_and_parent(id, vlan, parent, networks)?;
        self.ensure_link_up(id);
        Ok(id)
    }

    fn add(&mut self, name: IfName, kind: Kind) -> Result<u64, Refusal> {
        self.check_name(&name, None)?;
        let id = self.next_id();
        self.list.push(Interface::new(id, name, kind));
        Ok(id)
    }
}
