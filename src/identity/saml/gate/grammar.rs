//! What may stand where: the elements of SAML responses and logout messages, of their signatures
//! and of their encryption, in the order of the schemas (saml-schema-assertion-2.0,
//! saml-schema-protocol-2.0, xmldsig-core, xenc).
//!
//! Closed lists: what is not here is refused. Never here: attributes, algorithms.

use super::namespace::Namespace;
use crate::identity::saml::refusal::Reason;

/// An element by what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Response,
    LogoutRequest,
    LogoutResponse,
    Extensions,
    Status,
    StatusCode,
    StatusMessage,
    StatusDetail,
    SessionIndex,
    Assertion,
    EncryptedAssertion,
    /// `EncryptedID` and `EncryptedAttribute`, which are not read.
    EncryptedPart,
    Issuer,
    NameId,
    Subject,
    SubjectConfirmation,
    SubjectConfirmationData,
    Conditions,
    AudienceRestriction,
    Audience,
    OneTimeUse,
    ProxyRestriction,
    Advice,
    /// `AssertionIDRef` and `AssertionURIRef`.
    AssertionReference,
    AuthnStatement,
    SubjectLocality,
    AuthnContext,
    AuthnContextClass,
    AuthnContextDeclaration,
    AuthnContextDeclarationName,
    AuthenticatingAuthority,
    AttributeStatement,
    Attribute,
    AttributeValue,
    Signature,
    SignedInfo,
    SignatureValue,
    CanonicalizationMethod,
    SignatureMethod,
    Reference,
    Transforms,
    Transform,
    InclusiveNamespaces,
    DigestMethod,
    DigestValue,
    KeyInfo,
    /// `KeyInfo` of encrypted data: may hold or name the encrypted key.
    DataKeyInfo,
    /// `KeyInfo` of an encrypted key: names the recipient.
    RecipientKeyInfo,
    /// What names or holds a key; ignored.
    KeyDetail,
    /// WS-Security's way to name a certificate; ignored.
    SecurityToken,
    RetrievalMethod,
    EncryptedData,
    EncryptedKey,
    EncryptionMethod,
    MaskGeneration,
    CipherData,
    CipherValue,
    ReferenceList,
    DataReference,
    CarriedKeyName,
    /// Of a namespace that is not ours; ignored.
    Foreign,
    /// Everything else: belongs nowhere.
    Unknown,
}

/// What may stand between the tags of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// Text alone.
    Text,
    /// Elements alone, with white space and comments between them.
    Elements,
    /// Text or elements, but not both.
    Either,
    /// Text, or one NameID (eduPersonTargetedID); no comment either way.
    Value,
}

/// Where a child stands among its siblings.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// Its place in the schema's order, below 16.
    pub(super) rank: u8,
    /// Whether there may be several.
    pub(super) repeats: bool,
}

impl Kind {
    /// The element of that name. What a [`Kind::KeyInfo`] is for depends on its parent.
    pub(super) fn of(namespace: Namespace, local: &str) -> Self {
        match namespace {
            Namespace::Assertion => of_assertion(local),
            Namespace::Protocol => of_protocol(local),
            Namespace::Signature => of_signature(local),
            Namespace::Encryption => of_encryption(local),
            Namespace::Encryption11 if local == "MGF" => Self::MaskGeneration,
            Namespace::Canonicalization if local == "InclusiveNamespaces" => {
                Self::InclusiveNamespaces
            }
            Namespace::Signature11 => Self::KeyDetail,
            Namespace::Security => Self::SecurityToken,
            Namespace::Other | Namespace::None if !is_imitation(local) => Self::Foreign,
            _ => Self::Unknown,
        }
    }

    /// What may stand between its tags.
    pub(super) fn content(self) -> Content {
        match self {
            Self::Issuer
            | Self::NameId
            | Self::Audience
            | Self::StatusMessage
            | Self::SessionIndex
            | Self::AssertionReference
            | Self::AuthnContextClass
            | Self::AuthnContextDeclarationName
            | Self::AuthenticatingAuthority
            | Self::SignatureValue
            | Self::DigestValue
            | Self::CipherValue
            | Self::CarriedKeyName => Content::Text,
            Self::AttributeValue => Content::Value,
            Self::Foreign | Self::KeyDetail | Self::SecurityToken => Content::Either,
            _ => Content::Elements,
        }
    }

    /// The ranks of the children that it cannot do without, as bits.
    pub(super) fn needs(self) -> u16 {
        match self {
            Self::SignedInfo | Self::Reference => 0b111,
            Self::Signature => 0b011,
            Self::EncryptedData | Self::EncryptedKey => 0b101,
            Self::EncryptedAssertion | Self::CipherData | Self::Transforms | Self::Status => 0b1,
            _ => 0,
        }
    }

    /// Where this child stands in that parent; none where it does not belong there.
    #[expect(clippy::unnested_or_patterns, reason = "a table: a pair a line")]
    pub(super) fn place(self, parent: Self) -> Option<Place> {
        use Kind as K;
        let once = |rank| {
            Some(Place {
                rank,
                repeats: false,
            })
        };
        let many = |rank| {
            Some(Place {
                rank,
                repeats: true,
            })
        };
        match (parent, self) {
            (K::Response | K::LogoutRequest | K::LogoutResponse | K::Assertion, K::Issuer)
            | (K::Status | K::StatusCode, K::StatusCode)
            | (K::Subject | K::SubjectConfirmation | K::AttributeValue, K::NameId)
            | (K::AuthnStatement, K::SubjectLocality)
            | (K::AuthnContext, K::AuthnContextClass)
            | (K::Signature, K::SignedInfo)
            | (K::SignedInfo, K::CanonicalizationMethod)
            | (K::Reference, K::Transforms)
            | (K::CanonicalizationMethod | K::Transform, K::InclusiveNamespaces)
            | (K::EncryptedAssertion, K::EncryptedData)
            | (K::EncryptedData | K::EncryptedKey, K::EncryptionMethod)
            | (K::EncryptionMethod, K::DigestMethod)
            | (K::CipherData, K::CipherValue) => once(0),
            (K::Response | K::LogoutRequest | K::LogoutResponse | K::Assertion, K::Signature)
            | (K::Status, K::StatusMessage)
            | (K::SubjectConfirmation, K::SubjectConfirmationData)
            | (K::AuthnStatement, K::AuthnContext)
            | (K::AuthnContext, K::AuthnContextDeclaration | K::AuthnContextDeclarationName)
            | (K::Signature, K::SignatureValue)
            | (K::SignedInfo, K::SignatureMethod)
            | (K::Reference, K::DigestMethod)
            | (K::EncryptedData, K::DataKeyInfo)
            | (K::EncryptedKey, K::RecipientKeyInfo)
            | (K::EncryptionMethod, K::MaskGeneration) => once(1),
            (K::Response | K::LogoutRequest | K::LogoutResponse, K::Extensions)
            | (K::Assertion, K::Subject)
            | (K::Status, K::StatusDetail)
            | (K::Signature, K::KeyInfo)
            | (K::SignedInfo, K::Reference)
            | (K::Reference, K::DigestValue)
            | (K::EncryptedData | K::EncryptedKey, K::CipherData) => once(2),
            (K::Response | K::LogoutResponse, K::Status)
            | (K::Assertion, K::Conditions)
            | (K::LogoutRequest, K::NameId)
            | (K::EncryptedKey, K::ReferenceList) => once(3),
            (K::Response, K::Assertion | K::EncryptedAssertion)
            | (K::Assertion, K::Advice)
            | (K::EncryptedKey, K::CarriedKeyName) => once(4),
            (K::SubjectConfirmationData, K::KeyInfo)
            | (K::Conditions, K::AudienceRestriction | K::OneTimeUse | K::ProxyRestriction)
            | (K::AudienceRestriction | K::ProxyRestriction, K::Audience)
            | (K::AttributeStatement, K::Attribute)
            | (K::Attribute, K::AttributeValue)
            | (K::Advice, K::AssertionReference | K::Foreign)
            | (
                K::Extensions | K::StatusDetail | K::AuthnContextDeclaration | K::Foreign,
                K::Foreign,
            )
            | (K::Transforms, K::Transform)
            | (K::KeyInfo | K::DataKeyInfo | K::RecipientKeyInfo, K::KeyDetail)
            | (K::KeyDetail, K::KeyDetail)
            | (K::RecipientKeyInfo, K::SecurityToken)
            | (K::SecurityToken, K::SecurityToken | K::KeyDetail)
            | (K::DataKeyInfo, K::EncryptedKey | K::RetrievalMethod)
            | (K::ReferenceList, K::DataReference) => many(0),
            (K::Subject, K::SubjectConfirmation) | (K::EncryptedAssertion, K::EncryptedKey) => {
                many(1)
            }
            (K::AuthnContext, K::AuthenticatingAuthority) => many(2),
            (K::LogoutRequest, K::SessionIndex) => many(4),
            (K::Assertion, K::AuthnStatement | K::AttributeStatement) => many(5),
            _ => None,
        }
    }

    /// The rule that is broken where this child stands in that parent and must not.
    pub(super) fn misplaced(self, parent: Self) -> Reason {
        match (parent, self) {
            (_, Self::Assertion | Self::EncryptedAssertion) => Reason::AssertionCount,
            (
                Self::Transforms
                | Self::Transform
                | Self::CanonicalizationMethod
                | Self::InclusiveNamespaces,
                _,
            ) => Reason::Transform,
            (_, Self::Signature)
            | (
                Self::Signature
                | Self::SignedInfo
                | Self::SignatureMethod
                | Self::Reference
                | Self::DigestMethod
                | Self::KeyInfo,
                _,
            ) => Reason::SignatureShape,
            (_, Self::EncryptedPart)
            | (
                Self::EncryptedAssertion
                | Self::EncryptedData
                | Self::EncryptedKey
                | Self::EncryptionMethod
                | Self::CipherData
                | Self::DataKeyInfo
                | Self::RecipientKeyInfo
                | Self::RetrievalMethod
                | Self::ReferenceList
                | Self::DataReference,
                _,
            ) => Reason::Encryption,
            _ if matches!(parent.content(), Content::Text | Content::Value) => Reason::MixedContent,
            _ => Reason::UnexpectedElement,
        }
    }
}

/// Whether a reader that ignores namespaces would take this for what matters most.
fn is_imitation(local: &str) -> bool {
    ["Assertion", "EncryptedAssertion", "Response", "Signature"]
        .iter()
        .any(|name| local.eq_ignore_ascii_case(name))
}

fn of_assertion(local: &str) -> Kind {
    match local {
        "AttributeValue" => Kind::AttributeValue,
        "Attribute" => Kind::Attribute,
        "Issuer" => Kind::Issuer,
        "NameID" => Kind::NameId,
        "Assertion" => Kind::Assertion,
        "EncryptedAssertion" => Kind::EncryptedAssertion,
        "EncryptedID" | "EncryptedAttribute" => Kind::EncryptedPart,
        "Subject" => Kind::Subject,
        "SubjectConfirmation" => Kind::SubjectConfirmation,
        "SubjectConfirmationData" => Kind::SubjectConfirmationData,
        "Conditions" => Kind::Conditions,
        "AudienceRestriction" => Kind::AudienceRestriction,
        "Audience" => Kind::Audience,
        "OneTimeUse" => Kind::OneTimeUse,
        "ProxyRestriction" => Kind::ProxyRestriction,
        "Advice" => Kind::Advice,
        "AssertionIDRef" | "AssertionURIRef" => Kind::AssertionReference,
        "AuthnStatement" => Kind::AuthnStatement,
        "SubjectLocality" => Kind::SubjectLocality,
        "AuthnContext" => Kind::AuthnContext,
        "AuthnContextClassRef" => Kind::AuthnContextClass,
        "AuthnContextDeclRef" => Kind::AuthnContextDeclarationName,
        "AuthnContextDecl" => Kind::AuthnContextDeclaration,
        "AuthenticatingAuthority" => Kind::AuthenticatingAuthority,
        "AttributeStatement" => Kind::AttributeStatement,
        _ => Kind::Unknown,
    }
}

fn of_protocol(local: &str) -> Kind {
    match local {
        "Response" => Kind::Response,
        "LogoutRequest" => Kind::LogoutRequest,
        "LogoutResponse" => Kind::LogoutResponse,
        "Extensions" => Kind::Extensions,
        "Status" => Kind::Status,
        "StatusCode" => Kind::StatusCode,
        "StatusMessage" => Kind::StatusMessage,
        "StatusDetail" => Kind::StatusDetail,
        "SessionIndex" => Kind::SessionIndex,
        _ => Kind::Unknown,
    }
}

fn of_signature(local: &str) -> Kind {
    match local {
        "Signature" => Kind::Signature,
        "SignedInfo" => Kind::SignedInfo,
        "SignatureValue" => Kind::SignatureValue,
        "CanonicalizationMethod" => Kind::CanonicalizationMethod,
        "SignatureMethod" => Kind::SignatureMethod,
        "Reference" => Kind::Reference,
        "Transforms" => Kind::Transforms,
        "Transform" => Kind::Transform,
        "DigestMethod" => Kind::DigestMethod,
        "DigestValue" => Kind::DigestValue,
        "KeyInfo" => Kind::KeyInfo,
        "RetrievalMethod" => Kind::RetrievalMethod,
        "KeyName" | "KeyValue" | "RSAKeyValue" | "DSAKeyValue" | "Modulus" | "Exponent" | "P"
        | "Q" | "G" | "Y" | "J" | "X509Data" | "X509Certificate" | "X509IssuerSerial"
        | "X509IssuerName" | "X509SerialNumber" | "X509SKI" | "X509SubjectName" | "X509CRL" => {
            Kind::KeyDetail
        }
        _ => Kind::Unknown,
    }
}

fn of_encryption(local: &str) -> Kind {
    match local {
        "EncryptedData" => Kind::EncryptedData,
        "EncryptedKey" => Kind::EncryptedKey,
        "EncryptionMethod" => Kind::EncryptionMethod,
        "CipherData" => Kind::CipherData,
        "CipherValue" => Kind::CipherValue,
        "ReferenceList" => Kind::ReferenceList,
        "DataReference" => Kind::DataReference,
        "CarriedKeyName" => Kind::CarriedKeyName,
        _ => Kind::Unknown,
    }
}
