//! Names in domains with their addresses.

use std::collections::BTreeSet;
use std::sync::Arc;

use maas_core::ipam::{DnsResource, Networks, RecordType};
use serde_json::Value;

use super::super::view::network;
use super::{addresses, change, id, missing, networks};
use crate::http::{
    Access, Fields, Operation, Param, Problem, Reply, Request, delete, get, post, put,
};
use crate::region::Region;

const RESOURCES: &str = "/MAAS/api/2.0/dnsresources/";
const RESOURCE: &str = "/MAAS/api/2.0/dnsresources/{id}/";

/// What a name is given by.
pub(super) const NAME: &[Param] = &[
    Param::optional("fqdn", "The whole name; or name and domain."),
    Param::optional("name", "The name in the domain, @ for the domain itself."),
    Param::optional("domain", "The domain, by name or number."),
];

const PARAMS: &[Param] = &[
    Param::optional("address_ttl", "Time to live of the addresses in seconds."),
    Param::repeated("ip_addresses", "Its addresses."),
];

const FILTERS: &[Param] = &[
    Param::optional("rrtype", "Only names with a record of this type."),
    Param::optional("all", "Accepted; all names are shown anyway."),
];

pub(super) fn operations() -> Vec<Operation<Region>> {
    vec![
        get("DNSResourcesHandler", RESOURCES, "All names that match.", list)
            .params(NAME)
            .params(FILTERS),
        post("DNSResourcesHandler", RESOURCES, "Adds a name.", create)
            .access(Access::Admin)
            .params(NAME)
            .params(PARAMS),
        get("DNSResourceHandler", RESOURCE, "One name.", read),
        put("DNSResourceHandler", RESOURCE, "Changes a name.", update)
            .access(Access::Admin)
            .params(NAME)
            .params(PARAMS),
        delete("DNSResourceHandler", RESOURCE, "Deletes a name with its records.", remove)
            .access(Access::Admin),
    ]
}

async fn list(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let networks = networks(&region).await?;
    let fields = request.fields();
    let Some(wanted) = Wanted::read(&networks, fields)? else { return Reply::json(&[(); 0]) };
    let rrtype = rrtype(fields)?;
    let has_type = |id| {
        rrtype
            .is_none_or(|wanted| networks.records_of(id).any(|(_, record)| record.rrtype == wanted))
    };
    let views: Vec<Value> = networks
        .dns_resources()
        .iter()
        .filter(|(id, resource)| wanted.matches(resource) && has_type(*id))
        .map(|(id, resource)| network::dns_resource(&networks, id, resource))
        .collect();
    Reply::json(&views)
}

async fn create(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let (id, networks) = change(&region, |networks| {
        let fields = request.fields();
        let (name, domain_id) = name(networks, fields)?.ok_or_else(|| {
            Problem::field("name", "Either name and domain (or fqdn) must be specified.")
        })?;
        let mut resource =
            DnsResource { domain_id, name, address_ttl: None, ip_addresses: BTreeSet::new() };
        apply(&mut resource, fields)?;
        Ok(networks.add_dns_resource(resource)?)
    })
    .await?;
    reply(&networks, id)
}

async fn read(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    reply(&*networks(&region).await?, id(&request, "DNSResource")?)
}

async fn update(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let id = id(&request, "DNSResource")?;
    let ((), networks) = change(&region, |networks| {
        let fields = request.fields();
        let old = networks.dns_resources().get(id);
        let mut resource = old.cloned().ok_or_else(|| missing("DNSResource"))?;
        if let Some(name) = fields.filled("name")? {
            name.clone_into(&mut resource.name);
        }
        if let Some(domain) = domain(networks, fields)? {
            resource.domain_id = domain;
        }
        if fields.filled("fqdn")?.is_some()
            && let Some((name, domain)) = name(networks, fields)?
        {
            (resource.name, resource.domain_id) = (name, domain);
        }
        apply(&mut resource, fields)?;
        Ok(networks.set_dns_resource(id, resource)?)
    })
    .await?;
    reply(&networks, id)
}

async fn remove(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let id = id(&request, "DNSResource")?;
    change(&region, |networks| Ok(networks.remove_dns_resource(id)?)).await?;
    Ok(Reply::no_content())
}

fn apply(resource: &mut DnsResource, fields: &Fields) -> Result<(), Problem> {
    if fields.contains("address_ttl") {
        resource.address_ttl = fields.number("address_ttl")?;
    }
    if fields.contains("ip_addresses") {
        resource.ip_addresses = addresses(fields, "ip_addresses")?.into_iter().collect();
    }
    Ok(())
}

fn reply(networks: &Networks, id: u64) -> Result<Reply, Problem> {
    let resource = networks.dns_resources().get(id).ok_or_else(|| missing("DNSResource"))?;
    Reply::json(&network::dns_resource(networks, id, resource))
}

/// The name and domain that a form gives, as `fqdn` or as both; `None` when it gives no name.
pub(super) fn name(networks: &Networks, fields: &Fields) -> Result<Option<(String, u64)>, Problem> {
    if let Some(fqdn) = fields.filled("fqdn")? {
        return match networks.split_fqdn(fqdn) {
            Some((name, domain)) => Ok(Some((name.to_owned(), domain))),
            None => Err(Problem::field("fqdn", format!("'{fqdn}' is in no domain known here."))),
        };
    }
    let Some(name) = fields.filled("name")? else { return Ok(None) };
    Ok(Some(match domain(networks, fields)? {
        Some(domain) => (name.to_owned(), domain),
        // A whole name is taken apart, anything else is in the default domain.
        None => match networks.split_fqdn(name) {
            Some((name, domain)) => (name.to_owned(), domain),
            None => (name.to_owned(), networks.default_domain()),
        },
    }))
}

fn domain(networks: &Networks, fields: &Fields) -> Result<Option<u64>, Problem> {
    let Some(text) = fields.filled("domain")? else { return Ok(None) };
    match networks.domain_named(text) {
        Some(domain) => Ok(Some(domain)),
        None => Err(Problem::field("domain", format!("Unable to find domain {text}."))),
    }
}

/// A record type other than an address.
pub(super) fn rrtype(fields: &Fields) -> Result<Option<RecordType>, Problem> {
    let Some(text) = fields.filled("rrtype")? else { return Ok(None) };
    match RecordType::named(text) {
        Some(kind) => Ok(Some(kind)),
        None if matches!(text.to_ascii_uppercase().as_str(), "A" | "AAAA") => {
            Err(Problem::field("rrtype", "Addresses are given by dnsresources, as ip_addresses."))
        }
        None => {
            let known: Vec<&str> = RecordType::ALL.iter().map(|kind| kind.as_str()).collect();
            Err(Problem::field("rrtype", format!("{text} is not one of {}.", known.join(", "))))
        }
    }
}

/// Which names a list asks for.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    name: Option<String>,
    domain: Option<u64>,
}

impl Wanted {
    /// `None` when nothing can match.
    pub(super) fn read(networks: &Networks, fields: &Fields) -> Result<Option<Self>, Problem> {
        if let Some(fqdn) = fields.filled("fqdn")? {
            return Ok(networks
                .split_fqdn(fqdn)
                .map(|(name, domain)| Self { name: Some(name.to_owned()), domain: Some(domain) }));
        }
        let mut wanted = Self { name: fields.filled("name")?.map(str::to_owned), domain: None };
        if let Some(text) = fields.filled("domain")? {
            let Some(domain) = networks.domain_named(text) else { return Ok(None) };
            wanted.domain = Some(domain);
        }
        Ok(Some(wanted))
    }

    pub(super) fn matches(&self, resource: &DnsResource) -> bool {
        self.name.as_ref().is_none_or(|name| name.eq_ignore_ascii_case(&resource.name))
            && self.domain.is_none_or(|domain| domain == resource.domain_id)
    }
}
