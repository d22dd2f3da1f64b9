//! Fabrics, VLANs, spaces, subnets, ranges, addresses, routes and DNS (`api.md` §4.3).

mod absent;
mod dns_records;
mod dns_resources;
mod domains;
mod fabrics;
mod holders;
mod ip_addresses;
mod ip_ranges;
mod reserved_ips;
mod spaces;
mod static_routes;
mod subnets;
#[cfg(test)]
mod tests;
mod vlans;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use maas_core::ipam::{Networks, SubnetSpecifier};

use crate::http::{Fields, Operation, Problem, Request};
use crate::ipam;
use crate::region::Region;

pub(super) use domains::known_domain;

pub(super) fn operations() -> Vec<Operation<Region>> {
    [
        fabrics::operations(),
        vlans::operations(),
        spaces::operations(),
        subnets::operations(),
        ip_ranges::operations(),
        ip_addresses::operations(),
        reserved_ips::operations(),
        static_routes::operations(),
        domains::operations(),
        dns_resources::operations(),
        dns_records::operations(),
        absent::operations(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The networks as they are now.
pub(super) async fn networks(region: &Region) -> Result<Arc<Networks>, Problem> {
    region.ipam.networks(&*region.store).await.map_err(Problem::internal)
}

/// Changes the networks; what `edit` refuses becomes the answer.
async fn change<T>(
    region: &Region,
    edit: impl Fn(&mut Networks) -> Result<T, Problem>,
) -> Result<(T, Arc<Networks>), Problem> {
    region.ipam.edit(&*region.store, edit).await
}

/// The addresses that are given out.
async fn leased(region: &Region) -> Result<BTreeSet<IpAddr>, Problem> {
    let leases = ipam::leases(&*region.store).await.map_err(Problem::internal)?;
    Ok(leases.into_iter().map(|lease| lease.value.ip).collect())
}

/// MAAS's sentence for an object that is not there.
fn missing(resource: &str) -> Problem {
    Problem::not_found(format!("No {resource} matches the given query."))
}

/// The number in the path; what is none names nothing.
fn id(request: &Request, resource: &str) -> Result<u64, Problem> {
    request.param("id").parse().map_err(|_| missing(resource))
}

/// Sets a text that was sent, also to empty.
fn set_text(slot: &mut String, fields: &Fields, name: &str) -> Result<(), Problem> {
    if let Some(text) = fields.text(name)? {
        text.clone_into(slot);
    }
    Ok(())
}

/// Sets a text that was sent and is not empty.
fn set_filled(slot: &mut String, fields: &Fields, name: &str) -> Result<(), Problem> {
    if let Some(text) = fields.filled(name)? {
        text.clone_into(slot);
    }
    Ok(())
}

/// An address; `None` when the field is absent or empty.
fn address(fields: &Fields, name: &str) -> Result<Option<IpAddr>, Problem> {
    let Some(text) = fields.filled(name)? else { return Ok(None) };
    match text.trim().parse::<IpAddr>() {
        Ok(address) => Ok(Some(address.to_canonical())),
        Err(_) => Err(Problem::field(name, "Enter a valid IPv4 or IPv6 address.")),
    }
}

/// An address that must be there.
fn required_address(fields: &Fields, name: &str) -> Result<IpAddr, Problem> {
    fields.required(name)?;
    address(fields, name)?.ok_or_else(|| Problem::field(name, "This field is required."))
}

/// Addresses in any of the list forms.
fn addresses(fields: &Fields, name: &str) -> Result<Vec<IpAddr>, Problem> {
    let mut addresses = Vec::new();
    for word in fields.words(name)? {
        match word.parse::<IpAddr>() {
            Ok(address) => addresses.push(address.to_canonical()),
            Err(_) => return Err(Problem::field(name, format!("Invalid IP address: {word}."))),
        }
    }
    Ok(addresses)
}

/// The one subnet that a field names, by number or in another way; `None` when it is empty.
fn subnet(fields: &Fields, name: &str, networks: &Networks) -> Result<Option<u64>, Problem> {
    let Some(text) = fields.filled(name)? else { return Ok(None) };
    match one_subnet(text, networks) {
        Some(id) => Ok(Some(id)),
        None => Err(Problem::field(name, format!("'{text}' names no subnet, or more than one."))),
    }
}

/// The one subnet that a text names.
fn one_subnet(text: &str, networks: &Networks) -> Option<u64> {
    let specifier = SubnetSpecifier::parse(text)?;
    let mut found = specifier.find(networks);
    let first = found.next()?;
    found.next().is_none().then_some(first)
}
