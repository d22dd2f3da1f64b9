//! The arguments of every command.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use maas_simplestreams::filter::Filter;

use crate::{Answer, Usage};

/// Verify, query, mirror and publish simplestreams.
#[derive(Debug, Parser)]
#[command(name = "sstream", version, about)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Verify one document; exit 0 when it is verified, 1 when it is refused.
    Verify(Verify),
    /// List the items of a source.
    Query(Query),
    /// Mirror a source into a directory.
    Mirror(Mirror),
    /// Look for what is missing or damaged in a mirror; exit 1 when there is anything.
    Check(Check),
    /// Fetch again what is missing or damaged in a mirror.
    Repair(Repair),
    /// Build a stream from a list of items.
    Build(Build),
    /// Sign the documents of a tree.
    Sign(Sign),
    /// Generate a signing key.
    Keygen(Keygen),
    /// Serve a directory over HTTP.
    Serve(Serve),
    /// List the digests that a mirror holds, for an export to it.
    Contents(Contents),
    /// Write a mirror as one archive.
    Export(Export),
    /// Take an archive into a mirror.
    Import(Import),
    /// Print completions for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print a manual page, or write them all.
    Man(Man),
}

/// Which signatures count.
#[derive(Args, Clone, Debug)]
pub(crate) struct Trust {
    /// A file with public keys, or `ubuntu-cloudimage` for the built-in keys of Ubuntu's images;
    /// may be given several times. Default: `ubuntu-cloudimage`.
    #[arg(long = "keyring", value_name = "FILE")]
    pub(crate) keyrings: Vec<String>,
    /// Only keys with this fingerprint; may be given several times.
    #[arg(long = "fingerprint", value_name = "HEX")]
    pub(crate) fingerprints: Vec<String>,
    /// How many different keys must have signed.
    #[arg(long, default_value = "1", value_name = "N")]
    pub(crate) threshold: NonZeroUsize,
    /// Let signatures count whose key has expired since.
    #[arg(long)]
    pub(crate) allow_expired_keys: bool,
}

/// How servers are reached.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Network")]
pub(crate) struct Network {
    /// The proxy for all requests. Default: the environment (`http_proxy`, `https_proxy`,
    /// `no_proxy`).
    #[arg(long, value_name = "URL")]
    pub(crate) proxy: Option<url::Url>,
    /// Hosts that are reached without the proxy, separated by commas; `*` for all.
    #[arg(long, value_name = "HOSTS")]
    pub(crate) no_proxy: Option<String>,
    /// Longest time for a connection to come about, in seconds.
    #[arg(long, default_value = "10", value_name = "SECONDS")]
    pub(crate) connect_timeout: NonZeroU64,
    /// Longest time without a byte, in seconds.
    #[arg(long, default_value = "30", value_name = "SECONDS")]
    pub(crate) idle_timeout: NonZeroU64,
}

/// What a document must prove beside its signature.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Trust over time")]
pub(crate) struct Caution {
    /// Warn when a document has not changed for this many days: newer ones may be held back. 0
    /// never warns.
    #[arg(long, default_value = "14", value_name = "DAYS")]
    pub(crate) max_age: u64,
    /// Warn when a signing key expires within this many days.
    #[arg(long, default_value = "60", value_name = "DAYS")]
    pub(crate) key_notice: u64,
    /// Accept only products files with this content id; may be given several times.
    #[arg(long = "content-id", value_name = "ID")]
    pub(crate) content_ids: Vec<String>,
    /// Refuse documents with items of another label, for instance `stable`: one key signs all
    /// channels, so only the label tells them apart. May be given several times.
    #[arg(long = "label", value_name = "LABEL")]
    pub(crate) labels: Vec<String>,
}

/// How results are printed.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct Output {
    /// Print JSON for machines.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Verify {
    #[command(flatten)]
    pub(crate) trust: Trust,
    #[command(flatten)]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) network: Network,
    /// An `.sjson` file, or a file with its signature in `FILE.gpg`; a path or a URL.
    #[arg(value_name = "FILE|URL")]
    pub(crate) document: String,
}

#[derive(Args, Debug)]
pub(crate) struct Query {
    #[command(flatten)]
    pub(crate) trust: Trust,
    /// Look at no signature.
    #[arg(long, short = 'U', conflicts_with = "keyrings")]
    pub(crate) no_verify: bool,
    /// At most this many versions of each product, the newest.
    #[arg(long, value_name = "N")]
    pub(crate) max: Option<usize>,
    /// The document to start from, relative to the root.
    #[arg(long, value_name = "PATH")]
    pub(crate) path: Option<String>,
    /// `json`, `table`, or a template with `%(field)s`.
    #[arg(long, default_value = "table")]
    pub(crate) format: String,
    /// The same as `--format json`.
    #[arg(long, conflicts_with = "format")]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) caution: Caution,
    #[command(flatten)]
    pub(crate) network: Network,
    /// The source.
    #[arg(value_name = "URL|DIR")]
    pub(crate) source: String,
    /// Conditions like `arch=amd64`, `release~(jammy|noble)`, `label!=daily`.
    #[arg(value_name = "FILTER")]
    pub(crate) filters: Vec<Filter>,
}

#[derive(Args, Debug)]
pub(crate) struct Mirror {
    #[command(flatten)]
    pub(crate) trust: Trust,
    /// Look at no signature.
    #[arg(long, short = 'U', conflicts_with = "keyrings")]
    pub(crate) no_verify: bool,
    /// At most this many versions of each product, the newest.
    #[arg(long, value_name = "N")]
    pub(crate) max: Option<usize>,
    /// Fill up to `--max` with versions that the source no longer has.
    #[arg(long, requires = "max")]
    pub(crate) keep: bool,
    /// The document to start from, relative to the root.
    #[arg(long, value_name = "PATH")]
    pub(crate) path: Option<String>,
    /// How many transfers go on at once, of files or of ranges of a large file.
    #[arg(long, default_value = "8", value_name = "N")]
    pub(crate) jobs: NonZeroUsize,
    /// Say what would be done, and do nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Mirror only metadata.
    #[arg(long)]
    pub(crate) no_item_download: bool,
    /// Another root with the same content; may be given several times.
    #[arg(long = "mirror", value_name = "URL")]
    pub(crate) alternatives: Vec<String>,
    /// How long files stay that no document names any more, in seconds.
    #[arg(long, default_value = "86400", value_name = "SECONDS")]
    pub(crate) grace: u64,
    /// At most this many bytes per second.
    #[arg(long, value_name = "BYTES")]
    pub(crate) limit_rate: Option<NonZeroU64>,
    /// Give a connection up that brings fewer bytes per second, measured over a minute.
    #[arg(long, default_value = "1024", value_name = "BYTES")]
    pub(crate) minimum_rate: u64,
    /// Attempts in a row at a file that bring nothing before it is given up.
    #[arg(long, default_value = "5", value_name = "N")]
    pub(crate) attempts: NonZeroU32,
    /// Bytes that must stay free on the disk.
    #[arg(long, default_value = "67108864", value_name = "BYTES")]
    pub(crate) keep_free: u64,
    /// Accept documents that are older than ones seen before.
    #[arg(long, help_heading = "Trust over time")]
    pub(crate) allow_rollback: bool,
    /// Accept documents that remove most of what was there.
    #[arg(long, help_heading = "Trust over time")]
    pub(crate) allow_mass_removal: bool,
    /// The largest share of the products, in percent, that may vanish at once.
    #[arg(long, default_value = "50", value_name = "PERCENT", help_heading = "Trust over time",
        value_parser = clap::value_parser!(u8).range(0..=100))]
    pub(crate) removed_percent: u8,
    #[command(flatten)]
    pub(crate) caution: Caution,
    #[command(flatten)]
    pub(crate) network: Network,
    #[command(flatten)]
    pub(crate) output: Output,
    /// The source.
    #[arg(value_name = "SRC")]
    pub(crate) source: String,
    /// The directory of the mirror.
    #[arg(value_name = "DEST")]
    pub(crate) destination: PathBuf,
    /// Conditions like `arch=amd64`, `release~(jammy|noble)`, `label!=daily`.
    #[arg(value_name = "FILTER")]
    pub(crate) filters: Vec<Filter>,
}

#[derive(Args, Debug)]
pub(crate) struct Check {
    /// Compare sizes only, without reading the files.
    #[arg(long)]
    pub(crate) sizes: bool,
    #[command(flatten)]
    pub(crate) output: Output,
    /// The directory of the mirror.
    #[arg(value_name = "DEST")]
    pub(crate) destination: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct Repair {
    #[command(flatten)]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) network: Network,
    /// The directory of the mirror; source, keys and filters are those of its last `mirror`.
    #[arg(value_name = "DEST")]
    pub(crate) destination: PathBuf,
}

/// The key that signs.
#[derive(Args, Clone, Debug)]
pub(crate) struct Key {
    /// The file with the secret key. Its passphrase comes from the environment variable
    /// `SSTREAM_PASSPHRASE`, or from `--passphrase-file`.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// A file with the passphrase in its first line; `/dev/fd/N` for a file descriptor.
    #[arg(long, value_name = "FILE", requires = "key")]
    pub(crate) passphrase_file: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct Build {
    #[command(flatten)]
    pub(crate) key: Key,
    /// Where the files of the items are; default: beside the list.
    #[arg(long, value_name = "DIR")]
    pub(crate) files: Option<PathBuf>,
    /// A JSON list of items, each with `content_id`, `product_name`, `version_name`, `item_name`
    /// and its fields.
    #[arg(value_name = "ITEMS.json", required = true)]
    pub(crate) items: Vec<PathBuf>,
    /// The directory of the stream.
    #[arg(value_name = "OUT", long = "output", short = 'o')]
    pub(crate) output: PathBuf,
}

#[derive(Args, Debug)]
#[command(mut_arg("key", |key| key.required(true)))]
pub(crate) struct Sign {
    #[command(flatten)]
    pub(crate) key: Key,
    /// List only items whose file is there.
    #[arg(long)]
    pub(crate) present_only: bool,
    /// The directory of the stream.
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
}

/// The kind of a key.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Kind {
    /// Small and fast.
    Ed25519,
    /// For readers that know nothing newer.
    Rsa2048,
    /// For readers that know nothing newer.
    Rsa4096,
}

#[derive(Args, Debug)]
pub(crate) struct Keygen {
    /// Who signs.
    #[arg(long, value_name = "NAME <MAIL>")]
    pub(crate) user_id: String,
    /// The kind of the key.
    #[arg(long, value_enum, default_value = "ed25519")]
    pub(crate) kind: Kind,
    /// Where the secret key goes; must not be there.
    #[arg(long, value_name = "FILE")]
    pub(crate) secret: PathBuf,
    /// Where the public keyring goes.
    #[arg(long, value_name = "FILE")]
    pub(crate) public: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct Serve {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:8000", value_name = "ADDRESS")]
    pub(crate) listen: SocketAddr,
    /// The directory.
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct Contents {
    /// The directory of the mirror.
    #[arg(value_name = "DEST")]
    pub(crate) destination: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct Export {
    /// What the other side holds: the output of its `sstream contents`.
    #[arg(long, value_name = "FILE")]
    pub(crate) other_side: Option<PathBuf>,
    /// The directory of the mirror.
    #[arg(value_name = "DEST")]
    pub(crate) destination: PathBuf,
    /// The archive.
    #[arg(value_name = "ARCHIVE")]
    pub(crate) archive: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct Import {
    #[command(flatten)]
    pub(crate) trust: Trust,
    /// Look at no signature.
    #[arg(long, short = 'U', conflicts_with = "keyrings")]
    pub(crate) no_verify: bool,
    /// The archive.
    #[arg(value_name = "ARCHIVE")]
    pub(crate) archive: PathBuf,
    /// The directory of the mirror.
    #[arg(value_name = "DEST")]
    pub(crate) destination: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct Man {
    /// Write the page of every command into this directory.
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    pub(crate) out: Option<PathBuf>,
    /// The command whose page is printed. Default: the page of `sstream` itself.
    #[arg(value_name = "COMMAND")]
    pub(crate) command: Option<String>,
}

/// Prints completions.
pub(crate) fn completions(shell: clap_complete::Shell) -> Answer {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "sstream", &mut script);
    io::stdout().write_all(&script)?;
    Ok(std::process::ExitCode::SUCCESS)
}

/// Prints a manual page, or writes them all.
pub(crate) fn manual(arguments: Man) -> Answer {
    let mut program = Arguments::command().disable_help_subcommand(true);
    if let Some(directory) = arguments.out {
        std::fs::create_dir_all(&directory)?;
        clap_mangen::generate_to(program, directory)?;
        return Ok(std::process::ExitCode::SUCCESS);
    }
    // Commands learn how they are called: `sstream-mirror` in the title, `sstream mirror` to type.
    program.build();
    let command = match &arguments.command {
        None => &program,
        Some(name) => program
            .find_subcommand(name)
            .ok_or_else(|| Usage(format!("there is no command `{name}`")))?,
    };
    clap_mangen::Man::new(command.clone()).render(&mut io::stdout())?;
    Ok(std::process::ExitCode::SUCCESS)
}
