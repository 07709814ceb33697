//! Who may do what in Rolegate itself: helpdesk, auditor, admin, by group.
//!
//! None implies another. Entry point: [`Authority::of`].

use std::collections::HashSet;

use super::{Account, AccountId, GroupKey, Identity, Policy, Row, TargetArn};

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
        let Self {
            accounts,
            environments,
            roles,
        } = self;
        let is_account_held = accounts.is_empty()
            || accounts
                .iter()
                .any(|id| id.as_str() == role.account_digits());
        let environment = account
            .filter(|account| account.id.as_str() == role.account_digits())
            .and_then(|account| account.environment.as_deref())
            .map(str::to_lowercase);
        let is_environment_held = environments.is_empty()
            || environment.is_some_and(|environment| {
                (environments.iter()).any(|label| label.to_lowercase() == environment)
            });
        let is_role_held =
            roles.is_empty() || roles.iter().any(|pattern| is_match(pattern, role.as_str()));
        is_account_held && is_environment_held && is_role_held
    }
}

/// Whether `text` is what `pattern` says, `*` standing for any characters or none, ignoring case.
///
/// The last `*` alone is ever gone back to, so the work is at most the product of the lengths.
fn is_match(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.to_lowercase(), text.to_lowercase());
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at, mut read) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while read < text.len() {
        if pattern.get(at) == Some(&b'*') {
            star = Some((at, read));
            at += 1;
        } else if pattern.get(at) == text.get(read) {
            at += 1;
            read += 1;
        } else if let Some((star_at, taken)) = star {
            star = Some((star_at, taken + 1));
            at = star_at + 1;
            read = taken + 1;
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
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
        let keys: HashSet<&GroupKey> = identity.groups.iter().map(|group| &group.key).collect();
        let is_in_any = |groups: &[GroupKey]| groups.iter().any(|group| keys.contains(group));
        let mut helpdesk: Vec<Scope> = Vec::new();
        for group in &rules.helpdesk {
            if keys.contains(&group.group) && !helpdesk.contains(&group.scope) {
                helpdesk.push(group.scope.clone());
            }
        }
        Self {
            helpdesk,
            is_auditor: is_in_any(&rules.auditor),
            is_admin: is_in_any(&rules.admin),
        }
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

    /// Whether a role may be opened for a moment, to see whether AWS opens it: by whoever may edit
    /// it or mappings onto it.
    pub fn may_probe(&self, role: &TargetArn, account: Option<&Account>) -> bool {
        self.is_admin || self.may_edit_mappings_of(role, account)
    }

    /// Whether a row may be edited, as far as the row and its account tell; an edit is judged by
    /// both sides of it.
    pub fn may_edit(&self, row: &Row, policy: &Policy) -> bool {
        match row {
            Row::Mapping(mapping) => {
                let account = policy.account(&mapping.role.account());
                self.may_edit_mappings_of(&mapping.role, account)
            }
            Row::Account(_) | Row::Role(_) | Row::Rule(_) => self.is_admin,
        }
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::access::{AuthenticationMethod, Group, RoleDefaults};

    fn account(environment: Option<&str>) -> Account {
        Account {
            id: "111122223333".parse().unwrap(),
            name: "Payments".to_owned(),
            alias: None,
            environment: environment.map(str::to_owned),
            colour: None,
            description: None,
            owner: None,
            protected: false,
            role_defaults: RoleDefaults::default(),
        }
    }

    fn role() -> TargetArn {
        "arn:aws:iam::111122223333:role/team/ReadOnly"
            .parse()
            .unwrap()
    }

    fn person(groups: &[&str]) -> Identity {
        let groups = groups.iter().map(|name| Group {
            key: GroupKey::from_stored(format!("corp:{name}")),
            name: (*name).to_owned(),
            stable_id: None,
            through: None,
        });
        Identity {
            connector: "corp".parse().unwrap(),
            subject: "1".to_owned(),
            username: "jdoe".to_owned(),
            display_name: None,
            email: None,
            entry_dn: None,
            groups: groups.collect(),
            groups_read_at: datetime!(2026-01-01 00:00 UTC),
            authenticated_at: datetime!(2026-01-01 00:00 UTC),
            method: AuthenticationMethod::Password,
            authentication_context: None,
            asserted_roles: Vec::new(),
        }
    }

    #[test]
    fn a_star_stands_for_anything_and_case_for_nothing() {
        let cases = [
            ("*", true),
            ("*/readonly", true),
            ("arn:aws:iam::*:role/TEAM/*", true),
            ("arn:aws:iam::111122223333:role/team/ReadOnly", true),
            ("*1*2*3*team*only*", true),
            ("*readonly*x", false),
            ("readonly", false),
            ("arn:aws:iam::111122223333:role/team", false),
            ("", false),
        ];
        for (pattern, is_held) in cases {
            let scope = Scope {
                roles: vec![pattern.to_owned()],
                ..Scope::default()
            };
            assert_eq!(scope.holds(&role(), None), is_held, "{pattern}");
        }
        assert!(!is_match(
            &format!("{}b", "a*".repeat(2_000)),
            &"a".repeat(2_000)
        ));
    }

    #[test]
    fn everything_that_a_scope_sets_must_hold() {
        let (live, none) = (account(Some("Production")), account(None));
        let scope = Scope {
            accounts: vec!["111122223333".parse().unwrap()],
            environments: vec!["production".to_owned()],
            roles: vec!["*/readonly".to_owned()],
        };
        assert!(scope.holds(&role(), Some(&live)));
        assert!(!scope.holds(&role(), Some(&none)), "no label");
        assert!(!scope.holds(&role(), None), "no such account");
        let elsewhere = Scope {
            accounts: vec!["444455556666".parse().unwrap()],
            ..scope.clone()
        };
        assert!(!elsewhere.holds(&role(), Some(&live)));
        let other = Account {
            id: "444455556666".parse().unwrap(),
            ..live.clone()
        };
        assert!(!scope.holds(&role(), Some(&other)), "another's label");
        assert!(Scope::default().holds(&role(), None), "no limit");
    }

    #[test]
    fn groups_give_authority_and_none_implies_another() {
        let key = |name: &str| GroupKey::from_stored(format!("corp:{name}"));
        let scope = Scope {
            roles: vec!["*/ReadOnly".to_owned()],
            ..Scope::default()
        };
        let rules = AccessRules {
            helpdesk: vec![
                HelpdeskGroup {
                    group: key("desk"),
                    scope: scope.clone(),
                },
                HelpdeskGroup {
                    group: key("all"),
                    scope: Scope::default(),
                },
            ],
            auditor: vec![key("audit")],
            admin: vec![key("admin")],
        };
        let of = |groups: &[&str]| Authority::of(&rules, &person(groups));
        assert_eq!(of(&["dev"]), Authority::default());
        assert!(!of(&["dev"]).may_see_tables());
        assert_eq!(of(&["desk"]).helpdesk, [scope]);
        assert!(of(&["desk"]).may_edit_mappings_of(&role(), None));
        assert_eq!(of(&["desk", "all"]).helpdesk.len(), 2);
        let admin = of(&["admin"]);
        assert!(admin.is_admin && !admin.is_auditor && admin.helpdesk.is_empty());
        assert!(!admin.may_edit_mappings_of(&role(), None));
        assert!(of(&["audit"]).may_read_audit() && !of(&["desk"]).may_read_audit());
    }
}
