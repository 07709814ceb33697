//! `/helpdesk/import` and `/helpdesk/export.…`: the table as a text.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};

use super::{
    super::{
        super::{
            App,
            error::Frame,
            staff::Staff,
            views::helpdesk::{Section, import::ImportView, mappings::MappingQuery},
        },
        Arrival, download, layout, render,
    },
    desk,
    draft::{Errors, Sheet, import},
    fields::Fields,
};
use crate::broker::StoreError;

/// `GET /helpdesk/import`
pub(in crate::web) async fn show(State(app): State<App>, staff: Staff, frame: Frame) -> Response {
    let frame = Frame(layout(&frame, &staff.signed_in));
    let desk = match desk(&app, &staff, Section::Import).await {
        Ok(desk) => desk,
        Err(error) => return frame.store_unavailable(&error).into_response(),
    };
    let query = MappingQuery::default();
    let fields = Fields::default();
    let sheet = Sheet {
        fields: &fields,
        query: &query,
        csrf_token: &frame.0.csrf_token,
    };
    let may_edit = desk.may_edit_mappings || desk.is_admin;
    let view = ImportView {
        layout: frame.0.clone(),
        desk,
        form: may_edit.then(|| import::form(&sheet, &Errors::new())),
    };
    render(&view, &frame)
}

/// `GET /helpdesk/export.toml`
pub(in crate::web) async fn toml(
    State(app): State<App>,
    staff: Staff,
    arrival: Arrival,
) -> Response {
    export(&app, &staff, &arrival, true).await
}

/// `GET /helpdesk/export.jsonl`
pub(in crate::web) async fn json_lines(
    State(app): State<App>,
    staff: Staff,
    arrival: Arrival,
) -> Response {
    export(&app, &staff, &arrival, false).await
}

async fn export(app: &App, staff: &Staff, arrival: &Arrival, is_toml: bool) -> Response {
    let who = arrival.client(app);
    let text = &app.settings.table_text;
    let answer = async {
        let tables = import::of_store(app.broker.tables().await?.as_ref());
        let identity = staff.signed_in.identity();
        let rows = import::row_count(&tables);
        app.broker
            .note_export(identity, "table", &format!("{rows} rows"), &who)
            .await?;
        Ok::<_, StoreError>(if is_toml {
            let name = "table.toml";
            download(
                (text.to_toml)(&tables),
                name,
                "application/toml; charset=utf-8",
            )
        } else {
            let kind = "application/jsonl; charset=utf-8";
            download((text.to_json_lines)(&tables), "table.jsonl", kind)
        })
    };
    answer.await.unwrap_or_else(|error| {
        arrival
            .frame
            .clone()
            .store_unavailable(&error)
            .into_response()
    })
}
