//! Addresses that are given out: shown, reserved by users, released.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use maas_core::ipam::{AllocType, DnsResource, Holder, Lease, Networks};
use maas_core::machine::new::normal_mac;
use serde_json::{Value, json};

use super::super::{actor, dates, view::network};
use super::holders::Holders;
use super::{address, change, networks, required_address, subnet};
use crate::http::{Fields, Operation, Param, Problem, Reply, Request, get, post};
use crate::ipam::{self, Claim};
use crate::networks::Snapshot;
use crate::region::Region;
use crate::store::Stored;

const ADDRESSES: &str = "/MAAS/api/2.0/ipaddresses/";

pub(super) fn operations() -> Vec<Operation<Region>> {
    vec![
        get("IPAddressesHandler", ADDRESSES, "The caller's reserved addresses.", list).params(&[
            Param::optional("ip", "Only this address."),
            Param::optional("all", "Every address that is given out; for administrators."),
            Param::optional("owner", "Another user's; for administrators."),
        ]),
        post("IPAddressesHandler", ADDRESSES, "Reserves an address for the caller.", reserve)
            .op("reserve")
            .params(&[
                Param::optional("subnet", "From which subnet: number, CIDR or specifier."),
                Param::optional("ip", "This very address."),
                Param::optional("hostname", "A name that DNS gives the address."),
                Param::optional("domain", "The name's domain."),
                Param::optional("mac", "The MAC address of the host."),
            ]),
        post("IPAddressesHandler", ADDRESSES, "Releases an address.", release)
            .op("release")
            .params(&[
                Param::required("ip", "The address."),
                Param::optional("force", "Also another user's or a machine's; administrators."),
                Param::optional("discovered", "Accepted; discovered addresses are not kept."),
            ]),
    ]
}

async fn list(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let fields = request.fields();
    let all = fields.flag("all")?.unwrap_or(false);
    let caller = actor(&request)?.username;
    let owner = fields.filled("owner")?;
    if (all || owner.is_some_and(|owner| owner != caller)) && !request.caller().is_admin() {
        return Err(Problem::Forbidden(
            "Listing other users' IP addresses is for administrators only.".to_owned(),
        ));
    }
    let ip = address(fields, "ip")?;
    let owner = owner.unwrap_or(&caller);
    let mine = |lease: &Lease| {
        lease.alloc_type == AllocType::UserReserved && lease.user.as_deref() == Some(owner)
    };
    let mut leases = ipam::leases(&*region.store).await.map_err(Problem::internal)?;
    leases.retain(|lease| {
        (all || mine(&lease.value)) && ip.is_none_or(|wanted| wanted == lease.value.ip)
    });
    leases.sort_by_key(|lease| lease.value.ip);
    Reply::json(&views(&region, &leases).await?)
}

/// Addresses with who has them.
async fn views(region: &Region, leases: &[Stored<Lease>]) -> Result<Vec<Value>, Problem> {
    let networks = region.networks().await?;
    let mut views = Vec::with_capacity(leases.len());
    for some in leases.chunks(Holders::AT_ONCE) {
        let holders = Holders::load(region, some).await?;
        views.extend(some.iter().map(|lease| view(&networks, &holders, &lease.value)));
    }
    Ok(views)
}

async fn reserve(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let fields = request.fields();
    let user = actor(&request)?.username;
    let networks = networks(&region).await?;
    let wanted = address(fields, "ip")?;
    let subnet_id = subnet(fields, "subnet", &networks)?
        .or_else(|| wanted.and_then(|ip| networks.subnet_of(&ip)))
        .ok_or_else(|| match wanted {
            Some(ip) => Problem::field("ip", format!("No known subnet for IP {ip}.")),
            None => Problem::field("subnet", "A subnet or an IP address must be given."),
        })?;
    let mac_address = match fields.filled("mac")? {
        None => None,
        Some(text) => Some(normal_mac(text).ok_or_else(|| {
            Problem::field("mac", format!("'{text}' is not a valid MAC address."))
        })?),
    };
    let name = name(&networks, fields)?;
    let hostname = name.as_ref().map_or_else(String::new, |(name, _)| name.clone());
    let claim = Claim {
        subnet_id,
        wanted,
        holder: Holder::Reservation { hostname, mac_address },
        alloc_type: AllocType::UserReserved,
        user: Some(user),
    };
    let lease = ipam::lease::claim_new(&*region.store, &networks, claim).await?;
    if let Some((name, domain)) = name
        && let Err(problem) = publish(&region, &name, domain, lease.value.ip).await
    {
        // Half a reservation is none.
        ipam::lease::free(&*region.store, &lease).await.map_err(Problem::internal)?;
        return Err(problem);
    }
    Reply::json(&views(&region, std::slice::from_ref(&lease)).await?.pop())
}

/// The name and domain that a form gives the address.
fn name(networks: &Networks, fields: &Fields) -> Result<Option<(String, u64)>, Problem> {
    let Some(hostname) = fields.filled("hostname")? else { return Ok(None) };
    let domain =
        match fields.filled("domain")? {
            None => None,
            Some(text) => Some(networks.domain_named(text).ok_or_else(|| {
                Problem::field("domain", format!("Unable to find domain {text}."))
            })?),
        };
    Ok(Some(match domain {
        Some(domain) => (hostname.to_owned(), domain),
        None => match networks.split_fqdn(hostname) {
            Some((name, domain)) => (name.to_owned(), domain),
            None => (hostname.to_owned(), networks.default_domain()),
        },
    }))
}

async fn publish(region: &Region, name: &str, domain_id: u64, ip: IpAddr) -> Result<(), Problem> {
    let publish = |networks: &mut Networks| -> Result<(), Problem> {
        let Some(id) = networks.dns_resource_named(domain_id, name) else {
            networks.add_dns_resource(DnsResource {
                domain_id,
                name: name.to_owned(),
                address_ttl: None,
                ip_addresses: BTreeSet::from([ip]),
            })?;
            return Ok(());
        };
        if let Some(mut resource) = networks.dns_resources().get(id).cloned() {
            resource.ip_addresses.insert(ip);
            networks.set_dns_resource(id, resource)?;
        }
        Ok(())
    };
    change(region, publish).await.map(drop)
}

async fn release(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let fields = request.fields();
    let ip = required_address(fields, "ip")?;
    let force = fields.flag("force")?.unwrap_or(false);
    if force && !request.caller().is_admin() {
        return Err(Problem::Forbidden(
            "Force-releasing an IP address requires admin privileges.".to_owned(),
        ));
    }
    let missing = || Problem::not_found(format!("IP address {ip} does not exist."));
    let lease = ipam::lease::lease_of(&*region.store, &ip).await.map_err(Problem::internal)?;
    let lease = lease.ok_or_else(missing)?;
    let caller = actor(&request)?.username;
    let own = lease.value.alloc_type == AllocType::UserReserved
        && lease.value.user.as_ref() == Some(&caller);
    if !own && !force {
        return Err(missing());
    }
    if !ipam::lease::free(&*region.store, &lease).await.map_err(Problem::internal)? {
        return Err(missing());
    }
    if matches!(&lease.value.holder, Holder::Reservation { hostname, .. } if !hostname.is_empty()) {
        change(&region, |networks| unpublish(networks, &ip)).await?;
    }
    Ok(Reply::no_content())
}

/// Takes a released address from every name; a name of which nothing is left goes.
fn unpublish(networks: &mut Networks, ip: &IpAddr) -> Result<(), Problem> {
    let named: Vec<(u64, DnsResource)> = networks
        .dns_resources()
        .iter()
        .filter(|(_, resource)| resource.ip_addresses.contains(ip))
        .map(|(id, resource)| (id, resource.clone()))
        .collect();
    for (id, mut resource) in named {
        resource.ip_addresses.remove(ip);
        if resource.ip_addresses.is_empty() && networks.records_of(id).next().is_none() {
            networks.remove_dns_resource(id)?;
        } else {
            networks.set_dns_resource(id, resource)?;
        }
    }
    Ok(())
}

fn view(networks: &Snapshot, holders: &Holders, lease: &Lease) -> Value {
    json!({
        "ip": lease.ip, "alloc_type": lease.alloc_type as u8,
        "alloc_type_name": lease.alloc_type.name(), "created": dates::iso(lease.created),
        "subnet": networks.subnet(lease.subnet_id),
        "owner": lease.user.as_deref().map(network::user),
        "interface_set": holders.interfaces(lease, networks), "resource_uri": ADDRESSES,
    })
}
