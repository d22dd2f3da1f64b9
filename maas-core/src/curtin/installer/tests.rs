#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::process::Command;

use super::*;

fn credentials() -> NodeCredentials {
    NodeCredentials {
        consumer_key: "ck".into(),
        token_key: "tk".into(),
        token_secret: Secret::new("hunter2".into()),
    }
}

fn made(pack: Option<&[u8]>) -> Vec<u8> {
    made_for(pack, 9)
}

fn made_for(pack: Option<&[u8]>, port: u16) -> Vec<u8> {
    let configs: Vec<ConfigFile> = ["a: 1\n", "b: 2\n"]
        .iter()
        .enumerate()
        .map(|(at, text)| ConfigFile {
            name: format!("config-{at:03}.cfg"),
            content: Secret::new((*text).to_owned()),
        })
        .collect();
    let endpoints = Endpoints { rack_port: port, ..Endpoints::new("127.0.0.1") };
    installer(&configs, &SystemId::from_entropy(3), &credentials(), &endpoints, pack)
        .unwrap()
        .into_inner()
}

/// A pack whose curtin writes down what it is called with.
fn pack() -> Vec<u8> {
    let script = b"#!/bin/sh\nprintf '%s\\n' \"$@\"\ncat configs/config-000.cfg configs/config-001.cfg\nexit 7\n";
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(script.len() as u64);
    header.set_mode(0o755);
    archive.append_data(&mut header, "curtin-1.0/bin/curtin", &script[..]).unwrap();
    archive.into_inner().unwrap()
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    assert_eq!(made(None), made(None));
    assert_ne!(made(None), made(Some(&pack())));
}

#[test]
fn the_script_unpacks_and_runs_the_operators_curtin() {
    if !cfg!(target_os = "linux") {
        // Past the harness, which keeps what passing tests print to itself.
        std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!("SKIPPED: the installer is for Linux\n"),
        )
        .ok();
        return;
    }
    let path = std::env::temp_dir().join(format!("curtin-installer-test-{}", std::process::id()));
    std::fs::write(&path, made(Some(&pack()))).unwrap();
    let output = Command::new("sh").arg(&path).output().unwrap();
    std::fs::remove_file(&path).unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        text,
        "-v\n--install-deps\ninstall\n--config=configs/config-000.cfg\n\
         --config=configs/config-001.cfg\na: 1\nb: 2\n",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(output.status.code(), Some(7));
}

#[test]
fn a_pack_without_curtin_is_a_clear_failure_that_the_webhook_gets() {
    if !cfg!(target_os = "linux") {
        // Past the harness, which keeps what passing tests print to itself.
        std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!("SKIPPED: the installer is for Linux\n"),
        )
        .ok();
        return;
    }
    if Command::new("python3").arg("--version").output().is_err() {
        // Past the harness, which keeps what passing tests print to itself.
        std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!("SKIPPED: there is no python3, which every ephemeral OS has\n"),
        )
        .ok();
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream);
        let mut headers = String::new();
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            if line.trim().is_empty() {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            headers.push_str(&line);
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        reader.get_mut().write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
        (headers, serde_json::from_slice::<serde_json::Value>(&body).unwrap())
    });
    let empty = tar::Builder::new(Vec::new()).into_inner().unwrap();
    let path = std::env::temp_dir().join(format!("curtin-installer-empty-{}", std::process::id()));
    std::fs::write(&path, made_for(Some(&empty), port)).unwrap();
    let output = Command::new("sh").arg(&path).output().unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(errors.contains("the operator's curtin pack has no bin/curtin"), "{errors}");
    let (headers, body) = server.join().unwrap();
    assert!(headers.starts_with("POST /MAAS/metadata/status/"), "{headers}");
    assert!(headers.contains("oauth_signature=\"%26hunter2\""), "{headers}");
    assert_eq!(body["name"], "cmd-install");
    assert_eq!(body["origin"], "curtin");
    assert_eq!(body["result"], "FAIL");
    assert_eq!(body["description"], "the operator's curtin pack has no bin/curtin");
}
