//! iPXE: reads and runs its scripts, as far as boot servers use the language.

use std::pin::Pin;

use reqwest::Url;

use super::{BootAction, BootDisk, BootFailure, image, script};
use crate::simulator::boot::Boot;
use crate::simulator::client::Agent;

/// Scripts that chain to scripts; iPXE ends when its memory does.
const DEEPEST_CHAIN: u8 = 8;

/// One command of a script, before variables are filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Command {
    Chain(String),
    Kernel {
        url: String,
        arguments: String,
    },
    Imgargs(String),
    Initrd(String),
    Boot,
    Sanboot,
    Poweroff,
    Reboot,
    Exit {
        failed: bool,
    },
    /// Goes to a label. Scripts do so after a failure, to try again; here the firmware starts over.
    Goto,
    /// Nothing that matters here: `echo`, `set`, `sleep`, `dhcp`…
    Passes,
    Unknown(String),
}

/// When a command of a line is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    Always,
    Failure,
    Success,
}

/// The lines of a script, each with its commands joined by `||` and `&&`.
type Script = Vec<Vec<(After, Command)>>;

fn parse(text: &str) -> Result<Script, String> {
    let text = text.replace("\\\r\n", " ").replace("\\\n", " ");
    let mut lines = text.lines();
    if lines.next().map(str::trim_end) != Some("#!ipxe") {
        return Err("the script does not begin with #!ipxe".to_owned());
    }
    Ok(lines
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(parse_line)
        .collect())
}

fn parse_line(line: &str) -> Vec<(After, Command)> {
    let mut commands = Vec::new();
    let mut words = Vec::new();
    let mut after = After::Always;
    for word in line.split_whitespace() {
        let next = match word {
            "||" => After::Failure,
            "&&" => After::Success,
            _ => {
                words.push(word);
                continue;
            }
        };
        commands.push((after, command(&words)));
        words.clear();
        after = next;
    }
    commands.push((after, command(&words)));
    commands
}

fn command(words: &[&str]) -> Command {
    let Some((name, rest)) = words.split_first() else { return Command::Passes };
    let mut arguments = rest.iter().skip_while(|word| word.starts_with("--")).copied();
    match *name {
        "chain" | "imgexec" if rest.iter().any(|word| !word.starts_with("--")) => {
            Command::Chain(arguments.next().unwrap_or_default().to_owned())
        }
        "kernel" | "imgselect" | "imgload" => Command::Kernel {
            url: arguments.next().unwrap_or_default().to_owned(),
            arguments: arguments.collect::<Vec<_>>().join(" "),
        },
        "imgargs" => Command::Imgargs(rest.iter().skip(1).copied().collect::<Vec<_>>().join(" ")),
        "initrd" | "imgfetch" | "module" => {
            Command::Initrd(arguments.next().unwrap_or_default().to_owned())
        }
        "boot" | "imgexec" => Command::Boot,
        "sanboot" => Command::Sanboot,
        "poweroff" => Command::Poweroff,
        "reboot" => Command::Reboot,
        "exit" => Command::Exit { failed: rest.first().is_some_and(|status| *status != "0") },
        "goto" => Command::Goto,
        "echo" | "set" | "inc" | "sleep" | "dhcp" | "ifopen" | "ifconf" | "imgfree" | "prompt"
        | "show" | "clear" | "isset" | "iseq" | "imgstat" | "route" | "ntp" | "sync" => {
            Command::Passes
        }
        label if label.starts_with(':') => Command::Passes,
        other => Command::Unknown(other.to_owned()),
    }
}

/// Fills in `${name}`; an unknown variable is empty.
fn expand(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        out.push_str(before);
        let Some((name, behind)) = after.split_once('}') else {
            out.push_str("${");
            rest = after;
            continue;
        };
        out.push_str(&variable(name).unwrap_or_default());
        rest = behind;
    }
    out + rest
}

/// iPXE percent-encodes the colons of a path: `/ipxe.cfg-52%3A54%3A…`.
fn resolve(base: &Url, text: &str) -> Result<Url, BootFailure> {
    let mut url =
        base.join(text).map_err(|_| BootFailure::Again(format!("{text:?} is not a URL")))?;
    url.set_path(&url.path().replace(':', "%3A"));
    Ok(url)
}

#[derive(Debug, Default)]
struct Loaded {
    arguments: Option<String>,
}

pub(super) async fn netboot(boot: &Boot, disk: BootDisk) -> Result<BootAction, BootFailure> {
    let first = resolve(&boot.shared.rack, "/ipxe.cfg")?;
    let text = script(boot, Agent::Ipxe, &first).await?;
    let mut loaded = Loaded::default();
    match run(boot, disk, &first, &text, &mut loaded, 0).await? {
        Some(action) => Ok(action),
        // After its script iPXE gives way to the next boot device.
        None => disk.boot(),
    }
}

type Running<'a> =
    Pin<Box<dyn Future<Output = Result<Option<BootAction>, BootFailure>> + Send + 'a>>;

/// Runs a script; `None` when it ended without booting anything.
fn run<'a>(
    boot: &'a Boot,
    disk: BootDisk,
    base: &'a Url,
    text: &'a str,
    loaded: &'a mut Loaded,
    depth: u8,
) -> Running<'a> {
    Box::pin(async move {
        if depth > DEEPEST_CHAIN {
            return Err(BootFailure::Again("scripts chain to scripts without end".to_owned()));
        }
        let lines = parse(text)
            .map_err(|reason| BootFailure::Again(format!("{}: {reason}", base.path())))?;
        for line in lines {
            let mut status: Result<(), String> = Ok(());
            for (after, command) in line {
                let wanted = match after {
                    After::Always => true,
                    After::Failure => status.is_err(),
                    After::Success => status.is_ok(),
                };
                if !wanted {
                    continue;
                }
                if command == (Command::Exit { failed: false }) {
                    return Ok(None);
                }
                if command == Command::Goto && status.is_err() {
                    break;
                }
                status = match step(boot, disk, base, command, loaded, depth).await {
                    Ok(Some(action)) => return Ok(Some(action)),
                    Ok(None) => Ok(()),
                    Err(BootFailure::Again(reason)) => Err(reason),
                    Err(hangs) => return Err(hangs),
                };
            }
            // A line that fails ends its script.
            status.map_err(BootFailure::Again)?;
        }
        Ok(None)
    })
}

async fn step(
    boot: &Boot,
    disk: BootDisk,
    base: &Url,
    command: Command,
    loaded: &mut Loaded,
    depth: u8,
) -> Result<Option<BootAction>, BootFailure> {
    let mac = boot.mac;
    let server = boot.shared.rack.host_str().unwrap_or_default().to_owned();
    let uuid = boot.uuid();
    let variable = |name: &str| match name {
        "mac" | "net0/mac" | "netX/mac" => Some(mac.to_string()),
        "mac:hexhyp" | "net0/mac:hexhyp" | "netX/mac:hexhyp" => Some(mac.dashes()),
        "next-server" | "net0/next-server" => Some(server.clone()),
        "uuid" => Some(uuid.clone()),
        "buildarch" => Some("x86_64".to_owned()),
        "platform" => Some("pcbios".to_owned()),
        _ => None,
    };
    let filled = |text: &str| expand(text, &variable);
    match command {
        Command::Chain(url) => {
            let url = resolve(base, &filled(&url))?;
            let text = script(boot, Agent::Ipxe, &url).await?;
            return run(boot, disk, &url, &text, loaded, depth + 1).await;
        }
        Command::Kernel { url, arguments } => {
            image(boot, Agent::Ipxe, &resolve(base, &filled(&url))?, "kernel").await?;
            loaded.arguments = Some(filled(&arguments));
        }
        Command::Imgargs(arguments) => match &mut loaded.arguments {
            Some(old) => *old = filled(&arguments),
            None => return Err(BootFailure::Again("imgargs before kernel".to_owned())),
        },
        Command::Initrd(url) => {
            image(boot, Agent::Ipxe, &resolve(base, &filled(&url))?, "initrd").await?;
        }
        Command::Boot => {
            let line = loaded.arguments.take();
            return line
                .map(|line| Some(BootAction::Kernel(line)))
                .ok_or_else(|| BootFailure::Again("boot before kernel".to_owned()));
        }
        Command::Sanboot => return disk.boot().map(Some),
        Command::Poweroff => return Ok(Some(BootAction::PowerOff)),
        Command::Reboot => return Err(BootFailure::Again("the script says reboot".to_owned())),
        Command::Goto => {
            return Err(BootFailure::Again("the script goes elsewhere".to_owned()));
        }
        Command::Exit { failed: true } => {
            return Err(BootFailure::Again("the script exits with a failure".to_owned()));
        }
        Command::Exit { failed: false } | Command::Passes => {}
        Command::Unknown(name) => {
            return Err(BootFailure::Again(format!("iPXE has no command {name:?}")));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_chain_with_a_fallback_is_two_lines() {
        let script = parse(
            "#!ipxe\nchain http://${next-server}:5248/ipxe.cfg-${mac} ||\n\
             chain http://${next-server}:5248/ipxe.cfg-default-amd64\n",
        )
        .unwrap();
        assert_eq!(script.len(), 2);
        assert_eq!(script[0][1], (After::Failure, Command::Passes));
        assert!(matches!(&script[1][..], [(After::Always, Command::Chain(_))]));
    }

    #[test]
    fn an_ephemeral_script_is_read() {
        let script = parse(
            "#!ipxe\nkernel http://r/images/a/boot-kernel\n\
             imgargs boot-kernel nomodeset cc:{'a': ['B']}end_cc BOOTIF=01-${mac}\n\
             initrd http://r/images/b/boot-initrd\nboot\n",
        )
        .unwrap();
        let commands: Vec<_> = script.into_iter().map(|mut line| line.remove(0).1).collect();
        assert_eq!(
            commands,
            [
                Command::Kernel {
                    url: "http://r/images/a/boot-kernel".to_owned(),
                    arguments: String::new()
                },
                Command::Imgargs("nomodeset cc:{'a': ['B']}end_cc BOOTIF=01-${mac}".to_owned()),
                Command::Initrd("http://r/images/b/boot-initrd".to_owned()),
                Command::Boot,
            ]
        );
    }

    #[test]
    fn variables_are_filled_in_and_unknown_ones_are_empty() {
        let value = |name: &str| (name == "mac").then(|| "X".to_owned());
        assert_eq!(expand("a${mac}b${nothing}c${", &value), "aXbc${");
    }

    #[test]
    fn colons_in_paths_are_percent_encoded_and_ports_are_not() {
        let base = Url::parse("http://10.0.0.1:5248/").unwrap();
        let url = resolve(&base, "http://10.0.0.1:5248/ipxe.cfg-52:54:00:00:00:01")
            .unwrap_or_else(|_| panic!("resolves"));
        assert_eq!(url.as_str(), "http://10.0.0.1:5248/ipxe.cfg-52%3A54%3A00%3A00%3A00%3A01");
    }

    #[test]
    fn what_is_not_a_script_is_refused() {
        assert!(parse("<html>").is_err());
        assert!(parse("").is_err());
    }

    proptest! {
        #[test]
        fn any_script_is_read_without_panic(
            text in "(#!ipxe\n|chain |kernel |imgargs |\\|\\| |&& |\\$\\{|\\}|\\\\\n|[ a-z\n:é]){0,30}"
        ) {
            let _ = parse(&format!("#!ipxe\n{text}"));
            let _ = parse(&text);
            let _ = expand(&text, &|_| None);
        }
    }
}
