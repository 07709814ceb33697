//! Rows that are about the person's own groups and give nothing: now, yet, or any more.

use super::spelling::readings;
use crate::access::{
    Giver, GroupKey, NotEntitled, RowName,
    explain::{
        Finding, Remedy, Situation, Statement,
        held::{LONGEST_WAY, row_name, way},
        words::{Telling, capital, mapping_called, row_called, when},
    },
    policy::{Evidence, Source},
};

/// The rows that give the role to the person, and what each lacks.
pub(super) fn judged(telling: &Telling<'_>, evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for (giver, verdict) in &evidence.rows {
        if let Err(miss) = verdict {
            found.push(row_miss(telling, giver, miss));
        }
    }
    // What keeps the role from everybody who is given it is told once.
    let given = evidence.rows.first().filter(|_| !evidence.role.disabled);
    if let (Some((giver, _)), Some(miss)) = (given, &evidence.out_of_reach) {
        found.push(out_of_reach(telling, giver, miss));
    }
    found
}

fn row_miss(telling: &Telling<'_>, giver: &Giver<'_>, miss: &NotEntitled) -> Finding {
    let row = telling.row(giver);
    let to = giver.group.as_ref();
    let group = to.map_or_else(|| "everybody it names".to_owned(), |key| telling.group(key));
    let role = telling.role();
    let (situation, text, remedy, request) = match miss {
        NotEntitled::Expired { at, .. } => (
            Situation::MappingExpired,
            format!("gave it to {group} until {}.", when(*at)),
            Remedy::Extend {
                mapping: giver.mapping.clone(),
            },
            format!(
                "Please extend {row}, which gave {role} until {}.",
                when(*at)
            ),
        ),
        NotEntitled::EndsTooSoon { at, .. } => (
            Situation::MappingExpired,
            format!(
                "gives it to {group} until {}, less than the 15 minutes that AWS needs.",
                when(*at)
            ),
            Remedy::Extend {
                mapping: giver.mapping.clone(),
            },
            format!(
                "Please extend {row}, which gives {role} until {}.",
                when(*at)
            ),
        ),
        other => unmet(&row, &group, other),
    };
    let mut proof = Statement::says(format!("{} {text}", capital(&row)))
        .about_row(row_name(giver))
        .because(to.map(|key| way(telling, key, LONGEST_WAY)));
    proof.group = to.cloned();
    Finding::miss(situation, proof, remedy, request)
}

/// A condition that the person cannot meet.
fn unmet(row: &str, group: &str, miss: &NotEntitled) -> (Situation, String, Remedy, String) {
    let (condition, why) = match miss {
        NotEntitled::Unenforceable { condition, .. } => (
            condition.key(),
            "which cannot be checked here, so that it gives nothing",
        ),
        NotEntitled::HandOverUnlimited { key, .. } => (
            *key,
            "which cannot hold where the identity provider opens the role, so that it gives nothing",
        ),
        _ => (
            "read_only",
            "which the role's grant method or its own session policies do not allow, so that it gives \
             nothing",
        ),
    };
    (
        Situation::ConditionUnmet,
        format!("would give it to {group}, but asks for {condition}, {why}."),
        Remedy::MeetCondition {
            condition: condition.to_owned(),
        },
        format!("Please take {condition} off {row}, if the role may be opened without it."),
    )
}

/// What keeps the role from a person whom a row gives it.
fn out_of_reach(telling: &Telling<'_>, giver: &Giver<'_>, miss: &NotEntitled) -> Finding {
    let role = telling.target.clone();
    let given = giver.group.as_ref().map(|group| {
        let row = capital(&telling.row(giver));
        Statement::says(format!("{row} gives it to {}.", telling.group(group)))
            .about_row(row_name(giver))
            .because([way(telling, group, LONGEST_WAY)])
    });
    let (situation, text, remedy, request) = match miss {
        NotEntitled::NoIssuer(method) => (
            Situation::RoleDisabled,
            format!("Rolegate itself is to vouch for people ({method}) and has no key for that, so the role gives nothing."),
            Remedy::EnableRole { role: role.clone() },
            format!("Please give [issuer] a key for {method}, or the role {role} another grant method."),
        ),
        NotEntitled::OidcSignInRequired(connector) => (
            Situation::SignInDoesNotFit,
            format!("The role is opened with a token of the person's provider, and {connector} brings none that AWS takes."),
            Remedy::SignInAgain,
            format!("Please sign in through the provider whose tokens open {}.", telling.role()),
        ),
        NotEntitled::Template { key, placeholder, problem } => (
            Situation::SignInDoesNotFit,
            format!("The role's {key} needs {placeholder}, {problem}."),
            Remedy::SignInAgain,
            format!(
                "Please see to {key} of the role {role}: for {} it needs {placeholder}, {problem}.",
                telling.full_person()
            ),
        ),
        NotEntitled::Contradiction { key } => (
            Situation::RoleDisabled,
            format!("The role's {key} cannot hold for the way it is opened, so it gives nothing."),
            Remedy::EnableRole { role: role.clone() },
            format!(
                "Please mend the role {role}: {}.",
                (telling.policy.contradiction(&role))
                    .map_or("its row contradicts itself", |found| found.message.as_str())
            ),
        ),
        NotEntitled::NotAsserted => (
            Situation::SignInDoesNotFit,
            "The role is opened by the identity provider's word, and the last sign-in did not name it."
                .to_owned(),
            Remedy::SignInAgain,
            format!(
                "Please let the identity provider name the role {role} for {}, who then signs in \
                 again.",
                telling.full_person()
            ),
        ),
        NotEntitled::NoHandOver(connector) => (
            Situation::SignInDoesNotFit,
            format!("The role is opened by the identity provider itself, and {connector} cannot do so."),
            Remedy::SignInAgain,
            format!("Please sign in through the identity provider that opens {}.", telling.role()),
        ),
        _ => (
            Situation::SignInDoesNotFit,
            format!(
                "The role needs a sign-in through a SAML identity provider, and {} is none.",
                telling.identity.connector
            ),
            Remedy::SignInAgain,
            format!("Please sign in through the identity provider to open {}.", telling.role()),
        ),
    };
    let proof = Statement::says(text)
        .about_row(RowName::Role(role))
        .because(given);
    Finding::miss(situation, proof, remedy, request)
}

/// Rules that match one of the person's groups and may not give a protected role, and rules that
/// would match its name written otherwise.
pub(super) fn withheld_by_rules(telling: &Telling<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for group in &telling.identity.groups {
        for (index, name) in readings(&group.name).iter().enumerate() {
            let ruled = telling.policy.ruled_by(group.key.connector(), name);
            for (rule, _, is_withheld) in ruled.filter(|(_, role, _)| *role == telling.target) {
                let source = Source {
                    origin: &rule.origin,
                    ticket: rule.ticket.as_deref(),
                    pattern: Some(&rule.group_pattern),
                };
                let called = row_called(&rule.id, &source);
                let (situation, text) = match (index, is_withheld) {
                    (_, true) => (
                        Situation::ConditionUnmet,
                        "but may not give protected roles (allow_protected)",
                    ),
                    (0, false) => continue,
                    (_, false) => (
                        Situation::GroupWrittenOtherwise,
                        "written otherwise than it comes",
                    ),
                };
                let text = format!("{} matches `{name}`, {text}.", capital(&called));
                let proof = Statement::says(text)
                    .about_row(RowName::Rule(rule.id.clone()))
                    .about_group(&group.key)
                    .because([way(telling, &group.key, LONGEST_WAY)]);
                let (remedy, request) = map(telling, &group.key);
                found.push(Finding::miss(situation, proof, remedy, request));
            }
        }
    }
    found
}

/// To map a group to the role, as a remedy and as a request.
pub(super) fn map(telling: &Telling<'_>, group: &GroupKey) -> (Remedy, String) {
    let role = telling.target.clone();
    let request = format!("Please map the group {group} to the role {role}.");
    let group = group.clone();
    (Remedy::Map { group, role }, request)
}

/// Mappings that wait for a second person and are about one of the person's groups.
pub(super) fn pending(telling: &Telling<'_>) -> Vec<Finding> {
    let waiting = telling.around.pending.iter();
    let wanted = waiting.filter(|(_, mapping)| {
        mapping.role == *telling.target
            && !mapping.conditions.is_expired(telling.now)
            && has(telling, &mapping.group)
    });
    wanted
        .map(|(id, mapping)| {
            let ticket = mapping.ticket.as_ref();
            let ticket = ticket.map_or_else(String::new, |ticket| format!(" ({ticket})"));
            let text = format!(
                "Pending edit {id}{ticket} would give it to {}, and waits for a second person.",
                telling.group(&mapping.group)
            );
            let proof = Statement::says(text)
                .about_group(&mapping.group)
                .because([way(telling, &mapping.group, LONGEST_WAY)]);
            let remedy = Remedy::Approve {
                pending: id.clone(),
            };
            let request = format!(
                "Please approve the pending edit {id}{ticket}, which gives {} to {}.",
                telling.role(),
                telling.group(&mapping.group)
            );
            Finding::miss(Situation::MappingPending, proof, remedy, request)
        })
        .collect()
}

/// Mappings of one of the person's groups that somebody ended.
pub(super) fn ended(telling: &Telling<'_>) -> Vec<Finding> {
    let ended = telling.around.ended.iter();
    let wanted = ended.filter(|ended| {
        ended.mapping.role == *telling.target && has(telling, &ended.mapping.group)
    });
    wanted
        .map(|ended| {
            let group = &ended.mapping.group;
            let why = ended.reason.as_ref();
            let why = why.map_or_else(String::new, |reason| format!(": {reason}"));
            let text = format!(
                "{} gave it to {}, and was ended on {} by {}{why}.",
                capital(&mapping_called(&ended.mapping)),
                telling.group(group),
                when(ended.at),
                ended.by
            );
            let proof = Statement::says(text)
                .about_row(RowName::Mapping(ended.mapping.id.clone()))
                .about_group(group)
                .because([way(telling, group, LONGEST_WAY)]);
            let (remedy, request) = map(telling, group);
            let request = format!("{request} It was mapped until {}.", when(ended.at));
            Finding::miss(Situation::MappingEnded, proof, remedy, request)
        })
        .collect()
}

pub(super) fn has(telling: &Telling<'_>, group: &GroupKey) -> bool {
    let groups = &telling.identity.groups;
    groups.iter().any(|held| held.key == *group)
}
