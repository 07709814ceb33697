//! Errors as SDKs read them: the name in a header, the words in the body.

use std::time::Duration;

use axum::{
    Json,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use crate::broker::{CallerRefused, StoreError, TokenRefused};

/// By this header clients tell errors apart; the body alone is not enough for them.
pub(super) const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");

/// An operation that led to nothing.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    name: &'static str,
    /// The code of RFC 6749; none in the service SSO, whose body differs.
    code: Option<&'static str>,
    message: String,
    retry_after: Option<Duration>,
}

impl Refusal {
    /// An error of the service SSO.
    pub(super) fn portal(status: StatusCode, name: &'static str, message: String) -> Self {
        Self {
            status,
            name,
            code: None,
            message,
            retry_after: None,
        }
    }

    /// An error of the service SSO OIDC, `code` in the words of RFC 6749.
    pub(super) fn oidc(name: &'static str, code: &'static str, message: String) -> Self {
        Self {
            code: Some(code),
            ..Self::portal(StatusCode::BAD_REQUEST, name, message)
        }
    }

    /// The token is missing, unknown or over: clients tell people to sign in again.
    pub(super) fn unauthorized() -> Self {
        Self::portal(
            StatusCode::UNAUTHORIZED,
            "UnauthorizedException",
            "The session has ended or is not known. Sign in again.".to_owned(),
        )
    }

    /// A parameter is not as it has to be.
    pub(super) fn invalid_parameter(message: String) -> Self {
        Self::portal(StatusCode::BAD_REQUEST, "InvalidRequestException", message)
    }

    /// Whoever asks is known and may not.
    pub(super) fn forbidden(message: String) -> Self {
        Self::portal(StatusCode::FORBIDDEN, "ForbiddenException", message)
    }

    /// Too many requests.
    pub(super) fn too_many(retry_after: Duration) -> Self {
        let message = "There were too many requests. Try again later.".to_owned();
        Self {
            retry_after: Some(retry_after),
            ..Self::portal(
                StatusCode::TOO_MANY_REQUESTS,
                "TooManyRequestsException",
                message,
            )
        }
    }

    /// Something behind us does not answer; clients try again by themselves.
    pub(super) fn unavailable(message: &str) -> Self {
        Self {
            retry_after: Some(Duration::from_secs(5)),
            ..Self::portal(
                StatusCode::SERVICE_UNAVAILABLE,
                "ServiceUnavailableException",
                message.to_owned(),
            )
        }
    }

    /// What the framework answered.
    pub(super) fn of_status(status: StatusCode) -> Self {
        let (name, message) = match status.as_u16() {
            404 => (
                "UnknownOperationException",
                "There is no such operation here.",
            ),
            405 => (
                "UnknownOperationException",
                "This operation takes another method.",
            ),
            413 => ("InvalidRequestException", "The body has more than 64 KB."),
            400..=499 => ("InvalidRequestException", "The request cannot be used."),
            503 | 504 => (
                "ServiceUnavailableException",
                "This took too long. Try again in a minute.",
            ),
            _ => (
                "InternalServerException",
                "Something went wrong here. Quote the request id to your helpdesk.",
            ),
        };
        Self::portal(status, name, message.to_owned())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let message = self.message;
        let body = match self.code {
            Some(code) => json!({ "error": code, "error_description": message }),
            None => json!({ "message": message }),
        };
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(ERROR_TYPE, HeaderValue::from_static(self.name));
        if let Some(wait) = self.retry_after {
            headers.insert(header::RETRY_AFTER, wait.as_secs().max(1).into());
        }
        response
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "the store is unavailable"
        );
        metrics::counter!("rolegate_store_failures_total").increment(1);
        Self::unavailable("Rolegate cannot record anything just now, so it gives nothing out.")
    }
}

impl From<CallerRefused> for Refusal {
    fn from(refused: CallerRefused) -> Self {
        match refused {
            CallerRefused::Throttled { retry_after } => Self::too_many(retry_after),
            CallerRefused::Unavailable(_) => {
                Self::unavailable("Whoever vouches for this token does not answer.")
            }
            CallerRefused::StoreUnavailable(error) => error.into(),
            CallerRefused::Refused { .. }
            | CallerRefused::Token { .. }
            | CallerRefused::Unclear(_)
            | CallerRefused::PasswordChangeRequired { .. } => Self::unauthorized(),
        }
    }
}

impl From<TokenRefused> for Refusal {
    fn from(refused: TokenRefused) -> Self {
        let message = sentence(&refused.to_string());
        match refused {
            TokenRefused::InvalidRequest(_) => {
                Self::oidc("InvalidRequestException", "invalid_request", message)
            }
            TokenRefused::InvalidClientMetadata(_) => Self::oidc(
                "InvalidClientMetadataException",
                "invalid_client_metadata",
                message,
            ),
            TokenRefused::InvalidRedirectUri(_) => Self::oidc(
                "InvalidRedirectUriException",
                "invalid_redirect_uri",
                message,
            ),
            TokenRefused::InvalidClient => Self {
                status: StatusCode::UNAUTHORIZED,
                ..Self::oidc("InvalidClientException", "invalid_client", message)
            },
            TokenRefused::InvalidGrant(_) => {
                Self::oidc("InvalidGrantException", "invalid_grant", message)
            }
            TokenRefused::UnauthorizedClient | TokenRefused::DeviceFlowOff => Self::oidc(
                "UnauthorizedClientException",
                "unauthorized_client",
                message,
            ),
            TokenRefused::InvalidScope(_) => {
                Self::oidc("InvalidScopeException", "invalid_scope", message)
            }
            TokenRefused::Pending => Self::oidc(
                "AuthorizationPendingException",
                "authorization_pending",
                message,
            ),
            TokenRefused::SlowDown => Self::oidc("SlowDownException", "slow_down", message),
            TokenRefused::AccessDenied(_) => {
                Self::oidc("AccessDeniedException", "access_denied", message)
            }
            TokenRefused::Expired => Self::oidc("ExpiredTokenException", "expired_token", message),
            // The service has no other word for it.
            TokenRefused::Throttled { retry_after } => Self {
                retry_after: Some(retry_after),
                ..Self::oidc("SlowDownException", "slow_down", message)
            },
            TokenRefused::StoreUnavailable(error) => Self {
                status: StatusCode::INTERNAL_SERVER_ERROR,
                name: "InternalServerException",
                code: Some("server_error"),
                ..error.into()
            },
        }
    }
}

/// An error's text as a sentence, without the backticks of code.
fn sentence(text: &str) -> String {
    let text = text.replace('`', "");
    let mut characters = text.chars();
    let first = characters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(characters).chain(['.']).collect()
}
