//! OAuth 1.0 PLAINTEXT as MAAS's clients and machines speak it (RFC 5849, two header dialects).
//!
//! oauthlib and the Go clients quote and percent-encode every value; the reporter that MAAS puts
//! into curtin's hooks writes them bare and un-encoded (`oauth_signature=&SECRET`).

use std::fmt;

use http::header;
use percent_encoding::percent_decode_str;
use subtle::ConstantTimeEq;

use super::{Fields, NonceError, Problem, Request};

/// How far a timestamp may lie behind our clock, in seconds. Ahead it may lie as far as it likes.
pub const MAX_CLOCK_LAG: i64 = 300;

/// The longest consumer key, token, signature or nonce, in bytes.
const MAX_VALUE: usize = 256;

/// The signature methods we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignatureMethod {
    /// The signature is `&` and the token's secret.
    Plaintext,
}

/// What a request says about who sends it. The signature is in no Debug or log text.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Credentials {
    /// The consumer key, first part of an API key.
    pub consumer_key: String,
    /// The token key, second part of an API key.
    pub token: String,
    /// How it is signed.
    pub method: SignatureMethod,
    /// When it was signed, in seconds of Unix time by the client's clock.
    pub timestamp: i64,
    /// A word the client uses once.
    pub nonce: String,
    signature: String,
}

/// Why credentials are not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OauthError {
    /// A parameter is missing.
    #[error("Missing OAuth parameter: {name}")]
    Missing {
        /// Its name.
        name: &'static str,
    },
    /// A parameter is there twice.
    #[error("OAuth parameter given twice: {name}")]
    Twice {
        /// Its name.
        name: &'static str,
    },
    /// A parameter is too long or holds characters that no client uses.
    #[error("Unusable OAuth parameter: {name}")]
    Unusable {
        /// Its name.
        name: &'static str,
    },
    /// The timestamp is no whole number. The only one of these that is a 400.
    #[error("Invalid timestamp parameter.")]
    TimestampNoNumber,
    /// The timestamp is too old.
    #[error(
        "Expired timestamp: given {given} and now {now} has a greater difference than threshold {MAX_CLOCK_LAG}"
    )]
    Expired {
        /// The client's time.
        given: i64,
        /// Our time.
        now: i64,
    },
    /// A version other than 1.0.
    #[error("OAuth version not supported.")]
    Version,
    /// A signature method other than PLAINTEXT.
    #[error("Signature method not supported.")]
    Method,
    /// The signature does not fit the token's secret.
    #[error("Invalid signature.")]
    Signature,
    /// No such consumer or token.
    #[error("Invalid API key.")]
    UnknownKey,
    /// The nonce was used before.
    #[error(transparent)]
    Nonce(#[from] NonceError),
}

/// The parameters, by the position of their name here.
const NAMES: [&str; 7] = [
    "oauth_consumer_key",
    "oauth_token",
    "oauth_signature",
    "oauth_signature_method",
    "oauth_timestamp",
    "oauth_nonce",
    "oauth_version",
];

#[derive(Default)]
struct Raw {
    values: [Option<String>; NAMES.len()],
}

impl Raw {
    fn put(&mut self, name: &str, value: String) -> Result<(), OauthError> {
        let Some(at) = NAMES.iter().position(|known| *known == name) else { return Ok(()) };
        match self.values[at].replace(value) {
            None => Ok(()),
            Some(_) => Err(OauthError::Twice { name: NAMES[at] }),
        }
    }

    fn take(&mut self, at: usize) -> Result<String, OauthError> {
        let name = NAMES[at];
        let value = self.values[at].take().filter(|value| !value.is_empty());
        let value = value.ok_or(OauthError::Missing { name })?;
        let plain = value.len() <= MAX_VALUE && value.bytes().all(|b| (0x21..0x7f).contains(&b));
        if plain { Ok(value) } else { Err(OauthError::Unusable { name }) }
    }

    fn read(mut self) -> Result<Credentials, OauthError> {
        if self.values[6].as_deref().is_some_and(|version| version != "1.0") {
            return Err(OauthError::Version);
        }
        let consumer_key = self.take(0)?;
        let token = self.take(1)?;
        let signature = self.take(2)?;
        let method = match self.take(3)?.as_str() {
            "PLAINTEXT" => SignatureMethod::Plaintext,
            _ => return Err(OauthError::Method),
        };
        let timestamp = self.take(4)?.parse().map_err(|_| OauthError::TimestampNoNumber)?;
        let nonce = self.take(5)?;
        Ok(Credentials { consumer_key, token, method, timestamp, nonce, signature })
    }
}

impl Credentials {
    /// The credentials of a request: from `Authorization`, or from the query or form. `None`
    /// when there are none, or of another scheme.
    ///
    /// # Errors
    /// [`OauthError`] when there are some that cannot be read.
    pub fn of_request(request: &Request) -> Result<Option<Self>, OauthError> {
        let lines = request.headers().get_all(header::AUTHORIZATION).iter();
        for line in lines.filter_map(|line| line.to_str().ok()) {
            if let Some(credentials) = Self::parse_header(line)? {
                return Ok(Some(credentials));
            }
        }
        Self::from_fields(&request.signed)
    }

    /// Reads the value of an `Authorization` header; `None` for another scheme than OAuth.
    ///
    /// # Errors
    /// [`OauthError`].
    pub fn parse_header(value: &str) -> Result<Option<Self>, OauthError> {
        let value = value.trim_start();
        let (scheme, rest) = value.split_once([' ', '\t']).unwrap_or((value, ""));
        if !scheme.eq_ignore_ascii_case("oauth") {
            return Ok(None);
        }
        let mut raw = Raw::default();
        for pair in split_pairs(rest) {
            let Some((name, value)) = pair.split_once('=') else { continue };
            let value = value.trim();
            let value = match value.strip_prefix('"') {
                Some(quoted) => quoted.strip_suffix('"').unwrap_or(quoted),
                None => value,
            };
            let name = percent_decode_str(name.trim()).decode_utf8_lossy();
            raw.put(&name, percent_decode_str(value).decode_utf8_lossy().into_owned())?;
        }
        raw.read().map(Some)
    }

    /// Reads the `oauth_…` fields of a query or form; `None` when there is no `oauth_token`.
    ///
    /// # Errors
    /// [`OauthError`].
    pub fn from_fields(fields: &Fields) -> Result<Option<Self>, OauthError> {
        if !fields.contains("oauth_token") {
            return Ok(None);
        }
        let mut raw = Raw::default();
        for field in fields {
            let value = String::from_utf8_lossy(&field.value.content).into_owned();
            raw.put(&field.name, value)?;
        }
        raw.read().map(Some)
    }

    /// Compares the signature with a token's secret, in a time that does not depend on where
    /// they differ. The consumer's secret is always empty in MAAS.
    ///
    /// # Errors
    /// [`OauthError::Signature`].
    pub fn check_signature(&self, token_secret: &str) -> Result<(), OauthError> {
        let expected = format!("&{token_secret}");
        let equal = expected.as_bytes().ct_eq(self.signature.as_bytes());
        if bool::from(equal) { Ok(()) } else { Err(OauthError::Signature) }
    }

    /// Compares the timestamp with our clock (seconds of Unix time).
    ///
    /// # Errors
    /// [`OauthError::Expired`] when it lies more than [`MAX_CLOCK_LAG`] behind.
    pub fn check_time(&self, now: i64) -> Result<(), OauthError> {
        if now.saturating_sub(self.timestamp) > MAX_CLOCK_LAG {
            return Err(OauthError::Expired { given: self.timestamp, now });
        }
        Ok(())
    }
}

/// Splits at the commas outside quotes.
fn split_pairs(text: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |c: char| {
        if c == '"' {
            quoted = !quoted;
        }
        c == ',' && !quoted
    })
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("consumer_key", &self.consumer_key)
            .field("token", &self.token)
            .field("timestamp", &self.timestamp)
            .finish_non_exhaustive()
    }
}

impl From<OauthError> for Problem {
    fn from(error: OauthError) -> Self {
        match error {
            OauthError::TimestampNoNumber => Self::BadRequest(error.to_string()),
            OauthError::UnknownKey => Self::unauthorized(format!("Authorization Error: {error}")),
            other => Self::unauthorized(format!("Authorization Error: '{other}'")),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;

    const QUOTED: &str = "OAuth oauth_nonce=\"123\", oauth_timestamp=\"1795356549\", \
        oauth_version=\"1.0\", oauth_signature_method=\"PLAINTEXT\", oauth_consumer_key=\"CK\", \
        oauth_token=\"TK\", oauth_signature=\"%26TS\"";
    const BARE: &str = "OAuth oauth_version=1.0, oauth_signature_method=PLAINTEXT, \
        oauth_consumer_key=CK, oauth_token=TK, oauth_signature=&TS, \
        oauth_nonce=5c5b63ba-4ab6-4ba5-a8d1-76b9b8b0f1d1, oauth_timestamp=1795356549";
    const GO: &str = "OAuth realm=\"MAAS+API\",oauth_token=\"TK\",oauth_signature=\"%26TS\",\
        oauth_nonce=\"0123456789abcdef0123456789abcdef\",oauth_consumer_key=\"CK\",\
        oauth_timestamp=\"1795356549\",oauth_signature_method=\"PLAINTEXT\"";

    #[test]
    fn every_dialect_yields_the_same_credentials() {
        for header in [QUOTED, BARE, GO] {
            let read = Credentials::parse_header(header).unwrap().unwrap();
            assert_eq!((read.consumer_key.as_str(), read.token.as_str()), ("CK", "TK"));
            assert_eq!(read.timestamp, 1_795_356_549);
            assert_eq!(read.check_signature("TS"), Ok(()));
            assert_eq!(read.check_signature("Ts"), Err(OauthError::Signature));
            assert_eq!(read.check_signature(""), Err(OauthError::Signature));
        }
    }

    #[test]
    fn another_scheme_is_no_credentials_and_not_an_error() {
        assert_eq!(Credentials::parse_header("Bearer abc"), Ok(None));
        assert_eq!(Credentials::parse_header(""), Ok(None));
        assert!(Credentials::parse_header("oauth oauth_token=x").is_err());
    }

    #[test]
    fn a_timestamp_may_be_ahead_but_not_far_behind() {
        let read = Credentials::parse_header(QUOTED).unwrap().unwrap();
        assert_eq!(read.check_time(read.timestamp + 300), Ok(()));
        assert!(read.check_time(read.timestamp + 301).is_err());
        assert_eq!(read.check_time(0), Ok(()));
        let old = QUOTED.replace("1795356549", &i64::MIN.to_string());
        let old = Credentials::parse_header(&old).unwrap().unwrap();
        assert!(old.check_time(i64::MAX).is_err());
    }

    #[test]
    fn each_fault_has_its_status_and_sentence() {
        let refused = |from: &str, to: &str| {
            let error = Credentials::parse_header(&QUOTED.replace(from, to)).unwrap_err();
            let problem = Problem::from(error);
            (problem.status().as_u16(), problem.to_string())
        };
        assert_eq!(refused("1795356549", "soon").0, 400);
        assert_eq!(
            refused("\"1.0\"", "\"2.0\""),
            (401, "Authorization Error: 'OAuth version not supported.'".to_owned())
        );
        assert_eq!(refused("PLAINTEXT", "HMAC-SHA1").0, 401);
        assert!(refused("oauth_nonce", "nonce").1.contains("oauth_nonce"));
        assert!(refused("oauth_nonce", "oauth_token").1.contains("twice"));
        let unknown = Problem::from(OauthError::UnknownKey);
        assert_eq!(unknown.to_string(), "Authorization Error: Invalid API key.");
    }

    #[test]
    fn the_secret_is_in_no_debug_text() {
        let secret = QUOTED.replace("TS", "VerySecret");
        let read = Credentials::parse_header(&secret).unwrap().unwrap();
        assert!(!format!("{read:?}").contains("VerySecret"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn what_a_client_signs_is_what_is_read(
            key in "[!-~]{1,20}", token in "[!-~]{1,20}", secret in "[!-~]{0,32}",
            nonce in "[!-~]{1,30}", at: i64, order in 0usize..6,
        ) {
            let quoted = |v: &str| utf8_percent_encode(v, NON_ALPHANUMERIC).to_string();
            let mut pairs = [
                format!("oauth_consumer_key=\"{}\"", quoted(&key)),
                format!("oauth_token=\"{}\"", quoted(&token)),
                format!("oauth_signature=\"{}\"", quoted(&format!("&{secret}"))),
                "oauth_signature_method=\"PLAINTEXT\"".to_owned(),
                format!("oauth_timestamp=\"{at}\""),
                format!("oauth_nonce=\"{}\"", quoted(&nonce)),
            ];
            pairs.rotate_left(order);
            let header = format!("OAuth {}", pairs.join(", "));
            let read = Credentials::parse_header(&header).unwrap().unwrap();
            prop_assert_eq!(read.consumer_key.clone(), key);
            prop_assert_eq!(read.token.clone(), token);
            prop_assert_eq!(read.nonce.clone(), nonce);
            prop_assert_eq!(read.timestamp, at);
            prop_assert!(read.check_signature(&secret).is_ok());
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in ".{0,120}") {
            let _ = Credentials::parse_header(&text);
            let _ = Credentials::parse_header(&format!("OAuth {text}"));
        }
    }
}
