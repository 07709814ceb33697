//! Why a provider's answer or token is not accepted: stable codes for the audit and metrics.
//!
//! Never here: what a person is told; that is one wording, whatever the reason, but for a provider
//! that says itself that it did not sign the person in.

use std::fmt;

use thiserror::Error;

/// An answer or a token that is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{reason}: {detail}")]
pub struct Refused {
    /// Which rule it breaks.
    pub reason: Reason,
    /// What was found and what would be right, for an operator. Holds no secret, no more than a few
    /// words of the message, and no control character.
    pub detail: String,
}

/// The longest detail, in characters.
const LONGEST_DETAIL: usize = 300;

impl Refused {
    /// A refusal. Control characters in `detail` are replaced and a long text is cut, since parts
    /// of a stranger's message go into it.
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        let detail: String = detail.into();
        let detail = detail
            .chars()
            .take(LONGEST_DETAIL)
            .map(|c| if c.is_control() { '\u{fffd}' } else { c })
            .collect();
        Self { reason, detail }
    }
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)+) => {
        /// The rule that an answer or a token breaks.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Reason {
            $($(#[$doc])* $name,)+
        }

        impl Reason {
            /// Every reason.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The stable code in audit rows and in metrics.
            pub fn code(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)+
                }
            }
        }
    };
}

reasons! {
    // The browser's way back.
    /// A parameter twice, none that is known, or more than is read.
    Response = "oidc_response",
    /// No `state`, so it belongs to no sign-in of ours.
    State = "oidc_state",
    /// The parameter `iss` names another provider, or is missing where the provider sends it
    /// (RFC 9207).
    ResponseIssuer = "oidc_response_issuer",
    /// The person, or the provider's rules, said no.
    AccessDenied = "oidc_access_denied",
    /// The provider would have had to ask the person and could not.
    LoginRequired = "oidc_login_required",
    /// Another error of the provider's.
    ProviderError = "oidc_provider_error",
    // The exchange of the code.
    /// The token endpoint refused the code.
    CodeRefused = "oidc_code_refused",
    /// What the token endpoint answered cannot be used.
    TokenResponse = "oidc_token_response",
    // Tokens.
    /// No signed JWT, or more than is read.
    Malformed = "oidc_malformed",
    /// A member of a JSON object twice.
    DuplicateKey = "oidc_duplicate_key",
    /// A header that changes what the token means.
    Header = "oidc_header",
    /// An algorithm that is not allowed; `none` and all that share a secret never are.
    Algorithm = "oidc_algorithm",
    /// The provider publishes no such key.
    UnknownKey = "oidc_unknown_key",
    /// No key of the provider made this signature.
    Signature = "oidc_signature",
    /// Another issuer.
    Issuer = "oidc_issuer",
    /// Not for us, or for others beside us.
    Audience = "oidc_audience",
    /// Issued to another client.
    AuthorizedParty = "oidc_authorized_party",
    /// Not valid any more.
    Expired = "oidc_expired",
    /// Not valid yet.
    NotYetValid = "oidc_not_yet_valid",
    /// Another nonce than the one that was sent.
    Nonce = "oidc_nonce",
    /// The access token beside it is another one.
    AccessTokenHash = "oidc_access_token_hash",
    /// The person authenticated too long ago, or it does not say when.
    AuthenticationAge = "oidc_authentication_age",
    /// No subject, or one that cannot be one.
    Subject = "oidc_subject",
    /// A claim that is not what it should be.
    Claim = "oidc_claim",
    /// A claim that the configuration needs is not there.
    MissingClaim = "oidc_missing_claim",
    /// The userinfo is about somebody else, or cannot be read.
    Userinfo = "oidc_userinfo",
    /// A logout token that asks for nothing, or for something else.
    LogoutToken = "oidc_logout_token",
}

impl Reason {
    /// Whether the provider says itself that it did not sign the person in.
    pub fn is_declined(self) -> bool {
        matches!(
            self,
            Self::AccessDenied | Self::LoginRequired | Self::ProviderError
        )
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::identity::saml;

    #[test]
    fn codes_are_unique_among_both_protocols() {
        let codes = Reason::ALL.iter().map(|reason| reason.code());
        let of_saml = saml::refusal::Reason::ALL
            .iter()
            .map(|reason| reason.code());
        let all: HashSet<&str> = codes.chain(of_saml).collect();
        assert_eq!(
            all.len(),
            Reason::ALL.len() + saml::refusal::Reason::ALL.len()
        );
    }

    #[test]
    fn details_hold_no_control_characters() {
        let refused = Refused::new(Reason::Issuer, "a\r\nb\u{1b}");
        assert_eq!(refused.detail, "a\u{fffd}\u{fffd}b\u{fffd}");
    }
}
