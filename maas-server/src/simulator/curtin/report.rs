//! curtin's webhook reporter.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::simulator::boot::Boot;
use crate::simulator::client::{Agent, Request};
use crate::simulator::event::Stage;
use crate::simulator::machine::Reporting;
use crate::simulator::metadata::{Dialect, EVENT_PAUSES, Signed, now_precisely};

/// How a stage ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Success,
    Fail,
}

/// Posts curtin's events and keeps its log.
#[derive(Debug)]
pub(super) struct Reporter<'a> {
    boot: &'a Boot,
    webhook: Option<(String, Signed<'a>)>,
    pub(super) log: String,
}

impl<'a> Reporter<'a> {
    pub(super) fn new(boot: &'a Boot, reporting: Option<Reporting>) -> Self {
        let webhook = reporting.map(|reporting| {
            let keys = reporting.credentials;
            (reporting.endpoint, Signed::new(boot.wire(), boot.pace, keys, Dialect::Quoted))
        });
        Self { boot, webhook, log: String::new() }
    }

    pub(super) fn note(&mut self, line: &str) {
        self.log.push_str(line);
        self.log.push('\n');
    }

    pub(super) async fn start(&mut self, name: &str, description: &str) {
        self.note(&format!("start: {name}: {description}"));
        self.post(json!({"name": name, "description": description, "event_type": "start",
            "level": "INFO"}))
            .await;
    }

    pub(super) async fn finish(&mut self, name: &str, description: &str, verdict: Verdict) {
        self.finish_with(name, description, verdict, None).await;
    }

    /// The end of everything, with the files that `install.post_files` names.
    pub(super) async fn finish_with(
        &mut self,
        name: &str,
        description: &str,
        verdict: Verdict,
        post_files: Option<&Value>,
    ) {
        let (result, level) = match verdict {
            Verdict::Success => ("SUCCESS", "INFO"),
            Verdict::Fail => ("FAIL", "ERROR"),
        };
        self.note(&format!("finish: {name}: {result}: {description}"));
        let mut event = json!({"name": name, "description": description, "event_type": "finish",
            "result": result, "level": level});
        if let Some(paths) = post_files.and_then(Value::as_array) {
            let files = paths.iter().filter_map(Value::as_str).map(|path| {
                let content = if path.ends_with(".log") {
                    Value::String(STANDARD.encode(&self.log))
                } else if verdict == Verdict::Fail {
                    // curtin packs its logs only when it fails.
                    Value::String(STANDARD.encode(logs(&self.log)))
                } else {
                    Value::Null
                };
                json!({"path": path, "content": content, "encoding": "base64"})
            });
            event["files"] = files.collect();
        }
        self.post(event).await;
    }

    async fn post(&self, mut event: Value) {
        let Some((endpoint, signed)) = &self.webhook else { return };
        event["origin"] = "curtin".into();
        event["timestamp"] = now_precisely().into();
        let body = event.to_string().into_bytes();
        let sent = signed
            .send_patiently(&EVENT_PAUSES, &|| {
                Request::post(Agent::Curtin, endpoint, body.clone())
                    .content_type("application/json")
            })
            .await;
        if let Err(error) = sent {
            let name = event["name"].as_str().unwrap_or_default();
            self.boot.tell(Stage::Problem, format!("event {name} is lost: {error}")).await;
        }
    }
}

/// A tar with the log in it.
fn logs(log: &str) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(log.len() as u64);
    header.set_mode(0o644);
    // Writing to memory cannot fail, and an empty archive is no harm.
    let _ = builder.append_data(&mut header, "curtin-logs/install.log", log.as_bytes());
    builder.into_inner().unwrap_or_default()
}
