//! A region with its rack in this process, with the images of one Ubuntu release.

use std::time::SystemTime;

use base64::Engine;
use maas_core::machine::Role;
use maas_core::secret::Secret;
use maas_server::accounts;
use maas_server::config::Config;
use maas_server::server::Server;
use maas_simplestreams::date::Timestamp;
use maas_simplestreams::publish::{Content, NewItem, NewProduct, NewVersion, Signing, Stream};
use maas_simplestreams::sign::SigningKey;

use super::api::Api;

const SERIAL: &str = "20260101";

/// Where a running region with its rack is, and a key to it.
#[derive(Debug, Clone)]
pub(crate) struct Region {
    /// Without the path, e.g. `http://127.0.0.1:5240`.
    pub(crate) region_url: String,
    /// Without the path, e.g. `http://127.0.0.1:5248`.
    pub(crate) rack_url: String,
    /// An administrator's key: consumer key, token key and token secret with colons between.
    pub(crate) api_key: String,
}

/// The administrator of every region that the tests start.
pub(crate) const ADMIN: &str = "admin";

/// The administrator's password.
pub(crate) const PASSWORD: &str = "the admin's password";

/// A region that ends with the test.
pub(crate) struct Running {
    server: Server,
    pub(crate) region: Region,
    _state: tempfile::TempDir,
}

impl Running {
    pub(crate) async fn start() -> Self {
        let state = tempfile::tempdir().unwrap();
        let mirror = state.path().join("mirror");
        let now = Timestamp::from(SystemTime::now());
        let key = SigningKey::generate("Test mirror <mirror@example.com>", now).unwrap();
        Stream::new(now)
            .content(images())
            .write(&mirror, Signing::Signed { key: &key, at: now })
            .unwrap();

        let mut config = Config::default();
        config.data_dir = state.path().join("server");
        config.region_listen = "127.0.0.1:0".parse().unwrap();
        config.rack_listen = "127.0.0.1:0".parse().unwrap();
        config.boot_source_url = None;
        config.sync_interval = None;
        let server = Server::start(config).await.unwrap();
        let store = server.store();
        let password = Secret::new(PASSWORD.to_owned());
        accounts::create(store, ADMIN, "admin@example.com", Role::Admin, &password).await.unwrap();
        let key_of_admin = accounts::first_api_key(store, ADMIN).await.unwrap();
        let region = Region {
            region_url: server.region_url(),
            rack_url: server.rack_url(),
            api_key: accounts::api_key_text(&key_of_admin),
        };

        let api = Api::new(&region);
        let keyring = key.public_keyring().unwrap();
        let keyring = base64::engine::general_purpose::STANDARD.encode(keyring);
        let url = format!("file://{}/", mirror.display());
        let source = api
            .post("boot-sources/", &[("url", url.as_str()), ("keyring_data", keyring.as_str())])
            .await;
        let selections = format!("boot-sources/{}/selections/", source["id"]);
        let wanted = [
            ("os", "ubuntu"),
            ("release", "noble"),
            ("arches", "amd64"),
            ("subarches", "*"),
            ("labels", "*"),
        ];
        api.post(&selections, &wanted).await;
        server.synchronise(&()).await.unwrap();
        Self { server, region, _state: state }
    }

    pub(crate) async fn stop(self) {
        self.server.shutdown().await;
    }
}

/// One release with one kernel. The contents are made up: the machine's root is a Debian one.
fn images() -> Content {
    let folder = format!("noble/amd64/{SERIAL}");
    let mut version = NewVersion::new(SERIAL);
    for (name, path) in [
        ("boot-kernel", "ga-24.04/generic/boot-kernel"),
        ("boot-initrd", "ga-24.04/generic/boot-initrd"),
        ("squashfs", "squashfs"),
        ("manifest", "squashfs.manifest"),
    ] {
        let content = name.repeat(1000).into_bytes();
        let mut item = NewItem::from_bytes(format!("{folder}/{path}"), content).tag("ftype", name);
        if name.starts_with("boot-") {
            item = item.tag("kpackage", "linux-generic");
        }
        version = version.item(name, item);
    }
    let mut product = NewProduct::new("com.ubuntu.maas.stable:v3:boot:24.04:amd64:ga-24.04");
    for (tag, value) in [
        ("arch", "amd64"),
        ("kflavor", "generic"),
        ("krel", "noble"),
        ("label", "stable"),
        ("os", "ubuntu"),
        ("release", "noble"),
        ("release_codename", "Noble Numbat"),
        ("release_title", "24.04 LTS"),
        ("subarch", "ga-24.04"),
        ("subarches", "generic,ga-24.04"),
        ("support_eol", "2029-05-31"),
        ("version", "24.04"),
    ] {
        product = product.tag(tag, value);
    }
    Content::new("com.ubuntu.maas:stable:v3:download", "image-ids")
        .product(product.version(version))
}
