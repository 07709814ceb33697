//! AWS accounts as people know them.

use serde::{Deserialize, Serialize};

use super::{AccountId, RoleDefaults};

/// An AWS account with the name that people know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The twelve digits.
    pub id: AccountId,
    /// What people call it.
    pub name: String,
    /// The IAM account alias, where it has one.
    pub alias: Option<String>,
    /// `production`, `test`, `development` or the organisation's own word.
    pub environment: Option<String>,
    /// `red`, `amber`, `green`, `blue` or `grey`, where the environment's own colour is not meant.
    #[serde(default)]
    pub colour: Option<String>,
    /// A line for people.
    pub description: Option<String>,
    /// Whom to ask about it: a team, a person, an address.
    #[serde(default)]
    pub owner: Option<String>,
    /// Whether edits that touch it need a second person.
    pub protected: bool,
    /// What its roles say where they say nothing themselves.
    pub role_defaults: RoleDefaults,
}
