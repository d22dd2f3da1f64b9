//! What a handler answers with.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use http_body::Body as _;
use http_body_util::{BodyExt, Empty, Full};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::file::FilePart;
use super::{BoxError, Problem, ReplyBody, if_none_match};

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");

/// Status, headers and body of an answer.
pub struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    content: Content,
}

enum Content {
    Full(Bytes),
    Stream { body: ReplyBody, length: Option<u64> },
    File(FilePart),
}

impl Reply {
    /// 200 with a sentence.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::full(Bytes::from(text.into())).header(header::CONTENT_TYPE, TEXT)
    }

    /// 200 with the text `OK`, what signals and settings are answered with.
    #[must_use]
    pub fn ok() -> Self {
        Self::text("OK")
    }

    /// 200 with a value as JSON (`application/json; charset=utf-8`).
    ///
    /// # Errors
    /// An internal error, when the value cannot be written as JSON.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Self, Problem> {
        let json = serde_json::to_vec(value).map_err(Problem::internal)?;
        Ok(Self::json_bytes(Bytes::from(json)))
    }

    /// 200 with JSON that is already written.
    #[must_use]
    pub fn json_bytes(json: impl Into<Bytes>) -> Self {
        Self::full(json.into()).header(header::CONTENT_TYPE, JSON)
    }

    /// 200 with bytes of a media type. A type that cannot stand in a header becomes
    /// `application/octet-stream`.
    #[must_use]
    pub fn bytes(media_type: &str, bytes: impl Into<Bytes>) -> Self {
        Self::full(bytes.into()).header(header::CONTENT_TYPE, media_value(media_type))
    }

    /// The response to a request with this method.
    #[must_use]
    pub fn response_to(self, method: &http::Method) -> http::Response<ReplyBody> {
        let head = *method == http::Method::HEAD;
        self.into_response(if head { Extent::Head } else { Extent::Whole })
    }

    /// 200 with a body that is produced while it is sent; `length` becomes `Content-Length`.
    /// Without one the body goes out chunked, which not every boot loader reads.
    #[must_use]
    pub fn stream<B>(media_type: &str, length: Option<u64>, body: B) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let body = body.map_err(Into::into).boxed_unsync();
        let content = Content::Stream { body, length };
        let reply = Self { status: StatusCode::OK, headers: HeaderMap::new(), content };
        reply.header(header::CONTENT_TYPE, media_value(media_type))
    }

    /// 200 with a part of a file.
    pub(super) fn file(media_type: &str, part: FilePart) -> Self {
        let content = Content::File(part);
        let reply = Self { status: StatusCode::OK, headers: HeaderMap::new(), content };
        reply.header(header::CONTENT_TYPE, media_value(media_type))
    }

    /// A status and nothing else.
    #[must_use]
    pub fn empty(status: StatusCode) -> Self {
        Self::full(Bytes::new()).status(status)
    }

    /// 204, what DELETE is answered with.
    #[must_use]
    pub fn no_content() -> Self {
        Self::empty(StatusCode::NO_CONTENT)
    }

    /// 302 to a path or URL; 500 when it cannot stand in a header.
    #[must_use]
    pub fn found(location: &str) -> Self {
        match HeaderValue::from_str(location) {
            Ok(value) => Self::empty(StatusCode::FOUND).header(header::LOCATION, value),
            Err(error) => Problem::internal(error).into_reply(),
        }
    }

    fn full(bytes: Bytes) -> Self {
        let content = Content::Full(bytes);
        Self { status: StatusCode::OK, headers: HeaderMap::new(), content }
    }

    /// With another status.
    #[must_use]
    pub fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// With a header, in place of one of the same name.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// With a header besides those of the same name (`Set-Cookie`).
    #[must_use]
    pub fn added_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// A JSON answer with a strong entity tag of its bytes, or 304 when `asked` (an
    /// `If-None-Match`) names it. Answers that are no such thing, or have a tag, stay as they are.
    #[must_use]
    pub(super) fn unless_known(self, asked: Option<&HeaderValue>) -> Self {
        let Content::Full(bytes) = &self.content else { return self };
        let is_json = self
            .headers
            .get(header::CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
        if self.status != StatusCode::OK || !is_json || self.headers.contains_key(header::ETAG) {
            return self;
        }
        let mut tag = String::from("\"");
        for byte in Sha256::digest(bytes).iter().take(16) {
            tag.push_str(&format!("{byte:02x}"));
        }
        tag.push('"');
        let Ok(value) = HeaderValue::from_str(&tag) else { return self };
        let known = asked.and_then(|sent| sent.to_str().ok());
        if known.is_some_and(|sent| if_none_match(sent, &tag)) {
            return Self::empty(StatusCode::NOT_MODIFIED).header(header::ETAG, value);
        }
        self.header(header::ETAG, value)
    }

    /// The status.
    #[must_use]
    pub fn code(&self) -> StatusCode {
        self.status
    }

    /// The headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The body, unless it is a stream.
    #[must_use]
    pub fn full_body(&self) -> Option<&Bytes> {
        match &self.content {
            Content::Full(bytes) => Some(bytes),
            Content::Stream { .. } | Content::File(_) => None,
        }
    }

    /// The response to send. With `Content-Length` wherever the length is known; a part of a file
    /// is among its extensions too, for a connection that can send it without reading it.
    pub(super) fn into_response(self, extent: Extent) -> http::Response<ReplyBody> {
        let mut file = None;
        let (length, body) = match self.content {
            Content::File(part) => {
                let (read, length) = (part.clone().read(), part.length());
                file = Some(part).filter(|_| extent == Extent::Whole);
                (Some(length), read)
            }
            Content::Full(bytes) => {
                (Some(bytes.len() as u64), Full::new(bytes).map_err(no_error).boxed_unsync())
            }
            Content::Stream { body, length } => (length.or(body.size_hint().exact()), body),
        };
        let without = matches!(self.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let body = match extent {
            Extent::Head => empty(),
            Extent::Whole if without => empty(),
            Extent::Whole => body,
        };
        let mut response = http::Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        if let Some(part) = file.filter(|_| !without) {
            response.extensions_mut().insert(part);
        }
        if without {
            response.headers_mut().remove(header::CONTENT_LENGTH);
        } else if let Some(length) = length {
            response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        response
    }
}

/// Whether a response carries its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// Head and body.
    Whole,
    /// The head only, for HEAD.
    Head,
}

fn media_value(media_type: &str) -> HeaderValue {
    HeaderValue::from_str(media_type)
        .unwrap_or_else(|_| HeaderValue::from_static("application/octet-stream"))
}

fn empty() -> ReplyBody {
    Empty::new().map_err(no_error).boxed_unsync()
}

fn no_error(never: std::convert::Infallible) -> BoxError {
    match never {}
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let length = match &self.content {
            Content::Full(bytes) => Some(bytes.len() as u64),
            Content::Stream { length, .. } => *length,
            Content::File(part) => Some(part.length()),
        };
        f.debug_struct("Reply").field("status", &self.status).field("length", &length).finish()
    }
}
