//! Where a machine is: domain, pool, zone and networks.

use std::collections::BTreeMap;
use std::sync::Arc;

use maas_core::ipam::{Networks, SubnetSpecifier};
use maas_core::machine::interface::NetworkFacts;
use serde_json::{Value, json};

use super::network;
use crate::http::Problem;
use crate::region::Region;

/// Everything that the JSON of machines refers to, read once for all machines of an answer: a list
/// is a constant number of queries.
#[derive(Debug)]
pub(crate) struct Places {
    /// Fabrics, VLANs, subnets, domains.
    pub(crate) networks: Arc<Networks>,
    /// The same as interfaces need them.
    pub(crate) facts: NetworkFacts,
    domains: BTreeMap<String, Value>,
}

impl Places {
    /// As they are now.
    pub(crate) async fn load(region: &Region) -> Result<Self, Problem> {
        let networks = region.ipam.networks(&*region.store).await.map_err(Problem::internal)?;
        Ok(Self::of(networks))
    }

    pub(crate) fn of(networks: Arc<Networks>) -> Self {
        let domains = networks
            .domains()
            .iter()
            .map(|(id, domain)| (domain.name.clone(), network::domain(&networks, id, domain)))
            .collect();
        let facts = NetworkFacts::from(&*networks);
        Self { networks, facts, domains }
    }

    /// The DNS domain of that name. One that was deleted under a machine is shown without number's
    /// meaning, as the client's schema wants an object.
    pub(crate) fn domain(&self, name: &str) -> Value {
        self.domains.get(name).cloned().unwrap_or_else(|| {
            json!({
                "id": 0, "name": name, "authoritative": false, "ttl": null, "is_default": false,
                "resource_record_count": 0, "resource_uri": "/MAAS/api/2.0/domains/0/",
            })
        })
    }

    /// A VLAN, or null when there is no such VLAN.
    pub(crate) fn vlan(&self, id: u64) -> Value {
        network::vlan(&self.networks, id)
    }

    /// A subnet, or null when there is no such subnet.
    pub(crate) fn subnet(&self, id: u64) -> Value {
        network::subnet(&self.networks, id)
    }

    /// The subnet with this number, CIDR or name, or the first that the specifier means.
    pub(crate) fn subnet_named(&self, text: &str) -> Option<u64> {
        SubnetSpecifier::parse(text)?.find(&self.networks).next()
    }

    /// A zone.
    pub(crate) fn zone(&self, name: &str) -> Value {
        zone(name)
    }

    /// A resource pool.
    pub(crate) fn pool(&self, name: &str) -> Value {
        pool(name)
    }
}

/// A zone.
fn zone(name: &str) -> Value {
    json!({
        "id": 1, "name": name, "description": "",
        "resource_uri": format!("/MAAS/api/2.0/zones/{name}/"),
    })
}

/// A resource pool.
fn pool(name: &str) -> Value {
    json!({
        "id": 0, "name": name, "description": if name == "default" { "Default pool" } else { "" },
        "resource_uri": "/MAAS/api/2.0/resourcepool/0/",
    })
}
