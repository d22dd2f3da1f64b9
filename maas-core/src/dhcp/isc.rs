//! The plan as ISC dhcpd's configuration (4.x), for an operator's own server.

use super::boot::PrefixIs;
use super::dnsmasq::{Lines, advertised};
use super::{BootMethod, DhcpPlan, PlanError, Subnet, SubnetRole};

/// Writes the configuration. Subnets that another server serves are left out: dhcpd is no
/// proxyDHCP server.
///
/// # Errors
///
/// [`PlanError`] for a plan that [`DhcpPlan::check`] refuses.
pub fn render(plan: &DhcpPlan) -> Result<String, PlanError> {
    plan.check()?;
    let mut out = Lines::default();
    out.line("# Written by maas-server for ISC dhcpd.");
    out.line("option arch code 93 = unsigned integer 16;");
    out.line("option path-prefix code 210 = text;");
    out.line("option space ipxe;");
    out.line("option ipxe-encap-opts code 175 = encapsulate ipxe;");
    out.line("option ipxe.http code 19 = unsigned integer 8;");
    out.line("option ipxe.bzimage code 24 = unsigned integer 8;");
    out.line("option ipxe.efi code 36 = unsigned integer 8;");
    out.line("ignore-client-uids true;");
    for subnet in plan.subnets.iter().filter(|subnet| subnet.role == SubnetRole::Serve) {
        out.line("");
        subnet_lines(&mut out, plan, subnet);
    }
    Ok(out.0)
}

fn subnet_lines(out: &mut Lines, plan: &DhcpPlan, subnet: &Subnet) {
    let list = |addresses: &[std::net::Ipv4Addr]| {
        addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    let (network, mask) = (subnet.cidr.network(), subnet.cidr.netmask());
    out.line(format!("# On the interface {}.", subnet.interface));
    out.line(format!("subnet {network} netmask {mask} {{"));
    out.line("  authoritative;");
    out.line(format!("  next-server {};", subnet.rack));
    out.line(format!("  option subnet-mask {mask};"));
    out.line(format!("  option broadcast-address {};", subnet.cidr.broadcast()));
    let lease = subnet.lease_seconds;
    out.line(format!("  default-lease-time {lease};"));
    out.line(format!("  max-lease-time {lease};"));
    if let Some(gateway) = subnet.gateway {
        out.line(format!("  option routers {gateway};"));
    }
    if !subnet.dns_servers.is_empty() {
        out.line(format!("  option domain-name-servers {};", list(&subnet.dns_servers)));
    }
    if !subnet.ntp_servers.is_empty() {
        out.line(format!("  option ntp-servers {};", list(&subnet.ntp_servers)));
    }
    if let Some(domain) = &subnet.domain {
        out.line(format!("  option domain-name \"{domain}\";"));
    }
    if !subnet.search.is_empty() {
        let names: Vec<String> = subnet.search.iter().map(|name| format!("\"{name}\"")).collect();
        out.line(format!("  option domain-search {};", names.join(", ")));
    }
    if let Some(mtu) = subnet.mtu.filter(|mtu| *mtu != 1500) {
        out.line(format!("  option interface-mtu {mtu};"));
    }
    let mut word = "if";
    for (method, file) in advertised(plan, subnet) {
        let condition = match (method, method.architecture()) {
            (_, Some(architecture)) if method != BootMethod::Pxe => {
                format!("option arch = {:02x}:{:02x}", architecture >> 8, architecture & 0xff)
            }
            (BootMethod::Pxe, _) => "not exists arch or option arch = 00:00".to_owned(),
            _ => "option user-class = \"iPXE\" or (exists ipxe.http and \
                  (exists ipxe.bzimage or exists ipxe.efi))"
                .to_owned(),
        };
        out.line(format!("  {word} {condition} {{"));
        out.line(format!("    filename \"{}\";", file.as_str()));
        if method.is_http() {
            out.line("    option vendor-class-identifier \"HTTPClient\";");
        }
        if let Some((prefix, sent)) = method.path_prefix(&file, subnet.rack, plan.rack_port) {
            out.line(format!("    option path-prefix \"{prefix}\";"));
            if sent == PrefixIs::Forced {
                out.line("    if exists dhcp-parameter-request-list {");
                out.line(
                    "      option dhcp-parameter-request-list = \
                     concat(option dhcp-parameter-request-list, d2);",
                );
                out.line("    }");
            }
        }
        out.line("  }");
        word = "elsif";
    }
    for range in &subnet.ranges {
        out.line(format!("  pool {{ range {} {}; }}", range.first, range.last));
    }
    for reservation in &subnet.reservations {
        let (mac, address) = (&reservation.mac, reservation.address);
        let id = mac.replace(':', "-");
        let name = reservation.hostname.as_ref();
        let name = name.map(|name| format!(" option host-name \"{name}\";")).unwrap_or_default();
        out.line(format!(
            "  host {id}-{} {{ hardware ethernet {mac}; fixed-address {address};{name} }}",
            u32::from(network)
        ));
    }
    out.line("}");
}
