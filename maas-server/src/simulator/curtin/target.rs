//! What curthooks leave on the disk for the installed system's cloud-init.

use serde_json::Value;

use super::installer::merge;
use crate::simulator::cloud_init::{CloudConfig, yaml};
use crate::simulator::machine::InstalledSystem;

/// The system that the merged configuration makes; the text names what could not be read.
pub(super) fn system(config: &Value) -> (InstalledSystem, Vec<String>) {
    let mut problems = Vec::new();
    let mut settings = Value::Null;
    // cloud-init reads `90_dpkg*.cfg` (from debconf) before `95-cloudconfig-*.cfg`.
    if let Some(lines) = config["debconf_selections"].as_object() {
        for text in lines.values().filter_map(Value::as_str) {
            merge(&mut settings, debconf(text, &mut problems));
        }
    }
    if let Some(files) = config["cloudconfig"].as_object() {
        for (name, file) in files {
            let Some(content) = file["content"].as_str() else { continue };
            match yaml(content) {
                Ok(value) => merge(&mut settings, value),
                Err(reason) => problems.push(format!("cloudconfig {name}: {reason}")),
            }
        }
    }
    let read = CloudConfig::read(&settings);
    let system = InstalledSystem {
        datasource: read.datasource,
        reporting: read.reporting,
        manual_cache_clean: read.manual_cache_clean,
        storage: config["storage"].clone(),
        network: config["network"].clone(),
        ..InstalledSystem::default()
    };
    (system, problems)
}

/// The answers of a `cloud-init` debconf selection, as its package writes them to files.
fn debconf(text: &str, problems: &mut Vec<String>) -> Value {
    let mut found = Value::Null;
    for line in text.lines() {
        // The fields may be apart by more than one blank.
        let rest = line.trim_start();
        let Some((package, rest)) = rest.split_once(char::is_whitespace) else { continue };
        if !matches!(package, "cloud-init" | "cloud-init-base") {
            continue;
        }
        let Some((question, rest)) = rest.trim_start().split_once(char::is_whitespace) else {
            continue;
        };
        let Some((_, value)) = rest.trim_start().split_once(char::is_whitespace) else { continue };
        let value = value.trim();
        let question = question.rsplit('/').next().unwrap_or_default();
        let addition = match question {
            "maas-metadata-url" => {
                serde_json::json!({"datasource": {"MAAS": {"metadata_url": value}}})
            }
            "maas-metadata-credentials" => {
                let keys: serde_json::Map<String, Value> = form_urlencoded::parse(value.as_bytes())
                    .filter_map(|(key, value)| {
                        let key = key.strip_prefix("oauth_")?.to_owned();
                        Some((key, Value::String(value.into_owned())))
                    })
                    .collect();
                serde_json::json!({"datasource": {"MAAS": keys}})
            }
            "local-cloud-config" => {
                let text = value.replace("\\n", "\n").replace("\\\\", "\\");
                match yaml(&text) {
                    Ok(value) => value,
                    Err(reason) => {
                        problems.push(format!("debconf local-cloud-config: {reason}"));
                        Value::Null
                    }
                }
            }
            _ => Value::Null,
        };
        merge(&mut found, addition);
    }
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn the_datasource_comes_from_the_cloud_config_files() {
        let config = json!({"cloudconfig": {
            "maas-datasource": {"content": "datasource_list: [ MAAS ]"},
            "maas-cloud-config": {"content": "#cloud-config\ndatasource:\n  MAAS: {consumer_key: ck, \
                token_key: tk, token_secret: ts, metadata_url: 'http://r/MAAS/metadata/'}\n"},
        }});
        let (system, problems) = super::system(&config);
        assert!(problems.is_empty());
        let datasource = system.datasource.unwrap();
        assert_eq!(datasource.metadata_url, "http://r/MAAS/metadata/");
        assert_eq!(datasource.credentials.unwrap().consumer_key, "ck");
        assert!(!system.manual_cache_clean);
    }

    #[test]
    fn the_datasource_comes_from_debconf_too() {
        let config = json!({"debconf_selections": {"maas":
            "cloud-init   cloud-init/datasources  multiselect MAAS\n\
             cloud-init   cloud-init/maas-metadata-url  string http://r/MAAS/metadata/\n\
             cloud-init   cloud-init/maas-metadata-credentials  string \
             oauth_consumer_key=ck&oauth_token_key=tk&oauth_token_secret=ts\n\
             cloud-init   cloud-init/local-cloud-config  string \
             manage_etc_hosts: true\\nmanual_cache_clean: true\\n"}});
        let (system, problems) = super::system(&config);
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(system.datasource.unwrap().credentials.unwrap().token_secret, "ts");
        assert!(system.manual_cache_clean);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "(cloud-init |cloud-init/|maas-metadata-url|local-cloud-config|string|\n|[ a-z:&=\\\\]){0,30}") {
            let _ = system(&json!({"debconf_selections": {"a": text.clone()},
                "cloudconfig": {"b": {"content": text}}}));
        }
    }
}
