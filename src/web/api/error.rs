//! The only table from what went wrong to a status, a stable code and words for whoever calls.
//!
//! The words are those of the pages where there are any. Entry points: [`ApiError`], [`dress`].

use axum::{
    Json,
    extract::Request,
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::super::{
    App,
    error::{ErrorPage, Frame, Repeat},
    pages::console::asked_role,
};
use crate::{
    access::{NotEntitled, TargetArn, TokenScope},
    broker::{
        CallerRefused, GroupsRefused, OpenOrder, OpenRefused, RevokeRefused, StoreError,
        TokenRefusal,
    },
};

/// Set by browsers on whatever they send.
const FETCH_MODE: &str = "sec-fetch-mode";

/// Why a call was not answered as asked.
#[derive(Debug, Clone)]
pub(in crate::web) struct ApiError {
    status: StatusCode,
    pub(super) code: String,
    message: String,
    url: Option<String>,
    choices: Option<Vec<String>>,
    retry_after: Option<u64>,
    lacks: Option<TokenScope>,
}

/// The body of every answer that is none.
#[derive(Serialize, ToSchema)]
#[schema(as = Error, example = json!({
    "error": "not_entitled",
    "message": "You cannot open this role. You asked for Admin in Payments. None of your 3 groups gives it.",
    "request_id": "019a0c2f4a5e7c43b8d6d1b2f3a4c5d6"
}))]
pub(super) struct ErrorBody {
    /// A stable code for programs.
    error: String,
    /// What happened, for people.
    message: String,
    /// What the log and the audit log know the request by; also in the header `x-request-id`.
    request_id: String,
    /// `false` on every 401: it is not known who calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    authenticated: Option<bool>,
    /// Where a person can do it in a browser.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    url: Option<String>,
    /// What could have been meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    choices: Option<Vec<String>>,
}

impl ApiError {
    pub(in crate::web) fn new(
        status: StatusCode,
        code: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            status,
            code: code.into(),
            message: message.into(),
            url: None,
            choices: None,
            retry_after: None,
            lacks: None,
        }
    }

    /// 400: something in the request cannot be used; says what, and what would be right.
    pub(in crate::web) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", message)
    }

    /// 404: there is nothing of that id, or it is somebody else's.
    pub(in crate::web) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// 401: it is not known who calls.
    pub(in crate::web) fn unauthenticated(
        code: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, code, message)
    }

    /// 403: the token is for other things (RFC 6750, 3.1).
    pub(in crate::web) fn insufficient_scope(scope: TokenScope) -> Self {
        let message = format!(
            "Your token may not be used for this: it lacks the scope {}.",
            scope.as_str()
        );
        Self {
            lacks: Some(scope),
            ..Self::new(StatusCode::FORBIDDEN, "insufficient_scope", message)
        }
    }

    /// 429: asked too often.
    pub(in crate::web) fn throttled(code: &str, wait: std::time::Duration) -> Self {
        let seconds = wait.as_secs().max(1);
        let message = format!("There were too many requests. Try again in {seconds} seconds.");
        Self {
            retry_after: Some(seconds),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, code, message)
        }
    }

    /// 503: something heals by itself.
    fn unavailable(code: &str, message: impl Into<String>) -> Self {
        Self {
            retry_after: Some(5),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, code, message)
        }
    }

    /// 500.
    pub(in crate::web) fn internal() -> Self {
        Self::of_status(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// 422: it is not said which role; `choices` are the ones there are.
    pub(super) fn ambiguous(choices: Vec<String>) -> Self {
        Self {
            choices: Some(choices),
            ..Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "role_ambiguous",
                "You hold more than one role: say which one as `role`.",
            )
        }
    }

    /// The store does not answer.
    pub(in crate::web) fn store_unavailable(frame: &Frame, error: &StoreError) -> Self {
        Self::of_page(&frame.clone().store_unavailable(error), "store_unavailable")
    }

    /// What a page says, under a code.
    fn of_page(page: &ErrorPage, code: &str) -> Self {
        Self {
            retry_after: page.retry_after_seconds(),
            ..Self::new(page.status(), code, page.words())
        }
    }

    /// The framework's own refusals.
    fn of_status(status: StatusCode) -> Self {
        let (code, message) = match status {
            StatusCode::BAD_REQUEST => ("invalid_request", "The request cannot be read."),
            StatusCode::UNAUTHORIZED => ("unauthenticated", SAY_WHO),
            StatusCode::NOT_FOUND => (
                "not_found",
                "There is nothing at this address. /api/v1/openapi.json says what there is.",
            ),
            StatusCode::METHOD_NOT_ALLOWED => (
                "method_not_allowed",
                "This address takes other methods; the header `Allow` names them.",
            ),
            StatusCode::PAYLOAD_TOO_LARGE => {
                ("too_large", "What was sent is larger than the API takes.")
            }
            StatusCode::UNSUPPORTED_MEDIA_TYPE => (
                "unsupported_media_type",
                "Send JSON, with `Content-Type: application/json`.",
            ),
            StatusCode::GATEWAY_TIMEOUT | StatusCode::REQUEST_TIMEOUT => (
                "timeout",
                "Something that Rolegate asked did not answer in time.",
            ),
            status if status.is_client_error() => {
                ("invalid_request", "The request cannot be taken.")
            }
            _ => (
                "internal",
                "Rolegate made a mistake, and what you asked for was not done.",
            ),
        };
        Self::new(status, code, message)
    }

    /// With where a person can do it in a browser.
    #[must_use]
    pub(in crate::web) fn at(mut self, url: impl Into<String>) -> Self {
        self.url = Some(url.into());
        self
    }

    /// It is not known who calls.
    pub(in crate::web) fn of_caller(refused: &CallerRefused, frame: &Frame) -> Self {
        match refused {
            CallerRefused::Refused { code } => Self::unauthenticated(*code, refused_words(code)),
            CallerRefused::Token { issuer, refusal } => match refusal {
                TokenRefusal::Refused { code, .. } => Self::unauthenticated(
                    *code,
                    format!("The token of {issuer} is not accepted: {}.", spaced(code)),
                ),
                TokenRefusal::Unavailable(_) => Self::unavailable(
                    "issuer_unavailable",
                    format!("{issuer} does not answer, so its token cannot be verified."),
                ),
            },
            CallerRefused::Unclear(text) => Self::unauthenticated("caller_unclear", sentence(text)),
            CallerRefused::PasswordChangeRequired { change_url } => {
                let error = Self::new(
                    StatusCode::FORBIDDEN,
                    "password_change_required",
                    "Your password must be changed before it can be used.",
                );
                match change_url {
                    Some(url) => error.at(url.as_str()),
                    None => error,
                }
            }
            CallerRefused::Throttled { retry_after } => {
                Self::throttled("too_many_failures", *retry_after)
            }
            CallerRefused::Unavailable(name) => Self::unavailable(
                "directory_unavailable",
                format!("{name} does not answer, so it cannot be known who calls."),
            ),
            CallerRefused::StoreUnavailable(error) => Self::store_unavailable(frame, error),
        }
    }

    /// A role that was not opened. `order` is what was asked for.
    pub(in crate::web) async fn of_opening(
        refused: &OpenRefused,
        order: &OpenOrder,
        (app, frame): (&App, &Frame),
    ) -> Self {
        if let OpenRefused::Groups(refused) = refused {
            return Self::of_groups(refused, (app, frame));
        }
        let asked = asked_role(app, refused, &order.role).await;
        let repeat = Repeat {
            action: "/credentials",
            order,
        };
        let page = frame
            .clone()
            .open_refused(refused, &asked, repeat, app.broker.now());
        let error = Self::of_page(&page, public_code(refused));
        match refused {
            OpenRefused::OutsideToken => Self::new(
                StatusCode::FORBIDDEN,
                "outside_token",
                "Your token is limited to another role.",
            ),
            _ if a_browser_helps(refused) => {
                let role = order.role.parse::<TargetArn>();
                let link = role.map(|role| app.broker.deep_link(&role, None).to_string());
                error.at(link.unwrap_or_else(|_| app.broker.settings().public_url.to_string()))
            }
            _ => error,
        }
    }

    /// Groups that cannot be relied on.
    pub(in crate::web) fn of_groups(refused: &GroupsRefused, (app, frame): (&App, &Frame)) -> Self {
        let home = app.broker.settings().public_url.as_str();
        match refused {
            GroupsRefused::AccountGone => Self::unauthenticated(
                "account_gone",
                "The directory says that your account is disabled or no longer there.",
            ),
            GroupsRefused::SignInAgain => Self::unauthenticated(
                "sign_in_again",
                "Your sign-in has ended, or your groups were read too long ago to go by. Sign in \
                 again.",
            )
            .at(home),
            GroupsRefused::DirectoryUnavailable(_) => Self::of_page(
                &frame.clone().groups_refused(refused),
                "directory_unavailable",
            ),
            GroupsRefused::StoreUnavailable(error) => Self::store_unavailable(frame, error),
        }
    }

    /// Sessions that were not ended.
    pub(super) fn of_revoking(refused: &RevokeRefused, frame: &Frame) -> Self {
        match refused {
            RevokeRefused::NotAllowed(text) => {
                Self::new(StatusCode::FORBIDDEN, "not_allowed", text)
            }
            RevokeRefused::NotFound(_) => {
                Self::not_found("There is no such role session of yours.")
            }
            RevokeRefused::Problem(text) => Self::invalid(text),
            RevokeRefused::StoreUnavailable(error) => Self::store_unavailable(frame, error),
        }
    }

    /// The answer; `is_browser` keeps browsers from asking for a password, which they would then send
    /// along with whatever any site makes them ask here.
    fn written(self, request_id: String, is_browser: bool) -> Response {
        let body = ErrorBody {
            error: self.code,
            message: self.message,
            request_id,
            authenticated: (self.status == StatusCode::UNAUTHORIZED).then_some(false),
            url: self.url,
            choices: self.choices,
        };
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(scope) = self.lacks {
            let challenge = format!(
                "Bearer realm=\"rolegate\", error=\"insufficient_scope\", scope=\"{}\"",
                scope.as_str()
            );
            if let Ok(challenge) = HeaderValue::from_str(&challenge) {
                headers.insert(header::WWW_AUTHENTICATE, challenge);
            }
        } else if self.status == StatusCode::UNAUTHORIZED {
            let bearer = HeaderValue::from_static("Bearer realm=\"rolegate\"");
            headers.append(header::WWW_AUTHENTICATE, bearer);
            if !is_browser {
                let basic = HeaderValue::from_static("Basic realm=\"rolegate\", charset=\"UTF-8\"");
                headers.append(header::WWW_AUTHENTICATE, basic);
            }
        }
        response
    }
}

/// It is written by [`dress`], which knows the request.
impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Writes every error under `/api` as JSON, the framework's own included.
pub(in crate::web) async fn dress(request: Request, next: Next) -> Response {
    let Frame(layout) = Frame::of(&request);
    let is_browser = request.headers().contains_key(FETCH_MODE);
    let mut response = next.run(request).await;
    let error = match response.extensions_mut().remove::<ApiError>() {
        Some(error) => error,
        None if is_bare_error(&response) => ApiError::of_status(response.status()),
        None => return response,
    };
    let mut written = error.written(layout.request_id, is_browser);
    // What was said beside the error, such as `Allow` and what CORS needs.
    for (name, value) in response.headers() {
        if *name != header::CONTENT_TYPE && *name != header::CONTENT_LENGTH {
            written.headers_mut().append(name, value.clone());
        }
    }
    written
}

fn is_bare_error(response: &Response) -> bool {
    let status = response.status();
    let content_type = response.headers().get(header::CONTENT_TYPE);
    let is_json = content_type.is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    (status.is_client_error() || status.is_server_error()) && !is_json
}

/// What to say to whoever does not say who they are.
pub(super) const SAY_WHO: &str = "Say who you are: `Authorization: Bearer TOKEN`, or a user name and \
                                  a password by HTTP Basic.";

fn refused_words(code: &str) -> String {
    match code {
        "invalid_token" => "The token is not known here, or has ended.".to_owned(),
        "token_expired" => "The token has expired.".to_owned(),
        "invalid_password" => "The user name or the password is not right.".to_owned(),
        code => format!("It could not be verified who you are: {}.", spaced(code)),
    }
}

/// The code that the caller is told: whether a role exists is told to those whom something gives it.
fn public_code(refused: &OpenRefused) -> &'static str {
    match refused {
        OpenRefused::NotEntitled {
            reason:
                NotEntitled::UnknownRole | NotEntitled::NoMapping | NotEntitled::GroupRecreated(_),
            ..
        } => "not_entitled",
        _ => refused.code(),
    }
}

/// Whether a person with a browser could go on.
fn a_browser_helps(refused: &OpenRefused) -> bool {
    match refused {
        OpenRefused::NotEntitled { reason, .. } => matches!(
            reason,
            NotEntitled::ReasonRequired(_)
                | NotEntitled::ConsoleOnly
                | NotEntitled::SamlSignInRequired(_)
                | NotEntitled::OidcSignInRequired(_)
        ),
        OpenRefused::CodeNeeded { .. }
        | OpenRefused::FreshAssertion
        | OpenRefused::NoAssertion
        | OpenRefused::ConsoleOnly => true,
        _ => false,
    }
}

fn spaced(code: &str) -> String {
    code.replace('_', " ")
}

/// A text with a capital and a full stop.
pub(super) fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(char::to_uppercase);
    let mut sentence: String = first.into_iter().flatten().chain(characters).collect();
    if !sentence.ends_with('.') {
        sentence.push('.');
    }
    sentence
}
