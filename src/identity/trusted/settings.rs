//! What the adapter of a trusted issuer is told: the configuration in its own words.
//!
//! Never here: files, TOML. Entry point: [`Settings`].

use std::{fmt, time::Duration};

use secrecy::SecretString;
use url::Url;

use crate::{access::ConnectorId, identity::oidc::settings::ClaimNames};

/// Everything that the adapter is told.
#[derive(Clone)]
pub struct Settings {
    /// The issuer's id, which stands where a connector's does.
    pub id: ConnectorId,
    /// The issuer, by the very text that it calls itself.
    pub issuer: String,
    /// How tokens are verified.
    pub way: Way,
    /// One of these has to be in `aud`; none does not look, which is for introspection alone.
    pub audiences: Vec<String>,
    /// Which claims tell about the holder. Those of groups are not read where `groups` are fixed.
    pub claims: ClaimNames,
    /// What else has to be in a token: a claim, and what it must say.
    pub required: Vec<(String, Requirement)>,
    /// What tokens may be signed with; of [`ALGORITHMS`](crate::identity::oidc::settings::ALGORITHMS).
    pub algorithms: Vec<String>,
    /// By how much the issuer's clock may differ from ours.
    pub clock_skew: Duration,
    /// How long a token may last in all.
    pub longest_lifetime: Duration,
    /// PEM certificates to trust instead of the system's.
    pub ca_pem: Option<Vec<u8>>,
    /// From where browsers may call with these tokens.
    pub allowed_origins: Vec<String>,
    /// Groups of whoever holds a token; none reads them in the token.
    pub groups: Vec<String>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("id", &self.id)
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}

/// How tokens are verified.
#[derive(Clone, Debug)]
pub enum Way {
    /// They are JWTs, signed with keys that are published here (RFC 7517).
    Keys(Url),
    /// The issuer is asked about each of them (RFC 7662).
    Introspection {
        /// Where.
        url: Url,
        /// Who we are to it.
        client_id: String,
        /// What proves it.
        client_secret: SecretString,
    },
}

/// What a claim must say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// All of these: a text is one of them, a list or a scope holds them.
    Words(Vec<String>),
    /// This.
    Flag(bool),
}
