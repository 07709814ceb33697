//! The first step on a stranger's message: a strict look at its structure, before any cryptography.
//!
//! One namespace-aware pull parser that never recovers, linear in the input. What it lets through
//! is read by libxml2, xmlsec and samael, none of which is strict: whatever two readers could read
//! differently is refused here. CDATA sections are refused everywhere; comments may stand between
//! elements, never beside text. Never here: keys, clocks, trust. Entry point: [`inspect`].

mod algorithm;
mod grammar;
mod namespace;
mod syntax;
#[cfg(test)]
mod tests;
mod walk;

use quick_xml::{Reader, events::Event};

use super::refusal::{Reason, Refused};

/// The largest message that is read, in bytes of XML.
pub const LARGEST: usize = 128 * 1024;

/// The most elements that are open at once.
pub const DEEPEST: usize = 64;

/// The most elements of a message: more than the largest message has room for values.
pub const MOST_ELEMENTS: usize = 6_000;

/// The most attributes of one element, namespace declarations apart.
pub const MOST_ATTRIBUTES: usize = 32;

/// The most namespace declarations of one element.
pub const MOST_NAMESPACES: usize = 32;

/// The most namespace declarations in scope at once, over all open elements.
pub const MOST_IN_SCOPE: usize = 64;

/// The most looks at a namespace that canonicalization may take. For each element libxml2 compares
/// all that are in scope with each other and seeks each through all ancestors, with each certificate
/// anew: unbounded, a message of 100 KB took over a second before its signature was refused.
pub const MOST_NAMESPACE_LOOKS: usize = 1_000_000;

/// The most encrypted keys of a message, for as many recipients. Each costs a private operation
/// with each of our keys, and anybody can make a message that does.
pub const MOST_ENCRYPTED_KEYS: usize = 2;

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
    /// Whether anything is encrypted with AES-CBC.
    pub uses_cbc: bool,
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
/// A response with an assertion in the clear is refused where neither is signed. Where the
/// assertion is encrypted, and for every other root, nothing may be signed: the caller looks at
/// [`Shape::is_signed`].
///
/// # Errors
/// [`Refused`] with one of the reasons of the gate, or with [`Reason::Status`] where a response
/// without an assertion reports a failure.
pub fn inspect(
    message: &[u8],
    root: Root,
    allowances: Allowances,
) -> Result<(&str, Shape), Refused> {
    let text = syntax::text(message)?;
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_comments = true;
    let mut walk = walk::Walk::new(root, allowances);
    let mut start = 0;
    loop {
        refuse_what_is_never_read(text, start)?;
        let event = reader
            .read_event()
            .map_err(|error| Refused::new(Reason::Malformed, error.to_string()))?;
        // The parser says what it is and where it ends; the text itself is what is looked at.
        let end = usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX);
        let raw = text.get(start..end).unwrap_or_default();
        match event {
            Event::Start(_) => walk.open(inside(raw, "<", ">")?)?,
            Event::Empty(_) => {
                walk.open(inside(raw, "<", "/>")?)?;
                walk.close()?;
            }
            Event::End(_) => walk.close()?,
            Event::Text(_) => walk.text(raw)?,
            Event::GeneralRef(_) => walk.reference(inside(raw, "&", ";")?)?,
            Event::Comment(_) => walk.comment(inside(raw, "<!--", "-->")?)?,
            Event::Decl(_) => syntax::declaration(raw)?,
            Event::CData(_) => {
                return Err(Refused::new(Reason::MixedContent, "a CDATA section"));
            }
            Event::DocType(_) | Event::PI(_) => {
                return Err(Refused::new(Reason::Malformed, "markup out of place"));
            }
            Event::Eof => break,
        }
        start = end;
    }
    Ok((text, walk.finish()?))
}

/// Refuses document types and processing instructions before anything reads them.
fn refuse_what_is_never_read(text: &str, at: usize) -> Result<(), Refused> {
    let rest = text.as_bytes().get(at..).unwrap_or_default();
    match rest {
        [b'<', b'!', b'd' | b'D', ..] => Err(Refused::new(
            Reason::DocumentType,
            "a document type declaration",
        )),
        // At the very start it is the XML declaration.
        [
            b'<',
            b'?',
            b'x',
            b'm',
            b'l',
            b' ' | b'\t' | b'\r' | b'\n',
            ..,
        ] if at == 0 => Ok(()),
        [b'<', b'?', ..] => Err(Refused::new(
            Reason::ProcessingInstruction,
            "a processing instruction",
        )),
        _ => Ok(()),
    }
}

fn inside<'a>(raw: &'a str, start: &str, end: &str) -> Result<&'a str, Refused> {
    raw.strip_prefix(start)
        .and_then(|rest| rest.strip_suffix(end))
        .ok_or_else(|| Refused::new(Reason::Malformed, "markup that does not end"))
}
