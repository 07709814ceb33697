//! Changes of the tables: what one is, what it does to a table, and what takes it back.
//!
//! Entry points: [`Change`], [`PolicyTables::after`].

mod edited;
#[cfg(test)]
mod tests;

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use time::OffsetDateTime;

use super::{
    Account, AccountId, Conditions, GroupKey, Mapping, MappingId, MappingRule, PolicyTables, Role,
    TargetArn, in_utc,
};

/// How much of the hash a revision is: enough that nobody can make two rows share one.
const REVISION_BYTES: usize = 16;

/// One change of the tables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Adds an account or replaces it.
    PutAccount(Account),
    /// Removes an account; its roles must be gone.
    RemoveAccount(AccountId),
    /// Adds a role or replaces it.
    PutRole(Box<Role>),
    /// Removes a role; its mappings must be gone.
    RemoveRole(TargetArn),
    /// Adds a mapping, or replaces the one with the same group and role, which keeps its id, or
    /// the one with the same id. An id that is no UUID, as those from a file, becomes one.
    PutMapping(Mapping),
    /// Ends a mapping.
    EndMapping(MappingId),
    /// Notes which group the mappings of `group` mean, where they do not know yet: a group that is
    /// made again under the same name has another id and does not inherit.
    BindGroup {
        /// The group as mappings compare it.
        group: GroupKey,
        /// The directory's own stable id of it.
        group_id: String,
    },
    /// Adds a rule, or replaces the one with the same connector, pattern and role, which keeps its
    /// id, or the one with the same id. An id that is no UUID becomes one.
    PutRule(MappingRule),
    /// Ends a rule.
    EndRule(MappingId),
}

/// A row of the tables, by what it is known by.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "kind", content = "id", rename_all = "snake_case")]
pub enum RowName {
    /// An account.
    Account(AccountId),
    /// A role.
    Role(TargetArn),
    /// An explicit mapping.
    Mapping(MappingId),
    /// A pattern rule.
    Rule(MappingId),
}

/// A row as it stands in the tables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "row", rename_all = "snake_case")]
pub enum Row {
    /// An account.
    Account(Account),
    /// A role.
    Role(Box<Role>),
    /// An explicit mapping.
    Mapping(Mapping),
    /// A pattern rule.
    Rule(MappingRule),
}

impl Row {
    /// The row's name.
    pub fn name(&self) -> RowName {
        match self {
            Self::Account(account) => RowName::Account(account.id.clone()),
            Self::Role(role) => RowName::Role(role.arn.clone()),
            Self::Mapping(mapping) => RowName::Mapping(mapping.id.clone()),
            Self::Rule(rule) => RowName::Rule(rule.id.clone()),
        }
    }

    /// What changes with every change of the row, and with nothing else: a form carries it, so that
    /// an edit made meanwhile is noticed.
    pub fn revision(&self) -> String {
        // A row is a struct with text keys, which always has a JSON form, its fields in order.
        let text = serde_json::to_vec(self).unwrap_or_default();
        let hash = digest(&SHA256, &text);
        hex::encode(&hash.as_ref()[..REVISION_BYTES])
    }

    /// What messages call it.
    pub fn title(&self) -> String {
        match self {
            Self::Account(account) => format!("account {} ({})", account.id, account.name),
            Self::Role(role) => format!("role {}", role.arn),
            Self::Mapping(mapping) => mapping.title(),
            Self::Rule(rule) => rule.title(),
        }
    }
}

impl PolicyTables {
    /// The row of that name.
    pub fn row(&self, name: &RowName) -> Option<Row> {
        match name {
            RowName::Account(id) => {
                let found = self.accounts.iter().find(|account| account.id == *id);
                found.cloned().map(Row::Account)
            }
            RowName::Role(arn) => {
                let found = self.roles.iter().find(|role| role.arn == *arn);
                found.cloned().map(|role| Row::Role(Box::new(role)))
            }
            RowName::Mapping(id) => {
                let found = self.mappings.iter().find(|mapping| mapping.id == *id);
                found.cloned().map(Row::Mapping)
            }
            RowName::Rule(id) => {
                let found = self.rules.iter().find(|rule| rule.id == *id);
                found.cloned().map(Row::Rule)
            }
        }
    }

    /// The tables after `changes`, as the store would make them: a mapping with the same group and
    /// role, a rule with the same connector, pattern and role, keep their id. The version stays.
    ///
    /// What a changed role or account says is not judged here: [`Policy::problems`] of the tables
    /// before and after tell what is new. Nor is time: see [`lapsed`](Self::lapsed).
    ///
    /// [`Policy::problems`]: super::Policy::problems
    ///
    /// # Errors
    /// Every reason why the changes do not fit together or with what is there, as sentences.
    pub fn after(&self, changes: &[Change]) -> Result<Self, Vec<String>> {
        let mut made = edited::Edited::of(self);
        for change in changes {
            made.make(change);
        }
        made.end()
    }

    /// The mappings and rules among `changes` whose end lies in the past at `now` and is not the
    /// one they have already, as sentences: what was put in would give nothing.
    pub fn lapsed(&self, changes: &[Change], now: OffsetDateTime) -> Vec<String> {
        let sentence = |name: String| {
            format!(
                "{name}: its end lies in the past, so it would give nothing: choose a later one"
            )
        };
        let found = changes.iter().filter_map(|change| match change {
            Change::PutMapping(mapping) if mapping.conditions.is_expired(now) => {
                let is_as_before = (self.mappings.iter()).any(|before| {
                    before.group == mapping.group
                        && before.role == mapping.role
                        && before.conditions.expires == mapping.conditions.expires
                });
                (!is_as_before).then(|| sentence(mapping.title()))
            }
            Change::PutRule(rule) if rule.conditions.is_expired(now) => {
                let is_as_before = (self.rules.iter()).any(|before| {
                    before.is_twin_of(rule) && before.conditions.expires == rule.conditions.expires
                });
                (!is_as_before).then(|| sentence(rule.title()))
            }
            _ => None,
        });
        found.collect()
    }
}

impl Mapping {
    /// What messages call it: `mapping GROUP → ROLE`.
    pub fn title(&self) -> String {
        format!("mapping {} → {}", self.group, self.role)
    }
}

impl MappingRule {
    /// What messages call it: `rule CONNECTOR:PATTERN → ROLE`.
    pub fn title(&self) -> String {
        let Self {
            connector,
            group_pattern,
            role,
            ..
        } = self;
        format!("rule {connector}:{group_pattern} → {role}")
    }

    /// Whether it is about the same: the store has one row of these.
    fn is_twin_of(&self, other: &Self) -> bool {
        self.connector == other.connector
            && self.group_pattern == other.group_pattern
            && self.role == other.role
    }
}

impl Conditions {
    /// As the store keeps them: in UTC, to the millisecond.
    #[must_use]
    pub fn as_kept(&self) -> Self {
        let whole = |at: OffsetDateTime| in_utc(at).truncate_to_millisecond();
        Self {
            expires: self.expires.map(whole),
            ..self.clone()
        }
    }
}

impl Change {
    /// The row that it is about; none for [`BindGroup`](Self::BindGroup), which is about all of a
    /// group's mappings.
    pub fn row(&self) -> Option<RowName> {
        Some(match self {
            Self::PutAccount(account) => RowName::Account(account.id.clone()),
            Self::RemoveAccount(id) => RowName::Account(id.clone()),
            Self::PutRole(role) => RowName::Role(role.arn.clone()),
            Self::RemoveRole(arn) => RowName::Role(arn.clone()),
            Self::PutMapping(mapping) => RowName::Mapping(mapping.id.clone()),
            Self::EndMapping(id) => RowName::Mapping(id.clone()),
            Self::PutRule(rule) => RowName::Rule(rule.id.clone()),
            Self::EndRule(id) => RowName::Rule(id.clone()),
            Self::BindGroup { .. } => return None,
        })
    }

    /// The same changes in an order in which each finds what it names: what ends first, from the
    /// mappings to the accounts; then what is put, from the accounts to the rules.
    pub fn in_order(mut changes: Vec<Self>) -> Vec<Self> {
        changes.sort_by_key(|change| match change {
            Self::EndMapping(_) | Self::EndRule(_) => 0,
            Self::RemoveRole(_) => 1,
            Self::RemoveAccount(_) => 2,
            Self::PutAccount(_) => 3,
            Self::PutRole(_) => 4,
            Self::PutMapping(_) | Self::PutRule(_) => 5,
            Self::BindGroup { .. } => 6,
        });
        changes
    }

    /// What makes a row as it was before: puts `before` back, or removes the row `name` where there
    /// was none.
    pub fn back_to(name: &RowName, before: Option<Row>) -> Self {
        match (before, name) {
            (Some(Row::Account(account)), _) => Self::PutAccount(account),
            (Some(Row::Role(role)), _) => Self::PutRole(role),
            (Some(Row::Mapping(mapping)), _) => Self::PutMapping(mapping),
            (Some(Row::Rule(rule)), _) => Self::PutRule(rule),
            (None, RowName::Account(id)) => Self::RemoveAccount(id.clone()),
            (None, RowName::Role(arn)) => Self::RemoveRole(arn.clone()),
            (None, RowName::Mapping(id)) => Self::EndMapping(id.clone()),
            (None, RowName::Rule(id)) => Self::EndRule(id.clone()),
        }
    }
}
