//! The metadata service: what a machine's own software asks for and reports
//! (`/MAAS/metadata/…`), to the letter of what cloud-init, curtin and the runner expect.

mod enlist;
mod items;
mod preseed;
mod scripts;
mod signal;
mod status;
mod user_data;

use std::sync::Arc;

use maas_core::id::SystemId;
use maas_core::machine::Machine;

use crate::http::{Access, BodyRule, Operation, Param, Problem, Reply, Request, get, post};
use crate::region::Region;

/// The versions of the protocol; they are the same.
const VERSIONS: [&str; 2] = ["2012-03-01", "latest"];

/// The largest signal: outputs of a script travel in it.
const LARGEST_SIGNAL: u64 = 64 << 20;

/// The largest webhook event: curtin's last one carries its logs.
const LARGEST_REPORT: u64 = 32 << 20;

/// Every operation of the metadata service.
#[must_use]
pub fn operations() -> Vec<Operation<Region>> {
    let mut table = vec![
        get("MetadataIndex", "/MAAS/metadata/", "The protocol's versions.", index)
            .access(Access::Node)
            .alias("/MAAS/metadata/curtin/"),
        get("MetadataVersion", "/MAAS/metadata/{version}/", "What a version has.", items::version)
            .access(Access::NodeOrAnonymous)
            .alias("/MAAS/metadata/curtin/{version}/"),
        get(
            "MetadataListing",
            "/MAAS/metadata/{version}/meta-data/",
            "The names of the meta data.",
            items::listing,
        )
        .access(Access::NodeOrAnonymous)
        .alias("/MAAS/metadata/curtin/{version}/meta-data/"),
        get(
            "MetadataItem",
            "/MAAS/metadata/{version}/meta-data/{item}",
            "One of the meta data.",
            items::item,
        )
        .access(Access::NodeOrAnonymous)
        .alias("/MAAS/metadata/curtin/{version}/meta-data/{item}"),
        get(
            "MetadataUserData",
            "/MAAS/metadata/{version}/user-data",
            "The user data. A machine that is being deployed has arrived when it asks for them.",
            user_data::target,
        )
        .access(Access::NodeOrAnonymous),
        get(
            "MetadataCurtinUserData",
            "/MAAS/metadata/curtin/{version}/user-data",
            "The user data of the ephemeral OS that installs.",
            user_data::installer_os,
        )
        .access(Access::Node),
        get(
            "MetadataCurtinInstaller",
            "/MAAS/metadata/curtin/{version}/curtin-installer",
            "The program that unpacks curtin's configuration and runs curtin.",
            user_data::installer,
        )
        .access(Access::Node),
        get(
            "MetadataScripts",
            "/MAAS/metadata/{version}/maas-scripts",
            "The scripts that wait to be run, as a tar archive; 204 when none waits.",
            scripts::waiting,
        )
        .access(Access::NodeOrAnonymous)
        .alias("/MAAS/metadata/curtin/{version}/maas-scripts"),
        get(
            "MetadataCommissioningScripts",
            "/MAAS/metadata/{version}/maas-commissioning-scripts",
            "The commissioning scripts as a tar archive.",
            scripts::commissioning,
        )
        .access(Access::Node),
        get(
            "MetadataPreseed",
            "/MAAS/metadata/{version}/by-id/{system_id}/",
            "cloud-init's configuration for a known machine's ephemeral OS.",
            preseed::known,
        )
        .op("get_preseed")
        .access(Access::Anonymous),
        post(
            "MetadataNetbootOff",
            "/MAAS/metadata/{version}/by-id/{system_id}/",
            "The installer's last word: boot from disk from now on.",
            signal::netboot_off_by_id,
        )
        .op("netboot_off")
        .access(Access::Anonymous),
        get(
            "MetadataEnlistPreseed",
            "/MAAS/metadata/{version}/enlist-preseed/",
            "cloud-init's configuration for a machine that nobody knows.",
            preseed::enlistment,
        )
        .op("get_enlist_preseed")
        .access(Access::Anonymous),
        get(
            "MetadataByMac",
            "/MAAS/metadata/{version}/by-mac/{mac}/{*rest}",
            "Refused: a MAC address proves nothing.",
            by_mac,
        )
        .access(Access::Anonymous),
        post(
            "MetadataStatus",
            "/MAAS/metadata/status/{system_id}",
            "An event of cloud-init's or curtin's reporting webhook.",
            status::report,
        )
        .access(Access::Node)
        .body(BodyRule::Raw)
        .body_limit(LARGEST_REPORT),
    ];
    for (op, doc, params) in [
        ("signal", "The runner's word on how it goes.", signal::PARAMS),
        ("netboot_off", "Boot from disk from now on.", &[] as &[Param]),
        ("netboot_on", "Boot from the network again.", &[]),
    ] {
        let row = match op {
            "signal" => post("MetadataSignal", "/MAAS/metadata/{version}/", doc, signal::signal),
            "netboot_off" => {
                post("MetadataSignal", "/MAAS/metadata/{version}/", doc, signal::netboot_off)
            }
            _ => post("MetadataSignal", "/MAAS/metadata/{version}/", doc, signal::netboot_on),
        };
        table.push(
            row.op(op)
                .params(params)
                .access(Access::Node)
                .body_limit(LARGEST_SIGNAL)
                .alias("/MAAS/metadata/curtin/{version}/"),
        );
    }
    table.extend(enlist::operations());
    table.push(
        get(
            "MachineResources",
            "/MAAS/machine-resources/{architecture}",
            "The program that prints what is in a machine; the same for every architecture.",
            machine_resources,
        )
        .access(Access::Anonymous),
    );
    table
}

async fn index(_: Arc<Region>, _: Request) -> Result<Reply, Problem> {
    Ok(Reply::text(VERSIONS.join("\n")))
}

async fn machine_resources(_: Arc<Region>, _: Request) -> Result<Reply, Problem> {
    Ok(Reply::bytes("application/octet-stream", maas_core::runner::machine_resources_program()))
}

async fn by_mac(_: Arc<Region>, _: Request) -> Result<Reply, Problem> {
    Err(Problem::Forbidden("Unauthenticated metadata access is not allowed.".to_owned()))
}

/// Refuses versions that do not exist.
fn check_version(request: &Request) -> Result<(), Problem> {
    let version = request.param("version");
    if VERSIONS.contains(&version) {
        return Ok(());
    }
    let version: String = version.chars().take(64).collect();
    Err(Problem::not_found(format!("Unknown metadata version: {version}")))
}

/// A body of so many bytes has come together with the head.
const SMALL_BODY: usize = 16 << 10;

/// The machine whose token was shown; `None` for an anonymous caller, who is enlisting.
async fn caller(region: &Region, request: &Request) -> Result<Option<Arc<Machine>>, Problem> {
    let Some(node) = request.caller().node() else { return Ok(None) };
    // What was read for its token a moment ago is still good; a large body takes its time.
    if request.body().len() <= SMALL_BODY
        && let Some(machine) = node.learned.value::<Arc<Machine>>()
    {
        return Ok(Some(Arc::clone(machine)));
    }
    let unknown = || Problem::Forbidden("Not authenticated as a known node.".to_owned());
    let id: SystemId = node.system_id.parse().map_err(|_| unknown())?;
    let machine = region.store.machine(&id).await.map_err(Problem::internal)?;
    machine.map(Some).ok_or_else(unknown)
}

/// The machine whose token was shown, on calls that need one.
async fn known_caller(region: &Region, request: &Request) -> Result<Arc<Machine>, Problem> {
    caller(region, request)
        .await?
        .ok_or_else(|| Problem::unauthorized("No authorization header received."))
}
