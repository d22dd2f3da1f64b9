//! The decisions that a plan is made of, one function each.

use super::endpoints::Endpoints;
use super::facts::Facts;
use super::options::DeploymentOptions;
use super::problem::{IgnoredSetting, PlanProblem, Warning};
use crate::boot::{EphemeralBoot, RootFileSystem};
use crate::cloud_init::{VendorData, WriteFile, check_user_data};
use crate::curtin::Source;
use crate::image::{BootResource, EphemeralImage, FileType, Origin};
use crate::machine::{Machine, Precondition, Role, Status};
use crate::secret::Secret;
use crate::storage::{CustomLayout, LayoutRefusal, LayoutRequest, Storage};

pub(super) fn check_machine(
    machine: &Machine,
    options: &DeploymentOptions,
    problems: &mut Vec<PlanProblem>,
) {
    match machine.status {
        Status::New | Status::Commissioning | Status::FailedCommissioning | Status::Missing => {
            problems.push(Precondition::Commissioned { status: machine.status }.into());
        }
        _ => {}
    }
    if let Some(requester) = &options.requester {
        let mine = machine.owner.as_ref() == Some(&requester.username);
        let by_admin = requester.role == Role::Admin && machine.owner.is_some();
        if !(mine || by_admin) {
            problems.push(Precondition::Allocated { owner: machine.owner.clone() }.into());
        }
    }
}

pub(super) fn check_image(target: &BootResource, problems: &mut Vec<PlanProblem>) {
    if let Origin::Custom { defects, .. } = &target.origin
        && !defects.is_empty()
    {
        let (image, defects) = (target.name(), defects.clone());
        problems.push(PlanProblem::Image { image, defects });
    }
}

pub(super) fn check_cloud_init(
    options: &DeploymentOptions,
    problems: &mut Vec<PlanProblem>,
    warnings: &mut Vec<Warning>,
) {
    if let Some(user_data) = &options.user_data {
        match check_user_data(user_data.expose()) {
            Ok(checked) => {
                let noted = checked.warnings.into_iter();
                warnings.extend(noted.map(|message| Warning::new("user-data", message)));
            }
            Err(problem) => {
                let problem = problem.to_string();
                problems.push(Precondition::CloudInit { problem }.into());
            }
        }
    }
    if options.ssh_keys.is_empty() && options.user_data.is_none() {
        warnings.push(Warning::new(
            "no-access",
            "neither an SSH key nor user data is given; nobody will be able to log in",
        ));
    }
}

/// What a target is made from, as far as its documents differ: its own operating system, or that
/// of the image a custom one is based on.
pub(super) fn base_os(target: &BootResource) -> &str {
    match &target.origin {
        Origin::Custom { base_image, .. } if target.os == "custom" => {
            base_image.split('/').next().unwrap_or_default()
        }
        _ => &target.os,
    }
}

pub(super) fn decide_storage(
    machine: &Machine,
    facts: &Facts,
    options: &DeploymentOptions,
    target: &BootResource,
    problems: &mut Vec<PlanProblem>,
    ignored: &mut Vec<IgnoredSetting>,
) -> Option<Storage> {
    let chosen = options.storage.clone().or_else(|| machine.storage_request());
    let is_asked_for = options.storage.is_some()
        || machine.configuration.storage.is_some()
        || matches!(chosen, Some(LayoutRequest::Explicit(_)));
    let is_disk_image = target.root_file().is_some_and(|file| file.filetype.is_disk_image());
    let is_esxi = target.os == "esxi";
    if options.ephemeral {
        if is_asked_for {
            let reason = "nothing is installed when a system runs from memory";
            ignored.push(IgnoredSetting::new("storage", reason));
        }
        return None;
    }
    if facts.block_devices.is_empty() {
        problems.push(LayoutRefusal::NoBlockDevice.into());
        return None;
    }
    if is_disk_image && !is_esxi {
        if is_asked_for {
            let reason = "the image is a whole disk with its own partitions";
            ignored.push(IgnoredSetting::new("storage", reason));
        }
        return None;
    }
    let extra = || {
        let document = facts.storage_extra.clone()?;
        serde_json::from_value::<CustomLayout>(document).ok().map(LayoutRequest::Custom)
    };
    let request = chosen.or_else(extra).unwrap_or_default();
    if is_esxi && !request.is_vmfs() {
        problems.push(PlanProblem::Option {
            option: "storage_layout".to_owned(),
            message: "ESXi needs the layout vmfs6 or vmfs7: a datastore must be defined".to_owned(),
        });
        return None;
    }
    if !is_esxi && request.is_vmfs() {
        problems.push(PlanProblem::Option {
            option: "storage_layout".to_owned(),
            message: format!("the layout {} is for ESXi only", request.name()),
        });
        return None;
    }
    let platform = machine.platform();
    let boot_disk = machine.configuration.boot_disk.as_deref();
    match request.lay_out(&facts.block_devices, boot_disk, &platform) {
        Ok(storage) => {
            if !is_esxi {
                problems.extend(storage.check().into_iter().map(PlanProblem::from));
            }
            Some(storage)
        }
        Err(refusal) => {
            problems.push(refusal.into());
            None
        }
    }
}

pub(super) fn note_ignored(
    target: &BootResource,
    options: &DeploymentOptions,
    source: Option<&Source>,
    ignored: &mut Vec<IgnoredSetting>,
) {
    let mut note = |setting: &str, reason: &str| {
        ignored.push(IgnoredSetting::new(setting, reason));
    };
    let is_disk_image = source.is_some_and(Source::is_disk_image);
    if options.swap_size.is_some() && (is_disk_image || options.ephemeral) {
        note("swap_size", "the image is not changed by curtin");
    }
    if options.license_key.is_some() && target.os != "windows" {
        note("license_key", "only Windows has one");
    }
    if target.os == "windows" && !options.ssh_keys.is_empty() {
        note("ssh_keys", "Windows has no SSH server of its own");
    }
    if options.ephemeral {
        for (setting, set) in [
            ("preseeds", !options.preseeds.0.is_empty()),
            ("early_commands", !options.early_commands.is_empty()),
            ("late_commands", !options.late_commands.is_empty()),
            ("crash_dumps", options.crash_dumps),
        ] {
            if set {
                note(setting, "curtin does not run when a system runs from memory");
            }
        }
    }
}

pub(super) fn boot(
    machine: &Machine,
    target: &BootResource,
    running: &EphemeralImage,
    options: &DeploymentOptions,
    endpoints: &Endpoints,
    kernel_options: &str,
) -> EphemeralBoot {
    // Only Ubuntu's DNS names lead to the rack from the initial RAM disk.
    let endpoints = if options.ephemeral && target.os != "ubuntu" {
        &Endpoints { metadata_host: None, ..endpoints.clone() }
    } else {
        endpoints
    };
    let preseed_url = endpoints.preseed(&machine.system_id);
    let mut boot = EphemeralBoot::new(running, &machine.hostname, preseed_url)
        .with_extra_options(kernel_options);
    if options.ephemeral {
        if let Some(file) = target.root_file() {
            let path = target.image_path(file);
            boot.command_line.root = match file.filetype {
                FileType::Squashfs => RootFileSystem::Squash { path },
                _ => RootFileSystem::Tar { path },
            };
        }
        // Nothing is installed, so nothing has to be kept apart for the installed system.
        let extra = std::mem::take(&mut boot.command_line.extra_options);
        let have = &mut boot.command_line.ephemeral_options;
        if !have.is_empty() && !extra.is_empty() {
            have.push(' ');
        }
        have.push_str(&extra);
    }
    boot
}

pub(super) fn vendor_data(
    machine: &Machine,
    options: &DeploymentOptions,
    endpoints: &Endpoints,
    network: Option<&maas_netconfig::Rendered>,
) -> VendorData {
    let mut vendor = VendorData {
        default_user: options.default_user.clone(),
        ntp: options.ntp.clone(),
        write_files: options.write_files.clone(),
        ..VendorData::default()
    };
    if options.ephemeral
        && let Some(network) = network
    {
        vendor.write_files.push(WriteFile {
            path: "/etc/netplan/50-maas.yaml".to_owned(),
            permissions: "0600".to_owned(),
            content: Secret::new(network.to_yaml()),
        });
        vendor.run_commands.push("rm -rf /run/netplan".to_owned());
        vendor.run_commands.push("netplan apply".to_owned());
    }
    if let Some(sync) = options.hardware_sync {
        vendor.add_hardware_sync(sync, &machine.system_id, &machine.credentials, endpoints);
    }
    vendor
}
