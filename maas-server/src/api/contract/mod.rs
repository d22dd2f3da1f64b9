//! The API as a whole, without a socket: that it is complete, who may do what, what each command

#![allow(clippy::unwrap_used)]
//! answers in each status, and what a list costs.

mod access;
mod complete;
mod counting;
mod lists;
mod refusals;
mod resources;
mod statuses;
mod transitions;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use maas_core::machine::{DeploymentSummary, Machine, NewMachine, Role, Status};
use maas_core::secret::Secret;
use serde_json::Value;
use tempfile::TempDir;

use self::counting::Counting;
use crate::config::Config;
use crate::http::{Api, ApiTitle, Connection, Limits, Operation};
use crate::images::Images;
use crate::region::{OauthAuthenticator, Region};
use crate::store::{self, ApiKey, Store};
use crate::{accounts, clock, entropy};

/// A region with three users: `root` is an administrator, `ann` and `bob` are not.
struct World {
    api: Api<Region>,
    region: Arc<Region>,
    store: Arc<Counting>,
    keys: [(&'static str, ApiKey); 3],
    _dir: TempDir,
}

fn api(region: &Arc<Region>, rows: Vec<Operation<Region>>) -> Api<Region> {
    let title = ApiTitle { title: "MAAS".into(), version: "2.0".into(), doc: "Machines.".into() };
    Api::new(Arc::clone(region), rows, OauthAuthenticator::default(), title, Limits::default())
        .unwrap()
}

/// What came back.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    fn json(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text());
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    fn header(&self, name: header::HeaderName) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl World {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(Counting::default());
        let kept: Arc<dyn Store> = Arc::<Counting>::clone(&store);
        let images = Images::open(dir.path().join("images"), &*kept).await.unwrap();
        let address = ([127, 0, 0, 1], 5248).into();
        let region = Arc::new(Region::new(kept, images, Config::default(), address, None));
        let api = api(&region, super::operations());
        let mut keys = Vec::new();
        for (name, role) in [("root", Role::Admin), ("ann", Role::User), ("bob", Role::User)] {
            let password = Secret::new(format!("password of {name}"));
            accounts::create(&*region.store, name, "", role, &password).await.unwrap();
            keys.push((name, accounts::first_api_key(&*region.store, name).await.unwrap()));
        }
        let keys = keys.try_into().unwrap_or_else(|_| unreachable!());
        Self { api, region, store, keys, _dir: dir }
    }

    /// The same region as a program that was started again sees it.
    fn restarted(&self) -> Api<Region> {
        api(&self.region, super::operations())
    }

    fn sign(&self, user: &str) -> String {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let key = &self.keys.iter().find(|(name, _)| *name == user).unwrap().1;
        format!(
            "OAuth oauth_version=\"1.0\", oauth_signature_method=\"PLAINTEXT\", \
             oauth_consumer_key=\"{}\", oauth_token=\"{}\", oauth_signature=\"%26{}\", \
             oauth_nonce=\"{}\", oauth_timestamp=\"{}\"",
            key.consumer_key,
            key.token_key,
            key.token_secret.expose(),
            COUNT.fetch_add(1, Ordering::Relaxed),
            clock::now().seconds(),
        )
    }

    /// A call of a user (nobody with an empty name) with a form below the API's root.
    async fn call(&self, user: &str, method: &str, path: &str, form: &[(&str, &str)]) -> Answer {
        let mut body = form_urlencoded::Serializer::new(String::new());
        let body = body.extend_pairs(form).finish();
        let request = ::http::Request::builder()
            .method(method)
            .header(header::HOST, "maas.example:5240")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let request = if user.is_empty() {
            request
        } else {
            request.header(header::AUTHORIZATION, self.sign(user))
        };
        let path = match path.strip_prefix('/') {
            Some(_) => path.to_owned(),
            None => format!("/MAAS/api/2.0/{path}"),
        };
        self.send(request.uri(path).body(Full::from(body)).unwrap()).await
    }

    async fn send(&self, request: ::http::Request<Full<Bytes>>) -> Answer {
        let (parts, body) = self.api.call(request, Connection::default()).await.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    async fn get(&self, path: &str) -> Answer {
        self.call("root", "GET", path, &[]).await
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        self.call("root", "POST", path, form).await
    }

    /// Adds a machine that stands in a status as one can that got there.
    async fn machine(&self, status: Status, change: impl FnOnce(&mut Machine)) -> Machine {
        let id = entropy::system_id().unwrap();
        let credentials = entropy::node_credentials().unwrap();
        let told = NewMachine::new(id.clone(), format!("m-{id}"), "amd64/generic", credentials);
        let mut machine = Machine::added(told, clock::now()).unwrap();
        machine.status = status;
        machine.power.driver = "manual".to_owned();
        machine.hardware.cpu_count = 1;
        machine.hardware.memory = 1024;
        let deployed =
            matches!(status, Status::Deploying | Status::Deployed | Status::FailedDeployment);
        if status.is_in_use() {
            machine.owner = Some("root".to_owned());
        }
        if deployed {
            machine.deployment = Some(DeploymentSummary {
                osystem: "ubuntu".to_owned(),
                distro_series: "noble".to_owned(),
                hwe_kernel: String::new(),
                ephemeral: false,
                plan_digest: String::new(),
                arrival: maas_core::machine::Arrival::default(),
            });
        }
        change(&mut machine);
        self.region.store.add(store::NewMachine::new(machine)).await.unwrap()
    }

    async fn stored(&self, machine: &Machine) -> Machine {
        Arc::unwrap_or_clone(self.region.store.machine(&machine.system_id).await.unwrap().unwrap())
    }
}
