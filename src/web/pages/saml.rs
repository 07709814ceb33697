//! `/saml/{connector}/…`: what identity providers make browsers bring, and our metadata.
//!
//! Another site starts these requests, so they carry no CSRF token and mostly not even the session
//! cookie. Never here: what a message says; it goes to the broker as it came, and into no log.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, RawQuery, Request, State},
    http::{StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use tower_sessions::Session;

use super::{
    super::{
        App, attempt, cookies,
        csrf::{self, CheckedForm},
        error::{ErrorPage, Frame},
        headers::{is_form, keep_secret},
        session,
        views::{
            Layout,
            signed_in::{ConfirmSignInInput, ConfirmSignInView},
            signed_out::ProviderEnd,
        },
    },
    Arrival, connector_label, departure, in_own_task,
    login::{FORM_SECONDS, YEAR_SECONDS},
    logout, render, signed_in,
};
use crate::{
    access::ConnectorId,
    broker::{
        Answer, Connector, Finished, Kept, LogoutMessage, Protocol, ProviderLogout, RedirectArrival,
    },
};

/// The fields of a provider's form, each there once at most. No `Debug`: they are bearer secrets.
#[derive(Default)]
pub(in crate::web) struct ProviderForm {
    request: Option<String>,
    response: Option<String>,
    relay_state: Option<String>,
}

impl ProviderForm {
    /// None where a field is there twice: who reads the first and who reads the last would not
    /// agree on what was sent. Other fields are somebody else's.
    fn read(body: &[u8]) -> Option<Self> {
        let mut form = Self::default();
        for (name, value) in url::form_urlencoded::parse(body) {
            let field = match name.as_ref() {
                "SAMLRequest" => &mut form.request,
                "SAMLResponse" => &mut form.response,
                "RelayState" => &mut form.relay_state,
                _ => continue,
            };
            if field.replace(value.into_owned()).is_some() {
                return None;
            }
        }
        Some(form)
    }

    fn into_answer(self) -> Option<Answer> {
        let message = self.response.filter(|_| self.request.is_none())?;
        Some(Answer {
            message: SecretString::from(message),
            relay_state: self.relay_state,
            secret: None,
        })
    }

    fn into_logout(self) -> Option<LogoutMessage> {
        (self.request.is_some() != self.response.is_some()).then_some(LogoutMessage::Form {
            request: self.request,
            response: self.response,
            relay_state: self.relay_state,
        })
    }
}

impl FromRequest<App> for ProviderForm {
    type Rejection = ErrorPage;

    async fn from_request(request: Request, app: &App) -> Result<Self, ErrorPage> {
        let frame = Frame::of(&request);
        // No address of ours has a query, so whoever wrote one meant the fields to be read there.
        if request.uri().query().is_some_and(|query| !query.is_empty()) {
            return Err(unreadable(frame));
        }
        if !is_form(request.headers()) {
            return Err(frame.status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        }
        match Bytes::from_request(request, app).await {
            Ok(body) => Self::read(&body).ok_or_else(|| unreadable(frame)),
            Err(rejection) => Err(frame.status(rejection.status())),
        }
    }
}

fn unreadable(frame: Frame) -> ErrorPage {
    tracing::warn!(
        request.id = frame.0.request_id,
        "what was sent is no form of an identity provider"
    );
    frame.status(StatusCode::BAD_REQUEST)
}

/// The connector in the address, whose people sign in at a provider; 404 for any other.
/// `/saml/…` is for those that speak SAML and `/oidc/…` for the others.
pub(in crate::web) struct Provider(pub(super) ConnectorId);

impl FromRequestParts<App> for Provider {
    type Rejection = ErrorPage;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ErrorPage> {
        let asked = Path::<String>::from_request_parts(parts, app).await;
        let protocol = if parts.uri.path().starts_with("/oidc/") {
            Protocol::OpenIdConnect
        } else {
            Protocol::Saml
        };
        let connectors = app.broker.connectors().iter();
        let mut providers = connectors.filter_map(|connector| match connector {
            Connector::Redirect(provider) if provider.protocol() == protocol => Some(provider.id()),
            _ => None,
        });
        let found =
            providers.find(|id| asked.as_ref().is_ok_and(|Path(asked)| id.as_str() == asked));
        found
            .map(|id| Self(id.clone()))
            .ok_or_else(|| Frame::of_parts(parts).status(StatusCode::NOT_FOUND))
    }
}

/// `POST /saml/{connector}/acs`: the provider's answer.
pub(in crate::web) async fn consume(
    State(app): State<App>,
    Provider(connector): Provider,
    session: Session,
    arrival: Arrival,
    form: Result<ProviderForm, ErrorPage>,
) -> Response {
    let form = match form {
        Ok(form) => form,
        Err(error) => return error.into_response(),
    };
    let Some(answer) = form.into_answer() else {
        return unreadable(arrival.frame).into_response();
    };
    finish(&app, &session, &arrival, connector, (answer, false)).await
}

/// What the page that asks for confirmation sends back.
#[derive(Deserialize)]
pub(in crate::web) struct ConfirmForm {
    #[serde(rename = "SAMLResponse")]
    message: SecretString,
}

/// `POST /saml/{connector}/acs/confirm`: the same answer once more, from a page of ours.
pub(in crate::web) async fn confirm(
    State(app): State<App>,
    Provider(connector): Provider,
    session: Session,
    arrival: Arrival,
    form: Result<CheckedForm<ConfirmForm>, ErrorPage>,
) -> Response {
    let answer = match form {
        Ok(CheckedForm(form)) => Answer {
            message: form.message,
            // Whatever a stranger's RelayState said means nothing where nobody asked.
            relay_state: None,
            secret: None,
        },
        Err(error) => return error.into_response(),
    };
    finish(&app, &session, &arrival, connector, (answer, true)).await
}

/// Finishes a sign-in at a provider with the answer that came.
pub(super) async fn finish(
    app: &App,
    session: &Session,
    arrival: &Arrival,
    connector: ConnectorId,
    (mut answer, is_confirmed): (Answer, bool),
) -> Response {
    let is_secure = app.settings.is_secure;
    // What cannot be read for its conversation is refused, and recorded, by what comes next.
    let conversation = app.broker.conversation(&connector, &answer).ok().flatten();
    let browser_hash = conversation
        .as_deref()
        .and_then(|id| attempt::browser_hash(&arrival.headers, id, is_secure));
    let replaced = conversation
        .as_deref()
        .and_then(|id| attempt::replaced(&arrival.headers, id, is_secure));
    answer.secret = conversation
        .as_deref()
        .and_then(|id| attempt::kept_secret(&arrival.headers, id, is_secure));
    let repeated = conversation.is_none().then(|| answer.message.clone());
    let beside = RedirectArrival {
        browser_hash,
        is_confirmed,
    };
    let client = arrival.client(app);
    let keep = |kept: Kept| session::begin(app, session, kept.into(), &arrival.origin);
    let finished = app
        .broker
        .finish_redirect(&connector, answer, beside, &client, keep)
        .await;
    match finished {
        Ok(Finished::SignedIn { kept: Ok(()), next }) => {
            if let Some(id_hash) = replaced {
                forget(app, &id_hash).await;
            }
            signed_in_response(app, &next, &connector, conversation.as_deref())
        }
        Ok(Finished::SignedIn {
            kept: Err(error), ..
        }) => {
            tracing::error!(error = %error, "a sign-in session could not be kept");
            let unavailable = StatusCode::SERVICE_UNAVAILABLE;
            arrival.frame.clone().status(unavailable).into_response()
        }
        Ok(Finished::ConfirmFirst { display }) => match repeated {
            Some(message) => ask(app, arrival, connector, display, &message),
            // Only an answer that names no conversation is confirmed.
            None => unreadable(arrival.frame.clone()).into_response(),
        },
        Err(refused) => arrival
            .frame
            .clone()
            .redirect_refused(&refused)
            .into_response(),
    }
}

/// Ends the session that a new one stands in for; left open, it would end by itself.
async fn forget(app: &App, id_hash: &str) {
    if let Err(error) = app.broker.forget_session(id_hash).await {
        tracing::warn!(%error, "a session that was replaced could not be ended");
    }
}

/// 303 to where the person wanted to go. The browser's mark for the throttle is left alone: a
/// request from another site does not bring it, so it would be replaced.
fn signed_in_response(
    app: &App,
    next: &str,
    connector: &ConnectorId,
    conversation: Option<&str>,
) -> Response {
    let is_secure = app.settings.is_secure;
    let mut response = signed_in::to(app, next);
    let set = [
        cookies::set(
            cookies::CONNECTOR,
            connector.as_str(),
            YEAR_SECONDS,
            is_secure,
        ),
        cookies::set(cookies::FORM, "", 0, is_secure),
        conversation.and_then(|id| attempt::end(id, is_secure)),
    ];
    for cookie in set.into_iter().flatten() {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    keep_secret(&mut response);
    response
}

/// The page that asks before signing in somebody who did not start here.
fn ask(
    app: &App,
    arrival: &Arrival,
    connector: ConnectorId,
    name: String,
    message: &SecretString,
) -> Response {
    let is_secure = app.settings.is_secure;
    // Another site's request brings no cookie that the page's token could answer to.
    let known = cookies::find(&arrival.headers, cookies::FORM, is_secure);
    let secret = known.map_or_else(cookies::random, str::to_owned);
    let view = ConfirmSignInView::new(ConfirmSignInInput {
        layout: Layout {
            csrf_token: csrf::token(&secret),
            ..arrival.frame.0.clone()
        },
        name,
        provider: connector_label(app, &connector).to_owned(),
        connector,
        message: message.expose_secret().to_owned(),
    });
    let mut response = render(&view, &arrival.frame);
    if let Some(cookie) = cookies::set(cookies::FORM, &secret, FORM_SECONDS, is_secure) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// `GET /saml/{connector}/metadata`.
pub(in crate::web) async fn metadata(
    State(app): State<App>,
    Provider(connector): Provider,
    frame: Frame,
) -> Response {
    let provider = app
        .broker
        .connectors()
        .iter()
        .find_map(|found| match found {
            Connector::Redirect(found) if *found.id() == connector => Some(found),
            _ => None,
        });
    let Some(provider) = provider else {
        return frame.status(StatusCode::NOT_FOUND).into_response();
    };
    match provider.metadata() {
        Ok(document) => {
            let headers = [
                (header::CONTENT_TYPE, "application/samlmetadata+xml"),
                (header::CACHE_CONTROL, "no-cache"),
            ];
            (headers, document).into_response()
        }
        Err(error) => {
            tracing::error!(
                request.id = frame.0.request_id,
                %connector,
                error = &error as &dyn std::error::Error,
                "our metadata cannot be written"
            );
            frame.provider_unavailable().into_response()
        }
    }
}

/// `GET /saml/{connector}/slo`: a message about signing out, in the query. It is read as it came,
/// since the signature covers the very bytes.
pub(in crate::web) async fn log_out_by_query(
    State(app): State<App>,
    Provider(connector): Provider,
    session: Session,
    arrival: Arrival,
    RawQuery(query): RawQuery,
) -> Response {
    match query.filter(|query| !query.is_empty()) {
        Some(query) => {
            let message = LogoutMessage::Query(query);
            log_out(&app, &session, arrival, &connector, message).await
        }
        None => unreadable(arrival.frame).into_response(),
    }
}

/// `POST /saml/{connector}/slo`: the same in a form.
pub(in crate::web) async fn log_out_by_form(
    State(app): State<App>,
    Provider(connector): Provider,
    session: Session,
    arrival: Arrival,
    form: Result<ProviderForm, ErrorPage>,
) -> Response {
    let form = match form {
        Ok(form) => form,
        Err(error) => return error.into_response(),
    };
    match form.into_logout() {
        Some(message) => log_out(&app, &session, arrival, &connector, message).await,
        None => unreadable(arrival.frame).into_response(),
    }
}

async fn log_out(
    app: &App,
    session: &Session,
    arrival: Arrival,
    connector: &ConnectorId,
    message: LogoutMessage,
) -> Response {
    let client = arrival.client(app);
    let (broker, connector) = (Arc::clone(&app.broker), connector.clone());
    let done = in_own_task(async move {
        let done = broker.provider_logout(&connector, message, &client);
        done.await
    });
    let Some(done) = done.await else {
        return arrival
            .frame
            .status(StatusCode::INTERNAL_SERVER_ERROR)
            .into_response();
    };
    match done {
        Ok(ProviderLogout::Ended { answer, .. }) => {
            let response = match answer {
                Some(carried) => departure::carry(&arrival.frame, carried),
                None => logout::to_signed_out(Some(ProviderEnd::Ended)),
            };
            // The message may have been about somebody else than this browser's person.
            match session::current(app, session).await {
                Ok(None) if session.id().is_some() => logout::without_session(app, response),
                _ => response,
            }
        }
        Ok(ProviderLogout::Answered { is_done }) => logout::to_signed_out(Some(if is_done {
            ProviderEnd::Ended
        } else {
            ProviderEnd::Open
        })),
        Err(refused) => arrival.frame.logout_refused(&refused).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_is_there_twice_is_not_chosen_from() {
        assert!(ProviderForm::read(b"SAMLResponse=a&RelayState=r").is_some());
        for doubled in [
            "SAMLResponse=a&SAMLResponse=a",
            "SAMLResponse=a&RelayState=r&RelayState=",
            "SAMLRequest=&SAMLRequest=",
            "SAMLResponse=a&%53AMLResponse=b",
        ] {
            assert!(
                ProviderForm::read(doubled.as_bytes()).is_none(),
                "{doubled}"
            );
        }
    }

    #[test]
    fn an_answer_is_one_response_and_nothing_else() {
        let answer = |body: &str| ProviderForm::read(body.as_bytes())?.into_answer();
        let read = answer("RelayState=r%2B&SAMLResponse=a%2Bb%0D%0A&other=x").unwrap();
        assert_eq!(read.message.expose_secret(), "a+b\r\n");
        assert_eq!(read.relay_state.as_deref(), Some("r+"));
        for none in [
            "",
            "samlresponse=a",
            "SAMLRequest=a",
            "SAMLRequest=a&SAMLResponse=b",
        ] {
            assert!(answer(none).is_none(), "{none}");
        }
    }

    #[test]
    fn a_logout_message_is_a_request_or_a_response() {
        let is_message = |body: &str| {
            ProviderForm::read(body.as_bytes()).is_some_and(|form| form.into_logout().is_some())
        };
        assert!(is_message("SAMLRequest=a") && is_message("SAMLResponse=a&RelayState=r"));
        assert!(!is_message("RelayState=r") && !is_message("SAMLRequest=a&SAMLResponse=b"));
    }
}
