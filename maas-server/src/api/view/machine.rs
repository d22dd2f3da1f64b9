//! A machine (API 2.0 `machines/`): every field that a strict client asks for, null only where
//! MAAS has null.

use maas_core::commission::result::ScriptType;
use maas_core::commission::script::HardwareType;
use maas_core::machine::hardware::Hardware;
use maas_core::machine::{Machine, PowerState};
use serde_json::{Value, json};

use super::interface::Shown;
use super::json::{Json, Object, fields};
use super::storage::StorageView;
use super::{or_unknown, script_result};
use crate::networks::Snapshot;
use crate::places::Catalogue;

/// The room for most machines' text, in bytes.
const ROOM: usize = 40 << 10;

/// The whole object, as a value.
pub(crate) fn full(machine: &Machine, catalogue: &Catalogue) -> Value {
    written(machine, catalogue).end().value()
}

/// The whole object, written.
pub(crate) fn written(machine: &Machine, catalogue: &Catalogue) -> Object {
    let mut object = Object::with_room(ROOM);
    identity(machine, catalogue, &mut object);
    lifecycle(machine, &mut object);
    hardware(machine, &mut object);
    network(machine, catalogue.networks(), &mut object);
    StorageView::of(machine).write(&mut object);
    scripts(machine, &mut object);
    object
}

fn identity(machine: &Machine, catalogue: &Catalogue, object: &mut Object) {
    fields!(object,
        "system_id": machine.system_id, "hostname": machine.hostname, "fqdn": fqdn(machine),
        "description": machine.description, "hardware_uuid": machine.hardware_uuid,
        "architecture": architecture(machine), "min_hwe_kernel": machine.min_hwe_kernel,
        "tag_names": machine.tags, "parent": (), "node_type": 0, "node_type_name": "Machine",
        "disable_ipv4": false, "address_ttl": (), "is_dpu": false, "enable_hw_sync": false,
        "enable_kernel_crash_dump": false, "last_sync": (), "sync_interval": (), "next_sync": (),
        "resource_uri": format!("/MAAS/api/2.0/machines/{}/", machine.system_id),
    );
    object.json("domain", &catalogue.networks().domain_written(&machine.domain));
    object.json("zone", &catalogue.zone_written(&machine.zone));
    object.json("pool", &catalogue.pool_written(&machine.pool));
}

fn lifecycle(machine: &Machine, object: &mut Object) {
    let deployment = machine.deployment.as_ref();
    let hwe_kernel = deployment.map(|one| one.hwe_kernel.as_str()).filter(|one| !one.is_empty());
    fields!(object,
        "status": machine.status as u8, "status_name": machine.status.display_name(),
        "status_action": "", "status_message": machine.status_message,
        "error_description": machine.error_description, "owner": machine.owner,
        "owner_data": machine.owner_data, "workload_annotations": machine.owner_data,
        "agent_name": machine.agent_name, "locked": machine.locked, "netboot": machine.netboot,
        "bios_boot_method": machine.boot.bios_boot_method, "power_type": machine.power.driver,
        "power_state": power_state(machine.power.state),
        "osystem": deployment.map_or("", |one| &one.osystem),
        "distro_series": deployment.map_or("", |one| &one.distro_series),
        "hwe_kernel": hwe_kernel,
        "ephemeral_deploy": deployment.is_some_and(|one| one.ephemeral),
        "swap_size": machine.configuration.swap_size,
    );
}

fn hardware(machine: &Machine, object: &mut Object) {
    let hardware = &machine.hardware;
    let numa: Vec<Value> = hardware
        .numa_nodes
        .iter()
        .map(|node| {
            let hugepages: Vec<Value> = node
                .hugepages
                .iter()
                .map(|pages| json!({"page_size": pages.page_size, "total": pages.total}))
                .collect();
            json!({"index": node.index, "memory": node.memory, "cores": node.cores,
                   "hugepages_set": hugepages})
        })
        .collect();
    fields!(object,
        "cpu_count": hardware.cpu_count, "cpu_speed": hardware.cpu_speed,
        "memory": hardware.memory, "storage": megabytes(hardware.storage()),
        "numanode_set": numa,
    );
    object.json("hardware_info", &hardware_info(hardware));
}

fn network(machine: &Machine, networks: &Snapshot, object: &mut Object) {
    let shown = Shown::of_machine(machine, networks);
    let all = shown.written();
    object.list("interface_set", all.iter().map(|(_, written)| written));
    match shown.boot_id().and_then(|boot| all.iter().find(|(id, _)| *id == boot)) {
        Some((_, boot)) => object.json("boot_interface", boot),
        None => object.field("boot_interface", &()),
    }
    fields!(object,
        "ip_addresses": shown.addresses(), "default_gateways": shown.default_gateways(),
    );
}

/// The tests of each kind of hardware: status, its name, which scripts.
const TESTS: [(&str, &str, &[HardwareType]); 6] = [
    ("cpu_test_status", "cpu_test_status_name", &[HardwareType::Cpu]),
    ("memory_test_status", "memory_test_status_name", &[HardwareType::Memory]),
    ("network_test_status", "network_test_status_name", &[HardwareType::Network]),
    ("storage_test_status", "storage_test_status_name", &[HardwareType::Storage]),
    ("interface_test_status", "interface_test_status_name", &[HardwareType::Network]),
    ("other_test_status", "other_test_status_name", &[HardwareType::Node, HardwareType::Gpu]),
];

fn scripts(machine: &Machine, object: &mut Object) {
    let (commissioning, commissioning_name) =
        script_result::overall(machine, ScriptType::Commissioning);
    let (testing, testing_name) = script_result::overall(machine, ScriptType::Testing);
    fields!(object,
        "commissioning_status": commissioning, "commissioning_status_name": commissioning_name,
        "testing_status": testing, "testing_status_name": testing_name,
    );
    for (status, name, hardware) in TESTS {
        let (number, word) = script_result::of_tests(machine, hardware);
        object.field(status, &number);
        object.field(name, word);
    }
    for (field, kind) in [
        ("current_commissioning_result_id", ScriptType::Commissioning),
        ("current_testing_result_id", ScriptType::Testing),
        ("current_installation_result_id", ScriptType::Deployment),
    ] {
        object.field(field, &script_result::set_id(machine, kind));
    }
}

/// `host.domain`.
pub(crate) fn fqdn(machine: &Machine) -> String {
    format!("{}.{}", machine.hostname, machine.domain)
}

/// `amd64/generic`.
pub(crate) fn architecture(machine: &Machine) -> String {
    format!("{}/{}", machine.architecture.arch, machine.architecture.subarch)
}

/// The wire's word for a power state.
pub(crate) const fn power_state(state: PowerState) -> &'static str {
    match state {
        PowerState::On => "on",
        PowerState::Off => "off",
        PowerState::Unknown => "unknown",
        PowerState::Error => "error",
    }
}

fn hardware_info(hardware: &Hardware) -> Json {
    let (system, board) = (&hardware.system, &hardware.mainboard);
    let (firmware, chassis) = (&hardware.firmware, &hardware.chassis);
    let mut object = Object::with_room(1024);
    fields!(object,
        "system_vendor": or_unknown(&system.vendor), "system_product": or_unknown(&system.product),
        "system_family": or_unknown(&system.family), "system_version": or_unknown(&system.version),
        "system_sku": or_unknown(&system.sku), "system_serial": or_unknown(&system.serial),
        "cpu_model": or_unknown(hardware.cpu_model.as_deref().unwrap_or_default()),
        "mainboard_vendor": or_unknown(&board.vendor),
        "mainboard_product": or_unknown(&board.product),
        "mainboard_serial": or_unknown(&board.serial),
        "mainboard_version": or_unknown(&board.version),
        "mainboard_firmware_vendor": or_unknown(&firmware.vendor),
        "mainboard_firmware_date": or_unknown(&firmware.date),
        "mainboard_firmware_version": or_unknown(&firmware.version),
        "chassis_vendor": or_unknown(&chassis.vendor), "chassis_type": or_unknown(&chassis.kind),
        "chassis_serial": or_unknown(&chassis.serial),
        "chassis_version": or_unknown(&chassis.version),
    );
    object.end()
}

/// Bytes as the API's megabytes of 10^6 bytes.
#[allow(clippy::cast_precision_loss, reason = "the wire has a float here")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
