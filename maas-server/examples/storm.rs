//! Sends requests to a server, each over a new connection and so many at a time, and prints what
//! came of them: the client of `tests/bench/api`. A client that is no burden to the machine leaves
//! the server's figures alone.
//!
//! `storm ADDRESS CONNECTIONS` reads requests from standard input, each as its length in a line and
//! its bytes. It prints one line a request: the status and the microseconds.

use std::cell::RefCell;
use std::error::Error;
use std::io::{BufRead, Write};
use std::rc::Rc;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::LocalSet;

fn requests(mut input: impl BufRead) -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
    let (mut requests, mut line) = (Vec::new(), String::new());
    while input.read_line(&mut line)? > 0 {
        let mut request = vec![0; line.trim().parse()?];
        input.read_exact(&mut request)?;
        requests.push(request);
        line.clear();
    }
    Ok(requests)
}

/// The answer's status, when all of it has come.
async fn exchange(address: &str, request: &[u8]) -> std::io::Result<u16> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request).await?;
    let mut answer = Vec::with_capacity(1024);
    stream.read_to_end(&mut answer).await?;
    let status =
        answer.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    Ok(status.unwrap_or(0))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let (Some(address), Some(connections)) = (words.next(), words.next()) else {
        return Err("expected ADDRESS and CONNECTIONS".into());
    };
    let requests = Rc::new(requests(std::io::stdin().lock())?);
    let left = Rc::new(RefCell::new(0..requests.len()));
    let clients = LocalSet::new();
    let mut ends = Vec::new();
    for _ in 0..connections.parse()? {
        let (address, requests, left) = (address.clone(), Rc::clone(&requests), Rc::clone(&left));
        ends.push(clients.spawn_local(async move {
            let mut told = Vec::new();
            loop {
                let Some(request) = left.borrow_mut().next() else { return Ok(told) };
                let began = Instant::now();
                let status = exchange(&address, &requests[request]).await?;
                told.push((status, began.elapsed().as_micros()));
            }
        }));
    }
    clients.await;
    let mut out = std::io::stdout().lock();
    for end in ends {
        let told: std::io::Result<_> = end.await?;
        for (status, took) in told? {
            writeln!(out, "{status} {took}")?;
        }
    }
    Ok(())
}
