//! Directs the play: looks at the machine through the API and does what comes next.

use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::Value;
use tokio::sync::mpsc;

use super::client::{CallError, Client};
use super::timeline::{Party, STATUS_MARK, Timeline};
use crate::commands::Failure;
use crate::server::Server;
use crate::simulator::SimulatorEvent;

/// The release that is selected and deployed.
const OSYSTEM: &str = "ubuntu";
const RELEASE: &str = "noble";

/// How long any one status may last in a demo.
const PATIENCE: Duration = Duration::from_secs(120);

const LOOK_AGAIN: Duration = Duration::from_millis(60);

/// What cloud-init is given.
const USER_DATA: &str = "#cloud-config\npackage_update: false\nwrite_files:\n\
    - path: /etc/motd\n  content: |\n    Deployed by maas-server.\n";

pub(super) struct Director<'a> {
    timeline: &'a Timeline,
    server: &'a Server,
    alice: Client,
    bob: Client,
}

impl<'a> Director<'a> {
    pub(super) fn new(
        timeline: &'a Timeline,
        server: &'a Server,
        alice: Client,
        bob: Client,
    ) -> Self {
        Self { timeline, server, alice, bob }
    }

    /// The deploying user's key.
    pub(super) fn api_key(&self) -> String {
        self.alice.key_text()
    }

    /// Registers the boot source, selects, synchronises and verifies.
    pub(super) async fn images(&self, mirror_url: &str, keyring: &[u8]) -> Result<(), Failure> {
        self.timeline.chapter("3 · Images: select, synchronise, verify");
        let sources = self.alice.get("boot-sources/").await?;
        let known = sources
            .as_array()
            .and_then(|sources| sources.iter().find(|source| source["url"] == mirror_url));
        let id = match known {
            Some(source) => source["id"].clone(),
            None => {
                let keyring = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, keyring);
                let fields =
                    [("url", mirror_url), ("keyring_data", &keyring), ("name", "Demo mirror")];
                let source = self.alice.post("boot-sources/", &fields).await?;
                self.timeline.step(Party::User, "adds boot source", mirror_url);
                source["id"].clone()
            }
        };
        let path = format!("boot-sources/{id}/selections/");
        if self.alice.get(&path).await?.as_array().is_none_or(Vec::is_empty) {
            let fields = [
                ("os", OSYSTEM),
                ("release", RELEASE),
                ("arches", "amd64"),
                ("subarches", "*"),
                ("labels", "*"),
            ];
            self.alice.post(&path, &fields).await?;
            let what = format!("{OSYSTEM}/{RELEASE} amd64");
            self.timeline.step(Party::User, "selects", &what);
        }
        let summary =
            self.server.synchronise(&super::progress::Progress::new(self.timeline)).await?;
        self.timeline.step(Party::Region, "images verified", &summary.to_string());
        Ok(())
    }

    /// Goes on from wherever the machine stands until it is deployed, and returns it.
    pub(super) async fn direct(&self) -> Result<Value, Failure> {
        let mut seen = String::new();
        let mut since = tokio::time::Instant::now();
        loop {
            let machines = self.alice.get("machines/").await?;
            let machine = machines.as_array().and_then(|all| all.first()).cloned();
            let machine = machine.unwrap_or(Value::Null);
            let status = machine["status_name"].as_str().unwrap_or("unknown").to_owned();
            if status != seen {
                since = tokio::time::Instant::now();
                if !machine.is_null() {
                    self.show_status(&seen, &status, &machine);
                }
                seen.clone_from(&status);
            }
            if since.elapsed() > PATIENCE {
                return Err(format!("the machine stayed {status} for {PATIENCE:?}").into());
            }
            match status.as_str() {
                // While it enlists it is New and on; it switches itself off at the end.
                "New" if self.is_off(&machine).await? => self.commission(&machine).await?,
                "Ready" => {
                    self.configure(&machine).await?;
                    self.allocate(&machine).await?;
                }
                "Allocated" => self.deploy(&machine).await?,
                "Deployed" => return Ok(machine),
                failed if failed.contains("ailed") || failed == "Broken" => {
                    let why = machine["error_description"].as_str().unwrap_or_default();
                    return Err(format!("{failed}: {why}").into());
                }
                _ => {}
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    fn show_status(&self, before: &str, status: &str, machine: &Value) {
        let detail = match status {
            "New" | "unknown" => {
                format!("{} {}", machine["hostname"], machine["system_id"]).replace('"', "")
            }
            "Ready" => {
                let length = |field: &str| machine[field].as_array().map_or(0, Vec::len);
                let cpus = machine["cpu_count"].as_u64().unwrap_or(0);
                format!(
                    "{}, {} MiB, {}, {}",
                    counted(usize::try_from(cpus).unwrap_or(0), "CPU"),
                    machine["memory"],
                    counted(length("physicalblockdevice_set"), "disk"),
                    counted(length("interface_set"), "interface"),
                )
            }
            _ if before.is_empty() => String::new(),
            _ => format!("was {before}"),
        };
        self.timeline.step(Party::Region, &format!("{STATUS_MARK} {status}"), &detail);
    }

    async fn is_off(&self, machine: &Value) -> Result<bool, Failure> {
        let id = machine["system_id"].as_str().unwrap_or_default();
        let answer = self.alice.get(&format!("machines/{id}/?op=query_power_state")).await?;
        Ok(answer["state"] == "off")
    }

    async fn commission(&self, machine: &Value) -> Result<(), Failure> {
        self.timeline.chapter("5 · Commissioning: what is in the machine?");
        self.act(machine, "commission", &[], "what is in it and does it work").await
    }

    async fn allocate(&self, machine: &Value) -> Result<(), Failure> {
        self.timeline.chapter("6 · Allocation: one machine, one user");
        let id = machine["system_id"].as_str().unwrap_or_default();
        self.alice.post("machines/?op=allocate", &[("system_id", id)]).await?;
        self.timeline.step(Party::User, "allocates", self.alice.username());
        match self.bob.post("machines/?op=allocate", &[("system_id", id)]).await {
            Err(CallError::Refused(refused)) if refused.status == StatusCode::CONFLICT => {
                let detail = format!("{} is refused: {}", self.bob.username(), refused.text);
                self.timeline.step(Party::User, "allocates", &detail);
                Ok(())
            }
            Ok(_) => Err("two users were given the same machine".into()),
            Err(error) => Err(error.into()),
        }
    }

    /// Storage layout and network: what an installed system cannot change easily.
    async fn configure(&self, machine: &Value) -> Result<(), Failure> {
        self.act(machine, "set_storage_layout", &[("storage_layout", "lvm")], "lvm").await?;
        let Some(network) = network(machine) else { return Ok(()) };
        let what = "DHCP on the boot interface, a fixed address on VLAN 40";
        self.act(machine, "set_network", &[("network", &network.to_string())], what).await
    }

    async fn deploy(&self, machine: &Value) -> Result<(), Failure> {
        self.timeline.chapter("7 · Deployment: plan, install, reboot");
        let user_data = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, USER_DATA);
        let fields = [
            ("osystem", OSYSTEM),
            ("distro_series", RELEASE),
            ("user_data", &user_data),
            ("comment", "the demo"),
        ];
        let what = format!("{OSYSTEM}/{RELEASE} with user data for cloud-init");
        self.act(machine, "deploy", &fields, &what).await
    }

    /// One command; `what` is it in words.
    async fn act(
        &self,
        machine: &Value,
        op: &str,
        fields: &[(&str, &str)],
        what: &str,
    ) -> Result<(), Failure> {
        let id = machine["system_id"].as_str().unwrap_or_default();
        match self.alice.post(&format!("machines/{id}/?op={op}"), fields).await {
            Ok(_) => {
                let detail = format!("{}: {what}", self.alice.username());
                self.timeline.step(Party::User, op, &detail);
                Ok(())
            }
            // The machine moved on between the look and the command: look again.
            Err(CallError::Refused(refused)) if refused.status == StatusCode::CONFLICT => {
                tracing::debug!(op, text = refused.text, "refused; looking again");
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// `1 disk`, `2 disks`.
fn counted(count: usize, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

/// DHCP on the boot interface, a VLAN with a fixed address on top of it.
fn network(machine: &Value) -> Option<Value> {
    let boot = &machine["boot_interface"];
    let (name, mac) = (boot["name"].as_str()?, boot["mac_address"].as_str()?);
    let vlan = format!("{name}.40");
    Some(serde_json::json!({
        "interfaces": [
            {"name": name, "type": "physical", "mac": mac, "links": [{"mode": "dhcp"}]},
            {"name": vlan, "type": "vlan", "link": name, "vid": 40,
             "links": [{"mode": "static", "subnet": "storage", "ip": "10.40.0.7"}]},
        ],
        "subnets": {"storage": {"cidr": "10.40.0.0/24"}},
    }))
}

/// Shows what the machine does until it stops telling.
pub(super) async fn show_machine(
    timeline: Arc<Timeline>,
    mut happened: mpsc::Receiver<SimulatorEvent>,
) {
    while let Some(event) = happened.recv().await {
        timeline.step(Party::Machine, &event.stage.to_string(), &event.detail);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_network_is_one_that_the_api_accepts() {
        let machine = json!({
            "boot_interface": {"name": "enp1s0", "mac_address": "52:54:00:00:00:01"},
        });
        let network = network(&machine).unwrap_or_default().to_string();
        let read: Result<maas_netconfig::Network, _> = maas_netconfig::yaml::from_str(&network);
        assert!(read.is_ok_and(|network| network.interfaces.len() == 2));
        assert_eq!(super::network(&json!({"boot_interface": null})), None);
    }

    #[test]
    fn one_thing_has_no_plural() {
        assert_eq!((counted(1, "disk"), counted(0, "disk")), ("1 disk".into(), "0 disks".into()));
    }
}
