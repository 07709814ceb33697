//! Edits that wait for a second person.

use askama::Template;
use time::OffsetDateTime;

use super::{
    super::{
        Layout, Moment,
        words::{self, counted},
    },
    Desk,
    preview::{Effects, PreviewState, reason_of_code},
    wording,
};
use crate::{
    access::Change,
    broker::{PendingEdit, PendingState},
};

struct PendingRow {
    href: String,
    what: String,
    author: String,
    why: Vec<String>,
    reason: String,
    since: Moment,
    until: Moment,
    state: &'static str,
    is_waiting: bool,
}

/// `GET /helpdesk/pending`
#[derive(Template)]
#[template(path = "helpdesk/pending.html", whitespace = "minimize")]
pub(crate) struct PendingView {
    layout: Layout,
    desk: Desk,
    waiting: Vec<PendingRow>,
    decided: Vec<PendingRow>,
    saved: Option<String>,
}

impl PendingView {
    /// What waits first, then what was decided lately.
    pub(crate) fn new(
        layout: Layout,
        desk: Desk,
        edits: &[PendingEdit],
        saved: Option<String>,
        now: OffsetDateTime,
    ) -> Self {
        let rows = edits.iter().map(|edit| pending_row(edit, now));
        let (waiting, decided) = rows.partition(|row| row.is_waiting);
        Self {
            layout,
            desk,
            waiting,
            decided,
            saved,
        }
    }
}

fn pending_row(edit: &PendingEdit, now: OffsetDateTime) -> PendingRow {
    PendingRow {
        href: format!("/helpdesk/pending/{}", edit.id),
        what: what(&edit.changes),
        author: edit.author_name.clone(),
        why: edit.why.iter().map(|code| reason_of_code(code)).collect(),
        reason: edit.reason.clone().unwrap_or_default(),
        since: Moment::relative(edit.created_at, now),
        until: Moment::relative(edit.expires_at, now),
        state: state(edit.state),
        is_waiting: edit.state == PendingState::Waiting,
    }
}

fn state(state: PendingState) -> &'static str {
    match state {
        PendingState::Waiting => "waits",
        PendingState::Approved => "approved",
        PendingState::Declined => "declined",
        PendingState::Withdrawn => "taken back",
        PendingState::Expired => "lapsed",
    }
}

/// `2 mappings`, or the one change in words.
fn what(changes: &[Change]) -> String {
    match changes {
        [Change::PutMapping(mapping)] => format!(
            "Mapping of {} to {}",
            wording::group_name(mapping.group.as_str()),
            mapping.role.name()
        ),
        [Change::EndMapping(_)] => "End of a mapping".to_owned(),
        [Change::PutRule(rule)] => format!("Rule {}", rule.group_pattern),
        [Change::EndRule(_)] => "End of a rule".to_owned(),
        _ => counted(changes.len(), "change", "changes"),
    }
}

/// What the page of one pending edit is made from.
pub(crate) struct PendingOneInput<'a> {
    /// The frame.
    pub(crate) layout: Layout,
    /// The helpdesk's frame.
    pub(crate) desk: Desk,
    /// The edit.
    pub(crate) edit: &'a PendingEdit,
    /// What it would do now.
    pub(crate) preview: PreviewState,
    /// Why the reader may not approve; none where they may try.
    pub(crate) may_not: Option<String>,
    /// Whether the reader is the author.
    pub(crate) is_author: bool,
    /// What went wrong with the last decision.
    pub(crate) message: Option<String>,
    /// The present.
    pub(crate) now: OffsetDateTime,
}

/// `GET /helpdesk/pending/{id}`
#[derive(Template)]
#[template(path = "helpdesk/pending_one.html", whitespace = "minimize")]
pub(crate) struct PendingOneView {
    layout: Layout,
    desk: Desk,
    id: String,
    row: PendingRow,
    preview: PreviewState,
    may_not: Option<String>,
    is_author: bool,
    message: Option<String>,
    decision: Option<(String, Moment, String)>,
}

impl PendingOneView {
    /// One edit with what it would do.
    pub(crate) fn new(input: PendingOneInput<'_>) -> Self {
        let edit = input.edit;
        let decided = edit.decided_by.as_ref().zip(edit.decided_at);
        Self {
            id: edit.id.clone(),
            row: pending_row(edit, input.now),
            decision: decided.map(|(by, at)| {
                (
                    words::actor(by),
                    Moment::relative(at, input.now),
                    edit.note.clone().unwrap_or_default(),
                )
            }),
            layout: input.layout,
            desk: input.desk,
            preview: input.preview,
            may_not: input.may_not,
            is_author: input.is_author,
            message: input.message,
        }
    }

    /// The preview, where it may be approved.
    fn ready(&self) -> Option<&Effects> {
        match &self.preview {
            PreviewState::Ready(effects) if self.may_not.is_none() => Some(effects),
            _ => None,
        }
    }

    fn running(&self) -> Option<&str> {
        match &self.preview {
            PreviewState::Running(running) => Some(&running.href),
            _ => None,
        }
    }
}
