//! [`SignIn`] on the console's federation endpoint.
//!
//! Never here: credentials in a URL, an answer's body in a log or an error. Source: IAM User Guide,
//! "Enabling custom identity broker access to the AWS console". Entry point:
//! [`FederationSignIn::new`].

use std::{fmt, time::Duration};

use async_trait::async_trait;
use reqwest::{Client, StatusCode, redirect::Policy};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use url::Url;
use zeroize::Zeroizing;

use super::{
    Cause, ConsoleVisit, SessionCredentials, SignIn, SignInUrl, SignInUrlError,
    partition::{logout_url, sign_in_host, sign_out_host},
};
use crate::access::SessionDuration;

/// The largest answer that is read, in bytes; a token has about two thousand.
const LARGEST_ANSWER: usize = 64 * 1024;
/// How long a connection may take, where the whole call may take longer.
const LONGEST_CONNECT: Duration = Duration::from_secs(3);
const USER_AGENT: &str = concat!("rolegate/", env!("CARGO_PKG_VERSION"));

/// How the federation endpoint is asked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Instead of the partition's sign-in host, for browsers too: `https://host/federation`, or
    /// the origin alone. Spoken to without a proxy.
    pub endpoint: Option<Url>,
    /// The deadline of one request.
    pub call_timeout: Duration,
}

/// What is wrong with the settings.
#[derive(Debug, Error)]
pub enum SettingsError {
    /// Not an address that a browser can be sent to.
    #[error(
        "`{0}` is not a sign-in endpoint: it looks like https://signin.aws.amazon.com/federation"
    )]
    Endpoint(Url),
    /// The HTTP client cannot be made.
    #[error("the HTTP client for the sign-in endpoint cannot be made")]
    Client(#[source] Cause),
}

/// The federation endpoint, spoken to over HTTPS.
#[derive(Debug)]
pub struct FederationSignIn {
    endpoint: Option<Url>,
    client: Client,
}

impl FederationSignIn {
    /// Makes the HTTP client; no network I/O. Without an `endpoint` only HTTPS is spoken, through
    /// the proxy of the environment where there is one, as the AWS SDK does.
    pub fn new(settings: Settings) -> Result<Self, SettingsError> {
        let endpoint = settings.endpoint.map(federation_url).transpose()?;
        let mut builder = Client::builder()
            .user_agent(USER_AGENT)
            .redirect(Policy::none())
            .referer(false)
            .connect_timeout(settings.call_timeout.min(LONGEST_CONNECT))
            .timeout(settings.call_timeout);
        builder = match endpoint {
            Some(_) => builder.no_proxy(),
            None => builder.https_only(true),
        };
        let client = builder
            .build()
            .map_err(|error| SettingsError::Client(error.into()))?;
        Ok(Self { endpoint, client })
    }

    /// Where the token is asked for and used: both at the same host.
    fn federation(&self, visit: &ConsoleVisit) -> Result<Url, SignInUrlError> {
        if let Some(endpoint) = &self.endpoint {
            return Ok(endpoint.clone());
        }
        let region = visit.region.as_deref();
        let host = if visit.sign_out_first {
            sign_out_host(visit.partition, region)
        } else {
            sign_in_host(visit.partition, region)
        };
        host.and_then(|host| Url::parse(&format!("https://{host}/federation")).ok())
            .ok_or(SignInUrlError::NoHost(visit.partition))
    }

    async fn sign_in_token(
        &self,
        federation: &Url,
        session: &SecretString,
        duration: Option<SessionDuration>,
    ) -> Result<SecretString, SignInUrlError> {
        let body = token_request(session, duration);
        let answer = self
            .client
            .post(federation.clone())
            .header("content-type", "application/x-www-form-urlencoded")
            .header("accept", "application/json")
            .body(body.as_bytes().to_vec())
            .send()
            .await
            .map_err(unavailable)?;
        let status = answer.status();
        if status.is_server_error() {
            return Err(SignInUrlError::Unavailable(
                format!("HTTP {}", status.as_u16()).into(),
            ));
        }
        if status != StatusCode::OK {
            return Err(SignInUrlError::Refused {
                status: status.as_u16(),
            });
        }
        token_in(answer).await
    }
}

#[async_trait]
impl SignIn for FederationSignIn {
    async fn sign_in_url(
        &self,
        credentials: SessionCredentials,
        visit: &ConsoleVisit,
    ) -> Result<SignInUrl, SignInUrlError> {
        let federation = self.federation(visit)?;
        let session = session_json(&credentials)?;
        drop(credentials);
        let duration = visit.session_duration;
        let token = match self.sign_in_token(&federation, &session, duration).await {
            // AWS has one refusal for everything; of chained credentials it is the duration.
            Err(SignInUrlError::Refused { status: 400 }) if duration.is_some() => {
                self.sign_in_token(&federation, &session, None).await?
            }
            other => other?,
        };
        let login = login_url(&federation, visit, &token);
        Ok(SignInUrl::new(if visit.sign_out_first {
            logout_url(&federation, Some(&login))
        } else {
            login
        }))
    }
}

/// The endpoint as configured, with the path that AWS's has where it names none.
fn federation_url(mut endpoint: Url) -> Result<Url, SettingsError> {
    let is_web = matches!(endpoint.scheme(), "http" | "https") && endpoint.has_host();
    let is_plain = endpoint.username().is_empty()
        && endpoint.password().is_none()
        && endpoint.query().is_none()
        && endpoint.fragment().is_none();
    if !is_web || !is_plain {
        // A password in it would be shown.
        let _ = endpoint.set_password(None);
        return Err(SettingsError::Endpoint(endpoint));
    }
    if endpoint.path() == "/" {
        endpoint.set_path("/federation");
    }
    Ok(endpoint)
}

fn session_json(credentials: &SessionCredentials) -> Result<SecretString, SignInUrlError> {
    #[derive(Serialize)]
    struct Session<'a> {
        #[serde(rename = "sessionId")]
        id: &'a str,
        #[serde(rename = "sessionKey")]
        key: &'a str,
        #[serde(rename = "sessionToken")]
        token: &'a str,
    }
    serde_json::to_string(&Session {
        id: &credentials.access_key_id,
        key: credentials.secret_access_key.expose_secret(),
        token: credentials.session_token.expose_secret(),
    })
    .map(SecretString::from)
    .map_err(|_| SignInUrlError::Garbage)
}

/// The form that asks for a token. Serialized here, not by `RequestBuilder::form`, so that our copy
/// is wiped; those of the HTTP and TLS layers are beyond reach.
fn token_request(session: &SecretString, duration: Option<SessionDuration>) -> Zeroizing<String> {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.append_pair("Action", "getSigninToken");
    if let Some(duration) = duration {
        form.append_pair("SessionDuration", &duration.seconds().to_string());
    }
    form.append_pair("Session", session.expose_secret());
    Zeroizing::new(form.finish())
}

async fn token_in(mut answer: reqwest::Response) -> Result<SecretString, SignInUrlError> {
    #[derive(Deserialize)]
    struct Token {
        #[serde(rename = "SigninToken")]
        value: SecretString,
    }
    let mut body = Zeroizing::new(Vec::new());
    while let Some(chunk) = answer.chunk().await.map_err(unavailable)? {
        if body.len() + chunk.len() > LARGEST_ANSWER {
            return Err(SignInUrlError::Garbage);
        }
        body.extend_from_slice(&chunk);
    }
    // The parser's error quotes the answer, so it ends here.
    let token: Token = serde_json::from_slice(&body).map_err(|_| SignInUrlError::Garbage)?;
    if token.value.expose_secret().trim().is_empty() {
        return Err(SignInUrlError::Garbage);
    }
    Ok(token.value)
}

fn login_url(federation: &Url, visit: &ConsoleVisit, token: &SecretString) -> Url {
    let mut url = federation.clone();
    url.query_pairs_mut()
        .append_pair("Action", "login")
        .append_pair("Issuer", visit.issuer.as_str())
        .append_pair("Destination", visit.destination.as_str())
        .append_pair("SigninToken", token.expose_secret());
    url
}

fn unavailable(error: reqwest::Error) -> SignInUrlError {
    SignInUrlError::Unavailable(Box::new(Transport(error.without_url())))
}

/// A failure below HTTP.
#[derive(Debug)]
struct Transport(reqwest::Error);

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_timeout() {
            "no answer within the deadline"
        } else if self.0.is_connect() {
            "no connection"
        } else {
            "the connection broke"
        })
    }
}

impl std::error::Error for Transport {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_urls_without_secrets_or_queries() {
        let path = |text: &str| {
            let url = federation_url(Url::parse(text).unwrap())?;
            Ok::<_, SettingsError>(url.to_string())
        };
        assert_eq!(
            path("http://127.0.0.1:9000").unwrap(),
            "http://127.0.0.1:9000/federation"
        );
        assert_eq!(
            path("https://signin.example.org/aws/federation").unwrap(),
            "https://signin.example.org/aws/federation"
        );
        for text in [
            "https://u:secret@signin.example.org",
            "https://signin.example.org/federation?Action=login",
            "ftp://signin.example.org",
            "data:text/plain,x",
        ] {
            let error = path(text).unwrap_err();
            assert!(!error.to_string().contains("secret"), "{text}");
        }
    }
}
