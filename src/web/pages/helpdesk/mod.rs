//! `/helpdesk/…`: the pages of those who keep the table. Whether an edit may be made is asked of the
//! broker; these handlers only show.

mod draft;
mod fields;
pub(in crate::web) mod groups;
pub(in crate::web) mod history;
pub(in crate::web) mod import;
pub(in crate::web) mod mappings;
mod outcome;
pub(in crate::web) mod pending;
pub(in crate::web) mod people;
pub(in crate::web) mod preview;
pub(in crate::web) mod probes;
pub(in crate::web) mod reviews;
pub(in crate::web) mod revocations;
pub(in crate::web) mod roles;
pub(in crate::web) mod rules;
pub(in crate::web) mod setup;
pub(in crate::web) mod suggest;

use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode},
    response::{Html, IntoResponse, Response},
};
use serde::Deserialize;

use super::{
    super::{
        App,
        error::Frame,
        staff::Staff,
        views::helpdesk::{Desk, Section},
    },
    see_other,
};
use crate::broker::{HistoryFilter, StoreError};

/// `GET /helpdesk`
pub(in crate::web) async fn show(_: Staff) -> Response {
    see_other("/helpdesk/mappings")
}

/// The frame of a helpdesk page.
async fn desk(app: &App, staff: &Staff, section: Section) -> Result<Desk, StoreError> {
    let pending = app.broker.count_pending_edits().await?;
    let file = app.broker.mapping_file();
    Ok(Desk {
        section,
        pending,
        may_edit_mappings: !staff.authority.helpdesk.is_empty(),
        is_admin: staff.authority.is_admin,
        file_trouble: file.trouble.map(|trouble| {
            format!(
                "The mapping file cannot be loaded; the last good one stays in force. {}",
                trouble.findings.join(" ")
            )
        }),
    })
}

/// Whether htmx asks for a part of the page.
fn is_fragment(headers: &HeaderMap) -> bool {
    headers.contains_key("hx-request")
}

/// A part of a page; none where it could not be rendered.
fn fragment(text: Result<String, askama::Error>, frame: &Frame) -> Response {
    match text {
        Ok(text) => Html(text).into_response(),
        Err(error) => {
            tracing::error!(error = %error, "a part of a page could not be rendered");
            frame
                .clone()
                .status(StatusCode::INTERNAL_SERVER_ERROR)
                .into_response()
        }
    }
}

/// Another page: by a redirect, or by htmx, which would put a redirect's page into the part.
fn go_to(location: &str, is_fragment: bool) -> Response {
    if !is_fragment {
        return see_other(location);
    }
    let Ok(location) = HeaderValue::from_str(location) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    ([(HeaderName::from_static("hx-redirect"), location)], "").into_response()
}

/// The query of a page that follows a save.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct SavedQuery {
    saved: String,
}

/// What was just saved, for the page that follows: a sentence, and where it is undone.
async fn saved(
    app: &App,
    staff: &Staff,
    edit: &str,
) -> Result<Option<(String, Option<String>)>, StoreError> {
    if edit.is_empty() {
        return Ok(None);
    }
    if edit == "unchanged" {
        let sentence = "Nothing had to be changed.";
        return Ok(Some((sentence.to_owned(), None)));
    }
    let filter = HistoryFilter {
        edit: Some(edit.to_owned()),
        limit: 1,
        ..HistoryFilter::default()
    };
    if app.broker.history(&filter).await?.is_empty() {
        return Ok(None);
    }
    let session = &staff.signed_in.session.id_hash;
    let effect = app.previews.effect_of(session, edit);
    let sentence = effect.map_or_else(
        || "Saved.".to_owned(),
        |effect| format!("Saved. {}", effect.trim_end_matches('.').to_owned() + "."),
    );
    let undo = super::super::views::query_string("/helpdesk/undo", &[("edit", edit)]);
    Ok(Some((sentence, Some(undo))))
}
