//! Who calls: machines by their own token, users by an API key.

use std::sync::Arc;

use maas_core::machine::Role as CoreRole;
use maas_core::secret::Secret;

use super::{Region, kept_nonces};
use crate::clock;
use crate::entropy;
use crate::http::{
    Access, Authenticator, Caller, Credentials, Identified, Learned, NodeCaller, NonceError,
    NonceWindow, OauthError, Problem, Request, Role, UserCaller,
};
use crate::sessions;
use crate::store::User;

/// Checks OAuth 1.0 PLAINTEXT, or a session's cookie, against the store; remembers nonces in
/// memory.
///
/// Nonces from before the start are not known, so nothing that a user signed before the start is
/// accepted: a request that somebody recorded then cannot be sent again now. A client whose clock
/// is late by some seconds waits as many seconds after a restart. The nonces of users whose clocks
/// are early are kept in the store as well (`kept_nonces`). Machines are spared: their clocks
/// are often late, and what they say counts once however often it is said.
#[derive(Debug, Clone)]
pub struct OauthAuthenticator {
    nonces: Arc<NonceWindow>,
    /// In seconds of Unix time.
    started: i64,
}

impl Default for OauthAuthenticator {
    fn default() -> Self {
        Self { nonces: Arc::default(), started: clock::now().seconds() }
    }
}

impl Authenticator<Region> for OauthAuthenticator {
    fn identify<'a>(
        &'a self,
        region: &'a Region,
        request: &'a Request,
        access: Access,
    ) -> Identified<'a> {
        Box::pin(async move {
            let Some(credentials) = Credentials::of_request(request)? else {
                return by_session(region, request, access).await;
            };
            let now = clock::now().seconds();
            credentials.check_time(now)?;
            let holder = lookup(region, &credentials.token).await?;
            let holder = holder.ok_or_else(|| unknown(access))?;
            let is_person = holder.caller.user().is_some();
            if is_person && credentials.timestamp < self.started {
                return Err(OauthError::Expired { given: credentials.timestamp, now }.into());
            }
            // Both are compared in constant time; which one was wrong is not told.
            if !entropy::same_secret(&holder.consumer_key, &credentials.consumer_key) {
                return Err(unknown(access));
            }
            credentials.check_signature(holder.token_secret.expose())?;
            // Only good credentials use up nonces: strangers cannot fill the memory.
            self.nonces.check(&credentials, now).map_err(OauthError::from)?;
            if is_person && !kept_nonces::is_new(region, &credentials, now).await? {
                return Err(OauthError::from(NonceError { nonce: credentials.nonce }).into());
            }
            Ok(holder.caller)
        })
    }
}

/// Machines have no browsers; for everybody else a cookie is as good as a signature.
async fn by_session(region: &Region, request: &Request, access: Access) -> Result<Caller, Problem> {
    if matches!(access, Access::Node | Access::NodeOrAnonymous) {
        return Ok(Caller::Anonymous);
    }
    let Some(session) = sessions::of_request(&*region.store, request).await? else {
        return Ok(Caller::Anonymous);
    };
    let user = region.store.user(&session.username).await.map_err(Problem::internal)?;
    Ok(user.map_or(Caller::Anonymous, |user| Caller::User(caller(user))))
}

fn caller(user: User) -> UserCaller {
    let role = if user.role == CoreRole::Admin { Role::Admin } else { Role::User };
    UserCaller { id: 0, name: user.username, role }
}

/// Machines are told 403, so that cloud-init does not take it for a skewed clock.
fn unknown(access: Access) -> Problem {
    match access {
        Access::Node | Access::NodeOrAnonymous => {
            Problem::Forbidden("Not authenticated as a known node.".to_owned())
        }
        _ => OauthError::UnknownKey.into(),
    }
}

/// Whose token it is and what proves it.
struct Holder {
    consumer_key: String,
    token_secret: Secret<String>,
    caller: Caller,
}

async fn lookup(region: &Region, token: &str) -> Result<Option<Holder>, Problem> {
    let store = &region.store;
    if let Some(machine) = store.machine_by_token(token).await.map_err(Problem::internal)? {
        return Ok(Some(Holder {
            consumer_key: machine.credentials.consumer_key.clone(),
            token_secret: machine.credentials.token_secret.clone(),
            caller: Caller::Node(NodeCaller {
                system_id: machine.system_id.to_string(),
                learned: Learned::new(machine),
            }),
        }));
    }
    let Some(key) = store.api_key(token).await.map_err(Problem::internal)? else {
        return Ok(None);
    };
    let user = store.user(&key.username).await.map_err(Problem::internal)?;
    Ok(user.map(|user| Holder {
        consumer_key: key.consumer_key,
        token_secret: key.token_secret,
        caller: Caller::User(caller(user)),
    }))
}
