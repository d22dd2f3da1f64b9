//! The signature of a user's requests to the API.

use maas_core::secret::Secret;

use crate::clock;
use crate::entropy::{self, EntropyError};

/// OAuth 1.0 PLAINTEXT with an empty consumer secret (API 2.0), fresh for one request.
pub(super) fn authorization(
    consumer_key: &str,
    token_key: &str,
    token_secret: &Secret<String>,
) -> Result<String, EntropyError> {
    Ok(format!(
        "OAuth oauth_version=\"1.0\", oauth_signature_method=\"PLAINTEXT\", \
         oauth_consumer_key=\"{consumer_key}\", oauth_token=\"{token_key}\", \
         oauth_signature=\"%26{}\", oauth_timestamp=\"{}\", oauth_nonce=\"{}\"",
        token_secret.expose(),
        clock::now().seconds(),
        entropy::letters_and_digits(32)?,
    ))
}
