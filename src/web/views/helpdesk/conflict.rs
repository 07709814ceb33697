//! Rows that somebody changed while they were edited: both versions, and the ways on.

use askama::Template;
use time::OffsetDateTime;

use super::{
    super::{Layout, Moment, words},
    Desk, links,
    preview::row_of,
    wording::{self, Difference},
};
use crate::{
    access::{Change, Policy},
    broker::Conflict,
};

/// A row in conflict.
struct ConflictRow {
    title: String,
    /// Who changed it, when and why.
    by: Option<(String, Moment, Option<String>)>,
    is_gone: bool,
    differences: Vec<Difference>,
    /// Where it is edited from their version.
    again: Option<String>,
}

/// What the page is made from.
pub(crate) struct ConflictInput<'a> {
    /// The frame.
    pub(crate) layout: Layout,
    /// The helpdesk's frame.
    pub(crate) desk: Desk,
    /// The rows.
    pub(crate) conflicts: &'a [Conflict],
    /// What was wanted.
    pub(crate) changes: &'a [Change],
    /// The table.
    pub(crate) policy: &'a Policy,
    /// Fields of a form that puts the wish before the rows as they are now, with its address.
    pub(crate) mine: (String, Vec<(String, String)>),
    /// The list to go back to.
    pub(crate) back: String,
    /// The present.
    pub(crate) now: OffsetDateTime,
}

/// The answer to an edit of rows that were changed meanwhile.
#[derive(Template)]
#[template(path = "helpdesk/conflict.html", whitespace = "minimize")]
pub(crate) struct ConflictView {
    layout: Layout,
    desk: Desk,
    rows: Vec<ConflictRow>,
    mine: (String, Vec<(String, String)>),
    back: String,
}

impl ConflictView {
    /// Compares the rows as wanted with the rows as they are.
    pub(crate) fn new(input: ConflictInput<'_>) -> Self {
        let rows = input
            .conflicts
            .iter()
            .map(|conflict| conflict_row(conflict, &input))
            .collect();
        Self {
            rows,
            layout: input.layout,
            desk: input.desk,
            mine: input.mine,
            back: input.back,
        }
    }
}

fn conflict_row(conflict: &Conflict, input: &ConflictInput<'_>) -> ConflictRow {
    let wanted = input
        .changes
        .iter()
        .find(|change| change.row().as_ref() == Some(&conflict.name));
    let wanted = wanted.and_then(row_of);
    let shown = conflict.now.as_ref().or(wanted.as_ref());
    ConflictRow {
        title: shown.map_or_else(
            || wording::name_title(&conflict.name),
            |row| wording::row_title(row, input.policy),
        ),
        by: conflict.by.as_ref().map(|entry| {
            (
                words::actor(&entry.by),
                Moment::relative(entry.at, input.now),
                entry.reason.clone(),
            )
        }),
        is_gone: conflict.now.is_none(),
        differences: wording::differences(conflict.now.as_ref(), wanted.as_ref()),
        again: conflict.now.as_ref().map(|_| links::row(&conflict.name)),
    }
}
