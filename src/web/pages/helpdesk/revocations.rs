//! `/helpdesk/revocations`: ending role sessions that AWS has issued, and how far that came.

use std::sync::Arc;

use axum::{
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;

use super::{
    super::{
        super::{
            App,
            csrf::CheckedForm,
            error::{ErrorPage, Frame},
            staff::Staff,
            views::{
                error::ErrorView,
                helpdesk::{
                    Section, links,
                    revocations::{ConfirmView, HiddenField, RevocationView, RevocationsView},
                },
                query_string,
            },
        },
        Arrival, Nothing, in_own_task, layout, render, see_other,
    },
    desk,
};
use crate::broker::{EditRefused, RevokeOrder, RevokeRefused, RevokedBy, StoreError, Whom};

/// Whose sessions: a person by connector and subject, a role session, or a role.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct WhomFields {
    /// Connector and subject in one, as links have it: `corp:0199…`.
    person: String,
    connector: String,
    subject: String,
    session: String,
    role: String,
    reason: String,
}

impl WhomFields {
    fn whom(&self) -> Option<Whom> {
        if !self.session.is_empty() {
            return Some(Whom::RoleSession(self.session.clone()));
        }
        if !self.subject.is_empty() {
            let connector = self.connector.parse().ok()?;
            let subject = self.subject.clone();
            return Some(Whom::Person { connector, subject });
        }
        self.role.parse().ok().map(Whom::Role)
    }

    /// As the confirmation sends them.
    fn hidden(&self) -> Vec<HiddenField> {
        [
            ("connector", &self.connector),
            ("subject", &self.subject),
            ("session", &self.session),
            ("role", &self.role),
        ]
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| (name, value.clone()))
        .collect()
    }

    /// Where the person came from.
    fn back(&self) -> String {
        if !self.subject.is_empty() {
            return links::person(&self.connector, &self.subject);
        }
        match self.role.parse::<crate::access::TargetArn>() {
            Ok(role) => links::role(&role),
            Err(_) => "/helpdesk/revocations".to_owned(),
        }
    }
}

const NOBODY: &str = "That names neither a person, a role session nor a role. Begin on the page of \
                      the person or of the role.";

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct ListQuery {
    done: String,
}

/// `GET /helpdesk/revocations`
pub(in crate::web) async fn list(
    State(app): State<App>,
    staff: Staff,
    Query(query): Query<ListQuery>,
    frame: Frame,
) -> Response {
    let page = async {
        let records = app.broker.revocations().await?;
        let desk = desk(&app, &staff, Section::Revocations).await?;
        let message = match query.done.as_str() {
            "tried" => Some("Tried again. What is still open is tried every minute."),
            _ => None,
        };
        let layout = layout(&frame, &staff.signed_in);
        let view = RevocationsView::new((layout, desk), &records, message, app.broker.now());
        Ok::<_, StoreError>(render(&view, &frame))
    };
    page.await
        .unwrap_or_else(|error| frame.clone().store_unavailable(&error).into_response())
}

/// `GET /helpdesk/revocations/{id}`
pub(in crate::web) async fn show(
    State(app): State<App>,
    staff: Staff,
    Path(id): Path<String>,
    frame: Frame,
) -> Response {
    let page = async {
        let Some((record, policies)) = app.broker.revocation(&id).await? else {
            return Ok(frame.clone().status(StatusCode::NOT_FOUND).into_response());
        };
        let desk = desk(&app, &staff, Section::Revocations).await?;
        let layout = layout(&frame, &staff.signed_in);
        let now = app.broker.now();
        let view = RevocationView::new((layout, desk), &record, &policies, now);
        Ok::<_, StoreError>(render(&view, &frame))
    };
    page.await
        .unwrap_or_else(|error| frame.clone().store_unavailable(&error).into_response())
}

/// `GET /helpdesk/revocations/new?person=CONNECTOR:SUBJECT`, or `?session=`, or `?role=`: what will
/// happen. Nothing happens yet.
pub(in crate::web) async fn confirm(
    State(app): State<App>,
    staff: Staff,
    Query(mut fields): Query<WhomFields>,
    arrival: Arrival,
) -> Response {
    let frame = Frame(layout(&arrival.frame, &staff.signed_in));
    if let Some((connector, subject)) = fields.person.split_once(':') {
        (fields.connector, fields.subject) = (connector.to_owned(), subject.to_owned());
    }
    let Some(whom) = fields.whom() else {
        return frame.bad_input(NOBODY).into_response();
    };
    let client = arrival.client(&app);
    let mut session = staff.signed_in.session.clone();
    let by = RevokedBy::Staff(&mut session);
    let plan = match app.broker.plan_revocation(&whom, by, Some(&client)).await {
        Ok(plan) => plan,
        Err(refused) => return not_done(frame, &refused),
    };
    match desk(&app, &staff, Section::Revocations).await {
        Ok(desk) => {
            let back = fields.back();
            let view = ConfirmView::new((frame.0.clone(), desk), &plan, fields.hidden(), back);
            render(&view, &frame)
        }
        Err(error) => frame.store_unavailable(&error).into_response(),
    }
}

/// `POST /helpdesk/revocations`
pub(in crate::web) async fn revoke(
    State(app): State<App>,
    staff: Staff,
    arrival: Arrival,
    CheckedForm(fields): CheckedForm<WhomFields>,
) -> Response {
    let frame = Frame(layout(&arrival.frame, &staff.signed_in));
    let Some(whom) = fields.whom() else {
        return frame.bad_input(NOBODY).into_response();
    };
    let order = RevokeOrder {
        whom,
        reason: Some(fields.reason),
    };
    let client = arrival.client(&app);
    let mut session = staff.signed_in.session.clone();
    let broker = Arc::clone(&app.broker);
    let revoked = in_own_task(async move {
        let by = RevokedBy::Staff(&mut session);
        broker.revoke(&order, by, Some(&client)).await
    });
    match revoked.await {
        Some(Ok(answer)) => see_other(&format!("/helpdesk/revocations/{}", answer.id)),
        Some(Err(refused)) => not_done(frame, &refused),
        None => frame
            .status(StatusCode::INTERNAL_SERVER_ERROR)
            .into_response(),
    }
}

/// `POST /helpdesk/revocations/retry`: what waits for AWS is tried now.
pub(in crate::web) async fn retry(
    State(app): State<App>,
    staff: Staff,
    arrival: Arrival,
    CheckedForm(Nothing {}): CheckedForm<Nothing>,
) -> Response {
    let frame = Frame(layout(&arrival.frame, &staff.signed_in));
    let client = arrival.client(&app);
    let mut session = staff.signed_in.session.clone();
    match app.broker.retry_revocations(&mut session, &client).await {
        Ok(_) => see_other(&query_string("/helpdesk/revocations", &[("done", "tried")])),
        Err(EditRefused::NotAllowed(message)) => {
            not_done(frame, &RevokeRefused::NotAllowed(message))
        }
        Err(EditRefused::StoreUnavailable(error)) => {
            frame.store_unavailable(&error).into_response()
        }
        Err(other) => not_done(frame, &RevokeRefused::Problem(other.to_string())),
    }
}

/// A refusal as a page; also of `/sessions`.
pub(in crate::web::pages) fn not_done(frame: Frame, refused: &RevokeRefused) -> Response {
    let status = match refused {
        RevokeRefused::StoreUnavailable(error) => {
            return frame.store_unavailable(error).into_response();
        }
        RevokeRefused::NotAllowed(_) => 403,
        RevokeRefused::NotFound(_) => 404,
        RevokeRefused::Problem(_) => 400,
    };
    let happened = refused.to_string();
    let view = ErrorView::new(frame.0, status, "Nothing was ended", &happened);
    ErrorPage::from(view).into_response()
}
