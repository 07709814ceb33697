//! What an explanation rests on: the steps of the decision, one by one, without deciding anew.

use std::sync::Arc;

use time::OffsetDateTime;

use super::{
    Entitlement, Giver, NotEntitled, PlacedMapping, PlacedRole, Policy, decision::judge, naming,
    reach::Person,
};
use crate::access::{
    Clipped, Contradiction, EffectiveRole, Identity, MappingRule, Origin, Request, Role, TargetArn,
    rule::CompiledRule,
};

/// How one role was judged for one person.
pub(in crate::access) struct Evidence<'a> {
    /// The role: its row, or what stands for it where only the assertion names it.
    pub(in crate::access) role: Arc<Role>,
    /// Its settings with the gaps filled.
    pub(in crate::access) effective: Arc<EffectiveRole>,
    /// The entitlement; none where the role is not held.
    pub(in crate::access) held: Option<Entitlement<'a>>,
    /// What keeps the role from this person, whatever row gives it.
    pub(in crate::access) out_of_reach: Option<NotEntitled>,
    /// Every row that gives the role to the person, each judged alone.
    pub(in crate::access) rows: Vec<(Giver<'a>, Result<Clipped, NotEntitled>)>,
}

/// What a row says about itself.
#[derive(Clone, Copy)]
pub(in crate::access) struct Source<'a> {
    /// Where it comes from.
    pub(in crate::access) origin: &'a Origin,
    /// The ticket or note that explains it.
    pub(in crate::access) ticket: Option<&'a str>,
    /// The pattern, where it is a rule.
    pub(in crate::access) pattern: Option<&'a str>,
}

impl Policy {
    /// How `target` is judged for a person who gives every reason that is asked for. None where
    /// neither the table nor the person's assertion knows the role.
    pub(in crate::access) fn evidence(
        &self,
        identity: &Identity,
        target: &TargetArn,
        now: OffsetDateTime,
    ) -> Option<Evidence<'_>> {
        let person = Person::of(identity);
        let is_asserted = self.asserted(&person).contains(&target);
        let implied;
        let placed = match self.roles.get(target) {
            Some(placed) => placed,
            None if is_asserted => {
                implied = self.implied(target);
                &implied
            }
            None => return None,
        };
        let mut givers = Vec::new();
        self.each_giver(identity, Some(target), |_, giver| givers.push(giver));
        givers.extend(is_asserted.then(|| self.asserted_giver()));
        let plain = placed.plain_click();
        let with_reason = Request {
            reason: Some(String::new()),
            ..plain.clone()
        };
        let judged = |giver: &Giver<'_>| judge(giver, placed, &with_reason, now);
        Some(Evidence {
            role: Arc::clone(&placed.role),
            effective: Arc::clone(&placed.effective),
            out_of_reach: self.reach(&person, placed, &plain).err(),
            rows: (givers.iter().cloned())
                .map(|giver| {
                    let verdict = judged(&giver);
                    (giver, verdict)
                })
                .collect(),
            held: self.entitlement(&person, placed, givers, now),
        })
    }

    /// What keeps a role of the table from being opened by anybody until its row is mended.
    pub fn contradiction(&self, target: &TargetArn) -> Option<&Contradiction> {
        let placed: &PlacedRole = self.roles.get(target)?;
        placed.contradiction.as_ref()
    }

    /// Every explicit mapping, in no order.
    pub(in crate::access) fn every_mapping(&self) -> impl Iterator<Item = &PlacedMapping> {
        self.mappings.values().flatten()
    }

    /// The explicit mappings of a role, by id.
    pub(in crate::access) fn mappings_of(&self, target: &TargetArn) -> Vec<&PlacedMapping> {
        let all = self.every_mapping();
        let mut found: Vec<_> = all
            .filter(|placed| placed.mapping.role == *target)
            .collect();
        found.sort_by(|one, other| one.mapping.id.cmp(&other.mapping.id));
        found
    }

    /// Whether a rule may not give a role because it, or its account, is protected.
    pub(super) fn is_withheld(&self, rule: &MappingRule, role: &TargetArn) -> bool {
        !rule.allow_protected && self.is_protected(role)
    }

    /// The rules whose role could be this one, each with the name of the group that it would be
    /// given to, where the pattern leaves just one.
    pub(in crate::access) fn rules_towards(
        &self,
        target: &TargetArn,
    ) -> Vec<(&MappingRule, Option<String>)> {
        let towards = |compiled: &CompiledRule| {
            let CompiledRule { rule, .. } = compiled;
            if self.is_withheld(rule, target) {
                return None;
            }
            let name = naming::group_towards(&rule.group_pattern, &rule.role, target)?;
            let gives = |name: &String| {
                let arn = compiled.role_for(name);
                let found = arn.and_then(|arn| self.find_ruled(&arn));
                found.is_some_and(|placed| placed.role.arn == *target)
            };
            Some(name.filter(gives))
        };
        let rules = self.rules.iter();
        rules
            .filter_map(|compiled| Some((&compiled.rule, towards(compiled)?)))
            .collect()
    }

    /// The rules that name a role for a group of this name, and whether each withholds it because
    /// the role is protected.
    pub(in crate::access) fn ruled_by<'a>(
        &'a self,
        connector: &str,
        name: &str,
    ) -> impl Iterator<Item = (&'a MappingRule, &'a TargetArn, bool)> {
        let rows = self.rules.iter();
        rows.filter(move |compiled| compiled.rule.connector.as_str() == connector)
            .filter_map(move |compiled| {
                let placed = self.find_ruled(&compiled.role_for(name)?)?;
                let arn = &placed.role.arn;
                let is_withheld = self.is_withheld(&compiled.rule, arn);
                Some((&compiled.rule, arn, is_withheld))
            })
    }

    /// What the row behind a giver says about itself; none for the assertion.
    pub(in crate::access) fn source(&self, giver: &Giver<'_>) -> Option<Source<'_>> {
        if giver.is_rule {
            let mut rules = self.rules.iter().map(|compiled| &compiled.rule);
            let rule = rules.find(|rule| rule.id == *giver.mapping)?;
            return Some(Source {
                origin: &rule.origin,
                ticket: rule.ticket.as_deref(),
                pattern: Some(&rule.group_pattern),
            });
        }
        let mut rows = self.mappings.get(giver.group.as_ref()?)?.iter();
        let placed = rows.find(|placed| placed.mapping.id == *giver.mapping)?;
        Some(Source {
            origin: &placed.mapping.origin,
            ticket: placed.mapping.ticket.as_deref(),
            pattern: None,
        })
    }
}
