//! Asking a person by a code that is typed elsewhere (RFC 8628).

use std::time::Duration;

use super::{
    ClientProof, DeviceAsked, DeviceRefused, DeviceStarted, TokenRefused, client::BY_DEVICE, secret,
};
use crate::{
    audit::{Action, AuditEvent, Outcome},
    broker::{Broker, Client, sign_in::person, throttle::Key},
    store::{Authorization, AuthorizationState, SignInSession},
};

/// How long a code may be typed.
const LASTS: Duration = Duration::from_mins(10);
/// How often a client may ask.
pub(super) const INTERVAL: Duration = Duration::from_secs(5);

impl Broker {
    /// Begins a device authorization.
    pub async fn start_device(
        &self,
        proof: &ClientProof,
        client: &Client,
    ) -> Result<DeviceStarted, TokenRefused> {
        if !self.settings.tokens.device_flow {
            return Err(TokenRefused::DeviceFlowOff);
        }
        let card = self.proven(proof)?;
        card.may(BY_DEVICE)?;
        let taken = self
            .throttle
            .take(&Key::clients(client.address), self.now());
        taken.map_err(|retry_after| TokenRefused::Throttled { retry_after })?;
        let device_code = secret::fresh(secret::DEVICE)?;
        let user_code = secret::user_code()?;
        let now = self.now();
        let authorization = Authorization {
            hash: device_code.hash,
            user_code_hash: Some(secret::hash(&user_code)),
            client: secret::hash(&proof.client_id),
            client_name: card.name.clone(),
            client_address: client.address.to_string(),
            scopes: card.scopes(),
            redirect_uri: None,
            code_challenge: None,
            state: AuthorizationState::Waiting,
            approved_by: None,
            session: None,
            created_at: now,
            expires_at: now + LASTS,
            polled_at: None,
        };
        let tokens = &self.adapters.tokens;
        tokens.begin_authorization(&authorization, None).await?;
        super::count("device_start", "ok");
        let mut verification_uri = self.settings.public_url.clone();
        if let Ok(mut path) = verification_uri.path_segments_mut() {
            path.pop_if_empty().push("device");
        }
        Ok(DeviceStarted {
            device_code: device_code.secret,
            user_code: secret::shown(&user_code),
            verification_uri,
            expires_in: LASTS,
            interval: INTERVAL,
        })
    }

    /// What waits with a typed code. A wrong one costs a try.
    pub async fn device_asked(
        &self,
        session: &SignInSession,
        user_code: &str,
        client: &Client,
    ) -> Result<DeviceAsked, DeviceRefused> {
        let waiting = self.waiting_device(session, user_code, client).await?;
        Ok(asked(waiting, client))
    }

    /// The person agrees or declines.
    pub async fn decide_device(
        &self,
        session: &SignInSession,
        user_code: &str,
        agrees: bool,
        client: &Client,
    ) -> Result<DeviceAsked, DeviceRefused> {
        let waiting = self.waiting_device(session, user_code, client).await?;
        let outcome = if agrees {
            Outcome::Ok
        } else {
            Outcome::Refused
        };
        let actor = person(&session.identity);
        let event = AuditEvent {
            reason: (!agrees).then(|| "declined".to_owned()),
            ..self.event(Action::TokenApprove, outcome, actor, client)
        }
        .with("way", "code")
        .with("client", waiting.client_name.as_str())
        .with("client_address", waiting.client_address.as_str())
        .with("scopes", waiting.scopes.to_string());
        let approved_by = agrees.then_some(session.id_hash.as_str());
        let is_first = self
            .adapters
            .tokens
            .decide_authorization(&waiting.hash, approved_by, &event)
            .await?;
        if !is_first {
            return Err(DeviceRefused::Unknown);
        }
        super::count("approve", if agrees { "ok" } else { "declined" });
        Ok(asked(waiting, client))
    }

    /// Two throttles: a person has few tries, and an address not many more by signing in as several.
    async fn waiting_device(
        &self,
        session: &SignInSession,
        user_code: &str,
        client: &Client,
    ) -> Result<Authorization, DeviceRefused> {
        if session.device.is_some() {
            // A device cannot agree to another one.
            return Err(DeviceRefused::Unknown);
        }
        let keys = [
            Key::typed_codes(&session.identity),
            Key::typed_codes_at(client.address),
        ];
        let now = self.now();
        for key in &keys {
            self.throttle.take(key, now).map_err(|retry_after| {
                super::count("typed_code", "throttled");
                DeviceRefused::Throttled { retry_after }
            })?;
        }
        let found = match secret::typed(user_code) {
            Some(code) => {
                let hash = secret::hash(&code);
                self.adapters.tokens.waiting_authorization(&hash, now).await
            }
            None => Ok(None),
        };
        if !matches!(found, Ok(None)) {
            for key in &keys {
                self.throttle.give_back(key);
            }
        }
        let found = found?;
        super::count("typed_code", if found.is_some() { "ok" } else { "unknown" });
        found.ok_or(DeviceRefused::Unknown)
    }
}

fn asked(waiting: Authorization, client: &Client) -> DeviceAsked {
    DeviceAsked {
        is_same_address: waiting.client_address == client.address.to_string(),
        client_name: waiting.client_name,
        client_address: waiting.client_address,
        asked_at: waiting.created_at,
        scopes: waiting.scopes,
    }
}
