//! What a simulated machine remembers: its identity, its power switch and its disk.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::mac::Mac;
use super::oauth::Credentials;
use super::random::{Random, combine, hash};

/// Everything about a machine that outlives a power cut and the simulator itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MachineState {
    /// MAC addresses of its ports; it boots from the first.
    pub macs: Vec<Mac>,
    /// The UUID in its firmware, lower case.
    pub uuid: String,
    /// Decides its hardware and its faults.
    pub seed: u64,
    /// How it netboots.
    pub firmware: Firmware,
    /// Its power switch.
    pub power: Power,
    /// How often it was started, by power or by reboot.
    pub boots: u64,
    /// The id that the region gave it, once a boot script or enlistment told.
    pub system_id: Option<String>,
    /// Its boot disk.
    pub disk: Disk,
}

/// How a machine netboots; decides which files it asks for and in which words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Firmware {
    /// BIOS with iPXE in the network card's ROM.
    IpxeBios,
    /// UEFI HTTP Boot, shim and GRUB.
    GrubUefiHttp,
    /// BIOS with lpxelinux, over HTTP.
    Pxelinux,
}

impl Firmware {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::IpxeBios, Self::GrubUefiHttp, Self::Pxelinux];
}

impl fmt::Display for Firmware {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::IpxeBios => "iPXE (BIOS)",
            Self::GrubUefiHttp => "UEFI HTTP Boot with GRUB",
            Self::Pxelinux => "lpxelinux (BIOS)",
        })
    }
}

/// The power switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Power {
    /// On: after a power cut it boots again.
    On,
    /// Off.
    Off,
}

/// The boot disk.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Disk {
    /// Nothing on it that boots.
    Empty,
    /// curtin finished on it.
    Installed(Box<InstalledSystem>),
}

/// What curtin left on the disk, and what the system on it learnt since.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct InstalledSystem {
    /// Where its root came from: `cp:///media/root-ro` or an image's URL.
    pub source: String,
    /// The SHA-256 of the image, hexadecimal.
    pub image_sha256: Option<String>,
    /// Where cloud-init asks, and with what.
    pub datasource: Option<Datasource>,
    /// Where cloud-init reports to, and with what.
    pub reporting: Option<Reporting>,
    /// Whether cloud-init trusts its cache at later boots (`manual_cache_clean`).
    pub manual_cache_clean: bool,
    /// The storage configuration that was applied.
    pub storage: serde_json::Value,
    /// The network configuration that was applied.
    pub network: serde_json::Value,
    /// Mount points that the storage configuration made.
    pub mounts: Vec<String>,
    /// Whether the first boot got through to the metadata service.
    pub initialised: bool,
    /// `local-hostname` of the metadata.
    pub hostname: Option<String>,
    /// `instance-id` of the metadata.
    pub instance_id: Option<String>,
    /// `public-keys` of the metadata.
    pub ssh_keys: Vec<String>,
    /// `vendor-data` of the metadata.
    pub vendor_data: Option<String>,
    /// `user-data` of the metadata; bytes that are not UTF-8 are replaced.
    pub user_data: Option<String>,
}

/// `datasource.MAAS` of a cloud-init configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Datasource {
    /// The base URL, to which `/2012-03-01/…` is added.
    pub metadata_url: String,
    /// The machine's keys; none while it enlists.
    pub credentials: Option<Credentials>,
}

/// A `webhook` entry of a cloud-init or curtin `reporting` section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reporting {
    /// Where events are posted.
    pub endpoint: String,
    /// The machine's keys.
    pub credentials: Option<Credentials>,
}

impl MachineState {
    /// The machine that answers to a MAC address: always the same one for the same seed.
    pub(crate) fn at(mac: Mac, seed: u64, firmware: Option<Firmware>) -> Self {
        let seed = combine(seed, hash(&mac.octets()));
        let mut random = Random::new(seed);
        let firmware = firmware.unwrap_or_else(|| *random.pick(&Firmware::ALL));
        let ports = u8::try_from(1 + random.below(3)).unwrap_or(1);
        Self {
            macs: (0..ports).map(|port| mac.plus(port)).collect(),
            uuid: uuid(&mut random),
            seed,
            firmware,
            power: Power::Off,
            boots: 0,
            system_id: None,
            disk: Disk::Empty,
        }
    }

    /// The MAC address it boots from.
    pub fn mac(&self) -> Mac {
        self.macs.first().copied().unwrap_or(Mac::new([0; 6]))
    }
}

/// The address of the n-th machine that starts by itself. Ports of one machine differ in the last
/// octet only, so machines are eight apart.
pub(crate) fn nth_mac(seed: u64, n: u32) -> Mac {
    let [.., group] = combine(seed, 0x6d61_6373).to_be_bytes();
    let [_, a, b, c] = (n.wrapping_mul(8)).to_be_bytes();
    Mac::new([0x52, 0x54, group, a, b, c])
}

/// The firmware of the n-th machine: the three kinds in turn, starting where the seed says.
pub(crate) fn nth_firmware(seed: u64, n: u32) -> Firmware {
    match (seed % 3 + u64::from(n) % 3) % 3 {
        0 => Firmware::GrubUefiHttp,
        1 => Firmware::IpxeBios,
        _ => Firmware::Pxelinux,
    }
}

fn uuid(random: &mut Random) -> String {
    let (a, b) = (random.next(), random.next());
    // RFC 9562 version 4, variant 10.
    let a = (a & !0xf000) | 0x4000;
    let b = (b & !(0b11 << 62)) | (0b10 << 62);
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        a >> 32,
        (a >> 16) & 0xffff,
        a & 0xffff,
        b >> 48,
        b & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_thousand_machines_share_no_mac_address() {
        let mut seen = BTreeSet::new();
        for n in 0..1000 {
            let machine = MachineState::at(nth_mac(3, n), 3, Some(nth_firmware(3, n)));
            assert!(machine.macs.iter().all(|mac| seen.insert(*mac)));
        }
    }

    #[test]
    fn three_machines_have_the_three_kinds_of_firmware() {
        for seed in 0..9 {
            let kinds: BTreeSet<_> = (0..3).map(|n| nth_firmware(seed, n).to_string()).collect();
            assert_eq!(kinds.len(), 3);
        }
    }

    #[test]
    fn a_machine_survives_being_written_and_read() {
        let mac = "52:54:00:12:34:56".parse().unwrap();
        let mut machine = MachineState::at(mac, 1, None);
        machine.disk = Disk::Installed(Box::default());
        let text = serde_json::to_string(&machine).unwrap();
        let read: MachineState = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
        assert_eq!(MachineState::at(mac, 1, None).uuid, machine.uuid);
        assert_ne!(MachineState::at(mac, 2, None).uuid, machine.uuid);
    }
}
