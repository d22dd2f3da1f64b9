//! The program `sstream`: output and exit codes.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

pub(crate) fn sstream(arguments: &[&str], at: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sstream"))
        .args(arguments)
        .current_dir(at)
        .env_remove("http_proxy")
        .output()
        .unwrap()
}

pub(crate) fn done(arguments: &[&str], at: &Path) -> String {
    let output = sstream(arguments, at);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// A directory with a key, a list of items, their files, and the stream built and signed.
pub(crate) fn built() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let at = root.path();
    done(
        &[
            "keygen",
            "--user-id",
            "Throw-away",
            "--kind",
            "rsa2048",
            "--secret",
            "key.asc",
            "--public",
            "pub.gpg",
        ],
        at,
    );
    std::fs::create_dir(at.join("files")).unwrap();
    let mut records = Vec::new();
    for release in ["jammy", "noble"] {
        for version in ["20250101", "20250102"] {
            for ftype in ["squashfs", "boot-kernel"] {
                let path = format!("{release}-{version}-{ftype}");
                std::fs::write(at.join("files").join(&path), format!("content of {path}")).unwrap();
                records.push(serde_json::json!({
                    "content_id": "com.example:daily:download", "datatype": "image-downloads",
                    "product_name": format!("com.example:{release}:amd64"), "version_name": version,
                    "item_name": ftype, "ftype": ftype, "path": path, "release": release,
                    "arch": "amd64", "title": "Müsli ☕ 𝄞", "number": 3, "real": 1.5, "big": 1e300, "yes": true,
                }));
            }
        }
    }
    std::fs::write(at.join("items.json"), serde_json::Value::from(records).to_string()).unwrap();
    done(&["build", "--key", "key.asc", "--files", "files", "-o", "stream", "items.json"], at);
    root
}

#[test]
fn verify_answers_with_its_exit_code_and_names_the_broken_rule() {
    let root = built();
    let index = "stream/streams/v1/index.sjson";
    let out = done(&["verify", "--keyring", "pub.gpg", index], root.path());
    assert!(out.contains("signed by"), "{out}");
    let out = done(
        &["verify", "--keyring", "pub.gpg", "--json", "stream/streams/v1/index.json"],
        root.path(),
    );
    let answer: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (answer["verified"].as_bool(), answer["signers"][0]["hash"].as_str()),
        (Some(true), Some("SHA512"))
    );
    let refused = sstream(&["verify", index], root.path());
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("not in the keyring"));
    let text = std::fs::read_to_string(root.path().join(index)).unwrap();
    std::fs::write(root.path().join("bad.sjson"), format!("{text}more")).unwrap();
    let refused = sstream(&["verify", "--keyring", "pub.gpg", "bad.sjson"], root.path());
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("only white space may follow"));
    assert_eq!(sstream(&["verify"], root.path()).status.code(), Some(2));
    assert_eq!(sstream(&["verify", "--threshold", "0", "x"], root.path()).status.code(), Some(2));
}

#[test]
fn query_lists_json_tables_and_templates() {
    let root = built();
    let query = |more: &[&str]| {
        let mut arguments = vec!["query", "--keyring", "pub.gpg"];
        arguments.extend(more);
        done(&arguments, root.path())
    };
    let list: Vec<serde_json::Map<String, serde_json::Value>> = serde_json::from_str(&query(&[
        "--format",
        "json",
        "stream",
        "release=noble",
        "--max",
        "1",
    ]))
    .unwrap();
    assert_eq!(list.len(), 2);
    assert!(list.iter().all(|record| record["version_name"] == "20250102"));
    assert!(list[0].values().all(serde_json::Value::is_string));
    let lines = query(&["--format", "%(release)s %(nosuch)s%(ftype)s", "stream", "ftype~^boot"]);
    assert_eq!(
        lines,
        "jammy boot-kernel\njammy boot-kernel\nnoble boot-kernel\nnoble boot-kernel\n"
    );
    assert_eq!(query(&["stream"]).lines().count(), 8);
    assert_eq!(query(&["--json", "stream", "arch=none"]), "[]\n");
    assert_eq!(sstream(&["query", "stream", "no filter"], root.path()).status.code(), Some(2));
    assert_eq!(sstream(&["query", "stream"], root.path()).status.code(), Some(1));
    assert_eq!(done(&["query", "--no-verify", "stream"], root.path()).lines().count(), 8);
}

#[test]
fn a_mirror_is_made_checked_repaired_and_carried() {
    let root = built();
    let at = root.path();
    let mirror =
        ["mirror", "--keyring", "pub.gpg", "--max", "1", "stream", "there", "release=noble"];
    let plan = done(&[&mirror[..], &["--dry-run"]].concat(), at);
    assert!(
        plan.contains("+ com.example:daily:download/com.example:noble:amd64/20250102"),
        "{plan}"
    );
    assert!(!at.join("there").exists(), "a dry run leaves nothing");
    done(&mirror, at);
    assert_eq!(done(&["check", "there"], at), "");
    let kernel = at.join("there/noble-20250102-boot-kernel");
    std::fs::remove_file(&kernel).unwrap();
    let checked = sstream(&["check", "there"], at);
    assert_eq!(checked.status.code(), Some(1));
    done(&["repair", "there"], at);
    assert!(kernel.is_file());
    std::fs::write(at.join("have"), done(&["contents", "there"], at)).unwrap();
    done(&["mirror", "--keyring", "pub.gpg", "stream", "there"], at);
    done(&["export", "there", "--other-side", "have", "part.tar.zst"], at);
    done(&["export", "there", "whole.tar.zst"], at);
    let lacking = sstream(&["import", "--keyring", "pub.gpg", "part.tar.zst", "far"], at);
    assert_eq!(lacking.status.code(), Some(1));
    done(&["import", "--keyring", "pub.gpg", "whole.tar.zst", "far"], at);
    assert_eq!(done(&["contents", "far"], at), done(&["contents", "there"], at));
    assert_eq!(done(&["check", "far"], at), "");
    assert_eq!(sstream(&["check", "nowhere"], at).status.code(), Some(1));
}

#[test]
fn a_filtered_mirror_is_signed_again_to_list_what_is_there() {
    let root = built();
    let at = root.path();
    done(&["mirror", "--keyring", "pub.gpg", "stream", "there", "ftype=squashfs"], at);
    done(&["keygen", "--user-id", "Mine", "--secret", "mine.asc", "--public", "mine.gpg"], at);
    done(&["sign", "--key", "mine.asc", "--present-only", "there"], at);
    assert_eq!(done(&["query", "--keyring", "mine.gpg", "there"], at).lines().count(), 4);
}

#[test]
fn completions_and_the_manual_are_printed() {
    let at = tempfile::tempdir().unwrap();
    assert!(done(&["completions", "bash"], at.path()).contains("sstream"));
    assert!(done(&["man"], at.path()).contains(".TH sstream 1"));
    let page = done(&["man", "mirror"], at.path());
    assert!(page.contains(".TH sstream-mirror 1") && page.contains("\\-\\-dry\\-run"), "{page}");
    assert_eq!(sstream(&["man", "nosuch"], at.path()).status.code(), Some(2));
    assert_eq!(sstream(&["man", "--out", "x", "mirror"], at.path()).status.code(), Some(2));
    done(&["man", "--out", "pages/man1"], at.path());
    let written = std::fs::read_dir(at.path().join("pages/man1")).unwrap();
    let written: BTreeSet<String> =
        written.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    for command in ["sstream", "sstream-verify", "sstream-query", "sstream-mirror", "sstream-man"] {
        assert!(written.contains(&format!("{command}.1")), "{written:?}");
    }
    let read = std::fs::read_to_string(at.path().join("pages/man1/sstream-mirror.1")).unwrap();
    assert_eq!(read, page);
}

#[test]
fn a_host_that_needs_no_proxy_is_reached_past_that_of_the_environment() {
    let server =
        crate::server::Server::start(|_, reply| reply.answer("404 Not Found", "", b"nothing"));
    for (arguments, reached) in [(&[][..], 0), (&["--no-proxy", "127.0.0.1"][..], 1)] {
        let output = Command::new(env!("CARGO_BIN_EXE_sstream"))
            .arg("verify")
            .args(arguments)
            .arg(format!("{}x.sjson", server.url))
            .env_remove("no_proxy")
            .env_remove("NO_PROXY")
            .env("http_proxy", "http://127.0.0.1:1/")
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(server.paths().len(), reached);
    }
}
