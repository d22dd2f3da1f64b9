//! OAuth 1.0 PLAINTEXT in the two dialects that machines speak (spec: boot-and-metadata §2.2).

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};

/// RFC 3986 unreserved characters stay.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A machine's keys. The consumer secret is always empty.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// The consumer key.
    pub consumer_key: String,
    /// The token key.
    pub token_key: String,
    /// The token secret.
    pub token_secret: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Credentials([redacted])")
    }
}

impl Credentials {
    /// The three keys of a mapping, when all are there.
    pub(crate) fn read(section: &serde_json::Value) -> Option<Self> {
        let text = |key| match section.get(key)? {
            serde_json::Value::String(text) if !text.is_empty() => Some(text.clone()),
            serde_json::Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        Some(Self {
            consumer_key: text("consumer_key")?,
            token_key: text("token_key")?,
            token_secret: text("token_secret")?,
        })
    }

    /// The header of Python's oauthlib: cloud-init, curtin and the runner.
    pub(crate) fn quoted(&self, nonce: &str, timestamp: i64) -> String {
        let encoded = |text: &str| utf8_percent_encode(text, RESERVED).to_string();
        format!(
            "OAuth oauth_nonce=\"{nonce}\", oauth_timestamp=\"{timestamp}\", \
             oauth_version=\"1.0\", oauth_signature_method=\"PLAINTEXT\", \
             oauth_consumer_key=\"{}\", oauth_token=\"{}\", oauth_signature=\"%26{}\"",
            encoded(&self.consumer_key),
            encoded(&self.token_key),
            encoded(&self.token_secret),
        )
    }

    /// The header of `50-curtin-install`: neither quoted nor encoded.
    pub(crate) fn unquoted(&self, nonce: &str, timestamp: i64) -> String {
        format!(
            "OAuth oauth_version=1.0, oauth_signature_method=PLAINTEXT, \
             oauth_consumer_key={}, oauth_token={}, oauth_signature=&{}, oauth_nonce={nonce}, \
             oauth_timestamp={timestamp}",
            self.consumer_key, self.token_key, self.token_secret,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Credentials {
        Credentials {
            consumer_key: "ck".to_owned(),
            token_key: "tk".to_owned(),
            token_secret: "t/s".to_owned(),
        }
    }

    #[test]
    fn the_two_dialects_are_spelt_as_the_clients_spell_them() {
        assert_eq!(
            keys().quoted("123", 9),
            "OAuth oauth_nonce=\"123\", oauth_timestamp=\"9\", oauth_version=\"1.0\", \
             oauth_signature_method=\"PLAINTEXT\", oauth_consumer_key=\"ck\", \
             oauth_token=\"tk\", oauth_signature=\"%26t%2Fs\""
        );
        assert_eq!(
            keys().unquoted("123", 9),
            "OAuth oauth_version=1.0, oauth_signature_method=PLAINTEXT, oauth_consumer_key=ck, \
             oauth_token=tk, oauth_signature=&t/s, oauth_nonce=123, oauth_timestamp=9"
        );
    }

    #[test]
    fn credentials_are_never_shown() {
        assert!(!format!("{:?}", keys()).contains("t/s"));
    }
}
