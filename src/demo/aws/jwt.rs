//! JSON Web Tokens as STS reads them: five algorithms, no others, keys from a JSON Web Key Set.
//!
//! Source: RFC 7515, RFC 7517, RFC 7518. Claims are judged in `web_identity`. Entry points:
//! [`Token::parse`], [`KeySet::parse`].

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED,
    EcdsaVerificationAlgorithm, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value};

/// A token whose form is right; nothing in it is to be believed before [`Token::is_signed_by`].
pub(super) struct Token {
    header: Header,
    pub(super) claims: Map<String, Value>,
    signed: String,
    signature: Vec<u8>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

/// Public keys that an issuer signs with.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct KeySet {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Key {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    alg: Option<String>,
    n: Option<String>,
    e: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

enum Algorithm {
    Rsa(&'static RsaParameters),
    Ecdsa {
        verification: &'static EcdsaVerificationAlgorithm,
        curve: &'static str,
        coordinate_bytes: usize,
    },
}

impl Token {
    /// Reads the compact form.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let header: Header = serde_json::from_slice(&decode(header)?).ok()?;
        Some(Self {
            header,
            claims: serde_json::from_slice(&decode(claims)?).ok()?,
            signed: signed.to_owned(),
            signature: decode(signature)?,
        })
    }

    /// Whether the key that the token names made its signature. Without a `kid` the set must have
    /// one key alone.
    pub(super) fn is_signed_by(&self, set: &KeySet) -> bool {
        let Some(algorithm) = Algorithm::named(&self.header.alg) else {
            return false;
        };
        // An extension that nobody here knows would have to be understood.
        if self.header.crit.is_some() {
            return false;
        }
        let keys = (set.keys.iter()).filter_map(|key| Key::deserialize(key).ok());
        let keys: Vec<Key> = match &self.header.kid {
            Some(kid) => keys.filter(|key| key.kid.as_ref() == Some(kid)).collect(),
            None if set.keys.len() == 1 => keys.collect(),
            None => return false,
        };
        keys.iter().any(|key| {
            let is_fit = key.usage.as_deref().is_none_or(|usage| usage == "sig")
                && (key.alg.as_ref()).is_none_or(|alg| *alg == self.header.alg);
            is_fit && key.verifies(&algorithm, self).is_some()
        })
    }
}

impl KeySet {
    /// Reads a JWKS; keys of a kind that is not known stay unused.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        serde_json::from_slice(text).ok()
    }
}

impl Algorithm {
    fn named(name: &str) -> Option<Self> {
        let ecdsa = |verification, curve, coordinate_bytes| Self::Ecdsa {
            verification,
            curve,
            coordinate_bytes,
        };
        Some(match name {
            "RS256" => Self::Rsa(&RSA_PKCS1_2048_8192_SHA256),
            "RS384" => Self::Rsa(&RSA_PKCS1_2048_8192_SHA384),
            "RS512" => Self::Rsa(&RSA_PKCS1_2048_8192_SHA512),
            "ES256" => ecdsa(&ECDSA_P256_SHA256_FIXED, "P-256", 32),
            "ES384" => ecdsa(&ECDSA_P384_SHA384_FIXED, "P-384", 48),
            "ES512" => ecdsa(&ECDSA_P521_SHA512_FIXED, "P-521", 66),
            _ => return None,
        })
    }
}

impl Key {
    fn verifies(&self, algorithm: &Algorithm, token: &Token) -> Option<()> {
        let part = |value: &Option<String>| decode(value.as_deref()?);
        let signed = token.signed.as_bytes();
        match algorithm {
            Algorithm::Rsa(parameters) if self.kty == "RSA" => {
                let (n, e) = (part(&self.n)?, part(&self.e)?);
                let key = RsaPublicKeyComponents { n: &n, e: &e };
                key.verify(parameters, signed, &token.signature).ok()
            }
            Algorithm::Ecdsa {
                verification,
                curve,
                coordinate_bytes,
            } if self.kty == "EC" && self.crv.as_deref() == Some(*curve) => {
                let (x, y) = (part(&self.x)?, part(&self.y)?);
                if x.len() != *coordinate_bytes || y.len() != *coordinate_bytes {
                    return None;
                }
                let point = [&[4], x.as_slice(), y.as_slice()].concat();
                let key = UnparsedPublicKey::new(*verification, point);
                key.verify(signed, &token.signature).ok()
            }
            _ => None,
        }
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}
