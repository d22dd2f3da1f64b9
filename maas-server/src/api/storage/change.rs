//! Changes of a machine's storage: who may, when, and as one compare-and-set.

use std::sync::Arc;

use maas_core::machine::permission::Permission;
use maas_core::machine::{Actor, Machine, Role, Status};
use maas_core::storage::Edit;

use super::super::machines::find;
use super::super::view::storage::StorageView;
use super::refused::refused;
use crate::http::{Problem, Request};
use crate::region::Region;

/// When a change is allowed, and by whom.
#[derive(Debug, Clone, Copy)]
pub(super) enum When {
    /// Of an administrator, while the machine is Ready.
    Ready,
    /// Of an administrator while it is Ready, of its owner while it is Allocated.
    ReadyOrAllocated,
    /// Of an administrator, at any time.
    Always,
}

/// The machine of the path for who may see it.
pub(super) async fn seen(region: &Region, request: &Request) -> Result<Arc<Machine>, Problem> {
    find(region, request, Permission::View).await
}

/// Applies the edits that `decide` makes of the machine as it is stored; asked again when somebody
/// else changed it in between. `what` completes "Cannot … because".
pub(super) async fn edit(
    region: &Region,
    request: &Request,
    when: When,
    what: &str,
    decide: impl Fn(&StorageView<'_>) -> Result<Vec<Edit>, Problem>,
) -> Result<Arc<Machine>, Problem> {
    change(region, request, when, what, |machine| {
        let edits = decide(&StorageView::of(machine))?;
        machine.edit_storage(&edits).map_err(refused)
    })
    .await
}

/// Like [`edit`], for what is more than edits.
pub(super) async fn change(
    region: &Region,
    request: &Request,
    when: When,
    what: &str,
    change: impl Fn(&mut Machine) -> Result<(), Problem>,
) -> Result<Arc<Machine>, Problem> {
    let permission = match when {
        When::Ready | When::Always => Permission::Admin,
        When::ReadyOrAllocated => Permission::Edit,
    };
    let machine = find(region, request, permission).await?;
    let actor = super::super::actor(request)?;
    region
        .edit::<Problem>(&machine.system_id, |machine| {
            allow(machine, &actor, when, what)?;
            change(machine)?;
            Ok(Vec::new())
        })
        .await
}

fn allow(machine: &Machine, actor: &Actor, when: When, what: &str) -> Result<(), Problem> {
    let because =
        |why: &str| Problem::Conflict(format!("Cannot {what} because the machine is not {why}."));
    match (when, machine.status) {
        (When::Always, _) | (When::Ready, Status::Ready) => Ok(()),
        (When::Ready, _) => Err(because("Ready")),
        (When::ReadyOrAllocated, Status::Ready) if actor.role != Role::Admin => {
            Err(Problem::Forbidden(format!(
                "Cannot {what} because you don't have the permissions on a Ready machine."
            )))
        }
        (When::ReadyOrAllocated, Status::Ready | Status::Allocated) => Ok(()),
        (When::ReadyOrAllocated, _) => Err(because("Ready or Allocated")),
    }
}
