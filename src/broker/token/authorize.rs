//! Asking a person by a browser on the same machine: authorization codes with PKCE (RFC 6749, 4.1;
//! RFC 7636; RFC 8252).

use secrecy::ExposeSecret as _;
use time::Duration;
use url::Url;

use super::{AuthorizeOrder, AuthorizeRefused, Consent, client::BY_CODE, secret};
use crate::{
    access::TokenScopes,
    audit::{Action, AuditEvent, Outcome},
    broker::{Broker, Client, sign_in::person},
    store::{Authorization, AuthorizationState, SignInSession},
};

/// How long an authorization code may travel.
const LASTS: Duration = Duration::minutes(2);
const STATE_AT_MOST: usize = 1_000;
/// SHA-256 in base64url.
const CHALLENGE_LENGTH: usize = 43;

impl Broker {
    /// What the person would agree to; nothing is kept.
    pub fn consent(&self, order: &AuthorizeOrder) -> Result<Consent, AuthorizeRefused> {
        let card = self.card(&order.client_id).map_err(|_| {
            AuthorizeRefused::NoRedirect("the client is not known, or has to register again")
        })?;
        let redirect_uri = card.redirect(&order.redirect_uri);
        let redirect_uri = redirect_uri.map_err(AuthorizeRefused::NoRedirect)?;
        let refused = |error, description| {
            let error = [("error", error), ("error_description", description)];
            let url = answer(&redirect_uri, order, &error);
            Err(AuthorizeRefused::Redirect(url))
        };
        if !has_state(order) {
            return refused(
                "invalid_request",
                "`state` is needed, of at most 1000 characters",
            );
        }
        if order.response_type != "code" {
            return refused(
                "unsupported_response_type",
                "`response_type` has to be `code`",
            );
        }
        if card.may(BY_CODE).is_err() {
            return refused(
                "unauthorized_client",
                "the client did not register for this",
            );
        }
        let has_challenge = order.code_challenge.len() == CHALLENGE_LENGTH
            && secret::is_base64url(&order.code_challenge);
        if order.code_challenge_method != "S256" || !has_challenge {
            return refused("invalid_request", "PKCE is needed, with the method S256");
        }
        let registered = card.scopes();
        let asked = order.scopes.as_deref().map(str::parse::<TokenScopes>);
        let scopes = match asked {
            Some(Ok(scopes)) if !scopes.is_empty() => scopes,
            Some(Err(_)) => return refused("invalid_scope", "there is no such scope"),
            Some(Ok(_)) | None => registered.clone(),
        };
        if !scopes.is_within(&registered) {
            return refused(
                "invalid_scope",
                "the client did not register for this scope",
            );
        }
        Ok(Consent {
            client_name: card.name,
            scopes,
            redirect_uri,
        })
    }

    /// The person agrees: the address to send the browser to, with the code.
    pub async fn approve_code(
        &self,
        session: &SignInSession,
        order: &AuthorizeOrder,
        client: &Client,
    ) -> Result<Url, AuthorizeRefused> {
        let consent = self.consent(order)?;
        refuse_devices(session)?;
        let code = secret::fresh(secret::CODE)?;
        let now = self.now();
        let authorization = Authorization {
            hash: code.hash,
            user_code_hash: None,
            client: secret::hash(&order.client_id),
            client_name: consent.client_name.clone(),
            client_address: client.address.to_string(),
            scopes: consent.scopes.clone(),
            redirect_uri: Some(order.redirect_uri.clone()),
            code_challenge: Some(order.code_challenge.clone()),
            state: AuthorizationState::Approved,
            approved_by: Some(session.id_hash.clone()),
            session: None,
            created_at: now,
            expires_at: now + LASTS,
            polled_at: None,
        };
        let event = self.decision(session, &consent, true, client);
        let tokens = &self.adapters.tokens;
        tokens
            .begin_authorization(&authorization, Some(&event))
            .await?;
        super::count("approve", "ok");
        let code = [("code", code.secret.expose_secret())];
        Ok(answer(&consent.redirect_uri, order, &code))
    }

    /// The person declines: the address to send the browser to, with the error.
    pub async fn decline_code(
        &self,
        session: &SignInSession,
        order: &AuthorizeOrder,
        client: &Client,
    ) -> Result<Url, AuthorizeRefused> {
        let consent = self.consent(order)?;
        refuse_devices(session)?;
        let event = self.decision(session, &consent, false, client);
        self.adapters.audit.append(&event).await?;
        super::count("approve", "declined");
        let error = [
            ("error", "access_denied"),
            ("error_description", "the person declined"),
        ];
        Ok(answer(&consent.redirect_uri, order, &error))
    }

    fn decision(
        &self,
        session: &SignInSession,
        consent: &Consent,
        agrees: bool,
        client: &Client,
    ) -> AuditEvent {
        let outcome = if agrees {
            Outcome::Ok
        } else {
            Outcome::Refused
        };
        let actor = person(&session.identity);
        AuditEvent {
            reason: (!agrees).then(|| "declined".to_owned()),
            ..self.event(Action::TokenApprove, outcome, actor, client)
        }
        .with("way", "browser")
        .with("client", consent.client_name.as_str())
        .with("client_address", client.address.to_string())
        .with("scopes", consent.scopes.to_string())
    }
}

/// A device cannot agree to another one.
fn refuse_devices(session: &SignInSession) -> Result<(), AuthorizeRefused> {
    match session.device {
        None => Ok(()),
        Some(_) => Err(AuthorizeRefused::NoRedirect(
            "a person has to agree, in a browser",
        )),
    }
}

fn has_state(order: &AuthorizeOrder) -> bool {
    !order.state.is_empty() && order.state.chars().count() <= STATE_AT_MOST
}

/// The client's address with an answer; one with a `state` that is none gets none.
fn answer(redirect_uri: &Url, order: &AuthorizeOrder, fields: &[(&str, &str)]) -> Url {
    let mut url = redirect_uri.clone();
    let mut query = url.query_pairs_mut();
    query.extend_pairs(fields);
    if has_state(order) {
        query.append_pair("state", &order.state);
    }
    drop(query);
    url
}
