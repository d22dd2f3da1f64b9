//! Late commands that call wget, which is how the region hears that netboot can be switched off.

use crate::simulator::boot::Boot;
use crate::simulator::client::{Agent, Request};
use crate::simulator::event::Stage;

/// What a wget command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wget {
    pub(super) url: String,
    post_data: Option<String>,
    tries: u32,
}

impl Wget {
    /// Reads a command given as words, or as one line for the shell.
    pub(super) fn parse(command: &serde_json::Value) -> Option<Self> {
        let words: Vec<String> = match command {
            serde_json::Value::String(line) => split(line),
            serde_json::Value::Array(words) => {
                words.iter().filter_map(|word| word.as_str().map(str::to_owned)).collect()
            }
            _ => return None,
        };
        let words = match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["sh" | "bash", "-c", line] => split(line),
            _ => words,
        };
        let start = words.iter().position(|word| word == "wget" || word.ends_with("/wget"))?;
        let mut found = Self { url: String::new(), post_data: None, tries: 20 };
        let mut rest = words.into_iter().skip(start + 1);
        while let Some(word) = rest.next() {
            let (name, mut value) = match word.split_once('=') {
                Some((name, value)) if name.starts_with("--") => {
                    (name.to_owned(), Some(value.to_owned()))
                }
                _ => (word.clone(), None),
            };
            let mut argument = || value.take().or_else(|| rest.next()).unwrap_or_default();
            match name.as_str() {
                "--post-data" => found.post_data = Some(argument()),
                "--tries" | "-t" => found.tries = argument().parse().unwrap_or(20),
                "-O" | "--output-document" | "-T" | "--timeout" | "--waitretry" | "--wait"
                | "-o" | "--output-file" | "--header" => drop(argument()),
                "&&" | "||" | ";" | "|" => break,
                other if other.starts_with('-') => {}
                _ => found.url = word,
            }
        }
        (!found.url.is_empty()).then_some(found)
    }

    /// Runs it with wget's own patience: the pause grows by a second up to ten.
    ///
    /// Real wget takes a refused connection for final unless it is told `--retry-connrefused`.
    /// Simulated time is too short for that: what takes milliseconds here takes minutes on real
    /// hardware, which would not notice that its region was restarted in between.
    pub(super) async fn run(&self, boot: &Boot) -> Result<(), String> {
        let mut tried = 0;
        loop {
            let request = match &self.post_data {
                Some(data) => Request::post(Agent::Wget, &self.url, data.clone().into_bytes())
                    .content_type("application/x-www-form-urlencoded"),
                None => Request::get(Agent::Wget, &self.url),
            };
            let Err(error) = boot.wire().send(request).await else { return Ok(()) };
            tried += 1;
            if error.status().is_some() || (self.tries > 0 && tried >= self.tries) {
                return Err(format!("wget: {error}"));
            }
            boot.tell(Stage::Problem, format!("wget tries again: {error}")).await;
            boot.pace.pause(f64::from(tried.min(10))).await;
        }
    }

    /// Whether this switches netboot off.
    pub(super) fn is_netboot_off(&self) -> bool {
        self.post_data.as_deref().is_some_and(|data| data.contains("netboot_off"))
            || self.url.contains("netboot_off")
    }
}

/// Words of a shell line, with quotes but without anything else of the shell.
fn split(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for sign in line.chars() {
        match (quote, sign) {
            (Some(open), sign) if sign == open => quote = None,
            (Some(_), sign) => word.get_or_insert_default().push(sign),
            (None, '\'' | '"') => {
                quote = Some(sign);
                word.get_or_insert_default();
            }
            (None, sign) if sign.is_whitespace() => words.extend(word.take()),
            (None, sign) => word.get_or_insert_default().push(sign),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn the_late_command_of_maas_is_read_in_all_its_forms() {
        let words = json!([
            "wget",
            "--no-proxy",
            "http://r/MAAS/metadata/latest/by-id/abc123/",
            "--post-data",
            "op=netboot_off",
            "-O",
            "/dev/null"
        ]);
        let line = json!(
            "wget --no-proxy 'http://r/MAAS/metadata/latest/by-id/abc123/' \
            --post-data=op=netboot_off -O /dev/null || true"
        );
        let shell = json!(["sh", "-c", line]);
        for command in [words, line, shell] {
            let wget = Wget::parse(&command).unwrap();
            assert_eq!(wget.url, "http://r/MAAS/metadata/latest/by-id/abc123/");
            assert!(wget.is_netboot_off());
        }
        let patient = Wget::parse(&json!("wget --retry-connrefused --tries 3 http://r/")).unwrap();
        assert_eq!(patient.tries, 3);
    }

    #[test]
    fn other_commands_are_not_wget() {
        assert_eq!(Wget::parse(&json!(["curtin", "in-target", "--", "true"])), None);
        assert_eq!(Wget::parse(&json!(3)), None);
    }

    proptest! {
        #[test]
        fn any_command_is_read_without_panic(line in "(wget |--post-data |--tries=|'|\"|=|[ a-z0-9:/é-]){0,30}") {
            let _ = Wget::parse(&json!(line));
        }
    }
}
