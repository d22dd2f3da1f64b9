//! The networks around the machines, as one answer or one change needs them: loaded once, whatever
//! the number of machines.

use std::sync::Arc;

use maas_core::ipam::{Networks, SubnetSpecifier};
use maas_core::machine::interface::Places;
use serde_json::{Value, json};

use crate::http::Problem;
use crate::region::Region;

/// The networks at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    pub(crate) networks: Arc<Networks>,
    pub(crate) places: Arc<Places>,
}

impl Snapshot {
    pub(crate) fn new(networks: Arc<Networks>) -> Self {
        let places = Arc::new(Places::from(&*networks));
        Self { networks, places }
    }

    /// The subnet with this number, CIDR or name.
    pub(crate) fn subnet_named(&self, text: &str) -> Option<u64> {
        SubnetSpecifier::parse(text)?.find(&self.networks).next()
    }

    /// The name of the domain that nodes are in when none was given.
    pub(crate) fn default_domain(&self) -> &str {
        self.networks.default_domain_name()
    }

    /// A VLAN as interfaces show it; null when it is gone.
    pub(crate) fn vlan(&self, id: u64) -> Value {
        let Some(vlan) = self.networks.vlans().get(id) else { return Value::Null };
        let fabric = self.networks.fabrics().get(vlan.fabric_id).map_or("", |it| &*it.name);
        json!({
            "id": id, "name": vlan.name, "vid": vlan.vid.number(), "fabric": fabric,
            "fabric_id": vlan.fabric_id, "mtu": vlan.mtu.bytes(), "dhcp_on": vlan.dhcp_on,
            "external_dhcp": null, "relay_vlan": vlan.relay_vlan,
            "primary_rack": vlan.primary_rack, "secondary_rack": vlan.secondary_rack,
            "space": self.networks.space_name(id),
            "resource_uri": format!("/MAAS/api/2.0/vlans/{id}/"),
        })
    }

    /// A subnet as links show it; null when it is gone.
    pub(crate) fn subnet(&self, id: u64) -> Value {
        let Some(subnet) = self.networks.subnets().get(id) else { return Value::Null };
        json!({
            "id": id, "name": subnet.name, "description": subnet.description,
            "vlan": self.vlan(subnet.vlan_id), "space": self.networks.space_name(subnet.vlan_id),
            "cidr": subnet.cidr, "gateway_ip": subnet.gateway_ip,
            "dns_servers": subnet.dns_servers, "rdns_mode": subnet.rdns_mode as u8,
            "active_discovery": subnet.active_discovery, "allow_dns": subnet.allow_dns,
            "allow_proxy": subnet.allow_proxy, "managed": subnet.managed,
            "disabled_boot_architectures": subnet.disabled_boot_architectures,
            "resource_uri": format!("/MAAS/api/2.0/subnets/{id}/"),
        })
    }
}

impl Region {
    /// The networks as they are now; one query.
    pub(crate) async fn networks(&self) -> Result<Snapshot, Problem> {
        let networks = self.ipam.networks(&*self.store).await.map_err(Problem::internal)?;
        Ok(Snapshot::new(networks))
    }
}
