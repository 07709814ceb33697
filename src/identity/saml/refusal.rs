//! Why a SAML message is not accepted: stable codes for the audit, the command line and metrics.
//!
//! Never here: what a person is told; that is one wording, whatever the reason.

use std::fmt;

use thiserror::Error;

/// A message that is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{reason}: {detail}")]
pub struct Refused {
    /// Which rule it breaks.
    pub reason: Reason,
    /// What was found and what would be right, for an operator. Holds no secret, no more than a few
    /// words of the message, and no control character.
    pub detail: String,
}

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

/// The longest detail, in characters.
const LONGEST_DETAIL: usize = 300;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)+) => {
        /// The rule that a message breaks.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Reason {
            $($(#[$doc])* $name,)+
        }

        impl Reason {
            /// Every reason.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The stable code in audit rows, in the command line's answer and in metrics.
            pub fn code(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)+
                }
            }
        }
    };
}

reasons! {
    // Transport.
    /// The form field is no base64.
    Encoding = "bad_encoding",
    /// The message is larger than is read.
    TooLarge = "too_large",
    // The gate: structure, before any cryptography.
    /// Not UTF-8, a NUL, or another declared encoding.
    NotUtf8 = "not_utf8",
    /// Not well-formed, or not one root element.
    Malformed = "malformed_xml",
    /// A document type declaration or an entity other than XML's five.
    DocumentType = "document_type",
    /// A processing instruction.
    ProcessingInstruction = "processing_instruction",
    /// Nested deeper, or with more elements, attributes or namespaces, than is read.
    TooComplex = "too_complex",
    /// A namespace that is not absolute, or an attribute that imitates another.
    Namespace = "bad_namespace",
    /// The root is not the expected SAML 2.0 message.
    WrongMessage = "wrong_message",
    /// Not version 2.0.
    Version = "wrong_version",
    /// An ID that is no NCName, is missing, or stands twice.
    Id = "bad_id",
    /// An element that does not belong where it is.
    UnexpectedElement = "unexpected_element",
    /// Not exactly one assertion.
    AssertionCount = "assertion_count",
    /// A value with elements, comments or instructions inside it.
    MixedContent = "mixed_content",
    /// Nothing is signed.
    Unsigned = "unsigned",
    /// A signature that is not just what SAML allows.
    SignatureShape = "signature_shape",
    /// A reference to something else than the signed element itself.
    Reference = "signature_reference",
    /// A transform or canonicalization that is not allowed.
    Transform = "signature_transform",
    /// An algorithm that is not allowed.
    Algorithm = "algorithm_not_allowed",
    /// A form of encryption that is not allowed or not known.
    Encryption = "encryption_not_allowed",
    // Cryptography.
    /// No configured key made this signature over this content.
    Signature = "signature_invalid",
    /// The content cannot be decrypted.
    Decryption = "decryption_failed",
    /// The assertion is not encrypted and has to be.
    NotEncrypted = "not_encrypted",
    // Our rules, on verified bytes.
    /// The provider reports that it did not sign anybody in.
    Status = "status_not_success",
    /// Another issuer.
    Issuer = "wrong_issuer",
    /// Another destination, or none on a signed response.
    Destination = "wrong_destination",
    /// Another recipient, or none.
    Recipient = "wrong_recipient",
    /// An answer to another request, or to none where one is expected.
    InResponseTo = "wrong_in_response_to",
    /// Not addressed to this service provider.
    Audience = "wrong_audience",
    /// No Conditions.
    Conditions = "no_conditions",
    /// Not valid yet.
    NotYetValid = "not_yet_valid",
    /// Not valid any more.
    Expired = "expired",
    /// A time that is none.
    Instant = "bad_instant",
    /// No bearer confirmation.
    SubjectConfirmation = "subject_confirmation",
    /// No NameID, an empty one, or one that cannot be a name.
    NameId = "bad_name_id",
    /// No statement that somebody authenticated.
    AuthnStatement = "no_authn_statement",
    /// The person authenticated too long ago.
    AuthenticationAge = "authentication_too_old",
    /// An authentication context that was not asked for.
    AuthnContext = "wrong_authn_context",
    /// An attribute twice.
    Attribute = "bad_attribute",
    /// The assertion was used before.
    Replay = "replayed",
    // The sign-in it belongs to.
    /// No sign-in that was begun here waits for it.
    UnknownRequest = "unknown_request",
    /// The sign-in was begun in another browser.
    OtherBrowser = "other_browser",
    /// The sign-in was begun too long ago.
    RequestExpired = "request_expired",
    /// The RelayState is not the one that was sent.
    RelayState = "wrong_relay_state",
    /// Nobody asked for it here, and the connector takes only what was asked for.
    Unsolicited = "unsolicited",
    /// Somebody else came back than the one who was sent.
    OtherSubject = "other_subject",
    /// What the configuration needs of the assertion is not in it.
    MissingAttribute = "missing_attribute",
    /// The provider left the groups out because they are too many.
    GroupsOverage = "groups_overage",
    /// The directory that knows the groups does not know the person.
    GroupsUnknown = "groups_from_unknown_person",
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

    #[test]
    fn codes_are_unique() {
        let codes: HashSet<&str> = Reason::ALL.iter().map(|reason| reason.code()).collect();
        assert_eq!(codes.len(), Reason::ALL.len());
    }

    #[test]
    fn details_hold_no_control_characters() {
        let refused = Refused::new(Reason::Issuer, "a\r\nb\u{1b}");
        assert_eq!(refused.detail, "a\u{fffd}\u{fffd}b\u{fffd}");
    }
}
