//! From a code to tokens, and from an access token to userinfo.
//!
//! Never here: whether a token is to be believed. What the token endpoint answers holds secrets, so
//! nothing of it goes into an error but the code of OAuth 2.0. Entry points: [`client`],
//! [`tokens`], [`userinfo`].

use std::{fmt, time::Duration};

use openidconnect::{
    AccessToken, AuthType, AuthorizationCode, ClientId, ClientSecret, EmptyAdditionalClaims,
    EndpointMaybeSet, EndpointNotSet, EndpointSet, IdToken, OAuth2TokenResponse, PkceCodeVerifier,
    RedirectUrl, RefreshToken, RequestTokenError, Scope, StandardErrorResponse, TokenResponse,
    TokenType,
    core::{
        CoreAuthDisplay, CoreAuthPrompt, CoreErrorResponseType, CoreGenderClaim, CoreJsonWebKey,
        CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm, CoreRevocableToken,
        CoreRevocationErrorResponse, CoreTokenIntrospectionResponse,
    },
    http::{Request, StatusCode, header},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    claims::Claims,
    discovery::Provider,
    http::{Http, HttpError},
    json,
    refusal::{Reason, Refused},
    settings::{Settings, TokenAuth},
};
use crate::identity::RedirectRefused;

/// What the token endpoint answered. The ID token stays a text: the library would read it, and
/// what it may say is ours to judge.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct TokenAnswer {
    access_token: AccessToken,
    token_type: Kind,
    expires_in: Option<Value>,
    id_token: Option<RawToken>,
}

/// `bearer`, however it is written.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(transparent)]
pub(super) struct Kind(String);

impl TokenType for Kind {}

/// A token as it came.
#[derive(Clone, Deserialize, Serialize)]
#[serde(transparent)]
struct RawToken(String);

impl fmt::Debug for RawToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RawToken(redacted)")
    }
}

impl OAuth2TokenResponse for TokenAnswer {
    type TokenType = Kind;

    fn access_token(&self) -> &AccessToken {
        &self.access_token
    }

    fn token_type(&self) -> &Kind {
        &self.token_type
    }

    fn expires_in(&self) -> Option<Duration> {
        // A few providers write the number as a text.
        let seconds = match self.expires_in.as_ref()? {
            Value::String(text) => text.parse().ok(),
            number => number.as_u64(),
        };
        seconds.map(Duration::from_secs)
    }

    fn refresh_token(&self) -> Option<&RefreshToken> {
        None
    }

    fn scopes(&self) -> Option<&Vec<Scope>> {
        None
    }
}

impl
    TokenResponse<
        EmptyAdditionalClaims,
        CoreGenderClaim,
        CoreJweContentEncryptionAlgorithm,
        CoreJwsSigningAlgorithm,
    > for TokenAnswer
{
    /// None: the library is not to read it.
    fn id_token(
        &self,
    ) -> Option<
        &IdToken<
            EmptyAdditionalClaims,
            CoreGenderClaim,
            CoreJweContentEncryptionAlgorithm,
            CoreJwsSigningAlgorithm,
        >,
    > {
        None
    }
}

/// The library's client of a provider.
pub(super) type Client = openidconnect::Client<
    EmptyAdditionalClaims,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    TokenAnswer,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// A client for one conversation.
pub(super) fn client(provider: &Provider, settings: &Settings) -> Client {
    let secret = settings
        .client_secret
        .as_ref()
        .filter(|_| provider.token_auth != TokenAuth::None)
        .map(|secret| ClientSecret::new(secret.expose_secret().to_owned()));
    let auth = match provider.token_auth {
        TokenAuth::Basic => AuthType::BasicAuth,
        TokenAuth::Post | TokenAuth::None => AuthType::RequestBody,
    };
    let client_id = ClientId::new(settings.client_id.clone());
    Client::from_provider_metadata(provider.metadata.clone(), client_id, secret)
        .set_auth_type(auth)
        .set_redirect_uri(RedirectUrl::from_url(settings.callback_url.clone()))
}

/// What a code is worth.
pub(super) struct Tokens {
    /// As it came.
    pub(super) id_token: SecretString,
    pub(super) access_token: SecretString,
    /// How long the access token lasts, where the provider says so.
    pub(super) lasts: Option<Duration>,
}

/// Exchanges a code.
pub(super) async fn tokens(
    http: &Http,
    client: &Client,
    code: &SecretString,
    verifier: &str,
) -> Result<Tokens, RedirectRefused> {
    let code = AuthorizationCode::new(code.expose_secret().to_owned());
    let request = client
        .exchange_code(code)
        .map_err(|error| RedirectRefused::Misconfigured(error.into()))?
        .set_pkce_verifier(PkceCodeVerifier::new(verifier.to_owned()));
    let http = http.clone();
    let send = move |request| {
        let http = http.clone();
        async move { http.send(request).await }
    };
    let answer = request.request_async(&send).await.map_err(failed)?;
    let refused = |detail: &str| Refused::new(Reason::TokenResponse, detail);
    if !answer.token_type.0.eq_ignore_ascii_case("bearer") {
        return Err(refused("the access token is no bearer token").into());
    }
    let lasts = answer.expires_in();
    let id_token = answer.id_token.ok_or_else(|| {
        refused("the token endpoint answers without an ID token; is openid among the scopes?")
    })?;
    Ok(Tokens {
        id_token: SecretString::from(id_token.0),
        access_token: SecretString::from(answer.access_token.into_secret()),
        lasts,
    })
}

type Failed = RequestTokenError<HttpError, StandardErrorResponse<CoreErrorResponseType>>;

/// Nothing that the endpoint wrote is told but the error's code.
fn failed(error: Failed) -> RedirectRefused {
    match error {
        RequestTokenError::ServerResponse(response) => match response.error() {
            CoreErrorResponseType::InvalidClient | CoreErrorResponseType::UnauthorizedClient => {
                RedirectRefused::Misconfigured(
                    "the token endpoint does not know us by client_id and client_secret".into(),
                )
            }
            code => {
                let code: String = code.as_ref().chars().take(60).collect();
                let detail = format!("the token endpoint answers {code:?}");
                Refused::new(Reason::CodeRefused, detail).into()
            }
        },
        RequestTokenError::Request(error) => {
            RedirectRefused::Unavailable(format!("the token endpoint: {error}").into())
        }
        RequestTokenError::Parse(..) | RequestTokenError::Other(_) => {
            let detail = "what the token endpoint answers cannot be read";
            Refused::new(Reason::TokenResponse, detail).into()
        }
    }
}

/// Asks what the provider knows about the person of an access token.
pub(super) async fn userinfo(
    http: &Http,
    provider: &Provider,
    access_token: &SecretString,
) -> Result<Claims, RedirectRefused> {
    let Some(endpoint) = provider.metadata.userinfo_endpoint() else {
        let problem = "the provider has no userinfo endpoint";
        return Err(RedirectRefused::Misconfigured(problem.into()));
    };
    let authorization = format!("Bearer {}", access_token.expose_secret());
    let refused = |detail: &str| RedirectRefused::from(Refused::new(Reason::Userinfo, detail));
    let request = Request::get(endpoint.as_str())
        .header(header::ACCEPT, "application/json")
        .header(header::AUTHORIZATION, authorization)
        .body(Vec::new())
        .map_err(|_| refused("the access token cannot be sent"))?;
    let answer = http.send(request).await.map_err(|error| {
        RedirectRefused::Unavailable(format!("the userinfo endpoint: {error}").into())
    })?;
    if answer.status() != StatusCode::OK {
        return Err(refused(&format!(
            "the userinfo endpoint answers {}",
            answer.status()
        )));
    }
    let kind = answer.headers().get(header::CONTENT_TYPE);
    let is_json = kind
        .and_then(|kind| kind.to_str().ok())
        .and_then(|kind| kind.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"));
    if !is_json {
        return Err(refused("the userinfo is not application/json"));
    }
    let members = json::object(answer.body(), "the userinfo")?;
    Ok(Claims::new(members))
}
