//! Callers of the JSON API, by real HTTP.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use reqwest::{Method, header::HeaderMap};
use rolegate::{access::TokenScope, broker::TokenWish};
use secrecy::ExposeSecret as _;
use serde_json::Value;

use super::{app::TestApp, cookie_browser, editing::client, tokens::browser_of};

/// What came back.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Reply {
    /// The body; null where it is no JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// Status and code.
    pub fn error(&self) -> (u16, String) {
        let code = self.json()["error"].as_str().unwrap_or_default().to_owned();
        (self.status, code)
    }

    /// A header's text, empty when it is not there.
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }
}

/// Somebody who calls.
#[derive(Debug, Clone)]
pub struct ApiCaller {
    url: url::Url,
    headers: Vec<(String, String)>,
}

impl ApiCaller {
    /// Somebody who does not say who they are.
    pub fn nobody(app: &TestApp) -> Self {
        Self {
            url: app.url.clone(),
            headers: Vec::new(),
        }
    }

    /// A sample person by their password.
    pub fn password(app: &TestApp, username: &str) -> Self {
        let pair = STANDARD.encode(format!("{username}:{username}-demo"));
        Self::nobody(app).with("authorization", &format!("Basic {pair}"))
    }

    /// Whoever a token is of.
    pub fn bearer(app: &TestApp, token: &str) -> Self {
        Self::nobody(app).with("authorization", &format!("Bearer {token}"))
    }

    /// A sample person by a token of these scopes, limited to a role where one is given.
    pub async fn token(
        app: &TestApp,
        username: &str,
        scopes: &[TokenScope],
        role: Option<&str>,
    ) -> Self {
        Self::bearer(app, &made_token(app, username, scopes, role).await)
    }

    /// With a header.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.call(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        self.call(Method::POST, path, Some(body.to_string())).await
    }

    /// A call; a body is JSON.
    pub async fn call(&self, method: Method, path: &str, body: Option<String>) -> Reply {
        let url = self.url.join(path).unwrap();
        let mut request = cookie_browser::client().request(method, url);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if let Some(body) = body {
            if !self.headers.iter().any(|(name, _)| name == "content-type") {
                request = request.header("content-type", "application/json");
            }
            request = request.body(body);
        }
        let response = request.send().await.unwrap();
        Reply {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            text: response.text().await.unwrap(),
        }
    }
}

/// A token that a sample person made by hand.
pub async fn made_token(
    app: &TestApp,
    username: &str,
    scopes: &[TokenScope],
    role: Option<&str>,
) -> String {
    let mut session = browser_of(app, username).await;
    let wish = TokenWish {
        name: "of the tests".to_owned(),
        scopes: scopes.iter().copied().collect(),
        role: role.map(str::to_owned),
        lasts: None,
    };
    let made = app.broker.make_token(&mut session, &wish, &client()).await;
    made.unwrap().token.expose_secret().to_owned()
}
