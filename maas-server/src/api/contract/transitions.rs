//! 23 × 23: whatever is sent over HTTP, by users and by machines, a status goes only where the
//! table of transitions lets it go (`api.md` §1.2).

use std::collections::BTreeSet;

use ::http::header;
use http_body_util::{BodyExt, Full};
use maas_core::machine::{Machine, Status};
use proptest::prelude::*;

use super::World;
use crate::clock;
use crate::http::{Api, Connection};
use crate::region::Region;

/// What users send to one machine: the operation and its form.
const COMMANDS: [(&str, &[(&str, &str)]); 22] = [
    ("commission", &[]),
    ("commission", &[("testing_scripts", "none"), ("enable_ssh", "1")]),
    ("test", &[]),
    ("test", &[("testing_scripts", "none")]),
    ("deploy", &[]),
    ("release", &[]),
    ("release", &[("erase", "true")]),
    ("release", &[("erase", "true"), ("quick_erase", "true")]),
    ("abort", &[]),
    ("mark_broken", &[("comment", "smoke")]),
    ("mark_fixed", &[]),
    ("override_failed_testing", &[]),
    ("rescue_mode", &[]),
    ("exit_rescue_mode", &[]),
    ("lock", &[]),
    ("unlock", &[]),
    ("power_on", &[]),
    ("power_off", &[("stop_mode", "soft")]),
    ("set_storage_layout", &[("storage_layout", "flat")]),
    ("restore_default_configuration", &[]),
    ("clear_default_gateways", &[]),
    ("set_workload_annotations", &[("k", "v")]),
];

/// The words of a machine's signals.
const SIGNALS: [&str; 10] = [
    "OK",
    "FAILED",
    "WORKING",
    "COMMISSIONING",
    "TESTING",
    "TIMEDOUT",
    "INSTALLING",
    "APPLYING_NETCONF",
    "RELEASING",
    "DEPLOYING",
];

/// The events of cloud-init and curtin: kind, name, result.
const EVENTS: [(&str, &str, &str); 6] = [
    ("finish", "cmd-install", "FAIL"),
    ("finish", "cmd-install", "SUCCESS"),
    ("start", "cmd-install/stage-early", ""),
    ("finish", "modules-final", "SUCCESS"),
    ("finish", "modules-final", "FAIL"),
    ("finish", "init-network", "FAIL"),
];

/// One call.
#[derive(Debug, Clone, Copy)]
enum Call {
    Command(usize),
    Signal(usize),
    Event(usize),
    /// The installed system asks for its user data.
    UserData,
    NetbootOff,
    QueryPower,
    AllocateThis,
    ReleaseThis,
    AcceptThis,
}

impl Call {
    fn all() -> Vec<Self> {
        let commands = (0..COMMANDS.len()).map(Self::Command);
        let signals = (0..SIGNALS.len()).map(Self::Signal);
        let events = (0..EVENTS.len()).map(Self::Event);
        let others = [
            Self::UserData,
            Self::NetbootOff,
            Self::QueryPower,
            Self::AllocateThis,
            Self::ReleaseThis,
            Self::AcceptThis,
        ];
        commands.chain(signals).chain(events).chain(others).collect()
    }
}

/// Users' and machines' routes over one store.
struct Wire {
    world: World,
    nodes: Api<Region>,
}

impl Wire {
    async fn new() -> Self {
        let world = World::new().await;
        let nodes = super::api(&world.region, crate::metadata::operations());
        Self { world, nodes }
    }

    /// Sends one call as whoever sends such calls; returns the status code.
    async fn send(&self, call: Call, machine: &Machine) -> u16 {
        let id = machine.system_id.as_str();
        let post = async |path: &str, form: &[(&str, &str)]| {
            self.world.call("root", "POST", path, form).await.status.as_u16()
        };
        match call {
            Call::Command(at) => {
                let (op, form) = COMMANDS[at];
                post(&format!("machines/{id}/?op={op}"), form).await
            }
            Call::AllocateThis => post("machines/?op=allocate", &[("system_id", id)]).await,
            Call::ReleaseThis => post("machines/?op=release", &[("machines", id)]).await,
            Call::AcceptThis => post("machines/?op=accept", &[("machines", id)]).await,
            Call::QueryPower => {
                let path = format!("machines/{id}/?op=query_power_state");
                self.world.get(&path).await.status.as_u16()
            }
            Call::Signal(at) => {
                let form = format!("op=signal&status={}&error=e", SIGNALS[at]);
                let path = "/MAAS/metadata/2012-03-01/";
                self.node(machine, "POST", path, &form, "application/x-www-form-urlencoded").await
            }
            Call::Event(at) => {
                let (kind, name, result) = EVENTS[at];
                let event = serde_json::json!({
                    "event_type": kind, "origin": "curtin", "name": name, "description": "d",
                    "timestamp": clock::now().seconds(), "result": result,
                });
                let path = format!("/MAAS/metadata/status/{id}");
                self.node(machine, "POST", &path, &event.to_string(), "application/json").await
            }
            Call::UserData => {
                self.node(machine, "GET", "/MAAS/metadata/2012-03-01/user-data", "", "").await
            }
            Call::NetbootOff => {
                let (path, form) = ("/MAAS/metadata/2012-03-01/", "op=netboot_off");
                self.node(machine, "POST", path, form, "application/x-www-form-urlencoded").await
            }
        }
    }

    /// A call of the machine itself, with the credentials that it has now.
    async fn node(
        &self,
        machine: &Machine,
        method: &str,
        path: &str,
        body: &str,
        media_type: &str,
    ) -> u16 {
        let keys = self.world.stored(machine).await.credentials;
        static COUNT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let nonce = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let signed = format!(
            "OAuth oauth_version=\"1.0\", oauth_signature_method=\"PLAINTEXT\", \
             oauth_consumer_key=\"{}\", oauth_token=\"{}\", oauth_signature=\"%26{}\", \
             oauth_nonce=\"t{nonce}\", oauth_timestamp=\"{}\"",
            keys.consumer_key,
            keys.token_key,
            keys.token_secret.expose(),
            clock::now().seconds(),
        );
        let request = ::http::Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, signed)
            .header(header::CONTENT_TYPE, media_type)
            .body(Full::from(body.to_owned()))
            .unwrap();
        let answer = self.nodes.call(request, Connection::default()).await;
        let status = answer.status().as_u16();
        answer.into_body().collect().await.unwrap();
        status
    }

    async fn delete(&self, machine: &Machine) {
        let now = self.world.stored(machine).await;
        self.world.region.store.delete(&now.system_id, now.version).await.unwrap();
    }
}

/// Whether the table has this step, or two of its steps one after the other: a call may take two
/// at once (a release that is over at once, a broken machine that is released first).
fn is_allowed(from: Status, to: Status) -> bool {
    from == to
        || from.can_become(to)
        || from.next().iter().any(|middle| {
            middle.can_become(to) && (middle.is_transient() || *middle == Status::Allocated)
        })
}

#[tokio::test]
async fn every_call_in_every_status_goes_only_where_the_table_goes() {
    let wire = Wire::new().await;
    let (mut wrong, mut seen) = (Vec::new(), BTreeSet::new());
    for from in Status::ALL {
        for previous in [Status::Ready, Status::Deployed] {
            for call in Call::all() {
                let before =
                    wire.world.machine(from, |machine| machine.previous_status = previous).await;
                let code = wire.send(call, &before).await;
                let after = wire.world.stored(&before).await;
                if code >= 500 && code != 503 {
                    wrong.push(format!("{call:?} from {from}: {code}"));
                }
                if code >= 400 && after.status != from {
                    wrong.push(format!("{call:?} from {from}: {code}, and yet {}", after.status));
                }
                if !is_allowed(from, after.status) {
                    wrong.push(format!("{call:?}: {from} -> {}", after.status));
                }
                if after.status != from {
                    seen.insert((from, after.status));
                }
                wire.delete(&before).await;
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    // All of 23 × 23 were possible; what was not refused is a good part of the table.
    assert!(seen.len() > 60, "{} transitions: {seen:?}", seen.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn whatever_is_sent_in_whatever_order_the_table_holds(
        from in 0..Status::ALL.len(),
        calls in proptest::collection::vec(proptest::sample::select(Call::all()), 1..24),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let done: Result<(), TestCaseError> = runtime.block_on(async {
            let wire = Wire::new().await;
            let machine = wire.world.machine(Status::ALL[from], |_| {}).await;
            let mut status = machine.status;
            for call in calls {
                let code = wire.send(call, &machine).await;
                let now = wire.world.stored(&machine).await;
                prop_assert!(code < 500 || code == 503, "{call:?} from {status}: {code}");
                prop_assert!(
                    is_allowed(status, now.status),
                    "{call:?}: {status} -> {}", now.status
                );
                prop_assert!(
                    code < 400 || now.status == status,
                    "{call:?} from {status}: {code}, and yet {}", now.status
                );
                status = now.status;
            }
            Ok(())
        });
        done?;
    }
}
