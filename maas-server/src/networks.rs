//! The networks around the machines, as one answer or one change needs them: loaded once, whatever
//! the number of machines.

use std::collections::BTreeMap;
use std::sync::Arc;

use maas_core::ipam::{Networks, SubnetSpecifier};
use maas_core::machine::interface::NetworkFacts;
use serde_json::{Value, json};

use crate::api::view::network;
use crate::http::Problem;
use crate::region::Region;

/// The networks at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    pub(crate) networks: Arc<Networks>,
    pub(crate) places: Arc<NetworkFacts>,
    domains: Arc<BTreeMap<String, Value>>,
}

impl Snapshot {
    pub(crate) fn new(networks: Arc<Networks>) -> Self {
        let places = Arc::new(NetworkFacts::from(&*networks));
        let domains = networks
            .domains()
            .iter()
            .map(|(id, domain)| (domain.name.clone(), network::domain(&networks, id, domain)))
            .collect();
        Self { networks, places, domains: Arc::new(domains) }
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
        network::vlan(&self.networks, id)
    }

    /// A subnet as links show it; null when it is gone.
    pub(crate) fn subnet(&self, id: u64) -> Value {
        network::subnet(&self.networks, id)
    }

    /// The DNS domain of that name. One that was deleted under a machine is still an object:
    /// clients refuse null.
    pub(crate) fn domain(&self, name: &str) -> Value {
        self.domains.get(name).cloned().unwrap_or_else(|| {
            json!({
                "id": 0, "name": name, "authoritative": false, "ttl": null, "is_default": false,
                "resource_record_count": 0, "resource_uri": "/MAAS/api/2.0/domains/0/",
            })
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
