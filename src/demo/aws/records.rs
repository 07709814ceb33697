//! What the stand-in remembers for tests to compare with: sessions and sign-ins, secrets included.

use std::fmt;

use time::OffsetDateTime;

use super::sts::StsAction;

/// One session that STS gave, or that the SAML sign-in page opened. Debug leaves the secrets out.
#[derive(Clone)]
#[expect(
    missing_docs,
    reason = "the fields are the request's and response's own names"
)]
pub struct Issued {
    /// What it was asked with; of the SAML sign-in page `AssumeRoleWithSaml`, as in CloudTrail.
    pub action: StsAction,
    /// The assumed-role ARN, the federated user's, or that of the user whose session it is.
    pub arn: String,
    /// Empty for what an IAM user got without a role.
    pub role_arn: String,
    /// `RoleSessionName`, or the `Name` of a federated user.
    pub session_name: String,
    pub external_id: Option<String>,
    /// Those asked for, vouched for or inherited.
    pub tags: Vec<(String, String)>,
    pub transitive_tag_keys: Vec<String>,
    pub policy: Option<String>,
    pub policy_arns: Vec<String>,
    pub packed_policy_size: Option<usize>,
    pub duration_seconds: u32,
    /// The one in force: asked for, or inherited from the caller's session.
    pub source_identity: Option<String>,
    /// Who signed: the user's or session's ARN, or that of the provider which vouched.
    pub caller_arn: String,
    /// Whether the caller's keys were temporary and not an instance's.
    pub is_chained: bool,
    /// False for a federated user without any policy, who may do nothing.
    pub has_permissions: bool,
    /// Whether MFA was proven for it, or for the session that asked.
    pub has_mfa: bool,
    pub access_key_id: String,
    pub secret_access_key: String,
    pub session_token: String,
    /// What `aws:TokenIssueTime` says.
    pub issued_at: OffsetDateTime,
    pub expiration: OffsetDateTime,
    pub request_id: String,
    /// From the credential scope of the signature; empty where nothing was signed.
    pub region: String,
    /// What vouched, where it was an assertion.
    pub saml: Option<SamlEvidence>,
    /// What vouched, where it was a token.
    pub web_identity: Option<WebIdentityEvidence>,
}

impl Issued {
    /// The tags that go on to what the session assumes.
    pub(super) fn transitive_tags(&self) -> Vec<(String, String)> {
        let is_transitive = |key: &str| {
            let key = key.to_lowercase();
            (self.transitive_tag_keys.iter()).any(|known| known.to_lowercase() == key)
        };
        let tags = self.tags.iter().filter(|(key, _)| is_transitive(key));
        tags.cloned().collect()
    }
}

/// The token behind an `AssumeRoleWithWebIdentity`. Debug leaves it out.
#[derive(Clone)]
#[expect(missing_docs, reason = "the fields are the answer's own names")]
pub struct WebIdentityEvidence {
    /// The `WebIdentityToken` as received.
    pub token: String,
    /// Its `jti`.
    pub token_id: Option<String>,
    /// The IAM OIDC provider's ARN, or the `ProviderId` of an access token.
    pub provider_arn: String,
    /// The `iss`, or the `ProviderId` of an access token.
    pub provider: String,
    pub subject: String,
    /// The `azp` or `aud`, or the application of an access token.
    pub audience: String,
}

impl fmt::Debug for WebIdentityEvidence {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("WebIdentityEvidence")
            .field("token_id", &self.token_id)
            .field("provider_arn", &self.provider_arn)
            .field("subject", &self.subject)
            .finish_non_exhaustive()
    }
}

/// The assertion behind an `AssumeRoleWithSAML`. Debug leaves the response out.
#[derive(Clone)]
#[expect(missing_docs, reason = "the fields are the answer's own names")]
pub struct SamlEvidence {
    /// The `SAMLAssertion` as received.
    pub response: String,
    pub assertion_id: String,
    pub provider_arn: String,
    pub issuer: String,
    pub subject: String,
    pub subject_type: String,
    /// The `Recipient`.
    pub audience: String,
    pub name_qualifier: String,
}

impl fmt::Debug for SamlEvidence {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SamlEvidence")
            .field("assertion_id", &self.assertion_id)
            .field("provider_arn", &self.provider_arn)
            .field("subject", &self.subject)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Issued {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Issued")
            .field("arn", &self.arn)
            .field("duration_seconds", &self.duration_seconds)
            .field("caller_arn", &self.caller_arn)
            .field("access_key_id", &self.access_key_id)
            .field("request_id", &self.request_id)
            .finish_non_exhaustive()
    }
}

/// One attempt to sign in: from the request for a token to the console, or with an assertion. Debug
/// leaves the credentials out.
#[derive(Clone)]
pub struct SignIn {
    /// The `Session` JSON as received; empty when a login came with an unknown token, and of an
    /// assertion.
    pub session: String,
    /// The `SessionDuration` as received, of an assertion the attribute.
    pub session_duration: Option<String>,
    /// Whether the token was asked for by POST, which keeps credentials out of URLs.
    pub is_post: bool,
    /// The `Destination` of the login, of an assertion the `RelayState`.
    pub destination: Option<String>,
    /// The `Issuer` of the login.
    pub issuer: Option<String>,
    /// The assertion that a browser posted, once it was read.
    pub assertion_id: Option<String>,
    /// How far it came.
    pub outcome: SignInOutcome,
}

/// How far a sign-in came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignInOutcome {
    /// The token was handed out and not used yet.
    TokenIssued,
    /// The browser reached the console.
    SignedIn,
    /// Refused, with the reason that AWS would not tell.
    Refused(String),
}

impl fmt::Debug for SignIn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SignIn")
            .field("session_duration", &self.session_duration)
            .field("is_post", &self.is_post)
            .field("destination", &self.destination)
            .field("issuer", &self.issuer)
            .field("assertion_id", &self.assertion_id)
            .field("outcome", &self.outcome)
            .finish_non_exhaustive()
    }
}
