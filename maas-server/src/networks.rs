//! The networks around the machines, as one answer or one change needs them: loaded once, whatever
//! the number of machines.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use maas_core::ipam::{Networks, SubnetSpecifier};
use maas_core::machine::interface::NetworkFacts;
use serde_json::{Value, json};

use crate::api::view::json::Json;
use crate::api::view::network;
use crate::http::Problem;
use crate::region::Region;

/// The networks at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    pub(crate) networks: Arc<Networks>,
    pub(crate) places: Arc<NetworkFacts>,
    domains: Arc<BTreeMap<String, Value>>,
    written: Arc<Written>,
}

/// What was shown of the networks before: machines share their VLANs, subnets and domains.
#[derive(Debug, Default)]
struct Written {
    vlans: Once<u64>,
    subnets: Once<u64>,
    domains: Once<String>,
}

/// Values that are written when they are first asked for; as many as there are objects in the
/// snapshot, and gone with it.
#[derive(Debug)]
pub(crate) struct Once<K>(Mutex<HashMap<K, Arc<Json>>>);

impl<K> Default for Once<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Hash + Eq> Once<K> {
    /// The value of this key, as it was first written.
    pub(crate) fn written<Q>(&self, key: &Q, value: impl FnOnce() -> Value) -> Arc<Json>
    where
        K: std::borrow::Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(json) = known.get(key) {
            return Arc::clone(json);
        }
        let json = Arc::new(Json::of(&value()));
        known.insert(key.to_owned(), Arc::clone(&json));
        json
    }
}

impl Snapshot {
    pub(crate) fn new(networks: Arc<Networks>) -> Self {
        let places = Arc::new(NetworkFacts::from(&*networks));
        let domains = networks
            .domains()
            .iter()
            .map(|(id, domain)| (domain.name.clone(), network::domain(&networks, id, domain)))
            .collect();
        Self { networks, places, domains: Arc::new(domains), written: Arc::default() }
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

    /// A VLAN as interfaces show it, written; null when it is gone.
    pub(crate) fn vlan_written(&self, id: u64) -> Arc<Json> {
        self.written.vlans.written(&id, || self.vlan(id))
    }

    /// A subnet as links show it, written; `None` when it is gone.
    pub(crate) fn subnet_written(&self, id: u64) -> Option<Arc<Json>> {
        self.networks.subnets().get(id)?;
        Some(self.written.subnets.written(&id, || self.subnet(id)))
    }

    /// The DNS domain of that name, written.
    pub(crate) fn domain_written(&self, name: &str) -> Arc<Json> {
        self.written.domains.written(name, || self.domain(name))
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
