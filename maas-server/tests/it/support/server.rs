//! A whole server in this process, with images where a test needs them.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use maas_core::commission::resources;
use maas_core::id::SystemId;
use maas_core::machine::{Machine, NewMachine, Role, Status};
use maas_core::secret::Secret;
use maas_server::config::Config;
use maas_server::server::Server;
use maas_server::store::{self, ApiKey, MachineFilter, RecordFilter, StoredRecord};
use maas_server::{accounts, clock, entropy};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::client::{Answer, Call, Key};
use super::{copy_folder, program};

/// A server that listens on ports of its own and ends with the test.
pub(crate) struct Running {
    pub(crate) region: SocketAddr,
    pub(crate) rack: SocketAddr,
    /// An administrator's key.
    pub(crate) admin: Key,
    pub(crate) runtime: Arc<Runtime>,
    server: Option<Server>,
    config: Config,
    _dir: TempDir,
}

impl Running {
    /// With an empty database and no images.
    pub(crate) fn empty() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self::start(dir, |_| {})
    }

    /// With the images of a finished demo; `change` may set other things.
    pub(crate) fn with_images(change: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        copy_folder(&demo_folder().join("server"), dir.path());
        let running = Self::start(dir, change);
        // The demo's own machine would be in the way; its power switch is gone with the demo.
        for machine in running.machines() {
            let path = format!("/MAAS/api/2.0/machines/{}/", machine.system_id);
            Call::new("DELETE", path).signed(&running.admin).send(running.region).ok();
        }
        running
    }

    fn start(dir: TempDir, change: impl FnOnce(&mut Config)) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let mut config = Config::default();
        config.data_dir = dir.path().to_owned();
        config.region_listen = SocketAddr::from(([127, 0, 0, 1], 0));
        config.rack_listen = SocketAddr::from(([127, 0, 0, 1], 0));
        config.boot_source_url = None;
        config.sync_interval = None;
        change(&mut config);
        let server = runtime.block_on(Server::start(config.clone())).unwrap();
        config.region_listen = server.region_address();
        config.rack_listen = server.rack_address();
        let mut running = Self {
            region: server.region_address(),
            rack: server.rack_address(),
            admin: Key { consumer: String::new(), token: String::new(), secret: String::new() },
            runtime: Arc::new(runtime),
            server: Some(server),
            config,
            _dir: dir,
        };
        running.admin = running.user("root", Role::Admin);
        running
    }

    pub(crate) fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    /// Does something while the server is down; it comes back on the same ports with the same data.
    pub(crate) fn while_down<T>(&mut self, work: impl FnOnce() -> T) -> T {
        if let Some(server) = self.server.take() {
            self.runtime.block_on(server.shutdown());
        }
        let done = work();
        let start = Server::start(self.config.clone());
        self.server = Some(self.runtime.block_on(start).unwrap());
        done
    }

    /// Adds a user and gives the API key.
    pub(crate) fn user(&self, name: &str, role: Role) -> Key {
        let password = Secret::new(entropy::letters_and_digits(20).unwrap());
        self.runtime.block_on(async {
            let store = self.server().store();
            accounts::create(store, name, "", role, &password).await.unwrap();
            key(&accounts::first_api_key(store, name).await.unwrap())
        })
    }

    /// Adds a machine through the store; its status is what `change` makes of it.
    pub(crate) fn add_machine(&self, change: impl FnOnce(&mut Machine)) -> Machine {
        let id = entropy::system_id().unwrap();
        let told = NewMachine::new(
            id.clone(),
            format!("m-{id}"),
            "amd64/generic",
            entropy::node_credentials().unwrap(),
        );
        let mut machine = Machine::added(told, clock::now()).unwrap();
        change(&mut machine);
        let new = store::NewMachine::new(machine);
        self.runtime.block_on(self.server().store().add(new)).unwrap()
    }

    /// Adds a machine that is ready for anybody, with known hardware.
    pub(crate) fn add_ready_machine(&self, cpus: u32) -> Machine {
        self.add_machine(|machine| {
            machine.status = Status::Ready;
            machine.previous_status = Status::Commissioning;
            machine.hardware.cpu_count = cpus;
            machine.hardware.memory = 4096;
        })
    }

    /// The machine as it is stored.
    pub(crate) fn machine(&self, id: &SystemId) -> Machine {
        let stored = self.runtime.block_on(self.server().store().machine(id));
        Machine::clone(&stored.unwrap().unwrap())
    }

    pub(crate) fn machines(&self) -> Vec<Machine> {
        let all = MachineFilter::all();
        self.runtime.block_on(self.server().store().machines(&all)).unwrap()
    }

    /// Everything that the history says of all machines.
    pub(crate) fn records(&self) -> Vec<StoredRecord> {
        let all = RecordFilter::default();
        self.runtime.block_on(self.server().store().records(&all)).unwrap()
    }

    /// A call of the administrator at the API; `path` is relative to it.
    #[track_caller]
    pub(crate) fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        Call::post(format!("/MAAS/api/2.0/{path}"), fields).signed(&self.admin).send(self.region)
    }

    /// What the administrator reads at the API.
    #[track_caller]
    pub(crate) fn read(&self, path: &str) -> Value {
        let call = Call::get(format!("/MAAS/api/2.0/{path}")).signed(&self.admin);
        call.send(self.region).ok().json()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            self.runtime.block_on(server.shutdown());
        }
    }
}

/// A stored key as a client has it.
pub(crate) fn key(key: &ApiKey) -> Key {
    Key::parse(&accounts::api_key_text(key))
}

/// A machine's own credentials.
pub(crate) fn node_key(machine: &Machine) -> Key {
    Key {
        consumer: machine.credentials.consumer_key.clone(),
        token: machine.credentials.token_key.clone(),
        secret: machine.credentials.token_secret.expose().clone(),
    }
}

/// The data directory of a demo that ran to its end, made once for all tests.
pub(crate) fn demo_folder() -> &'static Path {
    static DEMO: OnceLock<(TempDir, Duration)> = OnceLock::new();
    DEMO.get_or_init(finished_demo).0.path()
}

fn finished_demo() -> (TempDir, Duration) {
    let dir = tempfile::tempdir().unwrap();
    let took = program::whole_demo(dir.path());
    (dir, took)
}

/// A resources document as our own program prints it, for a machine with this MAC address.
pub(crate) fn resources_document(mac: &str) -> Vec<u8> {
    let document = serde_json::json!({
        "api_extensions": ["resources", "resources_v2", "api_os",
            "resources_system", "resources_usb_pci"], "api_version": "1.0",
        "environment": {"kernel_architecture": "x86_64", "server_name": "sim"},
        "networks": {},
        "resources": {
            "cpu": {"architecture": "x86_64", "total": 4, "sockets": []},
            "memory": {"total": 4_294_967_296_u64, "used": 0},
            "network": {"total": 1, "cards": [{"driver": "virtio_net", "ports": [
                {"id": "eth0", "address": mac, "port": 0, "link_detected": true}]}]},
            "storage": {"total": 1, "disks": []},
            "system": {"uuid": "b1d3aa11-4c26-4a4c-9d0b-000000000001"}
        }
    });
    let bytes = serde_json::to_vec(&document).unwrap();
    resources::parse(&bytes).expect("the test's own document can be read");
    bytes
}
