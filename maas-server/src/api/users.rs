//! Users.

use std::sync::Arc;

use maas_core::machine::{Event, Role};
use maas_core::secret::Secret;
use serde_json::{Value, json};

use crate::accounts::{self, AccountsError};
use crate::http::{Access, Operation, Param, Problem, Reply, Request, delete, get, post};
use crate::problems::applied;
use crate::region::{Extras, Region};
use crate::store::{MachineFilter, User};

const USERS: &str = "/MAAS/api/2.0/users/";
const USER: &str = "/MAAS/api/2.0/users/{username}/";

pub(super) fn operations() -> Vec<Operation<Region>> {
    vec![
        get("UsersHandler", USERS, "All users.", list),
        get("UsersHandler", USERS, "The user who asks.", whoami).op("whoami"),
        post("UsersHandler", USERS, "Adds a user.", create).access(Access::Admin).params(&[
            Param::required("username", "The name."),
            Param::required("email", "The e-mail address."),
            Param::required("password", "The password."),
            Param::required("is_superuser", "1 for an administrator, 0 otherwise."),
        ]),
        get("UserHandler", USER, "One user.", read),
        delete("UserHandler", USER, "Deletes a user who holds nothing, or hands it over.", remove)
            .access(Access::Admin)
            .params(&[Param::optional("transfer_resources_to", "Who gets what the user holds.")]),
    ]
}

async fn list(region: Arc<Region>, _: Request) -> Result<Reply, Problem> {
    let users = region.store.users().await.map_err(Problem::internal)?;
    Reply::json(&users.iter().map(view).collect::<Vec<_>>())
}

async fn whoami(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    Reply::json(&view(&find(&region, &super::actor(&request)?.username).await?))
}

async fn read(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    Reply::json(&view(&find(&region, request.param("username")).await?))
}

async fn create(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let fields = request.fields();
    let username = fields.required("username")?;
    let email = fields.text("email")?.unwrap_or_default();
    let password = Secret::new(fields.required("password")?.to_owned());
    let role = if fields.flag("is_superuser")?.unwrap_or(false) { Role::Admin } else { Role::User };
    let created = accounts::create(&*region.store, username, email, role, &password).await;
    created.map_err(|error| match error {
        AccountsError::Name { .. } => Problem::field("username", error.to_string()),
        AccountsError::Account(_) => {
            Problem::field("username", "A user with that username already exists.")
        }
        AccountsError::Entropy(error) => Problem::field("password", error.to_string()),
        other => Problem::internal(other),
    })?;
    Reply::json(&view(&find(&region, username).await?))
}

async fn remove(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let user = find(&region, request.param("username")).await?;
    if super::actor(&request)?.username == user.username {
        return Err(Problem::bad_request("An administrator cannot delete themself."));
    }
    let filter = MachineFilter { owners: vec![user.username.clone()], ..MachineFilter::all() };
    let held = region.store.machines(&filter).await.map_err(Problem::internal)?;
    if let Some(heir) = request.fields().filled("transfer_resources_to")? {
        // Before anything changes hands.
        let heir = region.store.user(heir).await.map_err(Problem::internal)?;
        let heir = heir.filter(|heir| heir.username != user.username).ok_or_else(|| {
            Problem::bad_request("The user to transfer resources to does not exist.")
        })?;
        for machine in &held {
            let event =
                Event::Transfer { actor: super::actor(&request)?, to: heir.username.clone() };
            applied(region.apply(&machine.system_id, &event, Extras::default()).await)?;
        }
    } else if !held.is_empty() {
        return Err(Problem::bad_request(format!(
            "User {} cannot be deleted: {} machine(s) are still allocated; release them or name \
             transfer_resources_to.",
            user.username,
            held.len()
        )));
    }
    region.store.delete_user(&user.username).await.map_err(Problem::internal)?;
    Ok(Reply::no_content())
}

async fn find(region: &Region, username: &str) -> Result<User, Problem> {
    let user = region.store.user(username).await.map_err(Problem::internal)?;
    user.ok_or_else(|| Problem::not_found("No User matches the given query."))
}

fn view(user: &User) -> Value {
    json!({
        "username": user.username, "email": user.email, "is_local": true,
        "is_superuser": user.role == Role::Admin,
        "resource_uri": format!("/MAAS/api/2.0/users/{}/", user.username),
    })
}
