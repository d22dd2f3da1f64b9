#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;

use maas_core::id::SystemId;
use maas_core::machine::{Power, PowerState};
use maas_core::secret::Secret;

use crate::power::{Drivers, PowerError};

/// A switch that answers each connection by what was asked, until `requests` were answered.
fn switch(requests: usize) -> (String, std::thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        let mut on = false;
        let mut seen = Vec::new();
        for stream in listener.incoming().take(requests) {
            let mut stream = stream.unwrap();
            let mut head = [0; 4096];
            let length = stream.read(&mut head).unwrap();
            let head = String::from_utf8_lossy(&head[..length]).into_owned();
            match head.lines().next().unwrap() {
                line if line.starts_with("POST /on") => on = true,
                line if line.starts_with("POST /off") => on = false,
                _ => {}
            }
            let body = if on { r#"{"status": "running"}"# } else { r#"{"status": "stopped"}"# };
            let status = if head.contains("/denied") { "403 Forbidden" } else { "200 OK" };
            write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            )
            .unwrap();
            seen.push(head);
        }
        seen
    });
    (format!("http://{address}"), thread)
}

fn power(parameters: &[(&str, String)]) -> Power {
    let parameters: BTreeMap<_, _> =
        parameters.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    Power {
        driver: "webhook".to_owned(),
        parameters: Secret::new(parameters),
        state: PowerState::Unknown,
    }
}

#[tokio::test]
async fn a_machine_is_cycled_and_the_request_names_it() {
    // query, (off: nothing to do), query, on, query
    let (url, thread) = switch(4);
    let id = SystemId::from_entropy(7);
    let power = power(&[
        ("power_on_uri", format!("{url}/on")),
        ("power_off_uri", format!("{url}/off")),
        ("power_query_uri", format!("{url}/state")),
        ("power_token", "t0ken".to_owned()),
    ]);
    assert_eq!(Drivers::default().cycle(&id, &power).await.unwrap(), PowerState::On);
    let seen = thread.join().unwrap();
    assert!(seen[2].starts_with("POST /on"), "{seen:?}");
    assert!(seen.iter().all(|head| head.contains(id.as_str()) && head.contains("Bearer t0ken")));
}

#[tokio::test]
async fn refused_credentials_are_final_and_not_shown() {
    let (url, _thread) = switch(1);
    let power = power(&[
        ("power_query_uri", format!("{url}/denied")),
        ("power_user", "root".to_owned()),
        ("power_pass", "hunter2".to_owned()),
    ]);
    let error = Drivers::default().query(&SystemId::from_entropy(1), &power).await.unwrap_err();
    assert!(matches!(error, PowerError::Auth { .. }) && !error.is_retryable());
    assert!(!format!("{error} {error:?} {power:?}").contains("hunter2"));
}

#[tokio::test]
async fn an_unreachable_switch_is_a_connection_error() {
    let power = power(&[("power_query_uri", "http://127.0.0.1:1/x".to_owned())]);
    let error = Drivers::default().query(&SystemId::from_entropy(1), &power).await.unwrap_err();
    assert!(matches!(error, PowerError::Connection { .. }) && error.is_retryable());
}

#[test]
fn a_missing_parameter_and_an_unknown_driver_are_named() {
    let drivers = Drivers::default();
    let missing = drivers.check("webhook", &BTreeMap::new()).unwrap_err();
    assert!(missing.to_string().contains("power_on_uri"));
    let unknown = drivers.check("telepathy", &BTreeMap::new()).unwrap_err();
    assert!(unknown.to_string().contains("virsh, webhook"));
}
