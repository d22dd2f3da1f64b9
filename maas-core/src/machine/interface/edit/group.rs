//! What is built on what: members of bonds and bridges, carriers of VLANs, and the VLAN that all
//! of them are plugged into.

use crate::machine::interface::{Interfaces, Kind, NetworkFacts, Refusal};

impl Interfaces {
    /// Makes these the members of a bond or a bridge: their links go, and those that are left out
    /// are on their own again.
    pub(super) fn set_parents(&mut self, id: u64, parents: &[u64]) -> Result<(), Refusal> {
        let group = self.known(id)?;
        let is_bond = matches!(group.kind, Kind::Bond { .. });
        let before = group.kind.parents().to_vec();
        if parents.is_empty() {
            return Err(Refusal::field(
                "parents",
                format!("A {} needs at least one parent.", group.kind.word()),
            ));
        }
        let mut vlans = Vec::new();
        for (at, parent) in parents.iter().enumerate() {
            let found = self.by_id(*parent).ok_or_else(|| Refusal::no_choice("parents"))?;
            let refuse = |text: String| Err(Refusal::field("parents", text));
            if *parent == id || parents[..at].contains(parent) {
                return refuse(format!("'{}' is given twice.", found.name));
            }
            if is_bond && !found.is_physical() {
                return refuse(format!("'{}' is not physical: only cards are bonded.", found.name));
            }
            if matches!(found.kind, Kind::Bridge { .. }) {
                return refuse(format!("'{}' is a bridge.", found.name));
            }
            if self.is_below(*parent, id) {
                return refuse(format!("'{}' is built on this interface.", found.name));
            }
            if let Some(other) = self.children(*parent).find(|child| {
                child.id != id && (is_bond || !matches!(child.kind, Kind::Vlan { .. }))
            }) {
                return refuse(format!(
                    "Interfaces already in use: {} (by {}).",
                    found.name, other.name
                ));
            }
            vlans.push(found.vlan);
        }
        if is_bond && vlans.windows(2).any(|pair| pair[0] != pair[1]) {
            return Err(Refusal::field("parents", "All parents must belong to the same VLAN."));
        }
        match &mut self.known_mut(id)?.kind {
            Kind::Bond { parents: slot, .. } | Kind::Bridge { parents: slot, .. } => {
                *slot = parents.to_vec();
            }
            Kind::Physical | Kind::Vlan { .. } => {
                return Err(Refusal::field("parents", "This interface cannot have these."));
            }
        }
        for parent in parents {
            self.known_mut(*parent)?.links.clear();
        }
        for freed in before.iter().filter(|id| !parents.contains(id)) {
            self.ensure_link_up(*freed);
        }
        Ok(())
    }

    /// Whether `upper` is built on `lower`, directly or not.
    fn is_below(&self, upper: u64, lower: u64) -> bool {
        let Some(interface) = self.by_id(upper) else { return false };
        interface.kind.parents().iter().any(|it| *it == lower || self.is_below(*it, lower))
    }

    /// Plugs an interface into a VLAN, with all that it is made of; links to subnets elsewhere
    /// are removed.
    pub(super) fn move_to_vlan(
        &mut self,
        id: u64,
        vlan: Option<u64>,
        networks: &NetworkFacts,
    ) -> Result<(), Refusal> {
        let interface = self.known(id)?;
        if let Some(vlan) = vlan
            && !networks.vlans.contains_key(&vlan)
        {
            return Err(Refusal::no_choice("vlan"));
        }
        if let Kind::Vlan { parent } = interface.kind {
            let vlan = vlan.ok_or_else(|| Refusal::required("vlan"))?;
            return self.set_tag_and_parent(id, vlan, parent, networks);
        }
        let parents = interface.kind.parents().to_vec();
        for parent in &parents {
            let below = self.known(*parent)?;
            if below.vlan == vlan {
                continue;
            }
            if matches!(below.kind, Kind::Vlan { .. }) {
                return Err(Refusal::field(
                    "vlan",
                    format!("'{}' below it carries another VLAN.", below.name),
                ));
            }
            self.move_to_vlan(*parent, vlan, networks)?;
        }
        self.put_into(id, vlan, networks);
        // A carried VLAN must stay in the fabric that its carrier is plugged into.
        let fabric =
            |vlan: Option<u64>| vlan.and_then(|id| networks.vlans.get(&id)).map(|v| v.fabric);
        if let Some(ours) = fabric(vlan)
            && let Some(child) = self.children(id).find(|child| {
                matches!(child.kind, Kind::Vlan { .. })
                    && fabric(child.vlan).is_some_and(|theirs| theirs != ours)
            })
        {
            return Err(Refusal::field(
                "vlan",
                format!("'{}' on it carries a VLAN of another fabric.", child.name),
            ));
        }
        // Bridges on it are plugged into what it is plugged into.
        let above: Vec<u64> = self
            .children(id)
            .filter(|child| !matches!(child.kind, Kind::Vlan { .. }) && child.vlan != vlan)
            .filter(|child| child.kind.parents() == [id])
            .map(|child| child.id)
            .collect();
        for child in above {
            self.put_into(child, vlan, networks);
        }
        Ok(())
    }

    fn put_into(&mut self, id: u64, vlan: Option<u64>, networks: &NetworkFacts) {
        let in_group = self.group_of(id).is_some();
        if let Some(interface) = self.get_mut(id)
            && interface.vlan != vlan
        {
            interface.vlan = vlan;
            interface.links.retain(|link| {
                link.subnet.is_none_or(|subnet| {
                    networks.subnets.get(&subnet).is_some_and(|it| Some(it.vlan) == vlan)
                })
            });
            if vlan.is_none() || in_group {
                interface.links.clear();
            }
        }
        self.ensure_link_up(id);
    }

    /// Makes a VLAN interface carry this VLAN on this parent.
    pub(super) fn set_tag_and_parent(
        &mut self,
        id: u64,
        vlan: u64,
        parent: u64,
        networks: &NetworkFacts,
    ) -> Result<(), Refusal> {
        let facts = networks.vlans.get(&vlan).ok_or_else(|| Refusal::no_choice("vlan"))?;
        if facts.vid.number() == 0 {
            return Err(Refusal::field("vlan", "A VLAN interface can only carry a tagged VLAN."));
        }
        let below = self.by_id(parent).ok_or_else(|| Refusal::no_choice("parents"))?;
        let refuse = |text: String| Err(Refusal::field("parents", text));
        if parent == id || self.is_below(parent, id) {
            return refuse(format!("'{}' is built on this interface.", below.name));
        }
        if matches!(below.kind, Kind::Vlan { .. }) {
            return refuse(format!("'{}' is a VLAN interface itself.", below.name));
        }
        if let Some(bond) = self.group_of(parent).filter(|it| matches!(it.kind, Kind::Bond { .. }))
        {
            return refuse(format!(
                "'{}' is a member of {}; put the VLAN on that.",
                below.name, bond.name
            ));
        }
        let fabric = below.vlan.and_then(|id| networks.vlans.get(&id)).map(|it| it.fabric);
        match fabric {
            Some(fabric) if fabric == facts.fabric => {}
            Some(_) => {
                return Err(Refusal::field(
                    "vlan",
                    format!("The VLAN is not in the fabric of '{}'.", below.name),
                ));
            }
            None => {
                return refuse(format!("'{}' is not connected: set its VLAN first.", below.name));
            }
        }
        let same_tag =
            |other: &u64| networks.vlans.get(other).is_some_and(|it| it.vid == facts.vid);
        if let Some(other) = self.children(parent).find(|child| {
            child.id != id
                && matches!(child.kind, Kind::Vlan { .. })
                && child.vlan.as_ref().is_some_and(same_tag)
        }) {
            return Err(Refusal::field(
                "vlan",
                format!("'{}' already carries VLAN {} on it.", other.name, facts.vid),
            ));
        }
        self.known_mut(id)?.kind = Kind::Vlan { parent };
        self.put_into(id, Some(vlan), networks);
        Ok(())
    }
}
