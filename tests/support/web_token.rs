//! Tokens (JWT) signed with keys of a test's own, and a server that publishes those keys.

use std::sync::{Arc, Mutex, PoisonError};

use axum::{Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use openssl::{
    bn::{BigNum, BigNumContext, BigNumRef},
    ec::{EcGroup, EcKey},
    ecdsa::EcdsaSig,
    hash::MessageDigest,
    nid::Nid,
    pkey::{PKey, Private},
    rsa::Rsa,
    sign::Signer,
};
use serde_json::{Value, json};
use url::Url;

/// A key that signs tokens.
#[derive(Debug, Clone)]
pub struct TokenKey {
    pub kid: String,
    pub algorithm: &'static str,
    key: PKey<Private>,
}

impl TokenKey {
    /// A new key for `RS256`… `RS512` or `ES256`… `ES512`.
    pub fn new(kid: &str, algorithm: &'static str) -> Self {
        let key = match curve(algorithm) {
            None => PKey::from_rsa(Rsa::generate(2048).expect("OpenSSL makes RSA keys")),
            Some((curve, _)) => {
                let group = EcGroup::from_curve_name(curve).expect("OpenSSL knows the curve");
                PKey::from_ec_key(EcKey::generate(&group).expect("OpenSSL makes EC keys"))
            }
        };
        Self {
            kid: kid.to_owned(),
            algorithm,
            key: key.expect("a key"),
        }
    }

    /// The public key as JSON (RFC 7517).
    pub fn public(&self) -> Value {
        let encode = |number: &BigNumRef, length: i32| {
            URL_SAFE_NO_PAD.encode(number.to_vec_padded(length).expect("it has the length"))
        };
        let mut key = match curve(self.algorithm) {
            None => {
                let rsa = self.key.rsa().expect("an RSA key");
                let (n, e) = (rsa.n(), rsa.e());
                json!({"kty": "RSA", "n": encode(n, n.num_bytes()), "e": encode(e, e.num_bytes())})
            }
            Some((_, length)) => {
                let ec = self.key.ec_key().expect("an EC key");
                let mut context = BigNumContext::new().expect("OpenSSL works");
                let (mut x, mut y) = (BigNum::new().expect("zero"), BigNum::new().expect("zero"));
                ec.public_key()
                    .affine_coordinates(ec.group(), &mut x, &mut y, &mut context)
                    .expect("a point");
                let name = self.algorithm.replace("ES512", "P-521").replace("ES", "P-");
                json!({"kty": "EC", "crv": name, "x": encode(&x, length), "y": encode(&y, length)})
            }
        };
        key["kid"] = json!(self.kid);
        key["alg"] = json!(self.algorithm);
        key["use"] = json!("sig");
        key
    }

    /// The public key in PEM.
    pub fn public_pem(&self) -> Vec<u8> {
        self.key.public_key_to_pem().expect("a public key")
    }

    /// A token of these claims.
    pub fn sign(&self, claims: &Value) -> String {
        let header = json!({"typ": "JWT", "alg": self.algorithm, "kid": self.kid});
        self.sign_with_header(&header, claims)
    }

    /// A token with a header of the caller's.
    pub fn sign_with_header(&self, header: &Value, claims: &Value) -> String {
        self.sign_texts(&header.to_string(), &claims.to_string())
    }

    /// A token of claims that are written as they are, for JSON that a [`Value`] cannot be.
    pub fn sign_text(&self, claims: &str) -> String {
        let header = json!({"typ": "JWT", "alg": self.algorithm, "kid": self.kid});
        self.sign_texts(&header.to_string(), claims)
    }

    fn sign_texts(&self, header: &str, claims: &str) -> String {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let signed = format!("{}.{}", part(header), part(claims));
        let digest = match &self.algorithm[2..] {
            "256" => MessageDigest::sha256(),
            "384" => MessageDigest::sha384(),
            _ => MessageDigest::sha512(),
        };
        let mut signer = Signer::new(digest, &self.key).expect("the key signs");
        let made = signer.sign_oneshot_to_vec(signed.as_bytes());
        let mut signature = made.expect("the key signs");
        if let Some((_, length)) = curve(self.algorithm) {
            let pair = EcdsaSig::from_der(&signature).expect("a signature");
            let fixed = |number: &BigNumRef| number.to_vec_padded(length);
            let parts = [fixed(pair.r()), fixed(pair.s())].map(|part| part.expect("it has room"));
            signature = parts.concat();
        }
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn curve(algorithm: &str) -> Option<(Nid, i32)> {
    match algorithm {
        "ES256" => Some((Nid::X9_62_PRIME256V1, 32)),
        "ES384" => Some((Nid::SECP384R1, 48)),
        "ES512" => Some((Nid::SECP521R1, 66)),
        _ => None,
    }
}

/// A JWKS of public keys.
pub fn key_set(keys: &[&TokenKey]) -> String {
    let keys: Vec<Value> = keys.iter().map(|key| key.public()).collect();
    json!({ "keys": keys }).to_string()
}

/// What a [`TokenIssuer`] answers: the discovery document and the keys, each with its status.
#[derive(Debug, Clone)]
pub struct Published {
    pub discovery: (u16, String),
    pub keys: (u16, String),
}

/// A server with a discovery document and keys; it stops with the runtime.
#[derive(Debug)]
pub struct TokenIssuer {
    pub url: Url,
    published: Arc<Mutex<Published>>,
}

impl TokenIssuer {
    /// Publishes on a free port of 127.0.0.1.
    pub async fn start(published: Published) -> Self {
        let published = Arc::new(Mutex::new(published));
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/jwks", get(keys))
            .with_state(Arc::clone(&published));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a free port on 127.0.0.1");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self {
            url: Url::parse(&format!("http://{address}/")).expect("a URL"),
            published,
        }
    }

    /// Publishes something else from now on.
    pub fn publish(&self, published: Published) {
        *locked(&self.published) = published;
    }
}

fn locked(published: &Mutex<Published>) -> std::sync::MutexGuard<'_, Published> {
    published.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn discovery(State(published): State<Arc<Mutex<Published>>>) -> impl IntoResponse {
    answer(locked(&published).discovery.clone())
}

async fn keys(State(published): State<Arc<Mutex<Published>>>) -> impl IntoResponse {
    answer(locked(&published).keys.clone())
}

fn answer((status, body): (u16, String)) -> impl IntoResponse {
    (StatusCode::from_u16(status).expect("a status"), body)
}
