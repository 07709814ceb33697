//! The rows of one moment, those of the store and those of the mapping file apart.

use std::{
    collections::{BTreeMap, HashMap},
    hash::Hash,
    sync::Arc,
};

use crate::{
    access::{
        Change, ConnectorId, GroupKey, MappingId, Origin, Policy, PolicyTables, Row, RowName,
        TargetArn,
    },
    broker::Broker,
    store::StoreError,
};

use super::{CHANGES_AT_MOST, EditDraft, Refusal, RowChange, WORDS_AT_MOST};

/// How many bytes one change may have as JSON: a role with the longest session policy and tags has
/// half of it.
const LARGEST_CHANGE: usize = 64 * 1024;

/// How often a moment is looked for while somebody else edits.
pub(super) const TRIES: usize = 3;

/// The tables at one version.
pub(super) struct Moment {
    /// The rows that can be edited.
    pub(super) store: Arc<PolicyTables>,
    /// The rows of the mapping file, which stand beside them.
    file: Arc<PolicyTables>,
    /// All of them, as decisions are made on.
    pub(super) tables: Arc<PolicyTables>,
    /// The decision that is made of them.
    pub(super) policy: Arc<Policy>,
}

impl Broker {
    /// The tables now.
    pub(super) async fn moment(&self) -> Result<Moment, StoreError> {
        let snapshot = self.policy.now(self.adapters.policy.as_ref()).await?;
        Ok(Moment {
            store: snapshot.stored,
            file: snapshot.file,
            tables: snapshot.tables,
            policy: snapshot.policy,
        })
    }

    /// What would be decided on these rows.
    pub(super) fn policy_of(&self, tables: &PolicyTables) -> Policy {
        Policy::new(tables.clone(), self.settings.policy.clone())
    }
}

impl Moment {
    /// The number of this moment.
    pub(super) fn version(&self) -> i64 {
        self.tables.version
    }

    /// A row, wherever it is from.
    pub(super) fn row(&self, name: &RowName) -> Option<Row> {
        self.store.row(name).or_else(|| self.file.row(name))
    }

    /// Refuses what no edit may have: rows of the mapping file, too much, too long.
    pub(super) fn check(&self, draft: &EditDraft) -> Result<(), Refusal> {
        if draft.changes.len() > CHANGES_AT_MOST {
            return Err(Refusal::problem(format!(
                "This edit has {} changes; one edit may have {CHANGES_AT_MOST}. Save it in parts.",
                draft.changes.len()
            )));
        }
        let length = draft
            .reason
            .as_deref()
            .map_or(0, |text| text.chars().count());
        if length > WORDS_AT_MOST {
            return Err(Refusal::problem(format!(
                "The reason has {length} characters; there is room for {WORDS_AT_MOST}."
            )));
        }
        let kept = Kept::of(&self.file);
        for change in &draft.changes {
            let size = serde_json::to_string(change).map_or(usize::MAX, |text| text.len());
            if size > LARGEST_CHANGE {
                return Err(Refusal::problem(format!(
                    "A row of this edit has {size} bytes; {LARGEST_CHANGE} are kept. Shorten its \
                     texts."
                )));
            }
            let Some(row) = change.row() else {
                // Which group a mapping means is noted when somebody of it signs in.
                let message = "Groups are bound by Rolegate itself, never by an edit.";
                return Err(Refusal::not_allowed("bound_by_system", message));
            };
            if let Some(place) = self.place_in_file(change, draft, &kept) {
                let message = format!(
                    "This row is kept in {place}: it can be read here, and is changed there."
                );
                return Err(Refusal::not_allowed("file_row", message).about(row));
            }
        }
        Ok(())
    }

    /// Where the row that a change means stands in the mapping file.
    fn place_in_file(&self, change: &Change, draft: &EditDraft, kept: &Kept<'_>) -> Option<String> {
        let name = change.row()?;
        // A row that is imported has its line in another file for id, and means none here.
        let is_edited = || {
            let mut seen = draft.seen.iter();
            seen.any(|(row, seen)| *row == name && seen.is_some())
        };
        match (change, &name) {
            (Change::PutMapping(row), _) => {
                let twin = kept.mappings.get(&(&row.group, &row.role));
                twin.copied()
                    .or_else(|| is_edited().then(|| kept.ids.get(&row.id).copied())?)
            }
            (Change::PutRule(row), _) => {
                let key = (
                    &row.connector,
                    row.group_pattern.as_str(),
                    row.role.as_str(),
                );
                let twin = kept.rules.get(&key);
                twin.copied()
                    .or_else(|| is_edited().then(|| kept.ids.get(&row.id).copied())?)
            }
            (Change::EndMapping(id) | Change::EndRule(id), _) => kept.ids.get(id).copied(),
            (_, name) => {
                let is_kept = self.store.row(name).is_none() && self.file.row(name).is_some();
                return is_kept.then(|| "the mapping file".to_owned());
            }
        }
        .map(|origin| match origin {
            Origin::File { line } => format!("the mapping file, line {line}"),
            Origin::Store => "the mapping file".to_owned(),
        })
    }

    /// The tables after an edit made `store` of the store's rows.
    pub(super) fn joined(&self, mut store: PolicyTables) -> PolicyTables {
        store.version = self.tables.version;
        store.accounts.extend(self.file.accounts.iter().cloned());
        store.roles.extend(self.file.roles.iter().cloned());
        store.mappings.extend(self.file.mappings.iter().cloned());
        store.rules.extend(self.file.rules.iter().cloned());
        store
    }
}

/// The rows of the mapping file by what the store tells rows apart by.
struct Kept<'a> {
    ids: HashMap<&'a MappingId, &'a Origin>,
    mappings: HashMap<(&'a GroupKey, &'a TargetArn), &'a Origin>,
    rules: HashMap<(&'a ConnectorId, &'a str, &'a str), &'a Origin>,
}

impl<'a> Kept<'a> {
    fn of(file: &'a PolicyTables) -> Self {
        let mappings = file.mappings.iter();
        let rules = file.rules.iter();
        let ids = mappings.clone().map(|row| (&row.id, &row.origin));
        Self {
            ids: ids
                .chain(rules.clone().map(|row| (&row.id, &row.origin)))
                .collect(),
            mappings: mappings
                .map(|row| ((&row.group, &row.role), &row.origin))
                .collect(),
            rules: rules
                .map(|row| {
                    let key = (
                        &row.connector,
                        row.group_pattern.as_str(),
                        row.role.as_str(),
                    );
                    (key, &row.origin)
                })
                .collect(),
        }
    }
}

/// The rows that differ, by name.
pub(super) fn differences(before: &PolicyTables, after: &PolicyTables) -> Vec<RowChange> {
    let mut rows = Rows::default();
    let (old, new) = (before, after);
    rows.compare(&old.accounts, &new.accounts, |row| &row.id, Row::Account);
    let boxed = |row| Row::Role(Box::new(row));
    rows.compare(&old.roles, &new.roles, |row| &row.arn, boxed);
    rows.compare(&old.mappings, &new.mappings, |row| &row.id, Row::Mapping);
    rows.compare(&old.rules, &new.rules, |row| &row.id, Row::Rule);
    rows.0
        .into_iter()
        .map(|(name, (before, after))| RowChange {
            name,
            before,
            after,
        })
        .collect()
}

#[derive(Default)]
struct Rows(BTreeMap<RowName, (Option<Row>, Option<Row>)>);

impl Rows {
    /// Keeps the rows of which the other side has not exactly the same.
    fn compare<T, K>(
        &mut self,
        before: &[T],
        after: &[T],
        key: impl Fn(&T) -> &K,
        row: impl Fn(T) -> Row,
    ) where
        T: Clone + PartialEq,
        K: Eq + Hash,
    {
        let old: HashMap<&K, &T> = before.iter().map(|found| (key(found), found)).collect();
        let new: HashMap<&K, &T> = after.iter().map(|found| (key(found), found)).collect();
        for found in before {
            if new.get(key(found)) != Some(&found) {
                let found = row(found.clone());
                let sides = self.0.entry(found.name()).or_default();
                sides.0 = Some(found);
            }
        }
        for found in after {
            if old.get(key(found)) != Some(&found) {
                let found = row(found.clone());
                let sides = self.0.entry(found.name()).or_default();
                sides.1 = Some(found);
            }
        }
    }
}
