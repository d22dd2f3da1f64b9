//! Who may call an operation, who calls it, and the hook that finds that out.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::{Problem, Request};

/// Who an operation is for.
///
/// [`Access::admit`] says what each means; an [`Authenticator`] may be stricter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Access {
    /// Everybody; credentials are not even looked at.
    Anonymous,
    /// Everybody, but credentials, when there are any, must be good: a user, a node or nobody.
    Anyone,
    /// A node with its token, or nobody (then the enlistment answers are meant).
    NodeOrAnonymous,
    /// A node with its token.
    Node,
    /// Any signed-in user.
    User,
    /// A signed-in administrator.
    Admin,
}

impl Access {
    /// Whether an anonymous caller can get through.
    #[must_use]
    pub fn allows_anonymous(self) -> bool {
        matches!(self, Self::Anonymous | Self::Anyone | Self::NodeOrAnonymous)
    }

    /// One word for documents.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::Anyone => "anyone",
            Self::NodeOrAnonymous => "node or anonymous",
            Self::Node => "node",
            Self::User => "user",
            Self::Admin => "administrator",
        }
    }

    /// Lets `caller` through or says why not.
    ///
    /// # Errors
    /// 401 when nobody signed in and somebody must have, 403 for the wrong kind of caller. The
    /// sentences for nodes are those that MAAS's metadata service gives.
    pub fn admit(self, caller: &Caller) -> Result<(), Problem> {
        const NOT_A_NODE: &str = "Not authenticated as a known node.";
        match (self, caller) {
            (Self::Anonymous | Self::Anyone, _)
            | (Self::NodeOrAnonymous, Caller::Anonymous | Caller::Node(_))
            | (Self::Node, Caller::Node(_))
            | (Self::User, Caller::User(_)) => Ok(()),
            (Self::Admin, Caller::User(user)) if user.role == Role::Admin => Ok(()),
            (Self::Admin, Caller::User(_)) => {
                Err(Problem::Forbidden("This operation is for administrators only.".to_owned()))
            }
            (Self::NodeOrAnonymous | Self::Node, Caller::User(_)) => {
                Err(Problem::Forbidden(NOT_A_NODE.to_owned()))
            }
            (Self::Node, Caller::Anonymous) => {
                Err(Problem::unauthorized("No authorization header received."))
            }
            (Self::User | Self::Admin, Caller::Anonymous) => {
                Err(Problem::unauthorized("Authorization Error: no credentials were given."))
            }
            (Self::User | Self::Admin, Caller::Node(_)) => {
                Err(Problem::Forbidden("A machine's token cannot be used here.".to_owned()))
            }
        }
    }
}

/// What a user may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// An ordinary user.
    User,
    /// An administrator (`is_superuser`).
    Admin,
}

/// A signed-in user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserCaller {
    /// The user's row id.
    pub id: i64,
    /// The user's name.
    pub name: String,
    /// What the user may do.
    pub role: Role,
}

/// A machine or controller that showed its own token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeCaller {
    /// The six-character system id.
    pub system_id: String,
    /// What the authenticator read of it, so that a handler need not read it again.
    pub learned: Learned,
}

/// What an authenticator learned of a caller besides who it is; of any type. All are equal.
#[derive(Clone, Default)]
pub struct Learned(Option<Arc<dyn Any + Send + Sync>>);

impl Learned {
    /// Wraps a value.
    #[must_use]
    pub fn new<T: Send + Sync + 'static>(value: T) -> Self {
        Self(Some(Arc::new(value)))
    }

    /// The value, if there is one and it is of this type.
    #[must_use]
    pub fn value<T: Send + Sync + 'static>(&self) -> Option<&T> {
        self.0.as_ref()?.downcast_ref()
    }
}

impl fmt::Debug for Learned {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.0.is_some() { "Learned(..)" } else { "Learned" })
    }
}

impl PartialEq for Learned {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Learned {}

/// Who sent a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Caller {
    /// Nobody signed in.
    #[default]
    Anonymous,
    /// A machine or controller.
    Node(NodeCaller),
    /// A user.
    User(UserCaller),
}

impl Caller {
    /// The signed-in user, if it is one.
    #[must_use]
    pub fn user(&self) -> Option<&UserCaller> {
        match self {
            Self::User(user) => Some(user),
            _ => None,
        }
    }

    /// The node, if it is one.
    #[must_use]
    pub fn node(&self) -> Option<&NodeCaller> {
        match self {
            Self::Node(node) => Some(node),
            _ => None,
        }
    }

    /// Whether it is an administrator.
    #[must_use]
    pub fn is_admin(&self) -> bool {
        self.user().is_some_and(|user| user.role == Role::Admin)
    }
}

/// What [`Authenticator::identify`] finds.
pub type Identified<'a> = BoxFuture<'a, Result<Caller, Problem>>;

/// Finds out who sent a request. The program implements it over its own user and token tables,
/// with [`Credentials`](super::Credentials) and [`NonceWindow`](super::NonceWindow) as parts.
pub trait Authenticator<S>: Send + Sync + 'static {
    /// Names the caller: [`Caller::Anonymous`] when there are no credentials at all, a 401 or
    /// 403 when there are and they are bad. Not called for [`Access::Anonymous`].
    fn identify<'a>(&'a self, state: &'a S, request: &'a Request, access: Access)
    -> Identified<'a>;

    /// Lets the identified caller through or not. The default is [`Access::admit`].
    ///
    /// # Errors
    /// The refusal to send.
    fn admit(&self, access: Access, caller: &Caller, _request: &Request) -> Result<(), Problem> {
        access.admit(caller)
    }
}
