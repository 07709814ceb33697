//! What an edit gives one person themselves, now or later.
//!
//! Three questions, and one yes is enough: does the preview show the person gaining a role, or
//! better terms; would the rows that are new or looser give them a role by themselves, whatever
//! gives it today; does a role that they may open change in what it can do. The second finds what
//! an expiry hides, and conditions that a later version enforces.

use std::collections::BTreeSet;

use time::OffsetDateTime;

use super::{RowChange, editor::may_be_same};
use crate::access::{
    Account, Altered, Conditions, Identity, Mapping, MappingRule, Policy, PolicySettings,
    PolicyTables, Preview, Role, RoleDefaults, Row,
};

/// What a look found, as far as gains are told by it.
pub(super) struct Evidence<'a> {
    pub(super) rows: &'a [RowChange],
    pub(super) people: &'a [Identity],
    pub(super) effects: &'a Preview,
    /// The decision after the edit.
    pub(super) after: &'a Policy,
    /// What the new and the looser rows give by themselves; none where there are none.
    pub(super) opened: Option<&'a Policy>,
    pub(super) now: OffsetDateTime,
}

impl Evidence<'_> {
    /// The roles, as ARNs, that `person` gains or may open on better terms; also by whoever may be
    /// the same person.
    pub(super) fn gains_of(&self, person: &Identity) -> BTreeSet<String> {
        let places = self.people.iter().enumerate();
        let own: BTreeSet<usize> = places
            .filter(|(_, found)| may_be_same(person, found))
            .map(|(place, _)| place)
            .collect();
        let mut gains = BTreeSet::new();
        for effect in &self.effects.roles {
            let is_gained = effect.gains.iter().any(|place| own.contains(place));
            let is_better = |altered: &Altered| own.contains(&altered.person) && is_better(altered);
            if is_gained || effect.altered.iter().any(is_better) {
                gains.insert(effect.role.to_string());
            }
        }
        for identity in own.iter().filter_map(|place| self.people.get(*place)) {
            self.add_opened(identity, &mut gains);
            self.add_rebuilt(identity, &mut gains);
        }
        gains
    }

    fn add_opened(&self, identity: &Identity, gains: &mut BTreeSet<String>) {
        let Some(opened) = self.opened else { return };
        // What an assertion gives needs no row.
        let given = opened.entitlements(identity, self.now).into_iter();
        let given = given.filter(|role| role.givers.iter().any(|giver| giver.group.is_some()));
        gains.extend(given.map(|entitlement| entitlement.role.arn.to_string()));
    }

    fn add_rebuilt(&self, identity: &Identity, gains: &mut BTreeSet<String>) {
        let mut held = None;
        for row in self.rows {
            let rebuilt: &dyn Fn(&Role) -> bool = match (&row.before, &row.after) {
                (Some(Row::Role(before)), Some(Row::Role(after))) if is_rebuilt(before, after) => {
                    &|role| role.arn == after.arn
                }
                (Some(Row::Account(before)), Some(Row::Account(after)))
                    if are_defaults_rebuilt(before, after) =>
                {
                    &|role| role.arn.account_digits() == after.id.as_str()
                }
                _ => continue,
            };
            let held = held.get_or_insert_with(|| self.after.entitlements(identity, self.now));
            let roles = held.iter().filter(|held| rebuilt(&held.role));
            gains.extend(roles.map(|held| held.role.arn.to_string()));
        }
    }
}

fn is_better(altered: &Altered) -> bool {
    let (before, after) = (&altered.before, &altered.after);
    after.longest > before.longest
        || (before.is_read_only && !after.is_read_only)
        || (before.requires_reason && !after.requires_reason)
}

/// Whether a role can do something else now. How long it lasts and whether it is disabled is told
/// by the preview.
fn is_rebuilt(before: &Role, after: &Role) -> bool {
    let stripped = |role: &Role| Role {
        description: None,
        owner: None,
        protected: false,
        disabled: false,
        own: without_duration(&role.own),
        ..role.clone()
    };
    stripped(before) != stripped(after)
}

fn are_defaults_rebuilt(before: &Account, after: &Account) -> bool {
    without_duration(&before.role_defaults) != without_duration(&after.role_defaults)
}

fn without_duration(defaults: &RoleDefaults) -> RoleDefaults {
    RoleDefaults {
        max_duration: None,
        ..defaults.clone()
    }
}

/// The tables with no rows but those that are new or looser than before; none where there are
/// none.
pub(super) fn opened(
    rows: &[RowChange],
    after: &PolicyTables,
    settings: &PolicySettings,
) -> Option<Policy> {
    let mut tables = PolicyTables::default();
    for row in rows {
        match (&row.before, &row.after) {
            (before, Some(Row::Mapping(mapping))) => {
                let before = match before {
                    Some(Row::Mapping(before)) => Some(before),
                    _ => None,
                };
                if is_mapping_opened(before, mapping) {
                    tables.mappings.push(Mapping {
                        conditions: as_enforced(&mapping.conditions),
                        ..mapping.clone()
                    });
                }
            }
            (before, Some(Row::Rule(rule))) => {
                let before = match before {
                    Some(Row::Rule(before)) => Some(before),
                    _ => None,
                };
                if is_rule_opened(before, rule) {
                    tables.rules.push(MappingRule {
                        conditions: as_enforced(&rule.conditions),
                        ..rule.clone()
                    });
                }
            }
            _ => {}
        }
    }
    if tables.mappings.is_empty() && tables.rules.is_empty() {
        return None;
    }
    tables.accounts.clone_from(&after.accounts);
    tables.roles.clone_from(&after.roles);
    tables.group_ids.clone_from(&after.group_ids);
    Some(Policy::new(tables, settings.clone()))
}

fn is_mapping_opened(before: Option<&Mapping>, after: &Mapping) -> bool {
    before.is_none_or(|before| {
        before.group != after.group
            || before.role != after.role
            || is_looser(&before.conditions, &after.conditions)
    })
}

fn is_rule_opened(before: Option<&MappingRule>, after: &MappingRule) -> bool {
    before.is_none_or(|before| {
        before.connector != after.connector
            || before.group_pattern != after.group_pattern
            || before.role != after.role
            || (after.allow_protected && !before.allow_protected)
            || is_looser(&before.conditions, &after.conditions)
    })
}

/// Whether anything that was asked for is asked for no more, or less of it.
fn is_looser(before: &Conditions, after: &Conditions) -> bool {
    let is_later = match (before.expires, after.expires) {
        (Some(before), Some(after)) => after > before,
        (before, after) => before.is_some() && after.is_none(),
    };
    let is_longer = match (before.max_duration, after.max_duration) {
        (Some(before), Some(after)) => after > before,
        (before, after) => before.is_some() && after.is_none(),
    };
    is_later
        || is_longer
        || (before.read_only && !after.read_only)
        || (before.require_mfa && !after.require_mfa)
        || (before.require_reason && !after.require_reason)
        || (before.require_approval_by.is_some()
            && before.require_approval_by != after.require_approval_by)
}

/// The conditions as if this version could enforce all of them: what gives nothing today gives
/// something after an upgrade.
fn as_enforced(conditions: &Conditions) -> Conditions {
    Conditions {
        require_mfa: false,
        require_approval_by: None,
        ..conditions.clone()
    }
}
