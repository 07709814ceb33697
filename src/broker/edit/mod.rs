//! Edits of the tables by people: preview, four eyes, save, undo.
//!
//! An edit is looked at twice: [`Broker::preview_edit`] shows who gains and who loses, and
//! [`Broker::save_edit`] looks again and saves only what was shown. What gives its author a role,
//! touches something protected, or cannot be worked out in full waits for a second person.
//! Never here: HTML. Entry points: [`Broker::preview_edit`], [`Broker::save_edit`],
//! [`Broker::approve_edit`], [`Broker::undo`].

mod digest;
mod editor;
mod expiry;
mod gains;
mod history;
mod host;
mod moment;
mod pending;
mod permission;
mod preview;
mod refusal;
mod save;
mod touched;
mod undo;

use thiserror::Error;
use time::OffsetDateTime;

use super::Broker;
use crate::{
    access::{Authority, Change, Identity, PolicyTables, Preview, Row, RowName},
    audit::{Action, Actor},
    store::StoreError,
};

pub(super) use editor::Editor;
pub(super) use permission::Surroundings;
pub(super) use refusal::{Attempt, Refusal};

/// How many changes one edit may have.
pub const CHANGES_AT_MOST: usize = 20_000;
/// How many characters a reason or a note may have.
pub(super) const WORDS_AT_MOST: usize = 500;

/// What somebody wants to change.
#[derive(Debug, Clone, Default)]
pub struct EditDraft {
    /// The changes.
    pub changes: Vec<Change>,
    /// The rows as they were when the form was made: name and revision, none where there was no
    /// such row. A row that is not named here may be in any state.
    pub seen: Vec<(RowName, Option<String>)>,
    /// A ticket or a sentence; at most 500 characters.
    pub reason: Option<String>,
    /// The edit that this takes back.
    pub undoes: Option<String>,
}

/// A row before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowChange {
    /// Which.
    pub name: RowName,
    /// Before; none where it is new.
    pub before: Option<Row>,
    /// After; none where it is ended.
    pub after: Option<Row>,
}

/// Why an edit waits for a second person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Wait {
    /// It gives its author a role, or better terms.
    SelfGain,
    /// It touches an account or role that is protected.
    Protected,
    /// Whether it gives its author anything could not be worked out.
    Unresolved,
}

impl Wait {
    /// The stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::SelfGain => "self_gain",
            Self::Protected => "protected",
            Self::Unresolved => "unresolved",
        }
    }
}

/// What an edit would do, as shown before it is saved.
#[derive(Debug, Clone)]
pub struct EditPreview {
    /// The rows that really change.
    pub rows: Vec<RowChange>,
    /// Everybody who was looked at; the places in `effects` are in this list.
    pub people: Vec<Identity>,
    /// Who gains and who loses.
    pub effects: Preview,
    /// Sentences about what could not be resolved.
    pub unresolved: Vec<String>,
    /// Why it will wait; empty where it is saved at once.
    pub waits: Vec<Wait>,
    /// What it gives the author, as role ARNs.
    pub own_gains: Vec<String>,
    /// Stands for all of the above; saving asks for it.
    pub digest: String,
}

/// What became of an edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Saved {
    /// It is in force.
    InForce {
        /// Its id, to undo it by.
        edit: String,
        /// How many rows changed.
        rows: usize,
    },
    /// It waits for a second person.
    Waits {
        /// The pending edit's id.
        pending: String,
    },
    /// Nothing had to be changed.
    Unchanged,
}

/// A row that was changed since the form was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// Which.
    pub name: RowName,
    /// As it is now; none where it is gone.
    pub now: Option<Row>,
    /// Who changed it, when and why, as the log knows.
    pub by: Option<HistoryEntry>,
}

/// Why an edit was not made. Refusals for lack of authority and bypasses are audited.
#[derive(Debug, Error)]
pub enum EditRefused {
    /// The person may not edit this.
    #[error("not allowed: {0}")]
    NotAllowed(String),
    /// Rows were changed meanwhile; nothing was overwritten.
    #[error("{} rows were changed meanwhile", .0.len())]
    Conflicts(Vec<Conflict>),
    /// The changes do not fit together or with what is there.
    #[error("{}", .0.join("; "))]
    Problems(Vec<String>),
    /// What the edit does is no longer what was shown.
    #[error("the preview is no longer true")]
    PreviewChanged(Box<EditPreview>),
    /// The row, edit or pending edit is not there.
    #[error("{0} does not exist")]
    NotFound(String),
    /// The pending edit does not wait any more.
    #[error("the edit does not wait any more")]
    AlreadyDecided,
    /// The approver may not approve this.
    #[error("not the second person: {0}")]
    NotSecondPerson(String),
    /// The store does not answer.
    #[error("the store is unavailable")]
    StoreUnavailable(#[from] StoreError),
}

/// One change of one row, as the audit log tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryEntry {
    /// The audit row.
    pub seq: i64,
    /// When.
    pub at: OffsetDateTime,
    /// What kind.
    pub action: Action,
    /// Who.
    pub by: Actor,
    /// Who approved, where somebody did.
    pub approved_by: Option<Actor>,
    /// Why.
    pub reason: Option<String>,
    /// Which row; none for rows written before this was kept, and for bound groups.
    pub row: Option<RowName>,
    /// Before; none where it was new, or where the payload was erased.
    pub before: Option<Row>,
    /// After; none where it was ended.
    pub after: Option<Row>,
    /// The edit that it belongs to.
    pub edit: Option<String>,
    /// The edit that it took back.
    pub undoes: Option<String>,
}

/// Which changes to list.
#[derive(Debug, Clone, Default)]
pub struct HistoryFilter {
    /// Of one row.
    pub row: Option<RowName>,
    /// Of one edit.
    pub edit: Option<String>,
    /// By user name or stable id of who changed it.
    pub person: Option<String>,
    /// Only older ones: the cursor of the next page.
    pub before: Option<i64>,
    /// How many at most.
    pub limit: u32,
}

/// What to take back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Undo {
    /// One change, by its audit row.
    Change(i64),
    /// All changes of an edit.
    Edit(String),
}

impl Broker {
    /// What the person may do here, by the groups of their session.
    pub fn authority(&self, identity: &Identity) -> Authority {
        Authority::of(&self.settings.access, identity)
    }

    /// The rows of the tables, those of the mapping file included, that decisions are made on now.
    pub async fn tables(&self) -> Result<std::sync::Arc<PolicyTables>, StoreError> {
        self.policy.tables(self.adapters.policy.as_ref()).await
    }
}
