//! The demo's mirror: a signed stream in the very shape of ephemeral-v3, served over HTTP.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use maas_simplestreams::date::Timestamp;
use maas_simplestreams::publish::{Content, NewItem, NewProduct, NewVersion, Signing, Stream};
use maas_simplestreams::sign::SigningKey;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::artefacts::write_atomically;
use super::files;
use super::timeline::{Party, Timeline};
use crate::clock;
use crate::commands::Failure;
use crate::http::{
    Access, Api, ApiTitle, Authenticator, Caller, FileContent, Identified, Limits, Listener,
    Problem, Reply, Request, ServeOptions, get,
};

/// The label and the serial of what is published.
const LABEL: &str = "stable";
const SERIAL: &str = "20261122";

/// A published tree and the key that vouches for it.
#[derive(Debug)]
pub(super) struct Mirror {
    root: PathBuf,
    keyring: Vec<u8>,
    server: Mutex<Option<JoinHandle<()>>>,
}

impl Mirror {
    /// What an earlier run published, or a new key and a new stream.
    pub(super) async fn open(dir: &Path, timeline: &Timeline) -> Result<Self, Failure> {
        let root = dir.join("mirror");
        let keyring_file = dir.join("mirror-keyring.gpg");
        let keyring = match std::fs::read(&keyring_file) {
            Ok(keyring) => {
                timeline.step(Party::Mirror, "goes on", "with what it published before");
                keyring
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let to = root.clone();
                let (keyring, fingerprint) =
                    tokio::task::spawn_blocking(move || publish(&to)).await??;
                // Last: a keyring means that the tree is complete.
                write_atomically(&keyring_file, &keyring)?;
                timeline.step(Party::Mirror, "makes a key", &fingerprint);
                timeline.step(
                    Party::Mirror,
                    "publishes",
                    "com.ubuntu.maas:stable:v3:download and …:1:bootloader-download, signed",
                );
                keyring
            }
            Err(error) => return Err(error.into()),
        };
        Ok(Self { root, keyring, server: Mutex::new(None) })
    }

    /// The public keyring.
    pub(super) fn keyring(&self) -> &[u8] {
        &self.keyring
    }

    /// Serves the tree and returns its URL.
    pub(super) async fn serve(
        &self,
        port: u16,
        stop: CancellationToken,
    ) -> Result<String, Failure> {
        let listener = Listener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
        let url = format!("http://{}/ephemeral-v3/stable/", listener.address());
        let rows = vec![
            get("Mirror", "/ephemeral-v3/stable/{*path}", "A file of the mirror.", file)
                .access(Access::Anonymous),
        ];
        let title = ApiTitle {
            title: "Mirror".to_owned(),
            version: "1".to_owned(),
            doc: "A simplestreams mirror.".to_owned(),
        };
        let state = Arc::new(Root(self.root.clone()));
        let api = Arc::new(Api::new(state, rows, Nobody, title, Limits::default())?);
        let task = tokio::spawn(listener.serve(api, ServeOptions::default(), stop));
        *self.server.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
        Ok(url)
    }

    /// Waits for the server's end.
    pub(super) async fn stopped(&self) {
        let task = self.server.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task
            && let Err(error) = task.await
        {
            tracing::error!(error = %error, "the mirror ended badly");
        }
    }
}

/// The tree's root.
#[derive(Debug)]
struct Root(PathBuf);

/// A mirror knows no users.
struct Nobody;

impl Authenticator<Root> for Nobody {
    fn identify<'a>(&'a self, _: &'a Root, _: &'a Request, _: Access) -> Identified<'a> {
        Box::pin(async { Ok(Caller::Anonymous) })
    }
}

async fn file(root: Arc<Root>, request: Request) -> Result<Reply, Problem> {
    let relative = Path::new(request.param("path"));
    if !relative.components().all(|part| matches!(part, Component::Normal(_))) {
        return Err(Problem::not_found("Not Found"));
    }
    let content = FileContent::open(&root.0.join(relative), None).await?;
    Ok(content.reply(request.headers()))
}

/// Makes a key, builds the stream and signs it; the tree appears as a whole.
fn publish(root: &Path) -> Result<(Vec<u8>, String), Failure> {
    let now = Timestamp::from_seconds(clock::now().seconds());
    let key = SigningKey::generate("Demo mirror <demo@example.com>", now)?;
    let unfinished = root.with_extension("unfinished");
    if unfinished.exists() {
        std::fs::remove_dir_all(&unfinished)?;
    }
    Stream::new(now)
        .content(images())
        .content(bootloaders()?)
        .write(&unfinished, Signing::Signed { key: &key, at: now })?;
    if root.exists() {
        std::fs::remove_dir_all(root)?;
    }
    std::fs::rename(&unfinished, root)?;
    let fingerprint = key.fingerprint().map(|print| print.to_string()).unwrap_or_default();
    Ok((key.public_keyring()?, fingerprint))
}

/// Ubuntu 24.04 for amd64 with two kernels that share one root file system.
fn images() -> Content {
    let mut content = Content::new("com.ubuntu.maas:stable:v3:download", "image-ids");
    let squashfs = bytes::Bytes::from(files::squashfs(1));
    let manifest = bytes::Bytes::from(files::manifest());
    for (seed, subarch, kpackage) in
        [(10, "ga-24.04", "linux-generic"), (20, "hwe-24.04", "linux-generic-hwe-24.04")]
    {
        let folder = format!("noble/amd64/{SERIAL}");
        let kernel = format!("{folder}/{subarch}/generic");
        let item = |path: String, content: bytes::Bytes, ftype: &str| {
            NewItem::from_bytes(path, content).tag("ftype", ftype)
        };
        let version = NewVersion::new(SERIAL)
            .item(
                "boot-kernel",
                item(format!("{kernel}/boot-kernel"), files::kernel(seed).into(), "boot-kernel")
                    .tag("kpackage", kpackage),
            )
            .item(
                "boot-initrd",
                item(
                    format!("{kernel}/boot-initrd"),
                    files::initrd(seed + 1).into(),
                    "boot-initrd",
                )
                .tag("kpackage", kpackage),
            )
            .item("squashfs", item(format!("{folder}/squashfs"), squashfs.clone(), "squashfs"))
            .item(
                "manifest",
                item(format!("{folder}/squashfs.manifest"), manifest.clone(), "manifest"),
            );
        let subarches = if subarch.starts_with("ga") {
            "generic,hwe-p,ga-16.04,ga-18.04,ga-20.04,ga-22.04,ga-24.04"
        } else {
            "generic,hwe-p,ga-16.04,ga-18.04,ga-20.04,ga-22.04,ga-24.04,hwe-24.04"
        };
        let name = format!("com.ubuntu.maas.stable:v3:boot:24.04:amd64:{subarch}");
        let mut product = NewProduct::new(name);
        for (tag, value) in [
            ("arch", "amd64"),
            ("kflavor", "generic"),
            ("krel", "noble"),
            ("label", LABEL),
            ("os", "ubuntu"),
            ("release", "noble"),
            ("release_codename", "Noble Numbat"),
            ("release_title", "24.04 LTS"),
            ("subarch", subarch),
            ("subarches", subarches),
            ("support_eol", "2029-05-31"),
            ("support_esm_eol", "2034-04-25"),
            ("version", "24.04"),
        ] {
            product = product.tag(tag, value);
        }
        content = content.product(product.version(version));
    }
    content
}

/// Boot loaders for UEFI and BIOS.
fn bootloaders() -> Result<Content, Failure> {
    let mut content = Content::new("com.ubuntu.maas:stable:1:bootloader-download", "image-ids");
    let syslinux =
        ["pxelinux.0", "lpxelinux.0", "ldlinux.c32", "chain.c32", "libcom32.c32", "libutil.c32"];
    for (seed, os, kind, arch, package, members) in [
        (
            30,
            "grub-efi-signed",
            "uefi",
            "amd64",
            "shim-signed",
            ["bootx64.efi", "mmx64.efi"].as_slice(),
        ),
        (40, "pxelinux", "pxe", "i386", "syslinux", syslinux.as_slice()),
    ] {
        let mut version = NewVersion::new(format!("{SERIAL}.0"));
        let folder = format!("bootloaders/{kind}/{arch}/{SERIAL}.0");
        let mut packages = vec![(package, files::bootloader(seed, members)?)];
        if kind == "uefi" {
            packages.push(("grub2-signed", files::bootloader(seed + 5, &["grubx64.efi"])?));
        }
        for (package, archive) in packages {
            let item = NewItem::from_bytes(format!("{folder}/{package}.tar.xz"), archive)
                .tag("ftype", "archive.tar.xz")
                .tag("src_package", package)
                .tag("src_release", "noble")
                .tag("src_version", "1");
            version = version.item(package, item);
        }
        let mut product = NewProduct::new(format!("com.ubuntu.maas.stable:1:{os}:{kind}:{arch}"));
        for (tag, value) in [
            ("arch", arch),
            ("arches", arch),
            ("bootloader-type", kind),
            ("label", LABEL),
            ("os", os),
        ] {
            product = product.tag(tag, value);
        }
        content = content.product(product.version(version));
    }
    Ok(content)
}
