//! DNS domains.

use std::sync::Arc;

use maas_core::ipam::{Domain, Networks};

use super::super::view::network;
use super::{change, missing, networks, set_filled};
use crate::http::{
    Access, Fields, Operation, Param, Problem, Reply, Request, delete, get, post, put,
};
use crate::region::{ApplyError, Region};
use crate::store::MachineFilter;

const DOMAINS: &str = "/MAAS/api/2.0/domains/";
const DOMAIN: &str = "/MAAS/api/2.0/domains/{id}/";

const PARAMS: &[Param] = &[
    Param::required("name", "The name, unique."),
    Param::optional("authoritative", "Whether this server answers for it; true unless told."),
    Param::optional("ttl", "Time to live of its records in seconds."),
];

pub(super) fn operations() -> Vec<Operation<Region>> {
    vec![
        get("DomainsHandler", DOMAINS, "All domains.", list),
        post("DomainsHandler", DOMAINS, "Adds a domain.", create)
            .access(Access::Admin)
            .params(PARAMS),
        get("DomainHandler", DOMAIN, "One domain, by number or name.", read),
        put("DomainHandler", DOMAIN, "Changes a domain; its machines go along.", update)
            .access(Access::Admin)
            .params(PARAMS),
        post("DomainHandler", DOMAIN, "Makes it the domain of new machines.", set_default)
            .op("set_default")
            .access(Access::Admin),
        delete("DomainHandler", DOMAIN, "Deletes a domain that nothing uses.", remove)
            .access(Access::Admin),
    ]
}

async fn list(region: Arc<Region>, _: Request) -> Result<Reply, Problem> {
    let networks = networks(&region).await?;
    let views = networks.domains().iter().map(|(id, one)| network::domain(&networks, id, one));
    Reply::json(&views.collect::<Vec<_>>())
}

async fn create(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let (id, networks) = change(&region, |networks| {
        request.fields().required("name")?;
        let mut domain = Domain { name: String::new(), ttl: None, authoritative: true };
        apply(&mut domain, request.fields())?;
        Ok(networks.add_domain(domain)?)
    })
    .await?;
    reply(&networks, id)
}

async fn read(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let networks = networks(&region).await?;
    reply(&networks, find(&networks, &request)?)
}

async fn update(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let ((id, before, after), networks) = change(&region, |networks| {
        let id = find(networks, &request)?;
        let old = networks.domains().get(id).cloned().ok_or_else(|| missing("Domain"))?;
        let mut domain = old.clone();
        apply(&mut domain, request.fields())?;
        let after = domain.name.clone();
        networks.set_domain(id, domain)?;
        Ok((id, old.name, after))
    })
    .await?;
    if before != after {
        rename_in_machines(&region, &before, &after).await?;
    }
    reply(&networks, id)
}

/// Machines know their domain by name.
async fn rename_in_machines(region: &Region, before: &str, after: &str) -> Result<(), Problem> {
    let machines = region.store.machines(&MachineFilter::all()).await.map_err(Problem::internal)?;
    for machine in machines.iter().filter(|machine| machine.domain == before) {
        let renamed = region
            .edit::<ApplyError>(&machine.system_id, |machine| {
                if machine.domain == before {
                    after.clone_into(&mut machine.domain);
                }
                Ok(Vec::new())
            })
            .await;
        match renamed {
            // One that was deleted meanwhile needs no name.
            Ok(_) | Err(ApplyError::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

async fn set_default(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let (id, networks) = change(&region, |networks| {
        let id = find(networks, &request)?;
        networks.set_default_domain(id)?;
        Ok(id)
    })
    .await?;
    reply(&networks, id)
}

async fn remove(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let networks = networks(&region).await?;
    let id = find(&networks, &request)?;
    let name = networks.domains().get(id).map_or("", |domain| &domain.name);
    let machines = region.store.machines(&MachineFilter::all()).await.map_err(Problem::internal)?;
    if id == networks.default_domain() {
        change(&region, |networks| Ok(networks.remove_domain(id)?)).await?;
    }
    let inside = machines.iter().filter(|machine| machine.domain == name).count();
    if inside > 0 {
        return Err(Problem::Conflict(format!("This domain still has {inside} machines.")));
    }
    change(&region, |networks| Ok(networks.remove_domain(id)?)).await?;
    Ok(Reply::no_content())
}

fn apply(domain: &mut Domain, fields: &Fields) -> Result<(), Problem> {
    set_filled(&mut domain.name, fields, "name")?;
    domain.name = domain.name.trim_end_matches('.').to_owned();
    if let Some(authoritative) = fields.flag("authoritative")? {
        domain.authoritative = authoritative;
    }
    if fields.contains("ttl") {
        domain.ttl = fields.number("ttl")?;
    }
    Ok(())
}

fn find(networks: &Networks, request: &Request) -> Result<u64, Problem> {
    networks.domain_named(request.param("id")).ok_or_else(|| missing("Domain"))
}

fn reply(networks: &Networks, id: u64) -> Result<Reply, Problem> {
    let domain = networks.domains().get(id).ok_or_else(|| missing("Domain"))?;
    Reply::json(&network::domain(networks, id, domain))
}

/// The name of the domain that a machine's form means, by name or number; the default one when it
/// means none. The error is a sentence.
pub(in crate::api) fn known_domain(
    networks: &Networks,
    given: Option<&str>,
) -> Result<String, String> {
    let Some(given) = given.filter(|given| !given.is_empty()) else {
        return Ok(networks.default_domain_name().to_owned());
    };
    networks
        .domain_named(given)
        .and_then(|id| networks.domains().get(id))
        .map(|domain| domain.name.clone())
        .ok_or_else(|| format!("Unable to find domain {given}."))
}
