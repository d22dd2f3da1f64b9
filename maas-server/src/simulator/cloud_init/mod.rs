//! cloud-init's four stages, in the ephemeral system and in the installed one.

mod config;
mod datasource;
mod report;

pub(crate) use config::{CloudConfig, PowerState, reporting, yaml};
pub(crate) use datasource::Metadata;

use self::report::{Reporter, Verdict};
use super::boot::{Boot, Outcome};
use super::client::{Agent, Request};
use super::ephemeral::LoadedRoot;
use super::error::Stuck;
use super::event::Stage;
use super::machine::InstalledSystem;
use super::metadata::{Dialect, Signed};
use super::runner;
use super::user_data::{self, Kind};

/// How the scripts of the user data ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scripts {
    Succeeded,
    Failed,
    /// The power went while they ran.
    PowerFailed,
}

const NETWORK_STEPS: [&str; 5] = [
    "setup-datasource",
    "consume-user-data",
    "consume-vendor-data",
    "consume-vendor-data2",
    "activate-datasource",
];
const NETWORK_MODULES: [&str; 15] = [
    "migrator",
    "seed_random",
    "bootcmd",
    "write-files",
    "growpart",
    "resizefs",
    "disk_setup",
    "mounts",
    "set_hostname",
    "update_hostname",
    "update_etc_hosts",
    "ca-certs",
    "rsyslog",
    "users-groups",
    "ssh",
];
const CONFIG_MODULES: [&str; 8] =
    ["snap", "ssh-import-id", "locale", "grub-dpkg", "apt-configure", "ntp", "timezone", "runcmd"];
const FINAL_MODULES: [&str; 5] = [
    "package-update-upgrade-install",
    "scripts-vendor",
    "scripts-per-once",
    "scripts-per-boot",
    "scripts-per-instance",
];
const LAST_MODULES: [&str; 5] = [
    "ssh-authkey-fingerprints",
    "keys-to-console",
    "phone-home",
    "final-message",
    "power-state-change",
];

/// The ephemeral system's cloud-init, with the configuration from the kernel command line.
pub(crate) async fn ephemeral(boot: &Boot, url: &str, root: &LoadedRoot) -> Result<Outcome, Stuck> {
    let early = fetch_config(boot, url).await;
    if let Err(error) = &early {
        boot.tell(Stage::Problem, format!("init-local has no configuration: {error}")).await;
    }
    let early = early.ok();
    let reporter = Reporter::new(boot, early.as_ref().and_then(|config| config.reporting.clone()));
    boot.tell(Stage::CloudInit, "init-local").await;
    reporter.span("init-local/check-cache", "attempting to read from cache [check]").await;
    reporter.finish("init-local", "searching for local datasources", Verdict::Success).await;

    // The network stage fetches it again.
    let config = match (fetch_config(boot, url).await, early) {
        (Ok(config), _) => config,
        (Err(_), Some(early)) => early,
        (Err(error), None) => return Err(error),
    };
    let reporter = Reporter::new(boot, config.reporting.clone());
    let datasource = config
        .datasource
        .clone()
        .ok_or_else(|| Stuck("the configuration has no datasource.MAAS.metadata_url".to_owned()))?;
    let signed =
        Signed::new(boot.wire(), boot.pace, datasource.credentials.clone(), Dialect::Quoted);
    let metadata = init_network(boot, &reporter, &signed, &datasource.metadata_url).await?;
    modules_config(boot, &reporter).await;

    boot.tell(Stage::CloudInit, "modules-final").await;
    modules(&reporter, "modules-final", &FINAL_MODULES).await;
    reporter.start("modules-final/config-scripts-user", "running config-scripts-user").await;
    let scripts = run_scripts(boot, &metadata, &config, root).await?;
    if scripts == Scripts::PowerFailed {
        return Ok(Outcome::LosesPower);
    }
    let verdict = if scripts == Scripts::Failed { Verdict::Fail } else { Verdict::Success };
    reporter.finish("modules-final/config-scripts-user", "config-scripts-user ran", verdict).await;
    modules(&reporter, "modules-final", &LAST_MODULES).await;
    reporter.finish("modules-final", "running modules for final", verdict).await;
    let state = config.power_state;
    boot.tell(Stage::CloudInit, format!("done; power_state: {state}")).await;
    Ok(state.into())
}

/// The installed system's cloud-init at its first boot.
pub(crate) async fn installed(
    boot: &Boot,
    system: &InstalledSystem,
) -> Result<Option<Metadata>, Stuck> {
    let reporter = Reporter::new(boot, system.reporting.clone());
    let Some(datasource) = &system.datasource else {
        if system.reporting.is_some() {
            from_packed_configuration(boot, &reporter).await;
        }
        return Ok(None);
    };
    boot.tell(Stage::CloudInit, "init-local on the installed system").await;
    reporter.span("init-local/check-cache", "attempting to read from cache [check]").await;
    reporter.finish("init-local", "searching for local datasources", Verdict::Success).await;
    let signed =
        Signed::new(boot.wire(), boot.pace, datasource.credentials.clone(), Dialect::Quoted);
    let metadata = init_network(boot, &reporter, &signed, &datasource.metadata_url).await?;
    modules_config(boot, &reporter).await;
    boot.tell(Stage::CloudInit, "modules-final").await;
    modules(&reporter, "modules-final", &FINAL_MODULES).await;
    modules(&reporter, "modules-final", &["scripts-user"]).await;
    modules(&reporter, "modules-final", &LAST_MODULES).await;
    reporter.finish("modules-final", "running modules for final", Verdict::Success).await;
    Ok(Some(metadata))
}

/// A system whose configuration is in its image asks for nothing, but reports.
async fn from_packed_configuration(boot: &Boot, reporter: &Reporter<'_>) {
    boot.tell(Stage::CloudInit, "from the configuration that is packed in the image").await;
    let said = "found local data from DataSourceNoCloud";
    reporter.finish("init-local", said, Verdict::Success).await;
    reporter.finish("init-network", "searching for network datasources", Verdict::Success).await;
    modules_config(boot, reporter).await;
    modules(reporter, "modules-final", &FINAL_MODULES).await;
    reporter.finish("modules-final", "running modules for final", Verdict::Success).await;
}

async fn init_network(
    boot: &Boot,
    reporter: &Reporter<'_>,
    signed: &Signed<'_>,
    metadata_url: &str,
) -> Result<Metadata, Stuck> {
    boot.tell(Stage::CloudInit, "init-network").await;
    reporter.span("init-network/check-cache", "attempting to read from cache [trust]").await;
    let search = "init-network/search-MAAS";
    reporter.start(search, "searching for network data from DataSourceMAAS").await;
    let metadata = match datasource::crawl(boot, signed, metadata_url).await {
        Ok(metadata) => metadata,
        Err(stuck) => {
            let said = "no network data found from DataSourceMAAS";
            reporter.finish(search, said, Verdict::Fail).await;
            let said = "searching for network datasources";
            reporter.finish("init-network", said, Verdict::Fail).await;
            return Err(stuck);
        }
    };
    let said = "found network data from DataSourceMAAS";
    reporter.finish(search, said, Verdict::Success).await;
    for step in NETWORK_STEPS {
        reporter.span(&format!("init-network/{step}"), &step.replace('-', " ")).await;
    }
    modules(reporter, "init-network", &NETWORK_MODULES).await;
    let said = "searching for network datasources";
    reporter.finish("init-network", said, Verdict::Success).await;
    boot.pace.work(3.0).await;
    Ok(metadata)
}

async fn modules_config(boot: &Boot, reporter: &Reporter<'_>) {
    boot.tell(Stage::CloudInit, "modules-config").await;
    modules(reporter, "modules-config", &CONFIG_MODULES).await;
    reporter.finish("modules-config", "running modules for config", Verdict::Success).await;
    boot.pace.work(3.0).await;
}

async fn modules(reporter: &Reporter<'_>, stage: &str, names: &[&str]) {
    for name in names {
        let description = format!("running config-{name} with frequency once-per-instance");
        reporter.span(&format!("{stage}/config-{name}"), &description).await;
    }
}

/// `cloud-config-url`: three attempts, then the boot goes on without.
async fn fetch_config(boot: &Boot, url: &str) -> Result<CloudConfig, Stuck> {
    let mut attempts = 0;
    let text = loop {
        match boot.wire().send(Request::get(Agent::CloudInit, url)).await {
            Ok(reply) => break reply.text(),
            Err(error) if attempts == 2 => return Err(error.into()),
            Err(_) => {
                attempts += 1;
                boot.pace.pause(1.0).await;
            }
        }
    };
    if !text.starts_with("#cloud-config") {
        return Err(Stuck(format!("what {url} gives does not begin with #cloud-config")));
    }
    CloudConfig::parse(&text).map_err(|reason| Stuck(format!("{url}: {reason}")))
}

/// Programs whose scripts are known to be the region's runner.
const RUNNER_MARKS: [&str; 4] =
    ["maas-runner", "maas_runner", "maas-scripts", "maas-run-remote-scripts"];

async fn run_scripts(
    boot: &Boot,
    metadata: &Metadata,
    config: &CloudConfig,
    root: &LoadedRoot,
) -> Result<Scripts, Stuck> {
    let Some(bytes) = &metadata.user_data else { return Ok(Scripts::Succeeded) };
    let mut ended = Scripts::Succeeded;
    for part in user_data::parts(bytes).into_iter().filter(|part| part.kind == Kind::Script) {
        let text = part.text();
        // Until MAAS 3.6 the packed curtin was itself the user data.
        let scripts = if text.contains("\n_____PAYLOAD_____") {
            runner::old_style_install(boot, &part.body, root).await
        } else if RUNNER_MARKS.iter().any(|mark| text.contains(mark)) {
            runner::run(boot, config, root).await
        } else {
            boot.tell(Stage::Script, "the user data has a script that is not the runner").await;
            Scripts::Succeeded
        };
        match scripts {
            Scripts::PowerFailed => return Ok(Scripts::PowerFailed),
            Scripts::Failed => ended = Scripts::Failed,
            Scripts::Succeeded => {}
        }
    }
    Ok(ended)
}

#[cfg(test)]
mod tests {
    use super::*;
    use maas_core::runner;

    #[test]
    fn the_regions_own_user_data_is_known_for_what_it_does() {
        for (data, expected) in [(runner::user_data(), true), (runner::poweroff_user_data(), false)]
        {
            let parts = user_data::parts(&data);
            assert_eq!(parts.len(), 1);
            assert_eq!(parts[0].kind, Kind::Script);
            let text = parts[0].text();
            assert_eq!(RUNNER_MARKS.iter().any(|mark| text.contains(mark)), expected);
        }
    }
}
