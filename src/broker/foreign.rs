//! Callers that bring a token of a trusted issuer.
//!
//! Such a token is worth one call: no session of it is kept. Never here: how tokens are verified.
//! Entry point: [`Broker::caller_by_issuer`].

use std::sync::Arc;

use secrecy::SecretString;

use super::{Broker, Caller, CallerRefused, CallerWay, Client, throttle::Key};
use crate::{
    access::{ConnectorId, TokenScope, TokenScopes},
    audit::{Action, Actor, Outcome},
    identity::{TokenHolder, TokenRefusal, TrustedIssuer},
    store::{SignInSession, StoreError},
};

/// What such a caller may do. No `sessions`: a token that ends in minutes must not become one that
/// lasts for weeks.
const SCOPES: [TokenScope; 4] = [
    TokenScope::Roles,
    TokenScope::Credentials,
    TokenScope::Mappings,
    TokenScope::Audit,
];

impl Broker {
    /// Whose a token is by the word of the trusted issuer that is named, or else of the one that the
    /// token is of. A token is never sent to an issuer that it does not say it is of. Failures are
    /// counted by address, and audited.
    pub(super) async fn caller_by_issuer(
        &self,
        token: &SecretString,
        issuer: Option<&ConnectorId>,
        client: &Client,
    ) -> Result<Caller, CallerRefused> {
        let failures = Key::answers(client.address);
        (self.throttle.take(&failures, self.now()))
            .map_err(|retry_after| CallerRefused::Throttled { retry_after })?;
        let issuer = match self.issuer_of(token, issuer) {
            Ok(issuer) => Arc::clone(issuer),
            Err(Unmeant::Nobody) => {
                self.refuse_foreign(None, Outcome::Refused, "invalid_token", client)
                    .await?;
                let code = "invalid_token";
                return Err(CallerRefused::Refused { code });
            }
            Err(Unmeant::Unclear(what)) => {
                self.throttle.give_back(&failures);
                return Err(CallerRefused::Unclear(what));
            }
        };
        match issuer.identify(token).await {
            Ok(holder) => {
                self.throttle.give_back(&failures);
                Ok(self.caller_holding(holder, client)?)
            }
            Err(TokenRefusal::Refused { code, detail }) => {
                tracing::info!(
                    request.id = client.request_id,
                    issuer = %issuer.id(),
                    code,
                    detail,
                    "a token of a trusted issuer is refused"
                );
                self.refuse_foreign(Some(issuer.id()), Outcome::Refused, code, client)
                    .await?;
                let refusal = TokenRefusal::Refused { code, detail };
                let issuer = issuer.id().to_string();
                Err(CallerRefused::Token { issuer, refusal })
            }
            Err(TokenRefusal::Unavailable(cause)) => {
                self.throttle.give_back(&failures);
                tracing::warn!(
                    request.id = client.request_id,
                    issuer = %issuer.id(),
                    error = cause.as_ref() as &dyn std::error::Error,
                    "a trusted issuer cannot be asked"
                );
                let code = "issuer_unavailable";
                self.refuse_foreign(Some(issuer.id()), Outcome::Failed, code, client)
                    .await?;
                Err(CallerRefused::Unavailable(issuer.id().to_string()))
            }
        }
    }

    /// Whether an id is that of a trusted issuer, whose groups cannot be read again.
    pub(super) fn is_trusted_issuer(&self, id: &ConnectorId) -> bool {
        let mut issuers = self.adapters.trusted_issuers.iter();
        issuers.any(|issuer| issuer.id() == id)
    }

    fn issuer_of(
        &self,
        token: &SecretString,
        named: Option<&ConnectorId>,
    ) -> Result<&Arc<dyn TrustedIssuer>, Unmeant> {
        let issuers = &self.adapters.trusted_issuers;
        if let Some(named) = named {
            let mut issuers = issuers.iter();
            return issuers
                .find(|issuer| issuer.id() == named)
                .ok_or_else(|| Unmeant::Unclear(format!("There is no trusted issuer {named}.")));
        }
        let candidates: Vec<_> = (issuers.iter())
            .filter(|issuer| issuer.may_be_of(token))
            .collect();
        match candidates[..] {
            [issuer] => Ok(issuer),
            [] => Err(Unmeant::Nobody),
            ref several => {
                let ids: Vec<&str> = several.iter().map(|issuer| issuer.id().as_str()).collect();
                Err(Unmeant::Unclear(format!(
                    "The token does not say which issuer it is of. Name one of {}.",
                    ids.join(", ")
                )))
            }
        }
    }

    fn caller_holding(&self, holder: TokenHolder, client: &Client) -> Result<Caller, StoreError> {
        let TokenHolder { identity, ends_at } = holder;
        Ok(Caller {
            way: CallerWay::Issuer(identity.connector.clone()),
            scopes: SCOPES.into_iter().collect::<TokenScopes>(),
            role: None,
            session: SignInSession {
                expires_at: ends_at,
                ..self.session_of_one_call(identity, client)?
            },
        })
    }

    async fn refuse_foreign(
        &self,
        issuer: Option<&ConnectorId>,
        outcome: Outcome,
        code: &str,
        client: &Client,
    ) -> Result<(), StoreError> {
        let actor = issuer.map_or(Actor::System, |issuer| Actor::Person {
            connector: issuer.to_string(),
            subject: None,
            username: None,
        });
        let mut event = self
            .event(Action::TokenRefuse, outcome, actor, client)
            .with("way", "issuer");
        event.reason = Some(code.to_owned());
        self.adapters.audit.append(&event).await.map(|_| ())
    }
}

/// Why no issuer is asked.
enum Unmeant {
    /// The token is of none that is trusted.
    Nobody,
    /// It may be of several, or one was named that there is not; says what to send.
    Unclear(String),
}
