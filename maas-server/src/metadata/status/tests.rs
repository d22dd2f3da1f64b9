#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::testing::{machine, run};

fn message(value: serde_json::Value) -> Message {
    serde_json::from_value(value).unwrap()
}

#[test]
fn a_result_becomes_a_phase() {
    for (event_type, result, phase) in [
        ("start", None, ReportPhase::Start),
        ("start", Some("FAIL"), ReportPhase::Start),
        ("finish", Some("SUCCESS"), ReportPhase::Success),
        ("finish", Some("FAIL"), ReportPhase::Fail),
        ("finish", Some("FAILURE"), ReportPhase::Fail),
        ("finish", Some("WARN"), ReportPhase::Warn),
        ("finish", None, ReportPhase::Success),
    ] {
        let report = check(&message(json!({
            "event_type": event_type, "origin": "curtin", "name": "cmd-install",
            "description": "d", "result": result, "timestamp": 1.5,
        })))
        .unwrap();
        assert_eq!(report.phase, phase, "{event_type} {result:?}");
        assert_eq!((report.origin.as_str(), report.name.as_str()), ("curtin", "cmd-install"));
    }
}

#[test]
fn everything_that_is_missing_is_named_at_once() {
    let refused = check(&message(json!({"name": "n"}))).unwrap_err();
    assert!(
        refused.to_string().contains("Missing parameter(s) event_type, origin, description"),
        "{refused}"
    );
}

#[test]
fn attachments_go_to_the_run_that_the_status_is_about() {
    let mut machine = machine(1);
    machine.scripts = vec![
        run(1, "c", ScriptType::Commissioning),
        run(2, "t", ScriptType::Testing),
        run(3, "d", ScriptType::Deployment),
    ]
    .into();
    let message = message(json!({"files": [
        {"path": "/tmp/install.log", "encoding": "base64", "content": "bG9n\n"},
        {"path": "/root/other.log", "content": "later"},
        {"path": "/tmp/curtin-logs.tar", "encoding": "base64", "content": "AAAA"},
        {"path": "/tmp/x.err", "content": "plain"},
        {"path": "/tmp/x.yaml", "content": "a: 1", "compression": "bzip2"},
    ]}));
    for (status, id) in [
        (Status::Deploying, 3),
        (Status::FailedDeployment, 3),
        (Status::Testing, 2),
        (Status::Commissioning, 1),
    ] {
        machine.status = status;
        let outputs = outputs(&message, &machine);
        let shown: Vec<_> =
            outputs.iter().map(|output| (output.run_id, output.stream, &*output.bytes)).collect();
        assert_eq!(
            shown,
            [(id, Stream::Combined, &b"log"[..]), (id, Stream::Stderr, b"plain")],
            "{status:?}: one output a stream, the first one"
        );
    }
    machine.scripts.clear();
    assert!(outputs(&message, &machine).is_empty());
}

#[test]
fn a_file_that_cannot_be_decoded_is_left_out() {
    let file = |value| serde_json::from_value::<File>(value).unwrap();
    assert_eq!(decode(&file(json!({"path": "p"}))), None);
    assert_eq!(decode(&file(json!({"path": "p", "content": "%", "encoding": "base64"}))), None);
    assert_eq!(decode(&file(json!({"path": "p", "content": "a", "encoding": "hex"}))), None);
    let large = "x".repeat(LARGEST_FILE + 1);
    assert_eq!(decode(&file(json!({"path": "p", "content": large}))), None);
}

proptest! {
    #[test]
    fn no_body_makes_it_panic(body in "\\PC{0,80}", content in "[A-Za-z0-9+/= ]{0,40}") {
        if let Ok(message) = serde_json::from_str::<Message>(&body) {
            drop(check(&message));
        }
        let file = json!({"path": body, "content": content, "encoding": "base64"});
        drop(decode(&serde_json::from_value(file).unwrap()));
    }
}
