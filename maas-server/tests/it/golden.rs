//! Request bodies as real clients write them, byte for byte, over a real socket (`api.md` §2.2).

use serde_json::Value;

use super::support::client::{Answer, Key, exchange};
use super::support::server::Running;

const BOUNDARY: &str = "===============1812499515225852885==";
const URLENCODED: &str = "application/x-www-form-urlencoded";

/// A server and an administrator's key.
struct Server {
    running: Running,
    key: Key,
}

impl Server {
    fn new() -> Self {
        let running = Running::empty();
        let key = running.admin.clone();
        Self { running, key }
    }

    /// Sends a head with these lines, then the body.
    #[track_caller]
    fn send(&self, first: &str, lines: &[String], body: &[u8]) -> Answer {
        let mut bytes = format!("{first} HTTP/1.1\r\nHost: 127.0.0.1\r\n").into_bytes();
        for line in lines {
            bytes.extend_from_slice(format!("{line}\r\n").as_bytes());
        }
        let rest = format!(
            "Authorization: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            self.key.sign(),
            body.len()
        );
        bytes.extend_from_slice(rest.as_bytes());
        bytes.extend_from_slice(body);
        exchange(self.running.region, &bytes).unwrap_or_else(|error| panic!("{first}: {error}"))
    }

    #[track_caller]
    fn multipart(&self, first: &str, boundary: &str, body: &str) -> Answer {
        let lines = [
            "MIME-Version: 1.0".to_owned(),
            format!("Content-Type: multipart/form-data; boundary={boundary}"),
        ];
        self.send(first, &lines, body.as_bytes())
    }

    #[track_caller]
    fn form(&self, first: &str, body: &str) -> Answer {
        self.send(first, &[format!("Content-Type: {URLENCODED}")], body.as_bytes())
    }

    #[track_caller]
    fn tag(&self, name: &str) -> Value {
        self.send(&format!("GET /MAAS/api/2.0/tags/{name}/"), &[], b"").ok().json()
    }
}

/// A text as Python's `email` writes it: base64, in lines of 76 letters.
fn text_part(name: &str, folded: &str) -> String {
    format!(
        "--{BOUNDARY}\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: form-data; \
         name=\"{name}\"\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=\"utf-8\"\r\n\r\n\
         {folded}\r\n\r\n"
    )
}

const TAGS: &str = "POST /MAAS/api/2.0/tags/";

#[test]
fn folded_base64_in_a_quoted_boundary_without_the_last_line_break() {
    let server = Server::new();
    let folded = "bG9uZyBlbm91Z2ggdG8gYmUgZm9sZGVkIGJ5IHRoZSBsaWJyYXJ5IHRoYXQgd3JpdGVzIGl0OiBv\r\n\
                  bmUgaHVuZHJlZA==";
    let body =
        format!("{}{}--{BOUNDARY}--", text_part("name", "Z3B1"), text_part("comment", folded));
    assert!(!body.ends_with('\n'));
    let made = server.multipart(TAGS, &format!("\"{BOUNDARY}\""), &body).ok().json();
    assert_eq!(made["name"], "gpu");
    let comment = "long enough to be folded by the library that writes it: one hundred";
    assert_eq!(server.tag("gpu")["comment"], comment);
    // The same with the last line break, and with a boundary that needs no quotes.
    for (name, folded, end) in [("crlf", "Y3JsZg==", "\r\n"), ("lf", "bGY=", "\n")] {
        let body = format!("{}--{BOUNDARY}--{end}", text_part("name", folded));
        let body = body.replace(BOUNDARY, "frontier");
        assert_eq!(server.multipart(TAGS, "frontier", &body).ok().json()["name"], name);
    }
}

#[test]
fn parts_may_have_their_headers_in_any_order_and_other_encodings() {
    let server = Server::new();
    let body = format!(
        "--{BOUNDARY}\r\nMIME-Version: 1.0\r\ncontent-disposition: form-data; name=\"name\"\r\n\
         content-type: text/plain\r\n\r\nplain\r\n--{BOUNDARY}\r\nContent-Type: \
         application/octet-stream\r\nContent-Disposition: form-data; name=\"comment\"\r\n\
         Content-Transfer-Encoding: base64\r\n\r\nVHJ1ZQ==\r\n\r\n--{BOUNDARY}--"
    );
    server.multipart(TAGS, &format!("\"{BOUNDARY}\""), &body).ok();
    assert_eq!(server.tag("plain")["comment"], "True");
    // A file part, un-encoded, as Go sends it.
    let file = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"filename\"\r\n\r\nstate\r\n\
         --{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"file\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n\x00\r\n--x\r\n\r\n--{BOUNDARY}--\r\n"
    );
    server.multipart("POST /MAAS/api/2.0/files/", BOUNDARY, &file);
    let kept = server.send("GET /MAAS/api/2.0/files/?op=get&filename=state", &[], b"").ok();
    assert_eq!(kept.body, b"\x00\r\n--x\r\n");
}

#[test]
fn an_empty_multipart_says_nothing_on_every_method() {
    let server = Server::new();
    server.form(TAGS, "name=gpu&comment=one").ok();
    let empty = format!("--{BOUNDARY}\r\n\r\n--{BOUNDARY}--");
    let quoted = format!("\"{BOUNDARY}\"");
    let rebuild = "POST /MAAS/api/2.0/tags/gpu/?op=rebuild";
    server.multipart(rebuild, &quoted, &empty).ok();
    server.multipart("PUT /MAAS/api/2.0/tags/gpu/", &quoted, &empty).ok();
    assert_eq!(server.tag("gpu")["comment"], "one", "nothing said is nothing changed");
    let deleted = server.multipart("DELETE /MAAS/api/2.0/tags/gpu/", &quoted, &empty);
    assert_eq!((deleted.status, deleted.body.len()), (204, 0));
}

#[test]
fn go_sends_forms_with_an_empty_operation_and_repeated_keys() {
    let server = Server::new();
    // `?op=`, `op=` in the body, and no operation at all are one.
    for (first, body, name) in [
        ("POST /MAAS/api/2.0/tags/?op=", "name=a&comment=", "a"),
        ("POST /MAAS/api/2.0/tags/", "op=&name=b", "b"),
        ("POST /MAAS/api/2.0/tags", "name=c", "c"),
    ] {
        assert_eq!(server.form(first, body).ok().json()["name"], name, "{first} {body}");
    }
    // The operation in the body, in the query, and as the end of the path.
    for (first, body) in [
        ("POST /MAAS/api/2.0/tags/a/", "op=rebuild"),
        ("POST /MAAS/api/2.0/tags/a/?op=rebuild", ""),
        ("POST /MAAS/api/2.0/tags/a/op-rebuild", ""),
    ] {
        assert_eq!(server.form(first, body).ok().json()["rebuilding"], "a", "{first}");
    }
    let machine = server.form(
        "POST /MAAS/api/2.0/machines/?op=",
        "architecture=amd64&mac_addresses=52%3A54%3A00%3A00%3A00%3A01&\
         mac_addresses=52%3a54%3a00%3a00%3a00%3a02&power_type=manual&commission=false&hostname=a+b",
    );
    assert_eq!(machine.status, 400, "a space is no part of a host name: {}", machine.text());
    let machine = server.form(
        "POST /MAAS/api/2.0/machines/?op=",
        "architecture=amd64&mac_addresses=52%3A54%3A00%3A00%3A00%3A01&\
         mac_addresses=52%3a54%3a00%3a00%3a00%3a02&power_type=manual&commission=false",
    );
    let machine = machine.ok().json();
    assert_eq!(machine["architecture"], "amd64/generic");
    let id = machine["system_id"].as_str().unwrap();
    let tagged = server.form(
        "POST /MAAS/api/2.0/tags/a/?op=update_nodes",
        &format!("add={id}&add=nobody&remove="),
    );
    assert_eq!(tagged.ok().json(), serde_json::json!({"added": 1, "removed": 0}));
    // Keys without a value are as if they were not there.
    let listed = server.send("GET /MAAS/api/2.0/machines/?hostname=&id=&tags=", &[], b"").ok();
    assert_eq!(listed.json().as_array().unwrap().len(), 1);
    server.send("GET /MAAS/api/2.0/boot-resources/?Type=", &[], b"").ok();
}

#[test]
fn what_no_client_sends_is_refused_with_words() {
    let server = Server::new();
    let quoted = format!("\"{BOUNDARY}\"");
    for (what, answer) in [
        ("no boundary", server.send(TAGS, &["Content-Type: multipart/form-data".into()], b"x")),
        (
            "broken base64",
            server.multipart(
                TAGS,
                &quoted,
                &format!("{}--{BOUNDARY}--", text_part("name", "%%%%")),
            ),
        ),
        ("no end", server.multipart(TAGS, &quoted, &text_part("name", "Z3B1"))),
        ("unknown operation", server.form("POST /MAAS/api/2.0/tags/?op=explode", "")),
    ] {
        assert_eq!(answer.status, 400, "{what}: {}", answer.text());
        assert!(!answer.body.is_empty(), "{what}");
    }
    let tags = server.send("GET /MAAS/api/2.0/tags/", &[], b"").ok().json();
    assert_eq!(tags.as_array().unwrap().len(), 0, "nothing was made");
}
