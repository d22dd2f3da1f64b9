//! Files of the cache that are open already: finding one of them waits for no disk and no thread.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::http::FileContent;

/// The most files that are held open.
const MOST: usize = 64;

/// How exactly the time of a file's last use is noted on disk.
const NOTED_EVERY: Duration = Duration::from_secs(60);

/// Files by their hash, what was used last at the end.
#[derive(Debug, Default)]
pub(super) struct OpenFiles(VecDeque<OpenFile>);

#[derive(Debug)]
struct OpenFile {
    sha256: String,
    content: FileContent,
    noted: Instant,
}

impl OpenFiles {
    /// A file that is still as it was when it was opened. Files that are not are forgotten.
    pub(super) fn find(&mut self, sha256: &str) -> Option<FileContent> {
        let mut found = self.take(sha256).filter(|found| found.content.is_as_it_was())?;
        if found.noted.elapsed() > NOTED_EVERY {
            found.content.mark_used();
            found.noted = Instant::now();
        }
        let content = found.content.clone();
        self.0.push_back(found);
        Some(content)
    }

    /// Holds a file that was just opened; what was not used for longest is closed for it.
    pub(super) fn hold(&mut self, sha256: &str, content: FileContent) {
        content.mark_used();
        drop(self.take(sha256));
        if self.0.len() >= MOST {
            self.0.pop_front();
        }
        self.0.push_back(OpenFile { sha256: sha256.to_owned(), content, noted: Instant::now() });
    }

    /// Closes a file once its readers have ended.
    pub(super) fn close(&mut self, sha256: &str) {
        drop(self.take(sha256));
    }

    fn take(&mut self, sha256: &str) -> Option<OpenFile> {
        let at = self.0.iter().position(|file| file.sha256 == sha256)?;
        self.0.remove(at)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[tokio::test]
    async fn a_file_is_found_open_until_it_changes_is_removed_or_others_are_used_more() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, b"bytes").unwrap();
        let content = FileContent::open(&path, None).await.unwrap();
        let mut files = OpenFiles::default();
        files.hold("a", content.clone());
        assert_eq!(files.find("a").unwrap().length(), 5);
        for i in 0..MOST - 1 {
            files.hold(&i.to_string(), content.clone());
            assert!(files.find("a").is_some(), "what is used stays");
        }
        files.hold("one more", content.clone());
        assert!(files.find("0").is_none() && files.find("a").is_some());
        std::fs::write(&path, b"short").unwrap();
        assert!(files.find("a").is_some());
        std::fs::write(&path, b"longer bytes").unwrap();
        assert!(files.find("a").is_none(), "another length");
        std::fs::write(&path, b"bytes").unwrap();
        files.close("1");
        assert!(files.find("1").is_none() && files.find("2").is_some());
        std::fs::remove_file(&path).unwrap();
        assert!(files.find("2").is_none(), "removed");
    }
}
