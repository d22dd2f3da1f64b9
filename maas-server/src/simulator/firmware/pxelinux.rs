//! lpxelinux over HTTP: looks for its configuration by UUID, MAC address, IP address and default.

use std::net::Ipv4Addr;

use super::{BootAction, BootDisk, BootFailure, image, program, script};
use crate::simulator::boot::Boot;
use crate::simulator::client::Agent;

/// One `LABEL` of a configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Label {
    name: String,
    kernel: Option<String>,
    initrd: Option<String>,
    append: String,
    ipappend: u32,
    localboot: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Configuration {
    default: Option<String>,
    labels: Vec<Label>,
}

impl Configuration {
    fn parse(text: &str) -> Self {
        let mut found = Self::default();
        for line in text.lines() {
            let line = line.trim();
            let (keyword, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            let value = value.trim();
            match (keyword.to_ascii_uppercase().as_str(), found.labels.last_mut()) {
                ("DEFAULT", _) => found.default = Some(value.to_owned()),
                ("LABEL", _) => {
                    found.labels.push(Label { name: value.to_owned(), ..Label::default() });
                }
                ("KERNEL" | "LINUX" | "COM32", Some(label)) => {
                    label.kernel = Some(value.to_owned());
                }
                ("INITRD", Some(label)) => label.initrd = Some(value.to_owned()),
                ("APPEND", Some(label)) => label.append = value.to_owned(),
                ("IPAPPEND" | "SYSAPPEND", Some(label)) => {
                    label.ipappend = value.parse().unwrap_or_default();
                }
                ("LOCALBOOT", Some(label)) => label.localboot = true,
                _ => {}
            }
        }
        found
    }

    fn label(&self, name: &str) -> Option<&Label> {
        self.labels.iter().find(|label| label.name == name)
    }

    /// What is booted without anybody at the keyboard. `ifcpu64.c32 A -- B` picks A on a 64-bit
    /// processor, which every simulated machine has.
    fn chosen(&self) -> Option<&Label> {
        let mut label = match &self.default {
            Some(name) => self.label(name)?,
            None => self.labels.first()?,
        };
        // Each selection leads to another label; more steps than labels is a circle.
        for _ in 0..self.labels.len() {
            if !label.kernel.as_deref().is_some_and(|kernel| kernel.ends_with("ifcpu64.c32")) {
                return Some(label);
            }
            label = self.label(label.append.split_whitespace().next()?)?;
        }
        None
    }
}

/// The names under `pxelinux.cfg/` in the order in which pxelinux tries them.
fn candidates(uuid: &str, mac: &str, address: Ipv4Addr) -> Vec<String> {
    let mut names = vec![uuid.to_owned(), format!("01-{mac}")];
    let hexadecimal = format!("{:08X}", u32::from(address));
    names.extend((1..=8).rev().map(|length| hexadecimal[..length].to_owned()));
    names.push("default".to_owned());
    names
}

pub(super) async fn netboot(boot: &Boot, disk: BootDisk) -> Result<BootAction, BootFailure> {
    let at = |path: &str| {
        boot.shared
            .rack
            .join(path)
            .map_err(|_| BootFailure::Again(format!("pxelinux cannot find {path:?}")))
    };
    for name in ["/images/lpxelinux.0", "/images/ldlinux.c32"] {
        program(boot, Agent::Pxelinux, &at(name)?).await;
    }
    // The machine's own address is not known here; any private one is looked up the same way.
    let address = Ipv4Addr::new(10, 0, 0, boot.mac.octets()[5]);
    for name in candidates(&boot.uuid(), &boot.mac.dashes(), address) {
        let text = match script(boot, Agent::Pxelinux, &at(&format!("/pxelinux.cfg/{name}"))?).await
        {
            Ok(text) => text,
            Err(error) if error.status() == Some(404) => continue,
            Err(error) => return Err(error.into()),
        };
        let configuration = Configuration::parse(&text);
        let label = configuration.chosen().ok_or_else(|| {
            BootFailure::Again(format!("pxelinux.cfg/{name} has no label to boot"))
        })?;
        let kernel = label.kernel.as_deref().unwrap_or_default();
        if label.localboot || kernel.ends_with("chain.c32") {
            return disk.boot();
        }
        if kernel.ends_with("poweroff.c32") || kernel.ends_with("poweroff.com") {
            return Ok(BootAction::PowerOff);
        }
        if kernel.is_empty() {
            return Err(BootFailure::Again(format!("pxelinux.cfg/{name} names no kernel")));
        }
        image(boot, Agent::Pxelinux, &at(kernel)?, "kernel").await?;
        let in_append = label.append.split_whitespace().find_map(|w| w.strip_prefix("initrd="));
        if let Some(initrd) = label.initrd.as_deref().or(in_append) {
            for path in initrd.split(',') {
                image(boot, Agent::Pxelinux, &at(path)?, "initrd").await?;
            }
        }
        let mut line = label.append.clone();
        if label.ipappend & 2 != 0 {
            line = format!("{line} BOOTIF=01-{}", boot.mac.dashes());
        }
        return Ok(BootAction::Kernel(line));
    }
    Err(BootFailure::Again("no pxelinux configuration, not even default".to_owned()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_ephemeral_configuration_is_read() {
        let read = Configuration::parse(
            "DEFAULT execute\n\nLABEL execute\n  SAY Booting under MAAS direction...\n  \
             SAY KERNEL is not this\n  KERNEL http://r:5248/images/k\n  INITRD http://r:5248/images/i\n  \
             APPEND nomodeset cc:{'a': ['B']}end_cc\n  IPAPPEND 2\n",
        );
        let label = read.chosen().unwrap();
        assert_eq!(label.kernel.as_deref(), Some("http://r:5248/images/k"));
        assert_eq!(label.initrd.as_deref(), Some("http://r:5248/images/i"));
        assert_eq!(label.append, "nomodeset cc:{'a': ['B']}end_cc");
        assert_eq!(label.ipappend, 2);
    }

    #[test]
    fn a_64_bit_machine_follows_ifcpu64_and_a_circle_ends() {
        let read = Configuration::parse(
            "default select\nlabel select\n kernel ifcpu64.c32\n append amd64 -- i386\n\
             label amd64\n kernel k\nlabel i386\n kernel j\n",
        );
        assert_eq!(read.chosen().unwrap().name, "amd64");
        let circle = Configuration::parse("label a\n kernel ifcpu64.c32\n append a -- a\n");
        assert_eq!(circle.chosen(), None);
    }

    #[test]
    fn local_boot_is_seen_in_both_spellings() {
        let chain = Configuration::parse(
            "DEFAULT local\nLABEL local\n  SAY Booting local disk ...\n  KERNEL chain.c32\n  APPEND hd0\n",
        );
        assert!(chain.chosen().unwrap().kernel.as_deref().unwrap().ends_with("chain.c32"));
        let local = Configuration::parse("DEFAULT local\nLABEL local\n LOCALBOOT 0\n");
        assert!(local.chosen().unwrap().localboot);
    }

    #[test]
    fn files_are_tried_in_the_order_of_pxelinux() {
        let names = candidates("u-u", "52-54-00-00-00-01", Ipv4Addr::new(10, 0, 0, 1));
        assert_eq!(names[..4], ["u-u", "01-52-54-00-00-00-01", "0A000001", "0A00000"]);
        assert_eq!(names.last().unwrap(), "default");
    }

    proptest! {
        #[test]
        fn any_configuration_is_read_without_panic(
            text in "(LABEL |DEFAULT |KERNEL |APPEND |ifcpu64.c32|IPAPPEND |\n|[ a-zé0-9]){0,40}"
        ) {
            let _ = Configuration::parse(&text).chosen();
        }
    }
}
