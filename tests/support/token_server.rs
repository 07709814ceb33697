//! An issuer of tokens for applications: publishes its keys, and answers about opaque tokens, as a
//! test says.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Form, Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::net::TcpListener;

use super::web_token::{TokenKey, key_set};

/// A question about a token.
#[derive(Debug, Clone)]
pub struct Question {
    pub authorization: String,
    pub token: String,
}

struct Says {
    status: u16,
    keys: String,
    tokens: BTreeMap<String, Value>,
    fetches: usize,
    questions: Vec<Question>,
}

/// A running issuer; it stops with the runtime.
pub struct TokenServer {
    /// What it calls itself.
    pub issuer: String,
    /// The key that it publishes first.
    pub key: TokenKey,
    says: Arc<Mutex<Says>>,
}

impl TokenServer {
    /// Publishes a key for `algorithm` on a free port of 127.0.0.1.
    pub async fn start(algorithm: &'static str) -> Self {
        let key = TokenKey::new("k1", algorithm);
        let says = Arc::new(Mutex::new(Says {
            status: 200,
            keys: key_set(&[&key]),
            tokens: BTreeMap::new(),
            fetches: 0,
            questions: Vec::new(),
        }));
        let router = Router::new()
            .route("/jwks", get(keys))
            .route("/introspect", post(introspect))
            .with_state(Arc::clone(&says));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { issuer, key, says }
    }

    fn says(&self) -> MutexGuard<'_, Says> {
        self.says.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Publishes these keys instead.
    pub fn publish(&self, keys: &[&TokenKey]) {
        self.says().keys = key_set(keys);
    }

    /// Publishes this text instead.
    pub fn publish_text(&self, text: &str) {
        text.clone_into(&mut self.says().keys);
    }

    /// Answers everything with this status.
    pub fn answer(&self, status: u16) {
        self.says().status = status;
    }

    /// Says this of an opaque token; all others are not active.
    pub fn say_of(&self, token: &str, answer: Value) {
        self.says().tokens.insert(token.to_owned(), answer);
    }

    /// How often its keys were fetched.
    pub fn fetches(&self) -> usize {
        self.says().fetches
    }

    /// What it was asked.
    pub fn questions(&self) -> Vec<Question> {
        self.says().questions.clone()
    }

    /// Claims of a good token for Ada, from now on for ten minutes.
    pub fn claims(&self, now: OffsetDateTime) -> Value {
        let now = now.unix_timestamp();
        json!({
            "iss": self.issuer, "aud": "rolegate", "sub": "ada", "azp": "shop-web",
            "scope": "read upload", "groups": ["uploaders"],
            "iat": now, "nbf": now, "exp": now + 600,
        })
    }

    /// A good token.
    pub fn token(&self, now: OffsetDateTime) -> String {
        self.key.sign(&self.claims(now))
    }

    /// `[[trusted_issuer]]` by its keys, and more lines.
    pub fn by_keys(&self, id: &str, more: &str) -> String {
        let issuer = &self.issuer;
        format!(
            "[[trusted_issuer]]\nid = \"{id}\"\nissuer = \"{issuer}\"\n\
             jwks_url = \"{issuer}/jwks\"\naudience = \"rolegate\"\n{more}\n"
        )
    }

    /// `[[trusted_issuer]]` by introspection, and more lines.
    pub fn by_introspection(&self, id: &str, more: &str) -> String {
        let issuer = &self.issuer;
        format!(
            "[[trusted_issuer]]\nid = \"{id}\"\nissuer = \"{issuer}\"\n\
             introspection_url = \"{issuer}/introspect\"\nclient_id = \"rolegate\"\n\
             client_secret = \"a secret: of the tests\"\naudience = \"rolegate\"\n{more}\n"
        )
    }
}

type Shared = State<Arc<Mutex<Says>>>;

async fn keys(State(says): Shared) -> Response {
    let mut says = says.lock().unwrap_or_else(PoisonError::into_inner);
    says.fetches += 1;
    let status = StatusCode::from_u16(says.status).unwrap();
    (status, says.keys.clone()).into_response()
}

async fn introspect(
    State(says): Shared,
    headers: HeaderMap,
    Form(form): Form<BTreeMap<String, String>>,
) -> Response {
    let mut says = says.lock().unwrap_or_else(PoisonError::into_inner);
    let token = form["token"].clone();
    let answer = says.tokens.get(&token).cloned();
    let authorization = headers[header::AUTHORIZATION].to_str().unwrap().to_owned();
    says.questions.push(Question {
        authorization,
        token,
    });
    let status = StatusCode::from_u16(says.status).unwrap();
    let answer = answer.unwrap_or_else(|| json!({ "active": false }));
    // A text is answered as it is, whatever it is.
    let text = answer
        .as_str()
        .map_or_else(|| answer.to_string(), str::to_owned);
    (status, text).into_response()
}
