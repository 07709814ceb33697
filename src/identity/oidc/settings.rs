//! What an OpenID Connect connector is told: the configuration in the words of this adapter.
//!
//! Never here: files, TOML. Entry point: [`Settings`].

use std::{fmt, time::Duration};

use openidconnect::core::CoreJwsSigningAlgorithm;
use secrecy::SecretString;
use url::Url;

use crate::access::ConnectorId;

/// An algorithm of JWS by its name (RFC 7518, 3.1; RFC 8037).
pub type Algorithm = CoreJwsSigningAlgorithm;

/// What signatures may be made with: none that shares a secret, and never `none`. ES512 is left
/// out because the library does not verify it.
pub const ALGORITHMS: [(&str, Algorithm); 9] = [
    ("RS256", Algorithm::RsaSsaPkcs1V15Sha256),
    ("RS384", Algorithm::RsaSsaPkcs1V15Sha384),
    ("RS512", Algorithm::RsaSsaPkcs1V15Sha512),
    ("PS256", Algorithm::RsaSsaPssSha256),
    ("PS384", Algorithm::RsaSsaPssSha384),
    ("PS512", Algorithm::RsaSsaPssSha512),
    ("ES256", Algorithm::EcdsaP256Sha256),
    ("ES384", Algorithm::EcdsaP384Sha384),
    ("EdDSA", Algorithm::EdDsa),
];

/// Everything that a connector is told.
#[derive(Clone)]
pub struct Settings {
    /// The connector's id.
    pub id: ConnectorId,
    /// What people see.
    pub label: String,
    /// The provider, by the very text that it calls itself.
    pub issuer: String,
    /// Who we are to it.
    pub client_id: String,
    /// What proves it; none for a public client, whose PKCE has to do.
    pub client_secret: Option<SecretString>,
    /// How the secret is shown; none chooses what the provider offers.
    pub token_auth: Option<TokenAuth>,
    /// Where the browser comes back.
    pub callback_url: Url,
    /// Where it comes back after it was signed out there.
    pub signed_out_url: Url,
    /// Where the provider says that sessions have ended.
    pub backchannel_url: Url,
    /// Where codes are exchanged, for a provider whose discovery does not say.
    pub token_endpoint: Option<Url>,
    /// What is asked for beside `openid`.
    pub scopes: Vec<String>,
    /// Which claims tell about a person.
    pub claims: ClaimNames,
    /// Whether claims that the ID token lacks are read from the userinfo endpoint.
    pub userinfo: bool,
    /// What the provider may sign with; of [`ALGORITHMS`].
    pub algorithms: Vec<String>,
    /// By how much the provider's clock may differ from ours.
    pub clock_skew: Duration,
    /// How long ago a person may have authenticated; none does not look.
    pub longest_authentication_age: Option<Duration>,
    /// Whether the provider shall always ask for the credentials again.
    pub force_authentication: bool,
    /// The directory whose groups count instead of the provider's.
    pub groups_from: Option<ConnectorId>,
    /// What is held for AWS.
    pub pass_through: PassThrough,
    /// PEM certificates to trust instead of the system's.
    pub ca_pem: Option<Vec<u8>>,
    /// How old a good copy of what the provider publishes may grow.
    pub refresh: Duration,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("id", &self.id)
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}

/// How the client secret is shown to the token endpoint (OpenID Connect Core, 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenAuth {
    /// `client_secret_basic`: in the header.
    Basic,
    /// `client_secret_post`: in the body.
    Post,
    /// `none`: there is none.
    None,
}

/// What of a sign-in is held for AssumeRoleWithWebIdentity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PassThrough {
    /// Nothing.
    Nothing,
    /// The ID token.
    IdToken,
    /// The access token of a provider that AWS knows by name.
    AccessToken {
        /// The `ProviderId`.
        provider_id: String,
    },
}

/// Which claims tell about a person: a name, or a path with dots where no claim has that name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimNames {
    /// Stable and never used again.
    pub subject: String,
    /// The user name.
    pub username: String,
    /// What to call the person.
    pub display_name: Option<String>,
    /// The e-mail address.
    pub email: Option<String>,
    /// The groups.
    pub groups: Option<String>,
}
