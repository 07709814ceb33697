//! The token that proves a form came from one of our own pages.
//!
//! Before sign-in it derives from a cookie, afterwards from the sign-in session's id, so nothing
//! is stored for it. On the page it is masked anew each time: pages are compressed and show what
//! was typed, and an unmasked token could be guessed from their length (BREACH).

use aws_lc_rs::{
    constant_time::verify_slices_are_equal,
    digest::{SHA256, digest},
    rand,
};
use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::StatusCode,
};
use serde::de::DeserializeOwned;

use super::{
    App, cookies,
    error::{ErrorPage, Frame},
    headers::is_form,
};

/// The bytes of an unmasked token.
const TOKEN: usize = 16;

/// A posted form whose CSRF token was right.
#[derive(Debug)]
pub(super) struct CheckedForm<T>(pub(super) T);

/// The secrets that a request's tokens may derive from: the sign-in session's, the form cookie's.
struct Secrets(Vec<String>);

impl Secrets {
    fn of(request: &Request, is_secure: bool) -> Self {
        let names = [cookies::SESSION, cookies::FORM];
        let find = |name| cookies::find(request.headers(), name, is_secure);
        Self(
            names
                .into_iter()
                .filter_map(find)
                .map(str::to_owned)
                .collect(),
        )
    }

    fn accept(&self, shown: &str) -> bool {
        let Some(token) = unmask(shown) else {
            return false;
        };
        self.0
            .iter()
            .any(|secret| verify_slices_are_equal(&token, &derive(secret)).is_ok())
    }
}

/// The token to put into a page's forms, for the cookie value that it shall answer to.
pub(super) fn token(secret: &str) -> String {
    let mut mask = [0; TOKEN];
    // Without randomness the token is merely unmasked, never wrong.
    let _ = rand::fill(&mut mask);
    let masked: Vec<u8> = derive(secret)
        .iter()
        .zip(mask)
        .map(|(a, b)| a ^ b)
        .collect();
    hex::encode([mask.as_slice(), &masked].concat())
}

fn derive(secret: &str) -> [u8; TOKEN] {
    let mut token = [0; TOKEN];
    let hash = digest(&SHA256, format!("rolegate csrf\0{secret}").as_bytes());
    token.copy_from_slice(&hash.as_ref()[..TOKEN]);
    token
}

fn unmask(shown: &str) -> Option<[u8; TOKEN]> {
    let mut bytes = [0; TOKEN * 2];
    hex::decode_to_slice(shown, &mut bytes).ok()?;
    let (mask, masked) = bytes.split_at(TOKEN);
    let mut token = [0; TOKEN];
    for (at, byte) in token.iter_mut().enumerate() {
        *byte = mask[at] ^ masked[at];
    }
    Some(token)
}

impl<T: DeserializeOwned> FromRequest<App> for CheckedForm<T> {
    type Rejection = ErrorPage;

    async fn from_request(request: Request, app: &App) -> Result<Self, ErrorPage> {
        let frame = Frame::of(&request);
        let secrets = Secrets::of(&request, app.settings.is_secure);
        if !is_form(request.headers()) {
            return Err(frame.status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        }
        let body = match Bytes::from_request(request, app).await {
            Ok(body) => body,
            Err(rejection) => return Err(frame.status(rejection.status())),
        };
        let token = url::form_urlencoded::parse(&body).find(|(name, _)| name == "csrf_token");
        if !token.is_some_and(|(_, token)| secrets.accept(&token)) {
            return Err(frame.expired_form());
        }
        match serde_urlencoded::from_bytes(&body) {
            Ok(form) => Ok(Self(form)),
            Err(error) => Err(frame.bad_input(&error.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_masked_anew_and_answer_to_their_secret_alone() {
        let (a, b) = (token("secret"), token("secret"));
        assert_ne!(a, b);
        let secrets = Secrets(vec!["other".to_owned(), "secret".to_owned()]);
        assert!(secrets.accept(&a) && secrets.accept(&b));
        assert!(!Secrets(vec!["other".to_owned()]).accept(&a));
        assert!(!Secrets(vec![]).accept(&a));
    }

    #[test]
    fn junk_is_no_token() {
        let secrets = Secrets(vec!["secret".to_owned()]);
        for junk in ["", "0", &"0".repeat(64), &"é".repeat(32), &"g".repeat(64)] {
            assert!(!secrets.accept(junk), "{junk}");
        }
    }
}
