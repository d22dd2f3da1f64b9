//! What a boot loader asks for, from the path it asks by.

use super::bootloaders::stored_bootloader;
use super::render::Loader;

/// The longest path that is looked at, in bytes.
const LONGEST: usize = 1024;

/// A request for a boot file, the same over TFTP and HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BootRequest {
    /// `ipxe.cfg`: the script that sends iPXE on by its MAC address.
    IpxePreloader,
    /// `grub/grub.cfg`: the same for GRUB.
    GrubPreloader,
    /// A boot loader's configuration for one client.
    Config {
        /// The loader that asks, and so the language of the answer.
        loader: Loader,
        /// Who asks.
        client: Client,
    },
    /// A boot loader's own file.
    Bootloader {
        /// Where it is stored, e.g. `bootloaders/uefi/amd64/bootx64.efi`.
        stored_at: String,
    },
    /// A GRUB module list; an empty file answers it, whether or not there is one.
    ModuleList {
        /// The path asked for.
        path: String,
    },
    /// Any other file, by its clean relative path.
    File {
        /// The path asked for.
        path: String,
    },
}

/// Who asks for a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Client {
    /// By the MAC address, lower case with colons. An unknown one is to be answered 404, so that
    /// the loader tries its next name.
    Mac(String),
    /// By the DMI system UUID, lower case. An unknown one is to be answered 404.
    Uuid(String),
    /// By nothing but its architecture; enlistment.
    Unnamed {
        /// The Debian architecture, when the path tells.
        arch: Option<String>,
        /// The sub-architecture, when the path tells.
        subarch: Option<String>,
    },
    /// By a path that names no client, on a board whose MAC address only the ARP table or the
    /// lease tells.
    ByAddress {
        /// The Debian architecture.
        arch: &'static str,
    },
}

/// A path that no boot loader has a reason to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RefusedPath {
    /// It is longer than 1024 bytes.
    #[error("the path is longer than {LONGEST} bytes")]
    TooLong,
    /// It leads out of the folder, or has control characters.
    #[error("the path has a component that is not a plain name")]
    NotPlain,
    /// Its percent-encoding is broken or does not give UTF-8.
    #[error("the path is not valid percent-encoded UTF-8")]
    Encoding,
    /// It names nothing.
    #[error("the path is empty")]
    Empty,
}

impl BootRequest {
    /// Parses a path as a URL carries it; iPXE percent-encodes the colons of MAC addresses.
    ///
    /// # Errors
    ///
    /// [`RefusedPath`] for a path that is to be answered as "not found".
    pub fn parse_encoded(path: &str) -> Result<Self, RefusedPath> {
        if path.len() > 3 * LONGEST {
            return Err(RefusedPath::TooLong);
        }
        let mut decoded = Vec::with_capacity(path.len());
        let mut bytes = path.bytes();
        while let Some(byte) = bytes.next() {
            if byte == b'%' {
                let digit = |byte: Option<u8>| {
                    byte.and_then(|byte| char::from(byte).to_digit(16)).ok_or(RefusedPath::Encoding)
                };
                let value = digit(bytes.next())? * 16 + digit(bytes.next())?;
                decoded.push(u8::try_from(value).map_err(|_| RefusedPath::Encoding)?);
            } else {
                decoded.push(byte);
            }
        }
        let decoded = String::from_utf8(decoded).map_err(|_| RefusedPath::Encoding)?;
        Self::parse(&decoded)
    }

    /// Parses a path as TFTP carries it, or a URL's after decoding. Backslashes count as
    /// slashes; leading and repeated slashes do not count.
    ///
    /// # Errors
    ///
    /// [`RefusedPath`] for a path that is to be answered as "not found".
    pub fn parse(path: &str) -> Result<Self, RefusedPath> {
        if path.len() > LONGEST {
            return Err(RefusedPath::TooLong);
        }
        let path = path.replace('\\', "/");
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        if parts.iter().any(|part| matches!(*part, "." | "..") || part.contains(char::is_control)) {
            return Err(RefusedPath::NotPlain);
        }
        let request = match parts.as_slice() {
            [] => return Err(RefusedPath::Empty),
            ["ipxe.cfg"] => Some(Self::IpxePreloader),
            ["grub", "grub.cfg"] => Some(Self::GrubPreloader),
            [name] => name.strip_prefix("ipxe.cfg-").and_then(|rest| {
                let client = client_by_mac(rest).or_else(|| unnamed(rest, "-"))?;
                Some(Self::Config { loader: Loader::Ipxe, client })
            }),
            ["grub", name] => name.strip_prefix("grub.cfg-").and_then(|rest| {
                let client = client_by_mac(rest).or_else(|| unnamed(rest, "-"))?;
                Some(Self::Config { loader: Loader::Grub, client })
            }),
            ["pxelinux.cfg", name] => pxelinux_client(name)
                .map(|client| Self::Config { loader: Loader::Pxelinux, client }),
            ["ppc64el", "pxelinux.cfg", name]
            | ["s390x", "pxelinux.cfg", name]
            | ["s390x", name] => {
                let arch = if parts[0] == "ppc64el" { "ppc64el" } else { "s390x" };
                let loader = if arch == "ppc64el" { Loader::PowerNv } else { Loader::S390x };
                let client = match name.strip_prefix("01-") {
                    Some(mac) => client_by_mac(mac),
                    None if *name == "default" => Some(Client::ByAddress { arch }),
                    None => None,
                };
                client.map(|client| Self::Config { loader, client })
            }
            ["s390x_partition", "maas"] => Some(Self::Config {
                loader: Loader::S390xPartition,
                client: Client::ByAddress { arch: "s390x" },
            }),
            _ => None,
        };
        if let Some(request) = request {
            return Ok(request);
        }
        let path = parts.join("/");
        Ok(if let Some(stored_at) = stored_bootloader(&path) {
            Self::Bootloader { stored_at }
        } else if path.ends_with(".lst") {
            Self::ModuleList { path }
        } else {
            Self::File { path }
        })
    }
}

fn pxelinux_client(name: &str) -> Option<Client> {
    if let Some(mac) = name.strip_prefix("01-") {
        return client_by_mac(mac);
    }
    if is_uuid(name) {
        return Some(Client::Uuid(name.to_ascii_lowercase()));
    }
    unnamed(name, ".-")
}

/// A MAC address with colons or dashes, in either case.
fn client_by_mac(text: &str) -> Option<Client> {
    let parts: Vec<&str> = text.split([':', '-']).collect();
    let octet = |part: &&str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit());
    (parts.len() == 6 && parts.iter().all(octet))
        .then(|| Client::Mac(parts.join(":").to_ascii_lowercase()))
}

fn is_uuid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
        && groups.iter().all(|group| group.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// `default`, `default-ARCH`, `default-ARCH-SUBARCH`; `separators` may follow `default`.
fn unnamed(text: &str, separators: &str) -> Option<Client> {
    let rest = text.strip_prefix("default")?;
    if rest.is_empty() {
        return Some(Client::Unnamed { arch: None, subarch: None });
    }
    let rest = rest.strip_prefix(|c| separators.contains(c))?;
    let (arch, subarch) = match rest.split_once('-') {
        Some((arch, subarch)) => (arch, Some(subarch)),
        None => (rest, None),
    };
    let plain = |word: &str| {
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
    };
    if !plain(arch) || !subarch.is_none_or(plain) {
        return None;
    }
    // What boot loaders call an architecture is not always Debian's name for it.
    let (arch, implied) = match arch {
        "x86_64" => ("amd64", None),
        "powerpc" | "ppc64" | "ppc64le" => ("ppc64el", None),
        "arm" => ("arm64", Some("generic")),
        other => (other, None),
    };
    Some(Client::Unnamed {
        arch: Some(arch.to_owned()),
        subarch: subarch.or(implied).map(str::to_owned),
    })
}

#[cfg(test)]
mod tests;
