//! `/authorize`: a client on the same machine asks to act for the person (RFC 6749, 4.1; RFC 8252).
//!
//! Looking at the page changes nothing; only the button does, and what it sends is checked anew.
//! Beside it `/start`, which AWS's own command line looks at before anything else.

use axum::{
    extract::State,
    http::{HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse as _, Response},
};
use serde::Deserialize;
use url::form_urlencoded;

use super::{
    super::{
        App,
        csrf::CheckedForm,
        error::Frame,
        headers::{allow_loopback, keep_secret},
        session::SignedIn,
        views::{
            consent::{ConsentInput, ConsentView},
            error::ErrorView,
            query_string,
        },
    },
    Arrival, connector_label, layout, login, render, see_other,
};
use crate::broker::{AuthorizeOrder, AuthorizeRefused};

/// The page of an AWS access portal. AWS's own command line (2.35.13 and later) takes a start address
/// elsewhere only where it leads to a name of AWS's, which it then does not contact.
const PORTAL_OF_AWS: &str = "https://d-0000000000.awsapps.com/start";

/// The parameters, which go into the page's form as well.
const NAMES: [&str; 7] = [
    "response_type",
    "client_id",
    "redirect_uri",
    "state",
    "code_challenge",
    "code_challenge_method",
    "scopes",
];

/// `GET /authorize`: the question, to whoever is signed in.
pub(in crate::web) async fn show(
    State(app): State<App>,
    signed_in: Result<SignedIn, Response>,
    frame: Frame,
    uri: Uri,
) -> Response {
    let order = match read(uri.query().unwrap_or_default()) {
        Ok(order) => order,
        Err(name) => return came_twice(frame, name),
    };
    let consent = match app.broker.consent(&order) {
        Ok(consent) => consent,
        Err(refused) => return refuse(frame, &refused),
    };
    let signed_in = match signed_in {
        Ok(signed_in) => signed_in,
        Err(response) if response.status().is_redirection() => {
            return login::to_sign_in(&path_of(&order), false);
        }
        Err(response) => return response,
    };
    let view = ConsentView::new(ConsentInput {
        layout: layout(&frame, &signed_in),
        consent: &consent,
        username: &signed_in.identity().username,
        signed_in_at: connector_label(&app, &signed_in.identity().connector),
        lasts: app.broker.settings().tokens.refresh,
        fields: fields(&order),
    });
    let mut response = render(&view, &frame);
    allow_loopback(
        &mut response,
        matches!(consent.redirect_uri.host(), Some(url::Host::Ipv6(_))),
    );
    response
}

/// The question's form.
#[derive(Deserialize)]
pub(in crate::web) struct ConsentForm {
    decision: Decision,
    #[serde(default)]
    response_type: String,
    #[serde(default)]
    client_id: String,
    #[serde(default)]
    redirect_uri: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    code_challenge: String,
    #[serde(default)]
    code_challenge_method: String,
    scopes: Option<String>,
}

/// Which button was pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Decision {
    Allow,
    Decline,
}

/// `POST /authorize`: 303 to the client, with a code or with word that the person declined.
pub(in crate::web) async fn decide(
    State(app): State<App>,
    signed_in: Result<SignedIn, Response>,
    arrival: Arrival,
    CheckedForm(form): CheckedForm<ConsentForm>,
) -> Response {
    let decision = form.decision;
    let order = AuthorizeOrder {
        response_type: form.response_type,
        client_id: form.client_id,
        redirect_uri: form.redirect_uri,
        state: form.state,
        code_challenge: form.code_challenge,
        code_challenge_method: form.code_challenge_method,
        scopes: form.scopes,
    };
    let signed_in = match signed_in {
        Ok(signed_in) => signed_in,
        Err(response) if response.status().is_redirection() => {
            return login::to_sign_in(&path_of(&order), true);
        }
        Err(response) => return response,
    };
    let (session, client) = (&signed_in.session, arrival.client(&app));
    let answer = match decision {
        Decision::Allow => app.broker.approve_code(session, &order, &client).await,
        Decision::Decline => app.broker.decline_code(session, &order, &client).await,
    };
    match answer {
        Ok(url) => to_client(url.as_str()),
        Err(refused) => refuse(Frame(layout(&arrival.frame, &signed_in)), &refused),
    }
}

/// `HEAD /start`: what AWS's command line looks at.
pub(in crate::web) async fn start_for_aws() -> Response {
    let location = HeaderValue::from_static(PORTAL_OF_AWS);
    (StatusCode::FOUND, [(header::LOCATION, location)]).into_response()
}

/// `GET /start`: for people who open the address that stands in their profile.
pub(in crate::web) async fn start() -> Response {
    see_other("/")
}

/// Reads a query; the name of a parameter that came twice where one did (RFC 6749, 3.1). `scope` is
/// how the RFC calls what AWS's tools call `scopes`.
fn read(query: &str) -> Result<AuthorizeOrder, &'static str> {
    let mut values: [Option<String>; NAMES.len()] = Default::default();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let name = if name == "scope" { "scopes" } else { &name };
        let Some(place) = NAMES.iter().position(|known| *known == name) else {
            continue;
        };
        if let (Some(slot), Some(known)) = (values.get_mut(place), NAMES.get(place))
            && slot.replace(value.into_owned()).is_some()
        {
            return Err(known);
        }
    }
    let [
        response_type,
        client_id,
        redirect_uri,
        state,
        code_challenge,
        code_challenge_method,
        scopes,
    ] = values;
    Ok(AuthorizeOrder {
        response_type: response_type.unwrap_or_default(),
        client_id: client_id.unwrap_or_default(),
        redirect_uri: redirect_uri.unwrap_or_default(),
        state: state.unwrap_or_default(),
        code_challenge: code_challenge.unwrap_or_default(),
        code_challenge_method: code_challenge_method.unwrap_or_default(),
        scopes,
    })
}

/// The parameters, as they came.
fn fields(order: &AuthorizeOrder) -> Vec<(&'static str, String)> {
    let values = [
        Some(&order.response_type),
        Some(&order.client_id),
        Some(&order.redirect_uri),
        Some(&order.state),
        Some(&order.code_challenge),
        Some(&order.code_challenge_method),
        order.scopes.as_ref(),
    ];
    (NAMES.into_iter().zip(values))
        .filter_map(|(name, value)| Some((name, value?.clone())))
        .collect()
}

/// Where the same is asked again.
fn path_of(order: &AuthorizeOrder) -> String {
    let fields = fields(order);
    let pairs: Vec<(&str, &str)> = (fields.iter())
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    query_string("/authorize", &pairs)
}

/// 303 to the client, whose address carries what nobody else may see.
fn to_client(url: &str) -> Response {
    let mut response = see_other(url);
    keep_secret(&mut response);
    response
}

fn came_twice(frame: Frame, name: &str) -> Response {
    not_asked(frame, &format!("{name} came twice."))
}

fn refuse(frame: Frame, refused: &AuthorizeRefused) -> Response {
    match refused {
        AuthorizeRefused::NoRedirect(what) => not_asked(frame, &format!("What is wrong: {what}.")),
        AuthorizeRefused::Redirect(url) => to_client(url.as_str()),
        AuthorizeRefused::StoreUnavailable(error) => frame.store_unavailable(error).into_response(),
    }
}

/// Nothing can be sent to a client that is not known, so the person is told.
fn not_asked(Frame(layout): Frame, what: &str) -> Response {
    let fact = format!(
        "A program on this computer wanted to sign in as you, but not as it has to. {what}"
    );
    let view = ErrorView::new(layout, 400, "The program could not ask you", &fact)
        .step("Go back to the terminal, stop the program, and sign in there again.")
        .step("If you did not start anything, close this page: nothing was done.");
    crate::web::error::ErrorPage::from(view).into_response()
}
