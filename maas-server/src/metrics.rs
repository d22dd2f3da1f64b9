//! Counters and gauges for `/metrics` (Prometheus text format).

use std::fmt;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// A set of label names and values; every value is from a small, fixed set.
type Labels = Vec<(&'static str, String)>;

/// What the server counts; no label holds a machine, a user or a path.
pub struct Metrics {
    registry: Registry,
    /// Answers by listener (`region`, `rack`) and status class.
    requests: Family<Labels, Counter>,
    /// Power commands by action and how they ended.
    power: Family<Labels, Counter>,
    /// Verified bytes that synchronisation brought in.
    pub synchronised_bytes: Counter,
    machines: Family<Labels, Gauge>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("maas");
        let requests = Family::default();
        let power = Family::default();
        let synchronised_bytes = Counter::default();
        let machines = Family::default();
        registry.register(
            "http_requests",
            "Answers by listener and status class",
            requests.clone(),
        );
        registry.register("power_commands", "Power commands by action and result", power.clone());
        registry.register(
            "images_synchronised_bytes",
            "Verified image bytes fetched from boot sources",
            synchronised_bytes.clone(),
        );
        registry.register("machines", "Machines by status", machines.clone());
        Self { registry, requests, power, synchronised_bytes, machines }
    }
}

impl Metrics {
    /// Counts one answer.
    pub fn answered(&self, listener: &'static str, status: u16) {
        let class = format!("{}xx", status / 100);
        let labels = vec![("listener", listener.to_owned()), ("status", class)];
        self.requests.get_or_create(&labels).inc();
    }

    /// Counts one power command.
    pub fn switched(&self, action: &'static str, result: &'static str) {
        let labels = vec![("action", action.to_owned()), ("result", result.to_owned())];
        self.power.get_or_create(&labels).inc();
    }

    /// The text for a scrape; `statuses` are the machines as they stand.
    #[must_use]
    pub fn text(&self, statuses: &[(&'static str, i64)]) -> String {
        self.machines.clear();
        for (status, count) in statuses {
            self.machines.get_or_create(&vec![("status", (*status).to_owned())]).set(*count);
        }
        let mut text = String::new();
        // Writing into a String does not fail.
        encode(&mut text, &self.registry).ok();
        text
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Metrics").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scrape_shows_what_was_counted() {
        let metrics = Metrics::default();
        metrics.answered("region", 204);
        metrics.switched("on", "done");
        let text = metrics.text(&[("Ready", 3)]);
        assert!(
            text.contains(r#"maas_http_requests_total{listener="region",status="2xx"} 1"#),
            "{text}"
        );
        assert!(text.contains(r#"maas_machines{status="Ready"} 3"#), "{text}");
    }
}
