//! Signing in and out at a web browser (outside the API proper, as in MAAS).

use std::sync::Arc;

use ::http::{HeaderValue, header};
use maas_core::secret::Secret;
use serde_json::json;

use super::account::check_password;
use crate::http::{Access, Operation, Param, Problem, Reply, Request, Transport, get, post};
use crate::region::Region;
use crate::sessions::{self, COOKIE, CSRF_COOKIE, Origin};

const LOGIN: &str = "/MAAS/accounts/login/";
const LOGOUT: &str = "/MAAS/accounts/logout/";

pub(super) fn operations() -> Vec<Operation<Region>> {
    vec![
        get("Login", LOGIN, "Whether the caller is signed in.", state).access(Access::Anyone),
        post("Login", LOGIN, "Signs in: 204 with a session cookie.", login)
            .access(Access::Anonymous)
            .params(&[
                Param::required("username", "The user's name."),
                Param::required("password", "The user's password."),
            ]),
        post("Logout", LOGOUT, "Signs out.", logout).access(Access::Anyone),
    ]
}

async fn state(_: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    Reply::json(&json!({
        "authenticated": request.caller().user().is_some(), "external_auth_url": null,
    }))
}

async fn login(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    // Nobody signs somebody else in from a page of their own.
    if sessions::same_origin(&request) == Origin::Foreign {
        return Err(Problem::Forbidden("CSRF verification failed.".to_owned()));
    }
    let fields = request.fields();
    let username = fields.required("username")?;
    let password = Secret::new(fields.required("password")?.to_owned());
    let Some(user) = check_password(&region, username, password).await? else {
        return Err(Problem::field(
            "__all__",
            "Please enter a correct username and password. Note that both fields may be \
             case-sensitive.",
        ));
    };
    let seconds = region.settings().number("session_length");
    let words = sessions::begin(&*region.store, &user.username, seconds)
        .await
        .map_err(Problem::internal)?;
    Ok(Reply::no_content()
        .added_header(
            header::SET_COOKIE,
            cookie(&request, COOKIE, &words.session, seconds, "; HttpOnly")?,
        )
        .added_header(header::SET_COOKIE, cookie(&request, CSRF_COOKIE, &words.csrf, seconds, "")?))
}

async fn logout(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    sessions::end(&*region.store, &request).await.map_err(Problem::internal)?;
    Ok(Reply::no_content()
        .added_header(header::SET_COOKIE, cookie(&request, COOKIE, "", 0, "; HttpOnly")?)
        .added_header(header::SET_COOKIE, cookie(&request, CSRF_COOKIE, "", 0, "")?))
}

fn cookie(
    request: &Request,
    name: &str,
    value: &str,
    seconds: u64,
    more: &str,
) -> Result<HeaderValue, Problem> {
    let secure = match request.connection().transport {
        Transport::Tls => "; Secure",
        Transport::Plain => "",
    };
    let text =
        format!("{name}={value}; Path=/MAAS/; Max-Age={seconds}; SameSite=Strict{secure}{more}");
    HeaderValue::from_str(&text).map_err(Problem::internal)
}
