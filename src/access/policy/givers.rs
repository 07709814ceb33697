//! Which rows of the table speak about a person.

use super::{Giver, PlacedMapping, PlacedRole, Policy};
use crate::access::{
    AccountId, Group, GroupKey, Identity, MappingId, Origin, TargetArn, rule::CompiledRule,
};

impl PlacedMapping {
    /// Whether it is about this very group, and not one made again under the same name.
    pub(in crate::access) fn means(&self, group: &Group) -> bool {
        let Some(id) = &self.group_id else {
            return true;
        };
        group.stable_id.as_ref() == Some(id)
    }
}

impl Policy {
    /// The person's groups whose mappings in the store do not know yet which group they mean, with
    /// the stable id to note.
    pub fn unbound_groups(&self, identity: &Identity) -> Vec<(GroupKey, String)> {
        let is_unbound = |placed: &PlacedMapping| {
            placed.group_id.is_none() && placed.mapping.origin == Origin::Store
        };
        let groups = identity.groups.iter().filter(|group| {
            self.mappings
                .get(&group.key)
                .is_some_and(|rows| rows.iter().any(is_unbound))
        });
        groups
            .filter_map(|group| Some((group.key.clone(), group.stable_id.clone()?)))
            .collect()
    }

    /// The mapping that gave `target` to a group of the same name as one of the person's.
    pub(super) fn of_another_group(
        &self,
        identity: &Identity,
        target: &TargetArn,
    ) -> Option<MappingId> {
        let mut rows = identity.groups.iter().flat_map(|group| {
            let rows = self.mappings.get(&group.key).into_iter().flatten();
            rows.filter(move |placed| placed.mapping.role == *target && !placed.means(group))
        });
        rows.next().map(|placed| placed.mapping.id.clone())
    }

    /// Calls `found` with every row that names or matches one of the person's groups.
    pub(super) fn each_giver<'a>(
        &'a self,
        identity: &Identity,
        only: Option<&TargetArn>,
        mut found: impl FnMut(&'a TargetArn, Giver<'a>),
    ) {
        for group in &identity.groups {
            for placed in self.mappings.get(&group.key).into_iter().flatten() {
                let PlacedMapping { mapping, .. } = placed;
                let is_asked = only.is_none_or(|target| *target == mapping.role);
                if is_asked && placed.means(group) {
                    found(
                        &mapping.role,
                        Giver {
                            mapping: &mapping.id,
                            group: Some(mapping.group.clone()),
                            conditions: &mapping.conditions,
                            is_rule: false,
                        },
                    );
                }
            }
        }
        for compiled in &self.rules {
            self.each_rule_giver(compiled, identity, only, &mut found);
        }
    }

    fn each_rule_giver<'a>(
        &'a self,
        compiled: &'a CompiledRule,
        identity: &Identity,
        only: Option<&TargetArn>,
        found: &mut impl FnMut(&'a TargetArn, Giver<'a>),
    ) {
        let CompiledRule { rule, .. } = compiled;
        for group in &identity.groups {
            let Some(PlacedRole { role: row, .. }) = self.ruled(compiled, &group.key, &group.name)
            else {
                continue;
            };
            if only.is_some_and(|target| *target != row.arn) {
                continue;
            }
            found(
                &row.arn,
                Giver {
                    mapping: &rule.id,
                    group: Some(group.key.clone()),
                    conditions: &rule.conditions,
                    is_rule: true,
                },
            );
        }
    }

    /// The role of the table that a rule gives to a group of that key and name.
    pub(super) fn ruled(
        &self,
        compiled: &CompiledRule,
        key: &GroupKey,
        name: &str,
    ) -> Option<&PlacedRole> {
        let CompiledRule { rule, .. } = compiled;
        if key.connector() != rule.connector.as_str() {
            return None;
        }
        let placed = self.find_ruled(&compiled.role_for(name)?)?;
        (!self.is_withheld(rule, &placed.role.arn)).then_some(placed)
    }

    /// The role that a rule gives by an ARN with its captures filled in, as
    /// [`MappingRule::roles_for`](crate::access::MappingRule::roles_for) says it; none where the
    /// table has no such role.
    pub fn ruled_role(&self, arn: &str) -> Option<&TargetArn> {
        self.find_ruled(arn).map(|placed| &placed.role.arn)
    }

    /// The role of the table that a rule's filled-in ARN means: by account and name, ignoring case.
    ///
    /// A path confines: `role/readonly/{team}` never gives a role outside of `readonly/`, whatever
    /// a group is called. A bare name finds the role whatever its path.
    pub(super) fn find_ruled(&self, arn: &str) -> Option<&PlacedRole> {
        let mut parts = arn.splitn(6, ':');
        let partition = parts.nth(1)?;
        let account: AccountId = parts.nth(2)?.parse().ok()?;
        let (_, path) = parts.next()?.split_once('/')?;
        let name = path.rsplit('/').next()?;
        let found = self.role_named(&account, name)?;
        let is_meant = found.partition().as_str() == partition
            && (path == name || found.as_str().eq_ignore_ascii_case(arn));
        is_meant.then(|| self.roles.get(found)).flatten()
    }
}
