//! An image looked into in one pass, whatever it turns out to be.

use std::cell::Cell;
use std::io::{self, BufReader, Read};
use std::rc::Rc;

use serde::{Deserialize, Serialize};

use super::compression::Compression;
use super::disk::{self, DiskFacts};
use super::finding::{Finding, Severity};
use super::limits::{Exceeded, Limits, Packed, Unpacked};
use super::root::{Gatherer, RootFacts};
use super::sniff::{BEGINNING, Content};
use super::tape::{self, Kind, fill};
use crate::image::{FileType, PackedSeed};

/// What an image is said to be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Declared {
    /// Its file type; `None` takes whatever it is.
    pub filetype: Option<FileType>,
    /// The Debian architecture; `None` takes any.
    pub arch: Option<String>,
}

/// What an image is, what it holds, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inspection {
    /// How it is compressed.
    pub compression: Compression,
    /// What it is once it is decompressed.
    pub content: Content,
    /// Its length in bytes.
    pub packed: u64,
    /// Its length after decompression, as far as it was read.
    pub unpacked: u64,
    /// How many members an archive has.
    #[serde(default)]
    pub members: u64,
    /// The root file system of an archive.
    #[serde(default)]
    pub root: Option<RootFacts>,
    /// The partitions of a disk image.
    #[serde(default)]
    pub disk: Option<DiskFacts>,
    /// Seeds on a disk image's own partitions.
    #[serde(default)]
    pub seeds: Vec<PackedSeed>,
    /// What is wrong or worth knowing, the gravest first.
    pub findings: Vec<Finding>,
}

impl Inspection {
    /// What a deployment would fail of.
    pub fn errors(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.severity() == Severity::Error)
    }

    /// The packed configuration that matters most to the question which data source wins: the last
    /// list of data sources, else a NoCloud seed.
    #[must_use]
    pub fn packed_seed(&self) -> Option<&PackedSeed> {
        let in_root = self.root.iter().flat_map(|root| &root.packed_seeds);
        let all: Vec<&PackedSeed> = in_root.chain(&self.seeds).collect();
        let lists = all.iter().filter(|seed| matches!(seed, PackedSeed::DatasourceList { .. }));
        lists.max_by_key(|seed| seed.path()).or_else(|| all.first()).copied()
    }
}

/// Looks into an image: reads it to its end, once, and keeps no more than names and small texts.
///
/// What is wrong with the image is a finding, never an error.
///
/// # Errors
///
/// An error of the reader itself.
pub fn inspect(reader: impl Read, declared: &Declared, limits: &Limits) -> io::Result<Inspection> {
    let packed = Packed::new(reader);
    let (packed_count, failure) = (Rc::clone(&packed.count), Rc::clone(&packed.failure));
    let mut packed = BufReader::with_capacity(128 << 10, packed);
    let mut magic = [0; 6];
    let read = fill(&mut packed, &mut magic)?;
    let magic = magic.get(..read).unwrap_or_default();
    let compression = Compression::sniff(magic);
    let unpacked_count = Rc::new(Cell::new(0));
    let mut seen = Seen { content: Content::Unknown, ..Seen::default() };
    let outcome = compression.reader(BufReader::new(magic.chain(packed.by_ref()))).and_then(|it| {
        let counts = (Rc::clone(&packed_count), Rc::clone(&unpacked_count));
        seen.look(Unpacked::new(it, counts.0, counts.1, *limits), limits)
    });
    if let Some(error) = failure.borrow_mut().take() {
        return Err(error);
    }
    let mut findings = Vec::new();
    let whole = match outcome {
        Ok(()) => true,
        Err(error) => {
            findings.push(problem(&error));
            // The rest is read all the same: whoever counts or hashes it needs all of it.
            io::copy(&mut packed, &mut io::sink())?;
            false
        }
    };
    let root = (seen.content == Content::Tar).then(|| {
        let (facts, found) = seen.gatherer.finish(whole);
        findings.extend(found);
        facts
    });
    findings.extend(seen.findings);
    let found = (compression, seen.content);
    findings.extend(declared.filetype.as_ref().and_then(|declared| type_differs(declared, found)));
    if let (Some(declared), Some(found)) =
        (&declared.arch, root.as_ref().and_then(|root| root.architecture.as_ref()))
        && declared != found
    {
        let (declared, found) = (declared.clone(), found.clone());
        findings.push(Finding::WrongArchitecture { declared, found });
    }
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity()));
    Ok(Inspection {
        compression,
        content: seen.content,
        packed: packed_count.get(),
        unpacked: unpacked_count.get(),
        members: seen.members,
        root,
        disk: seen.disk,
        seeds: seen.seeds,
        findings,
    })
}

fn problem(error: &io::Error) -> Finding {
    let exceeded = error.get_ref().and_then(|cause| cause.downcast_ref::<Exceeded>());
    match exceeded {
        Some(Exceeded { what, limit }) => {
            Finding::TooLarge { what: (*what).to_owned(), limit: *limit }
        }
        None => Finding::Damaged { problem: error.to_string().chars().take(300).collect() },
    }
}

/// What has been seen so far.
#[derive(Debug)]
struct Seen {
    content: Content,
    members: u64,
    gatherer: Gatherer,
    disk: Option<DiskFacts>,
    seeds: Vec<PackedSeed>,
    findings: Vec<Finding>,
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            content: Content::Unknown,
            members: 0,
            gatherer: Gatherer::default(),
            disk: None,
            seeds: Vec::new(),
            findings: Vec::new(),
        }
    }
}

impl Seen {
    fn look(&mut self, mut reader: impl Read, limits: &Limits) -> io::Result<()> {
        let mut start = vec![0; BEGINNING];
        let read = fill(&mut reader, &mut start)?;
        start.truncate(read);
        self.content = Content::sniff(&start);
        match self.content {
            Content::Tar => self.archive((&start[..]).chain(&mut reader), limits)?,
            Content::Disk => self.disk(&start, &mut reader)?,
            _ => {}
        }
        // To the end, where the checksums are.
        io::copy(&mut reader, &mut io::sink()).map(drop)
    }

    fn archive(&mut self, reader: impl Read, limits: &Limits) -> io::Result<()> {
        let mut files = 0;
        let mut is_disk = false;
        let walked = tape::walk(reader, limits, |member, content| {
            self.members += 1;
            if member.kind == Kind::File {
                files += 1;
            }
            let first_at_the_top =
                files == 1 && member.kind == Kind::File && !member.path.contains('/');
            if !first_at_the_top {
                return self.gatherer.member(member, content, limits);
            }
            let mut start = vec![0; BEGINNING];
            let read = fill(content, &mut start)?;
            start.truncate(read);
            if Content::sniff(&start) == Content::Disk {
                is_disk = true;
                return self.disk(&start, content);
            }
            self.gatherer.member(member, &mut (&start[..]).chain(content), limits)
        });
        if is_disk {
            self.content = Content::DiskInTar;
        }
        walked.map(drop)
    }

    fn disk(&mut self, start: &[u8], rest: &mut dyn Read) -> io::Result<()> {
        let (facts, seeds, findings) = disk::read(start, rest)?;
        self.disk = Some(facts);
        self.seeds = seeds;
        self.findings.extend(findings);
        Ok(())
    }
}

/// How each file type that can be uploaded is compressed, and what it is then.
const TYPES: [(FileType, Compression, Content); 11] = [
    (FileType::RootTgz, Compression::Gzip, Content::Tar),
    (FileType::RootTbz, Compression::Bzip2, Content::Tar),
    (FileType::RootTxz, Compression::Xz, Content::Tar),
    (FileType::RootDd, Compression::Gzip, Content::DiskInTar),
    (FileType::RootDdTar, Compression::None, Content::DiskInTar),
    (FileType::RootDdRaw, Compression::None, Content::Disk),
    (FileType::RootDdBz2, Compression::Bzip2, Content::Disk),
    (FileType::RootDdGz, Compression::Gzip, Content::Disk),
    (FileType::RootDdXz, Compression::Xz, Content::Disk),
    (FileType::RootDdTarBz2, Compression::Bzip2, Content::DiskInTar),
    (FileType::RootDdTarXz, Compression::Xz, Content::DiskInTar),
];

fn type_differs(declared: &FileType, found: (Compression, Content)) -> Option<Finding> {
    let (_, compression, content) = TYPES.iter().find(|(filetype, ..)| filetype == declared)?;
    if (*compression, *content) == found {
        return None;
    }
    let word = |filetype: &FileType| filetype.upload_word().unwrap_or_default().to_owned();
    let fitting = TYPES.iter().find(|(_, compression, content)| (*compression, *content) == found);
    let remedy = match (fitting, found) {
        (Some((filetype, ..)), _) => {
            Some(format!("upload it with the file type {}", word(filetype)))
        }
        (None, (_, Content::Qcow2 | Content::Vmdk | Content::Vhd)) => Some(
            "convert it with `qemu-img convert -O raw`, compress it, and upload it with the file \
             type ddgz or ddxz"
                .to_owned(),
        ),
        (None, (_, Content::Tar)) => {
            Some("compress it with gzip and upload it with the file type tgz".to_owned())
        }
        (None, (_, Content::Squashfs)) => {
            Some("unpack it and pack its root file system with `maas-server image pack`".to_owned())
        }
        _ => None,
    };
    Some(Finding::TypeDiffers {
        declared: format!("{} ({})", described(*compression, *content), word(declared)),
        found: described(found.0, found.1),
        remedy,
    })
}

fn described(compression: Compression, content: Content) -> String {
    match (compression, content) {
        (_, Content::Empty) => "an empty file".to_owned(),
        (Compression::None, Content::Unknown) => "a file of an unknown kind".to_owned(),
        (compression, content) => {
            let article = match compression {
                Compression::None | Compression::Xz => "an",
                _ => "a",
            };
            format!("{article} {compression} {content}")
        }
    }
}
