//! `sstream serve`: a small HTTP/1.1 server for one directory, with ranges and entity tags.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use maas_simplestreams::path::SafePath;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncSeekExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::Answer;
use crate::args::Serve;

/// Most connections at once.
const CONNECTIONS: usize = 256;
/// Longest head of a request, in bytes.
const HEAD: u64 = 16 << 10;
/// Longest time for the head of a request, and for one block to be taken.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes that are read and written at once.
const BLOCK: usize = 256 << 10;

pub(crate) async fn run(arguments: Serve) -> Answer {
    let root = Arc::new(arguments.directory);
    if !root.is_dir() {
        return Err(format!("`{}` is no directory", root.display()).into());
    }
    let listener = TcpListener::bind(arguments.listen)
        .await
        .map_err(|error| format!("{}: {error}", arguments.listen))?;
    eprintln!("serving {} on http://{}/", root.display(), listener.local_addr()?);
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => return Ok(ExitCode::SUCCESS),
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
                let root = Arc::clone(&root);
                connections.spawn(async move {
                    let _place = place;
                    // A client that goes away ends its own connection and nothing else.
                    converse(stream, &root).await.ok();
                });
            }
        }
    }
}

struct Asked {
    method: String,
    target: String,
    range: Option<String>,
    if_range: Option<String>,
    if_none_match: Option<String>,
    close: bool,
}

async fn converse(mut stream: TcpStream, root: &Path) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (read, mut write) = stream.split();
    let mut read = BufReader::new(read);
    loop {
        let Ok(Ok(Some(asked))) = tokio::time::timeout(PATIENCE, head(&mut read)).await else {
            return Ok(());
        };
        answer(&mut write, root, &asked).await?;
        if asked.close {
            return Ok(());
        }
    }
}

async fn head(read: &mut (impl AsyncBufReadExt + Unpin)) -> io::Result<Option<Asked>> {
    let mut lines = Vec::new();
    let mut left = read.take(HEAD);
    loop {
        let mut line = String::new();
        if left.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        lines.push(line.to_owned());
    }
    let mut lines = lines.into_iter();
    let first = lines.next().unwrap_or_default();
    let mut words = first.split(' ');
    let (Some(method), Some(target), Some(version)) = (words.next(), words.next(), words.next())
    else {
        return Ok(None);
    };
    let mut asked = Asked {
        method: method.to_owned(),
        target: target.to_owned(),
        range: None,
        if_range: None,
        if_none_match: None,
        close: version == "HTTP/1.0",
    };
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { return Ok(None) };
        let value = value.trim().to_owned();
        match name.to_ascii_lowercase().as_str() {
            "range" => asked.range = Some(value),
            "if-range" => asked.if_range = Some(value),
            "if-none-match" => asked.if_none_match = Some(value),
            "connection" => asked.close |= value.eq_ignore_ascii_case("close"),
            // Bodies are not read, so the next request could not be found.
            "content-length" | "transfer-encoding" => asked.close = true,
            _ => {}
        }
    }
    Ok(Some(asked))
}

/// The file that a target names; nothing hidden, nothing outside.
fn file_of(root: &Path, target: &str) -> Option<PathBuf> {
    let path = target.split(['?', '#']).next()?.strip_prefix('/')?;
    let path = percent_encoding::percent_decode_str(path).decode_utf8().ok()?;
    let path = SafePath::new(path).ok()?;
    let hidden = path.as_str().split('/').any(|segment| segment.starts_with('.'));
    (!hidden).then(|| path.below(root))
}

/// First and last byte of `bytes=5-`, `bytes=5-9` and `bytes=-5`; one range only.
fn range_of(text: &str, size: u64) -> Option<Result<(u64, u64), ()>> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let (first, last) = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => (first, last.min(size.saturating_sub(1))),
        (Ok(first), Err(_)) if last.is_empty() => (first, size.saturating_sub(1)),
        (Err(_), Ok(count)) if first.is_empty() => {
            (size.saturating_sub(count), size.saturating_sub(1))
        }
        _ => return None,
    };
    Some(if first < size { Ok((first, last)) } else { Err(()) })
}

async fn plain(
    write: &mut (impl AsyncWriteExt + Unpin),
    status: &str,
    headers: &str,
) -> io::Result<()> {
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n{headers}\r\n");
    write.write_all(head.as_bytes()).await
}

async fn answer(
    write: &mut (impl AsyncWriteExt + Unpin),
    root: &Path,
    asked: &Asked,
) -> io::Result<()> {
    if asked.method != "GET" && asked.method != "HEAD" {
        return plain(write, "405 Method Not Allowed", "Allow: GET, HEAD\r\n").await;
    }
    let Some(path) = file_of(root, &asked.target) else {
        return plain(write, "404 Not Found", "").await;
    };
    let Ok(mut file) = tokio::fs::File::open(&path).await else {
        return plain(write, "404 Not Found", "").await;
    };
    let facts = file.metadata().await?;
    if !facts.is_file() {
        return plain(write, "404 Not Found", "").await;
    }
    let size = facts.len();
    let changed = facts.modified()?.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let tag = format!("\"{:x}-{size:x}\"", changed.as_nanos());
    if asked.if_none_match.as_deref() == Some(&tag) {
        return plain(write, "304 Not Modified", &format!("ETag: {tag}\r\n")).await;
    }
    let range =
        asked.range.as_deref().filter(|_| asked.if_range.as_ref().is_none_or(|t| *t == tag));
    let (status, first, length, more) = match range.and_then(|range| range_of(range, size)) {
        None => ("200 OK", 0, size, String::new()),
        Some(Ok((first, last))) => (
            "206 Partial Content",
            first,
            last - first + 1,
            format!("Content-Range: bytes {first}-{last}/{size}\r\n"),
        ),
        Some(Err(())) => {
            let headers = format!("Content-Range: bytes */{size}\r\n");
            return plain(write, "416 Range Not Satisfiable", &headers).await;
        }
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nAccept-Ranges: bytes\r\nETag: {tag}\r\n{more}\r\n"
    );
    write.write_all(head.as_bytes()).await?;
    if asked.method == "HEAD" {
        return Ok(());
    }
    file.seek(io::SeekFrom::Start(first)).await?;
    let mut left = length;
    let mut block = vec![0; BLOCK];
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(BLOCK).min(BLOCK);
        let read = file.read(block.get_mut(..most).unwrap_or_default()).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let piece = block.get(..read).unwrap_or_default();
        tokio::time::timeout(PATIENCE, write.write_all(piece)).await??;
        left -= read as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_stay_inside_and_nothing_hidden_is_served() {
        let root = Path::new("/srv");
        assert_eq!(file_of(root, "/a%20b/c?x"), Some("/srv/a b/c".into()));
        for target in ["/", "a", "/../x", "/%2e%2e/x", "/.sstream/state.json", "/a//b", "/a/.b"] {
            assert_eq!(file_of(root, target), None, "{target}");
        }
    }

    #[test]
    fn single_ranges_are_understood() {
        assert_eq!(range_of("bytes=0-4", 10), Some(Ok((0, 4))));
        assert_eq!(range_of("bytes=5-", 10), Some(Ok((5, 9))));
        assert_eq!(range_of("bytes=5-99", 10), Some(Ok((5, 9))));
        assert_eq!(range_of("bytes=-3", 10), Some(Ok((7, 9))));
        assert_eq!(range_of("bytes=10-", 10), Some(Err(())));
        assert_eq!(range_of("bytes=0-1,3-4", 10), None);
        assert_eq!(range_of("lines=1-2", 10), None);
    }
}
