//! The file types of uploaded images: the words of the API and the names of the files.

use super::file::FileType;

/// The word of the API, the type, and the file's name (`api.md` §4.6).
const TYPES: [(&str, FileType, &str); 11] = [
    ("tgz", FileType::RootTgz, "root.tgz"),
    ("tbz", FileType::RootTbz, "root.tbz"),
    ("txz", FileType::RootTxz, "root.txz"),
    ("ddtgz", FileType::RootDd, "root-dd"),
    ("ddtar", FileType::RootDdTar, "root-dd.tar"),
    ("ddraw", FileType::RootDdRaw, "root-dd.raw"),
    ("ddbz2", FileType::RootDdBz2, "root-dd.bz2"),
    ("ddgz", FileType::RootDdGz, "root-dd.gz"),
    ("ddxz", FileType::RootDdXz, "root-dd.xz"),
    ("ddtbz", FileType::RootDdTarBz2, "root-dd.tar.bz2"),
    ("ddtxz", FileType::RootDdTarXz, "root-dd.tar.xz"),
];

impl FileType {
    /// The words by which an upload can be declared.
    pub fn upload_words() -> impl Iterator<Item = &'static str> {
        TYPES.iter().map(|(word, ..)| *word)
    }

    /// The type that an upload's word declares.
    #[must_use]
    pub fn of_upload(word: &str) -> Option<Self> {
        TYPES.iter().find(|(known, ..)| *known == word).map(|(_, filetype, _)| filetype.clone())
    }

    /// The word by which it is uploaded; `None` for what cannot be.
    #[must_use]
    pub fn upload_word(&self) -> Option<&'static str> {
        TYPES.iter().find(|(_, filetype, _)| filetype == self).map(|(word, ..)| *word)
    }

    /// The name that an uploaded file of this type is given; `None` for what cannot be uploaded.
    #[must_use]
    pub fn upload_filename(&self) -> Option<&'static str> {
        TYPES.iter().find(|(_, filetype, _)| filetype == self).map(|(.., name)| *name)
    }

    /// The word for a file of this name, by its ending; `None` when it tells nothing.
    #[must_use]
    pub fn guess_upload_word(filename: &str) -> Option<&'static str> {
        const ENDINGS: [(&str, &str); 13] = [
            (".tgz", "tgz"),
            (".tar.gz", "tgz"),
            (".tbz", "tbz"),
            (".tbz2", "tbz"),
            (".tar.bz2", "tbz"),
            (".txz", "txz"),
            (".tar.xz", "txz"),
            (".img", "ddraw"),
            (".raw", "ddraw"),
            (".tar", "ddtar"),
            (".gz", "ddgz"),
            (".bz2", "ddbz2"),
            (".xz", "ddxz"),
        ];
        let name = filename.to_ascii_lowercase();
        ENDINGS.iter().find(|(ending, _)| name.ends_with(ending)).map(|(_, word)| *word)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_word_leads_to_a_type_that_curtin_installs_and_back() {
        for word in FileType::upload_words() {
            let filetype = FileType::of_upload(word).unwrap();
            assert!(filetype.curtin_type().is_some(), "{word}");
            assert_eq!(filetype.upload_word(), Some(word));
            assert!(filetype.upload_filename().unwrap().starts_with("root"), "{word}");
        }
        assert_eq!(FileType::of_upload("squashfs"), None);
    }

    #[test]
    fn the_ending_of_a_name_tells_the_word() {
        for (name, word) in [
            ("rocky.tar.gz", Some("tgz")),
            ("DISK.IMG", Some("ddraw")),
            ("disk.raw.gz", Some("ddgz")),
            ("disk.dd.xz", Some("ddxz")),
            ("image.qcow2", None),
        ] {
            assert_eq!(FileType::guess_upload_word(name), word, "{name}");
        }
    }
}
