//! Who calls from a browser: the session's cookie, believed only from our own page.

use http::{Method, header};
use url::Url;

use super::Region;
use super::authenticator::user_caller;
use crate::clock;
use crate::http::{Caller, Problem, Request};
use crate::sessions;

/// The cookie's name.
pub(crate) const SESSION_COOKIE: &str = "sessionid";

/// The user whose session it is. A cookie that is none any more is no error: pages that everybody
/// may see stay visible.
///
/// # Errors
///
/// 403 for a change that another site's page asks for.
pub(super) async fn identify(region: &Region, request: &Request) -> Result<Caller, Problem> {
    let Some(cookie) = request.cookie(SESSION_COOKIE) else { return Ok(Caller::Anonymous) };
    let user = sessions::user(&*region.store, cookie, clock::now()).await;
    let Some(user) = user.map_err(Problem::internal)? else { return Ok(Caller::Anonymous) };
    if *request.method() != Method::GET {
        must_be_own_page(request)?;
    }
    Ok(user_caller(user))
}

/// Refuses what a page of another site sends in the user's name.
///
/// # Errors
///
/// 403.
pub(crate) fn must_be_own_page(request: &Request) -> Result<(), Problem> {
    let origin = request.header(&header::ORIGIN).or_else(|| request.header(&header::REFERER));
    let own = origin.and_then(|text| Url::parse(text).ok()).is_some_and(|url| {
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        url.host_str().is_some_and(|host| format!("{host}{port}") == request.host())
    });
    if own {
        return Ok(());
    }
    Err(Problem::Forbidden(
        "A session may change things only from this server's own page: the Origin header names \
         another one."
            .to_owned(),
    ))
}
