//! What a call brings beside who calls: JSON and queries, with unknown names refused.

use axum::{
    Json,
    extract::{FromRequest, FromRequestParts, Path, Query, Request, rejection::JsonRejection},
    http::{StatusCode, request::Parts},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Serialize, de::DeserializeOwned};

use super::{super::App, error::ApiError};

/// Rows of a page where the call does not say.
const ROWS: u32 = 200;
/// Rows of a page at most.
const ROWS_AT_MOST: u32 = 1_000;

/// A body of JSON.
#[derive(Debug)]
pub(in crate::web) struct Body<T>(pub(in crate::web) T);

impl<T: DeserializeOwned> FromRequest<App> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        match Json::from_request(request, app).await {
            Ok(Json(body)) => Ok(Self(body)),
            Err(refused) => Err(match refused {
                JsonRejection::MissingJsonContentType(_) => ApiError::new(
                    StatusCode::UNSUPPORTED_MEDIA_TYPE,
                    "unsupported_media_type",
                    "Send JSON, with `Content-Type: application/json`.",
                ),
                JsonRejection::BytesRejection(refused)
                    if refused.status() == StatusCode::PAYLOAD_TOO_LARGE =>
                {
                    ApiError::new(
                        StatusCode::PAYLOAD_TOO_LARGE,
                        "too_large",
                        "What was sent is larger than the API takes.",
                    )
                }
                refused => ApiError::invalid(refused.body_text()),
            }),
        }
    }
}

/// A query.
#[derive(Debug)]
pub(in crate::web) struct Asked<T>(pub(in crate::web) T);

impl<T: DeserializeOwned> FromRequestParts<App> for Asked<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        match Query::from_request_parts(parts, app).await {
            Ok(Query(query)) => Ok(Self(query)),
            Err(refused) => Err(ApiError::invalid(refused.body_text())),
        }
    }
}

/// What stands in the path.
#[derive(Debug)]
pub(in crate::web) struct Named(pub(in crate::web) String);

impl FromRequestParts<App> for Named {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        match Path::from_request_parts(parts, app).await {
            Ok(Path(name)) => Ok(Self(name)),
            Err(refused) => Err(ApiError::invalid(refused.body_text())),
        }
    }
}

/// How many rows, as asked for.
pub(super) fn rows(limit: Option<u32>) -> Result<usize, ApiError> {
    let limit = limit.unwrap_or(ROWS);
    if !(1..=ROWS_AT_MOST).contains(&limit) {
        let message = format!("`limit` is a number from 1 to {ROWS_AT_MOST}.");
        return Err(ApiError::invalid(message));
    }
    usize::try_from(limit).map_err(|_| ApiError::internal())
}

/// Where the next page begins, for whoever sends it back as it is.
pub(super) fn cursor<T: Serialize>(after: &T) -> Option<String> {
    let text = serde_json::to_vec(after).ok()?;
    Some(URL_SAFE_NO_PAD.encode(text))
}

/// What [`cursor`] was made of.
pub(super) fn after<T: DeserializeOwned>(cursor: Option<&str>) -> Result<Option<T>, ApiError> {
    let read = |cursor: &str| {
        let text = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        serde_json::from_slice(&text).ok()
    };
    let refused = || {
        ApiError::new(
            StatusCode::BAD_REQUEST,
            "invalid_cursor",
            "`cursor` is the `next_cursor` of an earlier answer, as it was.",
        )
    };
    cursor
        .map(|cursor| read(cursor).ok_or_else(refused))
        .transpose()
}

/// A text without blanks around it; an empty one was not given.
pub(super) fn filled(text: Option<String>) -> Option<String> {
    let text = text?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}
