//! A machine (API 2.0 `machines/`): every field that a strict client asks for, null only where
//! MAAS has null.

use maas_core::commission::result::ScriptType;
use maas_core::machine::hardware::Hardware;
use maas_core::machine::{Machine, PowerState};
use serde_json::{Map, Value, json};

use super::interface::Shown;
use super::places::Places;
use super::{block_device, or_unknown, script_result};

/// The whole object.
pub(crate) fn full(machine: &Machine, networks: &Places) -> Value {
    let mut object = Map::new();
    identity(machine, networks, &mut object);
    lifecycle(machine, &mut object);
    hardware(machine, &mut object);
    network(machine, networks, &mut object);
    scripts(machine, &mut object);
    Value::Object(object)
}

fn identity(machine: &Machine, networks: &Places, object: &mut Map<String, Value>) {
    add(
        object,
        json!({
            "system_id": machine.system_id, "hostname": machine.hostname,
            "fqdn": fqdn(machine), "domain": networks.domain(&machine.domain),
            "description": machine.description, "hardware_uuid": machine.hardware_uuid,
            "architecture": architecture(machine), "min_hwe_kernel": machine.min_hwe_kernel,
            "tag_names": machine.tags, "zone": networks.zone(&machine.zone),
            "pool": networks.pool(&machine.pool), "parent": null, "node_type": 0,
            "node_type_name": "Machine", "disable_ipv4": false, "address_ttl": null,
            "is_dpu": false, "enable_hw_sync": false, "enable_kernel_crash_dump": false,
            "last_sync": null, "sync_interval": null, "next_sync": null,
            "resource_uri": format!("/MAAS/api/2.0/machines/{}/", machine.system_id),
        }),
    );
}

fn lifecycle(machine: &Machine, object: &mut Map<String, Value>) {
    let deployment = machine.deployment.as_ref();
    add(
        object,
        json!({
            "status": machine.status as u8, "status_name": machine.status.display_name(),
            "status_action": "", "status_message": machine.status_message,
            "error_description": machine.error_description, "owner": machine.owner,
            "owner_data": machine.owner_data, "workload_annotations": machine.owner_data,
            "agent_name": machine.agent_name, "locked": machine.locked,
            "netboot": machine.netboot, "bios_boot_method": machine.boot.bios_boot_method,
            "power_type": machine.power.driver, "power_state": power_state(machine.power.state),
            "osystem": deployment.map_or("", |one| &one.osystem),
            "distro_series": deployment.map_or("", |one| &one.distro_series),
            "hwe_kernel": deployment.map(|one| one.hwe_kernel.as_str()).filter(|one| !one.is_empty()),
            "ephemeral_deploy": deployment.is_some_and(|one| one.ephemeral),
            "swap_size": null,
        }),
    );
}

fn hardware(machine: &Machine, object: &mut Map<String, Value>) {
    let hardware = &machine.hardware;
    let disks = block_device::all(machine);
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
    add(
        object,
        json!({
            "cpu_count": hardware.cpu_count, "cpu_speed": hardware.cpu_speed,
            "memory": hardware.memory, "storage": megabytes(hardware.storage()),
            "hardware_info": hardware_info(hardware), "numanode_set": numa,
            "boot_disk": disks.first(), "blockdevice_set": disks,
            "physicalblockdevice_set": disks, "virtualblockdevice_set": [],
            "volume_groups": [], "raids": [], "cache_sets": [], "bcaches": [],
            "special_filesystems": [],
        }),
    );
}

fn network(machine: &Machine, networks: &Places, object: &mut Map<String, Value>) {
    let shown = Shown::of_machine(machine, networks);
    add(
        object,
        json!({
            "interface_set": shown.all(), "boot_interface": shown.boot(),
            "ip_addresses": shown.addresses(), "default_gateways": shown.default_gateways(),
        }),
    );
}

fn scripts(machine: &Machine, object: &mut Map<String, Value>) {
    for (word, kind) in
        [("commissioning", ScriptType::Commissioning), ("testing", ScriptType::Testing)]
    {
        let (number, name) = script_result::overall(machine, kind);
        object.insert(format!("{word}_status"), json!(number));
        object.insert(format!("{word}_status_name"), json!(name));
    }
    for part in ["cpu", "memory", "network", "storage", "interface", "other"] {
        object.insert(format!("{part}_test_status"), json!(-1));
        object.insert(format!("{part}_test_status_name"), json!("Unknown"));
    }
    for (field, kind) in [
        ("current_commissioning_result_id", ScriptType::Commissioning),
        ("current_testing_result_id", ScriptType::Testing),
        ("current_installation_result_id", ScriptType::Deployment),
    ] {
        object.insert(field.to_owned(), json!(script_result::set_id(machine, kind)));
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

fn hardware_info(hardware: &Hardware) -> Value {
    let (system, board) = (&hardware.system, &hardware.mainboard);
    let (firmware, chassis) = (&hardware.firmware, &hardware.chassis);
    json!({
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
    })
}

/// Bytes as the API's megabytes of 10^6 bytes.
#[allow(clippy::cast_precision_loss, reason = "the wire has a float here")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

fn add(object: &mut Map<String, Value>, fields: Value) {
    if let Value::Object(fields) = fields {
        object.extend(fields);
    }
}
