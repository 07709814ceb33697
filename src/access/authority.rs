//! Who may do what in Rolegate itself: helpdesk, auditor, admin, by group.
//!
//! None implies another. Entry point: [`Authority::of`].

use super::{Account, AccountId, GroupKey, Identity, TargetArn};

/// What the configuration says about who may do what here.
#[derive(Debug, Clone, Default)]
pub struct AccessRules {
    /// May edit mappings, within a scope.
    pub helpdesk: Vec<HelpdeskGroup>,
    /// May read everything.
    pub auditor: Vec<GroupKey>,
    /// May edit accounts, roles, rules and what is protected.
    pub admin: Vec<GroupKey>,
}

impl AccessRules {
    /// Whether nobody is named at all.
    pub fn is_empty(&self) -> bool {
        self.helpdesk.is_empty() && self.auditor.is_empty() && self.admin.is_empty()
    }
}

/// A group of helpdesk people and what they may edit mappings of.
#[derive(Debug, Clone)]
pub struct HelpdeskGroup {
    /// The group.
    pub group: GroupKey,
    /// What it is limited to.
    pub scope: Scope,
}

/// A limit: everything that is set must hold; nothing set is no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// Only roles of these accounts.
    pub accounts: Vec<AccountId>,
    /// Only roles of accounts whose row has one of these environment labels, ignoring case. An
    /// account without a label is outside.
    pub environments: Vec<String>,
    /// Only roles whose ARN matches one of these, in which `*` stands for anything, ignoring case.
    pub roles: Vec<String>,
}

impl Scope {
    /// Whether a role is within it; `account` is the role's, where the table has it.
    pub fn holds(&self, role: &TargetArn, account: Option<&Account>) -> bool {
        let _ = (role, account);
        false
    }
}

/// What one person may do here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Authority {
    /// The scopes within which mappings may be edited; one that holds is enough.
    pub helpdesk: Vec<Scope>,
    /// Whether everything may be read.
    pub is_auditor: bool,
    /// Whether accounts, roles, rules and what is protected may be edited.
    pub is_admin: bool,
}

impl Authority {
    /// What the groups of `identity` give.
    pub fn of(rules: &AccessRules, identity: &Identity) -> Self {
        let _ = (rules, identity);
        Self::default()
    }

    /// Whether the helpdesk's pages may be seen at all.
    pub fn may_see_tables(&self) -> bool {
        !self.helpdesk.is_empty() || self.is_auditor || self.is_admin
    }

    /// Whether the audit log may be read.
    pub fn may_read_audit(&self) -> bool {
        self.is_auditor || self.is_admin
    }

    /// Whether mappings onto a role may be edited.
    pub fn may_edit_mappings_of(&self, role: &TargetArn, account: Option<&Account>) -> bool {
        self.helpdesk.iter().any(|scope| scope.holds(role, account))
    }
}
