//! The machine: firmware by hand, everything above it for real.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::Command;

use crate::api::encoded;
use crate::peers;
use crate::region::Region;

/// The longest boot; a good one takes five seconds.
const BOOT_LIMIT: Duration = Duration::from_secs(300);

/// A machine with its own disk and no memory of earlier boots but that.
pub(super) struct Machine {
    root: PathBuf,
    state: tempfile::TempDir,
    pub(super) mac: String,
    http: reqwest::Client,
    rack_url: String,
    boots: std::cell::Cell<u32>,
}

/// What the rack tells the boot loader.
#[derive(Debug)]
pub(super) enum BootScript {
    /// Nothing: 404.
    Unknown,
    /// Boot this kernel with this command line.
    Kernel { urls: Vec<String>, command_line: String },
    /// Boot from the local disk.
    LocalDisk,
}

/// A boot that has ended.
pub(super) struct Boot {
    logs: PathBuf,
}

/// Says why there is no machine, or fails when there has to be one.
fn skip(reason: &str) -> Option<Machine> {
    peers::skip(reason);
    None
}

fn harness() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("cloud_init")
}

async fn output(command: &mut Command) -> std::io::Result<Output> {
    command.stdin(Stdio::null()).kill_on_drop(true).output().await
}

/// The MAC address of the host's first port, which the machine has too: they share the network.
fn host_mac() -> Option<String> {
    let mut ports: Vec<PathBuf> = std::fs::read_dir("/sys/class/net")
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.file_name().is_some_and(|name| name != "lo"))
        .collect();
    ports.sort_by_key(|path| (!path.join("device").exists(), path.clone()));
    let mac = std::fs::read_to_string(ports.first()?.join("address")).ok()?;
    Some(mac.trim().to_owned())
}

impl Machine {
    /// A new machine, or nothing where it cannot be had.
    pub(super) async fn new(region: &Region) -> Option<Self> {
        let uid = output(Command::new("id").arg("-u")).await.ok()?;
        if uid.stdout.trim_ascii() != b"0" {
            return skip("the real cloud-init needs root");
        }
        for tool in ["debootstrap", "unshare", "setpriv"] {
            if output(Command::new(tool).arg("--version")).await.is_err() {
                return skip(&format!("the real cloud-init needs {tool}"));
            }
        }
        let Some(mac) = host_mac() else { return skip("this host has no network interface") };
        let built = output(&mut Command::new(harness().join("build-root"))).await.unwrap();
        if !built.status.success() {
            let error = String::from_utf8_lossy(&built.stderr);
            let end: Vec<&str> = error.lines().rev().take(3).collect();
            return skip(&format!("no Debian root could be built: {end:?}"));
        }
        let state = tempfile::tempdir().unwrap();
        std::fs::create_dir(state.path().join("disk")).unwrap();
        Some(Self {
            root: PathBuf::from(String::from_utf8(built.stdout).unwrap().trim()),
            state,
            mac,
            http: reqwest::Client::new(),
            rack_url: region.rack_url.clone(),
            boots: std::cell::Cell::new(0),
        })
    }

    pub(super) fn disk(&self) -> PathBuf {
        self.state.path().join("disk")
    }

    /// An empty disk in place of the present one.
    pub(super) fn replace_disk(&self) {
        std::fs::remove_dir_all(self.disk()).unwrap();
        std::fs::create_dir(self.disk()).unwrap();
    }

    /// Asks for the script of this machine as iPXE does, colons encoded.
    pub(super) async fn own_boot_script(&self) -> BootScript {
        self.boot_script(&format!("ipxe.cfg-{}", encoded(&self.mac))).await
    }

    /// Asks for the script of machines that are not known.
    pub(super) async fn default_boot_script(&self) -> BootScript {
        self.boot_script("ipxe.cfg-default-amd64").await
    }

    async fn boot_script(&self, path: &str) -> BootScript {
        let reply = self.http.get(format!("{}/{path}", self.rack_url)).send().await.unwrap();
        if reply.status() == 404 {
            return BootScript::Unknown;
        }
        assert_eq!(reply.status(), 200);
        let script = reply.text().await.unwrap();
        assert!(script.starts_with("#!ipxe\n"), "{script}");
        if script.contains("sanboot") {
            return BootScript::LocalDisk;
        }
        let mut urls = Vec::new();
        let mut command_line = None;
        for line in script.lines() {
            let words: Vec<&str> = line.trim().splitn(3, ' ').collect();
            match words.as_slice() {
                ["kernel" | "initrd", url, ..] => urls.push((*url).to_owned()),
                ["imgargs", _, rest] => command_line = Some((*rest).to_owned()),
                _ => {}
            }
        }
        let command_line = command_line
            .unwrap_or_else(|| panic!("no kernel command line in {script}"))
            .replace("${mac}", &self.mac);
        // The initrd's part: it fetches the root file system.
        urls.extend(
            command_line
                .split(' ')
                .filter_map(|word| word.strip_prefix("root=squash:"))
                .map(str::to_owned),
        );
        assert_eq!(urls.len(), 3, "kernel, initrd and squashfs: {script}");
        BootScript::Kernel { urls, command_line }
    }

    /// Boots the ephemeral system that a script names.
    pub(super) async fn boot_ephemeral(&self, script: BootScript) -> Boot {
        let BootScript::Kernel { urls, command_line } = script else {
            panic!("expected a kernel to boot, found {script:?}");
        };
        for url in urls {
            let reply = self.http.get(&url).send().await.unwrap();
            assert_eq!(reply.status(), 200, "{url}");
            assert!(!reply.bytes().await.unwrap().is_empty(), "{url}");
        }
        self.boot("ephemeral", &command_line).await
    }

    /// Boots what was installed.
    pub(super) async fn boot_installed(&self) -> Boot {
        self.boot("installed", "root=LABEL=root ro quiet").await
    }

    async fn boot(&self, mode: &str, command_line: &str) -> Boot {
        let number = self.boots.replace(self.boots.get() + 1);
        let logs = self.state.path().join(format!("boot-{number}"));
        std::fs::create_dir(&logs).unwrap();
        let mut command = Command::new(harness().join("boot"));
        command.arg(mode).arg(&self.root).arg(self.disk()).arg(&logs).arg(command_line);
        let boot = Boot { logs };
        let ended = tokio::time::timeout(BOOT_LIMIT, output(&mut command)).await;
        let ended = ended.unwrap_or_else(|_| panic!("the boot does not end: {}", boot.console()));
        let ended = ended.unwrap();
        let error = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(ended.status.success(), "{error}{}", boot.console());
        boot
    }

    /// Runs the MAAS datasource's own program in the root; gives its output.
    pub(super) async fn datasource(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("chroot");
        command
            .arg(&self.root)
            .args(["env", "PYTHONDONTWRITEBYTECODE=1", "python3", "-m"])
            .arg("cloudinit.sources.DataSourceMAAS")
            .args(arguments);
        tokio::time::timeout(BOOT_LIMIT, output(&mut command)).await.unwrap().unwrap()
    }
}

impl Boot {
    fn read(&self, name: &str) -> String {
        let bytes = std::fs::read(self.logs.join(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// What the machine did with its power: `poweroff`, `reboot` or `none`.
    pub(super) fn power(&self) -> String {
        self.read("power").trim().to_owned()
    }

    /// What was printed.
    pub(super) fn console(&self) -> String {
        self.read("stages")
    }

    /// Fails unless cloud-init found the MAAS datasource, had no errors, and could report all.
    pub(super) fn assert_clean(&self) {
        let result: serde_json::Value = serde_json::from_str(&self.read("result.json")).unwrap();
        let datasource = result["v1"]["datasource"].as_str().unwrap_or("none");
        assert!(datasource.starts_with("DataSourceMAAS"), "{datasource}\n{}", self.console());
        let errors = result["v1"]["errors"].as_array().unwrap();
        assert!(errors.is_empty(), "{errors:?}\n{}", self.console());
        let log = self.read("cloud-init.log");
        let lost: Vec<&str> =
            log.lines().filter(|line| line.contains("Failed posting event")).collect();
        assert!(lost.is_empty(), "{lost:#?}");
    }
}
