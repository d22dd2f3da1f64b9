//! Interfaces of machines and devices, and their links (`api.md` §4.2).

mod form;

use std::sync::Arc;

use maas_core::machine::Actor;
use maas_core::machine::interface::Edit;
use maas_core::machine::interface::LinkMode;
use maas_core::machine::interface::edit::{Chosen, Force, NewLink, Settings};
use maas_core::machine::permission::Permission;

use super::actor;
use super::view::interface as view;
use super::view::places::Places;
use crate::http::{FieldErrors, Operation, Param, Problem, Reply, Request, delete, get, post, put};
use crate::nodes::{self, Node};
use crate::region::Region;

const INTERFACES: &str = "/MAAS/api/2.0/nodes/{system_id}/interfaces/";
const INTERFACE: &str = "/MAAS/api/2.0/nodes/{system_id}/interfaces/{id}/";

pub(super) fn operations() -> Vec<Operation<Region>> {
    let many = "InterfacesHandler";
    let one = "InterfaceHandler";
    vec![
        get(many, INTERFACES, "All interfaces of a machine or device.", list),
        post(many, INTERFACES, "Adds a port of a card.", |region, request| {
            create(region, request, Edit::CreatePhysical)
        })
        .op("create_physical")
        .params(form::COMMON)
        .params(form::PHYSICAL),
        post(many, INTERFACES, "Makes one link of several cards.", |region, request| {
            create(region, request, Edit::CreateBond)
        })
        .op("create_bond")
        .params(form::COMMON)
        .params(form::BOND),
        post(many, INTERFACES, "Adds a software switch.", |region, request| {
            create(region, request, Edit::CreateBridge)
        })
        .op("create_bridge")
        .params(form::COMMON)
        .params(form::BRIDGE),
        post(many, INTERFACES, "Adds a tagged VLAN on an interface.", |region, request| {
            create(region, request, Edit::CreateVlan)
        })
        .op("create_vlan")
        .params(form::COMMON)
        .params(form::VLAN),
        get(one, INTERFACE, "One interface, by number or name.", read),
        put(one, INTERFACE, "Changes an interface.", update)
            .params(form::COMMON)
            .params(form::BOND)
            .params(form::BRIDGE),
        delete(one, INTERFACE, "Removes an interface and what only it carried.", remove),
        post(one, INTERFACE, "Adds a tag.", add_tag)
            .op("add_tag")
            .params(&[Param::required("tag", "The tag.")]),
        post(one, INTERFACE, "Removes a tag.", remove_tag)
            .op("remove_tag")
            .params(&[Param::required("tag", "The tag.")]),
        post(one, INTERFACE, "Links the interface to a subnet.", link_subnet)
            .op("link_subnet")
            .params(form::LINK),
        post(one, INTERFACE, "Removes a link.", unlink_subnet)
            .op("unlink_subnet")
            .params(&[Param::required("id", "The link's number.")]),
        post(one, INTERFACE, "Removes all links and the VLAN.", disconnect).op("disconnect"),
        post(one, INTERFACE, "Makes a link's gateway the default.", set_default_gateway)
            .op("set_default_gateway")
            .params(&[Param::optional("link_id", "The link; any of the interface's.")]),
    ]
}

/// The node, what surrounds it, and who asks.
struct Call {
    node: Node,
    networks: Places,
    actor: Actor,
}

impl Call {
    async fn new(
        region: &Region,
        request: &Request,
        permission: Permission,
    ) -> Result<Self, Problem> {
        let node = nodes::find(region, request, permission).await?;
        let networks = Places::load(region).await?;
        Ok(Self { node, networks, actor: actor(request)? })
    }

    /// The number of the interface in the path.
    fn interface(&self, request: &Request) -> Result<u64, Problem> {
        let found = self.node.interfaces().find(request.param("id"));
        found
            .map(|interface| interface.id)
            .ok_or_else(|| Problem::not_found("No Interface matches the given query."))
    }

    async fn change(self, region: Arc<Region>, edits: Vec<Edit>) -> Result<Changed, Problem> {
        let (node, id) = nodes::change(region, self.node, edits, self.actor).await?;
        Ok(Changed { node, id, networks: self.networks })
    }
}

struct Changed {
    node: Node,
    id: Option<u64>,
    networks: Places,
}

impl Changed {
    fn reply(&self) -> Result<Reply, Problem> {
        let shown = view::Shown::of(&self.node, &self.networks);
        let found = self.id.and_then(|id| shown.one(id));
        let interface = found.ok_or_else(|| Problem::internal("the interface is gone"))?;
        Reply::json(&interface)
    }
}

async fn list(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let call = Call::new(&region, &request, Permission::View).await?;
    Reply::json(&view::Shown::of(&call.node, &call.networks).all())
}

async fn read(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let call = Call::new(&region, &request, Permission::View).await?;
    let id = call.interface(&request)?;
    Changed { node: call.node, id: Some(id), networks: call.networks }.reply()
}

async fn create(
    region: Arc<Region>,
    request: Request,
    edit: fn(Settings) -> Edit,
) -> Result<Reply, Problem> {
    let call = Call::new(&region, &request, Permission::Admin).await?;
    let fields = request.fields();
    let settings = form::settings(fields, call.node.interfaces())?;
    let mut edits = vec![edit(settings)];
    if let Some(link) = device_link(&call, &edits[0], &request)? {
        edits.push(Edit::LinkSubnet { id: nodes::NEWEST, link });
    }
    call.change(region, edits).await?.reply()
}

/// The address that a device's card is created with (`ip_assignment`).
fn device_link(call: &Call, edit: &Edit, request: &Request) -> Result<Option<NewLink>, Problem> {
    if !matches!((&call.node, edit), (Node::Device(_), Edit::CreatePhysical(_))) {
        return Ok(None);
    }
    let fields = request.fields();
    let mut errors = FieldErrors::new();
    let assignment = errors.collect(fields.filled("ip_assignment")).unwrap_or_default();
    let ip: Option<std::net::IpAddr> = errors.collect(fields.parsed("ip_address"));
    let subnet = form::subnet(fields, &call.networks, &mut errors);
    let subnet = subnet.or_else(|| Some(call.networks.facts.subnet_of(ip?)?.0));
    match assignment {
        // What another server gives is none of ours.
        "" | "dynamic" | "external" => {
            if assignment != "external" && ip.is_some() {
                errors.add("ip_address", "Only ip_assignment=static gives an address.");
            }
            errors.done()?;
            Ok(None)
        }
        "static" => {
            if subnet.is_none() {
                errors.add("subnet", "This field is required.");
            }
            errors.done()?;
            Ok(Some(NewLink {
                mode: LinkMode::Static,
                subnet,
                ip,
                default_gateway: Chosen::No,
                // The card is new: it is plugged in where its first address is.
                force: Force::Yes,
            }))
        }
        _ => {
            errors.add("ip_assignment", "Expected dynamic, external or static.");
            Err(Problem::Fields(errors))
        }
    }
}

async fn update(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let call = Call::new(&region, &request, Permission::Admin).await?;
    let id = call.interface(&request)?;
    let settings = Box::new(form::settings(request.fields(), call.node.interfaces())?);
    call.change(region, vec![Edit::Update { id, settings }]).await?.reply()
}

async fn remove(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let call = Call::new(&region, &request, Permission::Admin).await?;
    let id = call.interface(&request)?;
    call.change(region, vec![Edit::Delete { id }]).await?;
    Ok(Reply::no_content())
}

async fn add_tag(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let call = Call::new(&region, &request, Permission::Admin).await?;
    let (id, tag) = (call.interface(&request)?, request.fields().required("tag")?.to_owned());
    call.change(region, vec![Edit::AddTag { id, tag }]).await?.reply()
}

async fn remove_tag(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let call = Call::new(&region, &request, Permission::Admin).await?;
    let (id, tag) = (call.interface(&request)?, request.fields().required("tag")?.to_owned());
    call.change(region, vec![Edit::RemoveTag { id, tag }]).await?.reply()
}

async fn link_subnet(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let call = Call::new(&region, &request, Permission::Admin).await?;
    let id = call.interface(&request)?;
    let link = form::link(request.fields(), &call.networks)?;
    call.change(region, vec![Edit::LinkSubnet { id, link }]).await?.reply()
}

async fn unlink_subnet(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let call = Call::new(&region, &request, Permission::Admin).await?;
    let id = call.interface(&request)?;
    let link: Option<u64> = request.fields().number("id")?;
    let link = link.ok_or_else(|| Problem::field("id", "This field is required."))?;
    call.change(region, vec![Edit::UnlinkSubnet { id, link }]).await?.reply()
}

async fn disconnect(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let call = Call::new(&region, &request, Permission::Admin).await?;
    let id = call.interface(&request)?;
    call.change(region, vec![Edit::Disconnect { id }]).await?.reply()
}

async fn set_default_gateway(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let call = Call::new(&region, &request, Permission::Admin).await?;
    let id = call.interface(&request)?;
    let link = request.fields().number("link_id")?;
    call.change(region, vec![Edit::SetDefaultGateway { id, link }]).await?.reply()
}
