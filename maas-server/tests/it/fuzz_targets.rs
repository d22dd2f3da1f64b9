//! What must hold for any input, whoever makes it up: shared by the tests and by `fuzz/`.

#![allow(unreachable_pub, reason = "fuzz/ takes it as a public module")]

use std::time::Duration;

use bytes::Bytes;
use maas_core::boot::BootRequest;
use maas_core::dhcp::{lease_changes, parse_leases};
use maas_core::tftp::{Limits, Request, Send, Session, Wait};
use maas_server::http::{Credentials, canonical_path, parse_body, parse_range};
use maas_server::rack::enrolment::{RackReports, RackState};

/// A reader, the inputs to start from, and the words of its language.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Names it on the command line and in the corpus.
    pub name: &'static str,
    /// Takes one input; panics when something does not hold.
    pub check: fn(&[u8]),
    /// Well-formed inputs.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Pieces worth putting in.
    pub words: &'static [&'static [u8]],
}

/// Every target.
pub const TARGETS: [Target; 4] = [
    Target { name: "body", check: body, seeds: body_seeds, words: BODY },
    Target { name: "oauth", check: oauth, seeds: oauth_seeds, words: OAUTH },
    Target { name: "tftp", check: tftp, seeds: tftp_seeds, words: TFTP },
    Target { name: "rack", check: rack, seeds: rack_seeds, words: RACK },
];

/// A content type on the first line, the body after it: what is read is in proportion to what was
/// sent, nothing is a server's error, and all of it can be asked for.
pub fn body(input: &[u8]) {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let kind = std::str::from_utf8(&input[..end]).ok().map(str::trim_end);
    let body = Bytes::copy_from_slice(input.get(end + 1..).unwrap_or_default());
    match parse_body(kind, &body) {
        Ok(fields) => {
            let held: usize = fields.iter().map(|field| field.value.content.len()).sum();
            // Escapes and base64 shrink; a byte that is no UTF-8 becomes three and JSON's `1e15`
            // is written out. Nothing multiplies.
            assert!(held <= 8 * body.len(), "{held} bytes out of {}", body.len());
            for name in fields.names() {
                assert!(fields.contains(name) && fields.value(name).is_some());
                let _ = (fields.texts(name), fields.words(name), fields.flag(name));
                let _ = fields.number::<u64>(name);
            }
        }
        Err(problem) => {
            let status = problem.status().as_u16();
            assert!((400..500).contains(&status), "{status}: {problem}");
        }
    }
}

/// A header: what is read shows its secret nowhere and has no parameter of any length.
pub fn oauth(input: &[u8]) {
    let Ok(header) = std::str::from_utf8(input) else { return };
    if let Ok(Some(credentials)) = Credentials::parse_header(header) {
        for value in [&credentials.consumer_key, &credentials.token, &credentials.nonce] {
            assert!(!value.is_empty() && value.len() <= 256);
        }
        // A guess is no signature, whatever the header says.
        assert!(credentials.check_signature("a secret that is not in any seed").is_err());
        let _ = credentials.check_time(1_795_356_549);
        // A mutation may paste the seed's secret into a field that is no secret.
        let open = [&credentials.consumer_key, &credentials.token, &credentials.nonce];
        if !open.iter().any(|value| value.contains(SECRET)) {
            assert!(!format!("{credentials:?}").contains(SECRET));
        }
    }
}

/// The length of the file that [`tftp`] sends, in bytes: more blocks of 8 than a block number counts.
const FILE: u64 = 600_000;

/// A client's datagrams, each with its length before it: what is sent stays within the file and the
/// window, and the session ends.
pub fn tftp(input: &[u8]) {
    let mut rest = input;
    let mut datagrams = std::iter::from_fn(|| {
        let (&length, after) = rest.split_first()?;
        let (datagram, after) = after.split_at(usize::from(length).min(after.len()));
        rest = after;
        Some(datagram)
    });
    let Ok(Request::Read(request)) = Request::parse(datagrams.next().unwrap_or_default()) else {
        return;
    };
    assert!(request.path.len() <= 512, "a path out of a datagram of 255 bytes");
    let limits = Limits::default();
    let mut now = Duration::ZERO;
    let (mut session, mut step) = Session::start(&request.options, FILE, &limits, now);
    assert!(session.block_size() <= usize::from(limits.block_size));
    for _ in 0..10_000 {
        if let Send::Blocks(blocks) = &step.send {
            let count = blocks.end() - blocks.start() + 1;
            assert!(count <= session.window() as u64, "{count} blocks");
            let last = session.block(*blocks.end());
            assert!(last.offset + last.length as u64 <= FILE);
        }
        let Wait::Until(deadline) = step.wait else { return };
        step = match datagrams.next() {
            Some(datagram) => {
                now += Duration::from_millis(1);
                session.received(datagram, now)
            }
            // The client has fallen silent.
            None => {
                now = now.max(deadline);
                session.timed_out(now)
            }
        };
    }
    panic!("a session with a silent client goes on");
}

/// A path, a lease file, a state or reports, as the first byte says.
pub fn rack(input: &[u8]) {
    let Some((which, input)) = input.split_first() else { return };
    let text = std::str::from_utf8(input).unwrap_or_default();
    match which {
        b'p' => {
            if let Ok(path) = canonical_path(text) {
                // What becomes a file's name stays below its folder.
                if let Ok(
                    BootRequest::File { path } | BootRequest::Bootloader { stored_at: path },
                ) = BootRequest::parse(&path)
                {
                    assert!(path.split('/').all(|part| part != ".."), "{path}");
                }
            }
        }
        b'l' => {
            let leases = parse_leases(text);
            assert!(leases.len() <= text.lines().count());
            assert!(lease_changes(&leases, &leases).is_empty());
        }
        b's' => {
            if let Ok(state) = serde_json::from_slice::<RackState>(input) {
                let again = serde_json::to_vec(&state).unwrap_or_default();
                assert_eq!(serde_json::from_slice::<RackState>(&again).ok(), Some(state));
            }
        }
        b'r' => {
            if let Ok(told) = serde_json::from_slice::<RackReports>(input) {
                let again = serde_json::to_vec(&told).unwrap_or_default();
                assert_eq!(serde_json::from_slice::<RackReports>(&again).ok(), Some(told));
            }
        }
        _ => {
            use maas_server::http::Range;
            if let Range::Part { start, end } = parse_range(text, FILE) {
                assert!(start < end && end <= FILE, "{start} to {end}");
            }
        }
    }
}

fn tftp_seeds() -> Vec<Vec<u8>> {
    let with_lengths = |datagrams: &[&[u8]]| {
        let sized = datagrams.iter().flat_map(|datagram| {
            let length = u8::try_from(datagram.len()).unwrap_or(u8::MAX);
            std::iter::once(length).chain(datagram.iter().copied())
        });
        sized.collect::<Vec<u8>>()
    };
    vec![
        with_lengths(&[b"\0\x01grub/grub.cfg\0octet\0", b"\0\x04\0\x01", b"\0\x04\0\x02"]),
        with_lengths(&[
            b"\0\x01bootx64.efi\0octet\0blksize\x001468\0tsize\x000\0windowsize\x0016\0",
            b"\0\x04\0\0",
            b"\0\x04\0\x10",
            b"\0\x05\0\0bye\0",
        ]),
        with_lengths(&[b"\0\x01x\0netascii\0timeout\x001\0", b"\0\x04\0\x01"]),
    ]
}

const TFTP: &[&[u8]] = &[
    b"\0\x01",
    b"\0\x02",
    b"\0octet\0",
    b"blksize\x008\0",
    b"windowsize\x0065535\0",
    b"timeout\x00255\0",
    b"tsize\0",
    b"\x04\0\x04\0\0",
    b"\x04\0\x04\xff\xff",
    b"\x04\0\x04\0\x01",
    b"\x05\0\x05\0\x08\0",
];

fn rack_seeds() -> Vec<Vec<u8>> {
    [
        "p/ipxe.cfg-52%3A54%3A00%3A00%3A00%3A01",
        "p/images/bootx64.efi",
        "p/images/0123456/ubuntu/amd64/ga-24.04/noble/stable/squashfs",
        "l1795356549 52:54:00:00:00:01 10.0.0.9 node *\n0 06-01:02:03:04:05:06 10.0.0.8 * 01:02\n",
        "s{\"generation\":\"a\",\"files\":{\"00\":5},\"pins\":[\"00\"],\"loaders\":\
         {\"bootloaders/uefi/amd64/bootx64.efi\":{\"sha256\":\"00\",\"size\":1}},\"dhcp\":[]}",
        "r{\"reports\":[{\"kind\":\"leased\",\"mac\":\"52:54:00:00:00:01\",\
         \"address\":\"10.0.0.9\"},{\"kind\":\"netbooted\",\"path\":\"ipxe.cfg\",\
         \"reached\":\"10.0.0.1:5248\"}]}",
        "bbytes=1-2",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}

const RACK: &[&[u8]] = &[
    b"%2e%2e",
    b"/../",
    b"\\",
    b"%00",
    b"bootloaders/",
    b"52:54:00:00:00:01",
    b"10.0.0.9",
    b"null",
    b"18446744073709551615",
    b"{\"kind\":\"lease_ended\"}",
    b"bytes=",
    b"-",
];

/// The token secret in the seeds' signatures.
const SECRET: &str = "kd8fQq";

const BOUNDARY: &str = "===============1812499515225852885==";

fn body_seeds() -> Vec<Vec<u8>> {
    let part = "Content-Transfer-Encoding: base64\r\nContent-Disposition: form-data; \
                name=\"distro_series\"\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; \
                charset=\"utf-8\"\r\n\r\nbm9i\r\nbGU=\r\n";
    let kind = format!("multipart/form-data; boundary=\"{BOUNDARY}\"\n");
    [
        format!("{kind}--{BOUNDARY}\r\n{part}\r\n--{BOUNDARY}--"),
        format!("{kind}--{BOUNDARY}\r\n\r\n--{BOUNDARY}--"),
        "multipart/form-data; boundary=b\n--b\nContent-Disposition: form-data; name=f; \
         filename*=utf-8''a%20b\n\nx\n--b--\n"
            .to_owned(),
        "application/x-www-form-urlencoded\nop=&tags=a%2Cb&tags=c+d".to_owned(),
        "application/json\n{\"name\": \"x\", \"tags\": [\"a\", 5, true, null]}".to_owned(),
    ]
    .map(String::into_bytes)
    .into()
}

const BODY: &[&[u8]] = &[
    b"multipart/form-data; boundary=",
    b"application/x-www-form-urlencoded\n",
    b"application/json\n",
    b"Content-Disposition: form-data; name=\"a\"\r\n",
    b"Content-Transfer-Encoding: base64\r\n",
    b"Content-Transfer-Encoding: quoted-printable\r\n",
    b"filename=\"x\"",
    b"\r\n\r\n",
    b"\r\n--",
    b"--\r\n",
    b"%00",
    b"%",
    b"&",
    b"=",
    b"\\u0000",
    b"\"",
    b"\xff",
];

fn oauth_seeds() -> Vec<Vec<u8>> {
    [
        "OAuth realm=\"OAuth\", oauth_nonce=\"1\", oauth_timestamp=\"1795356549\", \
         oauth_version=\"1.0\", oauth_signature_method=\"PLAINTEXT\", \
         oauth_consumer_key=\"ck\", oauth_token=\"tk\", oauth_signature=\"%26kd8fQq\"",
        "OAuth oauth_version=1.0, oauth_signature_method=PLAINTEXT, oauth_consumer_key=ck, \
         oauth_token=tk, oauth_signature=&kd8fQq, oauth_nonce=2, oauth_timestamp=1795356549",
    ]
    .map(|header| header.as_bytes().to_vec())
    .into()
}

const OAUTH: &[&[u8]] = &[
    b"OAuth ",
    b"oauth_token=",
    b"oauth_signature=",
    b"oauth_timestamp=",
    b"%26",
    b"\"",
    b"\\\"",
    b", ",
    b"-9223372036854775808",
    b"99999999999999999999",
];
