//! An OpenID Connect provider that does what a test says, however wrong: it signs anything, with
//! any key, and answers anything.
//!
//! No imitation of anybody's product; what honest providers do is tried with a real one in
//! [`identity_providers`](super::identity_providers).

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
        Ed25519KeyPair, KeyPair as _,
    },
};
use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use openssl::{
    hash::MessageDigest,
    pkey::{PKey, Private},
    rsa::{Padding, Rsa},
    sign::{RsaPssSaltlen, Signer},
};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;

use super::app::{Options, TestApp};
use super::cookie_browser::{Answer, CookieBrowser};

/// Base64 as JWTs have it.
pub fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// What a token is signed with.
#[derive(Debug, Clone)]
pub enum Hand {
    /// The provider's RSA key, by the algorithm of the header.
    Provider,
    /// Somebody else's RSA key.
    Stranger,
    /// The provider's key of P-256.
    P256,
    /// The provider's key of P-384.
    P384,
    /// The provider's key of Ed25519.
    Ed25519,
    /// A shared secret.
    Secret(Vec<u8>),
    /// Nothing.
    Nobody,
}

/// The provider's keys, and a stranger's.
pub struct Keys {
    /// The one of `k1`.
    pub rsa: PKey<Private>,
    /// One that is not published.
    pub stranger: PKey<Private>,
    p256: EcdsaKeyPair,
    p384: EcdsaKeyPair,
    ed25519: Ed25519KeyPair,
}

impl Keys {
    fn new() -> Self {
        let rsa = || PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
        Self {
            rsa: rsa(),
            stranger: rsa(),
            p256: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
            p384: EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap(),
            ed25519: Ed25519KeyPair::generate().unwrap(),
        }
    }

    /// The public half of an RSA key as JWK.
    pub fn jwk(key: &PKey<Private>, id: &str) -> Value {
        let rsa = key.rsa().unwrap();
        json!({
            "kty": "RSA",
            "kid": id,
            "n": base64url(rsa.n().to_vec()),
            "e": base64url(rsa.e().to_vec()),
        })
    }

    fn published(&self) -> Value {
        let point = |key: &EcdsaKeyPair, id: &str, curve: &str| {
            let (x, y) =
                key.public_key().as_ref()[1..].split_at(key.public_key().as_ref().len() / 2);
            json!({ "kty": "EC", "kid": id, "crv": curve, "x": base64url(x), "y": base64url(y) })
        };
        json!({ "keys": [
            Self::jwk(&self.rsa, "k1"),
            point(&self.p256, "p256", "P-256"),
            point(&self.p384, "p384", "P-384"),
            {
                "kty": "OKP", "kid": "ed", "crv": "Ed25519",
                "x": base64url(self.ed25519.public_key().as_ref()),
            },
        ] })
    }

    /// A token of these parts, which are taken as they are.
    pub fn sign(&self, header: &Value, payload: &str, hand: &Hand) -> String {
        self.sign_text(&header.to_string(), payload, hand)
    }

    /// The same with a header that no JSON library would write.
    pub fn sign_text(&self, header: &str, payload: &str, hand: &Hand) -> String {
        let message = format!("{}.{}", base64url(header), base64url(payload));
        let read: Value = serde_json::from_str(header).unwrap_or_default();
        let algorithm = read["alg"].as_str().unwrap_or_default();
        let signature = match hand {
            Hand::Provider => rsa_signature(&self.rsa, algorithm, message.as_bytes()),
            Hand::Stranger => rsa_signature(&self.stranger, algorithm, message.as_bytes()),
            Hand::P256 => ecdsa(&self.p256, message.as_bytes()),
            Hand::P384 => ecdsa(&self.p384, message.as_bytes()),
            Hand::Ed25519 => self.ed25519.sign(message.as_bytes()).as_ref().to_vec(),
            Hand::Secret(secret) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
                hmac::sign(&key, message.as_bytes()).as_ref().to_vec()
            }
            Hand::Nobody => Vec::new(),
        };
        format!("{message}.{}", base64url(signature))
    }
}

fn ecdsa(key: &EcdsaKeyPair, message: &[u8]) -> Vec<u8> {
    let signature = key.sign(&SystemRandom::new(), message).unwrap();
    signature.as_ref().to_vec()
}

fn rsa_signature(key: &PKey<Private>, algorithm: &str, message: &[u8]) -> Vec<u8> {
    let digest = match algorithm.get(2..) {
        Some("384") => MessageDigest::sha384(),
        Some("512") => MessageDigest::sha512(),
        _ => MessageDigest::sha256(),
    };
    let mut signer = Signer::new(digest, key).unwrap();
    if algorithm.starts_with("PS") {
        signer.set_rsa_padding(Padding::PKCS1_PSS).unwrap();
        signer
            .set_rsa_pss_saltlen(RsaPssSaltlen::DIGEST_LENGTH)
            .unwrap();
    }
    signer.sign_oneshot_to_vec(message).unwrap()
}

/// What an endpoint answers.
#[derive(Debug, Clone)]
pub enum Reply {
    /// JSON with a status.
    Json(u16, Value),
    /// A text that calls itself JSON.
    Text(String),
    /// A redirect to another address.
    Redirect(String),
    /// So many bytes.
    Bytes(usize),
    /// Never anything.
    Silence,
}

impl Reply {
    async fn give(self) -> Response {
        let kind = [(header::CONTENT_TYPE, "application/json")];
        match self {
            Self::Json(status, value) => {
                let status = StatusCode::from_u16(status).unwrap();
                (status, kind, value.to_string()).into_response()
            }
            Self::Text(text) => (kind, text).into_response(),
            Self::Redirect(to) => (StatusCode::FOUND, [(header::LOCATION, to)]).into_response(),
            Self::Bytes(length) => (kind, " ".repeat(length)).into_response(),
            Self::Silence => std::future::pending().await,
        }
    }
}

/// What the provider does.
pub struct Script {
    /// Members of the discovery document; null takes one away.
    pub discovery: BTreeMap<String, Value>,
    /// The key set.
    pub keys: Value,
    /// What the token endpoint answers.
    pub token: Reply,
    /// What the userinfo endpoint answers.
    pub userinfo: Reply,
    /// What the token endpoint was sent: `Authorization`, and the form.
    pub asked: Vec<(String, BTreeMap<String, String>)>,
    /// How often the key set was fetched.
    pub key_fetches: usize,
    /// Every path that was asked for.
    pub paths: Vec<String>,
}

/// A provider that does what it is told.
pub struct Puppet {
    /// What it calls itself.
    pub issuer: String,
    /// Its keys.
    pub keys: Arc<Keys>,
    script: Arc<Mutex<Script>>,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for Puppet {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

#[derive(Clone)]
struct Serving {
    issuer: String,
    script: Arc<Mutex<Script>>,
}

impl Serving {
    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap()
    }
}

impl Puppet {
    /// Starts with honest documents.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let keys = Arc::new(Keys::new());
        let script = Arc::new(Mutex::new(Script {
            discovery: BTreeMap::new(),
            keys: keys.published(),
            token: Reply::Json(400, json!({ "error": "invalid_grant" })),
            userinfo: Reply::Json(401, json!({})),
            asked: Vec::new(),
            key_fetches: 0,
            paths: Vec::new(),
        }));
        let serving = Serving {
            issuer: issuer.clone(),
            script: Arc::clone(&script),
        };
        let pages = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/keys", get(keys_page))
            .route("/token", post(token))
            .route("/userinfo", get(userinfo))
            .fallback(elsewhere)
            .with_state(serving);
        let serving = tokio::spawn(async move {
            let _ = axum::serve(listener, pages).await;
        });
        Self {
            issuer,
            keys,
            script,
            serving,
        }
    }

    /// What it does, to be changed.
    pub fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap()
    }
}

async fn discovery(State(serving): State<Serving>) -> Response {
    let issuer = &serving.issuer;
    let mut document = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "userinfo_endpoint": format!("{issuer}/userinfo"),
        "jwks_uri": format!("{issuer}/keys"),
        "end_session_endpoint": format!("{issuer}/logout"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "authorization_response_iss_parameter_supported": true,
    });
    for (name, value) in &serving.script().discovery {
        if value.is_null() {
            document.as_object_mut().unwrap().remove(name);
        } else {
            document[name] = value.clone();
        }
    }
    Reply::Json(200, document).give().await
}

async fn keys_page(State(serving): State<Serving>) -> Response {
    let keys = {
        let mut script = serving.script();
        script.key_fetches += 1;
        script.keys.clone()
    };
    Reply::Json(200, keys).give().await
}

async fn token(State(serving): State<Serving>, headers: HeaderMap, body: String) -> Response {
    let reply = {
        let mut script = serving.script();
        let authorization = headers.get(header::AUTHORIZATION);
        let authorization = authorization.map_or("", |value| value.to_str().unwrap());
        let form = url::form_urlencoded::parse(body.as_bytes()).into_owned();
        script
            .asked
            .push((authorization.to_owned(), form.collect()));
        script.token.clone()
    };
    reply.give().await
}

async fn userinfo(State(serving): State<Serving>) -> Response {
    let reply = serving.script().userinfo.clone();
    reply.give().await
}

async fn elsewhere(State(serving): State<Serving>, uri: axum::http::Uri) -> StatusCode {
    serving.script().paths.push(uri.path().to_owned());
    StatusCode::NOT_FOUND
}

/// What we sent to the provider.
#[derive(Debug, Clone)]
pub struct Begun {
    /// Where the browser was sent.
    pub url: url::Url,
    /// The parameters.
    pub sent: BTreeMap<String, String>,
}

impl Begun {
    /// `state`.
    pub fn state(&self) -> &str {
        &self.sent["state"]
    }

    /// `nonce`.
    pub fn nonce(&self) -> &str {
        &self.sent["nonce"]
    }
}

/// Rolegate with the connector `idp`, whose provider is a [`Puppet`].
pub struct PuppetStage {
    /// Rolegate.
    pub app: TestApp,
    /// The provider.
    pub provider: Puppet,
}

impl PuppetStage {
    /// Starts both; `connector` is put under the connector's other keys.
    pub async fn start(connector: &str, options: Options) -> Self {
        let provider = Puppet::start().await;
        Self::start_with(provider, connector, options).await
    }

    /// The same with a provider that was told something.
    pub async fn start_with(provider: Puppet, connector: &str, mut options: Options) -> Self {
        let table = format!(
            r#"
[[connector]]
id = "idp"
type = "oidc"
label = "Puppet"
issuer = "{}"
client_id = "rolegate"
client_secret = "planted-client-secret"
{connector}
"#,
            provider.issuer
        );
        options.more_toml.push_str(&table);
        options.overrides.push((
            "AWS__SESSION_NAME".to_owned(),
            "{connector}-{username}".to_owned(),
        ));
        let app = Box::pin(TestApp::start_with(options)).await;
        Self { app, provider }
    }

    /// Presses the button on the sign-in page.
    pub async fn begin(&self, browser: &mut CookieBrowser) -> Begun {
        // Whoever is signed in would be sent on at once.
        browser.cookies.remove("rolegate");
        browser.get("/login").await;
        let answer = browser.post("/login/idp", &[]).await;
        assert_eq!(answer.status, 303, "{}", answer.body);
        let url: url::Url = answer.location().parse().unwrap();
        let sent = url.query_pairs().into_owned().collect();
        Begun { url, sent }
    }

    /// The claims of an honest ID token, now.
    pub fn claims(&self, begun: &Begun) -> Map<String, Value> {
        use rolegate::clock::Clock as _;
        let now = self.app.clock.now().unix_timestamp();
        let claims = json!({
            "iss": self.provider.issuer,
            "aud": "rolegate",
            "sub": "5f0e-ada",
            "exp": now + 300,
            "iat": now,
            "auth_time": now,
            "nonce": begun.nonce(),
            "sid": "session-of-ada",
            "preferred_username": "ada",
            "name": "Ada Lovelace",
            "email": "ada@example.com",
            "groups": ["payments-dev"],
        });
        claims.as_object().unwrap().clone()
    }

    /// Lets the token endpoint answer with this ID token.
    pub fn hand_out(&self, id_token: &str) {
        self.provider.script().token = Reply::Json(
            200,
            json!({
                "access_token": "planted-access-token",
                "token_type": "Bearer",
                "expires_in": 300,
                "id_token": id_token,
            }),
        );
    }

    /// An honest ID token of these claims.
    pub fn sign(&self, claims: &Map<String, Value>) -> String {
        let payload = Value::Object(claims.clone()).to_string();
        let header = json!({ "alg": "RS256", "kid": "k1", "typ": "JWT" });
        self.provider.keys.sign(&header, &payload, &Hand::Provider)
    }

    /// Comes back with these parameters.
    pub async fn come_back(
        &self,
        browser: &mut CookieBrowser,
        parameters: &[(&str, &str)],
    ) -> Answer {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(parameters)
            .finish();
        browser.get(&format!("/oidc/idp/callback?{query}")).await
    }

    /// Comes back as an honest provider sends people, with a code that was not used before.
    pub async fn come_back_well(&self, browser: &mut CookieBrowser, begun: &Begun) -> Answer {
        let code = format!("planted-code-{}", begun.state());
        let issuer = self.provider.issuer.clone();
        let parameters = [("state", begun.state()), ("code", &code), ("iss", &issuer)];
        self.come_back(browser, &parameters).await
    }

    /// Signs somebody in with what `change` makes of the honest claims.
    pub async fn sign_in(
        &self,
        browser: &mut CookieBrowser,
        change: impl FnOnce(&mut Map<String, Value>),
    ) -> Answer {
        let begun = self.begin(browser).await;
        let mut claims = self.claims(&begun);
        change(&mut claims);
        self.hand_out(&self.sign(&claims));
        self.come_back_well(browser, &begun).await
    }
}
