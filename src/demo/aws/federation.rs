//! The sign-in endpoint: sign-in tokens, logins, sign-out and the multi-session opt-in.

use axum::body::Bytes;
use axum::extract::{ConnectInfo, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use time::{Duration, OffsetDateTime};
use url::{Url, form_urlencoded};
use uuid::Uuid;

use super::console::{message_page, read_browser_id, refusal_page};
use super::listener::Line;
use super::partition::{Partition, is_aws_address};
use super::{
    BrowserMode, FederationFault, Issued, Ledger, Shared, SignIn, SignInOutcome, StsAction,
    random_bytes, user_agent,
};

const TOKEN_LIFE: Duration = Duration::minutes(15);
const MOST_SESSIONS: usize = 5;
pub(super) const BROWSER_COOKIE: &str = "stand-in-browser";

/// A token that `login` accepts once.
#[derive(Clone)]
pub(super) struct SigninToken {
    access_key_id: String,
    created: OffsetDateTime,
    session_ends: OffsetDateTime,
    is_used: bool,
    sign_in: usize,
}

/// One identity that a browser is signed in with.
#[derive(Clone)]
pub(super) struct ConsoleSession {
    pub(super) id: String,
    /// The assumed role's or federated user's.
    pub(super) identity_arn: String,
    /// What opened it.
    pub(super) access_key_id: String,
    pub(super) session_name: String,
    pub(super) expires: OffsetDateTime,
    pub(super) destination: Url,
    pub(super) issuer: Option<String>,
}

/// `GET /federation`: login, or a token with the credentials in the query.
pub(super) async fn by_query(
    State(shared): State<Shared>,
    ConnectInfo(line): ConnectInfo<Line>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let query = query.unwrap_or_default();
    answer(
        &shared,
        &line,
        &headers,
        &Parameters::of(query.as_bytes()),
        false,
    )
    .await
}

/// `POST /federation`: the same with a form.
pub(super) async fn by_form(
    State(shared): State<Shared>,
    ConnectInfo(line): ConnectInfo<Line>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    answer(&shared, &line, &headers, &Parameters::of(&body), true).await
}

/// `GET /oauth`: the hop to the console after a login, and sign-out.
pub(super) async fn oauth(
    State(shared): State<Shared>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let parameters = Parameters::of(query.unwrap_or_default().as_bytes());
    let target = match parameters.value("redirect_uri").map(Url::parse) {
        None => None,
        Some(Ok(url)) if shared.is_own(&url) || is_aws_address(&url) => Some(url),
        Some(_) => return bad_request("The redirect_uri is not an AWS address."),
    };
    match parameters.value("Action") {
        Some("logout") => {
            if let Some(browser) = read_browser_id(&headers) {
                shared.ledger().browsers.remove(browser);
            }
            target.map_or_else(
                || {
                    message_page(
                        StatusCode::OK,
                        "You have signed out",
                        "This browser has no open console session.",
                    )
                },
                |url| redirect(&url, None),
            )
        }
        Some("continue") => target.map_or_else(
            || bad_request("There is nowhere to continue to."),
            |url| redirect(&url, None),
        ),
        _ => bad_request("The Action is not known."),
    }
}

/// `GET /sessions/v1/opt-in`: multi-session from now on.
pub(super) async fn opt_in(
    State(shared): State<Shared>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let parameters = Parameters::of(query.unwrap_or_default().as_bytes());
    let now = shared.now();
    let mut ledger = shared.ledger();
    let has_session = read_browser_id(&headers)
        .and_then(|browser| ledger.browsers.get(browser))
        .is_some_and(|sessions| sessions.iter().any(|session| session.expires > now));
    if ledger.mode == BrowserMode::MultiSession && has_session {
        return bad_request("Multi-session support is on already.");
    }
    let target = match parameters.value("redirect_uri").map(Url::parse) {
        None => None,
        Some(Ok(url)) if shared.is_own(&url) || is_aws_address(&url) => Some(url),
        Some(_) => return bad_request("The redirect_uri is not an AWS address."),
    };
    ledger.mode = BrowserMode::MultiSession;
    drop(ledger);
    target.map_or_else(
        || {
            let text = "This browser can now hold five console sessions at once.";
            message_page(StatusCode::OK, "Multi-session support is on", text)
        },
        |url| redirect(&url, None),
    )
}

async fn answer(
    shared: &Shared,
    line: &Line,
    headers: &HeaderMap,
    parameters: &Parameters,
    is_post: bool,
) -> Response {
    match parameters.value("Action") {
        Some("getSigninToken") => {
            shared.ledger().user_agents.push(user_agent(headers));
            let fault = shared.federation_fault().await;
            if let Some(response) = broken(fault, line, parameters) {
                return response;
            }
            signin_token(shared, parameters, is_post)
        }
        Some("login") => login(shared, headers, parameters),
        _ => bad_request("The Action is not known."),
    }
}

fn broken(
    fault: Option<FederationFault>,
    line: &Line,
    parameters: &Parameters,
) -> Option<Response> {
    match fault? {
        FederationFault::Down | FederationFault::Hang => {
            line.cut();
            Some(StatusCode::SERVICE_UNAVAILABLE.into_response())
        }
        FederationFault::BadRequest => Some(bad_request("The request could not be completed.")),
        FederationFault::BadRequestWithSessionDuration => parameters
            .value("SessionDuration")
            .map(|_| bad_request("The request could not be completed.")),
        FederationFault::InternalError => {
            let text = "Something went wrong on our side.";
            Some(message_page(
                StatusCode::INTERNAL_SERVER_ERROR,
                "Error",
                text,
            ))
        }
        FederationFault::Garbage => Some("\u{1}{not the JSON that was asked for".into_response()),
    }
}

#[derive(Deserialize)]
#[expect(clippy::struct_field_names, reason = "the names of AWS")]
struct Session {
    #[serde(rename = "sessionId")]
    access_key_id: String,
    #[serde(rename = "sessionKey")]
    secret_access_key: String,
    #[serde(rename = "sessionToken")]
    session_token: String,
}

fn signin_token(shared: &Shared, parameters: &Parameters, is_post: bool) -> Response {
    let now = shared.now();
    let mut ledger = shared.ledger();
    let judged = judge_session(&ledger, parameters, now);
    let sign_in = SignIn {
        session: parameters.value("Session").unwrap_or_default().to_owned(),
        session_duration: parameters.value("SessionDuration").map(str::to_owned),
        is_post,
        destination: None,
        issuer: None,
        assertion_id: None,
        outcome: match &judged {
            Ok(_) => SignInOutcome::TokenIssued,
            Err(reason) => SignInOutcome::Refused((*reason).to_owned()),
        },
    };
    let position = ledger.sign_ins.len();
    ledger.sign_ins.push(sign_in);
    let (access_key_id, session_ends) = match judged {
        Ok(accepted) => accepted,
        Err(reason) => return bad_request(reason),
    };
    let token = URL_SAFE_NO_PAD.encode(random_bytes(384));
    let kept = SigninToken {
        access_key_id,
        created: now,
        session_ends,
        is_used: false,
        sign_in: position,
    };
    ledger.tokens.insert(token.clone(), kept);
    let headers = [(header::CACHE_CONTROL, "no-store")];
    (
        headers,
        axum::Json(serde_json::json!({ "SigninToken": token })),
    )
        .into_response()
}

/// The access key and the end of the console session, or why AWS answers 400.
fn judge_session(
    ledger: &Ledger,
    parameters: &Parameters,
    now: OffsetDateTime,
) -> Result<(String, OffsetDateTime), &'static str> {
    let session: Session = parameters
        .value("Session")
        .and_then(|text| serde_json::from_str(text).ok())
        .ok_or("The Session parameter is syntactically incorrect.")?;
    let issued = ledger
        .issued(&session.access_key_id)
        .filter(|issued| {
            issued.secret_access_key == session.secret_access_key
                && issued.session_token == session.session_token
        })
        .filter(|issued| issued.action != StsAction::GetSessionToken)
        .ok_or("The credentials are not temporary credentials of a role or a federated user.")?;
    if issued.expiration <= now {
        return Err("The credentials have expired.");
    }
    let ends = match parameters.value("SessionDuration") {
        None => issued.expiration,
        Some(_) if issued.is_chained => {
            return Err("SessionDuration is not allowed for chained credentials.");
        }
        Some(_) if issued.action == StsAction::GetFederationToken => {
            return Err("SessionDuration is not allowed for a federated user.");
        }
        Some(text) => text
            .parse::<i64>()
            .ok()
            .filter(|seconds| (900..=43_200).contains(seconds))
            .map(|seconds| now + Duration::seconds(seconds))
            .ok_or("SessionDuration must be 900 to 43200.")?,
    };
    Ok((session.access_key_id, ends))
}

fn login(shared: &Shared, headers: &HeaderMap, parameters: &Parameters) -> Response {
    let now = shared.now();
    let browser =
        read_browser_id(headers).map_or_else(|| Uuid::new_v4().to_string(), str::to_owned);
    let mut ledger = shared.ledger();
    let token = parameters.value("SigninToken").unwrap_or_default();
    let judged = judge_login(shared, &ledger, token, parameters, now)
        .and_then(|session| admit(&ledger, &browser, session, now));
    let outcome = match &judged {
        Ok(_) => SignInOutcome::SignedIn,
        Err(refusal) => SignInOutcome::Refused(refusal.text.to_owned()),
    };
    note_login(&mut ledger, token, parameters, outcome);
    let session = match judged {
        Ok(session) => session,
        Err(refusal) => {
            return refusal_page(refusal.title, refusal.text);
        }
    };
    if let Some(token) = ledger.tokens.get_mut(token) {
        token.is_used = true;
    }
    open_console(shared, &mut ledger, &browser, session)
}

/// Keeps the session and sends the browser to its console.
pub(super) fn open_console(
    shared: &Shared,
    ledger: &mut Ledger,
    browser: &str,
    session: ConsoleSession,
) -> Response {
    let now = shared.now();
    let mut page = shared.at("/console");
    page.query_pairs_mut().append_pair("session", &session.id);
    let sessions = ledger.browsers.entry(browser.to_owned()).or_default();
    sessions.retain(|open| open.expires > now && !is_same_identity(open, &session));
    sessions.push(session);
    let mut hop = shared.at("/oauth");
    hop.query_pairs_mut()
        .append_pair("Action", "continue")
        .append_pair("redirect_uri", page.as_str());
    redirect(&hop, Some(browser))
}

#[derive(Clone, Copy)]
pub(super) struct Refusal {
    pub(super) title: &'static str,
    pub(super) text: &'static str,
}

const fn refusal(text: &'static str) -> Refusal {
    Refusal {
        title: "The request could not be completed",
        text,
    }
}

fn judge_login(
    shared: &Shared,
    ledger: &Ledger,
    token: &str,
    parameters: &Parameters,
    now: OffsetDateTime,
) -> Result<ConsoleSession, Refusal> {
    let token = ledger
        .tokens
        .get(token)
        .ok_or(refusal("The sign-in token is not known."))?;
    if token.is_used {
        return Err(refusal("The sign-in token was used already."));
    }
    if now - token.created > TOKEN_LIFE {
        return Err(refusal("The sign-in token is older than 15 minutes."));
    }
    let issued: &Issued = (ledger.issued(&token.access_key_id))
        .ok_or(refusal("The credentials are not known any more."))?;
    let destination = (parameters.value("Destination"))
        .and_then(|text| Url::parse(text).ok())
        .ok_or(refusal(
            "The Destination is missing or no absolute address.",
        ))?;
    if !is_console_of(shared, &issued.arn, &destination) {
        return Err(refusal(
            "The Destination is not a console of the role's partition.",
        ));
    }
    Ok(ConsoleSession {
        id: Uuid::new_v4().simple().to_string(),
        identity_arn: issued.arn.clone(),
        access_key_id: token.access_key_id.clone(),
        session_name: issued.session_name.clone(),
        expires: token.session_ends,
        destination,
        issuer: parameters.value("Issuer").map(str::to_owned),
    })
}

/// Whether an address is a console of the identity's partition, or the stand-in's own.
pub(super) fn is_console_of(shared: &Shared, identity_arn: &str, url: &Url) -> bool {
    let partition = Partition::of_arn(identity_arn);
    let is_own = shared.is_own(url) && url.path().starts_with("/console");
    is_own || partition.is_some_and(|partition| partition.has_console(url))
}

/// Whether this browser can hold the session beside those it has.
pub(super) fn admit(
    ledger: &Ledger,
    browser: &str,
    session: ConsoleSession,
    now: OffsetDateTime,
) -> Result<ConsoleSession, Refusal> {
    let others = ledger.browsers.get(browser).map_or(0, |sessions| {
        let is_other =
            |open: &&ConsoleSession| open.expires > now && !is_same_identity(open, &session);
        sessions.iter().filter(is_other).count()
    });
    match ledger.mode {
        BrowserMode::SingleSession if others > 0 => Err(Refusal {
            title: "Sign out first",
            text: "You must first log out before logging into a different AWS account.",
        }),
        BrowserMode::MultiSession if others >= MOST_SESSIONS => Err(Refusal {
            title: "Too many sessions",
            text: "This browser has five console sessions already. Sign out of one of them first.",
        }),
        _ => Ok(session),
    }
}

/// Signing in again as the same identity renews its session.
fn is_same_identity(one: &ConsoleSession, other: &ConsoleSession) -> bool {
    one.identity_arn == other.identity_arn
}

/// Completes the attempt that began with the token, or records one of its own.
fn note_login(ledger: &mut Ledger, token: &str, parameters: &Parameters, outcome: SignInOutcome) {
    let destination = parameters.value("Destination").map(str::to_owned);
    let issuer = parameters.value("Issuer").map(str::to_owned);
    let position = ledger.tokens.get(token).map(|token| token.sign_in);
    let begun = position.and_then(|position| ledger.sign_ins.get_mut(position));
    match begun {
        Some(sign_in) if sign_in.outcome != SignInOutcome::SignedIn => {
            sign_in.destination = destination;
            sign_in.issuer = issuer;
            sign_in.outcome = outcome;
        }
        _ => ledger.sign_ins.push(SignIn {
            session: String::new(),
            session_duration: None,
            is_post: false,
            destination,
            issuer,
            assertion_id: None,
            outcome,
        }),
    }
}

fn redirect(target: &Url, browser: Option<&str>) -> Response {
    let mut response = (
        StatusCode::FOUND,
        [
            (header::LOCATION, target.as_str()),
            (header::CACHE_CONTROL, "no-store"),
            (header::REFERRER_POLICY, "no-referrer"),
        ],
    )
        .into_response();
    let cookie = browser
        .map(|browser| format!("{BROWSER_COOKIE}={browser}; Path=/; HttpOnly; SameSite=Lax"))
        .and_then(|cookie| cookie.parse().ok());
    if let Some(cookie) = cookie {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

pub(super) fn bad_request(text: &str) -> Response {
    message_page(
        StatusCode::BAD_REQUEST,
        "The request could not be completed",
        text,
    )
}

/// Form or query parameters; of a repeated one the first counts.
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    pub(super) fn of(encoded: &[u8]) -> Self {
        Self(form_urlencoded::parse(encoded).into_owned().collect())
    }

    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}
