//! What an explanation rests on: the steps of the decision, one by one, without deciding anew.

use std::sync::Arc;

use regex::RegexBuilder;
use time::OffsetDateTime;

use super::{
    Entitlement, Giver, NotEntitled, PlacedMapping, PlacedRole, Policy, decision::judge,
    givers::Ruled, reach::Person,
};
use crate::access::{
    Clipped, EffectiveRole, Identity, MappingRule, Origin, Request, Role, TargetArn,
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
        let plain = Request::console();
        let with_reason = Request {
            reason: Some(String::new()),
            ..Request::console()
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
            held: self.entitlement(&person, placed, givers, (&plain, now)),
        })
    }

    /// The message of the role's row about what contradicts itself in it.
    pub(in crate::access) fn contradiction(&self, target: &TargetArn) -> Option<&str> {
        let placed: &PlacedRole = self.roles.get(target)?;
        let contradiction = placed.contradiction.as_ref()?;
        Some(&contradiction.message)
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

    /// The rules whose role could be this one, whatever the group is called.
    pub(in crate::access) fn rules_towards(&self, target: &TargetArn) -> Vec<&MappingRule> {
        let rules = self.rules.iter().map(|compiled| &compiled.rule);
        rules.filter(|rule| could_name(rule, target)).collect()
    }

    /// The rules that name a role for a group of this name, and whether each withholds it because
    /// the role is protected.
    pub(in crate::access) fn ruled_by<'a>(
        &'a self,
        connector: &str,
        name: &str,
    ) -> impl Iterator<Item = (&'a MappingRule, &'a TargetArn, bool)> {
        let of_connector = move |rule: &MappingRule| rule.connector.as_str() == connector;
        self.rules
            .iter()
            .filter(move |compiled| of_connector(&compiled.rule))
            .filter_map(move |compiled| {
                let Ruled { role, is_withheld } = self.named_by(compiled, name)?;
                Some((&compiled.rule, &role.role.arn, is_withheld))
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

/// Whether some group's name could make the rule name this role. A rule's bare role name stands for
/// every path.
fn could_name(rule: &MappingRule, target: &TargetArn) -> bool {
    let mut pattern = String::from("^");
    for (index, part) in rule.role.split('{').enumerate() {
        let rest = match part.split_once('}') {
            Some((_, rest)) if index > 0 => {
                pattern.push_str(".*");
                rest
            }
            _ => part,
        };
        pattern.push_str(&regex::escape(rest));
    }
    pattern.push('$');
    let built = RegexBuilder::new(&pattern).case_insensitive(true).build();
    let Some((before, _)) = target.as_str().split_once('/') else {
        return false;
    };
    let bare = format!("{before}/{}", target.name());
    built.is_ok_and(|pattern| pattern.is_match(target.as_str()) || pattern.is_match(&bare))
}
