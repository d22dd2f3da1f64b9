//! The HTTP client for power controllers.

use std::time::Duration;

use reqwest::redirect::Policy;

/// Whether a controller's certificate is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tls {
    /// Against the system's certificates.
    Verify,
    /// Not at all: the operator said so.
    Trust,
}

/// What becomes of an answer that names another place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Redirects {
    /// It is asked there, without the credentials when it is another host.
    Follow,
    /// The caller is told.
    Tell,
}

/// A client with deadlines and without a proxy: controllers sit on a management network.
pub(crate) fn build(tls: Tls, redirects: Redirects) -> Result<reqwest::Client, reqwest::Error> {
    let builder = || {
        reqwest::Client::builder()
            .redirect(match redirects {
                Redirects::Follow => Policy::default(),
                Redirects::Tell => Policy::none(),
            })
            .connect_timeout(Duration::from_secs(5))
            .timeout(Duration::from_secs(30))
            .no_proxy()
            .danger_accept_invalid_certs(tls == Tls::Trust)
            .user_agent(concat!("maas-server/", env!("CARGO_PKG_VERSION")))
    };
    // A machine without CA certificates cannot build the default client, not even for plain http.
    builder().build().or_else(|_| builder().tls_certs_only(Vec::new()).build())
}
