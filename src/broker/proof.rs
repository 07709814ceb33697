//! Answers of providers that AWS takes too, held with the sign-in session that they belong to.
//!
//! The store knows a session by the hash of its id and a proof by its sealed form; the key is made
//! from the id itself, which is in the browser's cookie alone. So there is no key to keep, and any
//! replica opens what another one sealed. Entry points: [`Broker::hold_proof`],
//! [`Broker::held_proof`].

use std::fmt;

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    error::Unspecified,
    hkdf::{HKDF_SHA256, Salt},
    rand,
};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use secrecy::{ExposeSecret as _, SecretString};
use time::OffsetDateTime;
use zeroize::{Zeroize as _, Zeroizing};

use super::Broker;
use crate::{
    identity::{HeldProof, ProofKind},
    store::{SignInSession, StoreError},
};

/// What the key is for; another form of the sealed text gets another name.
const PURPOSE: &[u8] = b"rolegate held proof v2";
/// The moment of holding and the kind stand before the secret.
const MOMENT_LEN: usize = size_of::<i64>();
/// Ends the kind; in no provider's name and no secret.
const KIND_END: u8 = b'\n';

/// The id of a sign-in session, of which the store knows the hash alone. A bearer secret: it is
/// wiped when dropped, and Debug shows nothing of it.
pub struct SessionSecret([u8; 16]);

impl SessionSecret {
    /// Wraps the sixteen bytes of the id, big-endian.
    pub fn new(id: [u8; 16]) -> Self {
        Self(id)
    }

    /// The key of this session's proofs (RFC 5869; the id is uniformly random, so no salt).
    fn key(&self) -> Result<LessSafeKey, Unspecified> {
        let mut key = Zeroizing::new([0; 32]);
        Salt::new(HKDF_SHA256, &[])
            .extract(&self.0)
            .expand(&[PURPOSE], HKDF_SHA256)?
            .fill(key.as_mut_slice())?;
        Ok(LessSafeKey::new(UnboundKey::new(
            &AES_256_GCM,
            key.as_slice(),
        )?))
    }

    /// Seals `plain`, which opens for the session of `id_hash` alone.
    fn seal(&self, id_hash: &str, plain: &[u8]) -> Result<String, Unspecified> {
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce)?;
        // With room for the tag: growing would leave a copy of the secret behind.
        let mut sealed = Zeroizing::new(Vec::with_capacity(plain.len() + AES_256_GCM.tag_len()));
        sealed.extend_from_slice(plain);
        self.key()?.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(id_hash.as_bytes()),
            &mut *sealed,
        )?;
        Ok(STANDARD_NO_PAD.encode([&nonce, sealed.as_slice()].concat()))
    }

    /// Opens what [`seal`](Self::seal) made.
    fn open(&self, id_hash: &str, sealed: &str) -> Result<Zeroizing<Vec<u8>>, Unspecified> {
        let mut bytes = STANDARD_NO_PAD.decode(sealed).map_err(|_| Unspecified)?;
        if bytes.len() < NONCE_LEN {
            return Err(Unspecified);
        }
        let mut content = Zeroizing::new(bytes.split_off(NONCE_LEN));
        let nonce = Nonce::try_assume_unique_for_key(&bytes)?;
        let aad = Aad::from(id_hash.as_bytes());
        let length = self.key()?.open_in_place(nonce, aad, &mut content)?.len();
        content.truncate(length);
        Ok(content)
    }
}

impl Drop for SessionSecret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for SessionSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionSecret(redacted)")
    }
}

/// A proof as it is held.
pub(super) struct Held {
    pub(super) kind: ProofKind,
    pub(super) secret: SecretString,
    /// Since when it is held.
    pub(super) since: OffsetDateTime,
    pub(super) redeem_by: OffsetDateTime,
}

impl Broker {
    /// Holds a proof with a saved sign-in session until AWS would refuse it; replaces an older one.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is no such session.
    pub async fn hold_proof(
        &self,
        id_hash: &str,
        secret: &SessionSecret,
        proof: HeldProof,
    ) -> Result<(), StoreError> {
        let kind = kind_text(&proof.kind);
        let held = proof.secret.expose_secret().as_bytes();
        let length = MOMENT_LEN + kind.len() + 1 + held.len();
        let mut plain = Zeroizing::new(Vec::with_capacity(length));
        plain.extend_from_slice(&self.now().unix_timestamp().to_be_bytes());
        plain.extend_from_slice(kind.as_bytes());
        plain.push(KIND_END);
        plain.extend_from_slice(held);
        let sealed = secret
            .seal(id_hash, &plain)
            .map_err(|_| StoreError::unavailable("the proof cannot be sealed"))?;
        self.adapters
            .conversations
            .hold_proof(id_hash, &sealed, proof.redeem_by)
            .await
    }

    /// The proof that is held with a session and from when on AWS refuses it. None where there is
    /// none or that moment is past.
    pub async fn held_proof(
        &self,
        session: &SignInSession,
        secret: &SessionSecret,
    ) -> Result<Option<(SecretString, OffsetDateTime)>, StoreError> {
        let held = self.held(&session.id_hash, secret).await?;
        Ok(held.map(|held| (held.secret, held.redeem_by)))
    }

    pub(super) async fn held(
        &self,
        id_hash: &str,
        secret: &SessionSecret,
    ) -> Result<Option<Held>, StoreError> {
        let conversations = &self.adapters.conversations;
        let Some((sealed, redeem_by)) = conversations.held_proof(id_hash, self.now()).await? else {
            return Ok(None);
        };
        let opened = secret.open(id_hash, &sealed).ok();
        let Some((since, kind, secret)) = opened.as_deref().and_then(|plain| take_apart(plain))
        else {
            // Not this session's secret, or somebody wrote to the table: as good as none.
            tracing::warn!("a held proof cannot be opened");
            return Ok(None);
        };
        Ok(Some(Held {
            kind,
            secret,
            since,
            redeem_by,
        }))
    }
}

fn take_apart(plain: &[u8]) -> Option<(OffsetDateTime, ProofKind, SecretString)> {
    let (moment, rest) = plain.split_first_chunk::<MOMENT_LEN>()?;
    let since = OffsetDateTime::from_unix_timestamp(i64::from_be_bytes(*moment)).ok()?;
    let (kind, secret) = std::str::from_utf8(rest)
        .ok()?
        .split_once(char::from(KIND_END))?;
    let kind = match kind.split_once(' ') {
        None if kind == "saml" => ProofKind::SamlResponse,
        None if kind == "id-token" => ProofKind::IdToken,
        Some(("access-token", provider_id)) => ProofKind::AccessToken {
            provider_id: provider_id.to_owned(),
        },
        _ => return None,
    };
    Some((since, kind, secret.into()))
}

fn kind_text(kind: &ProofKind) -> String {
    match kind {
        ProofKind::SamlResponse => "saml".to_owned(),
        ProofKind::IdToken => "id-token".to_owned(),
        ProofKind::AccessToken { provider_id } => format!("access-token {provider_id}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "0f1e";

    #[test]
    fn what_is_sealed_opens_for_the_same_session_alone() {
        let secret = SessionSecret::new([7; 16]);
        let sealed = secret.seal(HASH, b"planted response").unwrap();
        assert_eq!(
            secret.open(HASH, &sealed).unwrap().as_slice(),
            b"planted response"
        );
        assert!(secret.open("0f1f", &sealed).is_err());
        assert!(SessionSecret::new([8; 16]).open(HASH, &sealed).is_err());
    }

    #[test]
    fn the_same_proof_never_looks_the_same() {
        let secret = SessionSecret::new([7; 16]);
        assert_ne!(
            secret.seal(HASH, b"x").unwrap(),
            secret.seal(HASH, b"x").unwrap()
        );
    }

    #[test]
    fn a_changed_text_does_not_open() {
        let secret = SessionSecret::new([7; 16]);
        let sealed = secret.seal(HASH, b"planted response").unwrap();
        for at in 0..sealed.len() {
            let mut changed = sealed.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(secret.open(HASH, &changed).is_err(), "at {at}");
        }
        for cut in ["", "AAAA", &sealed[..sealed.len() - 4], "not base64!"] {
            assert!(secret.open(HASH, cut).is_err());
        }
    }

    #[test]
    fn the_secret_is_not_shown() {
        let shown = format!("{:?}", SessionSecret::new([7; 16]));
        assert_eq!(shown, "SessionSecret(redacted)");
    }
}
