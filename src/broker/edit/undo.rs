//! Taking changes back: an edit like any other, made of what the log kept.

use std::collections::HashSet;

use crate::{
    access::{Change, Row, RowName},
    broker::Broker,
};

use super::{CHANGES_AT_MOST, EditDraft, EditRefused, HistoryEntry, HistoryFilter, Undo};

/// How many rows of the log are read at once.
const PAGE: u32 = 1_000;

impl Broker {
    /// The edit that takes something back; saved like any other.
    pub async fn undo(&self, what: &Undo) -> Result<EditDraft, EditRefused> {
        let changes = match what {
            Undo::Change(seq) => self.change_at(*seq).await?.into_iter().collect(),
            Undo::Edit(edit) => self.changes_of(edit).await?,
        };
        let undoes = changes.iter().find_map(|entry| entry.edit.clone());
        let mut draft = EditDraft {
            undoes,
            ..EditDraft::default()
        };
        let mut seen = HashSet::new();
        for entry in changes {
            let Some((name, change, now)) = back(entry)? else {
                continue;
            };
            // Newest first: the first state of a row that comes by is the one to be found now.
            if seen.insert(name.clone()) {
                draft.seen.push((name, now));
            }
            draft.changes.push(change);
        }
        if draft.changes.is_empty() {
            return Err(EditRefused::NotFound(match what {
                Undo::Change(seq) => format!("a change in row {seq} of the audit log"),
                Undo::Edit(edit) => format!("edit {edit}"),
            }));
        }
        Ok(draft)
    }

    async fn changes_of(&self, edit: &str) -> Result<Vec<HistoryEntry>, EditRefused> {
        let mut changes: Vec<HistoryEntry> = Vec::new();
        loop {
            let filter = HistoryFilter {
                edit: Some(edit.to_owned()),
                before: changes.last().map(|entry| entry.seq),
                limit: PAGE,
                ..HistoryFilter::default()
            };
            let page = self.history(&filter).await?;
            let is_last = page.is_empty();
            changes.extend(page);
            if changes.len() > CHANGES_AT_MOST {
                return Err(EditRefused::Problems(vec![format!(
                    "Edit {edit} has more than {CHANGES_AT_MOST} changes. Take them back one by \
                     one, or import the table as it was."
                )]));
            }
            if is_last {
                return Ok(changes);
            }
        }
    }
}

/// The change that takes one change back, and the revision that it has to find.
fn back(entry: HistoryEntry) -> Result<Option<(RowName, Change, Option<String>)>, EditRefused> {
    let HistoryEntry {
        seq,
        row,
        before,
        after,
        ..
    } = entry;
    let Some(name) = row else { return Ok(None) };
    if before.is_none() && after.is_none() {
        return Err(EditRefused::Problems(vec![format!(
            "What row {seq} of the audit log changed cannot be taken back: the log does not hold \
             it any more."
        )]));
    }
    let now = after.as_ref().map(Row::revision);
    Ok(Some((name.clone(), Change::back_to(&name, before), now)))
}
