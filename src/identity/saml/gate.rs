//! The first step on a stranger's message: a strict look at its structure, before any cryptography.
//!
//! One namespace-aware pull parser that never recovers, linear in the input. Never here: keys,
//! clocks, trust. Entry point: [`inspect`].

use super::refusal::Refused;

/// The largest message that is read, in bytes of XML.
pub const LARGEST: usize = 128 * 1024;

/// What the gate may let through beside the defaults; for test corpora alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Allowances {
    /// Whether SHA-1 signatures and digests pass.
    pub sha1: bool,
}

/// The message's root element that is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Root {
    /// `samlp:Response` with exactly one (encrypted) assertion.
    Response,
    /// `saml:Assertion` alone: what an `EncryptedAssertion` held.
    Assertion,
    /// `samlp:LogoutRequest`.
    LogoutRequest,
    /// `samlp:LogoutResponse`.
    LogoutResponse,
}

/// What a message looks like. Nothing in it is verified: it serves to route and to refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// The root's `ID`.
    pub id: String,
    /// The root's `InResponseTo`.
    pub in_response_to: Option<String>,
    /// The root's `Destination`; an empty attribute is `Some("")`.
    pub destination: Option<String>,
    /// The root's own `Issuer`.
    pub issuer: Option<String>,
    /// The value of the one top-level `StatusCode`, where the message has a `Status`.
    pub status: Option<String>,
    /// Whether the root carries a signature of its own.
    pub is_signed: bool,
    /// The assertion, where the root is a response.
    pub assertion: Option<AssertionShape>,
}

/// What the one assertion of a response looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AssertionShape {
    /// In the clear.
    Plain {
        /// Its `ID`.
        id: String,
        /// Whether it carries a signature of its own.
        is_signed: bool,
    },
    /// Encrypted.
    Encrypted,
}

/// Looks at a whole message. The text that comes back is the message, known to be UTF-8.
///
/// # Errors
/// [`Refused`] with one of the reasons of the gate.
pub fn inspect(
    message: &[u8],
    root: Root,
    allowances: Allowances,
) -> Result<(&str, Shape), Refused> {
    let _ = (message, root, allowances);
    Err(Refused::new(
        super::refusal::Reason::Malformed,
        "the gate is closed",
    ))
}
