//! The operations of SSO OIDC as Rolegate has them, with their wire forms: registering, asking for
//! a code, exchanging it.
//!
//! Never here: who is asked, and what is kept. Entry points: [`register`], [`start_device`],
//! [`create_token`].

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use super::{ClientError, Http, Secret};

/// What our commands need.
pub(super) const SCOPES: &str = "roles credentials sessions";
const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// Who this program is to the server.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all(deserialize = "camelCase"))]
pub(super) struct Client {
    #[serde(alias = "client_id")]
    pub(super) client_id: String,
    #[serde(alias = "client_secret")]
    pub(super) client_secret: Secret,
}

/// What the server gives for a code or a refresh token.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Tokens {
    pub(super) access_token: Secret,
    /// Seconds.
    pub(super) expires_in: i64,
    pub(super) refresh_token: Option<Secret>,
}

/// A device authorization that waits for the person.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Device {
    #[serde(rename = "deviceCode")]
    pub(super) secret: Secret,
    pub(super) user_code: String,
    pub(super) verification_uri: String,
    /// Seconds.
    pub(super) expires_in: u64,
    /// Seconds.
    pub(super) interval: Option<u64>,
}

/// What is exchanged for tokens.
#[derive(Debug)]
pub(super) enum Order<'a> {
    Code {
        code: &'a Secret,
        redirect_uri: &'a str,
        verifier: &'a Secret,
    },
    Device(&'a Secret),
    Refresh(&'a Secret),
}

/// Why there are no tokens.
#[derive(Debug)]
pub(super) enum NoTokens {
    /// The person has not decided yet.
    Pending,
    /// Asked too often.
    SlowDown,
    /// The code, token or registration is not good, or no longer; in the server's words.
    Over(String),
    /// Nothing came of the question itself.
    Failed(ClientError),
}

pub(super) fn register(http: &Http, name: &str) -> Result<Client, ClientError> {
    let scopes: Vec<&str> = SCOPES.split(' ').collect();
    let server = http.server().to_string();
    let body = serde_json::json!({
        "clientName": name,
        "clientType": "public",
        "scopes": scopes,
        "redirectUris": [redirect_uri(None)],
        "grantTypes": ["authorization_code", "refresh_token", DEVICE_CODE],
        "issuerUrl": server,
    });
    http.read(&http.post("aws/client/register", &body)?)
}

/// Where a browser brings the code; the registered one has no port.
pub(super) fn redirect_uri(port: Option<u16>) -> String {
    match port {
        Some(port) => format!("http://127.0.0.1:{port}/oauth/callback"),
        None => "http://127.0.0.1/oauth/callback".to_owned(),
    }
}

/// The page at which a person agrees.
pub(super) fn authorize_url(
    http: &Http,
    client: &Client,
    redirect_uri: &str,
    state: &Secret,
    verifier: &Secret,
) -> String {
    let challenge =
        aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, verifier.expose().as_bytes());
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("response_type", "code")
        .append_pair("client_id", &client.client_id)
        .append_pair("redirect_uri", redirect_uri)
        .append_pair("state", state.expose())
        .append_pair("code_challenge_method", "S256")
        .append_pair("scopes", SCOPES)
        .append_pair("code_challenge", &URL_SAFE_NO_PAD.encode(challenge))
        .finish();
    http.server().join(&format!("authorize?{query}"))
}

pub(super) fn start_device(http: &Http, client: &Client) -> Result<Device, ClientError> {
    let body = serde_json::json!({
        "clientId": client.client_id,
        "clientSecret": client.client_secret,
        "startUrl": http.server().to_string(),
    });
    http.read(&http.post("aws/device_authorization", &body)?)
}

pub(super) fn create_token(
    http: &Http,
    client: &Client,
    order: &Order<'_>,
) -> Result<Tokens, NoTokens> {
    let mut body = serde_json::json!({
        "clientId": client.client_id,
        "clientSecret": client.client_secret,
    });
    let fields: &[(&str, &str)] = match order {
        Order::Code {
            code,
            redirect_uri,
            verifier,
        } => &[
            ("grantType", "authorization_code"),
            ("code", code.expose()),
            ("redirectUri", redirect_uri),
            ("codeVerifier", verifier.expose()),
        ],
        Order::Device(code) => &[("grantType", DEVICE_CODE), ("deviceCode", code.expose())],
        Order::Refresh(token) => &[
            ("grantType", "refresh_token"),
            ("refreshToken", token.expose()),
        ],
    };
    for (name, value) in fields {
        body[name] = (*value).into();
    }
    let answer = http.post("aws/token", &body).map_err(NoTokens::Failed)?;
    if answer.status.is_success() {
        return http.read(&answer).map_err(NoTokens::Failed);
    }
    let failed = |error| Err(NoTokens::Failed(error));
    let error = answer.refusal().map(|refusal| refusal.error);
    let kind = if answer.error_type.is_empty() {
        error.as_deref().unwrap_or_default()
    } else {
        answer.error_type.as_str()
    };
    match kind {
        "AuthorizationPendingException" | "authorization_pending" => Err(NoTokens::Pending),
        "SlowDownException" | "slow_down" => Err(NoTokens::SlowDown),
        "ExpiredTokenException" | "expired_token" => Err(NoTokens::Over(
            answer.description().unwrap_or_else(|| "too old".to_owned()),
        )),
        "AccessDeniedException"
        | "access_denied"
        | "InvalidGrantException"
        | "invalid_grant"
        | "InvalidClientException"
        | "invalid_client" => Err(NoTokens::Over(
            answer.description().unwrap_or_else(|| kind.to_owned()),
        )),
        _ => match http.refuse(&answer) {
            Err(ClientError::Refused(mut refusal)) => {
                refusal.message = answer.description().unwrap_or(refusal.message);
                failed(ClientError::Refused(refusal))
            }
            Err(error) => failed(error),
            // Not a success, as was seen above.
            Ok(()) => Err(NoTokens::Pending),
        },
    }
}
