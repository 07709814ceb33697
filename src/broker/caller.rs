//! Who calls without a browser: by a broker token, a password or a token of a trusted issuer.
//!
//! Never here: what they may then do. Entry point: [`Broker::caller`].

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use thiserror::Error;
use url::Url;

use super::{
    Broker, Client,
    sign_in::{SignInAttempt, SignInRefused, person},
    throttle::Key,
    token::{count, secret},
};
use crate::{
    access::{ConnectorId, Identity, TargetArn, TokenScope, TokenScopes},
    audit::{Action, Actor, AuditEvent, Outcome},
    identity::{Connector, TokenRefusal},
    store::{ONE_CALL, SignInSession, StoreError, TokenKind},
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
    /// Finds out who calls. Failures are counted by address, and audited; whoever brings what is good is
    /// not held up by the failures of others at the same address.
    pub async fn caller(
        &self,
        presented: Presented,
        client: &Client,
    ) -> Result<Caller, CallerRefused> {
        let (what, found) = match presented {
            Presented::Bearer { token, issuer } => {
                let is_foreign = !self.adapters.trusted_issuers.is_empty()
                    && !secret::is_ours(token.expose_secret());
                if is_foreign {
                    let found = self.caller_by_issuer(&token, issuer.as_ref(), client).await;
                    ("issuer", found)
                } else {
                    ("token", self.caller_by_token(&token, client).await)
                }
            }
            Presented::Password {
                connector,
                username,
                password,
            } => {
                let found = match self.directory_of(connector, username) {
                    Ok((connector, username)) => {
                        let attempt = SignInAttempt {
                            connector,
                            username,
                            password,
                        };
                        self.caller_by_password(attempt, client).await
                    }
                    Err(refused) => Err(refused),
                };
                ("password", found)
            }
        };
        count(what, found.as_ref().map_or_else(code_of, |_| "ok"));
        found
    }

    /// The token is looked up first and throttled afterwards, so that only failures cost anything.
    async fn caller_by_token(
        &self,
        token: &SecretString,
        client: &Client,
    ) -> Result<Caller, CallerRefused> {
        let token = token.expose_secret();
        let mut found = None;
        // Codes and refresh tokens are no bearer tokens.
        if secret::is_shaped(token, secret::ACCESS) || secret::is_shaped(token, secret::MADE) {
            let tokens = &self.adapters.tokens;
            found = tokens.broker_token(&secret::hash(token)).await?;
        }
        let Some((token, session)) = found.filter(|(token, _)| token.kind == TokenKind::Access)
        else {
            return Err(self.refuse_token("invalid_token", None, client).await?);
        };
        let now = self.now();
        if token.expires_at <= now || session.expires_at <= now {
            let refused = self.refuse_token("token_expired", Some(&session), client);
            return Err(refused.await?);
        }
        let Some(device) = &session.device else {
            return Err(self.refuse_token("invalid_token", None, client).await?);
        };
        self.note_use(&session).await?;
        Ok(Caller {
            scopes: token.scopes,
            role: device.role.clone(),
            way: CallerWay::Token,
            session,
        })
    }

    /// A refusal, with its row as long as the address has tries left. One that is known to have been good
    /// is no guess: it is told so at any time.
    async fn refuse_token(
        &self,
        code: &'static str,
        session: Option<&SignInSession>,
        client: &Client,
    ) -> Result<CallerRefused, StoreError> {
        let taken = self.throttle.take(&Key::tokens(client.address), self.now());
        match (taken, session) {
            (Err(retry_after), None) => return Ok(CallerRefused::Throttled { retry_after }),
            (Err(_), Some(_)) => {}
            (Ok(()), session) => {
                let actor = session.map_or(Actor::System, |known| person(&known.identity));
                let mut event = AuditEvent {
                    reason: Some(code.to_owned()),
                    ..self.event(Action::TokenRefuse, Outcome::Refused, actor, client)
                }
                .with("way", "token");
                if let Some(session) = session {
                    event = event.with("device", session.id_hash.as_str());
                }
                self.adapters.audit.append(&event).await?;
            }
        }
        Ok(CallerRefused::Refused { code })
    }

    /// Which directory a name is to be looked for in: the one that is named, beside the name or in front
    /// of it, or the only one.
    fn directory_of(
        &self,
        connector: Option<ConnectorId>,
        username: String,
    ) -> Result<(ConnectorId, String), CallerRefused> {
        let directories: Vec<&ConnectorId> = (self.connectors().iter())
            .filter(|connector| matches!(connector, Connector::Password(_)))
            .map(Connector::id)
            .collect();
        let named = |id: &str| {
            directories
                .iter()
                .find(|known| known.as_str() == id)
                .copied()
        };
        let known = || {
            let ids: Vec<&str> = directories.iter().map(|id| id.as_str()).collect();
            ids.join(", ")
        };
        if let Some(connector) = connector {
            return match named(connector.as_str()) {
                Some(_) => Ok((connector, username)),
                None => Err(CallerRefused::Unclear(format!(
                    "No directory is called {connector}; there are: {}.",
                    known()
                ))),
            };
        }
        if let Some((id, rest)) = username.split_once(':')
            && let Some(connector) = named(id)
        {
            return Ok((connector.clone(), rest.to_owned()));
        }
        match directories[..] {
            [only] => Ok((only.clone(), username)),
            [] => Err(CallerRefused::Unclear(
                "Nobody signs in by a password here: bring a token.".to_owned(),
            )),
            [first, ..] => Err(CallerRefused::Unclear(format!(
                "Put the directory in front of the name, such as {first}:ada; there are: {}.",
                known()
            ))),
        }
    }

    async fn caller_by_password(
        &self,
        attempt: SignInAttempt,
        client: &Client,
    ) -> Result<Caller, CallerRefused> {
        let connector = attempt.connector.clone();
        let keep = |identity| async { self.session_of_one_call(identity, client) };
        match self.sign_in(attempt, client, keep).await {
            Ok(session) => Ok(Caller {
                session: session?,
                scopes: TokenScopes::from_iter([TokenScope::Roles, TokenScope::Credentials]),
                role: None,
                way: CallerWay::Password,
            }),
            Err(refused) => Err(match refused {
                SignInRefused::Refused => CallerRefused::Refused {
                    code: "invalid_password",
                },
                SignInRefused::PasswordChangeRequired { change_url, .. } => {
                    CallerRefused::PasswordChangeRequired { change_url }
                }
                SignInRefused::Throttled { retry_after } => {
                    CallerRefused::Throttled { retry_after }
                }
                SignInRefused::UnknownConnector => {
                    CallerRefused::Unclear(format!("No directory is called {connector}."))
                }
                SignInRefused::DirectoryUnavailable(_) => {
                    CallerRefused::Unavailable(connector.to_string())
                }
                SignInRefused::StoreUnavailable(error) => error.into(),
            }),
        }
    }

    /// A session that is not kept, for somebody who proves who they are with each call
    /// ([`SignInSession::is_of_one_call`]).
    pub(super) fn session_of_one_call(
        &self,
        identity: Identity,
        client: &Client,
    ) -> Result<SignInSession, StoreError> {
        let now = self.now();
        Ok(SignInSession {
            id_hash: format!("{ONE_CALL}{}", secret::nobodys_hash()?),
            identity,
            client_address: client.address.to_string(),
            user_agent: client.user_agent.clone(),
            created_at: now,
            last_seen_at: now,
            expires_at: now + self.settings.tokens.access,
            provider_session: None,
            device: None,
        })
    }
}

/// For the metrics.
fn code_of(refused: &CallerRefused) -> &'static str {
    match refused {
        CallerRefused::Refused { code } => code,
        CallerRefused::Token { refusal, .. } => match refusal {
            TokenRefusal::Refused { code, .. } => code,
            TokenRefusal::Unavailable(_) => "unavailable",
        },
        CallerRefused::Unclear(_) => "unclear",
        CallerRefused::PasswordChangeRequired { .. } => "password_change_required",
        CallerRefused::Throttled { .. } => "throttled",
        CallerRefused::Unavailable(_) => "unavailable",
        CallerRefused::StoreUnavailable(_) => "store_unavailable",
    }
}
