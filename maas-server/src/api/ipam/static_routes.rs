//! Static routes.

use std::sync::Arc;

use maas_core::ipam::{Networks, StaticRoute};

use super::super::view::network;
use super::{address, change, id, missing, networks, required_address, subnet};
use crate::http::{Access, Operation, Param, Problem, Reply, Request, delete, get, post, put};
use crate::region::Region;

const ROUTES: &str = "/MAAS/api/2.0/static-routes/";
const ROUTE: &str = "/MAAS/api/2.0/static-routes/{id}/";

const PARAMS: &[Param] = &[
    Param::required("source", "The subnet whose machines get the route."),
    Param::required("destination", "The subnet that it leads to."),
    Param::required("gateway_ip", "A router in the source subnet."),
    Param::optional("metric", "The lower, the better; 0 unless told."),
];

pub(super) fn operations() -> Vec<Operation<Region>> {
    vec![
        get("StaticRoutesHandler", ROUTES, "All static routes.", list),
        post("StaticRoutesHandler", ROUTES, "Adds a static route.", create)
            .access(Access::Admin)
            .params(PARAMS),
        get("StaticRouteHandler", ROUTE, "One static route.", read),
        put("StaticRouteHandler", ROUTE, "Changes a static route.", update)
            .access(Access::Admin)
            .params(PARAMS),
        delete("StaticRouteHandler", ROUTE, "Deletes a static route.", remove)
            .access(Access::Admin),
    ]
}

async fn list(region: Arc<Region>, _: Request) -> Result<Reply, Problem> {
    let networks = networks(&region).await?;
    let rows = networks.static_routes().iter();
    let views = rows.map(|(id, one)| network::static_route(&networks, id, one));
    Reply::json(&views.collect::<Vec<_>>())
}

async fn create(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let (id, networks) = change(&region, |networks| {
        let fields = request.fields();
        let end = |name| -> Result<u64, Problem> {
            fields.required(name)?;
            subnet(fields, name, networks)?
                .ok_or_else(|| Problem::field(name, "This field is required."))
        };
        let route = StaticRoute {
            source: end("source")?,
            destination: end("destination")?,
            gateway_ip: required_address(fields, "gateway_ip")?,
            metric: fields.number("metric")?.unwrap_or(0),
        };
        Ok(networks.add_static_route(route)?)
    })
    .await?;
    reply(&networks, id)
}

async fn read(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    reply(&*networks(&region).await?, id(&request, "StaticRoute")?)
}

async fn update(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let id = id(&request, "StaticRoute")?;
    let ((), networks) = change(&region, |networks| {
        let fields = request.fields();
        let old = networks.static_routes().get(id).ok_or_else(|| missing("StaticRoute"))?;
        let route = StaticRoute {
            source: subnet(fields, "source", networks)?.unwrap_or(old.source),
            destination: subnet(fields, "destination", networks)?.unwrap_or(old.destination),
            gateway_ip: address(fields, "gateway_ip")?.unwrap_or(old.gateway_ip),
            metric: fields.number("metric")?.unwrap_or(old.metric),
        };
        Ok(networks.set_static_route(id, route)?)
    })
    .await?;
    reply(&networks, id)
}

async fn remove(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let id = id(&request, "StaticRoute")?;
    change(&region, |networks| Ok(networks.remove_static_route(id)?)).await?;
    Ok(Reply::no_content())
}

fn reply(networks: &Networks, id: u64) -> Result<Reply, Problem> {
    let route = networks.static_routes().get(id).ok_or_else(|| missing("StaticRoute"))?;
    Reply::json(&network::static_route(networks, id, route))
}
