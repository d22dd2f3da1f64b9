//! A client that sends exactly the bytes it is told to, one connection a request.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// An API key or a machine's credentials.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) consumer: String,
    pub(crate) token: String,
    pub(crate) secret: String,
}

/// The two spellings of the `Authorization` header (boot-and-metadata §2.2).
#[derive(Clone, Copy, Debug)]
pub(crate) enum Dialect {
    /// oauthlib: quoted values, percent-encoded.
    Quoted,
    /// curtin's first script: bare values.
    Bare,
}

impl Key {
    /// Reads `consumer:token:secret`.
    pub(crate) fn parse(text: &str) -> Self {
        let parts: Vec<&str> = text.trim().split(':').collect();
        let [consumer, token, secret] = parts[..] else { panic!("not an API key") };
        Self { consumer: consumer.into(), token: token.into(), secret: secret.into() }
    }

    /// A header of its own for every call.
    pub(crate) fn sign(&self) -> String {
        self.sign_as(Dialect::Quoted, now(), &nonce())
    }

    pub(crate) fn sign_as(&self, dialect: Dialect, timestamp: i64, nonce: &str) -> String {
        let Self { consumer, token, secret } = self;
        match dialect {
            Dialect::Quoted => format!(
                "OAuth oauth_nonce=\"{nonce}\", oauth_timestamp=\"{timestamp}\", \
                 oauth_version=\"1.0\", oauth_signature_method=\"PLAINTEXT\", \
                 oauth_consumer_key=\"{consumer}\", oauth_token=\"{token}\", \
                 oauth_signature=\"%26{secret}\""
            ),
            Dialect::Bare => format!(
                "OAuth oauth_version=1.0, oauth_signature_method=PLAINTEXT, \
                 oauth_consumer_key={consumer}, oauth_token={token}, oauth_signature=&{secret}, \
                 oauth_nonce={nonce}, oauth_timestamp={timestamp}"
            ),
        }
    }
}

/// Seconds of Unix time.
pub(crate) fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

/// A nonce that was never used in this process.
pub(crate) fn nonce() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    format!("{nanos}{}{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    /// The body as it lay on the wire, chunks joined.
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.text()))
    }

    /// This answer, if it is a success.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert!((200..300).contains(&self.status), "{}: {}", self.status, self.text());
        self
    }
}

/// A request that is being put together.
#[derive(Clone)]
pub(crate) struct Call {
    method: &'static str,
    path: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

impl Call {
    pub(crate) fn new(method: &'static str, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), headers: Vec::new(), body: None }
    }

    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self::new("GET", path)
    }

    pub(crate) fn head(path: impl Into<String>) -> Self {
        Self::new("HEAD", path)
    }

    /// With a form as gomaasapi and wget send it.
    pub(crate) fn post(path: impl Into<String>, fields: &[(&str, &str)]) -> Self {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        let body = form.extend_pairs(fields).finish();
        Self::new("POST", path)
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(body)
    }

    /// With a form as the runner sends it; a field with a file name is a file.
    pub(crate) fn multipart(
        path: impl Into<String>,
        fields: &[(&str, Option<&str>, &[u8])],
    ) -> Self {
        let mut body = Vec::new();
        for (name, file, content) in fields {
            body.extend_from_slice(b"--frontier\r\nContent-Disposition: form-data; ");
            body.extend_from_slice(format!("name=\"{name}\"").as_bytes());
            if let Some(file) = file {
                body.extend_from_slice(format!("; filename=\"{file}\"").as_bytes());
            }
            body.extend_from_slice(b"\r\n\r\n");
            body.extend_from_slice(content);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"--frontier--\r\n");
        Self::new("POST", path)
            .header("Content-Type", "multipart/form-data; boundary=frontier")
            .body(body)
    }

    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn signed(self, key: &Key) -> Self {
        self.header("Authorization", key.sign())
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// The bytes on the wire.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\nHost: 127.0.0.1\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some(body) = &self.body {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        head.push_str("Connection: close\r\n\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(self.body.as_deref().unwrap_or_default());
        bytes
    }

    /// Sends it and reads the answer to its end.
    #[track_caller]
    pub(crate) fn send(&self, to: SocketAddr) -> Answer {
        self.try_send(to).unwrap_or_else(|error| panic!("{} {}: {error}", self.method, self.path))
    }

    /// Like [`Call::send`], for a server that may be dead.
    pub(crate) fn try_send(&self, to: SocketAddr) -> io::Result<Answer> {
        exchange(to, &self.bytes())
    }
}

/// Sends bytes and reads what comes back until the server closes the connection.
pub(crate) fn exchange(to: SocketAddr, bytes: &[u8]) -> io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&to, Duration::from_secs(10))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // A server that refuses a large body answers before it has read it.
    let written = stream.write_all(bytes);
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => {}
        Err(error) if answer.is_empty() => return Err(written.err().unwrap_or(error)),
        // The rest of the request was thrown away with a reset; the answer came first.
        Err(_) => {}
    }
    parse(&answer)
}

fn parse(bytes: &[u8]) -> io::Result<Answer> {
    let broken = || io::Error::new(io::ErrorKind::UnexpectedEof, "the answer broke off");
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").ok_or_else(broken)?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect();
    let mut answer =
        Answer { status: status.ok_or_else(broken)?, headers, body: bytes[end + 4..].to_vec() };
    if answer.header("transfer-encoding") == Some("chunked") {
        answer.body = joined(&answer.body).ok_or_else(broken)?;
    }
    Ok(answer)
}

fn joined(mut chunks: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = chunks.windows(2).position(|two| two == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&chunks[..end]).ok()?, 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(chunks.get(end + 2..end + 2 + size)?);
        chunks = chunks.get(end + 4 + size..)?;
    }
}
