//! From an order to a deployment: the plan is computed and stored, and only then is the machine
//! told.

mod order;

use std::sync::Arc;

use maas_core::commission::result::ScriptType;
use maas_core::commission::script::{Choice, choose};
use maas_core::deploy::{DeploymentPlan, Endpoints, Facts, PlanProblem, Requester};
use maas_core::machine::interface::network::to_network;
use maas_core::machine::interface::{AcquiredBridges, LinkMode};
use maas_core::machine::{Actor, Event, Machine, Refusal, Status};
use maas_core::secret::Secret;
use serde_json::{Value, json};

pub(crate) use self::order::Order;
use crate::addresses::Claims;
use crate::http::{FieldErrors, Problem};
use crate::places;
use crate::plan;
use crate::preseeds;
use crate::problems::{applied, with_remedy};
use crate::region::{Extras, Region};
use crate::store::AttachmentChange;

/// Computes the plan without changing anything.
pub(crate) async fn plan(
    region: &Region,
    machine: &Machine,
    actor: &Actor,
    order: &Order,
    endpoints: &Endpoints,
) -> Result<DeploymentPlan, Problem> {
    let mut options = order.options().clone();
    options.ephemeral_defaults = plan::defaults(region);
    let settings = region.settings();
    if order.leaves_the_system_open() {
        options.osystem = settings.text("default_osystem");
        options.distro_series = settings.text("default_distro_series");
    }
    if options.distro_series.is_empty() {
        options.distro_series.clone_from(&options.ephemeral_defaults.release);
    }
    let owner = machine.owner.as_ref().unwrap_or(&actor.username);
    let keys = region.store.ssh_keys(owner).await.map_err(Problem::internal)?;
    options.ssh_keys = keys.into_iter().map(|key| key.key).collect();
    // A machine that is ready is allocated by the deployment itself.
    options.requester = (machine.status != Status::Ready)
        .then(|| Requester { username: actor.username.clone(), role: actor.role });
    let decided = &machine.configuration;
    let undecided = decided.storage.is_none()
        && decided.edited_storage.is_none()
        && decided.acquired_storage.is_none();
    if undecided && settings.is_set("default_storage_layout") {
        let layout = settings.text("default_storage_layout");
        let fields = [("storage_layout".to_owned(), layout)].into_iter().collect();
        options.storage = Some(crate::api::storage_layout(&fields)?);
    }
    options.kernel_options =
        places::kernel_options(region, Some(machine)).await.map_err(Problem::internal)?;
    options.swap_size = decided.swap_size;
    options.ntp = settings.ntp_servers();
    options.apt.main_archive = settings.text("main_archive");
    options.apt.ports_archive = settings.text("ports_archive");
    options.apt.http_proxy = settings.http_proxy();
    if machine.configuration.network.is_none() {
        options.network = to_network(machine, &region.networks().await?.places);
    }
    preseeds::apply(region, machine, &mut options).await?;
    let facts = Facts::from(&*machine.hardware);
    let images = region.images.current();
    DeploymentPlan::new(machine, &facts, &images, &options, endpoints).map_err(refused)
}

/// Deploys: plan first, then the machine's state, its addresses, the plan and the user data in one
/// transaction. The addresses are claimed before it and given back when it fails.
pub(crate) async fn deploy(
    region: Arc<Region>,
    machine: Arc<Machine>,
    actor: Actor,
    order: Order,
    bridges: Option<AcquiredBridges>,
    endpoints: Endpoints,
    comment: String,
) -> Result<Arc<Machine>, Problem> {
    if !matches!(machine.status, Status::Ready | Status::Allocated) {
        return Err(Problem::Conflict(format!(
            "Can't deploy a machine that is in the '{}' state",
            machine.status.display_name()
        )));
    }
    // Allocation gives fresh credentials, which the plan holds: it is computed again after it.
    // The first one shows every mistake while the machine is still nobody's.
    plan(&region, &machine, &actor, &order, &endpoints).await?;
    let machine = if machine.status == Status::Ready {
        let event = Event::Allocate {
            actor: actor.clone(),
            agent_name: order.agent_name().to_owned(),
            comment: comment.clone(),
        };
        applied(region.apply(&machine.system_id, &event, Extras::default()).await)?
    } else {
        machine
    };
    let mut planned = Machine::clone(&machine);
    if let Some(wanted) = bridges {
        planned.interfaces.bridge_all(wanted);
    }
    let mut claims = Claims::new(&region, machine.system_id.clone(), &actor.username);
    // A network that was given as a whole brings its own addresses.
    if machine.configuration.network.is_none() {
        let claimed =
            claims.cover(&machine.interfaces, &mut planned.interfaces, LinkMode::Auto).await;
        if let Err(problem) = claimed {
            claims.undo().await;
            return Err(problem);
        }
    }
    let deployed = start(&region, &machine, &planned, &actor, &order, &endpoints, comment).await;
    if deployed.is_err() {
        claims.undo().await;
    }
    deployed
}

/// Plans with the addresses and starts.
async fn start(
    region: &Region,
    machine: &Machine,
    planned: &Machine,
    actor: &Actor,
    order: &Order,
    endpoints: &Endpoints,
    comment: String,
) -> Result<Arc<Machine>, Problem> {
    let plan = plan(region, planned, actor, order, endpoints).await?;
    let all = region.scripts().await?;
    let scripts =
        choose(&all, ScriptType::Deployment, &Choice::Automatic).map_err(Problem::internal)?;
    let runs = region.runs(machine, &scripts, &std::collections::BTreeMap::new()).await?;
    let bytes = serde_json::to_vec(&plan).map_err(Problem::internal)?;
    let extras = Extras {
        plan: AttachmentChange::Set(Secret::new(bytes)),
        user_data: plan.user_data().map_or(AttachmentChange::Clear, |user_data| {
            AttachmentChange::Set(Secret::new(user_data.to_vec()))
        }),
        interfaces: Some(planned.interfaces.clone()),
        ..Extras::default()
    };
    let deployment = Box::new(plan.summary());
    let result = region
        .apply_with(&machine.system_id, extras, |now| {
            // Released and allocated, or edited, in between: the plan is not this machine's.
            if now.credentials != machine.credentials || now.interfaces != machine.interfaces {
                return Err(Refusal::WrongStatus {
                    action: "deploy".to_owned(),
                    status: now.status,
                });
            }
            Ok(Event::Deploy {
                actor: actor.clone(),
                deployment: deployment.clone(),
                scripts: runs.clone(),
                comment: comment.clone(),
            })
        })
        .await;
    applied(result)
}

/// Every reason at once: one sentence a line, or by field where a field is to blame.
fn refused(problems: Vec<PlanProblem>) -> Problem {
    let mut fields = FieldErrors::new();
    let mut refusals = Vec::new();
    for problem in problems {
        match problem {
            PlanProblem::Option { option, message } => fields.add(option, message),
            PlanProblem::Precondition(precondition) => refusals.push(precondition),
            other => fields.add(FieldErrors::ALL, other.to_string()),
        }
    }
    if fields.is_empty()
        && let [only] = refusals.as_slice()
    {
        return Refusal::Precondition(only.clone()).into();
    }
    for precondition in &refusals {
        fields.add(FieldErrors::ALL, with_remedy(precondition));
    }
    Problem::Fields(fields)
}

/// A plan for people and programs to look at; secrets are left out.
pub(crate) fn shown(plan: &DeploymentPlan) -> Value {
    let artefacts: Vec<Value> = plan
        .artefacts()
        .iter()
        .map(|artefact| {
            json!({
                "name": artefact.name, "content_type": artefact.content_type,
                "size": artefact.bytes.expose().len(), "sha256": artefact.sha256,
            })
        })
        .collect();
    let storage = plan.storage.as_ref().map(maas_core::storage::Storage::without_keys);
    json!({
        "system_id": plan.system_id, "osystem": plan.target.os,
        "distro_series": plan.target.release, "ephemeral_os": plan.running.resource().name(),
        "kernel": plan.running.resource().full_subarch(), "storage": storage,
        "curtin_storage": storage.as_ref().map(|one| one.curtin(plan.system_id.as_str())),
        "datasource": plan.datasource, "warnings": plan.warnings, "ignored": plan.ignored,
        "digest": plan.digest(), "artefacts": artefacts,
        "command_line": plan.boot.command_line.render(&plan.endpoints),
        "network": plan.artefact("network-target.yaml").and_then(|artefact| artefact.text()),
    })
}

/// curtin's merged configuration.
pub(crate) fn curtin_yaml(plan: &DeploymentPlan) -> Result<String, Problem> {
    plan.artefact("curtin.yaml")
        .and_then(|artefact| artefact.text())
        .map(str::to_owned)
        .ok_or_else(|| Problem::not_found("Nothing is installed by this deployment."))
}

#[cfg(test)]
mod tests;
