//! Pieces of files on real sockets: in place, lent, growing and spoilt.

#![allow(clippy::unwrap_used)]

use std::io::Write as _;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::*;
use crate::http::Reach;

const PATIENCE: Duration = Duration::from_secs(10);

async fn pair(patience: Duration) -> (SplicingStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let stream = listener.accept().await.unwrap().0;
    (SplicingStream::new(stream, patience, Arc::default()), client)
}

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i % 251) as u8).collect()
}

fn file(content: &[u8]) -> Arc<File> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(content).unwrap();
    Arc::new(file)
}

fn reading(mut client: TcpStream) -> JoinHandle<Vec<u8>> {
    tokio::spawn(async move {
        let mut all = Vec::new();
        client.read_to_end(&mut all).await.unwrap();
        all
    })
}

/// Writes what stands for a part as hyper would, with other bytes behind it.
async fn write(server: &mut SplicingStream, mut part: FilePart, after: &[u8]) -> io::Result<()> {
    while part.length() > 0 {
        let stands = server.pieces().push(&mut part);
        let mut rest = &stands[..];
        while !rest.is_empty() {
            let slices = [IoSlice::new(rest), IoSlice::new(after)];
            let sent = server.write_vectored(&slices).await?;
            assert!(sent <= rest.len(), "a piece is sent by itself");
            rest = &rest[sent..];
        }
    }
    server.write_all(after).await
}

#[tokio::test]
async fn pieces_are_sent_in_the_place_of_their_stand_ins_between_other_bytes() {
    // Small enough to go out at once, larger than any socket's buffer, longer than a stand-in.
    for length in [20, CHUNK_LEN, 12 << 20, PIECE_LEN + 13] {
        let (mut server, client) = pair(PATIENCE).await;
        let content = content(length + 20);
        let file = file(&content);
        let reading = reading(client);
        server.write_all(b"before ").await.unwrap();
        let part = FilePart::new(file, 10, 10 + length as u64);
        write(&mut server, part, b" after").await.unwrap();
        drop(server);
        let expected = [b"before ", &content[10..10 + length], b" after"].concat();
        assert!(reading.await.unwrap() == expected, "{length}");
    }
}

#[tokio::test]
async fn a_file_that_is_being_written_is_sent_as_it_grows() {
    let (mut server, mut client) = pair(PATIENCE).await;
    let content = content(1 << 20);
    let (growth, growing) = watch::channel(Reach::Bytes(1000));
    let part = FilePart::new(file(&content), 0, 1 << 20).growing(growing);
    let writing = tokio::spawn(async move { write(&mut server, part, b"end").await });
    let mut first = vec![0; 1000];
    client.read_exact(&mut first).await.unwrap();
    assert!(first == content[..1000]);
    let more = tokio::time::timeout(Duration::from_millis(50), client.read_u8()).await;
    assert!(more.is_err(), "what is not written yet is not sent");
    let reading = reading(client);
    growth.send_replace(Reach::Bytes(700_000));
    growth.send_replace(Reach::Whole);
    writing.await.unwrap().unwrap();
    assert!(reading.await.unwrap() == [&content[1000..], b"end"].concat());
}

#[tokio::test]
async fn a_file_that_breaks_off_or_shrinks_ends_the_connection() {
    let content = content(1 << 20);
    let (mut server, client) = pair(PATIENCE).await;
    let (growth, growing) = watch::channel(Reach::Bytes(1000));
    let part = FilePart::new(file(&content), 0, 1 << 20).growing(growing);
    let reading = reading(client);
    growth.send_replace(Reach::Broken);
    assert!(write(&mut server, part, b"end").await.is_err());
    drop(server);
    assert!(reading.await.unwrap().len() <= 1000);

    let (mut server, _client) = pair(PATIENCE).await;
    let part = FilePart::new(file(&content), 0, (1 << 20) + 1);
    let ended = write(&mut server, part, b"end").await.unwrap_err();
    assert_eq!(ended.kind(), io::ErrorKind::UnexpectedEof);
    assert!(server.write_all(b"more").await.is_err(), "the socket is gone");
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_given_up() {
    let (mut server, client) = pair(Duration::from_millis(100)).await;
    let part = FilePart::new(file(&content(64 << 20)), 0, 64 << 20);
    let ended = write(&mut server, part, b"end").await.unwrap_err();
    assert_eq!(ended.kind(), io::ErrorKind::TimedOut);
    drop(client);
}

#[tokio::test]
async fn dropping_the_stream_ends_a_transfer() {
    let (mut server, mut client) = pair(PATIENCE).await;
    let part = FilePart::new(file(&content(64 << 20)), 0, 64 << 20);
    let writing = write(&mut server, part, b"end");
    assert!(tokio::time::timeout(Duration::from_millis(100), writing).await.is_err());
    drop(server);
    let mut all = Vec::new();
    client.read_to_end(&mut all).await.unwrap();
    assert!(all.len() < 64 << 20);
}

#[tokio::test]
async fn a_stand_in_whose_piece_is_not_there_is_an_error_and_no_zeros() {
    let (mut server, _client) = pair(PATIENCE).await;
    let mut part = FilePart::new(file(b"bytes"), 0, 5);
    let stands = server.pieces().push(&mut part);
    server.write_all(&stands).await.unwrap();
    assert!(server.write(&stands).await.is_err());
}

#[test]
fn bytes_that_were_just_written_are_in_memory_and_those_behind_the_end_are_not() {
    let file = file(b"here");
    let is_there = |end| is_in_memory(&FilePart::new(Arc::clone(&file), 0, end));
    assert!(is_there(4));
    assert!(!is_there(5));
    assert!(!is_there(0));
}
