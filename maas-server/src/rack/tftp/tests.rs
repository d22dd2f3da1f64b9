#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::net::IpAddr;
use std::process::Command;
use std::sync::Mutex;

use futures_util::future::BoxFuture;
use maas_core::boot::FetchedOver;
use tokio::net::UdpSocket;

use super::*;
use crate::http::{FileContent, Problem};
use crate::rack::files::BootFile;

/// Files of a test, and what was asked for.
#[derive(Debug, Default)]
struct Files {
    texts: HashMap<String, String>,
    dir: Option<tempfile::TempDir>,
    asked: Mutex<Vec<(String, Option<IpAddr>)>>,
}

impl BootFiles for Files {
    fn open<'a>(
        &'a self,
        path: &'a str,
        reached: Option<IpAddr>,
        over: FetchedOver,
    ) -> BoxFuture<'a, Result<BootFile, Problem>> {
        Box::pin(async move {
            assert_eq!(over, FetchedOver::Tftp);
            self.asked.lock().unwrap().push((path.to_owned(), reached));
            if let Some(text) = self.texts.get(path) {
                return Ok(BootFile::Text(text.clone()));
            }
            let Some(dir) = &self.dir else { return Err(Problem::not_found("Not Found")) };
            Ok(BootFile::File(FileContent::open(&dir.path().join(path), None).await?))
        })
    }
}

struct Running {
    address: SocketAddr,
    files: Arc<Files>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    async fn new(files: Files, limits: TftpLimits) -> Self {
        let server = TftpServer::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let (address, stop, files) = (server.address(), CancellationToken::new(), Arc::new(files));
        let task = tokio::spawn(server.serve(Arc::clone(&files) as _, limits, stop.clone()));
        Self { address, files, stop, task }
    }

    async fn with_big_file() -> (Self, Vec<u8>) {
        let dir = tempfile::tempdir().unwrap();
        let content: Vec<u8> =
            (0..3_000_001_u32).map(|i| i.wrapping_mul(2_654_435_761).to_be_bytes()[1]).collect();
        std::fs::write(dir.path().join("big"), &content).unwrap();
        let texts = HashMap::from([("grub/grub.cfg".to_owned(), "a\nb\n".to_owned())]);
        let files = Files { texts, dir: Some(dir), asked: Mutex::default() };
        (Self::new(files, TftpLimits::default()).await, content)
    }

    async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

async fn ask(server: SocketAddr, request: &[u8]) -> (UdpSocket, Vec<u8>, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.send_to(request, server).await.unwrap();
    let mut buffer = [0; 2048];
    let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
    (socket, buffer[..length].to_vec(), from)
}

/// Runs a real client; `None` with a line on standard error when it is not installed.
async fn client(program: &str, args: &[&str]) -> Option<std::process::Output> {
    let mut command = Command::new(program);
    command.args(args);
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap();
    match output {
        Ok(output) => Some(output),
        Err(_) => {
            eprintln!("skipped: {program} is not installed");
            None
        }
    }
}

#[tokio::test]
async fn a_transfer_has_a_port_of_its_own_and_the_client_is_told_by_the_address_it_asked() {
    let (server, content) = Running::with_big_file().await;
    let (socket, first, from) = ask(server.address, b"\0\x01big\0octet\0").await;
    assert_ne!(from, server.address);
    assert_eq!(&first[..4], b"\0\x03\0\x01");
    assert_eq!(first[4..], content[..512]);
    assert_eq!(server.files.asked.lock().unwrap()[0].1, Some("127.0.0.1".parse().unwrap()));
    drop(socket);
    server.end().await;
}

#[tokio::test]
async fn what_is_not_there_or_not_offered_is_refused_with_its_code() {
    let server = Running::new(Files::default(), TftpLimits::default()).await;
    for (request, code) in [
        (b"\0\x01nothing\0octet\0".as_slice(), 1),
        (b"\0\x02upload\0octet\0", 4),
        (b"\0\x01x\0mail\0", 4),
    ] {
        let (_, answer, _) = ask(server.address, request).await;
        assert_eq!(answer[..4], [0, 5, 0, code], "{request:?}: {answer:?}");
    }
    server.end().await;
}

#[tokio::test]
async fn a_request_that_is_repeated_is_answered_once() {
    let (server, _) = Running::with_big_file().await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for _ in 0..3 {
        socket.send_to(b"\0\x01big\0octet\0", server.address).await.unwrap();
    }
    let mut buffer = [0; 2048];
    let (_, first) = socket.recv_from(&mut buffer).await.unwrap();
    let wait = Duration::from_millis(300);
    let second = tokio::time::timeout(wait, socket.recv_from(&mut buffer)).await;
    assert!(second.is_err(), "{first} and {second:?}");
    server.end().await;
}

/// The next packet with another opcode and number than those that are repeated meanwhile.
async fn next_other(socket: &UdpSocket, repeated: &[u8]) -> (Vec<u8>, SocketAddr) {
    let mut buffer = [0; 2048];
    loop {
        let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
        if buffer[..4] != repeated[..4] {
            return (buffer[..length].to_vec(), from);
        }
    }
}

#[tokio::test]
async fn another_request_from_the_same_port_ends_the_transfer_before_it() {
    let (server, _) = Running::with_big_file().await;
    for options in [&b""[..], b"windowsize\x004\0"] {
        let request = [&b"\0\x01big\0octet\0"[..], options].concat();
        let (socket, first, before) = ask(server.address, &request).await;
        socket.send_to(b"\0\x01grub/grub.cfg\0octet\0", server.address).await.unwrap();
        let mut buffer = [0; 2048];
        let (length, from) = loop {
            let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
            if from != before {
                break (length, from);
            }
        };
        assert_eq!(&buffer[..length], b"\0\x03\0\x01a\nb\n", "{first:?}");
        socket.send_to(b"\0\x04\0\x01", from).await.unwrap();
    }
    server.end().await;
}

#[tokio::test]
async fn a_client_that_fell_silent_may_ask_for_the_same_again_from_the_same_port() {
    let (server, content) = Running::with_big_file().await;
    let request = b"\0\x01big\0octet\0";
    let (socket, first, from) = ask(server.address, request).await;
    socket.send_to(b"\0\x04\0\x01", from).await.unwrap();
    let (second, _) = next_other(&socket, &first).await;
    assert_eq!(second[..4], [0, 3, 0, 2]);
    // It starts anew, and what is repeated to it by the old transfer means nothing to it.
    let again = loop {
        socket.send_to(request, server.address).await.unwrap();
        let wait = Duration::from_millis(300);
        let answer = tokio::time::timeout(wait, next_other(&socket, &second)).await;
        if let Ok((answer, by)) = answer {
            assert_ne!(by, from);
            break answer;
        }
    };
    assert_eq!(again[..4], [0, 3, 0, 1]);
    assert_eq!(again[4..], content[..512]);
    server.end().await;
}

#[tokio::test]
async fn a_server_that_stops_waits_for_no_client() {
    let (server, _) = Running::with_big_file().await;
    let (_socket, _, _) = ask(server.address, b"\0\x01big\0octet\0timeout\x0030\0").await;
    tokio::time::timeout(Duration::from_secs(3), server.end()).await.unwrap();
}

#[tokio::test]
async fn a_stranger_is_told_that_it_has_no_part_in_a_transfer_which_goes_on() {
    let (server, content) = Running::with_big_file().await;
    // In lock-step and with windows, which are two ways through the server.
    for options in [&b"blksize\x00512\0"[..], b"blksize\x00512\0windowsize\x002\0"] {
        let request = [&b"\0\x01big\0octet\0"[..], options].concat();
        let (socket, granted, from) = ask(server.address, &request).await;
        assert_eq!(granted[2..], *options);
        let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let mut buffer = [0; 2048];
        // An error packet is not answered, or two sides would never end.
        stranger.send_to(b"\0\x05\0\0gone\0", from).await.unwrap();
        stranger.send_to(b"\0\x04\0\0", from).await.unwrap();
        let (length, by) = stranger.recv_from(&mut buffer).await.unwrap();
        assert_eq!((&buffer[..4], by), (b"\0\x05\0\x05".as_slice(), from), "{length}");
        let wait = Duration::from_millis(100);
        let second = tokio::time::timeout(wait, stranger.recv(&mut buffer)).await;
        assert!(second.is_err());
        socket.send_to(b"\0\x04\0\0", from).await.unwrap();
        let length = socket.recv(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..4], b"\0\x03\0\x01");
        assert_eq!(buffer[4..length], content[..512]);
        socket.send_to(b"\0\x05\0\0enough\0", from).await.unwrap();
    }
    server.end().await;
}

#[tokio::test]
async fn curl_fetches_a_file() {
    let (server, content) = Running::with_big_file().await;
    for options in [&["--tftp-blksize", "1468"][..], &["--tftp-no-options"]] {
        let url = format!("tftp://{}/big", server.address);
        let args = [&["-sS", "--max-time", "60"], options, &[&url]].concat();
        let Some(output) = client("curl", &args).await else { break };
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{error}");
        assert!(output.stdout == content, "{options:?}: {} bytes", output.stdout.len());
    }
    server.end().await;
}

#[tokio::test]
async fn atftp_fetches_a_file_with_windows_and_without() {
    let (server, content) = Running::with_big_file().await;
    let dir = tempfile::tempdir().unwrap();
    let port = server.address.port().to_string();
    for window in ["1", "4", "16"] {
        let to = dir.path().join(window);
        let option = format!("windowsize {window}");
        let args = [
            "--option",
            "blksize 1428",
            "--option",
            &option,
            "-g",
            "-r",
            "big",
            "-l",
            to.to_str().unwrap(),
            "127.0.0.1",
            &port,
        ];
        let Some(output) = client("atftp", &args).await else { break };
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{error}");
        assert!(std::fs::read(&to).unwrap() == content, "window {window}");
    }
    server.end().await;
}

#[tokio::test]
async fn tftp_hpa_fetches_text_and_bytes() {
    let (server, content) = Running::with_big_file().await;
    let dir = tempfile::tempdir().unwrap();
    let port = server.address.port().to_string();
    for (mode, path, expected) in
        [("binary", "big", content), ("ascii", "grub/grub.cfg", b"a\nb\n".to_vec())]
    {
        let to = dir.path().join(mode);
        let args = ["-m", mode, "127.0.0.1", &port, "-c", "get", path, to.to_str().unwrap()];
        let Some(output) = client("tftp", &args).await else { break };
        let error = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && !error.contains("rror"), "{error}");
        assert!(std::fs::read(&to).unwrap() == expected, "{mode}");
    }
    server.end().await;
}
