//! Changes of one interface.

use super::{Settings, check_tag};
use crate::machine::interface::{Interfaces, Kind, NetworkFacts, Refusal};

impl Interfaces {
    pub(super) fn update(
        &mut self,
        id: u64,
        settings: &Settings,
        networks: &NetworkFacts,
    ) -> Result<(), Refusal> {
        let interface = self.known(id)?;
        let enabled = self.is_enabled(interface);
        if !interface.is_physical() && settings.enabled.is_some_and(|wanted| wanted != enabled) {
            return Err(Refusal::field(
                "enabled",
                "Only a physical interface has a switch: enable or disable the cards below.",
            ));
        }
        if let Some(name) = &settings.name {
            self.check_name(name, Some(id))?;
            self.known_mut(id)?.name = name.clone();
        }
        self.set_mac(id, settings)?;
        self.set_common(id, settings)?;
        match &self.known(id)?.kind {
            Kind::Physical => {
                if settings.parents.as_ref().is_some_and(|parents| !parents.is_empty()) {
                    return Err(Refusal::field("parents", "A physical interface has none."));
                }
            }
            Kind::Bond { .. } | Kind::Bridge { .. } => {
                if let Some(parents) = &settings.parents {
                    self.set_parents(id, parents)?;
                }
                let vlan = self.known(id)?.vlan;
                match &mut self.known_mut(id)?.kind {
                    Kind::Bond { params, .. } => *params = settings.bond.applied(params),
                    Kind::Bridge { bridge, params, .. } => {
                        *bridge = settings.bridge.kind.unwrap_or(*bridge);
                        *params = settings.bridge.applied(params);
                    }
                    Kind::Physical | Kind::Vlan { .. } => {}
                }
                return self.move_to_vlan(id, settings.vlan.unwrap_or(vlan), networks);
            }
            Kind::Vlan { parent } => {
                let parent = match settings.parents.as_deref() {
                    None => *parent,
                    Some(&[one]) => one,
                    Some(_) => {
                        return Err(Refusal::field(
                            "parents",
                            "A VLAN interface must have exactly one parent.",
                        ));
                    }
                };
                let vlan = settings.vlan.unwrap_or(self.known(id)?.vlan);
                let vlan = vlan.ok_or_else(|| Refusal::required("vlan"))?;
                return self.set_tag_and_parent(id, vlan, parent, networks);
            }
        }
        let Some(vlan) = settings.vlan else { return Ok(()) };
        if vlan != self.known(id)?.vlan
            && let Some(group) = self.group_of(id)
        {
            return Err(Refusal::field(
                "vlan",
                format!("It is a member of {}; change the VLAN there.", group.name),
            ));
        }
        self.move_to_vlan(id, vlan, networks)
    }

    fn set_mac(&mut self, id: u64, settings: &Settings) -> Result<(), Refusal> {
        let Some(mac) = settings.mac else { return Ok(()) };
        let interface = self.known(id)?;
        match interface.kind {
            Kind::Physical => self.check_mac(mac, Some(id))?,
            Kind::Vlan { .. } if self.mac_of(interface) == Some(mac) => return Ok(()),
            Kind::Vlan { .. } => {
                return Err(Refusal::field("mac_address", "A VLAN interface has its parent's."));
            }
            Kind::Bond { .. } | Kind::Bridge { .. } if mac.is_multicast() => {
                return Err(Refusal::field("mac_address", format!("{mac} is a group address.")));
            }
            Kind::Bond { .. } | Kind::Bridge { .. } => {}
        }
        self.known_mut(id)?.mac = Some(mac);
        Ok(())
    }

    /// What is the same for every kind, new or old.
    pub(super) fn set_common(&mut self, id: u64, settings: &Settings) -> Result<(), Refusal> {
        for tag in settings.tags.iter().flatten() {
            check_tag("tags", tag)?;
        }
        let interface = self.known_mut(id)?;
        if let Some(tags) = &settings.tags {
            interface.tags.clone_from(tags);
        }
        if let Some(mtu) = settings.mtu {
            interface.mtu = mtu;
        }
        if let Some(accept_ra) = settings.accept_ra {
            interface.accept_ra = accept_ra;
        }
        if interface.is_physical()
            && let Some(enabled) = settings.enabled
        {
            interface.enabled = enabled;
        }
        let card = &mut interface.card;
        if let Some(numa_node) = settings.numa_node {
            card.numa_node = numa_node;
        }
        if let Some(speed) = settings.interface_speed {
            card.interface_speed = speed;
        }
        if let Some(connected) = settings.link_connected {
            card.link_connected = connected;
            if !connected && settings.link_speed.is_none() {
                card.link_speed = 0;
            }
        }
        if let Some(speed) = settings.link_speed {
            if speed > 0 && !card.link_connected {
                return Err(Refusal::field(
                    "link_speed",
                    "A link that is not connected has no speed.",
                ));
            }
            if card.interface_speed > 0 && speed > card.interface_speed {
                return Err(Refusal::field(
                    "link_speed",
                    "The link cannot be faster than the interface.",
                ));
            }
            card.link_speed = speed;
        }
        Ok(())
    }
}
