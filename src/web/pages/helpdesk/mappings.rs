//! `/helpdesk/mappings`: the list, its CSV, and the forms beside it.

use askama::Template as _;
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
            error::Frame,
            staff::Staff,
            views::helpdesk::{
                Section,
                edit::EditForm,
                mappings::{self, ListInput, MappingList, MappingQuery, MappingsView},
                wording,
            },
        },
        Arrival, download, layout, render, see_other,
    },
    desk,
    draft::{Bench, Errors, Sheet, mapping},
    fragment, is_fragment, saved,
};
use crate::{
    access::{Mapping, Origin},
    broker::StoreError,
};

/// `GET /helpdesk/mappings`
pub(in crate::web) async fn show(
    State(app): State<App>,
    staff: Staff,
    Query(query): Query<MappingQuery>,
    arrival: Arrival,
) -> Response {
    let frame = Frame(layout(&arrival.frame, &staff.signed_in));
    let answer = async {
        let bench = Bench::of(&app, &staff).await?;
        if is_fragment(&arrival.headers) {
            let list = list(&bench, &query, None, &frame);
            return Ok::<_, StoreError>(fragment(list.render(), &frame));
        }
        page(&bench, query, None, &frame).await
    };
    answer
        .await
        .unwrap_or_else(|error| frame.clone().store_unavailable(&error).into_response())
}

fn list(bench: &Bench<'_>, query: &MappingQuery, open: Option<&str>, frame: &Frame) -> MappingList {
    MappingList::new(input(bench), query, open, frame.0.csrf_token.clone())
}

fn input<'a>(bench: &'a Bench<'_>) -> ListInput<'a> {
    ListInput {
        tables: &bench.tables,
        policy: &bench.policy,
        environments: &bench.app.settings.environments,
        authority: &bench.staff.authority,
        now: bench.now,
    }
}

/// The list, with a form beside it.
pub(super) async fn page(
    bench: &Bench<'_>,
    query: MappingQuery,
    form: Option<(EditForm, &str)>,
    frame: &Frame,
) -> Result<Response, StoreError> {
    let limit = || wording::limit(&bench.staff.authority.helpdesk, &bench.policy);
    let notice = form.is_none().then(limit).flatten();
    let open = form.as_ref().map(|(_, open)| *open);
    let beside = (open, notice);
    let view = view(bench, query, beside, frame).await?;
    let form = form.map(|(form, _)| form);
    Ok(render(&MappingsView { form, ..view }, frame))
}

/// The list alone, with the row that is `open` and a sentence above.
async fn view(
    bench: &Bench<'_>,
    query: MappingQuery,
    (open, notice): (Option<&str>, Option<String>),
    frame: &Frame,
) -> Result<MappingsView, StoreError> {
    Ok(MappingsView {
        layout: frame.0.clone(),
        desk: desk(bench.app, bench.staff, Section::Mappings).await?,
        list: list(bench, &query, open, frame),
        saved: saved(bench.app, bench.staff, &query.saved).await?,
        query,
        form: None,
        notice,
    })
}

/// Why somebody reads a row and does not edit it.
fn why_not(bench: &Bench<'_>, row: &Mapping) -> Option<String> {
    let authority = &bench.staff.authority;
    if let Origin::File { line } = row.origin {
        return Some(format!(
            "This row is kept in the mapping file, line {line}. It can be read here, and is changed there."
        ));
    }
    let account = bench.policy.account(&row.role.account());
    if authority.may_edit_mappings_of(&row.role, account) {
        return None;
    }
    Some(match wording::limit(&authority.helpdesk, &bench.policy) {
        Some(limit) => format!("You may read this row and not edit it. {limit}"),
        None => {
            "You may read this row and not edit it: mappings are edited by the helpdesk.".to_owned()
        }
    })
}

/// `GET /helpdesk/mappings.csv`
pub(in crate::web) async fn csv(
    State(app): State<App>,
    staff: Staff,
    Query(query): Query<MappingQuery>,
    arrival: Arrival,
) -> Response {
    let who = arrival.client(&app);
    let answer = async {
        let bench = Bench::of(&app, &staff).await?;
        let (text, rows) = mappings::csv(input(&bench), &query);
        let identity = staff.signed_in.identity();
        app.broker
            .note_export(identity, "mappings", &format!("{rows} rows"), &who)
            .await?;
        Ok::<_, StoreError>(download(text, "mappings.csv", "text/csv; charset=utf-8"))
    };
    answer.await.unwrap_or_else(|error| {
        arrival
            .frame
            .clone()
            .store_unavailable(&error)
            .into_response()
    })
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct NewMapping {
    /// Prefills the form; the list beside it is then the whole one.
    ticket: String,
    prefill: String,
}

/// `GET /helpdesk/mappings/new`
pub(in crate::web) async fn add(
    State(app): State<App>,
    staff: Staff,
    Query(query): Query<MappingQuery>,
    Query(new): Query<NewMapping>,
    frame: Frame,
) -> Response {
    let frame = Frame(layout(&frame, &staff.signed_in));
    if staff.authority.helpdesk.is_empty() {
        return see_other("/helpdesk/mappings");
    }
    // The list's own filter has the same names: a link that fills in the form says so.
    let is_filter =
        new.prefill.is_empty() && !query.link("", &[]).is_empty() && new.ticket.is_empty();
    let (group, role) = (query.group.clone(), query.role.clone());
    let list = if is_filter {
        query
    } else {
        MappingQuery::default()
    };
    let fields = mapping::fresh(&group, &role, &new.ticket);
    let answer = async {
        let bench = Bench::of(&app, &staff).await?;
        let sheet = Sheet {
            fields: &fields,
            query: &list,
            csrf_token: &frame.0.csrf_token,
        };
        let form = mapping::form(&bench, &sheet, None, &Errors::new());
        page(&bench, list.clone(), Some((form, "")), &frame).await
    };
    answer
        .await
        .unwrap_or_else(|error| frame.clone().store_unavailable(&error).into_response())
}

/// `GET /helpdesk/mappings/{id}`
pub(in crate::web) async fn edit(
    State(app): State<App>,
    staff: Staff,
    Path(id): Path<String>,
    Query(query): Query<MappingQuery>,
    frame: Frame,
) -> Response {
    let frame = Frame(layout(&frame, &staff.signed_in));
    let answer = async {
        let bench = Bench::of(&app, &staff).await?;
        let mut mappings = bench.tables.mappings.iter();
        let Some(row) = mappings.find(|mapping| mapping.id.0 == id) else {
            let missing = frame.clone().status(StatusCode::NOT_FOUND);
            return Ok::<_, StoreError>(missing.into_response());
        };
        let fields = mapping::of_row(row);
        let sheet = Sheet {
            fields: &fields,
            query: &query,
            csrf_token: &frame.0.csrf_token,
        };
        let form = mapping::form(&bench, &sheet, Some(row), &Errors::new());
        if let Some(why) = why_not(&bench, row) {
            let beside = (Some(id.as_str()), Some(why));
            let view = view(&bench, query.clone(), beside, &frame).await?;
            return Ok(render(&view, &frame));
        }
        let form = Some((form, id.as_str()));
        page(&bench, query.clone(), form, &frame).await
    };
    answer
        .await
        .unwrap_or_else(|error| frame.clone().store_unavailable(&error).into_response())
}
