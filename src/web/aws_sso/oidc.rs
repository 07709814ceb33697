//! The service SSO OIDC: registration, device codes, tokens.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse as _, Response},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use super::{
    refusal::Refusal,
    request::{Body, needed, needed_secret},
};
use crate::{
    broker::{ClientProof, ClientWish, TokenOrder},
    web::{App, client_address::Origin, headers::keep_secret},
};

/// `RegisterClient`. `issuerUrl` and `entitledApplicationArn` mean nothing here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RegisterClient {
    client_name: Option<String>,
    client_type: Option<String>,
    scopes: Option<Vec<String>>,
    redirect_uris: Option<Vec<String>>,
    grant_types: Option<Vec<String>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Registration<'a> {
    client_id: &'a str,
    client_secret: &'a str,
    client_id_issued_at: i64,
    client_secret_expires_at: i64,
    authorization_endpoint: String,
    token_endpoint: String,
}

/// `POST /aws/client/register`.
pub(super) async fn register(
    State(app): State<App>,
    origin: Origin,
    Body(body): Body<RegisterClient>,
) -> Result<Response, Refusal> {
    let wish = ClientWish {
        name: needed(body.client_name, "clientName")?,
        kind: needed(body.client_type, "clientType")?,
        redirect_uris: body.redirect_uris.unwrap_or_default(),
        scopes: body.scopes.unwrap_or_default(),
        grant_types: body.grant_types.unwrap_or_default(),
    };
    let client = app.broker.register_client(&wish, &origin.client(None))?;
    Ok(secret(&Registration {
        client_id: &client.client_id,
        client_secret: client.client_secret.expose_secret(),
        client_id_issued_at: client.issued_at.unix_timestamp(),
        client_secret_expires_at: client.expires_at.unix_timestamp(),
        authorization_endpoint: address(&app, "authorize"),
        token_endpoint: address(&app, "aws/token"),
    }))
}

/// `StartDeviceAuthorization`. `startUrl` has to be there and means nothing here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StartDeviceAuthorization {
    client_id: Option<String>,
    client_secret: Option<String>,
    start_url: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DeviceAuthorization<'a> {
    device_code: &'a str,
    user_code: &'a str,
    verification_uri: &'a str,
    /// The same: a code that came with a link is not typed by whoever sees it in their terminal.
    verification_uri_complete: &'a str,
    expires_in: u64,
    interval: u64,
}

/// `POST /aws/device_authorization`.
pub(super) async fn start_device(
    State(app): State<App>,
    origin: Origin,
    Body(body): Body<StartDeviceAuthorization>,
) -> Result<Response, Refusal> {
    needed(body.start_url, "startUrl")?;
    let proof = proof(body.client_id, body.client_secret)?;
    let client = origin.client(None);
    let started = app.broker.start_device(&proof, &client).await?;
    let verification_uri = started.verification_uri.as_str();
    Ok(secret(&DeviceAuthorization {
        device_code: started.device_code.expose_secret(),
        user_code: &started.user_code,
        verification_uri,
        verification_uri_complete: verification_uri,
        expires_in: started.expires_in.as_secs(),
        interval: started.interval.as_secs(),
    }))
}

/// `CreateToken`. `scope` means nothing here: what was agreed to is what there is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CreateToken {
    client_id: Option<String>,
    client_secret: Option<String>,
    grant_type: Option<String>,
    device_code: Option<String>,
    code: Option<String>,
    redirect_uri: Option<String>,
    code_verifier: Option<String>,
    refresh_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Tokens<'a> {
    access_token: &'a str,
    token_type: &'static str,
    expires_in: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
}

/// `POST /aws/token`.
pub(super) async fn create_token(
    State(app): State<App>,
    origin: Origin,
    Body(body): Body<CreateToken>,
) -> Result<Response, Refusal> {
    let proof = proof(body.client_id, body.client_secret)?;
    let order = match needed(body.grant_type, "grantType")?.as_str() {
        "authorization_code" => TokenOrder::Code {
            code: needed_secret(body.code, "code")?,
            redirect_uri: needed(body.redirect_uri, "redirectUri")?,
            code_verifier: needed_secret(body.code_verifier, "codeVerifier")?,
        },
        "urn:ietf:params:oauth:grant-type:device_code" => TokenOrder::Device {
            device_code: needed_secret(body.device_code, "deviceCode")?,
        },
        "refresh_token" => TokenOrder::Refresh {
            refresh_token: needed_secret(body.refresh_token, "refreshToken")?,
        },
        _ => return Err(unsupported_grant()),
    };
    let client = origin.client(None);
    let issued = app.broker.create_token(&proof, &order, &client).await?;
    Ok(secret(&Tokens {
        access_token: issued.access_token.expose_secret(),
        token_type: "Bearer",
        expires_in: issued.expires_in.as_secs(),
        refresh_token: (issued.refresh_token.as_ref()).map(SecretString::expose_secret),
    }))
}

fn unsupported_grant() -> Refusal {
    let message = "grantType has to be authorization_code, refresh_token or \
                   urn:ietf:params:oauth:grant-type:device_code."
        .to_owned();
    Refusal::oidc(
        "UnsupportedGrantTypeException",
        "unsupported_grant_type",
        message,
    )
}

fn proof(id: Option<String>, secret: Option<String>) -> Result<ClientProof, Refusal> {
    Ok(ClientProof {
        client_id: needed(id, "clientId")?,
        client_secret: needed_secret(secret, "clientSecret")?,
    })
}

/// An address of ours.
fn address(app: &App, path: &str) -> String {
    let own = &app.broker.settings().public_url;
    own.join(path)
        .map_or_else(|_| own.to_string(), String::from)
}

/// An answer that nothing may keep.
fn secret(body: &impl Serialize) -> Response {
    let mut response = Json(body).into_response();
    keep_secret(&mut response);
    response
}
