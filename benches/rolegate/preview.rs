//! Who gains and who loses by replacing one pattern rule, for a whole company.

use std::time::{Duration as StdDuration, Instant};

use rolegate::{
    access::{
        Conditions, Group, GroupKey, Identity, Mapping, MappingId, MappingRule, Origin, Policy,
        PolicySettings, PolicyTables, Preview, Role, RoleDefaults, TargetArn, touched_groups,
    },
    store::{KnownPeople as _, sql::SqlStore},
};
use time::{OffsetDateTime, macros::datetime};

use crate::{
    crowd,
    report::{judged, median, milliseconds, told},
};

const PEOPLE: usize = 50_000;
const GROUPS: usize = 5_000;
const MAPPINGS: usize = 10_000;
const ROLES: usize = 2_000;
/// How many groups everybody is in.
const GROUPS_EACH: usize = 20;
/// One person in so many is asked about in full, for asking about all takes too long.
const SAMPLE: usize = 50;
const NOW: OffsetDateTime = datetime!(2026-06-01 12:00 UTC);

pub async fn measure() {
    let tables = tables();
    let replaced = {
        let mut after = tables.clone();
        "arn:aws:iam::{account}:role/other-{role}".clone_into(&mut after.rules[0].role);
        after
    };
    let people: Vec<Identity> = (0..PEOPLE).map(person).collect();
    let mut times = Vec::new();
    let mut effect = Preview::default();
    let before = Policy::new(tables.clone(), PolicySettings::default());
    let after = Policy::new(replaced.clone(), PolicySettings::default());
    for _ in 0..5 {
        let started = Instant::now();
        effect = Preview::between(&before, &after, &people, NOW);
        times.push(milliseconds(started.elapsed()));
    }
    let gains: usize = effect.roles.iter().map(|role| role.gains.len()).sum();
    let losses: usize = effect.roles.iter().map(|role| role.losses.len()).sum();
    told(
        "A preview's people, groups, mappings",
        &format!("{PEOPLE}, {GROUPS}, {MAPPINGS}"),
    );
    told(
        "  what it finds",
        &format!("{gains} gains, {losses} losses"),
    );
    let middle = median(&times);
    judged(
        "A preview of replacing one rule, one thread",
        &format!("{middle:.0} ms"),
        "< 2 s",
        middle < 2_000.0,
    );
    let started = Instant::now();
    let groups: Vec<Group> = (0..GROUPS).map(group).collect();
    let seen = groups.iter().map(|group| (&group.key, group.name.as_str()));
    let touched = touched_groups(&tables, &replaced, seen).len();
    told(
        "  the groups that it touches",
        &format!("{touched}, {:.0} ms", milliseconds(started.elapsed())),
    );
    let whole = brute_force(&before, &after, &people) * u32::try_from(SAMPLE).unwrap();
    told(
        "  asking about everybody before and after instead",
        &format!(
            "{:.0} ms (from 1 of {SAMPLE}), {:.0} times as long",
            milliseconds(whole),
            milliseconds(whole) / middle
        ),
    );
    read_people(&people).await;
}

/// How long it takes to have everybody from the store: the first time, again, and with somebody who
/// has signed in meanwhile.
async fn read_people(people: &[Identity]) {
    let dir = crate::support::temporary_dir("bench-people");
    let file = dir.path().join("rolegate.db");
    let url = format!("sqlite://{}", file.display());
    SqlStore::open(&url).await.unwrap().close().await;
    crowd::note(&url, people).await;
    let store = SqlStore::open(&url).await.unwrap();
    let mut times = Vec::new();
    for _ in 0..6 {
        let started = Instant::now();
        let known = store.known_people().await.unwrap();
        times.push(milliseconds(started.elapsed()));
        assert_eq!(known.len(), PEOPLE);
    }
    let size = std::fs::metadata(&file).unwrap().len() / 1024 / 1024;
    told(
        "  everybody read from the store, the first time",
        &format!("{:.0} ms ({size} MiB)", times[0]),
    );
    told(
        "  everybody read from the store, again",
        &format!("{:.0} ms", median(&times[1..])),
    );
}

/// How long it takes to ask the decision about some people, before and after.
fn brute_force(before: &Policy, after: &Policy, people: &[Identity]) -> StdDuration {
    let started = Instant::now();
    let mut found = 0;
    for person in people.iter().step_by(SAMPLE) {
        found += before.entitlements(person, NOW).len();
        found += after.entitlements(person, NOW).len();
    }
    assert!(found > 0, "nobody may open anything");
    started.elapsed()
}

fn account(index: usize) -> String {
    format!("{:012}", 100_000_000_000_usize + index % 100)
}

fn arn(index: usize) -> TargetArn {
    let name = if index.is_multiple_of(2) {
        "team"
    } else {
        "other-team"
    };
    let text = format!(
        "arn:aws:iam::{}:role/{name}{}",
        account(index / 2),
        index / 200
    );
    text.parse().unwrap()
}

/// One group in five is called as the rules want it.
fn group(index: usize) -> Group {
    let name = if index.is_multiple_of(5) {
        format!("AWS-{}-team{}", account(index / 5), index / 500)
    } else {
        format!("department-{index}")
    };
    let dn = format!("cn={name},ou=groups,dc=example,dc=com");
    Group {
        key: GroupKey::from_stored(format!("corp:{}", dn.to_lowercase())),
        name,
        stable_id: Some(format!("id-{index}")),
        through: None,
    }
}

fn person(index: usize) -> Identity {
    let groups = (0..GROUPS_EACH).map(|n| group((index * 31 + n * 487) % GROUPS));
    crowd::person(index, groups.collect(), NOW)
}

fn tables() -> PolicyTables {
    let roles = (0..ROLES).map(|index| Role {
        arn: arn(index),
        description: None,
        owner: None,
        own: RoleDefaults::default(),
        session_policy: None,
        policy_arns: Vec::new(),
        session_tags: std::collections::BTreeMap::new(),
        protected: false,
        disabled: false,
    });
    let mappings = (0..MAPPINGS).map(|index| Mapping {
        id: MappingId(format!("m{index:05}")),
        group: group(index % GROUPS).key,
        role: arn((index * 7) % ROLES),
        conditions: Conditions {
            require_reason: index.is_multiple_of(3),
            ..Conditions::default()
        },
        ticket: None,
        origin: Origin::Store,
    });
    let rules = (0..10).map(|index| MappingRule {
        id: MappingId(format!("r{index}")),
        connector: "corp".parse().unwrap(),
        group_pattern: match index {
            0 => "^AWS-(?<account>[0-9]{12})-(?<role>[a-z0-9-]+)$".to_owned(),
            _ => format!("^unit{index}-(?<account>[0-9]{{12}})-(?<role>.+)$"),
        },
        role: "arn:aws:iam::{account}:role/{role}".to_owned(),
        conditions: Conditions::default(),
        allow_protected: false,
        ticket: None,
        origin: Origin::Store,
    });
    PolicyTables {
        version: 1,
        accounts: Vec::new(),
        roles: roles.collect(),
        mappings: mappings.collect(),
        rules: rules.collect(),
        group_ids: std::collections::HashMap::new(),
    }
}
