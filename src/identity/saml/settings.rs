//! What a SAML connector is told: the configuration in the words of this adapter.
//!
//! Never here: files, TOML. Entry point: [`Settings`].

use std::{fmt, time::Duration};

use openssl::{
    pkey::{PKey, Private},
    x509::X509,
};
use url::Url;

use crate::access::ConnectorId;

/// What `attributes` says for the subject's NameID instead of an attribute.
pub const NAME_ID: &str = "NameID";

/// Everything that a connector is told.
#[derive(Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a setting of its own"
)]
pub struct Settings {
    /// The connector's id.
    pub id: ConnectorId,
    /// What people see.
    pub label: String,
    /// Our entity id.
    pub entity_id: String,
    /// Where answers are posted.
    pub acs_url: Url,
    /// Where messages about logout go.
    pub slo_url: Url,
    /// Where the provider's metadata comes from.
    pub source: Source,
    /// DER certificates of which one has to have signed the metadata; empty does not look.
    pub metadata_certificates: Vec<Vec<u8>>,
    /// The provider, where its metadata speaks of several.
    pub provider_entity_id: Option<String>,
    /// Which attributes tell about a person.
    pub attributes: AttributeNames,
    /// Our keys: the first signs, all are published, any decrypts.
    pub keys: Vec<Key>,
    /// Audiences that are ours beside the entity id.
    pub audiences: Vec<String>,
    /// Whether requests are signed; needs a key.
    pub sign_requests: bool,
    /// How requests travel.
    pub request_binding: Binding,
    /// Whether the provider shall always ask for the credentials again.
    pub force_authentication: bool,
    /// The authentication contexts of which one is asked for; empty does not ask.
    pub authn_contexts: Vec<String>,
    /// The NameID format that is asked for.
    pub name_id_format: Option<String>,
    /// By how much the provider's clock may differ from ours.
    pub clock_skew: Duration,
    /// How long ago a person may have authenticated; none does not look.
    pub longest_authentication_age: Option<Duration>,
    /// Whether an assertion in the clear is refused.
    pub require_encryption: bool,
    /// Whether AES-CBC is taken.
    pub allow_cbc: bool,
    /// Whether an answer to no request of ours is taken.
    pub takes_unsolicited: bool,
    /// The directory whose groups count instead of the provider's.
    pub groups_from: Option<ConnectorId>,
    /// Whether an answer that AWS takes too is kept for it.
    pub pass_through: bool,
    /// Where the provider opens an AWS role itself, with `{account}`, `{role_arn}`, `{role_name}`
    /// and `{relay_state}` to fill.
    pub aws_application_url: Option<String>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("id", &self.id)
            .field("entity_id", &self.entity_id)
            .finish_non_exhaustive()
    }
}

/// Where the provider's metadata comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// A text that was read at start.
    Text(String),
    /// An address that is fetched again and again.
    Url {
        /// https, or http to this machine.
        url: Url,
        /// How old a good copy may grow before it is fetched again.
        refresh: Duration,
    },
}

/// How a message travels to the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    /// In the query of a redirect (SAML bindings 3.4).
    Redirect,
    /// In a form that the browser posts (SAML bindings 3.5).
    Post,
}

/// One of our keys with its certificate.
#[derive(Clone)]
pub struct Key {
    /// The private key: RSA, or ECDSA on a NIST curve, which signs and does not decrypt.
    pub private: PKey<Private>,
    /// The certificate.
    pub certificate: X509,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").finish_non_exhaustive()
    }
}

/// Which attributes tell about a person: `Name` or `FriendlyName`, or [`NAME_ID`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeNames {
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
