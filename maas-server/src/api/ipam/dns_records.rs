//! Records of names that are no addresses.

use std::collections::BTreeSet;
use std::sync::Arc;

use maas_core::ipam::{DnsRecord, DnsResource, Networks};
use serde_json::Value;

use super::super::view::network;
use super::dns_resources::{NAME, Wanted, name, rrtype};
use super::{change, id, missing, networks, set_filled};
use crate::http::{Access, Operation, Param, Problem, Reply, Request, delete, get, post, put};
use crate::region::Region;

const RECORDS: &str = "/MAAS/api/2.0/dnsresourcerecords/";
const RECORD: &str = "/MAAS/api/2.0/dnsresourcerecords/{id}/";

const PARAMS: &[Param] = &[
    Param::required("rrtype", "CNAME, MX, NS, SRV, SSHFP or TXT."),
    Param::required("rrdata", "The data as in a zone file."),
    Param::optional("ttl", "Time to live in seconds."),
];

pub(super) fn operations() -> Vec<Operation<Region>> {
    vec![
        get("DNSResourceRecordsHandler", RECORDS, "All records that match.", list)
            .params(NAME)
            .params(&[Param::optional("rrtype", "Only of this type.")]),
        post("DNSResourceRecordsHandler", RECORDS, "Adds a record, and its name.", create)
            .access(Access::Admin)
            .params(NAME)
            .params(PARAMS),
        get("DNSResourceRecordHandler", RECORD, "One record.", read),
        put("DNSResourceRecordHandler", RECORD, "Changes a record.", update)
            .access(Access::Admin)
            .params(PARAMS),
        delete("DNSResourceRecordHandler", RECORD, "Deletes a record.", remove)
            .access(Access::Admin),
    ]
}

async fn list(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let networks = networks(&region).await?;
    let fields = request.fields();
    let Some(wanted) = Wanted::read(&networks, fields)? else { return Reply::json(&[(); 0]) };
    let rrtype = rrtype(fields)?;
    let named = |record: &DnsRecord| {
        networks.dns_resources().get(record.resource_id).is_some_and(|it| wanted.matches(it))
    };
    let views: Vec<Value> = networks
        .dns_records()
        .iter()
        .filter(|(_, record)| named(record) && rrtype.is_none_or(|it| it == record.rrtype))
        .map(|(id, record)| network::dns_record(&networks, id, record))
        .collect();
    Reply::json(&views)
}

async fn create(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let (id, networks) = change(&region, |networks| {
        let fields = request.fields();
        let (name, domain_id) = name(networks, fields)?.ok_or_else(|| {
            Problem::field("name", "Either name and domain (or fqdn) must be specified.")
        })?;
        fields.required("rrtype")?;
        let rrtype =
            rrtype(fields)?.ok_or_else(|| Problem::field("rrtype", "This field is required."))?;
        let rrdata = fields.required("rrdata")?.trim().to_owned();
        let resource_id = match networks.dns_resource_named(domain_id, &name) {
            Some(known) => known,
            None => networks.add_dns_resource(DnsResource {
                domain_id,
                name,
                address_ttl: None,
                ip_addresses: BTreeSet::new(),
            })?,
        };
        let ttl = fields.number("ttl")?;
        Ok(networks.add_dns_record(DnsRecord { resource_id, ttl, rrtype, rrdata })?)
    })
    .await?;
    reply(&networks, id)
}

async fn read(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    reply(&*networks(&region).await?, id(&request, "DNSData")?)
}

async fn update(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let id = id(&request, "DNSData")?;
    let ((), networks) = change(&region, |networks| {
        let fields = request.fields();
        let old = networks.dns_records().get(id);
        let mut record = old.cloned().ok_or_else(|| missing("DNSData"))?;
        if let Some(kind) = rrtype(fields)? {
            record.rrtype = kind;
        }
        set_filled(&mut record.rrdata, fields, "rrdata")?;
        if fields.contains("ttl") {
            record.ttl = fields.number("ttl")?;
        }
        Ok(networks.set_dns_record(id, record)?)
    })
    .await?;
    reply(&networks, id)
}

async fn remove(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let id = id(&request, "DNSData")?;
    change(&region, |networks| Ok(networks.remove_dns_record(id)?)).await?;
    Ok(Reply::no_content())
}

fn reply(networks: &Networks, id: u64) -> Result<Reply, Problem> {
    let record = networks.dns_records().get(id).ok_or_else(|| missing("DNSData"))?;
    Reply::json(&network::dns_record(networks, id, record))
}
