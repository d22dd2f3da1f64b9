//! A small HTTP/1.1 server whose answers are written by the test.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// One request: its path and its headers in lower case.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The first byte of a `Range` header.
    pub(crate) fn range_start(&self) -> usize {
        let range = self.header("range").and_then(|range| range.strip_prefix("bytes="));
        range.and_then(|range| range.split('-').next()?.parse().ok()).unwrap_or(0)
    }

    /// Where a `Range` header ends: the first byte that is not asked for.
    #[cfg(feature = "cli")]
    pub(crate) fn range_end(&self) -> Option<usize> {
        let range = self.header("range").and_then(|range| range.strip_prefix("bytes="))?;
        range.split('-').nth(1)?.parse::<usize>().ok().map(|last| last + 1)
    }
}

/// A server on a port of its own; it ends with the process.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) asked: Arc<Mutex<Vec<Asked>>>,
    pub(crate) sent: Arc<AtomicUsize>,
}

/// What a handler writes to; counts the bytes and never fails loudly when the client has gone.
pub(crate) struct Reply {
    stream: TcpStream,
    sent: Arc<AtomicUsize>,
}

impl Reply {
    /// Writes bytes; `false` when the client has gone.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> bool {
        let done = self.stream.write_all(bytes).is_ok();
        self.sent.fetch_add(if done { bytes.len() } else { 0 }, Ordering::Relaxed);
        done
    }

    /// A whole answer.
    pub(crate) fn answer(&mut self, status: &str, headers: &str, body: &[u8]) {
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n",
            body.len()
        );
        self.raw(head.as_bytes());
        self.raw(body);
    }
}

impl Server {
    pub(crate) fn start(handler: impl Fn(&Asked, &mut Reply) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let server = Self { url, asked: Arc::default(), sent: Arc::default() };
        let (asked, sent) = (Arc::clone(&server.asked), Arc::clone(&server.sent));
        let handler = Arc::new(handler);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (asked, sent) = (Arc::clone(&asked), Arc::clone(&sent));
                let handler = Arc::clone(&handler);
                std::thread::spawn(move || {
                    let Ok(stream) = stream else { return };
                    let Some(request) = read_request(&stream) else { return };
                    asked.lock().unwrap().push(request.clone());
                    handler(&request, &mut Reply { stream, sent });
                });
            }
        });
        server
    }

    pub(crate) fn paths(&self) -> Vec<String> {
        self.asked.lock().unwrap().iter().map(|asked| asked.path.clone()).collect()
    }
}

fn read_request(stream: &TcpStream) -> Option<Asked> {
    let mut lines = BufReader::new(stream.try_clone().ok()?).lines();
    let first = lines.next()?.ok()?;
    let path = first.split(' ').nth(1)?.to_owned();
    let mut headers = Vec::new();
    for line in lines {
        let line = line.ok()?;
        if line.is_empty() {
            break;
        }
        let (key, value) = line.split_once(':')?;
        headers.push((key.to_ascii_lowercase(), value.trim().to_owned()));
    }
    Some(Asked { path, headers })
}
