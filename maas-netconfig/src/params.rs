//! The one table of bond and bridge parameters: their names in every format, read and written.

use std::collections::BTreeMap;
use std::str::FromStr;

use crate::model::{BondParams, BridgeParams};
use crate::name::IfName;
use crate::yaml::Value;

/// The names of one parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Names {
    /// Field of the model and of the loss report.
    pub(crate) model: &'static str,
    /// Netplan v2.
    pub(crate) netplan: &'static str,
    /// v1 as MAAS, curtin and ifupdown spell it.
    pub(crate) v1: &'static str,
    /// v1 as cloud-init's JSON schema spells it, where that differs and works.
    pub(crate) schema: &'static str,
}

const fn names(
    model: &'static str,
    netplan: &'static str,
    v1: &'static str,
    schema: &'static str,
) -> Names {
    Names { model, netplan, v1, schema }
}

/// All bond parameters. The schema's own spelling of LACP rate, transmit hash and gratuitous ARP
/// is valid but ignored by two of cloud-init's renderers, so those three keep the dashes.
pub(crate) const BOND: &[Names] = &[
    names("mode", "mode", "bond-mode", "bond-mode"),
    names("miimon", "mii-monitor-interval", "bond-miimon", "bond-miimon"),
    names("downdelay", "down-delay", "bond-downdelay", "bond-downdelay"),
    names("updelay", "up-delay", "bond-updelay", "bond-updelay"),
    // Netplan and cloud-init know this misspelling; old releases know only it.
    names("num_grat_arp", "gratuitious-arp", "bond-num-grat-arp", "bond-num-grat-arp"),
    names("lacp_rate", "lacp-rate", "bond-lacp-rate", "bond-lacp-rate"),
    names(
        "xmit_hash_policy",
        "transmit-hash-policy",
        "bond-xmit-hash-policy",
        "bond-xmit-hash-policy",
    ),
    names("primary", "primary", "bond-primary", "bond-primary"),
    names(
        "primary_reselect",
        "primary-reselect-policy",
        "bond-primary-reselect",
        "bond-primary_reselect",
    ),
    names("ad_select", "ad-select", "bond-ad-select", "bond-ad_select"),
    names("fail_over_mac", "fail-over-mac-policy", "bond-fail-over-mac", "bond-fail_over_mac"),
    names("min_links", "min-links", "bond-min-links", "bond-min_links"),
    names("arp_interval", "arp-interval", "bond-arp-interval", "bond-arp_interval"),
    names("arp_ip_targets", "arp-ip-targets", "bond-arp-ip-target", "bond-arp_ip_target"),
    names("arp_validate", "arp-validate", "bond-arp-validate", "bond-arp_validate"),
    names("arp_all_targets", "arp-all-targets", "bond-arp-all-targets", "bond-arp_all_targets"),
    names(
        "all_slaves_active",
        "all-slaves-active",
        "bond-all-slaves-active",
        "bond-all_slaves_active",
    ),
    names("resend_igmp", "resend-igmp", "bond-resend-igmp", "bond-resend_igmp"),
    names("learn_packet_interval", "learn-packet-interval", "bond-lp-interval", "bond-lp_interval"),
    names(
        "packets_per_slave",
        "packets-per-slave",
        "bond-packets-per-slave",
        "bond-packets_per_slave",
    ),
];

/// All bridge parameters.
pub(crate) const BRIDGE: &[Names] = &[
    names("stp", "stp", "bridge_stp", "bridge_stp"),
    names("forward_delay", "forward-delay", "bridge_fd", "bridge_fd"),
    names("ageing_time", "ageing-time", "bridge_ageing", "bridge_ageing"),
    names("hello_time", "hello-time", "bridge_hello", "bridge_hello"),
    names("max_age", "max-age", "bridge_maxage", "bridge_maxage"),
    names("priority", "priority", "bridge_bridgeprio", "bridge_bridgeprio"),
    names("path_cost", "path-cost", "bridge_pathcost", "bridge_pathcost"),
    names("port_priority", "port-priority", "bridge_portprio", "bridge_portprio"),
];

fn word(value: impl std::fmt::Display) -> Value {
    Value::String(value.to_string())
}

/// The given parameters of a bond, in the order of [`BOND`].
pub(crate) fn bond(params: &BondParams) -> Vec<(Names, Value)> {
    BOND.iter()
        .filter_map(|names| {
            let value = match names.model {
                "mode" => Some(word(params.mode)),
                "miimon" => params.miimon.map(Value::from),
                "downdelay" => params.downdelay.map(Value::from),
                "updelay" => params.updelay.map(Value::from),
                "num_grat_arp" => params.num_grat_arp.map(|number| Value::Int(number.into())),
                "lacp_rate" => params.lacp_rate.map(word),
                "xmit_hash_policy" => params.xmit_hash_policy.map(word),
                "primary" => params.primary.as_ref().map(word),
                "primary_reselect" => params.primary_reselect.map(word),
                "ad_select" => params.ad_select.map(word),
                "fail_over_mac" => params.fail_over_mac.map(word),
                "min_links" => params.min_links.map(Value::from),
                "arp_interval" => params.arp_interval.map(Value::from),
                "arp_ip_targets" => (!params.arp_ip_targets.is_empty())
                    .then(|| Value::list(params.arp_ip_targets.iter().map(word))),
                "arp_validate" => params.arp_validate.map(word),
                "arp_all_targets" => params.arp_all_targets.map(word),
                "all_slaves_active" => params.all_slaves_active.map(Value::from),
                "resend_igmp" => params.resend_igmp.map(|number| Value::Int(number.into())),
                "learn_packet_interval" => params.learn_packet_interval.map(Value::from),
                "packets_per_slave" => params.packets_per_slave.map(Value::from),
                _ => None,
            };
            value.map(|value| (*names, value))
        })
        .collect()
}

/// The given parameters of a bridge, in the order of [`BRIDGE`]; per-port ones as a mapping.
pub(crate) fn bridge(params: &BridgeParams) -> Vec<(Names, Value)> {
    fn ports<N: Copy + Into<i64>>(ports: &BTreeMap<IfName, N>) -> Option<Value> {
        (!ports.is_empty()).then(|| {
            Value::map(
                ports.iter().map(|(port, &number)| (port.as_str(), Value::Int(number.into()))),
            )
        })
    }
    BRIDGE
        .iter()
        .filter_map(|names| {
            let value = match names.model {
                "stp" => params.stp.map(Value::from),
                "forward_delay" => params.forward_delay.map(Value::from),
                "ageing_time" => params.ageing_time.map(Value::from),
                "hello_time" => params.hello_time.map(Value::from),
                "max_age" => params.max_age.map(Value::from),
                "priority" => params.priority.map(Value::from),
                "path_cost" => ports(&params.path_cost),
                "port_priority" => ports(&params.port_priority),
                _ => None,
            };
            value.map(|value| (*names, value))
        })
        .collect()
}

fn parse<T: FromStr>(text: &str, expected: &'static str) -> Result<T, String> {
    text.trim().parse().map_err(|_| format!("{text:?} is not {expected}"))
}

fn number<T: FromStr>(text: &str) -> Result<Option<T>, String> {
    parse(text, "a number in range").map(Some)
}

/// Reads one of YAML 1.1's booleans, or 0 and 1.
pub(crate) fn boolean(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "on" | "yes" | "y" | "1" => Ok(true),
        "false" | "off" | "no" | "n" | "0" => Ok(false),
        _ => Err(format!("{text:?} is not a boolean")),
    }
}

fn one_of<T: FromStr<Err = crate::error::Invalid>>(text: &str) -> Result<Option<T>, String> {
    text.parse().map(Some).map_err(|error: crate::error::Invalid| error.to_string())
}

/// Sets the bond parameter with this model name from the texts of its values.
pub(crate) fn set_bond(
    params: &mut BondParams,
    model: &str,
    texts: &[String],
) -> Result<(), String> {
    if model == "arp_ip_targets" {
        params.arp_ip_targets = texts
            .iter()
            .flat_map(|text| text.split([' ', ',']))
            .filter(|text| !text.is_empty())
            .map(|text| parse(text, "an IPv4 address"))
            .collect::<Result<_, _>>()?;
        return Ok(());
    }
    let [text] = texts else { return Err("expected one value".to_owned()) };
    match model {
        "mode" => {
            // The kernel's numbers are the order of the modes.
            let modes = crate::model::BondMode::ALL;
            params.mode = match text.parse::<usize>() {
                Ok(index) => *modes.get(index).ok_or("bond modes are 0 to 6")?,
                Err(_) => text.parse().map_err(|error: crate::error::Invalid| error.to_string())?,
            };
        }
        "miimon" => params.miimon = number(text)?,
        "downdelay" => params.downdelay = number(text)?,
        "updelay" => params.updelay = number(text)?,
        "num_grat_arp" => params.num_grat_arp = number(text)?,
        "lacp_rate" => {
            params.lacp_rate = match text.as_str() {
                "0" => Some(crate::model::LacpRate::Slow),
                "1" => Some(crate::model::LacpRate::Fast),
                _ => one_of(text)?,
            };
        }
        "xmit_hash_policy" => params.xmit_hash_policy = one_of(text)?,
        "primary" => params.primary = one_of(text)?,
        "primary_reselect" => params.primary_reselect = one_of(text)?,
        "ad_select" => params.ad_select = one_of(text)?,
        "fail_over_mac" => params.fail_over_mac = one_of(text)?,
        "min_links" => params.min_links = number(text)?,
        "arp_interval" => params.arp_interval = number(text)?,
        "arp_validate" => params.arp_validate = one_of(text)?,
        "arp_all_targets" => params.arp_all_targets = one_of(text)?,
        "all_slaves_active" => params.all_slaves_active = Some(boolean(text)?),
        "resend_igmp" => params.resend_igmp = number(text)?,
        "learn_packet_interval" => params.learn_packet_interval = number(text)?,
        "packets_per_slave" => params.packets_per_slave = number(text)?,
        _ => return Err("no such bond parameter".to_owned()),
    }
    Ok(())
}

/// Sets the bridge parameter with this model name; per-port ones are given as `(port, number)`.
pub(crate) fn set_bridge(
    params: &mut BridgeParams,
    model: &str,
    text: &str,
    ports: &[(String, String)],
) -> Result<(), String> {
    let port = |(name, _): &(String, String)| IfName::new(name.as_str()).map_err(|e| e.to_string());
    match model {
        "stp" => params.stp = Some(boolean(text)?),
        "forward_delay" => params.forward_delay = number(text)?,
        "ageing_time" => params.ageing_time = number(text)?,
        "hello_time" => params.hello_time = number(text)?,
        "max_age" => params.max_age = number(text)?,
        "priority" => params.priority = number(text)?,
        "path_cost" => {
            for entry in ports {
                params.path_cost.insert(port(entry)?, parse(&entry.1, "a number in range")?);
            }
        }
        "port_priority" => {
            for entry in ports {
                let priority: u8 = parse(&entry.1, "a number from 0 to 63")?;
                if priority > 63 {
                    return Err(format!("{priority} is not a number from 0 to 63"));
                }
                params.port_priority.insert(port(entry)?, priority);
            }
        }
        _ => return Err("no such bridge parameter".to_owned()),
    }
    Ok(())
}
