#![doc = include_str!("guide.md")]

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use crate::deploy::plan::tests::sample;

    /// The page: each artefact of the plan that the other tests use, after what it is for.
    fn page() -> String {
        let plan = sample();
        let mut page = String::from(
            "A deployment through its documents.\n\n\
             This page is written by a test from a real plan: Ubuntu on a UEFI machine with one \
             disk of 20 GiB, DHCP, user data and one SSH key. `UPDATE_GOLDEN=1 cargo test -p \
             maas-core guide` writes it anew.\n\n\
             Everything below is decided by `DeploymentPlan::new` before the machine is powered. \
             The rack and the metadata service only hand out what the plan holds.\n",
        );
        let mut section = |title: &str, text: &str, names: &[&str]| {
            page.push_str(&format!("\n# {title}\n\n{text}\n"));
            for name in names {
                let artefact = plan.artefact(name).unwrap();
                let language = match artefact.content_type.split(';').next().unwrap() {
                    "application/x-yaml" => "yaml",
                    "application/json" => "json",
                    _ => "text",
                };
                let content = artefact.text().unwrap();
                page.push_str(&format!(
                    "\n`{name}`\n\n```{language}\n{}\n```\n",
                    content.trim_end()
                ));
            }
        };
        section(
            "1. The firmware asks, and boots the ephemeral OS",
            "DHCP sends the firmware to the rack; its boot loader asks for a configuration by \
             the MAC address. iPXE, GRUB and pxelinux each get the same decision in their own \
             language: a kernel, an initial RAM disk, and a command line. The long first part of \
             each image's path is the SHA-256 of the file.",
            &["ipxe.cfg", "grub.cfg", "pxelinux.cfg"],
        );
        section(
            "2. The kernel command line",
            "`root=squash:` is the ephemeral root file system, `ip=` the network while it is \
             fetched, `cc:` the only datasource that cloud-init may take, `cloud-config-url` the \
             pre-seed. What would come after `---` is kept by the installed system.",
            &["cmdline"],
        );
        section(
            "3. The pre-seed of the ephemeral OS",
            "cloud-init in the ephemeral OS fetches it without credentials and finds its own \
             credentials in it. `metadata_url` ends in `curtin`, so that asking for user data does \
             not yet mean that the installed system is up. At the end it reboots.",
            &["preseed.yaml"],
        );
        section(
            "4. curtin",
            "The ephemeral OS runs the installer (`curtin-installer`), a shell script with these \
             files in its payload. curtin merges them in the order of their names; this is the \
             result. `sources` is the root that the ephemeral OS itself runs from, so nothing is \
             fetched twice. The last command switches the netboot off.",
            &["curtin.yaml"],
        );
        section(
            "5. The network of the installed system",
            "Below `network` in curtin's configuration, here on its own. Nobody configured a \
             network, so it is DHCP on the boot interface.",
            &["network-target.yaml"],
        );
        section(
            "6. The installed system asks for what is its own",
            "After the reboot the firmware asks again and is sent to the local disk. cloud-init \
             in the installed system takes the datasource that curtin wrote, and asks the \
             metadata service, through the rack, for these. When it asks for the user data the \
             machine is Deployed.",
            &["meta-data", "vendor-data", "user-data"],
        );
        section(
            "7. The manifest",
            "Every document with its digest, and the digest of the whole plan, which the machine \
             keeps.",
            &["manifest.json"],
        );
        page
    }

    #[test]
    fn the_guide_shows_what_a_plan_renders() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/deploy/guide.md");
        let page = page();
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(path, &page).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap();
        assert!(
            written == page,
            "the guide is not what the plan renders: run with UPDATE_GOLDEN=1 to write the page anew"
        );
    }
}
