//! Commands to one machine: each reads its parameters and hands the core one event.

use std::collections::BTreeMap;
use std::sync::Arc;

use maas_core::commission::result::{ScriptRun, ScriptType};
use maas_core::commission::script::{Choice, choose};
use maas_core::machine::interface::Edit;
use maas_core::machine::permission::Permission;
use maas_core::machine::{Erase, Event, Machine, Refusal, Status};
use serde_json::Value;

use super::machines::{MACHINE, find, reply};
use super::{actor, configuration, script_parameters};
use crate::deploy;
use crate::http::{Operation, Param, Problem, Reply, Request, get, post};
use crate::nodes::{self, Node};
use crate::plan;
use crate::problems::applied;
use crate::region::{ApplyError, Extras, Region};

const COMMENT: Param = Param::optional("comment", "Free text for the history.");

const COMMISSION: &[Param] = &[
    Param::optional("enable_ssh", "Whether the ephemeral OS stays up with SSH afterwards."),
    Param::optional("skip_storage", "Commissioning: whether the storage stays as it is."),
    Param::optional("commissioning_scripts", "Names or tags, separated by commas."),
    Param::optional("testing_scripts", "Names or tags, separated by commas, or none."),
    Param::optional("skip_networking", "Whether the interfaces keep their configuration."),
];

const DEPLOY: &[Param] = &[
    Param::optional("osystem", "The operating system, ubuntu unless told."),
    Param::optional("distro_series", "The series, or OS/SERIES."),
    Param::optional("hwe_kernel", "The kernel, e.g. hwe-24.04."),
    Param::optional("user_data", "User data for cloud-init, base64 or plain."),
    Param::optional("ephemeral_deploy", "Whether the system runs from memory."),
    Param::optional(
        "datasource",
        "What the installed system's cloud-init takes when its image has packed configuration: \
         closest (default), metadata (forced by a file), metadata-by-kernel (forced by the kernel \
         command line) or packed; an extension.",
    ),
    Param::optional("agent_name", "The calling program's own name, if this also allocates."),
    Param::optional("enable_kernel_crash_dump", "Whether a kernel that crashes leaves a dump."),
    Param::optional("enable_hw_sync", "Accepted; hardware is not synchronised after deployment."),
    Param::optional("install_kvm", "Must be false."),
    Param::optional("install_rackd", "Must be false."),
    Param::optional("register_vmhost", "Must be false."),
    Param::optional("vcenter_registration", "Accepted; hosts are not registered."),
    COMMENT,
];

const RELEASE: &[Param] = &[
    Param::optional("erase", "Whether the disks are wiped first."),
    Param::optional("secure_erase", "By the disks' own secure erase."),
    Param::optional("quick_erase", "Only beginning and end."),
    Param::repeated("scripts", "Names or tags of release scripts."),
    Param::optional("force", "Accepted; an owner's release needs no force."),
    COMMENT,
];

const POWER_OFF: &[Param] = &[
    Param::optional("stop_mode", "hard (default) or soft; drivers without soft switch off hard."),
    COMMENT,
];

pub(super) fn operations() -> Vec<Operation<Region>> {
    vec![
        row("commission", "Finds out what is in the machine.", COMMISSION, Action::Commission),
        row("test", "Runs testing scripts.", COMMISSION, Action::Test),
        row("deploy", "Installs an operating system.", DEPLOY, Action::Deploy)
            .params(super::BRIDGES),
        row("release", "Gives the machine back.", RELEASE, Action::Release),
        row("abort", "Stops what is going on.", &[COMMENT], Action::Abort),
        row("mark_broken", "Takes the machine out of service.", &[COMMENT], Action::MarkBroken),
        row("mark_fixed", "Puts the machine back into service.", &[COMMENT], Action::MarkFixed),
        row(
            "override_failed_testing",
            "Accepts the machine in spite of failed tests.",
            &[COMMENT],
            Action::OverrideFailedTesting,
        ),
        row("rescue_mode", "Boots the ephemeral OS for repairs.", &[], Action::EnterRescueMode),
        row("exit_rescue_mode", "Goes back to before.", &[], Action::ExitRescueMode),
        row("lock", "Refuses every change from now on.", &[COMMENT], Action::Lock),
        row("unlock", "Allows changes again.", &[COMMENT], Action::Unlock),
        row("power_on", "Switches on.", &[COMMENT], Action::PowerOn),
        row("power_off", "Switches off.", POWER_OFF, Action::PowerOff),
        post("MachineHandler", MACHINE, "Merges keys into the owner's data.", set_owner_data)
            .op("set_owner_data"),
        post("MachineHandler", MACHINE, "Merges keys into the owner's data.", set_owner_data)
            .op("set_workload_annotations"),
        post("MachineHandler", MACHINE, "Chooses the deployed system's network.", set_network)
            .op("set_network")
            .params(&[Param::required(
                "network",
                "The network as maas-netconfig's model, in YAML or JSON; an extension.",
            )]),
        get("MachineHandler", MACHINE, "What a deployment would do.", preview)
            .op("preview")
            .params(DEPLOY)
            .params(super::BRIDGES),
        post(
            "MachineHandler",
            MACHINE,
            "Chooses the default gateways automatically again.",
            clear_default_gateways,
        )
        .op("clear_default_gateways"),
        post(
            "MachineHandler",
            MACHINE,
            "Takes the network back to what commissioning found.",
            restore_network,
        )
        .op("restore_networking_configuration"),
        post(
            "MachineHandler",
            MACHINE,
            "Brings network and storage back to what commissioning found.",
            restore_all,
        )
        .op("restore_default_configuration"),
        get("MachineHandler", MACHINE, "curtin's merged configuration.", curtin_config)
            .op("get_curtin_config"),
    ]
}

/// The commands that are one event.
#[derive(Debug, Clone, Copy)]
enum Action {
    Commission,
    Test,
    Deploy,
    Release,
    Abort,
    MarkBroken,
    MarkFixed,
    OverrideFailedTesting,
    EnterRescueMode,
    ExitRescueMode,
    Lock,
    Unlock,
    PowerOn,
    PowerOff,
}

fn row(
    op: &'static str,
    doc: &'static str,
    params: &'static [Param],
    action: Action,
) -> Operation<Region> {
    post("MachineHandler", MACHINE, doc, move |region, request| command(region, request, action))
        .op(op)
        .params(params)
}

async fn command(region: Arc<Region>, request: Request, action: Action) -> Result<Reply, Problem> {
    let machine = find(&region, &request, Permission::View).await?;
    let actor = actor(&request)?;
    let comment = request.fields().text("comment")?.unwrap_or_default().to_owned();
    let mut extras = Extras::default();
    let event = match action {
        Action::Commission => {
            extras.forget_storage = !request.fields().flag("skip_storage")?.unwrap_or(false);
            commission_event(&region, &machine, &request).await?
        }
        Action::Test => test_event(&region, &machine, &request).await?,
        Action::Deploy => return deploy(region, &request, machine, comment).await,
        // Releasing what is released, or being released, is done already.
        Action::Release if matches!(machine.status, Status::Releasing | Status::Ready) => {
            return reply(&region, &machine).await;
        }
        Action::Release => release_event(&region, &machine, &request, comment).await?,
        Action::Abort => Event::Abort { actor, comment },
        Action::MarkBroken => Event::MarkBroken { actor, comment },
        Action::MarkFixed => Event::MarkFixed { actor, comment },
        Action::OverrideFailedTesting => Event::OverrideFailedTesting { actor, comment },
        Action::EnterRescueMode => Event::EnterRescueMode { actor },
        Action::ExitRescueMode => Event::ExitRescueMode { actor },
        Action::Lock => Event::Lock { actor, comment },
        Action::Unlock => Event::Unlock { actor, comment },
        Action::PowerOn => Event::PowerOn { actor },
        Action::PowerOff => {
            if let Some(mode) = request.fields().filled("stop_mode")?
                && !["hard", "soft"].contains(&mode)
            {
                return Err(super::machines::choice_error("stop_mode", mode));
            }
            Event::PowerOff { actor }
        }
    };
    let result = region.apply(&machine.system_id, &event, extras).await;
    if let (Action::Commission, Err(ApplyError::Refused(Refusal::WrongStatus { status, .. }))) =
        (action, &result)
    {
        // MAAS reads this command by a form, and says so.
        return Err(Problem::field(
            "__all__",
            format!(
                "Commission is not available because of the current state of the node: '{}'.",
                status.display_name()
            ),
        ));
    }
    reply(&region, &*applied(result)?).await
}

/// What `commission` does to this machine, by the form's parameters.
pub(super) async fn commission_event(
    region: &Region,
    machine: &Machine,
    request: &Request,
) -> Result<Event, Problem> {
    let mut scripts =
        chosen(region, machine, request, ScriptType::Commissioning, "commissioning_scripts")
            .await?;
    scripts.extend(chosen(region, machine, request, ScriptType::Testing, "testing_scripts").await?);
    Ok(Event::Commission {
        actor: actor(request)?,
        enable_ssh: request.fields().flag("enable_ssh")?.unwrap_or(false),
        skip_networking: request.fields().flag("skip_networking")?.unwrap_or(false),
        scripts,
    })
}

async fn test_event(
    region: &Region,
    machine: &Machine,
    request: &Request,
) -> Result<Event, Problem> {
    Ok(Event::Test {
        actor: actor(request)?,
        enable_ssh: request.fields().flag("enable_ssh")?.unwrap_or(false),
        scripts: chosen(region, machine, request, ScriptType::Testing, "testing_scripts").await?,
    })
}

pub(super) async fn release_event(
    region: &Region,
    machine: &Machine,
    request: &Request,
    comment: String,
) -> Result<Event, Problem> {
    let fields = request.fields();
    let flag = |name| -> Result<bool, Problem> { Ok(fields.flag(name)?.unwrap_or(false)) };
    let settings = region.settings();
    let unless_told = settings.flag("enable_disk_erasing_on_release");
    let erases = fields.flag("erase")?.unwrap_or(unless_told);
    let (mut secure, mut quick) = (flag("secure_erase")?, flag("quick_erase")?);
    if erases && !fields.contains("secure_erase") && !fields.contains("quick_erase") {
        secure = unless_told && settings.flag("disk_erase_with_secure_erase");
        quick = unless_told && settings.flag("disk_erase_with_quick_erase");
    }
    let erase = match (erases, secure, quick) {
        (false, _, _) => Erase::Keep,
        (true, true, _) => Erase::Secure,
        (true, false, true) => Erase::Quick,
        (true, false, false) => Erase::Full,
    };
    let mut scripts = if fields.filled("scripts")?.is_some() {
        chosen(region, machine, request, ScriptType::Release, "scripts").await?
    } else {
        Vec::new()
    };
    scripts.retain(|run| run.name != maas_core::commission::builtin::WIPE_SCRIPT);
    if erase != Erase::Keep {
        let all = region.scripts().await?;
        let named = Choice::Named(vec![maas_core::commission::builtin::WIPE_SCRIPT.to_owned()]);
        let wipe = choose(&all, ScriptType::Release, &named).map_err(Problem::internal)?;
        let values = BTreeMap::from([
            ("secure_erase".to_owned(), Value::Bool(secure)),
            ("quick_erase".to_owned(), Value::Bool(quick)),
        ]);
        scripts.extend(region.runs(machine, &wipe, &values).await?);
    }
    Ok(Event::Release { actor: actor(request)?, erase, scripts, comment })
}

async fn chosen(
    region: &Region,
    machine: &Machine,
    request: &Request,
    kind: ScriptType,
    parameter: &str,
) -> Result<Vec<ScriptRun>, Problem> {
    let texts = request.fields().texts(parameter)?;
    let joined = (!texts.is_empty()).then(|| texts.join(","));
    let all = region.scripts().await?;
    let chosen = choose(&all, kind, &Choice::from_parameter(joined.as_deref()))
        .map_err(|error| Problem::field(parameter, error.to_string()))?;
    let mut told = Vec::new();
    for script in chosen {
        told.push((script, script_parameters::read(request.fields(), script, machine)?));
    }
    region.runs_with(machine, &told).await
}

async fn deploy(
    region: Arc<Region>,
    request: &Request,
    machine: Arc<Machine>,
    comment: String,
) -> Result<Reply, Problem> {
    let order = deploy::Order::read(request.fields())?;
    let bridges = super::bridges(request.fields())?;
    let endpoints = region.endpoints_for(&machine, request);
    let actor = actor(request)?;
    let work =
        deploy::deploy(Arc::clone(&region), machine, actor, order, bridges, endpoints, comment);
    // On a task of its own: a client that goes away must not leave addresses that nobody has.
    let deployed = tokio::spawn(work).await.map_err(Problem::internal)??;
    reply(&region, &deployed).await
}

async fn clear_default_gateways(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let machine = find(&region, &request, Permission::Admin).await?;
    let node = Node::Machine(Box::new(Arc::unwrap_or_clone(machine)));
    let edits = vec![Edit::ClearDefaultGateways];
    let (node, _) = nodes::change(Arc::clone(&region), node, edits, actor(&request)?).await?;
    match node {
        Node::Machine(machine) => reply(&region, &machine).await,
        Node::Device(_) => Err(Problem::internal("a machine became a device")),
    }
}

async fn restore_all(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let machine = find(&region, &request, Permission::Admin).await?;
    let networks = region.networks().await?;
    let restored = region
        .edit::<Problem>(&machine.system_id, |machine| {
            machine.restore_network(&networks.places)?;
            machine.forget_storage();
            Ok(Vec::new())
        })
        .await?;
    reply(&region, &restored).await
}

async fn restore_network(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let machine = find(&region, &request, Permission::Admin).await?;
    let networks = region.networks().await?;
    let restored = region
        .edit::<Problem>(&machine.system_id, |machine| {
            machine.restore_network(&networks.places)?;
            Ok(Vec::new())
        })
        .await?;
    reply(&region, &restored).await
}

async fn preview(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let machine = find(&region, &request, Permission::View).await?;
    let order = deploy::Order::read(request.fields())?;
    let endpoints = region.endpoints_for(&machine, &request);
    let actor = actor(&request)?;
    let mut machine = Arc::unwrap_or_clone(machine);
    if let Some(wanted) = super::bridges(request.fields())? {
        machine.interfaces.bridge_all(wanted);
    }
    let plan = deploy::plan(&region, &machine, &actor, &order, &endpoints).await?;
    Reply::json(&deploy::shown(&plan))
}

async fn curtin_config(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let machine = find(&region, &request, Permission::Edit).await?;
    if !matches!(machine.status, Status::Deploying | Status::Deployed | Status::FailedDeployment) {
        return Err(Problem::bad_request(format!(
            "Machine {} is not in a deployment state.",
            machine.hostname
        )));
    }
    let plan = plan::stored(&region, &machine)
        .await?
        .ok_or_else(|| Problem::not_found("The machine has no deployment plan."))?;
    Ok(Reply::text(deploy::curtin_yaml(&plan)?))
}

async fn set_owner_data(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let machine = find(&region, &request, Permission::Edit).await?;
    let actor = actor(&request)?;
    if machine.owner.as_ref() != Some(&actor.username) {
        return Err(Problem::Conflict("Only the owner can set owner data.".to_owned()));
    }
    let mut data = BTreeMap::new();
    for name in request.fields().names() {
        data.insert(name.to_owned(), request.fields().text(name)?.unwrap_or_default().to_owned());
    }
    let changed = region
        .edit::<crate::region::ApplyError>(&machine.system_id, |machine| {
            for (key, value) in &data {
                if value.is_empty() {
                    machine.owner_data.remove(key);
                } else {
                    machine.owner_data.insert(key.clone(), value.clone());
                }
            }
            Ok(Vec::new())
        })
        .await?;
    reply(&region, &changed).await
}

async fn set_network(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let machine = find(&region, &request, Permission::Edit).await?;
    must_be_configurable(&machine, "network")?;
    let network = configuration::network(request.fields().required("network")?)?;
    let changed = region
        .edit::<crate::region::ApplyError>(&machine.system_id, |machine| {
            machine.configuration.network = Some(network.clone());
            Ok(Vec::new())
        })
        .await?;
    reply(&region, &changed).await
}

fn must_be_configurable(machine: &Machine, what: &str) -> Result<(), Problem> {
    if matches!(machine.status, Status::Ready | Status::Allocated) {
        return Ok(());
    }
    Err(Problem::Conflict(format!(
        "Cannot change the {what} because the machine is not Ready or Allocated."
    )))
}
