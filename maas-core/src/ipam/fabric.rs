//! Fabrics, VLANs and spaces: the layer 2 part.

use super::model::{Fabric, Networks, RangeKind, Space, Vlan};
use super::refusal::Refusal;
use super::{DEFAULT_FABRIC, NO_SPACE, Table};

/// The longest name of a fabric, VLAN, space or subnet, in characters.
const LONGEST_NAME: usize = 256;

impl Networks {
    /// All fabrics.
    #[must_use]
    pub const fn fabrics(&self) -> &Table<Fabric> {
        &self.fabrics
    }

    /// All VLANs.
    #[must_use]
    pub const fn vlans(&self) -> &Table<Vlan> {
        &self.vlans
    }

    /// All spaces, without the one of everything that is in none.
    #[must_use]
    pub const fn spaces(&self) -> &Table<Space> {
        &self.spaces
    }

    /// The VLANs of a fabric.
    pub fn vlans_of(&self, fabric_id: u64) -> impl Iterator<Item = (u64, &Vlan)> {
        self.vlans.iter().filter(move |(_, vlan)| vlan.fabric_id == fabric_id)
    }

    /// The VLAN that a fabric started with: it stays as long as the fabric.
    #[must_use]
    pub fn default_vlan(&self, fabric_id: u64) -> Option<u64> {
        self.vlans_of(fabric_id).map(|(id, _)| id).min()
    }

    /// The VLAN of a fabric with this tag.
    #[must_use]
    pub fn vlan_by_vid(&self, fabric_id: u64, vid: u16) -> Option<u64> {
        self.vlans_of(fabric_id).find(|(_, vlan)| vlan.vid.number() == vid).map(|(id, _)| id)
    }

    /// The name of a VLAN's space, `undefined` for none.
    #[must_use]
    pub fn space_name(&self, vlan_id: u64) -> &str {
        self.vlans
            .get(vlan_id)
            .and_then(|vlan| self.spaces.get(vlan.space_id?))
            .map_or(NO_SPACE, |space| &space.name)
    }

    /// Adds a fabric with its untagged VLAN.
    ///
    /// # Errors
    ///
    /// [`Refusal::Field`] for a name that is taken or no name.
    pub fn add_fabric(&mut self, mut fabric: Fabric) -> Result<u64, Refusal> {
        if fabric.name.is_empty() {
            fabric.name = format!("fabric-{}", self.fabrics.next());
        }
        self.check_fabric(None, &fabric)?;
        let id = self.fabrics.push(fabric);
        self.vlans.push(Vlan::untagged(id));
        Ok(id)
    }

    /// Replaces a fabric.
    ///
    /// # Errors
    ///
    /// As [`Networks::add_fabric`]; [`Refusal::NotFound`].
    pub fn set_fabric(&mut self, id: u64, fabric: Fabric) -> Result<(), Refusal> {
        self.check_fabric(Some(id), &fabric)?;
        found(self.fabrics.set(id, fabric), "Fabric")
    }

    /// Removes a fabric with its VLANs.
    ///
    /// # Errors
    ///
    /// [`Refusal::InUse`] for the first fabric and for one with subnets.
    pub fn remove_fabric(&mut self, id: u64) -> Result<(), Refusal> {
        found(self.fabrics.get(id).is_some(), "Fabric")?;
        if id == DEFAULT_FABRIC {
            return Err(Refusal::in_use("This is the default fabric, it cannot be deleted."));
        }
        let vlans: Vec<u64> = self.vlans_of(id).map(|(id, _)| id).collect();
        self.without_subnets("fabric", &vlans)?;
        for vlan in vlans {
            self.drop_vlan(vlan);
        }
        self.fabrics.remove(id);
        Ok(())
    }

    fn check_fabric(&self, id: Option<u64>, fabric: &Fabric) -> Result<(), Refusal> {
        check_name(&fabric.name)?;
        let taken = self
            .fabrics
            .iter()
            .any(|(other, row)| Some(other) != id && row.name.eq_ignore_ascii_case(&fabric.name));
        if taken {
            return Err(Refusal::field("name", "Fabric with this Name already exists."));
        }
        Ok(())
    }

    /// Adds a VLAN.
    ///
    /// # Errors
    ///
    /// [`Refusal::Field`] for a tag that the fabric has already, for a fabric, space or relay VLAN
    /// that is not there, and for DHCP without a dynamic range.
    pub fn add_vlan(&mut self, mut vlan: Vlan) -> Result<u64, Refusal> {
        if vlan.name.is_empty() {
            vlan.name = vlan.vid.to_string();
        }
        self.check_vlan(None, &vlan)?;
        Ok(self.vlans.push(vlan))
    }

    /// Replaces a VLAN.
    ///
    /// # Errors
    ///
    /// As [`Networks::add_vlan`]; [`Refusal::NotFound`].
    pub fn set_vlan(&mut self, id: u64, vlan: Vlan) -> Result<(), Refusal> {
        let old = self.vlans.get(id).ok_or(Refusal::not_found("VLAN"))?;
        if old.fabric_id != vlan.fabric_id && self.default_vlan(old.fabric_id) == Some(id) {
            return Err(Refusal::field(
                "fabric",
                "This VLAN is the default VLAN in the fabric, it cannot be moved.",
            ));
        }
        self.check_vlan(Some(id), &vlan)?;
        found(self.vlans.set(id, vlan), "VLAN")
    }

    /// Removes a VLAN.
    ///
    /// # Errors
    ///
    /// [`Refusal::InUse`] for a fabric's default VLAN and for one with subnets.
    pub fn remove_vlan(&mut self, id: u64) -> Result<(), Refusal> {
        let vlan = self.vlans.get(id).ok_or(Refusal::not_found("VLAN"))?;
        if self.default_vlan(vlan.fabric_id) == Some(id) {
            return Err(Refusal::in_use(
                "This VLAN is the default VLAN in the fabric, it cannot be deleted.",
            ));
        }
        self.without_subnets("VLAN", &[id])?;
        self.drop_vlan(id);
        Ok(())
    }

    fn check_vlan(&self, id: Option<u64>, vlan: &Vlan) -> Result<(), Refusal> {
        check_name(&vlan.name)?;
        if self.fabrics.get(vlan.fabric_id).is_none() {
            return Err(Refusal::field("fabric", "There is no such fabric."));
        }
        let same = self.vlan_by_vid(vlan.fabric_id, vlan.vid.number());
        if same.is_some() && same != id {
            return Err(Refusal::field(
                "vid",
                "A VLAN with the specified VID already exists in the destination fabric.",
            ));
        }
        if vlan.space_id.is_some_and(|space| self.spaces.get(space).is_none()) {
            return Err(Refusal::field("space", "There is no such space."));
        }
        if let Some(relay) = vlan.relay_vlan {
            if vlan.dhcp_on {
                return Err(Refusal::field(
                    "relay_vlan",
                    "'relay_vlan' cannot be set when dhcp is on.",
                ));
            }
            if self.vlans.get(relay).is_none() || Some(relay) == id {
                return Err(Refusal::field("relay_vlan", "There is no such other VLAN."));
            }
        }
        let was_on = id.and_then(|id| self.vlans.get(id)).is_some_and(|vlan| vlan.dhcp_on);
        if vlan.dhcp_on && !was_on && id.is_none_or(|id| !self.has_dynamic_range(id)) {
            return Err(Refusal::field(
                "dhcp_on",
                "dhcp can only be turned on when a dynamic IP range is defined.",
            ));
        }
        Ok(())
    }

    /// Whether a subnet of the VLAN has a dynamic range.
    #[must_use]
    pub fn has_dynamic_range(&self, vlan_id: u64) -> bool {
        self.ip_ranges.iter().any(|(_, range)| {
            range.kind == RangeKind::Dynamic
                && self.subnets.get(range.subnet_id).is_some_and(|one| one.vlan_id == vlan_id)
        })
    }

    fn without_subnets(&self, what: &str, vlans: &[u64]) -> Result<(), Refusal> {
        let subnets: Vec<&str> = self
            .subnets
            .iter()
            .filter(|(_, subnet)| vlans.contains(&subnet.vlan_id))
            .map(|(_, subnet)| subnet.name.as_str())
            .collect();
        if subnets.is_empty() {
            return Ok(());
        }
        Err(Refusal::in_use(format!(
            "Can't delete {what}; the following subnets are still present: {}",
            subnets.join(", ")
        )))
    }

    fn drop_vlan(&mut self, id: u64) {
        self.vlans.remove(id);
        for vlan in self.vlans.values_mut().filter(|vlan| vlan.relay_vlan == Some(id)) {
            vlan.relay_vlan = None;
        }
    }

    /// Adds a space.
    ///
    /// # Errors
    ///
    /// [`Refusal::Field`] for a name that is taken or no name.
    pub fn add_space(&mut self, mut space: Space) -> Result<u64, Refusal> {
        if space.name.is_empty() {
            space.name = format!("space-{}", self.spaces.next());
        }
        self.check_space(None, &space)?;
        Ok(self.spaces.push(space))
    }

    /// Replaces a space.
    ///
    /// # Errors
    ///
    /// As [`Networks::add_space`]; [`Refusal::NotFound`].
    pub fn set_space(&mut self, id: u64, space: Space) -> Result<(), Refusal> {
        self.check_space(Some(id), &space)?;
        found(self.spaces.set(id, space), "Space")
    }

    /// Removes a space; its VLANs are in none afterwards.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotFound`].
    pub fn remove_space(&mut self, id: u64) -> Result<(), Refusal> {
        found(self.spaces.remove(id).is_some(), "Space")?;
        for vlan in self.vlans.values_mut().filter(|vlan| vlan.space_id == Some(id)) {
            vlan.space_id = None;
        }
        Ok(())
    }

    fn check_space(&self, id: Option<u64>, space: &Space) -> Result<(), Refusal> {
        check_name(&space.name)?;
        let taken = self
            .spaces
            .iter()
            .any(|(other, row)| Some(other) != id && row.name.eq_ignore_ascii_case(&space.name));
        if taken || space.name.eq_ignore_ascii_case(NO_SPACE) {
            return Err(Refusal::field("name", "Space with this Name already exists."));
        }
        Ok(())
    }

    /// The space with this number or name; `Some(None)` for the space of what is in none.
    #[must_use]
    pub fn space_named(&self, text: &str) -> Option<Option<u64>> {
        if text.is_empty() || text == NO_SPACE || text == "-1" {
            return Some(None);
        }
        let by_name = self.spaces.iter().find(|(_, space)| space.name == text).map(|(id, _)| id);
        let by_id = || text.parse().ok().filter(|id| self.spaces.get(*id).is_some());
        by_name.or_else(by_id).map(Some)
    }

    /// The fabric with this number or name.
    #[must_use]
    pub fn fabric_named(&self, text: &str) -> Option<u64> {
        let by_id = text.parse().ok().filter(|id| self.fabrics.get(*id).is_some());
        by_id.or_else(|| {
            self.fabrics.iter().find(|(_, fabric)| fabric.name == text).map(|(id, _)| id)
        })
    }
}

pub(super) const fn found(there: bool, resource: &'static str) -> Result<(), Refusal> {
    if there { Ok(()) } else { Err(Refusal::not_found(resource)) }
}

/// A name for people: not empty, not too long, no control characters.
pub(super) fn check_name(name: &str) -> Result<(), Refusal> {
    if name.trim().is_empty() {
        return Err(Refusal::field("name", "This field cannot be blank."));
    }
    if name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) {
        return Err(Refusal::field(
            "name",
            format!("Expected at most {LONGEST_NAME} characters and no control characters."),
        ));
    }
    Ok(())
}
