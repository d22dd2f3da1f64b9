#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::image::{FileType, ImageFile, Origin, PackedSeed};
use crate::machine::{Architecture, BootFacts, Enlistment, NewMachine, NodeCredentials};
use crate::machine::{Precondition, Role, Status};
use crate::storage::{BasicOptions, BlockDevice, LayoutRequest, LvmOptions};
use crate::template::Library;
use crate::time::Timestamp;

const SECRET: &str = "SeCrEtSeCrEtSeCrEtSeCrEtSeCrEt32";

fn machine() -> Machine {
    let credentials = NodeCredentials {
        consumer_key: "ckckckckckckckckck".into(),
        token_key: "tktktktktktktktktk".into(),
        token_secret: Secret::new(SECRET.into()),
    };
    let new = NewMachine::new(SystemId::from_entropy(5), "node1", "amd64", credentials);
    let mut machine = Machine::enlisted(new, Enlistment::OnlyRegister, Timestamp(0)).unwrap();
    machine.status = Status::Allocated;
    machine.owner = Some("alice".into());
    machine.domain = "maas".into();
    machine.architecture = Architecture { arch: "amd64".into(), subarch: "generic".into() };
    machine.boot = BootFacts {
        rack: Some("10.0.0.1".into()),
        bios_boot_method: "uefi".into(),
        boot_mac: Some("52:54:00:00:00:01".into()),
        ..Default::default()
    };
    machine
}

fn facts() -> Facts {
    Facts {
        block_devices: vec![BlockDevice {
            name: "vda".into(),
            size: 20 << 30,
            block_size: 512,
            serial: "S1".into(),
            model: "M".into(),
            id_path: None,
            tags: Default::default(),
        }],
        interfaces: vec![super::super::NetworkInterface {
            name: "enp1s0".into(),
            mac: "52:54:00:00:00:01".parse().unwrap(),
        }],
        storage_extra: None,
    }
}

fn image(os: &str, release: &str, filetypes: &[FileType], origin: Origin) -> BootResource {
    let file = |filetype: &FileType| ImageFile {
        filetype: filetype.clone(),
        filename: filetype.as_str().to_owned(),
        sha256: sha256_hex(format!("{os}/{release}/{}", filetype.as_str()).as_bytes()),
        size: 1,
    };
    BootResource {
        os: os.into(),
        release: release.into(),
        arch: "amd64".into(),
        subarch: if os == "ubuntu" { "ga-24.04" } else { "generic" }.into(),
        kflavor: if os == "ubuntu" { "generic" } else { "" }.into(),
        label: "stable".into(),
        version: "1".into(),
        subarches: vec!["generic".into()],
        kpackage: (os == "ubuntu").then(|| "linux-generic".to_owned()),
        kparams: None,
        title: String::new(),
        files: filetypes.iter().map(file).collect(),
        origin,
    }
}

fn standard() -> Origin {
    Origin::Standard { boot_source: "http://images.maas.io/".into() }
}

fn custom(base_image: &str, packed_seed: Option<PackedSeed>) -> Origin {
    Origin::Custom { base_image: base_image.into(), packed_seed, defects: Vec::new() }
}

fn images() -> Images {
    let boot = [FileType::BootKernel, FileType::BootInitrd, FileType::Squashfs];
    let nocloud = PackedSeed::NoCloud { path: "/var/lib/cloud/seed/nocloud".into() };
    Images(vec![
        image("ubuntu", "noble", &boot, standard()),
        image("centos", "8", &[FileType::RootTgz], standard()),
        image("custom", "debian-12", &[FileType::RootTgz], custom("debian/bookworm", None)),
        image("custom", "seeded", &[FileType::RootDdGz], custom("debian/bookworm", Some(nocloud))),
        image("esxi", "8.0", &[FileType::RootDdGz], custom("esxi/8.0", None)),
        image("windows", "win2022", &[FileType::RootDdGz], custom("windows/win2022", None)),
    ])
}

fn options(osystem: &str, distro_series: &str) -> DeploymentOptions {
    DeploymentOptions {
        osystem: osystem.into(),
        distro_series: distro_series.into(),
        ssh_keys: vec!["ssh-ed25519 AAAA alice".into()],
        user_data: Some(Secret::new(b"#cloud-config\npackages: [vim]\n".to_vec())),
        requester: Some(super::super::Requester { username: "alice".into(), role: Role::User }),
        ..Default::default()
    }
}

fn plan_with(options: &DeploymentOptions) -> Result<DeploymentPlan, Vec<PlanProblem>> {
    DeploymentPlan::new(&machine(), &facts(), &images(), options, &Endpoints::new("10.0.0.1"))
}

/// A plan that installs Ubuntu.
pub(in crate::deploy) fn sample() -> DeploymentPlan {
    sample_with(|_| {})
}

/// The same, with options changed.
pub(in crate::deploy) fn sample_with(change: fn(&mut DeploymentOptions)) -> DeploymentPlan {
    let mut options = options("ubuntu", "noble");
    change(&mut options);
    plan_with(&options).unwrap()
}

fn curtin_of(plan: &DeploymentPlan) -> Value {
    yaml::from_str(plan.artefact("curtin.yaml").unwrap().text().unwrap()).unwrap()
}

fn at<'a>(value: &'a Value, path: &[&str]) -> &'a Value {
    path.iter().fold(value, |value, key| value.get(key).unwrap_or(&Value::Null))
}

#[test]
fn ubuntu_is_installed_from_the_root_that_runs() {
    let plan = plan_with(&options("ubuntu", "noble")).unwrap();
    let curtin = curtin_of(&plan);
    assert_eq!(at(&curtin, &["sources", "maas"]).as_str(), Some("cp:///media/root-ro"));
    assert_eq!(at(&curtin, &["kernel", "package"]).as_str(), Some("linux-generic"));
    assert_eq!(at(&curtin, &["storage", "version"]), &Value::Int(1));
    assert_eq!(at(&curtin, &["network", "version"]), &Value::Int(2));
    let off = format!("http://10.0.0.1:5248/MAAS/metadata/latest/by-id/{}/", plan.system_id);
    let words = at(&curtin, &["late_commands", "maas"]).as_list().unwrap();
    assert!(words.contains(&Value::from(off)) && words.contains(&Value::from("op=netboot_off")));
    assert!(
        at(&curtin, &["debconf_selections", "maas"])
            .as_str()
            .unwrap()
            .contains("cloud-init   cloud-init/datasources  multiselect MAAS\n")
    );
    assert!(plan.boot_config(Loader::Ipxe, FetchedOver::Http).contains("ip=::::node1:BOOTIF:dhcp"));
    assert_eq!(plan.warnings, []);
    assert_eq!(plan.summary().osystem, "ubuntu");
}

#[test]
fn every_artefact_is_there_with_its_digest() {
    let plan = plan_with(&options("ubuntu", "noble")).unwrap();
    for name in [
        "curtin/config-000.cfg",
        "curtin.yaml",
        "user-data",
        "vendor-data",
        "meta-data",
        "preseed.yaml",
        "network-ephemeral.yaml",
        "network-target.yaml",
        "ipxe.cfg",
        "grub.cfg",
        "pxelinux.cfg",
        "cmdline",
        "dhcp.json",
        "manifest.json",
    ] {
        let artefact = plan.artefact(name).unwrap_or_else(|| panic!("{name}"));
        assert_eq!(artefact.sha256, sha256_hex(artefact.bytes.expose()), "{name}");
    }
    let manifest: serde_json::Value =
        serde_json::from_slice(plan.artefact("manifest.json").unwrap().bytes.expose()).unwrap();
    assert_eq!(manifest["digest"], plan.digest());
    assert_eq!(manifest["artefacts"].as_array().unwrap().len(), plan.artefacts().len() - 1);
}

#[test]
fn the_files_merged_are_the_whole_configuration() {
    let plan = plan_with(&options("ubuntu", "noble")).unwrap();
    let documents: Vec<Value> = plan
        .curtin_configs()
        .iter()
        .map(|file| yaml::from_str(file.content.expose()).unwrap())
        .collect();
    assert_eq!(curtin::merged(&documents), curtin_of(&plan));
}

#[test]
fn the_same_input_gives_the_same_plan_and_storing_keeps_it() {
    let one = plan_with(&options("ubuntu", "noble")).unwrap();
    let two = plan_with(&options("ubuntu", "noble")).unwrap();
    assert_eq!(one, two);
    assert_eq!(one.installer(None).unwrap(), two.installer(None).unwrap());
    let stored = serde_json::to_vec(&one).unwrap();
    let loaded: DeploymentPlan = serde_json::from_slice(&stored).unwrap();
    assert_eq!(loaded, one);
    assert_eq!(loaded.user_data(), Some(&b"#cloud-config\npackages: [vim]\n"[..]));
}

#[test]
fn bytes_that_are_no_text_survive_storage() {
    let mut binary = options("ubuntu", "noble");
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut encoder, b"#!/bin/sh\n").unwrap();
    let bytes = encoder.finish().unwrap();
    binary.user_data = Some(Secret::new(bytes.clone()));
    let plan = plan_with(&binary).unwrap();
    let loaded: DeploymentPlan =
        serde_json::from_str(&serde_json::to_string(&plan).unwrap()).unwrap();
    assert_eq!(loaded.user_data(), Some(bytes.as_slice()));
    let options: DeploymentOptions =
        serde_json::from_str(&serde_json::to_string(&binary).unwrap()).unwrap();
    assert_eq!(options, binary);
}

#[test]
fn no_secret_is_in_what_debug_shows() {
    let mut options = options("windows", "win2022");
    options.user_data = Some(Secret::new(format!("#!{SECRET}").into_bytes()));
    options.license_key = Some(Secret::new(SECRET.into()));
    let plan = plan_with(&options).unwrap();
    assert!(!format!("{plan:?} {options:?}").contains(SECRET));
}

#[test]
fn every_problem_is_told_at_once() {
    let mut machine = machine();
    machine.status = Status::New;
    machine.owner = Some("bob".into());
    let mut wrong = options("custom", "nothing");
    wrong.user_data = Some(Secret::new(b"packages: [vim]\n".to_vec()));
    let problems = DeploymentPlan::new(
        &machine,
        &Facts::default(),
        &Images::default(),
        &wrong,
        &Endpoints::new("10.0.0.1"),
    )
    .unwrap_err();
    let has = |wanted: fn(&Precondition) -> bool| {
        problems.iter().any(|p| matches!(p, PlanProblem::Precondition(found) if wanted(found)))
    };
    assert!(has(|p| matches!(p, Precondition::Commissioned { .. })));
    assert!(has(|p| matches!(p, Precondition::Allocated { owner: Some(_) })));
    assert!(has(|p| matches!(p, Precondition::CloudInit { .. })));
    assert!(has(|p| matches!(p, Precondition::TargetImage { .. })));
    assert!(has(|p| matches!(p, Precondition::EphemeralImage { .. })));
}

#[test]
fn centos_keeps_its_kernel_and_gets_version_1_networking() {
    let plan = plan_with(&options("centos", "8")).unwrap();
    let curtin = curtin_of(&plan);
    assert_eq!(at(&curtin, &["sources", "maas", "type"]).as_str(), Some("tgz"));
    assert!(
        at(&curtin, &["sources", "maas", "uri"])
            .as_str()
            .unwrap()
            .ends_with("/centos/amd64/generic/8/stable/root-tgz")
    );
    assert_eq!(at(&curtin, &["network", "version"]), &Value::Int(1));
    assert_eq!(at(&curtin, &["kernel", "install"]), &Value::Bool(false));
    assert_eq!(at(&curtin, &["debconf_selections"]), &Value::Null);
}

#[test]
fn a_custom_archive_must_have_cloud_init() {
    let plan = plan_with(&options("custom", "debian-12")).unwrap();
    let late = curtin_of(&plan);
    let late = at(&late, &["late_commands"]).as_map().unwrap();
    assert!(late.contains_key("98-validate-custom-image-has-cloud-init"));
    assert_eq!(
        at(&curtin_of(&plan), &["apt", "preserve_sources_list"]),
        &Value::Bool(true),
        "Ubuntu's archives do not belong into Debian"
    );
}

#[test]
fn a_disk_image_is_written_to_the_boot_disk() {
    let mut seeded = options("custom", "seeded");
    seeded.storage = Some(LayoutRequest::Lvm(LvmOptions::default()));
    let plan = plan_with(&seeded).unwrap();
    let curtin = curtin_of(&plan);
    assert_eq!(at(&curtin, &["block-meta", "devices"]), &Value::list(["/dev/vda"]));
    assert_eq!(at(&curtin, &["storage"]), &Value::Null);
    assert_eq!(at(&curtin, &["sources", "maas", "type"]).as_str(), Some("dd-gz"));
    let written = at(&curtin, &["write_files", "maas-cloud-config"]);
    assert_eq!(at(written, &["permissions"]).as_str(), Some("0600"));
    assert_eq!(
        at(written, &["path"]).as_str(),
        Some("/etc/cloud/cloud.cfg.d/95-cloudconfig-maas-cloud-config.cfg")
    );
    assert!(plan.ignored.iter().any(|ignored| ignored.setting == "storage"));
}

#[test]
fn a_packed_seed_can_be_forced_either_way() {
    use super::super::DatasourceChoice::{Closest, MetadataService, Packed};
    for (choice, winner, forced) in [
        (Closest, Datasource::MetadataService, None),
        (MetadataService, Datasource::MetadataService, Some("datasource_list: [ MAAS ]\n")),
        (Packed, Datasource::Packed, Some("datasource_list: [ NoCloud, None ]\n")),
    ] {
        let mut options = options("custom", "seeded");
        options.datasource = choice;
        let plan = plan_with(&options).unwrap();
        assert_eq!(plan.datasource.winner, winner);
        let curtin = curtin_of(&plan);
        assert_eq!(at(&curtin, &["write_files", "maas_datasource", "content"]).as_str(), forced);
        let credentials = at(&curtin, &["cloudconfig", "maas-cloud-config"]);
        assert_eq!(*credentials == Value::Null, winner == Datasource::Packed);
        assert_eq!(
            plan.warnings.iter().any(|warning| warning.code == "packed-datasource"),
            winner == Datasource::Packed
        );
    }
}

#[test]
fn esxi_needs_a_datastore() {
    let problems = plan_with(&options("esxi", "8.0")).unwrap_err();
    assert!(
        matches!(&problems[..], [PlanProblem::Option { option, .. }] if option == "storage_layout")
    );
    let mut esxi = options("esxi", "8.0");
    esxi.storage = Some(LayoutRequest::Vmfs6(BasicOptions::default()));
    let plan = plan_with(&esxi).unwrap();
    let curtin = curtin_of(&plan);
    assert_eq!(at(&curtin, &["network", "version"]), &Value::Int(1));
    assert!(at(&curtin, &["storage", "config"]).as_list().is_some());
    assert_eq!(at(&curtin, &["block-meta", "devices"]), &Value::list(["/dev/vda"]));
    let mut ubuntu = options("ubuntu", "noble");
    ubuntu.storage = esxi.storage;
    assert!(plan_with(&ubuntu).is_err());
}

#[test]
fn esxi_takes_three_bond_modes_and_refuses_the_rest_before_anything_starts() {
    use maas_netconfig::model::{BondMode, BondParams};
    use maas_netconfig::{Interface, Kind, Link, Network};
    for mode in BondMode::ALL {
        let nic = |name: &str, mac: &str| {
            Interface::physical(name.parse().unwrap(), mac.parse().unwrap())
        };
        let bond = Kind::Bond {
            mac: Some("52:54:00:00:00:01".parse().unwrap()),
            members: vec!["eno1".parse().unwrap(), "eno2".parse().unwrap()],
            params: BondParams::new(*mode),
        };
        let mut esxi = options("esxi", "8.0");
        esxi.storage = Some(LayoutRequest::Vmfs6(BasicOptions::default()));
        esxi.network = Some(Network {
            interfaces: vec![
                nic("eno1", "52:54:00:00:00:01"),
                nic("eno2", "52:54:00:00:00:02"),
                Interface::new("bond0".parse().unwrap(), bond).with_link(Link::DHCP),
            ],
            ..Network::default()
        });
        let planned = plan_with(&esxi);
        if ["balance-rr", "active-backup", "802.3ad"].contains(&mode.as_str()) {
            assert!(planned.is_ok(), "{mode:?}: {planned:?}");
        } else {
            let problems = planned.unwrap_err();
            assert!(
                problems.iter().all(|p| matches!(p, PlanProblem::Network { .. })),
                "{mode:?}: {problems:?}"
            );
        }
    }
}

#[test]
fn a_system_can_run_from_memory() {
    let mut memory = options("ubuntu", "noble");
    memory.ephemeral = true;
    memory.kernel_options = "console=ttyS0".into();
    let plan = plan_with(&memory).unwrap();
    assert!(plan.curtin_configs().is_empty() && plan.artefact("curtin.yaml").is_none());
    assert!(
        plan.artefact("cmdline")
            .unwrap()
            .text()
            .unwrap()
            .ends_with("log_port=5247 console=ttyS0\n")
    );
    assert!(!plan.preseed().unwrap().contains("power_state"));
    assert!(plan.preseed().unwrap().contains("/MAAS/metadata/\n"));
    assert!(plan.meta_data().vendor_data.contains("/etc/netplan/50-maas.yaml"));
}

#[test]
fn a_pre_seed_is_put_over_the_rest_and_told_of() {
    let with = |text: &str| {
        let mut options = options("ubuntu", "noble");
        options.preseeds =
            Library(BTreeMap::from([("curtin_userdata_ubuntu".to_owned(), text.to_owned())]));
        plan_with(&options)
    };
    let plan =
        with("swap: {size: 1G}\nverbosity: 1\nlate_commands:\n  mine: [touch, /{{ hostname }}]\n")
            .unwrap();
    let curtin = curtin_of(&plan);
    assert_eq!(at(&curtin, &["verbosity"]), &Value::Int(1));
    assert_eq!(at(&curtin, &["late_commands", "mine"]), &Value::list(["touch", "/node1"]));
    assert!(at(&curtin, &["late_commands", "maas"]).as_list().is_some());
    assert!(plan.warnings.iter().any(|w| w.message == "the pre-seed replaces verbosity"));
    for (text, part) in [
        ("a: {{ nothing }}\n", "line 1: there is no variable \"nothing\""),
        ("a: [1\n", "does not give YAML"),
        ("- a\n", "does not give a mapping"),
        ("late_commands: {maas: [true]}\n", "sets late_commands.maas"),
        ("reporting: null\n", "sets reporting"),
    ] {
        let problems = with(text).unwrap_err();
        assert!(
            matches!(&problems[..], [PlanProblem::Precondition(Precondition::Preseed { problem }), ..] if problem.contains(part)),
            "{text}: {problems:?}"
        );
    }
}

#[test]
fn a_network_that_cannot_reach_the_rack_is_warned_of() {
    use maas_netconfig::{Interface, Link, Network, Subnet};
    let network = |gateway: Option<&str>| Network {
        interfaces: vec![
            Interface::physical("enp1s0".parse().unwrap(), "52:54:00:00:00:01".parse().unwrap())
                .with_link(Link::Static {
                    subnet: "lab".into(),
                    ip: "192.168.7.2".parse().unwrap(),
                }),
        ],
        subnets: [(
            "lab".into(),
            Subnet {
                gateway: gateway.map(|g| g.parse().unwrap()),
                ..Subnet::new("192.168.7.0/24".parse().unwrap())
            },
        )]
        .into(),
        ..Network::default()
    };
    for (gateway, warned) in [(None, true), (Some("192.168.7.1"), false)] {
        let mut options = options("ubuntu", "noble");
        options.network = Some(network(gateway));
        let plan = plan_with(&options).unwrap();
        assert_eq!(plan.warnings.iter().any(|w| w.code == "metadata-unreachable"), warned);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_plan_is_whole_or_refused_with_reasons(
        os in prop_oneof![
            Just(("ubuntu", "noble")), Just(("centos", "8")), Just(("custom", "debian-12")),
            Just(("custom", "seeded")), Just(("esxi", "8.0")), Just(("windows", "win2022")),
            Just(("ubuntu", "gone"))
        ],
        size in 0_u64..64 << 30,
        ephemeral: bool,
        boot_method in prop_oneof![Just("uefi"), Just("pxe"), Just("ipxe"), Just("")],
        user_data in proptest::option::of("#!|#cloud-config\n\\PC{0,10}|\\PC{0,10}"),
        kernel_options in "\\PC{0,20}",
    ) {
        let mut machine = machine();
        machine.boot.bios_boot_method = boot_method.into();
        machine.configuration.kernel_options = kernel_options;
        let mut facts = facts();
        facts.block_devices[0].size = size;
        let mut options = options(os.0, os.1);
        options.ephemeral = ephemeral;
        options.user_data = user_data.map(|text| Secret::new(text.into_bytes()));
        let endpoints = Endpoints::new("10.0.0.1");
        match DeploymentPlan::new(&machine, &facts, &images(), &options, &endpoints) {
            Ok(plan) => {
                prop_assert!(plan.artefact("manifest.json").is_some());
                prop_assert!(plan.installer(None).is_ok());
                prop_assert!(plan.artefact("cmdline").unwrap().text().unwrap().lines().count() == 1);
            }
            Err(problems) => prop_assert!(!problems.is_empty()),
        }
    }
}

#[test]
fn a_packed_seed_that_wins_changes_how_the_system_is_known_to_be_up() {
    use super::super::DatasourceChoice::{Closest, KernelCommandLine, MetadataService, Packed};
    use crate::machine::Arrival;
    for (choice, arrival, parameter) in [
        (Closest, Arrival::UserData, false),
        (MetadataService, Arrival::UserData, false),
        (KernelCommandLine, Arrival::UserData, true),
        (Packed, Arrival::Report, false),
    ] {
        let mut options = options("custom", "seeded");
        options.datasource = choice;
        let plan = plan_with(&options).unwrap();
        assert_eq!(plan.summary().arrival, arrival, "{choice:?}");
        let line = plan.boot.command_line.render(&plan.endpoints);
        assert_eq!(line.ends_with(" --- ci.ds=MAAS"), parameter, "{line}");
        assert_eq!(plan.warnings.iter().any(|it| it.code == "packed-datasource"), choice == Packed);
    }
}

#[test]
fn an_image_with_defects_is_refused_with_all_of_them() {
    let mut images = images();
    let debian = images.0.iter_mut().find(|image| image.release == "debian-12").unwrap();
    let Origin::Custom { defects, .. } = &mut debian.origin else { panic!() };
    defects.extend(["it has no cloud-init".to_owned(), "it is damaged".to_owned()]);
    let options = options("custom", "debian-12");
    let problems =
        DeploymentPlan::new(&machine(), &facts(), &images, &options, &Endpoints::new("10.0.0.1"))
            .unwrap_err();
    assert_eq!(
        problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["the image custom/debian-12 cannot be deployed: it has no cloud-init; it is damaged; \
          upload it again with that corrected"]
    );
}
