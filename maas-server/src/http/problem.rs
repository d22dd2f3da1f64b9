//! Everything a request can be refused with, and its bytes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{HeaderValue, Method, StatusCode, header};

use super::{BodyError, BoxError, FieldError, FieldErrors, Reply};

/// The value of `WWW-Authenticate` on a 401.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Challenge {
    /// `OAuth realm="OAuth"`, what every API and metadata client understands.
    Oauth,
    /// None.
    Absent,
}

/// A refusal. Its texts go to the client as they are: clients show them to people.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// 400 with a sentence.
    #[error("{0}")]
    BadRequest(String),
    /// 400 with `{"field": ["message"]}`.
    #[error("{0}")]
    Fields(FieldErrors),
    /// 401.
    #[error("{text}")]
    Unauthorized {
        /// The sentence.
        text: String,
        /// What to ask for.
        challenge: Challenge,
    },
    /// 403.
    #[error("{0}")]
    Forbidden(String),
    /// 404.
    #[error("{0}")]
    NotFound(String),
    /// 405.
    #[error("method not allowed")]
    MethodNotAllowed {
        /// What `Allow` lists.
        allow: Vec<Method>,
    },
    /// 408: the body came too slowly.
    #[error("the request took too long")]
    RequestTimeout,
    /// 409. Never with `Retry-After`: gomaasapi would retry it.
    #[error("{0}")]
    Conflict(String),
    /// 410.
    #[error("{0}")]
    Gone(String),
    /// 413.
    #[error("the request body is larger than {limit} bytes")]
    TooLarge {
        /// The largest body allowed here, in bytes.
        limit: u64,
    },
    /// 503; clients come back after `retry_after`.
    #[error("{text}")]
    Unavailable {
        /// The sentence.
        text: String,
        /// Sent in whole seconds, at least one.
        retry_after: Duration,
    },
    /// 507: nowhere to put what was sent.
    #[error("{0}")]
    InsufficientStorage(String),
    /// 500. The cause is logged under an id; the client is told the id only.
    #[error("internal error")]
    Internal(#[source] BoxError),
}

impl Problem {
    /// 401 that asks for OAuth.
    #[must_use]
    pub fn unauthorized(text: impl Into<String>) -> Self {
        Self::Unauthorized { text: text.into(), challenge: Challenge::Oauth }
    }

    /// 400 with a sentence.
    #[must_use]
    pub fn bad_request(text: impl Into<String>) -> Self {
        Self::BadRequest(text.into())
    }

    /// 404 with a sentence.
    #[must_use]
    pub fn not_found(text: impl Into<String>) -> Self {
        Self::NotFound(text.into())
    }

    /// 400 about one field.
    #[must_use]
    pub fn field(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Fields(FieldError::new(field, message).into())
    }

    /// 500 with a cause that only the log sees.
    #[must_use]
    pub fn internal(cause: impl Into<BoxError>) -> Self {
        Self::Internal(cause.into())
    }

    /// The status it is sent with.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) | Self::Fields(_) => StatusCode::BAD_REQUEST,
            Self::Unauthorized { .. } => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::Gone(_) => StatusCode::GONE,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::InsufficientStorage(_) => StatusCode::INSUFFICIENT_STORAGE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The bytes to send. An internal error is logged here, once.
    #[must_use]
    pub fn into_reply(self) -> Reply {
        let status = self.status();
        match self {
            Self::Fields(errors) => match Reply::json(&errors) {
                Ok(reply) => reply.status(status),
                Err(_) => Reply::text(errors.to_string()).status(status),
            },
            Self::Unauthorized { text, challenge } => {
                let reply = Reply::text(text).status(status);
                match challenge {
                    Challenge::Oauth => reply.header(
                        header::WWW_AUTHENTICATE,
                        HeaderValue::from_static("OAuth realm=\"OAuth\""),
                    ),
                    Challenge::Absent => reply,
                }
            }
            Self::MethodNotAllowed { allow } => {
                let names: Vec<&str> = allow.iter().map(Method::as_str).collect();
                let reply = Reply::text("Method Not Allowed").status(status);
                match HeaderValue::from_str(&names.join(", ")) {
                    Ok(allow) => reply.header(header::ALLOW, allow),
                    Err(_) => reply,
                }
            }
            Self::Unavailable { text, retry_after } => {
                let seconds = HeaderValue::from(retry_after.as_secs().max(1));
                Reply::text(text).status(status).header(header::RETRY_AFTER, seconds)
            }
            Self::Internal(cause) => {
                let id = error_id();
                tracing::error!(error.id = %id, error = %chain(cause.as_ref()), "internal error");
                Reply::text(format!("Internal server error. Its cause is in the log, id {id}."))
                    .status(status)
            }
            Self::TooLarge { limit } => {
                let text = format!("The request body is larger than {limit} bytes.");
                Reply::text(text).status(status)
            }
            Self::RequestTimeout => Reply::text("The request body came too slowly.").status(status),
            other => Reply::text(other.to_string()).status(status),
        }
    }
}

/// An error and its causes in one line, as for a log.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// A random id to find a log line by; a counter where the system gives no random numbers.
fn error_id() -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(1);
    let count = || COUNTER.fetch_add(1, Ordering::Relaxed);
    format!("{:016x}", getrandom::u64().unwrap_or_else(|_| count()))
}

impl From<FieldError> for Problem {
    fn from(error: FieldError) -> Self {
        Self::Fields(error.into())
    }
}

impl From<FieldErrors> for Problem {
    fn from(errors: FieldErrors) -> Self {
        Self::Fields(errors)
    }
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge { limit } => Self::TooLarge { limit },
            BodyError::TooSlow => Self::RequestTimeout,
            BodyError::Busy => Self::Unavailable {
                text: "Too many large requests at once.".to_owned(),
                retry_after: Duration::from_secs(2),
            },
            BodyError::Broken { .. } => {
                Self::BadRequest("The request body could not be read to its end.".to_owned())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_internal_error_tells_the_client_an_id_and_nothing_else() {
        let cause = std::io::Error::other("password=hunter2 at /var/lib/secret");
        let reply = Problem::internal(cause).into_reply();
        let text = String::from_utf8(reply.full_body().unwrap().to_vec()).unwrap();
        assert!(!text.contains("hunter2") && !text.contains("/var"), "{text}");
        assert!(text.contains("id "), "{text}");
    }

    #[test]
    fn a_503_carries_retry_after_and_a_409_never_does() {
        let busy = Problem::Unavailable { text: "later".into(), retry_after: Duration::ZERO };
        assert_eq!(busy.into_reply().headers()["retry-after"], "1");
        let conflict = Problem::Conflict("no machine".into()).into_reply();
        assert!(!conflict.headers().contains_key("retry-after"));
    }

    #[test]
    fn field_errors_are_json_and_sentences_are_plain_text() {
        let reply = Problem::field("name", "Too long.").into_reply();
        assert_eq!(reply.headers()["content-type"], "application/json; charset=utf-8");
        assert_eq!(&reply.full_body().unwrap()[..], br#"{"name":["Too long."]}"#);
        let reply = Problem::not_found("No such machine.").into_reply();
        assert_eq!(reply.headers()["content-type"], "text/plain; charset=utf-8");
    }

    #[test]
    fn a_401_asks_for_oauth() {
        let reply = Problem::unauthorized("Authorization Error: Invalid API key.").into_reply();
        assert_eq!(reply.headers()["www-authenticate"], "OAuth realm=\"OAuth\"");
    }
}
