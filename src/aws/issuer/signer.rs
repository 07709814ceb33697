//! What holds a private key and signs with it.
//!
//! The seam knows no private key, only that somebody can be asked to sign, and may take a while to
//! do it: a key in a file, behind PKCS#11, or in a key management service all fit. Never here: what
//! is signed. Entry points: [`Signer`], [`FileSigner`].

use std::fmt;

use async_trait::async_trait;
use openssl::{
    bn::BigNumRef,
    ecdsa::EcdsaSig,
    hash::MessageDigest,
    nid::Nid,
    pkey::{HasPublic, Id, PKey, PKeyRef, Private},
    sign,
    x509::X509Ref,
};
use thiserror::Error;

use super::super::Cause;

/// The least bits of an RSA key (NIST SP 800-131A).
pub const LEAST_RSA_BITS: u32 = 2048;
/// The bytes of one half of an ES256 signature (RFC 7518, 3.4).
const P256_BYTES: i32 = 32;

/// A signature algorithm, named as in JWA (RFC 7518).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256; the only one that assertions are signed with.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
}

impl Algorithm {
    /// The name in JOSE headers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
        }
    }

    /// The algorithm that a key is for.
    ///
    /// # Errors
    /// [`WeakKey`] where none is: RSA below 2,048 bits, another curve than P-256, another kind.
    pub fn of<K: HasPublic>(key: &PKeyRef<K>) -> Result<Self, WeakKey> {
        match key.id() {
            Id::RSA if key.bits() >= LEAST_RSA_BITS => Ok(Self::Rs256),
            Id::RSA => Err(WeakKey::Rsa { bits: key.bits() }),
            Id::EC => {
                let curve = key.ec_key().ok().and_then(|key| key.group().curve_name());
                match curve {
                    Some(Nid::X9_62_PRIME256V1) => Ok(Self::Es256),
                    _ => Err(WeakKey::Curve),
                }
            }
            _ => Err(WeakKey::Kind),
        }
    }
}

/// Why a key signs nothing here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum WeakKey {
    /// Too short.
    #[error("holds an RSA key of {bits} bits; expected {LEAST_RSA_BITS} or more")]
    Rsa {
        /// Its length.
        bits: u32,
    },
    /// On another curve.
    #[error("holds an elliptic curve key that is not on P-256; expected P-256, or RSA")]
    Curve,
    /// Neither RSA nor ECDSA.
    #[error("holds a key that is neither RSA nor ECDSA; expected one of them")]
    Kind,
}

/// Somebody who signs with one private key that nobody else sees.
#[async_trait]
pub trait Signer: fmt::Debug + Send + Sync {
    /// With what it signs.
    fn algorithm(&self) -> Algorithm;

    /// The public key: SubjectPublicKeyInfo in DER (RFC 5280).
    fn public_key(&self) -> &[u8];

    /// The certificate of the key in DER, where there is one; assertions need it.
    fn certificate(&self) -> Option<&[u8]>;

    /// Signs `bytes`, which are hashed with SHA-256 here. The form is JWA's: for ES256 the two
    /// numbers of 32 bytes each, one behind the other.
    async fn sign(&self, bytes: &[u8]) -> Result<Vec<u8>, Cause>;
}

/// A private key that was read from a file. Debug shows nothing of it.
pub struct FileSigner {
    algorithm: Algorithm,
    key: PKey<Private>,
    public_key: Vec<u8>,
    certificate: Option<Vec<u8>>,
}

impl FileSigner {
    /// Takes a key, and the certificate of it where there is one.
    ///
    /// # Errors
    /// When the key is too weak, of a kind that is not for signing here, or not the certificate's.
    pub fn new(key: PKey<Private>, certificate: Option<&X509Ref>) -> Result<Self, Cause> {
        if let Some(certificate) = certificate
            && !certificate.public_key()?.public_eq(&key)
        {
            return Err("the certificate is of another key".into());
        }
        Ok(Self {
            algorithm: Algorithm::of(&key)?,
            public_key: key.public_key_to_der()?,
            certificate: certificate.map(X509Ref::to_der).transpose()?,
            key,
        })
    }
}

impl fmt::Debug for FileSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileSigner")
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Signer for FileSigner {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    fn certificate(&self) -> Option<&[u8]> {
        self.certificate.as_deref()
    }

    /// Takes about a millisecond of this thread.
    async fn sign(&self, bytes: &[u8]) -> Result<Vec<u8>, Cause> {
        let mut signer = sign::Signer::new(MessageDigest::sha256(), &self.key)?;
        let signature = signer.sign_oneshot_to_vec(bytes)?;
        match self.algorithm {
            Algorithm::Rs256 => Ok(signature),
            Algorithm::Es256 => {
                let signature = EcdsaSig::from_der(&signature)?;
                let half = |number: &BigNumRef| number.to_vec_padded(P256_BYTES);
                Ok([half(signature.r())?, half(signature.s())?].concat())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use openssl::{
        ec::{EcGroup, EcKey},
        rsa::Rsa,
    };

    use super::*;

    fn on_curve(curve: Nid) -> PKey<Private> {
        let group = EcGroup::from_curve_name(curve).unwrap();
        PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
    }

    #[test]
    fn weak_and_odd_keys_sign_nothing() {
        let short = PKey::from_rsa(Rsa::generate(1024).unwrap()).unwrap();
        let told = FileSigner::new(short, None).unwrap_err().to_string();
        assert_eq!(told, "holds an RSA key of 1024 bits; expected 2048 or more");
        for key in [on_curve(Nid::SECP384R1), PKey::generate_ed25519().unwrap()] {
            assert!(FileSigner::new(key, None).is_err());
        }
    }

    #[tokio::test]
    async fn signatures_on_p256_are_two_numbers_of_32_bytes() {
        let signer = FileSigner::new(on_curve(Nid::X9_62_PRIME256V1), None).unwrap();
        for _ in 0..64 {
            // Short numbers come now and then, and are padded.
            assert_eq!(signer.sign(b"x").await.unwrap().len(), 64);
        }
    }

    #[test]
    fn debug_shows_no_key() {
        let signer = FileSigner::new(on_curve(Nid::X9_62_PRIME256V1), None).unwrap();
        assert_eq!(format!("{signer:?}"), "FileSigner { algorithm: Es256, .. }");
    }
}
