//! `POST /credentials`: the same choice as `POST /console`, as credentials shown once.

use std::sync::Arc;

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use secrecy::ExposeSecret as _;

use super::{
    super::{
        App,
        csrf::CheckedForm,
        headers::keep_secret,
        session::SignedIn,
        views::credentials::{CredentialsInput, CredentialsView},
    },
    Arrival,
    console::{OrderForm, refuse, role_page, sign_in_again, wants_provider},
    in_own_task, layout, render,
};
use crate::broker::OpenOrder;

/// Issues credentials and shows them.
pub(in crate::web) async fn issue(
    State(app): State<App>,
    mut signed_in: SignedIn,
    arrival: Arrival,
    CheckedForm(form): CheckedForm<OrderForm>,
) -> Response {
    let order = OpenOrder::from(form);
    let who = arrival.client(&app);
    let broker = Arc::clone(&app.broker);
    let issued = in_own_task(async move {
        let issued = broker
            .issue_credentials(
                &mut signed_in.session,
                &order,
                Some(&signed_in.secret),
                &who,
            )
            .await;
        (issued, order, signed_in)
    });
    let Some((issued, order, signed_in)) = issued.await else {
        return arrival
            .frame
            .status(StatusCode::INTERNAL_SERVER_ERROR)
            .into_response();
    };
    let issued = match issued {
        Ok(issued) => issued,
        Err(refused) if wants_provider(&refused, &signed_in.session) => {
            let next = role_page(&order);
            return sign_in_again(&app, &arrival, &signed_in.session, next).await;
        }
        Err(refused) => {
            let whose = (arrival.frame, signed_in.identity());
            return refuse(&app, whose, &refused, "/credentials", &order).await;
        }
    };
    let account_id = issued.role.account().to_string();
    let account = app.broker.account_name(&issued.role).await;
    let view = CredentialsView::new(CredentialsInput {
        layout: layout(&arrival.frame, &signed_in),
        account: &account,
        account_id: &account_id,
        arn: issued.role.as_str(),
        role: issued.role.name(),
        access_key_id: &issued.credentials.access_key_id,
        secret_access_key: issued.credentials.secret_access_key.expose_secret(),
        session_token: issued.credentials.session_token.expose_secret(),
        region: issued.region.as_deref().unwrap_or_default(),
        is_read_only: issued.is_read_only,
        expires: issued.credentials.expiration,
        now: app.broker.now(),
        public_url: &app.broker.settings().public_url,
    });
    let mut response = render(&view, &arrival.frame);
    keep_secret(&mut response);
    response
}
