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

    /// The same page for people who have the repository and no documentation built.
    fn as_document(page: &str) -> String {
        let (title, body) = page.split_once(".\n").unwrap();
        let mut document = format!("# {title}\n");
        let mut in_code = false;
        for line in body.lines() {
            in_code ^= line.starts_with("```");
            if line.starts_with("# ") && !in_code {
                document.push('#');
            }
            document.push_str(line);
            document.push('\n');
        }
        document.push_str(CUSTOM);
        document
    }

    /// What the plan of a standard image does not show.
    const CUSTOM: &str = "
## 8. A custom image instead

`maas-server image pack ROOT image.tgz`, `image lint image.tgz` and `image upload … custom/NAME
amd64/generic image.tgz` bring an image of one's own in; `distro_series=custom/NAME` installs it.
The documents differ in this:

- The ephemeral OS is the base image's when that is a synchronised Ubuntu, else the commissioning
  OS: a custom image is never booted to install itself.
- `sources` names the image on the rack by its SHA-256, with curtin's type for its form (`tgz`,
  `dd-gz`…).
- A disk image keeps its own partitions, so `storage` is left out and curtin writes its files by
  `write_files`.
- The deployment is refused when the upload was found to be something else than declared, damaged,
  for another architecture, without a root file system or without cloud-init.
- Which datasource the installed cloud-init takes is decided and told: `datasource` in the preview.
  When packed configuration wins, the installed system never asks for its user data, and its
  report of `modules-final` takes that place. `datasource=metadata` forces the metadata service by
  a file that sorts last, `datasource=metadata-by-kernel` by `ci.ds=MAAS` on the installed kernel's
  command line, `datasource=packed` the packed configuration.

## 9. What an operator adds

- Pre-seed templates: files `DATA_DIR/preseeds/curtin_userdata[_OS[_ARCH[_SUBARCH[_SERIES[_HOSTNAME]]]]]`
  or the same names at `/MAAS/api/2.0/preseeds/`; the most specific one is merged over `curtin.yaml`,
  and the preview lists what it replaces. A mistake is refused with the template's name, the line
  and the variable.
- Hooks at `/MAAS/api/2.0/deployment-hooks/`: commands that curtin runs early or late on the
  machines of a pool, those with a tag, or one machine, in this order.

## 10. When it fails

`GET machines/SYSTEM_ID/?op=explain` gives the stages with their durations, the command that
failed with its exit code, the last lines of the log, and a hint where the cause is known; the
machine's `error_description` has the same in one sentence.
";

    #[test]
    fn the_document_in_the_repository_shows_the_same() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs");
        // A published crate has no repository around it.
        if !std::path::Path::new(folder).is_dir() {
            return;
        }
        let path = format!("{folder}/deployment.md");
        let document = as_document(&page());
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &document).unwrap();
        }
        let written = std::fs::read_to_string(&path).unwrap();
        assert!(
            written == document,
            "docs/deployment.md is not what the plan renders: run with UPDATE_GOLDEN=1"
        );
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
