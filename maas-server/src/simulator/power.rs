//! The power switches: the HTTP service that the `webhook` power driver calls.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use percent_encoding::percent_decode_str;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::fleet::Fleet;
use super::mac::Mac;
use super::machine::Power;

/// Connections served at the same time; more wait.
const CONNECTIONS: usize = 256;

/// Serves until the simulator shuts down.
pub(crate) async fn serve(listener: TcpListener, fleet: Arc<Fleet>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let connection = tokio::select! {
            () = fleet.shared.shutdown.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = connection else {
            // Out of file descriptors, usually: others must close first.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let serving = Arc::clone(&fleet);
        fleet.shared.tasks.spawn(async move {
            tokio::select! {
                () = serving.shared.shutdown.cancelled() => {}
                () = converse(stream, &serving) => {}
            }
            drop(place);
        });
    }
}

async fn converse(stream: TcpStream, fleet: &Arc<Fleet>) {
    let service = service_fn(|request: Request<Incoming>| async move {
        Ok::<_, Infallible>(answer(request.method(), request.uri().path(), fleet).await)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(30))
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "power connection");
    }
}

/// What a path asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Command {
    Query,
    On,
    Off,
}

/// `/machines/{mac}`, `/machines/{mac}/on` and `/off`, with or without a slash at the end.
fn parse(path: &str) -> Option<(Mac, Command)> {
    let path = percent_decode_str(path).decode_utf8().ok()?;
    let mut parts = path.trim_end_matches('/').strip_prefix("/machines/")?.split('/');
    let mac = parts.next()?.parse().ok()?;
    let command = match (parts.next(), parts.next()) {
        (None, _) => Command::Query,
        (Some("on"), None) => Command::On,
        (Some("off"), None) => Command::Off,
        _ => return None,
    };
    Some((mac, command))
}

async fn answer(method: &Method, path: &str, fleet: &Fleet) -> Response<Full<Bytes>> {
    let Some((mac, command)) = parse(path) else {
        return reply(StatusCode::NOT_FOUND, r#"{"error":"no such machine or command"}"#);
    };
    let machine = match (command, method) {
        (Command::Query, &Method::GET | &Method::HEAD)
        | (Command::On | Command::Off, &Method::POST) => fleet.find_or_add(mac),
        _ => return reply(StatusCode::METHOD_NOT_ALLOWED, r#"{"error":"wrong method"}"#),
    };
    match command {
        Command::Query => {}
        Command::On => machine.power_on(&fleet.shared),
        Command::Off => machine.power_off(&fleet.shared).await,
    }
    match machine.read(|state| state.power) {
        Power::On => reply(StatusCode::OK, r#"{"status":"running"}"#),
        Power::Off => reply(StatusCode::OK, r#"{"status":"stopped"}"#),
    }
}

fn reply(status: StatusCode, body: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(body.as_bytes())));
    *response.status_mut() = status;
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_are_read_with_encoded_colons_and_trailing_slashes() {
        let mac: Mac = "52:54:00:00:00:01".parse().unwrap();
        for (path, command) in [
            ("/machines/52:54:00:00:00:01", Command::Query),
            ("/machines/52%3A54%3A00%3A00%3A00%3A01/", Command::Query),
            ("/machines/52:54:00:00:00:01/on", Command::On),
            ("/machines/52-54-00-00-00-01/off/", Command::Off),
        ] {
            assert_eq!(parse(path), Some((mac, command)), "{path}");
        }
        for path in ["/", "/machines/", "/machines/x/on", "/machines/52:54:00:00:00:01/on/x"] {
            assert_eq!(parse(path), None, "{path}");
        }
    }

    proptest! {
        #[test]
        fn any_path_is_read_without_panic(path in "(/machines/|%|[0-9a-f:/é]){0,20}") {
            let _ = parse(&path);
        }
    }
}
