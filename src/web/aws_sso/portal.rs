//! The service SSO: accounts, roles, credentials, signing out.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse as _, Response},
};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::{
    place,
    refusal::Refusal,
    request::{bearer_token, query},
};
use crate::{
    access::{AccountId, NotEntitled, TokenScope},
    broker::{
        Caller, Client, GroupsRefused, IssuedCredentials, ListPlace, OpenOrder, OpenRefused,
        Presented, StockRoles,
    },
    web::{
        App, client_address::Origin, headers::keep_secret, pages::in_own_task, views::query_string,
    },
};

/// The longest page, and how long one is where nobody says.
const MOST_RESULTS: usize = 100;
const ACCOUNTS: &str = "accounts";

/// `GET /aws/assignment/accounts`. Accounts have no e-mail addresses here.
pub(super) async fn accounts(
    State(app): State<App>,
    origin: Origin,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Json<Value>, Refusal> {
    let [size, after] = query(&uri, ["max_result", "next_token"])?;
    let (size, after) = (page_size(size)?, place_in(ACCOUNTS, after)?);
    let caller = caller(&app, &headers, &origin.client(None)).await?;
    let part = app
        .broker
        .stock_accounts(&caller, after.as_ref(), size)
        .await?;
    let accounts: Vec<Value> = (part.entries.iter())
        .map(|account| json!({ "accountId": account.id.as_str(), "accountName": account.name }))
        .collect();
    Ok(listed(
        "accountList",
        &accounts,
        ACCOUNTS,
        part.next.as_ref(),
    ))
}

/// `GET /aws/assignment/roles`.
pub(super) async fn roles(
    State(app): State<App>,
    origin: Origin,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Json<Value>, Refusal> {
    let [account, size, after] = query(&uri, ["account_id", "max_result", "next_token"])?;
    let account = account_id(account)?;
    let list = format!("roles {account}");
    let (size, after) = (page_size(size)?, place_in(&list, after)?);
    let caller = caller(&app, &headers, &origin.client(None)).await?;
    let held = app
        .broker
        .stock_roles(&caller, &account, after.as_ref(), size)
        .await?;
    let StockRoles::Held(part) = held else {
        return Err(Refusal::portal(
            StatusCode::NOT_FOUND,
            "ResourceNotFoundException",
            format!("You hold no role in account {account}."),
        ));
    };
    let roles: Vec<Value> = (part.entries.iter())
        .map(|name| json!({ "roleName": name, "accountId": account.as_str() }))
        .collect();
    Ok(listed("roleList", &roles, &list, part.next.as_ref()))
}

/// `GET /aws/federation/credentials`.
pub(super) async fn credentials(
    State(app): State<App>,
    origin: Origin,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Refusal> {
    let [account, role] = query(&uri, ["account_id", "role_name"])?;
    let account = account_id(account)?;
    let role = role
        .filter(|name| !name.is_empty())
        .ok_or_else(|| Refusal::invalid_parameter("role_name is missing.".to_owned()))?;
    let client = origin.client(None);
    let mut caller = caller(&app, &headers, &client).await?;
    let counted = app.broker.count_api_order(&caller.session.identity);
    counted.map_err(Refusal::too_many)?;
    let order = app.broker.stock_order(&caller, &account, &role).await?;
    let broker = Arc::clone(&app.broker);
    let issued = in_own_task(async move {
        let issued = broker
            .caller_credentials(&mut caller, &order, &client)
            .await;
        (issued, order)
    });
    let (issued, order) = issued
        .await
        .ok_or_else(|| Refusal::of_status(StatusCode::INTERNAL_SERVER_ERROR))?;
    match issued {
        Ok(issued) => {
            let mut response = Json(handed_out(&issued)).into_response();
            keep_secret(&mut response);
            Ok(response)
        }
        Err(refused) => {
            let asked = Asked {
                order: &order,
                words: asked(&role, &account),
                request_id: &origin.request_id,
            };
            Err(not_opened(&app, refused, &asked))
        }
    }
}

fn handed_out(issued: &IssuedCredentials) -> Value {
    let credentials = &issued.credentials;
    let milliseconds = credentials.expiration.unix_timestamp_nanos() / 1_000_000;
    json!({ "roleCredentials": {
        "accessKeyId": credentials.access_key_id,
        "secretAccessKey": credentials.secret_access_key.expose_secret(),
        "sessionToken": credentials.session_token.expose_secret(),
        "expiration": i64::try_from(milliseconds).unwrap_or(i64::MAX),
    }})
}

/// `POST /aws/logout`. Whoever has AWS's own portal too sends its tokens here as well: those are
/// neither looked at nor noted.
pub(super) async fn log_out(
    State(app): State<App>,
    origin: Origin,
    headers: HeaderMap,
) -> Result<StatusCode, Refusal> {
    let token = bearer_token(&headers)?;
    app.broker.end_token(&token, &origin.client(None)).await?;
    Ok(StatusCode::OK)
}

/// Whose token it is, where it is for AWS's tools.
async fn caller(app: &App, headers: &HeaderMap, client: &Client) -> Result<Caller, Refusal> {
    let presented = Presented::Bearer {
        token: bearer_token(headers)?,
        issuer: None,
    };
    let caller = app.broker.caller(presented, client).await?;
    let counted = app.broker.count_request(&caller.session.identity);
    counted.map_err(Refusal::too_many)?;
    if caller.may(TokenScope::Aws) {
        return Ok(caller);
    }
    Err(Refusal::forbidden(format!(
        "This token is not for AWS's tools: it lacks the scope {}.",
        TokenScope::Aws.as_str()
    )))
}

fn account_id(text: Option<String>) -> Result<AccountId, Refusal> {
    let text = text.unwrap_or_default();
    text.parse().map_err(|_| {
        Refusal::invalid_parameter(
            "account_id has to be the twelve digits of an account.".to_owned(),
        )
    })
}

fn page_size(text: Option<String>) -> Result<usize, Refusal> {
    let Some(text) = text else {
        return Ok(MOST_RESULTS);
    };
    let size = text.parse::<usize>().ok();
    size.filter(|size| (1..=MOST_RESULTS).contains(size))
        .ok_or_else(|| {
            let message = format!("max_result has to be a number from 1 to {MOST_RESULTS}.");
            Refusal::invalid_parameter(message)
        })
}

fn place_in(list: &str, text: Option<String>) -> Result<Option<ListPlace>, Refusal> {
    text.map(|text| place::read(list, &text)).transpose()
}

fn listed(member: &str, entries: &[Value], list: &str, next: Option<&ListPlace>) -> Json<Value> {
    let mut body = json!({ member: entries });
    if let Some(next) = next {
        body["nextToken"] = place::written(list, next).into();
    }
    Json(body)
}

/// What was asked for, for the words of a refusal.
struct Asked<'a> {
    order: &'a OpenOrder,
    words: String,
    request_id: &'a str,
}

fn asked(role: &str, account: &AccountId) -> String {
    let role: String = role.chars().take(100).collect();
    format!("{role} in {account}")
}

/// Why there are no credentials, in words that the person sees in their terminal, with the address
/// where they can open the role where that is another way.
fn not_opened(app: &App, refused: OpenRefused, asked: &Asked<'_>) -> Refusal {
    let Asked { order, words, .. } = asked;
    let at = |what: &str| {
        let page = query_string("/role", &[("arn", &order.role)]);
        let page = app.broker.settings().public_url.join(&page);
        let page = page.map(String::from).unwrap_or_default();
        Refusal::forbidden(format!("{words} {what} {page}"))
    };
    match refused {
        OpenRefused::OutsideToken => {
            Refusal::forbidden("This token was made for another role.".to_owned())
        }
        OpenRefused::Throttled { retry_after } => Refusal::too_many(retry_after),
        OpenRefused::StoreUnavailable(error) => error.into(),
        OpenRefused::Groups(refused) => match refused {
            GroupsRefused::AccountGone | GroupsRefused::SignInAgain => Refusal::unauthorized(),
            GroupsRefused::DirectoryUnavailable(_) => {
                Refusal::unavailable("The directory does not answer, and your groups are too old.")
            }
            GroupsRefused::StoreUnavailable(error) => error.into(),
        },
        refused if refused.is_aws_outage() => Refusal::unavailable("AWS does not answer."),
        // Nothing is told of roles that the person has nothing to do with.
        OpenRefused::NotEntitled {
            reason:
                NotEntitled::UnknownRole | NotEntitled::NoMapping | NotEntitled::GroupRecreated(_),
            ..
        } => Refusal::forbidden(format!("None of your groups gives you {words}.")),
        OpenRefused::NotEntitled {
            reason: NotEntitled::ReasonRequired(_),
            ..
        } => at("opens once you give a reason, which this tool cannot: go to"),
        OpenRefused::CodeNeeded { .. } => {
            at("opens with a code of an MFA device, which this tool cannot give: go to")
        }
        OpenRefused::FreshAssertion | OpenRefused::NoAssertion => {
            at("opens with a sign-in at your identity provider, in a browser alone: go to")
        }
        OpenRefused::ConsoleOnly
        | OpenRefused::NoAwsApplication
        | OpenRefused::NotEntitled {
            reason: NotEntitled::ConsoleOnly,
            ..
        } => at("opens in the console alone: go to"),
        OpenRefused::NotEntitled { .. } => at("cannot be opened like this. Look at"),
        OpenRefused::Sts(error) => {
            let id = format!("the request number {}", asked.request_id);
            let message = error.for_person();
            let message = message.replace("the request number on this page", &id);
            Refusal::forbidden(format!("{words} was not opened. {message}"))
        }
        OpenRefused::Destination(_)
        | OpenRefused::ReasonTooLong
        | OpenRefused::Duration(_)
        | OpenRefused::SignIn(_) => Refusal::invalid_parameter(refused.to_string()),
    }
}
