//! Why the store could not do what it was asked.

use maas_core::id::SystemId;

/// The database could not be used; nothing was changed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The database could not be opened or brought up to date.
    #[error("cannot open the database {database}")]
    Open {
        /// The file or the URL without its password.
        database: String,
        /// What the driver said.
        #[source]
        source: Cause,
    },
    /// The address is neither a file nor a PostgreSQL URL, or the support was not compiled in.
    #[error("cannot use the database {database}: expected {expected}")]
    Address {
        /// The file or the URL without its password.
        database: String,
        /// What would be understood.
        expected: &'static str,
    },
    /// The database was written by a newer version of this program.
    #[error(
        "the database {database} has schema version {found}, this program knows versions up to \
         {known}: use the newer program"
    )]
    Newer {
        /// The file or the URL without its password.
        database: String,
        /// The schema version found.
        found: u64,
        /// The newest schema version that this program knows.
        known: u64,
    },
    /// A statement failed.
    #[error("the database {database} failed")]
    Backend {
        /// The file or the URL without its password.
        database: String,
        /// What the driver said.
        #[source]
        source: Cause,
    },
    /// A document could not be written as JSON or read back.
    #[error("cannot read or write the {kind} documents")]
    Body {
        /// The kind of the document.
        kind: &'static str,
        /// What the codec said.
        #[source]
        source: Cause,
    },
    /// The store has been closed.
    #[error("the database {database} is closed")]
    Closed {
        /// The file or the URL without its password.
        database: String,
    },
    /// A filter lists more values than one query may carry.
    #[error("a filter lists {found} values, at most {limit} are possible")]
    FilterTooLarge {
        /// The number of values given.
        found: usize,
        /// The largest number possible.
        limit: usize,
    },
}

/// An error's own words and those of its causes.
///
/// Drivers put rows into the `Debug` form of their errors, and rows hold secrets; this keeps only
/// what they meant to be read.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct Cause(String);

impl Cause {
    /// The words of `error` and of its causes, joined by `: `.
    pub(crate) fn of(error: &(dyn std::error::Error + 'static)) -> Self {
        let mut words = error.to_string();
        let mut next = error.source();
        while let Some(cause) = next {
            let more = cause.to_string();
            if !words.contains(&more) {
                words.push_str(": ");
                words.push_str(&more);
            }
            next = cause.source();
        }
        Self(words)
    }
}

/// Something that must be unique is there already; nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Duplicate {
    /// Another machine has this MAC address.
    #[error("MAC address {mac} belongs to machine {machine}")]
    Mac {
        /// The address.
        mac: String,
        /// The machine that has it.
        machine: SystemId,
    },
    /// Another machine has this host name.
    #[error("another machine is named {hostname:?}")]
    Hostname {
        /// The name.
        hostname: String,
    },
    /// Another machine has this system id: draw another.
    #[error("another machine has the system id {system_id}")]
    SystemId {
        /// The id.
        system_id: SystemId,
    },
}

/// Why a machine was not added.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum AddError {
    /// Something that must be unique is there already.
    #[error(transparent)]
    Duplicate(#[from] Duplicate),
    /// The database could not be used.
    #[error(transparent)]
    Backend(#[from] StoreError),
}

/// Why a change was not committed; nothing of it was.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// Somebody else changed the machine first: load it and decide again.
    #[error("machine {system_id} has changed since version {expected}")]
    Conflict {
        /// The machine.
        system_id: SystemId,
        /// The version that the change was made from.
        expected: u64,
    },
    /// The machine is not there (any more).
    #[error("machine {system_id} does not exist")]
    Gone {
        /// The machine.
        system_id: SystemId,
    },
    /// Something that must be unique is there already.
    #[error(transparent)]
    Duplicate(#[from] Duplicate),
    /// The database could not be used.
    #[error(transparent)]
    Backend(#[from] StoreError),
}

/// Why a document was not written; nothing was changed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// Another document of the kind has this key.
    #[error("there is already a {kind} {key:?}")]
    DuplicateKey {
        /// The kind.
        kind: &'static str,
        /// The key.
        key: String,
    },
    /// Somebody else changed the document first: load it and decide again.
    #[error("{kind} {id} has changed since version {expected}")]
    Conflict {
        /// The kind.
        kind: &'static str,
        /// The document.
        id: u64,
        /// The version that the change was made from.
        expected: u64,
    },
    /// The document is not there (any more).
    #[error("{kind} {id} does not exist")]
    Gone {
        /// The kind.
        kind: &'static str,
        /// The document.
        id: u64,
    },
    /// The database could not be used.
    #[error(transparent)]
    Backend(#[from] StoreError),
}

/// Why a user or a key was not created.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum AccountError {
    /// There is one of this name or with these credentials already.
    #[error("{what} already exists")]
    Exists {
        /// The user or key, e.g. `user "alice"`; never the secret part.
        what: String,
    },
    /// There is no such user.
    #[error("user {username:?} does not exist")]
    NoUser {
        /// The name.
        username: String,
    },
    /// The database could not be used.
    #[error(transparent)]
    Backend(#[from] StoreError),
}
