//! What an edit changes for whom: compared with asking the decision about everybody, before and
//! after.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use proptest::{collection::vec, prelude::*, sample::select};
use rolegate::access::{
    Account, Altered, AssertedRole, AuthenticationMethod, Conditions, ConsoleWay, GrantMethod,
    Group, GroupKey, Identity, Mapping, MappingId, MappingRule, Origin, Policy, PolicySettings,
    PolicyTables, Preview, Role, RoleDefaults, RoleEffect, SessionDuration, TargetArn, Terms,
    touched_groups,
};
use time::{Duration, OffsetDateTime, macros::datetime};

const NOW: OffsetDateTime = datetime!(2026-06-01 12:00 UTC);
const ACCOUNTS: [&str; 2] = ["111122223333", "444455556666"];
/// What the rules below match is among the groups.
const GROUPS: [&str; 6] = [
    "dev",
    "ops",
    "AWS-111122223333-r0",
    "aws-444455556666-R1",
    "x-r2",
    "all",
];
const PATTERNS: [(&str, &str); 4] = [
    (
        "^aws-(?<a>[0-9]{12})-(?<r>.+)$",
        "arn:aws:iam::{a}:role/{r}",
    ),
    ("^x-(?<r>.+)$", "arn:aws:iam::111122223333:role/{r}"),
    ("^(dev|all)$", "arn:aws:iam::444455556666:role/path/r3"),
    ("^.*$", "arn:aws:iam::111122223333:role/r1"),
];

/// Four roles in two accounts, one of them below a path.
fn arn(index: usize, account: usize) -> TargetArn {
    let path = if index == 3 { "path/" } else { "" };
    format!("arn:aws:iam::{}:role/{path}r{index}", ACCOUNTS[account])
        .parse()
        .unwrap()
}

fn arns() -> impl Strategy<Value = TargetArn> {
    (0..5_usize, 0..2_usize).prop_map(|(index, account)| arn(index, account))
}

fn conditions() -> impl Strategy<Value = Conditions> {
    let expires = select(vec![-5_i64, 5, 20, 90]);
    let flags = (any::<bool>(), any::<bool>(), proptest::bool::weighted(0.1));
    let longest = proptest::option::of(select(vec![900_u64, 1800, 7200]));
    let all = (proptest::option::weighted(0.3, expires), longest, flags);
    let any = all.prop_map(
        |(expires, longest, (read_only, require_reason, require_mfa))| Conditions {
            expires: expires.map(|minutes| NOW + Duration::minutes(minutes)),
            max_duration: longest.map(|seconds| SessionDuration::from_seconds(seconds).unwrap()),
            read_only,
            require_mfa,
            require_reason,
            require_approval_by: None,
        },
    );
    prop_oneof![Just(Conditions::default()), any]
}

fn accounts() -> impl Strategy<Value = Vec<Account>> {
    let account = (0..2_usize, proptest::bool::weighted(0.2), any::<bool>());
    let account = account.prop_map(|(index, protected, is_longer)| Account {
        id: ACCOUNTS[index].parse().unwrap(),
        name: format!("account {index}"),
        alias: None,
        environment: None,
        colour: None,
        description: None,
        owner: None,
        protected,
        role_defaults: RoleDefaults {
            max_duration: is_longer.then(|| SessionDuration::from_seconds(10_800).unwrap()),
            ..RoleDefaults::default()
        },
    });
    vec(account, 0..3)
}

fn roles() -> impl Strategy<Value = Vec<Role>> {
    let method = prop_oneof![
        3 => Just(None),
        1 => Just(Some(GrantMethod::AssumeRoleWithSaml)),
        1 => Just(Some(GrantMethod::FederationToken)),
    ];
    let flags = (
        proptest::bool::weighted(0.2),
        proptest::bool::weighted(0.15),
        proptest::bool::weighted(0.2),
        proptest::bool::weighted(0.2),
        proptest::bool::weighted(0.2),
    );
    let role = (arns(), method, flags).prop_map(
        |(arn, grant_method, (protected, disabled, is_handed_over, has_policy, has_tag))| Role {
            arn,
            description: None,
            owner: None,
            own: RoleDefaults {
                grant_method,
                console: is_handed_over.then_some(ConsoleWay::IdpInitiated),
                ..RoleDefaults::default()
            },
            session_policy: has_policy.then(|| "{}".to_owned()),
            policy_arns: Vec::new(),
            session_tags: has_tag
                .then(|| ("team".to_owned(), "x".to_owned()))
                .into_iter()
                .collect(),
            protected,
            disabled,
        },
    );
    vec(role, 2..8)
}

fn key(connector: &str, name: &str) -> GroupKey {
    GroupKey::from_stored(format!("{connector}:{name}"))
}

fn group_keys() -> impl Strategy<Value = GroupKey> {
    (select(vec!["corp", "claims"]), select(GROUPS.to_vec()))
        .prop_map(|(connector, name)| key(connector, name))
}

fn tables() -> impl Strategy<Value = PolicyTables> {
    let mappings = vec((group_keys(), arns(), conditions()), 0..10);
    let rule = (
        select(vec!["corp", "claims"]),
        select(PATTERNS.to_vec()),
        conditions(),
        any::<bool>(),
    );
    let bound = vec(proptest::option::weighted(0.3, select(vec!["1", "2"])), 10);
    (accounts(), roles(), mappings, vec(rule, 0..4), bound).prop_map(
        |(accounts, roles, mappings, rules, bound)| {
            let mappings: Vec<Mapping> = (mappings.into_iter().enumerate())
                .map(|(index, (group, role, conditions))| Mapping {
                    id: MappingId(format!("m{index}")),
                    group,
                    role,
                    conditions,
                    ticket: None,
                    origin: Origin::Store,
                })
                .collect();
            let ids = mappings.iter().zip(bound);
            let group_ids: HashMap<MappingId, String> = ids
                .filter_map(|(mapping, bound)| Some((mapping.id.clone(), bound?.to_owned())))
                .collect();
            let rules = rules.into_iter().enumerate();
            let rules =
                rules.map(
                    |(index, (connector, (pattern, role), conditions, allow))| MappingRule {
                        id: MappingId(format!("r{index}")),
                        connector: connector.parse().unwrap(),
                        group_pattern: pattern.to_owned(),
                        role: role.to_owned(),
                        conditions,
                        allow_protected: allow,
                        ticket: None,
                        origin: Origin::Store,
                    },
                );
            PolicyTables {
                version: 1,
                accounts,
                roles,
                mappings,
                rules: rules.collect(),
                group_ids,
            }
        },
    )
}

fn settings() -> impl Strategy<Value = PolicySettings> {
    (any::<bool>(), any::<bool>()).prop_map(|(hands_over, gives)| PolicySettings {
        hand_over_connectors: hands_over
            .then(|| "claims".parse().unwrap())
            .into_iter()
            .collect(),
        giving_connectors: gives
            .then(|| "claims".parse().unwrap())
            .into_iter()
            .collect(),
        ..PolicySettings::default()
    })
}

fn people() -> impl Strategy<Value = Vec<Identity>> {
    let group = (
        select(GROUPS.to_vec()),
        proptest::option::of(select(vec!["1", "2"])),
        any::<bool>(),
    );
    let person = (
        any::<bool>(),
        vec(group, 0..5),
        vec((arns(), any::<bool>()), 0..3),
    );
    let person = person.prop_map(|(is_saml, groups, asserted)| {
        let connector = if is_saml { "claims" } else { "corp" };
        let mut seen = BTreeSet::new();
        let groups = groups.into_iter().filter(|(name, ..)| seen.insert(*name));
        let groups = groups.map(|(name, stable_id, is_nested)| Group {
            key: key(connector, name),
            name: name.to_owned(),
            stable_id: stable_id.map(str::to_owned),
            through: is_nested.then(|| key(connector, "all")),
        });
        let asserted = asserted.into_iter().map(|(role, is_beside)| {
            let account = if is_beside {
                role.account().to_string()
            } else {
                ACCOUNTS[0].to_owned()
            };
            let provider = format!("arn:aws:iam::{account}:saml-provider/idp");
            AssertedRole {
                provider: provider.parse().unwrap(),
                role,
            }
        });
        Identity {
            connector: connector.parse().unwrap(),
            subject: "s".to_owned(),
            username: "u".to_owned(),
            display_name: None,
            email: None,
            entry_dn: None,
            groups: groups.collect(),
            groups_read_at: NOW,
            authenticated_at: NOW,
            method: if is_saml {
                AuthenticationMethod::Saml
            } else {
                AuthenticationMethod::Password
            },
            authentication_context: None,
            asserted_roles: asserted.collect(),
        }
    });
    vec(person, 0..12)
}

/// What everybody may open, by asking about everybody.
fn openings(policy: &Policy, person: &Identity) -> BTreeMap<TargetArn, Terms> {
    let found = policy.entitlements(person, NOW);
    let terms = found.iter().map(|found| {
        let terms = Terms {
            longest: found.longest.longest,
            is_read_only: found.is_read_only(),
            requires_reason: found.requires_reason(),
        };
        (found.role.arn.clone(), terms)
    });
    terms.collect()
}

fn brute_force(before: &Policy, after: &Policy, people: &[Identity]) -> Preview {
    let is_protected = |arn: &TargetArn| {
        [before, after].iter().any(|policy| {
            policy.role(arn).is_some_and(|role| role.protected)
                || policy
                    .account(&arn.account())
                    .is_some_and(|account| account.protected)
        })
    };
    let mut effects: BTreeMap<(bool, TargetArn), RoleEffect> = BTreeMap::new();
    for (person, identity) in people.iter().enumerate() {
        let (old, new) = (openings(before, identity), openings(after, identity));
        let arns: BTreeSet<&TargetArn> = old.keys().chain(new.keys()).collect();
        for arn in arns {
            let (old, new) = (old.get(arn), new.get(arn));
            if old == new {
                continue;
            }
            let effect = effects
                .entry((!is_protected(arn), arn.clone()))
                .or_insert_with(|| RoleEffect {
                    role: arn.clone(),
                    is_protected: is_protected(arn),
                    gains: Vec::new(),
                    losses: Vec::new(),
                    altered: Vec::new(),
                });
            match (old, new) {
                (None, _) => effect.gains.push(person),
                (_, None) => effect.losses.push(person),
                (Some(before), Some(after)) => effect.altered.push(Altered {
                    person,
                    before: *before,
                    after: *after,
                }),
            }
        }
    }
    Preview {
        roles: effects.into_values().collect(),
    }
}

/// A table and what an edit makes of it: usually most of it stays.
fn edits() -> impl Strategy<Value = (PolicyTables, PolicyTables)> {
    (tables(), tables(), any::<[bool; 5]>()).prop_map(|(before, other, kept)| {
        let mut after = other;
        if kept[0] {
            after.accounts.clone_from(&before.accounts);
        }
        if kept[1] {
            after.roles.clone_from(&before.roles);
        }
        if kept[2] {
            after.mappings.clone_from(&before.mappings);
        }
        if kept[3] {
            after.rules.clone_from(&before.rules);
        }
        if kept[4] {
            after.group_ids.clone_from(&before.group_ids);
        }
        (before, after)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_preview_is_what_asking_about_everybody_finds(
        (before, after) in edits(),
        (settings, other_settings) in prop_oneof![
            3 => settings().prop_map(|settings| (settings.clone(), settings)),
            1 => (settings(), settings()),
        ],
        people in people(),
    ) {
        let before = Policy::new(before, settings);
        let after = Policy::new(after, other_settings);
        let found = Preview::between(&before, &after, &people, NOW);
        prop_assert_eq!(&found, &brute_force(&before, &after, &people));
        prop_assert_eq!(found.is_empty(), found.roles.is_empty());
    }

    #[test]
    fn whoever_an_edit_touches_is_in_a_touched_group_or_asserts_roles(
        (before, after) in edits(),
        settings in settings(),
        people in people(),
    ) {
        let seen: Vec<Group> = people.iter().flat_map(|person| person.groups.clone()).collect();
        let seen = seen.iter().map(|group| (&group.key, group.name.as_str()));
        let touched = touched_groups(&before, &after, seen);
        let before = Policy::new(before, settings.clone());
        let after = Policy::new(after, settings);
        for effect in Preview::between(&before, &after, &people, NOW).roles {
            let altered = effect.altered.iter().map(|altered| altered.person);
            for person in effect.gains.into_iter().chain(effect.losses).chain(altered) {
                let person = &people[person];
                let is_in_one = person.groups.iter().any(|group| touched.contains(&group.key));
                let is_asserting = person.asserted_roles.iter().any(|pair| pair.role == effect.role);
                prop_assert!(is_in_one || is_asserting, "{:?}", person);
            }
        }
    }
}

#[test]
fn a_table_that_stays_touches_nobody() {
    let tables = PolicyTables::default();
    let key = key("corp", "dev");
    assert!(touched_groups(&tables, &tables, [(&key, "dev")]).is_empty());
}
