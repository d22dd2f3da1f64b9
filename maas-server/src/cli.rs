//! The command line: what each sub-command takes, and nothing of what it does.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::simulator::fault::FaultRate;

/// Installs operating systems on bare machines: region and rack in one process.
#[derive(Debug, Parser)]
#[command(name = "maas-server", version, after_help = FIRST_STEPS)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What a newcomer types.
const FIRST_STEPS: &str = "\
First steps:
  maas-server demo                     watch one simulated machine being deployed
  maas-server demo --keep-serving      and try the API on it afterwards
  maas-server serve                    serve real machines
  maas-server user create NAME --admin --password-stdin < FILE
  maas-server apikey NAME              the key that API clients ask for";

/// The sub-commands.
#[derive(Debug, Subcommand)]
#[non_exhaustive]
pub enum Command {
    /// Walk one simulated machine from an unknown netboot to Deployed, over real protocols
    Demo(DemoArgs),
    /// Serve region and rack
    Serve(ServeArgs),
    /// Run simulated machines against a region and rack
    Simulate(SimulateArgs),
    /// Add and list users
    User(UserArgs),
    /// Print a user's API key, made on first use
    Apikey(ApikeyArgs),
    /// Pack, check and upload custom images
    Image(ImageArgs),
    /// Serve boot files and images on another host than the region's
    Rack(RackArgs),
    /// Enrol a rack and print its token; the one before is void
    RackToken(RackTokenArgs),
    /// Print the subnets of the configuration for an operator's own DHCP server
    DhcpConfig(DhcpConfigArgs),
}

/// `maas-server demo`
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Where everything is kept; a demo that was killed goes on from here [default: a new
    /// temporary directory]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Leave the server up afterwards and print URL, user and API key
    #[arg(long)]
    pub keep_serving: bool,
    /// Print one JSON object a line instead of the timeline
    #[arg(long)]
    pub json: bool,
    /// What is logged to standard error, e.g. info or maas_server=debug
    #[arg(long, value_name = "FILTER", env = "MAAS_SERVER_LOG", default_value = "error")]
    pub log: String,
}

/// Where the configuration and the data are; shared by every command that works on a data
/// directory.
#[derive(Debug, Args)]
pub struct Location {
    /// The configuration file (TOML)
    #[arg(long, value_name = "FILE", env = "MAAS_SERVER_CONFIG")]
    pub config: Option<PathBuf>,
    /// Where the database and the images are kept [default: ~/.local/share/maas-server]
    #[arg(long, value_name = "DIR", env = "MAAS_SERVER_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
}

/// `maas-server serve`
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Configuration and data.
    #[command(flatten)]
    pub location: Location,
    /// The region's address (API, metadata, `/MAAS/…`) [default: 0.0.0.0:5240]
    #[arg(long, value_name = "ADDR")]
    pub region_listen: Option<SocketAddr>,
    /// The rack's address (boot files, images) [default: 0.0.0.0:5248]
    #[arg(long, value_name = "ADDR")]
    pub rack_listen: Option<SocketAddr>,
    /// What is logged to standard error, e.g. maas_server=debug for every request [default: info]
    #[arg(long, value_name = "FILTER", env = "MAAS_SERVER_LOG")]
    pub log: Option<String>,
}

/// `maas-server simulate`
#[derive(Debug, Args)]
pub struct SimulateArgs {
    /// The region's URL, e.g. http://127.0.0.1:5240
    #[arg(long, value_name = "URL")]
    pub region: String,
    /// The rack's URL, e.g. http://127.0.0.1:5248
    #[arg(long, value_name = "URL")]
    pub rack: String,
    /// How many machines netboot unknown and enlist themselves
    #[arg(long, value_name = "N")]
    pub machines: u32,
    /// Decides hardware, MAC addresses, firmware and faults
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,
    /// Where the machines' power switches listen (POST /machines/MAC/on|off, GET /machines/MAC)
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub power_listen: SocketAddr,
    /// Let a share of the machines fail, e.g. curtin-fails=0.1; may be repeated
    ///
    /// Kinds: never-boots, never-reports, commissioning-fails, curtin-fails, no-phone-home, slow,
    /// loses-power, enlist-twice. Rates: 0 to 1.
    #[arg(long = "fault", value_name = "KIND=RATE")]
    pub faults: Vec<FaultRate>,
    /// Keep the machines' disks and power state here, so that they outlive this process
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Print one JSON object a line
    #[arg(long)]
    pub json: bool,
}

/// `maas-server user`
#[derive(Debug, Args)]
pub struct UserArgs {
    /// What to do with users.
    #[command(subcommand)]
    pub command: UserCommand,
}

/// `maas-server user …`
#[derive(Debug, Subcommand)]
#[non_exhaustive]
pub enum UserCommand {
    /// Add a user
    Create {
        /// Configuration and data.
        #[command(flatten)]
        location: Location,
        /// The user's name
        name: String,
        /// May do everything
        #[arg(long)]
        admin: bool,
        /// The user's e-mail address
        #[arg(long)]
        email: Option<String>,
        /// Read the password from standard input: its first line
        ///
        /// There is no other way to give it, so that it never stands in a process list or a shell
        /// history.
        #[arg(long, required = true)]
        password_stdin: bool,
    },
    /// List the users
    List {
        /// Configuration and data.
        #[command(flatten)]
        location: Location,
    },
}

/// `maas-server apikey`
#[derive(Debug, Args)]
pub struct ApikeyArgs {
    /// Configuration and data.
    #[command(flatten)]
    pub location: Location,
    /// The user's name
    pub name: String,
}

/// `maas-server image`
#[derive(Debug, Args)]
pub struct ImageArgs {
    /// What to do with images.
    #[command(subcommand)]
    pub command: ImageCommand,
}

/// `maas-server image …`
#[derive(Debug, Subcommand)]
#[non_exhaustive]
pub enum ImageCommand {
    /// Pack the root file system in a directory as an image, and check it
    ///
    /// The ending of OUT decides how it is compressed: .tgz or .tar.gz, .txz or .tar.xz, .tbz or
    /// .tar.bz2 can be uploaded; .tar.zst is for keeping. Owners, permissions, links and file
    /// capabilities are kept; device nodes, pipes and sockets are left out. The same directory
    /// gives the same bytes.
    #[command(after_help = PACK_EXAMPLE)]
    Pack {
        /// The root of the file system: the folder that holds etc, usr and so on
        dir: PathBuf,
        /// The image; not inside DIR
        out: PathBuf,
        /// Make every file root's, for a tree that was built without being root
        #[arg(long)]
        as_root: bool,
    },
    /// Look into an image and say what a deployment of it would fail of
    ///
    /// It is read once, as a stream, and never unpacked. Ends with 1 when there is an error among
    /// the findings.
    Lint {
        /// The image: a tar archive or a disk image, in any compression
        file: PathBuf,
        /// What it is declared to be: tgz, tbz, txz, ddtgz, ddtbz, ddtxz, ddtar, ddbz2, ddgz, ddxz
        /// or ddraw [default: by the file's name]
        #[arg(long, value_name = "TYPE")]
        filetype: Option<String>,
        /// The architecture it is for, e.g. amd64 [default: any]
        #[arg(long, value_name = "ARCH")]
        arch: Option<String>,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Upload an image, going on where an earlier upload of it broke off
    Upload(UploadArgs),
}

/// `maas-server image upload`
#[derive(Debug, Args)]
pub struct UploadArgs {
    /// The region's URL, e.g. http://127.0.0.1:5240
    #[arg(long, value_name = "URL")]
    pub url: String,
    /// A file with an administrator's API key, as `maas-server apikey` prints it
    ///
    /// There is no other way to give it, so that it never stands in a process list or a shell
    /// history.
    #[arg(long, value_name = "FILE")]
    pub apikey_file: PathBuf,
    /// The image's name, e.g. custom/debian-12
    pub name: String,
    /// The architecture it is for, e.g. amd64/generic
    pub arch: String,
    /// The image
    pub file: PathBuf,
    /// What people call it
    #[arg(long)]
    pub title: Option<String>,
    /// tgz, tbz, txz, ddtgz, ddtbz, ddtxz, ddtar, ddbz2, ddgz, ddxz or ddraw [default: by the
    /// file's name]
    #[arg(long, value_name = "TYPE")]
    pub filetype: Option<String>,
    /// What it was built from, e.g. debian/12 [default: what the image says of itself]
    #[arg(long, value_name = "OS/RELEASE")]
    pub base_image: Option<String>,
    /// Keep the versions before this one
    #[arg(long)]
    pub keep_old: bool,
}

const PACK_EXAMPLE: &str = "\
Example:
  debootstrap --include=cloud-init,netplan.io,linux-image-amd64 bookworm root/
  maas-server image pack root/ debian-12.tgz
  maas-server image upload --url http://maas:5240 --apikey-file key \\
    custom/debian-12 amd64/generic debian-12.tgz";
/// `maas-server rack`
#[derive(Debug, Args)]
pub struct RackArgs {
    /// The region's URL, e.g. http://10.0.0.1:5240
    #[arg(long, value_name = "URL")]
    pub region: url::Url,
    /// The file with the token that `maas-server rack-token` printed
    #[arg(long, value_name = "FILE")]
    pub token_file: PathBuf,
    /// Where machines find boot files and images, over HTTP
    #[arg(long, value_name = "ADDR", default_value = "0.0.0.0:5248")]
    pub listen: SocketAddr,
    /// Where firmware finds boot files, over TFTP, e.g. 0.0.0.0:69 [default: nowhere]
    #[arg(long, value_name = "ADDR")]
    pub tftp_listen: Option<SocketAddr>,
    /// Answer DHCP by dnsmasq on the subnets that the region's VLANs switch on and that this host
    /// has an address on
    #[arg(long)]
    pub dhcp: bool,
    /// Where the cache is kept
    #[arg(long, value_name = "DIR")]
    pub data_dir: PathBuf,
    /// The most GiB of the cache
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=1_048_576))]
    pub cache_gib: u64,
    /// What is logged to standard error
    #[arg(long, value_name = "FILTER", env = "MAAS_SERVER_LOG", default_value = "info")]
    pub log: String,
}

/// `maas-server rack-token`
#[derive(Debug, Args)]
pub struct RackTokenArgs {
    /// Configuration and data.
    #[command(flatten)]
    pub location: Location,
    /// What the rack is called
    pub name: String,
}

/// `maas-server dhcp-config`
#[derive(Debug, Args)]
pub struct DhcpConfigArgs {
    /// Which server it is for
    #[arg(value_enum)]
    pub server: DhcpServer,
    /// Configuration and data.
    #[command(flatten)]
    pub location: Location,
}

/// DHCP servers that a configuration can be written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[non_exhaustive]
pub enum DhcpServer {
    /// dnsmasq 2.81 or newer
    Dnsmasq,
    /// ISC dhcpd 4
    Isc,
    /// Kea 2.2 or newer
    Kea,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_help_names_every_kind_of_fault() {
        let mut command = Cli::command();
        let help = command.find_subcommand_mut("simulate").map(clap::Command::render_long_help);
        let help = help.map(|help| help.to_string()).unwrap_or_default();
        for kind in crate::simulator::fault::FaultKind::ALL {
            assert!(help.contains(kind.name()), "{}", kind.name());
        }
    }
}
