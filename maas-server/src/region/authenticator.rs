//! Who calls: machines by their own token, users by an API key.

use std::sync::Arc;

use maas_core::machine::Role as CoreRole;
use maas_core::secret::Secret;

use super::Region;
use crate::clock;
use crate::entropy;
use crate::http::{
    Access, Authenticator, Caller, Credentials, Identified, NodeCaller, NonceWindow, OauthError,
    Problem, Request, Role, UserCaller,
};
use crate::store::User;

/// Checks OAuth 1.0 PLAINTEXT against the store; remembers nonces in memory.
#[derive(Debug, Clone, Default)]
pub struct OauthAuthenticator {
    nonces: Arc<NonceWindow>,
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
                return match access {
                    // What machines ask for has nothing to do with a person's browser.
                    Access::Node | Access::NodeOrAnonymous => Ok(Caller::Anonymous),
                    _ => super::browser::identify(region, request).await,
                };
            };
            let now = clock::now().seconds();
            credentials.check_time(now)?;
            let holder = lookup(region, &credentials.token).await?;
            let holder = holder.ok_or_else(|| unknown(access))?;
            // Both are compared in constant time; which one was wrong is not told.
            if !entropy::same_secret(&holder.consumer_key, &credentials.consumer_key) {
                return Err(unknown(access));
            }
            credentials.check_signature(holder.token_secret.expose())?;
            // Only good credentials use up nonces: strangers cannot fill the memory.
            self.nonces.check(&credentials, now).map_err(OauthError::from)?;
            Ok(holder.caller)
        })
    }
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
            caller: Caller::Node(NodeCaller { system_id: machine.system_id.to_string() }),
            consumer_key: machine.credentials.consumer_key,
            token_secret: machine.credentials.token_secret,
        }));
    }
    let Some(key) = store.api_key(token).await.map_err(Problem::internal)? else {
        return Ok(None);
    };
    let user = store.user(&key.username).await.map_err(Problem::internal)?;
    Ok(user.map(|user| Holder {
        consumer_key: key.consumer_key,
        token_secret: key.token_secret,
        caller: user_caller(user),
    }))
}

pub(super) fn user_caller(user: User) -> Caller {
    let role = if user.role == CoreRole::Admin { Role::Admin } else { Role::User };
    Caller::User(UserCaller { id: 0, name: user.username, role })
}
