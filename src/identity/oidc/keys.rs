//! The keys that a provider publishes (RFC 7517).
//!
//! Never here: keys that a token brings along; `jwk`, `jku`, `x5c` and `x5u` are not read. Entry
//! points: [`Keys::parse`], `Keys::verify`.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use openidconnect::{
    JsonWebKey as _, JsonWebKeyAlgorithm,
    core::{CoreJsonWebKey, CoreJsonWebKeySet, CoreJsonWebKeyType},
};

use super::{
    refusal::{Reason, Refused},
    settings::Algorithm,
};

/// The least bytes of an RSA modulus: 2048 bits (NIST SP 800-131A).
const LEAST_RSA_BYTES: usize = 256;
/// The most keys that are looked at; more is no key set of one provider.
const MOST_KEYS: usize = 100;

/// Keys that may verify signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys(Vec<CoreJsonWebKey>);

impl Keys {
    /// Reads a key set. Keys that are not for signatures, of a kind that is not known or too weak
    /// are left out.
    ///
    /// # Errors
    /// What is wrong with it, for an operator.
    pub fn parse(text: &str) -> Result<Self, String> {
        let set: CoreJsonWebKeySet = serde_json::from_str(text)
            .map_err(|error| format!("the key set cannot be read: {error}"))?;
        let keys: Vec<_> = set
            .keys()
            .iter()
            .filter(|key| is_usable(key))
            .cloned()
            .collect();
        if keys.is_empty() {
            return Err("the key set has no key that signatures can be verified with".to_owned());
        }
        if keys.len() > MOST_KEYS {
            return Err(format!("the key set has more than {MOST_KEYS} keys"));
        }
        Ok(Self(keys))
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Verifies a signature with the key that is named, or any that fits where none is.
    pub(in crate::identity) fn verify(
        &self,
        algorithm: &Algorithm,
        key_id: Option<&str>,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), Refused> {
        let named = |key: &&CoreJsonWebKey| {
            key_id.is_none_or(|id| key.key_id().is_some_and(|own| own.as_str() == id))
        };
        let mut candidates = self.0.iter().filter(named).peekable();
        if candidates.peek().is_none() {
            return Err(Refused::new(
                Reason::UnknownKey,
                format!(
                    "the provider publishes no key {:?}",
                    key_id.unwrap_or_default()
                ),
            ));
        }
        if candidates.any(|key| key.verify_signature(algorithm, message, signature).is_ok()) {
            return Ok(());
        }
        Err(Refused::new(
            Reason::Signature,
            "no key of the provider made this signature",
        ))
    }
}

fn is_usable(key: &CoreJsonWebKey) -> bool {
    let may_verify = key
        .key_use()
        .is_none_or(openidconnect::JsonWebKeyUse::allows_signature)
        && !matches!(key.signing_alg(), JsonWebKeyAlgorithm::Unsupported);
    may_verify
        && match key.key_type() {
            CoreJsonWebKeyType::RSA => rsa_bytes(key) >= LEAST_RSA_BYTES,
            CoreJsonWebKeyType::EllipticCurve | CoreJsonWebKeyType::OctetKeyPair => true,
            // A shared secret in a public key set.
            _ => false,
        }
}

/// The length of the modulus, which the library keeps to itself.
fn rsa_bytes(key: &CoreJsonWebKey) -> usize {
    let modulus = serde_json::to_value(key).ok().and_then(|key| {
        let text = key.get("n")?.as_str()?.trim_end_matches('=').to_owned();
        URL_SAFE_NO_PAD.decode(text).ok()
    });
    let modulus = modulus.unwrap_or_default();
    modulus.iter().skip_while(|byte| **byte == 0).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_without_a_usable_key_is_refused() {
        let short = URL_SAFE_NO_PAD.encode([0xff; 128]);
        let long = URL_SAFE_NO_PAD.encode([0xff; 256]);
        for (set, is_taken) in [
            ("{}".to_owned(), false),
            (r#"{"keys":[]}"#.to_owned(), false),
            (
                r#"{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}"#.to_owned(),
                false,
            ),
            (
                format!(r#"{{"keys":[{{"kty":"RSA","n":"{short}","e":"AQAB"}}]}}"#),
                false,
            ),
            (
                format!(r#"{{"keys":[{{"kty":"RSA","n":"{long}","e":"AQAB","use":"enc"}}]}}"#),
                false,
            ),
            (
                format!(r#"{{"keys":[{{"kty":"AKP"}},{{"kty":"RSA","n":"{long}","e":"AQAB"}}]}}"#),
                true,
            ),
        ] {
            assert_eq!(Keys::parse(&set).is_ok(), is_taken, "{set}");
        }
    }
}
