//! The decision, row by row and by properties.

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;
use time::{Duration, OffsetDateTime, macros::datetime};

use super::*;
use crate::access::{
    AssertedRole, AuthenticationMethod, Clipped, Conditions, ConnectorId, ConsoleWay, Delivery,
    Errand, Grant, GrantMethod, Group, GroupKeyForm, Identity, Limit, Origin, Request,
    SessionDuration,
};

const NOW: OffsetDateTime = datetime!(2026-11-24 10:00 UTC);
const ADMIN: &str = "arn:aws:iam::111122223333:role/team/Admin";
const READER: &str = "arn:aws:iam::111122223333:role/ReadOnly";

fn connector() -> ConnectorId {
    "corp".parse().unwrap()
}

fn key(group: &str) -> GroupKey {
    GroupKey::new(&connector(), group, GroupKeyForm::Exact).unwrap()
}

fn person(groups: &[&str]) -> Identity {
    Identity {
        connector: connector(),
        subject: "7f3a".to_owned(),
        username: "ada".to_owned(),
        display_name: None,
        email: None,
        entry_dn: None,
        groups: groups
            .iter()
            .map(|name| Group {
                key: key(name),
                name: (*name).to_owned(),
                stable_id: None,
                through: None,
            })
            .collect(),
        groups_read_at: NOW,
        authenticated_at: NOW,
        method: AuthenticationMethod::Password,
        authentication_context: None,
        asserted_roles: Vec::new(),
    }
}

fn role(arn: &str) -> Role {
    Role {
        owner: None,
        arn: arn.parse().unwrap(),
        description: None,
        own: RoleDefaults {
            max_duration: Some(SessionDuration::LONGEST),
            ..Default::default()
        },
        session_policy: None,
        policy_arns: Vec::new(),
        session_tags: BTreeMap::new(),
        protected: false,
        disabled: false,
    }
}

fn mapping(id: &str, group: &str, role: &str, conditions: Conditions) -> Mapping {
    Mapping {
        id: MappingId(id.to_owned()),
        group: key(group),
        role: role.parse().unwrap(),
        conditions,
        ticket: None,
        origin: Origin::Store,
    }
}

fn rule(pattern: &str, role: &str) -> MappingRule {
    MappingRule {
        id: MappingId("rule".to_owned()),
        connector: connector(),
        group_pattern: pattern.to_owned(),
        role: role.to_owned(),
        conditions: Conditions::default(),
        allow_protected: false,
        ticket: None,
        origin: Origin::Store,
    }
}

fn settings() -> PolicySettings {
    PolicySettings {
        role_defaults: RoleDefaults::default(),
        session_name: "{username}".parse().unwrap(),
        ..PolicySettings::default()
    }
}

fn policy(mappings: Vec<Mapping>, rules: Vec<MappingRule>) -> Policy {
    let roles = vec![role(ADMIN), role(READER)];
    Policy::new(
        PolicyTables {
            version: 7,
            roles,
            mappings,
            rules,
            ..Default::default()
        },
        settings(),
    )
}

fn authorize(policy: &Policy, groups: &[&str], request: &Request) -> Result<Grant, NotEntitled> {
    policy.authorize(&person(groups), &ADMIN.parse().unwrap(), request, NOW)
}

fn hours(count: u64) -> Option<SessionDuration> {
    SessionDuration::from_seconds(count * 3_600).ok()
}

#[test]
fn a_member_of_the_mapped_group_gets_the_longest_session() {
    let policy = policy(
        vec![mapping("m", "dev", ADMIN, Conditions::default())],
        vec![],
    );
    let grant = authorize(&policy, &["ops", "dev"], &Request::console()).unwrap();
    assert_eq!(grant.target().as_str(), ADMIN);
    assert_eq!(grant.duration(), SessionDuration::LONGEST);
    assert_eq!(
        (grant.policy_version(), grant.mapping().0.as_str()),
        (7, "m")
    );
    assert_eq!(grant.session_name().as_str(), "ada");
}

#[test]
fn the_entitlement_to_one_role_is_the_one_among_all() {
    let elsewhere = "arn:aws:iam::999999999999:role/Nobody";
    let table = policy(
        vec![
            mapping("m", "dev", ADMIN, Conditions::default()),
            mapping("n", "ops", ADMIN, Conditions::default()),
            mapping("o", "ops", READER, Conditions::default()),
            mapping("p", "dev", elsewhere, Conditions::default()),
        ],
        vec![rule("^dev$", READER)],
    );
    for groups in [&[][..], &["dev"], &["ops"], &["dev", "ops"]] {
        let person = person(groups);
        let all = table.entitlements(&person, NOW);
        for role in [ADMIN, READER, elsewhere] {
            let role: TargetArn = role.parse().unwrap();
            let among_all = all.iter().find(|found| found.role.arn == role);
            let alone = table.entitlement_to(&person, &role, NOW);
            assert_eq!(format!("{among_all:?}"), format!("{:?}", alone.as_ref()));
        }
    }
}

#[test]
fn strangers_unknown_roles_and_disabled_roles_are_refused() {
    let table = policy(
        vec![mapping("m", "dev", ADMIN, Conditions::default())],
        vec![],
    );
    let plain = Request::console();
    assert_eq!(
        authorize(&table, &["ops"], &plain).unwrap_err(),
        NotEntitled::NoMapping
    );
    let unknown = "arn:aws:iam::111122223333:role/Nope".parse().unwrap();
    let refused = table
        .authorize(&person(&["dev"]), &unknown, &plain, NOW)
        .unwrap_err();
    assert_eq!(refused, NotEntitled::UnknownRole);

    let disabled = Role {
        disabled: true,
        ..role(ADMIN)
    };
    let tables = PolicyTables {
        roles: vec![disabled],
        mappings: vec![mapping("m", "dev", ADMIN, Conditions::default())],
        ..Default::default()
    };
    let policy = Policy::new(tables, settings());
    assert_eq!(
        authorize(&policy, &["dev"], &plain).unwrap_err(),
        NotEntitled::UnknownRole
    );
    assert!(policy.entitlements(&person(&["dev"]), NOW).is_empty());
}

#[test]
fn an_expired_mapping_gives_nothing_and_says_when() {
    let expires = NOW - Duration::SECOND;
    let conditions = Conditions {
        expires: Some(expires),
        ..Default::default()
    };
    let policy = policy(vec![mapping("m", "dev", ADMIN, conditions)], vec![]);
    assert_eq!(
        authorize(&policy, &["dev"], &Request::console()).unwrap_err(),
        NotEntitled::Expired {
            mapping: MappingId("m".to_owned()),
            at: expires
        }
    );
    assert!(policy.entitlements(&person(&["dev"]), NOW).is_empty());
}

#[test]
fn a_session_ends_no_later_than_its_mapping() {
    let conditions = Conditions {
        expires: Some(NOW + Duration::minutes(40)),
        ..Default::default()
    };
    let table = policy(vec![mapping("m", "dev", ADMIN, conditions)], vec![]);
    let grant = authorize(&table, &["dev"], &Request::console()).unwrap();
    assert_eq!(grant.duration().seconds(), 2_400);

    let conditions = Conditions {
        expires: Some(NOW + Duration::minutes(14)),
        ..Default::default()
    };
    let table = policy(vec![mapping("m", "dev", ADMIN, conditions)], vec![]);
    let refused = authorize(&table, &["dev"], &Request::console()).unwrap_err();
    assert_eq!(refused.code(), "mapping_ends_too_soon");
}

#[test]
fn a_longer_session_than_allowed_is_refused_with_the_limit() {
    let conditions = Conditions {
        max_duration: hours(2),
        ..Default::default()
    };
    let policy = policy(vec![mapping("m", "dev", ADMIN, conditions)], vec![]);
    let request = Request {
        duration: hours(4),
        ..Request::console()
    };
    let refused = authorize(&policy, &["dev"], &request).unwrap_err();
    let longest = Clipped {
        longest: hours(2).unwrap(),
        limit: Limit::Mapping,
    };
    assert_eq!(refused, NotEntitled::TooLong(longest));

    let request = Request {
        ceiling: hours(1),
        ..Request::console()
    };
    assert_eq!(
        authorize(&policy, &["dev"], &request).unwrap().duration(),
        SessionDuration::HOUR
    );
}

#[test]
fn conditions_that_cannot_be_enforced_give_nothing() {
    for conditions in [
        Conditions {
            require_mfa: true,
            ..Default::default()
        },
        Conditions {
            require_approval_by: Some("corp:boss".to_owned()),
            ..Default::default()
        },
    ] {
        let policy = policy(vec![mapping("m", "dev", ADMIN, conditions)], vec![]);
        let refused = authorize(&policy, &["dev"], &Request::console()).unwrap_err();
        assert_eq!(refused.code(), "condition_unenforceable");
        assert!(policy.entitlements(&person(&["dev"]), NOW).is_empty());
        assert_eq!(policy.problems().len(), 1);
    }
}

#[test]
fn conditions_of_two_mappings_never_mix() {
    let asking = Conditions {
        require_reason: true,
        ..Default::default()
    };
    let short = Conditions {
        max_duration: hours(1),
        ..Default::default()
    };
    let policy = policy(
        vec![
            mapping("long", "dev", ADMIN, asking),
            mapping("short", "ops", ADMIN, short),
        ],
        vec![],
    );
    let plain = authorize(&policy, &["dev", "ops"], &Request::console()).unwrap();
    assert_eq!(
        (plain.mapping().0.as_str(), plain.duration()),
        ("short", SessionDuration::HOUR)
    );

    let long = Request {
        duration: hours(8),
        ..Request::console()
    };
    let refused = authorize(&policy, &["dev", "ops"], &long).unwrap_err();
    assert_eq!(
        refused,
        NotEntitled::ReasonRequired(MappingId("long".to_owned()))
    );

    let long = Request {
        reason: Some("incident 7".to_owned()),
        ..long
    };
    let grant = authorize(&policy, &["dev", "ops"], &long).unwrap();
    assert_eq!(
        (grant.mapping().0.as_str(), grant.duration()),
        ("long", hours(8).unwrap())
    );
}

#[test]
fn read_only_adds_the_policy_of_the_roles_partition() {
    let conditions = Conditions {
        read_only: true,
        ..Default::default()
    };
    let policy = policy(vec![mapping("m", "dev", ADMIN, conditions)], vec![]);
    let grant = authorize(&policy, &["dev"], &Request::console()).unwrap();
    assert!(grant.is_read_only());
    assert_eq!(
        grant.policy_arns(),
        ["arn:aws:iam::aws:policy/ReadOnlyAccess"]
    );
}

#[test]
fn read_only_never_widens_a_roles_own_session_policy() {
    let narrow = Role {
        session_policy: Some("{}".to_owned()),
        ..role(ADMIN)
    };
    let tables = PolicyTables {
        roles: vec![narrow],
        mappings: vec![mapping("m", "dev", ADMIN, Conditions::default())],
        ..Default::default()
    };
    let policy = Policy::new(tables, settings());
    let request = Request {
        read_only: true,
        ..Request::console()
    };
    let refused = authorize(&policy, &["dev"], &request).unwrap_err();
    assert_eq!(refused, NotEntitled::ReadOnlyUnavailable);
}

#[test]
fn rules_give_roles_of_the_table_ignoring_case() {
    let rule = rule(
        "^aws-(?<account>[0-9]{12})-(?<role>[a-z]+)$",
        "arn:aws:iam::{account}:role/{role}",
    );
    let policy = policy(vec![], vec![rule]);
    let grant = authorize(&policy, &["AWS-111122223333-ADMIN"], &Request::console()).unwrap();
    assert_eq!(
        (grant.target().as_str(), grant.mapping().0.as_str()),
        (ADMIN, "rule")
    );
    for stranger in [
        "xaws-111122223333-admin",
        "aws-111122223333-admin2",
        "aws-111122223333-root",
    ] {
        let refused = authorize(&policy, &[stranger], &Request::console()).unwrap_err();
        assert_eq!(refused, NotEntitled::NoMapping, "{stranger}");
    }
}

#[test]
fn rules_give_protected_roles_only_when_they_say_so() {
    let rule = rule(
        "^aws-(?<role>[a-z]+)$",
        "arn:aws:iam::111122223333:role/{role}",
    );
    let tables = |allow_protected| PolicyTables {
        roles: vec![Role {
            protected: true,
            ..role(ADMIN)
        }],
        rules: vec![MappingRule {
            allow_protected,
            ..rule.clone()
        }],
        ..Default::default()
    };
    let closed = Policy::new(tables(false), settings());
    let open = Policy::new(tables(true), settings());
    assert!(authorize(&closed, &["aws-admin"], &Request::console()).is_err());
    assert!(authorize(&open, &["aws-admin"], &Request::console()).is_ok());
}

#[test]
fn open_and_broken_rules_give_nothing_and_are_named() {
    for (pattern, role) in [
        (
            "aws-(?<role>[a-z]+)$",
            "arn:aws:iam::111122223333:role/{role}",
        ),
        (
            "^aws-(?<role>[a-z]+",
            "arn:aws:iam::111122223333:role/{role}",
        ),
        (
            "^aws-(?<role>[a-z+)$",
            "arn:aws:iam::111122223333:role/{role}",
        ),
        ("^aws-([a-z]+)$", "arn:aws:iam::111122223333:role/{role}"),
    ] {
        let policy = policy(vec![], vec![rule(pattern, role)]);
        assert_eq!(policy.problems().len(), 1, "{pattern}");
        assert!(authorize(&policy, &["aws-admin"], &Request::console()).is_err());
    }
}

#[test]
fn a_group_made_again_under_the_same_name_does_not_inherit() {
    let tables = |group_ids| PolicyTables {
        roles: vec![role(ADMIN)],
        mappings: vec![mapping("m", "dev", ADMIN, Conditions::default())],
        group_ids,
        ..Default::default()
    };
    let mut member = person(&["dev"]);
    member.groups[0].stable_id = Some("first".to_owned());
    let target = ADMIN.parse().unwrap();
    let fresh = Policy::new(tables(HashMap::new()), settings());
    assert_eq!(
        fresh.unbound_groups(&member),
        [(key("dev"), "first".to_owned())]
    );
    let bound = HashMap::from([(MappingId("m".to_owned()), "first".to_owned())]);
    let bound = Policy::new(tables(bound), settings());
    assert!(bound.unbound_groups(&member).is_empty());
    for policy in [&fresh, &bound] {
        assert!(
            policy
                .authorize(&member, &target, &Request::console(), NOW)
                .is_ok()
        );
    }
    for other in [Some("second".to_owned()), None] {
        member.groups[0].stable_id = other;
        let refused = bound
            .authorize(&member, &target, &Request::console(), NOW)
            .unwrap_err();
        assert_eq!(refused.code(), "group_recreated");
        assert!(bound.entitlements(&member, NOW).is_empty());
    }
}

#[test]
fn a_path_in_a_rule_confines_it() {
    let rule = rule(
        "^aws-readonly-(?<team>.+)$",
        "arn:aws:iam::111122223333:role/readonly/{team}",
    );
    let by_path = MappingRule {
        group_pattern: "^path-(?<path>.+)$".to_owned(),
        role: "arn:aws:iam::111122223333:role/{path}".to_owned(),
        ..rule.clone()
    };
    let policy = policy(vec![], vec![rule, by_path]);
    for (group, is_given) in [
        ("aws-readonly-admin", false),
        ("aws-readonly-../team/admin", false),
        ("path-team/admin", true),
        ("path-admin", true),
    ] {
        let grant = authorize(&policy, &[group], &Request::console());
        assert_eq!(grant.is_ok(), is_given, "{group}");
    }
}

#[test]
fn a_name_that_two_roles_have_is_nobodys() {
    let tables = PolicyTables {
        roles: vec![role(ADMIN), role("arn:aws:iam::111122223333:role/admin")],
        rules: vec![rule("^aws$", "arn:aws:iam::111122223333:role/admin")],
        ..Default::default()
    };
    let policy = Policy::new(tables, settings());
    assert_eq!(policy.problems().len(), 1);
    assert!(policy.entitlements(&person(&["aws"]), NOW).is_empty());
    let account = "111122223333".parse().unwrap();
    assert_eq!(policy.role_named(&account, "Admin"), None);
}

#[test]
fn a_role_that_is_there_twice_counts_only_where_both_rows_say_the_same() {
    let narrowed = Role {
        session_policy: Some("{}".to_owned()),
        ..role(ADMIN)
    };
    for (rows, is_given) in [
        ([role(ADMIN), role(ADMIN)], true),
        ([role(ADMIN), narrowed.clone()], false),
        ([narrowed, role(ADMIN)], false),
    ] {
        let tables = PolicyTables {
            roles: rows.to_vec(),
            mappings: vec![mapping("m", "admins", ADMIN, Conditions::default())],
            ..Default::default()
        };
        let policy = Policy::new(tables, settings());
        assert_eq!(policy.problems().is_empty(), is_given);
        let grant = authorize(&policy, &["admins"], &Request::console());
        assert_eq!(grant.is_ok(), is_given);
    }
}

#[test]
fn a_pattern_that_leaves_its_group_is_broken() {
    let rule = rule("^x)|(?:aws-admin$", "arn:aws:iam::111122223333:role/Admin");
    let policy = policy(vec![], vec![rule]);
    assert_eq!(policy.problems().len(), 1);
    assert!(authorize(&policy, &["not-aws-admin"], &Request::console()).is_err());
}

#[test]
fn an_alternative_in_a_pattern_is_anchored_too() {
    let rule = rule("^aws-admin|x$", "arn:aws:iam::111122223333:role/Admin");
    let policy = policy(vec![], vec![rule]);
    assert!(authorize(&policy, &["aws-admin-not"], &Request::console()).is_err());
}

#[test]
fn account_defaults_stand_between_the_role_and_the_general_ones() {
    let account = Account {
        colour: None,
        owner: None,
        id: "111122223333".parse().unwrap(),
        name: "Payments".to_owned(),
        alias: None,
        environment: None,
        description: None,
        protected: false,
        role_defaults: RoleDefaults {
            external_id: Some("of the account".to_owned()),
            region: Some("eu-west-1".to_owned()),
            ..Default::default()
        },
    };
    let own = RoleDefaults {
        region: Some("us-east-1".to_owned()),
        ..Default::default()
    };
    let tables = PolicyTables {
        accounts: vec![account],
        roles: vec![Role { own, ..role(ADMIN) }],
        mappings: vec![mapping("m", "dev", ADMIN, Conditions::default())],
        ..Default::default()
    };
    let general = RoleDefaults {
        external_id: Some("general".to_owned()),
        max_duration: hours(2),
        ..Default::default()
    };
    let policy = Policy::new(
        tables,
        PolicySettings {
            role_defaults: general,
            ..settings()
        },
    );
    let grant = authorize(&policy, &["dev"], &Request::console()).unwrap();
    assert_eq!(grant.external_id(), Some("of the account"));
    assert_eq!(grant.region(), Some("us-east-1"));
    assert_eq!(Some(grant.duration()), hours(2));
}

fn any_conditions() -> impl Strategy<Value = Conditions> {
    (
        prop::option::of(-3_600_i64..90_000),
        prop::option::of(900_u32..=43_200),
        any::<bool>(),
        prop::bool::weighted(0.2),
        any::<bool>(),
    )
        .prop_map(
            |(expires, longest, read_only, require_mfa, require_reason)| Conditions {
                expires: expires.map(|seconds| NOW + Duration::seconds(seconds)),
                max_duration: longest.map(|seconds| SessionDuration::try_from(seconds).unwrap()),
                read_only,
                require_mfa,
                require_reason,
                require_approval_by: None,
            },
        )
}

fn any_table() -> impl Strategy<Value = Vec<Mapping>> {
    prop::collection::vec((0..4_usize, any::<bool>(), any_conditions()), 0..8).prop_map(|rows| {
        rows.into_iter()
            .enumerate()
            .map(|(id, (group, is_admin, conditions))| {
                let role = if is_admin { ADMIN } else { READER };
                mapping(
                    &id.to_string(),
                    ["a", "b", "c", "d"][group],
                    role,
                    conditions,
                )
            })
            .collect()
    })
}

fn any_request() -> impl Strategy<Value = Request> {
    (
        prop::option::of(900_u32..=43_200),
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(duration, read_only, has_reason)| Request {
            delivery: Delivery::Console,
            duration: duration.map(|seconds| SessionDuration::try_from(seconds).unwrap()),
            read_only,
            reason: has_reason.then(|| "because".to_owned()),
            ceiling: None,
        })
}

proptest! {
    /// What is granted could be granted by the named mapping standing alone.
    #[test]
    fn a_grant_is_always_justified_by_one_mapping(
        table in any_table(),
        groups in prop::sample::subsequence(vec!["a", "b", "c", "d"], 0..4),
        request in any_request(),
    ) {
        let policy = policy(table.clone(), vec![]);
        if let Ok(grant) = authorize(&policy, &groups, &request) {
            let row = table.iter().find(|row| row.id == *grant.mapping()).unwrap();
            prop_assert_eq!(row.role.as_str(), ADMIN);
            prop_assert!(groups.contains(&row.group.value()));
            prop_assert!(!row.conditions.require_mfa);
            prop_assert!(!row.conditions.require_reason || request.reason.is_some());
            prop_assert_eq!(grant.is_read_only(), request.read_only || row.conditions.read_only);
            prop_assert!(row.conditions.max_duration.is_none_or(|d| grant.duration() <= d));
            let ends = NOW + std::time::Duration::from(grant.duration());
            prop_assert!(row.conditions.expires.is_none_or(|expires| ends <= expires));
        }
    }

    /// A request is refused only when every mapping standing alone would refuse it.
    #[test]
    fn a_refusal_means_that_no_mapping_alone_would_do(
        table in any_table(),
        groups in prop::sample::subsequence(vec!["a", "b", "c", "d"], 0..4),
        request in any_request(),
    ) {
        if authorize(&policy(table.clone(), vec![]), &groups, &request).is_err() {
            for row in table {
                prop_assert!(authorize(&policy(vec![row], vec![]), &groups, &request).is_err());
            }
        }
    }

    /// The picker offers a role just when some request for it would be granted.
    #[test]
    fn the_picker_and_the_decision_agree(
        table in any_table(),
        groups in prop::sample::subsequence(vec!["a", "b", "c", "d"], 0..4),
    ) {
        let policy = policy(table, vec![]);
        let offered = policy
            .entitlements(&person(&groups), NOW)
            .iter()
            .any(|entitlement| entitlement.role.arn.as_str() == ADMIN);
        let request = Request { reason: Some("because".to_owned()), ..Request::console() };
        prop_assert_eq!(offered, authorize(&policy, &groups, &request).is_ok());
    }

    /// Leaving a group never gives more.
    #[test]
    fn fewer_groups_never_give_more(
        table in any_table(),
        groups in prop::sample::subsequence(vec!["a", "b", "c", "d"], 1..4),
        request in any_request(),
    ) {
        let policy = policy(table, vec![]);
        if authorize(&policy, &groups[1..], &request).is_ok() {
            prop_assert!(authorize(&policy, &groups, &request).is_ok());
        }
    }
}

const PROVIDER: &str = "arn:aws:iam::111122223333:saml-provider/corp";
const UNLISTED: &str = "arn:aws:iam::111122224444:role/Unlisted";

fn pair(role: &str, provider: &str) -> AssertedRole {
    AssertedRole {
        role: role.parse().unwrap(),
        provider: provider.parse().unwrap(),
    }
}

/// A person who came through a SAML provider that names these roles, each with a provider of its
/// own account.
fn asserting(groups: &[&str], roles: &[&str]) -> Identity {
    let beside = |role: &&str| {
        let (account, _) = role.split_once(":role/").unwrap();
        pair(role, &format!("{account}:saml-provider/corp"))
    };
    Identity {
        method: AuthenticationMethod::Saml,
        asserted_roles: roles.iter().map(beside).collect(),
        ..person(groups)
    }
}

fn saml_role(arn: &str) -> Role {
    let mut role = role(arn);
    role.own.grant_method = Some(GrantMethod::AssumeRoleWithSaml);
    role
}

fn handed_over(arn: &str) -> Role {
    let mut role = saml_role(arn);
    role.own.console = Some(ConsoleWay::IdpInitiated);
    role.own.max_duration = None;
    role
}

fn of(roles: Vec<Role>, mappings: Vec<Mapping>, settings: PolicySettings) -> Policy {
    let tables = PolicyTables {
        roles,
        mappings,
        ..Default::default()
    };
    Policy::new(tables, settings)
}

fn giving() -> PolicySettings {
    PolicySettings {
        giving_connectors: HashSet::from([connector()]),
        ..settings()
    }
}

fn with_hand_over() -> PolicySettings {
    PolicySettings {
        hand_over_connectors: HashSet::from([connector()]),
        ..settings()
    }
}

fn ask(policy: &Policy, person: &Identity, role: &str) -> Result<Grant, NotEntitled> {
    policy.authorize(person, &role.parse().unwrap(), &Request::console(), NOW)
}

fn names(policy: &Policy, person: &Identity) -> Vec<String> {
    let found = policy.entitlements(person, NOW);
    found
        .iter()
        .map(|found| found.role.arn.to_string())
        .collect()
}

#[test]
fn a_saml_role_is_given_to_those_whose_assertion_names_it() {
    let mappings = vec![mapping("m", "dev", ADMIN, Conditions::default())];
    let policy = of(vec![saml_role(ADMIN)], mappings, settings());
    let grant = ask(&policy, &asserting(&["dev"], &[ADMIN]), ADMIN).unwrap();
    assert_eq!(grant.method(), GrantMethod::AssumeRoleWithSaml);
    assert_eq!(grant.saml_provider().unwrap().as_str(), PROVIDER);
    assert_eq!(grant.duration(), SessionDuration::LONGEST);

    let by_password = Identity {
        method: AuthenticationMethod::Password,
        ..asserting(&["dev"], &[ADMIN])
    };
    let elsewhere = Identity {
        asserted_roles: vec![pair(ADMIN, "arn:aws:iam::111122224444:saml-provider/corp")],
        ..asserting(&["dev"], &[])
    };
    for (person, code) in [
        (by_password, "saml_needed"),
        (asserting(&["dev"], &[]), "role_not_asserted"),
        (asserting(&["dev"], &[READER]), "role_not_asserted"),
        (elsewhere, "role_not_asserted"),
        (asserting(&["ops"], &[ADMIN]), "no_mapping"),
    ] {
        assert_eq!(ask(&policy, &person, ADMIN).unwrap_err().code(), code);
        assert!(names(&policy, &person).is_empty(), "{code}");
    }
}

#[test]
fn of_several_asserted_providers_the_configured_one_is_named() {
    let second = "arn:aws:iam::111122223333:saml-provider/second";
    let person = Identity {
        asserted_roles: vec![pair(ADMIN, PROVIDER), pair(ADMIN, second)],
        ..asserting(&["dev"], &[])
    };
    for (configured, named) in [
        (None, PROVIDER),
        (Some("arn:aws:iam::{account}:saml-provider/second"), second),
        (Some("arn:aws:iam::{account}:saml-provider/third"), PROVIDER),
    ] {
        let mut role = saml_role(ADMIN);
        role.own.saml_provider_arn = configured.map(str::to_owned);
        let mappings = vec![mapping("m", "dev", ADMIN, Conditions::default())];
        let policy = of(vec![role], mappings, settings());
        let grant = ask(&policy, &person, ADMIN).unwrap();
        assert_eq!(grant.saml_provider().unwrap().as_str(), named);
    }
}

#[test]
fn conditions_hold_for_saml_roles_and_role_chaining_does_not() {
    let conditions = Conditions {
        read_only: true,
        max_duration: hours(6),
        ..Default::default()
    };
    let general = PolicySettings {
        source_identity: Some("{username}".parse().unwrap()),
        role_defaults: RoleDefaults {
            external_id: Some("general".to_owned()),
            ..Default::default()
        },
        ..settings()
    };
    let mappings = vec![mapping("m", "dev", ADMIN, conditions)];
    let policy = of(vec![saml_role(ADMIN)], mappings, general);
    let request = Request {
        ceiling: hours(1),
        ..Request::console()
    };
    let person = asserting(&["dev"], &[ADMIN]);
    let grant = policy
        .authorize(&person, &ADMIN.parse().unwrap(), &request, NOW)
        .unwrap();
    assert_eq!(Some(grant.duration()), hours(6));
    assert!(grant.is_read_only());
    assert_eq!(grant.source_identity(), None);
    assert_eq!(grant.external_id(), None);
}

#[test]
fn settings_that_an_assertion_cannot_carry_give_nothing_and_are_named() {
    type Change = fn(&mut Role);
    let of_grants: [(&str, Change); 3] = [
        ("external_id", |role| {
            role.own.external_id = Some("x1".to_owned());
        }),
        ("source_identity", |role| {
            role.own.source_identity = Some("{username}".parse().unwrap());
        }),
        ("session_tags", |role| {
            role.session_tags = BTreeMap::from([("team".to_owned(), "x".to_owned())]);
        }),
    ];
    let of_sessions: [(&str, Change); 3] = [
        ("session_policy", |role| {
            role.session_policy = Some("{}".to_owned());
        }),
        ("policy_arns", |role| {
            role.policy_arns = vec!["arn:aws:iam::aws:policy/x".to_owned()];
        }),
        ("max_duration", |role| {
            role.own.max_duration = Some(SessionDuration::HOUR);
        }),
    ];
    let by_assertion = of_grants.map(|(key, change)| (key, change, saml_role(ADMIN)));
    let by_provider = of_grants
        .into_iter()
        .chain(of_sessions)
        .map(|(key, change)| (key, change, handed_over(ADMIN)));
    for (key, change, mut role) in by_assertion.into_iter().chain(by_provider) {
        change(&mut role);
        let mappings = vec![mapping("m", "dev", ADMIN, Conditions::default())];
        let policy = of(vec![role], mappings, with_hand_over());
        let person = asserting(&["dev"], &[ADMIN]);
        let refused = ask(&policy, &person, ADMIN).unwrap_err();
        assert_eq!(refused, NotEntitled::Contradiction { key });
        assert!(names(&policy, &person).is_empty());
        let [problem] = policy.problems() else {
            panic!("{key}: {:?}", policy.problems());
        };
        assert!(problem.message.contains(key), "{}", problem.message);
    }
}

#[test]
fn a_role_that_the_provider_opens_itself_is_given_as_it_is_or_not_at_all() {
    let mappings = vec![mapping("m", "dev", ADMIN, Conditions::default())];
    let table = |settings| of(vec![handed_over(ADMIN)], mappings.clone(), settings);
    let policy = table(with_hand_over());
    let person = asserting(&["dev"], &[]);
    let grant = ask(&policy, &person, ADMIN).unwrap();
    assert_eq!(grant.console(), ConsoleWay::IdpInitiated);
    assert_eq!(grant.saml_provider(), None);
    assert_eq!(names(&policy, &person), [ADMIN]);

    let closed = ask(&table(settings()), &person, ADMIN).unwrap_err();
    assert_eq!(closed, NotEntitled::NoHandOver(connector()));
    let stranger = super::tests::person(&["dev"]);
    let by_password = ask(&policy, &stranger, ADMIN).unwrap_err();
    assert_eq!(by_password, NotEntitled::NoHandOver(connector()));
    assert!(names(&table(settings()), &person).is_empty());

    let plain = Request::console();
    for (request, code) in [
        (
            Request {
                delivery: Delivery::Credentials,
                ..plain.clone()
            },
            "console_only",
        ),
        (
            Request {
                read_only: true,
                ..plain.clone()
            },
            "hand_over_as_is",
        ),
        (
            Request {
                duration: hours(1),
                ..plain
            },
            "hand_over_as_is",
        ),
    ] {
        let refused = policy.authorize(&person, &ADMIN.parse().unwrap(), &request, NOW);
        assert_eq!(refused.unwrap_err().code(), code);
    }
}

#[test]
fn no_condition_holds_where_the_provider_opens_the_role() {
    let plain = Conditions::default;
    let conditions = [
        Conditions {
            expires: Some(NOW + Duration::DAY),
            ..plain()
        },
        Conditions {
            max_duration: hours(1),
            ..plain()
        },
        Conditions {
            read_only: true,
            ..plain()
        },
        Conditions {
            require_mfa: true,
            ..plain()
        },
        Conditions {
            require_reason: true,
            ..plain()
        },
        Conditions {
            require_approval_by: Some("corp:boss".to_owned()),
            ..plain()
        },
    ];
    let person = asserting(&["dev"], &[ADMIN]);
    let request = Request {
        reason: Some("because".to_owned()),
        ..Request::console()
    };
    for conditions in conditions {
        let mappings = vec![mapping("m", "dev", ADMIN, conditions.clone())];
        let policy = of(vec![handed_over(ADMIN)], mappings, with_hand_over());
        let refused = policy.authorize(&person, &ADMIN.parse().unwrap(), &request, NOW);
        assert!(
            matches!(
                refused.unwrap_err().code(),
                "hand_over_unlimited" | "condition_unenforceable"
            ),
            "{conditions:?}"
        );
        assert!(names(&policy, &person).is_empty());
        assert!(!policy.problems().is_empty());
        let template = rule("^dev$", ADMIN);
        let rules = vec![MappingRule {
            conditions,
            ..template
        }];
        let tables = PolicyTables {
            roles: vec![handed_over(ADMIN)],
            rules,
            ..Default::default()
        };
        assert!(names(&Policy::new(tables, with_hand_over()), &person).is_empty());
    }
}

#[test]
fn asserted_roles_are_given_by_themselves_where_the_connector_says_so() {
    let roles = || {
        let disabled = Role {
            disabled: true,
            ..saml_role("arn:aws:iam::111122223333:role/Disabled")
        };
        let protected = Role {
            protected: true,
            ..saml_role("arn:aws:iam::111122223333:role/Protected")
        };
        let own = role("arn:aws:iam::111122223333:role/Own");
        vec![saml_role(ADMIN), disabled, protected, own]
    };
    let asserted: Vec<String> = (roles().iter().map(|role| role.arn.to_string()))
        .chain([UNLISTED.to_owned()])
        .collect();
    let asserted: Vec<&str> = asserted.iter().map(String::as_str).collect();
    let person = asserting(&[], &asserted);
    let policy = of(roles(), vec![], giving());
    assert_eq!(names(&policy, &person), [ADMIN, UNLISTED]);
    let grant = ask(&policy, &person, UNLISTED).unwrap();
    assert_eq!(grant.mapping().0, "asserted");
    assert_eq!(grant.method(), GrantMethod::AssumeRoleWithSaml);
    assert_eq!(
        grant.saml_provider().unwrap().as_str(),
        "arn:aws:iam::111122224444:saml-provider/corp"
    );
    for closed in &asserted[1..4] {
        assert!(ask(&policy, &person, closed).is_err(), "{closed}");
    }

    let elsewhere = Identity {
        connector: "other".parse().unwrap(),
        ..person.clone()
    };
    let by_password = Identity {
        method: AuthenticationMethod::Password,
        ..person.clone()
    };
    for stranger in [&elsewhere, &by_password] {
        assert!(names(&policy, stranger).is_empty());
        assert_eq!(
            ask(&policy, stranger, UNLISTED).unwrap_err(),
            NotEntitled::UnknownRole
        );
    }
    let policy = of(roles(), vec![], settings());
    assert!(names(&policy, &person).is_empty());
}

#[test]
fn another_spelling_of_a_role_is_no_way_around_what_the_table_says_of_it() {
    let protected = Role {
        protected: true,
        ..saml_role("arn:aws:iam::111122223333:role/team/Protected")
    };
    let disabled = Role {
        disabled: true,
        ..saml_role("arn:aws:iam::111122223333:role/Disabled")
    };
    let policy = of(vec![protected, disabled], vec![], giving());
    let spellings = [
        "arn:aws:iam::111122223333:role/Protected",
        "arn:aws:iam::111122223333:role/team/PROTECTED",
        "arn:aws:iam::111122223333:role/disabled",
    ];
    let person = asserting(&[], &spellings);
    assert!(names(&policy, &person).is_empty());
    for spelling in spellings {
        let refused = ask(&policy, &person, spelling).unwrap_err();
        assert_eq!(refused, NotEntitled::UnknownRole, "{spelling}");
    }
}

#[test]
fn a_protected_account_keeps_its_roles_from_being_given_by_assertion_alone() {
    let account = Account {
        colour: None,
        owner: None,
        id: "111122224444".parse().unwrap(),
        name: "Payments".to_owned(),
        alias: None,
        environment: None,
        description: None,
        protected: true,
        role_defaults: RoleDefaults::default(),
    };
    let tables = PolicyTables {
        accounts: vec![account],
        ..Default::default()
    };
    let policy = Policy::new(tables, giving());
    assert!(names(&policy, &asserting(&[], &[UNLISTED])).is_empty());
}

#[test]
fn roles_of_assertion_and_table_stand_in_one_order() {
    let account = |id: &str, name: &str| Account {
        colour: None,
        owner: None,
        id: id.parse().unwrap(),
        name: name.to_owned(),
        alias: None,
        environment: None,
        description: None,
        protected: false,
        role_defaults: RoleDefaults::default(),
    };
    let arn = |account: &str, name: &str| format!("arn:aws:iam::{account}:role/{name}");
    let all: Vec<String> = [
        arn("000000000003", "b"),
        arn("000000000001", "a"),
        arn("000000000001", "b"),
        arn("000000000001", "c"),
        arn("000000000002", "a"),
    ]
    .to_vec();
    let asserted: Vec<&str> = all.iter().rev().map(String::as_str).collect();
    for listed in 0..32_u32 {
        let roles = all
            .iter()
            .enumerate()
            .filter(|(place, _)| listed & (1 << place) != 0)
            .map(|(_, arn)| saml_role(arn));
        let tables = PolicyTables {
            accounts: vec![
                account("000000000003", "Alpha"),
                account("000000000001", "beta"),
                account("000000000002", "Gamma"),
            ],
            roles: roles.collect(),
            ..Default::default()
        };
        let policy = Policy::new(tables, giving());
        assert_eq!(names(&policy, &asserting(&[], &asserted)), all, "{listed}");
    }
}

const UPLOADS: &str = "arn:aws:sts::111122223333:federated-user/uploads";
const USER: &str = "arn:aws:iam::111122223333:user/rolegate";
const OWN_PREFIX: &str = r#"{"Statement":[{"Action":"s3:*","Effect":"Allow","Resource":"arn:aws:s3:::b/{username}/*"}]}"#;

fn by(method: GrantMethod, arn: &str) -> Role {
    let mut role = role(arn);
    role.own.grant_method = Some(method);
    role
}

fn given_to_dev(role: Role, settings: PolicySettings) -> Policy {
    let mappings = vec![mapping(
        "m",
        "dev",
        role.arn.as_str(),
        Conditions::default(),
    )];
    of(vec![role], mappings, settings)
}

#[test]
fn a_template_is_filled_for_the_person_who_opens_the_role() {
    let mut role = by(GrantMethod::FederationToken, UPLOADS);
    role.session_policy = Some(OWN_PREFIX.to_owned());
    role.session_tags = BTreeMap::from([("who".to_owned(), "{connector}/{email}".to_owned())]);
    let policy = given_to_dev(role, settings());
    let mut ada = person(&["dev"]);
    ada.username = "a/*".to_owned();
    let refused = ask(&policy, &ada, UPLOADS).unwrap_err();
    assert_eq!(refused.code(), "template_unfilled");
    assert!(names(&policy, &ada).is_empty());

    ada.email = Some("ada@example.com".to_owned());
    assert_eq!(names(&policy, &ada), [UPLOADS]);
    let grant = ask(&policy, &ada, UPLOADS).unwrap();
    let filled = OWN_PREFIX.replace("{username}", "a=2F=2A");
    assert_eq!(grant.session_policy(), Some(filled.as_str()));
    assert_eq!(grant.session_tags()["who"], "corp/ada@example.com");
    assert_eq!(grant.federated_name(), grant.session_name().as_str());
}

#[test]
fn public_values_come_with_the_grant_the_roles_own_before_its_accounts() {
    let texts = |values: &[(&str, &str)]| -> BTreeMap<String, String> {
        let owned = values.iter();
        owned
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
            .collect()
    };
    let mut role = role(ADMIN);
    role.own.public_values = texts(&[("prefix", "home/{username}/")]);
    let account = Account {
        colour: None,
        owner: None,
        id: "111122223333".parse().unwrap(),
        name: "Payments".to_owned(),
        alias: None,
        environment: None,
        description: None,
        protected: false,
        role_defaults: RoleDefaults {
            public_values: texts(&[("bucket", "uploads-{account}"), ("prefix", "all/")]),
            ..Default::default()
        },
    };
    let tables = PolicyTables {
        accounts: vec![account],
        mappings: vec![mapping("m", "dev", ADMIN, Conditions::default())],
        roles: vec![role],
        ..Default::default()
    };
    let policy = Policy::new(tables, settings());
    let ada = person(&["dev"]);
    let grant = ask(&policy, &ada, ADMIN).unwrap();
    let told = texts(&[("bucket", "uploads-111122223333"), ("prefix", "home/ada/")]);
    assert_eq!(*grant.public_values(), told);
    assert_eq!(policy.public_values(&ada, grant.target()), told);
}

#[test]
fn a_path_for_people_of_several_connectors_names_the_connector_or_gives_nothing() {
    let several = PolicySettings {
        connectors: 2,
        ..settings()
    };
    let mut role = role(ADMIN);
    role.session_policy = Some(OWN_PREFIX.to_owned());
    let policy = given_to_dev(role.clone(), several.clone());
    let refused = ask(&policy, &person(&["dev"]), ADMIN).unwrap_err();
    let key = "session_policy";
    assert_eq!(refused, NotEntitled::Contradiction { key });
    assert!(policy.problems()[0].message.contains("{connector}/"));

    let named = OWN_PREFIX.replace("{username}", "{connector}/{username}");
    role.session_policy = Some(named);
    let policy = given_to_dev(role, several);
    assert_eq!(policy.problems(), []);
    assert!(ask(&policy, &person(&["dev"]), ADMIN).is_ok());
}

#[test]
fn a_session_of_the_users_own_keys_gives_credentials_as_they_are() {
    let mut role = by(GrantMethod::SessionToken, USER);
    role.own.max_duration = Some(SessionDuration::LONGEST_TOKEN);
    let policy = given_to_dev(role, settings());
    let ada = person(&["dev"]);
    let [held] = &policy.entitlements(&ada, NOW)[..] else {
        panic!("it is offered");
    };
    assert!(!held.opens_console());
    assert_eq!(held.longest.longest, SessionDuration::LONGEST_TOKEN);
    assert_eq!(
        ask(&policy, &ada, USER).unwrap_err(),
        NotEntitled::CredentialsOnly
    );
    let credentials = Request {
        delivery: Delivery::Credentials,
        ..Request::console()
    };
    let ask = |request: &Request| policy.authorize(&ada, &USER.parse().unwrap(), request, NOW);
    assert_eq!(
        ask(&credentials).unwrap().duration(),
        SessionDuration::LONGEST_TOKEN
    );
    let read_only = Request {
        read_only: true,
        ..credentials
    };
    assert_eq!(
        ask(&read_only).unwrap_err(),
        NotEntitled::ReadOnlyUnavailable
    );
}

#[test]
fn an_assertion_is_posted_only_where_nothing_narrows_the_session() {
    let mut role = by(GrantMethod::AssumeRoleWithSaml, ADMIN);
    role.own.vouched_by = Some(crate::access::Voucher::Issuer);
    let general = PolicySettings {
        role_defaults: RoleDefaults {
            console: Some(ConsoleWay::SamlPost),
            ..RoleDefaults::default()
        },
        issuer: Abilities {
            saml: true,
            oidc: false,
        },
        ..settings()
    };
    let ada = person(&["dev"]);
    let asked = |role: &Role, request: &Request| {
        let policy = given_to_dev(role.clone(), general.clone());
        let grant = policy.authorize(&ada, &role.arn, request, NOW);
        grant.unwrap().is_posted()
    };
    let plain = Request::console();
    assert!(asked(&role, &plain));
    let read_only = Request {
        read_only: true,
        ..plain.clone()
    };
    assert!(!asked(&role, &read_only));
    let credentials = Request {
        delivery: Delivery::Credentials,
        ..plain.clone()
    };
    assert!(!asked(&role, &credentials));
    role.session_policy = Some(OWN_PREFIX.to_owned());
    assert!(!asked(&role, &plain));
}

#[test]
fn the_name_of_a_federated_user_is_short_and_nobody_elses() {
    let mut role = by(GrantMethod::FederationToken, UPLOADS);
    role.session_policy = Some("{}".to_owned());
    let policy = given_to_dev(role, settings());
    let of = |username: &str| {
        let mut ada = person(&["dev"]);
        ada.username = username.to_owned();
        ask(&policy, &ada, UPLOADS).unwrap().federated_name()
    };
    assert_eq!(of("ada@example.com"), "ada@example.com");
    let long = "a".repeat(40);
    let names = [of(&long), of(&format!("{long}b")), of("zoë"), of("x")];
    for name in &names {
        assert!((2..=32).contains(&name.len()), "{name}");
    }
    assert_ne!(names[0], names[1]);
    // Whoever is called like a cut name has another.
    assert_ne!(of(&names[0]), names[0]);
}

fn any_roles() -> impl Strategy<Value = Vec<Role>> {
    let kind = || prop::option::of(0..3_u8);
    (kind(), kind()).prop_map(|(admin, reader)| {
        let make = |arn, kind| match kind {
            0 => role(arn),
            1 => saml_role(arn),
            _ => handed_over(arn),
        };
        let admin = admin.map(|kind| make(ADMIN, kind));
        let reader = reader.map(|kind| make(READER, kind));
        admin.into_iter().chain(reader).collect()
    })
}

fn any_settings() -> impl Strategy<Value = PolicySettings> {
    (any::<bool>(), any::<bool>()).prop_map(|(gives, can_hand_over)| PolicySettings {
        hand_over_connectors: can_hand_over.then(connector).into_iter().collect(),
        giving_connectors: gives.then(connector).into_iter().collect(),
        ..settings()
    })
}

fn any_asserted() -> impl Strategy<Value = Vec<&'static str>> {
    prop::sample::subsequence(vec![ADMIN, READER, UNLISTED], 0..=3)
}

proptest! {
    /// A grant by assertion names a pair of the assertion, and nothing else grants by one.
    #[test]
    fn a_role_that_is_not_asserted_is_never_granted_by_an_assertion(
        roles in any_roles(),
        table in any_table(),
        settings in any_settings(),
        groups in prop::sample::subsequence(vec!["a", "b", "c", "d"], 0..4),
        asserted in any_asserted(),
        request in any_request(),
        is_saml in any::<bool>(),
    ) {
        let policy = of(roles, table, settings);
        let mut person = asserting(&groups, &asserted);
        if !is_saml {
            person.method = AuthenticationMethod::Password;
        }
        for target in [ADMIN, READER, UNLISTED] {
            let grant = policy.authorize(&person, &target.parse().unwrap(), &request, NOW);
            let Ok(grant) = grant else { continue };
            if grant.console() == ConsoleWay::IdpInitiated {
                prop_assert!(request.duration.is_none() && !grant.is_read_only());
                prop_assert_eq!(grant.saml_provider(), None);
            } else if grant.method() == GrantMethod::AssumeRoleWithSaml {
                let provider = grant.saml_provider().unwrap();
                prop_assert!(is_saml);
                let is_this = |pair: &AssertedRole| {
                    pair.role.as_str() == target && pair.provider == *provider
                };
                prop_assert!(person.asserted_roles.iter().any(is_this));
            } else {
                prop_assert_eq!(grant.saml_provider(), None);
                prop_assert!(grant.mapping().0 != "asserted");
            }
        }
    }

    /// Without an assertion the new settings give nothing that was not given before, and an
    /// assertion gives nothing but what it names.
    #[test]
    fn an_assertion_never_gives_what_it_does_not_name(
        roles in any_roles(),
        table in any_table(),
        general in any_settings(),
        groups in prop::sample::subsequence(vec!["a", "b", "c", "d"], 0..4),
        asserted in any_asserted(),
    ) {
        let before = PolicySettings {
            hand_over_connectors: general.hand_over_connectors.clone(),
            ..settings()
        };
        let old = of(roles.clone(), table.clone(), before);
        let new = of(roles, table, general);
        let bare = asserting(&groups, &[]);
        prop_assert_eq!(names(&old, &bare), names(&new, &bare));
        let more = asserting(&groups, &asserted);
        for arn in names(&new, &more) {
            let was_given = names(&old, &bare).contains(&arn);
            prop_assert!(was_given || asserted.contains(&arn.as_str()));
        }
    }

    /// The picker and the decision agree on roles of every way.
    #[test]
    fn the_picker_offers_just_what_would_be_granted(
        roles in any_roles(),
        table in any_table(),
        settings in any_settings(),
        groups in prop::sample::subsequence(vec!["a", "b", "c", "d"], 0..4),
        asserted in any_asserted(),
    ) {
        let policy = of(roles, table, settings);
        let person = asserting(&groups, &asserted);
        let offered = names(&policy, &person);
        let request = Request { reason: Some("because".to_owned()), ..Request::console() };
        for target in [ADMIN, READER, UNLISTED] {
            let grant = policy.authorize(&person, &target.parse().unwrap(), &request, NOW);
            prop_assert_eq!(offered.contains(&target.to_owned()), grant.is_ok(), "{}", target);
        }
    }
}

#[test]
fn what_people_get_by_default_does_not_keep_the_broker_from_its_errands() {
    let revoker: TargetArn = "arn:aws:iam::111122223333:role/rolegate-revoker"
        .parse()
        .unwrap();
    for method in GrantMethod::ALL {
        let mut settings = settings();
        settings.role_defaults.grant_method = Some(method);
        let policy = Policy::new(PolicyTables::default(), settings);
        let leave = policy.errand(Errand::Revoke, &revoker, "{}".to_owned());
        let leave = leave.unwrap();
        let grant = leave.grant();
        assert_eq!(grant.method(), GrantMethod::AssumeRole, "{method}");
        assert_eq!(grant.session_policy(), Some("{}"));
    }
}

#[test]
fn what_a_program_opens_with_a_token_alone_wants_neither_reason_nor_code_nor_provider() {
    let opens = |role: Role, conditions: Conditions| {
        let mappings = vec![mapping("m", "dev", role.arn.as_str(), conditions)];
        let policy = of(vec![role], mappings, settings());
        let held = policy.entitlements(&person(&["dev"]), NOW);
        held.first().is_some_and(Entitlement::opens_without_asking)
    };
    let free = Conditions::default;
    assert!(opens(role(ADMIN), free()));
    assert!(opens(by(GrantMethod::SessionToken, USER), free()));
    let asks = Conditions {
        require_reason: true,
        ..free()
    };
    assert!(!opens(role(ADMIN), asks));
    let mut coded = role(ADMIN);
    coded.own.mfa_serial = Some("arn:aws:iam::111122223333:mfa/rolegate".to_owned());
    assert!(!opens(coded, free()));
    let mut handed_over = role(ADMIN);
    handed_over.own.console = Some(ConsoleWay::IdpInitiated);
    assert!(!opens(handed_over, free()));
}

#[test]
fn a_role_has_one_name_in_its_account_even_where_another_shares_its_own() {
    let twins = ["role/team/Deploy", "role/ci/deploy"];
    let twins = twins.map(|name| role(&format!("arn:aws:iam::111122223333:{name}")));
    let roles = [role(READER)].into_iter().chain(twins).collect();
    let policy = of(roles, Vec::new(), settings());
    let name = |arn: &str| {
        let arn = arn.parse().unwrap();
        policy.name_in_account(&arn).to_owned()
    };
    assert_eq!(name(READER), "ReadOnly");
    assert_eq!(
        name("arn:aws:iam::111122223333:role/team/Deploy"),
        "role/team/Deploy"
    );
    assert_eq!(
        name("arn:aws:iam::111122223333:role/ci/deploy"),
        "role/ci/deploy"
    );
}

#[test]
fn only_the_roles_that_are_wanted_are_judged() {
    let give = |id: &str, role: &str| mapping(id, "dev", role, Conditions::default());
    let policy = policy(vec![give("a", ADMIN), give("b", READER)], Vec::new());
    let ada = person(&["dev"]);
    let found = policy.entitlements_where(&ada, NOW, |arn| arn.as_str() == READER);
    let arns: Vec<&str> = found.iter().map(|held| held.role.arn.as_str()).collect();
    assert_eq!(arns, [READER]);
}
