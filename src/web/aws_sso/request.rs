//! How requests are read: JSON bodies of any content type, and queries of which every name is known.

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{HeaderMap, Uri},
};
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use url::form_urlencoded;

use super::{BEARER_TOKEN, refusal::Refusal};

/// A JSON object, whatever the request says that its body is. Unknown members do not count.
pub(super) struct Body<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let body = Bytes::from_request(request, state).await;
        let body = body.map_err(|rejection| Refusal::of_status(rejection.status()))?;
        // Not the error itself: it quotes what was sent, which can be a secret.
        serde_json::from_slice(&body).map(Self).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            invalid(format!(
                "The body is no JSON object that this operation takes (line {line}, column {column})."
            ))
        })
    }
}

/// A body or member that cannot be used.
pub(super) fn invalid(message: String) -> Refusal {
    Refusal::oidc("InvalidRequestException", "invalid_request", message)
}

/// A member that has to be there and not be empty.
pub(super) fn needed<T: AsRef<str>>(member: Option<T>, name: &str) -> Result<T, Refusal> {
    member
        .filter(|value| !value.as_ref().is_empty())
        .ok_or_else(|| invalid(format!("{name} is missing.")))
}

/// The same for a secret.
pub(super) fn needed_secret(member: Option<String>, name: &str) -> Result<SecretString, Refusal> {
    needed(member, name).map(SecretString::from)
}

/// The query's values in the order of `known`.
pub(super) fn query<const N: usize>(
    uri: &Uri,
    known: [&str; N],
) -> Result<[Option<String>; N], Refusal> {
    let mut values = [const { None }; N];
    for (name, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
        let place = known.iter().position(|known| *known == name);
        let Some(slot) = place.and_then(|place| values.get_mut(place)) else {
            let name: String = name.chars().take(60).collect();
            return Err(Refusal::invalid_parameter(format!(
                "There is no parameter {name:?} here; there are: {}.",
                known.join(", ")
            )));
        };
        if slot.replace(value.into_owned()).is_some() {
            return Err(Refusal::invalid_parameter(format!("{name} came twice.")));
        }
    }
    Ok(values)
}

/// The token, where just one came.
pub(super) fn bearer_token(headers: &HeaderMap) -> Result<SecretString, Refusal> {
    let mut values = headers.get_all(BEARER_TOKEN).iter();
    let (Some(token), None) = (values.next(), values.next()) else {
        return Err(Refusal::unauthorized());
    };
    let token = token.to_str().map_err(|_| Refusal::unauthorized())?;
    Ok(token.to_owned().into())
}
