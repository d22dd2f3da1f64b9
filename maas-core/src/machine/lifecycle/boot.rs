//! What the firmware, the boot loader and the installer's last command tell.

use super::change::Change;
use super::words;
use crate::machine::{Level, PowerState, Purpose, Status, Waiting, normal_mac};

/// The boot loader asked for its configuration.
pub(super) fn requested(change: &mut Change<'_>, boot_method: &str, mac: Option<&str>, rack: &str) {
    let purpose = change.machine.purpose();
    if change.machine.power.is_queryable() {
        // Nothing that is off asks.
        change.machine.power.state = PowerState::On;
    }
    let boot = &mut change.machine.boot;
    boot.rack = Some(words::clip(rack, words::NAME).to_owned());
    words::clip(boot_method, words::NAME).clone_into(&mut boot.bios_boot_method);
    if let Some(mac) = mac.and_then(normal_mac) {
        boot.boot_mac = Some(mac);
    }
    let (kind, what) = match purpose {
        Purpose::Local => ("Performing local boot", "local boot"),
        Purpose::Poweroff => ("Performing PXE boot", "netboot, to be switched off"),
        _ => ("Performing PXE boot", "netboot"),
    };
    change.aside(Level::Info, kind, words::clip(boot_method, words::NAME).to_owned());
    if !change.machine.status.is_transient() {
        return;
    }
    change.saw(format!("firmware: {what} ({})", words::clip(boot_method, words::NAME)));
    if change.waits_for_power() {
        return;
    }
    change.wait_for(match (change.machine.status, purpose) {
        (Status::Deploying, Purpose::Local) => Waiting::InstalledSystem,
        _ => Waiting::EphemeralOs,
    });
}

/// The initrd fetched the squashfs.
pub(super) fn ephemeral_fetched(change: &mut Change<'_>) {
    if !change.machine.status.is_transient() || change.waits_for_power() {
        return;
    }
    change.note(Level::Info, "Loading ephemeral", "");
    change.saw("initrd: fetched the ephemeral OS");
    if !change.machine.waits_for(Waiting::InstalledSystem) {
        change.wait_for(Waiting::EphemeralOs);
    }
}

/// The installer is done: from now on the disk is booted. Only the first call changes anything.
///
/// Anybody can call it, so that it counts only while a deployment runs that was seen booting;
/// before that it can only come from an installer of an earlier run.
pub(super) fn netboot_off(change: &mut Change<'_>) {
    let machine = &change.machine;
    if machine.status != Status::Deploying || !machine.netboot || !change.was_seen() {
        return;
    }
    change.machine.netboot = false;
    change.note(Level::Info, "Node disabled netboot", "the next boot is from the local disk");
    change.saw("installer: switched netboot off");
    change.wait_for(Waiting::InstalledSystem);
}

/// Boot from the network again; refused silently while a deployment runs, which would be
/// installed a second time.
pub(super) fn netboot_on(change: &mut Change<'_>) {
    if change.machine.status == Status::Deploying || change.machine.netboot {
        return;
    }
    change.machine.netboot = true;
    change.note(Level::Info, "Node enabled netboot", "");
}
