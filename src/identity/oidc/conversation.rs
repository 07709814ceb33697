//! One sign-in: what is derived from the browser's own secret, and what the browser brings back.
//!
//! Of the secret we keep the hash alone, so neither the PKCE verifier nor the nonce can be made
//! from what is in the store. Never here: tokens. Entry points: [`Derived::of`],
//! [`Callback::parse`].

use aws_lc_rs::{
    constant_time::verify_slices_are_equal,
    hkdf::{HKDF_SHA256, Salt},
    rand,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::SecretString;
use url::form_urlencoded;
use zeroize::Zeroizing;

use super::refusal::{Reason, Refused};
use crate::identity::{AttemptSecret, Cause};

/// 160 bits.
const ID_BYTES: usize = 20;
/// The longest query that is read, in bytes.
const LONGEST: usize = 16 * 1024;
/// The longest value of a parameter that is told.
const LONGEST_TOLD: usize = 60;

/// A new conversation's id, which goes as `state`: hexadecimal, as the cookie's name takes it.
pub(super) fn fresh_id() -> Result<String, Cause> {
    let mut bytes = [0; ID_BYTES];
    rand::fill(&mut bytes).map_err(|_| "no random bytes can be had")?;
    Ok(hex::encode(bytes))
}

/// What a conversation has to remember and nobody else may know.
pub(super) struct Derived {
    /// The PKCE verifier (RFC 7636, 4.1); 43 characters of 256 bits.
    pub(super) verifier: Zeroizing<String>,
    /// The nonce of the ID token.
    pub(super) nonce: Zeroizing<String>,
}

impl Derived {
    /// Both, by HKDF (RFC 5869) with the conversation's id as salt.
    pub(super) fn of(secret: &AttemptSecret, id: &str) -> Result<Self, Cause> {
        if secret.expose().is_empty() {
            return Err("the sign-in has no secret to derive from".into());
        }
        let key = Salt::new(HKDF_SHA256, id.as_bytes()).extract(secret.expose());
        let derive = |purpose: &[u8]| {
            let mut bytes = Zeroizing::new([0; 32]);
            key.expand(&[purpose], HKDF_SHA256)
                .and_then(|derived| derived.fill(bytes.as_mut_slice()))
                .map_err(|_| "nothing can be derived from the sign-in's secret")?;
            let text = URL_SAFE_NO_PAD.encode(bytes.as_slice());
            Ok::<_, Cause>(Zeroizing::new(text))
        };
        Ok(Self {
            verifier: derive(b"rolegate oidc pkce verifier v1")?,
            nonce: derive(b"rolegate oidc nonce v1")?,
        })
    }
}

/// Whether two texts are the same, in a time that does not tell where they differ.
pub(super) fn is_same(left: &str, right: &str) -> bool {
    verify_slices_are_equal(left.as_bytes(), right.as_bytes()).is_ok()
}

/// What came back in the query.
pub(super) struct Callback {
    /// The conversation.
    pub(super) state: String,
    /// The code, or what the provider says instead.
    pub(super) outcome: Result<SecretString, Refused>,
    /// Who answers (RFC 9207).
    pub(super) issuer: Option<String>,
}

impl Callback {
    /// Reads a query. A parameter that is there twice is not chosen from (RFC 6749, 3.1).
    pub(super) fn parse(query: &str) -> Result<Self, Refused> {
        let refused = |reason, detail: &str| Refused::new(reason, detail);
        if query.len() > LONGEST {
            return Err(refused(Reason::Response, "the query is too long"));
        }
        let [mut state, mut code, mut error, mut issuer] = [const { None::<String> }; 4];
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let field = match name.as_ref() {
                "state" => &mut state,
                "code" => &mut code,
                "error" => &mut error,
                "iss" => &mut issuer,
                _ => continue,
            };
            if field.replace(value.into_owned()).is_some() {
                return Err(refused(Reason::Response, "a parameter is there twice"));
            }
        }
        let Some(state) = state.filter(|state| !state.is_empty()) else {
            return Err(refused(Reason::State, "the answer has no state"));
        };
        let outcome = match (code, error) {
            (Some(code), None) if !code.is_empty() => Ok(SecretString::from(code)),
            (None, Some(error)) => Err(declined(&error)),
            _ => Err(refused(
                Reason::Response,
                "expected either a code or an error",
            )),
        };
        Ok(Self {
            state,
            outcome,
            issuer,
        })
    }
}

/// What the provider says instead of a code (RFC 6749, 4.1.2.1; OpenID Connect Core, 3.1.2.6). Its
/// description is a stranger's text and is left out.
fn declined(error: &str) -> Refused {
    let reason = match error {
        "access_denied" => Reason::AccessDenied,
        "login_required"
        | "interaction_required"
        | "consent_required"
        | "account_selection_required" => Reason::LoginRequired,
        _ => Reason::ProviderError,
    };
    let told: String = error.chars().take(LONGEST_TOLD).collect();
    Refused::new(reason, format!("the provider answers {told:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(query: &str) -> Option<Reason> {
        match Callback::parse(query) {
            Ok(callback) => callback.outcome.err().map(|refused| refused.reason),
            Err(refused) => Some(refused.reason),
        }
    }

    #[test]
    fn an_answer_is_a_code_or_an_error_of_one_conversation() {
        assert_eq!(reason("state=a&code=b&iss=c&session_state=d"), None);
        assert_eq!(reason("code=b"), Some(Reason::State));
        assert_eq!(reason("state=&code=b"), Some(Reason::State));
        for query in ["state=a", "state=a&code=", "state=a&code=b&error=c"] {
            assert_eq!(reason(query), Some(Reason::Response), "{query}");
        }
        for doubled in ["state=a&state=a&code=b", "state=a&code=b&%63ode=b"] {
            assert_eq!(reason(doubled), Some(Reason::Response), "{doubled}");
        }
        assert_eq!(
            reason("state=a&error=access_denied"),
            Some(Reason::AccessDenied)
        );
        assert_eq!(
            reason("state=a&error=login_required"),
            Some(Reason::LoginRequired)
        );
        assert_eq!(reason("state=a&error=x"), Some(Reason::ProviderError));
        let long = format!("state=a&code={}", "b".repeat(LONGEST));
        assert_eq!(reason(&long), Some(Reason::Response));
    }

    #[test]
    fn what_is_derived_depends_on_the_secret_the_conversation_and_the_purpose() {
        let of = |secret: &str, id: &str| Derived::of(&AttemptSecret::new(secret), id).unwrap();
        let one = of("secret", "id");
        assert_eq!(one.verifier, of("secret", "id").verifier);
        assert_eq!(one.verifier.len(), 43);
        let others = [of("secret2", "id"), of("secret", "id2")];
        for other in &others {
            assert_ne!(one.verifier, other.verifier);
            assert_ne!(one.nonce, other.nonce);
        }
        assert_ne!(one.verifier, one.nonce);
        assert!(Derived::of(&AttemptSecret::default(), "id").is_err());
    }
}
