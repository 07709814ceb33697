//! `/sessions/tokens`: tokens that a person makes by hand, for one role each.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use secrecy::ExposeSecret as _;
use serde::Deserialize;

use super::{
    super::{
        App,
        api::container::path_of,
        csrf::CheckedForm,
        error::Frame,
        headers::keep_secret,
        session::SignedIn,
        views::tokens::{NewTokenInput, NewTokenView, TokenMadeInput, TokenMadeView, Typed},
    },
    Arrival, in_own_task, layout, render,
};
use crate::{
    access::{TargetArn, TokenScope},
    broker::{MadeToken, NotMade, StoreError, TokenWish},
};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct NewQuery {
    /// The role to begin with.
    role: String,
}

/// `GET /sessions/tokens/new`.
pub(in crate::web) async fn new(
    State(app): State<App>,
    signed_in: SignedIn,
    Query(query): Query<NewQuery>,
    frame: Frame,
) -> Response {
    let typed = Typed {
        role: query.role,
        ..Typed::default()
    };
    form(&app, &signed_in, &frame, typed, None).await
}

/// The form, with what was typed.
async fn form(
    app: &App,
    signed_in: &SignedIn,
    frame: &Frame,
    typed: Typed,
    problem: Option<String>,
) -> Response {
    let policy = match app.broker.policy().await {
        Ok(policy) => policy,
        Err(error) => return frame.clone().store_unavailable(&error).into_response(),
    };
    let entitlements = policy.entitlements(signed_in.identity(), app.broker.now());
    let roles: Vec<_> = (entitlements.iter())
        .filter(|entitlement| entitlement.opens_without_asking())
        .collect();
    let has_problem = problem.is_some();
    let view = NewTokenView::new(NewTokenInput {
        layout: layout(frame, signed_in),
        roles: &roles,
        typed,
        longest: app.broker.settings().tokens.refresh,
        problem,
    });
    let mut response = render(&view, frame);
    if has_problem && response.status() == StatusCode::OK {
        *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    }
    response
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct TokenForm {
    name: String,
    role: String,
    lasts: String,
}

impl TokenForm {
    /// What is wished for; a sentence where that cannot be.
    fn wish(&self) -> Result<TokenWish, String> {
        let (name, role) = (self.name.trim(), self.role.trim());
        if name.is_empty() {
            return Err("Give the token a name, so that you know later what it is for.".to_owned());
        }
        if role.is_empty() {
            return Err("Choose the role that the token is for.".to_owned());
        }
        let lasts = self.lasts.parse().map(Duration::from_secs);
        let lasts = lasts.map_err(|_| "Choose how long the token lasts.".to_owned())?;
        Ok(TokenWish {
            name: name.to_owned(),
            scopes: [TokenScope::Credentials].into_iter().collect(),
            role: Some(role.to_owned()),
            lasts: Some(lasts),
        })
    }

    fn typed(self) -> Typed {
        Typed {
            name: self.name,
            role: self.role,
            lasts: self.lasts,
        }
    }
}

/// `POST /sessions/tokens`: makes a token and shows it.
pub(in crate::web) async fn make(
    State(app): State<App>,
    mut signed_in: SignedIn,
    arrival: Arrival,
    CheckedForm(asked): CheckedForm<TokenForm>,
) -> Response {
    let frame = &arrival.frame;
    let wish = match asked.wish() {
        Ok(wish) => wish,
        Err(problem) => return form(&app, &signed_in, frame, asked.typed(), Some(problem)).await,
    };
    let (broker, client) = (Arc::clone(&app.broker), arrival.client(&app));
    let made = in_own_task(async move {
        let made = broker.make_token(&mut signed_in.session, &wish, &client);
        (made.await, signed_in)
    });
    let Some((made, signed_in)) = made.await else {
        let frame = arrival.frame;
        return frame
            .status(StatusCode::INTERNAL_SERVER_ERROR)
            .into_response();
    };
    let problem = match made {
        Ok(made) => return shown(&app, &signed_in, frame, &made).await,
        Err(NotMade::StoreUnavailable(error)) => {
            return frame.clone().store_unavailable(&error).into_response();
        }
        Err(NotMade::Unfit(problem)) => problem,
        Err(NotMade::NotEntitled(_)) => {
            "None of your groups gives you this role, so nothing was made. Choose one of your own."
                .to_owned()
        }
    };
    form(&app, &signed_in, frame, asked.typed(), Some(problem)).await
}

async fn shown(app: &App, signed_in: &SignedIn, frame: &Frame, made: &MadeToken) -> Response {
    let Some(role) = &made.device.role else {
        let frame = frame.clone();
        return frame
            .status(StatusCode::INTERNAL_SERVER_ERROR)
            .into_response();
    };
    let address = match address(app, role).await {
        Ok(address) => address,
        Err(error) => return frame.clone().store_unavailable(&error).into_response(),
    };
    let view = TokenMadeView::new(TokenMadeInput {
        layout: layout(frame, signed_in),
        name: &made.device.name,
        token: made.token.expose_secret(),
        role,
        account: &app.broker.account_name(role).await,
        address: &address,
        ends_at: made.expires_at,
        now: app.broker.now(),
    });
    let mut response = render(&view, frame);
    keep_secret(&mut response);
    response
}

/// Where the credentials of a role are asked for.
async fn address(app: &App, role: &TargetArn) -> Result<String, StoreError> {
    let policy = app.broker.policy().await?;
    let mut url = app.broker.settings().public_url.clone();
    url.set_path(&format!("/api/v1/container/{}", path_of(&policy, role)));
    Ok(url.into())
}
