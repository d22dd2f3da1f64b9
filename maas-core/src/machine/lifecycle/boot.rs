//! What the firmware, the boot loader and the installer's last command tell.

use std::net::IpAddr;

use super::change::Change;
use super::words;
use crate::machine::{Level, PowerState, Purpose, Status, Waiting, normal_mac};

/// The longest reason that is kept of a refusal, in bytes.
const LONGEST_REASON: usize = 500;

/// The most cards of a machine whose leases are kept.
const MOST_LEASES: usize = 64;

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

/// A DHCP server gave the machine an address; that it does so again and again is no news.
pub(super) fn leased(change: &mut Change<'_>, mac: &str, address: IpAddr) {
    let Some(mac) = normal_mac(mac) else { return };
    let leases = &mut change.machine.boot.leases;
    if leases.get(&mac) == Some(&address)
        || (!leases.contains_key(&mac) && leases.len() >= MOST_LEASES)
    {
        return;
    }
    leases.insert(mac.clone(), address);
    change.aside(Level::Info, "DHCP lease", format!("{mac} has {address}"));
}

/// What an operator wanted of DHCP is not served.
pub(super) fn dhcp_refused(change: &mut Change<'_>, reason: &str) {
    let reason = words::clip(reason, LONGEST_REASON);
    change.aside(Level::Error, "DHCP refused", format!("DHCP goes on as before: {reason}"));
}

/// An address that a DHCP server gave is free again.
pub(super) fn lease_ended(change: &mut Change<'_>, mac: &str, address: IpAddr) {
    let Some(mac) = normal_mac(mac) else { return };
    if change.machine.boot.leases.get(&mac) == Some(&address) {
        change.machine.boot.leases.remove(&mac);
        change.aside(Level::Debug, "DHCP release", format!("{mac} no longer has {address}"));
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
