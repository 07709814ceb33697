//! The decision: which roles a person may open now, and under which grant.

mod decision;
mod evidence;
mod gifts;
mod givers;
mod naming;
mod not_entitled;
mod reach;
mod service;
mod snapshot;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    Account, AccountId, Conditions, ConnectorId, ConsoleWay, Contradiction, EffectiveRole,
    GrantMethod, GroupKey, Mapping, MappingId, MappingRule, NameTemplate, Role, RoleDefaults,
    TargetArn, rule::CompiledRule,
};
pub use decision::{Entitlement, Giver};
pub(super) use evidence::{Evidence, Source};
pub(super) use gifts::{Gift, Offer};
pub use not_entitled::NotEntitled;
pub(super) use reach::Person;
pub use service::{NotProbed, Sends};
pub use snapshot::RoleRank;

/// The rows that a [`Policy`] is made of, as one consistent reading of the store.
#[derive(Debug, Clone, Default)]
pub struct PolicyTables {
    /// The number that every edit raises.
    pub version: i64,
    /// The accounts.
    pub accounts: Vec<Account>,
    /// The roles.
    pub roles: Vec<Role>,
    /// The explicit mappings.
    pub mappings: Vec<Mapping>,
    /// The pattern rules.
    pub rules: Vec<MappingRule>,
    /// The stable id of the group that a mapping means, once somebody of it was seen.
    pub group_ids: HashMap<MappingId, String>,
}

/// For what Rolegate's own issuer has a key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Abilities {
    /// Assertions, for AssumeRoleWithSAML.
    pub saml: bool,
    /// Tokens, for AssumeRoleWithWebIdentity.
    pub oidc: bool,
}

impl Abilities {
    /// Whether it can vouch for a person at AWS by `method`.
    pub fn has(self, method: GrantMethod) -> bool {
        match method {
            GrantMethod::AssumeRoleWithSaml => self.saml,
            GrantMethod::AssumeRoleWithWebIdentity => self.oidc,
            _ => false,
        }
    }
}

/// What the configuration adds to the table.
#[derive(Debug, Clone, Default)]
pub struct PolicySettings {
    /// For roles and accounts that do not say.
    pub role_defaults: RoleDefaults,
    /// How people are called in RoleSessionName.
    pub session_name: NameTemplate,
    /// How people are called in SourceIdentity, where it is sent at all.
    pub source_identity: Option<NameTemplate>,
    /// The connectors whose provider has an AWS application of its own, for roles whose console is
    /// `idp-initiated`.
    pub hand_over_connectors: HashSet<ConnectorId>,
    /// The connectors whose tokens AWS takes (AssumeRoleWithWebIdentity).
    pub web_identity_connectors: HashSet<ConnectorId>,
    /// What Rolegate can vouch for itself.
    pub issuer: Abilities,
    /// The connectors whose assertions give the roles that they name, under no condition. A
    /// protected role or account needs a mapping all the same, and so does a role that the table
    /// opens by another grant method.
    pub giving_connectors: HashSet<ConnectorId>,
    /// How many connectors people sign in at, and issuers whose tokens are taken. With several, a name
    /// alone is nobody's alone.
    pub connectors: usize,
}

/// An indexed, immutable snapshot of the table.
///
/// The cost of one person's entitlements grows with their groups, not with the table.
#[derive(Debug)]
pub struct Policy {
    version: i64,
    settings: PolicySettings,
    accounts: HashMap<AccountId, Account>,
    roles: HashMap<TargetArn, PlacedRole>,
    mappings: HashMap<GroupKey, Vec<PlacedMapping>>,
    rules: Vec<CompiledRule>,
    /// By account and name in lower case; none where several have the name.
    by_name: HashMap<(AccountId, String), Option<TargetArn>>,
    problems: Vec<PolicyProblem>,
    /// What gives the roles that an assertion names.
    asserted: Asserted,
}

/// The row that stands for an identity provider's own word.
#[derive(Debug)]
struct Asserted {
    id: MappingId,
    conditions: Conditions,
}

#[derive(Debug)]
pub(in crate::access) struct PlacedMapping {
    pub(in crate::access) mapping: Mapping,
    pub(in crate::access) group_id: Option<String>,
}

#[derive(Debug)]
struct PlacedRole {
    role: Arc<Role>,
    effective: Arc<EffectiveRole>,
    /// What keeps it from being opened at all.
    contradiction: Option<Contradiction>,
    /// Its place among all roles by account name, then role name; sorting a person's roles by
    /// names anew for each page is what costs most with thousands of them.
    place: usize,
}

/// Something in the table that gives nothing until it is mended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyProblem {
    /// The row: an ARN or a mapping's id.
    pub about: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl Policy {
    /// The version of the table that this is a snapshot of.
    pub fn version(&self) -> i64 {
        self.version
    }

    /// What in the table gives nothing until it is mended.
    pub fn problems(&self) -> &[PolicyProblem] {
        &self.problems
    }

    /// A role of the table, whoever may open it.
    pub fn role(&self, arn: &TargetArn) -> Option<&Role> {
        self.roles.get(arn).map(|placed| placed.role.as_ref())
    }

    /// A role's settings with the gaps filled.
    pub fn effective(&self, arn: &TargetArn) -> Option<&EffectiveRole> {
        self.roles.get(arn).map(|placed| placed.effective.as_ref())
    }

    /// The credential sources that a role is opened with; none where somebody vouches instead.
    pub fn credential_sources(&self) -> HashSet<&str> {
        let placed = self.roles.values();
        let ours = placed.filter(|placed| {
            let effective = &placed.effective;
            effective.voucher.is_none() && effective.console != ConsoleWay::IdpInitiated
        });
        ours.map(|placed| placed.effective.credential_source.as_str())
            .collect()
    }

    /// An account of the table.
    pub fn account(&self, id: &AccountId) -> Option<&Account> {
        self.accounts.get(id)
    }

    /// Where a role stands among others, whether or not the table has it.
    pub fn rank_of(&self, arn: &TargetArn) -> RoleRank {
        snapshot::rank(arn, self.accounts.get(arn.account_digits()))
    }

    /// The role that an account knows under a name (the last part of its path), ignoring case.
    pub fn role_named(&self, account: &AccountId, name: &str) -> Option<&TargetArn> {
        self.by_name
            .get(&(account.clone(), name.to_lowercase()))?
            .as_ref()
    }

    /// How many accounts and roles there are.
    pub fn counts(&self) -> (usize, usize) {
        (self.accounts.len(), self.roles.len())
    }
}
