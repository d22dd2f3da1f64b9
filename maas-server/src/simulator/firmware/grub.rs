//! UEFI HTTP Boot into GRUB: reads `grub.cfg` with GRUB's own quoting rules.

use std::pin::Pin;

use reqwest::{Method, Url};

use super::{BootAction, BootDisk, BootFailure, image, program, script};
use crate::simulator::boot::Boot;
use crate::simulator::client::{Agent, Request};
use crate::simulator::event::Stage;

const DEEPEST: u8 = 8;

/// A word or a sign of a GRUB script.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    End,
    Open,
    Close,
}

/// A command or a block.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Statement {
    Command(Vec<String>),
    /// `menuentry … { … }` and other blocks, with the words before the brace.
    Block(Vec<String>, Vec<Self>),
}

/// Splits a script. Unquoted braces end a word, which is why MAAS escapes those of `cc:`.
fn tokens(text: &str, variable: &dyn Fn(&str) -> String) -> Result<Vec<Token>, String> {
    let mut found = Vec::new();
    let mut word: Option<String> = None;
    let mut signs = text.chars().peekable();
    macro_rules! finish {
        () => {
            if let Some(word) = word.take() {
                found.push(Token::Word(word));
            }
        };
    }
    while let Some(sign) = signs.next() {
        match sign {
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match signs.next() {
                        Some('\'') => break,
                        Some(inner) => word.push(inner),
                        None => return Err("a single quote is not closed".to_owned()),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match signs.next() {
                        Some('"') => break,
                        Some('\\') => match signs.next() {
                            Some(escaped @ ('"' | '\\' | '$')) => word.push(escaped),
                            Some('\n') => {}
                            Some(other) => word.extend(['\\', other]),
                            None => return Err("a double quote is not closed".to_owned()),
                        },
                        Some('$') => word.push_str(&reference(&mut signs, variable)),
                        Some(inner) => word.push(inner),
                        None => return Err("a double quote is not closed".to_owned()),
                    }
                }
            }
            '\\' => match signs.next() {
                Some('\n') | None => {}
                Some(escaped) => word.get_or_insert_default().push(escaped),
            },
            '$' => {
                let value = reference(&mut signs, variable);
                word.get_or_insert_default().push_str(&value);
            }
            '#' if word.is_none() => while signs.next_if(|sign| *sign != '\n').is_some() {},
            '\n' | ';' => {
                finish!();
                found.push(Token::End);
            }
            '{' => {
                finish!();
                found.push(Token::Open);
            }
            '}' => {
                finish!();
                found.push(Token::Close);
            }
            blank if blank.is_whitespace() => finish!(),
            plain => word.get_or_insert_default().push(plain),
        }
    }
    finish!();
    Ok(found)
}

fn reference(
    signs: &mut std::iter::Peekable<std::str::Chars<'_>>,
    variable: &dyn Fn(&str) -> String,
) -> String {
    let mut name = String::new();
    if signs.next_if_eq(&'{').is_some() {
        for sign in signs.by_ref() {
            if sign == '}' {
                break;
            }
            name.push(sign);
        }
    } else {
        while let Some(sign) = signs.next_if(|sign| sign.is_alphanumeric() || *sign == '_') {
            name.push(sign);
        }
    }
    variable(&name)
}

fn parse(text: &str, variable: &dyn Fn(&str) -> String) -> Result<Vec<Statement>, String> {
    // The blocks that are open, each with the words before its brace and what it holds so far.
    let mut open: Vec<(Vec<String>, Vec<Statement>)> = vec![(Vec::new(), Vec::new())];
    let mut words = Vec::new();
    for token in tokens(text, variable)? {
        let depth = open.len();
        let Some((_, current)) = open.last_mut() else { break };
        match token {
            Token::Word(word) => words.push(word),
            Token::End if words.is_empty() => {}
            Token::End => current.push(Statement::Command(std::mem::take(&mut words))),
            Token::Open if depth > 16 => return Err("blocks are nested too deep".to_owned()),
            Token::Open => open.push((std::mem::take(&mut words), Vec::new())),
            Token::Close => {
                if !words.is_empty() {
                    current.push(Statement::Command(std::mem::take(&mut words)));
                }
                let (Some((head, body)), Some((_, outer))) = (open.pop(), open.last_mut()) else {
                    return Err("a closing brace opens nothing".to_owned());
                };
                outer.push(Statement::Block(head, body));
            }
        }
    }
    let (Some((_, mut statements)), true) = (open.pop(), open.is_empty()) else {
        return Err("a brace is not closed".to_owned());
    };
    if !words.is_empty() {
        statements.push(Statement::Command(words));
    }
    Ok(statements)
}

/// What GRUB does with a `(http,server)/path` or a path on the device it came from.
fn locate(base: &Url, path: &str) -> Result<Url, BootFailure> {
    let wrong = || BootFailure::Again(format!("GRUB cannot find {path:?}"));
    let absolute = match path.strip_prefix("(http,").and_then(|rest| rest.split_once(')')) {
        Some((server, path)) => format!("http://{server}{path}"),
        None => path.strip_prefix("(http)").unwrap_or(path).to_owned(),
    };
    base.join(&absolute).map_err(|_| wrong())
}

pub(super) async fn netboot(boot: &Boot, disk: BootDisk) -> Result<BootAction, BootFailure> {
    let rack = &boot.shared.rack;
    let shim = locate(rack, "/images/bootx64.efi")?;
    let mut head = Request::get(Agent::UefiHttp, shim.as_str());
    head.method = Method::HEAD;
    if let Err(error) = boot.wire().send(head).await {
        // Without an answer there is no rack to talk to.
        if error.status().is_none() {
            return Err(error.into());
        }
        boot.tell(Stage::Firmware, format!("HEAD of the boot loader: {error}")).await;
    }
    program(boot, Agent::UefiHttp, &shim).await;
    program(boot, Agent::UefiHttp, &locate(rack, "/images/grubx64.efi")?).await;
    for list in ["command", "fs", "crypto", "terminal"] {
        let url = locate(rack, &format!("/grub/x86_64-efi/{list}.lst"))?;
        if let Err(error) = boot.wire().send(Request::get(Agent::Grub, url.as_str())).await {
            boot.tell(Stage::Problem, format!("GRUB's module list: {error}")).await;
        }
    }
    let first = locate(rack, "/grub/grub.cfg")?;
    let text = script(boot, Agent::Grub, &first).await?;
    match run(boot, disk, &text, 0).await? {
        Some(action) => Ok(action),
        None => Err(BootFailure::Again("GRUB stays at its prompt".to_owned())),
    }
}

type Running<'a> =
    Pin<Box<dyn Future<Output = Result<Option<BootAction>, BootFailure>> + Send + 'a>>;

fn run<'a>(boot: &'a Boot, disk: BootDisk, text: &'a str, depth: u8) -> Running<'a> {
    Box::pin(async move {
        if depth > DEEPEST {
            return Err(BootFailure::Again("configuration files include without end".to_owned()));
        }
        let mac = boot.mac.to_string();
        let server = boot.shared.rack.host_str().unwrap_or_default().to_owned();
        let variable = |name: &str| match name {
            "net_default_mac" => mac.clone(),
            "net_default_server" | "pxe_default_server" => server.clone(),
            "grub_cpu" => "x86_64".to_owned(),
            "grub_platform" => "efi".to_owned(),
            "shim_lock" => "y".to_owned(),
            _ => String::new(),
        };
        let statements = parse(text, &variable).map_err(|reason| {
            BootFailure::Again(format!("GRUB cannot read its script: {reason}"))
        })?;
        let mut entries = Vec::new();
        for statement in statements {
            match statement {
                Statement::Block(head, body) if head.first().is_some_and(|w| w == "menuentry") => {
                    entries.push(body);
                }
                Statement::Block(_, body) => {
                    if let Some(action) = commands(boot, disk, &body, depth).await? {
                        return Ok(Some(action));
                    }
                }
                command @ Statement::Command(_) => {
                    if let Some(action) = commands(boot, disk, &[command], depth).await? {
                        return Ok(Some(action));
                    }
                }
            }
        }
        match entries.first() {
            Some(body) => match commands(boot, disk, body, depth).await? {
                Some(action) => Ok(Some(action)),
                None => Err(BootFailure::Again("the menu entry boots nothing".to_owned())),
            },
            None => Ok(None),
        }
    })
}

/// Runs commands in order; a kernel that was loaded is started at the end, as a menu entry does.
async fn commands(
    boot: &Boot,
    disk: BootDisk,
    statements: &[Statement],
    depth: u8,
) -> Result<Option<BootAction>, BootFailure> {
    let mut kernel = None;
    let rack = &boot.shared.rack;
    for statement in statements {
        let Statement::Command(words) = statement else { continue };
        let words: Vec<&str> = words
            .iter()
            .map(String::as_str)
            .skip_while(|word| matches!(*word, "if" | "then" | "else" | "do" | "elif"))
            .collect();
        match words.split_first() {
            Some((&"configfile" | &"source" | &"normal", [path, ..])) => {
                // A missing file is an error message, and the script goes on.
                match script(boot, Agent::Grub, &locate(rack, path)?).await {
                    Ok(text) => {
                        if let Some(action) = run(boot, disk, &text, depth + 1).await? {
                            return Ok(Some(action));
                        }
                    }
                    Err(error) if error.status() == Some(404) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Some((&"linux" | &"linuxefi", [path, arguments @ ..])) => {
                image(boot, Agent::Grub, &locate(rack, path)?, "kernel").await?;
                kernel = Some(arguments.join(" "));
            }
            Some((&"initrd" | &"initrdefi", paths)) => {
                for path in paths {
                    image(boot, Agent::Grub, &locate(rack, path)?, "initrd").await?;
                }
            }
            Some((&"halt", _)) => return Ok(Some(BootAction::PowerOff)),
            // The chain loader starts the disk's own loader; leaving GRUB makes the firmware go
            // on to the disk.
            Some((&"chainloader" | &"exit", _)) => return disk.boot().map(Some),
            _ => {}
        }
    }
    Ok(kernel.map(BootAction::Kernel))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn mac(name: &str) -> String {
        if name == "net_default_mac" { "52:54:00:00:00:01".to_owned() } else { String::new() }
    }

    #[test]
    fn a_menu_entry_is_read_with_escaped_braces_and_variables() {
        let text = "set default=\"0\"\nset timeout=0\n\nmenuentry 'Ephemeral' {\n    \
            echo   'Booting under MAAS direction...'\n    \
            linux  /images/h/boot-kernel nomodeset cc:\\{'datasource_list': ['MAAS']\\}end_cc \
            x BOOTIF=01-${net_default_mac}\n    initrd /images/i/boot-initrd\n}\n";
        let statements = parse(text, &mac).unwrap();
        let Statement::Block(head, body) = &statements[2] else { panic!("{statements:?}") };
        assert_eq!(head, &["menuentry", "Ephemeral"]);
        let Statement::Command(linux) = &body[1] else { panic!("{body:?}") };
        assert_eq!(
            linux.join(" "),
            "linux /images/h/boot-kernel nomodeset cc:{datasource_list: [MAAS]}end_cc x \
             BOOTIF=01-52:54:00:00:00:01"
        );
    }

    #[test]
    fn braces_that_were_not_escaped_break_the_entry() {
        let text = "menuentry 'E' {\n linux /k cc:{'a': ['B']}end_cc BOOTIF=01-x\n initrd /i\n}\n";
        let statements = parse(text, &mac).unwrap();
        let Statement::Block(_, body) = &statements[0] else { panic!("{statements:?}") };
        assert!(!body.iter().any(
            |line| matches!(line, Statement::Command(words) if words.contains(&"BOOTIF=01-x".to_owned()) && words[0] == "linux")
        ));
    }

    #[test]
    fn devices_become_urls() {
        let base = Url::parse("http://10.0.0.1:5248/").unwrap();
        let at = |path: &str| locate(&base, path).map(String::from).unwrap_or_default();
        assert_eq!(at("(http,10.0.0.9:5248)/images/a"), "http://10.0.0.9:5248/images/a");
        assert_eq!(at("/images/a"), "http://10.0.0.1:5248/images/a");
        assert_eq!(
            at("/grub/grub.cfg-52:54:00:00:00:01"),
            "http://10.0.0.1:5248/grub/grub.cfg-52:54:00:00:00:01"
        );
    }

    proptest! {
        #[test]
        fn any_script_is_read_without_panic(
            text in "(menuentry |\\{|\\}|'|\"|\\\\|\\$|\\$\\{|#|;|\n|[ a-zé]){0,40}"
        ) {
            let _ = parse(&text, &mac);
        }
    }
}
