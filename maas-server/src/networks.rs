//! The networks around the machines, as one answer or one change needs them: loaded once, whatever
//! the number of machines.

use std::sync::Arc;

use maas_core::ipam::Networks;
use maas_core::machine::interface::Places;
use serde_json::Value;

use crate::api::view::network;
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
        let text = text.trim();
        if let Ok(id) = text.parse::<u64>() {
            return self.networks.subnets().get(id).map(|_| id);
        }
        let text = text.strip_prefix("cidr:").or_else(|| text.strip_prefix("name:")).unwrap_or(text);
        let subnets = self.networks.subnets();
        subnets
            .iter()
            .find(|(_, subnet)| subnet.cidr.to_string() == text || subnet.name == text)
            .map(|(id, _)| id)
    }
}

impl Region {
    /// The networks as they are now; one query.
    pub(crate) async fn networks(&self) -> Result<Snapshot, Problem> {
        let networks = self.ipam.networks(&*self.store).await.map_err(Problem::internal)?;
        Ok(Snapshot::new(networks))
    }
}
