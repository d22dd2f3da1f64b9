//! The plan as Kea's DHCPv4 configuration (2.2 or newer), for an operator's own server.

use serde_json::{Value, json};

use super::boot::PrefixIs;
use super::dnsmasq::advertised;
use super::{BootMethod, DhcpPlan, PlanError, Subnet, SubnetRole};

/// Writes the configuration as JSON. Subnets that another server serves are left out: Kea is no
/// proxyDHCP server.
///
/// # Errors
///
/// [`PlanError`] for a plan that [`DhcpPlan::check`] refuses.
pub fn render(plan: &DhcpPlan) -> Result<String, PlanError> {
    plan.check()?;
    let served: Vec<&Subnet> =
        plan.subnets.iter().filter(|subnet| subnet.role == SubnetRole::Serve).collect();
    let mut classes = Vec::new();
    let mut subnets = Vec::new();
    let mut interfaces: Vec<&str> = Vec::new();
    for (index, subnet) in served.iter().enumerate() {
        let id = index + 1;
        interfaces.push(&subnet.interface);
        let mut names = Vec::new();
        for (method, class) in subnet_classes(plan, subnet, id) {
            names.push(format!("{}-{id}", method.name()));
            classes.push(class);
        }
        subnets.push(subnet_value(subnet, id, &names));
    }
    interfaces.sort_unstable();
    interfaces.dedup();
    let whole = json!({
        "Dhcp4": {
            "interfaces-config": { "interfaces": interfaces },
            "lease-database": { "type": "memfile", "persist": true },
            // One machine boots with several client identifiers; its MAC address stays.
            "match-client-id": false,
            "authoritative": true,
            "option-def": [
                { "name": "path-prefix", "code": 210, "space": "dhcp4", "type": "string" }
            ],
            "client-classes": classes,
            "subnet4": subnets,
        }
    });
    Ok(format!("{whole:#}\n"))
}

/// Classes are evaluated only within their subnet, since what they say has its rack's address.
fn subnet_classes(plan: &DhcpPlan, subnet: &Subnet, id: usize) -> Vec<(BootMethod, Value)> {
    let is_ipxe = "option[77].hex == 'iPXE' or option[77].hex == 0x0469505845 or \
                   option[175].exists";
    // Where iPXE is disabled it is told what its firmware would be.
    let not_ipxe = match subnet.disabled.contains(&BootMethod::Ipxe) {
        true => String::new(),
        false => format!(" and not ({is_ipxe})"),
    };
    let mut classes = Vec::new();
    for (method, file) in advertised(plan, subnet) {
        let test = match (method, method.architecture()) {
            (BootMethod::Pxe, _) => {
                format!("(not option[93].exists or option[93].hex == 0x0000){not_ipxe}")
            }
            (_, Some(architecture)) => {
                format!("option[93].hex == 0x{architecture:04x}{not_ipxe}")
            }
            (_, None) => is_ipxe.to_owned(),
        };
        let mut options = Vec::new();
        if method.is_http() {
            options.push(json!({
                "name": "vendor-class-identifier", "data": "HTTPClient", "always-send": true
            }));
        }
        if let Some((prefix, sent)) = method.path_prefix(&file, subnet.rack, plan.rack_port) {
            options.push(json!({
                "name": "path-prefix", "data": prefix, "always-send": sent == PrefixIs::Forced
            }));
        }
        let class = json!({
            "name": format!("{}-{id}", method.name()),
            "only-if-required": true,
            "test": test,
            "next-server": subnet.rack,
            "boot-file-name": file.as_str(),
            "option-data": options,
        });
        classes.push((method, class));
    }
    classes
}

fn subnet_value(subnet: &Subnet, id: usize, classes: &[String]) -> Value {
    let list = |addresses: &[std::net::Ipv4Addr]| {
        addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    let mut options = Vec::new();
    let mut option = |name: &str, data: String| {
        if !data.is_empty() {
            options.push(json!({ "name": name, "data": data }));
        }
    };
    option("routers", subnet.gateway.map(|gateway| gateway.to_string()).unwrap_or_default());
    option("domain-name-servers", list(&subnet.dns_servers));
    option("ntp-servers", list(&subnet.ntp_servers));
    option("domain-name", subnet.domain.clone().unwrap_or_default());
    option("domain-search", subnet.search.join(", "));
    let mtu = subnet.mtu.filter(|mtu| *mtu != 1500);
    option("interface-mtu", mtu.map(|mtu| mtu.to_string()).unwrap_or_default());
    let pools: Vec<Value> = subnet
        .ranges
        .iter()
        .map(|range| json!({ "pool": format!("{} - {}", range.first, range.last) }))
        .collect();
    let reservations: Vec<Value> = subnet
        .reservations
        .iter()
        .map(|one| {
            let mut value = json!({ "hw-address": one.mac, "ip-address": one.address });
            if let Some(name) = &one.hostname {
                value["hostname"] = json!(name);
            }
            value
        })
        .collect();
    json!({
        "id": id,
        "subnet": subnet.cidr.to_string(),
        "interface": subnet.interface,
        "valid-lifetime": subnet.lease_seconds,
        "next-server": subnet.rack,
        "require-client-classes": classes,
        "option-data": options,
        "pools": pools,
        "reservations": reservations,
    })
}
