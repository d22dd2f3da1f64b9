//! The web page: static files that speak the MAAS API 2.0 in the browser, as any other client does.
//!
//! Nothing is rendered here, so that the page can show and do only what the API shows and does.
//! Signing in gives the browser a session cookie (`/MAAS/accounts/login/`).

use std::sync::Arc;

use http::{HeaderName, HeaderValue, StatusCode, header};
use sha2::{Digest, Sha256};

use crate::http::{Access, Operation, Problem, Reply, Request, get};
use crate::region::Region;

const ROOT: &str = "/MAAS/";
const UI: &str = "/MAAS/ui/";
const FILE: &str = "/MAAS/ui/{name}";

/// The page may load and speak to nothing but this server, and nobody may frame it.
const POLICY: HeaderValue =
    HeaderValue::from_static("default-src 'self'; frame-ancestors 'none'; form-action 'self'");

/// One file of the page.
struct File {
    name: &'static str,
    media_type: &'static str,
    content: &'static str,
}

macro_rules! file {
    ($name:literal, $media_type:literal) => {
        File {
            name: $name,
            media_type: $media_type,
            content: include_str!(concat!("static/", $name)),
        }
    };
}

const FILES: &[File] = &[
    file!("index.html", "text/html; charset=utf-8"),
    file!("ui.css", "text/css; charset=utf-8"),
    file!("icon.svg", "image/svg+xml"),
    file!("app.js", "text/javascript; charset=utf-8"),
    file!("api.js", "text/javascript; charset=utf-8"),
    file!("dom.js", "text/javascript; charset=utf-8"),
    file!("session.js", "text/javascript; charset=utf-8"),
    file!("machines.js", "text/javascript; charset=utf-8"),
    file!("machine.js", "text/javascript; charset=utf-8"),
    file!("images.js", "text/javascript; charset=utf-8"),
    file!("account.js", "text/javascript; charset=utf-8"),
];

/// The page and its files.
#[must_use]
pub fn operations() -> Vec<Operation<Region>> {
    vec![
        get("UserInterface", ROOT, "Leads to the web page.", lead).access(Access::Anonymous),
        get("UserInterface", UI, "The web page.", index).access(Access::Anonymous),
        get("UserInterfaceFile", FILE, "A file of the web page.", file).access(Access::Anonymous),
    ]
}

async fn lead(_: Arc<Region>, _: Request) -> Result<Reply, Problem> {
    Ok(Reply::found(UI))
}

async fn index(_: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    serve("index.html", &request)
}

async fn file(_: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    serve(request.param("name"), &request)
}

fn serve(name: &str, request: &Request) -> Result<Reply, Problem> {
    let file = FILES
        .iter()
        .find(|file| file.name == name)
        .ok_or_else(|| Problem::not_found("The web page has no such file."))?;
    let digest = Sha256::digest(file.content);
    let tag: String = digest.iter().take(12).map(|byte| format!("{byte:02x}")).collect();
    let tag = format!("\"{tag}\"");
    let known = request.header(&header::IF_NONE_MATCH).is_some_and(|known| known == tag);
    let reply = if known {
        Reply::empty(StatusCode::NOT_MODIFIED)
    } else {
        Reply::bytes(file.media_type, file.content)
    };
    // The files change with the server: ask each time, fetch only when they did.
    Ok(reply
        .header(header::ETAG, HeaderValue::from_str(&tag).map_err(Problem::internal)?)
        .header(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"))
        .header(header::CONTENT_SECURITY_POLICY, POLICY)
        .header(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"))
        .header(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"))
        .header(
            HeaderName::from_static("cross-origin-opener-policy"),
            HeaderValue::from_static("same-origin"),
        ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_that_the_page_names_is_served() {
        let names: Vec<&str> = FILES.iter().map(|file| file.name).collect();
        for file in FILES {
            for quote in ['"', '\''] {
                for part in file.content.split(quote).skip(1).step_by(2) {
                    let Some(named) = part.strip_prefix("./") else { continue };
                    assert!(names.contains(&named), "{} names {named}", file.name);
                }
            }
        }
    }

    #[test]
    fn the_page_runs_nothing_that_its_policy_forbids() {
        for file in FILES {
            for forbidden in ["style=\"", "onclick=", "javascript:", "innerHTML", "eval("] {
                assert!(!file.content.contains(forbidden), "{} has {forbidden}", file.name);
            }
        }
    }
}
