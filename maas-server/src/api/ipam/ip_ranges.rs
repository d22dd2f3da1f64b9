//! IP ranges. Users may reserve; dynamic ranges are for administrators.

use std::sync::Arc;

use maas_core::ipam::{IpRange, Networks, RangeKind};

use super::super::view::network;
use super::{address, change, id, leased, missing, networks, required_address, set_text, subnet};
use crate::http::{Operation, Param, Problem, Reply, Request, delete, get, post, put};
use crate::region::Region;

const RANGES: &str = "/MAAS/api/2.0/ipranges/";
const RANGE: &str = "/MAAS/api/2.0/ipranges/{id}/";

const PARAMS: &[Param] = &[
    Param::required("type", "dynamic or reserved."),
    Param::required("start_ip", "The first address."),
    Param::required("end_ip", "The last address."),
    Param::optional("subnet", "The subnet; that of the first address when none is given."),
    Param::optional("comment", "Free text."),
];

pub(super) fn operations() -> Vec<Operation<Region>> {
    vec![
        get("IPRangesHandler", RANGES, "All ranges.", list),
        post("IPRangesHandler", RANGES, "Adds a range.", create).params(PARAMS),
        get("IPRangeHandler", RANGE, "One range.", read),
        put("IPRangeHandler", RANGE, "Changes a range.", update).params(PARAMS),
        delete("IPRangeHandler", RANGE, "Deletes a range.", remove),
    ]
}

async fn list(region: Arc<Region>, _: Request) -> Result<Reply, Problem> {
    let networks = networks(&region).await?;
    let views = networks.ip_ranges().iter().map(|(id, one)| network::ip_range(&networks, id, one));
    Reply::json(&views.collect::<Vec<_>>())
}

async fn create(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let leased = leased(&region).await?;
    let user = super::super::actor(&request)?.username;
    let (id, networks) = change(&region, |networks| {
        let fields = request.fields();
        let kind = kind(fields.required("type")?)?;
        let start_ip = required_address(fields, "start_ip")?;
        let subnet_id = subnet(fields, "subnet", networks)?
            .or_else(|| networks.subnet_of(&start_ip))
            .ok_or_else(|| {
                Problem::field("subnet", "Unable to identify subnet for start IP address.")
            })?;
        let mut range = IpRange {
            subnet_id,
            kind,
            start_ip,
            end_ip: required_address(fields, "end_ip")?,
            comment: String::new(),
            user: Some(user.clone()),
        };
        set_text(&mut range.comment, fields, "comment")?;
        may_have(&request, &range)?;
        Ok(networks.add_ip_range(range, &leased)?)
    })
    .await?;
    reply(&networks, id)
}

async fn read(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    reply(&*networks(&region).await?, id(&request, "IPRange")?)
}

async fn update(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let leased = leased(&region).await?;
    let id = id(&request, "IPRange")?;
    let ((), networks) = change(&region, |networks| {
        let mut range = own(networks, &request, id)?;
        let fields = request.fields();
        if let Some(text) = fields.filled("type")? {
            range.kind = kind(text)?;
        }
        if let Some(start) = address(fields, "start_ip")? {
            range.start_ip = start;
        }
        if let Some(end) = address(fields, "end_ip")? {
            range.end_ip = end;
        }
        if let Some(subnet) = subnet(fields, "subnet", networks)? {
            range.subnet_id = subnet;
        }
        set_text(&mut range.comment, fields, "comment")?;
        may_have(&request, &range)?;
        Ok(networks.set_ip_range(id, range, &leased)?)
    })
    .await?;
    reply(&networks, id)
}

async fn remove(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let id = id(&request, "IPRange")?;
    change(&region, |networks| {
        own(networks, &request, id)?;
        Ok(networks.remove_ip_range(id)?)
    })
    .await?;
    Ok(Reply::no_content())
}

/// A range that the caller may change: an administrator any, a user the own ones.
fn own(networks: &Networks, request: &Request, id: u64) -> Result<IpRange, Problem> {
    let range = networks.ip_ranges().get(id).cloned().ok_or_else(|| missing("IPRange"))?;
    let caller = super::super::actor(request)?.username;
    if !request.caller().is_admin() && range.user.as_ref() != Some(&caller) {
        return Err(Problem::Forbidden(
            "Unable to modify IP range. You don't own the IP range.".to_owned(),
        ));
    }
    Ok(range)
}

fn may_have(request: &Request, range: &IpRange) -> Result<(), Problem> {
    if range.kind == RangeKind::Dynamic && !request.caller().is_admin() {
        return Err(Problem::Forbidden(
            "Unable to create dynamic IP range. You don't have sufficient privileges.".to_owned(),
        ));
    }
    Ok(())
}

fn kind(text: &str) -> Result<RangeKind, Problem> {
    [RangeKind::Dynamic, RangeKind::Reserved]
        .into_iter()
        .find(|kind| kind.as_str() == text)
        .ok_or_else(|| {
            Problem::field(
                "type",
                format!("Value '{text}' is not a valid choice: dynamic or reserved."),
            )
        })
}

fn reply(networks: &Networks, id: u64) -> Result<Reply, Problem> {
    let range = networks.ip_ranges().get(id).ok_or_else(|| missing("IPRange"))?;
    Reply::json(&network::ip_range(networks, id, range))
}
