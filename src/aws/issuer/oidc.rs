//! Tokens for one role and what verifies them: JWS (RFC 7515), JWK (RFC 7517), OpenID Connect
//! Discovery 1.0.
//!
//! Never here: whether somebody may; a private key. Entry points:
//! [`PublicKey`], [`Claims`].

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use openssl::{
    bn::{BigNum, BigNumContext},
    pkey::PKey,
};
use serde::Serialize;
use zeroize::Zeroizing;

use super::{
    super::Cause,
    IssuerError,
    signer::{Algorithm, Signer},
};

/// The bytes of a coordinate on P-256 (RFC 7518, 6.2.1.2).
const P256_BYTES: i32 = 32;

/// A public key as others fetch it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct PublicKey {
    kid: String,
    #[serde(rename = "use")]
    purpose: &'static str,
    alg: &'static str,
    #[serde(flatten)]
    parameters: Parameters,
}

/// The members that make a key what it is, in the order that RFC 7638 hashes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
enum Parameters {
    Rsa {
        e: String,
        kty: &'static str,
        n: String,
    },
    Curve {
        crv: &'static str,
        kty: &'static str,
        x: String,
        y: String,
    },
}

impl PublicKey {
    /// The public half of a signer's key.
    pub(super) fn of(signer: &dyn Signer) -> Result<Self, Cause> {
        let key = PKey::public_key_from_der(signer.public_key())?;
        let algorithm = signer.algorithm();
        let encode = |bytes: Vec<u8>| URL_SAFE_NO_PAD.encode(bytes);
        let parameters = match algorithm {
            Algorithm::Rs256 => {
                let key = key.rsa()?;
                Parameters::Rsa {
                    e: encode(key.e().to_vec()),
                    kty: "RSA",
                    n: encode(key.n().to_vec()),
                }
            }
            Algorithm::Es256 => {
                let key = key.ec_key()?;
                let (mut x, mut y) = (BigNum::new()?, BigNum::new()?);
                let mut context = BigNumContext::new()?;
                let point = key.public_key();
                point.affine_coordinates(key.group(), &mut x, &mut y, &mut context)?;
                Parameters::Curve {
                    crv: "P-256",
                    kty: "EC",
                    x: encode(x.to_vec_padded(P256_BYTES)?),
                    y: encode(y.to_vec_padded(P256_BYTES)?),
                }
            }
        };
        let canonical = serde_json::to_vec(&parameters)?;
        Ok(Self {
            kid: encode(digest(&SHA256, &canonical).as_ref().to_vec()),
            purpose: "sig",
            alg: algorithm.as_str(),
            parameters,
        })
    }

    /// The key's thumbprint (RFC 7638), by which a token names it.
    pub(super) fn kid(&self) -> &str {
        &self.kid
    }
}

/// A JWK Set of every key, the one that signs first.
pub(super) fn key_set(keys: &[PublicKey]) -> Result<String, Cause> {
    #[derive(Serialize)]
    struct KeySet<'k> {
        keys: &'k [PublicKey],
    }
    Ok(serde_json::to_string(&KeySet { keys })?)
}

/// The provider configuration: what Discovery 1.0, section 3 demands and AWS reads. There is no
/// authorization endpoint, since nobody signs in here by it; the member is demanded all the same, so
/// it leads to our own front page.
pub(super) fn discovery(
    issuer: &str,
    sign_in_url: &str,
    keys: &[PublicKey],
) -> Result<String, Cause> {
    #[derive(Serialize)]
    struct Discovery<'d> {
        issuer: &'d str,
        authorization_endpoint: &'d str,
        jwks_uri: String,
        response_types_supported: [&'static str; 1],
        subject_types_supported: [&'static str; 1],
        id_token_signing_alg_values_supported: Vec<&'static str>,
        claims_supported: [&'static str; 9],
    }
    let mut algorithms: Vec<&'static str> = keys.iter().map(|key| key.alg).collect();
    // Discovery demands RS256 in the list; AWS and everybody else go by the key.
    algorithms.push(Algorithm::Rs256.as_str());
    algorithms.sort_unstable();
    algorithms.dedup();
    Ok(serde_json::to_string(&Discovery {
        issuer,
        authorization_endpoint: sign_in_url,
        jwks_uri: format!("{issuer}/issuer/jwks"),
        response_types_supported: ["id_token"],
        subject_types_supported: ["public"],
        id_token_signing_alg_values_supported: algorithms,
        claims_supported: [
            "iss",
            "aud",
            "sub",
            "iat",
            "nbf",
            "exp",
            "jti",
            TAGS,
            SOURCE_IDENTITY,
        ],
    })?)
}

const TAGS: &str = "https://aws.amazon.com/tags";
const SOURCE_IDENTITY: &str = "https://aws.amazon.com/source_identity";

/// What one token says. Times are seconds since 1970.
#[derive(Serialize)]
pub(super) struct Claims<'a> {
    pub(super) iss: &'a str,
    pub(super) aud: &'a str,
    pub(super) sub: &'a str,
    pub(super) iat: i64,
    pub(super) nbf: i64,
    pub(super) exp: i64,
    pub(super) jti: &'a str,
    #[serde(rename = "https://aws.amazon.com/tags")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tags: Option<Tags<'a>>,
    #[serde(rename = "https://aws.amazon.com/source_identity")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) source_identity: Option<&'a str>,
}

/// Session tags as AWS reads them (IAM User Guide, "Passing session tags using
/// AssumeRoleWithWebIdentity").
#[derive(Serialize)]
pub(super) struct Tags<'a> {
    principal_tags: BTreeMap<&'a str, [&'a str; 1]>,
    transitive_tag_keys: [&'a str; 0],
}

impl<'a> Tags<'a> {
    /// None where there are none: the claim alone would ask for `sts:TagSession`.
    pub(super) fn of(tags: &'a BTreeMap<String, String>) -> Option<Self> {
        let values = tags.iter().map(|(key, value)| (&**key, [&**value]));
        (!tags.is_empty()).then(|| Self {
            principal_tags: values.collect(),
            transitive_tag_keys: [],
        })
    }
}

impl Claims<'_> {
    /// The token: a compact JWS.
    pub(super) async fn sign(
        &self,
        signer: &dyn Signer,
        kid: &str,
    ) -> Result<Zeroizing<String>, IssuerError> {
        #[derive(Serialize)]
        struct Header<'h> {
            alg: &'static str,
            kid: &'h str,
            typ: &'static str,
        }
        let header = Header {
            alg: signer.algorithm().as_str(),
            kid,
            typ: "JWT",
        };
        let failed = |error: serde_json::Error| IssuerError::Signer(error.into());
        let header = serde_json::to_vec(&header).map_err(failed)?;
        let claims = Zeroizing::new(serde_json::to_vec(self).map_err(failed)?);
        let mut token = Zeroizing::new(URL_SAFE_NO_PAD.encode(header));
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims.as_slice(), &mut token);
        let signature = signer.sign(token.as_bytes()).await;
        let signature = signature.map_err(IssuerError::Signer)?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }
}
