//! The deployment plan.

use maas_netconfig::yaml::{self, Value};
use serde::{Deserialize, Serialize};

use super::artefact::Artefact;
use super::curtin::{Inputs, documents};
use super::datasource::{Datasource, DatasourceVerdict};
use super::decide::{
    base_os, boot, check_cloud_init, check_image, check_machine, decide_storage, note_ignored,
    vendor_data,
};
use super::digest::sha256_hex;
use super::endpoints::Endpoints;
use super::facts::Facts;
use super::network;
use super::options::DeploymentOptions;
use super::preseed;
use super::problem::{IgnoredSetting, PlanProblem, Warning};
use crate::boot::{BootConfig, EphemeralBoot, FetchedOver, Loader, render};
use crate::cloud_init::{
    EphemeralPurpose, EphemeralSettings, MetaData, preseed as ephemeral_preseed,
};
use crate::curtin::{self, ConfigFile, InstallerError, Source};
use crate::id::SystemId;
use crate::image::{BootResource, EphemeralImage, ImageFile, Images};
use crate::machine::{Arrival, DeploymentSummary, Machine, NodeCredentials};
use crate::secret::Secret;
use crate::storage::Storage;

/// Everything about one deployment, decided: what is booted, what is installed, every document,
/// what to be warned of.
///
/// It is stored with the machine, and every later request is answered from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeploymentPlan {
    /// The machine.
    pub system_id: SystemId,
    /// The image that is installed, or run when the deployment is ephemeral.
    pub target: BootResource,
    /// The image that the machine boots to install it.
    pub running: EphemeralImage,
    /// The kernel that was asked for; empty for the image's own.
    pub hwe_kernel: String,
    /// Whether the system runs from memory and nothing is installed.
    pub ephemeral: bool,
    /// Where the machine finds its rack.
    pub endpoints: Endpoints,
    /// The boot files and the kernel command line.
    pub boot: EphemeralBoot,
    /// The storage, unless the image brings its own or nothing is installed.
    pub storage: Option<Storage>,
    /// What curtin installs; `None` when nothing is.
    pub source: Option<Source>,
    /// Which datasource the installed system takes.
    pub datasource: DatasourceVerdict,
    /// What the user should know.
    pub warnings: Vec<Warning>,
    /// What will not be used.
    pub ignored: Vec<IgnoredSetting>,
    configs: Vec<ConfigFile>,
    meta_data: MetaData,
    credentials: NodeCredentials,
    artefacts: Vec<Artefact>,
    digest: String,
}

impl DeploymentPlan {
    /// Plans a deployment: no I/O, no clock; the same input gives the same plan.
    ///
    /// # Errors
    ///
    /// Every reason against it at once, at least one.
    pub fn new(
        machine: &Machine,
        facts: &Facts,
        images: &Images,
        options: &DeploymentOptions,
        endpoints: &Endpoints,
    ) -> Result<Self, Vec<PlanProblem>> {
        let mut problems = Vec::new();
        let mut warnings = Vec::new();
        let mut ignored = Vec::new();
        check_machine(machine, options, &mut problems);
        check_cloud_init(options, &mut problems, &mut warnings);

        let target = images
            .target(&options.osystem, &options.distro_series, &machine.architecture)
            .map_err(|problem| problems.push(problem.into()))
            .ok();
        let running = match target {
            Some(target) => images.installer_of(
                target,
                &machine.architecture,
                &options.hwe_kernel,
                &machine.min_hwe_kernel,
                &options.ephemeral_defaults,
            ),
            // Said as well, so that one attempt shows everything that must be downloaded.
            None => images.commissioning(
                &machine.architecture,
                &machine.min_hwe_kernel,
                &options.ephemeral_defaults,
            ),
        };
        let running = running.map_err(|problem| problems.push(problem.into())).ok();
        let source = match (target, &running) {
            (Some(target), Some(running)) if !options.ephemeral => {
                curtin::source(target, running, endpoints)
            }
            _ => None,
        };
        let storage = target.and_then(|target| {
            decide_storage(machine, facts, options, target, &mut problems, &mut ignored)
        });
        let network_choice = options
            .network
            .clone()
            .or_else(|| machine.configuration.network.clone())
            .or_else(|| network::dhcp_on_boot_interface(machine, facts));
        let base_os = target.map_or("", base_os);
        let network = match &network_choice {
            Some(choice) if base_os != "windows" => {
                network::target(choice, base_os, &mut problems, &mut warnings, &mut ignored)
            }
            Some(_) => {
                ignored.push(IgnoredSetting::new("network", "Windows configures its own network"));
                None
            }
            None => {
                warnings.push(Warning::new(
                    "no-network",
                    "no network interface is known; the image configures its own network",
                ));
                None
            }
        };
        if let Some((topology, _)) = &network
            && let Err(message) = network::reaches(topology, &endpoints.rack_host)
        {
            warnings.push(Warning::new("metadata-unreachable", message));
        }
        let preseed = match target {
            Some(target) if !options.ephemeral => {
                preseed::preseed(machine, target, options, endpoints, &mut problems)
            }
            _ => None,
        };
        let (Some(target), Some(running)) = (target, running) else { return Err(problems) };
        check_image(target, &mut problems);
        if options.ephemeral
            && target.is_custom()
            && target.root_file().is_some_and(|file| file.filetype.is_disk_image())
        {
            problems.push(PlanProblem::Option {
                option: "ephemeral_deploy".to_owned(),
                message: "a disk image cannot be run from memory".to_owned(),
            });
        }
        if !problems.is_empty() {
            return Err(problems);
        }

        let datasource = DatasourceVerdict::decide(target, options.datasource);
        if datasource.winner == Datasource::Packed {
            warnings.push(Warning::new(
                "packed-datasource",
                format!("cloud-init will not use the metadata service: {}", datasource.reason),
            ));
        }
        if source.as_ref().is_some_and(Source::is_disk_image) && base_os != "esxi" {
            warnings.push(Warning::new(
                "disk-image-needs-curtin-folder",
                "curtin finds a disk image's root by the folder /curtin in it; without one the \
                 installation fails after the image was written",
            ));
        }
        if storage.as_ref().is_some_and(|storage| !storage.encrypted.is_empty()) {
            warnings.push(Warning::new(
                "asks-for-key",
                "a volume is encrypted: the installed system asks for the key on its console at \
                 every boot",
            ));
        }
        note_ignored(target, options, source.as_ref(), &mut ignored);
        let kernel_options =
            [machine.configuration.kernel_options.as_str(), options.kernel_options.as_str()]
                .into_iter()
                .chain(DatasourceVerdict::kernel_parameter(options.datasource, target))
                .map(str::trim)
                .collect::<Vec<_>>()
                .join(" ");
        let boot = boot(machine, target, &running, options, endpoints, kernel_options.trim());
        let network_value = network.as_ref().map(|(_, rendered)| rendered.network().clone());
        let mut generated = Vec::new();
        if let Some(source) = &source {
            let boot_path = facts
                .block_devices
                .iter()
                .find(|device| Some(&device.name) == machine.configuration.boot_disk.as_ref())
                .or_else(|| facts.block_devices.first())
                .map(crate::storage::BlockDevice::path);
            generated = documents(&Inputs {
                machine,
                target,
                base_os,
                running: &running,
                source,
                storage: storage.as_ref(),
                boot_disk: boot_path.as_deref(),
                network: network_value.as_ref(),
                options,
                endpoints,
            });
        }
        if let Some(preseed) = preseed {
            warnings.extend(preseed::overridden(&curtin::merged(&generated), &preseed));
            generated.push(preseed);
        }
        let configs: Vec<ConfigFile> = generated
            .iter()
            .enumerate()
            .map(|(at, document)| ConfigFile::new(at, document))
            .collect();
        let vendor = vendor_data(machine, options, endpoints, network.as_ref().map(|(_, n)| n));
        let meta_data = MetaData::of(
            &machine.system_id,
            &machine.hostname,
            &machine.domain,
            options.ssh_keys.clone(),
            vendor.item().into_inner(),
        );
        let mut plan = Self {
            system_id: machine.system_id.clone(),
            target: target.clone(),
            running,
            hwe_kernel: options.hwe_kernel.clone(),
            ephemeral: options.ephemeral,
            endpoints: endpoints.clone(),
            boot,
            storage,
            source,
            datasource,
            warnings,
            ignored,
            configs,
            meta_data,
            credentials: machine.credentials.clone(),
            artefacts: Vec::new(),
            digest: String::new(),
        };
        plan.render_all(
            machine,
            facts,
            options,
            &curtin::merged(&generated),
            network.map(|(_, n)| n),
        );
        Ok(plan)
    }

    /// Every document, in the order of their names' kinds.
    #[must_use]
    pub fn artefacts(&self) -> &[Artefact] {
        &self.artefacts
    }

    /// Every image file that the machine fetches by this plan; a file may occur twice.
    pub fn files(&self) -> impl Iterator<Item = &ImageFile> {
        self.target.files.iter().chain(&self.running.resource().files)
    }

    /// The document of this name.
    #[must_use]
    pub fn artefact(&self, name: &str) -> Option<&Artefact> {
        self.artefacts.iter().find(|artefact| artefact.name == name)
    }

    /// SHA-256 over every document's name and digest, 64 lower-case hex digits.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The digest as the documents have it now; another than [`Self::digest`] when a stored
    /// plan was altered.
    pub(super) fn computed_digest(&self) -> String {
        let own: Vec<Artefact> = self
            .artefacts
            .iter()
            .filter(|artefact| artefact.name != "manifest.json")
            .cloned()
            .collect();
        digest_of(&own)
    }

    /// What the machine keeps of it.
    #[must_use]
    pub fn summary(&self) -> DeploymentSummary {
        DeploymentSummary {
            osystem: self.target.os.clone(),
            distro_series: self.target.release.clone(),
            hwe_kernel: self.hwe_kernel.clone(),
            ephemeral: self.ephemeral,
            plan_digest: self.digest.clone(),
            arrival: match self.datasource.winner {
                Datasource::Packed if !self.ephemeral => Arrival::Report,
                _ => Arrival::UserData,
            },
        }
    }

    /// The boot loader's configuration while the machine is to boot from the network.
    #[must_use]
    pub fn boot_config(&self, loader: Loader, fetched_over: FetchedOver) -> String {
        let config = BootConfig::Ephemeral(Box::new(self.boot.clone()));
        render(&config, loader, fetched_over, &self.endpoints)
    }

    /// The pre-seed that the ephemeral OS fetches (`get_preseed`).
    #[must_use]
    pub fn preseed(&self) -> Option<&str> {
        self.artefact("preseed.yaml").and_then(Artefact::text)
    }

    /// The installed system's user data; `None` when the user gave none.
    #[must_use]
    pub fn user_data(&self) -> Option<&[u8]> {
        self.artefact("user-data").map(|artefact| artefact.bytes.expose().as_slice())
    }

    /// The metadata service's items, for the ephemeral OS and for the installed system.
    #[must_use]
    pub const fn meta_data(&self) -> &MetaData {
        &self.meta_data
    }

    /// curtin's configuration files; empty when nothing is installed.
    #[must_use]
    pub fn curtin_configs(&self) -> &[ConfigFile] {
        &self.configs
    }

    /// The installer (`curtin-installer`), with the operator's curtin pack when there is one.
    ///
    /// # Errors
    ///
    /// [`InstallerError`] when the archive cannot be written.
    pub fn installer(&self, pack: Option<&[u8]>) -> Result<Secret<Vec<u8>>, InstallerError> {
        curtin::installer(&self.configs, &self.system_id, &self.credentials, &self.endpoints, pack)
    }

    fn render_all(
        &mut self,
        machine: &Machine,
        facts: &Facts,
        options: &DeploymentOptions,
        merged: &Value,
        network: Option<maas_netconfig::Rendered>,
    ) {
        const YAML: &str = "application/x-yaml; charset=utf-8";
        const TEXT: &str = "text/plain; charset=utf-8";
        let mut all = Vec::new();
        for config in &self.configs {
            let name = format!("curtin/{}", config.name);
            all.push(Artefact::new(name, YAML, config.content.expose().as_bytes()));
        }
        if !self.configs.is_empty() {
            let text = yaml::to_string(merged).unwrap_or_default();
            all.push(Artefact::new("curtin.yaml", YAML, text));
        }
        if let Some(user_data) = &options.user_data {
            all.push(Artefact::new(
                "user-data",
                "application/octet-stream",
                user_data.expose().as_slice(),
            ));
        }
        all.push(Artefact::new("vendor-data", YAML, self.meta_data.vendor_data.as_str()));
        let meta: String = ["instance-id", "local-hostname", "public-keys"]
            .iter()
            .filter_map(|name| Some(format!("{name}: {}\n", self.meta_data.item(name)?.0)))
            .collect();
        all.push(Artefact::new("meta-data", TEXT, meta));
        let purpose = if self.ephemeral {
            EphemeralPurpose::EphemeralDeployment
        } else {
            EphemeralPurpose::Deployment
        };
        let running = self.running.resource();
        let settings = EphemeralSettings {
            os: running.os.clone(),
            release: running.release.clone(),
            arch: running.arch.clone(),
            apt: options.apt.clone(),
            packages: options.ephemeral_packages.clone(),
        };
        let preseed = ephemeral_preseed(
            purpose,
            Some((&self.system_id, &self.credentials)),
            &settings,
            &self.endpoints,
        );
        all.push(Artefact::new("preseed.yaml", YAML, preseed.into_inner()));
        if let Some(topology) = network::dhcp_on_boot_interface(machine, facts)
            .and_then(|network| network.resolve(maas_netconfig::SourceRouting::Off).ok())
        {
            let text = maas_netconfig::netplan::render(&topology).to_yaml();
            all.push(Artefact::new("network-ephemeral.yaml", YAML, text));
        }
        if let Some(network) = network {
            all.push(Artefact::new("network-target.yaml", YAML, network.to_yaml()));
        }
        for (name, loader) in [
            ("ipxe.cfg", Loader::Ipxe),
            ("grub.cfg", Loader::Grub),
            ("pxelinux.cfg", Loader::Pxelinux),
        ] {
            all.push(Artefact::new(name, TEXT, self.boot_config(loader, FetchedOver::Http)));
        }
        let mut cmdline = self.boot.command_line.render(&self.endpoints);
        cmdline.push('\n');
        all.push(Artefact::new("cmdline", TEXT, cmdline));
        let dhcp = serde_json::json!({
            "hostname": machine.hostname,
            "mac_addresses": machine.mac_addresses,
            "next_server": self.endpoints.rack_host,
            "ipxe_script": format!("{}/ipxe.cfg", self.endpoints.rack()),
        });
        all.push(Artefact::new("dhcp.json", "application/json", pretty(&dhcp)));
        self.digest = digest_of(&all);
        let listed: Vec<serde_json::Value> = all
            .iter()
            .map(|artefact| {
                serde_json::json!({
                    "name": artefact.name,
                    "content_type": artefact.content_type,
                    "size": artefact.bytes.expose().len(),
                    "sha256": artefact.sha256,
                })
            })
            .collect();
        let manifest = serde_json::json!({
            "format": 1,
            "system_id": self.system_id,
            "hostname": machine.hostname,
            "osystem": self.target.os,
            "distro_series": self.target.release,
            "ephemeral_os": self.running.resource().name(),
            "kernel": self.running.resource().full_subarch(),
            "ephemeral": self.ephemeral,
            "datasource": self.datasource,
            "warnings": self.warnings,
            "ignored": self.ignored,
            "artefacts": listed,
            "digest": self.digest,
        });
        all.push(Artefact::new("manifest.json", "application/json", pretty(&manifest)));
        self.artefacts = all;
    }
}

fn digest_of(artefacts: &[Artefact]) -> String {
    let names: String = artefacts
        .iter()
        .map(|artefact| format!("{}  {}\n", artefact.sha256, artefact.name))
        .collect();
    sha256_hex(names.as_bytes())
}

fn pretty(value: &serde_json::Value) -> String {
    format!("{value:#}\n")
}

#[cfg(test)]
pub(super) mod tests;
