//! What must hold for any input, whoever makes it up: shared by the tests and by `fuzz/`.

#![allow(unreachable_pub, reason = "fuzz/ takes it as a public module")]

use bytes::Bytes;
use maas_server::http::{Credentials, parse_body};

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
pub const TARGETS: [Target; 2] = [
    Target { name: "body", check: body, seeds: body_seeds, words: BODY },
    Target { name: "oauth", check: oauth, seeds: oauth_seeds, words: OAUTH },
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
