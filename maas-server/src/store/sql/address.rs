//! Which database is meant, and how it is opened.

use std::path::PathBuf;

use url::Url;

use maas_core::secret::Secret;

/// The differences between the two databases that SQL text must know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// One file.
    Sqlite,
    /// A server.
    Postgres,
}

impl Dialect {
    /// The type of bytes.
    pub(super) const fn bytes(self) -> &'static str {
        match self {
            Self::Sqlite => "BLOB",
            Self::Postgres => "BYTEA",
        }
    }

    /// What makes a table's rows lie in the order of its primary key, where that is not so anyway.
    pub(super) const fn clustered(self) -> &'static str {
        match self {
            Self::Sqlite => " WITHOUT ROWID",
            Self::Postgres => "",
        }
    }

    /// A primary key that counts up by itself and never gives a number twice.
    pub(super) const fn counted(self) -> &'static str {
        match self {
            Self::Sqlite => "INTEGER PRIMARY KEY AUTOINCREMENT",
            Self::Postgres => "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
        }
    }
}

/// A database that can be named in messages.
#[derive(Debug, Clone)]
pub(super) enum Address {
    /// A file.
    File(PathBuf),
    /// A PostgreSQL URL.
    Server(Secret<String>),
}

impl Address {
    /// Reads `postgres://…`, `postgresql://…`, `sqlite:FILE` or `FILE`.
    pub(super) fn parse(text: &Secret<String>) -> Self {
        let plain = text.expose();
        if plain.starts_with("postgres:") || plain.starts_with("postgresql:") {
            return Self::Server(text.clone());
        }
        let file = plain.strip_prefix("sqlite:").unwrap_or(plain);
        Self::File(PathBuf::from(file.strip_prefix("//").unwrap_or(file)))
    }

    pub(super) const fn dialect(&self) -> Dialect {
        match self {
            Self::File(_) => Dialect::Sqlite,
            Self::Server(_) => Dialect::Postgres,
        }
    }

    /// What messages may show: the file, or the URL without password and parameters.
    pub(super) fn label(&self) -> String {
        match self {
            Self::File(file) => file.display().to_string(),
            Self::Server(url) => match Url::parse(url.expose()) {
                Ok(mut url) => {
                    url.set_query(None);
                    url.set_fragment(None);
                    // Fails only for URLs that cannot carry a password.
                    let _ = url.set_password(None);
                    url.to_string()
                }
                Err(_) => "postgres://(not a URL)".to_owned(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(address: &str) -> String {
        Address::parse(&Secret::new(address.to_owned())).label()
    }

    #[test]
    fn a_label_shows_no_password() {
        assert_eq!(
            label("postgres://maas:hunter2@db.example/maas?password=hunter2&sslmode=require"),
            "postgres://maas@db.example/maas"
        );
        assert_eq!(label("postgres://maas:hunter2@[bad"), "postgres://(not a URL)");
    }

    #[test]
    fn a_file_may_be_written_with_and_without_the_scheme() {
        assert_eq!(label("/var/lib/maas/maas.db"), "/var/lib/maas/maas.db");
        assert_eq!(label("sqlite:///var/lib/maas/maas.db"), "/var/lib/maas/maas.db");
        assert_eq!(label("sqlite:maas.db"), "maas.db");
    }
}
