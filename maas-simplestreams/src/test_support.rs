//! A stream of one's own for tests: signed with a throw-away key and served on the loopback.
//!
//! ```
//! # use maas_simplestreams::publish::{Content, NewItem, NewProduct, NewVersion};
//! # use maas_simplestreams::test_support::{ThrowAway, serve};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = std::env::temp_dir().join(format!("doc-{}", std::process::id()));
//! let item = NewItem::from_bytes("files/kernel", "content").tag("ftype", "boot-kernel");
//! let product = NewProduct::new("p").version(NewVersion::new("20260101").item("boot-kernel", item));
//! let key = ThrowAway::new()?;
//! key.publish(&directory, [Content::new("com.example:download", "image-ids").product(product)])?;
//! let url = serve(&directory)?;
//! let verifier = key.verifier()?;
//! // `url` and `verifier` are all that a client needs.
//! # std::fs::remove_dir_all(&directory)?;
//! # assert!(url.starts_with("http://127.0.0.1:"));
//! # Ok(())
//! # }
//! ```

use std::error::Error;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::date::Timestamp;
use crate::path::SafePath;
use crate::publish::{Content, Signing, Stream};
use crate::sign::SigningKey;
use crate::signature::{Keyring, OpenPgp};

/// A signing key for one test.
#[derive(Debug)]
pub struct ThrowAway {
    key: SigningKey,
}

impl ThrowAway {
    /// A new key, valid from now on.
    pub fn new() -> Result<Self, Box<dyn Error>> {
        // A second of leeway, so that what is signed at once is not of the future.
        let now = Timestamp::from(SystemTime::now()).as_seconds() - 1;
        Ok(Self { key: SigningKey::generate("Throw-away", Timestamp::from_seconds(now))? })
    }

    /// The key, to sign other documents.
    pub fn key(&self) -> &SigningKey {
        &self.key
    }

    /// The public keyring as a client takes it.
    pub fn keyring(&self) -> Result<Vec<u8>, Box<dyn Error>> {
        Ok(self.key.public_keyring()?)
    }

    /// A verifier that trusts this key alone.
    pub fn verifier(&self) -> Result<OpenPgp, Box<dyn Error>> {
        Ok(OpenPgp::new(Keyring::from_bytes(&self.keyring()?)?))
    }

    /// Writes a signed stream below a directory, or its next generation.
    pub fn publish(
        &self,
        directory: &Path,
        contents: impl IntoIterator<Item = Content>,
    ) -> Result<(), Box<dyn Error>> {
        let now = Timestamp::from(SystemTime::now());
        let stream = contents.into_iter().fold(Stream::new(now), Stream::content);
        stream.write(directory, Signing::Signed { key: &self.key, at: now })?;
        Ok(())
    }
}

/// Serves a directory on a port of the loopback until the process ends; answers with the URL.
///
/// Ranges are honoured, so that resuming can be tested. It is meant for tests: one thread for each
/// connection, one request on each.
pub fn serve(directory: &Path) -> io::Result<String> {
    let root = directory.to_path_buf();
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}/", listener.local_addr()?);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let root = root.clone();
            // A client that goes away is no matter of the server.
            std::thread::spawn(move || answer(stream, root).ok());
        }
    });
    Ok(url)
}

fn answer(stream: TcpStream, root: PathBuf) -> io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?.take(16 << 10)).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    let mut range = None;
    for line in lines {
        let line = line?.to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        range = line.strip_prefix("range: bytes=").map(str::to_owned).or(range);
    }
    let path = request.split(' ').nth(1).unwrap_or_default().trim_start_matches('/');
    let path = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
    let file = SafePath::new(&path).ok().map(|path| path.below(&root));
    let file = file.filter(|path| path.is_file()).and_then(|path| std::fs::File::open(path).ok());
    let mut out = io::BufWriter::new(stream);
    let Some(mut file) = file else {
        out.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
        return out.flush();
    };
    let size = file.metadata()?.len();
    let (start, end) = match range.as_deref().and_then(|range| range.split_once('-')) {
        Some((start, last)) => (
            start.parse::<u64>().unwrap_or(0).min(size),
            last.parse::<u64>().map_or(size, |last| last.saturating_add(1).min(size)),
        ),
        None => (0, size),
    };
    let length = end.saturating_sub(start);
    if range.is_some() {
        let last = end.saturating_sub(1);
        write!(
            out,
            "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {start}-{last}/{size}\r\n"
        )?;
    } else {
        out.write_all(b"HTTP/1.1 200 OK\r\n")?;
    }
    write!(out, "Content-Length: {length}\r\nConnection: close\r\n\r\n")?;
    file.seek(SeekFrom::Start(start))?;
    io::copy(&mut file.take(length), &mut out)?;
    out.flush()
}
