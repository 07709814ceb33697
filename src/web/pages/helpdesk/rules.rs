//! `/helpdesk/rules`: the list and the forms beside it.

use axum::{
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};

use super::{
    super::{
        super::{
            App,
            error::Frame,
            staff::Staff,
            views::helpdesk::{
                Section,
                edit::EditForm,
                mappings::MappingQuery,
                rules::{RulesInput, RulesView},
            },
        },
        layout, render, see_other,
    },
    desk,
    draft::{Bench, Errors, Sheet, rule},
    saved,
};
use crate::{access::Origin, broker::StoreError};

/// `GET /helpdesk/rules`
pub(in crate::web) async fn show(
    State(app): State<App>,
    staff: Staff,
    Query(query): Query<MappingQuery>,
    frame: Frame,
) -> Response {
    let frame = Frame(layout(&frame, &staff.signed_in));
    let answer = async {
        let bench = Bench::of(&app, &staff).await?;
        page(&bench, &query, None, &frame).await
    };
    answer
        .await
        .unwrap_or_else(|error| frame.clone().store_unavailable(&error).into_response())
}

/// The rules, with a form beside them.
pub(super) async fn page(
    bench: &Bench<'_>,
    query: &MappingQuery,
    form: Option<EditForm>,
    frame: &Frame,
) -> Result<Response, StoreError> {
    let names = rule::names(bench, &bench.tables.rules).await;
    let desk = desk(bench.app, bench.staff, Section::Rules).await?;
    let saved = saved(bench.app, bench.staff, &query.saved).await?;
    let view = RulesView::new(RulesInput {
        layout: frame.0.clone(),
        desk,
        tables: &bench.tables,
        policy: &bench.policy,
        names: &|connector| names.get(connector).cloned().unwrap_or_default(),
        form,
        saved,
        now: bench.now,
    });
    Ok(render(&view, frame))
}

/// `GET /helpdesk/rules/new`
pub(in crate::web) async fn add(State(app): State<App>, staff: Staff, frame: Frame) -> Response {
    one(&app, &staff, None, &frame).await
}

/// `GET /helpdesk/rules/{id}`
pub(in crate::web) async fn edit(
    State(app): State<App>,
    staff: Staff,
    Path(id): Path<String>,
    frame: Frame,
) -> Response {
    one(&app, &staff, Some(&id), &frame).await
}

async fn one(app: &App, staff: &Staff, id: Option<&str>, frame: &Frame) -> Response {
    let frame = Frame(layout(frame, &staff.signed_in));
    if id.is_none() && !staff.authority.is_admin {
        return see_other("/helpdesk/rules");
    }
    let query = MappingQuery::default();
    let answer = async {
        let bench = Bench::of(app, staff).await?;
        let mut rules = bench.tables.rules.iter();
        let row = id.and_then(|id| rules.find(|rule| rule.id.0 == id));
        if id.is_some() && row.is_none() {
            let missing = frame.clone().status(StatusCode::NOT_FOUND);
            return Ok::<_, StoreError>(missing.into_response());
        }
        // Rows of the file are read here and edited there.
        let is_of_file = row.is_some_and(|row| row.origin != Origin::Store);
        if is_of_file || !staff.authority.is_admin {
            return page(&bench, &query, None, &frame).await;
        }
        let fields = row.map_or_else(rule::fresh, rule::of_row);
        let sheet = Sheet {
            fields: &fields,
            query: &query,
            csrf_token: &frame.0.csrf_token,
        };
        let mut form = rule::form(&bench, &sheet, row, &Errors::new());
        form.matches = Some(rule::matches(&bench, row).await);
        page(&bench, &query, Some(form), &frame).await
    };
    answer
        .await
        .unwrap_or_else(|error| frame.clone().store_unavailable(&error).into_response())
}
