//! What is wrong is refused with a clear 4xx and leaves nothing behind.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use maas_core::commission::builtin::COMMISSIONING_SCRIPT;
use maas_core::commission::result::{ScriptRun, ScriptStatus, ScriptType};
use maas_core::machine::{Machine, Status, Step};
use maas_server::clock;
use maas_server::store::StoredRecord;

use super::support::client::{Answer, Call, Dialect, Key, nonce, now};
use super::support::server::{Running, node_key, resources_document};

const MAC: &str = "52:54:00:aa:bb:02";

/// A machine that is being commissioned, with one script that waits.
struct Victim {
    running: Running,
    machine: Machine,
    key: Key,
}

impl Victim {
    fn new() -> Self {
        let running = Running::empty();
        let machine = running.add_machine(|machine| {
            machine.status = Status::Commissioning;
            machine.mac_addresses = [MAC.to_owned()].into();
            // It has netbooted: what it says counts.
            machine.last_step =
                Some(Step { at: clock::now(), what: "firmware: netboot".to_owned() });
            machine.scripts = vec![waiting_run()].into();
        });
        let key = node_key(&machine);
        Self { running, machine, key }
    }

    /// Everything that is stored of it.
    fn stored(&self) -> (Vec<Machine>, Vec<StoredRecord>, usize) {
        let outputs = self.running.runtime.block_on(async {
            self.running.server().store().outputs(self.machine.scripts[0].id).await.unwrap()
        });
        (self.running.machines(), self.running.records(), outputs.len())
    }

    /// Does something that must be refused, and compares what is stored before and after.
    #[track_caller]
    fn refuses(&self, what: &str, status: u16, says: &str, call: impl FnOnce() -> Answer) {
        let before = self.stored();
        let answer = call();
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
        assert!(answer.text().contains(says), "{what}: {}", answer.text());
        assert_eq!(self.stored(), before, "{what}");
    }

    fn status_path(&self) -> String {
        format!("/MAAS/metadata/status/{}", self.machine.system_id)
    }

    /// A machine's call at the metadata service.
    fn metadata(&self, call: Call) -> Answer {
        call.signed(&self.key).send(self.running.rack)
    }
}

const SIGNAL: &str = "/MAAS/metadata/2012-03-01/";

#[test]
fn a_status_event_that_is_no_event_is_refused() {
    let victim = Victim::new();
    let event = |body: &[u8]| victim.metadata(Call::new("POST", victim.status_path()).body(body));
    for (what, body, says) in [
        ("no body", &b""[..], "not valid JSON"),
        ("half a body", br#"{"name": "modules-final", "#, "not valid JSON"),
        ("no object", b"[1, 2]", "not valid JSON"),
        ("deep", &b"[".repeat(100_000), "not valid JSON"),
        ("not ASCII", "{\"name\":\"é\"}".as_bytes(), "ASCII"),
        ("no text", b"\xff\xfe\x00", "ASCII"),
        ("wrong type", br#"{"name": 1}"#, "not valid JSON"),
        ("nothing in it", b"{}", "Missing parameter(s) event_type, origin, name, description"),
        (
            "no origin",
            br#"{"event_type":"finish","name":"cmd-install","description":"d","result":"FAIL"}"#,
            "Missing parameter(s) origin",
        ),
    ] {
        victim.refuses(what, 400, says, || event(body));
    }
}

#[test]
fn a_signal_that_cannot_be_read_is_refused() {
    let victim = Victim::new();
    let form = |fields: &[(&str, &str)]| victim.metadata(Call::post(SIGNAL, fields));
    victim.refuses("no status", 400, "status", || form(&[("op", "signal")]));
    victim.refuses("unknown status", 400, "Unknown status", || {
        form(&[("op", "signal"), ("status", "FINE")])
    });
    victim.refuses("no operation", 400, "", || form(&[("status", "OK")]));
    victim.refuses("unknown operation", 400, "op=explode", || {
        form(&[("op", "explode"), ("status", "OK")])
    });
    victim.refuses("no number", 400, "exit_status", || {
        form(&[("op", "signal"), ("status", "WORKING"), ("name", "x"), ("exit_status", "one")])
    });
    victim.refuses("no id", 400, "script_result_id", || {
        form(&[("op", "signal"), ("status", "WORKING"), ("script_result_id", "-1")])
    });
    victim.refuses("power parameters", 400, "power_parameters", || {
        form(&[
            ("op", "signal"),
            ("status", "WORKING"),
            ("power_type", "ipmi"),
            ("power_parameters", "{\"power_pass\": \"hunter2\""),
        ])
    });
}

#[test]
fn garbage_that_says_it_is_multipart_is_refused() {
    let victim = Victim::new();
    let send = |content_type: &str, body: &[u8]| {
        let call = Call::new("POST", format!("{SIGNAL}?op=signal"));
        victim.metadata(call.header("Content-Type", content_type).body(body))
    };
    let whole = "--b\r\nContent-Disposition: form-data; name=\"status\"\r\n\r\nFAILED\r\n--b--\r\n";
    let cut = &whole.as_bytes()[..whole.len() - 9];
    let noise: Vec<u8> =
        (0..4096_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let many =
        "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n\r\n".repeat(3000) + "--b--\r\n";
    let base64 = "--b\r\nContent-Disposition: form-data; name=\"status\"\r\n\
                  Content-Transfer-Encoding: base64\r\n\r\n!!!!\r\n--b--\r\n";
    let unnamed = "--b\r\nContent-Type: text/plain\r\n\r\nFAILED\r\n--b--\r\n";
    for (what, content_type, body) in [
        ("noise", "multipart/form-data; boundary=b", noise.as_slice()),
        ("no boundary", "multipart/form-data", whole.as_bytes()),
        ("another boundary", "multipart/form-data; boundary=c", whole.as_bytes()),
        ("cut", "multipart/form-data; boundary=b", cut),
        ("many parts", "multipart/form-data; boundary=b", many.as_bytes()),
        ("bad base64", "multipart/form-data; boundary=b", base64.as_bytes()),
        ("no name", "multipart/form-data; boundary=b", unnamed.as_bytes()),
        ("empty", "multipart/form-data; boundary=b", b""),
    ] {
        victim.refuses(what, 400, "", || send(content_type, body));
    }
    // The same, whole, does count: the refusals above were not for another reason.
    assert_eq!(send("multipart/form-data; boundary=b", whole.as_bytes()).status, 200);
    let status = victim.running.machine(&victim.machine.system_id).status;
    assert_eq!(status, Status::FailedCommissioning);
}

#[test]
fn bodies_that_are_too_large_are_refused_before_they_are_read() {
    let victim = Victim::new();
    let sizes = [
        ("signal", format!("{SIGNAL}?op=signal"), (64 << 20) + 1),
        ("status", victim.status_path(), (32 << 20) + 1),
        ("api", "/MAAS/api/2.0/machines/".to_owned(), (8 << 20) + 1),
    ];
    for (what, path, size) in sizes {
        // Announced only: nobody waits for the rest.
        victim.refuses(what, 413, "larger than", || {
            let head = format!(
                "POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\n\
                 Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {size}\r\n\
                 Connection: close\r\n\r\nstatus=",
                if what == "api" { victim.running.admin.sign() } else { victim.key.sign() }
            );
            super::support::client::exchange(victim.running.rack, head.as_bytes()).unwrap()
        });
    }
    // Not announced: in chunks, without an end.
    victim.refuses("chunks", 413, "larger than", || {
        let mut bytes = format!(
            "POST /MAAS/api/2.0/machines/ HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\n\
             Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
            victim.running.admin.sign()
        )
        .into_bytes();
        let chunk = vec![b'a'; 1 << 20];
        for _ in 0..9 {
            bytes.extend_from_slice(b"100000\r\n");
            bytes.extend_from_slice(&chunk);
            bytes.extend_from_slice(b"\r\n");
        }
        super::support::client::exchange(victim.running.region, &bytes).unwrap()
    });
}

/// Sends the beginning of a request and closes the connection.
fn break_off(victim: &Victim, bytes: &[u8]) {
    let mut stream = TcpStream::connect(victim.running.rack).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(bytes).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    // The server has noticed when it closes its side too.
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
}

#[test]
fn an_upload_that_breaks_off_leaves_nothing() {
    let victim = Victim::new();
    let id = victim.machine.scripts[0].id.to_string();
    let document = resources_document(MAC);
    let file = format!("{COMMISSIONING_SCRIPT}.out");
    let signal = Call::multipart(
        format!("{SIGNAL}?op=signal"),
        &[
            ("status", None, b"WORKING"),
            ("script_result_id", None, id.as_bytes()),
            ("exit_status", None, b"0"),
            (&file, Some(&file), &document),
        ],
    );
    let event = Call::new("POST", victim.status_path()).body(
        r#"{"name":"modules-final","description":"d","event_type":"finish","origin":"cloudinit","result":"FAIL"}"#,
    );
    let before = victim.stored();
    for call in [&signal, &event] {
        let whole = call.clone().signed(&victim.key).bytes();
        let body = whole.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        for cut in [20, body - 2, body, body + 1, (body + whole.len()) / 2, whole.len() - 1] {
            let bytes = call.clone().signed(&victim.key).bytes();
            break_off(&victim, &bytes[..cut.min(bytes.len() - 1)]);
            assert_eq!(victim.stored(), before, "cut at {cut} of {}", bytes.len());
        }
    }
    // A chunked body without its last chunk.
    let head = format!(
        "POST {SIGNAL}?op=signal HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\n\
         d\r\nstatus=FAILED\r\n",
        victim.key.sign()
    );
    break_off(&victim, head.as_bytes());
    assert_eq!(victim.stored(), before, "chunks without an end");
    // Whole, the signal is taken.
    victim.metadata(signal).ok();
    let machine = victim.running.machine(&victim.machine.system_id);
    assert_eq!(machine.hardware.cpu_count, 4);
}

#[test]
fn credentials_that_are_not_right_are_refused() {
    let victim = Victim::new();
    let event = r#"{"name":"modules-final","description":"d","event_type":"finish","origin":"cloudinit","result":"FAIL"}"#;
    let with = |header: &str| {
        let call = Call::new("POST", victim.status_path()).body(event);
        call.header("Authorization", header).send(victim.running.rack)
    };
    let key = &victim.key;
    let wrong_secret = Key { secret: "x".repeat(32), ..key.clone() };
    let wrong_token = Key { token: "y".repeat(18), ..key.clone() };
    let wrong_consumer = Key { consumer: "z".repeat(18), ..key.clone() };
    for dialect in [Dialect::Quoted, Dialect::Bare] {
        let sign = |key: &Key| key.sign_as(dialect, now(), &nonce());
        victim.refuses("secret", 401, "Authorization Error: ", || with(&sign(&wrong_secret)));
        victim.refuses("token", 403, "known node", || with(&sign(&wrong_token)));
        victim.refuses("consumer", 403, "known node", || with(&sign(&wrong_consumer)));
        let old = key.sign_as(dialect, now() - 301, &nonce());
        victim.refuses("old", 401, "Authorization Error: ", || with(&old));
    }
    let good = key.sign();
    for (what, header, status) in [
        ("no number", good.replace("oauth_timestamp=\"", "oauth_timestamp=\"x"), 400),
        ("other method", good.replace("PLAINTEXT", "HMAC-SHA1"), 401),
        ("other version", good.replace("\"1.0\"", "\"2.0\""), 401),
        ("no nonce", good.replace("oauth_nonce", "oauth_once"), 401),
        ("no signature", good.replace("oauth_signature=", "oauth_sign="), 401),
        ("another scheme", "Bearer abcdef".to_owned(), 401),
        ("nothing", String::new(), 401),
    ] {
        victim.refuses(what, status, "", || with(&header));
    }
    // At the API as well.
    let api = |header: String| {
        let call = Call::post("/MAAS/api/2.0/machines/?op=allocate", &[]);
        call.header("Authorization", header).send(victim.running.region)
    };
    let admin = &victim.running.admin;
    let wrong = Key { secret: "x".repeat(32), ..admin.clone() };
    victim.refuses("api: secret", 401, "Authorization Error: ", || api(wrong.sign()));
    let wrong = Key { token: "x".repeat(18), ..admin.clone() };
    victim.refuses(
        "api: token",
        401,
        "Authorization Error: Invalid API key.",
        || api(wrong.sign()),
    );
    // One machine's key is nobody's at the API.
    victim.refuses("api: a machine", 403, "", || api(victim.key.sign()));
}

#[test]
fn a_nonce_counts_once() {
    let victim = Victim::new();
    let header = victim.key.sign();
    let event = |result: &str| {
        let body = format!(
            r#"{{"name":"init-network","description":"d","event_type":"finish","origin":"cloudinit","result":"{result}"}}"#
        );
        let call = Call::new("POST", victim.status_path()).body(body);
        call.header("Authorization", &*header).send(victim.running.rack)
    };
    assert_eq!(event("SUCCESS").status, 204);
    victim.refuses("replay", 401, "Nonce already used", || event("FAIL"));
    // The other port is the same server.
    victim.refuses("replay at the region", 401, "Nonce already used", || {
        let call = Call::new("POST", victim.status_path()).body("{}");
        call.header("Authorization", &*header).send(victim.running.region)
    });

    let header = victim.running.admin.sign();
    let add = || {
        let fields = [
            ("architecture", "amd64/generic"),
            ("mac_addresses", "52:54:00:aa:bb:77"),
            ("commission", "false"),
        ];
        let call = Call::post("/MAAS/api/2.0/machines/", &fields);
        call.header("Authorization", &*header).send(victim.running.region)
    };
    add().ok();
    victim.refuses("replay at the API", 401, "Nonce already used", add);
}

#[test]
fn machines_that_cannot_be_are_not_added() {
    let victim = Victim::new();
    let add = |fields: &[(&str, &str)]| victim.running.post("machines/", fields);
    let mac = ("mac_addresses", "52:54:00:aa:bb:99");
    let arch = ("architecture", "amd64/generic");
    victim.refuses("no architecture", 400, "architecture", || add(&[mac]));
    victim.refuses("no MAC", 400, "mac_addresses", || add(&[arch, ("mac_addresses", "52:54")]));
    victim.refuses("taken MAC", 400, "already in use", || add(&[arch, ("mac_addresses", MAC)]));
    victim.refuses("host name", 400, "hostname", || add(&[arch, mac, ("hostname", "a b")]));
    victim.refuses("power type", 400, "power_type", || add(&[arch, mac, ("power_type", "crank")]));
    victim.refuses("power parameters", 400, "power_parameters", || {
        add(&[arch, mac, ("power_type", "webhook"), ("power_parameters", "[")])
    });
    victim.refuses("a required parameter", 400, "power_type", || {
        add(&[arch, mac, ("power_type", "webhook"), ("power_parameters", "{}")])
    });
    victim.refuses("no truth", 400, "commission", || add(&[arch, mac, ("commission", "maybe")]));
    // Nobody in particular may add one, but not with garbage.
    victim.refuses("anonymous", 400, "mac_addresses", || {
        Call::post("/MAAS/api/2.0/machines/", &[arch]).send(victim.running.rack)
    });
}

#[test]
fn requests_that_are_not_http_end_in_400_or_silence() {
    let victim = Victim::new();
    let before = victim.stored();
    let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(100_000));
    let headers = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(500));
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"HELLO\r\n\r\n",
        b"GET\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        long.as_bytes(),
        headers.as_bytes(),
    ] {
        break_off(&victim, bytes);
    }
    assert_eq!(victim.stored(), before);
    Call::get("/healthz").send(victim.running.region).ok();
}

/// A run of the script that finds the hardware.
fn waiting_run() -> ScriptRun {
    ScriptRun {
        id: 4711,
        name: COMMISSIONING_SCRIPT.to_owned(),
        script_type: ScriptType::Commissioning,
        status: ScriptStatus::Pending,
        exit_status: None,
        started: None,
        ended: None,
        parameters: std::collections::BTreeMap::new(),
        timeout_seconds: 300,
        may_reboot: false,
        hardware_type: maas_core::commission::script::HardwareType::Node,
    }
}
