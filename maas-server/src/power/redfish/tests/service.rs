//! A service that answers as a test says, one request a connection.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What was asked.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    /// Its header lines, in lower case.
    pub(super) head: String,
    pub(super) body: String,
}

/// What is answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<String>,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: String::new() }
    }

    pub(super) fn json(body: &str) -> Self {
        Self { body: body.to_owned(), ..Self::status(200) }
    }

    pub(super) fn redirect(to: &str) -> Self {
        Self::status(308).header(format!("Location: {to}"))
    }

    pub(super) fn header(mut self, line: String) -> Self {
        self.headers.push(line);
        self
    }
}

/// The service; its thread ends with the test's process.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) url: String,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Service {
    pub(super) fn start(mut answer: impl FnMut(&Request) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let keep = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let request = read(&stream);
                keep.lock().unwrap().push(request.clone());
                let answer = answer(&request);
                let headers: String =
                    answer.headers.iter().map(|line| format!("{line}\r\n")).collect();
                let mut stream = stream;
                // A client that has read enough may be gone.
                drop(write!(
                    stream,
                    "HTTP/1.1 {} X\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{}",
                    answer.status,
                    answer.body.len(),
                    answer.body
                ));
            }
        });
        Self { url, seen }
    }

    /// The bodies of all requests that had one, in order.
    pub(super) fn bodies(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        seen.iter().map(|request| request.body.clone()).filter(|body| !body.is_empty()).collect()
    }
}

fn read(stream: &TcpStream) -> Request {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first).unwrap();
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let mut head = String::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if line.trim().is_empty() {
            break;
        }
        let line = line.to_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    Request { method, path, head, body: String::from_utf8(body).unwrap() }
}
