//! Mappings onto groups that the person has almost: another spelling, another level, another
//! connector, another name of the same group. And the groups that would give the role.

use super::{rows::map, spelling::Spellings};
use crate::access::{
    Dn, Group, GroupKey, Mapping, RowName,
    explain::{
        Finding, GroupRelations, Remedy, Situation, Statement, Surroundings,
        held::{LONGEST_WAY, row_name, way},
        words::{
            Telling, capital, counted, is_distinguished, mapping_called, nothing_gives, row_called,
        },
    },
    policy::{PlacedMapping, Source},
};

/// How many groups that would give the role are named.
const NAMED: usize = 3;

/// How a mapping's group is near one of the person's.
enum Kinship<'a> {
    /// The same name, another group by its stable id.
    Recreated(&'a Group),
    /// The same group by its stable id, another name.
    Renamed(&'a Group),
    /// The same name in another case or form.
    WrittenOtherwise(&'a Group),
    /// The person's group is a member of the mapped one.
    Below(&'a Group),
    /// The mapped group is a member of the person's.
    Above(&'a Group),
    /// The same name at another connector.
    Elsewhere(&'a Group),
}

fn kinship<'i>(
    placed: &PlacedMapping,
    held: &Spellings<'i>,
    around: &Surroundings,
) -> Option<Kinship<'i>> {
    let key = &placed.mapping.group;
    let group_of = |wanted: &GroupKey| {
        let mut groups = held.groups.iter().map(|(group, _)| *group);
        groups.find(|group| group.key == *wanted)
    };
    if let Some(group) = group_of(key) {
        return (!placed.means(group)).then_some(Kinship::Recreated(group));
    }
    let relations = relations(around, key);
    let ids = [
        placed.group_id.as_deref(),
        relations.and_then(|relations| relations.stable_id.as_deref()),
    ];
    let same = ids
        .into_iter()
        .flatten()
        .find_map(|id| held.with_id(id, key));
    if let Some(group) = same {
        return Some(Kinship::Renamed(group));
    }
    if let Some(group) = held.like(key, true) {
        return Some(Kinship::WrittenOtherwise(group));
    }
    if let Some(relations) = relations {
        if let Some(group) = relations.member_groups.iter().find_map(group_of) {
            return Some(Kinship::Below(group));
        }
        if let Some(group) = relations.parent_groups.iter().find_map(group_of) {
            return Some(Kinship::Above(group));
        }
    }
    held.like(key, false).map(Kinship::Elsewhere)
}

fn relations<'s>(around: &'s Surroundings, key: &GroupKey) -> Option<&'s GroupRelations> {
    around.groups.iter().find(|known| known.key == *key)
}

/// Whether a mapping's group is near one of the person's.
pub(super) fn is_near(placed: &PlacedMapping, held: &Spellings<'_>, around: &Surroundings) -> bool {
    kinship(placed, held, around).is_some()
}

/// What each mapping of the role that would give it now lacks; and what the same person has
/// elsewhere.
pub(super) fn misses(telling: &Telling<'_>) -> Vec<Finding> {
    let held = Spellings::of(telling.identity);
    let rows = usable(telling);
    let mut found: Vec<Finding> = rows
        .iter()
        .filter_map(|placed| {
            let kinship = kinship(placed, &held, telling.around)?;
            Some(near(telling, &placed.mapping, &kinship))
        })
        .collect();
    found.extend(held_elsewhere(telling));
    found
}

/// The mappings of the role whose conditions would let it be opened now.
fn usable<'a>(telling: &Telling<'a>) -> Vec<&'a PlacedMapping> {
    let mut rows = telling.policy.mappings_of(telling.target);
    rows.retain(|placed| {
        let conditions = &placed.mapping.conditions;
        !conditions.is_expired(telling.now) && conditions.unenforceable().is_none()
    });
    rows
}

fn near(telling: &Telling<'_>, mapping: &Mapping, kinship: &Kinship<'_>) -> Finding {
    let row = capital(&mapping_called(mapping));
    let gives = format!("{row} gives it to {}", telling.group(&mapping.group));
    let person = telling.person();
    let (situation, group, text) = match kinship {
        Kinship::Recreated(group) => (
            Situation::GroupRecreated,
            group,
            format!(
                "{row} gave it to an earlier group called {}, which was made again since.",
                telling.group(&mapping.group)
            ),
        ),
        Kinship::Renamed(group) => (
            Situation::GroupRenamed,
            group,
            format!(
                "{gives}, which is called {} now.",
                telling.group(&group.key)
            ),
        ),
        Kinship::WrittenOtherwise(group) => (
            Situation::GroupWrittenOtherwise,
            group,
            format!(
                "{gives}, and the group of {person} is written {}.",
                group.key
            ),
        ),
        Kinship::Below(group) => (
            Situation::GroupOneLevelAway,
            group,
            format!(
                "{gives}, and {person} is one level below it, in {}, and groups within groups were not \
                 followed.",
                telling.group(&group.key)
            ),
        ),
        Kinship::Above(group) => (
            Situation::GroupOneLevelAway,
            group,
            format!(
                "{gives}, and {person} is one level above it, in {}.",
                telling.group(&group.key)
            ),
        ),
        Kinship::Elsewhere(group) => (
            Situation::GroupAtAnotherConnector,
            group,
            format!(
                "{gives} at {}, and {person} has the group at {}, as {}.",
                mapping.group.connector(),
                group.key.connector(),
                group.key
            ),
        ),
    };
    let (remedy, request) = mended(telling, mapping, kinship);
    let proof = Statement::says(text)
        .about_row(RowName::Mapping(mapping.id.clone()))
        .about_group(&mapping.group)
        .because([way(telling, &group.key, LONGEST_WAY)]);
    Finding::miss(situation, proof, remedy, request)
}

fn mended(telling: &Telling<'_>, mapping: &Mapping, kinship: &Kinship<'_>) -> (Remedy, String) {
    match kinship {
        Kinship::Recreated(group) | Kinship::Renamed(group) | Kinship::WrittenOtherwise(group) => {
            let request = format!(
                "Please check that {} is the group that {} is meant for, and if so let it mean that.",
                group.key,
                mapping_called(mapping)
            );
            let remedy = Remedy::Rebind {
                mapping: mapping.id.clone(),
                group: group.key.clone(),
            };
            (remedy, request)
        }
        Kinship::Below(group) | Kinship::Elsewhere(group) => map(telling, &group.key),
        Kinship::Above(_) => join(telling, &mapping.group),
    }
}

/// To put the person into a group, as a remedy and as a request.
fn join(telling: &Telling<'_>, group: &GroupKey) -> (Remedy, String) {
    let request = format!("Please add {} to the group {group}.", telling.full_person());
    let group = group.clone();
    (Remedy::JoinGroup { group }, request)
}

/// The same person at another connector, where they hold the role.
fn held_elsewhere(telling: &Telling<'_>) -> Vec<Finding> {
    let others = telling.around.others.iter();
    others
        .filter_map(|other| {
            let evidence = telling
                .policy
                .evidence(other, telling.target, telling.now)?;
            let held = evidence.held.as_ref()?;
            let giver = held.givers.first()?;
            let elsewhere = Telling {
                identity: other,
                ..*telling
            };
            let (name, connector) = (&other.username, &other.connector);
            let row = elsewhere.row(giver);
            let to = giver.group.as_ref();
            let to = to.map_or_else(|| name.clone(), |group| elsewhere.group(group));
            let text = format!("{name} at {connector} can open it: {row} gives it to {to}.");
            let mut proof = Statement::says(text).about_row(row_name(giver)).because([
                Statement::says(format!(
                    "Both have the same user name or e-mail address; this question is about {} at \
                     {}.",
                    telling.identity.username, telling.identity.connector
                )),
            ]);
            proof.group.clone_from(&giver.group);
            let request = format!(
                "Please sign in through {connector} to open {}.",
                telling.role()
            );
            Some(Finding::miss(
                Situation::GroupAtAnotherConnector,
                proof,
                Remedy::SignInAgain,
                request,
            ))
        })
        .collect()
}

/// The groups that would give the role, and the mapping that nobody made yet.
pub(super) fn not_given(telling: &Telling<'_>) -> Vec<Finding> {
    let held = Spellings::of(telling.identity);
    let mut rows = usable(telling);
    let all = rows.len();
    rows.retain(|placed| !is_near(placed, &held, telling.around));
    let mut found: Vec<Finding> = rows
        .iter()
        .take(NAMED)
        .map(|placed| would_give(telling, &placed.mapping))
        .collect();
    if rows.len() < all {
        // A mapping is near already; another one would only widen the table.
        return found;
    }
    let (by_rules, mut because) = rules(telling);
    let is_given_to_nobody = rows.is_empty() && by_rules.is_empty();
    found.extend(by_rules.into_iter().take(NAMED));
    if let Some(more) = rows.len().checked_sub(NAMED).filter(|more| *more > 0) {
        because.push(Statement::says(format!(
            "{} more give it to other groups.",
            counted(more, "mapping")
        )));
    }
    if is_given_to_nobody {
        because.push(Statement::says("No mapping gives it to anybody now."));
    }
    found.push(unmapped(telling, because));
    found
}

fn would_give(telling: &Telling<'_>, mapping: &Mapping) -> Finding {
    let group = &mapping.group;
    let relations = relations(telling.around, group);
    let gone = relations.filter(|relations| !relations.exists).map(|_| {
        Statement::says(format!(
            "The directory has no group {} any more.",
            telling.short(group)
        ))
    });
    let text = format!(
        "{} gives it to {}, and {} is not in that group.",
        capital(&mapping_called(mapping)),
        telling.group(group),
        telling.person()
    );
    let (remedy, request) = join(telling, group);
    let proof = Statement::says(text)
        .about_row(RowName::Mapping(mapping.id.clone()))
        .about_group(group)
        .because(gone);
    Finding::miss(Situation::NotGiven, proof, remedy, request)
}

/// Rules that could give the role: to a group whose name they leave open as statements, to one
/// group as findings.
fn rules(telling: &Telling<'_>) -> (Vec<Finding>, Vec<Statement>) {
    let (mut findings, mut statements) = (Vec::new(), Vec::new());
    for (rule, name) in telling.policy.rules_towards(telling.target) {
        let conditions = &rule.conditions;
        if conditions.is_expired(telling.now) || conditions.unenforceable().is_some() {
            continue;
        }
        let source = Source {
            origin: &rule.origin,
            ticket: rule.ticket.as_deref(),
            pattern: Some(&rule.group_pattern),
        };
        let called = capital(&row_called(&rule.id, &source));
        let row = RowName::Rule(rule.id.clone());
        let Some(name) = name else {
            let text = format!(
                "{called} gives roles like it to groups of {} whose name matches `{}`.",
                rule.connector, rule.group_pattern
            );
            statements.push(Statement::says(text).about_row(row));
            continue;
        };
        // Directories' keys are in normal form.
        let dn = name.parse::<Dn>().ok().filter(|_| is_distinguished(&name));
        let name = dn.map_or(name, |dn| dn.normalised());
        let group = GroupKey::from_stored(format!("{}:{name}", rule.connector));
        let text = format!(
            "{called} gives it to a group called {}, and {} is not in it.",
            telling.group(&group),
            telling.person()
        );
        let (remedy, request) = join(telling, &group);
        let proof = Statement::says(text).about_row(row).about_group(&group);
        findings.push(Finding::miss(Situation::NotGiven, proof, remedy, request));
    }
    (findings, statements)
}

/// The mapping that nobody made yet: of a group that the person is in directly, the first by name.
fn unmapped(telling: &Telling<'_>, because: Vec<Statement>) -> Finding {
    let groups = telling.identity.groups.iter();
    let direct = groups.filter(|group| group.through.is_none());
    let nearest = direct.min_by(|one, other| one.key.cmp(&other.key));
    let proof = Statement::says(format!("{}.", capital(&nothing_gives(telling)))).because(because);
    let Some(group) = nearest else {
        return Finding {
            situation: Situation::NotGiven,
            proof,
            remedy: None,
            request: format!(
                "Please add {} to a group that gives the role {}.",
                telling.full_person(),
                telling.target
            ),
        };
    };
    let (remedy, _) = map(telling, &group.key);
    let request = format!(
        "Please map a group of {} to the role {}: {}, or another one.",
        telling.full_person(),
        telling.target,
        group.key
    );
    Finding::miss(Situation::NotGiven, proof, remedy, request)
}
