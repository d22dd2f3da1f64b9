//! Signing a browser in and out.

use std::sync::Arc;

use ::http::{HeaderValue, header};
use maas_core::secret::Secret;

use crate::accounts;
use crate::clock;
use crate::http::{Access, Operation, Param, Problem, Reply, Request, Transport, post};
use crate::region::{Region, SESSION_COOKIE};
use crate::sessions;

pub(super) fn operations() -> Vec<Operation<Region>> {
    vec![
        post("Login", "/MAAS/accounts/login/", "Begins a browser's session.", login)
            .access(Access::Anonymous)
            .params(&[
                Param::required("username", "The user's name."),
                Param::required("password", "The user's password."),
            ]),
        post("Logout", "/MAAS/accounts/logout/", "Ends the browser's session.", logout)
            .access(Access::Anonymous),
    ]
}

async fn login(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let fields = request.fields();
    let username = fields.required("username")?;
    let password = Secret::new(fields.required("password")?.to_owned());
    let user = accounts::with_password(&*region.store, username, password)
        .await
        .map_err(Problem::internal)?
        .ok_or_else(|| Problem::bad_request("Wrong user name or password."))?;
    let cookie =
        sessions::begin(&*region.store, &user, clock::now()).await.map_err(Problem::internal)?;
    let age = sessions::LIFETIME.as_secs();
    Ok(Reply::no_content()
        .header(header::SET_COOKIE, set_cookie(&request, cookie.expose(), age)?)
        .header(header::CACHE_CONTROL, HeaderValue::from_static("no-store")))
}

async fn logout(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    if let Some(cookie) = request.cookie(SESSION_COOKIE) {
        crate::region::must_be_own_page(&request)?;
        sessions::end(&*region.store, cookie).await.map_err(Problem::internal)?;
    }
    Ok(Reply::no_content().header(header::SET_COOKIE, set_cookie(&request, "", 0)?))
}

/// Out of reach for scripts and for other sites' pages.
fn set_cookie(request: &Request, value: &str, age: u64) -> Result<HeaderValue, Problem> {
    let secure = match request.connection().transport {
        Transport::Tls => "; Secure",
        Transport::Plain => "",
    };
    let text = format!(
        "{SESSION_COOKIE}={value}; Path=/MAAS/; Max-Age={age}; HttpOnly; SameSite=Strict{secure}"
    );
    HeaderValue::from_str(&text).map_err(Problem::internal)
}
