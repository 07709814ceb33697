//! What is missing to a role that is not held, the easiest to mend first.
//!
//! First what a button here mends, then what the directory mends, then AWS, and last a mapping that
//! nobody made yet. Entry points: [`of_role`], [`candidates`].

mod groups;
mod rows;
mod spelling;

use std::collections::BTreeSet;

use time::OffsetDateTime;

use super::{
    Finding, Remedy, Situation, Statement, Surroundings,
    held::unknown_groups,
    words::{Telling, nothing_gives},
};
use crate::access::{Identity, Policy, RowName, TargetArn, policy::Evidence};

use spelling::Spellings;

/// How many roles are looked at to find the nearest; whoever has more near misses than this has a
/// cause that any of them shows.
const CANDIDATES: usize = 200;

/// Everything that is missing to a role that is not held.
pub(super) fn of_role(telling: &Telling<'_>, evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    found.extend(disabled(telling, evidence));
    found.extend(rows::judged(telling, evidence));
    found.extend(rows::withheld_by_rules(telling));
    found.extend(rows::pending(telling));
    found.extend(rows::ended(telling));
    found.extend(unknown_groups(telling));
    found.extend(groups::misses(telling));
    // Somebody who is given it, and only not yet or no more, needs no other group.
    let is_within_reach = found.iter().any(|finding| rank(finding) <= WITHIN_REACH);
    if evidence.rows.is_empty() && !is_within_reach {
        found.extend(groups::not_given(telling));
    }
    found.sort_by_key(rank);
    found
}

/// Up to here a person has the group that gives the role, in some way.
const WITHIN_REACH: u8 = 3;

/// What mends it: smaller is easier.
fn rank(finding: &Finding) -> u8 {
    match (finding.situation, &finding.remedy) {
        (Situation::MappingPending, _) => 0,
        (Situation::MappingExpired, _) => 1,
        (Situation::MappingEnded, _) => 2,
        (Situation::ConditionUnmet, _) => 3,
        (Situation::GroupRenamed | Situation::GroupRecreated, _) => 4,
        (Situation::GroupWrittenOtherwise, _) => 5,
        (Situation::RoleDisabled, _) => 6,
        (Situation::GroupAtAnotherConnector | Situation::SignInDoesNotFit, _) => 7,
        (Situation::GroupOneLevelAway, _) => 8,
        (Situation::GroupsNotKnown, _) => 9,
        (Situation::NotGiven, Some(Remedy::JoinGroup { .. })) => 10,
        (Situation::RoleRefusedByAws, _) => 11,
        _ => 12,
    }
}

/// How near a miss is; none for roles that merely exist.
pub(super) fn nearness(first: &Finding) -> Option<u8> {
    let is_near = !matches!(
        first.situation,
        Situation::NotGiven | Situation::UnknownRole | Situation::GroupsNotKnown
    );
    is_near.then(|| rank(first))
}

fn disabled(telling: &Telling<'_>, evidence: &Evidence<'_>) -> Option<Finding> {
    evidence.role.disabled.then(|| {
        let role = telling.target.clone();
        let given = if evidence.rows.is_empty() {
            format!("Besides, {}.", nothing_gives(telling))
        } else {
            format!("A row of the table gives it to {}.", telling.person())
        };
        let text = "The role is disabled, so nobody can open it.";
        Finding::miss(
            Situation::RoleDisabled,
            Statement::says(text)
                .about_row(RowName::Role(role.clone()))
                .because([Statement::says(given)]),
            Remedy::EnableRole { role },
            format!("Please enable the role {}.", telling.target),
        )
    })
}

/// Everything that is missing to a role that the table does not have.
pub(super) fn of_unknown_role(telling: &Telling<'_>) -> Vec<Finding> {
    let mut found = vec![unknown_role(telling)];
    // As of a role that is there: to its person both read alike.
    found.extend(unknown_groups(telling));
    found
}

/// The table has no such role, and the person's assertion does not name it either.
fn unknown_role(telling: &Telling<'_>) -> Finding {
    let rows = telling.policy.mappings_of(telling.target).len();
    let named = (rows > 0).then(|| {
        Statement::says(format!(
            "{} name it all the same, and give nothing.",
            super::words::counted(rows, "mapping")
        ))
    });
    Finding {
        situation: Situation::UnknownRole,
        proof: Statement::says("The table has no such role.").because(named),
        remedy: None,
        request: format!(
            "Please add the role {} to the table, and map a group of {} to it.",
            telling.target,
            telling.full_person()
        ),
    }
}

/// The roles that could be near misses: something of the table is about one of the person's groups,
/// or about one like it.
pub(super) fn candidates(
    policy: &Policy,
    identity: &Identity,
    around: &Surroundings,
    now: OffsetDateTime,
) -> BTreeSet<TargetArn> {
    let mut found = BTreeSet::new();
    let spellings = Spellings::of(identity);
    for placed in policy.every_mapping() {
        let mapping = &placed.mapping;
        if spellings.holds(&mapping.group) || groups::is_near(placed, &spellings, around) {
            found.insert(mapping.role.clone());
        }
    }
    for group in &identity.groups {
        for name in spelling::readings(&group.name) {
            let ruled = policy.ruled_by(group.key.connector(), &name);
            found.extend(ruled.map(|(_, role, _)| role.clone()));
        }
    }
    let waiting = around.pending.iter().map(|(_, mapping)| mapping);
    let ended = around.ended.iter().map(|ended| &ended.mapping);
    for mapping in waiting.chain(ended) {
        if spellings.holds(&mapping.group) {
            found.insert(mapping.role.clone());
        }
    }
    for other in &around.others {
        let held = policy.entitlements(other, now);
        found.extend(held.into_iter().map(|held| held.role.arn.clone()));
    }
    for held in policy.entitlements(identity, now) {
        found.remove(&held.role.arn);
    }
    found.into_iter().take(CANDIDATES).collect()
}
