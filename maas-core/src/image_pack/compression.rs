//! How an image is compressed, told by its first bytes.

use std::fmt;
use std::io::{self, BufRead, Read};

use serde::{Deserialize, Serialize};

/// Memory that a hostile xz stream may ask for, in bytes.
const XZ_MEMORY: u64 = 512 << 20;
/// The largest window of a zstd stream, as a power of two.
const ZSTD_WINDOW: u32 = 27;

/// How an image is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip.
    Gzip,
    /// bzip2.
    Bzip2,
    /// xz.
    Xz,
    /// Zstandard; no image of this kind can be uploaded, because curtin does not read it.
    Zstd,
}

impl Compression {
    /// Tells it by the first bytes (six are enough).
    #[must_use]
    pub fn sniff(start: &[u8]) -> Self {
        const KNOWN: [(&[u8], Compression); 4] = [
            (&[0x1f, 0x8b], Compression::Gzip),
            (b"BZh", Compression::Bzip2),
            (&[0xfd, b'7', b'z', b'X', b'Z', 0], Compression::Xz),
            (&[0x28, 0xb5, 0x2f, 0xfd], Compression::Zstd),
        ];
        KNOWN.iter().find(|(magic, _)| start.starts_with(magic)).map_or(Self::None, |(_, it)| *it)
    }

    /// A reader of what is compressed; streams that follow each other are read as one.
    pub(super) fn reader<'a>(self, from: impl BufRead + 'a) -> io::Result<Box<dyn Read + 'a>> {
        Ok(match self {
            Self::None => Box::new(from),
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(from)),
            Self::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(from)),
            Self::Xz => {
                let stream = liblzma::stream::Stream::new_stream_decoder(
                    XZ_MEMORY,
                    liblzma::stream::CONCATENATED,
                )
                .map_err(io::Error::other)?;
                Box::new(liblzma::bufread::XzDecoder::new_stream(from, stream))
            }
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(from)?;
                decoder.window_log_max(ZSTD_WINDOW)?;
                Box::new(decoder)
            }
        })
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::None => "uncompressed",
            Self::Gzip => "gzip-compressed",
            Self::Bzip2 => "bzip2-compressed",
            Self::Xz => "xz-compressed",
            Self::Zstd => "zstd-compressed",
        })
    }
}
