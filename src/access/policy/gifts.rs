//! What one group gives, whoever is in it, and how a person may open what their groups give.
//!
//! The same decision as [`Policy::entitlements`], taken apart so that what is the same for many
//! people is worked out once. Entry points: [`Policy::each_gift`], [`Policy::opening`].

use time::OffsetDateTime;

use super::{Giver, PlacedMapping, Policy, decision::offered, reach::Person};
use crate::access::{
    Conditions, ConnectorId, EffectiveRole, Group, GroupKey, MappingId, Role, SessionDuration,
    TargetArn, Terms,
};

/// A row as it gives a role to whoever is in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::access) struct Gift<'a> {
    pub(in crate::access) role: &'a TargetArn,
    pub(in crate::access) row: &'a MappingId,
    pub(in crate::access) conditions: &'a Conditions,
}

/// What usable rows say together about how a role may be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::access) struct Offer {
    obligations: usize,
    longest: SessionDuration,
    is_read_only: bool,
    requires_reason: bool,
}

impl Offer {
    /// Both together, as [`Policy::entitlements`] puts several rows together.
    pub(in crate::access) fn and(self, other: Self) -> Self {
        let rank = |offer: &Self| (offer.obligations, std::cmp::Reverse(offer.longest));
        let preferred = if rank(&other) < rank(&self) {
            other
        } else {
            self
        };
        Self {
            obligations: preferred.obligations,
            longest: preferred.longest,
            is_read_only: self.is_read_only && other.is_read_only,
            requires_reason: self.requires_reason && other.requires_reason,
        }
    }

    fn terms(self) -> Terms {
        Terms {
            longest: self.longest,
            is_read_only: self.is_read_only,
            requires_reason: self.requires_reason,
        }
    }
}

/// What decides, beside a person's groups and assertion, how a role is opened.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::access) struct Way<'a> {
    row: Option<&'a Role>,
    effective: Option<&'a EffectiveRole>,
}

impl PlacedMapping {
    fn gift(&self) -> Gift<'_> {
        let Self { mapping, .. } = self;
        Gift {
            role: &mapping.role,
            row: &mapping.id,
            conditions: &mapping.conditions,
        }
    }
}

impl Policy {
    /// Every group that an explicit mapping names.
    pub(in crate::access) fn mapped_groups(&self) -> impl Iterator<Item = &GroupKey> {
        self.mappings.keys()
    }

    /// The rows of a group's key, with the id of the group that each means where it knows.
    pub(in crate::access) fn rows_of(
        &self,
        group: &GroupKey,
    ) -> impl Iterator<Item = (Gift<'_>, Option<&str>)> {
        let rows = self.mappings.get(group).into_iter().flatten();
        rows.map(|placed| (placed.gift(), placed.group_id.as_deref()))
    }

    /// Calls `found` with every row that gives something to whoever is in `group`.
    pub(in crate::access) fn each_gift<'a>(
        &'a self,
        group: &Group,
        mut found: impl FnMut(Gift<'a>),
    ) {
        for placed in self.mappings.get(&group.key).into_iter().flatten() {
            if placed.means(group) {
                found(placed.gift());
            }
        }
        self.each_ruled(&group.key, &group.name, found);
    }

    /// Whether a row gives whoever is in `group` a role that is wanted, usable or not.
    pub fn gives(&self, group: &Group, is_wanted: impl Fn(&TargetArn) -> bool) -> bool {
        let mut is_given = false;
        self.each_gift(group, |gift| is_given |= is_wanted(gift.role));
        is_given
    }

    /// Calls `found` with every rule that gives something to whoever is in a group of that name.
    pub(in crate::access) fn each_ruled<'a>(
        &'a self,
        key: &GroupKey,
        name: &str,
        mut found: impl FnMut(Gift<'a>),
    ) {
        for compiled in &self.rules {
            if let Some(placed) = self.ruled(compiled, key, name) {
                found(Gift {
                    role: &placed.role.arn,
                    row: &compiled.rule.id,
                    conditions: &compiled.rule.conditions,
                });
            }
        }
    }

    /// What a gift is worth at `now`; nothing where it cannot be used.
    pub(in crate::access) fn offer(&self, gift: &Gift<'_>, now: OffsetDateTime) -> Option<Offer> {
        let placed = self.roles.get(gift.role)?;
        let giver = Giver {
            mapping: gift.row,
            group: None,
            conditions: gift.conditions,
            is_rule: false,
        };
        let longest = offered(&giver, placed, now)?.longest;
        Some(Offer {
            obligations: gift.conditions.obligations(),
            longest,
            is_read_only: gift.conditions.read_only,
            requires_reason: gift.conditions.require_reason,
        })
    }

    /// How a person may open a role that their groups offer so; nothing where they may not.
    pub(in crate::access) fn opening(
        &self,
        person: &Person<'_>,
        role: &TargetArn,
        offer: Option<Offer>,
    ) -> Option<Terms> {
        let is_asserted = self.is_asserted(person, role);
        let implied;
        let placed = match self.roles.get(role) {
            Some(placed) => placed,
            None if is_asserted => {
                implied = self.implied(role);
                &implied
            }
            None => return None,
        };
        if placed.role.disabled {
            return None;
        }
        // No row can give more than the assertion does, which asks for nothing.
        let terms = match offer {
            _ if is_asserted => Terms {
                longest: placed.effective.max_duration,
                is_read_only: false,
                requires_reason: false,
            },
            Some(offer) => offer.terms(),
            None => return None,
        };
        self.reach(person, placed, &placed.plain_click()).ok()?;
        Some(terms)
    }

    /// Whether what assertions name counts for the people of a connector.
    pub(in crate::access) fn takes_asserted(&self, connector: &ConnectorId) -> bool {
        self.settings.giving_connectors.contains(connector)
    }

    /// What decides, beside a person's groups and assertion, how a role is opened.
    pub(in crate::access) fn way_to(&self, role: &TargetArn) -> Way<'_> {
        let placed = self.roles.get(role);
        Way {
            row: placed.map(|placed| placed.role.as_ref()),
            effective: placed.map(|placed| placed.effective.as_ref()),
        }
    }

    /// The longest session that an assertion alone gives, where it may; and by which settings.
    pub(in crate::access) fn asserted_way(&self, role: &TargetArn) -> Option<EffectiveRole> {
        if !self.may_be_asserted(role) {
            return None;
        }
        Some(match self.roles.get(role) {
            Some(placed) => EffectiveRole::clone(&placed.effective),
            None => EffectiveRole::clone(&self.implied(role).effective),
        })
    }

    /// Whether the connectors with an AWS application of their own are the same.
    pub(in crate::access) fn hands_over_like(&self, other: &Self) -> bool {
        self.settings.hand_over_connectors == other.settings.hand_over_connectors
    }

    /// Whether a role or its account is marked protected.
    pub(in crate::access) fn is_protected(&self, role: &TargetArn) -> bool {
        let account = self.accounts.get(role.account_digits());
        self.role(role).is_some_and(|role| role.protected)
            || account.is_some_and(|account| account.protected)
    }
}
