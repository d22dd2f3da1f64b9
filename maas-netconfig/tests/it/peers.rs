//! Our output in front of the programs that read it on real machines: netplan, cloud-init,
//! PyYAML, curtin.
//!
//! A peer that is not installed skips its test, loudly; `MAAS_TEST_PEERS=require` makes that a
//! failure for those that distributions package (netplan.io, cloud-init, python3-yaml). The others
//! are named by variables: `NETPLAN_1_CONFIGURE` (the generator of netplan 1.x),
//! `MAAS_CLOUD_INIT_SCHEMA` (schema-network-config-v1.json), `MAAS_CURTIN_SOURCE` (a checkout). `MAAS_TEST_MODELS` sets how many generated networks go through each (300 by default;
//! the full run uses 10000).

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::shared::{models, python, run_python, skip, skip_optional};
use maas_netconfig::testing::{Flavour, MOST, network};
use maas_netconfig::{Dialect, Rendered, SourceRouting, Topology, netplan, v1, yaml};

fn resolved(seed: u64, routing: SourceRouting) -> Topology {
    let size = u8::try_from(seed % (u64::from(MOST) + 1)).unwrap();
    network(seed, size, Flavour::WithoutOvs).resolve(routing).unwrap()
}

/// Netplan's generator: `NETPLAN_GENERATE`, or where distributions put it.
fn generator() -> Option<PathBuf> {
    let named = std::env::var_os("NETPLAN_GENERATE").map(PathBuf::from);
    let usual = ["/usr/libexec/netplan/generate", "/usr/lib/netplan/generate"].map(PathBuf::from);
    let found = named.into_iter().chain(usual).find(|path| path.exists());
    if found.is_none() {
        skip("netplan", "netplan.io is not installed");
    }
    found
}

/// Runs the generator on one document; returns the folder with `run/systemd/network`.
fn generate(generator: &Path, text: &str, root: &Path) -> Result<(), String> {
    let folder = root.join("etc/netplan");
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("50-maas.yaml");
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let output = Command::new(generator).arg("--root-dir").arg(root).output().unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    if output.status.success() && said.is_empty() { Ok(()) } else { Err(said) }
}

#[test]
fn netplan_takes_every_rendering_without_a_word() {
    let Some(generator) = generator() else { return };
    takes_every_rendering(&generator);
}

#[test]
fn netplan_1_takes_every_rendering_without_a_word() {
    let Some(generator) = std::env::var_os("NETPLAN_1_CONFIGURE").map(PathBuf::from) else {
        skip_optional("netplan 1.x", "set NETPLAN_1_CONFIGURE to its configure program");
        return;
    };
    takes_every_rendering(&generator);
}

fn takes_every_rendering(generator: &Path) {
    let count = models();
    std::thread::scope(|scope| {
        for half in 0..2 {
            scope.spawn(move || {
                for seed in (half..count).step_by(2) {
                    let routing =
                        if seed % 3 == 0 { SourceRouting::On } else { SourceRouting::Off };
                    let text = netplan::render(&resolved(seed, routing)).to_yaml();
                    let root = tempfile::tempdir().unwrap();
                    if let Err(said) = generate(generator, &text, root.path()) {
                        panic!("model {seed}: {said}\n{text}");
                    }
                }
            });
        }
    });
    println!("{count} renderings accepted by {}", generator.display());
}

/// Strings that YAML 1.1 reads as something else when they are bare.
const PROBES: &[&str] = &[
    "52:54:00:00:00:10",
    "52:54:00:12:34:56",
    "on",
    "off",
    "On",
    "OFF",
    "yes",
    "no",
    "Yes",
    "NO",
    "y",
    "n",
    "Y",
    "N",
    "true",
    "false",
    "True",
    "null",
    "Null",
    "~",
    "",
    "1:30",
    "190:20:30",
    "0644",
    "0o644",
    "0x1f",
    "0b101",
    "1_000",
    "1e3",
    "1.5",
    ".5",
    "5.",
    "+1",
    "-0",
    ".inf",
    "-.INF",
    ".nan",
    "=",
    "<<",
    "2001-12-14",
    "2001-12-14t21:59:43.10-05:00",
    "802.3ad",
    "-",
    "?",
    ":",
    "- a",
    "? a",
    ": a",
    "a: b",
    "a #b",
    "#a",
    "@a",
    "`a",
    "%a",
    "!a",
    "&a",
    "*a",
    "|",
    ">",
    "'",
    "\"",
    "'a'",
    "\"a\"",
    "[a]",
    "{a}",
    ",",
    "a,b",
    " a",
    "a ",
    "\ta",
    "a\t",
    "a\nb",
    "\n",
    "a\n\n",
    "\u{7f}",
    "\u{80}",
    "\u{85}",
    "\u{a0}",
    "\u{2028}",
    "\u{feff}",
    "\u{fffe}",
    "é",
    "😀",
    "a\\b",
    "---",
    "...",
    "--- a",
    "10.0.0.1",
    "fe80::1",
    "::",
    "::/0",
    "0.0.0.0/0",
    "None/22",
];

#[test]
fn pyyaml_reads_back_what_is_written() {
    let Some(python) = python("yaml") else { return };
    let mut random = proptest::test_runner::TestRunner::deterministic();
    let strategy = proptest::prelude::any::<String>();
    let mut texts: Vec<String> = PROBES.iter().map(|text| (*text).to_owned()).collect();
    for _ in 0..500 {
        use proptest::strategy::{Strategy as _, ValueTree as _};
        texts.push(strategy.new_tree(&mut random).unwrap().current());
    }
    let values: Vec<serde_json::Value> = texts
        .iter()
        .map(|text| serde_json::json!({"value": text, "list": [text, [text]], text: 1, "map": {"deep": {text: text}}}))
        .collect();
    let cases: Vec<serde_json::Value> = values
        .iter()
        .flat_map(|value| {
            let tree = yaml::Value::from(value.clone());
            [yaml::to_string(value).unwrap(), yaml::write(&tree)]
                .map(|text| serde_json::json!({"text": text, "value": value}))
        })
        .collect();
    let report = run_python(&python, READ_BACK, &cases);
    assert_eq!(report, Vec::<serde_json::Value>::new());
}

const READ_BACK: &str = r#"
import json, sys, yaml
bad = []
loaders = [yaml.SafeLoader] + ([yaml.CSafeLoader] if hasattr(yaml, "CSafeLoader") else [])
for case in json.load(sys.stdin):
    for loader in loaders:
        try:
            value = yaml.load(case["text"], Loader=loader)
        except Exception as error:
            value = repr(error)
        if value != case["value"]:
            bad.append([loader.__name__, case["text"], repr(value)])
json.dump(bad, sys.stdout)
"#;

/// The networkd files of a generator's run in a form in which order and the two spellings of a
/// default gateway do not matter.
fn networkd(root: &Path) -> BTreeMap<String, Vec<String>> {
    let folder = root.join("run/systemd/network");
    let mut files = BTreeMap::new();
    let Ok(entries) = fs::read_dir(folder) else { return files };
    for entry in entries {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        files.insert(name, sections(&fs::read_to_string(path).unwrap()));
    }
    files
}

fn sections(text: &str) -> Vec<String> {
    let mut sections: Vec<(String, Vec<String>)> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        if line.starts_with('[') {
            sections.push((line.to_owned(), Vec::new()));
        } else if !sections.is_empty() {
            // cloud-init repeats search domains for each subnet.
            let line = match line.strip_prefix("Domains=") {
                Some(domains) => {
                    let mut seen: Vec<&str> = Vec::new();
                    for domain in domains.split(' ') {
                        if !seen.contains(&domain) {
                            seen.push(domain);
                        }
                    }
                    format!("Domains={}", seen.join(" "))
                }
                None => line.to_owned(),
            };
            // A gateway may be said in either place.
            match line.strip_prefix("Gateway=") {
                Some(gateway) if sections_name(&sections) == "[Network]" => {
                    sections.push(("[Route]".to_owned(), default_route(gateway)));
                    let network = sections.len() - 2;
                    sections.swap(network, network + 1);
                }
                _ => sections.last_mut().unwrap().1.push(line),
            }
        }
    }
    let mut all: Vec<String> = sections
        .into_iter()
        .filter(|(_, lines)| !lines.is_empty())
        .map(|(name, mut lines)| {
            // A link-local router is on the link, said or unsaid.
            if lines.iter().any(|line| line.starts_with("Gateway=fe80:")) {
                lines.retain(|line| line != "GatewayOnLink=true");
            }
            if name != "[Network]" {
                lines.sort();
            }
            // Order matters among addresses and name servers, which stay in place.
            lines.sort_by_key(|line| line.split('=').next().unwrap_or_default().to_owned());
            format!("{name} {}", lines.join(" | "))
        })
        .collect();
    all.sort();
    all
}

fn sections_name(sections: &[(String, Vec<String>)]) -> &str {
    sections.last().map(|(name, _)| name.as_str()).unwrap_or_default()
}

fn default_route(gateway: &str) -> Vec<String> {
    let to = if gateway.contains(':') { "::/0" } else { "0.0.0.0/0" };
    vec![format!("Destination={to}"), format!("Gateway={gateway}")]
}

#[test]
fn cloud_init_and_netplan_make_the_same_of_v1_as_netplan_of_v2() {
    let (Some(generator), Some(python)) = (generator(), python("cloudinit.net.netplan")) else {
        return;
    };
    let mut compared = Vec::new();
    for seed in 0..models() {
        let topology = resolved(seed, SourceRouting::Off);
        let ours = v1::render(&topology, Dialect::Maas);
        // What v1 cannot say cannot come out the same.
        if ours.losses.is_empty() && netplan::render(&topology).losses.is_empty() {
            compared.push((seed, topology, ours));
        }
    }
    assert!(compared.len() * 4 > usize::try_from(models()).unwrap(), "too few comparable networks");
    let cases: Vec<serde_json::Value> =
        compared.iter().map(|(_, _, ours)| serde_json::to_value(ours.network()).unwrap()).collect();
    let converted = run_python(&python, CONVERT, &cases);
    assert_eq!(converted.len(), compared.len());
    for ((seed, topology, ours), theirs) in compared.iter().zip(&converted) {
        let theirs = theirs.as_str().unwrap();
        let (by_v1, by_v2) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        // cloud-init writes deprecated gateway keys; what netplan says about them is not ours.
        let said = generate(&generator, theirs, by_v1.path());
        if let Err(said) = &said {
            assert!(said.contains("gateway"), "model {seed}: {said}\n{theirs}");
        }
        let direct = netplan::render(topology).to_yaml();
        generate(&generator, &direct, by_v2.path()).unwrap();
        assert_eq!(
            networkd(by_v1.path()),
            networkd(by_v2.path()),
            "model {seed}\n{}\n{theirs}\n{direct}",
            ours.to_yaml()
        );
    }
    println!("{} of {} networks compared", compared.len(), models());
}

const CONVERT: &str = r#"
import argparse, json, os, sys, tempfile
from cloudinit.cmd.devel import net_convert
out = []
for config in json.load(sys.stdin):
    with tempfile.TemporaryDirectory() as folder:
        source = os.path.join(folder, "in.yaml")
        with open(source, "w") as file:
            json.dump(config, file)
        args = net_convert.get_parser().parse_args(
            ["-p", source, "-k", "yaml", "-d", folder, "-D", "ubuntu", "-O", "netplan"])
        stdout, sys.stdout = sys.stdout, open(os.devnull, "w")
        try:
            net_convert.handle_args("net-convert", args)
        finally:
            sys.stdout = stdout
        for base, _, files in os.walk(os.path.join(folder, "etc")):
            for name in files:
                if name.endswith(".yaml"):
                    out.append(open(os.path.join(base, name)).read())
json.dump(out, sys.stdout)
"#;

/// cloud-init's own schema of v1: `MAAS_CLOUD_INIT_SCHEMA`, or in the installed package.
fn schema(python: &Path) -> Option<PathBuf> {
    let named = std::env::var_os("MAAS_CLOUD_INIT_SCHEMA").map(PathBuf::from);
    let packaged = run_python(
        python,
        "import json, os, sys\ntry:\n    import cloudinit.config as c\n    print(json.dumps([os.path.join(c.__path__[0], 'schemas', 'schema-network-config-v1.json')]))\nexcept ImportError:\n    print('[]')\n",
        &[],
    );
    let packaged = packaged.first().and_then(|path| path.as_str()).map(PathBuf::from);
    let found = named.into_iter().chain(packaged).find(|path| path.exists());
    if found.is_none() {
        skip_optional(
            "cloud-init's schema of v1",
            "this cloud-init has none; set MAAS_CLOUD_INIT_SCHEMA to schema-network-config-v1.json",
        );
    }
    found
}

#[test]
fn the_cloud_init_dialect_breaks_the_schema_only_by_three_names() {
    let Some(python) = python("jsonschema") else { return };
    let Some(schema) = schema(&python) else { return };
    let schema: serde_json::Value = serde_json::from_slice(&fs::read(schema).unwrap()).unwrap();
    let mut cases = vec![schema];
    cases.extend((0..models()).map(|seed| {
        let rendered: Rendered =
            v1::render(&resolved(seed, SourceRouting::Off), Dialect::CloudInit);
        serde_json::to_value(rendered.network()).unwrap()
    }));
    assert_eq!(run_python(&python, VALIDATE, &cases), Vec::<serde_json::Value>::new());
}

/// Validates each entry against the definition of its own type, so that every violation shows.
const VALIDATE: &str = r##"
import json, sys, jsonschema
schema, *documents = json.load(sys.stdin)
defs = schema.get("$defs") or schema["definitions"]
root = "$defs" if "$defs" in schema else "definitions"
allowed = ["bond-lacp-rate", "bond-xmit-hash-policy", "bond-num-grat-arp"]
bad = []
for number, document in enumerate(documents):
    for entry in document["config"]:
        for key in allowed:
            entry.get("params", {}).pop(key, None)
        name = "anyOf_type_" + entry["type"]
        if name not in defs:
            bad.append([number, "no definition " + name]); continue
        validator = jsonschema.Draft4Validator({"$ref": "#/%s/%s" % (root, name), root: defs})
        for error in validator.iter_errors(entry):
            bad.append([number, entry.get("name"), error.message, list(map(str, error.path))])
json.dump(bad[:20], sys.stdout)
"##;

/// Reads each document with curtin's own parser and renders ifupdown's file from it.
const CURTIN: &str = r#"
import json, logging, sys
from unittest import mock
path, *documents = json.load(sys.stdin)
sys.path.insert(0, path)
# What curtin needs elsewhere; its network part does not touch these.
for name in ["packaging", "packaging.version", "aptsources", "aptsources.sourceslist", "oauthlib", "oauthlib.oauth1"]:
    try:
        __import__(name)
    except ImportError:
        sys.modules[name] = mock.MagicMock()
import curtin.net
said = []
class Said(logging.Handler):
    def emit(self, record):
        if record.levelno >= logging.WARNING:
            said.append(record.getMessage())
logging.getLogger().addHandler(Said())
out = []
for document in documents:
    del said[:]
    try:
        state = curtin.net.parse_net_config_data(document)
        text = curtin.net.render_interfaces(state)
        out.append([text, list(said)])
    except Exception as error:
        out.append([None, [repr(error)]])
json.dump(out, sys.stdout)
"#;

#[test]
fn curtin_reads_its_dialect_and_renders_every_address_and_route() {
    let Some(source) = std::env::var_os("MAAS_CURTIN_SOURCE").map(PathBuf::from) else {
        skip_optional("curtin", "set MAAS_CURTIN_SOURCE to a checkout of curtin");
        return;
    };
    let Some(python) = python("yaml") else { return };
    let topologies: Vec<(u64, Topology)> =
        (0..models()).map(|seed| (seed, resolved(seed, SourceRouting::Off))).collect();
    let mut cases = vec![serde_json::json!(source.to_str().unwrap())];
    cases.extend(topologies.iter().map(|(_, topology)| {
        serde_json::to_value(v1::render(topology, Dialect::CurtinEni).network()).unwrap()
    }));
    let rendered = run_python(&python, CURTIN, &cases);
    assert_eq!(rendered.len(), topologies.len());
    for ((seed, topology), result) in topologies.iter().zip(&rendered) {
        assert_eq!(result[1], serde_json::json!([]), "model {seed}");
        let text = result[0].as_str().unwrap();
        for device in &topology.devices {
            for address in &device.addresses {
                assert!(
                    text.contains(&address.addr().to_string()),
                    "model {seed}: {address}\n{text}"
                );
            }
            for route in &device.routes {
                let via = route.via.unwrap().to_string();
                assert!(text.contains(&via), "model {seed}: {via}\n{text}");
            }
        }
    }
}
