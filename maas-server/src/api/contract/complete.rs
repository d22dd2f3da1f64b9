//! The table of operations against the list of all that MAAS's clients call (`api.md` §4).

use std::collections::BTreeSet;

/// Path, method and operation, as `METHOD` or `METHOD op`.
const ALL: &[(&str, &[&str])] = &[
    ("version/", &["GET"]),
    ("describe/", &["GET"]),
    ("users/", &["GET", "POST", "GET whoami"]),
    ("users/{}/", &["GET", "DELETE"]),
    (
        "account/",
        &[
            "POST create_authorisation_token",
            "POST delete_authorisation_token",
            "POST update_token_name",
            "GET list_authorisation_tokens",
        ],
    ),
    ("account/prefs/sshkeys/", &["GET", "POST", "POST import"]),
    ("account/prefs/sshkeys/{}/", &["GET", "DELETE"]),
    ("maas/", &["GET get_config", "POST set_config"]),
    (
        "machines/",
        &[
            "GET",
            "POST",
            "POST allocate",
            "POST release",
            "POST accept",
            "POST accept_all",
            "POST set_zone",
            "POST clone",
            "POST add_chassis",
            "GET list_allocated",
            "GET power_parameters",
            "GET is_registered",
        ],
    ),
    (
        "machines/{}/",
        &[
            "GET",
            "PUT",
            "DELETE",
            "POST abort",
            "POST commission",
            "POST deploy",
            "POST release",
            "POST test",
            "POST lock",
            "POST unlock",
            "POST mark_broken",
            "POST mark_fixed",
            "POST override_failed_testing",
            "POST power_on",
            "POST power_off",
            "POST rescue_mode",
            "POST exit_rescue_mode",
            "POST set_owner_data",
            "POST set_workload_annotations",
            "POST set_storage_layout",
            "GET details",
            "GET power_parameters",
            "GET query_power_state",
            "GET get_curtin_config",
            "GET get_token",
        ],
    ),
    (
        "machines/{}/",
        &[
            "POST mount_special",
            "POST unmount_special",
            "POST restore_storage_configuration",
            "POST restore_default_configuration",
        ],
    ),
    ("machines/{}/", &["POST clear_default_gateways", "POST restore_networking_configuration"]),
    ("nodes/", &["GET", "POST set_zone", "GET is_registered"]),
    ("nodes/{}/", &["GET", "DELETE", "GET details", "GET power_parameters"]),
    ("devices/", &["GET", "POST"]),
    ("devices/{}/", &["GET", "PUT", "DELETE", "POST set_owner_data"]),
    (
        "nodes/{}/interfaces/",
        &[
            "GET",
            "POST create_physical",
            "POST create_bond",
            "POST create_bridge",
            "POST create_vlan",
        ],
    ),
    (
        "nodes/{}/interfaces/{}/",
        &[
            "GET",
            "PUT",
            "DELETE",
            "POST add_tag",
            "POST remove_tag",
            "POST link_subnet",
            "POST unlink_subnet",
            "POST set_default_gateway",
            "POST disconnect",
        ],
    ),
    ("nodes/{}/blockdevices/", &["GET", "POST"]),
    (
        "nodes/{}/blockdevices/{}/",
        &[
            "GET",
            "PUT",
            "DELETE",
            "POST add_tag",
            "POST remove_tag",
            "POST format",
            "POST unformat",
            "POST mount",
            "POST unmount",
            "POST set_boot_disk",
        ],
    ),
    ("nodes/{}/blockdevices/{}/partitions/", &["GET", "POST"]),
    (
        "nodes/{}/blockdevices/{}/partition/{}",
        &["GET", "DELETE", "POST format", "POST unformat", "POST mount", "POST unmount"],
    ),
    ("nodes/{}/volume-groups/", &["GET", "POST"]),
    ("nodes/{}/raids/", &["GET", "POST"]),
    ("nodes/{}/bcache-cache-sets/", &["GET", "POST"]),
    ("nodes/{}/bcaches/", &["GET", "POST"]),
    ("nodes/{}/results/", &["GET"]),
    ("nodes/{}/results/{}/", &["GET", "GET download"]),
    ("rackcontrollers/", &["GET", "GET describe_power_types"]),
    ("rackcontrollers/{}/", &["GET"]),
    ("regioncontrollers/", &["GET"]),
    ("regioncontrollers/{}/", &["GET"]),
    ("tags/", &["GET", "POST"]),
    (
        "tags/{}/",
        &[
            "GET",
            "PUT",
            "DELETE",
            "GET machines",
            "GET nodes",
            "GET devices",
            "GET rack_controllers",
            "GET region_controllers",
            "POST update_nodes",
            "POST rebuild",
        ],
    ),
    ("zones/", &["GET", "POST"]),
    ("zones/{}/", &["GET", "PUT", "DELETE"]),
    ("resourcepools/", &["GET", "POST"]),
    ("pools/", &["GET"]),
    ("resourcepool/{}/", &["GET", "PUT", "DELETE"]),
    ("domains/", &["GET", "POST"]),
    ("domains/{}/", &["GET", "PUT", "DELETE", "POST set_default"]),
    ("dnsresources/", &["GET", "POST"]),
    ("dnsresourcerecords/", &["GET", "POST"]),
    ("fabrics/", &["GET", "POST"]),
    ("fabrics/{}/", &["GET", "PUT", "DELETE"]),
    ("fabrics/{}/vlans/", &["GET", "POST"]),
    ("fabrics/{}/vlans/{}/", &["GET", "PUT", "DELETE"]),
    ("vlans/{}/", &["GET", "PUT", "DELETE"]),
    ("spaces/", &["GET", "POST"]),
    ("spaces/{}/", &["GET", "PUT", "DELETE"]),
    ("subnets/", &["GET", "POST"]),
    (
        "subnets/{}/",
        &[
            "GET",
            "PUT",
            "DELETE",
            "GET reserved_ip_ranges",
            "GET unreserved_ip_ranges",
            "GET statistics",
            "GET ip_addresses",
        ],
    ),
    ("ipranges/", &["GET", "POST"]),
    ("ipranges/{}/", &["GET", "PUT", "DELETE"]),
    ("ipaddresses/", &["GET", "POST reserve", "POST release"]),
    ("reservedips/", &["GET", "POST"]),
    ("static-routes/", &["GET", "POST"]),
    ("static-routes/{}/", &["GET", "PUT", "DELETE"]),
    ("events/", &["GET query"]),
    ("scripts/", &["GET", "POST"]),
    (
        "scripts/{}",
        &["GET", "PUT", "DELETE", "GET download", "POST add_tag", "POST remove_tag", "POST revert"],
    ),
    ("commissioning-scripts/", &["GET", "POST"]),
    ("commissioning-scripts/{}", &["GET", "PUT", "DELETE"]),
    ("files/", &["GET", "POST", "GET get", "GET get_by_key"]),
    ("files/{}", &["GET", "DELETE"]),
    ("boot-sources/", &["GET", "POST"]),
    ("boot-sources/{}/", &["GET", "PUT", "DELETE"]),
    ("boot-sources/{}/selections/", &["GET", "POST"]),
    ("boot-sources/{}/selections/{}/", &["GET", "PUT", "DELETE"]),
    ("boot-resources/", &["GET", "POST import", "GET is_importing"]),
    ("boot-resources/{}/", &["GET", "DELETE"]),
    ("boot-resources/", &["POST", "POST stop_import"]),
    ("boot-resources/{}/upload/{}/", &["PUT"]),
];

/// A path with every parameter's name left out.
fn nameless(path: &str) -> String {
    let mut out = String::new();
    let mut depth = 0;
    for letter in path.chars() {
        match letter {
            '{' => {
                depth += 1;
                out.push('{');
            }
            '}' => {
                depth -= 1;
                out.push('}');
            }
            letter if depth == 0 => out.push(letter),
            _ => {}
        }
    }
    out.trim_end_matches('/').to_owned()
}

#[tokio::test]
async fn every_operation_that_clients_call_is_in_the_table() {
    let world = super::World::new().await;
    let mut have = BTreeSet::new();
    for row in world.api.rows() {
        for path in std::iter::once(row.path).chain(row.aliases.iter().copied()) {
            let Some(path) = path.strip_prefix("/MAAS/api/2.0/") else { continue };
            let op = row.op.map(|op| format!(" {op}")).unwrap_or_default();
            have.insert((nameless(path), format!("{}{op}", row.method)));
        }
    }
    let mut missing = Vec::new();
    for (path, calls) in ALL {
        for call in *calls {
            if !have.contains(&(nameless(path), (*call).to_owned())) {
                missing.push(format!("{call} at {path}"));
            }
        }
    }
    assert!(missing.is_empty(), "not in the table: {missing:#?}");
}

/// Names that python-libmaas finds resources by (`api.md` §2.5), as far as they are here.
#[tokio::test]
async fn resources_are_called_what_python_libmaas_calls_them() {
    let world = super::World::new().await;
    let names: BTreeSet<&str> = world.api.rows().iter().map(|row| row.resource).collect();
    for name in [
        "Account",
        "BootResource",
        "BootResources",
        "BootSource",
        "BootSources",
        "BootSourceSelection",
        "BootSourceSelections",
        "Events",
        "File",
        "Files",
        "Maas",
        "Machine",
        "Machines",
        "RackController",
        "RackControllers",
        "RegionController",
        "RegionControllers",
        "ResourcePool",
        "ResourcePools",
        "SSHKey",
        "SSHKeys",
        "Tag",
        "Tags",
        "User",
        "Users",
        "Version",
        "Zone",
        "Zones",
    ] {
        assert!(names.contains(format!("{name}Handler").as_str()), "{name}");
    }
}
