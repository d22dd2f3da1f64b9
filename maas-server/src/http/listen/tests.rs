//! The server on real sockets.

#![allow(clippy::unwrap_used)]
use super::*;
use crate::http::Limits;
use crate::http::api::tests::{App, BIG, api, api_with};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

async fn start_with(api: Api<App>, options: ServeOptions) -> Server {
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let (address, stop) = (listener.address(), CancellationToken::new());
    let task = tokio::spawn(listener.serve(Arc::new(api), options, stop.clone()));
    Server { address, stop, task }
}

async fn start() -> Server {
    start_with(api(), ServeOptions::default()).await
}

/// Sends bytes and reads until the other side closes.
async fn talk(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

fn header<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let head = answer.split("\r\n\r\n").next()?;
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

#[tokio::test]
async fn every_reply_carries_a_date() {
    let server = start().await;
    for path in ["/ipxe.cfg", "/MAAS/api/2.0/machines/", "/nothing"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        let answer = talk(server.address, request.as_bytes()).await;
        assert!(header(&answer, "date").is_some_and(|date| date.ends_with("GMT")), "{answer}");
    }
}

#[tokio::test]
async fn uefi_http_boot_asks_head_then_get_on_one_connection() {
    let server = start().await;
    let answer = talk(
        server.address,
        b"HEAD /images/x HTTP/1.1\r\nHost: h\r\n\r\n\
          GET /images/x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    )
    .await;
    let (head, get) = answer.split_once("\r\n\r\n").unwrap();
    assert!(
        head.starts_with("HTTP/1.1 200") && header(head, "content-length") == Some("5"),
        "{answer}"
    );
    assert!(get.starts_with("HTTP/1.1 200") && get.ends_with("\r\n\r\nbytes"), "{answer}");
}

#[tokio::test]
async fn a_chunked_upload_is_read() {
    let server = start().await;
    let answer = talk(
        server.address,
        b"PUT /MAAS/api/2.0/boot-resources/1/upload/2/ HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\
          Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n",
    )
    .await;
    assert!(answer.ends_with("\r\n\r\n7"), "{answer}");
}

#[tokio::test]
async fn garbage_and_too_many_headers_do_not_stop_the_server() {
    let server = start().await;
    let many = "X: 1\r\n".repeat(200);
    let answer = talk(server.address, format!("GET / HTTP/1.1\r\n{many}\r\n").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(66_000));
    let answer = talk(server.address, long.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    let answer = talk(server.address, b"\x16\x03\x01garbage\r\n\r\n").await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    let answer =
        talk(server.address, b"POST /panic HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 500"), "{answer}");
    let answer =
        talk(server.address, b"GET /ipxe.cfg HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            .await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_client_that_says_nothing_is_let_go() {
    let short = Duration::from_millis(50);
    let options = ServeOptions::default().with_timeouts(short, short);
    let server = start_with(api(), options).await;
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(5), silent.read_to_end(&mut answer)).await;
    assert!(read.is_ok());
}

#[tokio::test]
async fn a_large_file_arrives_whole_over_a_socket() {
    let server = start().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let request = b"GET /big HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut buffer = vec![0; 1 << 20];
    let mut received = stream.read(&mut buffer).await.unwrap();
    let head = buffer[..received].windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
    loop {
        match stream.read(&mut buffer).await.unwrap() {
            0 => break,
            more => received += more,
        }
    }
    assert_eq!((received - head) as u64, BIG);
}

#[tokio::test]
async fn a_client_that_stops_reading_is_cut_off() {
    let options = ServeOptions::default()
        .with_timeouts(Duration::from_secs(30), Duration::from_millis(100))
        .with_connections(1);
    let server = start_with(api(), options).await;
    let mut lazy = TcpStream::connect(server.address).await.unwrap();
    lazy.write_all(b"GET /big HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    // The only place becomes free although the first client is still there.
    let request = b"GET /ipxe.cfg HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    let other = tokio::time::timeout(Duration::from_secs(10), talk(server.address, request)).await;
    assert!(other.unwrap().starts_with("HTTP/1.1 200"));
    drop(lazy);
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_their_turn() {
    let server = start_with(api(), ServeOptions::default().with_connections(1)).await;
    let first = TcpStream::connect(server.address).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let request = b"GET /ipxe.cfg HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    let second = tokio::spawn(async move { talk(server.address, request).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!second.is_finished());
    drop(first);
    assert!(second.await.unwrap().starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn an_address_in_use_is_told_with_the_address() {
    let server = start().await;
    let error = Listener::bind(server.address).await.unwrap_err();
    assert!(matches!(error, BindError::InUse { address, .. } if address == server.address));
    assert!(error.to_string().contains(&server.address.to_string()));
}

#[tokio::test]
async fn stopping_lets_a_request_under_way_finish() {
    let server = start().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = b"PUT /MAAS/api/2.0/boot-resources/1/upload/2/ HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\nabc";
    stream.write_all(head).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    server.stop.cancel();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!server.task.is_finished());
    stream.write_all(b"def").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("\r\n\r\n6"), "{answer}");
    server.task.await.unwrap();
}

#[tokio::test]
async fn after_the_grace_time_connections_are_cut() {
    let options = ServeOptions::default().with_grace(Duration::from_millis(50));
    let server = start_with(api_with(Limits::default()), options).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = b"PUT /MAAS/api/2.0/boot-resources/1/upload/2/ HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\nabc";
    stream.write_all(head).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    server.stop.cancel();
    tokio::time::timeout(Duration::from_secs(5), server.task).await.unwrap().unwrap();
}
