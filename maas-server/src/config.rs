//! The server's configuration: a TOML file below command-line flags, every mistake named by
//! file, key, expected and found.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::{Table, Value};

use crate::cli::Location;
use crate::rack::dhcp::settings::{self, SubnetSettings, SubnetSettingsError};

/// The default boot source (the mission's R21).
pub const DEFAULT_BOOT_SOURCE: &str = "http://images.maas.io/ephemeral-v3/stable/";

/// What the server runs with.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// Where the database and the images are kept.
    pub data_dir: PathBuf,
    /// The region's address.
    pub region_listen: SocketAddr,
    /// The rack's address.
    pub rack_listen: SocketAddr,
    /// Where TFTP is served; `None` for nowhere.
    pub tftp_listen: Option<SocketAddr>,
    /// Whether this server answers DHCP requests.
    pub dhcp: DhcpMode,
    /// The subnets that it answers on.
    pub dhcp_subnets: Vec<SubnetSettings>,
    /// Boot loaders for what no boot source has.
    pub bootloader_dir: Option<PathBuf>,
    /// `postgres://…`, or `None` for SQLite below the data directory.
    pub database: Option<String>,
    /// The boot source that a new data directory starts with; `None` for none.
    pub boot_source_url: Option<String>,
    /// Its keyring; `None` for the built-in one of Canonical.
    pub boot_source_keyring: Option<PathBuf>,
    /// How often boot sources are synchronised; `None` for only on request.
    pub sync_interval: Option<Duration>,
    /// The longest silence of a machine in a transient status (`node_timeout`).
    pub node_timeout: Duration,
    /// A curtin tree as a tar file, for ephemeral systems whose archive has no curtin.
    pub curtin_pack: Option<PathBuf>,
    /// The log filter, e.g. `info` or `maas_server=debug`.
    pub log: String,
    /// How log lines look.
    pub log_format: LogFormat,
}

/// Who answers DHCP requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DhcpMode {
    /// Somebody else.
    Off,
    /// dnsmasq, started and watched over by this server.
    Dnsmasq,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: default_data_dir(),
            region_listen: SocketAddr::from(([0, 0, 0, 0], 5240)),
            rack_listen: SocketAddr::from(([0, 0, 0, 0], 5248)),
            tftp_listen: None,
            bootloader_dir: None,
            dhcp: DhcpMode::Off,
            dhcp_subnets: Vec::new(),
            database: None,
            boot_source_url: Some(DEFAULT_BOOT_SOURCE.to_owned()),
            boot_source_keyring: None,
            sync_interval: Some(Duration::from_secs(3600)),
            node_timeout: Duration::from_secs(30 * 60),
            curtin_pack: None,
            log: "info".to_owned(),
            log_format: LogFormat::Text,
        }
    }
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("configuration {file}: cannot be read")]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("configuration {file}: not valid TOML: {message}")]
    Syntax {
        /// The file.
        file: PathBuf,
        /// Where and why.
        message: String,
    },
    /// A key that does not exist.
    #[error("configuration {file}: unknown key `{key}`: expected one of {expected}")]
    UnknownKey {
        /// The file.
        file: PathBuf,
        /// The key.
        key: String,
        /// The keys that exist.
        expected: String,
    },
    /// An entry of `dhcp_subnets` that does not fit.
    #[error("configuration {file}: dhcp_subnets")]
    DhcpSubnets {
        /// The file.
        file: PathBuf,
        /// Which, and why.
        #[source]
        source: SubnetSettingsError,
    },
    /// A value that does not fit.
    #[error("configuration {file}: key `{key}`: expected {expected}, found {found}")]
    Value {
        /// The file.
        file: PathBuf,
        /// The key.
        key: &'static str,
        /// What would fit.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
}

impl Config {
    /// Reads the file, if one is named, over the defaults; then the flags over both.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for an unreadable file, an unknown key or a value that does not fit.
    pub fn load(location: &Location) -> Result<Self, ConfigError> {
        let mut config = match &location.config {
            Some(file) => {
                let text = std::fs::read_to_string(file)
                    .map_err(|source| ConfigError::Read { file: file.clone(), source })?;
                Self::parse(file, &text)?
            }
            None => Self::default(),
        };
        if let Some(data_dir) = &location.data_dir {
            config.data_dir.clone_from(data_dir);
        }
        Ok(config)
    }

    /// Reads a configuration text; `file` is for the errors.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for bad TOML, an unknown key or a value that does not fit.
    pub fn parse(file: &Path, text: &str) -> Result<Self, ConfigError> {
        let table: Table = text.parse().map_err(|error: toml::de::Error| ConfigError::Syntax {
            file: file.to_owned(),
            message: on_one_line(text, &error),
        })?;
        let mut config = Self::default();
        for (key, value) in &table {
            config.set(file, key, value)?;
        }
        Ok(config)
    }

    fn set(&mut self, file: &Path, key: &str, value: &Value) -> Result<(), ConfigError> {
        let Some(&(key, expected)) = KEYS.iter().find(|(known, _)| *known == key) else {
            return Err(ConfigError::UnknownKey {
                file: file.to_owned(),
                key: key.to_owned(),
                expected: KEYS.iter().map(|(key, _)| *key).collect::<Vec<_>>().join(", "),
            });
        };
        // It says itself which of its entries is wrong.
        if key == "dhcp_subnets" {
            self.dhcp_subnets = settings::read(value)
                .map_err(|source| ConfigError::DhcpSubnets { file: file.to_owned(), source })?;
            return Ok(());
        }
        self.take(key, value).ok_or_else(|| ConfigError::Value {
            file: file.to_owned(),
            key,
            expected,
            // A database URL may hold a password.
            found: if key == "database" { "something else".to_owned() } else { shown(value) },
        })
    }

    fn take(&mut self, key: &str, value: &Value) -> Option<()> {
        match key {
            "data_dir" => self.data_dir = path(value)?,
            "region_listen" => self.region_listen = value.as_str()?.parse().ok()?,
            "rack_listen" => self.rack_listen = value.as_str()?.parse().ok()?,
            "tftp_listen" => {
                let address = value.as_str()?;
                self.tftp_listen =
                    if address.is_empty() { None } else { Some(address.parse().ok()?) };
            }
            "dhcp" => {
                self.dhcp = match value.as_str()? {
                    "off" => DhcpMode::Off,
                    "dnsmasq" => DhcpMode::Dnsmasq,
                    _ => return None,
                }
            }
            "bootloader_dir" => self.bootloader_dir = Some(path(value)?),
            "database" => {
                let url = value.as_str()?;
                if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
                    return None;
                }
                self.database = Some(url.to_owned());
            }
            "boot_source_url" => {
                let url = value.as_str()?;
                if url.is_empty() {
                    self.boot_source_url = None;
                } else if matches!(url::Url::parse(url).ok()?.scheme(), "http" | "https" | "file") {
                    self.boot_source_url = Some(url.to_owned());
                } else {
                    return None;
                }
            }
            "boot_source_keyring" => self.boot_source_keyring = Some(path(value)?),
            "sync_interval_minutes" => {
                let minutes = minutes(value)?;
                self.sync_interval = (!minutes.is_zero()).then_some(minutes);
            }
            "node_timeout_minutes" => {
                let minutes = minutes(value)?;
                if minutes.is_zero() {
                    return None;
                }
                self.node_timeout = minutes;
            }
            "curtin_pack" => self.curtin_pack = Some(path(value)?),
            "log" => {
                let filter = value.as_str().filter(|text| crate::log::is_filter(text))?;
                self.log = filter.to_owned();
            }
            "log_format" => {
                self.log_format = match value.as_str()? {
                    "text" => LogFormat::Text,
                    "json" => LogFormat::Json,
                    _ => return None,
                }
            }
            _ => return None,
        }
        Some(())
    }
}

/// Every key with what it takes.
const KEYS: &[(&str, &str)] = &[
    ("data_dir", "a path"),
    ("region_listen", "an address such as \"0.0.0.0:5240\""),
    ("rack_listen", "an address such as \"0.0.0.0:5248\""),
    ("tftp_listen", "an address such as \"0.0.0.0:69\", or \"\" for none"),
    ("bootloader_dir", "a path"),
    ("dhcp", "\"off\" or \"dnsmasq\""),
    ("dhcp_subnets", "a list of tables"),
    ("database", "a URL such as \"postgres://maas@localhost/maas\""),
    ("boot_source_url", "an http, https or file URL, or \"\" for none"),
    ("boot_source_keyring", "a path"),
    ("sync_interval_minutes", "a number of minutes from 0 (never) to 525600"),
    ("node_timeout_minutes", "a number of minutes from 1 to 525600"),
    ("curtin_pack", "a path"),
    ("log", "a filter such as \"info\" or \"maas_server=debug\""),
    ("log_format", "\"text\" or \"json\""),
];

fn path(value: &Value) -> Option<PathBuf> {
    value.as_str().filter(|text| !text.is_empty()).map(PathBuf::from)
}

fn minutes(value: &Value) -> Option<Duration> {
    let minutes = u64::try_from(value.as_integer()?).ok()?;
    (minutes <= 525_600).then(|| Duration::from_secs(minutes * 60))
}

fn shown(value: &Value) -> String {
    format!("the {} {}", value.type_str(), value.to_string().chars().take(80).collect::<String>())
}

/// Where and why, without the excerpt of several lines that the parser draws.
fn on_one_line(text: &str, error: &toml::de::Error) -> String {
    let reason = error.message().replace('\n', ", ");
    let Some(before) = error.span().and_then(|span| text.get(..span.start)) else { return reason };
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("line {line}, column {column}: {reason}")
}

fn default_data_dir() -> PathBuf {
    let share = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).or_else(|| {
        std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local").join("share"))
    });
    share.unwrap_or_else(|| PathBuf::from(".")).join("maas-server")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(Path::new("maas.toml"), text)
    }

    #[test]
    fn an_empty_file_is_the_defaults() {
        assert_eq!(parse("").unwrap(), Config::default());
    }

    #[test]
    fn every_key_is_read() {
        let config = parse(
            "data_dir = '/d'\nregion_listen = '127.0.0.1:1'\nrack_listen = '[::1]:2'\n\
             tftp_listen = '127.0.0.1:6969'\nbootloader_dir = '/b'\n\
             dhcp = 'dnsmasq'\n\
             dhcp_subnets = [{ interface = 'eth1', cidr = '10.0.0.0/24' }]\n\
             database = 'postgres://u:p@h/db'\nboot_source_url = 'file:///m'\n\
             boot_source_keyring = '/k'\nsync_interval_minutes = 0\nnode_timeout_minutes = 5\n\
             curtin_pack = '/c.tar'\nlog = 'debug'\nlog_format = 'json'\n",
        )
        .unwrap();
        assert_eq!(config.sync_interval, None);
        assert_eq!(config.node_timeout, Duration::from_secs(300));
        assert_eq!(config.log_format, LogFormat::Json);
        assert_eq!(config.rack_listen, "[::1]:2".parse().unwrap());
        assert_eq!(config.tftp_listen, Some("127.0.0.1:6969".parse().unwrap()));
        assert_eq!((config.dhcp, config.dhcp_subnets.len()), (DhcpMode::Dnsmasq, 1));
        assert_eq!(config.bootloader_dir, Some(PathBuf::from("/b")));
    }

    /// The keys and defaults of the table in the README.
    fn documented() -> Vec<(String, String)> {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
        let text = std::fs::read_to_string(file).unwrap();
        let section = text.split("## Configuration").nth(1).unwrap();
        let section = section.split("\n## ").next().unwrap();
        section
            .lines()
            .filter_map(|line| line.strip_prefix("| `"))
            .map(|row| {
                let (key, rest) = row.split_once("` | ").unwrap();
                let (default, _) = rest.split_once(" | ").unwrap();
                (key.to_owned(), default.to_owned())
            })
            .collect()
    }

    #[test]
    fn the_readme_has_every_key_once_in_the_order_of_the_program() {
        let documented = documented();
        let keys: Vec<&str> = documented.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, KEYS.iter().map(|(key, _)| *key).collect::<Vec<_>>());
    }

    #[test]
    fn the_readmes_defaults_are_the_programs() {
        // In parentheses stands what is no value of the key.
        let text: String = documented()
            .iter()
            .filter(|(_, default)| !default.starts_with('('))
            .map(|(key, default)| format!("{key} = {}\n", default.trim_matches('`')))
            .collect();
        assert!(text.lines().count() >= 6, "{text}");
        assert_eq!(parse(&text).unwrap(), Config::default());
    }

    #[test]
    fn a_log_filter_that_cannot_be_read_is_refused() {
        assert!(parse("log = 'maas_server=[['").is_err());
        assert!(parse("log = ''").is_err());
        assert!(parse("log = 'warn,maas_server=debug'").is_ok());
    }

    #[test]
    fn a_wrong_value_names_file_key_expected_and_found() {
        assert_eq!(
            parse("region_listen = 5240").unwrap_err().to_string(),
            "configuration maas.toml: key `region_listen`: expected an address such as \
             \"0.0.0.0:5240\", found the integer 5240"
        );
    }

    #[test]
    fn an_unknown_key_names_those_that_exist() {
        let error = parse("regoin_listen = ''").unwrap_err().to_string();
        assert!(error.contains("unknown key `regoin_listen`") && error.contains("region_listen"));
    }

    #[test]
    fn a_refused_database_url_is_not_shown() {
        let error = parse("database = 'mysql://root:hunter2@h/db'").unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn a_syntax_error_says_where() {
        let error = parse("log = ").unwrap_err().to_string();
        assert!(error.contains("maas.toml") && error.contains("line 1"), "{error}");
    }
}
