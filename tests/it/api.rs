//! What a person does through the REST API.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::region::Region;

/// A client of the region with an administrator's key.
pub(crate) struct Api {
    http: reqwest::Client,
    base: String,
    authorization: String,
}

static NONCE: AtomicU64 = AtomicU64::new(0);

/// Percent-encodes all but the unreserved characters.
pub(crate) fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

fn form(fields: &[(&str, &str)]) -> String {
    let pairs: Vec<String> =
        fields.iter().map(|(key, value)| format!("{}={}", encoded(key), encoded(value))).collect();
    pairs.join("&")
}

impl Api {
    pub(crate) fn new(region: &Region) -> Self {
        let mut parts = region.api_key.splitn(3, ':').map(encoded);
        let mut part = || parts.next().unwrap();
        Self {
            http: reqwest::Client::new(),
            base: format!("{}/MAAS/api/2.0/", region.region_url),
            authorization: format!(
                "oauth_version=\"1.0\", oauth_signature_method=\"PLAINTEXT\", \
                 oauth_consumer_key=\"{}\", oauth_token=\"{}\", oauth_signature=\"%26{}\"",
                part(),
                part(),
                part()
            ),
        }
    }

    fn authorization(&self) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let count = NONCE.fetch_add(1, Ordering::Relaxed);
        format!(
            "OAuth {}, oauth_timestamp=\"{}\", oauth_nonce=\"{}-{}-{count}\"",
            self.authorization,
            now.as_secs(),
            std::process::id(),
            now.subsec_nanos(),
        )
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Value {
        let request = request.header("Authorization", self.authorization()).build().unwrap();
        let what = format!("{} {}", request.method(), request.url());
        let reply = self.http.execute(request).await.unwrap();
        let status = reply.status();
        let text = reply.text().await.unwrap();
        assert!(status.is_success(), "{what}: {status}: {text}");
        serde_json::from_str(&text).unwrap_or(Value::String(text))
    }

    pub(crate) async fn fetch(&self, path: &str) -> Value {
        self.send(self.http.get(format!("{}{path}", self.base))).await
    }

    pub(crate) async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Value {
        let request = self
            .http
            .post(format!("{}{path}", self.base))
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(form(fields));
        self.send(request).await
    }

    pub(crate) async fn put(&self, path: &str, fields: &[(&str, &str)]) -> Value {
        let request = self
            .http
            .put(format!("{}{path}", self.base))
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(form(fields));
        self.send(request).await
    }

    /// Waits until that many machines have enlisted themselves; their system ids.
    pub(crate) async fn enlisted(&self, count: usize) -> Vec<String> {
        for _ in 0..600 {
            let machines = self.fetch("machines/?status=new").await;
            let machines = machines.as_array().unwrap();
            if machines.len() >= count {
                let id = |machine: &Value| machine["system_id"].as_str().unwrap().to_owned();
                return machines.iter().map(id).collect();
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        panic!("{count} machines never enlisted");
    }

    /// Waits for a status that the region itself brings about.
    pub(crate) async fn wait_for_status(&self, system_id: &str, status: &str) {
        for _ in 0..100 {
            let machine = self.fetch(&format!("machines/{system_id}/")).await;
            if machine["status_name"] == status {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        self.machine_in_status(system_id, status).await;
    }

    /// The machine, with its newest events in the message when its status is another.
    pub(crate) async fn machine_in_status(&self, system_id: &str, status: &str) -> Value {
        let machine = self.fetch(&format!("machines/{system_id}/")).await;
        if machine["status_name"] != status {
            let events = self.fetch(&format!("events/?op=query&limit=40&id={system_id}")).await;
            panic!(
                "expected {status}, found {} ({}): {events:#}",
                machine["status_name"], machine["status_message"]
            );
        }
        machine
    }
}
