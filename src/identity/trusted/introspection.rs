//! Asking the issuer about a token (RFC 7662).
//!
//! Every token is asked about anew: an answer that is kept would let a revoked token pass. Never
//! here: what the answer has to say beside `active`. Entry point: [`Introspection::claims`].

use base64::{Engine as _, engine::general_purpose::STANDARD};
use openidconnect::http::{Request, StatusCode, header};
use secrecy::{ExposeSecret as _, SecretString};
use url::{Url, form_urlencoded};

use super::{code, refused};
use crate::identity::{
    TokenRefusal,
    oidc::{claims::Claims, http::Http, json},
};

/// The most bytes that are read of an answer.
const LARGEST_ANSWER: usize = 64 * 1024;
/// The longest token that is asked about.
const LONGEST_TOKEN: usize = 16 * 1024;

/// The means to ask an issuer about tokens.
pub(super) struct Introspection {
    url: Url,
    authorization: SecretString,
    http: Http,
}

impl Introspection {
    /// Who we are is shown by HTTP Basic, each part written as in a form (RFC 6749, 2.3.1).
    pub(super) fn new(url: Url, client_id: &str, secret: &SecretString, http: Http) -> Self {
        let written =
            |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let pair = format!("{}:{}", written(client_id), written(secret.expose_secret()));
        let authorization = SecretString::from(format!("Basic {}", STANDARD.encode(pair)));
        Self {
            url,
            authorization,
            http,
        }
    }

    /// What the issuer says of a token that it calls active.
    pub(super) async fn claims(&self, token: &SecretString) -> Result<Claims, TokenRefusal> {
        let token = token.expose_secret();
        let is_legal = token.len() <= LONGEST_TOKEN && token.bytes().all(|b| b.is_ascii_graphic());
        if token.is_empty() || !is_legal {
            let detail =
                format!("a token has 1 to {LONGEST_TOKEN} characters of ASCII, without blanks");
            return Err(refused("token_malformed", detail));
        }
        let unavailable =
            |problem: &str| TokenRefusal::Unavailable(format!("{}: {problem}", self.url).into());
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("token", token)
            .append_pair("token_type_hint", "access_token")
            .finish();
        let request = Request::post(self.url.as_str())
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::AUTHORIZATION, self.authorization.expose_secret())
            .body(form.into_bytes())
            .map_err(|_| unavailable("it cannot be asked"))?;
        let answer = self.http.send(request).await;
        let answer = answer.map_err(|error| unavailable(&error.to_string()))?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                return Err(unavailable(
                    "it does not know us by client_id and client_secret",
                ));
            }
            status => return Err(unavailable(&format!("it answers {status}"))),
        }
        if answer.body().len() > LARGEST_ANSWER {
            return Err(unavailable("it answers with more than 64 KiB"));
        }
        let members = json::object(answer.body(), "the answer");
        let claims = Claims::new(members.map_err(|refused| unavailable(&refused.detail))?);
        if claims.value("active") != Some(&serde_json::Value::Bool(true)) {
            let detail = "the issuer says that the token is not active: it was revoked, has ended, \
                          or was never issued";
            return Err(refused("token_inactive", detail.to_owned()));
        }
        // Refresh tokens are active too, and a token that is bound to a key is none to bear.
        let kind = claims.text("token_type").map_err(|error| {
            let code = code(error.reason);
            refused(code, error.detail)
        })?;
        if kind.is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
            let detail = "the issuer says that this is no bearer token";
            return Err(refused("token_type", detail.to_owned()));
        }
        Ok(claims)
    }
}
