//! Renders every document of a deployment from one YAML description of machine, images and
//! options: `render_deployment PLAN.yaml OUTDIR`.
//!
//! Nothing is contacted and nothing is powered. Warnings and ignored settings are printed; when
//! the deployment is refused, every reason is listed and the exit code is 1. Descriptions to
//! start from are in `examples/plans/`; `Description` below documents every key.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::ExitCode;

use maas_core::deploy::{
    Configuration, DeploymentOptions, DeploymentPlan, Endpoints, Facts, NetworkInterface,
    PlanProblem,
};
use maas_core::id::SystemId;
use maas_core::image::{BootResource, FileType, ImageFile, Images, Origin, PackedSeed};
use maas_core::machine::{
    Architecture, BootFacts, Enlistment, Machine, NewMachine, NodeCredentials, Status,
};
use maas_core::secret::Secret;
use maas_core::storage::{BlockDevice, Size};
use maas_core::time::Timestamp;
use maas_netconfig::{Mac, yaml};
use serde::Deserialize;

/// A description of a deployment.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    /// The machine as commissioning found it.
    machine: MachineDescription,
    /// The rack's address.
    rack: String,
    /// The images that the rack has.
    images: Vec<ImageDescription>,
    /// What is asked for; every key of `DeploymentOptions`, with its defaults.
    #[serde(default)]
    options: DeploymentOptions,
}

/// A machine.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MachineDescription {
    /// The identifier: six of the characters 34678abcdefghkmnpqrstwxy.
    system_id: SystemId,
    /// The host name.
    hostname: String,
    /// The DNS domain.
    #[serde(default)]
    domain: String,
    /// Architecture and sub-architecture, e.g. `amd64/generic`.
    architecture: String,
    /// How it boots: `uefi`, `pxe` (BIOS), `powernv`…
    boot_method: String,
    /// The MAC address that it boots from; the first interface's by default.
    boot_mac: Option<Mac>,
    /// The lowest kernel that may boot it, e.g. `hwe-24.04`.
    #[serde(default)]
    min_hwe_kernel: String,
    /// Its tags.
    #[serde(default)]
    tags: BTreeSet<String>,
    /// Its disks.
    disks: Vec<DiskDescription>,
    /// Its physical network interfaces.
    interfaces: Vec<NetworkInterface>,
    /// What its user chose before: storage layout, boot disk, network, kernel options.
    #[serde(default)]
    configuration: Configuration,
}

/// A disk.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DiskDescription {
    /// The kernel's name, e.g. `sda`.
    name: String,
    /// Its size: bytes, or a number with unit such as `100G`.
    size: Size,
    /// Bytes of one sector.
    block_size: Option<u32>,
    /// The serial number.
    #[serde(default)]
    serial: String,
    /// The model.
    #[serde(default)]
    model: String,
    /// A path that does not change, e.g. `/dev/disk/by-id/wwn-0x5000c500a1b2c3d4`.
    id_path: Option<String>,
    /// `ssd`, `rotary`…
    #[serde(default)]
    tags: BTreeSet<String>,
}

/// An image.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ImageDescription {
    /// The operating system.
    os: String,
    /// The series, or a custom image's name.
    release: String,
    /// The Debian architecture.
    arch: String,
    /// The kernel it boots, e.g. `ga-24.04`; `generic` where there is none.
    subarch: Option<String>,
    /// The kernel's flavour.
    #[serde(default)]
    kflavor: String,
    /// The Debian package of the kernel.
    kpackage: Option<String>,
    /// The SHA-256 of each file by its type: `boot-kernel`, `squashfs`, `root-tgz`, `root-dd.gz`…
    files: BTreeMap<String, String>,
    /// What a custom image is based on, e.g. `debian/bookworm`; a standard image has none.
    base_image: Option<String>,
    /// cloud-init configuration that a custom image has packed.
    packed_seed: Option<PackedSeed>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [description, folder] = arguments.as_slice() else {
        eprintln!("usage: render_deployment PLAN.yaml OUTDIR");
        return ExitCode::from(2);
    };
    match run(Path::new(description), Path::new(folder)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// What stands in the folder for a document that a deployment does not have, so that the folder
/// always has the same files. Neither is in the manifest.
const ABSENT: [(&str, &str); 2] = [
    ("curtin.yaml", "# Nothing is installed: the machine runs from memory.\n{}\n"),
    ("user-data", "#cloud-config\n# The user gave none; the metadata server answers 404.\n{}\n"),
];

/// What `DeploymentPlan::new` says of a description.
type Planned = Result<DeploymentPlan, Vec<PlanProblem>>;

fn planned(description: &Path) -> Result<Planned, Box<dyn std::error::Error>> {
    let text = std::fs::read_to_string(description)
        .map_err(|error| format!("{}: {error}", description.display()))?;
    let description: Description =
        yaml::from_str(&text).map_err(|error| format!("{}: {error}", description.display()))?;
    let (machine, facts) = machine(description.machine)?;
    let images = Images(description.images.into_iter().map(image).collect());
    let endpoints = Endpoints::new(description.rack);
    Ok(DeploymentPlan::new(&machine, &facts, &images, &description.options, &endpoints))
}

fn run(description: &Path, folder: &Path) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let plan = planned(description)?;
    let plan = match plan {
        Ok(plan) => plan,
        Err(problems) => {
            eprintln!("refused, {} problem(s):", problems.len());
            for problem in problems {
                eprintln!("  - {problem}");
            }
            return Ok(ExitCode::from(1));
        }
    };
    // What an earlier run left of a longer installer is no part of this deployment.
    match std::fs::remove_dir_all(folder.join("curtin")) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    for artefact in plan.artefacts() {
        let path = folder.join(&artefact.name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(&path, artefact.bytes.expose())?;
        println!("{}  {}", artefact.sha256, path.display());
    }
    for (name, text) in ABSENT {
        if plan.artefact(name).is_none() {
            std::fs::write(folder.join(name), text)?;
            println!("none: {name}");
        }
    }
    println!("datasource: {:?}: {}", plan.datasource.winner, plan.datasource.reason);
    for warning in &plan.warnings {
        println!("warning[{}]: {}", warning.code, warning.message);
    }
    for ignored in &plan.ignored {
        println!("ignored: {}: {}", ignored.setting, ignored.reason);
    }
    println!("plan {}", plan.digest());
    Ok(ExitCode::SUCCESS)
}

fn machine(
    description: MachineDescription,
) -> Result<(Machine, Facts), Box<dyn std::error::Error>> {
    // A real server draws these; here they only have to be there.
    let credentials = NodeCredentials {
        consumer_key: "EXAMPLECONSUMERKEY".to_owned(),
        token_key: "EXAMPLETOKENKEYTOK".to_owned(),
        token_secret: Secret::new("EXAMPLETOKENSECRETTOKENSECRET000".to_owned()),
    };
    let architecture: Architecture = description.architecture.parse()?;
    let new = NewMachine::new(
        description.system_id,
        &description.hostname,
        &description.architecture,
        credentials,
    );
    let mut machine = Machine::enlisted(new, Enlistment::OnlyRegister, Timestamp(0))?;
    let boot_mac =
        description.boot_mac.or_else(|| description.interfaces.first().map(|nic| nic.mac));
    machine.status = Status::Allocated;
    machine.owner = Some("example".to_owned());
    machine.domain = description.domain;
    machine.architecture = architecture;
    machine.min_hwe_kernel = description.min_hwe_kernel;
    machine.tags = description.tags;
    machine.mac_addresses = description.interfaces.iter().map(|nic| nic.mac.to_string()).collect();
    machine.boot = BootFacts {
        rack: None,
        bios_boot_method: description.boot_method,
        boot_mac: boot_mac.map(|mac| mac.to_string()),
        ..Default::default()
    };
    machine.configuration = description.configuration.into();
    let block_devices = description
        .disks
        .into_iter()
        .map(|disk| BlockDevice {
            name: disk.name,
            size: disk.size.of(0),
            block_size: disk.block_size.unwrap_or(512),
            serial: disk.serial,
            model: disk.model,
            id_path: disk.id_path,
            tags: disk.tags,
        })
        .collect();
    let facts = Facts { block_devices, interfaces: description.interfaces, storage_extra: None };
    Ok((machine, facts))
}

fn image(description: ImageDescription) -> BootResource {
    let origin = match description.base_image {
        Some(base_image) => {
            Origin::Custom { base_image, packed_seed: description.packed_seed, defects: Vec::new() }
        }
        None => Origin::Standard {
            boot_source: "http://images.maas.io/ephemeral-v3/stable/".to_owned(),
        },
    };
    let label = if matches!(origin, Origin::Custom { .. }) { "uploaded" } else { "stable" };
    BootResource {
        os: description.os,
        release: description.release,
        arch: description.arch,
        subarch: description.subarch.unwrap_or_else(|| "generic".to_owned()),
        kflavor: description.kflavor,
        label: label.to_owned(),
        version: "1".to_owned(),
        subarches: vec!["generic".to_owned()],
        kpackage: description.kpackage,
        kparams: None,
        title: String::new(),
        files: description
            .files
            .into_iter()
            .map(|(filetype, sha256)| ImageFile {
                filename: filetype.clone(),
                filetype: FileType::from(filetype),
                sha256,
                size: 0,
            })
            .collect(),
        origin,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::path::PathBuf;

    use super::*;

    #[test]
    fn every_plan_beside_this_program_can_be_deployed() {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("plans");
        let mut count = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let plan = planned(&path).unwrap();
            let plan = plan.unwrap_or_else(|problems| panic!("{}: {problems:?}", path.display()));
            assert!(plan.artefact("manifest.json").is_some());
            count += 1;
        }
        assert!(count >= 11, "{count} plans");
    }

    #[test]
    fn a_description_is_refused_with_its_line() {
        let path = std::env::temp_dir().join(format!("no-plan-{}.yaml", std::process::id()));
        std::fs::write(&path, "machine: {}\nwhat: 1\n").unwrap();
        let error = planned(&path).unwrap_err().to_string();
        std::fs::remove_file(&path).unwrap();
        assert!(error.contains("line "), "{error}");
    }
}
