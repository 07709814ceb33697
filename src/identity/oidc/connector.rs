//! The connector: a sign-in at an OpenID Connect provider from its beginning to a person.
//!
//! Never here: HTTP of ours, the store, which requests wait. Entry point: [`OidcConnector`].

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use aws_lc_rs::digest::{SHA256, digest};
use openidconnect::{
    AuthenticationFlow, CsrfToken, Nonce, PkceCodeChallenge, PkceCodeVerifier, Scope,
    core::{CoreAuthPrompt, CoreResponseType},
};
use secrecy::{ExposeSecret, SecretString};
use time::OffsetDateTime;
use url::Url;

use super::{
    claims::Claims,
    conversation::{self, Callback, Derived},
    exchange::{self, Tokens},
    http::Http,
    logout,
    person::Person,
    probe,
    refusal::{Reason, Refused},
    settings::{PassThrough, Settings},
    token::{self, Asked, Expected, IdToken, Verified},
    trust::{ProviderTrust, Published},
};
use crate::{
    access::{AuthenticationMethod, ConnectorId, Identity, ProviderSession},
    clock::Clock,
    identity::{
        Answer, AwsApplication, Carried, Cause, Departure, Finding, HeldProof, Logout,
        LogoutDeparture, LogoutMessage, ProofKind, Protocol, RedirectConnector, RedirectRefused,
        SignInWish, Vouched, saml::KeptDocuments,
    },
};

/// How long ago a forced authentication may be: a sign-in takes no longer at the provider.
const LONGEST_FORCED: Duration = Duration::from_mins(10);
/// How long a used code is remembered; codes last ten minutes at most (RFC 6749, 4.1.2).
const CODE_REMEMBERED: Duration = Duration::from_mins(20);
/// The longest `WebIdentityToken` that STS takes, in characters.
const LONGEST_PROOF: usize = 20_000;
/// How long an access token is held whose end the provider does not say.
const ACCESS_TOKEN_LASTS: Duration = Duration::from_hours(1);
/// What the type of an ID token may be.
const ID_TOKEN_TYPES: [&str; 1] = ["jwt"];

/// An OpenID Connect provider as a way to sign in.
#[expect(missing_debug_implementations, reason = "trait objects")]
pub struct OidcConnector {
    settings: Arc<Settings>,
    http: Http,
    trust: ProviderTrust,
    clock: Arc<dyn Clock>,
}

impl OidcConnector {
    /// A connector. What the provider publishes is fetched by
    /// [`refresh_trust`](RedirectConnector::refresh_trust); `kept` keeps its last good copy.
    ///
    /// # Errors
    /// When the certificates of `ca_pem` cannot be used.
    pub fn new(
        settings: Settings,
        kept: Option<Arc<dyn KeptDocuments>>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Cause> {
        let settings = Arc::new(settings);
        let http = Http::new(settings.ca_pem.as_deref())?;
        let trust = ProviderTrust::new(
            Arc::clone(&settings),
            http.clone(),
            kept,
            Arc::clone(&clock),
        );
        Ok(Self {
            settings,
            http,
            trust,
            clock,
        })
    }

    fn expected(&self, now: OffsetDateTime) -> Expected<'_> {
        Expected {
            issuer: &self.settings.issuer,
            client_id: &self.settings.client_id,
            clock_skew: self.settings.clock_skew,
            now,
        }
    }

    /// Verifies a signature, with the keys that the provider publishes by now if need be.
    async fn verified(
        &self,
        published: &Arc<Published>,
        text: &str,
        types: &[&str],
    ) -> Result<Verified, RedirectRefused> {
        let allowed = &self.settings.algorithms;
        match token::verified(text, &published.keys, allowed, types) {
            Err(refused) if matches!(refused.reason, Reason::UnknownKey | Reason::Signature) => {
                match self.trust.newer_than(published).await {
                    Some(newer) => Ok(token::verified(text, &newer.keys, allowed, types)?),
                    None => Err(refused.into()),
                }
            }
            other => Ok(other?),
        }
    }

    /// Where the configuration asks for it, what the provider knows beside the ID token; it has to
    /// be about the same person (OpenID Connect Core, 5.3.2).
    async fn userinfo(
        &self,
        published: &Published,
        tokens: &Tokens,
        subject: &str,
    ) -> Result<Option<Claims>, RedirectRefused> {
        if !self.settings.userinfo {
            return Ok(None);
        }
        let userinfo =
            exchange::userinfo(&self.http, &published.provider, &tokens.access_token).await?;
        if userinfo.text("sub")? != Some(subject) {
            let detail = "the userinfo is about somebody else than the ID token";
            return Err(Refused::new(Reason::Userinfo, detail).into());
        }
        Ok(Some(userinfo))
    }

    /// What AWS takes too, where it is to be held.
    fn proof(&self, tokens: Tokens, token: &IdToken, now: OffsetDateTime) -> Option<HeldProof> {
        let (kind, secret, redeem_by) = match &self.settings.pass_through {
            PassThrough::Nothing => return None,
            PassThrough::IdToken => (ProofKind::IdToken, tokens.id_token, token.ends_at),
            PassThrough::AccessToken { provider_id } => {
                let kind = ProofKind::AccessToken {
                    provider_id: provider_id.clone(),
                };
                let lasts = tokens.lasts.unwrap_or(ACCESS_TOKEN_LASTS);
                let ends_at = now.checked_add(time::Duration::try_from(lasts).ok()?)?;
                (kind, tokens.access_token, ends_at)
            }
        };
        (secret.expose_secret().len() <= LONGEST_PROOF).then_some(HeldProof {
            kind,
            secret,
            redeem_by,
        })
    }

    fn vouched(
        &self,
        person: Person,
        token: IdToken,
        code: &SecretString,
        tokens: Tokens,
    ) -> Vouched {
        let now = self.clock.now();
        let proof = self.proof(tokens, &token, now);
        let code = digest(&SHA256, code.expose_secret().as_bytes());
        Vouched {
            identity: Identity {
                connector: self.settings.id.clone(),
                subject: person.subject,
                username: person.username,
                display_name: person.display_name,
                email: person.email,
                entry_dn: None,
                groups: person.groups,
                groups_read_at: now,
                authenticated_at: token.authenticated_at,
                method: AuthenticationMethod::Oidc,
                authentication_context: person.authentication_context,
                asserted_roles: Vec::new(),
            },
            answer_id: format!("code:{}", hex::encode(code)),
            replay_until: now + CODE_REMEMBERED,
            provider_session: ProviderSession {
                name_id: token.subject,
                format: None,
                name_qualifier: None,
                sp_name_qualifier: None,
                session_index: token.session,
            },
            session_ends_at: None,
            proof,
            groups_overage: person.groups_overage,
        }
    }

    fn longest_age(&self) -> Option<Duration> {
        let forced = self.settings.force_authentication.then_some(LONGEST_FORCED);
        let configured = self.settings.longest_authentication_age;
        forced.into_iter().chain(configured).min()
    }
}

/// Who answers, before anything is sent there: a code of another provider must not go to this one
/// (RFC 9207, 2.4; RFC 9700, 4.4).
fn check_issuer(callback: &Callback, published: &Published, issuer: &str) -> Result<(), Refused> {
    let refused = |detail: &str| Refused::new(Reason::ResponseIssuer, detail);
    match &callback.issuer {
        Some(named) if named == issuer => Ok(()),
        Some(_) => Err(refused("the answer is from another provider")),
        None if published.provider.names_itself => Err(refused(
            "the answer does not say whom it is from, which this provider always does",
        )),
        None => Ok(()),
    }
}

#[async_trait]
impl RedirectConnector for OidcConnector {
    fn id(&self) -> &ConnectorId {
        &self.settings.id
    }

    fn label(&self) -> &str {
        &self.settings.label
    }

    fn protocol(&self) -> Protocol {
        Protocol::OpenIdConnect
    }

    fn takes_unsolicited(&self) -> bool {
        false
    }

    fn groups_from(&self) -> Option<&ConnectorId> {
        self.settings.groups_from.as_ref()
    }

    async fn begin(&self, wish: &SignInWish) -> Result<Departure, RedirectRefused> {
        let published = self.trust.current().await?;
        let id = conversation::fresh_id().map_err(RedirectRefused::Misconfigured)?;
        let derived = Derived::of(&wish.secret, &id).map_err(RedirectRefused::Misconfigured)?;
        let client = exchange::client(&published.provider, &self.settings);
        let verifier = PkceCodeVerifier::new(derived.verifier.to_string());
        let (state, nonce) = (id.clone(), derived.nonce.to_string());
        let mut request = client
            .authorize_url(
                AuthenticationFlow::<CoreResponseType>::AuthorizationCode,
                move || CsrfToken::new(state),
                move || Nonce::new(nonce),
            )
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier))
            .add_scopes(self.settings.scopes.iter().cloned().map(Scope::new));
        if wish.force_authentication || self.settings.force_authentication {
            request = request.add_prompt(CoreAuthPrompt::Login);
        }
        if let Some(longest) = self.longest_age() {
            request = request.set_max_age(longest);
        }
        let (url, _, _) = request.url();
        Ok(Departure {
            request_id: id,
            relay_state: String::new(),
            carried: Carried::Redirect(url),
        })
    }

    fn conversation(&self, answer: &Answer) -> Result<Option<String>, RedirectRefused> {
        Ok(Some(Callback::parse(answer.message.expose_secret())?.state))
    }

    async fn finish(
        &self,
        answer: &Answer,
        request_id: Option<&str>,
    ) -> Result<Vouched, RedirectRefused> {
        let callback = Callback::parse(answer.message.expose_secret())?;
        let (Some(id), Some(secret)) = (request_id, &answer.secret) else {
            let detail = "the answer belongs to no sign-in of this browser";
            return Err(Refused::new(Reason::State, detail).into());
        };
        if id != callback.state {
            let detail = "the answer belongs to another sign-in";
            return Err(Refused::new(Reason::State, detail).into());
        }
        let published = self.trust.current().await?;
        check_issuer(&callback, &published, &self.settings.issuer)?;
        let code = callback.outcome?;
        let derived = Derived::of(secret, id).map_err(RedirectRefused::Misconfigured)?;
        let client = exchange::client(&published.provider, &self.settings);
        let tokens = exchange::tokens(&self.http, &client, &code, &derived.verifier).await?;
        let text = tokens.id_token.expose_secret();
        let verified = self.verified(&published, text, &ID_TOKEN_TYPES).await?;
        let asked = Asked {
            nonce: &derived.nonce,
            access_token: tokens.access_token.expose_secret(),
            longest_age: self.longest_age(),
        };
        let token = IdToken::read(verified, &self.expected(self.clock.now()), &asked)?;
        let userinfo = self.userinfo(&published, &tokens, &token.subject).await?;
        let person = Person::read(
            &self.settings.id,
            &self.settings.claims,
            &token.claims,
            userinfo.as_ref(),
        )?;
        Ok(self.vouched(person, token, &code, tokens))
    }

    /// The addresses that the provider's form asks for, as JSON (names of OpenID Connect Dynamic
    /// Client Registration 1.0).
    fn metadata(&self) -> Result<String, RedirectRefused> {
        let settings = &self.settings;
        let document = serde_json::json!({
            "redirect_uris": [settings.callback_url],
            "post_logout_redirect_uris": [settings.signed_out_url],
            "backchannel_logout_uri": settings.backchannel_url,
            "response_types": ["code"],
            "grant_types": ["authorization_code"],
        });
        serde_json::to_string_pretty(&document)
            .map_err(|error| RedirectRefused::Misconfigured(error.into()))
    }

    async fn begin_logout(
        &self,
        session: &ProviderSession,
    ) -> Result<Option<LogoutDeparture>, RedirectRefused> {
        let published = self.trust.current().await?;
        let Some(endpoint) = published.provider.end_session.clone() else {
            return Ok(None);
        };
        let id = conversation::fresh_id().map_err(RedirectRefused::Misconfigured)?;
        let url = logout::departure(endpoint, &self.settings, &id, session);
        Ok(Some(LogoutDeparture {
            request_id: id,
            carried: Carried::Redirect(url),
        }))
    }

    async fn read_logout(&self, message: &LogoutMessage) -> Result<Logout, RedirectRefused> {
        let LogoutMessage::Token(text) = message else {
            let detail = "expected a logout token";
            return Err(Refused::new(Reason::LogoutToken, detail).into());
        };
        let published = self.trust.current().await?;
        let verified = self
            .verified(&published, text.expose_secret(), &logout::TYPES)
            .await?;
        Ok(logout::read(&verified, &self.expected(self.clock.now()))?)
    }

    /// None: the provider is answered by a status alone.
    async fn answer_logout(
        &self,
        _request_id: &str,
        _relay_state: Option<&str>,
        _is_done: bool,
    ) -> Result<Option<Carried>, RedirectRefused> {
        Ok(None)
    }

    fn aws_application(&self, _target: &AwsApplication<'_>) -> Option<Url> {
        None
    }

    async fn refresh_trust(&self) {
        self.trust.refresh().await;
    }

    async fn probe(&self) -> Vec<Finding> {
        probe::probe(&self.settings, &self.trust).await
    }
}
