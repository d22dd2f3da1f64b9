//! The plan as dnsmasq's configuration (2.81 or newer).

use std::path::Path;

use super::boot::PrefixIs;
use super::{BootFileName, BootMethod, DhcpPlan, PlanError, Subnet, SubnetRole};

/// Writes the configuration; leases are kept in `lease_file`.
///
/// # Errors
///
/// [`PlanError`] for a plan that [`DhcpPlan::check`] refuses.
pub fn render(plan: &DhcpPlan, lease_file: &Path) -> Result<String, PlanError> {
    plan.check()?;
    let mut out = Lines::default();
    out.line("# Written by maas-server; changes here are lost.");
    out.line("# No DNS.");
    out.line("port=0");
    out.line("no-resolv");
    out.line("no-hosts");
    out.line("bind-dynamic");
    out.line("except-interface=lo");
    let mut interfaces: Vec<&str> =
        plan.subnets.iter().map(|subnet| subnet.interface.as_str()).collect();
    interfaces.sort_unstable();
    interfaces.dedup();
    for interface in interfaces {
        out.line(format!("interface={interface}"));
    }
    out.line(format!("dhcp-leasefile={}", lease_file.display()));
    out.line("# One machine is firmware, boot loader, initrd and system in turn, each with its");
    out.line("# own client identifier; its MAC address stays.");
    out.line("dhcp-ignore-clid");
    out.line("# Boot file and server name stand in their own fields, where old firmware looks.");
    out.line("dhcp-no-override");
    if plan.subnets.iter().all(|subnet| subnet.role == SubnetRole::Serve) {
        out.line("dhcp-authoritative");
    }
    out.line("");
    matches(&mut out);
    for (index, subnet) in plan.subnets.iter().enumerate() {
        out.line("");
        subnet_lines(&mut out, plan, subnet, &format!("s{index}"));
    }
    Ok(out.0)
}

/// Tags by what firmware says of itself.
fn matches(out: &mut Lines) {
    out.line("dhcp-userclass=set:ipxe,iPXE");
    out.line("dhcp-match=set:ipxe,175");
    out.line("dhcp-match=set:has-architecture,option:client-arch");
    out.line("dhcp-vendorclass=set:pxe-client,PXEClient");
    for method in BootMethod::ALL {
        if let Some(architecture) = method.architecture() {
            out.line(format!("dhcp-match=set:{},option:client-arch,{architecture}", method.name()));
        }
    }
    out.line("# A PXE client that does not say what it is, is an old BIOS.");
    out.line("tag-if=set:pxe,tag:pxe-client,tag:!has-architecture");
}

fn subnet_lines(out: &mut Lines, plan: &DhcpPlan, subnet: &Subnet, tag: &str) {
    let (network, mask) = (subnet.cidr.network(), subnet.cidr.netmask());
    out.line(format!("# {} on {}", subnet.cidr, subnet.interface));
    match subnet.role {
        SubnetRole::Proxy => {
            out.line(format!("dhcp-range=set:{tag},{network},proxy,{mask}"));
            services(out, plan, subnet, tag);
            return;
        }
        SubnetRole::Serve if subnet.ranges.is_empty() => {
            let lease = subnet.lease_seconds;
            out.line(format!("dhcp-range=set:{tag},{network},static,{mask},{lease}"));
        }
        SubnetRole::Serve => {
            for range in &subnet.ranges {
                let (first, last) = (range.first, range.last);
                let lease = subnet.lease_seconds;
                out.line(format!("dhcp-range=set:{tag},{first},{last},{mask},{lease}"));
            }
        }
    }
    for reservation in &subnet.reservations {
        let name = reservation.hostname.as_ref().map(|name| format!(",{name}"));
        let (mac, address) = (&reservation.mac, reservation.address);
        out.line(format!("dhcp-host={mac},{address}{}", name.unwrap_or_default()));
    }
    let mut option = |name: &str, values: Vec<String>| {
        // Without a value dnsmasq sends nothing in place of itself.
        let values: String = values.iter().map(|value| format!(",{value}")).collect();
        out.line(format!("dhcp-option=tag:{tag},option:{name}{values}"));
    };
    let texts =
        |addresses: &[std::net::Ipv4Addr]| addresses.iter().map(ToString::to_string).collect();
    option("router", subnet.gateway.iter().map(ToString::to_string).collect());
    option("dns-server", texts(&subnet.dns_servers));
    if !subnet.ntp_servers.is_empty() {
        option("ntp-server", texts(&subnet.ntp_servers));
    }
    if let Some(domain) = &subnet.domain {
        option("domain-name", vec![domain.clone()]);
    }
    if !subnet.search.is_empty() {
        option("domain-search", subnet.search.clone());
    }
    if let Some(mtu) = subnet.mtu.filter(|mtu| *mtu != 1500) {
        option("mtu", vec![mtu.to_string()]);
    }
    boots(out, plan, subnet, tag);
}

/// The methods of a subnet with what they are told.
pub(super) fn advertised<'a>(
    plan: &'a DhcpPlan,
    subnet: &'a Subnet,
) -> impl Iterator<Item = (BootMethod, BootFileName)> + 'a {
    BootMethod::ALL.into_iter().filter(|method| !subnet.disabled.contains(method)).filter_map(
        |method| {
            let file = method.boot_file(&plan.loaders, subnet.rack, plan.rack_port)?;
            Some((method, file))
        },
    )
}

fn boots(out: &mut Lines, plan: &DhcpPlan, subnet: &Subnet, tag: &str) {
    let rack = subnet.rack;
    for (method, file) in advertised(plan, subnet) {
        let name = file.as_str();
        let tags = match method {
            BootMethod::Ipxe => format!("tag:{tag},tag:ipxe"),
            // Where iPXE is disabled it is told what its firmware would be.
            other if subnet.disabled.contains(&BootMethod::Ipxe) => {
                format!("tag:{tag},tag:{}", other.name())
            }
            other => format!("tag:{tag},tag:{},tag:!ipxe", other.name()),
        };
        out.line(format!("dhcp-boot={tags},{name},,{rack}"));
        if method.is_http() {
            out.line(format!("dhcp-option-force={tags},option:vendor-class,HTTPClient"));
        }
        match method.path_prefix(&file, rack, plan.rack_port) {
            Some((prefix, PrefixIs::Forced)) => {
                out.line(format!("dhcp-option-force={tags},210,{prefix}"));
            }
            Some((prefix, PrefixIs::OnRequest)) => {
                out.line(format!("dhcp-option={tags},210,{prefix}"));
            }
            None => {}
        }
    }
}

/// Beside a foreign server firmware is answered through PXE's own menu, which is never shown;
/// UEFI's HTTP boot has no such thing.
fn services(out: &mut Lines, plan: &DhcpPlan, subnet: &Subnet, tag: &str) {
    let rack = subnet.rack;
    let mut plan = plan.clone();
    // GRUB 2.06 looks for its configuration on the server that gave the address, which is the
    // foreign one; iPXE heeds this one.
    for (ipxe, grub) in [("ipxe.efi", "bootx64.efi"), ("ipxe-arm64.efi", "bootaa64.efi")] {
        if plan.loaders.contains(ipxe) {
            plan.loaders.remove(grub);
        }
    }
    for (method, file) in advertised(&plan, subnet) {
        let name = file.as_str();
        match (method.architecture(), &file) {
            (None, BootFileName::Http(_)) => {
                out.line(format!("dhcp-boot=tag:{tag},tag:ipxe,{name},,{rack}"));
                // iPXE says which architecture it runs on.
                for method in BootMethod::ALL {
                    if let Some(architecture) = method.architecture().filter(|_| !method.is_http())
                    {
                        let tags = format!("tag:{tag},tag:ipxe");
                        out.line(format!("pxe-service={tags},{architecture},\"MAAS\",{name}"));
                    }
                }
            }
            (Some(architecture), BootFileName::Tftp(_)) => {
                let tags = format!("tag:{tag},tag:!ipxe");
                out.line(format!("pxe-service={tags},{architecture},\"MAAS\",{name},{rack}"));
            }
            _ => {}
        }
    }
}

/// Lines, one after the other.
#[derive(Debug, Default)]
pub(super) struct Lines(pub(super) String);

impl Lines {
    pub(super) fn line(&mut self, text: impl AsRef<str>) {
        self.0.push_str(text.as_ref());
        self.0.push('\n');
    }
}
