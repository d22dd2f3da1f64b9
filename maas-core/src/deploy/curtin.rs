//! The list of curtin's documents for a deployment, in the order in which they are merged.

use maas_netconfig::yaml::{self, Map, Value};

use super::DatasourceVerdict;
use super::endpoints::Endpoints;
use super::options::DeploymentOptions;
use crate::cloud_init::{credentials_document, reporting_document};
use crate::curtin::{self, Source};
use crate::image::{BootResource, EphemeralImage, Origin};
use crate::machine::Machine;
use crate::storage::Storage;

/// What the documents are made from; everything in it has been checked.
pub(super) struct Inputs<'a> {
    pub(super) machine: &'a Machine,
    pub(super) target: &'a BootResource,
    pub(super) base_os: &'a str,
    pub(super) running: &'a EphemeralImage,
    pub(super) source: &'a Source,
    pub(super) storage: Option<&'a Storage>,
    pub(super) boot_disk: Option<&'a str>,
    pub(super) network: Option<&'a Value>,
    pub(super) options: &'a DeploymentOptions,
    pub(super) endpoints: &'a Endpoints,
}

/// The generated documents, without the operator's pre-seed.
pub(super) fn documents(inputs: &Inputs<'_>) -> Vec<Value> {
    let Inputs { machine, target, options, endpoints, .. } = inputs;
    let id = &machine.system_id;
    let credentials = &machine.credentials;
    let mut list = Vec::new();
    match (inputs.storage, inputs.boot_disk) {
        (Some(storage), _) if !inputs.source.is_disk_image() => {
            list.push(curtin::storage(storage, id.as_str()));
        }
        // ESXi's own scripts read the storage configuration; curtin writes the image.
        (Some(storage), Some(path)) if target.os == "esxi" => {
            let section = curtin::storage(storage, id.as_str());
            list.push(curtin::merged(&[section, curtin::block_meta(path)]));
        }
        (_, Some(path)) => list.push(curtin::block_meta(path)),
        _ => {}
    }
    // A custom image brings its own sources, whatever it is based on.
    let apt_os = if target.is_custom() { "custom" } else { target.os.as_str() };
    list.push(curtin::apt(&options.apt, apt_os, &target.release, &target.arch));
    list.push(curtin::reporting(id, credentials, endpoints));
    if let Some(network) = inputs.network {
        list.push(curtin::network(network));
    }
    if let Some(bytes) = options.swap_size {
        list.push(curtin::swap(bytes));
    }
    if let Some(kernel) = kernel(inputs) {
        list.push(kernel);
    }
    list.push(curtin::verbosity());
    if target.os != "windows" && target.os != "esxi" {
        let cloud_config = curtin::cloud_config(id, credentials, endpoints);
        let verdict = DatasourceVerdict::decide(target, options.datasource);
        let packed_is_forced = verdict.winner == super::Datasource::Packed
            && options.datasource == super::DatasourceChoice::Packed;
        let cloud_config =
            if packed_is_forced { without_datasource(cloud_config) } else { cloud_config };
        if inputs.source.is_disk_image() {
            list.extend(written_directly(&cloud_config));
        }
        list.push(cloud_config);
        list.extend(DatasourceVerdict::forcing_file(options.datasource, target));
    }
    list.push(curtin::crash_dumps(options.crash_dumps));
    if let Some(proxy) = &options.apt.http_proxy {
        list.push(curtin::proxy(proxy));
    }
    list.push(inputs.source.document());
    list.push(main(inputs));
    list
}

/// The reporting stays: it is how MAAS learns that the system is up.
fn without_datasource(mut cloud_config: Value) -> Value {
    if let Value::Map(map) = &mut cloud_config
        && let Some(Value::Map(files)) = map.get_mut("cloudconfig")
    {
        files.remove("maas-datasource");
        files.remove("maas-cloud-config");
    }
    cloud_config
}

/// The same files for curtin's `write_files`, which it obeys for disk images too; what becomes of
/// `cloudconfig` there is up to the image's own hooks.
fn written_directly(cloud_config: &Value) -> Option<Value> {
    let files = cloud_config.get("cloudconfig")?.as_map()?;
    let files: Map = files
        .iter()
        .filter_map(|(name, file)| {
            let mut file = file.as_map()?.clone();
            file.insert("path", format!("/etc/cloud/cloud.cfg.d/95-cloudconfig-{name}.cfg"));
            Some((name.to_owned(), Value::Map(file)))
        })
        .collect();
    Some(Value::map([("write_files", Value::Map(files))]))
}

fn kernel(inputs: &Inputs<'_>) -> Option<Value> {
    let target = inputs.target;
    if inputs.source.is_disk_image() || matches!(target.os.as_str(), "windows" | "esxi") {
        return None;
    }
    if inputs.base_os != "ubuntu" {
        // The image has its kernel; curtin would look for Ubuntu's.
        return Some(curtin::kernel(None));
    }
    if target.is_custom() && inputs.options.hwe_kernel.is_empty() {
        return None;
    }
    let resource = inputs.running.resource();
    let package =
        resource.kpackage.clone().or_else(|| resource.kernel().map(|kernel| kernel.package()));
    package.map(|package| curtin::kernel(Some(&package)))
}

fn main(inputs: &Inputs<'_>) -> Value {
    let Inputs { machine, target, options, endpoints, .. } = inputs;
    let mut main = Map::new();
    if inputs.base_os == "ubuntu" && !inputs.source.is_disk_image() {
        let selections = Value::map([
            ("maas", Value::from(debconf(inputs))),
            ("grub2", Value::from("grub2   grub2/update_nvram  boolean false")),
        ]);
        main.insert("debconf_selections", selections);
    }
    let commands = |commands: &std::collections::BTreeMap<String, Vec<String>>| -> Map {
        commands
            .iter()
            .map(|(name, words)| (name.clone(), Value::list(words.iter().map(String::as_str))))
            .collect()
    };
    if !options.early_commands.is_empty() {
        main.insert("early_commands", commands(&options.early_commands));
    }
    let mut late = commands(&options.late_commands);
    let is_archive = !inputs.source.is_disk_image();
    if matches!(target.origin, Origin::Custom { .. }) && is_archive {
        // Without cloud-init nothing would ever say that the system is up.
        late.insert(
            "98-validate-custom-image-has-cloud-init",
            Value::list([
                "curtin",
                "in-target",
                "--",
                "sh",
                "-c",
                "command -v cloud-init >/dev/null || { echo 'the custom image has no cloud-init' >&2; exit 1; }",
            ]),
        );
    }
    let off = endpoints.by_id(&machine.system_id);
    late.insert(
        "maas",
        Value::list([
            "wget",
            "--no-proxy",
            // A region that is being restarted must not fail an installation that is done.
            "--tries=20",
            "--retry-connrefused",
            off.as_str(),
            "--post-data",
            "op=netboot_off",
            "-O",
            "/dev/null",
        ]),
    );
    main.insert("late_commands", late);
    if target.os == "windows"
        && let Some(key) = &options.license_key
    {
        main.insert("license_key", key.expose().as_str());
    }
    Value::Map(main)
}

/// The answers to cloud-init's questions when its package is configured anew on the target.
fn debconf(inputs: &Inputs<'_>) -> String {
    let Inputs { machine, endpoints, .. } = inputs;
    let credentials = credentials_document(&machine.credentials);
    let keys: Vec<String> = credentials
        .iter()
        .map(|(name, value)| format!("oauth_{name}={}", value.as_str().unwrap_or_default()))
        .collect();
    let local = Value::map([
        ("manage_etc_hosts", Value::from(true)),
        ("manual_cache_clean", Value::from(true)),
        ("reporting", reporting_document(&machine.system_id, &machine.credentials, endpoints)),
    ]);
    let local =
        yaml::to_string(&local).unwrap_or_default().replace('\\', "\\\\").replace('\n', "\\n");
    let questions = [
        ("datasources", "multiselect", "MAAS".to_owned()),
        ("maas-metadata-url", "string", endpoints.metadata()),
        ("maas-metadata-credentials", "string", keys.join("&")),
        ("local-cloud-config", "string", local),
    ];
    let mut text = String::new();
    for (name, kind, answer) in questions {
        // The package that asks was renamed; debconf takes answers for packages it does not know.
        for package in ["cloud-init", "cloud-init-base"] {
            text.push_str(&format!("{package}   {package}/{name}  {kind} {answer}\n"));
        }
    }
    text
}
