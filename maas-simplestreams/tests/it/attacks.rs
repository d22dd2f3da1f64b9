//! The attack matrix: which test shows that an attack fails. Those that need a whole program or a
//! hostile server and stand nowhere else are here.
//!
//! | attack | test |
//! |---|---|
//! | an unsigned document in place of a signed one | `an_unsigned_document_is_no_substitute` |
//! | the signature is stripped | `a_document_without_a_signature_is_refused` |
//! | a key that is not trusted | `an_unknown_key_is_refused` |
//! | a key that has expired | `a_key_that_has_expired_since_is_refused_unless_allowed` |
//! | a key that is revoked | `a_revoked_key_is_refused_whatever_the_reason` |
//! | a signature with SHA-1, MD5 or another weak digest | `weak_digests_are_refused` |
//! | a signature from the future | `a_signature_from_the_future_is_refused_beyond_half_an_hour` |
//! | a signature that has expired | `a_signature_that_has_expired_is_refused` |
//! | a weak key | `short_rsa_keys_are_refused` |
//! | a key that is not for signing | `keys_that_are_not_for_signing_are_refused` |
//! | armor headers, text before and after, byte order mark | `every_other_shape_is_refused_with_its_rule` |
//! | two messages in one file | `two_messages_in_one_file_are_refused` |
//! | two signatures, one of an unknown key: no denial of service | `key_rollover_by_double_signing_works` |
//! | one key that signs twice to reach a threshold | `a_threshold_counts_different_keys` |
//! | line ends, blanks and headers that are harmless | `what_is_harmless_in_a_signed_text_stays_accepted` |
//! | an older document (rollback) | `an_older_stream_than_one_seen_before_is_refused` |
//! | a document that is held back (freeze) | `a_stale_stream_raises_an_alarm` |
//! | a document that empties the mirror | `a_document_that_empties_the_mirror_is_refused_unless_allowed` |
//! | another products file in place of the one asked for | `a_products_file_under_another_name_is_refused` |
//! | another format or datatype | `another_datatype_or_format_is_refused` |
//! | another channel under the same key | `a_channel_that_was_not_asked_for_is_refused` |
//! | another document at the second fetch | `what_is_published_is_what_was_verified_even_when_the_source_changes_its_mind` |
//! | a path that leads out, in any spelling | `every_way_out_is_refused_with_its_rule` |
//! | a path that leads out, in a document | `dangerous_documents_are_refused` |
//! | a content id that leads out | `content_ids_are_one_file_name` |
//! | two paths with one file name | `a_mirror_is_the_signed_tree_byte_for_byte` |
//! | two contents for one path | `one_path_cannot_have_two_contents` |
//! | an item in the place of metadata or state | `items_cannot_take_the_place_of_metadata_or_state` |
//! | a redirect to a file, to another scheme, in a loop | `redirects_are_followed_only_where_they_may_lead` |
//! | a redirect from https to http | `redirects_never_lead_from_https_to_http_nor_elsewhere` |
//! | credentials of a URL in an error | `credentials_in_a_url_appear_in_no_error` |
//! | an item whose URL leads elsewhere | `paths_are_joined_below_the_root_whatever_they_hold` |
//! | an endless index, products file or signature | `an_endless_document_costs_little_memory` |
//! | an endless item | `an_endless_item_costs_little_memory_and_disk` |
//! | an item longer than its signed size | `an_endless_file_is_cut_at_its_size` |
//! | a compressed body that unpacks without end | `bodies_are_never_decompressed` |
//! | deep nesting | `nesting_counts_objects_and_lists_but_not_brackets_in_strings` |
//! | indexes that lead to indexes | `indexes_that_lead_ever_deeper_are_refused` |
//! | indexes that lead to each other | `nested_indexes_are_read_and_loops_end` |
//! | an item that is shorter than signed | `truncated_files_are_resumed` |
//! | an item with other bytes than signed | `wrong_bytes_never_reach_the_store_and_the_next_mirror_helps` |
//! | a file that changes between two attempts | `a_file_that_changes_between_attempts_is_refused` |
//! | content of which only the MD5 is known | `content_of_which_only_the_md5_is_known_is_left_out_by_name` |
//! | no digest or no size | `hoisted_integrity_fields_count_and_md5_alone_does_not` |
//! | the same key twice | `dangerous_documents_are_refused` |
//! | an archive with members that lead out | `an_archive_with_strange_members_is_refused` |
//! | a body that ends early | `a_document_that_ends_early_is_refused` |
//! | a server that sends nothing | `a_server_that_sends_nothing_is_given_up` |
//! | a server that drips an item | `a_server_that_drips_is_given_up` |
//! | a server that drips a document | `a_document_that_drips_is_given_up` |
//! | a server that ignores ranges | `a_server_that_ignores_ranges_does_no_harm` |
//! | a server that answers another range than asked | `a_server_that_answers_another_range_is_refused` |
//! | the body of an error as a document | `the_body_of_an_error_is_no_document` |
//! | the body of an error as an item | `server_errors_are_retried_and_their_bodies_are_no_content` |
//! | a file that is changed on the disk | `damage_is_found_and_repaired` |
//! | metadata that is changed on the disk | `metadata_that_was_changed_locally_is_found_and_replaced` |
//! | a kill at any moment | `killed_at_any_moment_it_serves_a_whole_generation_and_loses_little` |
//!
//! Stream data reaches no shell and no template that runs anything: the crate starts no process.
//! A URL is asked with its own scheme alone, never with another one first.

use std::path::Path;

use std::time::{Duration, Instant};

use maas_simplestreams::date::Timestamp;
use maas_simplestreams::digest::Sha256;
use maas_simplestreams::fetch::{FetchError, FetchOptions, fetch};
use maas_simplestreams::publish::{Content, NewItem, NewProduct, NewVersion, Signing, Stream};
use maas_simplestreams::repository::{Repository, RepositoryError, Source};
use maas_simplestreams::sign::SigningKey;
use maas_simplestreams::store::BlobStore;
use maas_simplestreams::transport::{HttpOptions, Standard, TransportErrorKind};
use maas_simplestreams::trust::TrustMemory;

use crate::server::Server;

const NOW: Timestamp = Timestamp::from_seconds(1_780_000_000);

/// Every function of the crate's sources and tests.
fn sources(directory: &Path, text: &mut String) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            text.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn every_attack_of_the_matrix_has_its_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut text = String::new();
    sources(&root.join("src"), &mut text);
    sources(&root.join("tests"), &mut text);
    let rows = include_str!("attacks.rs").lines().filter(|line| line.starts_with("//! | "));
    let mut count = 0;
    for row in rows.skip(1) {
        let test = row.split('`').nth(1).unwrap();
        assert!(text.contains(&format!("fn {test}(")), "{row}");
        count += 1;
    }
    assert!(count > 50, "{count}");
}

#[tokio::test]
async fn a_document_that_ends_early_is_refused() {
    let server = Server::start(|_, reply| {
        reply.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\nConnection: close\r\n\r\n{\"a\":");
    });
    let transport = Standard::shared(&HttpOptions::default()).unwrap();
    let source = Source::unverified(server.url.parse().unwrap());
    let refused = Repository::open(source, transport, TrustMemory::default(), NOW).await;
    assert!(matches!(refused, Err(RepositoryError::Fetch { cause, .. })
        if matches!(cause.kind, TransportErrorKind::Truncated | TransportErrorKind::Connection)));
}

#[tokio::test]
async fn a_document_that_drips_is_given_up() {
    let server = Server::start(|_, reply| {
        reply.raw(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{");
        while reply.raw(b" ") {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let transport = Standard::shared(&HttpOptions::default()).unwrap();
    let source = Source::unverified(server.url.parse().unwrap());
    let source = source.minimum_rate(1024, Duration::from_millis(300));
    let begun = Instant::now();
    let refused = Repository::open(source, transport, TrustMemory::default(), NOW).await;
    assert!(matches!(refused, Err(RepositoryError::Fetch { cause, .. })
        if cause.kind == TransportErrorKind::TimedOut));
    assert!(begun.elapsed() < Duration::from_secs(30));
}

#[tokio::test]
async fn a_server_that_answers_another_range_is_refused() {
    let content: Vec<u8> = (0..2_000_000u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
    let body = content.clone();
    let server = Server::start(move |asked, reply| {
        let start = asked.range_start();
        // Cut short first; then bytes of another place under a range that says so.
        let shown = if start > 0 { start + 1 } else { 0 };
        let head = format!(
            "HTTP/1.1 {}\r\nContent-Length: {}\r\nContent-Range: bytes {shown}-{}/{}\r\n\
             Connection: close\r\n\r\n",
            if start > 0 { "206 Partial Content" } else { "200 OK" },
            body.len() - shown,
            body.len() - 1,
            body.len()
        );
        reply.raw(head.as_bytes());
        reply.raw(&body[shown..body.len().min(shown + 700_000)]);
    });
    let directory = tempfile::tempdir().unwrap();
    let store = BlobStore::open(directory.path()).await.unwrap();
    let transport = Standard::shared(&HttpOptions::default()).unwrap();
    let urls = [format!("{}file", server.url).parse().unwrap()];
    let mut options = FetchOptions::default();
    options.first_pause = Duration::from_millis(1);
    options.attempts = 2;
    let (digest, size) = (Sha256::of(&content), content.len() as u64);
    let answer = fetch(&*transport, &store, digest, size, &urls, &options, &()).await;
    assert!(matches!(answer, Err(FetchError::Transport { cause, .. })
        if cause.kind == TransportErrorKind::Protocol));
    assert!(store.list().await.unwrap().is_empty());
}

/// A signed stream of one item, and the keyring beside it.
fn published(root: &Path, size: usize) {
    let key = SigningKey::generate("Throw-away", NOW).unwrap();
    std::fs::write(root.join("pub.gpg"), key.public_keyring().unwrap()).unwrap();
    let item = NewItem::from_bytes("files/a", vec![7; size]);
    let product = NewProduct::new("p").version(NewVersion::new("1").item("i", item));
    Stream::new(NOW)
        .content(Content::new("c:d", "image-ids").product(product))
        .write(&root.join("from"), Signing::Signed { key: &key, at: NOW })
        .unwrap();
}

#[cfg(feature = "archive")]
#[tokio::test]
async fn an_archive_with_strange_members_is_refused() {
    use maas_simplestreams::mirror::{ArchiveError, Mirror};
    let manifest = r#"{"format":"sstream-archive:1","inventory":{},"metadata":[]}"#;
    let digest = Sha256::of(b"x").to_string();
    let named = [
        ("../outside".to_owned(), tar::EntryType::Regular),
        ("/etc/outside".to_owned(), tar::EntryType::Regular),
        ("metadata/../outside".to_owned(), tar::EntryType::Regular),
        ("metadata/outside.json".to_owned(), tar::EntryType::Regular),
        ("blobs/../../outside".to_owned(), tar::EntryType::Regular),
        (format!("blobs/{digest}"), tar::EntryType::Regular),
        ("link".to_owned(), tar::EntryType::Symlink),
    ];
    for (name, kind) in named {
        let mut builder = tar::Builder::new(zstd::Encoder::new(Vec::new(), 1).unwrap());
        let mut add = |name: &str, kind, content: &[u8]| {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            header.set_entry_type(kind);
            // Written past the builder, which would refuse such names itself.
            header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_cksum();
            builder.append(&header, content).unwrap();
        };
        add("manifest.json", tar::EntryType::Regular, manifest.as_bytes());
        add(&name, kind, b"x");
        let archive = builder.into_inner().unwrap().finish().unwrap();
        let root = tempfile::tempdir().unwrap();
        let mut mirror = Mirror::open(root.path().join("there")).await.unwrap();
        let refused = mirror.import_unverified(&archive[..], NOW);
        assert!(matches!(refused, Err(ArchiveError::Malformed { .. })), "{name}: {refused:?}");
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 1, "{name}");
        let left = std::fs::read_dir(root.path().join("there")).unwrap();
        assert_eq!(left.count(), 1, "{name}: only the state");
    }
}

/// What the program costs against hostile servers, measured from outside.
#[cfg(all(feature = "cli", target_os = "linux"))]
mod measured {
    use std::process::{Command, Stdio};
    use std::sync::atomic::Ordering;

    use super::*;

    /// What the issue allows, in KiB.
    const MOST_MEMORY: u64 = 64 << 10;

    /// Runs the program to its end: exit code, what it said, and its peak memory in KiB.
    fn watched(arguments: &[&str], at: &Path) -> (Option<i32>, String, u64) {
        let said = at.join("said");
        let mut child = Command::new(env!("CARGO_BIN_EXE_sstream"))
            .args(arguments)
            .current_dir(at)
            .env_remove("http_proxy")
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&said).unwrap())
            .spawn()
            .unwrap();
        let facts = format!("/proc/{}/status", child.id());
        let mut peak = 0;
        let code = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status.code();
            }
            let facts = std::fs::read_to_string(&facts).unwrap_or_default();
            let line = facts.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok());
            peak = peak.max(kib.unwrap_or(0));
            std::thread::sleep(Duration::from_micros(500));
        };
        (code, std::fs::read_to_string(said).unwrap(), peak)
    }

    #[test]
    fn an_endless_document_costs_little_memory() {
        let root = tempfile::tempdir().unwrap();
        published(root.path(), 10);
        let from = root.path().join("from");
        for (endless, head, limit) in [
            ("index.sjson", "", 4 << 20),
            ("index.sjson", "Content-Length: 100000000000\r\n", 4 << 20),
            ("index.json.gpg", "", 64 << 10),
            ("c:d.sjson", "", 64 << 20),
        ] {
            let (from, name) = (from.clone(), format!("/streams/v1/{endless}"));
            let server = Server::start(move |asked, reply| {
                if asked.path == name {
                    reply.raw(format!("HTTP/1.1 200 OK\r\n{head}\r\n").as_bytes());
                    let block = vec![b'x'; 1 << 16];
                    while reply.raw(&block) {}
                    return;
                }
                match std::fs::read(from.join(asked.path.trim_start_matches('/'))) {
                    Ok(body) => reply.answer("200 OK", "", &body),
                    Err(_) => reply.answer("404 Not Found", "", b""),
                }
            });
            let start = if endless.ends_with(".gpg") { "index.json" } else { "index.sjson" };
            let url = format!("{}streams/v1/{start}", server.url);
            let (code, said, peak) = watched(&["query", "--keyring", "pub.gpg", &url], root.path());
            println!("{endless}: {peak} KiB, {} bytes sent", server.sent.load(Ordering::Relaxed));
            assert_eq!(code, Some(1), "{said}");
            assert!(said.contains(endless) && said.contains("longer than"), "{said}");
            // A products file may be 64 MiB: its text is held once.
            let most = if limit > 32 << 20 { 3 * MOST_MEMORY } else { MOST_MEMORY };
            assert!((1..most).contains(&peak), "{endless}: {peak} KiB");
            let sent = server.sent.load(Ordering::Relaxed);
            assert!(sent < limit + (16 << 20), "{endless}: {sent} bytes were taken");
        }
    }

    #[test]
    fn an_endless_item_costs_little_memory_and_disk() {
        let root = tempfile::tempdir().unwrap();
        // Large enough to come in ranges.
        for size in [1 << 20, 9 << 20] {
            published(root.path(), size);
            let from = root.path().join("from");
            let server = Server::start(move |asked, reply| {
                if asked.path == "/files/a" {
                    reply.raw(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
                    // Other bytes than signed: the right ones would be taken up to the size.
                    let block = vec![8; 1 << 16];
                    while reply.raw(&block) {}
                    return;
                }
                let body = std::fs::read(from.join(asked.path.trim_start_matches('/'))).unwrap();
                reply.answer("200 OK", "", &body);
            });
            let arguments =
                ["mirror", "--keyring", "pub.gpg", "--attempts", "2", &server.url, "there"];
            let (code, said, peak) = watched(&arguments, root.path());
            println!("{size}: {peak} KiB, {} bytes sent", server.sent.load(Ordering::Relaxed));
            assert_eq!(code, Some(1), "{said}");
            assert!(said.contains("files/a") && said.contains("more than the"), "{said}");
            assert!((1..MOST_MEMORY).contains(&peak), "{peak} KiB");
            let there = root.path().join("there");
            let mut left = 0;
            let mut directories = vec![there.clone()];
            while let Some(directory) = directories.pop() {
                for entry in std::fs::read_dir(directory).unwrap() {
                    let entry = entry.unwrap();
                    let facts = entry.metadata().unwrap();
                    if facts.is_dir() {
                        directories.push(entry.path());
                    } else {
                        left += facts.len();
                    }
                }
            }
            assert!(left < size as u64 + (1 << 20), "{left} bytes on the disk");
            assert!(!there.join("files/a").exists() && !there.join("streams").exists());
            std::fs::remove_dir_all(there).unwrap();
            std::fs::remove_dir_all(root.path().join("from")).unwrap();
        }
    }
}
