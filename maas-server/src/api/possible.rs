//! What the caller could do with a machine now.

use std::sync::Arc;

use maas_core::machine::permission::Permission;
use maas_core::machine::possible_commands;
use serde_json::{Value, json};

use super::machines::{MACHINE, find};
use crate::http::{Operation, Problem, Reply, Request, get};
use crate::region::Region;

pub(super) fn operations() -> Vec<Operation<Region>> {
    vec![
        get(
            "MachineHandler",
            MACHINE,
            "The commands, each with why it would be refused now or null; an extension.",
            possible,
        )
        .op("possible_actions"),
    ]
}

async fn possible(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let machine = find(&region, &request, Permission::View).await?;
    let commands = possible_commands(&machine, &super::actor(&request)?);
    let view = |refusal: Option<maas_core::machine::Refusal>| refusal.map(|one| one.to_string());
    let views: Vec<Value> = commands
        .into_iter()
        .map(|command| json!({"op": command.op, "refusal": view(command.refusal)}))
        .collect();
    Reply::json(&views)
}
