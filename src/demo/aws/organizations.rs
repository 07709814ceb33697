//! Organizations, as far as an inventory of accounts needs it: `ListAccounts`, JSON 1.1.
//!
//! Source: AWS Organizations API reference, version 2016-11-28. Entry points: [`is_asked`],
//! [`call`].

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::catalogue::{Account, AccountStatus, account_of};
use super::iam::authenticated;
use super::listener::Line;
use super::permissions::Verdict;
use super::policy::Context;
use super::signature::SignedRequest;
use super::sts::StsError;
use super::{Shared, StsFault};

const TARGET: &str = "AWSOrganizationsV20161128.";
const PAGE: usize = 20;
/// Names the page without accounts that follows the first one: AWS sends such pages too.
const EMPTY: &str = "nothing before ";
/// Accounts here have no birthday: 29 February 2024, 8:00 UTC.
const JOINED: f64 = 1_709_193_600.0;

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct ListAccounts {
    next_token: Option<String>,
    max_results: Option<usize>,
}

/// Whether a request is for Organizations.
pub(super) fn is_asked(headers: &HeaderMap) -> bool {
    target(headers).is_some()
}

fn target(headers: &HeaderMap) -> Option<&str> {
    let target = headers.get("x-amz-target")?.to_str().ok()?;
    target.strip_prefix(TARGET)
}

/// One call.
pub(super) async fn call(
    shared: &Shared,
    line: &Line,
    request: &SignedRequest<'_>,
    request_id: &str,
) -> Response {
    shared.note_call(&request.head.headers, true);
    let (status, body) = match shared.next_sts_fault().await {
        Some(StsFault::Down | StsFault::Hang) => {
            line.cut();
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        Some(StsFault::Garbage) => return "\u{1}{not the JSON that was asked for".into_response(),
        Some(StsFault::Throttle(_) | StsFault::ThrottleEvery(_)) => {
            let message = "AWS Organizations can't complete your request because of the rate.";
            (
                StatusCode::BAD_REQUEST,
                error("TooManyRequestsException", message),
            )
        }
        Some(StsFault::InternalError(_)) => {
            let message = "AWS Organizations can't complete your request because of an internal \
                           error.";
            (
                StatusCode::INTERNAL_SERVER_ERROR,
                error("ServiceException", message),
            )
        }
        _ => match answer(shared, request) {
            Ok(body) => (StatusCode::OK, body),
            Err((code, message)) => (StatusCode::BAD_REQUEST, error(code, &message)),
        },
    };
    let headers = [
        (header::CONTENT_TYPE.as_str(), "application/x-amz-json-1.1"),
        ("x-amzn-requestid", request_id),
    ];
    (status, headers, body.to_string()).into_response()
}

fn error(code: &str, message: &str) -> Value {
    json!({ "__type": code, "Message": message })
}

type Refusal = (&'static str, String);

fn answer(shared: &Shared, request: &SignedRequest<'_>) -> Result<Value, Refusal> {
    let caller = authenticated(shared, request, "organizations").map_err(renamed)?;
    if target(&request.head.headers) != Some("ListAccounts") {
        return Err(("UnknownOperationException", String::new()));
    }
    let now = shared.now();
    let catalogue = shared.catalogue();
    let authority = shared.authority(&caller.principal, now);
    let mut context = Context::default();
    context.set("aws:RequestedRegion", &caller.region);
    let action = "organizations:ListAccounts";
    let account = account_of(&caller.principal.arn);
    let is_managing = (catalogue.management_account.as_ref()).is_none_or(|id| id == account);
    match authority.verdict(action, "*", &context) {
        Verdict::Allowed if is_managing => {}
        Verdict::Allowed => {
            let message = "You don't have permissions to access this resource.";
            return Err(("AccessDeniedException", message.to_owned()));
        }
        verdict => {
            let message = format!(
                "User: {} is not authorized to perform: {action}{}",
                caller.principal.caller_arn,
                verdict.reason(action)
            );
            return Err(("AccessDeniedException", message));
        }
    }
    let wanted: ListAccounts = serde_json::from_slice(request.body)
        .map_err(|_| ("SerializationException", String::new()))?;
    let managing = catalogue.management_account.as_deref().unwrap_or(account);
    let partition = caller.principal.arn.split(':').nth(1).unwrap_or_default();
    let described = |account: &Account| described(account, partition, managing);
    page(&wanted, catalogue.accounts(), described)
}

fn page(
    wanted: &ListAccounts,
    accounts: &[Account],
    described: impl Fn(&Account) -> Value,
) -> Result<Value, Refusal> {
    let most = wanted.max_results.unwrap_or(PAGE);
    if !(1..=PAGE).contains(&most) {
        let message = "You specified an invalid value for MaxResults.".to_owned();
        return Err(("InvalidInputException", message));
    }
    let token = wanted.next_token.as_deref();
    let is_empty = token.is_some_and(|token| token.starts_with(EMPTY));
    let start = match token.map(|token| token.trim_start_matches(EMPTY).parse()) {
        None => 0,
        Some(Ok(start)) if start < accounts.len() => start,
        Some(_) => {
            let message = "You specified an invalid value for NextToken.".to_owned();
            return Err(("InvalidInputException", message));
        }
    };
    let shown = if is_empty { 0 } else { most };
    let members: Vec<Value> = (accounts.iter().skip(start).take(shown))
        .map(described)
        .collect();
    let next = start + members.len();
    let mut answer = json!({ "Accounts": members });
    if next < accounts.len() {
        let empty = if start == 0 && !is_empty { EMPTY } else { "" };
        answer["NextToken"] = format!("{empty}{next}").into();
    }
    Ok(answer)
}

fn described(account: &Account, partition: &str, managing: &str) -> Value {
    let status = match account.status {
        AccountStatus::Active => "ACTIVE",
        AccountStatus::Suspended => "SUSPENDED",
        AccountStatus::PendingClosure => "PENDING_CLOSURE",
    };
    let id = account.id();
    json!({
        "Id": id,
        "Arn": format!("arn:{partition}:organizations::{managing}:account/o-standin000/{id}"),
        "Email": account.email,
        "Name": account.name,
        "Status": status,
        "State": status,
        "JoinedMethod": "CREATED",
        "JoinedTimestamp": JOINED,
    })
}

/// The services that speak JSON call the same refusals otherwise.
fn renamed(error: StsError) -> Refusal {
    let code = match error.code {
        "MissingAuthenticationToken" => "MissingAuthenticationTokenException",
        "IncompleteSignature" => "IncompleteSignatureException",
        "SignatureDoesNotMatch" => "InvalidSignatureException",
        "ExpiredToken" => "ExpiredTokenException",
        _ => "UnrecognizedClientException",
    };
    (code, error.message)
}
