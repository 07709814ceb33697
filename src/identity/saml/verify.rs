//! The whole way of a response: gate, cryptography, our own rules. The one path that the ACS, the
//! command line and the benchmarks share.
//!
//! Never here: HTTP, the store, the configuration, wall time. Entry point: [`verify`].

use std::{fmt, time::Duration};

use openssl::pkey::{PKey, Private};
use time::OffsetDateTime;

use super::refusal::{Reason, Refused};

/// Whose signatures count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    /// The identity provider's entity id.
    pub entity_id: String,
    /// Its signing certificates, DER; at least one, or nothing is ever accepted.
    pub certificates: Vec<Vec<u8>>,
}

/// What a response has to say to be for us, now.
#[derive(Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
pub struct Expectations {
    /// Any of these has to be in every AudienceRestriction.
    pub audiences: Vec<String>,
    /// Our assertion consumer service: Destination and Recipient.
    pub acs_url: String,
    /// Which request it answers.
    pub in_response_to: Solicited,
    /// Keys that open encrypted assertions, tried in turn.
    pub decryption_keys: Vec<PKey<Private>>,
    /// Whether an assertion in the clear is refused.
    pub require_encryption: bool,
    /// Whether AES-CBC is taken where nothing signed covers the ciphertext.
    pub allow_cbc: bool,
    /// By how much the provider's clock may differ from ours.
    pub clock_skew: Duration,
    /// How long ago the person may have authenticated; none does not look.
    pub longest_authentication_age: Option<Duration>,
    /// The authentication contexts of which one is asked for; empty does not look.
    pub authn_contexts: Vec<String>,
    /// Whether SHA-1 passes; for test corpora alone.
    pub allow_sha1: bool,
    /// Whether `Destination` is looked at; false is for test corpora alone.
    pub check_destination: bool,
}

impl fmt::Debug for Expectations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Expectations")
            .field("audiences", &self.audiences)
            .field("acs_url", &self.acs_url)
            .field("in_response_to", &self.in_response_to)
            .finish_non_exhaustive()
    }
}

/// Which request a response answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Solicited {
    /// Just this one.
    By(String),
    /// None: the provider began (SAML profiles 4.1.5), and the response must not claim otherwise.
    Not,
}

/// A NameID with everything that names the same person again at logout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameId {
    /// The value.
    pub value: String,
    /// `Format`.
    pub format: Option<String>,
    /// `NameQualifier`.
    pub name_qualifier: Option<String>,
    /// `SPNameQualifier`.
    pub sp_name_qualifier: Option<String>,
}

/// One attribute with its values in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// `Name`.
    pub name: String,
    /// `FriendlyName`.
    pub friendly_name: Option<String>,
    /// The values, as text; a nil value is left out.
    pub values: Vec<String>,
}

/// What a verified assertion says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Who.
    pub name_id: NameId,
    /// What the provider says of them; names are unique.
    pub attributes: Vec<Attribute>,
    /// The assertion's ID, for the replay cache.
    pub assertion_id: String,
    /// Until when a replay would be accepted, so until when the ID is remembered: the end of the
    /// assertion and of its confirmation, whichever is later, with the clock skew.
    pub replay_until: OffsetDateTime,
    /// When the assertion was issued; AWS takes it for five minutes from here.
    pub issued_at: OffsetDateTime,
    /// Every audience that it names.
    pub audiences: Vec<String>,
    /// The provider's name for its session with the person.
    pub session_index: Option<String>,
    /// When the provider ends that session.
    pub session_not_on_or_after: Option<OffsetDateTime>,
    /// When the person authenticated.
    pub authenticated_at: OffsetDateTime,
    /// How, as an AuthnContextClassRef.
    pub authn_context: Option<String>,
    /// Whether it came encrypted.
    pub was_encrypted: bool,
}

/// Verifies one response.
///
/// # Errors
/// [`Refused`] with the first rule that it breaks.
pub fn verify(
    message: &[u8],
    trust: &Trust,
    expected: &Expectations,
    now: OffsetDateTime,
) -> Result<Verified, Refused> {
    let _ = (message, trust, expected, now);
    Err(Refused::new(Reason::Signature, "nothing is verified yet"))
}
