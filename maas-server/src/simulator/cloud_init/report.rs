//! cloud-init's webhook reporter: one POST for each event, without a content type.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use crate::simulator::boot::Boot;
use crate::simulator::client::{Agent, Request};
use crate::simulator::event::Stage;
use crate::simulator::machine::Reporting;
use crate::simulator::metadata::{Dialect, EVENT_PAUSES, Signed, now_precisely};

/// How something ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Success,
    Fail,
}

/// Posts events, when the configuration names somebody to post to.
#[derive(Debug)]
pub(super) struct Reporter<'a> {
    boot: &'a Boot,
    webhook: Option<(String, Signed<'a>)>,
    has_lost: AtomicBool,
}

impl<'a> Reporter<'a> {
    pub(super) fn new(boot: &'a Boot, reporting: Option<Reporting>) -> Self {
        let webhook = reporting.map(|reporting| {
            let keys = reporting.credentials;
            (reporting.endpoint, Signed::new(boot.wire(), boot.pace, keys, Dialect::Quoted))
        });
        Self { boot, webhook, has_lost: AtomicBool::new(false) }
    }

    pub(super) async fn start(&self, name: &str, description: &str) {
        self.post(name, description, None).await;
    }

    pub(super) async fn finish(&self, name: &str, description: &str, verdict: Verdict) {
        self.post(name, description, Some(verdict)).await;
    }

    /// Something that begins and succeeds.
    pub(super) async fn span(&self, name: &str, description: &str) {
        self.start(name, description).await;
        self.finish(name, description, Verdict::Success).await;
    }

    async fn post(&self, name: &str, description: &str, verdict: Option<Verdict>) {
        let Some((endpoint, signed)) = &self.webhook else { return };
        let mut event = json!({
            "name": name,
            "description": description,
            "event_type": if verdict.is_some() { "finish" } else { "start" },
            "origin": "cloudinit",
            "timestamp": now_precisely(),
        });
        if let Some(verdict) = verdict {
            event["result"] = if verdict == Verdict::Success { "SUCCESS" } else { "FAIL" }.into();
        }
        let body = event.to_string().into_bytes();
        let request = || Request::post(Agent::CloudInit, endpoint, body.clone());
        let sent = signed.send_patiently(&EVENT_PAUSES, &request).await;
        // Then cloud-init only warns on its console. A region may well take a machine's keys away
        // once it is Ready, so one warning is enough.
        if let Err(error) = sent
            && !self.has_lost.swap(true, Ordering::Relaxed)
        {
            self.boot
                .tell(Stage::Problem, format!("events are lost from {name} on: {error}"))
                .await;
        }
    }
}
