//! Codes and refresh tokens become new tokens, once (RFC 6749, 4.1.3 and 6; RFC 9700, 4.14).

use aws_lc_rs::{
    constant_time::verify_slices_are_equal,
    digest::{SHA256, digest},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret as _, SecretString};

use super::{
    ClientProof, IssuedTokens, TokenOrder, TokenRefused,
    client::{BY_CODE, BY_DEVICE, BY_REFRESH, Card},
    device::INTERVAL,
    secret,
};
use crate::{
    access::TokenScopes,
    audit::{Action, AuditEvent, Outcome},
    broker::{Broker, Client, GroupsRefused, sign_in::person, throttle::Key},
    store::{
        Authorization, AuthorizationState, BrokerToken, Device, SignInSession, StoreError,
        TokenKind,
    },
};

const USED: &str = "it was used before, so its device was signed out; sign in again";
const NOT_KNOWN: &str = "it is not known, or no longer; sign in again";

/// A client that proved who it is.
struct Proven {
    card: Card,
    /// SHA-256 of its id.
    hash: String,
}

impl Broker {
    /// Exchanges a code or a refresh token. A second use of either ends the device's session.
    pub async fn create_token(
        &self,
        proof: &ClientProof,
        order: &TokenOrder,
        client: &Client,
    ) -> Result<IssuedTokens, TokenRefused> {
        let (what, grant_type) = match order {
            TokenOrder::Code { .. } => ("code", BY_CODE),
            TokenOrder::Device { .. } => ("device", BY_DEVICE),
            TokenOrder::Refresh { .. } => ("refresh", BY_REFRESH),
        };
        let exchanged = async {
            let card = self.proven(proof)?;
            card.may(grant_type)?;
            let proven = Proven {
                card,
                hash: secret::hash(&proof.client_id),
            };
            match order {
                TokenOrder::Code {
                    code,
                    redirect_uri,
                    code_verifier,
                } => {
                    let asked = (redirect_uri.as_str(), code_verifier);
                    self.by_code(&proven, code, asked, client).await
                }
                TokenOrder::Device { device_code } => {
                    self.by_device(&proven, device_code, client).await
                }
                TokenOrder::Refresh { refresh_token } => {
                    self.by_refresh(&proven, refresh_token, client).await
                }
            }
        };
        let exchanged = exchanged.await;
        super::count(what, exchanged.as_ref().map_or_else(code_of, |_| "ok"));
        exchanged
    }

    async fn by_code(
        &self,
        proven: &Proven,
        code: &SecretString,
        (redirect_uri, verifier): (&str, &SecretString),
        client: &Client,
    ) -> Result<IssuedTokens, TokenRefused> {
        let found = self.authorized(proven, code, secret::CODE, client).await?;
        if found.expires_at <= self.now() {
            return Err(TokenRefused::InvalidGrant("the code is too old"));
        }
        if found.redirect_uri.as_deref() != Some(redirect_uri) {
            let message = "the redirect address is not the one that was asked for";
            return Err(TokenRefused::InvalidGrant(message));
        }
        if !is_verified(found.code_challenge.as_deref(), verifier) {
            return Err(TokenRefused::InvalidGrant("the verifier is wrong"));
        }
        self.redeem(proven, &found, client).await
    }

    async fn by_device(
        &self,
        proven: &Proven,
        code: &SecretString,
        client: &Client,
    ) -> Result<IssuedTokens, TokenRefused> {
        if !self.settings.tokens.device_flow {
            return Err(TokenRefused::DeviceFlowOff);
        }
        let found = self
            .authorized(proven, code, secret::DEVICE, client)
            .await?;
        let now = self.now();
        if found.expires_at <= now {
            return Err(TokenRefused::Expired);
        }
        match found.state {
            AuthorizationState::Declined => Err(TokenRefused::AccessDenied("the person declined")),
            AuthorizationState::Waiting => {
                // A second of grace: clients count from the answer, we count from the question.
                let soon = INTERVAL.saturating_sub(std::time::Duration::from_secs(1));
                if found.polled_at.is_some_and(|polled| now - polled < soon) {
                    return Err(TokenRefused::SlowDown);
                }
                self.adapters.tokens.note_poll(&found.hash, now).await?;
                Err(TokenRefused::Pending)
            }
            _ => self.redeem(proven, &found, client).await,
        }
    }

    /// What a code is for, where it is this client's. One that was redeemed before ends what came of it.
    async fn authorized(
        &self,
        proven: &Proven,
        code: &SecretString,
        prefix: &str,
        client: &Client,
    ) -> Result<Authorization, TokenRefused> {
        let code = code.expose_secret();
        let found = if secret::is_shaped(code, prefix) {
            let hash = secret::hash(code);
            self.adapters.tokens.authorization(&hash).await?
        } else {
            None
        };
        let Some(found) = found.filter(|found| found.client == proven.hash) else {
            return Err(self.guessed(client));
        };
        if found.state == AuthorizationState::Redeemed {
            return Err(self
                .used_again(found.session.as_deref(), proven, client)
                .await?);
        }
        Ok(found)
    }

    /// The device's session begins, with the groups of the browser that agreed.
    async fn redeem(
        &self,
        proven: &Proven,
        authorization: &Authorization,
        client: &Client,
    ) -> Result<IssuedTokens, TokenRefused> {
        const GONE: TokenRefused =
            TokenRefused::AccessDenied("the browser that agreed has been signed out");
        let Some(approved_by) = &authorization.approved_by else {
            return Err(GONE);
        };
        let Some(browser) = self.session(approved_by).await? else {
            return Err(GONE);
        };
        let session = self.device_session(
            &browser,
            Device {
                name: authorization.client_name.clone(),
                scopes: authorization.scopes.clone(),
                role: None,
            },
            client,
        )?;
        let minted = self.mint(&session, proven, &authorization.scopes)?;
        let event = self.issue_event(&session, client);
        let tokens = &self.adapters.tokens;
        let is_first = tokens
            .redeem_authorization(&authorization.hash, &session, &minted.kept, &event)
            .await?;
        if is_first {
            return Ok(minted.issued);
        }
        // Somebody was faster, or the browser was signed out in between.
        match tokens.authorization(&authorization.hash).await? {
            Some(now) if now.state == AuthorizationState::Redeemed => Err(self
                .used_again(now.session.as_deref(), proven, client)
                .await?),
            _ => Err(GONE),
        }
    }

    async fn by_refresh(
        &self,
        proven: &Proven,
        token: &SecretString,
        client: &Client,
    ) -> Result<IssuedTokens, TokenRefused> {
        let token = token.expose_secret();
        let found = if secret::is_shaped(token, secret::REFRESH) {
            self.adapters
                .tokens
                .broker_token(&secret::hash(token))
                .await?
        } else {
            None
        };
        let is_its_own = |token: &BrokerToken| {
            token.kind == TokenKind::Refresh && token.client.as_ref() == Some(&proven.hash)
        };
        let Some((token, mut session)) = found.filter(|(token, _)| is_its_own(token)) else {
            return Err(self.guessed(client));
        };
        if token.used_at.is_some() {
            return Err(self
                .used_again(Some(&token.session), proven, client)
                .await?);
        }
        let now = self.now();
        if token.expires_at <= now || session.expires_at <= now {
            return Err(TokenRefused::Expired);
        }
        self.refresh_person(&mut session, client).await?;
        let minted = self.mint(&session, proven, &token.scopes)?;
        let actor = person(&session.identity);
        let event = self
            .event(Action::TokenRefresh, Outcome::Ok, actor, client)
            .with("device", session.id_hash.as_str())
            .with("client", proven.card.name.as_str());
        let tokens = &self.adapters.tokens;
        if !tokens
            .rotate_token(&token.hash, &minted.kept, &event)
            .await?
        {
            return Err(self
                .used_again(Some(&token.session), proven, client)
                .await?);
        }
        self.note_use(&session).await?;
        Ok(minted.issued)
    }

    /// Reads the groups again where they are old. While the directory does not answer tokens are renewed
    /// all the same: what they open is decided anew each time, and refused when the groups are too old.
    async fn refresh_person(
        &self,
        session: &mut SignInSession,
        client: &Client,
    ) -> Result<(), TokenRefused> {
        match self.freshen(session, client).await {
            Ok(_) | Err(GroupsRefused::DirectoryUnavailable(_)) => Ok(()),
            Err(GroupsRefused::AccountGone) => Err(TokenRefused::AccessDenied(
                "the account is gone or disabled",
            )),
            Err(GroupsRefused::SignInAgain) => Err(TokenRefused::InvalidGrant(
                "your groups cannot be read again without you: sign in again",
            )),
            Err(GroupsRefused::StoreUnavailable(error)) => Err(error.into()),
        }
    }

    /// Two clients have the same secret: one of them stole it. Nobody can say which, so both lose it.
    async fn used_again(
        &self,
        session: Option<&str>,
        proven: &Proven,
        client: &Client,
    ) -> Result<TokenRefused, StoreError> {
        let sessions = &self.adapters.sessions;
        let found = match session {
            Some(id_hash) => sessions.session(id_hash).await?,
            None => None,
        };
        if let Some(session) = found {
            sessions.end_session(&session.id_hash).await?;
            let actor = person(&session.identity);
            let event = AuditEvent {
                reason: Some("reused".to_owned()),
                ..self.event(Action::TokenRefresh, Outcome::Refused, actor, client)
            }
            .with("device", session.id_hash.as_str())
            .with("client", proven.card.name.as_str());
            self.adapters.audit.append(&event).await?;
            super::count("reuse", "refused");
        }
        Ok(TokenRefused::InvalidGrant(USED))
    }

    /// A code or token that nobody has; tries are counted by address.
    fn guessed(&self, client: &Client) -> TokenRefused {
        match self.throttle.take(&Key::tokens(client.address), self.now()) {
            Ok(()) => TokenRefused::InvalidGrant(NOT_KNOWN),
            Err(retry_after) => TokenRefused::Throttled { retry_after },
        }
    }

    fn mint(
        &self,
        session: &SignInSession,
        proven: &Proven,
        scopes: &TokenScopes,
    ) -> Result<Minted, StoreError> {
        let now = self.now();
        let expires_at = session.expires_at.min(now + self.settings.tokens.access);
        let access = secret::fresh(secret::ACCESS)?;
        let kept = |hash: String, kind, expires_at| BrokerToken {
            hash,
            session: session.id_hash.clone(),
            kind,
            client: (kind == TokenKind::Refresh).then(|| proven.hash.clone()),
            scopes: scopes.clone(),
            created_at: now,
            expires_at,
            used_at: None,
        };
        let mut minted = Minted {
            kept: vec![kept(access.hash, TokenKind::Access, expires_at)],
            issued: IssuedTokens {
                access_token: access.secret,
                expires_in: (expires_at - now).try_into().unwrap_or_default(),
                refresh_token: None,
                scopes: scopes.clone(),
            },
        };
        if proven.card.may(BY_REFRESH).is_ok() {
            let refresh = secret::fresh(secret::REFRESH)?;
            let kept = kept(refresh.hash, TokenKind::Refresh, session.expires_at);
            minted.kept.push(kept);
            minted.issued.refresh_token = Some(refresh.secret);
        }
        Ok(minted)
    }

    /// Ends the device's session of an access or refresh token; says whether there was one. What is
    /// none of ours, such as a token of AWS's own, is not looked at further.
    pub async fn end_token(
        &self,
        token: &SecretString,
        client: &Client,
    ) -> Result<bool, StoreError> {
        let token = token.expose_secret();
        let ours = [secret::ACCESS, secret::MADE, secret::REFRESH];
        if !ours.iter().any(|prefix| secret::is_shaped(token, prefix)) {
            return Ok(false);
        }
        let found = self
            .adapters
            .tokens
            .broker_token(&secret::hash(token))
            .await?;
        let Some((_, session)) = found else {
            return Ok(false);
        };
        self.sign_out(&session, client).await?;
        super::count("logout", "ok");
        Ok(true)
    }
}

struct Minted {
    kept: Vec<BrokerToken>,
    issued: IssuedTokens,
}

/// Whether a verifier is what the challenge was made of (RFC 7636, 4.6).
fn is_verified(challenge: Option<&str>, verifier: &SecretString) -> bool {
    let verifier = verifier.expose_secret();
    let is_legal = (43..=128).contains(&verifier.len())
        && (verifier.bytes())
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~'));
    let made = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
    is_legal
        && challenge.is_some_and(|challenge| {
            verify_slices_are_equal(challenge.as_bytes(), made.as_bytes()).is_ok()
        })
}

/// For the metrics.
fn code_of(refused: &TokenRefused) -> &'static str {
    match refused {
        TokenRefused::InvalidRequest(_) => "invalid_request",
        TokenRefused::InvalidClientMetadata(_) => "invalid_client_metadata",
        TokenRefused::InvalidRedirectUri(_) => "invalid_redirect_uri",
        TokenRefused::InvalidClient => "invalid_client",
        TokenRefused::InvalidGrant(_) => "invalid_grant",
        TokenRefused::UnauthorizedClient => "unauthorized_client",
        TokenRefused::InvalidScope(_) => "invalid_scope",
        TokenRefused::Pending => "pending",
        TokenRefused::SlowDown => "slow_down",
        TokenRefused::AccessDenied(_) => "access_denied",
        TokenRefused::Expired => "expired",
        TokenRefused::DeviceFlowOff => "device_flow_off",
        TokenRefused::Throttled { .. } => "throttled",
        TokenRefused::StoreUnavailable(_) => "store_unavailable",
    }
}
