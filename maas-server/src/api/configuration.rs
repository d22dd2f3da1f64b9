//! A machine's storage layout and network, as forms give them.

use maas_core::storage::{BasicOptions, BcacheOptions, CacheMode, LayoutRequest, LvmOptions, Size};
use maas_netconfig::{Network, yaml};
use serde_json::Value;

use crate::http::{FieldErrors, Fields, Problem};

/// Reads a storage layout and its options.
pub(crate) fn storage_layout(fields: &Fields) -> Result<LayoutRequest, Problem> {
    let mut errors = FieldErrors::new();
    let text = |name: &str| fields.filled(name).map(|text| text.map(str::to_owned));
    let basic = BasicOptions {
        boot_size: errors.collect(fields.parsed::<Size>("boot_size")),
        root_size: errors.collect(fields.parsed::<Size>("root_size")),
        root_device: errors.collect(text("root_device")),
        ..BasicOptions::default()
    };
    let layout = errors.collect(fields.required("storage_layout"));
    let request = match layout {
        "flat" => LayoutRequest::Flat(basic),
        "lvm" => LayoutRequest::Lvm(LvmOptions {
            basic,
            vg_name: errors.collect(text("vg_name")),
            lv_name: errors.collect(text("lv_name")),
            lv_size: errors.collect(fields.parsed::<Size>("lv_size")),
        }),
        "bcache" => LayoutRequest::Bcache(BcacheOptions {
            basic,
            cache_device: errors.collect(text("cache_device")),
            cache_mode: cache_mode(fields, &mut errors),
            cache_size: errors.collect(fields.parsed::<Size>("cache_size")),
            cache_no_part: errors.collect(fields.flag("cache_no_part")).unwrap_or(false),
        }),
        "vmfs6" => LayoutRequest::Vmfs6(basic),
        "vmfs7" => LayoutRequest::Vmfs7(basic),
        "blank" => LayoutRequest::Blank,
        "" => LayoutRequest::default(),
        other => {
            errors.add(
                "storage_layout",
                format!(
                    "'{}' is not a valid storage layout: expected flat, lvm, bcache, vmfs6, \
                     vmfs7, custom or blank.",
                    other.chars().take(32).collect::<String>()
                ),
            );
            LayoutRequest::default()
        }
    };
    errors.done()?;
    Ok(request)
}

fn cache_mode(fields: &Fields, errors: &mut FieldErrors) -> CacheMode {
    let Some(word) = errors.collect(fields.filled("cache_mode")) else {
        return CacheMode::default();
    };
    serde_json::from_value(Value::String(word.to_owned())).unwrap_or_else(|_| {
        errors.add("cache_mode", "Expected writeback, writethrough or writearound.");
        CacheMode::default()
    })
}

/// Reads a network model.
pub(super) fn network(text: &str) -> Result<Network, Problem> {
    let network: Network =
        yaml::from_str(text).map_err(|error| Problem::field("network", error.to_string()))?;
    let problems = network.validate();
    let mut errors = FieldErrors::new();
    for problem in problems.iter().filter(|problem| problem.is_error()) {
        errors.add("network", problem.to_string());
    }
    errors.done()?;
    Ok(network)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;
    use crate::testing::form;

    fn blamed(problem: Problem) -> Vec<String> {
        let Problem::Fields(errors) = problem else { panic!("{problem:?}") };
        errors.iter().map(|(field, _)| field.to_owned()).collect()
    }

    #[test]
    fn layouts_are_read_with_their_options() {
        let fields = [
            ("storage_layout", "lvm"),
            ("boot_size", "512M"),
            ("vg_name", "vg"),
            ("lv_name", "root"),
            ("lv_size", "10G"),
        ];
        let LayoutRequest::Lvm(lvm) = storage_layout(&form(&fields)).unwrap() else { panic!() };
        assert_eq!(lvm.vg_name.as_deref(), Some("vg"));
        assert_eq!(lvm.lv_size, Some("10G".parse().unwrap()));
        assert_eq!(lvm.basic.boot_size, Some("512M".parse().unwrap()));
        for word in ["flat", "bcache", "vmfs6", "vmfs7", "blank"] {
            assert!(storage_layout(&form(&[("storage_layout", word)])).is_ok(), "{word}");
        }
    }

    #[test]
    fn every_wrong_option_is_blamed_at_once() {
        let fields = [("storage_layout", "bcache"), ("boot_size", "much"), ("cache_mode", "fast")];
        assert_eq!(
            blamed(storage_layout(&form(&fields)).unwrap_err()),
            ["boot_size", "cache_mode"]
        );
        let unknown = form(&[("storage_layout", "zfs")]);
        assert_eq!(blamed(storage_layout(&unknown).unwrap_err()), ["storage_layout"]);
        assert_eq!(blamed(storage_layout(&form(&[])).unwrap_err()), ["storage_layout"]);
    }

    #[test]
    fn a_network_that_contradicts_itself_is_refused() {
        let good = "interfaces:\n  - {name: eth0, type: physical, mac: '52:54:00:00:00:01', links: [{mode: dhcp}]}\n";
        assert_eq!(network(good).unwrap().interfaces.len(), 1);
        for wrong in [
            "",
            "[]",
            "interfaces: 5",
            "interfaces:\n  - {name: eth0, type: vlan, link: eth9, vid: 5}\n",
        ] {
            assert_eq!(blamed(network(wrong).unwrap_err()), ["network"], "{wrong}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,60}") {
            drop(network(&text));
            drop(storage_layout(&form(&[("storage_layout", "flat"), ("root_size", &text)])));
        }
    }
}
