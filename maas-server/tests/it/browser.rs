//! The web page and its sessions: signed in by a cookie, and only from the page itself.

use maas_core::machine::Role;
use maas_core::secret::Secret;
use maas_server::accounts;

use super::support::client::{Answer, Call};
use super::support::server::Running;

const WHOAMI: &str = "/MAAS/api/2.0/users/?op=whoami";
const TOKENS: &str = "/MAAS/api/2.0/account/?op=create_authorisation_token";
const OWN: &str = "http://127.0.0.1";

fn running() -> Running {
    let running = Running::empty();
    running.runtime.block_on(async {
        let password = Secret::new("open sesame".to_owned());
        accounts::create(running.server().store(), "ann", "", Role::User, &password).await.unwrap();
    });
    running
}

fn login(running: &Running, password: &str) -> Answer {
    let fields = [("username", "ann"), ("password", password)];
    Call::post("/MAAS/accounts/login/", &fields).send(running.region)
}

/// `name=value` of the cookie that signing in gives.
fn cookie(running: &Running) -> String {
    let answer = login(running, "open sesame");
    assert_eq!(answer.status, 204, "{}", answer.text());
    let line = answer.header("set-cookie").unwrap();
    for attribute in ["HttpOnly", "SameSite=Strict", "Path=/MAAS/"] {
        assert!(line.contains(attribute), "{line}");
    }
    line.split(';').next().unwrap().to_owned()
}

#[test]
fn a_browser_signs_in_works_and_signs_out() {
    let running = running();
    let cookie = cookie(&running);
    let asks = || Call::get(WHOAMI).header("Cookie", &cookie).send(running.region);
    assert_eq!(asks().ok().json()["username"], "ann");
    let call = Call::post(TOKENS, &[("name", "mine")]).header("Cookie", &cookie);
    call.header("Origin", OWN).send(running.region).ok();
    let call = Call::post("/MAAS/accounts/logout/", &[]).header("Cookie", &cookie);
    assert_eq!(call.header("Origin", OWN).send(running.region).status, 204);
    assert_eq!(asks().status, 401);
}

#[test]
fn a_wrong_password_gives_no_session() {
    let running = running();
    for password in ["", "sesame", "open sesame "] {
        let answer = login(&running, password);
        assert_eq!(answer.status, 400, "{}", answer.text());
        assert_eq!(answer.header("set-cookie"), None);
    }
    let made_up = Call::get(WHOAMI).header("Cookie", "sessionid=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    assert_eq!(made_up.send(running.region).status, 401);
    // What everybody may see is shown in spite of a stale cookie.
    Call::get("/MAAS/api/2.0/version/").header("Cookie", "sessionid=x").send(running.region).ok();
}

#[test]
fn another_sites_page_changes_nothing_in_the_users_name() {
    let running = running();
    let cookie = cookie(&running);
    let post = || Call::post(TOKENS, &[]).header("Cookie", &cookie);
    let list = || {
        let path = "/MAAS/api/2.0/account/?op=list_authorisation_tokens";
        Call::get(path).header("Cookie", &cookie).send(running.region).ok().json()
    };
    for origin in ["http://evil.example", "http://127.0.0.1:81", "null", ""] {
        let answer = post().header("Origin", origin).send(running.region);
        assert_eq!(answer.status, 403, "{origin}: {}", answer.text());
    }
    assert_eq!(post().send(running.region).status, 403);
    let referer = post().header("Referer", "http://evil.example/MAAS/ui/").send(running.region);
    assert_eq!(referer.status, 403);
    assert_eq!(list().as_array().unwrap().len(), 0);
    post().header("Referer", format!("{OWN}/MAAS/ui/")).send(running.region).ok();
    assert_eq!(list().as_array().unwrap().len(), 1);
}

#[test]
fn the_page_is_there_for_everybody_and_cached_until_it_changes() {
    let running = Running::empty();
    let lead = Call::get("/MAAS/").send(running.region);
    assert_eq!((lead.status, lead.header("location")), (302, Some("/MAAS/ui/")));
    let page = Call::get("/MAAS/ui/").send(running.region).ok();
    assert!(page.header("content-type").unwrap().starts_with("text/html"));
    assert!(page.header("content-security-policy").unwrap().contains("default-src 'self'"));
    let tag = page.header("etag").unwrap();
    let again = Call::get("/MAAS/ui/").header("If-None-Match", tag).send(running.region);
    assert_eq!((again.status, again.body.len()), (304, 0));
    let script = Call::get("/MAAS/ui/app.js").send(running.region).ok();
    assert!(script.header("content-type").unwrap().starts_with("text/javascript"));
    assert_eq!(Call::get("/MAAS/ui/nothing.js").send(running.region).status, 404);
}
