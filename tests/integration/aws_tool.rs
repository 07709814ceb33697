//! A stock AWS tool as far as HTTP goes, and the person who lets it act for them.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::Method;
use serde_json::{Value, json};
use url::Url;

use crate::support::{
    app::TestApp,
    cookie_browser::{Answer, CookieBrowser, client},
};

/// Where the command line listens; with another port each time.
pub(crate) const CALLBACK: &str = "http://127.0.0.1:43211/oauth/callback";
pub(crate) const VERIFIER: &str = "a-verifier-that-is-long-enough-for-rfc-7636-4.1";
pub(crate) const STATE: &str = "8d9c0f4e-6a5b-4c3d-9e2f-1a0b9c8d7e6f";

/// An answer of the wire.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) status: u16,
    /// `x-amzn-ErrorType`, empty where there is none.
    pub(crate) error: String,
    pub(crate) headers: reqwest::header::HeaderMap,
    /// Null where the body is empty.
    pub(crate) body: Value,
}

impl Wire {
    /// Status and error name, the way clients see them.
    pub(crate) fn outcome(&self) -> (u16, &str) {
        (self.status, &self.error)
    }

    pub(crate) fn text(&self, member: &str) -> String {
        self.body[member]
            .as_str()
            .unwrap_or_else(|| panic!("no {member} in {self:?}"))
            .to_owned()
    }
}

async fn read(response: reqwest::Response) -> Wire {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.unwrap();
    let error = headers.get("x-amzn-errortype");
    assert_eq!(headers["cache-control"], "no-store");
    assert!(headers.contains_key("x-amzn-requestid"));
    Wire {
        status,
        error: error.map_or_else(String::new, |name| name.to_str().unwrap().to_owned()),
        body: if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&text).unwrap_or_else(|_| panic!("no JSON: {text}"))
        },
        headers,
    }
}

/// A registered tool.
pub(crate) struct Tool {
    url: Url,
    pub(crate) client_id: String,
    pub(crate) client_secret: String,
    /// Sent with every request.
    pub(crate) forwarded_for: Option<String>,
}

impl Tool {
    /// Registers as `aws sso login` does for an `sso-session` with PKCE.
    pub(crate) async fn by_code(app: &TestApp) -> Self {
        Self::registered(
            app,
            &json!({
                "clientName": "botocore-client-corp",
                "clientType": "public",
                "grantTypes": ["authorization_code", "refresh_token"],
                "redirectUris": ["http://127.0.0.1/oauth/callback"],
                "issuerUrl": "https://d-0000000000.awsapps.com/start",
                "scopes": ["sso:account:access"],
            }),
        )
        .await
    }

    /// Registers as `aws sso login --use-device-code` does.
    pub(crate) async fn by_device(app: &TestApp) -> Self {
        Self::registered(
            app,
            &json!({
                "clientName": "botocore-client-1767225600",
                "clientType": "public",
                "scopes": ["sso:account:access"],
            }),
        )
        .await
    }

    pub(crate) async fn registered(app: &TestApp, wish: &Value) -> Self {
        let mut tool = Self::stranger(app);
        let registered = tool.post("client/register", wish).await;
        assert_eq!(registered.status, 200, "{registered:?}");
        tool.client_id = registered.text("clientId");
        tool.client_secret = registered.text("clientSecret");
        tool
    }

    /// One that has not registered.
    pub(crate) fn stranger(app: &TestApp) -> Self {
        Self {
            url: app.url.join("aws/").unwrap(),
            client_id: "nobody".to_owned(),
            client_secret: "nothing".to_owned(),
            forwarded_for: None,
        }
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = client().request(method, self.url.join(path).unwrap());
        match &self.forwarded_for {
            Some(address) => request.header("x-forwarded-for", address),
            None => request,
        }
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Wire {
        let request = self.request(Method::POST, path);
        let request = request.header("content-type", "application/json");
        read(request.body(body.to_string()).send().await.unwrap()).await
    }

    /// A request with a bearer token.
    pub(crate) async fn with_token(&self, method: Method, path: &str, token: &str) -> Wire {
        let request = self.request(method, path);
        let request = request.header("x-amz-sso_bearer_token", token);
        read(request.send().await.unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> Wire {
        self.with_token(Method::GET, path, token).await
    }

    /// What the browser is sent to.
    pub(crate) fn question(&self) -> BTreeMap<&'static str, String> {
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, VERIFIER.as_bytes()));
        [
            ("response_type", "code".to_owned()),
            ("client_id", self.client_id.clone()),
            ("redirect_uri", CALLBACK.to_owned()),
            ("state", STATE.to_owned()),
            ("code_challenge_method", "S256".to_owned()),
            ("scopes", "sso:account:access".to_owned()),
            ("code_challenge", challenge),
        ]
        .into()
    }

    /// `POST /aws/token` with these members beside the client's own.
    pub(crate) async fn token(&self, mut members: Value) -> Wire {
        members["clientId"] = self.client_id.clone().into();
        members["clientSecret"] = self.client_secret.clone().into();
        self.post("token", &members).await
    }

    pub(crate) async fn redeem(&self, code: &str) -> Wire {
        self.token(json!({
            "grantType": "authorization_code",
            "code": code,
            "redirectUri": CALLBACK,
            "codeVerifier": VERIFIER,
        }))
        .await
    }

    pub(crate) async fn renew(&self, refresh_token: &str) -> Wire {
        self.token(json!({ "grantType": "refresh_token", "refreshToken": refresh_token }))
            .await
    }

    pub(crate) async fn poll(&self, device_code: &str) -> Wire {
        self.token(json!({
            "grantType": "urn:ietf:params:oauth:grant-type:device_code",
            "deviceCode": device_code,
        }))
        .await
    }

    pub(crate) async fn start_device(&self) -> Wire {
        let started = self
            .post(
                "device_authorization",
                &json!({
                    "clientId": self.client_id,
                    "clientSecret": self.client_secret,
                    "startUrl": "https://d-0000000000.awsapps.com/start",
                }),
            )
            .await;
        assert_eq!(started.status, 200, "{started:?}");
        started
    }

    /// A code that the person in this browser agreed to.
    pub(crate) async fn code(&self, browser: &mut CookieBrowser) -> String {
        let page = browser.get(&path(&self.question())).await;
        assert_eq!(page.status, 200, "{}", page.body);
        let answer = press(browser, &page, "/authorize", "allow").await;
        assert_eq!(answer.status, 303, "{}", answer.body);
        answered(&answer)["code"].clone()
    }

    /// Tokens for the person in this browser.
    pub(crate) async fn signed_in(&self, browser: &mut CookieBrowser) -> Wire {
        let code = self.code(browser).await;
        let tokens = self.redeem(&code).await;
        assert_eq!(tokens.status, 200, "{tokens:?}");
        tokens
    }
}

/// `/authorize` with these parameters.
pub(crate) fn path(parameters: &BTreeMap<&'static str, String>) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(parameters);
    format!("/authorize?{}", query.finish())
}

/// Presses one of the two buttons, with the hidden fields of the page.
pub(crate) async fn press(
    browser: &mut CookieBrowser,
    page: &Answer,
    action: &str,
    decision: &str,
) -> Answer {
    let mut fields = hidden_fields(&page.body);
    fields.retain(|(name, _)| name != "csrf_token");
    fields.push(("decision".to_owned(), decision.to_owned()));
    let fields: Vec<(&str, &str)> = fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    browser.post(action, &fields).await
}

/// What the form of a page sends without being asked.
pub(crate) fn hidden_fields(html: &str) -> Vec<(String, String)> {
    let main = html.split("<main").nth(1).unwrap_or_default();
    let field = r#"<input type="hidden" name="([^"]+)" value="([^"]*)">"#;
    let field = regex::Regex::new(field).unwrap();
    let plain = |text: &str| {
        let entities = [
            ("&#60;", "<"),
            ("&#62;", ">"),
            ("&#34;", "\""),
            ("&#39;", "'"),
        ];
        let text = entities
            .iter()
            .fold(text.to_owned(), |text, (entity, plain)| {
                text.replace(entity, plain)
            });
        text.replace("&#38;", "&")
    };
    (field.captures_iter(main))
        .map(|found| (found[1].to_owned(), plain(&found[2])))
        .collect()
}

/// What the browser was sent to the tool with.
pub(crate) fn answered(answer: &Answer) -> BTreeMap<String, String> {
    assert!(
        answer.location().starts_with(CALLBACK),
        "sent to {:?}",
        answer.location()
    );
    let location: Url = answer.location().parse().unwrap();
    location.query_pairs().into_owned().collect()
}
