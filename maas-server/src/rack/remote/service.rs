//! The rack's HTTP: its own files, and everything below `/MAAS/` handed on to the region.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use maas_core::boot::FetchedOver;

use super::{Found, RemoteRack};
use crate::http::{
    Answer, Connection, Problem, Reply, ReplyBody, canonical_path, ignore_range_unless_get,
};
use crate::rack::enrolment::{REACHED_HEADER, TOKEN_HEADER};
use crate::rack::reports::{self, Reported};

/// Headers that belong to one connection (RFC 9110 7.6.1), or that the next one makes itself.
const OF_ONE_CONNECTION: [HeaderName; 7] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

impl Answer for RemoteRack {
    async fn answer(
        &self,
        mut request: http::Request<Incoming>,
        connection: Connection,
    ) -> Response<ReplyBody> {
        let method = request.method().clone();
        ignore_range_unless_get(&method, request.headers_mut());
        let path = request.uri().path().to_owned();
        let answered = if path.starts_with("/MAAS/") || path.starts_with("//MAAS/") {
            self.hand_on(request, connection).await
        } else {
            let reply = self.own(&request, connection).await.unwrap_or_else(Problem::into_reply);
            Ok(reply.response_to(&method))
        };
        let response =
            answered.unwrap_or_else(|problem: Problem| problem.into_reply().response_to(&method));
        tracing::debug!(
            target: "maas_server::access",
            peer = connection.peer.map(tracing::field::display),
            %method,
            path = %path.chars().filter(|c| !c.is_control()).take(300).collect::<String>(),
            status = response.status().as_u16(),
            "request"
        );
        response
    }
}

impl RemoteRack {
    async fn own(
        &self,
        request: &http::Request<Incoming>,
        connection: Connection,
    ) -> Result<Reply, Problem> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Err(Problem::MethodNotAllowed { allow: vec![Method::GET, Method::HEAD] });
        }
        let path =
            canonical_path(request.uri().path()).map_err(|_| Problem::not_found("Not Found"))?;
        let reached = connection.local.map(|address| address.ip());
        match self.open_any(&path, reached, FetchedOver::Http).await? {
            Found::Text(text) => Ok(Reply::text(text)),
            Found::Entry(entry) => {
                let (method, headers) = (request.method(), request.headers());
                if let Some(report) = reports::fetch(&path, method, headers, connection.peer) {
                    self.report(report).await;
                }
                Ok(entry.reply(headers))
            }
        }
    }

    /// Asks the region the same, and says by which address the machine reached this rack.
    async fn hand_on(
        &self,
        request: http::Request<Incoming>,
        connection: Connection,
    ) -> Result<Response<ReplyBody>, Problem> {
        let away = |error: reqwest::Error| {
            tracing::warn!(error = crate::with_causes(&error), "not handed on to the region");
            Problem::Unavailable {
                text: "The region does not answer.".to_owned(),
                retry_after: Duration::from_secs(5),
            }
        };
        let (parts, body) = request.into_parts();
        let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
        let mut headers = parts.headers;
        strip(&mut headers);
        headers.remove(header::HOST);
        let token = HeaderValue::from_str(self.region.token().expose());
        headers.insert(TOKEN_HEADER, token.map_err(Problem::internal)?);
        if let Some(local) = connection.local {
            let reached = HeaderValue::from_str(&local.to_string());
            headers.insert(REACHED_HEADER, reached.map_err(Problem::internal)?);
        }
        let answer = self
            .region
            .client()
            .request(parts.method, self.region.url(target))
            .headers(headers)
            .body(reqwest::Body::wrap(body))
            .send()
            .await
            .map_err(away)?;
        let (mut parts, body) = Response::from(answer).into_parts();
        strip(&mut parts.headers);
        Ok(Response::from_parts(parts, body.map_err(Into::into).boxed_unsync()))
    }
}

fn strip(headers: &mut HeaderMap) {
    // What the connection itself names belongs to it too.
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in OF_ONE_CONNECTION.iter().chain(&named) {
        headers.remove(name);
    }
    // Only this rack says who it is.
    headers.remove("keep-alive");
    headers.remove(TOKEN_HEADER);
    headers.remove(REACHED_HEADER);
}
