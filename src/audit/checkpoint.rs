//! Signed checkpoints: what the log was at a moment, kept where whoever writes the database cannot.
//!
//! A checkpoint is one JSON line. The signature is over the text
//!
//! ```text
//! rolegate audit checkpoint 1\n AT \n SEQ \n HASH \n KEY_ID \n      without the blanks
//! ```
//!
//! by Ed25519, or by ECDSA on P-256 with SHA-256 (ASN.1), in base64; `key_id` is the first half of
//! the SHA-256 of the public key (DER, SubjectPublicKeyInfo) in hexadecimal. Never here: I/O, the
//! private key in any text. Entry points: [`CheckpointKey`], [`Checkpoint::verify`].

use std::fmt;

use aws_lc_rs::{
    digest::{SHA256, digest},
    encoding::{AsDer as _, PublicKeyX509Der},
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ED25519, EcdsaKeyPair,
        Ed25519KeyPair, KeyPair as _, UnparsedPublicKey, VerificationAlgorithm,
    },
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustls::pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer, pem::PemObject as _};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use zeroize::Zeroizing;

/// What the log was at a moment, signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// When it was signed.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// The place of the last row.
    pub seq: i64,
    /// Its hash, in hexadecimal.
    pub hash: String,
    /// Which key signed.
    pub key_id: String,
    /// The signature, base64.
    pub signature: String,
}

/// Why a checkpoint or a key is of no use.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum CheckpointError {
    /// No key of the two kinds.
    #[error("expected {expected} in PEM, Ed25519 or ECDSA on P-256")]
    Key {
        /// What it should be.
        expected: &'static str,
    },
    /// The machine could not sign.
    #[error("the machine could not sign")]
    Unsigned,
    /// Another key signed it.
    #[error("it was signed by the key {key_id}, not by the one given")]
    OtherKey {
        /// Which one.
        key_id: String,
    },
    /// The signature is not the key's over this content.
    #[error("its signature is forged")]
    Forged,
}

impl Checkpoint {
    fn signed_text(&self) -> String {
        let at = self.at.format(&Rfc3339).unwrap_or_default();
        let Self {
            seq, hash, key_id, ..
        } = self;
        format!("rolegate audit checkpoint 1\n{at}\n{seq}\n{hash}\n{key_id}\n")
    }

    /// Whether the owner of the key signed just this.
    pub fn verify(&self, key: &CheckpointVerifier) -> Result<(), CheckpointError> {
        if self.key_id != key.key_id {
            let key_id = self.key_id.chars().take(64).collect();
            return Err(CheckpointError::OtherKey { key_id });
        }
        let signature = STANDARD
            .decode(&self.signature)
            .map_err(|_| CheckpointError::Forged)?;
        UnparsedPublicKey::new(key.algorithm, &key.der)
            .verify(self.signed_text().as_bytes(), &signature)
            .map_err(|_| CheckpointError::Forged)
    }
}

enum Signer {
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair),
}

/// A key that signs checkpoints. Debug tells its id alone.
pub struct CheckpointKey {
    signer: Signer,
    verifier: CheckpointVerifier,
}

impl fmt::Debug for CheckpointKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CheckpointKey")
            .field(&self.verifier.key_id)
            .finish()
    }
}

impl CheckpointKey {
    /// Reads a private key: PKCS#8 in PEM.
    pub fn from_pem(pem: &[u8]) -> Result<Self, CheckpointError> {
        let not_a_key = CheckpointError::Key {
            expected: "a private key (PKCS#8)",
        };
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem).map_err(|_| not_a_key.clone())?;
        let der = der.secret_pkcs8_der();
        let (signer, public) = if let Ok(pair) = Ed25519KeyPair::from_pkcs8(der) {
            let public = pair.public_key().as_der();
            (Signer::Ed25519(pair), public)
        } else {
            let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der)
                .map_err(|_| not_a_key.clone())?;
            let public = pair.public_key().as_der();
            (Signer::P256(pair), public)
        };
        let public: PublicKeyX509Der<'_> = public.map_err(|_| not_a_key.clone())?;
        Ok(Self {
            signer,
            verifier: CheckpointVerifier::from_der(public.as_ref()).ok_or(not_a_key)?,
        })
    }

    /// Makes a new Ed25519 key and gives it in PEM.
    pub fn generate() -> Result<Zeroizing<String>, CheckpointError> {
        let document = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new())
            .map_err(|_| CheckpointError::Unsigned)?;
        Ok(Zeroizing::new(pem("PRIVATE KEY", document.as_ref())))
    }

    /// The other half, for whoever verifies.
    pub fn verifier(&self) -> &CheckpointVerifier {
        &self.verifier
    }

    /// Signs what the log is at this moment.
    pub fn sign(
        &self,
        at: OffsetDateTime,
        seq: i64,
        hash: &str,
    ) -> Result<Checkpoint, CheckpointError> {
        let mut checkpoint = Checkpoint {
            at,
            seq,
            hash: hash.to_owned(),
            key_id: self.verifier.key_id.clone(),
            signature: String::new(),
        };
        let text = checkpoint.signed_text();
        let signature = match &self.signer {
            Signer::Ed25519(pair) => pair.try_sign(text.as_bytes()),
            Signer::P256(pair) => pair.sign(&SystemRandom::new(), text.as_bytes()),
        };
        let signature = signature.map_err(|_| CheckpointError::Unsigned)?;
        checkpoint.signature = STANDARD.encode(signature);
        Ok(checkpoint)
    }
}

/// A key that checkpoints are verified with.
#[derive(Clone)]
pub struct CheckpointVerifier {
    algorithm: &'static dyn VerificationAlgorithm,
    der: Vec<u8>,
    key_id: String,
}

impl fmt::Debug for CheckpointVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CheckpointVerifier")
            .field(&self.key_id)
            .finish()
    }
}

impl CheckpointVerifier {
    /// Reads a public key: SubjectPublicKeyInfo in PEM.
    pub fn from_pem(pem: &[u8]) -> Result<Self, CheckpointError> {
        let not_a_key = CheckpointError::Key {
            expected: "a public key",
        };
        let der = SubjectPublicKeyInfoDer::from_pem_slice(pem).map_err(|_| not_a_key.clone())?;
        Self::from_der(&der).ok_or(not_a_key)
    }

    fn from_der(der: &[u8]) -> Option<Self> {
        // What stands in front of the 32 bytes of an Ed25519 key, and of the point on P-256.
        const ED25519_BEGINS: &[u8] = &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70];
        const P256_BEGINS: &[u8] = &[
            0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06,
            0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07,
        ];
        let algorithm: &'static dyn VerificationAlgorithm = if der.starts_with(ED25519_BEGINS) {
            &ED25519
        } else if der.starts_with(P256_BEGINS) {
            &ECDSA_P256_SHA256_ASN1
        } else {
            return None;
        };
        let id = hex::encode(digest(&SHA256, der));
        Some(Self {
            algorithm,
            der: der.to_vec(),
            key_id: id.get(..32)?.to_owned(),
        })
    }

    /// The id that its checkpoints name.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The key in PEM.
    pub fn pem(&self) -> String {
        pem("PUBLIC KEY", &self.der)
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = Zeroizing::new(STANDARD.encode(der));
    // Exactly as long as it will be, so that no part of a key is left behind by growing.
    let mut pem = String::with_capacity(text.len() + text.len() / 64 + 2 * label.len() + 40);
    pem.push_str("-----BEGIN ");
    pem.push_str(label);
    pem.push_str("-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = after;
    }
    pem.push_str("-----END ");
    pem.push_str(label);
    pem.push_str("-----\n");
    pem
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const AT: OffsetDateTime = datetime!(2027-01-31 08:00 UTC);

    fn hash() -> String {
        "ab".repeat(32)
    }

    /// An ECDSA key as `openssl genpkey` makes it.
    fn p256() -> CheckpointKey {
        let document =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new());
        CheckpointKey::from_pem(pem("PRIVATE KEY", document.unwrap().as_ref()).as_bytes()).unwrap()
    }

    fn ed25519() -> CheckpointKey {
        CheckpointKey::from_pem(CheckpointKey::generate().unwrap().as_bytes()).unwrap()
    }

    #[test]
    fn both_kinds_of_keys_sign_what_their_public_half_verifies() {
        for key in [ed25519(), p256()] {
            let public = CheckpointVerifier::from_pem(key.verifier().pem().as_bytes()).unwrap();
            assert_eq!(public.key_id(), key.verifier().key_id());
            let checkpoint = key.sign(AT, 7, &hash()).unwrap();
            let line = serde_json::to_string(&checkpoint).unwrap();
            let read: Checkpoint = serde_json::from_str(&line).unwrap();
            assert_eq!(read.verify(&public), Ok(()));
        }
    }

    #[test]
    fn whatever_is_changed_is_forged() {
        let key = ed25519();
        let good = key.sign(AT, 7, &hash()).unwrap();
        let forged = [
            Checkpoint {
                seq: 6,
                ..good.clone()
            },
            Checkpoint {
                hash: "cd".repeat(32),
                ..good.clone()
            },
            Checkpoint {
                at: AT + time::Duration::SECOND,
                ..good.clone()
            },
            Checkpoint {
                signature: "AAAA".to_owned(),
                ..good.clone()
            },
            Checkpoint {
                signature: "not base64".to_owned(),
                ..good.clone()
            },
        ];
        for checkpoint in forged {
            let verified = checkpoint.verify(key.verifier());
            assert_eq!(verified, Err(CheckpointError::Forged), "{checkpoint:?}");
        }
        let verified = good.verify(ed25519().verifier());
        assert!(matches!(verified, Err(CheckpointError::OtherKey { .. })));
    }

    #[test]
    fn what_is_no_key_is_said_to_be_none() {
        let public = ed25519().verifier().pem();
        assert!(CheckpointKey::from_pem(public.as_bytes()).is_err());
        assert!(CheckpointKey::from_pem(b"").is_err());
        assert!(CheckpointVerifier::from_pem(b"-----BEGIN PUBLIC KEY-----\n").is_err());
        let private = CheckpointKey::generate().unwrap();
        assert!(CheckpointVerifier::from_pem(private.as_bytes()).is_err());
        assert_eq!(
            format!("{:?}", ed25519()).len(),
            "CheckpointKey(\"\")".len() + 32
        );
    }
}
