//! `/helpdesk/history`: every change of the tables, and taking one back.

use axum::{
    extract::{Query, State},
    response::{IntoResponse, Response},
};
use serde::Deserialize;

use super::{
    super::{
        super::{
            App,
            error::Frame,
            staff::Staff,
            views::helpdesk::{
                Section,
                history::{HistoryInput, HistoryQuery, HistoryView},
                mappings::MappingQuery,
                wording,
            },
        },
        Arrival, layout, render,
    },
    desk,
    draft::Bench,
    fields::Fields,
    preview::{self, Visit},
};
use crate::broker::{HistoryFilter, StoreError};

/// How many changes a page has.
const PAGE: usize = 50;

/// `GET /helpdesk/history`
pub(in crate::web) async fn show(
    State(app): State<App>,
    staff: Staff,
    Query(query): Query<HistoryQuery>,
    frame: Frame,
) -> Response {
    let frame = Frame(layout(&frame, &staff.signed_in));
    let some = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    let filter = HistoryFilter {
        row: wording::name_of_text(&query.row),
        edit: some(&query.edit),
        person: some(&query.person),
        before: query.before,
        // One more than is shown says whether there are more.
        limit: 51,
    };
    if !query.row.is_empty() && filter.row.is_none() {
        let message =
            "The row in the address is none: write mapping:ID, rule:ID, role:ARN or account:ID.";
        return frame.bad_input(message).into_response();
    }
    let answer = async {
        let bench = Bench::of(&app, &staff).await?;
        let mut entries = app.broker.history(&filter).await?;
        let has_more = entries.len() > PAGE;
        entries.truncate(PAGE);
        let view = HistoryView::new(HistoryInput {
            layout: frame.0.clone(),
            desk: desk(&app, &staff, Section::History).await?,
            query,
            entries: &entries,
            has_more,
            tables: &bench.tables,
            policy: &bench.policy,
            authority: &staff.authority,
            now: bench.now,
        });
        Ok::<_, StoreError>(render(&view, &frame))
    };
    answer
        .await
        .unwrap_or_else(|error| frame.clone().store_unavailable(&error).into_response())
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct UndoQuery {
    change: String,
    edit: String,
}

/// `GET /helpdesk/undo`: what taking a change back would do; saved like any other edit.
pub(in crate::web) async fn undo(
    State(app): State<App>,
    staff: Staff,
    Query(query): Query<UndoQuery>,
    arrival: Arrival,
) -> Response {
    let frame = arrival.frame.clone();
    let fields = Fields::of(&[
        ("edit", "undo"),
        ("change", &query.change),
        ("whole", &query.edit),
    ]);
    let answer = async {
        let visit = Visit::of(&app, &staff, &arrival).await?;
        preview::look_at(&visit, fields, &MappingQuery::default(), &arrival).await
    };
    answer
        .await
        .unwrap_or_else(|error: StoreError| frame.store_unavailable(&error).into_response())
}
