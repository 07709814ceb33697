//! Every change of the tables: who, when, why, before and after.

use askama::Template;
use serde::Deserialize;
use time::OffsetDateTime;

use super::{
    super::{Layout, Moment, query_string, words},
    Desk,
    wording::{self, Difference},
};
use crate::{
    access::{Authority, Policy, PolicyTables},
    broker::{Action, HistoryEntry},
};

/// Which changes: the query of the address.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct HistoryQuery {
    /// A row, as `mapping:ID`.
    pub(crate) row: String,
    /// An edit's id.
    pub(crate) edit: String,
    /// Who, by user name or stable id.
    pub(crate) person: String,
    /// Only older ones.
    pub(crate) before: Option<i64>,
}

struct HistoryRow {
    seq: i64,
    at: Moment,
    what: &'static str,
    title: String,
    by: String,
    approved_by: Option<String>,
    reason: String,
    differences: Vec<Difference>,
    undoes: bool,
    undo: Option<String>,
    edit: Option<String>,
}

/// What the page is made from.
pub(crate) struct HistoryInput<'a> {
    /// The frame.
    pub(crate) layout: Layout,
    /// The helpdesk's frame.
    pub(crate) desk: Desk,
    /// Which changes were asked for.
    pub(crate) query: HistoryQuery,
    /// The changes, newest first.
    pub(crate) entries: &'a [HistoryEntry],
    /// Whether there are more.
    pub(crate) has_more: bool,
    /// The rows as they are now.
    pub(crate) tables: &'a PolicyTables,
    /// What is decided on them.
    pub(crate) policy: &'a Policy,
    /// What the reader may do.
    pub(crate) authority: &'a Authority,
    /// The present.
    pub(crate) now: OffsetDateTime,
}

/// `GET /helpdesk/history`
#[derive(Template)]
#[template(path = "helpdesk/history.html", whitespace = "minimize")]
pub(crate) struct HistoryView {
    layout: Layout,
    desk: Desk,
    query: HistoryQuery,
    rows: Vec<HistoryRow>,
    /// What the list is narrowed to, in words.
    about: Option<String>,
    /// Where all of an edit is undone.
    undo_all: Option<String>,
    next: Option<String>,
}

impl HistoryView {
    /// The changes in words.
    pub(crate) fn new(input: HistoryInput<'_>) -> Self {
        let rows: Vec<HistoryRow> = input
            .entries
            .iter()
            .map(|entry| history_row(entry, &input))
            .collect();
        let row = wording::name_of_text(&input.query.row);
        let about = row.map(|name| wording::title_of(&name, input.tables, input.policy));
        let next = input.entries.last().filter(|_| input.has_more).map(|last| {
            query_string(
                "/helpdesk/history",
                &[
                    ("row", &input.query.row),
                    ("edit", &input.query.edit),
                    ("person", &input.query.person),
                    ("before", &last.seq.to_string()),
                ],
            )
        });
        let may_undo = rows.iter().all(|row| row.undo.is_some());
        let is_edit = !input.query.edit.is_empty() && !rows.is_empty() && may_undo;
        Self {
            rows,
            about,
            undo_all: is_edit
                .then(|| query_string("/helpdesk/undo", &[("edit", &input.query.edit)])),
            next,
            layout: input.layout,
            desk: input.desk,
            query: input.query,
        }
    }
}

fn history_row(entry: &HistoryEntry, input: &HistoryInput<'_>) -> HistoryRow {
    let mut sides = [&entry.before, &entry.after].into_iter().flatten();
    let may_undo = sides.all(|row| input.authority.may_edit(row, input.policy));
    let row = entry.after.as_ref().or(entry.before.as_ref());
    let title = match (row, &entry.row) {
        (Some(row), _) => wording::row_title(row, input.policy),
        (None, Some(name)) => wording::title_of(name, input.tables, input.policy),
        (None, None) => kind(entry.action).to_owned(),
    };
    HistoryRow {
        seq: entry.seq,
        at: Moment::relative(entry.at, input.now),
        what: match (&entry.before, &entry.after) {
            (None, Some(_)) => "added",
            (Some(_), None) => "ended",
            _ => "changed",
        },
        title,
        by: words::actor(&entry.by),
        approved_by: entry.approved_by.as_ref().map(words::actor),
        reason: entry.reason.clone().unwrap_or_default(),
        differences: wording::differences(entry.before.as_ref(), entry.after.as_ref()),
        undoes: entry.undoes.is_some(),
        undo: (may_undo && row.is_some()).then(|| format!("/helpdesk/undo?change={}", entry.seq)),
        edit: entry
            .edit
            .as_ref()
            .filter(|edit| **edit != input.query.edit)
            .map(|edit| query_string("/helpdesk/history", &[("edit", edit)])),
    }
}

fn kind(action: Action) -> &'static str {
    match action {
        Action::AccountChange => "An account",
        Action::RoleChange => "A role",
        Action::MappingChange => "A mapping",
        Action::RuleChange => "A rule",
        _ => "The table",
    }
}
