//! `/saml`: a browser brings an assertion from its identity provider and is let into the console,
//! with no credentials and no call to STS in between.
//!
//! The assertion is held to the same rules as one for STS, and has to be for this very address or
//! for AWS's own. Entry point: [`post`].

use std::fmt::Write;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use time::OffsetDateTime;
use url::Url;
use uuid::Uuid;

use super::assume_role::AssumeRole;
use super::catalogue::Catalogue;
use super::console::{page_with_form, read_browser_id, refusal_page};
use super::federation::{
    ConsoleSession, Parameters, admit, bad_request, is_console_of, open_console,
};
use super::partition::Partition;
use super::saml::Assertion;
use super::session::{Caller, issue};
use super::sts::{StsAction, StsError};
use super::with_saml::{Vouched, read};
use super::{Issued, SamlEvidence, Shared, SignIn, SignInOutcome, escape};

const DEFAULT_SECONDS: u32 = 3_600;
const INVALID: &str = "Your request included an invalid SAML response.";

/// `GET /saml`: nothing comes by GET.
pub(super) async fn get() -> Response {
    bad_request(INVALID)
}

/// `POST /saml`: `SAMLResponse`, `RelayState` and, from the page that offers several roles,
/// `roleIndex`.
pub(super) async fn post(
    State(shared): State<Shared>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let form = Parameters::of(&body);
    // Identity providers break lines of base64, and AWS's page does not mind.
    let response = form.value("SAMLResponse").unwrap_or_default();
    let response: String = response.split_ascii_whitespace().collect();
    let now = shared.now();
    let catalogue = shared.catalogue();
    let offered = match offered(&shared, &catalogue, &response, now) {
        Ok(offered) => offered,
        Err(refused) => return refuse(&shared, &form, None, &refused),
    };
    let wanted = form.value("roleIndex");
    let chosen = match (wanted, offered.as_slice()) {
        (None, [_]) => offered.into_iter().next(),
        (None, _) => return role_picker(&offered, &form, &response),
        (Some(wanted), _) => offered.into_iter().find(|offer| offer.role_arn == wanted),
    };
    match chosen {
        Some(offer) => enter(&shared, &catalogue, (&headers, &form), offer, response),
        None => bad_request(INVALID),
    }
}

/// A role that the assertion names, with the assertion as its provider's keys prove it.
struct Offer {
    role_arn: String,
    provider_arn: String,
    assertion: Assertion,
}

/// What the assertion offers: the roles whose provider signed it. Where there is none, why the
/// first one is none.
fn offered(
    shared: &Shared,
    catalogue: &Catalogue,
    response: &str,
    now: OffsetDateTime,
) -> Result<Vec<Offer>, StsError> {
    let invalid = || StsError::sender(400, "InvalidIdentityToken", INVALID);
    let claimed = Assertion::claimed_roles(response).ok_or_else(invalid)?;
    let mut offers = Vec::new();
    let mut refused = None;
    for (role_arn, provider_arn) in claimed {
        let judged = read(catalogue, &provider_arn, response, now);
        match judged.and_then(|assertion| check_address(shared, &provider_arn, assertion)) {
            Ok(assertion) if assertion.names(&role_arn, &provider_arn) => offers.push(Offer {
                role_arn,
                provider_arn,
                assertion,
            }),
            Ok(_) => refused = refused.or_else(|| Some(invalid())),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    if offers.is_empty() {
        let none = || {
            let message = "Response does not contain a role to sign in to";
            StsError::sender(400, "InvalidIdentityToken", message)
        };
        return Err(refused.unwrap_or_else(none));
    }
    Ok(offers)
}

/// Whether the assertion was made for this page, and the response around it sent to it.
fn check_address(
    shared: &Shared,
    provider_arn: &str,
    assertion: Assertion,
) -> Result<Assertion, StsError> {
    let own = shared.at("/saml");
    let is_here = |address: &str| {
        let partition = Partition::of_arn(provider_arn);
        address == own.as_str()
            || partition.is_some_and(|partition| partition.has_saml_sign_in(address))
    };
    let destination = assertion.destination.as_deref();
    if is_here(&assertion.recipient) && destination.is_none_or(is_here) {
        Ok(assertion)
    } else {
        let message = "Response is not for this sign-in address (Recipient and Destination)";
        Err(StsError::sender(400, "InvalidIdentityToken", message))
    }
}

/// Opens the console, as the role's trust and the browser allow.
fn enter(
    shared: &Shared,
    catalogue: &Catalogue,
    (headers, form): (&HeaderMap, &Parameters),
    offer: Offer,
    response: String,
) -> Response {
    let now = shared.now();
    let assertion_id = offer.assertion.id.clone();
    let wanted = AssumeRole {
        role_arn: offer.role_arn,
        duration_seconds: DEFAULT_SECONDS,
        ..AssumeRole::default()
    };
    let vouched = (offer.assertion).vouch(catalogue, wanted, &offer.provider_arn, now);
    let issued = match vouched {
        Ok(vouched) => console_session(vouched, &offer.provider_arn, response, now),
        Err(error) => return refuse(shared, form, Some(assertion_id), &error),
    };
    let session = ConsoleSession {
        id: Uuid::new_v4().simple().to_string(),
        identity_arn: issued.arn.clone(),
        access_key_id: issued.access_key_id.clone(),
        session_name: issued.session_name.clone(),
        expires: issued.expiration,
        destination: destination(shared, form, &issued.arn),
        issuer: None,
    };
    let browser =
        read_browser_id(headers).map_or_else(|| Uuid::new_v4().to_string(), str::to_owned);
    let mut ledger = shared.ledger();
    let admitted = admit(&ledger, &browser, session, now);
    let outcome = match &admitted {
        Ok(_) => SignInOutcome::SignedIn,
        Err(refusal) => SignInOutcome::Refused(refusal.text.to_owned()),
    };
    let attempt = attempt(form, Some(assertion_id), outcome);
    ledger.sign_ins.push(SignIn {
        session_duration: Some(issued.duration_seconds.to_string()),
        ..attempt
    });
    match admitted {
        Ok(session) => {
            let answer = open_console(shared, &mut ledger, &browser, session);
            drop(ledger);
            shared.keep(issued);
            answer
        }
        Err(refusal) => refusal_page(refusal.title, refusal.text),
    }
}

/// The role's own `MaxSessionDuration` is for credentials: the console's length is what the
/// assertion says, up to the end of the provider's session.
fn console_session(
    vouched: Vouched<'_>,
    provider_arn: &str,
    response: String,
    now: OffsetDateTime,
) -> Issued {
    let mut wanted = vouched.wanted;
    let seconds = vouched.session_seconds.unwrap_or(DEFAULT_SECONDS);
    wanted.duration_seconds = seconds.min(vouched.seconds_left.unwrap_or(u32::MAX));
    let caller = Caller::provider(provider_arn);
    let request_id = Uuid::new_v4().to_string();
    let action = StsAction::AssumeRoleWithSaml;
    let mut issued = issue(action, caller, wanted, now, &request_id);
    issued.saml = Some(SamlEvidence {
        response,
        ..vouched.evidence
    });
    issued
}

/// The `RelayState` where it is a console, else the console's home.
fn destination(shared: &Shared, form: &Parameters, identity_arn: &str) -> Url {
    let relay_state = form.value("RelayState").map(Url::parse);
    relay_state
        .and_then(Result::ok)
        .filter(|url| is_console_of(shared, identity_arn, url))
        .unwrap_or_else(|| shared.at("/console"))
}

fn attempt(form: &Parameters, assertion_id: Option<String>, outcome: SignInOutcome) -> SignIn {
    SignIn {
        session: String::new(),
        session_duration: None,
        is_post: true,
        destination: form.value("RelayState").map(str::to_owned),
        issuer: None,
        assertion_id,
        outcome,
    }
}

/// AWS's page tells which service said no, and how.
fn refuse(
    shared: &Shared,
    form: &Parameters,
    assertion_id: Option<String>,
    error: &StsError,
) -> Response {
    let text = format!(
        "{} (Service: AWSSecurityTokenService; Status Code: {}; Error Code: {})",
        error.message,
        error.status.as_u16(),
        error.code
    );
    let outcome = SignInOutcome::Refused(text.clone());
    let attempt = attempt(form, assertion_id, outcome);
    shared.ledger().sign_ins.push(attempt);
    refusal_page("The request could not be completed", &text)
}

/// Several roles: which one?
fn role_picker(offers: &[Offer], form: &Parameters, response: &str) -> Response {
    let roles = offers.iter().fold(String::new(), |mut roles, offer| {
        let arn = escape(&offer.role_arn);
        let _ = write!(
            roles,
            "<p><label><input type=\"radio\" name=\"roleIndex\" value=\"{arn}\" required> \
             {arn}</label></p>"
        );
        roles
    });
    let relay_state = escape(form.value("RelayState").unwrap_or_default());
    let body = format!(
        "<h1>Select a role</h1><form method=\"post\" action=\"/saml\" id=\"roles\">\
         <input type=\"hidden\" name=\"SAMLResponse\" value=\"{}\">\
         <input type=\"hidden\" name=\"RelayState\" value=\"{relay_state}\">\
         <fieldset><legend>Roles</legend>{roles}</fieldset>\
         <p><button type=\"submit\">Sign in</button></p></form>",
        escape(response)
    );
    page_with_form(StatusCode::OK, "Select a role", &body, "'self'")
}
