//! What happened in a machine's last run, and why it failed if it did.

use std::sync::Arc;

use maas_core::machine::permission::Permission;
use serde_json::json;

use super::machines::{MACHINE, find};
use crate::http::{Operation, Problem, Reply, Request, get};
use crate::region::Region;
use crate::trail;

pub(super) fn operations() -> Vec<Operation<Region>> {
    vec![
        get(
            "MachineHandler",
            MACHINE,
            "The stages of the last run with their durations and, when it failed, the failing \
             command, its exit code, the last lines of the log and a known cause; an extension.",
            explain,
        )
        .op("explain"),
    ]
}

async fn explain(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let machine = find(&region, &request, Permission::View).await?;
    let explanation = trail::explanation(&region, &machine).await.map_err(Problem::internal)?;
    let mut shown = trail::shown(&explanation);
    shown["system_id"] = json!(machine.system_id);
    shown["status_name"] = json!(machine.status.display_name());
    shown["error_description"] = json!(machine.error_description);
    Reply::json(&shown)
}
