//! The whole way of a response: gate, cryptography, our own rules. The one path that the ACS, the
//! command line and the benchmarks share.
//!
//! Never here: HTTP, the store, the configuration, wall time. Entry points: [`decode`], [`verify`],
//! [`off_thread`].

use std::{fmt, sync::OnceLock, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use openssl::pkey::{PKey, Private};
use thiserror::Error;
use time::OffsetDateTime;
use tokio::sync::Semaphore;

use super::{
    decrypt,
    element::{Element, Namespace},
    gate::{self, Allowances, AssertionShape, Root, Shape},
    message::{Assertion, Head},
    refusal::{Reason, Refused},
    rules::{self, Answer},
    signature,
};

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
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a setting of its own"
)]
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

/// Reads the form field of a message: base64 of the standard alphabet, padded (bindings 3.5.4).
/// Blanks and line breaks in it are passed over, since some providers break the lines
/// (RFC 2045 6.8).
///
/// # Errors
/// [`Reason::TooLarge`] before anything is decoded, [`Reason::Encoding`].
pub fn decode(field: &str) -> Result<Vec<u8>, Refused> {
    if field.len() > LONGEST_FIELD {
        return Err(Refused::new(
            Reason::TooLarge,
            format!(
                "the message has {} bytes of base64, at most {LONGEST_FIELD} are read",
                field.len()
            ),
        ));
    }
    let is_blank = |character: char| matches!(character, ' ' | '\t' | '\r' | '\n');
    let decoded = if field.contains(is_blank) {
        STANDARD.decode(field.replace(is_blank, ""))
    } else {
        STANDARD.decode(field)
    };
    decoded.map_err(|_| {
        let hint = if field.contains(['-', '_']) {
            "; it is of the alphabet for URLs"
        } else if field.contains(' ') {
            "; it has blanks, was + not written as %2B?"
        } else {
            ""
        };
        Refused::new(
            Reason::Encoding,
            format!("the message is no padded base64 of the standard alphabet{hint}"),
        )
    })
}

/// The longest form field, in bytes: the largest message with some room for line breaks.
const LONGEST_FIELD: usize = gate::LARGEST / 3 * 4 + gate::LARGEST / 8;

/// Verifies one response.
///
/// Blocks for a millisecond or so: servers call it through [`off_thread`].
///
/// # Errors
/// [`Refused`] with the first rule that it breaks.
pub fn verify(
    message: &[u8],
    trust: &Trust,
    expected: &Expectations,
    now: OffsetDateTime,
) -> Result<Verified, Refused> {
    let allowances = Allowances {
        sha1: expected.allow_sha1,
    };
    let (text, shape) = gate::inspect(message, Root::Response, allowances)?;
    let answer = match &shape.assertion {
        Some(AssertionShape::Plain { .. }) if expected.require_encryption => {
            return Err(Refused::new(
                Reason::NotEncrypted,
                "the assertion is not encrypted, and the configuration wants it to be",
            ));
        }
        Some(AssertionShape::Plain { id, is_signed }) => {
            let signed_id = match (shape.is_signed, is_signed) {
                (true, _) => &shape.id,
                (false, true) => id,
                (false, false) => return Err(unsigned()),
            };
            let root = signed_root(text, signed_id, trust, allowances)?;
            clear(&root, &shape)?
        }
        Some(AssertionShape::Encrypted) => encrypted(text, &shape, trust, expected)?,
        None => {
            let detail = "the response has no assertion";
            return Err(Refused::new(Reason::AssertionCount, detail));
        }
    };
    rules::judge(answer, trust, expected, now)
}

fn unsigned() -> Refused {
    Refused::new(Reason::Unsigned, "neither response nor assertion is signed")
}

/// What the signatures in `text` cover, which has to be the element with this ID.
fn signed_root(
    text: &str,
    id: &str,
    trust: &Trust,
    allowances: Allowances,
) -> Result<Element, Refused> {
    let bytes = signature::verified(text, &trust.certificates, allowances)?;
    let root = Element::read(&bytes)?;
    if root.attribute("ID") != Some(id) {
        let detail = "the signature covers another element";
        return Err(Refused::new(Reason::Reference, detail));
    }
    Ok(root)
}

/// A response with its assertion in the clear. `root` was verified: the response where it is signed
/// itself, else the assertion.
fn clear(root: &Element, shape: &Shape) -> Result<Answer, Refused> {
    let (head, assertion) = if shape.is_signed {
        (Head::read(root)?, only_assertion(root)?)
    } else {
        (Head::unverified(shape), root)
    };
    Ok(Answer {
        head,
        assertion: read_assertion(assertion)?,
        was_encrypted: false,
    })
}

fn only_assertion(response: &Element) -> Result<&Element, Refused> {
    (response.only(Namespace::Assertion, "Assertion")?)
        .ok_or_else(|| Refused::new(Reason::AssertionCount, "the response has no assertion"))
}

fn read_assertion(element: &Element) -> Result<Assertion, Refused> {
    if element.is(Namespace::Assertion, "Assertion") {
        Assertion::read(element)
    } else {
        Err(Refused::new(
            Reason::AssertionCount,
            "what was verified is no assertion",
        ))
    }
}

/// A response with an encrypted assertion: what comes out passes the gate and the cryptography like
/// a message of its own. It may be unsigned where the response's signature covers the ciphertext.
fn encrypted(
    text: &str,
    shape: &Shape,
    trust: &Trust,
    expected: &Expectations,
) -> Result<Answer, Refused> {
    let allowances = Allowances {
        sha1: expected.allow_sha1,
    };
    let verified = if shape.is_signed {
        Some(signature::verified(text, &trust.certificates, allowances)?)
    } else {
        None
    };
    let source = verified.as_deref().unwrap_or(text);
    let response = Element::read(source)?;
    if response.attribute("ID") != Some(shape.id.as_str()) {
        let detail = "the signature covers another element";
        return Err(Refused::new(Reason::Reference, detail));
    }
    let is_covered = verified.is_some();
    let plaintext = decrypt::assertion(
        &response,
        source,
        &expected.decryption_keys,
        expected.allow_cbc || is_covered,
    )?;
    let (inner, inner_shape) = gate::inspect(plaintext.as_bytes(), Root::Assertion, allowances)?;
    let assertion = if inner_shape.is_signed {
        signed_root(inner, &inner_shape.id, trust, allowances)?
    } else if is_covered {
        Element::read(inner)?
    } else {
        return Err(unsigned());
    };
    Ok(Answer {
        head: if is_covered {
            Head::read(&response)?
        } else {
            Head::unverified(shape)
        },
        assertion: read_assertion(&assertion)?,
        was_encrypted: true,
    })
}

/// More messages wait to be verified than are taken on; a 503.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("too many SAML messages are being verified")]
pub struct Busy;

/// How many callers may wait for a thread.
const LONGEST_QUEUE: usize = 64;

/// Runs work that blocks, such as [`verify`], beside the async threads: as many at a time as there
/// are processors.
///
/// # Errors
/// [`Busy`] when 64 wait already, or at the end of the process.
pub async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Busy> {
    static WORKERS: OnceLock<(Semaphore, Semaphore)> = OnceLock::new();
    let (places, workers) = WORKERS.get_or_init(|| {
        let parallel = std::thread::available_parallelism().map_or(1, usize::from);
        (
            Semaphore::new(parallel + LONGEST_QUEUE),
            Semaphore::new(parallel),
        )
    });
    let place = places.try_acquire().map_err(|_| Busy)?;
    let worker = workers.acquire().await.map_err(|_| Busy)?;
    // The work cannot be ended early, so it keeps its place even when nobody waits for it.
    let done = tokio::task::spawn_blocking(move || {
        let done = work();
        drop((worker, place));
        done
    });
    done.await.map_err(|_| Busy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn form_fields_are_padded_base64() {
        assert_eq!(decode("PGEvPg==").unwrap(), b"<a/>");
        assert_eq!(decode("PGEv\r\nPg==\r\n").unwrap(), b"<a/>");
        assert_eq!(decode(" PGEv Pg==").unwrap(), b"<a/>");
        assert_eq!(decode("").unwrap(), b"");
        for field in [
            "PGEvPg",
            "PGEvPg=",
            "PG-_",
            "PGEvPg==PGEvPg==",
            "<a/>",
            "PGEvPh==",
            "\u{e9}",
        ] {
            assert_eq!(
                decode(field).unwrap_err().reason,
                Reason::Encoding,
                "{field}"
            );
        }
        let long = "A".repeat(LONGEST_FIELD + 1);
        assert_eq!(decode(&long).unwrap_err().reason, Reason::TooLarge);
    }

    #[tokio::test]
    async fn work_beyond_the_queue_is_refused() {
        let parallel = std::thread::available_parallelism().map_or(1, usize::from);
        let (release, held) = std::sync::mpsc::channel::<()>();
        let held = std::sync::Arc::new(std::sync::Mutex::new(held));
        let mut waiting = tokio::task::JoinSet::new();
        for _ in 0..=parallel + LONGEST_QUEUE {
            let held = std::sync::Arc::clone(&held);
            waiting.spawn(off_thread(move || held.lock().unwrap().recv()));
        }
        // All but one have a place, and none of those can end yet.
        assert_eq!(waiting.join_next().await.unwrap().unwrap(), Err(Busy));
        drop(release);
        while let Some(done) = waiting.join_next().await {
            assert!(done.unwrap().is_ok());
        }
        assert_eq!(off_thread(|| 7).await, Ok(7));
    }
}
