//! The broker as an identity provider that IAM trusts: assertions and tokens of our own.
//!
//! Nothing is minted but for a [`Grant`], for the one role and the one person in it. Never here:
//! deciding who may; private keys in memory longer than a [`Signer`] needs. Entry point: [`Issuer`].

pub mod keys;
mod metadata;
mod oidc;
mod saml;
pub mod signer;
pub mod subject;
mod xml;

use std::{fmt, sync::Arc, time::Duration};

use aws_lc_rs::rand;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use secrecy::SecretString;
use thiserror::Error;
use time::OffsetDateTime;
use url::Url;

use self::{
    keys::KeyState,
    oidc::{Claims, PublicKey, Tags},
    saml::Statement,
    signer::{Algorithm, Signer},
};
use super::Cause;
use crate::{
    access::{Abilities, Grant, SourceIdentity},
    clock::Clock,
};

/// By how much AWS's clock may be behind ours: what is minted counts from so long ago. Taken from
/// its lifetime, not added.
const EARLIER: Duration = Duration::from_secs(30);
/// The longest that AWS takes an assertion for.
pub const LONGEST_LIFETIME: Duration = Duration::from_mins(5);
/// The shortest that leaves a browser the time to bring it.
pub const SHORTEST_LIFETIME: Duration = Duration::from_mins(1);

/// How the broker vouches.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What the broker is called: the `iss` of tokens, without a slash at the end. The entityID of
    /// its SAML metadata is `{url}/issuer/saml/metadata`.
    pub url: Url,
    /// Where people sign in, for metadata that has to name such a place.
    pub sign_in_url: Url,
    /// The `aud` of tokens.
    pub token_audience: String,
    /// How long what is minted can be used, from [`SHORTEST_LIFETIME`] to [`LONGEST_LIFETIME`].
    pub lifetime: Duration,
    /// Whether the response around an assertion is signed too, by a signature of its own.
    pub sign_response: bool,
    /// Who signs assertions: RSA with a certificate. The first signs, all are published.
    pub saml_keys: Vec<Arc<dyn Signer>>,
    /// Who signs tokens. The first signs, all are published.
    pub oidc_keys: Vec<Arc<dyn Signer>>,
}

/// An assertion for one role.
#[derive(Debug)]
pub struct MintedAssertion {
    /// Its id, which CloudTrail shows as `sAMLAssertionID`.
    pub id: String,
    /// The whole response, base64. A bearer secret.
    pub response: SecretString,
    /// From when on AWS refuses it.
    pub redeem_by: OffsetDateTime,
}

/// A token for one role.
#[derive(Debug)]
pub struct MintedToken {
    /// Its `jti`.
    pub id: String,
    /// The JWT. A bearer secret.
    pub token: SecretString,
    /// From when on AWS refuses it.
    pub redeem_by: OffsetDateTime,
}

/// Why the issuer could not vouch.
#[derive(Debug, Error)]
pub enum IssuerError {
    /// There is no key for this kind of proof.
    #[error("the issuer has no key for {0}")]
    NoKey(&'static str),
    /// Something of the grant cannot stand in an assertion or a token.
    #[error("{what} cannot be vouched for: {problem}")]
    Unfit {
        /// What: `subject`, `session_tags`…
        what: &'static str,
        /// Why not, and what would be right.
        problem: String,
    },
    /// The signer failed.
    #[error("the signature could not be made")]
    Signer(#[source] Cause),
}

/// The broker as an identity provider.
pub struct Issuer {
    settings: Settings,
    /// The `iss` of tokens.
    name: String,
    /// The Issuer of assertions.
    entity_id: String,
    public_keys: Vec<PublicKey>,
    saml_metadata: Option<String>,
    discovery: Option<String>,
    jwks: Option<String>,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl Issuer {
    /// Makes the issuer; no I/O.
    ///
    /// # Errors
    /// [`IssuerError::Unfit`] where a key cannot sign what it is for, [`IssuerError::Signer`] where
    /// it cannot be read.
    pub fn new(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, IssuerError> {
        let name = settings.url.as_str().trim_end_matches('/').to_owned();
        let entity_id = format!("{name}/issuer/saml/metadata");
        let mut certificates = Vec::new();
        for key in &settings.saml_keys {
            match (key.algorithm(), key.certificate()) {
                (Algorithm::Rs256, Some(certificate)) => certificates.push(certificate),
                _ => {
                    return Err(IssuerError::Unfit {
                        what: "saml_keys",
                        problem: "assertions are signed with RSA keys that have a certificate"
                            .to_owned(),
                    });
                }
            }
        }
        let public_keys = settings.oidc_keys.iter();
        let public_keys: Result<Vec<_>, _> =
            public_keys.map(|key| PublicKey::of(key.as_ref())).collect();
        let public_keys = public_keys.map_err(IssuerError::Signer)?;
        let sign_in_url = settings.sign_in_url.as_str();
        let saml_metadata = (!certificates.is_empty())
            .then(|| metadata::document(&entity_id, sign_in_url, certificates.into_iter()));
        let (mut discovery, mut jwks) = (None, None);
        if !public_keys.is_empty() {
            let documents = oidc::discovery(&name, sign_in_url, &public_keys)
                .and_then(|discovery| Ok((discovery, oidc::key_set(&public_keys)?)));
            let (configuration, keys) = documents.map_err(IssuerError::Signer)?;
            (discovery, jwks) = (Some(configuration), Some(keys));
        }
        Ok(Self {
            settings,
            name,
            entity_id,
            public_keys,
            saml_metadata,
            discovery,
            jwks,
            clock,
        })
    }

    /// For what there is a key.
    pub fn abilities(&self) -> Abilities {
        Abilities {
            saml: !self.settings.saml_keys.is_empty(),
            oidc: !self.settings.oidc_keys.is_empty(),
        }
    }

    /// The `iss` of tokens, which the IAM OpenID Connect provider is called by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The entityID, which trust policies can pin by `SAML:iss`.
    pub fn entity_id(&self) -> &str {
        &self.entity_id
    }

    /// The `aud` of tokens, which is the client id of the IAM OpenID Connect provider.
    pub fn token_audience(&self) -> &str {
        &self.settings.token_audience
    }

    /// Every key as it is published.
    ///
    /// # Errors
    /// [`IssuerError::Signer`] where a certificate cannot be read.
    pub fn keys(&self) -> Result<Vec<KeyState>, IssuerError> {
        let saml = self.settings.saml_keys.iter().enumerate();
        let saml = saml.map(|(place, key)| KeyState::of_saml(key.as_ref(), place == 0));
        let oidc = self.settings.oidc_keys.iter().zip(&self.public_keys);
        let oidc = oidc.enumerate().map(|(place, (key, public))| {
            Ok(KeyState::of_oidc(key.as_ref(), public.kid(), place == 0))
        });
        let keys: Result<_, Cause> = saml.chain(oidc).collect();
        keys.map_err(IssuerError::Signer)
    }

    /// Mints an assertion for exactly the grant's role (IAM User Guide, "Configure SAML assertions"). `recipient` is
    /// AWS's SAML sign-in address, whoever brings the assertion there.
    pub async fn assertion(
        &self,
        grant: &Grant,
        recipient: &Url,
    ) -> Result<MintedAssertion, IssuerError> {
        let signer = self.settings.saml_keys.first();
        let signer = signer.ok_or(IssuerError::NoKey("SAML"))?;
        let provider = grant.saml_provider().ok_or(IssuerError::Unfit {
            what: "role",
            problem: "the grant names no IAM SAML provider; it has to be one of \
                      assume-role-with-saml"
                .to_owned(),
        })?;
        if grant.target().as_str().contains(',') {
            return Err(IssuerError::Unfit {
                what: "role",
                problem: "its ARN has a comma, which parts the role from its provider in an \
                          assertion, so that another role could be read there; open it by \
                          assume-role or assume-role-with-web-identity"
                    .to_owned(),
            });
        }
        let times = Times::of(grant, self.clock.now(), self.settings.lifetime)?;
        let (id, response_id) = (format!("_{}", random_id()?), format!("_{}", random_id()?));
        let statement = Statement {
            id: &id,
            response_id: &response_id,
            issuer: &self.entity_id,
            recipient: recipient.as_str(),
            audience: saml::audience(grant.target().partition()),
            name_id: &subject::person(grant.connector(), grant.subject()),
            issued_at: times.issued_at,
            not_before: times.not_before,
            not_on_or_after: times.not_on_or_after,
            session_ends: times.session_ends,
            role: &format!("{},{provider}", grant.target()),
            session_name: grant.session_name().as_str(),
            session_seconds: grant.duration().seconds(),
            source_identity: grant.source_identity().map(SourceIdentity::as_str),
            tags: grant.session_tags(),
        };
        let sign_response = self.settings.sign_response;
        let response = statement.sign(signer.as_ref(), sign_response).await?;
        Ok(MintedAssertion {
            id,
            response: STANDARD.encode(response.as_bytes()).into(),
            redeem_by: times.not_on_or_after,
        })
    }

    /// Mints a token for exactly the grant's role, for AssumeRoleWithWebIdentity.
    pub async fn token(&self, grant: &Grant) -> Result<MintedToken, IssuerError> {
        let keys = self
            .settings
            .oidc_keys
            .first()
            .zip(self.public_keys.first());
        let (signer, public) = keys.ok_or(IssuerError::NoKey("OIDC"))?;
        let times = Times::of(grant, self.clock.now(), self.settings.lifetime)?;
        let id = random_id()?;
        for (key, value) in grant.session_tags() {
            saml::fit("session_tags", key)?;
            saml::fit("session_tags", value)?;
        }
        let claims = Claims {
            iss: &self.name,
            aud: &self.settings.token_audience,
            sub: &subject::of_token(grant.target(), grant.connector(), grant.subject()),
            iat: times.issued_at.unix_timestamp(),
            nbf: times.not_before.unix_timestamp(),
            exp: times.not_on_or_after.unix_timestamp(),
            jti: &id,
            tags: Tags::of(grant.session_tags()),
            source_identity: grant.source_identity().map(SourceIdentity::as_str),
        };
        let token = claims.sign(signer.as_ref(), public.kid()).await?;
        Ok(MintedToken {
            id,
            token: token.as_str().into(),
            redeem_by: times.not_on_or_after,
        })
    }

    /// The metadata to upload to IAM: every certificate, the signing one first. None without a key.
    pub fn saml_metadata(&self) -> Option<String> {
        self.saml_metadata.clone()
    }

    /// The OpenID Provider configuration (OpenID Connect Discovery 1.0). None without a key.
    pub fn discovery(&self) -> Option<String> {
        self.discovery.clone()
    }

    /// The public keys (RFC 7517). None without a key.
    pub fn jwks(&self) -> Option<String> {
        self.jwks.clone()
    }
}

/// From when to when something minted counts, in whole seconds.
struct Times {
    issued_at: OffsetDateTime,
    not_before: OffsetDateTime,
    not_on_or_after: OffsetDateTime,
    session_ends: OffsetDateTime,
}

impl Times {
    fn of(grant: &Grant, now: OffsetDateTime, lifetime: Duration) -> Result<Self, IssuerError> {
        let now = now.replace_nanosecond(0).unwrap_or(now);
        let longest = now + Duration::from_secs(u64::from(grant.duration().seconds()));
        let session_ends = grant.ends_by().map_or(longest, |end| end.min(longest));
        if session_ends <= now {
            return Err(IssuerError::Unfit {
                what: "duration",
                problem: "what gives the role has ended meanwhile; ask for it again".to_owned(),
            });
        }
        let not_before = now - EARLIER;
        Ok(Self {
            issued_at: now,
            not_before,
            not_on_or_after: not_before + lifetime.clamp(SHORTEST_LIFETIME, LONGEST_LIFETIME),
            session_ends,
        })
    }
}

/// 160 random bits in hexadecimal: nobody guesses the next one, and no two are the same.
fn random_id() -> Result<String, IssuerError> {
    let mut bytes = [0; 20];
    rand::fill(&mut bytes)
        .map_err(|_| IssuerError::Signer("the system has no random numbers".into()))?;
    Ok(hex::encode(bytes))
}
