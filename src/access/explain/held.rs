//! Why a role is held, and what stands in the way all the same.

use super::{
    Basis, Finding, Remedy, Situation, Statement,
    words::{Telling, capital, conditions, trouble_called, when},
};
use crate::access::{
    Entitlement, Giver, GroupKey, RowName,
    policy::{Evidence, Source},
};

/// How many groups a way is followed through; longer ones only come of a broken directory.
pub(super) const LONGEST_WAY: usize = 32;

/// A reason for each row that gives the role, the preferred one first.
pub(super) fn reasons(
    telling: &Telling<'_>,
    evidence: &Evidence<'_>,
    held: &Entitlement<'_>,
) -> Vec<Finding> {
    let facts = role_facts(evidence);
    let reason = |giver: &Giver<'_>| {
        let (situation, mut proof) = row_proof(telling, giver);
        proof.because.push(facts.clone());
        Finding::held(situation, proof)
    };
    held.givers.iter().map(reason).collect()
}

/// The row that gives a role, the way to its group, and its conditions.
fn row_proof(telling: &Telling<'_>, giver: &Giver<'_>) -> (Situation, Statement) {
    let Some(group) = &giver.group else {
        let text = "The identity provider's assertion names the role.";
        return (Situation::HeldByAssertion, Statement::says(text));
    };
    let text = format!(
        "{} gives it to {}.",
        capital(&telling.row(giver)),
        telling.group(group)
    );
    let way = way(telling, group, LONGEST_WAY);
    let situation = match (way.because.is_empty(), giver.is_rule) {
        (false, _) => Situation::HeldThroughNestedGroups,
        (true, true) => Situation::HeldByRule,
        (true, false) => Situation::HeldByMapping,
    };
    let proof = Statement::says(text)
        .about_row(row_name(giver))
        .about_group(group)
        .because(pattern(telling.policy.source(giver), telling, group))
        .because([way])
        .because(conditions(giver.conditions, telling.now));
    (situation, proof)
}

fn pattern(
    source: Option<Source<'_>>,
    telling: &Telling<'_>,
    group: &GroupKey,
) -> Option<Statement> {
    let pattern = source?.pattern?;
    let groups = &telling.identity.groups;
    let group = groups.iter().find(|held| held.key == *group)?;
    let text = format!("The name `{}` matches `{pattern}`.", group.name);
    Some(Statement::says(text))
}

pub(super) fn row_name(giver: &Giver<'_>) -> RowName {
    if giver.is_rule {
        RowName::Rule(giver.mapping.clone())
    } else {
        RowName::Mapping(giver.mapping.clone())
    }
}

/// How the person comes to be in one of their groups.
pub(super) fn way(telling: &Telling<'_>, group: &GroupKey, steps: usize) -> Statement {
    let held = telling.identity.groups.iter();
    let through = held
        .clone()
        .find(|held| held.key == *group)
        .and_then(|held| held.through.as_ref())
        .filter(|_| steps > 0);
    let (person, name) = (telling.person(), telling.short(group));
    let statement = match through {
        None => Statement::says(match telling.around.basis {
            Basis::Live => format!("{person} is a member of {name}."),
            Basis::LastSeen { .. } => format!("{person} was last seen as a member of {name}."),
            Basis::Given => format!("{name} is among the groups that were given."),
        }),
        Some(through) => {
            let between = telling.short(through);
            Statement::says(format!("{between} is a member of {name}.")).because([way(
                telling,
                through,
                steps - 1,
            )])
        }
    };
    statement.about_group(group)
}

fn role_facts(evidence: &Evidence<'_>) -> Statement {
    let (role, effective) = (&evidence.role, &evidence.effective);
    let protected = if role.protected { "protected and " } else { "" };
    let text = format!(
        "The role is {protected}opened by {}, for at most {}.",
        effective.grant_method, effective.max_duration
    );
    Statement::says(text).about_row(RowName::Role(role.arn.clone()))
}

/// What keeps a role that is held from being opened right now.
pub(super) fn obstacles(telling: &Telling<'_>, held: &Entitlement<'_>) -> Vec<Finding> {
    [
        reason_asked(telling, held),
        old_groups(telling),
        unknown_groups(telling),
        refused_by_aws(telling),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn reason_asked(telling: &Telling<'_>, held: &Entitlement<'_>) -> Option<Finding> {
    held.requires_reason().then(|| {
        let text = "It opens only with a reason, which goes to the audit log (require_reason).";
        Finding::miss(
            Situation::ConditionUnmet,
            Statement::says(text),
            Remedy::MeetCondition {
                condition: "require_reason".to_owned(),
            },
            format!("Please give a reason when you open {}.", telling.role()),
        )
    })
}

fn old_groups(telling: &Telling<'_>) -> Option<Finding> {
    let Basis::LastSeen { at } = telling.around.basis else {
        return None;
    };
    let limit = telling.around.groups_valid_for;
    let is_old = telling.now - at >= limit;
    is_old.then(|| {
        let text = format!(
            "The groups were last seen on {} and serve for {} (groups_valid_for), so they have to \
             be read again first.",
            when(at),
            spoken(limit)
        );
        Finding::miss(
            Situation::ConditionUnmet,
            Statement::says(text),
            Remedy::SignInAgain,
            format!(
                "Please sign in again, then open {}: your groups are too old.",
                telling.role()
            ),
        )
    })
}

/// Whole days, hours or minutes.
fn spoken(limit: std::time::Duration) -> String {
    let minutes = limit.as_secs() / 60;
    match (minutes / 60, minutes % 60) {
        (hours, 0) if hours > 0 && hours % 24 == 0 => super::words::counted_of(hours / 24, "day"),
        (hours, 0) if hours > 0 => super::words::counted_of(hours, "hour"),
        _ => super::words::counted_of(minutes, "minute"),
    }
}

pub(super) fn unknown_groups(telling: &Telling<'_>) -> Option<Finding> {
    let trouble = telling.around.trouble.as_ref()?;
    let told = trouble_called(&trouble.code);
    let text = format!(
        "The groups are not known in full: on {} {told}.",
        when(trouble.at)
    );
    let request = format!(
        "Please look into why the groups of {} cannot be read: {told}, on {}.",
        telling.full_person(),
        when(trouble.at)
    );
    Some(Finding::miss(
        Situation::GroupsNotKnown,
        Statement::says(text),
        Remedy::MendGroups,
        request,
    ))
}

fn refused_by_aws(telling: &Telling<'_>) -> Option<Finding> {
    let refusal = telling.around.refused_by_aws.as_ref()?;
    let (at, code) = (when(refusal.at), &refusal.code);
    let (text, found) = if refusal.is_probe {
        (
            format!("AWS does not open it, as the last probe found on {at} ({code})."),
            "a probe could not open it",
        )
    } else {
        (
            format!("AWS refused it when it was last asked for, on {at} ({code})."),
            "it was refused",
        )
    };
    let request = format!(
        "Please look at the role {} in AWS: {found} on {at} ({code}).",
        telling.target
    );
    let role = telling.target.clone();
    Some(Finding::miss(
        Situation::RoleRefusedByAws,
        Statement::says(text).about_row(RowName::Role(role.clone())),
        Remedy::MendInAws { role },
        request,
    ))
}
