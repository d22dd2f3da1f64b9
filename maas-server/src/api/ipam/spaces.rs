//! Spaces, with the one of everything that is in none.

use std::sync::Arc;

use maas_core::ipam::{Networks, Space};

use super::super::view::network;
use super::{change, missing, networks, set_filled, set_text};
use crate::http::{
    Access, Fields, Operation, Param, Problem, Reply, Request, delete, get, post, put,
};
use crate::region::Region;

const SPACES: &str = "/MAAS/api/2.0/spaces/";
const SPACE: &str = "/MAAS/api/2.0/spaces/{id}/";

const PARAMS: &[Param] = &[
    Param::optional("name", "Unique; space-N when none is given."),
    Param::optional("description", "Free text."),
];

pub(super) fn operations() -> Vec<Operation<Region>> {
    vec![
        get("SpacesHandler", SPACES, "All spaces with their VLANs and subnets.", list),
        post("SpacesHandler", SPACES, "Adds a space.", create).access(Access::Admin).params(PARAMS),
        get("SpaceHandler", SPACE, "One space, by number or name.", read),
        put("SpaceHandler", SPACE, "Changes a space.", update).access(Access::Admin).params(PARAMS),
        delete("SpaceHandler", SPACE, "Deletes a space; its VLANs are in none then.", remove)
            .access(Access::Admin),
    ]
}

async fn list(region: Arc<Region>, _: Request) -> Result<Reply, Problem> {
    let networks = networks(&region).await?;
    let mut views = vec![network::no_space(&networks)];
    views.extend(networks.spaces().iter().map(|(id, one)| network::space(&networks, id, one)));
    Reply::json(&views)
}

async fn create(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let (id, networks) = change(&region, |networks| {
        let mut space = Space { name: String::new(), description: String::new() };
        apply(&mut space, request.fields())?;
        Ok(networks.add_space(space)?)
    })
    .await?;
    reply(&networks, Some(id))
}

async fn read(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let networks = networks(&region).await?;
    reply(&networks, find(&networks, &request)?)
}

async fn update(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let (id, networks) = change(&region, |networks| {
        let id = find(networks, &request)?.ok_or_else(not_real)?;
        let mut space = networks.spaces().get(id).cloned().ok_or_else(|| missing("Space"))?;
        apply(&mut space, request.fields())?;
        networks.set_space(id, space)?;
        Ok(id)
    })
    .await?;
    reply(&networks, Some(id))
}

async fn remove(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    change(&region, |networks| {
        let id = find(networks, &request)?.ok_or_else(not_real)?;
        Ok(networks.remove_space(id)?)
    })
    .await?;
    Ok(Reply::no_content())
}

fn not_real() -> Problem {
    Problem::bad_request("The space 'undefined' stands for what is in no space.")
}

fn apply(space: &mut Space, fields: &Fields) -> Result<(), Problem> {
    set_filled(&mut space.name, fields, "name")?;
    set_text(&mut space.description, fields, "description")
}

/// The space in the path; `None` for the one of what is in none.
fn find(networks: &Networks, request: &Request) -> Result<Option<u64>, Problem> {
    let text = request.param("id");
    let name = text.strip_prefix("name:").unwrap_or(text);
    networks.space_named(name).ok_or_else(|| missing("Space"))
}

fn reply(networks: &Networks, id: Option<u64>) -> Result<Reply, Problem> {
    let Some(id) = id else { return Reply::json(&network::no_space(networks)) };
    let space = networks.spaces().get(id).ok_or_else(|| missing("Space"))?;
    Reply::json(&network::space(networks, id, space))
}
