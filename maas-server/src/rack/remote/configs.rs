//! Configurations of boot loaders that the region made before, for when it is away.
//!
//! A machine that is to be installed cannot come far with an old one: its system asks the region
//! who it is. But one that boots its disk does, and so does one whose region comes back meanwhile.

use std::io;
use std::path::PathBuf;

use sha2::{Digest, Sha256};

/// The most that are kept.
const MOST: usize = 20_000;

/// One file for each question that was answered.
#[derive(Debug)]
pub(super) struct Configs {
    dir: PathBuf,
}

impl Configs {
    pub(super) fn open(dir: PathBuf) -> io::Result<Self> {
        std::fs::create_dir_all(&dir)?;
        Ok(Self { dir })
    }

    /// Keeps an answer, unless it is kept already.
    pub(super) fn keep(&self, question: &str, text: &str) {
        let file = self.file(question);
        let known = std::fs::read_to_string(&file);
        if known.as_ref().is_ok_and(|known| known == text) {
            return;
        }
        let is_new = known.is_err();
        let kept = || -> io::Result<()> {
            if is_new && std::fs::read_dir(&self.dir)?.count() >= MOST {
                return Err(io::Error::other("too many are kept already"));
            }
            let part = file.with_extension("part");
            std::fs::write(&part, text)?;
            std::fs::rename(&part, &file)
        };
        if let Err(error) = kept() {
            tracing::warn!(%error, "a configuration is not kept for the region's absence");
        }
    }

    /// Forgets an answer: the region no longer gives it.
    pub(super) fn forget(&self, question: &str) {
        if let Err(error) = std::fs::remove_file(self.file(question))
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "an old configuration cannot be removed");
        }
    }

    /// The last answer.
    pub(super) fn last(&self, question: &str) -> Option<String> {
        std::fs::read_to_string(self.file(question)).ok()
    }

    fn file(&self, question: &str) -> PathBuf {
        let name: String =
            Sha256::digest(question).iter().map(|byte| format!("{byte:02x}")).collect();
        self.dir.join(name)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_last_answer_is_kept_until_it_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let configs = Configs::open(dir.path().join("configs")).unwrap();
        let question = "http ../../etc/passwd";
        assert_eq!(configs.last(question), None);
        configs.keep(question, "one");
        configs.keep(question, "two");
        assert_eq!(configs.last(question).as_deref(), Some("two"));
        assert_eq!(configs.last("tftp ../../etc/passwd"), None);
        configs.forget(question);
        configs.forget(question);
        assert_eq!(configs.last(question), None);
    }
}
