//! The broker as an identity provider that IAM trusts: assertions and tokens of our own.
//!
//! Nothing is minted but for a [`Grant`], for the one role and the one person in it. Never here:
//! deciding who may; private keys in memory longer than a [`Signer`](signer::Signer) needs. Entry
//! point: [`Issuer`].

use std::{fmt, sync::Arc};

use secrecy::SecretString;
use thiserror::Error;
use time::OffsetDateTime;
use url::Url;

use super::Cause;
use crate::{
    access::{Abilities, Grant},
    clock::Clock,
};

/// How the broker vouches.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What the broker is called: the `iss` of tokens, without a slash at the end. The entityID of
    /// its SAML metadata is `{url}/issuer/saml/metadata`.
    pub url: Url,
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
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

#[allow(clippy::unused_async, reason = "signing waits for its key")]
impl Issuer {
    /// Makes the issuer; no I/O.
    pub fn new(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, IssuerError> {
        Ok(Self { settings, clock })
    }

    /// For what there is a key.
    pub fn abilities(&self) -> Abilities {
        Abilities::default()
    }

    /// Mints an assertion for exactly the grant's role (aws-facts: SAML to AWS). `recipient` is
    /// AWS's SAML sign-in address, whoever brings the assertion there.
    pub async fn assertion(
        &self,
        _grant: &Grant,
        _recipient: &Url,
    ) -> Result<MintedAssertion, IssuerError> {
        let _ = self.clock.now();
        Err(IssuerError::NoKey("SAML"))
    }

    /// Mints a token for exactly the grant's role, for AssumeRoleWithWebIdentity.
    pub async fn token(&self, _grant: &Grant) -> Result<MintedToken, IssuerError> {
        Err(IssuerError::NoKey("OIDC"))
    }

    /// The metadata to upload to IAM: every certificate, the signing one first. None without a key.
    pub fn saml_metadata(&self) -> Option<String> {
        None
    }

    /// The OpenID Provider configuration (OpenID Connect Discovery 1.0). None without a key.
    pub fn discovery(&self) -> Option<String> {
        None
    }

    /// The public keys (RFC 7517). None without a key.
    pub fn jwks(&self) -> Option<String> {
        None
    }
}
