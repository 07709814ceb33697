//! `POST /console` and the deep link: the one thing Rolegate is for.

use std::sync::Arc;

use axum::{
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer};
use time::OffsetDateTime;

use super::{
    super::{
        App,
        csrf::CheckedForm,
        error::{Frame, Repeat},
        headers::{is_from_elsewhere, keep_secret},
        session::SignedIn,
        views::{
            console::{ConsoleInput, ConsoleView},
            error::AskedRole,
            helpdesk::explanation::{OwnMiss, own_words},
            picker::opens_no_console,
            query_string,
        },
    },
    Arrival, departure, in_own_task, layout, login, render, see_other,
};
use crate::{
    access::{AccountId, Entitlement, Identity, NotEntitled, TargetArn},
    broker::{
        Carried, GroupsRefused, OpenOrder, OpenRefused, Opened, RedirectWish, SamlPost,
        SignInSession,
    },
};

/// The fields of a request to open a role, however it is delivered.
#[derive(Debug, Deserialize)]
pub(in crate::web) struct OrderForm {
    role: String,
    #[serde(default, deserialize_with = "filled")]
    destination: Option<String>,
    #[serde(default, deserialize_with = "filled")]
    region: Option<String>,
    #[serde(default, deserialize_with = "filled")]
    duration: Option<String>,
    #[serde(default, deserialize_with = "filled")]
    reason: Option<String>,
    #[serde(default, deserialize_with = "filled")]
    read_only: Option<String>,
    #[serde(default, deserialize_with = "filled")]
    sign_out_first: Option<String>,
    #[serde(default, deserialize_with = "hidden")]
    mfa_code: Option<SecretString>,
}

/// An empty field is one that was not filled in.
fn filled<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let text = text.trim();
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

/// As of [`filled`], for what must not be shown.
fn hidden<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretString>, D::Error> {
    filled(deserializer).map(|text| text.map(SecretString::from))
}

impl From<OrderForm> for OpenOrder {
    fn from(form: OrderForm) -> Self {
        let is_set = |field: Option<String>| field.is_some_and(|value| value != "false");
        Self {
            role: form.role.trim().to_owned(),
            destination: form.destination,
            region: form.region,
            duration: form.duration,
            reason: form.reason,
            read_only: is_set(form.read_only),
            sign_out_first: is_set(form.sign_out_first),
            mfa_code: form.mfa_code,
        }
    }
}

/// `POST /console`: 303 to the federation sign-in URL, or to the provider that opens the role; or a
/// page whose form the browser posts to AWS.
pub(in crate::web) async fn open(
    State(app): State<App>,
    SignedIn {
        mut session,
        secret,
    }: SignedIn,
    arrival: Arrival,
    CheckedForm(form): CheckedForm<OrderForm>,
) -> Response {
    let order = OpenOrder::from(form);
    let who = arrival.client(&app);
    let broker = Arc::clone(&app.broker);
    let opened = in_own_task(async move {
        let opened = broker
            .open_console(&mut session, &order, Some(&secret), &who)
            .await;
        (opened, order, session)
    });
    let Some((opened, order, session)) = opened.await else {
        return arrival
            .frame
            .status(StatusCode::INTERNAL_SERVER_ERROR)
            .into_response();
    };
    match opened {
        Ok(opened) => {
            // What leads there is a bearer secret: nothing may keep it or pass it on.
            let mut response = match opened {
                Opened::Console(url) => see_other(&url.into_location()),
                Opened::Post(post) => departure::carry(&arrival.frame, posted(&post)),
                Opened::HandOver(url) => see_other(url.as_str()),
            };
            keep_secret(&mut response);
            response
        }
        Err(refused) if wants_provider(&refused, &session) => {
            sign_in_again(&app, &arrival, &session, way_back(&order)).await
        }
        Err(refused) => {
            let whose = (arrival.frame, &session.identity);
            refuse(&app, whose, &refused, "/console", &order).await
        }
    }
}

/// What the browser carries to AWS (IAM User Guide, "Configure SAML assertions").
fn posted(post: &SamlPost) -> Carried {
    Carried::Form {
        action: post.action.clone(),
        fields: vec![
            ("SAMLResponse", post.response.expose_secret().to_owned()),
            ("RelayState", post.relay_state.to_string()),
        ],
    }
}

/// Whether nothing but the provider's word helps: AWS takes the last one no more, or the groups in
/// it are too old. The sign-in page does not help, since the session goes on.
pub(super) fn wants_provider(refused: &OpenRefused, session: &SignInSession) -> bool {
    match refused {
        OpenRefused::FreshAssertion => true,
        OpenRefused::Groups(GroupsRefused::SignInAgain) => session.provider_session.is_some(),
        _ => false,
    }
}

/// Sends somebody whose last sign-in is too old to their provider, from which they come back to
/// `next`.
pub(super) async fn sign_in_again(
    app: &App,
    arrival: &Arrival,
    session: &SignInSession,
    next: String,
) -> Response {
    let connector = &session.identity.connector;
    let wish = RedirectWish {
        next,
        subject: Some(session.identity.subject.clone()),
        ..RedirectWish::default()
    };
    departure::begin(app, arrival, connector, wish, Some(&session.id_hash)).await
}

/// Where somebody goes on who signs in again to open a role: its deep link, which opens it without
/// another click. What a link cannot say is chosen once more, on the role's page: nobody may get
/// more than they had asked for.
fn way_back(order: &OpenOrder) -> String {
    let is_plain = order.duration.is_none()
        && order.reason.is_none()
        && order.mfa_code.is_none()
        && !order.read_only
        && !order.sign_out_first;
    match deep_link_path(&order.role).filter(|_| is_plain) {
        Some(path) => query_string(&path, &where_to(order)),
        None => role_page(order),
    }
}

/// The role's own page, for choosing once more.
pub(super) fn role_page(order: &OpenOrder) -> String {
    let mut pairs = vec![("arn", order.role.as_str()), ("back", "1")];
    pairs.extend(where_to(order));
    query_string("/role", &pairs)
}

fn where_to(order: &OpenOrder) -> [(&str, &str); 2] {
    [
        (
            "destination",
            order.destination.as_deref().unwrap_or_default(),
        ),
        ("region", order.region.as_deref().unwrap_or_default()),
    ]
}

/// The path of the deep link to a role that was named by its ARN.
fn deep_link_path(role: &str) -> Option<String> {
    let arn = role.parse::<TargetArn>().ok()?;
    Some(format!("/console/{}/{}", arn.account(), arn.name()))
}

/// The page for a role that was not opened.
pub(super) async fn refuse(
    app: &App,
    (frame, identity): (Frame, &Identity),
    refused: &OpenRefused,
    action: &str,
    order: &OpenOrder,
) -> Response {
    if let OpenRefused::Groups(GroupsRefused::SignInAgain) = refused {
        let next = deep_link_path(&order.role).map_or("/".to_owned(), |path| {
            let mut pairs = vec![("confirm", "1")];
            pairs.extend(where_to(order));
            query_string(&path, &pairs)
        });
        return login::to_sign_in(&next, true);
    }
    let asked = asked_role(app, refused, &order.role).await;
    let why = match refused {
        OpenRefused::NotEntitled { .. } => own_reason(app, identity, &order.role).await,
        _ => None,
    };
    frame
        .open_refused(refused, &asked, Repeat { action, order }, app.broker.now())
        .explained(why)
        .into_response()
}

/// Why a role is not the person's, in words for them; none where that would tell them of roles that
/// they have nothing to do with, or cannot be found out.
pub(super) async fn own_reason(app: &App, identity: &Identity, role: &str) -> Option<OwnMiss> {
    let policy = app.broker.policy().await.ok()?;
    let mut typed = None;
    let target = if let Ok(target) = role.parse::<TargetArn>() {
        target
    } else {
        let (account, name) = role.split_once('/')?;
        let account = account.parse::<AccountId>().ok()?;
        typed = Some(name.to_owned());
        // A name that no role has is explained like that of a stranger's role.
        let known = policy.role_named(&account, name).cloned();
        known.or_else(|| format!("arn:aws:iam::{account}:role/{name}").parse().ok())?
    };
    let explanation = app.broker.explain_refusal(identity, &target).await.ok()?;
    let miss = own_words(&explanation, identity, &policy)?;
    Some(OwnMiss {
        // Nor does the case of its letters tell whether it is there.
        role: typed.unwrap_or(miss.role),
        ..miss
    })
}

/// What the person knows the role by. The account's name is told only to those who have, or had,
/// something to do with the role.
pub(in crate::web) async fn asked_role(app: &App, refused: &OpenRefused, role: &str) -> AskedRole {
    let Ok(arn) = role.parse::<TargetArn>() else {
        let (account, role) = role.split_once('/').unwrap_or(("an account", role));
        return AskedRole {
            account: account.to_owned(),
            role: role.to_owned(),
        };
    };
    let is_stranger = matches!(
        refused,
        OpenRefused::NotEntitled {
            reason: NotEntitled::UnknownRole | NotEntitled::NoMapping,
            ..
        }
    );
    let policy = if is_stranger {
        None
    } else {
        app.broker.policy().await.ok()
    };
    let name = policy.and_then(|policy| Some(policy.account(&arn.account())?.name.clone()));
    AskedRole {
        account: name.unwrap_or_else(|| arn.account().to_string()),
        role: arn.name().to_owned(),
    }
}

#[derive(Debug, Deserialize)]
pub(in crate::web) struct DeepLinkQuery {
    #[serde(default)]
    destination: String,
    #[serde(default)]
    region: String,
    /// Set where another site started the way here, so that signing in does not stand in for the
    /// click.
    confirm: Option<String>,
}

/// `GET /console/{account}/{role}`: shows the form; never acts.
pub(in crate::web) async fn deep_link(
    State(app): State<App>,
    Path((account, role)): Path<(String, String)>,
    Query(query): Query<DeepLinkQuery>,
    Arrival { frame, headers, .. }: Arrival,
    signed_in: Result<SignedIn, Response>,
) -> Response {
    let came_from_elsewhere = is_from_elsewhere(&headers) || query.confirm.is_some();
    let signed_in = match signed_in {
        Ok(signed_in) => signed_in,
        Err(response) if response.status().is_redirection() => {
            return login::to_sign_in(&link(&account, &role, &query, came_from_elsewhere), true);
        }
        Err(response) => return response,
    };
    let policy = match app.broker.policy().await {
        Ok(policy) => policy,
        Err(error) => return frame.store_unavailable(&error).into_response(),
    };
    let frame = Frame(layout(&frame, &signed_in));
    let now = app.broker.now();
    let entitlements = policy.entitlements(signed_in.identity(), now);
    // Among the person's own: a role that their provider names need not be in the table.
    let mut named = entitlements.iter().filter(|held| {
        held.role.arn.account_digits() == account
            && held.role.arn.name().eq_ignore_ascii_case(&role)
    });
    let (Some(entitlement), None) = (named.next(), named.next()) else {
        return not_held(
            &app,
            &frame,
            &signed_in.session,
            &format!("{account}/{role}"),
        )
        .await;
    };
    if opens_no_console(entitlement) {
        return no_console(frame, entitlement, now);
    }
    let view = ConsoleView::new(ConsoleInput {
        layout: frame.0.clone(),
        entitlement,
        destination: &query.destination,
        region: &query.region,
        may_open_at_once: !came_from_elsewhere,
    });
    render(&view, &frame)
}

/// The link's role gives credentials alone.
fn no_console(frame: Frame, entitlement: &Entitlement<'_>, now: OffsetDateTime) -> Response {
    let arn = &entitlement.role.arn;
    let refused = OpenRefused::NotEntitled {
        reason: NotEntitled::CredentialsOnly,
        role: Some(arn.clone()),
        groups: 0,
    };
    let asked = AskedRole {
        account: entitlement.account_name(),
        role: arn.name().to_owned(),
    };
    let order = OpenOrder {
        role: arn.to_string(),
        ..OpenOrder::default()
    };
    let repeat = Repeat {
        action: "/credentials",
        order: &order,
    };
    frame
        .open_refused(&refused, &asked, repeat, now)
        .into_response()
}

/// The link's role is not among the person's: the same page whether or not it exists, unless they
/// have something to do with it.
async fn not_held(app: &App, frame: &Frame, session: &SignInSession, role: &str) -> Response {
    let refused = OpenRefused::NotEntitled {
        reason: NotEntitled::NoMapping,
        role: None,
        groups: session.identity.groups.len(),
    };
    let (account, name) = role.split_once('/').unwrap_or(("", role));
    let asked = AskedRole {
        account: account.to_owned(),
        role: name.to_owned(),
    };
    let order = OpenOrder {
        role: role.to_owned(),
        ..OpenOrder::default()
    };
    let now = app.broker.now();
    let why = own_reason(app, &session.identity, role).await;
    frame
        .clone()
        .open_refused(
            &refused,
            &asked,
            Repeat {
                action: "/console",
                order: &order,
            },
            now,
        )
        .explained(why)
        .into_response()
}

fn link(account: &str, role: &str, query: &DeepLinkQuery, confirm: bool) -> String {
    let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
    let (account, role): (String, String) = (encoded(account), encoded(role));
    let mut pairs = Vec::new();
    if !query.destination.is_empty() {
        pairs.push(("destination", query.destination.as_str()));
    }
    if !query.region.is_empty() {
        pairs.push(("region", query.region.as_str()));
    }
    if confirm {
        pairs.push(("confirm", "1"));
    }
    query_string(&format!("/console/{account}/{role}"), &pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order() -> OpenOrder {
        OpenOrder {
            role: "arn:aws:iam::111122223333:role/team/ReadOnly".to_owned(),
            region: Some("eu-west-1".to_owned()),
            ..OpenOrder::default()
        }
    }

    #[test]
    fn whoever_signs_in_again_comes_back_to_the_same_role() {
        assert_eq!(
            way_back(&order()),
            "/console/111122223333/ReadOnly?region=eu-west-1"
        );
        let short = OpenOrder {
            duration: Some("900".to_owned()),
            ..order()
        };
        assert_eq!(
            way_back(&short),
            "/role?arn=arn%3Aaws%3Aiam%3A%3A111122223333%3Arole%2Fteam%2FReadOnly&back=1\
             &region=eu-west-1"
        );
    }

    #[test]
    fn nobody_comes_back_to_more_than_they_had_asked_for() {
        let narrowed = OpenOrder {
            read_only: true,
            ..order()
        };
        let with_reason = OpenOrder {
            reason: Some("incident".to_owned()),
            ..order()
        };
        let with_code = OpenOrder {
            mfa_code: Some("123456".to_owned().into()),
            ..order()
        };
        assert!(!format!("{with_code:?}").contains("123456"));
        assert!(!way_back(&with_code).contains("123456"));
        for order in [narrowed, with_reason, with_code] {
            assert!(way_back(&order).starts_with("/role?"), "{order:?}");
        }
    }
}
