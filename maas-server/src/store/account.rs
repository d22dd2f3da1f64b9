//! Users and their keys.

use maas_core::machine::Role;
use maas_core::secret::Secret;
use maas_core::time::Timestamp;

/// A person or program that may log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The unique name.
    pub username: String,
    /// The mail address; empty for none.
    pub email: String,
    /// What the user may do.
    pub role: Role,
    /// The password as a PHC string; empty for a user who cannot log in by password.
    pub password_hash: Secret<String>,
    /// When the user was created.
    pub created: Timestamp,
}

/// OAuth 1.0 PLAINTEXT credentials of a user (`consumer_key:token_key:token_secret`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// 18 letters and digits.
    pub consumer_key: String,
    /// 18 letters and digits, unique; the key is found by it.
    pub token_key: String,
    /// 32 letters and digits.
    pub token_secret: Secret<String>,
    /// The key's name, shown to its user.
    pub name: String,
    /// The user.
    pub username: String,
}

/// A public SSH key that a user wants on deployed machines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshKey {
    /// Its number; given by the store at creation.
    pub id: u64,
    /// The user.
    pub username: String,
    /// The key in OpenSSH's one-line form; unique for its user.
    pub key: String,
    /// Where it was imported from, e.g. `gh:alice`; empty for uploaded.
    pub source: String,
}
