//! Who may do what: every route, every kind of caller, every kind of ownership.

use ::http::Method;
use maas_core::machine::{Permission, Status};

use super::{Answer, World};
use crate::http::Access;

/// What operations on one machine itself ask of the caller (`api.md` §1.3).
const RIGHTS: &[(Permission, &[&str])] = &[
    (
        Permission::View,
        &[
            "GET",
            "GET details",
            "GET query_power_state",
            "GET preview",
            "GET possible_actions",
            "GET explain",
        ],
    ),
    (
        Permission::Edit,
        &[
            "POST deploy",
            "POST release",
            "POST abort",
            "POST mark_broken",
            "POST power_on",
            "POST power_off",
            "POST set_network",
            "POST set_owner_data",
            "POST set_workload_annotations",
            "GET get_curtin_config",
        ],
    ),
    (
        Permission::Admin,
        &[
            "PUT",
            "DELETE",
            "POST commission",
            "POST test",
            "POST override_failed_testing",
            "POST mark_fixed",
            "POST rescue_mode",
            "POST exit_rescue_mode",
            "POST set_storage_layout",
            "POST clear_default_gateways",
            "POST restore_networking_configuration",
            "POST restore_storage_configuration",
            "POST restore_default_configuration",
        ],
    ),
    (Permission::AdminRead, &["GET power_parameters", "GET get_token"]),
    (Permission::Lock, &["POST lock", "POST unlock"]),
];

/// What is mounted where is the owner's while the machine is Allocated; on a Ready machine it is
/// the administrators' (`api.md` §4.2).
const FILESYSTEMS: [&str; 6] = [
    "POST format",
    "POST unformat",
    "POST mount",
    "POST unmount",
    "POST mount_special",
    "POST unmount_special",
];

/// What a row asks of the caller; `None` when nobody wrote it down.
fn right(path: &str, call: &str) -> Option<Asked> {
    if FILESYSTEMS.contains(&call) {
        return Some(Asked::OwnerOnceAllocated);
    }
    let below = path.strip_prefix("/MAAS/api/2.0/nodes/{system_id}/").unwrap_or_default();
    if !below.is_empty() {
        // Interfaces, volumes and results: everybody who sees the machine reads, administrators
        // write.
        let reads = call == "GET" || call == "GET download";
        return Some(Asked::Right(if reads { Permission::View } else { Permission::Admin }));
    }
    RIGHTS.iter().find(|(_, calls)| calls.contains(&call)).map(|(right, _)| Asked::Right(*right))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Right(Permission),
    OwnerOnceAllocated,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Nobody,
    Caller,
    Another,
}

/// What must come of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// 401.
    SignIn,
    /// 403.
    Forbidden,
    /// 404, as if it were not there.
    Hidden,
    /// Neither 401 nor 403; what the operation then says is its own business.
    Through,
}

impl Expected {
    fn fits(self, answer: &Answer) -> bool {
        let status = answer.status.as_u16();
        match self {
            Self::SignIn => status == 401,
            Self::Forbidden => status == 403,
            Self::Hidden => status == 404,
            Self::Through => status != 401 && status != 403 && status < 500,
        }
    }
}

fn expected(
    access: Access,
    path: &str,
    call: &str,
    caller: &str,
    owner: Option<Owner>,
) -> Expected {
    match (access, caller) {
        (Access::Anonymous | Access::Anyone, "") => return Expected::Through,
        (_, "") => return Expected::SignIn,
        (Access::Admin, "ann") => return Expected::Forbidden,
        // What somebody holds, nobody else declares broken (`api.md` §1.3).
        (_, "root") if call == "POST mark_broken" && owner == Some(Owner::Another) => {
            return Expected::Forbidden;
        }
        (_, "root") => return Expected::Through,
        _ => {}
    }
    let Some(owner) = owner else {
        // Machines are added by administrators, or add themselves.
        let adds = path == "/MAAS/api/2.0/machines/" && call == "POST";
        return if adds { Expected::Forbidden } else { Expected::Through };
    };
    if owner == Owner::Another {
        // Not even that it exists is told.
        return Expected::Hidden;
    }
    match (right(path, call), owner) {
        (Some(Asked::Right(Permission::View | Permission::Edit)), _)
        | (Some(Asked::Right(Permission::Lock) | Asked::OwnerOnceAllocated), Owner::Caller) => {
            Expected::Through
        }
        _ => Expected::Forbidden,
    }
}

#[tokio::test]
async fn every_route_lets_through_whom_it_should_and_nobody_else() {
    let world = World::new().await;
    let mut wrong = Vec::new();
    let mut calls = 0;
    let rows: Vec<_> = world
        .api
        .rows()
        .iter()
        .map(|row| (row.method.clone(), row.path, row.op, row.access))
        .collect();
    for (method, path, op, access) in rows {
        // The rest of these paths, whatever it is, is not theirs.
        if path.contains("{*path}") {
            continue;
        }
        let on_machine = path.contains("{system_id}") && !path.contains("controllers/");
        let owners: &[Option<Owner>] = if on_machine {
            &[Some(Owner::Nobody), Some(Owner::Caller), Some(Owner::Another)]
        } else {
            &[None]
        };
        let call = match op {
            Some(op) => format!("{method} {op}"),
            None => method.to_string(),
        };
        let device = path.contains("/devices/");
        if on_machine && !device && right(path, &call).is_none() {
            wrong.push(format!("{call} {path}: nobody wrote down who may"));
        }
        for owner in owners {
            for caller in ["", "ann", "root"] {
                calls += 1;
                let answer = one(&world, &method, path, op, caller, *owner).await;
                let mut expected = expected(access, path, &call, caller, *owner);
                // What is made for these calls is a machine, and a machine is no device.
                if device && expected == Expected::Forbidden {
                    expected = Expected::Hidden;
                }
                if !expected.fits(&answer) {
                    wrong.push(format!(
                        "{call} {path} by {caller:?} ({owner:?}): expected {expected:?}, found {} {}",
                        answer.status,
                        answer.text().chars().take(100).collect::<String>()
                    ));
                }
            }
        }
    }
    assert!(calls > 250, "{calls} calls");
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// Makes what the path names, calls, and cleans up.
async fn one(
    world: &World,
    method: &Method,
    path: &str,
    op: Option<&str>,
    caller: &str,
    owner: Option<Owner>,
) -> Answer {
    let machine = match owner {
        None => None,
        Some(owner) => {
            let name = match (owner, caller) {
                (Owner::Nobody, _) => None,
                (Owner::Caller, "") | (Owner::Another, _) => Some("bob"),
                (Owner::Caller, caller) => Some(caller),
            };
            let status = if name.is_some() { Status::Deployed } else { Status::Ready };
            let machine = world.machine(status, |machine| {
                machine.owner = name.map(str::to_owned);
            });
            Some(machine.await)
        }
    };
    let mut filled = path.to_owned();
    if let Some(machine) = &machine {
        filled = filled.replace("{system_id}", machine.system_id.as_str());
    }
    while let (Some(open), Some(close)) = (filled.find('{'), filled.find('}')) {
        // Nothing has this name or number: who gets through finds nothing.
        filled.replace_range(open..=close, "99999");
    }
    if let Some(op) = op {
        filled.push_str("?op=");
        filled.push_str(op);
    }
    let answer = world.call(caller, method.as_str(), &filled, &[]).await;
    if let Some(machine) = machine
        && let Some(left) = world.region.store.machine(&machine.system_id).await.unwrap()
    {
        world.region.store.delete(&left.system_id, left.version).await.unwrap();
    }
    answer
}

#[tokio::test]
async fn what_belongs_to_a_user_is_there_for_nobody_else() {
    let world = World::new().await;
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGk";
    let made = world.call("ann", "POST", "account/prefs/sshkeys/", &[("key", key)]).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let id = serde_json::from_slice::<serde_json::Value>(&made.body).unwrap()["id"].clone();
    let path = format!("account/prefs/sshkeys/{id}/");
    for (caller, method, status) in [
        ("bob", "GET", 404),
        ("bob", "DELETE", 404),
        ("root", "GET", 404),
        ("", "GET", 401),
        ("ann", "GET", 200),
        ("ann", "DELETE", 204),
    ] {
        let answer = world.call(caller, method, &path, &[]).await;
        assert_eq!(answer.status, status, "{method} by {caller:?}: {}", answer.text());
    }
    // A token is its user's only.
    let token = world.call("ann", "GET", "account/?op=list_authorisation_tokens", &[]).await;
    let token = token.json()[0]["token"].as_str().unwrap().split(':').nth(1).unwrap().to_owned();
    let delete = "account/?op=delete_authorisation_token";
    let stranger = world.call("bob", "POST", delete, &[("token_key", &token)]).await;
    assert_eq!(stranger.status, 404);
}

#[tokio::test]
async fn a_field_that_the_caller_may_not_write_is_refused_and_not_ignored() {
    let world = World::new().await;
    for field in ["pool", "zone", "domain", "description", "deployed"] {
        let form =
            [("architecture", "amd64"), ("mac_addresses", "52:54:00:00:00:01"), (field, "default")];
        let answer = world.call("", "POST", "machines/", &form).await;
        assert_eq!(answer.status, 403, "{field}: {}", answer.text());
    }
    let ready = world.machine(Status::Ready, |_| {}).await;
    let path = format!("machines/{}/", ready.system_id);
    let answer = world.call("ann", "PUT", &path, &[("hostname", "mine")]).await;
    assert_eq!(answer.status, 403);
    for (field, value) in [("pool", "nowhere"), ("zone", "nowhere")] {
        let answer = world.call("root", "PUT", &path, &[(field, value)]).await;
        assert_eq!(answer.status, 400, "{field}: {}", answer.text());
        assert!(answer.text().contains(field));
    }
    assert_eq!(world.stored(&ready).await, ready);
}

/// A request with a session's cookie.
async fn by_cookie(
    world: &World,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let mut request = ::http::Request::builder()
        .method(method)
        .uri(path)
        .header("host", "maas.example:5240")
        .header("content-type", "application/x-www-form-urlencoded");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    world.send(request.body(http_body_util::Full::from(body.to_owned())).unwrap()).await
}

#[tokio::test]
async fn a_session_signs_in_reads_at_once_and_writes_from_our_own_pages_only() {
    let world = World::new().await;
    let login = "/MAAS/accounts/login/";
    let wrong = by_cookie(&world, "POST", login, &[], "username=ann&password=no").await;
    assert_eq!(wrong.status, 400, "{}", wrong.text());
    let good = "username=ann&password=password+of+ann";
    let foreign = [("origin", "http://evil.example")];
    assert_eq!(by_cookie(&world, "POST", login, &foreign, good).await.status, 403);
    let answer = by_cookie(&world, "POST", login, &[], good).await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (204, 0), "{}", answer.text());
    let cookies: Vec<&str> =
        answer.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap()).collect();
    let session = cookies.iter().find(|cookie| cookie.starts_with("sessionid=")).unwrap();
    assert!(session.contains("HttpOnly") && session.contains("SameSite="), "{session}");
    let csrf = cookies.iter().find(|cookie| cookie.starts_with("csrftoken=")).unwrap();
    let csrf = csrf.split(['=', ';']).nth(1).unwrap();
    let cookie = session.split(';').next().unwrap();

    let whoami = "/MAAS/api/2.0/users/?op=whoami";
    let read = by_cookie(&world, "GET", whoami, &[("cookie", cookie)], "").await;
    assert_eq!(read.json()["username"], "ann");
    let token = "/MAAS/api/2.0/account/?op=create_authorisation_token";
    for (more, status) in [
        (vec![], 403),
        (vec![("origin", "http://evil.example")], 403),
        (vec![("origin", "null")], 403),
        (vec![("referer", "http://maas.example:5240.evil.example/")], 403),
        (vec![("origin", "https://maas.example:5240")], 403),
        (vec![("x-csrftoken", "guess")], 403),
        (vec![("origin", "http://maas.example:5240")], 200),
        (vec![("referer", "http://maas.example:5240/MAAS/r/machines")], 200),
        (vec![("x-csrftoken", csrf)], 200),
    ] {
        let mut headers = vec![("cookie", cookie)];
        headers.extend(more.clone());
        let answer = by_cookie(&world, "POST", token, &headers, "").await;
        assert_eq!(answer.status, status, "{more:?}: {}", answer.text());
    }
    // An administrator's operations stay closed, and the store holds no cookie.
    let headers = [("cookie", cookie), ("x-csrftoken", csrf)];
    let zones = by_cookie(&world, "POST", "/MAAS/api/2.0/zones/", &headers, "name=z").await;
    assert_eq!(zones.status, 403);
    let kept = world.region.store.documents("session").await.unwrap();
    let word = cookie.split('=').nth(1).unwrap();
    assert!(!format!("{kept:?}").contains(word), "only its hash is kept");

    let out = by_cookie(&world, "POST", "/MAAS/accounts/logout/", &headers, "").await;
    assert_eq!(out.status, 204, "{}", out.text());
    let after = by_cookie(&world, "GET", whoami, &[("cookie", cookie)], "").await;
    assert_eq!(after.status, 401);
}

#[tokio::test]
async fn what_was_signed_before_the_start_is_not_accepted() {
    let world = World::new().await;
    let signed = world.sign("root");
    let old = (crate::clock::now().seconds() - 5).to_string();
    let now = crate::clock::now().seconds().to_string();
    let replayed = signed.replace(&now, &old);
    assert_ne!(signed, replayed);
    let request = ::http::Request::get("/MAAS/api/2.0/users/?op=whoami")
        .header("authorization", replayed)
        .body(http_body_util::Full::default())
        .unwrap();
    assert_eq!(world.send(request).await.status, 401);
}

#[tokio::test]
async fn a_request_from_the_future_counts_once_also_after_a_restart() {
    let world = World::new().await;
    let now = crate::clock::now().seconds();
    let ahead = |signed: String| {
        let mut moved = signed;
        for second in now..now + 5 {
            moved = moved.replace(
                &format!("oauth_timestamp=\"{second}\""),
                &format!("oauth_timestamp=\"{}\"", now + 3600),
            );
        }
        moved
    };
    let (first, second) = (ahead(world.sign("root")), ahead(world.sign("root")));
    assert!(first.contains(&(now + 3600).to_string()));
    let restarted = world.restarted();
    for (api, signed, status) in [
        (&world.api, &first, 200),
        (&world.api, &first, 401),
        (&restarted, &first, 401),
        (&restarted, &second, 200),
        (&world.api, &second, 401),
    ] {
        let request = ::http::Request::get("/MAAS/api/2.0/users/?op=whoami")
            .header("authorization", signed)
            .body(http_body_util::Full::<bytes::Bytes>::default())
            .unwrap();
        let answer = api.call(request, crate::http::Connection::default()).await;
        assert_eq!(answer.status(), status, "{signed}");
    }
    // Whose clock is right leaves nothing behind.
    assert_eq!(world.region.store.documents("nonce").await.unwrap().len(), 2);
    world.get("users/?op=whoami").await;
    assert_eq!(world.region.store.documents("nonce").await.unwrap().len(), 2);
}
