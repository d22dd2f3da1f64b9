//! Allocation: a machine that is ready and matches, for exactly one user.

use std::sync::Arc;

use maas_core::machine::interface::AcquiredBridges;
use maas_core::machine::permission::{Permission, allows};
use maas_core::machine::{Machine, Status};

use super::actor;
use super::constraints::Constraints;
use super::machines::MACHINES;
use crate::http::{Operation, Param, Problem, Reply, Request, post};
use crate::places::Catalogue;
use crate::problems::applied;
use crate::region::{AllocateError, ApplyError, Extras, Region};

pub(super) fn operations() -> Vec<Operation<Region>> {
    vec![
        post("MachinesHandler", MACHINES, "Allocates a machine to the caller.", allocate)
            .op("allocate")
            .params(&[
                Param::optional("system_id", "This machine."),
                Param::optional("name", "The machine of this name."),
                Param::repeated("arch", "One of these architectures."),
                Param::optional("cpu_count", "At least so many CPUs."),
                Param::optional("mem", "At least so much memory, in MiB."),
                Param::optional("cpu_speed", "At least this speed, in MHz."),
                Param::repeated("tags", "All of these tags."),
                Param::repeated("not_tags", "None of these tags."),
                Param::optional("zone", "In this zone."),
                Param::repeated("not_in_zone", "In none of these zones."),
                Param::optional("pool", "In this pool."),
                Param::repeated("not_in_pool", "In none of these pools."),
                Param::optional("storage", "Disks: [label:]GB[(tag,…)],…"),
                Param::optional("interfaces", "Interfaces: LABEL:KEY=VALUE,…;LABEL:…"),
                Param::repeated("subnets", "In all of these subnets (id, CIDR, name, KEY:VALUE)."),
                Param::repeated("not_subnets", "In none of these subnets."),
                Param::repeated("vlans", "In all of these VLANs (id, name, KEY:VALUE)."),
                Param::repeated("not_vlans", "In none of these VLANs."),
                Param::repeated("fabrics", "In one of these fabrics."),
                Param::repeated("not_fabrics", "In none of these fabrics."),
                Param::repeated("fabric_classes", "In a fabric of one of these classes."),
                Param::repeated("not_fabric_classes", "In no fabric of these classes."),
                Param::optional("link_speed", "A link of at least so many Mbit/s."),
                Param::optional("agent_name", "The calling program's own name."),
                Param::optional("comment", "Free text for the history."),
                Param::optional("dry_run", "Only tell which machine it would be."),
            ])
            .params(super::BRIDGES),
        post("MachinesHandler", MACHINES, "Releases several machines.", release)
            .op("release")
            .params(&[
                Param::repeated("machines", "System ids."),
                Param::optional("comment", "Free text for the history."),
            ]),
    ]
}

async fn allocate(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let mut tags = request.fields().words("tags")?;
    tags.extend(request.fields().words("not_tags")?);
    super::tags::check(&region, &tags).await?;
    let networks = region.networks().await?;
    let constraints = Constraints::read(request.fields(), &networks)?;
    let bridges = super::bridges(request.fields())?;
    let fields = request.fields();
    let actor = actor(&request)?;
    let agent_name = fields.text("agent_name")?.unwrap_or_default();
    let comment = fields.text("comment")?.unwrap_or_default();
    let matches = |machine: &Machine| constraints.matches(machine, &networks);
    let dry_run = fields.flag("dry_run")?.unwrap_or(false);
    let machine = if dry_run {
        let candidates = region.candidates(matches).await?;
        candidates.into_iter().next().map(Arc::new).ok_or(AllocateError::NoMatch)
    } else {
        region.allocate(&actor, agent_name, comment, matches).await
    };
    let machine = machine.map_err(|error| match error {
        AllocateError::NoMatch => Problem::Conflict(constraints.no_match()),
        other => other.into(),
    })?;
    // Told of the interfaces as they were chosen: bridges come after that.
    let by_type = constraints.by_type(&machine, &networks);
    let machine = match bridges {
        Some(wanted) if !dry_run => bridge(&region, &machine, wanted).await?,
        _ => machine,
    };
    let mut view = Catalogue::load(&region).await?.show(&machine);
    view["constraints_by_type"] = by_type;
    Reply::json(&view)
}

/// Puts a bridge on every configured interface of a machine that was just allocated.
async fn bridge(
    region: &Region,
    machine: &Machine,
    wanted: AcquiredBridges,
) -> Result<Arc<Machine>, Problem> {
    let owner = machine.owner.clone();
    let bridged = region
        .edit::<ApplyError>(&machine.system_id, |machine| {
            if machine.owner == owner && machine.status == Status::Allocated {
                machine.interfaces.bridge_all(wanted);
            }
            Ok(Vec::new())
        })
        .await?;
    Ok(bridged)
}

async fn release(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let ids = request.fields().words("machines")?;
    let actor = actor(&request)?;
    let comment = request.fields().text("comment")?.unwrap_or_default();
    let (mut machines, mut unknown) = (Vec::new(), Vec::new());
    for id in ids {
        let machine = match id.parse() {
            Ok(parsed) => region.store.machine(&parsed).await.map_err(Problem::internal)?,
            Err(_) => None,
        };
        match machine {
            Some(machine) => machines.push(machine),
            None => unknown.push(id),
        }
    }
    if !unknown.is_empty() {
        return Err(Problem::bad_request(format!("Unknown machine(s): {}.", unknown.join(", "))));
    }
    if machines.iter().any(|machine| !allows(&actor, machine, Permission::Edit)) {
        return Err(Problem::Forbidden(
            "You don't have the required permission to release these machines.".to_owned(),
        ));
    }
    let released = |status| matches!(status, Status::Ready | Status::Releasing);
    let stuck: Vec<String> = machines
        .iter()
        .filter(|machine| !machine.status.is_releasable() && !released(machine.status))
        .map(|machine| format!("{} ('{}')", machine.system_id, machine.status.display_name()))
        .collect();
    if !stuck.is_empty() {
        return Err(Problem::Conflict(format!(
            "Machine(s) cannot be released in their current state: {}.",
            stuck.join(", ")
        )));
    }
    let mut done = Vec::new();
    for machine in machines.iter().filter(|machine| !released(machine.status)) {
        let comment = comment.to_owned();
        let event = super::actions::release_event(&region, machine, &request, comment).await?;
        applied(region.apply(&machine.system_id, &event, Extras::default()).await)?;
        done.push(machine.system_id.clone());
    }
    Reply::json(&done)
}
