//! Who calls, by the header `Authorization` alone, and what they may do.
//!
//! Cookies are never looked at. Entry point: [`Calling`].

use std::sync::{Arc, OnceLock};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use super::{
    super::{App, client_address::Origin, error::Frame},
    error::{ApiError, SAY_WHO},
};
use crate::{
    access::TokenScope,
    broker::{Caller, CallerWay, Client, Connector, Presented},
};

/// The header that names the trusted issuer of a token that does not.
pub(super) const ISSUER: &str = "rolegate-issuer";

/// How a request's caller was known, once they are.
#[derive(Debug, Clone, Default)]
pub(super) struct KnownWay(pub(super) Arc<OnceLock<CallerWay>>);

/// Somebody who calls and is known.
#[derive(Debug)]
pub(in crate::web) struct Calling {
    /// Who.
    pub(in crate::web) caller: Caller,
    /// From where.
    pub(in crate::web) client: Client,
}

impl Calling {
    /// The same, where they may do that.
    pub(in crate::web) fn allowed(self, scope: TokenScope) -> Result<Self, ApiError> {
        if self.caller.may(scope) {
            Ok(self)
        } else {
            Err(ApiError::insufficient_scope(scope))
        }
    }
}

impl FromRequestParts<App> for Calling {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let presented = presented(&parts.headers, &PasswordConnectors::of(app))?;
        known(presented, parts, app).await
    }
}

async fn known(presented: Presented, parts: &mut Parts, app: &App) -> Result<Calling, ApiError> {
    let frame = Frame::of_parts(parts);
    let origin = Origin::from_request_parts(parts, app).await;
    let client = origin.map_err(|_| ApiError::internal())?.client(None);
    let caller = app.broker.caller(presented, &client).await;
    let caller = caller.map_err(|refused| ApiError::of_caller(&refused, &frame))?;
    if let Some(KnownWay(way)) = parts.extensions.get() {
        let _ = way.set(caller.way.clone());
    }
    (app.broker.count_request(&caller.session.identity))
        .map_err(|wait| ApiError::throttled("too_many_requests", wait))?;
    Ok(Calling { caller, client })
}

/// The directories that take passwords, by id.
struct PasswordConnectors<'a>(Vec<&'a str>);

impl<'a> PasswordConnectors<'a> {
    fn of(app: &'a App) -> Self {
        let connectors = app.broker.connectors().iter();
        let passwords = connectors.filter(|connector| matches!(connector, Connector::Password(_)));
        Self(passwords.map(|connector| connector.id().as_str()).collect())
    }

    /// Whether names need the directory in front of them, and this is one.
    fn tells_apart(&self, id: &str) -> bool {
        self.0.len() > 1 && self.0.contains(&id)
    }
}

fn authorization(headers: &HeaderMap) -> Result<&str, ApiError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(ApiError::unauthenticated("unauthenticated", SAY_WHO));
    };
    let text = value.to_str().map_err(|_| unreadable())?;
    Ok(text)
}

fn unreadable() -> ApiError {
    ApiError::unauthenticated(
        "invalid_authorization",
        format!("The header `Authorization` cannot be read. {SAY_WHO}"),
    )
}

/// What a caller brings (RFC 6750, 2.1; RFC 7617).
fn presented(
    headers: &HeaderMap,
    connectors: &PasswordConnectors<'_>,
) -> Result<Presented, ApiError> {
    let text = authorization(headers)?;
    let (scheme, rest) = text.trim().split_once(' ').ok_or_else(unreadable)?;
    if scheme.eq_ignore_ascii_case("bearer") {
        bearer(rest, headers)
    } else if scheme.eq_ignore_ascii_case("basic") {
        basic(rest, connectors)
    } else {
        Err(unreadable())
    }
}

fn bearer(token: &str, headers: &HeaderMap) -> Result<Presented, ApiError> {
    let token = token.trim();
    if token.is_empty() || token.contains(char::is_whitespace) {
        return Err(unreadable());
    }
    let issuer = headers.get(ISSUER).map(|value| {
        let id = value.to_str().ok().and_then(|id| id.parse().ok());
        id.ok_or_else(|| {
            ApiError::unauthenticated(
                "caller_unclear",
                "The header `Rolegate-Issuer` is the id of no trusted issuer.",
            )
        })
    });
    Ok(Presented::Bearer {
        token: SecretString::from(token),
        issuer: issuer.transpose()?,
    })
}

fn basic(encoded: &str, connectors: &PasswordConnectors<'_>) -> Result<Presented, ApiError> {
    let bytes = STANDARD.decode(encoded.trim()).map_err(|_| unreadable())?;
    let text = match String::from_utf8(bytes) {
        Ok(text) => SecretString::from(text),
        Err(error) => {
            drop(Zeroizing::new(error.into_bytes()));
            return Err(unreadable());
        }
    };
    let (first, rest) = (text.expose_secret().split_once(':')).ok_or_else(unreadable)?;
    let (connector, username, password) = match rest.split_once(':') {
        Some((username, password)) if connectors.tells_apart(first) => {
            (first.parse().ok(), username, password)
        }
        _ => (None, first, rest),
    };
    Ok(Presented::Password {
        connector,
        username: username.to_owned(),
        password: SecretString::from(password),
    })
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn brought(value: &str, connectors: &[&'static str]) -> Result<Presented, ApiError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        presented(&headers, &PasswordConnectors(connectors.to_vec()))
    }

    fn of_basic(text: &str, connectors: &[&'static str]) -> (Option<String>, String, String) {
        let value = format!("Basic {}", STANDARD.encode(text));
        match brought(&value, connectors).unwrap() {
            Presented::Password {
                connector,
                username,
                password,
            } => (
                connector.map(|id| id.to_string()),
                username,
                password.expose_secret().to_owned(),
            ),
            Presented::Bearer { .. } => panic!("not a password"),
        }
    }

    #[test]
    fn a_directory_stands_in_front_of_a_name_only_where_there_are_several() {
        let plain = |name: &str, password: &str| (None, name.to_owned(), password.to_owned());
        assert_eq!(of_basic("ada:x:y", &["corp"]), plain("ada", "x:y"));
        assert_eq!(of_basic("corp:x:y", &["corp"]), plain("corp", "x:y"));
        assert_eq!(of_basic("ada:", &["corp", "lab"]), plain("ada", ""));
        assert_eq!(
            of_basic("lab:ada:x:y", &["corp", "lab"]),
            (Some("lab".to_owned()), "ada".to_owned(), "x:y".to_owned())
        );
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for value in [
            "Bearer",
            "Bearer ",
            "Bearer a b",
            "Basic ?",
            "Basic YQ==",
            "Digest x",
            "x",
        ] {
            let refused = brought(value, &["corp"]).unwrap_err();
            assert_eq!(refused.code, "invalid_authorization", "{value}");
        }
    }
}
